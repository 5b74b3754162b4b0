//! KEYWORDS and what accepts them (PMS 3.1.8, 7.3.3, 5.2.11).

use std::collections::BTreeSet;
use std::fmt;

use super::names::{NameError, NameKind};

/// How stable a package is on an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stability {
    /// `arch`
    Stable,
    /// `~arch`
    Testing,
    /// `-arch`
    Broken,
}

/// A token of KEYWORDS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keyword {
    /// What it says.
    pub stability: Stability,
    /// The architecture, or `*` for all.
    pub arch: String,
}

impl Keyword {
    /// Reads `arch`, `~arch`, `-arch` or `-*`, what KEYWORDS may hold. Beyond the specification
    /// `*` and `~*` are taken as Portage does, some repositories outside of Gentoo use them.
    ///
    /// # Errors
    /// When the architecture's name is not valid.
    pub fn parse(token: &str) -> Result<Self, NameError> {
        let (stability, arch) = match token.strip_prefix('~') {
            Some(arch) => (Stability::Testing, arch),
            None => match token.strip_prefix('-') {
                Some(arch) => (Stability::Broken, arch),
                None => (Stability::Stable, token),
            },
        };
        if arch != "*" {
            NameKind::Keyword.check(arch)?;
        }
        Ok(Keyword {
            stability,
            arch: arch.to_owned(),
        })
    }

    /// The keyword one step less stable: a stable one turned into a testing one.
    fn as_testing(&self) -> Keyword {
        let stability = match self.stability {
            Stability::Stable => Stability::Testing,
            other => other,
        };
        Keyword {
            stability,
            arch: self.arch.clone(),
        }
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.stability {
            Stability::Stable => "",
            Stability::Testing => "~",
            Stability::Broken => "-",
        })?;
        f.write_str(&self.arch)
    }
}

/// The keywords of a package version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Keywords(Vec<Keyword>);

impl Keywords {
    /// Reads a whole KEYWORDS.
    ///
    /// # Errors
    /// Of the first token that is not a keyword.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let keywords = text.split_ascii_whitespace().map(Keyword::parse);
        Ok(Keywords(keywords.collect::<Result<_, _>>()?))
    }

    /// The keywords in order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Keyword> {
        self.0.iter()
    }

    /// Whether the package may be installed where these keywords are accepted.
    pub fn are_accepted(&self, accepted: &AcceptKeywords) -> bool {
        let has = |stability| self.0.iter().any(|k| k.stability == stability);
        let matched =
            self.0
                .iter()
                .any(|keyword| match (keyword.stability, keyword.arch.as_str()) {
                    (Stability::Broken, _) => false,
                    (Stability::Stable, "*") => true,
                    (Stability::Testing, "*") => {
                        accepted.0.iter().any(|word| word.starts_with('~'))
                    }
                    _ => accepted.0.contains(&keyword.to_string()),
                });
        matched
            || has(Stability::Testing) && accepted.contains("~*")
            || has(Stability::Stable) && accepted.contains("*")
            || accepted.contains("**")
    }

    /// Whether the package is used for a stable keyword: it is accepted, and would not be if
    /// every stable keyword of it were a testing one (PMS 5.2.11). Stable masks and the like
    /// apply to such packages only.
    pub fn are_stable_in_use(&self, accepted: &AcceptKeywords) -> bool {
        let testing = Keywords(self.0.iter().map(Keyword::as_testing).collect());
        self.are_accepted(accepted) && !testing.are_accepted(accepted)
    }
}

impl fmt::Display for Keywords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, keyword) in self.0.iter().enumerate() {
            f.write_str(if index > 0 { " " } else { "" })?;
            keyword.fmt(f)?;
        }
        Ok(())
    }
}

/// The keywords a configuration accepts, ACCEPT_KEYWORDS with what is added for a package.
///
/// Beside keywords as in KEYWORDS there are `*`, every stable one, `~*`, every testing one, and
/// `**`, whatever the package says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AcceptKeywords(BTreeSet<String>);

impl AcceptKeywords {
    /// Takes words in the order in which they apply: `-word` takes one back, `-*` all.
    pub fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut accepted = AcceptKeywords::default();
        accepted.extend(words);
        accepted
    }

    /// Adds further words.
    pub fn extend<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) {
        for word in words {
            match word.strip_prefix('-') {
                Some("*") => self.0.clear(),
                Some(taken) => {
                    self.0.remove(taken);
                }
                None => {
                    self.0.insert(word.to_owned());
                }
            }
        }
    }

    /// Whether that word is accepted as such.
    pub fn contains(&self, word: &str) -> bool {
        self.0.contains(word)
    }

    /// What an entry of `package.accept_keywords` without any keyword stands for: the testing
    /// keyword for each stable one accepted.
    pub fn as_testing(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|word| !word.starts_with(['~', '-', '*']))
            .map(|word| format!("~{word}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;

    fn keywords(text: &str) -> Keywords {
        Keywords::parse(text).unwrap()
    }

    fn accept(text: &str) -> AcceptKeywords {
        AcceptKeywords::from_words(text.split(' ').filter(|word| !word.is_empty()))
    }

    #[test]
    fn reads_and_prints() {
        assert_eq!(
            keywords("-* amd64\t~arm64 -x86").to_string(),
            "-* amd64 ~arm64 -x86"
        );
        for text in ["~", "-", "**", "~**", "~-x", "+x", "--x"] {
            assert!(Keywords::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn accepts() {
        for (package, accepted, yes) in [
            ("amd64 ~x86", "amd64", true),
            ("amd64 ~x86", "x86", false),
            ("amd64 ~x86", "x86 ~x86", true),
            ("~x86", "amd64 ~amd64", false),
            ("~x86", "~*", true),
            ("amd64", "~*", false),
            ("amd64", "*", true),
            ("~amd64", "*", false),
            ("*", "amd64", true),
            ("~*", "amd64", false),
            ("~*", "amd64 ~amd64", true),
            ("", "amd64 ~amd64", false),
            ("", "**", true),
            ("-*", "**", true),
            ("-amd64", "amd64", false),
            ("-* amd64", "amd64", true),
            ("amd64", "amd64 -amd64", false),
            ("amd64", "amd64 -* x86", false),
        ] {
            assert_eq!(
                keywords(package).are_accepted(&accept(accepted)),
                yes,
                "{package} by {accepted}"
            );
        }
    }

    #[test]
    fn stable_in_use() {
        let _rows = rows(&[212]);
        for (package, accepted, yes) in [
            ("amd64", "amd64", true),
            ("amd64", "amd64 ~amd64", false),
            ("~amd64", "amd64 ~amd64", false),
            ("~amd64", "amd64", false),
            ("amd64 ~x86", "amd64 ~x86", false),
            ("amd64", "*", true),
            ("amd64", "**", false),
            ("-* amd64", "amd64", true),
            ("", "**", false),
        ] {
            assert_eq!(
                keywords(package).are_stable_in_use(&accept(accepted)),
                yes,
                "{package} by {accepted}"
            );
        }
    }

    #[test]
    fn testing_for_entries_without_keywords() {
        assert_eq!(accept("x86 amd64 ~arm **").as_testing(), ["~amd64", "~x86"]);
    }
}
