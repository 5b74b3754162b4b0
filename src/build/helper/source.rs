use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::env::HelperEnv;
use super::install::basename;

/// A file to install and the name to install it under.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Where it is; relative to the working directory if it was given so.
    pub(super) path: PathBuf,
    /// The last part of where it goes.
    pub(super) name: OsString,
    /// Whether it stands for a new copy, as most of the `new*` commands make one: a symbolic link
    /// counts as the file it leads to, and the times of the file are not its own.
    pub(super) copied: bool,
}

impl Source {
    pub(super) fn from_argument(env: &HelperEnv, arg: &OsStr) -> Self {
        Self {
            path: env.path(arg),
            name: basename(arg).to_owned(),
            copied: false,
        }
    }

    /// The name of a directory, whatever slashes follow it; `.` for the working directory.
    pub(super) fn directory_name(&self) -> OsString {
        let mut bytes = self.path.as_os_str().as_bytes();
        while let Some(shorter) = bytes.strip_suffix(b"/") {
            bytes = shorter;
        }
        if self.copied {
            self.name.clone()
        } else {
            basename(OsStr::from_bytes(bytes)).into()
        }
    }
}
