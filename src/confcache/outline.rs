//! The outline of a shell script: where its `if`s, functions, here-documents and assignments are.
//!
//! This is no shell: it tells the structure of what autoconf writes, POSIX's grammar without aliases.
//! What it does not understand makes the whole script one without an outline.

mod reader;
mod words;

use std::ops::Range;

use self::reader::Reader;

/// How deep commands may be in one another.
const DEEP: usize = 200;

/// An `if … then … else … fi`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct If {
    /// Behind the word `if`, up to `then`.
    pub(super) condition: Range<usize>,
    /// Behind `then`, up to `else`, `elif` or `fi`.
    pub(super) then: Range<usize>,
    /// Behind `else`, up to `fi`; none if there is no `else`, or there is an `elif`.
    pub(super) or_else: Option<Range<usize>>,
}

/// A function's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: Range<usize>,
    /// From the brace to the brace.
    pub(super) body: Range<usize>,
}

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) text: Range<usize>,
    /// Whether variables in it are replaced.
    pub(super) expands: bool,
}

/// `NAME=…` or `NAME+=…` where a command may begin, or the variable of a `for`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) name: Range<usize>,
    /// What is assigned; empty for a `for`.
    pub(super) value: Range<usize>,
    /// How deep it stands, if whoever comes to the begin of what is around it also comes here: the place where the
    /// innermost thing that may be left out begins.
    pub(super) within: usize,
}

/// A simple command that begins with another word than an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// Where it stands; within backticks, where these begin.
    pub(super) at: usize,
    /// Its words as they are written, from its name on.
    pub(super) words: Vec<Vec<u8>>,
    /// Whether a shell of its own runs it, so that what it changes in the shell is lost.
    pub(super) apart: bool,
}

impl Command {
    /// Its name without what quotes it.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = self.words.first().map_or(&b""[..], Vec::as_slice);
        let kept = name.iter().filter(|byte| !b"\\'\"".contains(byte));
        kept.copied().collect()
    }

    /// The words behind its name.
    pub(super) fn rest(&self) -> &[Vec<u8>] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// What is where in a script, by bytes.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pub(super) ifs: Vec<If>,
    pub(super) functions: Vec<Function>,
    pub(super) documents: Vec<Document>,
    pub(super) assignments: Vec<Assignment>,
    /// Words that may be patterns for names of files.
    pub(super) patterns: Vec<Range<usize>>,
    /// All commands, those within substitutions too.
    pub(super) commands: Vec<Command>,
    /// Where commands are started that nobody waits for.
    pub(super) background: Vec<usize>,
    /// `$((…))`, in which names stand for themselves.
    pub(super) arithmetic: Vec<Range<usize>>,
    /// Where something stands whose parts are not known: `((…))`, parts of values, or backticks around what is no
    /// command.
    pub(super) unread: Vec<usize>,
    /// Where descriptors are used that are not those of all scripts.
    pub(super) descriptors: Vec<usize>,
    /// Where the names of files begin that are sourced.
    pub(super) sources: Vec<usize>,
    /// Whether a file is sourced whose name is not seen, or may begin with that of a home directory.
    pub(super) sources_unseen: bool,
}

/// The script is not understood from this byte on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not understood from byte {0} on")]
pub(super) struct Strange(pub(super) usize);

impl Outline {
    /// The outline of a script.
    pub(super) fn of(text: &[u8]) -> Result<Self, Strange> {
        Self::within(text, 0)
    }

    /// That of a script which is so deep in another.
    fn within(text: &[u8], deep: usize) -> Result<Self, Strange> {
        let mut reader = Reader {
            text,
            at: 0,
            deep,
            apart: 0,
            wanted: Vec::new(),
            conditions: vec![0],
            outline: Self::default(),
        };
        reader.commands(false)?;
        // What is within a word was found before the command that the word is part of.
        reader.outline.commands.sort_by_key(|command| command.at);
        Ok(reader.outline)
    }
}

/// Whether the bytes are a variable's or function's name.
pub(super) fn is_name(bytes: &[u8]) -> bool {
    bytes
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

#[cfg(test)]
mod tests;
