//! Moving all entries of one cache into another.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use super::convert::{Converted, Tree, convert};
use super::{Cache, CacheFormat, MetadataError};
use crate::pms::cpv::Cpv;
use crate::pms::eapi::Eapi;

/// What a transfer did.
#[derive(Debug, Default)]
pub struct Summary {
    /// How many entries were written.
    pub written: usize,
    /// How many were the same already.
    pub unchanged: usize,
    /// How many were removed from the target because the source does not have them.
    pub removed: usize,
    /// How many entries, by EAPI, are of EAPIs that are not supported. They are in the target
    /// as they are in the source, and no lookup will use them.
    pub unusable: BTreeMap<String, usize>,
    /// How many entries had something that the target's format has no place for, by key.
    pub lost: BTreeMap<String, usize>,
    /// The entries that could not be transferred. Whatever the target has of them stays.
    pub faults: Vec<Fault>,
}

/// An entry that could not be transferred.
#[derive(Debug)]
pub struct Fault {
    /// The source's file.
    pub path: PathBuf,
    /// Why.
    pub error: MetadataError,
}

/// How far a transfer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent<'a> {
    /// All entries.
    Whole,
    /// All entries, but those that only the target has stay.
    KeepExtra,
    /// The entries of these packages (`category/name`).
    Packages(&'a [String]),
}

impl Extent<'_> {
    fn has(self, cpv: &Cpv) -> bool {
        match self {
            Self::Whole | Self::KeepExtra => true,
            Self::Packages(packages) => packages
                .iter()
                .any(|package| package.split_once('/') == Some((cpv.category(), cpv.pn()))),
        }
    }
}

/// Makes `target` hold what `source` holds, writing only what differs. Checksums that the
/// target's format wants and the source's does not have come from `tree`. Entries that only the
/// target has are removed, as far as `extent` goes.
///
/// # Errors
/// The two are one directory, the source has no entries at all, or the target cannot be written
/// to. What is wrong with single entries is in the summary.
pub fn transfer(
    source: &Cache,
    target: &Cache,
    tree: Option<Tree<'_>>,
    extent: Extent<'_>,
) -> Result<Summary, MetadataError> {
    if let (Ok(from), Ok(to)) = (
        source.directory().canonicalize(),
        target.directory().canonicalize(),
    ) && from == to
    {
        return Err(MetadataError::SamePlace { path: from });
    }
    let names = source.names()?;
    // Nothing at all is rather a wrong path than a wish to empty the target.
    if names.is_empty() {
        return Err(MetadataError::NoEntries {
            path: source.directory().to_owned(),
        });
    }
    let mut summary = Summary::default();
    for cpv in names.iter().filter(|cpv| extent.has(cpv)) {
        match read(source, cpv, target.format(), tree) {
            Ok(Some(converted)) => store(target, cpv, converted, &mut summary)?,
            // An entry that went away meanwhile is one that the source does not have.
            Ok(None) => {}
            Err(error) => summary.faults.push(Fault {
                path: source.path(cpv),
                error,
            }),
        }
    }
    if extent != Extent::KeepExtra {
        let wanted: HashSet<&str> = names.iter().map(Cpv::as_str).collect();
        for cpv in target.names()? {
            let gone = extent.has(&cpv) && !wanted.contains(cpv.as_str());
            if gone && target.remove(&cpv)? {
                summary.removed += 1;
            }
        }
        target.prune()?;
    }
    Ok(summary)
}

/// An entry of the source as one of the target's format.
fn read(
    source: &Cache,
    cpv: &Cpv,
    format: CacheFormat,
    tree: Option<Tree<'_>>,
) -> Result<Option<Converted>, MetadataError> {
    let Some(stored) = source.get(cpv)? else {
        return Ok(None);
    };
    let mut converted = convert(&stored.entry, cpv, format, tree)?;
    converted.lost.extend(stored.lost);
    Ok(Some(converted))
}

