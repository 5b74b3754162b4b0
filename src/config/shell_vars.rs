//! The shell-like files: make.conf, make.defaults, make.globals, profile.env, env/ files.
//!
//! They look like bash and are read by people as bash, but Portage reads them with a
//! tokenizer of its own and a separate expansion pass, and a few results differ from bash:
//! quotes are gone before `$name` is expanded, so single quotes do not protect a `$`; an
//! apostrophe inside a value suspends expansion up to the next one; `#` begins a comment even
//! inside an unquoted word. What is read here equals what Portage reads. What Portage would
//! misread (an empty `NAME=`, a command substitution) is an error instead.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::ConfigError;
use super::files;

/// The place where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file; `<environment>` or `<built in>` when it is none.
    pub file: Arc<Path>,
    /// The line, counted from 1; 0 when the place has no lines.
    pub line: usize,
}

/// A variable's value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value, expanded.
    pub value: String,
    /// The place of the last assignment.
    pub origin: Origin,
}

impl Setting {
    /// A value whose place has a name but no lines.
    pub(super) fn at(place: &str, value: impl Into<String>) -> Self {
        let origin = Origin {
            file: Arc::from(Path::new(place)),
            line: 0,
        };
        Setting {
            value: value.into(),
            origin,
        }
    }
}

/// The variables of one file or one stack of files, by name.
pub type Variables = BTreeMap<String, Setting>;

/// What a file of this kind may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// `source FILE` is understood.
    pub source: bool,
    /// `$name` and `${name}` are expanded.
    pub expand: bool,
}

impl Dialect {
    /// make.conf and the files of /etc/portage/env.
    pub const USER: Dialect = Dialect {
        source: true,
        expand: true,
    };
    /// make.defaults.
    pub const PROFILE: Dialect = Dialect {
        source: false,
        expand: true,
    };
    /// /etc/profile.env.
    pub const ENV_D: Dialect = Dialect {
        source: false,
        expand: false,
    };
}

/// One assignment of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// The value as expanded when the file was read, and the place.
    pub setting: Setting,
    /// The value before expansion.
    raw: String,
}

impl Assignment {
    /// The value with other variables filled in than those known when the file was read. Takes
    /// note of the new value.
    pub fn expand(&self, known: &mut HashMap<String, String>) -> String {
        // What could be expanded once can be expanded always: errors do not depend on values.
        let value = expand(&self.raw, known).unwrap_or_else(|_| self.setting.value.clone());
        known.insert(self.name.clone(), value.clone());
        value
    }
}

/// Reads a file, or every file of a directory when `recursive`. `known` gives the values for
/// expansion and takes the new ones. Gives `None` if there is no such file.
///
/// # Errors
/// The file cannot be read, or a line is malformed.
pub fn read(
    path: &Path,
    dialect: Dialect,
    recursive: bool,
    known: &mut HashMap<String, String>,
) -> Result<Option<Variables>, ConfigError> {
    Ok(assignments(path, dialect, recursive, known)?.map(|list| {
        list.into_iter()
            .map(|Assignment { name, setting, .. }| (name, setting))
            .collect()
    }))
}

/// As [`read`], but gives every single assignment in its order.
///
/// # Errors
/// As [`read`].
pub fn assignments(
    path: &Path,
    dialect: Dialect,
    recursive: bool,
    known: &mut HashMap<String, String>,
) -> Result<Option<Vec<Assignment>>, ConfigError> {
    let list = if recursive {
        files::recursive(path)?
    } else {
        vec![path.to_path_buf()]
    };
    let mut result = None;
    for file in list {
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(ConfigError::read(file, error)),
        };
        let text = String::from_utf8_lossy(&bytes);
        parse(
            &file,
            &text,
            dialect,
            known,
            result.get_or_insert_with(Vec::new),
        )?;
    }
    Ok(result)
}

/// Parses text as if it stood in the file `path`.
///
/// # Errors
/// A line is malformed, or a sourced file cannot be read.
pub fn parse(
    path: &Path,
    text: &str,
    dialect: Dialect,
    known: &mut HashMap<String, String>,
    result: &mut Vec<Assignment>,
) -> Result<(), ConfigError> {
    let mut lexer = Lexer::new(path, text);
    while let Some(mut key) = lexer.token()? {
        if dialect.source && !key.quoted && (key.text == "source" || key.text == ".") {
            lexer.source(&key, known)?;
            continue;
        }
        if key.text == "export" {
            let Some(name) = lexer.token()? else {
                return Err(lexer.error(
                    key.line,
                    "`export` without a name",
                    "write export NAME=\"value\"",
                ));
            };
            key = name;
        }
        let equals = lexer.token_on_line(&key)?;
        match equals {
            Some(token) if token.text == "=" && !token.quoted => {}
            other => return Err(lexer.not_an_assignment(&key, other.as_ref(), dialect)),
        }
        let Some(value) = lexer.token_on_line(&key)? else {
            return Err(lexer.error(
                key.line,
                format!("`{}=` without a value", key.text),
                format!("write {}=\"\" for an empty value", key.text),
            ));
        };
        if value.punctuation && matches!(value.text.as_str(), "(" | "&" | "|" | "<" | ">") {
            return Err(lexer.error(
                value.line,
                format!(
                    "`{}={}`: only plain strings can be assigned here",
                    key.text, value.text
                ),
                format!("write {}=\"value\"", key.text),
            ));
        }
        if !is_name(&key.text) {
            let cure = match key.text.strip_suffix('+') {
                Some(name) if is_name(name) => format!("write {name}=\"${{{name}}} …\" to append"),
                _ => {
                    "a name has letters, digits and underscores and begins with no digit".to_owned()
                }
            };
            return Err(lexer.error(
                key.line,
                format!("`{}` is no variable name", key.text),
                cure,
            ));
        }
        let text = if dialect.expand {
            let text = expand(&value.text, known).map_err(|ExpansionError { problem, cure }| {
                lexer.error(value.line, format!("`{}`: {problem}", key.text), cure)
            })?;
            known.insert(key.text.clone(), text.clone());
            text
        } else {
            value.text.clone()
        };
        let origin = Origin {
            file: lexer.file(),
            line: key.line,
        };
        result.push(Assignment {
            name: key.text,
            setting: Setting {
                value: text,
                origin,
            },
            raw: value.text,
        });
    }
    Ok(())
}

