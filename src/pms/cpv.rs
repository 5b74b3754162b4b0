//! A package version under its full name, `category/package-version` (PMS 3 and 11.1).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::names::{NameError, NameKind};
use super::version::{Version, VersionError};

/// A text that does not name a package version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CpvError {
    /// There is no slash between a category and a package.
    #[error("`{text}`: expected `category/package-version`, found no `/`")]
    NoCategory {
        /// What was read.
        text: String,
    },
    /// No hyphen is followed by a version.
    #[error("`{text}`: expected `category/package-version`, found no version")]
    NoVersion {
        /// What was read.
        text: String,
    },
    /// What stands behind the last possible hyphen is no version.
    #[error("`{text}`: the version is not one")]
    Version {
        /// What was read.
        text: String,
        /// What is wrong with the version.
        #[source]
        source: VersionError,
    },
    /// The category or the package name is not valid.
    #[error("`{text}`: invalid {}", match .source {
        NameError::Empty { kind }
        | NameError::Beginning { kind, .. }
        | NameError::Character { kind, .. }
        | NameError::EndsInVersion { kind, .. }
        | NameError::Reserved { kind, .. } => kind,
    })]
    Name {
        /// What was read.
        text: String,
        /// What is wrong with the name.
        #[source]
        source: NameError,
    },
}

/// A category, a package name and a version.
///
/// Equality, order and hash take the version as PMS 3.3 does: `a/b-1` and `a/b-1-r0` are equal.
/// What is printed is what was read: a revision of zero that the ebuild's file name spells out
/// stays in `PF` and `PVR`, as with Portage.
#[derive(Debug, Clone)]
pub struct Cpv {
    text: Box<str>,
    slash: usize,
    /// Where the hyphen before the version stands.
    hyphen: usize,
    version: Version,
}

impl Cpv {
    /// Reads `category/package-version`.
    pub fn parse(text: &str) -> Result<Self, CpvError> {
        let Some((category, pf)) = text.split_once('/') else {
            return Err(CpvError::NoCategory {
                text: text.to_owned(),
            });
        };
        let name_error = |source| CpvError::Name {
            text: text.to_owned(),
            source,
        };
        NameKind::Category.check(category).map_err(name_error)?;
        let (pn, version) = split_pf(pf).map_err(|source| match source {
            Some(source) => CpvError::Version {
                text: text.to_owned(),
                source,
            },
            None => CpvError::NoVersion {
                text: text.to_owned(),
            },
        })?;
        NameKind::Package.check(pn).map_err(name_error)?;
        Ok(Cpv {
            slash: category.len(),
            hyphen: category.len() + 1 + pn.len(),
            version,
            text: text.into(),
        })
    }

    /// Joins a category with the `package-version` of an ebuild's file name.
    pub fn from_parts(category: &str, pf: &str) -> Result<Self, CpvError> {
        Cpv::parse(&format!("{category}/{pf}"))
    }

    fn slice(&self, from: usize, to: usize) -> &str {
        self.text.get(from..to).unwrap_or_default()
    }

    fn base_end(&self) -> usize {
        self.hyphen + 1 + self.version.base().len()
    }

    /// The category, `CATEGORY`.
    pub fn category(&self) -> &str {
        self.slice(0, self.slash)
    }

    /// The package name, `PN`.
    pub fn pn(&self) -> &str {
        self.slice(self.slash + 1, self.hyphen)
    }

    /// The version with its revision.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// Category and package name, `app-misc/foo`.
    pub fn cp(&self) -> &str {
        self.slice(0, self.hyphen)
    }

    /// Name and version without revision, `P`.
    pub fn p(&self) -> &str {
        self.slice(self.slash + 1, self.base_end())
    }

    /// Name, version and revision if there is one, `PF`.
    pub fn pf(&self) -> &str {
        self.slice(self.slash + 1, self.text.len())
    }

    /// The version without revision, `PV`.
    pub fn pv(&self) -> &str {
        self.slice(self.hyphen + 1, self.base_end())
    }

    /// The revision with its `r`, `PR`: `r0` when there is none.
    pub fn pr(&self) -> &str {
        match self.version.writes_revision() {
            true => self.slice(self.base_end() + 1, self.text.len()),
            false => "r0",
        }
    }

    /// The version and the revision if there is one, `PVR`.
    pub fn pvr(&self) -> &str {
        self.slice(self.hyphen + 1, self.text.len())
    }

