//! Entries of one format made entries of another.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::format::INHERITED;
use super::record::{Checksum, EclassRecord};
use super::{CacheFormat, Entry, MetadataError, StaleReason};
use crate::pms::cpv::Cpv;
use crate::repo::{RepoError, RepoSet};
use crate::util::digest::{HashName, hash_file};

const ECLASSES: &str = "_eclasses_";

/// The repository with the ebuilds of a cache, among those that have its eclasses.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    /// The repository and its masters.
    pub repositories: &'a RepoSet,
    /// The repository's name.
    pub name: &'a str,
}

/// An entry made for a format, and the keys that the format has no place for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The entry.
    pub entry: Entry,
    /// The keys left out. Checksums of a kind that the format does not have are not among them.
    pub lost: Vec<String>,
}

/// Makes the entry of `cpv` one of format `target`. Keys that nobody knows stay, as does the EAPI
/// whatever it is. Checksums that the format wants and the entry does not have are taken from
/// `tree`, if the entry is valid there; what flat_list does not tell of eclasses, namely whether
/// they are still the same, is taken for granted, as its readers do.
///
/// # Errors
/// [`MetadataError::NeedsRepository`] without a tree when one is needed,
/// [`MetadataError::Outdated`] when the entry is not valid there, or a file cannot be read.
pub fn convert(
    entry: &Entry,
    cpv: &Cpv,
    target: CacheFormat,
    tree: Option<Tree<'_>>,
) -> Result<Converted, MetadataError> {
    let mut entry = entry.clone();
    let records = EclassRecord::parse_all(entry.get(ECLASSES).unwrap_or_default())?;
    // An entry of flat_list knows the names only.
    let names_only = records.is_empty() && entry.get(INHERITED).is_some();
    let wanted = target.checksum_key();
    let has_records = target.lines().is_some()
        || !names_only
            && records.iter().all(|record| {
                record.checksum.key() == wanted
                    && (!target.has_directories() || record.directory.is_some())
            });
    let records = if entry.get(wanted).is_some() && has_records {
        records
    } else {
        let tree = tree.ok_or(MetadataError::NeedsRepository { format: target })?;
        fresh(&mut entry, &records, cpv, target, tree)?
    };
    if target.lines().is_some() && !names_only {
        let names: Vec<&str> = records.iter().map(|record| record.name.as_str()).collect();
        let names = names.join(" ");
        // A list without checksums says more than none.
        if !names.is_empty() {
            entry.set(INHERITED, names);
        }
    }
    let mut lost = Vec::new();
    match target.lines() {
        Some(lines) => {
            for key in ["_md5_", ECLASSES] {
                entry.set(key, String::new());
            }
            lost.extend(
                entry
                    .iter()
                    .map(|(key, _)| key.to_owned())
                    .filter(|key| key != wanted && !lines.contains(&key.as_str())),
            );
            for key in &lost {
                entry.set(key, String::new());
            }
        }
        None => {
            if names_only {
                entry.set(INHERITED, String::new());
            }
            entry.set(
                ECLASSES,
                EclassRecord::join(&records, target.has_directories()),
            );
        }
    }
    Ok(Converted { entry, lost })
}

