//! The saved environment of a build: variables and functions as bash prints them.
//!
//! `declare -p` and `declare -fp` write an environment as shell text, and sourcing that text
//! brings it back. Between the two it must be filtered, and that takes a tokenizer: functions
//! hold here-documents full of lines that look like assignments, and values hold lines that look
//! like functions. Text is kept as bytes and printed back verbatim wherever nothing was changed.

mod difference;
mod file;
mod filter;
mod parse;
mod print;
mod special;
mod value;

use std::collections::HashMap;
use std::ops::Range;

pub use difference::{Change, Difference};
pub use file::EnvironmentFileError;
pub use filter::Filter;
pub use special::{BASH_VARIABLES, BUILD_HOST_VARIABLES, STATE_VARIABLES};
pub use value::{Element, Value};

/// Text that is no environment, or one that would run commands when loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("environment, line {line}: {what}")]
pub struct EnvironmentError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

/// Attributes of a variable or function, as the letters of bash's `declare`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes(u16);

impl Attributes {
    /// The letters, in the order in which bash prints them.
    const LETTERS: [u8; 10] = *b"aAinrtxclu";

    /// The attributes among `letters`.
    pub(crate) const fn of(letters: &[u8]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < letters.len() {
            let mut bit = 0;
            while bit < Self::LETTERS.len() {
                if Self::LETTERS[bit] == letters[at] {
                    bits |= 1 << bit;
                }
                bit += 1;
            }
            at += 1;
        }
        Self(bits)
    }

    /// True when the attribute of this letter is set.
    pub fn has(self, letter: u8) -> bool {
        self.intersects(Self::of(&[letter]))
    }

    /// True for `-x`.
    pub fn is_exported(self) -> bool {
        self.has(b'x')
    }

    /// True for `-r`.
    pub fn is_readonly(self) -> bool {
        self.has(b'r')
    }

    fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn letters(self) -> String {
        Self::LETTERS
            .iter()
            .enumerate()
            .filter(|(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, letter)| char::from(*letter))
            .collect()
    }
}

#[derive(Debug, Clone)]
struct StoredVariable {
    name: String,
    attributes: Attributes,
    /// Printed as `declare NAME` rather than `declare -- NAME`, as Portage's filter leaves it.
    bare: bool,
    value: Option<Range<usize>>,
}

#[derive(Debug, Clone)]
struct StoredFunction {
    name: Range<usize>,
    attributes: Attributes,
    /// From behind the parentheses to the end of the closing redirections.
    body: Range<usize>,
}

/// One variable of an [`Environment`].
#[derive(Debug, Clone, Copy)]
pub struct Variable<'a> {
    environment: &'a Environment,
    stored: &'a StoredVariable,
}

impl<'a> Variable<'a> {
    /// The name, a bash identifier.
    pub fn name(&self) -> &'a str {
        &self.stored.name
    }

    /// The attributes it was declared with.
    pub fn attributes(&self) -> Attributes {
        self.stored.attributes
    }

    /// The value; none for a variable that is declared but unset.
    pub fn value(&self) -> Option<Value<'a>> {
        let span = self.stored.value.clone()?;
        Some(Value::new(self.environment.text(span)))
    }
}

/// One function of an [`Environment`].
#[derive(Debug, Clone, Copy)]
pub struct Function<'a> {
    environment: &'a Environment,
    stored: &'a StoredFunction,
}

impl<'a> Function<'a> {
    /// The name; bash allows almost any word.
    pub fn name(&self) -> &'a [u8] {
        self.environment.text(self.stored.name.clone())
    }

    /// The attributes it was declared with, of which `r`, `t` and `x` occur.
    pub fn attributes(&self) -> Attributes {
        self.stored.attributes
    }

    /// The text from behind the parentheses to the end of the closing redirections and the
    /// here-documents they begin.
    pub fn body(&self) -> &'a [u8] {
        self.environment.text(self.stored.body.clone())
    }
}

/// A parsed environment. Variables and functions keep the order of the text.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    text: Vec<u8>,
    variables: Vec<StoredVariable>,
    functions: Vec<StoredFunction>,
    variable_index: HashMap<String, usize>,
    function_index: HashMap<Vec<u8>, usize>,
}

