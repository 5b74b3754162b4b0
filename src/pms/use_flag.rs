//! The tokens of IUSE (PMS 7.2).

use std::fmt;

use super::eapi::Eapi;
use super::names::{NameError, NameKind};

/// A token that cannot be part of IUSE.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IuseError {
    /// The flag's name is not valid.
    #[error("IUSE `{token}`: invalid flag")]
    Name {
        /// What was read.
        token: String,
        /// What is wrong with the name.
        #[source]
        source: NameError,
    },
    /// Defaults came with a later EAPI.
    #[error("IUSE `{token}`: `+` and `-` are not part of EAPI {eapi}")]
    Eapi {
        /// What was read.
        token: String,
        /// The EAPI that lacks them.
        eapi: Eapi,
    },
}

/// A flag of IUSE with the state the ebuild suggests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IuseFlag {
    /// The flag's name.
    pub name: String,
    /// `+` as true, `-` as false.
    pub default: Option<bool>,
}

impl IuseFlag {
    /// Reads one token, such as `+ssl`.
    ///
    /// # Errors
    /// When the name is not valid, or the EAPI has no defaults.
    pub fn parse(token: &str, eapi: Eapi) -> Result<Self, IuseError> {
        let (name, default) = if let Some(name) = token.strip_prefix('+') {
            (name, Some(true))
        } else if let Some(name) = token.strip_prefix('-') {
            (name, Some(false))
        } else {
            (token, None)
        };
        NameKind::UseFlag
            .check(name)
            .map_err(|source| IuseError::Name {
                token: token.to_owned(),
                source,
            })?;
        if default.is_some() && !eapi.iuse_defaults() {
            return Err(IuseError::Eapi {
                token: token.to_owned(),
                eapi,
            });
        }
        Ok(IuseFlag {
            name: name.to_owned(),
            default,
        })
    }

    /// Reads a whole IUSE.
    ///
    /// # Errors
    /// As for [`IuseFlag::parse`], of the first token at fault.
    pub fn parse_all(iuse: &str, eapi: Eapi) -> Result<Vec<Self>, IuseError> {
        iuse.split_ascii_whitespace()
            .map(|token| IuseFlag::parse(token, eapi))
            .collect()
    }
}

impl fmt::Display for IuseFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.default {
            None => "",
            Some(true) => "+",
            Some(false) => "-",
        })?;
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_tokens() {
        let flags = IuseFlag::parse_all("+a -b\n\tc linguas_de@euro", Eapi::LATEST).unwrap();
        assert_eq!(
            flags.iter().map(|flag| flag.default).collect::<Vec<_>>(),
            [Some(true), Some(false), None, None]
        );
        assert_eq!(
            flags.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["+a", "-b", "c", "linguas_de@euro"]
        );
        for token in ["", "+", "++a", "+-a", "~a", "!a", "a?", "_a"] {
            assert!(IuseFlag::parse(token, Eapi::LATEST).is_err(), "{token}");
        }
        assert_eq!(
            IuseFlag::parse("+a", Eapi::DEFAULT)
                .unwrap_err()
                .to_string(),
            "IUSE `+a`: `+` and `-` are not part of EAPI 0"
        );
        assert!(IuseFlag::parse("a", Eapi::DEFAULT).is_ok());
    }
}