/// Validates an entry and gives it the checksum that `target` wants; gives the eclasses with
/// theirs.
fn fresh(
    entry: &mut Entry,
    records: &[EclassRecord],
    cpv: &Cpv,
    target: CacheFormat,
    tree: Tree<'_>,
) -> Result<Vec<EclassRecord>, MetadataError> {
    let outdated = |reason| Err(MetadataError::Outdated(reason));
    let ebuild = ebuild_path(tree, cpv)?;
    if !ebuild.is_file() {
        return outdated(StaleReason::EbuildMissing);
    }
    let (md5, mtime) = (md5(&ebuild)?, mtime(&ebuild)?.to_string());
    let valid = match (entry.get("_md5_"), entry.get("_mtime_")) {
        (Some(known), _) => known == md5,
        (None, Some(known)) => known == mtime,
        (None, None) => return outdated(StaleReason::NoChecksum),
    };
    if !valid {
        return outdated(StaleReason::EbuildChanged);
    }
    let names: Vec<String> = if records.is_empty() {
        let names = entry.get(INHERITED).unwrap_or_default();
        names.split_whitespace().map(str::to_owned).collect()
    } else {
        records.iter().map(|record| record.name.clone()).collect()
    };
    let mut found = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let file = match tree.repositories.eclass(tree.name, name) {
            Ok(file) => file,
            Err(RepoError::MissingEclass { .. }) => {
                return outdated(StaleReason::EclassMissing(name.clone()));
            }
            Err(error) => return Err(error.into()),
        };
        let time = self::mtime(&file.path)?;
        let same = match records.get(at).map(|record| &record.checksum) {
            Some(Checksum::Md5(known)) => *known == file.md5,
            Some(Checksum::Mtime(known)) => *known == time,
            None => true,
        };
        if !same {
            return outdated(StaleReason::EclassChanged(name.clone()));
        }
        let directory = file.path.parent().and_then(Path::to_str);
        let directory = directory.filter(|text| !text.contains(['\t', '\n']));
        if directory.is_none() && target.has_directories() {
            return Err(MetadataError::Directory {
                path: file.path.clone(),
            });
        }
        found.push(EclassRecord {
            name: name.clone(),
            directory: directory.map(str::to_owned),
            checksum: match target.checksum_key() {
                "_md5_" => Checksum::Md5(file.md5),
                _ => Checksum::Mtime(time),
            },
        });
    }
    for key in ["_md5_", "_mtime_"] {
        if key != target.checksum_key() {
            entry.set(key, String::new());
        }
    }
    let checksum = match target.checksum_key() {
        "_md5_" => md5,
        _ => mtime,
    };
    entry.set(target.checksum_key(), checksum);
    Ok(found)
}

fn ebuild_path(tree: Tree<'_>, cpv: &Cpv) -> Result<PathBuf, MetadataError> {
    let repository = tree.repositories.named(tree.name)?;
    Ok(repository
        .location()
        .join(cpv.cp())
        .join(format!("{}.ebuild", cpv.pf())))
}

fn md5(path: &Path) -> Result<String, MetadataError> {
    let digests = hash_file(path, &[HashName::Md5]).map_err(|error| MetadataError::Read {
        path: error.path,
        source: error.source,
    })?;
    Ok(digests.get(HashName::Md5).unwrap_or_default().to_owned())
}