impl Environment {
    /// Parses what `declare -p` and `declare -fp` print, in any order and mixture, with comments
    /// and blank lines between. Also reads plain `NAME=value`, `export` and `readonly`, which
    /// older Portage versions wrote. A name that comes twice keeps its last value.
    ///
    /// # Errors
    /// [`EnvironmentError`] at the first text that is neither, and for a value that would expand
    /// something or run a command when loaded.
    pub fn parse(text: &[u8]) -> Result<Self, EnvironmentError> {
        parse::parse(text)
    }

    /// The variables, in the order of the text.
    pub fn variables(&self) -> impl Iterator<Item = Variable<'_>> {
        self.variables.iter().map(|stored| Variable {
            environment: self,
            stored,
        })
    }

    /// The functions, in the order of the text.
    pub fn functions(&self) -> impl Iterator<Item = Function<'_>> {
        self.functions.iter().map(|stored| Function {
            environment: self,
            stored,
        })
    }

    /// The variable of this name.
    pub fn variable(&self, name: &str) -> Option<Variable<'_>> {
        let stored = self.variables.get(*self.variable_index.get(name)?)?;
        Some(Variable {
            environment: self,
            stored,
        })
    }

    /// The function of this name.
    pub fn function(&self, name: &[u8]) -> Option<Function<'_>> {
        let stored = self.functions.get(*self.function_index.get(name)?)?;
        Some(Function {
            environment: self,
            stored,
        })
    }

    /// The decoded value of a scalar variable; none when it is unset, unknown or an array.
    pub fn scalar(&self, name: &str) -> Option<Vec<u8>> {
        self.variable(name)?.value()?.scalar()
    }

    /// Drops the variables, functions and attributes that `filter` names.
    pub fn filter(&mut self, filter: &Filter) {
        let text = std::mem::take(&mut self.text);
        self.variables.retain_mut(|variable| {
            if filter.drops_readonly() {
                let kept = variable.attributes.without(Attributes::of(b"r"));
                variable.bare |= kept != variable.attributes;
                variable.attributes = kept;
            }
            !filter.drops_variable(&variable.name)
        });
        self.functions.retain_mut(|function| {
            if filter.drops_readonly() {
                function.attributes = function.attributes.without(Attributes::of(b"r"));
            }
            !filter.drops_function(text.get(function.name.clone()).unwrap_or_default())
        });
        self.text = text;
        self.reindex();
    }

    /// Makes what `changes` names what it was in `old`, whatever it is now.
    pub fn take_back(&mut self, changes: &Difference, old: &Self) {
        let names: Vec<&str> = changes.variables.iter().map(|(name, _)| &**name).collect();
        let functions: Vec<&[u8]> = changes.functions.iter().map(|(name, _)| &**name).collect();
        let mut filter = Filter::new();
        filter.drop_variables(&names).drop_functions(&functions);
        self.filter(&filter);
        // The spans of what comes from there are behind this one's text.
        let shift = |span: &Range<usize>| span.start + self.text.len()..span.end + self.text.len();
        let variables = old.variables.iter().filter(|it| names.contains(&&*it.name));
        let variables = variables.map(|it| StoredVariable {
            value: it.value.as_ref().map(shift),
            ..it.clone()
        });
        let of_old = old.functions.iter();
        let of_old =
            of_old.filter(|it| functions.contains(&old.text.get(it.name.clone()).unwrap_or(b"")));
        let of_old = of_old.map(|it| StoredFunction {
            name: shift(&it.name),
            body: shift(&it.body),
            ..it.clone()
        });
        self.variables.extend(variables);
        self.functions.extend(of_old);
        self.text.extend_from_slice(&old.text);
        self.reindex();
    }

    /// Prints statements that recreate everything when bash sources them at top level with
    /// `extglob` on: variables first, as `declare -p` prints them, then functions, as
    /// `declare -fp` does.
    pub fn to_bash(&self) -> Vec<u8> {
        print::print(self, print::Scope::Here)
    }

    fn text(&self, span: Range<usize>) -> &[u8] {
        self.text.get(span).unwrap_or_default()
    }

    fn reindex(&mut self) {
        self.variable_index = self
            .variables
            .iter()
            .enumerate()
            .map(|(at, v)| (v.name.clone(), at))
            .collect();
        self.function_index = self
            .functions
            .iter()
            .enumerate()
            .map(|(at, f)| {
                (
                    self.text.get(f.name.clone()).unwrap_or_default().to_vec(),
                    at,
                )
            })
            .collect();
    }
}

#[cfg(test)]
mod tests;
