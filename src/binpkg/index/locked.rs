//! Changing the index while others do.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Entry, HeaderSettings, Index, IndexError};
use crate::binpkg::pkgdir::{Pkgdir, PkgdirError};
use crate::util::atomic::{AtomicError, AtomicFile};
use crate::util::lock::{Lock, portage_lockfile};

/// The index as it is on disk, locked so that nobody else, Portage included, changes it meanwhile.
#[derive(Debug)]
pub struct LockedIndex<'a> {
    pkgdir: &'a Pkgdir,
    index: Index,
    /// Let go of last.
    _lock: Lock,
}

impl Pkgdir {
    /// Locks the index, waiting for as long as it takes, and reads it.
    ///
    /// # Errors
    /// The index cannot be locked or read.
    pub fn lock_index(&self) -> Result<LockedIndex<'_>, IndexError> {
        let lock = Lock::acquire(&self.index_lock_path()).map_err(PkgdirError::from)?;
        self.with_lock(lock)
    }

    /// Locks the index and reads it, or gives `None` when somebody else is at it.
    ///
    /// # Errors
    /// The index cannot be locked or read.
    pub fn try_lock_index(&self) -> Result<Option<LockedIndex<'_>>, IndexError> {
        match Lock::try_acquire(&self.index_lock_path()).map_err(PkgdirError::from)? {
            Some(lock) => self.with_lock(lock).map(Some),
            None => Ok(None),
        }
    }

    /// The file that is locked while the index is changed, the same that Portage uses.
    pub fn index_lock_path(&self) -> std::path::PathBuf {
        portage_lockfile(&self.index_path())
    }

    fn with_lock(&self, lock: Lock) -> Result<LockedIndex<'_>, IndexError> {
        let lock = lock.remove_on_release();
        Ok(LockedIndex {
            pkgdir: self,
            index: Index::read(&self.index_path())?,
            _lock: lock,
        })
    }
}

impl LockedIndex<'_> {
    /// The index, with what was changed so far.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The index, to be changed.
    pub fn index_mut(&mut self) -> &mut Index {
        &mut self.index
    }

    /// Brings the header up to date, see [`Index::update_header`].
    pub fn update_header(&mut self, settings: &HeaderSettings) {
        self.index.update_header(settings);
    }

    /// Adds the entry of a package that stands in its place. One of the same path makes room for it, and so do entries
    /// of files in the same directory that are gone.
    pub fn insert(&mut self, entry: Entry) {
        let path = entry.path().into_owned();
        let directory = Path::new(&path).parent();
        let pkgdir = self.pkgdir.path();
        self.index.retain(|other| {
            let other = other.path();
            Path::new(other.as_ref()).parent() != directory || pkgdir.join(other.as_ref()).is_file()
        });
        self.index.forget_revisions();
        self.index.insert(entry);
    }

    /// Removes all entries whose file is gone, and gives their paths.
    pub fn remove_vanished(&mut self) -> Vec<String> {
        let mut vanished = Vec::new();
        let pkgdir = self.pkgdir.path();
        self.index.retain(|entry| {
            let path = entry.path();
            let stands = pkgdir.join(path.as_ref()).is_file();
            if !stands {
                vanished.push(path.into_owned());
            }
            stands
        });
        vanished
    }

    /// Writes the index, and `Packages.gz` with `FEATURES=compress-index`, and lets go of the lock.
    ///
    /// Without `FEATURES=pkgdir-index-trusted` entries whose file is gone are removed first.
    ///
    /// # Errors
    /// Writing fails; the index on disk is then the old one.
    pub fn commit(mut self) -> Result<(), IndexError> {
        if !self.pkgdir.options().index_trusted {
            self.remove_vanished();
        }
        // Clients compare the time of the file with TIMESTAMP, so both are the same and in whole seconds.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let time = UNIX_EPOCH + Duration::from_secs(now);
        let content = self.index.write(now);
        let plain = self.pkgdir.index_path();
        let compressed = plain.with_extension("gz");
        self.write_file(&plain, &content, time)?;
        if self.pkgdir.options().compress_index {
            let fail = |source| IndexError::Compressed {
                path: compressed.clone(),
                step: "written",
                source,
            };
            let mut encoder = flate2::GzBuilder::new()
                .mtime(now as u32)
                .operating_system(255)
                .write(Vec::new(), flate2::Compression::best());
            encoder.write_all(&content).map_err(fail)?;
            let bytes = encoder.finish().map_err(fail)?;
            self.write_file(&compressed, &bytes, time)?;
        } else if let Err(source) = fs::remove_file(&compressed)
            && source.kind() != io::ErrorKind::NotFound
        {
            return Err(IndexError::Compressed {
                path: compressed,
                step: "removed",
                source,
            });
        }
        Ok(())
    }

    fn write_file(&self, path: &Path, content: &[u8], time: SystemTime) -> Result<(), AtomicError> {
        let mode = fs::metadata(path).map_or(0o644, |metadata| metadata.mode() & 0o777);
        let mut file = AtomicFile::create(path, mode)?;
        self.pkgdir.share_file(file.file());
        file.write_all(content).map_err(|source| AtomicError {
            path: path.to_owned(),
            step: "written",
            source,
        })?;
        file.set_modified(time)?;
        file.commit()
    }
}
