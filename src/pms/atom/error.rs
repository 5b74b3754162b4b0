//! What can be wrong with an atom.

use crate::pms::eapi::Eapi;
use crate::pms::names::NameError;
use crate::pms::version::VersionError;

/// A text that is not a package dependency specification.
///
/// Every variant keeps the whole text and the byte offset of the place that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AtomError {
    /// A character does not fit.
    #[error("atom `{atom}`: expected {expected} at character {}", .offset + 1)]
    Syntax {
        /// The whole text.
        atom: String,
        /// Where it goes wrong.
        offset: usize,
        /// What would have fitted.
        expected: String,
    },
    /// A name breaks the rules of its kind.
    #[error("atom `{atom}`: invalid name at character {}", .offset + 1)]
    Name {
        /// The whole text.
        atom: String,
        /// Where it goes wrong.
        offset: usize,
        /// What is wrong with the name.
        #[source]
        source: NameError,
    },
    /// Behind the package name there is something like a version that is none.
    #[error("atom `{atom}`: invalid version at character {}", .offset + 1)]
    Version {
        /// The whole text.
        atom: String,
        /// Where it goes wrong.
        offset: usize,
        /// What is wrong with the version.
        #[source]
        source: VersionError,
    },
    /// There is an operator but no version.
    #[error("atom `{atom}`: `{operator}` needs a version behind the package name")]
    VersionMissing {
        /// The whole text.
        atom: String,
        /// Where the version is missing.
        offset: usize,
        /// The operator.
        operator: String,
    },
    /// There is a version but no operator.
    #[error("atom `{atom}`: a version needs an operator before the category, such as `=` or `>=`")]
    OperatorMissing {
        /// The whole text.
        atom: String,
        /// Where the operator is missing.
        offset: usize,
    },
    /// The same flag is given with different defaults, or with and without one.
    #[error("atom `{atom}`: flag `{flag}` is given with different defaults")]
    Defaults {
        /// The whole text.
        atom: String,
        /// Where the flag comes again.
        offset: usize,
        /// The flag.
        flag: String,
    },
    /// The EAPI has no such feature.
    #[error("atom `{atom}`: {feature} at character {} are not part of EAPI {eapi}", .offset + 1)]
    Eapi {
        /// The whole text.
        atom: String,
        /// Where the feature is used.
        offset: usize,
        /// The feature, in the plural.
        feature: &'static str,
        /// The EAPI that lacks it.
        eapi: Eapi,
    },
    /// The feature may not be used in ebuilds, or not together with another one.
    #[error("atom `{atom}`: {feature} at character {} are not allowed {place}", .offset + 1)]
    NotAllowed {
        /// The whole text.
        atom: String,
        /// Where the feature is used.
        offset: usize,
        /// The feature, in the plural.
        feature: &'static str,
        /// Where it is not allowed.
        place: &'static str,
    },
}

impl AtomError {
    /// The byte offset in the text at which it goes wrong.
    pub fn offset(&self) -> usize {
        match self {
            AtomError::Syntax { offset, .. }
            | AtomError::Name { offset, .. }
            | AtomError::Version { offset, .. }
            | AtomError::VersionMissing { offset, .. }
            | AtomError::OperatorMissing { offset, .. }
            | AtomError::Defaults { offset, .. }
            | AtomError::Eapi { offset, .. }
            | AtomError::NotAllowed { offset, .. } => *offset,
        }
    }

    /// The text that was read.
    pub fn atom(&self) -> &str {
        match self {
            AtomError::Syntax { atom, .. }
            | AtomError::Name { atom, .. }
            | AtomError::Version { atom, .. }
            | AtomError::VersionMissing { atom, .. }
            | AtomError::OperatorMissing { atom, .. }
            | AtomError::Defaults { atom, .. }
            | AtomError::Eapi { atom, .. }
            | AtomError::NotAllowed { atom, .. } => atom,
        }
    }
}
