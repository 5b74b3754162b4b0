//! Boolean expressions over the attributes of packages.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::str::FromStr;

use regex::Regex;

use super::attribute::{Attribute, Kind};
use super::grammar::{self, Raw};
use super::{QueryError, Subject};
use crate::pms::atom::Atom;
use crate::pms::version::Version;
use crate::repo::{RepoError, RepoSet};

/// What a package must be like.
///
/// The language has attributes (`category:dev-util`, `iuse:test`, `version>=2`, `description~'text.*editor'`), atoms
/// (`>=dev-lang/python-3.12`), and names (`python`), put together with `&`, `|`, `!` and parentheses, or the words and,
/// or, not. What stands side by side must all hold; `&` binds closer than `|`. `*` in a value stands for anything.
#[derive(Debug, Clone)]
pub enum Restriction {
    /// All must hold.
    All(Vec<Restriction>),
    /// One must hold.
    Any(Vec<Restriction>),
    /// It must not hold.
    Not(Box<Restriction>),
    /// The atom matches.
    Atom(Box<Atom>),
    /// The attribute, or one of its words, is like this.
    Attribute(&'static Attribute, Test),
}

/// A test of a value.
#[derive(Debug, Clone)]
pub enum Test {
    /// It is this text, in which an asterisk stands for anything.
    Like(String),
    /// A part of it matches.
    Regex(Box<Regex>),
    /// It is a version that compares so; the second says whether the other one may be equal.
    Compared(Comparison, Version),
}

/// How versions must compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Lower.
    Less,
    /// Lower or equal.
    LessOrEqual,
    /// Equal.
    Equal,
    /// Higher or equal.
    GreaterOrEqual,
    /// Higher.
    Greater,
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Equal => ordering.is_eq(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
            Comparison::Greater => ordering.is_gt(),
        }
    }
}

impl Test {
    fn holds(&self, value: &str) -> bool {
        match self {
            Test::Like(pattern) => is_like(pattern, value),
            Test::Regex(regex) => regex.is_match(value),
            Test::Compared(comparison, version) => {
                let found = number(value).parse::<Version>();
                found.is_ok_and(|found| comparison.holds(found.cmp(version)))
            }
        }
    }
}

/// A revision without its r; anything else as it is, and no version begins so.
fn number(text: &str) -> &str {
    let digits = text.strip_prefix('r').filter(|rest| is_number(rest));
    digits.unwrap_or(text)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text fits a pattern in which `*` stands for any characters.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        match text.split_once(part) {
            Some((_, behind)) => text = behind,
            None => return false,
        }
    }
    text.ends_with(end)
}

impl Restriction {
    /// Whether a package is so.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        match self {
            Restriction::All(parts) => parts.iter().all(|part| part.matches(subject)),
            Restriction::Any(parts) => parts.iter().any(|part| part.matches(subject)),
            Restriction::Not(part) => !part.matches(subject),
            Restriction::Atom(atom) => atom.matches(subject),
            Restriction::Attribute(attribute, test) => {
                attribute.each(subject, &mut |value| test.holds(value))
            }
        }
    }

    /// The same restriction, with the name of each repository that it names by an alias.
    ///
    /// # Errors
    /// An atom, or a test without an asterisk, names a repository that is not there.
    pub fn resolved(self, repositories: &RepoSet) -> Result<Restriction, RepoError> {
        let all = |parts: Vec<Restriction>| -> Result<Vec<Restriction>, RepoError> {
            let parts = parts.into_iter();
            parts.map(|part| part.resolved(repositories)).collect()
        };
        Ok(match self {
            Restriction::All(parts) => Restriction::All(all(parts)?),
            Restriction::Any(parts) => Restriction::Any(all(parts)?),
            Restriction::Not(part) => Restriction::Not(Box::new(part.resolved(repositories)?)),
            Restriction::Atom(atom) => Restriction::Atom(Box::new(repositories.resolve(*atom)?)),
            Restriction::Attribute(attribute, Test::Like(text)) if attribute.name == "repo" => {
                let name = match text.contains('*') {
                    true => text,
                    false => repositories.named(&text)?.name().to_owned(),
                };
                Restriction::Attribute(attribute, Test::Like(name))
            }
            Restriction::Attribute(..) => self,
        })
    }

    /// Whether the configuration has to be known to answer.
    pub fn needs_configuration(&self) -> bool {
        match self {
            Restriction::All(parts) | Restriction::Any(parts) => {
                parts.iter().any(Restriction::needs_configuration)
            }
            Restriction::Not(part) => part.needs_configuration(),
            Restriction::Atom(atom) => !atom.use_deps().is_empty(),
            Restriction::Attribute(attribute, _) => attribute.needs_configuration(),
        }
    }

    /// The packages, as category/package, outside of which nothing matches; none if that cannot be told.
    pub fn packages(&self) -> Option<BTreeSet<&str>> {
        match self {
            Restriction::Atom(atom) if !atom.is_wildcard() => Some(BTreeSet::from([atom.cp()])),
            Restriction::All(parts) => parts
                .iter()
                .filter_map(Restriction::packages)
                .min_by_key(BTreeSet::len),
            Restriction::Any(parts) => {
                let all: Option<Vec<_>> = parts.iter().map(Restriction::packages).collect();
                Some(all?.into_iter().flatten().collect())
            }
            _ => None,
        }
    }
}

impl FromStr for Restriction {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        resolve(text, grammar::parse(text)?)
    }
}

fn resolve(text: &str, raw: Raw<'_>) -> Result<Restriction, QueryError> {
    let all = |parts: Vec<Raw<'_>>| {
        parts
            .into_iter()
            .map(|part| resolve(text, part))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(match raw {
        Raw::All(parts) => Restriction::All(all(parts)?),
        Raw::Any(parts) => Restriction::Any(all(parts)?),
        Raw::Not(part) => Restriction::Not(Box::new(resolve(text, *part)?)),
        Raw::Term { text: term, offset } => Term { text, offset }.read(term)?,
    })
}

