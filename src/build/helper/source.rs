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
    /// Whether it stands for the file a symbolic link leads to, as the copies do that most of the
    /// `new*` commands work with.
    pub(super) dereferenced: bool,
}

impl Source {
    pub(super) fn from_argument(env: &HelperEnv, arg: &OsStr) -> Self {
        Self {
            path: env.path(arg),
            name: basename(arg).to_owned(),
            dereferenced: false,
        }
    }

    /// The name of a directory, whatever slashes follow it; `.` for the working directory.
    pub(super) fn directory_name(&self) -> OsString {
        let mut bytes = self.path.as_os_str().as_bytes();
        while let Some(shorter) = bytes.strip_suffix(b"/") {
            bytes = shorter;
        }
        if self.dereferenced {
            self.name.clone()
        } else {
            basename(OsStr::from_bytes(bytes)).into()
        }
    }
}
