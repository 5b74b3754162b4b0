//! Which packages the accepted keywords let through (PMS 7.3.3, package.accept_keywords).

use super::error::ConfigError;
use super::files::Directories;
use super::profile::ProfileNode;
use super::shell_vars::Origin;
use super::table::{Reading, Table};
use super::trail::{Effect, Subject, Trail};
use super::user_files::UserFiles;
use crate::pms::atom::PackageFacts;
use crate::pms::keyword::{AcceptKeywords, Keyword, Keywords};
use crate::pms::names::NameError;

/// The keyword files of profiles and user.
#[derive(Debug, Clone, Default)]
pub(super) struct KeywordFiles {
    /// package.keywords of profiles: changes to KEYWORDS themselves.
    changed: Vec<Table>,
    /// package.accept_keywords of profiles.
    profiles: Vec<Table>,
    /// package.keywords and package.accept_keywords of the user.
    user: Vec<Table>,
    /// What a user's line without keywords accepts.
    user_default: Vec<String>,
}

/// The answer for one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The keywords of the package, one of which would have to be accepted; empty if it is
    /// visible. `**` stands alone if it has none.
    pub(super) missing: Vec<String>,
    /// Whether it is there by a stable keyword (PMS 5.2.11).
    pub(super) stable: bool,
}

impl KeywordFiles {
    /// Reads them. `profile_keywords` is the profile's ACCEPT_KEYWORDS.
    pub(super) fn read(
        profiles: &[ProfileNode],
        user: &UserFiles,
        profile_keywords: &str,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut result = KeywordFiles::default();
        for node in profiles {
            let reading = Reading::profile(node);
            let path = node.path.join("package.keywords");
            let mut changed = Table::read(&path, reading, warnings)?;
            for entry in changed.entries_mut() {
                entry.words.retain(|word| {
                    let good = word.text == "-*" || Keyword::parse(word).is_ok();
                    if !good {
                        let (text, origin) = (&word.text, &word.origin);
                        warnings.push(format!("{origin}: `{text}` is no keyword and is left out"));
                    }
                    good
                });
            }
            result.changed.push(changed);
            let path = node.path.join("package.accept_keywords");
            result.profiles.push(Table::read(&path, reading, warnings)?);
        }
        let reading = Reading::user(user, Directories::Recursive);
        // The same package in both files is one entry, the newer file's words last.
        let names = ["package.keywords", "package.accept_keywords"];
        let table = Table::read_user(user, &names, reading, warnings)?;
        result.user.push(table);
        result.user_default = testing(profile_keywords.split_whitespace());
        Ok(result)
    }

    /// Judges a package. `accepted` is ACCEPT_KEYWORDS, `environment` that of the caller's
    /// environment alone, whose negative words count again behind the files.
    ///
    /// # Errors
    /// Of the first word of KEYWORDS that is no keyword.
    pub(super) fn judge(
        &self,
        package: &impl PackageFacts,
        keywords: &str,
        accepted: &str,
        environment: &str,
        trail: &mut Trail<'_>,
    ) -> Result<Verdict, NameError> {
        let own = self.effective(package, keywords, trail);
        let parsed = Keywords::parse(&own.join(" "))?;
        let groups = self.accepted(package, accepted, environment, trail);
        if parsed.are_accepted(&groups) {
            let stable = parsed.are_stable_in_use(&groups);
            return Ok(Verdict {
                missing: Vec::new(),
                stable,
            });
        }
        let missing = if own.is_empty() {
            vec!["**".to_owned()]
        } else {
            own
        };
        Ok(Verdict {
            missing,
            stable: false,
        })
    }

    /// KEYWORDS after what profiles change.
    fn effective(
        &self,
        package: &impl PackageFacts,
        keywords: &str,
        trail: &mut Trail<'_>,
    ) -> Vec<String> {
        let mut own: Vec<String> = Vec::new();
        let mut add = |word: &str| {
            if word == "-*" {
                own.clear();
            } else if let Some(gone) = word.strip_prefix('-') {
                own.retain(|known| known != gone);
            } else if !own.iter().any(|known| known == word) {
                own.push(word.to_owned());
            }
        };
        for keyword in keywords
            .split_whitespace()
            .filter(|keyword| *keyword != "-*")
        {
            add(keyword);
        }
        for table in &self.changed {
            for entry in table.matching(package) {
                for word in &entry.words {
                    add(word);
                    let (name, effect) = match word.strip_prefix('-') {
                        Some(gone) => (gone, Effect::Off),
                        None => (&**word, Effect::On),
                    };
                    trail.note(|| Subject::Keywords, name, word, &word.origin, effect);
                }
            }
        }
        own
    }

