//! The USE files of repositories, profiles and the user (PMS 5.2.11 to 5.2.13).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::error::ConfigError;
use super::files::{self, Directories};
use super::profile::ProfileNode;
use super::repository_facts::RepositoryFacts;
use super::table::{Reading, Syntax, Table};
use super::trail::{Effect, Subject, Trail};
use super::user_files::UserFiles;
use super::word::Word;
use crate::pms::atom::PackageFacts;
use crate::pms::eapi::Eapi;

/// The flags and per-package flags of one directory, masks or forces.
#[derive(Debug, Clone, Default)]
struct Restriction {
    flags: Vec<Word>,
    stable: Vec<Word>,
    package: Table,
    package_stable: Table,
}

impl Restriction {
    fn read(
        directory: &Path,
        kind: &str,
        context: Context<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let stable = |eapi: Eapi| eapi.stable_masking();
        Ok(Restriction {
            flags: context.flags(&directory.join(format!("use.{kind}")), None, warnings)?,
            stable: context.flags(
                &directory.join(format!("use.stable.{kind}")),
                Some(stable),
                warnings,
            )?,
            package: context.table(
                &directory.join(format!("package.use.{kind}")),
                None,
                warnings,
            )?,
            package_stable: context.table(
                &directory.join(format!("package.use.stable.{kind}")),
                Some(stable),
                warnings,
            )?,
        })
    }

    /// Stacks what holds for a package onto `flags`, in the order of PMS algorithm 5.1.
    fn apply(
        &self,
        package: &impl PackageFacts,
        stable: bool,
        flags: &mut BTreeSet<String>,
        subject: &Subject,
        trail: &mut Trail<'_>,
    ) {
        let mut stack = |words: &[Word]| stack(flags, words, subject, trail);
        stack(&self.flags);
        if stable {
            stack(&self.stable);
        }
        for entry in self.package.matching(package) {
            stack(&entry.words);
        }
        if stable {
            for entry in self.package_stable.matching(package) {
                stack(&entry.words);
            }
        }
    }
}

fn stack(flags: &mut BTreeSet<String>, words: &[Word], subject: &Subject, trail: &mut Trail<'_>) {
    for word in words {
        let (name, effect) = match word.strip_prefix('-') {
            Some("*") => {
                flags.clear();
                ("*", Effect::Off)
            }
            Some(flag) => {
                flags.remove(flag);
                (flag, Effect::Off)
            }
            None => {
                flags.insert(word.text.clone());
                (&**word, Effect::On)
            }
        };
        trail.note(|| subject.clone(), name, word, &word.origin, effect);
    }
}

/// What the files of one directory may contain.
#[derive(Clone, Copy)]
struct Context<'a> {
    syntax: Syntax<'a>,
    directories: Directories,
}

impl Context<'_> {
    fn supports(
        self,
        path: &Path,
        filter: Option<fn(Eapi) -> bool>,
        empty: bool,
        warnings: &mut Vec<String>,
    ) -> bool {
        match (self.syntax.eapi, filter) {
            (Some(eapi), Some(filter)) if !filter(eapi) => {
                if !empty {
                    warnings.push(format!(
                        "{}: has no effect in EAPI {}",
                        path.display(),
                        eapi.name()
                    ));
                }
                false
            }
            _ => true,
        }
    }

    fn flags(
        self,
        path: &Path,
        filter: Option<fn(Eapi) -> bool>,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Word>, ConfigError> {
        let lines = files::lines(path, self.directories)?;
        if !self.supports(path, filter, lines.is_empty(), warnings) {
            return Ok(Vec::new());
        }
        let mut flags = Vec::new();
        for line in lines {
            let text = line.text();
            if is_flag(text.strip_prefix('-').unwrap_or(&text)) {
                flags.push(Word::new(text, &line.origin));
            } else if !text.is_empty() {
                let file = line.origin.file.display();
                warnings.push(format!(
                    "{file}:{}: `{text}` is no USE flag and is left out",
                    line.origin.line
                ));
            }
        }
        Ok(flags)
    }

    fn table(
        self,
        path: &Path,
        filter: Option<fn(Eapi) -> bool>,
        warnings: &mut Vec<String>,
    ) -> Result<Table, ConfigError> {
        let reading = Reading {
            syntax: self.syntax,
            directories: self.directories,
            newlines: false,
            use_deps: false,
        };
        let mut table = Table::read(path, reading, warnings)?;
        if !self.supports(path, filter, table.is_empty(), warnings) {
            return Ok(Table::default());
        }
        let prefixes = self.syntax.eapi.is_none();
        for entry in table.entries_mut() {
            let words = expand_prefixes(&entry.words, prefixes);
            entry.words = words
                .into_iter()
                .filter(|word| {
                    let good = is_flag(word.strip_prefix('-').unwrap_or(word));
                    if !good {
                        let (text, origin) = (&word.text, &word.origin);
                        warnings.push(format!("{origin}: `{text}` is no USE flag and is left out"));
                    }
                    good
                })
                .collect();
        }
        Ok(table)
    }
}

