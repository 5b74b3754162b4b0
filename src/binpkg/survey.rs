//! What stands in PKGDIR, held against its index, as `emaint binhost` does.
//!
//! A file that the index has with its size and time is believed. Any other is read, and is a package if its metadata
//! says that it belongs where it is: Portage would take it then, and only then.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indexmap::IndexMap;

use super::index::{Entry, FileFacts, Index, IndexError};
use super::package::{Package, PackageError};
use super::pkgdir::{
    Format, PackageFile, Pkgdir, PkgdirError, Unread, entries_of, is_passed_over, noting,
};
use super::xpak::Metadata;
use crate::pms::cpv::Cpv;
use crate::util::digest::{HashFileError, HashName, hash_file};

/// What tells one build of a package from another: name, build id, size, build time, and time of the file.
pub type InstanceKey = (String, Option<u64>, u64, Option<String>, i64);

/// Why a file with the name of a package is none that belongs into the index.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Its metadata lacks something.
    #[error("{}: the metadata has no {key}; nothing can be made of this package, delete it", path.display())]
    Missing {
        /// The package.
        path: PathBuf,
        /// The file of build-info.
        key: &'static str,
    },
    /// It is not named for what it is.
    #[error("{}: the package is {cpv}, so it does not belong there", path.display())]
    Misplaced {
        /// The package.
        path: PathBuf,
        /// What its metadata says.
        cpv: String,
    },
    /// Its build id is no number.
    #[error("{}: BUILD_ID of the metadata is no number", path.display())]
    BuildId {
        /// The package.
        path: PathBuf,
    },
    /// An entry cannot be made of its metadata.
    #[error("{}: no entry of the index can be made of the package", path.display())]
    Entry {
        /// The package.
        path: PathBuf,
        /// Why.
        source: IndexError,
    },
    /// Its checksums cannot be made.
    #[error(transparent)]
    Hash(#[from] HashFileError),
}

/// A package that stands in PKGDIR.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The path below PKGDIR.
    pub path: String,
    /// The package's full name.
    pub cpv: String,
    /// What is wrong with its entry, if anything.
    pub fault: Option<EntryFault>,
    /// The entry: the index's, or what should be there. Without checksums where it is missing.
    pub entry: Entry,
}

/// What is wrong with the index about one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryFault {
    /// It has no entry.
    Missing,
    /// It has one without checksums.
    NoDigests,
    /// It has one for another path.
    Moved,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Survey {
    /// The packages, those of the index first and in its order.
    pub standing: IndexMap<InstanceKey, Standing>,
    /// Entries of the index without a package.
    pub stale: Vec<Entry>,
    /// Files that are no packages though they are named so, and why.
    pub unusable: Vec<Unusable>,
    /// Why directories below PKGDIR cannot be read. What the index has below them is taken for what stands there.
    pub unread: Vec<Unread>,
}

/// What was read of files, for a second look at them.
#[derive(Debug, Default)]
pub struct Memory {
    read: HashMap<PathBuf, (Seen, Entry)>,
}

/// Size, time in nanoseconds, inode: what changes when a file does.
type Seen = (u64, i64, i64, u64);

fn seen(metadata: &fs::Metadata) -> Seen {
    (
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ino(),
    )
}

