//! A word of a file of the configuration, and where it stands.

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use super::shell_vars::Origin;

/// A word with its place. It reads like the text that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// The text.
    pub(super) text: String,
    /// Where it stands.
    pub(super) origin: Origin,
}

impl Word {
    /// A word of this place.
    pub(super) fn new(text: impl Into<String>, origin: &Origin) -> Self {
        Word {
            text: text.into(),
            origin: origin.clone(),
        }
    }
}

impl Deref for Word {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl AsRef<str> for Word {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl Origin {
    /// A place that has a name but no lines, such as `<environment>`.
    pub(super) fn named(place: &str) -> Self {
        Origin {
            file: Arc::from(Path::new(place)),
            line: 0,
        }
    }
}

impl fmt::Display for Origin {
    /// `FILE:LINE`, or the name of a place that has no lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file.display()),
            line => write!(f, "{}:{line}", self.file.display()),
        }
    }
}