/// Whether Portage takes the text for a variable name.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_numeric())
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

struct Token {
    text: String,
    line: usize,
    /// Some part of it stood in quotes or behind a backslash.
    quoted: bool,
    /// A single character that is no part of a word.
    punctuation: bool,
}

struct Source {
    file: Arc<Path>,
    text: Vec<char>,
    position: usize,
    line: usize,
}

struct Lexer {
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
    fn new(path: &Path, text: &str) -> Self {
        Lexer {
            sources: vec![Source::new(path, text)],
        }
    }

    fn file(&self) -> Arc<Path> {
        self.sources.last().map_or_else(
            || Arc::from(Path::new("")),
            |source| Arc::clone(&source.file),
        )
    }

    fn error(
        &self,
        line: usize,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> ConfigError {
        ConfigError::syntax(self.file().to_path_buf(), line, problem, cure)
    }

    fn not_an_assignment(
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
    fn token(&mut self) -> Result<Option<Token>, ConfigError> {
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
    fn token_on_line(&mut self, key: &Token) -> Result<Option<Token>, ConfigError> {
        let Some(source) = self.sources.last_mut() else {
            return Ok(None);
        };
        if source.at_line_end() {
            return Ok(None);
        }
        debug_assert!(key.line <= source.line);
        source.token()
    }

    fn source(&mut self, key: &Token, known: &HashMap<String, String>) -> Result<(), ConfigError> {
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

struct ExpansionError {
    problem: String,
    cure: &'static str,
}

impl ExpansionError {
    fn new(problem: impl Into<String>, cure: &'static str) -> Self {
        ExpansionError {
            problem: problem.into(),
            cure,
        }
    }
}

/// Replaces `$name` and `${name}` and turns newlines into blanks.
fn expand(text: &str, known: &HashMap<String, String>) -> Result<String, ExpansionError> {
    let chars: Vec<char> = text.chars().collect();
    let at = |position: usize| chars.get(position).copied();
    let mut result = String::with_capacity(text.len());
    let (mut single, mut double) = (false, false);
    let mut position = 0;
    while let Some(c) = at(position) {
        position += 1;
        match c {
            '\'' => {
                result.push(c);
                if !double {
                    single = !single;
                }
            }
            '"' => {
                result.push(c);
                if !single {
                    double = !double;
                }
            }
            c if single => result.push(c),
            '\n' => result.push(' '),
            '\\' => {
                let Some(next) = at(position) else {
                    result.push('\\');
                    break;
                };
                position += 1;
                match next {
                    '$' => result.push('$'),
                    '\\' => {
                        result.push('\\');
                        // Portage takes the character behind two backslashes as it is.
                        if let Some(after @ ('\'' | '"' | '$')) = at(position) {
                            result.push(after);
                            position += 1;
                        }
                    }
                    '\n' => {}
                    other => {
                        result.push('\\');
                        result.push(other);
                    }
                }
            }
            '$' => match at(position) {
                None => result.push('$'),
                Some(next) => {
                    let braced = next == '{';
                    let start = position + usize::from(braced);
                    let mut end = start;
                    while at(end).is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                        end += 1;
                    }
                    let name: String = chars.get(start..end).unwrap_or_default().iter().collect();
                    if next == '(' {
                        return Err(ExpansionError::new(
                            "`$(` begins a command substitution, which is not allowed here",
                            "write the value out",
                        ));
                    }
                    if braced && at(end) != Some('}') {
                        return Err(match at(end) {
                            None => ExpansionError::new(
                                format!("`${{{name}` is never closed"),
                                "add the missing }",
                            ),
                            Some(sign) => ExpansionError::new(
                                format!("`${{{name}{sign}…`: only plain ${{name}} is understood"),
                                "write the value out",
                            ),
                        });
                    }
                    if name.is_empty() {
                        return Err(ExpansionError::new(
                            format!(
                                "`${}` names no variable",
                                if braced {
                                    "{}".to_owned()
                                } else {
                                    next.to_string()
                                }
                            ),
                            "write \\$ inside double quotes for a dollar sign",
                        ));
                    }
                    if let Some(value) = known.get(&name) {
                        result.push_str(value);
                    }
                    position = end + usize::from(braced);
                }
            },
            c => result.push(c),
        }
    }
    Ok(result)
}
