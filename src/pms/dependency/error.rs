//! What can be wrong with a specification.

use super::MAX_DEPTH;
use crate::pms::atom::AtomError;
use crate::pms::eapi::Eapi;
use crate::pms::names::NameError;
use crate::pms::src_uri::SrcUriError;

/// A text that is not a specification of its kind. Offsets are in bytes of the whole text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DependencyError {
    /// A token does not fit where it stands.
    #[error("`{token}` at character {}: expected {expected}", .offset + 1)]
    Token {
        /// The token.
        token: String,
        /// Where it begins.
        offset: usize,
        /// What would have fitted.
        expected: &'static str,
    },
    /// The text ends too early.
    #[error("end of the text: expected {expected}")]
    End {
        /// The length of the text.
        offset: usize,
        /// What would have fitted.
        expected: &'static str,
    },
    /// A bracket or an operator touches something else.
    #[error("`{token}` at character {}: `{part}` must stand alone, with whitespace around it", .offset + 1)]
    Whitespace {
        /// The token.
        token: String,
        /// Where it begins.
        offset: usize,
        /// The bracket or operator in it.
        part: &'static str,
    },
    /// Such groups are not part of this kind of specification.
    #[error("`{operator}` at character {}: no such groups are possible here", .offset + 1)]
    Group {
        /// The group's operator.
        operator: &'static str,
        /// Where it begins.
        offset: usize,
    },
    /// The EAPI has no such feature.
    #[error("`{token}` at character {}: {feature} are not part of EAPI {eapi}", .offset + 1)]
    Eapi {
        /// The token.
        token: String,
        /// Where it begins.
        offset: usize,
        /// The feature, in the plural.
        feature: &'static str,
        /// The EAPI that lacks it.
        eapi: Eapi,
    },
    /// Groups are nested without measure.
    #[error("`(` at character {}: groups are nested more than {MAX_DEPTH} deep", .offset + 1)]
    TooDeep {
        /// Where the group begins that is one too many.
        offset: usize,
    },
    /// A flag, licence or the like breaks the rules of its kind.
    #[error("`{token}` at character {}: invalid name", .offset + 1)]
    Name {
        /// The token.
        token: String,
        /// Where it begins.
        offset: usize,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// A package dependency specification is wrong.
    #[error("`{token}` at character {}: invalid dependency", .offset + 1)]
    Atom {
        /// The token.
        token: String,
        /// Where it begins.
        offset: usize,
        /// What is wrong with it.
        #[source]
        source: AtomError,
    },
    /// A URI is wrong.
    #[error("`{token}` at character {}: invalid source", .offset + 1)]
    SrcUri {
        /// The token.
        token: String,
        /// Where it begins.
        offset: usize,
        /// What is wrong with it.
        #[source]
        source: SrcUriError,
    },
}

impl DependencyError {
    /// The byte offset in the text at which it goes wrong.
    pub fn offset(&self) -> usize {
        match self {
            DependencyError::Token { offset, .. }
            | DependencyError::End { offset, .. }
            | DependencyError::Whitespace { offset, .. }
            | DependencyError::Group { offset, .. }
            | DependencyError::Eapi { offset, .. }
            | DependencyError::TooDeep { offset }
            | DependencyError::SrcUri { offset, .. } => *offset,
            DependencyError::Name { offset, source, .. } => offset + source.offset(),
            DependencyError::Atom { offset, source, .. } => offset + source.offset(),
        }
    }
}
