//! What names may look like (PMS 3.1).

use std::fmt;

use super::version::Version;

/// The kinds of name the specification has rules for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// A category, PMS 3.1.1.
    Category,
    /// A package name without its category, PMS 3.1.2.
    Package,
    /// A slot or sub-slot, PMS 3.1.3.
    Slot,
    /// A USE flag, PMS 3.1.4.
    UseFlag,
    /// A repository, PMS 3.1.5.
    Repository,
    /// An eclass, PMS 3.1.6.
    Eclass,
    /// A licence, PMS 3.1.7.
    License,
    /// A keyword without its prefix, PMS 3.1.8.
    Keyword,
    /// An EAPI, PMS 3.1.9.
    Eapi,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameKind::Category => "category",
            NameKind::Package => "package name",
            NameKind::Slot => "slot",
            NameKind::UseFlag => "USE flag",
            NameKind::Repository => "repository name",
            NameKind::Eclass => "eclass name",
            NameKind::License => "license name",
            NameKind::Keyword => "keyword",
            NameKind::Eapi => "EAPI",
        })
    }
}

/// A name that breaks the rules of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is no name at all.
    #[error("{kind}: may not be empty")]
    Empty {
        /// What was to be named.
        kind: NameKind,
    },
    /// The first character may not begin such a name.
    #[error("{kind} `{name}`: may not begin with `{found}`")]
    Beginning {
        /// What was to be named.
        kind: NameKind,
        /// The name that was read.
        name: String,
        /// Its first character.
        found: char,
    },
    /// A character may not be part of such a name.
    #[error("{kind} `{name}`: may not contain {found:?}, character {}", .offset + 1)]
    Character {
        /// What was to be named.
        kind: NameKind,
        /// The name that was read.
        name: String,
        /// The character at fault.
        found: char,
        /// Its byte offset in the name.
        offset: usize,
    },
    /// A package name must not end in a hyphen and something that reads as a version.
    #[error("{kind} `{name}`: may not end in `{ending}`, which reads as a version")]
    EndsInVersion {
        /// What was to be named.
        kind: NameKind,
        /// The name that was read.
        name: String,
        /// The hyphen and what stands behind it.
        ending: String,
    },
    /// The name is taken by the specification itself.
    #[error("{kind} `{name}`: is a reserved name")]
    Reserved {
        /// What was to be named.
        kind: NameKind,
        /// The name that was read.
        name: String,
    },
}

impl NameError {
    /// The byte offset in the name at which it goes wrong.
    pub fn offset(&self) -> usize {
        match self {
            NameError::Character { offset, .. } => *offset,
            NameError::EndsInVersion { name, ending, .. } => name.len() - ending.len(),
            _ => 0,
        }
    }
}

impl NameKind {
    /// Whether such a name may contain `c` anywhere.
    pub fn allows(self, c: char) -> bool {
        let extra = match self {
            NameKind::Category | NameKind::Slot | NameKind::License | NameKind::Eapi => "+_.-",
            NameKind::Package => "+_-",
            NameKind::UseFlag => "+_@-",
            NameKind::Repository | NameKind::Keyword => "_-",
            NameKind::Eclass => "_.-",
        };
        c.is_ascii_alphanumeric() || extra.contains(c)
    }

    /// Whether such a name may begin with `c`.
    pub fn allows_first(self, c: char) -> bool {
        match self {
            NameKind::UseFlag => c.is_ascii_alphanumeric(),
            NameKind::Eclass => c.is_ascii_alphabetic() || c == '_',
            _ => c.is_ascii_alphanumeric() || c == '_',
        }
    }

    /// Checks a name against the rules of its kind.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn check(self, name: &str) -> Result<(), NameError> {
        self.check_characters(name)?;
        // A repository name must also be a valid package name.
        if matches!(self, NameKind::Package | NameKind::Repository)
            && let Some(ending) = version_ending(name)
        {
            return Err(NameError::EndsInVersion {
                kind: self,
                name: name.to_owned(),
                ending: ending.to_owned(),
            });
        }
        if self == NameKind::Eclass && name == "default" {
            return Err(NameError::Reserved {
                kind: self,
                name: name.to_owned(),
            });
        }
        Ok(())
    }

    /// Checks only the characters of a name. Portage asks no more of the name of a repository, which may be that of a
    /// folder and then end like a version.
    ///
    /// # Errors
    /// A character that does not belong there.
    pub fn check_characters(self, name: &str) -> Result<(), NameError> {
        let Some(first) = name.chars().next() else {
            return Err(NameError::Empty { kind: self });
        };
        if let Some((offset, found)) = name.char_indices().find(|(_, c)| !self.allows(*c)) {
            return Err(NameError::Character {
                kind: self,
                name: name.to_owned(),
                found,
                offset,
            });
        }
        if !self.allows_first(first) {
            return Err(NameError::Beginning {
                kind: self,
                name: name.to_owned(),
                found: first,
            });
        }
        Ok(())
    }

    /// Whether `name` is a valid name of this kind.
    pub fn is_valid(self, name: &str) -> bool {
        self.check(name).is_ok()
    }
}

