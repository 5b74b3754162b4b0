//! Packages of the index by what people call them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::index::{Entry, Index};
use crate::pms::atom::{Atom, AtomError, FlagState, PackageFacts};
use crate::pms::cpv::Cpv;
use crate::repo::RepositoryNames;

/// What stands for the category where none was named.
const ANY: &str = "any";

/// Which packages are meant: those that any of the atoms names, all without any.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    names: Names,
}

/// Names of packages as people write them.
#[derive(Debug, Clone, Default)]
pub struct Names {
    list: Vec<Name>,
    repositories: Arc<RepositoryNames>,
}

#[derive(Debug, Clone)]
struct Name {
    /// What was written.
    text: String,
    atom: Atom,
    /// Whether it has no category.
    any_category: bool,
}

/// What cannot be the name of a package.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    /// It is no atom.
    #[error(transparent)]
    Atom(#[from] AtomError),
    /// It names a repository that nobody has.
    #[error("{text}: no repository is called {name}, and no package is of such a one{suggestion}")]
    Repository {
        /// What was written.
        text: String,
        /// The repository.
        name: String,
        /// What may be meant.
        suggestion: String,
    },
}

impl Names {
    /// Reads atoms as the configuration has them: `category/name`, `name` in any category, `=category/name-1.0`,
    /// `=category/name-1.0-2` for a build id, and patterns. `repositories` are the names and aliases that are configured:
    /// a package whose repository is called by an alias is one of the repository that has it.
    ///
    /// # Errors
    /// The first text that is no atom.
    pub fn parse(texts: &[String], repositories: &Arc<RepositoryNames>) -> Result<Self, NameError> {
        let mut list = Vec::new();
        for text in texts {
            let any_category = !text.contains('/');
            let whole = match text.find(|letter: char| !"<>=~".contains(letter)) {
                Some(at) if any_category => {
                    let (operator, name) = text.split_at(at);
                    format!("{operator}{ANY}/{name}")
                }
                _ => text.clone(),
            };
            let mut atom = Atom::parse_config(&whole)?;
            if let Some(name) = atom
                .repository()
                .and_then(|name| repositories.name_of(name))
            {
                let name = name.to_owned();
                atom = atom.in_repository(&name);
            }
            list.push(Name {
                text: text.clone(),
                atom,
                any_category,
            });
        }
        Ok(Self {
            list,
            repositories: Arc::clone(repositories),
        })
    }

    /// Whether each repository that is named is configured, or one of those that packages are of: they may come from
    /// repositories that are not here.
    ///
    /// # Errors
    /// The first that is neither, with what may be meant.
    pub fn check<'a>(
        &'a self,
        of_packages: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), NameError> {
        let unknown = |name: &&str| self.repositories.name_of(name).is_none();
        let mut named = self.list.iter().filter_map(|it| {
            let name = it.atom.repository().filter(unknown)?;
            Some((it, name))
        });
        let mut packages = of_packages.into_iter();
        let mut known: BTreeSet<&str> = BTreeSet::new();
        let found = named.find(|(_, name)| {
            // Most ask for no repository, and then nothing is to be looked at.
            known.extend(packages.by_ref());
            !known.contains(name)
        });
        match found {
            None => Ok(()),
            Some((it, name)) => Err(NameError::Repository {
                text: it.text.clone(),
                name: name.to_owned(),
                suggestion: self.repositories.suggestion_with(name, known),
            }),
        }
    }

    /// Whether a package is meant.
    pub fn names(&self, package: &impl PackageFacts) -> bool {
        self.list.is_empty()
            || self.list.iter().any(|name| {
                let cpv = match name.any_category {
                    true => match Cpv::from_parts(ANY, package.cpv().pf()) {
                        Ok(cpv) => cpv,
                        Err(_) => return false,
                    },
                    false => package.cpv().clone(),
                };
                let repository = package.repository();
                name.atom.matches(&Named {
                    package,
                    cpv,
                    repository: repository
                        .map(|name| self.repositories.name_of(name).unwrap_or(name)),
                })
            })
    }
}

/// A package under another name.
struct Named<'a, P> {
    package: &'a P,
    cpv: Cpv,
    repository: Option<&'a str>,
}

impl<P: PackageFacts> PackageFacts for Named<'_, P> {
    fn cpv(&self) -> &Cpv {
        &self.cpv
    }

    fn slot(&self) -> &str {
        self.package.slot()
    }

    fn subslot(&self) -> &str {
        self.package.subslot()
    }

    fn repository(&self) -> Option<&str> {
        self.repository
    }

    fn use_flag(&self, flag: &str) -> FlagState {
        self.package.use_flag(flag)
    }

    fn build_id(&self) -> Option<u64> {
        self.package.build_id()
    }
}

impl Selection {
    /// Reads atoms, see [`Names::parse`].
    ///
    /// # Errors
    /// The first text that is no atom.
    pub fn parse(texts: &[String], repositories: &Arc<RepositoryNames>) -> Result<Self, NameError> {
        Ok(Self {
            names: Names::parse(texts, repositories)?,
        })
    }

