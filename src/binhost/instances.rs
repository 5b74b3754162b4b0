//! All packages that there are, in PKGDIR and on hosts.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path};

use super::index::HostIndex;
use super::{Host, index};
use crate::binpkg::index::{Entry, Index};
use crate::binpkg::pkgdir::Format;
use crate::binpkg::selection::EntryFacts;
use crate::binpkg::survey::{InstanceKey, instance_key};
use crate::pms::cpv::Cpv;

/// What makes an instance the same as another: its identity, and a checksum, as hosts may build in the same second.
type Key = (InstanceKey, Option<String>);

/// One build of a package.
#[derive(Debug, Clone)]
pub struct Instance {
    /// What its index says of it.
    pub entry: Entry,
    /// Its name and version.
    pub cpv: Cpv,
    /// Its format, as its name says.
    pub format: Format,
    /// Which host has it, counted from that with the highest priority; none if PKGDIR has it.
    pub host: Option<usize>,
}

impl Instance {
    /// What instances are sorted by, the best last: the version, when it was built, its build id, whether it is here.
    fn rank(&self) -> impl Ord + '_ {
        (
            &self.cpv,
            self.entry.build_time().unwrap_or(0),
            self.entry.build_id().unwrap_or(0),
            std::cmp::Reverse(self.host.map_or(0, |host| host + 1)),
        )
    }
}

/// All packages, by their names without version, the worst first.
#[derive(Debug, Default)]
pub struct Instances {
    hosts: Vec<(Host, String)>,
    by_name: HashMap<String, Vec<Instance>>,
    /// What could not be used of indexes, one text for each.
    pub notices: Vec<String>,
}

impl Instances {
    /// Those of PKGDIR's index, and those of hosts that PKGDIR does not have, the hosts of higher priority first.
    #[must_use]
    pub fn new(local: Option<&Index>, hosts: Vec<(Host, HostIndex)>) -> Self {
        let mut all = Self::default();
        let mut known = HashSet::new();
        if let Some(index) = local {
            // What is wrong there, `ebd binpkg check` tells.
            all.add(index, None, &mut known);
        }
        for (number, (host, found)) in hosts.into_iter().enumerate() {
            let name = host.name();
            if found.freshness == index::Freshness::Old {
                all.notices.push(format!(
                    "{name}: cannot be reached; an old copy of its index is used"
                ));
            }
            all.hosts.push((host, found.base));
            for fault in all.add(&found.index, Some(number), &mut known) {
                all.notices.push(format!("{name}: {fault}"));
            }
        }
        for instances in all.by_name.values_mut() {
            instances.sort_by(|one, other| one.rank().cmp(&other.rank()));
        }
        all
    }

    /// Adds what can be used of an index; gives what is wrong with the rest.
    fn add(
        &mut self,
        index: &Index,
        number: Option<usize>,
        known: &mut HashSet<Key>,
    ) -> Vec<String> {
        let mut paths: HashMap<String, usize> = HashMap::new();
        for entry in index.entries() {
            *paths.entry(entry.path().into_owned()).or_default() += 1;
        }
        let mut doubled = Vec::new();
        let mut bad: Vec<String> = Vec::new();
        for entry in index.entries() {
            let path = entry.path();
            let format = format_of(&path).filter(|_| number.is_none() || is_plain(&path));
            let (Ok(cpv), Some(format)) = (Cpv::parse(entry.cpv()), format) else {
                bad.push(format!("{} at {path:?}", entry.cpv()));
                continue;
            };
            if number.is_some() {
                if paths.get(path.as_ref()).copied().unwrap_or(0) > 1 {
                    doubled.push(path.into_owned());
                    continue;
                }
                let digests = ["SHA1", "MD5"].iter().any(|key| entry.get(key).is_some());
                if entry.size().is_none_or(|size| size == 0) || !digests {
                    bad.push(format!("{path} without size or checksums"));
                    continue;
                }
            }
            let host = number.and_then(|number| self.hosts.get(number));
            if let Some((host, _)) = host
                && !host.repository.offers(&EntryFacts::new(entry, cpv.clone()))
            {
                continue;
            }
            let digest = entry.get("SHA1").or(entry.get("MD5"));
            if !known.insert((instance_key(entry), digest.map(str::to_owned))) {
                continue;
            }
            let instances = self.by_name.entry(cpv.cp().to_owned()).or_default();
            instances.push(Instance {
                entry: entry.clone(),
                cpv,
                format,
                host: number,
            });
        }
        doubled.sort();
        doubled.dedup();
        let mut faults = Vec::new();
        if let Some(first) = doubled.first() {
            faults.push(format!(
                "its index has several entries for {first}{}; none of them is used",
                more(doubled.len())
            ));
        }
        if let Some(first) = bad.first() {
            faults.push(format!(
                "its index has an entry that cannot be used: {first}{}",
                more(bad.len())
            ));
        }
        faults
    }

    /// The packages of this name (`category/name`), the best first.
    pub fn named(&self, cp: &str) -> impl Iterator<Item = &Instance> {
        self.by_name.get(cp).into_iter().flatten().rev()
    }

    /// All packages, by name, the best of each first.
    #[must_use]
    pub fn all(&self) -> Vec<&Instance> {
        let mut names: Vec<&String> = self.by_name.keys().collect();
        names.sort();
        names
            .into_iter()
            .flat_map(|name| self.named(name))
            .collect()
    }

    /// All names (`category/name`).
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The host that has an instance, and the address of the package there.
    #[must_use]
    pub fn source(&self, instance: &Instance) -> Option<(&Host, String)> {
        let (host, base) = self.hosts.get(instance.host?)?;
        let path = instance.entry.path();
        Some((host, format!("{base}/{path}")))
    }

    /// The hosts, by falling priority.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().map(|(host, _)| host)
    }
}

/// The format of the package at a path, which must stay below the folder of all packages.
fn format_of(path: &str) -> Option<Format> {
    let inside = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    inside.then(|| Format::of_name(Path::new(path)))?
}

/// Whether a path means in an address what it means here.
fn is_plain(path: &str) -> bool {
    !path.contains(|letter: char| letter.is_control() || "?#%\\".contains(letter))
}

fn more(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    }
}
