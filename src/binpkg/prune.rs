//! Removing packages that nobody needs any more.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::time::Duration;

use super::index::{Entry, HeaderSettings, Index};
use super::pkgdir::{Pkgdir, PkgdirError};
use super::selection::{Selection, age};

/// What is to be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    /// Of each version the newest so many.
    pub keep: Option<usize>,
    /// `keep` counts for every set of USE flags on its own.
    pub per_use: bool,
    /// Nothing that was built longer ago.
    pub older_than: Option<Duration>,
    /// The newest that fit into so many bytes.
    pub max_size: Option<u64>,
}

/// Says whether any client can use a package.
pub type Usable<'a> = &'a dyn Fn(&Entry) -> bool;

/// A rule by which a package goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// No client can use it.
    Profile,
    /// There are enough newer ones.
    Keep,
    /// It is too old.
    OlderThan,
    /// There is no room for it.
    MaxSize,
}

impl Rule {
    /// The name of the option that it comes from, without hyphens before it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Keep => "keep",
            Self::OlderThan => "older-than",
            Self::MaxSize => "max-size",
        }
    }
}

/// Says which packages of the index go, and by which rule; each by the first that it falls under. Rules count what
/// `selection` names and nothing else. `now` is in seconds since 1970. What is not `usable` goes before all others.
pub fn choose(
    index: &Index,
    selection: &Selection,
    rules: Rules,
    usable: Option<Usable<'_>>,
    now: u64,
) -> Vec<(Rule, Entry)> {
    let mut left: Vec<&Entry> = index
        .entries()
        .iter()
        .filter(|entry| selection.names(entry))
        .collect();
    // The newest first; of the same age in a fixed order.
    left.sort_by_cached_key(|entry| (Reverse(age(entry)), entry.path()));
    let mut going = Vec::new();
    let mut apply = |rule, keeps: &mut dyn FnMut(&Entry) -> bool| {
        left.retain(|entry| {
            let stays = keeps(entry);
            if !stays {
                going.push((rule, (*entry).clone()));
            }
            stays
        });
    };
    if let Some(usable) = usable {
        apply(Rule::Profile, &mut |entry| usable(entry));
    }
    if let Some(keep) = rules.keep {
        let mut counts: BTreeMap<(String, Vec<String>), usize> = BTreeMap::new();
        apply(Rule::Keep, &mut |entry| {
            let mut flags: Vec<String> = Vec::new();
            if rules.per_use {
                let all = entry.get("USE").unwrap_or_default().split_whitespace();
                flags.extend(all.map(str::to_owned));
                flags.sort_unstable();
            }
            let count = counts.entry((entry.cpv().to_owned(), flags)).or_default();
            *count += 1;
            *count <= keep
        });
    }
    if let Some(limit) = rules.older_than {
        let oldest = i64::try_from(now.saturating_sub(limit.as_secs())).unwrap_or(i64::MAX);
        apply(Rule::OlderThan, &mut |entry| age(entry).0 >= oldest);
    }
    if let Some(limit) = rules.max_size {
        let mut total = 0_u64;
        apply(Rule::MaxSize, &mut |entry| {
            total = total.saturating_add(entry.size().unwrap_or(0));
            total <= limit
        });
    }
    going
}

/// Removes packages by the rules, from the index and from disk, and gives them.
///
/// The index is written first: whoever comes in between finds packages without entries, never the other way round.
///
/// # Errors
/// The index cannot be written; then nothing was removed. Or a file cannot be removed; it has no entry then.
pub fn prune(
    pkgdir: &Pkgdir,
    selection: &Selection,
    rules: Rules,
    usable: Option<Usable<'_>>,
    now: u64,
    header: &HeaderSettings,
) -> Result<Vec<(Rule, Entry)>, PkgdirError> {
    let mut locked = pkgdir.lock_index()?;
    let going = choose(locked.index(), selection, rules, usable, now);
    if going.is_empty() {
        return Ok(going);
    }
    let paths: HashSet<String> = going
        .iter()
        .map(|(_, entry)| entry.path().into_owned())
        .collect();
    locked
        .index_mut()
        .retain(|entry| !paths.contains(entry.path().as_ref()));
    locked.index_mut().forget_revisions();
    locked.update_header(header);
    locked.write()?;
    for (_, entry) in &going {
        remove_file(pkgdir, entry)?;
    }
    drop(locked);
    Ok(going)
}