/// Looks at everything in `pkgdir`. Files that `memory` knows unchanged are not read again.
///
/// # Errors
/// PKGDIR cannot be read.
pub fn survey(pkgdir: &Pkgdir, index: &Index, memory: &Memory) -> Result<Survey, PkgdirError> {
    let mut by_path: HashMap<String, Vec<&Entry>> = HashMap::new();
    let mut by_key: IndexMap<InstanceKey, &Entry> = IndexMap::new();
    for entry in index.entries() {
        by_path
            .entry(entry.path().into_owned())
            .or_default()
            .push(entry);
        by_key.insert(instance_key(entry), entry);
    }
    let mut survey = Survey::default();
    let mut standing: HashMap<InstanceKey, Standing> = HashMap::new();
    let mut order = Vec::new();
    let (files, unread) = package_files(pkgdir)?;
    survey.unread = unread;
    for (path, metadata) in files {
        let known = by_path.get(&path).into_iter().flatten().find(|entry| {
            entry.size() == Some(metadata.size()) && entry.mtime() == Some(metadata.mtime())
        });
        let found = match known {
            Some(entry) => Standing {
                path,
                cpv: entry.cpv().to_owned(),
                fault: entry.get("MD5").is_none().then_some(EntryFault::NoDigests),
                entry: (*entry).clone(),
            },
            None => {
                let absolute = pkgdir.path().join(&path);
                let remembered = memory
                    .read
                    .get(&absolute)
                    .filter(|(before, _)| *before == seen(&metadata));
                let read = match remembered {
                    Some((_, entry)) => Ok(entry.clone()),
                    None => read(&absolute, &path, &metadata),
                };
                let fresh = match read {
                    Ok(fresh) => fresh,
                    Err(unusable) => {
                        survey.unusable.push(unusable);
                        continue;
                    }
                };
                let before = by_key
                    .get(&instance_key(&fresh))
                    .filter(|entry| entry.get("MD5").is_some());
                match before {
                    Some(before) => {
                        let mut entry = (*before).clone();
                        for (key, value) in fresh.iter() {
                            entry.set(key, value);
                        }
                        Standing {
                            path,
                            cpv: entry.cpv().to_owned(),
                            fault: Some(EntryFault::Moved),
                            entry,
                        }
                    }
                    None => Standing {
                        path,
                        cpv: fresh.cpv().to_owned(),
                        fault: Some(EntryFault::Missing),
                        entry: fresh,
                    },
                }
            }
        };
        let key = instance_key(&found.entry);
        if standing.insert(key.clone(), found).is_none() {
            order.push(key);
        }
    }
    for (key, entry) in &by_key {
        match standing
            .remove(key)
            .or_else(|| survey.unseen(pkgdir, entry))
        {
            Some(found) => {
                survey.standing.insert(key.clone(), found);
            }
            None => survey.stale.push((*entry).clone()),
        }
    }
    // Two entries for one package: the later one has its place.
    let kept: usize = by_key.len();
    if kept < index.entries().len() {
        for entry in index.entries() {
            let last = by_key.get(&instance_key(entry));
            if last.is_some_and(|last| !std::ptr::eq(*last, entry)) {
                survey.stale.push(entry.clone());
            }
        }
    }
    for key in order {
        if let Some(found) = standing.remove(&key) {
            survey.standing.insert(key, found);
        }
    }
    Ok(survey)
}

impl Survey {
    /// Whether the index says just what stands there.
    pub fn is_clean(&self) -> bool {
        self.stale.is_empty() && self.standing.values().all(|found| found.fault.is_none())
    }

    /// The package of an entry, if it is where nobody could look.
    fn unseen(&self, pkgdir: &Pkgdir, entry: &Entry) -> Option<Standing> {
        let place = pkgdir.path_of(entry)?;
        let mut unread = self.unread.iter();
        let hidden = unread.any(|unread| place.starts_with(&unread.path));
        hidden.then(|| Standing {
            path: entry.path().into_owned(),
            cpv: entry.cpv().to_owned(),
            fault: None,
            entry: entry.clone(),
        })
    }

    /// Makes the checksums of all packages whose entries lack them, several at a time, and remembers what was read.
    /// Packages that cannot be read meanwhile are left out.
    pub fn complete(&mut self, pkgdir: &Pkgdir, memory: &mut Memory) {
        let missing: Vec<(InstanceKey, PathBuf)> = self
            .standing
            .iter()
            .filter(|(_, found)| found.fault.is_some() && found.entry.get("MD5").is_none())
            .map(|(key, found)| (key.clone(), pkgdir.path().join(&found.path)))
            .collect();
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::new());
        let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
        std::thread::scope(|scope| {
            for _ in 0..threads.min(missing.len()) {
                scope.spawn(|| {
                    while let Some((key, path)) = missing.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        let before = fs::symlink_metadata(path).ok();
                        let digests = hash_file(path, &[HashName::Md5, HashName::Sha1]);
                        if let Ok(mut results) = results.lock() {
                            results.push((key, path, before, digests));
                        }
                    }
                });
            }
        });
        for (key, path, before, digests) in results.into_inner().unwrap_or_default() {
            match digests {
                Ok(digests) => {
                    let Some(found) = self.standing.get_mut(key) else {
                        continue;
                    };
                    for hash in [HashName::Md5, HashName::Sha1] {
                        found
                            .entry
                            .set(hash.name(), digests.get(hash).unwrap_or_default());
                    }
                    if let Some(before) = before
                        && found.fault == Some(EntryFault::Missing)
                    {
                        let what = (seen(&before), found.entry.clone());
                        memory.read.insert(path.clone(), what);
                    }
                }
                Err(error) => {
                    self.standing.shift_remove(key);
                    self.unusable.push(error.into());
                }
            }
        }
    }
}