    /// See [`Names::check`].
    ///
    /// # Errors
    /// The first repository that is neither configured nor in one of the indexes.
    pub fn check<'a>(
        &'a self,
        indexes: impl IntoIterator<Item = &'a Index>,
    ) -> Result<(), NameError> {
        let entries = indexes.into_iter().flat_map(Index::entries);
        self.names
            .check(entries.filter_map(|entry| entry.get("REPO")))
    }

    /// Whether an entry is meant.
    pub fn names(&self, entry: &Entry) -> bool {
        if self.names.list.is_empty() {
            return true;
        }
        let Ok(cpv) = Cpv::parse(entry.cpv()) else {
            return false;
        };
        self.names.names(&EntryFacts::new(entry, cpv))
    }

    /// The entries that are meant, by name and version, then by build id and time.
    pub fn of<'a>(&self, index: &'a Index) -> Vec<&'a Entry> {
        let mut found: Vec<&Entry> = index
            .entries()
            .iter()
            .filter(|entry| self.names(entry))
            .collect();
        found.sort_by_cached_key(|entry| {
            let cpv = entry.cpv();
            (Cpv::parse(cpv).ok(), cpv, entry.build_id(), age(entry))
        });
        found
    }
}

/// What packages are sorted by from old to new.
pub fn age(entry: &Entry) -> (i64, i64, u64) {
    (
        entry.build_time().or(entry.mtime()).unwrap_or(0),
        entry.mtime().unwrap_or(0),
        entry.build_id().unwrap_or(0),
    )
}

/// The flags of a package that are its own, sorted, and whether each is on.
pub fn flags(entry: &Entry) -> Vec<(&str, bool)> {
    let on: Vec<&str> = entry
        .get("USE")
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let mut all: Vec<(&str, bool)> = entry
        .get("IUSE")
        .unwrap_or_default()
        .split_whitespace()
        .map(|flag| flag.trim_start_matches(['+', '-']))
        .map(|flag| (flag, on.contains(&flag)))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What atoms ask of a package, answered by its entry.
#[derive(Debug, Clone)]
pub struct EntryFacts<'a> {
    entry: &'a Entry,
    cpv: Cpv,
}

impl<'a> EntryFacts<'a> {
    /// The facts of an entry, whose name is `cpv`.
    #[must_use]
    pub fn new(entry: &'a Entry, cpv: Cpv) -> Self {
        Self { entry, cpv }
    }
}

impl PackageFacts for EntryFacts<'_> {
    fn cpv(&self) -> &Cpv {
        &self.cpv
    }

    fn slot(&self) -> &str {
        let slot = self.entry.get("SLOT").unwrap_or("0");
        slot.split_once('/').map_or(slot, |(slot, _)| slot)
    }

    fn subslot(&self) -> &str {
        let slot = self.entry.get("SLOT").unwrap_or("0");
        slot.split_once('/').map_or(slot, |(_, subslot)| subslot)
    }

    fn repository(&self) -> Option<&str> {
        self.entry.get("REPO")
    }

    fn use_flag(&self, flag: &str) -> FlagState {
        let has = |key| {
            let words = self.entry.get(key).unwrap_or_default();
            words
                .split_whitespace()
                .any(|word| word.trim_start_matches(['+', '-']) == flag)
        };
        match (has("USE"), has("IUSE")) {
            (true, _) => FlagState::On,
            (false, true) => FlagState::Off,
            (false, false) => FlagState::Missing,
        }
    }

    fn build_id(&self) -> Option<u64> {
        self.entry.build_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let mut index = Index::default();
        for (cpv, id, slot, uses) in [
            ("a/foo-10", 1, "0", "x"),
            ("a/foo-9", 2, "0", ""),
            ("a/foo-9", 1, "0", "x"),
            ("b/foo-1", 1, "2/3", ""),
        ] {
            let mut entry = Entry::default();
            entry.set("CPV", cpv);
            entry.set("PATH", &format!("{cpv}-{id}"));
            entry.set("BUILD_ID", &id.to_string());
            entry.set("SLOT", slot);
            entry.set("IUSE", "+x -y");
            entry.set("USE", uses);
            index.insert(entry);
        }
        index
    }

    fn selected(texts: &[&str]) -> Vec<String> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let index = index();
        let selection = Selection::parse(&texts, &Arc::default()).unwrap();
        let found = selection.of(&index);
        found
            .iter()
            .map(|entry| entry.path().into_owned())
            .collect()
    }

    #[test]
    fn packages_are_called_as_people_call_them() {
        let all = ["a/foo-9-1", "a/foo-9-2", "a/foo-10-1", "b/foo-1-1"];
        assert_eq!(selected(&[]), all);
        assert_eq!(selected(&["foo"]), all);
        assert_eq!(selected(&["=foo-9-2"]), all[1..2]);
        assert_eq!(selected(&["a/foo"]), all[..3]);
        assert_eq!(selected(&["=a/foo-9-2"]), ["a/foo-9-2"]);
        assert_eq!(selected(&[">a/foo-9", "b/*"]), all[2..]);
        assert_eq!(selected(&["foo:2"]), ["b/foo-1-1"]);
        assert_eq!(selected(&["a/foo[x]"]), ["a/foo-9-1", "a/foo-10-1"]);
        assert!(selected(&["c/foo"]).is_empty());
        assert!(Selection::parse(&["a/".to_owned()], &Arc::default()).is_err());
    }

    #[test]
    fn flags_are_those_of_the_package() {
        let index = index();
        assert_eq!(flags(&index.entries()[0]), [("x", true), ("y", false)]);
    }
}
