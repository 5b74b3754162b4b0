//! Bringing an index up to date: what has changed is looked up in the cache, all else is kept.

use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, SFlag, fstatat};

use super::file::{Category, Head, Package, Record};
use super::{Extent, IndexError, Unknown};
use crate::metadata::{self, Entry, Lookup};
use crate::pms::cpv::Cpv;
use crate::pms::names::NameKind;
use crate::repo::{Ebuild, RepoSet, Repository};

/// How young a change may not be to have a stamp, in seconds.
const TOO_YOUNG: i64 = 1;

/// The stamp of what is to be looked at again in any case.
const NEVER: u64 = u64::MAX;

/// What is needed to look at a repository.
pub(super) struct Work<'a> {
    set: &'a RepoSet,
    repository: &'a Repository,
    root: File,
    writable_cache: Option<&'a Path>,
    extent: Extent,
    now: i64,
}

/// A category as it is now.
pub(super) struct Part {
    category: Category,
    /// Texts that are not in the old index, in the order of their records.
    fresh: Vec<String>,
    pub(super) unknown: Vec<Unknown>,
    /// What cannot be read, and is left out.
    faults: Vec<IndexError>,
    pub(super) changed: bool,
}

impl Part {
    pub(super) fn new(category: &str, stamp: u64) -> Self {
        Part {
            category: Category {
                name: category.to_owned(),
                stamp,
                packages: Vec::new(),
            },
            fresh: Vec::new(),
            unknown: Vec::new(),
            faults: Vec::new(),
            changed: false,
        }
    }

    /// Leaves something of the category, or all of it, out, this time.
    pub(super) fn leave_out(&mut self, error: IndexError) {
        self.faults.push(error);
        self.category.stamp = NEVER;
        self.changed = true;
    }
}