/// Replaces the `NAME:` groups of /etc/portage (`PYTHON_TARGETS: -* python3_13`) by whole flags.
fn expand_prefixes(words: &[Word], understood: bool) -> Vec<Word> {
    let mut prefix = String::new();
    let mut flags = Vec::with_capacity(words.len());
    for word in words {
        if word.text == "\n" {
            prefix.clear();
        } else if understood && let Some(name) = word.strip_suffix(':') {
            prefix = format!("{}_", name.to_lowercase());
        } else if let Some(flag) = word.strip_prefix('-') {
            flags.push(Word::new(format!("-{prefix}{flag}"), &word.origin));
        } else {
            flags.push(Word::new(format!("{prefix}{}", word.text), &word.origin));
        }
    }
    flags
}

fn is_flag(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"+_@-".contains(&b))
}

/// The USE defaults of one directory.
#[derive(Debug, Clone, Default)]
struct Defaults {
    stable: Vec<Word>,
    package: Table,
    package_stable: Table,
}

impl Defaults {
    fn read(
        directory: &Path,
        context: Context<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let stable = |eapi: Eapi| eapi.use_stable();
        Ok(Defaults {
            stable: context.flags(&directory.join("use.stable"), Some(stable), warnings)?,
            package: context.table(&directory.join("package.use"), None, warnings)?,
            package_stable: context.table(
                &directory.join("package.use.stable"),
                Some(stable),
                warnings,
            )?,
        })
    }

    /// The words for a package: use.stable, then package.use, then package.use.stable.
    fn words(&self, package: &impl PackageFacts, stable: bool) -> Vec<&Word> {
        let mut words: Vec<&Word> = Vec::new();
        if stable {
            words.extend(&self.stable);
        }
        for entry in self.package.matching(package) {
            words.extend(&entry.words);
        }
        if stable {
            for entry in self.package_stable.matching(package) {
                words.extend(&entry.words);
            }
        }
        words
    }
}

#[derive(Debug, Clone, Default)]
struct Directory {
    mask: Restriction,
    force: Restriction,
    defaults: Defaults,
}

impl Directory {
    fn read(
        path: &Path,
        context: Context<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        Ok(Directory {
            mask: Restriction::read(path, "mask", context, warnings)?,
            force: Restriction::read(path, "force", context, warnings)?,
            defaults: Defaults::read(path, context, warnings)?,
        })
    }
}

/// All USE files.
#[derive(Debug, Clone, Default)]
pub(super) struct UseFiles {
    repositories: BTreeMap<String, Directory>,
    profiles: Vec<Directory>,
    user: Table,
}

impl UseFiles {
    /// Reads them. `user` is /etc/portage.
    pub(super) fn read(
        repositories: &[RepositoryFacts],
        profiles: &[ProfileNode],
        user: &UserFiles,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut result = UseFiles::default();
        for repository in repositories {
            let context = Context {
                syntax: Syntax::repository(repository),
                directories: Directories::Flat,
            };
            let directory =
                Directory::read(&repository.location.join("profiles"), context, warnings)?;
            result
                .repositories
                .insert(repository.name.clone(), directory);
        }
        for node in profiles {
            let mut syntax = Syntax::profile(node);
            syntax.wildcards = node.user && node.eapi.is_none();
            let context = Context {
                syntax,
                directories: node.directories,
            };
            result
                .profiles
                .push(Directory::read(&node.path, context, warnings)?);
        }
        let reading = Reading {
            syntax: Syntax::user(user),
            directories: Directories::Recursive,
            newlines: true,
            use_deps: false,
        };
        result.user = Table::read_user(user, &["package.use"], reading, warnings)?;
        for entry in result.user.entries_mut() {
            entry.words = expand_prefixes(&entry.words, true);
        }
        Ok(result)
    }

