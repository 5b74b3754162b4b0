//! Redirections and the here-documents that some of them begin.

use super::{Heredoc, Scan, Scanner};

impl<'a> Scanner<'a> {
    pub(super) fn heredoc_body(&mut self, heredoc: &Heredoc) -> Scan<()> {
        // A line of an expanding here-document that ends in a backslash is one with the next.
        let mut joined: Option<Vec<u8>> = None;
        while self.at < self.text.len() {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            let mut line = rest.get(..length).unwrap_or_default();
            self.at = (self.at + length + 1).min(self.text.len());
            if heredoc.strip_tabs && joined.is_none() {
                let tabs = line.iter().take_while(|b| **b == b'\t').count();
                line = line.get(tabs..).unwrap_or_default();
            }
            let slashes = line.iter().rev().take_while(|b| **b == b'\\').count();
            let continues = !heredoc.literal && slashes % 2 == 1;
            let found = match &mut joined {
                // Longer than the delimiter already: no need to remember all of it.
                Some(before) if before.len() <= heredoc.delimiter.len() => {
                    before.extend_from_slice(line);
                    *before == heredoc.delimiter
                }
                Some(_) => false,
                None => line == heredoc.delimiter,
            };
            if found && !continues {
                return Ok(());
            }
            if continues {
                let before = joined.get_or_insert_with(|| line.to_vec());
                before.pop();
            } else {
                joined = None;
            }
        }
        self.broken(
            heredoc.at,
            format!(
                "the here-document has no line {}",
                String::from_utf8_lossy(&heredoc.delimiter).escape_debug()
            ),
        )
    }

    pub(super) fn redirect_both(&mut self) -> Scan<()> {
        self.at += if self.starts_with(b"&>>") { 3 } else { 2 };
        self.redirect_target().map(|_| ())
    }

    pub(super) fn redirection(&mut self) -> Scan<()> {
        let opened = self.at;
        if self.starts_with(b"<<") && !self.starts_with(b"<<<") {
            let strip_tabs = self.peek_at(2) == Some(b'-');
            self.at += if strip_tabs { 3 } else { 2 };
            let word = self.redirect_target()?;
            let (delimiter, literal) = unquote(word);
            self.heredocs.push(Heredoc {
                at: opened,
                delimiter,
                strip_tabs,
                literal,
            });
            return Ok(());
        }
        self.at += if self.starts_with(b"<<<") {
            3
        } else {
            match (self.peek(), self.peek_at(1)) {
                (_, Some(b'&' | b'>')) | (Some(b'>'), Some(b'|')) => 2,
                _ => 1,
            }
        };
        self.redirect_target().map(|_| ())
    }

    pub(super) fn redirect_target(&mut self) -> Scan<&'a [u8]> {
        self.blanks();
        let from = self.at;
        self.word(false)?;
        if self.at == from {
            return self.broken(from, "a redirection has no target");
        }
        Ok(self.span(from, self.at))
    }
}

/// A here-document's delimiter without its quoting, and whether it had any.
fn unquote(word: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(word.len());
    let mut quoted = false;
    let mut open: Option<u8> = None;
    let mut bytes = word.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, open) {
            (b'\'' | b'"', None) => {
                quoted = true;
                open = Some(byte);
            }
            (b'$', None) if matches!(bytes.peek(), Some(b'\'' | b'"')) => {}
            (b'\\', None) => {
                quoted = true;
                out.extend(bytes.next().filter(|b| *b != b'\n'));
            }
            (b'\\', Some(b'"')) => match bytes.peek() {
                Some(b'"' | b'\\' | b'$' | b'`') => out.extend(bytes.next()),
                _ => out.push(byte),
            },
            (_, Some(close)) if byte == close => open = None,
            _ => out.push(byte),
        }
    }
    (out, quoted)
}