impl<'a> Work<'a> {
    pub(super) fn new(
        set: &'a RepoSet,
        repository: &'a Repository,
        writable_cache: Option<&'a Path>,
        extent: Extent,
    ) -> Result<Self, IndexError> {
        let location = repository.location();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Work {
            set,
            repository,
            root: File::open(location).map_err(read_error(location))?,
            writable_cache,
            extent,
            now: now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(0)),
        })
    }

    /// The state of a file or folder below the repository; none if it is not there.
    fn look(&self, path: &str) -> Result<Option<(FileStat, u64)>, IndexError> {
        let stat = match fstatat(&self.root, path, AtFlags::empty()) {
            Ok(stat) => stat,
            Err(nix::Error::ENOENT | nix::Error::ENOTDIR) => return Ok(None),
            Err(error) => {
                let path = self.repository.location().join(path);
                return Err(IndexError::Read {
                    path,
                    source: error.into(),
                });
            }
        };
        if stat.st_mtime.max(stat.st_ctime) + TOO_YOUNG >= self.now {
            return Ok(Some((stat, 0)));
        }
        let mut hasher = DefaultHasher::new();
        hash_state(&stat, &mut hasher);
        Ok(Some((stat, hasher.finish().clamp(1, NEVER - 1))))
    }

    fn stamp(&self, path: &str) -> Result<u64, IndexError> {
        Ok(self.look(path)?.map_or(0, |(_, stamp)| stamp))
    }

    /// A stamp of all eclasses that ebuilds may inherit.
    pub(super) fn eclasses(&self) -> Result<u64, IndexError> {
        let mut hasher = DefaultHasher::new();
        for repository in self.set.eclass_order(self.repository.name())? {
            let folder = repository.eclass_dir();
            let mut names = names_in(&folder)?;
            names.sort();
            folder.hash(&mut hasher);
            for name in names {
                let path = folder.join(&name);
                let Ok(stat) = nix::sys::stat::stat(&path) else {
                    continue;
                };
                if stat.st_mtime.max(stat.st_ctime) + TOO_YOUNG >= self.now {
                    // Never the same as another.
                    SystemTime::now().hash(&mut hasher);
                }
                name.hash(&mut hasher);
                hash_state(&stat, &mut hasher);
            }
        }
        Ok(hasher.finish())
    }

    /// Whether names and the best versions are as they were.
    pub(super) fn is_unchanged(&self, head: &Head) -> Result<bool, IndexError> {
        let names = self.set.categories()?;
        if !head
            .categories
            .iter()
            .map(|category| &category.name)
            .eq(&names)
        {
            return Ok(false);
        }
        let results = in_threads(&head.categories, |category| {
            // What cannot be looked at is told by the update.
            let is_now = |path: &str, stamp| self.stamp(path).is_ok_and(|found| found == stamp);
            if !is_now(&category.name, category.stamp) {
                return Ok(false);
            }
            let mut path = String::new();
            for package in &category.packages {
                path.clear();
                path.push_str(&category.name);
                path.push('/');
                path.push_str(&package.name);
                if package.stamp == 0 || !is_now(&path, package.stamp) {
                    return Ok(false);
                }
                if let Some(best) = package.ebuilds.last() {
                    path.push('/');
                    path.push_str(&best.pf);
                    path.push_str(".ebuild");
                    if best.stamp == 0 || !is_now(&path, best.stamp) {
                        return Ok(false);
                    }
                }
            }
            Ok::<_, IndexError>(true)
        })?;
        Ok(results.into_iter().all(|same| same))
    }

    /// All categories as they are now.
    pub(super) fn update(
        &self,
        head: &Head,
        old: &str,
        same_eclasses: bool,
    ) -> Result<Vec<Part>, IndexError> {
        let known: HashMap<&str, &Category> = head
            .categories
            .iter()
            .map(|category| (category.name.as_str(), category))
            .collect();
        let names = self.set.categories()?;
        let more = names.len() != head.categories.len();
        let mut parts = in_threads(&names, |name| {
            let known = known.get(name.as_str()).copied();
            let part = self.category(name, known, old, same_eclasses);
            Ok::<_, IndexError>(part.unwrap_or_else(|error| {
                let mut part = Part::new(name, 0);
                part.leave_out(error);
                part
            }))
        })?;
        if more && let Some(part) = parts.first_mut() {
            part.changed = true;
        }
        Ok(parts)
    }

    fn category(
        &self,
        name: &str,
        known: Option<&Category>,
        old: &str,
        same_eclasses: bool,
    ) -> Result<Part, IndexError> {
        let none = Category::default();
        let before = known.unwrap_or(&none);
        let stamp = self.stamp(name)?;
        let mut part = Part::new(name, stamp);
        part.changed = known.is_none() || stamp != before.stamp;
        let folder = self.repository.location().join(name);
        let names: Vec<String> = match stamp != 0 && stamp == before.stamp {
            true => before
                .packages
                .iter()
                .map(|package| package.name.clone())
                .collect(),
            false => {
                let mut names = names_in(&folder)?;
                names.retain(|name| NameKind::Package.is_valid(name));
                names.sort();
                names
            }
        };
        let known: HashMap<&str, &Package> = before
            .packages
            .iter()
            .map(|package| (package.name.as_str(), package))
            .collect();
        for name in names {
            let cp = format!("{}/{name}", part.category.name);
            let (stat, stamp) = match self.look(&cp) {
                Ok(Some(found)) => found,
                Ok(None) => {
                    part.changed = true;
                    continue;
                }
                Err(error) => {
                    part.leave_out(error);
                    continue;
                }
            };
            if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFDIR {
                continue;
            }
            let before = known.get(name.as_str()).copied();
            self.package(&cp, name, stamp, before, old, same_eclasses, &mut part);
        }
        part.changed |= part.category.packages.len() != before.packages.len();
        Ok(part)
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn package(
        &self,
        cp: &str,
        name: String,
        stamp: u64,
        known: Option<&Package>,
        old: &str,
        same_eclasses: bool,
        part: &mut Part,
    ) {
        let mut package = Package {
            name,
            stamp,
            ..Package::default()
        };
        let before = known
            .map(|package| package.ebuilds.as_slice())
            .unwrap_or_default();
        let same_names = stamp != 0 && known.is_some_and(|package| package.stamp == stamp);
        part.changed |=
            !same_names && known.is_none_or(|package| package.stamp != stamp || stamp != 0);
        // The names as they are, or the ebuilds if they have to be looked for.
        let mut listed: Vec<(String, Option<Ebuild>)> = Vec::new();
        match same_names {
            true => listed.extend(before.iter().map(|record| (record.pf.clone(), None))),
            false => {
                let ebuilds = match self.repository.ebuilds(cp) {
                    Ok(package) => package.ebuilds,
                    Err(error) => return part.leave_out(error.into()),
                };
                listed.extend(
                    ebuilds
                        .into_iter()
                        .map(|ebuild| (ebuild.cpv.pf().to_owned(), Some(ebuild))),
                );
                part.changed |= !listed
                    .iter()
                    .map(|(pf, _)| pf)
                    .eq(before.iter().map(|record| &record.pf));
            }
        }
        let category = part.category.name.clone();
        for (pf, ebuild) in listed {
            // One that cannot be looked at is unknown.
            let stamp = self.stamp(&format!("{cp}/{pf}.ebuild")).unwrap_or(0);
            let record = before.iter().find(|record| record.pf == pf);
            if let Some(record) = record
                && stamp != 0
                && record.stamp == stamp
                && record.length > 0
                && (same_eclasses || self.has_same_eclasses(record.text(old)))
            {
                package.ebuilds.push(record.clone());
                continue;
            }
            let ebuild = match ebuild {
                Some(ebuild) => ebuild,
                None => match Cpv::from_parts(&category, &pf) {
                    Ok(cpv) => Ebuild {
                        cpv,
                        path: self.repository.location().join(format!("{cp}/{pf}.ebuild")),
                        repository: self.repository.name().into(),
                    },
                    Err(_) => continue,
                },
            };
            let reason = match metadata::lookup(self.set, &ebuild, self.writable_cache) {
                Ok(Lookup::Valid(entry)) => {
                    let text = entry.to_md5_dict();
                    let same = record
                        .is_some_and(|record| record.stamp == stamp && record.text(old) == text);
                    part.changed |= !same;
                    part.fresh.push(text);
                    package.ebuilds.push(Record {
                        pf,
                        stamp,
                        start: FRESH,
                        length: 1,
                    });
                    continue;
                }
                Ok(Lookup::Stale(reason)) => reason.to_string(),
                Ok(Lookup::Missing) => "there is no entry".to_owned(),
                Err(error) => error.to_string(),
            };
            part.changed |= record.is_none_or(|record| record.length != 0);
            part.unknown.push(Unknown { ebuild, reason });
            package.ebuilds.push(Record {
                pf,
                ..Record::default()
            });
        }
        if self.extent == Extent::Descriptions {
            // Nobody asks for the metadata of all of them.
            let best = package.ebuilds.last().map(|record| record.pf.clone());
            part.unknown.retain(|unknown| {
                unknown.ebuild.cpv.cp() != cp || Some(unknown.ebuild.cpv.pf()) == best.as_deref()
            });
        }
        part.category.packages.push(package);
    }

    /// Whether the eclasses that an entry names are what they were.
    fn has_same_eclasses(&self, text: &str) -> bool {
        let Ok(entry) = Entry::parse_checks(text) else {
            return false;
        };
        let same = |(name, md5): (&str, &str)| {
            let found = self.set.eclass(self.repository.name(), name);
            found.is_ok_and(|found| found.md5 == md5)
        };
        entry
            .eclasses()
            .is_ok_and(|eclasses| eclasses.into_iter().all(same))
    }
}