    /// The variables that tell ebuilds the package's name and version (PMS 11.1).
    pub fn variables(&self) -> [(&'static str, &str); 7] {
        [
            ("P", self.p()),
            ("PF", self.pf()),
            ("PN", self.pn()),
            ("CATEGORY", self.category()),
            ("PV", self.pv()),
            ("PR", self.pr()),
            ("PVR", self.pvr()),
        ]
    }

    /// `category/PF`, the text that was read.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Splits `package-version` at the hyphen before the version.
///
/// Without a version the error is the reason the likeliest candidate is none, if there is one.
pub(crate) fn split_pf(pf: &str) -> Result<(&str, Version), Option<VersionError>> {
    let mut reason = None;
    for (at, _) in pf.match_indices('-') {
        let (Some(pn), Some(text)) = (pf.get(..at), pf.get(at + 1..)) else {
            continue;
        };
        match text.parse::<Version>() {
            Ok(version) => return Ok((pn, version)),
            Err(error) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                reason.get_or_insert(error);
            }
            Err(_) => {}
        }
    }
    Err(reason)
}

impl FromStr for Cpv {
    type Err = CpvError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Cpv::parse(text)
    }
}

impl fmt::Display for Cpv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Cpv {
    fn eq(&self, other: &Self) -> bool {
        self.cp() == other.cp() && self.version == other.version
    }
}

impl Eq for Cpv {}

impl PartialOrd for Cpv {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Cpv {
    fn cmp(&self, other: &Self) -> Ordering {
        self.category()
            .cmp(other.category())
            .then_with(|| self.pn().cmp(other.pn()))
            .then_with(|| self.version.cmp(&other.version))
    }
}

impl Hash for Cpv {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.cp().hash(state);
        self.version.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_the_name_apart() {
        let cpv = Cpv::parse("dev-util/foo-bar-1.2_p3-r4").unwrap();
        assert_eq!(cpv.category(), "dev-util");
        assert_eq!(cpv.pn(), "foo-bar");
        assert_eq!(cpv.cp(), "dev-util/foo-bar");
        assert_eq!(cpv.p(), "foo-bar-1.2_p3");
        assert_eq!(cpv.pf(), "foo-bar-1.2_p3-r4");
        assert_eq!(
            (cpv.pv(), cpv.pr(), cpv.pvr()),
            ("1.2_p3", "r4", "1.2_p3-r4")
        );
        assert_eq!(cpv.to_string(), "dev-util/foo-bar-1.2_p3-r4");
    }

    #[test]
    fn keeps_a_revision_as_written() {
        let plain = Cpv::parse("a/b-1.0").unwrap();
        assert_eq!(
            (plain.pf(), plain.pr(), plain.pvr()),
            ("b-1.0", "r0", "1.0")
        );
        let zero = Cpv::parse("a/b-1.0-r0").unwrap();
        assert_eq!(
            (zero.pf(), zero.pr(), zero.pvr()),
            ("b-1.0-r0", "r0", "1.0-r0")
        );
        assert_eq!((zero.p(), zero.pv()), ("b-1.0", "1.0"));
        assert_eq!(plain, zero);
    }

    #[test]
    fn orders_by_name_then_version() {
        let mut all: Vec<_> = ["a/b-10", "a/b-9", "a/a-1", "a-b/a-0", "a/b-9-r1"]
            .iter()
            .map(|text| Cpv::parse(text).unwrap())
            .collect();
        all.sort();
        let all: Vec<_> = all.iter().map(Cpv::as_str).collect();
        assert_eq!(all, ["a/a-1", "a/b-9", "a/b-9-r1", "a/b-10", "a-b/a-0"]);
    }

    #[test]
    fn rejects() {
        for (text, message) in [
            (
                "foo-1",
                "`foo-1`: expected `category/package-version`, found no `/`",
            ),
            (
                "a/foo",
                "`a/foo`: expected `category/package-version`, found no version",
            ),
            ("a/foo-1-2", "`a/foo-1-2`: invalid package name"),
            ("a/foo-1.x", "`a/foo-1.x`: the version is not one"),
            ("-a/foo-1", "`-a/foo-1`: invalid category"),
            ("a/-1", "`a/-1`: invalid package name"),
            ("a/b/c-1", "`a/b/c-1`: invalid package name"),
        ] {
            assert_eq!(Cpv::parse(text).unwrap_err().to_string(), message);
        }
        let cpv = Cpv::parse("a/log4j-12-api-2.0").unwrap();
        assert_eq!((cpv.pn(), cpv.pv()), ("log4j-12-api", "2.0"));
    }

    proptest! {
        #[test]
        fn never_panics(text in r"[a-c0-1._/pr-]{0,16}|\PC{0,10}") {
            if let Ok(cpv) = Cpv::parse(&text) {
                prop_assert_eq!(cpv.as_str(), text);
                prop_assert_eq!(format!("{}/{}-{}", cpv.category(), cpv.pn(), cpv.pvr()), cpv.to_string());
            }
        }
    }
}
