//! A build id that is held while its package is written.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::{Format, PkgdirError, names};
use crate::util::atomic::sync_directory_of;
use crate::util::digest::{Digests, HashName, MultiDigest};
use crate::util::lock::Lock;

/// What the index has of a package.
const CHECKSUMS: [HashName; 2] = [HashName::Md5, HashName::Sha1];

/// A place in PKGDIR that nobody else can take, and the package that is being written for it.
///
/// What is written to it goes to a hidden file beside the place; checksums are made on the way. [`Reservation::seal`]
/// ends the writing. Dropped without that it leaves nothing.
#[derive(Debug)]
pub struct Reservation {
    partial: Lock,
    path: PathBuf,
    relative: PathBuf,
    build_id: Option<u64>,
    format: Format,
    /// Device and inode of the empty file that keeps the name.
    placeholder: Option<(u64, u64)>,
    /// The checksums of what was written; none if it is hashed at the end.
    digest: Option<MultiDigest>,
    size: u64,
    committed: bool,
}

/// A package that is written, safe on disk, and waits for its place.
///
/// Where there is an index, it gets its place by [`LockedIndex::publish`](crate::binpkg::index::LockedIndex::publish).
/// Dropped without that it leaves nothing.
#[derive(Debug)]
pub struct Sealed {
    reservation: Reservation,
    written: Written,
}

/// A package of PKGDIR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// The same below PKGDIR, what the index calls `PATH`.
    pub relative_path: PathBuf,
    /// The build id, where the layout has any.
    pub build_id: Option<u64>,
    /// The MD5 checksum in hexadecimal, what build-info calls `BINPKGMD5`.
    pub md5: String,
    /// The SHA1 checksum in hexadecimal.
    pub sha1: String,
    /// The size in bytes.
    pub size: u64,
    /// The time of modification in seconds since 1970.
    pub mtime: i64,
}

impl Reservation {
    pub(super) fn new(
        pkgdir: &Path,
        partial: Lock,
        path: PathBuf,
        build_id: Option<u64>,
        format: Format,
        placeholder: Option<&Metadata>,
    ) -> Self {
        Self {
            partial,
            relative: path.strip_prefix(pkgdir).unwrap_or(&path).to_owned(),
            path,
            build_id,
            format,
            placeholder: placeholder.map(|metadata| (metadata.dev(), metadata.ino())),
            digest: Some(MultiDigest::new(&CHECKSUMS)),
            size: 0,
            committed: false,
        }
    }

    /// The build id; none in the layout without `binpkg-multi-instance`.
    pub fn build_id(&self) -> Option<u64> {
        self.build_id
    }

    /// The format it was reserved for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// `PF-BUILD_ID`, or `PF` in the layout without: the name without the extension.
    pub fn stem(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        names::stem(&name).to_owned()
    }

    /// Where the package will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same below PKGDIR.
    pub fn relative_path(&self) -> &Path {
        &self.relative
    }

    /// How many bytes were written.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Gives the package a time of modification, in seconds since 1970, instead of that of the last write.
    ///
    /// # Errors
    /// The time cannot be set.
    pub fn set_modified(&self, seconds: i64) -> io::Result<()> {
        let distance = Duration::from_secs(seconds.unsigned_abs());
        let time = match seconds {
            0.. => UNIX_EPOCH.checked_add(distance),
            _ => UNIX_EPOCH.checked_sub(distance),
        };
        let time = time.ok_or(io::ErrorKind::InvalidInput)?;
        self.partial.file().set_modified(time)
    }

    /// Writes over what was written from byte `at` on; the checksums are made anew at the end.
    ///
    /// # Errors
    /// Writing fails, or would make the package longer.
    pub fn rewrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if at.saturating_add(bytes.len() as u64) > self.size {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.hash_at_end();
        self.partial.file().write_all_at(bytes, at)
    }

    /// Says that something will be written over, so that checksums on the way would be in vain.
    pub fn hash_at_end(&mut self) {
        self.digest = None;
    }

    /// Reads `length` bytes of what was written, from byte `at` on.
    pub fn read_back(&self, at: u64, length: u64) -> impl Read + Send + '_ {
        ReadAt {
            file: self.partial.file(),
            at,
        }
        .take(length)
    }

    /// The checksums of what was written, which is also brought to disk.
    fn hash_and_sync(&mut self) -> Result<Digests, (&'static str, io::Error)> {
        let file = self.partial.file();
        let sync = || file.sync_all().map_err(|error| ("synced", error));
        match self.digest.take() {
            Some(digest) => sync().map(|()| digest.finish()),
            None => std::thread::scope(|scope| {
                let syncing = scope.spawn(sync);
                let mut digest = MultiDigest::new(&CHECKSUMS);
                let hashed = digest.update_reader(ReadAt { file, at: 0 });
                let failed = || Err(("synced", io::Error::other("the thread was ended")));
                syncing.join().unwrap_or_else(|_| failed())?;
                hashed.map_err(|error| ("read", error))?;
                Ok(digest.finish())
            }),
        }
    }

    /// Ends the writing, and waits until what was written is safe on disk.
    ///
    /// # Errors
    /// Syncing fails, or reading it again; then the place is free again.
    pub fn seal(mut self) -> Result<Sealed, PkgdirError> {
        let place = self.path.clone();
        let fail = |step, source| PkgdirError::io(&place, step, source);
        let digests = self
            .hash_and_sync()
            .map_err(|(step, source)| fail(step, source))?;
        let checksum = |name| digests.get(name).unwrap_or_default().to_owned();
        let metadata = self.partial.file().metadata();
        let metadata = metadata.map_err(|source| fail("read", source))?;
        Ok(Sealed {
            written: Written {
                path: self.path.clone(),
                relative_path: self.relative.clone(),
                build_id: self.build_id,
                md5: checksum(HashName::Md5),
                sha1: checksum(HashName::Sha1),
                size: self.size,
                mtime: metadata.mtime(),
            },
            reservation: self,
        })
    }
}

impl Sealed {
    /// What it will be in its place.
    pub fn written(&self) -> &Written {
        &self.written
    }

    /// Puts the package in its place, safe from power failures.
    ///
    /// # Errors
    /// Renaming fails; then the place is free again. Or its directory cannot be synced.
    pub fn commit(mut self) -> Result<Written, PkgdirError> {
        let place = &mut self.reservation;
        fs::rename(place.partial.path(), &place.path)
            .map_err(|source| PkgdirError::io(&place.path, "renamed into place", source))?;
        place.committed = true;
        sync_directory_of(&place.path).map_err(|error| PkgdirError::Io {
            path: error.path,
            step: error.step,
            source: error.source,
        })?;
        Ok(self.written)
    }
}

/// Reads a file from a position of its own.
struct ReadAt<'a> {
    file: &'a File,
    at: u64,
}

impl Read for ReadAt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Write for Reservation {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.partial.file().write(buffer)?;
        if let (Some(digest), Some(written)) = (&mut self.digest, buffer.get(..count)) {
            digest.update(written);
        }
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // The partial file goes with its lock. The placeholder goes before it, and only if it is still ours.
        if !self.committed
            && let Some(placeholder) = self.placeholder
            && let Ok(metadata) = self.path.symlink_metadata()
            && (metadata.dev(), metadata.ino()) == placeholder
        {
            let _ = fs::remove_file(&self.path);
        }
    }
}