/// What changes when a file does.
fn hash_state(stat: &FileStat, hasher: &mut DefaultHasher) {
    let written = (stat.st_mtime, stat.st_mtime_nsec);
    let changed = (stat.st_ctime, stat.st_ctime_nsec);
    (stat.st_ino, stat.st_size, written, changed).hash(hasher);
}

/// The names in a folder; none if it is not there.
fn names_in(folder: &Path) -> Result<Vec<String>, IndexError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(read_error(folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(read_error(folder))?;
        if let Ok(name) = entry.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

/// Does something for each item, in as many threads as there are cores; the results are in the items' order.
fn in_threads<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(8);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(item) = items.get(at) else {
                return done;
            };
            done.push((at, work(item)));
        }
    };
    let mut all: Vec<(usize, Result<R, E>)> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut all = run();
        for other in others {
            match other.join() {
                Ok(done) => all.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, result)| result).collect()
}

/// The parts of an index put together.
pub(super) struct Whole {
    pub(super) categories: Vec<Category>,
    pub(super) texts: String,
    pub(super) unknown: Vec<Unknown>,
    pub(super) faults: Vec<IndexError>,
}

/// Puts parts together, with their texts one behind the other; `old` has those that are kept.
pub(super) fn assemble(parts: Vec<Part>, old: &str) -> Whole {
    let mut whole = Whole {
        categories: Vec::with_capacity(parts.len()),
        texts: String::with_capacity(old.len()),
        unknown: Vec::new(),
        faults: Vec::new(),
    };
    for part in parts {
        whole.unknown.extend(part.unknown);
        whole.faults.extend(part.faults);
        let mut category = part.category;
        let mut fresh = part.fresh.into_iter();
        for package in &mut category.packages {
            for record in &mut package.ebuilds {
                let start = whole.texts.len();
                if record.start == FRESH {
                    whole.texts.push_str(&fresh.next().unwrap_or_default());
                } else {
                    whole.texts.push_str(record.text(old));
                }
                record.start = start as u64;
                record.length = (whole.texts.len() - start) as u64;
            }
            let best = package.ebuilds.iter().rev();
            let best = best.map(|record| record.text(&whole.texts));
            let best = best.into_iter().find(|text| !text.is_empty());
            package.description = best.map(description).unwrap_or_default().to_owned();
        }
        whole.categories.push(category);
    }
    whole
}

/// Where the text of an entry is not in the old texts.
const FRESH: u64 = u64::MAX;

fn description(entry: &str) -> &str {
    entry
        .split('\n')
        .find_map(|line| line.strip_prefix("DESCRIPTION="))
        .unwrap_or_default()
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> IndexError {
    let path = path.to_owned();
    move |source| IndexError::Read { path, source }
}
