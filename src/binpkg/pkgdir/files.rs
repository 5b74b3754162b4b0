//! What stands in the directories of PKGDIR, and what is left over there.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::PkgdirError;
use super::names::{self, Format};
use crate::util::lock::Lock;

/// Removes the partial files in `directory` that nobody holds a lock on, and the placeholders they belong to.
pub(super) fn sweep_directory(directory: &Path) -> Result<Vec<PathBuf>, PkgdirError> {
    let mut swept = Vec::new();
    for (file, _) in regular_files(directory)? {
        let Some(stem) = names::partial_stem(&file) else {
            continue;
        };
        let partial = directory.join(&file);
        // Somebody else's file in a directory that may not be written is no reason to stop.
        let Ok(Some(lock)) = Lock::try_acquire(&partial) else {
            continue;
        };
        let lock = lock.remove_on_release();
        for format in [Format::Xpak, Format::Gpkg] {
            let placeholder = directory.join(format!("{stem}.{}", format.extension()));
            if placeholder
                .symlink_metadata()
                .is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
            {
                fs::remove_file(&placeholder)
                    .map_err(|source| PkgdirError::io(&placeholder, "removed", source))?;
                swept.push(placeholder);
            }
        }
        drop(lock);
        swept.push(partial);
    }
    Ok(swept)
}

/// The directories below `path` that may be categories or packages, unsorted.
pub(super) fn directories(path: &Path) -> Result<Vec<String>, PkgdirError> {
    Ok(entries(path)?
        .into_iter()
        .filter(|(_, metadata)| metadata.is_dir())
        .map(|(name, _)| name)
        .collect())
}

pub(super) fn regular_files(path: &Path) -> Result<Vec<(String, Metadata)>, PkgdirError> {
    Ok(entries(path)?
        .into_iter()
        .filter(|(_, metadata)| metadata.is_file())
        .collect())
}

/// What stands in a directory, but for names that no package can have because they are not UTF-8.
pub(in crate::binpkg) fn entries(path: &Path) -> Result<Vec<(String, Metadata)>, PkgdirError> {
    let fail = |source| PkgdirError::io(path, "read", source);
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
