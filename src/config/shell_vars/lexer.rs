//! Tokens of shell-like files.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Dialect;
use super::expansion::expand;
use crate::config::error::ConfigError;

/// A word, or a single sign that is no part of one.
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
    /// Some part of it stood in quotes or behind a backslash.
    pub(super) quoted: bool,
    /// A single character that is no part of a word.
    pub(super) punctuation: bool,
}

struct Source {
    file: Arc<Path>,
    text: Vec<char>,
    position: usize,
    line: usize,
}

/// Splits a file, and those it includes, into tokens as Portage does.
pub(super) struct Lexer {
    sources: Vec<Source>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Between,
    Word,
    Quote(char),
    Escape(char),
    EscapeInWord,
}

fn is_word_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "~!@#$%*_\\:;?,./-+{}".contains(c)
}

impl Lexer {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        Lexer {
            sources: vec![Source::new(path, text)],
        }
    }

    pub(super) fn file(&self) -> Arc<Path> {
        self.sources.last().map_or_else(
            || Arc::from(Path::new("")),
            |source| Arc::clone(&source.file),
        )
    }

    pub(super) fn error(
        &self,
        line: usize,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> ConfigError {
        ConfigError::syntax(self.file().to_path_buf(), line, problem, cure)
    }

    pub(super) fn not_an_assignment(
        &self,
        key: &Token,
        next: Option<&Token>,
        dialect: Dialect,
    ) -> ConfigError {
        let read = next.map_or_else(
            || "the end of the line".to_owned(),
            |token| format!("`{}`", token.text),
        );
        if matches!(key.text.as_str(), "source" | ".") && !dialect.source {
            return self.error(
                key.line,
                format!("`{}`: files of this kind cannot include others", key.text),
                "move the assignments into this file",
            );
        }
        self.error(
            key.line,
            format!("`{}` is followed by {read}, not by `=`", key.text),
            "only NAME=\"value\" is understood; put a value with blanks or signs into quotes",
        )
    }

    /// The next token, from the file that included this one when this one is at its end.
    pub(super) fn token(&mut self) -> Result<Option<Token>, ConfigError> {
        loop {
            let Some(source) = self.sources.last_mut() else {
                return Ok(None);
            };
            match source.token()? {
                Some(token) => return Ok(Some(token)),
                None if self.sources.len() > 1 => {
                    self.sources.pop();
                }
                None => return Ok(None),
            }
        }
    }

    /// The next token if it begins on the line on which `key` ended.
    pub(super) fn token_on_line(&mut self, key: &Token) -> Result<Option<Token>, ConfigError> {
        let Some(source) = self.sources.last_mut() else {
            return Ok(None);
        };
        if source.at_line_end() {
            return Ok(None);
        }
        debug_assert!(key.line <= source.line);
        source.token()
    }

    pub(super) fn source(
        &mut self,
        key: &Token,
        known: &HashMap<String, String>,
    ) -> Result<(), ConfigError> {
        let Some(name) = self.token_on_line(key)? else {
            return Err(self.error(
                key.line,
                "`source` without a file",
                "write source /path/to/file",
            ));
        };
        let text = expand(&name.text, known).map_err(|e| {
            self.error(
                name.line,
                format!("`source {}`: {}", name.text, e.problem),
                e.cure,
            )
        })?;
        let here = self.file();
        let path: PathBuf = match here.parent() {
            Some(directory) if !Path::new(&text).is_absolute() => directory.join(&text),
            _ => PathBuf::from(&text),
        };
        if self.sources.iter().any(|source| *source.file == *path) {
            return Err(self.error(
                key.line,
                format!(
                    "`source {}` includes a file that is being read",
                    path.display()
                ),
                "remove the circle",
            ));
        }
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.error(
                    key.line,
                    format!("`source {}`: there is no such file", path.display()),
                    "create the file or remove the line",
                ));
            }
            Err(error) => return Err(ConfigError::read(path, error)),
        };
        self.sources
            .push(Source::new(&path, &String::from_utf8_lossy(&bytes)));
        Ok(())
    }
}

