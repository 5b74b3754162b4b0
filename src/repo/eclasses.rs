//! The eclasses of a repository's ebuilds, as they were before anything was sourced.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;

use super::{EclassFile, RepoError, RepoSet};

/// The eclasses that ebuilds of one repository can inherit, each as it was when it was first looked
/// at.
///
/// Whoever sources ebuilds takes this before the first of them. When somebody replaces an eclass
/// meanwhile, nobody knows which of both texts bash has read; with the checksum of the older one the
/// entry counts as stale afterwards and is made again, with that of the newer one it would count as
/// right for ever.
#[derive(Debug)]
pub struct Eclasses {
    repository: String,
    known: Mutex<IndexMap<String, EclassFile>>,
}

impl Eclasses {
    /// Looks at all eclasses that ebuilds of the repository called `repository` can inherit. Those
    /// that cannot be read are passed over, as perhaps nobody inherits them.
    ///
    /// # Errors
    /// There is no such repository.
    pub fn of(repositories: &RepoSet, repository: &str) -> Result<Self, RepoError> {
        let eclasses = Self::none_yet(repository);
        for place in repositories.eclass_order(repository)? {
            for found in fs::read_dir(place.eclass_dir()).into_iter().flatten() {
                let name = found.ok().map(|found| found.file_name());
                let name = name.as_ref().and_then(|name| name.to_str());
                if let Some(name) = name.and_then(|name| name.strip_suffix(".eclass")) {
                    let _ = eclasses.get(repositories, name);
                }
            }
        }
        Ok(eclasses)
    }

    /// Looks at nothing before it is asked for.
    #[must_use]
    pub fn none_yet(repository: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            known: Mutex::default(),
        }
    }

    /// How many were looked at so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known().len()
    }

    /// Whether none was looked at so far.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known().is_empty()
    }

    /// Whether the eclass is among the first `len` that were looked at.
    #[must_use]
    pub fn was_among(&self, len: usize, name: &str) -> bool {
        self.known().get_index_of(name).is_some_and(|at| at < len)
    }

    /// The file of an eclass and the checksum that it had when it was first looked at, which is now
    /// if it never was.
    ///
    /// # Errors
    /// As [`RepoSet::eclass`].
    pub fn get(&self, repositories: &RepoSet, name: &str) -> Result<EclassFile, RepoError> {
        if let Some(known) = self.known().get(name) {
            return Ok(known.clone());
        }
        let found = repositories.eclass(&self.repository, name)?;
        let mut known = self.known();
        Ok(known.entry(name.to_owned()).or_insert(found).clone())
    }

    /// The files of those that are others by now, or gone, sorted.
    #[must_use]
    pub fn changed(&self, repositories: &RepoSet) -> Vec<PathBuf> {
        let mut changed: Vec<PathBuf> = self
            .known()
            .iter()
            .filter(|(name, known)| {
                repositories
                    .eclass(&self.repository, name)
                    .map_or(true, |now| now != **known)
            })
            .map(|(_, known)| known.path.clone())
            .collect();
        changed.sort_unstable();
        changed
    }

    fn known(&self) -> MutexGuard<'_, IndexMap<String, EclassFile>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
