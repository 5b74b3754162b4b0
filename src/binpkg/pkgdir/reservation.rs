//! A build id that is held while its package is written.

use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use sha1::Sha1;

use super::{Format, PkgdirError};
use crate::util::atomic::sync_directory_of;
use crate::util::lock::Lock;

/// A place in PKGDIR that nobody else can take, and the package that is being written for it.
///
/// What is written to it goes to a hidden file beside the place; checksums are made on the way. Dropped without
/// [`Reservation::commit`] it leaves nothing.
#[derive(Debug)]
pub struct Reservation {
    partial: Lock,
    path: PathBuf,
    relative: PathBuf,
    build_id: Option<u64>,
    format: Format,
    /// Device and inode of the empty file that keeps the name.
    placeholder: Option<(u64, u64)>,
    md5: Md5,
    sha1: Sha1,
    size: u64,
    committed: bool,
}

/// A package that stands in PKGDIR.
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
            md5: Md5::new(),
            sha1: Sha1::new(),
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

    /// Where the package will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same below PKGDIR.
    pub fn relative_path(&self) -> &Path {
        &self.relative
    }

    /// Puts what was written in its place, safe from power failures.
    ///
    /// # Errors
    /// Syncing or renaming fails; then the place is free again.
    pub fn commit(mut self) -> Result<Written, PkgdirError> {
        let fail = |step| {
            let path = self.path.clone();
            move |source| PkgdirError::Io { path, step, source }
        };
        self.partial.file().sync_all().map_err(fail("synced"))?;
        let metadata = self.partial.file().metadata().map_err(fail("read"))?;
        fs::rename(self.partial.path(), &self.path).map_err(fail("renamed into place"))?;
        self.committed = true;
        sync_directory_of(&self.path).map_err(|error| PkgdirError::Io {
            path: error.path,
            step: error.step,
            source: error.source,
        })?;
        Ok(Written {
            path: self.path.clone(),
            relative_path: self.relative.clone(),
            build_id: self.build_id,
            md5: hexadecimal(&self.md5.finalize_reset()),
            sha1: hexadecimal(&self.sha1.finalize_reset()),
            size: self.size,
            mtime: metadata.mtime(),
        })
    }
}

impl Write for Reservation {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.partial.file().write(buffer)?;
        if let Some(written) = buffer.get(..count) {
            self.md5.update(written);
            self.sha1.update(written);
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

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