impl Source {
    fn new(path: &Path, text: &str) -> Self {
        let mut text: Vec<char> = text.chars().collect();
        if text.last().is_some_and(|c| *c != '\n') {
            text.push('\n');
        }
        Source {
            file: Arc::from(path),
            text,
            position: 0,
            line: 1,
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.text.get(self.position).copied()?;
        self.position += 1;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn back(&mut self) {
        self.position -= 1;
        if self.text.get(self.position) == Some(&'\n') {
            self.line -= 1;
        }
    }

    fn skip_comment(&mut self) {
        while let Some(c) = self.next() {
            if c == '\n' {
                break;
            }
        }
    }

    /// Whether only blanks or a comment stand between here and the end of the line.
    fn at_line_end(&self) -> bool {
        let rest = self.text.get(self.position..).unwrap_or_default();
        matches!(
            rest.iter().find(|c| !matches!(c, ' ' | '\t' | '\r')),
            None | Some('\n' | '#')
        )
    }

    fn error(&self, line: usize, problem: impl Into<String>, cure: &str) -> ConfigError {
        ConfigError::syntax(self.file.to_path_buf(), line, problem, cure)
    }

    fn token(&mut self) -> Result<Option<Token>, ConfigError> {
        let mut token = Token {
            text: String::new(),
            line: self.line,
            quoted: false,
            punctuation: false,
        };
        let mut state = State::Between;
        let mut opened = self.line;
        loop {
            let Some(c) = self.next() else {
                return match state {
                    State::Between => Ok(None),
                    State::Word => Ok(Some(token)),
                    State::Quote(quote) | State::Escape(quote) => Err(self.error(
                        opened,
                        format!("the {quote} opened here is never closed"),
                        "add the missing quote",
                    )),
                    State::EscapeInWord => {
                        Err(self.error(opened, "a backslash ends the file", "remove the backslash"))
                    }
                };
            };
            match state {
                State::Between => match c {
                    ' ' | '\t' | '\r' => {}
                    '\n' => {}
                    '#' => self.skip_comment(),
                    '\\' => {
                        token.line = self.line;
                        opened = self.line;
                        token.quoted = true;
                        state = State::EscapeInWord;
                    }
                    '"' | '\'' => {
                        token.line = self.line;
                        opened = self.line;
                        token.quoted = true;
                        state = State::Quote(c);
                    }
                    '`' => return Err(self.command_substitution()),
                    c if is_word_character(c) => {
                        token.line = self.line;
                        token.text.push(c);
                        state = State::Word;
                    }
                    c => {
                        token.line = self.line;
                        token.text.push(c);
                        token.punctuation = true;
                        return Ok(Some(token));
                    }
                },
                State::Word => match c {
                    ' ' | '\t' | '\r' => return Ok(Some(token)),
                    '\n' => {
                        // The next look at the line must see that it has ended.
                        self.back();
                        return Ok(Some(token));
                    }
                    '#' => {
                        self.skip_comment();
                        self.back();
                        return Ok(Some(token));
                    }
                    '"' | '\'' => {
                        opened = self.line;
                        token.quoted = true;
                        state = State::Quote(c);
                    }
                    '\\' => {
                        opened = self.line;
                        state = State::EscapeInWord;
                    }
                    '`' => return Err(self.command_substitution()),
                    c if is_word_character(c) => token.text.push(c),
                    _ => {
                        self.back();
                        return Ok(Some(token));
                    }
                },
                State::Quote(quote) if c == quote => state = State::Word,
                State::Quote('"') if c == '\\' => state = State::Escape('"'),
                State::Quote('"') if c == '`' => return Err(self.command_substitution()),
                State::Quote(_) => token.text.push(c),
                State::Escape(quote) => {
                    // A backslash stays unless it escapes itself or the quote; what it does
                    // before a dollar sign or a newline is settled when the value is expanded.
                    if c != '\\' && c != quote && c != '`' {
                        token.text.push('\\');
                    }
                    token.text.push(c);
                    state = State::Quote(quote);
                }
                State::EscapeInWord => {
                    token.text.push(c);
                    state = State::Word;
                }
            }
        }
    }

    fn command_substitution(&self) -> ConfigError {
        self.error(
            self.line,
            "a backquote begins a command substitution, which is not allowed here",
            "write the value out",
        )
    }
}
