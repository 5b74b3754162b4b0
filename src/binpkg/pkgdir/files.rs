//! What stands in the directories of PKGDIR, and what is left over there.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::PkgdirError;
use super::names::{self, Format};
use crate::util::lock::Lock;

/// A directory of PKGDIR cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be read, so nothing below it is looked at", path.display())]
pub struct Unread {
    /// The directory.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl From<Unread> for PkgdirError {
    fn from(unread: Unread) -> Self {
        Self::io(&unread.path, "read", unread.source)
    }
}

/// Removes the partial files in `directory` that nobody holds a lock on, and the placeholders they belong to.
pub(super) fn sweep_directory(directory: &Path) -> Result<Vec<PathBuf>, PkgdirError> {
    let mut swept = Vec::new();
    // Nothing can be removed where nothing can be read.
    for (file, metadata) in regular_files(directory).unwrap_or_default() {
        let Some(stem) = names::partial_stem(&file) else {
            continue;
        };
        let partial = directory.join(&file);
        // Somebody else's file in a directory that may not be written is no reason to stop.
        let Ok(Some(lock)) = Lock::try_acquire(&partial) else {
            continue;
        };
        let lock = lock.remove_on_release();
        // A builder may have come to its end since, and then this is a new file.
        let same = lock
            .file()
            .metadata()
            .is_ok_and(|now| (now.dev(), now.ino()) == (metadata.dev(), metadata.ino()));
        if !same {
            continue;
        }
        for placeholder in placeholders(directory, stem) {
            fs::remove_file(&placeholder)
                .map_err(|source| PkgdirError::io(&placeholder, "removed", source))?;
            swept.push(placeholder);
        }
        drop(lock);
        swept.push(partial);
    }
    Ok(swept)
}

/// What [`sweep_directory`] would remove.
pub(super) fn left_over(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (file, _) in regular_files(directory).unwrap_or_default() {
        let partial = directory.join(&file);
        if let Some(stem) = names::partial_stem(&file)
            && matches!(Lock::is_held(&partial), Ok(false))
            && partial.symlink_metadata().is_ok()
        {
            found.extend(placeholders(directory, stem));
            found.push(partial);
        }
    }
    found
}

/// The empty files that keep the names of a package which is not there yet.
fn placeholders(directory: &Path, stem: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for format in [Format::Xpak, Format::Gpkg] {
        let path = directory.join(format!("{stem}.{}", format.extension()));
        if path
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
        {
            found.push(path);
        }
    }
    found
}

/// Whether the package file that should stand at `path` is certainly not there.
///
/// A network file system may still remember that there was nothing, of a file that another builder has put there. So
/// nothing is gone that a fresh listing of the directory has, or about which there is no answer.
pub(in crate::binpkg) fn is_gone(path: &Path) -> bool {
    let absent = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    };
    match path.metadata() {
        Ok(metadata) => return !metadata.is_file(),
        Err(error) if !absent(&error) => return false,
        Err(_) => {}
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return true;
    };
    let listed = match fs::read_dir(directory) {
        Ok(listed) => listed,
        Err(error) => return absent(&error),
    };
    for entry in listed {
        match entry {
            Ok(entry) if entry.file_name() == name => {
                // A symlink was followed above, to nothing.
                return entry.file_type().is_ok_and(|kind| !kind.is_file());
            }
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    true
}

/// The directories below `path` that may be categories or packages, unsorted.
pub(super) fn directories(path: &Path) -> Result<Vec<String>, Unread> {
    Ok(entries(path)?
        .into_iter()
        .filter(|(name, metadata)| metadata.is_dir() && !is_passed_over(name))
        .map(|(name, _)| name)
        .collect())
}

/// Whether a directory has no packages, whatever is in it: hidden ones, and that of a file system for what it has lost,
/// which nobody but root may read. No category and no package can be called so.
pub(in crate::binpkg) fn is_passed_over(name: &str) -> bool {
    name.starts_with('.') || name == "lost+found"
}

/// What a directory below PKGDIR gave. One that cannot be read gives nothing and is noted in `unread`; one that
/// is gone meanwhile gives nothing.
pub(in crate::binpkg) fn noting<T: Default>(
    unread: &mut Vec<Unread>,
    found: Result<T, Unread>,
) -> T {
    found.unwrap_or_else(|error| {
        if error.source.kind() != io::ErrorKind::NotFound {
            unread.push(error);
        }
        T::default()
    })
}

pub(super) fn regular_files(path: &Path) -> Result<Vec<(String, Metadata)>, Unread> {
    Ok(entries(path)?
        .into_iter()
        .filter(|(_, metadata)| metadata.is_file())
        .collect())
}

/// What stands in a directory, but for names that no package can have because they are not UTF-8.
pub(in crate::binpkg) fn entries(path: &Path) -> Result<Vec<(String, Metadata)>, Unread> {
    let fail = |source| Unread {
        path: path.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        match entry.metadata() {
            Ok(metadata) => found.push((name, metadata)),
            // Removed by another builder meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail(error)),
        }
    }
    Ok(found)
}
