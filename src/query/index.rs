//! All entries of a repository in one file, with what tells whether they are still right.
//!
//! Neither the cache nor the ebuilds are read again as long as nothing has changed: of each folder and each ebuild the
//! index has a stamp (inode, size, times), and one of all eclasses. So asking costs a `stat` for each. Files that were
//! changed within the last second before they were looked at have no stamp, as another change in the same moment could
//! not be told from it. Deleting an index costs time and nothing else.

mod file;
mod work;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::file::{Head, place, read_head, read_texts, write};
use self::work::{Part, Work, assemble};
use crate::pms::cpv::Cpv;
use crate::repo::{Ebuild, RepoError, RepoSet, Repository};

/// Why a repository cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Something of the repository cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The repository cannot be used.
    #[error(transparent)]
    Repository(#[from] RepoError),
}

/// An ebuild of which there is no metadata.
#[derive(Debug, Clone)]
pub struct Unknown {
    /// The ebuild.
    pub ebuild: Ebuild,
    /// Why.
    pub reason: String,
}

/// What is to be asked for, which decides what has to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Names, versions and descriptions of best versions.
    Descriptions,
    /// All entries.
    Entries,
}

/// The entries of one repository.
#[derive(Debug)]
pub struct Index {
    repository: Arc<str>,
    head: Head,
    texts: String,
    unknown: Vec<Unknown>,
    faults: Vec<IndexError>,
}

/// An ebuild and the text of its cache entry.
#[derive(Debug)]
pub struct Row<'a> {
    /// Its name and version.
    pub cpv: Cpv,
    /// Its repository.
    pub repository: &'a Arc<str>,
    /// The entry.
    pub entry: &'a str,
}

/// A package, for a search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summary<'a> {
    pub(super) category: &'a str,
    pub(super) name: &'a str,
    pub(super) description: &'a str,
    pub(super) repository: &'a Arc<str>,
    best: &'a str,
}

impl Summary<'_> {
    /// The best version.
    pub(super) fn version(&self) -> &str {
        self.best.get(self.name.len() + 1..).unwrap_or_default()
    }
}

impl Index {
    /// The index of a repository, brought up to date. It is kept in `folder`, if there is one. Entries come from the
    /// cache that the repository ships, and from `writable_cache`, as [`metadata::lookup`] takes them.
    ///
    /// # Errors
    /// The repository's folder, its categories or eclasses cannot be read. Folders of categories and packages that
    /// cannot be are [`faults`](Self::faults).
    pub fn entries(
        set: &RepoSet,
        repository: &Repository,
        folder: Option<&Path>,
        writable_cache: Option<&Path>,
    ) -> Result<Self, IndexError> {
        Self::open(set, repository, folder, writable_cache, Extent::Entries)
    }

    /// The same with no more than the names of packages and the descriptions of their best versions.
    ///
    /// # Errors
    /// As for [`entries`](Self::entries).
    pub fn descriptions(
        set: &RepoSet,
        repository: &Repository,
        folder: Option<&Path>,
        writable_cache: Option<&Path>,
    ) -> Result<Self, IndexError> {
        Self::open(
            set,
            repository,
            folder,
            writable_cache,
            Extent::Descriptions,
        )
    }

    /// The entries of some packages, category/package, alone, which are looked up one by one.
    ///
    /// # Errors
    /// As for [`entries`](Self::entries).
    pub fn of_packages(
        set: &RepoSet,
        repository: &Repository,
        packages: &BTreeSet<&str>,
        writable_cache: Option<&Path>,
    ) -> Result<Self, IndexError> {
        let work = Work::new(set, repository, writable_cache, Extent::Entries)?;
        let categories = set.categories()?;
        let mut parts = Vec::new();
        for cp in packages {
            let Some((category, name)) = cp.split_once('/') else {
                continue;
            };
            if categories.iter().any(|known| known == category) {
                let mut part = Part::new(category, 0);
                work.package(cp, name.to_owned(), 0, None, "", false, &mut part);
                parts.push(part);
            }
        }
        let whole = assemble(parts, "");
        Ok(Self {
            repository: repository.name().into(),
            head: Head {
                categories: whole.categories,
                ..Head::default()
            },
            texts: whole.texts,
            unknown: whole.unknown,
            faults: whole.faults,
        })
    }

