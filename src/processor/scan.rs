//! Finds where shell constructs end, without understanding what they do.
//!
//! Two readers of shell text build on it: the one of saved environments, and the one that takes
//! eclasses apart. The one hard question of an environment's text is where a function ends: its body may hold a
//! lone `}` in a here-document, in quotes, in a comment, or as an ordinary argument. The scanner
//! therefore follows the shell's grammar as far as that question needs: quoting, expansions,
//! here-documents, `case` patterns and the positions where reserved words count.

mod redirection;
mod word;

use std::collections::HashMap;
use std::ops::Range;

/// How deep constructs may nest before the text is refused; the stack is bounded by it.
const MAX_DEPTH: usize = 200;

/// Why a scan stopped, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) at: usize,
    pub(super) what: String,
}

type Scan<T> = Result<T, Broken>;

/// What ends a list of commands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    File,
    Brace,
    Paren,
    Clause,
}

/// What ended a clause of `case`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    Closed,
    NextClause,
    Esac,
}

#[derive(Debug)]
struct Heredoc {
    at: usize,
    delimiter: Vec<u8>,
    strip_tabs: bool,
    literal: bool,
}

/// A position in a text, moved forward over one construct at a time.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    depth: usize,
    heredocs: Vec<Heredoc>,
    /// Whether the `((` whose inside begins at the key is arithmetic; found out once, because
    /// finding out may mean scanning twice.
    arithmetic: HashMap<usize, bool>,
    /// What a script consists of, if somebody wants to know.
    script: Option<Script>,
    in_function: usize,
}

/// What stands where in a script, outside of functions, in the order of the text.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Functions, be it inside of other constructs, as far as nothing but the end of a command
    /// stands behind them.
    pub(super) functions: Vec<FunctionSpan>,
    /// Comments between commands, without the end of the line.
    pub(super) comments: Vec<Range<usize>>,
}

/// Where the definition of a function stands: `name () { … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FunctionSpan {
    /// The name.
    pub(super) name: Range<usize>,
    /// From the name to behind the closing brace.
    pub(super) whole: Range<usize>,
    /// Where the opening brace is.
    pub(super) brace: usize,
}

/// True for the bytes that end an unquoted word.
pub(super) fn ends_word(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')'
    )
}