    fn accepted(
        &self,
        package: &impl PackageFacts,
        accepted: &str,
        environment: &str,
        trail: &mut Trail<'_>,
    ) -> AcceptKeywords {
        let mut extra: Vec<String> = Vec::new();
        for (tables, default) in [
            (&self.profiles, testing(accepted.split_whitespace())),
            (&self.user, self.user_default.clone()),
        ] {
            for entry in tables.iter().flat_map(|table| table.matching(package)) {
                let mut add = |text: &str, origin: &Origin| {
                    let (name, effect) = match text.strip_prefix('-') {
                        Some(gone) => (gone, Effect::Off),
                        None => (text, Effect::On),
                    };
                    trail.note(|| Subject::AcceptKeywords, name, text, origin, effect);
                    extra.push(text.to_owned());
                };
                if entry.words.is_empty() {
                    default.iter().for_each(|word| add(word, &entry.origin));
                }
                entry.words.iter().for_each(|word| add(word, &word.origin));
            }
        }
        let words = accepted
            .split_whitespace()
            .chain(extra.iter().map(String::as_str));
        AcceptKeywords::from_words(words.chain(environment.split_whitespace()))
    }
}

fn testing<'a>(keywords: impl Iterator<Item = &'a str>) -> Vec<String> {
    keywords
        .filter(|keyword| !keyword.starts_with(['~', '-']))
        .map(|keyword| format!("~{keyword}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Ebuild, Root};

    fn visible(root: &Root, keywords: &'static str) -> bool {
        Ebuild::new("a/b-1")
            .keywords(keywords)
            .masks(&root.load())
            .is_empty()
    }

    fn conf(value: &str) -> Root {
        Root::new().file(
            "etc/portage/make.conf",
            &format!("ACCEPT_KEYWORDS=\"{value}\"\n"),
        )
    }

    #[test]
    fn accepted_keywords_stack_on_the_profile() {
        let root = Root::new();
        assert!(visible(&root, "amd64 ~x86"));
        assert!(!visible(&root, "~amd64") && !visible(&root, "x86") && !visible(&root, ""));
        assert!(visible(&conf("~amd64"), "~amd64") && visible(&conf("~amd64"), "amd64"));
        assert!(!visible(&conf("-amd64 ~amd64"), "amd64"));
        assert!(
            visible(&conf("**"), "") && visible(&conf("*"), "x86") && !visible(&conf("*"), "~x86")
        );
        assert!(visible(&conf("~*"), "~x86") && !visible(&conf("~*"), "x86"));
        assert!(
            visible(&Root::new(), "*")
                && !visible(&Root::new(), "~*")
                && visible(&conf("~amd64"), "~*")
        );
        assert!(!visible(&Root::new(), "-amd64 x86") && visible(&Root::new(), "-* amd64"));
    }

    #[test]
    fn lines_for_packages() {
        let accept = |line: &str| Root::new().file("etc/portage/package.accept_keywords", line);
        assert!(visible(&accept("a/b\n"), "~amd64"));
        assert!(visible(&accept("a/b **\n"), ""));
        assert!(visible(&accept("*/* ~amd64\n"), "~amd64"));
        assert!(!visible(&accept("a/b -amd64\n"), "amd64"));
        assert!(!visible(&accept("a/b -* ~x86\n"), "amd64"));
        assert!(!visible(&accept("a/c **\n"), ""));
        assert!(visible(
            &Root::new().file("etc/portage/package.keywords", "a/b ~amd64\n"),
            "~amd64"
        ));
        assert!(visible(
            &Root::new().file("repo/profiles/default/package.accept_keywords", "a/b\n"),
            "~amd64"
        ));
    }

    #[test]
    fn the_environment_takes_away_at_last() {
        let root = Root::new().file("etc/portage/package.accept_keywords", "a/b ~amd64\n");
        assert!(!visible(&root.env("ACCEPT_KEYWORDS", "-~amd64"), "~amd64"));
    }

    #[test]
    fn profiles_can_change_keywords() {
        let root = Root::new().file(
            "repo/profiles/default/package.keywords",
            "a/b -amd64 ~amd64 **\n",
        );
        assert!(!visible(&root, "amd64"));
        let warnings = root.load().warnings().join("\n");
        assert!(
            warnings.contains("package.keywords:1: `**` is no keyword"),
            "{warnings}"
        );
    }

    #[test]
    fn the_reason_names_what_to_accept() {
        let reason = |keywords| {
            Ebuild::new("a/b-1")
                .keywords(keywords)
                .masks(&Root::new().load())
                .join("\n")
        };
        assert!(reason("~amd64 x86").contains("keyword: ~amd64 is not accepted"));
        assert!(reason("x86").contains("keyword: ** is not accepted"));
        assert!(reason("").contains("package.accept_keywords"));
    }
}
