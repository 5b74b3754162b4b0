//! Words: quoting, expansions, subscripts and arrays.

use super::{End, MAX_DEPTH, Scan, Scanner, ends_word, is_identifier};

impl Scanner<'_> {
    /// Scans one word from here to its end; tells whether it is free of quoting and expansion.
    /// `assignable` says that it may be an assignment to an array's element.
    pub(in super::super) fn word(&mut self, assignable: bool) -> Scan<bool> {
        let from = self.at;
        let comments = self.comments();
        let mut plain = true;
        // The byte before was one of the unquoted ?*+@! that may begin an extended pattern.
        let mut pattern = false;
        while let Some(byte) = self.peek() {
            let was_pattern = std::mem::take(&mut pattern);
            match byte {
                b'<' | b'>' if self.peek_at(1) == Some(b'(') => {
                    self.at += 2;
                    self.command_substitution()?;
                    plain = false;
                }
                b'(' if was_pattern => {
                    self.at += 1;
                    self.pattern_group()?;
                }
                b'(' if self.at > from && is_assignment(self.span(from, self.at)) => {
                    self.at += 1;
                    self.array()?;
                    plain = false;
                }
                b'[' if assignable && is_identifier(self.span(from, self.at)) => {
                    self.at += 1;
                    self.subscript()?;
                    plain = false;
                }
                _ if ends_word(byte) => break,
                _ => {
                    pattern = matches!(byte, b'?' | b'*' | b'+' | b'@' | b'!');
                    if self.quoted_or_byte()? {
                        plain = false;
                    }
                }
            }
        }
        self.forget_comments(comments);
        Ok(plain)
    }

    /// Scans one quoted part, expansion or single byte; tells whether it was more than a byte.
    pub(super) fn quoted_or_byte(&mut self) -> Scan<bool> {
        match self.peek() {
            Some(b'\\') => self.at = (self.at + 2).min(self.text.len()),
            Some(b'\'') => self.single_quotes()?,
            Some(b'"') => self.double_quotes()?,
            Some(b'`') => self.backquotes()?,
            Some(b'$') => self.dollar(false)?,
            _ => {
                self.at += 1;
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(in super::super) fn single_quotes(&mut self) -> Scan<()> {
        let opened = self.at;
        let rest = self.text.get(opened + 1..).unwrap_or_default();
        match rest.iter().position(|b| *b == b'\'') {
            Some(length) => {
                self.at = opened + length + 2;
                Ok(())
            }
            None => self.broken(opened, "the single quote that begins here has no end"),
        }
    }

    /// Scans `'…'` with backslash escapes, the part of `$'…'` after its dollar sign.
    pub(in super::super) fn ansi_quotes(&mut self) -> Scan<()> {
        self.escaped_until(b'\'', "the $' quote that begins here has no end")
    }

    pub(super) fn backquotes(&mut self) -> Scan<()> {
        self.escaped_until(b'`', "the backquote that begins here has no end")
    }

    pub(super) fn escaped_until(&mut self, close: u8, what: &str) -> Scan<()> {
        let opened = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            if byte == close {
                return Ok(());
            }
            if byte == b'\\' {
                self.at += 1;
            }
        }
        self.at = self.text.len();
        self.broken(opened, what)
    }

    pub(super) fn double_quotes(&mut self) -> Scan<()> {
        self.enter()?;
        let opened = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None => {
                    return self.broken(opened, "the double quote that begins here has no end");
                }
                Some(b'"') => {
                    self.at += 1;
                    self.leave();
                    return Ok(());
                }
                Some(b'\\') => self.at += 2,
                Some(b'`') => self.backquotes()?,
                Some(b'$') => self.dollar(true)?,
                Some(_) => self.at += 1,
            }
        }
    }

    /// Scans what a dollar sign begins; `quoted` inside double quotes.
    pub(super) fn dollar(&mut self, quoted: bool) -> Scan<()> {
        match self.peek_at(1) {
            Some(b'(') => {
                if self.peek_at(2) == Some(b'(') && self.try_arithmetic(self.at + 3)? {
                    return Ok(());
                }
                self.at += 2;
                self.command_substitution()
            }
            Some(b'{') => {
                if matches!(self.peek_at(2), Some(b' ' | b'\t' | b'\n' | b'|')) {
                    self.at += if self.peek_at(2) == Some(b'|') { 3 } else { 2 };
                    return self.nested_list(End::Brace);
                }
                self.at += 2;
                self.until(
                    b'}',
                    None,
                    "no } ends the expansion that begins here",
                    quoted,
                )
            }
            Some(b'[') => {
                self.at += 2;
                self.until(
                    b']',
                    Some(b'['),
                    "no ] ends the arithmetic that begins here",
                    quoted,
                )
            }
            Some(b'\'') if !quoted => {
                self.at += 1;
                self.ansi_quotes()
            }
            Some(b'"') if !quoted => {
                self.at += 1;
                self.double_quotes()
            }
            // `$(` and `${` aside, the byte after decides nothing, but `$#` is no comment and
            // `$!(` no pattern.
            Some(b'#' | b'!' | b'@' | b'*' | b'?' | b'$' | b'-') => {
                self.at += 2;
                Ok(())
            }
            _ => {
                self.at += 1;
                Ok(())
            }
        }
    }

    /// Scans a command substitution from behind its opening parenthesis.
    pub(super) fn command_substitution(&mut self) -> Scan<()> {
        self.nested_list(End::Paren)
    }

    /// A list inside a word: here-documents of the commands around it wait until that list ends.
    pub(super) fn nested_list(&mut self, end: End) -> Scan<()> {
        let mut outer = std::mem::take(&mut self.heredocs);
        let scanned = self.list(end);
        outer.append(&mut self.heredocs);
        self.heredocs = outer;
        scanned.map(|_| ())
    }

    pub(super) fn subscript(&mut self) -> Scan<()> {
        self.until(
            b']',
            Some(b'['),
            "no ] ends the subscript that begins here",
            false,
        )
    }

    pub(super) fn pattern_group(&mut self) -> Scan<()> {
        self.until(
            b')',
            Some(b'('),
            "no ) ends the pattern that begins here",
            false,
        )
    }

    /// Scans up to and over the matching `close`, minding quotes and expansions.
    pub(super) fn until(
        &mut self,
        close: u8,
        open: Option<u8>,
        what: &str,
        quoted: bool,
    ) -> Scan<()> {
        self.enter()?;
        let opened = self.at;
        let mut inner = 0usize;
        loop {
            match self.peek() {
                None => return self.broken(opened, what),
                Some(byte) if byte == close => {
                    self.at += 1;
                    if inner == 0 {
                        self.leave();
                        return Ok(());
                    }
                    inner -= 1;
                }
                Some(byte) if Some(byte) == open => {
                    self.at += 1;
                    inner += 1;
                }
                Some(b'$') => self.dollar(quoted)?,
                Some(_) => {
                    self.quoted_or_byte()?;
                }
            }
        }
    }

    pub(super) fn array(&mut self) -> Scan<()> {
        self.enter()?;
        let opened = self.at;
        loop {
            match self.peek() {
                None => return self.broken(opened, "no ) ends the array that begins here"),
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'\n') => self.newline()?,
                Some(b'#') => self.comment(),
                Some(b')') => {
                    self.at += 1;
                    self.leave();
                    return Ok(());
                }
                Some(_) => {
                    let from = self.at;
                    if self.peek() == Some(b'[') {
                        self.at += 1;
                        self.subscript()?;
                    }
                    self.word(false)?;
                    if self.at == from {
                        return self.broken(from, "text the shell could not read in an array");
                    }
                }
            }
        }
    }

    /// Takes the arithmetic whose inside begins at `inside`, if it is arithmetic: if the
    /// parenthesis that ends it is doubled. Otherwise stays, for two nested lists of commands.
    pub(super) fn try_arithmetic(&mut self, inside: usize) -> Scan<bool> {
        if self.arithmetic.get(&inside) == Some(&false) {
            return Ok(false);
        }
        let before = self.at;
        let depth = self.depth;
        let comments = self.comments();
        self.at = inside;
        let found = match self.arithmetic_end() {
            Ok(found) => found,
            Err(broken) if self.depth > MAX_DEPTH => return Err(broken),
            Err(_) => false,
        };
        self.depth = depth;
        self.forget_comments(comments);
        if !found {
            self.at = before;
        }
        self.arithmetic.insert(inside, found);
        Ok(found)
    }

    pub(super) fn arithmetic_end(&mut self) -> Scan<bool> {
        self.enter()?;
        let mut inner = 0usize;
        loop {
            match self.peek() {
                None => return Ok(false),
                Some(b'(') => {
                    self.at += 1;
                    inner += 1;
                }
                Some(b')') if inner > 0 => {
                    self.at += 1;
                    inner -= 1;
                }
                Some(b')') => {
                    if self.peek_at(1) != Some(b')') {
                        return Ok(false);
                    }
                    self.at += 2;
                    return Ok(true);
                }
                Some(_) => {
                    self.quoted_or_byte()?;
                }
            }
        }
    }
}

/// True for `name=`, `name+=` and the same with a subscript, where an array may follow.
fn is_assignment(text: &[u8]) -> bool {
    let Some((b'=', left)) = text.split_last() else {
        return false;
    };
    let left = left.strip_suffix(b"+").unwrap_or(left);
    let name = match left.strip_suffix(b"]") {
        Some(inside) => {
            let length = inside.iter().position(|b| *b == b'[').unwrap_or(0);
            inside.get(..length).unwrap_or_default()
        }
        None => left,
    };
    is_identifier(name)
}
