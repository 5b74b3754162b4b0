//! Words, with what is quoted and substituted in them, redirections and here-documents.

use super::reader::Reader;
use super::{Command, DEEP, Document, Outline, Strange};

impl Reader<'_> {
    pub(super) fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'\\') if self.ahead(1) == Some(b'\n') => self.at += 2,
                _ => return,
            }
        }
    }

    pub(super) fn blanks_and_lines(&mut self) -> Result<(), Strange> {
        loop {
            self.blanks();
            if self.peek() != Some(b'\n') {
                return Ok(());
            }
            self.at += 1;
            self.documents()?;
        }
    }

    /// Reads an operator and, for a here-document, its word.
    pub(super) fn redirection(&mut self) -> Result<(), Strange> {
        let first = self.peek();
        self.at += 1;
        if first == Some(b'<') && self.peek() == Some(b'<') {
            self.at += 1;
            if self.peek() == Some(b'<') {
                // A word that is the input, which is bash's.
                self.at += 1;
                return self.target();
            }
            let tabs = self.peek() == Some(b'-');
            self.at += usize::from(tabs);
            self.blanks();
            let from = self.at;
            self.word()?;
            let word = self.bytes(from..self.at);
            if word.is_empty() {
                return self.strange();
            }
            let quoted = word.iter().any(|byte| matches!(byte, b'\\' | b'\'' | b'"'));
            let plain = word
                .iter()
                .filter(|byte| !matches!(byte, b'\\' | b'\'' | b'"'));
            let plain = plain.copied().collect();
            self.wanted.push((plain, !quoted, tabs));
            return Ok(());
        }
        let copies = self.peek() == Some(b'&');
        if let Some(b'>' | b'&' | b'|') = self.peek() {
            self.at += 1;
        }
        let at = self.at;
        self.target()?;
        let is_usual = matches!(
            self.bytes(at..self.at).trim_ascii(),
            b"1" | b"2" | b"5" | b"6" | b"-"
        );
        if copies && !is_usual {
            self.outline.descriptors.push(at);
        }
        Ok(())
    }

    pub(super) fn target(&mut self) -> Result<(), Strange> {
        self.blanks();
        let from = self.at;
        self.word()?;
        match self.at == from {
            true => self.strange(),
            false => Ok(()),
        }
    }

    /// Reads the here-documents that were announced in the line that has just ended.
    pub(super) fn documents(&mut self) -> Result<(), Strange> {
        for (word, expands, tabs) in std::mem::take(&mut self.wanted) {
            let from = self.at;
            loop {
                let begin = self.at;
                let rest = self.text.get(begin..).unwrap_or_default();
                if rest.is_empty() {
                    return self.strange();
                }
                let length = rest.iter().position(|byte| *byte == b'\n');
                let line = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
                self.at = begin + line.len() + usize::from(length.is_some());
                let mut plain = line;
                while let (true, Some(less)) = (tabs, plain.strip_prefix(b"\t")) {
                    plain = less;
                }
                if plain == word {
                    self.outline.documents.push(Document {
                        text: from..begin,
                        expands,
                    });
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads a word, which may be empty.
    pub(super) fn word(&mut self) -> Result<(), Strange> {
        loop {
            match self.peek() {
                None
                | Some(b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>') => {
                    return Ok(());
                }
                Some(b'\'') => {
                    self.at += 1;
                    self.past(b'\'')?;
                }
                Some(b'"') => self.quoted()?,
                Some(_) => self.piece()?,
            }
        }
    }

    /// Reads on behind the next such byte.
    pub(super) fn past(&mut self, end: u8) -> Result<(), Strange> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        match rest.iter().position(|byte| *byte == end) {
            Some(by) => {
                self.at += by + 1;
                Ok(())
            }
            None => self.strange(),
        }
    }

    /// Reads one byte of a word, or what it begins.
    pub(super) fn piece(&mut self) -> Result<(), Strange> {
        match self.peek() {
            Some(b'\\') => {
                self.at += 2;
                match self.at > self.text.len() {
                    true => self.strange(),
                    false => Ok(()),
                }
            }
            Some(b'`') => self.backticks(false),
            Some(b'$') if self.ahead(1) == Some(b'(') => {
                if self.ahead(2) == Some(b'(') {
                    return self.arithmetic();
                }
                self.at += 2;
                self.conditions.push(self.at);
                self.apart += 1;
                self.commands(true)?;
                self.apart -= 1;
                self.conditions.pop();
                self.at += 1;
                Ok(())
            }
            Some(b'$') if self.ahead(1) == Some(b'{') => self.expansion(false),
            _ => {
                self.at += 1;
                Ok(())
            }
        }
    }

    /// Reads what is between backticks, and the commands in there.
    fn backticks(&mut self, in_quotes: bool) -> Result<(), Strange> {
        let from = self.at;
        let mut inner = Vec::new();
        loop {
            self.at += 1;
            match self.peek() {
                None => return self.strange(),
                Some(b'\\') => {
                    self.at += 1;
                    let Some(next) = self.peek() else {
                        return self.strange();
                    };
                    let is_freed =
                        matches!(next, b'`' | b'\\' | b'$') || (in_quotes && next == b'"');
                    if !is_freed {
                        inner.push(b'\\');
                    }
                    inner.push(next);
                }
                Some(b'`') => break,
                Some(byte) => inner.push(byte),
            }
        }
        self.at += 1;
        match Outline::within(&inner, self.deep + 1) {
            Ok(found) if found.unread.is_empty() && found.documents.is_empty() => {
                let commands = found.commands.into_iter().map(|command| Command {
                    at: from,
                    apart: true,
                    ..command
                });
                self.outline.commands.extend(commands);
                if !found.background.is_empty() {
                    self.outline.background.push(from);
                }
                if !found.descriptors.is_empty() {
                    self.outline.descriptors.push(from);
                }
                if !found.arithmetic.is_empty() {
                    self.outline.arithmetic.push(from..self.at);
                }
            }
            Ok(_) | Err(_) => self.outline.unread.push(from),
        }
        Ok(())
    }

    pub(super) fn arithmetic(&mut self) -> Result<(), Strange> {
        let from = self.at;
        self.at += 3;
        let mut open = 2_usize;
        while open > 0 {
            match self.peek() {
                None => return self.strange(),
                Some(b'(') => open += 1,
                Some(b')') => open -= 1,
                Some(_) => {}
            }
            self.at += 1;
        }
        self.outline.arithmetic.push(from..self.at);
        Ok(())
    }

    pub(super) fn quoted(&mut self) -> Result<(), Strange> {
        self.at += 1;
        loop {
            match self.peek() {
                None => return self.strange(),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'$') if self.ahead(1) == Some(b'{') => self.expansion(true)?,
                Some(b'`') => self.backticks(true)?,
                Some(_) => self.piece()?,
            }
        }
    }

    /// `${…}`. Within double quotes, single quotes are like any other byte.
    pub(super) fn expansion(&mut self, in_quotes: bool) -> Result<(), Strange> {
        let from = self.at;
        self.at += 2;
        self.deep += 1;
        if self.deep > DEEP {
            return self.strange();
        }
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let rest = self.text.get(self.at..).unwrap_or_default();
        let name = rest.iter().take_while(|byte| is_part(byte)).count();
        let colon = rest.get(name) == Some(&b':');
        if colon && !matches!(rest.get(name + 1), Some(b'-' | b'=' | b'?' | b'+')) {
            self.outline.unread.push(from);
        }
        loop {
            match self.peek() {
                None => return self.strange(),
                Some(b'}') => {
                    self.at += 1;
                    self.deep -= 1;
                    return Ok(());
                }
                Some(b'\'') if !in_quotes => {
                    self.at += 1;
                    self.past(b'\'')?;
                }
                Some(b'"') => self.quoted()?,
                Some(b'$') if self.ahead(1) == Some(b'{') => self.expansion(in_quotes)?,
                Some(_) => self.piece()?,
            }
        }
    }
}

/// Whether a word may be a pattern: one that has a star, a question mark or a bracket outside of quotes and
/// expansions, or a command whose output may be one.
pub(super) fn may_be_pattern(word: &[u8]) -> bool {
    let mut at = 0;
    let mut quote = None;
    while let Some(byte) = word.get(at) {
        match (quote, byte) {
            (None, b'*' | b'[' | b'?') => return true,
            (_, b'`') => {
                let end = word
                    .get(at + 1..)
                    .and_then(|rest| rest.iter().position(|byte| *byte == b'`'));
                let inner = end
                    .and_then(|end| word.get(at + 1..at + 1 + end))
                    .unwrap_or_default();
                if inner.iter().any(|byte| matches!(byte, b'*' | b'[' | b'?')) {
                    return true;
                }
                at += inner.len() + 1;
            }
            (None, b'\'') => quote = Some(b'\''),
            (None, b'"') => quote = Some(b'"'),
            (Some(open), byte) if *byte == open => quote = None,
            (None | Some(b'"'), b'\\') => at += 1,
            // `$?`, `$*`, `${x%?}` and `$((2 * 3))` are none. What is in `$(…)` was looked at as commands.
            (None | Some(b'"'), b'$') => {
                at += 1;
                let close = match word.get(at) {
                    Some(b'{') => Some(b'}'),
                    Some(b'(') => Some(b')'),
                    _ => None,
                };
                if let Some(close) = close {
                    let rest = word.get(at..).unwrap_or_default();
                    at += rest
                        .iter()
                        .position(|byte| *byte == close)
                        .unwrap_or(rest.len());
                }
            }
            _ => {}
        }
        at += 1;
    }
    false
}
