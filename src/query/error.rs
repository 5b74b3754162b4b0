//! What can be wrong with a query.

use crate::pms::atom::AtomError;

/// A text that is no query. Each tells the text and the byte offset of the place that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// A character does not fit.
    #[error("expected {expected} at character {}{}", at(.text, *.offset), pointer(.text, *.offset))]
    Syntax {
        /// The whole text.
        text: String,
        /// Where it goes wrong.
        offset: usize,
        /// What would have fitted.
        expected: String,
    },
    /// There is no such attribute.
    #[error("there is no attribute `{name}`, at character {}{}{}", at(.text, *.offset), hint(.near), pointer(.text, *.offset))]
    Attribute {
        /// The whole text.
        text: String,
        /// Where the name begins.
        offset: usize,
        /// The name.
        name: String,
        /// Names near it.
        near: Vec<String>,
    },
    /// The attribute cannot be tested so.
    #[error("`{name}` cannot be tested with `{operator}`, at character {}: it takes {takes}{}", at(.text, *.offset), pointer(.text, *.offset))]
    Operator {
        /// The whole text.
        text: String,
        /// Where the operator stands.
        offset: usize,
        /// The attribute.
        name: String,
        /// The operator.
        operator: String,
        /// What it takes.
        takes: &'static str,
    },
    /// What an attribute is held against is not valid.
    #[error("`{value}` is no {what}, at character {}: {reason}{}", at(.text, *.offset), pointer(.text, *.offset))]
    Value {
        /// The whole text.
        text: String,
        /// Where the value begins.
        offset: usize,
        /// The value.
        value: String,
        /// What it should be.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// What looks like an atom is none.
    #[error("what begins at character {} is no atom{}", at(.text, *.offset), pointer(.text, *.offset))]
    Atom {
        /// The whole text.
        text: String,
        /// Where it begins.
        offset: usize,
        /// What is wrong with it.
        #[source]
        source: AtomError,
    },
    /// It is too long, or too deep.
    #[error("a query may have {limit}")]
    Size {
        /// What it may have.
        limit: &'static str,
    },
    /// A brace of a format has no partner.
    #[error("format: `{{` without `}}` at character {}{}; a brace itself is written twice", at(.text, *.offset), pointer(.text, *.offset))]
    Brace {
        /// The whole text.
        text: String,
        /// Where it stands.
        offset: usize,
    },
}

/// The character, counted from 1, at a byte offset.
fn at(text: &str, offset: usize) -> usize {
    text.get(..offset)
        .map_or(0, |before| before.chars().count())
        + 1
}

/// The text with a mark below the character; nothing if it is not one short line.
fn pointer(text: &str, offset: usize) -> String {
    if text.contains('\n') || text.len() > 200 {
        return String::new();
    }
    format!("\n  {text}\n  {}^", " ".repeat(at(text, offset) - 1))
}

fn hint(near: &[String]) -> String {
    match near {
        [] => "; ebd query --help lists them".to_owned(),
        _ => format!("; did you mean {}?", near.join(" or ")),
    }
}