    /// Takes out what package.use says for `*/*`: it counts as USE of make.conf.
    pub(super) fn take_global(&mut self) -> Option<Vec<Word>> {
        self.user.take_global()
    }

    /// The flags that are masked for every package.
    pub(super) fn global_mask(&self, trail: &mut Trail<'_>) -> BTreeSet<String> {
        self.global(|directory| &directory.mask, &Subject::UseMask, trail)
    }

    /// The flags that are forced for every package.
    pub(super) fn global_force(&self, trail: &mut Trail<'_>) -> BTreeSet<String> {
        self.global(|directory| &directory.force, &Subject::UseForce, trail)
    }

    fn global(
        &self,
        side: fn(&Directory) -> &Restriction,
        subject: &Subject,
        trail: &mut Trail<'_>,
    ) -> BTreeSet<String> {
        let mut flags = BTreeSet::new();
        for profile in &self.profiles {
            stack(&mut flags, &side(profile).flags, subject, trail);
        }
        flags
    }

    /// The flags that are masked for a package. `repositories`: its repository's masters and itself.
    pub(super) fn mask(
        &self,
        package: &impl PackageFacts,
        repositories: &[&str],
        stable: bool,
        trail: &mut Trail<'_>,
    ) -> BTreeSet<String> {
        let mut flags = BTreeSet::new();
        for directory in self.of(repositories) {
            let mask = &directory.mask;
            mask.apply(package, stable, &mut flags, &Subject::UseMask, trail);
        }
        flags
    }

    /// The flags that are forced for a package.
    pub(super) fn force(
        &self,
        package: &impl PackageFacts,
        repositories: &[&str],
        stable: bool,
        trail: &mut Trail<'_>,
    ) -> BTreeSet<String> {
        let mut flags = BTreeSet::new();
        for directory in self.of(repositories) {
            let force = &directory.force;
            force.apply(package, stable, &mut flags, &Subject::UseForce, trail);
        }
        flags
    }

    /// What applies to packages of the last of these repositories, in its order.
    fn of(&self, repositories: &[&str]) -> impl Iterator<Item = &Directory> {
        repositories
            .iter()
            .filter_map(|name| self.repositories.get(*name))
            .chain(&self.profiles)
    }

    /// The USE words that a repository has for a package.
    pub(super) fn repository_words(
        &self,
        repository: &str,
        package: &impl PackageFacts,
        stable: bool,
    ) -> Vec<&Word> {
        self.repositories
            .get(repository)
            .map(|directory| directory.defaults.words(package, stable))
            .unwrap_or_default()
    }

    /// The USE words that the profile with this index has for a package.
    pub(super) fn profile_words(
        &self,
        index: usize,
        package: &impl PackageFacts,
        stable: bool,
    ) -> Vec<&Word> {
        self.profiles
            .get(index)
            .map(|directory| directory.defaults.words(package, stable))
            .unwrap_or_default()
    }

    /// The USE words that the user's package.use has for a package.
    pub(super) fn user_words(&self, package: &impl PackageFacts) -> Vec<&Word> {
        self.user
            .matching(package)
            .into_iter()
            .flat_map(|entry| &entry.words)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Ebuild, Root};
    use super::*;
    use crate::claim::rows;

    #[test]
    fn masks_and_forces_apply_profile_by_profile() {
        let _rows = rows(&[211]);
        let root = Root::new()
            .file("repo/profiles/base/use.mask", "m1\nm2\nm3\n")
            .file("repo/profiles/base/package.use.mask", "a/b m4 -m2\n")
            .file("repo/profiles/base/use.force", "f1\nm1\n")
            .file("repo/profiles/default/use.mask", "-m3\n")
            .file("repo/profiles/default/package.use.force", "a/b f2 -f1\n")
            .file("etc/portage/package.use", "a/b m1 m2 m3 m4 -f1 -f2\n");
        let package = Ebuild::new("a/b-1").iuse("m1 m2 m3 m4 f1 f2");
        assert_eq!(package.flags(&root.load()), "f2 m2 m3");
        assert_eq!(
            Ebuild::new("a/c-1")
                .iuse("m1 m2 m3 m4 f1 f2")
                .flags(&root.load()),
            "f1"
        );
        let answer = package.ask(&root.load());
        assert_eq!(
            answer.use_mask.into_iter().collect::<Vec<_>>(),
            ["m1", "m4"]
        );
        assert_eq!(
            answer.use_force.into_iter().collect::<Vec<_>>(),
            ["f2", "m1"]
        );
    }

