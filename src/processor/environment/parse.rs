//! Statements of an environment's text.

use std::ops::Range;

use super::value::{decode, skip_value};
use super::{Attributes, Environment, EnvironmentError, StoredFunction, StoredVariable};
use crate::processor::scan::{Broken, RESERVED, Scanner, ends_word, is_identifier};

pub(super) fn parse(text: &[u8]) -> Result<Environment, EnvironmentError> {
    let mut parser = Parser {
        scanner: Scanner::new(text),
        environment: Environment {
            text: text.to_vec(),
            ..Environment::default()
        },
    };
    match parser.statements() {
        Ok(()) => Ok(parser.environment),
        Err(broken) => {
            let before = text.get(..broken.at.min(text.len())).unwrap_or_default();
            let line = 1 + before.iter().filter(|b| **b == b'\n').count();
            Err(EnvironmentError {
                line,
                what: broken.what,
            })
        }
    }
}

struct Parser<'a> {
    scanner: Scanner<'a>,
    environment: Environment,
}

impl Parser<'_> {
    fn statements(&mut self) -> Result<(), Broken> {
        if let Some(at) = self.scanner.text.iter().position(|b| *b == 0) {
            return self.scanner.broken(at, "a NUL byte");
        }
        loop {
            self.scanner.blanks();
            match self.scanner.peek() {
                None => return Ok(()),
                Some(b'\n' | b';') => self.scanner.at += 1,
                Some(b'#') => self.scanner.comment(),
                Some(_) => self.statement()?,
            }
        }
    }

    fn statement(&mut self) -> Result<(), Broken> {
        let from = self.scanner.at;
        if let Some(assigned) = self.assignment_here() {
            let (name, append) = assigned?;
            if append {
                return self.scanner.broken(from, "an assignment that appends");
            }
            self.value(&name, Attributes::default(), false, from)?;
            return self.statement_end();
        }
        let word = self.name_word();
        let word = self.scanner.span(word.start, word.end);
        match word {
            b"declare" | b"typeset" | b"export" | b"readonly" if self.defines_function() => {
                self.function(from..from + word.len())
            }
            b"declare" | b"typeset" => self.declare(Attributes::default(), false),
            b"export" => self.declare(Attributes::of(b"x"), true),
            b"readonly" => self.declare(Attributes::of(b"r"), true),
            b"function" => {
                self.scanner.blanks();
                let name = self.name_word();
                if name.is_empty() {
                    return self.scanner.broken(name.start, "a function without a name");
                }
                let before = self.scanner.at;
                self.scanner.blanks();
                if !self.parentheses() {
                    self.scanner.at = before;
                }
                self.function(name)
            }
            _ => {
                self.scanner.blanks();
                if word.is_empty() || RESERVED.contains(&word) || !self.parentheses() {
                    let shown = String::from_utf8_lossy(word.get(..40).unwrap_or(word));
                    return self.scanner.broken(
                        from,
                        format!(
                            "neither a declaration nor a function: {}",
                            shown.escape_debug()
                        ),
                    );
                }
                self.function(from..from + word.len())
            }
        }
    }

    /// Takes what makes the word before it the name of a function, if it stands here.
    fn defines_function(&mut self) -> bool {
        let before = self.scanner.at;
        self.scanner.blanks();
        let parentheses = self.parentheses();
        if !parentheses {
            self.scanner.at = before;
        }
        parentheses
    }

    /// Takes `NAME=` or `NAME+=` if it stands here; tells whether it appends.
    fn assignment_here(&mut self) -> Option<Result<(String, bool), Broken>> {
        let from = self.scanner.at;
        let rest = self.scanner.text.get(from..).unwrap_or_default();
        let length = rest
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
            .count();
        let name = rest.get(..length).filter(|name| is_identifier(name))?;
        let append = rest.get(length) == Some(&b'+');
        let equals = length + usize::from(append);
        if rest.get(equals) != Some(&b'=') {
            return None;
        }
        // `a=b ()` is how bash prints a function named `a=b`.
        let word = rest.iter().take_while(|b| !ends_word(**b)).count();
        let quoted = rest
            .get(..word)?
            .iter()
            .any(|b| matches!(b, b'"' | b'\'' | b'\\' | b'$'));
        if !quoted && word > equals + 1 && rest.get(word..)?.starts_with(b" () \n{") {
            return None;
        }
        self.scanner.at = from + equals + 1;
        Some(Ok((String::from_utf8_lossy(name).into_owned(), append)))
    }

    /// Takes a word without quotes or expansions, possibly an empty one.
    fn name_word(&mut self) -> Range<usize> {
        let from = self.scanner.at;
        while self
            .scanner
            .peek()
            .is_some_and(|b| !ends_word(b) && !matches!(b, b'"' | b'\'' | b'`' | b'$' | b'\\'))
        {
            self.scanner.at += 1;
        }
        from..self.scanner.at
    }

    fn parentheses(&mut self) -> bool {
        if self.scanner.peek() != Some(b'(') {
            return false;
        }
        self.scanner.at += 1;
        self.scanner.blanks();
        if self.scanner.peek() != Some(b')') {
            return false;
        }
        self.scanner.at += 1;
        true
    }

    fn function(&mut self, name: Range<usize>) -> Result<(), Broken> {
        let from = self.scanner.at;
        self.scanner.function_body()?;
        let body = from..self.scanner.at;
        let key = self.scanner.span(name.start, name.end).to_vec();
        let environment = &mut self.environment;
        let stored = StoredFunction {
            name,
            attributes: Attributes::default(),
            body,
        };
        let at = environment.functions.len();
        let at = *environment.function_index.entry(key).or_insert(at);
        match environment.functions.get_mut(at) {
            Some(known) => {
                *known = StoredFunction {
                    attributes: known.attributes,
                    ..stored
                }
            }
            None => environment.functions.push(stored),
        }
        Ok(())
    }

    /// Reads the rest of a statement that declares variables or gives attributes to functions.
    fn declare(&mut self, mut attributes: Attributes, mut bare: bool) -> Result<(), Broken> {
        let opened = self.scanner.at;
        let mut functions = false;
        let mut options = false;
        let mut only_a_hyphen = false;
        let mut names = 0;
        loop {
            self.scanner.blanks();
            let from = self.scanner.at;
            match self.scanner.peek() {
                None | Some(b'\n' | b';') => break,
                Some(b'-') if names == 0 => {
                    options = true;
                    self.scanner.at += 1;
                    let word = self.name_word();
                    only_a_hyphen |= word.is_empty();
                    for letter in self.scanner.span(word.start, word.end) {
                        match letter {
                            b'-' | b'g' => {}
                            b'f' => functions = true,
                            _ if Attributes::of(&[*letter]) != Attributes::default() => {
                                attributes = attributes.with(Attributes::of(&[*letter]));
                            }
                            _ => {
                                let what = format!("an unknown attribute -{}", char::from(*letter));
                                return self.scanner.broken(from, what);
                            }
                        }
                    }
                }
                Some(_) if functions => {
                    names += 1;
                    let word = self.name_word();
                    let name = self.scanner.span(word.start, word.end);
                    let known = self.environment.function_index.get(name).copied();
                    match known.and_then(|at| self.environment.functions.get_mut(at)) {
                        Some(known) => known.attributes = known.attributes.with(attributes),
                        None => {
                            let what = "attributes for a function that does not stand before";
                            return self.scanner.broken(from, what);
                        }
                    }
                }
                Some(_) => {
                    names += 1;
                    bare |= !options;
                    self.declared(attributes, bare, from)?;
                }
            }
        }
        // `local -` saves the options in a variable of the function, which bash prints as `-`, and
        // which can be nowhere else.
        if names == 0 && !only_a_hyphen {
            return self.scanner.broken(opened, "a declaration without a name");
        }
        Ok(())
    }

    fn declared(&mut self, attributes: Attributes, bare: bool, from: usize) -> Result<(), Broken> {
        if let Some(assigned) = self.assignment_here() {
            let (name, append) = assigned?;
            if append {
                return self.scanner.broken(from, "an assignment that appends");
            }
            return self.value(&name, attributes, bare, from);
        }
        let word = self.name_word();
        let name = self.scanner.span(word.start, word.end);
        if !is_identifier(name) || !self.scanner.peek().is_none_or(ends_word) {
            return self
                .scanner
                .broken(from, "a name that no variable can have");
        }
        let name = String::from_utf8_lossy(name).into_owned();
        self.store(
            StoredVariable {
                name,
                attributes,
                bare,
                value: None,
            },
            from,
        )
    }

    /// Reads the value behind the equals sign and stores the variable.
    fn value(
        &mut self,
        name: &str,
        attributes: Attributes,
        bare: bool,
        from: usize,
    ) -> Result<(), Broken> {
        let start = self.scanner.at;
        skip_value(&mut self.scanner, !attributes.has(b'A'))?;
        let mut value = start..self.scanner.at;
        if self
            .scanner
            .peek()
            .is_some_and(|b| !matches!(b, b' ' | b'\t' | b'\n' | b';'))
        {
            return self.scanner.broken(self.scanner.at, "text after a value");
        }
        let array = Attributes::of(b"aA");
        if attributes.intersects(array) && self.scanner.text.get(start) != Some(&b'(') {
            // Before 4.4, bash printed arrays as one quoted word.
            let inner = decode(self.scanner.span(start, value.end));
            if inner.first() == Some(&b'(') {
                let mut scanner = Scanner::new(&inner);
                skip_value(&mut scanner, !attributes.has(b'A')).map_err(|broken| Broken {
                    at: start,
                    what: broken.what,
                })?;
                if scanner.at != inner.len() {
                    return self.scanner.broken(start, "text after an array");
                }
                let length = self.environment.text.len();
                value = length..length + inner.len();
                self.environment.text.extend_from_slice(&inner);
            }
        }
        let name = name.to_owned();
        self.store(
            StoredVariable {
                name,
                attributes,
                bare,
                value: Some(value),
            },
            from,
        )
    }

    fn store(&mut self, stored: StoredVariable, from: usize) -> Result<(), Broken> {
        let environment = &mut self.environment;
        let at = environment.variables.len();
        let at = *environment
            .variable_index
            .entry(stored.name.clone())
            .or_insert(at);
        match environment.variables.get_mut(at) {
            Some(known) => {
                known.attributes = known.attributes.with(stored.attributes);
                known.bare = stored.bare;
                if stored.value.is_some() {
                    known.value = stored.value;
                }
                if known.attributes.has(b'a') && known.attributes.has(b'A') {
                    return self
                        .scanner
                        .broken(from, "an array that is indexed and associative");
                }
            }
            None => environment.variables.push(stored),
        }
        Ok(())
    }

    fn statement_end(&mut self) -> Result<(), Broken> {
        self.scanner.blanks();
        match self.scanner.peek() {
            None | Some(b'\n' | b';') => Ok(()),
            Some(_) => self
                .scanner
                .broken(self.scanner.at, "a command behind an assignment"),
        }
    }
}