/// A term, and where it stands.
struct Term<'a> {
    text: &'a str,
    offset: usize,
}

/// Operators, the longer ones first.
const OPERATORS: [&str; 8] = ["!=", "<=", ">=", ":", "~", "=", "<", ">"];

impl Term<'_> {
    fn read(&self, term: &str) -> Result<Restriction, QueryError> {
        let end = term
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .unwrap_or(term.len());
        let (name, rest) = term.split_at_checked(end).unwrap_or((term, ""));
        let operator = OPERATORS
            .into_iter()
            .find(|operator| rest.starts_with(operator));
        match operator {
            Some(operator) if !name.is_empty() => {
                let value = rest.get(operator.len()..).unwrap_or_default();
                self.test(name, operator, value, end)
            }
            // Atoms have a slash; what begins with a sign is meant as one.
            _ if term.contains('/') || operator.is_some() => Atom::parse_config(term)
                .map(|atom| Restriction::Atom(Box::new(atom)))
                .map_err(|source| QueryError::Atom {
                    text: self.text.to_owned(),
                    offset: self.offset,
                    source,
                }),
            _ => self.bare(term),
        }
    }

    /// A word alone: an attribute that is true or false, or a package's name.
    fn bare(&self, term: &str) -> Result<Restriction, QueryError> {
        if let Ok(attribute) = Attribute::named(term)
            && attribute.kind == Kind::Flag
        {
            return Ok(Restriction::Attribute(
                attribute,
                Test::Like("true".to_owned()),
            ));
        }
        let name = unquoted(term);
        let fits = |c: char| c.is_ascii_alphanumeric() || "+_-.*".contains(c);
        if let Some(at) = name.find(|c| !fits(c)) {
            return Err(QueryError::Syntax {
                text: self.text.to_owned(),
                offset: self.offset + at,
                expected: "the name of a package or an attribute".to_owned(),
            });
        }
        match Attribute::named("package") {
            Ok(attribute) => Ok(Restriction::Attribute(attribute, Test::Like(name))),
            Err(near) => Err(self.unknown("package", near)),
        }
    }

    fn unknown(&self, name: &str, near: Vec<String>) -> QueryError {
        QueryError::Attribute {
            text: self.text.to_owned(),
            offset: self.offset,
            name: name.to_owned(),
            near,
        }
    }

    /// `name operator value`; `end` is the length of the name.
    fn test(
        &self,
        name: &str,
        operator: &str,
        value: &str,
        end: usize,
    ) -> Result<Restriction, QueryError> {
        let attribute = Attribute::named(name).map_err(|near| self.unknown(name, near))?;
        let wrong = |takes| QueryError::Operator {
            text: self.text.to_owned(),
            offset: self.offset + end,
            name: name.to_owned(),
            operator: operator.to_owned(),
            takes,
        };
        let bad = |what, reason: String| QueryError::Value {
            text: self.text.to_owned(),
            offset: self.offset + end + operator.len(),
            value: value.to_owned(),
            what,
            reason,
        };
        let value = unquoted(value);
        let comparison = match operator {
            "<" => Some(Comparison::Less),
            "<=" => Some(Comparison::LessOrEqual),
            ">" => Some(Comparison::Greater),
            ">=" => Some(Comparison::GreaterOrEqual),
            "=" | "!=" if attribute.kind == Kind::Version && !value.contains('*') => {
                Some(Comparison::Equal)
            }
            ":" | "=" | "!=" if attribute.kind == Kind::Revision && is_number(number(&value)) => {
                Some(Comparison::Equal)
            }
            _ => None,
        };
        let test = match (attribute.kind, comparison) {
            (Kind::Revision, Some(_)) if !is_number(number(&value)) => {
                return Err(bad("revision", "write a number".to_owned()));
            }
            (Kind::Flag, _) if !matches!(operator, ":" | "=" | "!=") => {
                return Err(wrong("`:`, with true or false"));
            }
            (Kind::Flag, _) if !matches!(value.as_str(), "true" | "false") => {
                return Err(bad("truth value", "write true or false".to_owned()));
            }
            // EAPIs and slots have an order where they are numbers.
            (Kind::Words, Some(_)) => return Err(wrong("`:`, `~` and `!=`")),
            (_, Some(comparison)) => {
                let version = match attribute.kind {
                    Kind::Revision => number(&value),
                    _ => value.as_str(),
                };
                let version = version.parse::<Version>();
                Test::Compared(
                    comparison,
                    version.map_err(|error| bad("version", error.to_string()))?,
                )
            }
            (_, None) if operator == "~" => {
                let regex = regex::RegexBuilder::new(&value)
                    .case_insensitive(true)
                    .size_limit(1 << 20)
                    .build();
                Test::Regex(Box::new(regex.map_err(|error| {
                    let text = error.to_string();
                    bad(
                        "regular expression",
                        text.lines().last().unwrap_or_default().to_owned(),
                    )
                })?))
            }
            (_, None) => Test::Like(value),
        };
        let restriction = Restriction::Attribute(attribute, test);
        Ok(match operator {
            "!=" => Restriction::Not(Box::new(restriction)),
            _ => restriction,
        })
    }
}

/// A value without the quotes around its parts.
fn unquoted(text: &str) -> String {
    let mut result = String::new();
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(open) if open == c => quote = None,
            Some(_) => result.push(c),
            None if c == '"' || c == '\'' => quote = Some(c),
            None => result.push(c),
        }
    }
    result
}

#[cfg(test)]
mod tests;
