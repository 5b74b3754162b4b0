//! The folder between a sourcer and its forks.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::SourcingError;

/// The folder in which a sourcer and its forks exchange files. It is removed with this.
#[derive(Debug)]
pub struct Exchange {
    folder: tempfile::TempDir,
}

impl Exchange {
    /// Makes a folder that only this user can enter; in memory where there is such a place, as each
    /// ebuild has a file or two written there.
    ///
    /// # Errors
    /// [`SourcingError::Exchange`].
    pub fn create() -> Result<Self, SourcingError> {
        let mut builder = tempfile::Builder::new();
        builder
            .prefix("ebd-source-")
            .permissions(fs::Permissions::from_mode(0o700));
        let folder = builder
            .tempdir_in("/dev/shm")
            .or_else(|_| builder.tempdir());
        Ok(Self {
            folder: folder.map_err(|source| SourcingError::Exchange {
                path: std::env::temp_dir(),
                source,
            })?,
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