/// True for text that bash accepts as the name of a variable.
pub(super) fn is_identifier(text: &[u8]) -> bool {
    match text.split_first() {
        Some((first, rest)) => {
            (first.is_ascii_alphabetic() || *first == b'_')
                && rest.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
        }
        None => false,
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            heredocs: Vec::new(),
            arithmetic: HashMap::new(),
            script: None,
            in_function: 0,
        }
    }

    /// Scans a whole script.
    pub(super) fn script(mut self) -> Scan<Script> {
        self.script = Some(Script::default());
        self.list(End::File)?;
        self.no_heredoc_is_open()?;
        Ok(self.script.unwrap_or_default())
    }

    /// At the end of the text.
    fn no_heredoc_is_open(&self) -> Scan<()> {
        match self.heredocs.first() {
            Some(heredoc) => self.broken(heredoc.at, "a here-document without its end"),
            None => Ok(()),
        }
    }

    /// At the body of a function whose name was just scanned: scans it and remembers the function
    /// if its body is a group and nothing is redirected.
    fn remember_function(&mut self, name: Range<usize>) -> Scan<()> {
        if self.script.is_none() || self.in_function > 0 || !self.heredocs.is_empty() {
            return Ok(());
        }
        let before = self.at;
        self.gap()?;
        if self.peek() != Some(b'{') || !self.peek_at(1).is_some_and(ends_word) {
            self.at = before;
            return Ok(());
        }
        let brace = self.at;
        self.at += 1;
        self.in_function += 1;
        let scanned = self.list(End::Brace);
        self.in_function -= 1;
        scanned?;
        let end = self.at;
        self.blanks();
        let ended = matches!(self.peek(), None | Some(b'\n' | b';' | b'#'));
        self.at = end;
        if ended && let Some(script) = &mut self.script {
            script.functions.push(FunctionSpan {
                whole: name.start..end,
                name,
                brace,
            });
        }
        Ok(())
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at.saturating_add(ahead)).copied()
    }

    pub(super) fn span(&self, from: usize, to: usize) -> &'a [u8] {
        self.text.get(from..to).unwrap_or_default()
    }

    pub(super) fn starts_with(&self, prefix: &[u8]) -> bool {
        self.text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(prefix))
    }

    pub(super) fn broken<T>(&self, at: usize, what: impl Into<String>) -> Scan<T> {
        Err(Broken {
            at,
            what: what.into(),
        })
    }

    fn enter(&mut self) -> Scan<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.broken(
                self.at,
                format!("constructs nest more than {MAX_DEPTH} deep"),
            );
        }
        Ok(())
    }

    fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Skips spaces, tabs and continued lines.
    pub(super) fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'\\') if self.peek_at(1) == Some(b'\n') => self.at += 2,
                _ => return,
            }
        }
    }

    /// Skips a comment up to, not over, the end of its line.
    pub(super) fn comment(&mut self) {
        while self.peek().is_some_and(|b| b != b'\n') {
            self.at += 1;
        }
    }

    /// Skips a comment between commands, and remembers it.
    fn comment_between_commands(&mut self) {
        let from = self.at;
        self.comment();
        if self.in_function == 0
            && let Some(script) = &mut self.script
        {
            script.comments.push(from..self.at);
        }
    }

    /// How many comments are remembered.
    fn comments(&self) -> usize {
        self.script
            .as_ref()
            .map_or(0, |script| script.comments.len())
    }

    /// Forgets all comments but the first `count`: the others are within a word, or will be found
    /// again.
    fn forget_comments(&mut self, count: usize) {
        if let Some(script) = &mut self.script {
            script.comments.truncate(count);
        }
    }

    /// Skips blanks, line ends and comments between commands.
    fn gap(&mut self) -> Scan<()> {
        loop {
            self.blanks();
            match self.peek() {
                Some(b'\n') => self.newline()?,
                Some(b'#') => self.comment_between_commands(),
                _ => return Ok(()),
            }
        }
    }

    /// Steps over the line end here and the here-documents that begin after it.
    pub(super) fn newline(&mut self) -> Scan<()> {
        self.at += 1;
        for heredoc in std::mem::take(&mut self.heredocs) {
            self.heredoc_body(&heredoc)?;
        }
        Ok(())
    }

    /// Scans the body of a function that stands here, with the redirections that close it and
    /// the here-documents these begin; leaves the line end alone unless one follows it.
    pub(super) fn function_body(&mut self) -> Scan<()> {
        self.gap()?;
        match self.peek() {
            Some(b'{') if self.peek_at(1).is_some_and(ends_word) => {
                self.at += 1;
                self.list(End::Brace)?;
            }
            Some(b'(') => {
                self.at += 1;
                self.list(End::Paren)?;
            }
            _ => return self.broken(self.at, "a function's body does not begin with { or ("),
        }
        loop {
            self.blanks();
            match self.peek() {
                Some(b'<' | b'>') => self.redirection()?,
                Some(b'&') if self.peek_at(1) == Some(b'>') => self.redirect_both()?,
                Some(b'0'..=b'9' | b'{') => {
                    let from = self.at;
                    let plain = self.word(false)?;
                    let target = self.span(from, self.at);
                    let names = target.first() != Some(&b'{') || target.last() == Some(&b'}');
                    if !plain || !names || !matches!(self.peek(), Some(b'<' | b'>')) {
                        return self.broken(from, "text after the end of a function");
                    }
                }
                None => return self.no_heredoc_is_open(),
                Some(b'\n') => {
                    if !self.heredocs.is_empty() {
                        self.newline()?;
                    }
                    return Ok(());
                }
                Some(b';' | b'#') if self.heredocs.is_empty() => return Ok(()),
                _ => return self.broken(self.at, "text after the end of a function"),
            }
        }
    }

    fn list(&mut self, end: End) -> Scan<Stop> {
        self.enter()?;
        let opened = self.at;
        // True where a command may begin, and so where reserved words count.
        let mut start = true;
        let mut last_word = 0..0;
        let stop = loop {
            let Some(byte) = self.peek() else {
                if end == End::File {
                    break Stop::Closed;
                }
                let what = match end {
                    End::File => "",
                    End::Brace => "no } ends the list of commands that begins here",
                    End::Paren => "no ) ends the list of commands that begins here",
                    End::Clause => "no esac ends the case clause that begins here",
                };
                return self.broken(opened, what);
            };
            match byte {
                b' ' | b'\t' => self.at += 1,
                b'\\' if self.peek_at(1) == Some(b'\n') => self.at += 2,
                b'\n' => {
                    self.newline()?;
                    start = true;
                }
                b'#' => self.comment_between_commands(),
                b';' => {
                    if matches!(self.peek_at(1), Some(b';' | b'&')) {
                        if end != End::Clause {
                            return self.broken(self.at, "the end of a case clause outside case");
                        }
                        self.at += if self.starts_with(b";;&") { 3 } else { 2 };
                        break Stop::NextClause;
                    }
                    self.at += 1;
                    start = true;
                }
                b'&' if self.peek_at(1) == Some(b'>') => {
                    self.redirect_both()?;
                    start = false;
                }
                b'&' => {
                    self.at += if self.peek_at(1) == Some(b'&') { 2 } else { 1 };
                    start = true;
                }
                b'|' => {
                    self.at += if matches!(self.peek_at(1), Some(b'|' | b'&')) {
                        2
                    } else {
                        1
                    };
                    start = true;
                }
                b'(' if start => {
                    if self.peek_at(1) == Some(b'(') && self.try_arithmetic(self.at + 2)? {
                        continue;
                    }
                    self.at += 1;
                    self.list(End::Paren)?;
                }
                b'(' => {
                    let from = self.at;
                    self.at += 1;
                    self.blanks();
                    if self.peek() != Some(b')') {
                        return self.broken(from, "an unexpected (");
                    }
                    self.at += 1;
                    if last_word.end > last_word.start {
                        self.remember_function(last_word.clone())?;
                    }
                    start = true;
                }
                b')' => {
                    if end != End::Paren {
                        return self.broken(self.at, "an unexpected )");
                    }
                    self.at += 1;
                    break Stop::Closed;
                }
                b'<' | b'>' if self.peek_at(1) != Some(b'(') => {
                    self.redirection()?;
                    start = false;
                }
                _ => {
                    let from = self.at;
                    let plain = self.word(start)?;
                    if self.at == from {
                        return self.broken(from, "text the shell could not read");
                    }
                    if !start {
                        continue;
                    }
                    let word = if plain { self.span(from, self.at) } else { b"" };
                    last_word = if plain { from..self.at } else { 0..0 };
                    match word {
                        b"}" if end == End::Brace => break Stop::Closed,
                        b"}" => return self.broken(from, "an unexpected }"),
                        b"esac" if end == End::Clause => break Stop::Esac,
                        b"esac" => return self.broken(from, "an unexpected esac"),
                        b"if" | b"then" | b"else" | b"elif" | b"fi" | b"while" | b"until"
                        | b"do" | b"done" | b"!" => {}
                        _ => start = self.command_word(word)?,
                    }
                }
            }
        };
        self.leave();
        Ok(stop)
    }

    /// Continues after `word` in command position; tells whether reserved words still count.
    fn command_word(&mut self, word: &[u8]) -> Scan<bool> {
        match word {
            b"{" => self.list(End::Brace).map(|_| true),
            b"case" => self.case().map(|()| true),
            b"[[" => self.conditional().map(|()| true),
            b"for" | b"select" => self.for_head(),
            b"function" => {
                self.blanks();
                self.word(false)?;
                Ok(true)
            }
            b"time" => {
                self.blanks();
                while self.starts_with(b"-p ") || self.starts_with(b"-- ") {
                    self.at += 3;
                    self.blanks();
                }
                Ok(true)
            }
            b"coproc" => self.coproc(),
            _ => Ok(false),
        }
    }

    fn for_head(&mut self) -> Scan<bool> {
        self.blanks();
        if self.starts_with(b"((") {
            let from = self.at;
            if !self.try_arithmetic(from + 2)? {
                return self.broken(from, "no )) ends the head of the for loop");
            }
            return Ok(true);
        }
        self.word(false)?;
        self.gap()?;
        let words = self.starts_with(b"in") && self.peek_at(2).is_none_or(ends_word);
        if words {
            self.at += 2;
        }
        Ok(!words)
    }

    /// `coproc` takes a name only when a compound command follows it.
    fn coproc(&mut self) -> Scan<bool> {
        self.blanks();
        let from = self.at;
        self.word(false)?;
        let name = self.span(from, self.at);
        let mut compound = false;
        if is_identifier(name) && !RESERVED.contains(&name) {
            self.blanks();
            let after = self.at;
            if self.peek() == Some(b'(') {
                compound = true;
            } else {
                while self.peek().is_some_and(|b| !ends_word(b)) && self.at - after < 8 {
                    self.at += 1;
                }
                compound = COMPOUND.contains(&self.span(after, self.at));
                self.at = after;
            }
        }
        if !compound {
            self.at = from;
        }
        Ok(true)
    }

    fn case(&mut self) -> Scan<()> {
        let opened = self.at;
        self.blanks();
        self.word(false)?;
        self.gap()?;
        if !(self.starts_with(b"in") && self.peek_at(2).is_none_or(ends_word)) {
            return self.broken(opened, "no in follows the word of case");
        }
        self.at += 2;
        loop {
            self.gap()?;
            if self.peek() == Some(b'(') {
                self.at += 1;
                self.blanks();
            } else if self.starts_with(b"esac") && self.peek_at(4).is_none_or(ends_word) {
                self.at += 4;
                return Ok(());
            }
            loop {
                self.blanks();
                let from = self.at;
                self.word(false)?;
                if self.at == from {
                    return self.broken(from, "a pattern of case is missing");
                }
                self.blanks();
                match self.peek() {
                    Some(b'|') => self.at += 1,
                    Some(b')') => break,
                    _ => return self.broken(from, "no ) ends the pattern of case"),
                }
            }
            self.at += 1;
            if self.list(End::Clause)? == Stop::Esac {
                return Ok(());
            }
        }
    }

    fn conditional(&mut self) -> Scan<()> {
        self.enter()?;
        let opened = self.at;
        let mut regex = false;
        loop {
            let Some(byte) = self.peek() else {
                return self.broken(opened, "no ]] ends the conditional");
            };
            match byte {
                b' ' | b'\t' => self.at += 1,
                b'\n' => self.newline()?,
                b'#' if !regex => self.comment(),
                b'<' | b'>' if self.peek_at(1) == Some(b'(') => {
                    self.at += 2;
                    self.command_substitution()?;
                }
                b'(' | b')' | b'|' | b'&' | b'<' | b'>' | b';' => self.at += 1,
                b']' if self.starts_with(b"]]") && self.peek_at(2).is_none_or(ends_word) => {
                    self.at += 2;
                    self.leave();
                    return Ok(());
                }
                _ => {
                    let from = self.at;
                    self.word(false)?;
                    if self.at == from {
                        return self.broken(from, "text the shell could not read");
                    }
                    regex = self.span(from, self.at) == b"=~";
                }
            }
        }
    }
}

/// Words that name no coprocess and no function without the word `function`.
pub(super) const RESERVED: &[&[u8]] = &[
    b"!",
    b"{",
    b"}",
    b"[[",
    b"]]",
    b"case",
    b"coproc",
    b"do",
    b"done",
    b"elif",
    b"else",
    b"esac",
    b"fi",
    b"for",
    b"function",
    b"if",
    b"in",
    b"select",
    b"then",
    b"time",
    b"until",
    b"while",
];

const COMPOUND: &[&[u8]] = &[
    b"{",
    b"[[",
    b"case",
    b"for",
    b"if",
    b"select",
    b"until",
    b"while",
    b"function",
];
