//! The elements of SRC_URI (PMS 7.3.2).

use std::fmt;

use super::eapi::Eapi;

/// A URI or file name that cannot be part of SRC_URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SrcUriError {
    /// There is a slash but no scheme.
    #[error("`{text}`: neither a URI nor a plain file name, expected `scheme://host/path`")]
    NoScheme {
        /// What was read.
        text: String,
    },
    /// The scheme has characters no scheme may have.
    #[error("`{text}`: invalid scheme before `://`")]
    Scheme {
        /// What was read.
        text: String,
    },
    /// The file could not be stored under that name.
    #[error("`{text}`: `{name}` is no name for a file, add `-> name`")]
    Filename {
        /// What was read.
        text: String,
        /// The name it would be stored under.
        name: String,
    },
    /// What stands behind an arrow is no plain file name.
    #[error("`{name}`: expected a plain file name behind the arrow")]
    Rename {
        /// What was read.
        name: String,
    },
    /// `fetch+` and `mirror+` came with a later EAPI.
    #[error("`{text}`: `fetch+` and `mirror+` are not part of EAPI {eapi}")]
    Eapi {
        /// What was read.
        text: String,
        /// The EAPI that lacks them.
        eapi: Eapi,
    },
}

/// What a URI's prefix says about the restrictions of the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UriRestriction {
    /// `fetch+`: the URI may be fetched in spite of `RESTRICT=fetch`, but not mirrored.
    Fetch,
    /// `mirror+`: the URI may be fetched and mirrored in spite of `RESTRICT`.
    Mirror,
}

/// A source file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SrcUri {
    /// The URI without `fetch+` or `mirror+`, or a plain file name for files that must be there
    /// already.
    pub uri: String,
    /// The name behind the arrow.
    pub rename: Option<String>,
    /// The prefix.
    pub restriction: Option<UriRestriction>,
}

impl SrcUri {
    /// Reads a URI or a plain file name, without an arrow.
    ///
    /// # Errors
    /// When it is neither, or uses a prefix the EAPI lacks. Whether the URI ends in a usable file
    /// name is told by [`SrcUri::check_filename`].
    pub fn parse(text: &str, eapi: Eapi) -> Result<Self, SrcUriError> {
        let Some((scheme, _)) = text.split_once("://") else {
            if text.contains('/') {
                return Err(SrcUriError::NoScheme {
                    text: text.to_owned(),
                });
            }
            return Ok(SrcUri {
                uri: text.to_owned(),
                rename: None,
                restriction: None,
            });
        };
        let (prefix, restriction) = if scheme.starts_with("fetch+") {
            ("fetch+", Some(UriRestriction::Fetch))
        } else if scheme.starts_with("mirror+") {
            ("mirror+", Some(UriRestriction::Mirror))
        } else {
            ("", None)
        };
        if restriction.is_some() && !eapi.selective_uri_restrictions() {
            return Err(SrcUriError::Eapi {
                text: text.to_owned(),
                eapi,
            });
        }
        let scheme = scheme.strip_prefix(prefix).unwrap_or(scheme);
        let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
        if !valid {
            return Err(SrcUriError::Scheme {
                text: text.to_owned(),
            });
        }
        Ok(SrcUri {
            uri: text.strip_prefix(prefix).unwrap_or(text).to_owned(),
            rename: None,
            restriction,
        })
    }

    /// The same source under another name.
    ///
    /// # Errors
    /// When the name is not one for a file in a directory.
    pub fn renamed(self, name: &str) -> Result<Self, SrcUriError> {
        if !is_filename(name) {
            return Err(SrcUriError::Rename {
                name: name.to_owned(),
            });
        }
        Ok(SrcUri {
            rename: Some(name.to_owned()),
            ..self
        })
    }

    /// The name of the file in DISTDIR, what `A` lists.
    pub fn filename(&self) -> &str {
        match &self.rename {
            Some(name) => name,
            None => self.uri.rsplit('/').next().unwrap_or(&self.uri),
        }
    }

    /// Whether this is a plain file name, which can only come from mirrors or the user.
    pub fn is_plain(&self) -> bool {
        !self.uri.contains("://")
    }

    /// Makes sure that the file can be stored under its name.
    ///
    /// # Errors
    /// When the URI ends in a slash or in `.` or `..`, and no arrow gives a name.
    pub fn check_filename(&self) -> Result<(), SrcUriError> {
        match is_filename(self.filename()) {
            true => Ok(()),
            false => Err(SrcUriError::Filename {
                text: self.uri.clone(),
                name: self.filename().to_owned(),
            }),
        }
    }
}

fn is_filename(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

impl fmt::Display for SrcUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.restriction {
            None => "",
            Some(UriRestriction::Fetch) => "fetch+",
            Some(UriRestriction::Mirror) => "mirror+",
        })?;
        f.write_str(&self.uri)?;
        match &self.rename {
            Some(name) => write!(f, " -> {name}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;

    fn parse(text: &str) -> Result<SrcUri, SrcUriError> {
        SrcUri::parse(text, Eapi::LATEST)
    }

    #[test]
    fn takes_sources_apart() {
        let _rows = rows(&[203]);
        let uri = parse("fetch+https://x.org/a/b.tar.gz").unwrap();
        assert_eq!(uri.uri, "https://x.org/a/b.tar.gz");
        assert_eq!(uri.restriction, Some(UriRestriction::Fetch));
        assert_eq!((uri.filename(), uri.is_plain()), ("b.tar.gz", false));
        assert_eq!(uri.to_string(), "fetch+https://x.org/a/b.tar.gz");
        let uri = parse("mirror+mirror://gnu/x.c")
            .unwrap()
            .renamed("y.c")
            .unwrap();
        assert_eq!(uri.restriction, Some(UriRestriction::Mirror));
        assert_eq!(uri.filename(), "y.c");
        assert_eq!(uri.to_string(), "mirror+mirror://gnu/x.c -> y.c");
        let uri = parse("fetch+name.bin").unwrap();
        assert_eq!((uri.filename(), uri.restriction), ("fetch+name.bin", None));
        assert!(uri.is_plain());
        assert_eq!(parse("https://x/a?b=c").unwrap().filename(), "a?b=c");
    }

    #[test]
    fn rejects() {
        let _rows = rows(&[202, 203]);
        assert!(parse("a/b").is_err());
        assert!(parse("://a").is_err());
        assert!(parse("ht tp://a/b").is_err());
        assert!(parse("https://x/").unwrap().check_filename().is_err());
        assert!(parse("https://x/..").unwrap().check_filename().is_err());
        assert!(parse("a").unwrap().renamed("../b").is_err());
        assert!(parse("a").unwrap().renamed("").is_err());
        let seven = Eapi::parse("7").unwrap();
        assert_eq!(
            SrcUri::parse("fetch+https://x/a", seven)
                .unwrap_err()
                .to_string(),
            "`fetch+https://x/a`: `fetch+` and `mirror+` are not part of EAPI 7"
        );
    }
}
