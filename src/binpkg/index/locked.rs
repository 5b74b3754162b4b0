//! Changing the index while others do.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Entry, FileFacts, HeaderSettings, Index, IndexError};
use crate::binpkg::pkgdir::{Pkgdir, PkgdirError, Sealed, Written, is_gone};
use crate::binpkg::xpak::Metadata;
use crate::pms::cpv::Cpv;
use crate::util::atomic::{AtomicError, AtomicFile};
use crate::util::lock::{Lock, portage_lockfile};

/// How much is done for a small `Packages.gz`. More makes it a tenth smaller, and takes several times as long, while
/// all other builders wait.
const LEVEL: u32 = 6;

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

    /// As [`Pkgdir::lock_index`], but an index of a later version is taken for an empty one, to be made anew.
    ///
    /// # Errors
    /// The index cannot be locked or read.
    pub fn lock_index_anew(&self) -> Result<LockedIndex<'_>, IndexError> {
        let lock = Lock::acquire(&self.index_lock_path()).map_err(PkgdirError::from)?;
        let lock = lock.remove_on_release();
        let index = match Index::read(&self.index_path()) {
            Err(IndexError::Version { .. }) => Index::default(),
            index => index?,
        };
        Ok(LockedIndex {
            pkgdir: self,
            index,
            _lock: lock,
        })
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

    /// Locks the index and does what [`LockedIndex::publish`] does, with `header` for the index.
    ///
    /// # Errors
    /// As there, or the index cannot be locked or read.
    pub fn publish(
        &self,
        package: Sealed,
        cpv: &Cpv,
        metadata: &Metadata,
        header: &HeaderSettings,
    ) -> Result<Written, IndexError> {
        let mut index = self.lock_index()?;
        index.update_header(header);
        index.publish(package, cpv, metadata)
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
            Path::new(other.as_ref()).parent() != directory
                || !is_gone(&pkgdir.join(other.as_ref()))
        });
        self.index.forget_revisions();
        self.index.insert(entry);
    }

    /// Puts a package in its place, adds its entry, writes the index and lets go of the lock.
    ///
    /// Both are done under one lock. Otherwise somebody else could find the package meanwhile, remove it, and a third
    /// one be given its place, whose entry would then be replaced by that of a package that is gone.
    ///
    /// # Errors
    /// `metadata` makes no entry, the package cannot get its place, or the index cannot be written. The package then
    /// leaves nothing, but in the last case, in which it has no entry yet.
    pub fn publish(
        mut self,
        package: Sealed,
        cpv: &Cpv,
        metadata: &Metadata,
    ) -> Result<Written, IndexError> {
        let entry = Entry::from_metadata(cpv, metadata, &FileFacts::try_from(package.written())?)?;
        let written = package.commit()?;
        self.insert(entry);
        self.commit()?;
        Ok(written)
    }

    /// Removes all entries whose file is gone, and gives their paths.
    pub fn remove_vanished(&mut self) -> Vec<String> {
        let mut vanished = Vec::new();
        let pkgdir = self.pkgdir.path();
        self.index.retain(|entry| {
            let path = entry.path();
            let gone = is_gone(&pkgdir.join(path.as_ref()));
            if gone {
                vanished.push(path.into_owned());
            }
            !gone
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
        self.write()
    }

    /// As [`LockedIndex::commit`], but keeps the lock.
    ///
    /// # Errors
    /// Writing fails; the index on disk is then the old one.
    pub fn write(&mut self) -> Result<(), IndexError> {
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
        let (packed, written) = std::thread::scope(|scope| {
            let compress = self.pkgdir.options().compress_index;
            let packing = compress.then(|| scope.spawn(|| pack(&content, now)));
            let written = self.write_file(&plain, &content, time);
            let packed = packing.map(|thread| {
                let end = thread.join();
                end.unwrap_or_else(|_| Err(io::Error::other("the thread was ended")))
            });
            (packed, written)
        });
        written?;
        if let Some(packed) = packed {
            let bytes = packed.map_err(|source| IndexError::Compressed {
                path: compressed.clone(),
                step: "written",
                source,
            })?;
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

/// The content of `Packages.gz`. `now` is in seconds since 1970.
fn pack(content: &[u8], now: u64) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::GzBuilder::new()
        .mtime(now as u32)
        .operating_system(255)
        .write(Vec::new(), flate2::Compression::new(LEVEL));
    encoder.write_all(content)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::binpkg::pkgdir::{Format, PkgdirOptions};

    fn pkgdir(options: PkgdirOptions) -> (tempfile::TempDir, Pkgdir) {
        let directory = tempfile::tempdir().unwrap();
        let pkgdir = Pkgdir::open(directory.path(), options).unwrap();
        (directory, pkgdir)
    }

    fn entry(pkgdir: &Pkgdir, cpv: &str, path: &str, stands: bool) -> Entry {
        if stands {
            let path = pkgdir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let mut entry = Entry::default();
        entry.set("CPV", cpv);
        entry.set("PATH", path);
        entry.set("REPO_REVISIONS", "{}");
        entry
    }

    fn paths(pkgdir: &Pkgdir) -> Vec<String> {
        let index = Index::read(&pkgdir.index_path()).unwrap();
        index
            .entries()
            .iter()
            .map(|entry| entry.path().into_owned())
            .collect()
    }

    #[test]
    fn locks_where_portage_locks() {
        let (directory, pkgdir) = pkgdir(PkgdirOptions::default());
        let index = pkgdir.lock_index().unwrap();
        assert!(directory.path().join(".Packages.portage_lockfile").exists());
        assert!(pkgdir.try_lock_index().unwrap().is_none());
        drop(index);
        assert!(!directory.path().join(".Packages.portage_lockfile").exists());
        assert!(pkgdir.try_lock_index().unwrap().is_some());
        assert!(!pkgdir.index_path().exists(), "nothing was committed");
    }

    #[test]
    fn the_time_of_the_file_is_its_timestamp() {
        let (_directory, pkgdir) = pkgdir(PkgdirOptions {
            compress_index: true,
            ..PkgdirOptions::default()
        });
        pkgdir.lock_index().unwrap().commit().unwrap();
        let index = Index::read(&pkgdir.index_path()).unwrap();
        let plain = fs::metadata(pkgdir.index_path()).unwrap();
        assert_eq!(
            index.header("TIMESTAMP"),
            Some(plain.mtime().to_string().as_str())
        );
        assert_eq!(plain.mtime_nsec(), 0);
        let compressed = pkgdir.path().join("Packages.gz");
        assert_eq!(fs::metadata(&compressed).unwrap().mtime(), plain.mtime());
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(fs::File::open(&compressed).unwrap())
            .read_to_end(&mut text)
            .unwrap();
        assert_eq!(text, fs::read(pkgdir.index_path()).unwrap());

        let plain_only = Pkgdir::open(pkgdir.path(), PkgdirOptions::default()).unwrap();
        plain_only.lock_index().unwrap().commit().unwrap();
        assert!(!compressed.exists(), "a stale Packages.gz misleads clients");
    }

    #[test]
    fn entries_of_vanished_files_go() {
        let (_directory, trusted) = pkgdir(PkgdirOptions::default());
        let mut index = trusted.lock_index().unwrap();
        for (cpv, path, stands) in [
            ("a/b-1", "a/b/b-1-1.xpak", false),
            ("a/b-1", "a/b/b-1-2.xpak", true),
            ("a/c-1", "a/c/c-1-1.xpak", false),
        ] {
            let entry = entry(&trusted, cpv, path, stands);
            index.index_mut().insert(entry);
        }
        index.insert(entry(&trusted, "a/b-1", "a/b/b-1-3.xpak", true));
        index.commit().unwrap();
        assert_eq!(
            paths(&trusted),
            ["a/b/b-1-2.xpak", "a/b/b-1-3.xpak", "a/c/c-1-1.xpak"]
        );

        let options = PkgdirOptions {
            index_trusted: false,
            ..PkgdirOptions::default()
        };
        Pkgdir::open(trusted.path(), options)
            .unwrap()
            .lock_index()
            .unwrap()
            .commit()
            .unwrap();
        assert_eq!(paths(&trusted), ["a/b/b-1-2.xpak", "a/b/b-1-3.xpak"]);
    }

    #[test]
    fn a_package_gets_its_place_and_its_entry_at_once() {
        let (_directory, pkgdir) = pkgdir(PkgdirOptions::default());
        let cpv = Cpv::parse("a/b-1").unwrap();
        let mut place = pkgdir.reserve(&cpv, Format::Xpak).unwrap();
        let path = place.path().to_owned();
        place.write_all(b"package").unwrap();
        let sealed = place.seal().unwrap();
        let metadata = [("SLOT".to_owned(), b"0\n".to_vec())].into();
        let held = pkgdir.lock_index().unwrap();
        std::thread::scope(|scope| {
            let publishing =
                scope.spawn(|| pkgdir.publish(sealed, &cpv, &metadata, &HeaderSettings::default()));
            std::thread::sleep(Duration::from_millis(200));
            assert_eq!(fs::read(&path).unwrap(), b"", "only the name is taken");
            drop(held);
            publishing.join().unwrap().unwrap();
        });
        assert_eq!(fs::read(&path).unwrap(), b"package");
        assert_eq!(paths(&pkgdir), ["a/b/b-1-1.xpak"]);
    }

    #[test]
    fn what_makes_no_entry_leaves_nothing() {
        let (_directory, pkgdir) = pkgdir(PkgdirOptions::default());
        let cpv = Cpv::parse("a/b-1").unwrap();
        let place = pkgdir.reserve(&cpv, Format::Xpak).unwrap();
        let path = place.path().to_owned();
        let header = HeaderSettings::default();
        let published = pkgdir.publish(place.seal().unwrap(), &cpv, &Metadata::default(), &header);
        assert!(published.unwrap_err().to_string().contains("SLOT"));
        assert!(!path.exists() && pkgdir.list().unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_gone() {
        let (_directory, pkgdir) = pkgdir(PkgdirOptions {
            index_trusted: false,
            ..PkgdirOptions::default()
        });
        fs::create_dir_all(pkgdir.path().join("a/b")).unwrap();
        // Whoever follows it gets an error that says nothing about the file.
        let looped = entry(&pkgdir, "a/b-1", "a/b/b-1-1.xpak", false);
        std::os::unix::fs::symlink("b-1-1.xpak", pkgdir.path().join("a/b/b-1-1.xpak")).unwrap();
        let dangling = entry(&pkgdir, "a/b-1", "a/b/b-1-2.xpak", false);
        std::os::unix::fs::symlink("nowhere", pkgdir.path().join("a/b/b-1-2.xpak")).unwrap();
        let mut index = pkgdir.lock_index().unwrap();
        index.index_mut().insert(looped);
        index.index_mut().insert(dangling);
        index.insert(entry(&pkgdir, "a/b-1", "a/b/b-1-3.xpak", true));
        index.commit().unwrap();
        assert_eq!(paths(&pkgdir), ["a/b/b-1-1.xpak", "a/b/b-1-3.xpak"]);
    }

    #[test]
    fn revisions_stay_with_the_latest_entry_only() {
        let (_directory, pkgdir) = pkgdir(PkgdirOptions::default());
        for path in ["a/b/b-1-1.xpak", "a/b/b-1-2.xpak"] {
            let entry = entry(&pkgdir, "a/b-1", path, true);
            let mut index = pkgdir.lock_index().unwrap();
            index.insert(entry);
            index.commit().unwrap();
        }
        let index = Index::read(&pkgdir.index_path()).unwrap();
        let revisions: Vec<_> = index
            .entries()
            .iter()
            .map(|entry| entry.get("REPO_REVISIONS"))
            .collect();
        assert_eq!(revisions, [None, Some("{}")]);
    }
}