    // PMS algorithm 5.1: use, use.stable, package.use, package.use.stable, in each profile.
    #[test]
    fn stable_files_apply_between_the_others() {
        let _rows = rows(&[211]);
        let root = Root::new()
            .file("repo/profiles/base/use.mask", "a\nb\nc\n")
            .file("repo/profiles/base/use.stable.mask", "-a\nd\n")
            .file("repo/profiles/base/package.use.mask", "a/b a -d\n")
            .file("repo/profiles/base/package.use.stable.mask", "a/b d -b\n")
            .file("etc/portage/make.conf", "USE=\"a b c d\"\n");
        let package = Ebuild::new("a/b-1").iuse("a b c d");
        assert_eq!(package.flags(&root.load()), "b");
        assert!(package.ask(&root.load()).stable);
        let testing = package.clone().keywords("~amd64");
        let root = root.file("etc/portage/package.accept_keywords", "a/b ~amd64\n");
        assert_eq!(testing.flags(&root.load()), "d");
        // With ~amd64 accepted, a stable package would stay visible as a testing one.
        assert!(!package.ask(&root.load()).stable);
    }

    #[test]
    fn stable_masks_need_eapi_5() {
        let root = Root::new()
            .file("repo/profiles/default/eapi", "4\n")
            .file("repo/profiles/default/use.stable.mask", "acl\n");
        assert_eq!(Ebuild::new("a/b-1").iuse("acl").flags(&root.load()), "acl");
        assert!(root.load().warnings()[0].ends_with("use.stable.mask: has no effect in EAPI 4"));
    }

    #[test]
    fn use_stable_of_eapi_9_ranks_below_package_use() {
        let _rows = rows(&[213]);
        let root = Root::new()
            .file("repo/profiles/default/eapi", "9\n")
            .file("repo/profiles/default/use.stable", "x\ny\n-acl\n")
            .file("repo/profiles/default/package.use", "a/b -x z\n")
            .file("repo/profiles/default/package.use.stable", "a/b -z w\n");
        let package = Ebuild::new("a/b-1").iuse("acl w x y z");
        assert_eq!(package.flags(&root.load()), "w y");
        let root = root.file("repo/profiles/default/eapi", "8\n");
        assert_eq!(package.flags(&root.load()), "acl z");
    }

    #[test]
    fn a_repository_has_use_files_of_its_own() {
        let root = Root::new()
            .file("repo/profiles/use.mask", "m\n")
            .file("repo/profiles/package.use", "a/b r1 r2\n")
            .file("repo/profiles/package.use.force", "a/b f\n")
            .file("repo/profiles/make.defaults", "USE=\"r3\"\n")
            .file("etc/portage/make.conf", "USE=\"m -r2\"\n");
        let mut package = Ebuild::new("a/b-1").iuse("m r1 r2 r3 f");
        assert_eq!(package.flags(&root.load()), "f r1 r3");
        package.repository = "elsewhere";
        assert_eq!(package.flags(&root.load()), "m");
    }

    #[test]
    fn groups_of_package_use() {
        let root = Root::new().file(
            "etc/portage/package.use/mine",
            "a/b one PYTHON_TARGETS: -* py13 -py11\na/b two\n*/* L10N: de\n",
        );
        let package =
            Ebuild::new("a/b-1").iuse("one two l10n_de python_targets_py12 python_targets_py13");
        assert_eq!(
            package.flags(&root.load()),
            "l10n_de one python_targets_py13 two"
        );
    }

    #[test]
    fn what_is_no_flag_is_left_out() {
        let root = Root::new().file("repo/profiles/default/use.mask", "-good\n#x\n!bad\n");
        let warnings = root.load().warnings().join("\n");
        assert!(
            warnings.ends_with("use.mask:3: `!bad` is no USE flag and is left out"),
            "{warnings}"
        );
        assert!(
            is_flag("c++") && is_flag("python_targets_py3-1@x") && !is_flag("-x") && !is_flag("")
        );
    }
}