/// The identity of the package that an entry tells of.
pub fn instance_key(entry: &Entry) -> InstanceKey {
    (
        entry.cpv().to_owned(),
        entry.build_id(),
        entry.size().unwrap_or(0),
        entry.get("BUILD_TIME").map(str::to_owned),
        entry.mtime().unwrap_or(0),
    )
}

/// Makes the entry of a package by its path below PKGDIR, without checksums.
pub(super) fn read(absolute: &Path, path: &str, file: &fs::Metadata) -> Result<Entry, Unusable> {
    let mut package = Package::open(absolute)?;
    let mut metadata = package.metadata()?;
    // Portage does not keep it when it makes an entry anew.
    metadata.remove("REPO_REVISIONS");
    let cpv = place(absolute, path, &metadata)?;
    let facts = FileFacts {
        path: path.to_owned(),
        size: file.size(),
        mtime: file.mtime(),
        md5: String::new(),
        sha1: String::new(),
    };
    Entry::from_metadata(&cpv, &metadata, &facts).map_err(|source| Unusable::Entry {
        path: absolute.to_owned(),
        source,
    })
}

/// What a package is by its metadata, if its path below PKGDIR is one that it may have.
fn place(absolute: &Path, path: &str, metadata: &Metadata) -> Result<Cpv, Unusable> {
    let text = |key: &'static str| {
        let text = String::from_utf8_lossy(metadata.get(key).map_or(&[], Vec::as_slice));
        text.trim().to_owned()
    };
    let wanted = |key| match text(key) {
        value if value.is_empty() => Err(Unusable::Missing {
            path: absolute.to_owned(),
            key,
        }),
        value => Ok(value),
    };
    let (category, pf) = (wanted("CATEGORY")?, wanted("PF")?);
    wanted("SLOT")?;
    let misplaced = || Unusable::Misplaced {
        path: absolute.to_owned(),
        cpv: format!("{category}/{pf}"),
    };
    let cpv = Cpv::from_parts(&category, &pf).map_err(|_| misplaced())?;
    let id = text("BUILD_ID");
    if !id.is_empty() && !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Unusable::BuildId {
            path: absolute.to_owned(),
        });
    }
    let parts: Vec<&str> = path.split('/').collect();
    let named = match parts.as_slice() {
        [category, pn, file] => PackageFile::in_package(category, pn, file),
        ["All", file] => PackageFile::in_category(&category, file),
        [category, file] => PackageFile::in_category(category, file),
        _ => None,
    };
    match named {
        Some(named) if named.cpv().as_str() == cpv.as_str() => Ok(cpv),
        _ => Err(misplaced()),
    }
}

/// Files with their paths below PKGDIR.
type Files = Vec<(String, fs::Metadata)>;

/// All files that are named as packages, in the order of the directories, and why directories below PKGDIR could not be
/// read. Placeholders are left out.
pub(super) fn package_files(pkgdir: &Pkgdir) -> Result<(Files, Vec<Unread>), PkgdirError> {
    let mut found = Vec::new();
    let mut unread = Vec::new();
    let mut waiting = vec![String::new()];
    while let Some(directory) = waiting.pop() {
        let mut below = Vec::new();
        let listed = entries_of(&pkgdir.path().join(&directory));
        let listed = match directory.is_empty() {
            true => listed?,
            false => noting(&mut unread, listed),
        };
        for (name, metadata) in listed {
            if metadata.is_dir() && is_passed_over(&name) {
                continue;
            }
            let path = match directory.as_str() {
                "" => name,
                directory => format!("{directory}/{name}"),
            };
            if metadata.is_dir() {
                below.push(path);
            } else if metadata.is_file()
                && metadata.size() > 0
                && Format::of_name(Path::new(&path)).is_some()
            {
                found.push((path, metadata));
            }
        }
        waiting.extend(below.into_iter().rev());
    }
    Ok((found, unread))
}