    fn open(
        set: &RepoSet,
        repository: &Repository,
        folder: Option<&Path>,
        writable_cache: Option<&Path>,
        extent: Extent,
    ) -> Result<Self, IndexError> {
        let path = folder.map(|folder| place(folder, repository));
        let file = path.as_deref().and_then(|path| File::open(path).ok());
        let (file, head) = match file.and_then(read_head) {
            Some((file, head)) if head.location == repository.location() => (Some(file), head),
            _ => (None, Head::default()),
        };
        let work = Work::new(set, repository, writable_cache, extent)?;
        let eclasses = work.eclasses()?;
        let known = file.is_some();
        let mut texts = None;
        // Only what has changed, or all entries, need the texts.
        if known
            && extent == Extent::Descriptions
            && head.eclasses == eclasses
            && work.is_unchanged(&head)?
        {
            return Ok(Self {
                repository: repository.name().into(),
                head,
                texts: String::new(),
                unknown: Vec::new(),
                faults: Vec::new(),
            });
        }
        if let Some(mut file) = file {
            texts = read_texts(&mut file, &head);
        }
        let (mut head, old) = match texts {
            Some(texts) => (head, texts),
            None => (Head::default(), String::new()),
        };
        let same_eclasses = known && head.eclasses == eclasses;
        let updated = work.update(&head, &old, same_eclasses)?;
        let changed = !same_eclasses || updated.iter().any(|part| part.changed);
        let mut unknown = Vec::new();
        if !changed {
            unknown.extend(updated.into_iter().flat_map(|part| part.unknown));
            return Ok(Self {
                repository: repository.name().into(),
                head,
                texts: old,
                unknown,
                faults: Vec::new(),
            });
        }
        let mut whole = assemble(updated, &old);
        unknown.append(&mut whole.unknown);
        let faults = whole.faults;
        let texts = whole.texts;
        head = Head {
            location: repository.location().to_owned(),
            eclasses,
            categories: whole.categories,
            texts: 0,
        };
        head.texts = texts.len() as u64;
        if let Some(path) = path {
            // Who may not write there, or has no room, looks everything up again the next time.
            let _ = write(&path, &head, &texts);
        }
        Ok(Self {
            repository: repository.name().into(),
            head,
            texts,
            unknown,
            faults,
        })
    }

    /// The folders that cannot be read; what is in them is left out.
    pub fn faults(&self) -> &[IndexError] {
        &self.faults
    }

    /// The ebuilds of which there is no metadata; they are not among the others.
    pub fn unknown(&self) -> &[Unknown] {
        &self.unknown
    }

    /// The ebuilds of one category and package, or all of them. Those whose names are not valid are left out.
    pub fn rows<'a>(&'a self, cp: Option<&str>) -> impl Iterator<Item = Row<'a>> {
        let wanted = cp
            .and_then(|cp| cp.split_once('/'))
            .map(|(category, name)| (category.to_owned(), name.to_owned()));
        self.head.categories.iter().flat_map(move |category| {
            let wanted = wanted.clone();
            let here = wanted
                .as_ref()
                .is_none_or(|(name, _)| *name == category.name);
            category
                .packages
                .iter()
                .filter(move |package| {
                    here && wanted
                        .as_ref()
                        .is_none_or(|(_, name)| *name == package.name)
                })
                .flat_map(|package| &package.ebuilds)
                .filter(|record| record.length > 0)
                .filter_map(|record| {
                    Some(Row {
                        cpv: Cpv::from_parts(&category.name, &record.pf).ok()?,
                        repository: &self.repository,
                        entry: record.text(&self.texts),
                    })
                })
        })
    }

    /// The packages.
    pub(super) fn summaries(&self) -> impl Iterator<Item = Summary<'_>> {
        self.head.categories.iter().flat_map(move |category| {
            category.packages.iter().filter_map(move |package| {
                Some(Summary {
                    category: &category.name,
                    name: &package.name,
                    description: &package.description,
                    repository: &self.repository,
                    best: &package.ebuilds.last()?.pf,
                })
            })
        })
    }
}
