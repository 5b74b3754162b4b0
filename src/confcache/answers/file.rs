//! Files with answers, and what is known of them while they are used.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::defines::{Included, Library, defined};
use super::super::entry::{packed, unpacked};
use super::super::facts::{Broken, Fact, Sum, sum};
use super::super::rules::Rules;
use super::{Bound, Made};

const MAGIC: &[u8] = b"ebd configure answers 5\n";

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct File {
    pub(super) facts: Vec<Fact>,
    /// Sets of facts and texts, by their numbers.
    pub(super) sets: Vec<Vec<u32>>,
    pub(super) names: Vec<String>,
    /// Lines of `confdefs.h`.
    pub(super) lines: Vec<Vec<u8>>,
    pub(super) answers: Vec<Answer>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) key: Sum,
    pub(super) variable: String,
    /// Numbers of names, and the sums of their values.
    pub(super) given: Vec<(u32, u32)>,
    pub(super) facts: u32,
    pub(super) texts: u32,
    pub(super) local: Vec<Fact>,
    /// A set of lines.
    pub(super) defines: u32,
    pub(super) code: Vec<u8>,
    pub(super) made: Vec<Made>,
    pub(super) bound: Bound,
    pub(super) took: u64,
}

/// A file that was read, or that is to be written.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// None for what is new.
    pub(super) path: Option<PathBuf>,
    pub(super) file: File,
    /// Whether the facts hold, as far as that is known.
    pub(super) holds: Vec<Option<Result<(), Broken>>>,
    /// The same of sets of facts.
    pub(super) sets_hold: HashMap<u32, Result<(), Broken>>,
    /// The names in sets of texts.
    pub(super) included: HashMap<u32, Option<Arc<Included>>>,
    /// Whether stamps of it were renewed.
    pub(super) renewed: bool,
    pub(super) used: bool,
}

impl File {
    pub(super) fn set(&self, number: u32) -> &[u32] {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        self.sets.get(at).map_or(&[], Vec::as_slice)
    }

    pub(super) fn facts_of(&self, set: u32) -> impl Iterator<Item = &Fact> {
        let facts = self.set(set).iter();
        facts.filter_map(|at| self.facts.get(usize::try_from(*at).ok()?))
    }

    /// The names whose lines are others now than those of a set; none if all are the same.
    pub(super) fn others(&self, set: u32, now: &[&[u8]]) -> Option<Vec<String>> {
        let lines = self.set(set).iter();
        let then: Vec<&[u8]> = lines
            .filter_map(|at| self.lines.get(usize::try_from(*at).ok()?))
            .map(Vec::as_slice)
            .collect();
        if then == now {
            return None;
        }
        let only = |one: &[&[u8]], other: &[&[u8]]| -> Vec<String> {
            let lines = one.iter().filter(|line| !other.contains(line));
            lines
                .map(|line| defined(line).unwrap_or(line))
                .map(|name| String::from_utf8_lossy(name.get(..80).unwrap_or(name)).into_owned())
                .collect()
        };
        let mut names = only(&then, now);
        names.extend(only(now, &then));
        names.sort();
        names.dedup();
        if names.is_empty() {
            names.push("their order".to_owned());
        }
        Some(names)
    }
}

impl Loaded {
    /// Whether all facts of a set hold. Each is looked at once.
    pub(super) fn hold(&mut self, set: u32, rules: &Rules) -> Result<(), Broken> {
        if let Some(known) = self.sets_hold.get(&set) {
            return known.clone();
        }
        let holds = self.hold_each(set, rules);
        self.sets_hold.insert(set, holds.clone());
        holds
    }

    /// Forgets which facts hold, and what is in texts.
    pub(super) fn forget(&mut self) {
        for (set, _) in self.sets_hold.drain() {
            for number in self.file.set(set) {
                let at = usize::try_from(*number).unwrap_or(usize::MAX);
                if let Some(holds) = self.holds.get_mut(at) {
                    *holds = None;
                }
            }
        }
        if self.path.is_none() {
            // What was found now has held without being looked at.
            self.holds.fill(None);
        }
        self.included.clear();
    }

    pub(super) fn hold_each(&mut self, set: u32, rules: &Rules) -> Result<(), Broken> {
        for number in self.file.set(set).to_vec() {
            let at = usize::try_from(number).unwrap_or(usize::MAX);
            let (Some(holds), Some(fact)) = (self.holds.get_mut(at), self.file.facts.get_mut(at))
            else {
                continue;
            };
            if holds.is_none() {
                let checked = fact.check(rules);
                if let Ok(Some(stamp)) = checked {
                    fact.stamp = Some(stamp);
                    self.renewed = true;
                }
                *holds = Some(checked.map(|_| ()));
            }
            if let Some(Err(broken)) = holds {
                return Err(broken.clone());
            }
        }
        Ok(())
    }

    /// The names in the texts of a set.
    pub(super) fn included(&mut self, set: u32, library: &mut Library) -> Option<Arc<Included>> {
        if let Some(known) = self.included.get(&set) {
            return known.clone();
        }
        let included = library.of(self.file.facts_of(set).map(Fact::path));
        let included = included.map(Arc::new);
        self.included.insert(set, included.clone());
        included
    }
}

pub(super) fn pack(file: &File) -> Option<Vec<u8>> {
    let rest = packed(file).ok()?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(sum(&rest));
    bytes.extend(rest);
    Some(bytes)
}

pub(super) fn unpack(bytes: &[u8]) -> Option<File> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (kept, rest) = rest.split_at_checked(32)?;
    if sum(rest) != *kept {
        return None;
    }
    unpacked(rest).ok()
}
