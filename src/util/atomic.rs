//! Files that appear complete or not at all.
//!
//! A file that others read is written under a hidden name beside its place and renamed over it, so that a reader,
//! or whoever comes after a kill, sees the old content or the new, never a part.

use std::fs::{File, Permissions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::NamedTempFile;

/// A step of writing a file failed.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be {step}", path.display())]
pub struct AtomicError {
    /// The file that was to be written, under its final name.
    pub path: PathBuf,
    /// What was tried: a participle such as `created`, `written`, `synced` or `renamed into place`.
    pub step: &'static str,
    /// What the system said.
    pub source: io::Error,
}

/// A file under construction beside its final place. Dropped without [`AtomicFile::commit`] it leaves nothing.
#[derive(Debug)]
pub struct AtomicFile {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl AtomicFile {
    /// Starts a file that will be at `path` with exactly the permissions `mode`, whatever the umask.
    ///
    /// # Errors
    /// The directory of `path` is missing or not writable.
    pub fn create(path: &Path, mode: u32) -> Result<Self, AtomicError> {
        let fail = |source| AtomicError {
            path: path.to_owned(),
            step: "created",
            source,
        };
        let mut prefix = std::ffi::OsString::from(".");
        // NAME_MAX is 255 bytes, and the longest names leave no room for more around them.
        let name = path
            .file_name()
            .ok_or_else(|| fail(io::ErrorKind::InvalidInput.into()))?;
        if name.len() <= 200 {
            prefix.push(name);
        }
        prefix.push(".");
        let temporary = tempfile::Builder::new()
            .prefix(&prefix)
            .tempfile_in(directory_of(path))
            .map_err(fail)?;
        temporary
            .as_file()
            .set_permissions(Permissions::from_mode(mode))
            .map_err(fail)?;
        Ok(Self {
            temporary,
            path: path.to_owned(),
        })
    }

    /// The final place.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name under which the file is being written.
    pub fn temporary_path(&self) -> &Path {
        self.temporary.path()
    }

    /// The open file, for reading back, or for changing owner and times.
    pub fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// Sets the modification time that the file will have. Writing afterwards changes it again.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_modified(&self, time: SystemTime) -> Result<(), AtomicError> {
        self.file()
            .set_modified(time)
            .map_err(|source| self.fail("given its time", source))
    }

    /// Puts the file in its place, so that it survives even a power failure from here on.
    ///
    /// # Errors
    /// Syncing or renaming fails; then nothing is left and what stood there before stands there still.
    pub fn commit(self) -> Result<(), AtomicError> {
        self.file()
            .sync_all()
            .map_err(|source| self.fail("synced", source))?;
        let path = self.path.clone();
        self.commit_unsynced()?;
        sync_directory_of(&path)
    }

    /// Puts the file in its place without waiting for the disk: a kill leaves the old or the new content, a power
    /// failure may leave neither. For files by the thousand that can be made again, such as metadata caches.
    ///
    /// # Errors
    /// Renaming fails; then nothing is left and what stood there before stands there still.
    pub fn commit_unsynced(self) -> Result<(), AtomicError> {
        let path = self.path;
        match self.temporary.persist(&path) {
            Ok(_) => Ok(()),
            Err(error) => Err(AtomicError {
                path,
                step: "renamed into place",
                source: error.error,
            }),
        }
    }

    fn fail(&self, step: &'static str, source: io::Error) -> AtomicError {
        AtomicError {
            path: self.path.clone(),
            step,
            source,
        }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.temporary.as_file_mut().write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.temporary.as_file_mut().flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.temporary.as_file_mut().seek(position)
    }
}

/// Writes a whole file at once, see [`AtomicFile::commit`].
///
/// # Errors
/// The file cannot be created, written, synced or renamed; what stood there before stands there still.
pub fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), AtomicError> {
    filled(path, content, mode)?.commit()
}

/// Writes a whole file at once without waiting for the disk, see [`AtomicFile::commit_unsynced`].
///
/// # Errors
/// The file cannot be created, written or renamed; what stood there before stands there still.
pub fn write_unsynced(path: &Path, content: &[u8], mode: u32) -> Result<(), AtomicError> {
    filled(path, content, mode)?.commit_unsynced()
}

/// Makes the names in the directory of `path` survive a power failure.
///
/// # Errors
/// The directory cannot be opened or synced.
pub fn sync_directory_of(path: &Path) -> Result<(), AtomicError> {
    File::open(directory_of(path))
        .and_then(|directory| directory.sync_all())
        .map_err(|source| AtomicError {
            path: path.to_owned(),
            step: "synced with its directory",
            source,
        })
}

fn filled(path: &Path, content: &[u8], mode: u32) -> Result<AtomicFile, AtomicError> {
    let mut file = AtomicFile::create(path, mode)?;
    file.write_all(content)
        .map_err(|source| file.fail("written", source))?;
    Ok(file)
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_content_and_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("Packages");
        fs::write(&path, "old").unwrap();
        let before = fs::metadata(&path).unwrap().ino();
        write(&path, b"new", 0o664).unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(after.mode() & 0o7777, 0o664);
        assert_ne!(before, after.ino(), "written in place");
        assert_eq!(names(directory.path()), ["Packages"]);
    }

    #[test]
    fn dropped_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "old").unwrap();
        let mut file = AtomicFile::create(&path, 0o644).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(names(directory.path()).len(), 2);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(file);
        assert_eq!(names(directory.path()), ["file"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn failed_commit_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("place");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("occupant"), "").unwrap();
        let error = write(&path, b"x", 0o644).unwrap_err();
        assert_eq!(error.step, "renamed into place");
        assert_eq!(names(directory.path()), ["place"]);
    }

    #[test]
    fn keeps_the_time_it_was_given() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut file = AtomicFile::create(&path, 0o600).unwrap();
        file.write_all(b"x").unwrap();
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        file.set_modified(time).unwrap();
        file.commit().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), time);
    }

    #[test]
    fn longest_names_fit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("n".repeat(255));
        write_unsynced(&path, b"x", 0o644).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }

    #[test]
    fn names_the_missing_directory() {
        let directory = tempfile::tempdir().unwrap();
        let error = write(&directory.path().join("none/file"), b"", 0o644).unwrap_err();
        assert!(
            error.to_string().ends_with("none/file: cannot be created"),
            "{error}"
        );
    }
}