fn mtime(path: &Path) -> Result<i64, MetadataError> {
    let found = fs::metadata(path).map_err(|source| MetadataError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(found.mtime())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::RepoSettings;
    use std::time::{Duration, SystemTime};

    struct World {
        directory: tempfile::TempDir,
        set: RepoSet,
    }

    const EBUILD: &str = "app-misc/foo/foo-1.ebuild";

    impl World {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let put = |name: &str, text: &str, time: u64| {
                let path = directory.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, text).unwrap();
                touch(&path, time);
            };
            put("profiles/repo_name", "x\n", 1);
            put("metadata/layout.conf", "masters =\n", 1);
            put("eclass/a.eclass", "a", 100);
            put("eclass/b.eclass", "b", 200);
            put(EBUILD, "EAPI=8\n", 300);
            let settings = RepoSettings {
                name: "x".to_owned(),
                location: directory.path().to_owned(),
                ..RepoSettings::default()
            };
            let set = RepoSet::new(&[settings], None).unwrap();
            Self { directory, set }
        }

        fn tree(&self) -> Option<Tree<'_>> {
            Some(Tree {
                repositories: &self.set,
                name: "x",
            })
        }

        fn md5_dict(&self) -> Entry {
            let hex = |text: &str| HashName::Md5.hex(text.as_bytes());
            Entry::parse(&format!(
                "EAPI=8\nFUTURE=1\nSLOT=0\n_eclasses_=a\t{}\tb\t{}\n_md5_={}\n",
                hex("a"),
                hex("b"),
                hex("EAPI=8\n")
            ))
            .unwrap()
        }
    }

    fn touch(path: &Path, time: u64) {
        let file = fs::File::options().append(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(time))
            .unwrap();
    }

    fn foo() -> Cpv {
        Cpv::parse("app-misc/foo-1").unwrap()
    }

    #[test]
    fn formats_with_keys_lose_nothing() {
        let world = World::new();
        let mut entry = world.md5_dict();
        // In pkgcore's order.
        let fields: Vec<&str> = entry.get(ECLASSES).unwrap().split('\t').collect();
        let turned = [fields[2], fields[3], fields[0], fields[1]].join("\t");
        entry.set(ECLASSES, turned);
        let formats = [
            CacheFormat::Md5Dict,
            CacheFormat::FlatHash,
            CacheFormat::FlatHashMd5,
        ];
        for from in formats {
            let first = convert(&entry, &foo(), from, world.tree()).unwrap();
            assert_eq!(first.lost, [""; 0]);
            for to in formats {
                let second = convert(&first.entry, &foo(), to, world.tree()).unwrap();
                let back = convert(&second.entry, &foo(), CacheFormat::Md5Dict, world.tree());
                assert_eq!(back.unwrap().entry, entry, "{from} {to}");
                if !to.needs_repository(from) {
                    assert_eq!(convert(&first.entry, &foo(), to, None).unwrap(), second);
                }
            }
        }
        let times = convert(&entry, &foo(), CacheFormat::FlatHash, world.tree()).unwrap();
        let location = world.directory.path().canonicalize().unwrap();
        let place = location.join("eclass").display().to_string();
        assert_eq!(
            times.entry.to_md5_dict(),
            format!(
                "EAPI=8\nFUTURE=1\nSLOT=0\n_eclasses_=b\t{place}\t200\ta\t{place}\t100\n_mtime_=300\n"
            )
        );
    }

    #[test]
    fn flat_list_tells_what_it_loses() {
        let world = World::new();
        let entry = world.md5_dict();
        let flat = convert(&entry, &foo(), CacheFormat::FlatList, world.tree()).unwrap();
        assert_eq!(flat.lost, ["FUTURE"]);
        assert_eq!(
            flat.entry.to_md5_dict(),
            "EAPI=8\nINHERITED=a b\nSLOT=0\n_mtime_=300\n"
        );
        let mut kept = entry.clone();
        kept.set("FUTURE", String::new());
        for format in [CacheFormat::FlatList, CacheFormat::FlatListPortage] {
            let again = convert(&flat.entry, &foo(), format, None).unwrap();
            assert_eq!(again.entry, flat.entry);
            let back = convert(&again.entry, &foo(), CacheFormat::Md5Dict, world.tree());
            assert_eq!(back.unwrap().entry, kept);
        }
        let hash = convert(&entry, &foo(), CacheFormat::FlatHash, world.tree()).unwrap();
        let from_hash = convert(&hash.entry, &foo(), CacheFormat::FlatList, None).unwrap();
        assert_eq!(from_hash, flat);
    }

    #[test]
    fn without_a_repository_some_things_are_unknown() {
        let world = World::new();
        let error = convert(&world.md5_dict(), &foo(), CacheFormat::FlatHash, None).unwrap_err();
        assert!(matches!(error, MetadataError::NeedsRepository { .. }));
        // No eclasses, so no directories either.
        let md5 = HashName::Md5.hex(b"");
        let plain = Entry::parse(&format!("EAPI=8\n_md5_={md5}\n")).unwrap();
        assert!(convert(&plain, &foo(), CacheFormat::FlatHashMd5, None).is_ok());
    }

    #[test]
    fn outdated_entries_are_not_converted() {
        let world = World::new();
        let reason = |entry: &Entry, to| match convert(entry, &foo(), to, world.tree()) {
            Err(MetadataError::Outdated(reason)) => Some(reason),
            _ => None,
        };
        let md5 = world.md5_dict();
        let to = CacheFormat::FlatHash;
        let times = convert(&md5, &foo(), to, world.tree()).unwrap().entry;
        let path = |name: &str| world.directory.path().join(name);
        touch(&path("eclass/a.eclass"), 101);
        let changed = Some(StaleReason::EclassChanged("a".to_owned()));
        assert_eq!(reason(&times, CacheFormat::Md5Dict), changed);
        // To the checksum a time means nothing.
        assert_eq!(reason(&md5, to), None);
        touch(&path(EBUILD), 301);
        let changed = Some(StaleReason::EbuildChanged);
        assert_eq!(reason(&times, CacheFormat::Md5Dict), changed);
        fs::remove_file(path("eclass/b.eclass")).unwrap();
        let gone = Some(StaleReason::EclassMissing("b".to_owned()));
        assert_eq!(reason(&md5, to), gone);
        fs::remove_file(path(EBUILD)).unwrap();
        assert_eq!(reason(&md5, to), Some(StaleReason::EbuildMissing));
    }

    #[test]
    fn unknown_eapis_are_carried() {
        let world = World::new();
        for eapi in ["9999", "-9999"] {
            let mut entry = world.md5_dict();
            entry.set("EAPI", eapi.to_owned());
            entry.set("FUTURE", String::new());
            let flat = convert(&entry, &foo(), CacheFormat::FlatList, world.tree()).unwrap();
            let back = convert(&flat.entry, &foo(), CacheFormat::Md5Dict, world.tree()).unwrap();
            assert_eq!(back.entry, entry);
        }
    }
}