/// Removes the file of an entry, which the index may have got from anywhere: nothing outside of PKGDIR.
fn remove_file(pkgdir: &Pkgdir, entry: &Entry) -> Result<(), PkgdirError> {
    let Some(path) = pkgdir.path_of(entry) else {
        return Ok(());
    };
    // The folder stays: a builder may be about to write there.
    match fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(PkgdirError::Io {
            path,
            step: "removed",
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binpkg::pkgdir::PkgdirOptions;

    fn entry(cpv: &str, id: u64, built: u64, size: u64, flags: &str) -> Entry {
        let mut entry = Entry::default();
        entry.set("CPV", cpv);
        let (category, pf) = cpv.split_once('/').unwrap();
        entry.set("PATH", &format!("{category}/x/{pf}-{id}.gpkg.tar"));
        entry.set("BUILD_ID", &id.to_string());
        entry.set("BUILD_TIME", &built.to_string());
        entry.set("SIZE", &size.to_string());
        entry.set("USE", flags);
        entry
    }

    fn index() -> Index {
        let mut index = Index::default();
        for (cpv, id, built, size, flags) in [
            ("a/x-1", 1, 100, 10, "f"),
            ("a/x-1", 2, 200, 10, ""),
            ("a/x-1", 3, 300, 10, "f"),
            ("a/x-2", 1, 150, 10, ""),
        ] {
            index.insert(entry(cpv, id, built, size, flags));
        }
        index
    }

    fn gone(rules: Rules) -> Vec<(Rule, String)> {
        choose(&index(), &Selection::default(), rules, None, 1000)
            .into_iter()
            .map(|(rule, entry)| {
                let id = entry.build_id().unwrap();
                (rule, format!("{}-{id}", entry.cpv()))
            })
            .collect()
    }

    #[test]
    fn each_rule_takes_the_oldest() {
        let of = |rule, names: &[&str]| -> Vec<(Rule, String)> {
            names
                .iter()
                .map(|name| (rule, (*name).to_owned()))
                .collect()
        };
        let rules = Rules::default();
        assert_eq!(gone(rules), []);
        let keep = Rules {
            keep: Some(1),
            ..rules
        };
        assert_eq!(gone(keep), of(Rule::Keep, &["a/x-1-2", "a/x-1-1"]));
        let per_use = Rules {
            per_use: true,
            ..keep
        };
        assert_eq!(gone(per_use), of(Rule::Keep, &["a/x-1-1"]));
        let older = Rules {
            older_than: Some(Duration::from_secs(840)),
            ..rules
        };
        assert_eq!(gone(older), of(Rule::OlderThan, &["a/x-2-1", "a/x-1-1"]));
        let size = Rules {
            max_size: Some(25),
            ..rules
        };
        assert_eq!(gone(size), of(Rule::MaxSize, &["a/x-2-1", "a/x-1-1"]));
        let all = Rules {
            keep: Some(2),
            older_than: Some(Duration::from_secs(840)),
            max_size: Some(10),
            per_use: false,
        };
        let mut expected = of(Rule::Keep, &["a/x-1-1"]);
        expected.extend(of(Rule::OlderThan, &["a/x-2-1"]));
        expected.extend(of(Rule::MaxSize, &["a/x-1-2"]));
        assert_eq!(gone(all), expected);
    }

    #[test]
    fn an_index_cannot_have_files_elsewhere_removed() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("precious");
        fs::write(&outside, "x").unwrap();
        let pkgdir =
            Pkgdir::open(&directory.path().join("pkgdir"), PkgdirOptions::default()).unwrap();
        let mut locked = pkgdir.lock_index().unwrap();
        for path in ["../precious", outside.to_str().unwrap(), "a/../../precious"] {
            let mut entry = entry("a/x-1", 1, 1, 1, "");
            entry.set("PATH", path);
            locked.index_mut().insert(entry);
        }
        locked.commit().unwrap();
        let rules = Rules {
            keep: Some(0),
            ..Rules::default()
        };
        let header = HeaderSettings::default();
        let removed = prune(&pkgdir, &Selection::default(), rules, None, 5, &header).unwrap();
        assert_eq!(removed.len(), 3);
        assert!(outside.exists());
    }
}
