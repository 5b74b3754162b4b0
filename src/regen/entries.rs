//! The files of a cache's entries.

use std::fs;
use std::io;
use std::path::Path;

use super::run::RegenError;
use crate::util::atomic::{self, AtomicError};

/// Writes an entry, and the folder of its category if need be.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), RegenError> {
    let attempt = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|source| AtomicError {
                path: folder.to_owned(),
                step: "created",
                source,
            })?;
        }
        atomic::write_unsynced(path, bytes, 0o644)
    };
    let result = match attempt() {
        // Another run may have removed the folder while it was empty.
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => attempt(),
        result => result,
    };
    result.map_err(RegenError::Write)
}

/// Removes an entry, if it is there, and its category's folder if it was the last.
pub(super) fn remove(path: &Path) -> Result<(), RegenError> {
    match fs::remove_file(path) {
        // Another run was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => result.map_err(|source| RegenError::Remove {
            path: path.to_owned(),
            source,
        })?,
    }
    if let Some(folder) = path.parent() {
        // Not empty is what it mostly is.
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}