/// Puts an entry into the target. What fails here would fail for the next one too.
fn store(
    target: &Cache,
    cpv: &Cpv,
    converted: Converted,
    summary: &mut Summary,
) -> Result<(), MetadataError> {
    if target.put(cpv, &converted.entry)? {
        summary.written += 1;
    } else {
        summary.unchanged += 1;
    }
    let eapi = converted.entry.get("EAPI").unwrap_or("0");
    if Eapi::parse(eapi).is_err() {
        *summary.unusable.entry(eapi.to_owned()).or_default() += 1;
    }
    for key in converted.lost {
        *summary.lost.entry(key).or_default() += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Entry;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    const MD5: &str = "0cc175b9c0f1b6a831c399e269772661";

    fn cache(directory: &tempfile::TempDir, name: &str) -> Cache {
        Cache::open(directory.path().join(name), CacheFormat::Md5Dict)
    }

    fn put(cache: &Cache, cpv: &str, text: &str) {
        let entry = Entry::parse(&format!("{text}_md5_={MD5}\n")).unwrap();
        cache.put(&Cpv::parse(cpv).unwrap(), &entry).unwrap();
    }

    #[test]
    fn only_what_differs_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let (source, target) = (cache(&directory, "source"), cache(&directory, "target"));
        put(&source, "a-a/x-1", "EAPI=8\nX=1\n");
        put(&source, "a-a/x-2", "EAPI=9999\n");
        put(&source, "b-b/y-1", "EAPI=8\n");
        put(&target, "b-b/y-1", "EAPI=8\n");
        put(&target, "c-c/z-1", "EAPI=8\n");
        let summary = transfer(&source, &target, None, Extent::KeepExtra).unwrap();
        assert_eq!(
            (summary.written, summary.unchanged, summary.removed),
            (2, 1, 0)
        );
        assert_eq!(summary.unusable["9999"], 1);
        let summary = transfer(&source, &target, None, Extent::Whole).unwrap();
        assert_eq!(
            (summary.written, summary.unchanged, summary.removed),
            (0, 3, 1)
        );
        assert!(!target.directory().join("c-c").exists());
        let state = || -> Vec<(u64, i64)> {
            let names = target.names().unwrap();
            let found = names
                .iter()
                .map(|cpv| fs::metadata(target.path(cpv)).unwrap());
            found.map(|f| (f.ino(), f.ctime_nsec())).collect()
        };
        let before = state();
        let summary = transfer(&source, &target, None, Extent::Whole).unwrap();
        assert_eq!(
            (summary.written, summary.unchanged, summary.removed),
            (0, 3, 0)
        );
        assert_eq!(state(), before);
    }

    #[test]
    fn a_broken_entry_stops_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let (source, target) = (cache(&directory, "source"), cache(&directory, "target"));
        put(&source, "a-a/x-1", "EAPI=8\n");
        put(&source, "a-a/x-2", "EAPI=8\n");
        put(&target, "a-a/x-1", "EAPI=7\n");
        fs::write(source.directory().join("a-a/x-1"), "what\n").unwrap();
        let summary = transfer(&source, &target, None, Extent::Whole).unwrap();
        assert_eq!((summary.written, summary.faults.len()), (1, 1));
        assert_eq!(summary.faults[0].path, source.directory().join("a-a/x-1"));
        assert!(target.directory().join("a-a/x-1").exists());
    }

    #[test]
    fn a_wrong_path_empties_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (source, target) = (cache(&directory, "source"), cache(&directory, "target"));
        put(&target, "a-a/x-1", "EAPI=8\n");
        let error = transfer(&source, &target, None, Extent::Whole).unwrap_err();
        assert!(matches!(error, MetadataError::NoEntries { .. }));
        let error = transfer(&target, &target, None, Extent::Whole).unwrap_err();
        assert!(matches!(error, MetadataError::SamePlace { .. }));
        assert_eq!(target.names().unwrap().len(), 1);
    }

    #[test]
    fn a_target_that_cannot_be_written_ends_it() {
        let directory = tempfile::tempdir().unwrap();
        let source = cache(&directory, "source");
        put(&source, "a-a/x-1", "EAPI=8\n");
        fs::write(directory.path().join("file"), "").unwrap();
        let target = cache(&directory, "file/target");
        let error = transfer(&source, &target, None, Extent::Whole).unwrap_err();
        assert!(matches!(error, MetadataError::Create { .. }));
    }
}
