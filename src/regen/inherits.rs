//! Guessing which eclasses an ebuild inherits, before it is sourced.
//!
//! An eclass that is kept before it is first used is parsed once less, and it is known which of its
//! functions are called. A wrong guess costs time and nothing else.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::pms::names::NameKind;
use crate::repo::{Eclasses, RepoSet};
use crate::util::regular;

/// What eclasses seem to inherit, by their files.
#[derive(Debug, Default)]
pub(super) struct Prediction {
    known: Mutex<HashMap<PathBuf, Vec<String>>>,
}

impl Prediction {
    /// The files of the eclasses, of those that `eclasses` finds, that an ebuild with this text
    /// seems to inherit, directly or not; those that others need first.
    pub(super) fn eclasses(
        &self,
        repositories: &RepoSet,
        eclasses: &Eclasses,
        text: &[u8],
    ) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut open = named(text);
        while let Some(name) = open.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            if let Ok(file) = eclasses.get(repositories, &name) {
                open.extend(self.inherited(&file.path));
                found.push(file.path);
            }
        }
        found.reverse();
        found
    }

    fn inherited(&self, eclass: &Path) -> Vec<String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = known.get(eclass) {
            return names.clone();
        }
        let names = regular::read(eclass)
            .map(|text| named(&text))
            .unwrap_or_default();
        known.insert(eclass.to_owned(), names.clone());
        names
    }
}

/// The words behind `inherit` that could be names of eclasses.
fn named(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let mut names = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        if line.starts_with('#') || !line.contains("inherit") {
            continue;
        }
        let words = line
            .split([' ', '\t'])
            .skip_while(|word| *word != "inherit")
            .skip(1);
        let words = words.filter(|word| !word.is_empty());
        let valid = words.take_while(|word| NameKind::Eclass.is_valid(word));
        names.extend(valid.map(str::to_owned));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_behind_inherit() {
        let text = b"# inherit no\ninherit a b-c  d.e # f\n\tinherit g\n[[ x ]] && inherit h || i\ninherit ${X} j\ninherited k\ninherit\n";
        assert_eq!(named(text), ["a", "b-c", "d.e", "g", "h"]);
    }
}
