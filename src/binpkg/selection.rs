//! Packages of the index by what people call them.

use super::index::{Entry, Index};
use crate::pms::atom::{Atom, AtomError, FlagState, PackageFacts};
use crate::pms::cpv::Cpv;

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
    /// Each atom, and whether it was named without a category.
    atoms: Vec<(Atom, bool)>,
}

impl Names {
    /// Reads atoms as the configuration has them: `category/name`, `name` in any category, `=category/name-1.0`,
    /// `=category/name-1.0-2` for a build id, and patterns.
    ///
    /// # Errors
    /// The first text that is no atom.
    pub fn parse(texts: &[String]) -> Result<Self, AtomError> {
        let mut atoms = Vec::new();
        for text in texts {
            let any_category = !text.contains('/');
            let whole = match text.find(|letter: char| !"<>=~".contains(letter)) {
                Some(at) if any_category => {
                    let (operator, name) = text.split_at(at);
                    format!("{operator}{ANY}/{name}")
                }
                _ => text.clone(),
            };
            atoms.push((Atom::parse_config(&whole)?, any_category));
        }
        Ok(Self { atoms })
    }

    /// Whether a package is meant.
    pub fn names(&self, package: &impl PackageFacts) -> bool {
        self.atoms.is_empty()
            || self.atoms.iter().any(|(atom, any_category)| {
                let cpv = match any_category {
                    true => match Cpv::from_parts(ANY, package.cpv().pf()) {
                        Ok(cpv) => cpv,
                        Err(_) => return false,
                    },
                    false => package.cpv().clone(),
                };
                atom.matches(&Named { package, cpv })
            })
    }
}

/// A package under another name.
struct Named<'a, P> {
    package: &'a P,
    cpv: Cpv,
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
        self.package.repository()
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
    pub fn parse(texts: &[String]) -> Result<Self, AtomError> {
        Ok(Self {
            names: Names::parse(texts)?,
        })
    }

    /// Whether an entry is meant.
    pub fn names(&self, entry: &Entry) -> bool {
        if self.names.atoms.is_empty() {
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
        let selection = Selection::parse(&texts).unwrap();
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
        assert!(Selection::parse(&["a/".to_owned()]).is_err());
    }

    #[test]
    fn flags_are_those_of_the_package() {
        let index = index();
        assert_eq!(flags(&index.entries()[0]), [("x", true), ("y", false)]);
    }
}