/// The hyphen and what follows it, when that reads as a version: `-1.0-r1` of `foo-1.0-r1`.
fn version_ending(name: &str) -> Option<&str> {
    name.match_indices('-')
        .filter_map(|(at, _)| name.get(at..))
        .find(|ending| {
            ending
                .get(1..)
                .is_some_and(|text| text.parse::<Version>().is_ok())
        })
}

/// Whether a function or variable of that name is reserved to package managers (PMS 11.3.3.17),
/// so that an ebuild may neither define nor use it. Names the specification documents, such as
/// `EBUILD_PHASE`, are reserved too and not excepted here.
pub fn is_reserved(identifier: &str) -> bool {
    let name = identifier.to_ascii_lowercase();
    let begins = ["__", "abort", "dyn", "prep"];
    let contains = ["hook", "paludis", "portage"];
    begins.iter().any(|begin| name.starts_with(begin))
        || contains.iter().any(|part| name.contains(part))
        || name.match_indices("ebuild").any(|(at, _)| {
            !name
                .get(..at)
                .unwrap_or_default()
                .ends_with(|c: char| c.is_ascii_alphabetic())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;
    use proptest::prelude::*;

    #[test]
    fn accepts_and_rejects() {
        let _rows = rows(&[192]);
        for (kind, good, bad) in [
            (
                NameKind::Category,
                &["app-misc", "a.b", "_x", "virtual", "9+"][..],
                &["", "-a", ".a", "+a", "a b", "a/b", "a@b", "é"][..],
            ),
            (
                NameKind::Package,
                &[
                    "foo",
                    "foo-bar",
                    "gtk+",
                    "foo-1a-x",
                    "foo-1bb",
                    "log4j-12-api",
                    "foo-r1",
                    "1",
                    "foo-",
                ],
                &[
                    "",
                    "+a",
                    "-a",
                    "foo-1",
                    "foo-1a",
                    "foo-1_p",
                    "foo-1.2",
                    "foo-1-r1",
                    "a.b",
                    "foo-1_p-r3",
                ],
            ),
            (
                NameKind::Slot,
                &["0", "3.14", "a+b", "_"],
                &["", "-0", ".0", "+0", "0/1", "0=", "*"],
            ),
            (
                NameKind::UseFlag,
                &["ssl", "c++", "linguas_en@euro", "7zip", "a_b-c"],
                &["", "_a", "+a", "-a", "@a", "a.b", "!a", "a?"],
            ),
            (
                NameKind::Repository,
                &["gentoo", "my_repo", "x-y", "_x"],
                &["", "-x", "x.y", "x+y", "x-1"],
            ),
            (
                NameKind::Eclass,
                &["toolchain-funcs", "_x", "a.b"],
                &["", "default", "1a", "-a", "a+b", "../a"],
            ),
            (
                NameKind::License,
                &["GPL-2+", "CC-BY-SA-4.0"],
                &["", "-a", "+a", "a/b"],
            ),
            (
                NameKind::Keyword,
                &["amd64", "x64-macos"],
                &["", "-a", "~a", "a+b"],
            ),
            (
                NameKind::Eapi,
                &["8", "5-progress", "_x"],
                &["", "-8", "+8", "8 ", "8\n"],
            ),
        ] {
            for name in good {
                assert_eq!(kind.check(name), Ok(()), "{kind} {name}");
            }
            for name in bad {
                assert!(kind.check(name).is_err(), "{kind} {name}");
            }
        }
    }

    #[test]
    fn errors_name_the_place() {
        let _rows = rows(&[192]);
        let error = NameKind::Package.check("foo-1.0").unwrap_err();
        assert_eq!(
            error.to_string(),
            "package name `foo-1.0`: may not contain '.', character 6"
        );
        let error = NameKind::Package.check("foo-1-r2").unwrap_err();
        assert_eq!(
            error.to_string(),
            "package name `foo-1-r2`: may not end in `-1-r2`, which reads as a version"
        );
        assert_eq!(error.offset(), 3);
    }

    #[test]
    fn reserved_names() {
        for name in [
            "__x",
            "ebuild_foo",
            "EBUILD_PHASE",
            "hook_a",
            "my_hooks",
            "prepfoo",
            "abort",
            "PORTAGE_X",
            "x_ebuild",
            "dyn_x",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["_x", "rebuild", "src_prepare", "foo", "myebuild"] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(name in r"[a-z0-9._-]{0,12}|\PC{0,8}") {
            for kind in [NameKind::Category, NameKind::Package, NameKind::Slot, NameKind::Eclass] {
                if let Err(error) = kind.check(&name) {
                    prop_assert!(error.offset() <= name.len());
                }
            }
        }
    }
}
