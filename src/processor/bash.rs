//! Which bash runs ebuilds of which EAPI: the usual one, or, where an EAPI needs a newer one, the
//! first that is new enough.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use super::process::PATH;
use crate::pms::eapi::{BashVersion, Eapi, UnsupportedEapi};

/// The usual bash, and where to look for a newer one.
///
/// Ebuilds of EAPIs that the usual bash is good enough for never get another: what a newer one does
/// otherwise is nothing that their EAPI knows of.
#[derive(Debug, Clone)]
pub struct Bashes {
    usual: PathBuf,
    candidates: Vec<PathBuf>,
    newest: Arc<OnceLock<Option<(PathBuf, BashVersion)>>>,
}

impl Bashes {
    /// Chooses from the bash that the user has named, if there is one, and those in the folders of
    /// `search`, a list as in `PATH`.
    ///
    /// A named one is the usual one, unless it is newer than any EAPI but the latest needs and this
    /// system has another: then it is kept for that.
    #[must_use]
    pub fn find(named: Option<&Path>, search: &OsStr) -> Self {
        let system = located(Path::new("bash"));
        let needed = Eapi::LATEST.bash_version();
        let spare = named.is_some_and(|named| {
            let version = version(&located(named));
            version.is_some_and(|version| version >= needed)
                && self::version(&system).is_some_and(|version| version >= BashVersion::OLDEST)
        });
        let usual = match named {
            Some(named) if !spare => named.to_owned(),
            _ => PathBuf::from("bash"),
        };
        let folders = std::env::split_paths(search).filter(|folder| folder.is_absolute());
        let found = folders
            .map(|folder| folder.join("bash"))
            .filter(|path| path.is_file());
        let named = named.map(located);
        let candidates = named.into_iter().chain([system]).chain(found).collect();
        Self {
            usual,
            candidates,
            newest: Arc::default(),
        }
    }

    /// Only this one.
    #[must_use]
    pub fn only(bash: &Path) -> Self {
        Self {
            usual: bash.to_owned(),
            candidates: vec![located(bash)],
            newest: Arc::default(),
        }
    }

    /// The bash for ebuilds of all EAPIs that do not need a newer one: a path, or a name to look up.
    #[must_use]
    pub fn usual(&self) -> &Path {
        &self.usual
    }

    /// The bash for ebuilds of that EAPI.
    ///
    /// # Errors
    /// The EAPI needs a newer one than there is.
    pub fn for_eapi(&self, eapi: Eapi) -> Result<&Path, UnsupportedEapi> {
        let needed = eapi.bash_version();
        if needed <= BashVersion::OLDEST {
            return Ok(&self.usual);
        }
        let newest = self.newest.get_or_init(|| {
            self.candidates.iter().find_map(|path| {
                let version = version(path)?;
                (version >= needed).then(|| (path.clone(), version))
            })
        });
        match newest {
            Some((path, version)) if *version >= needed => Ok(path),
            _ => Err(UnsupportedEapi::BashTooOld { eapi, needed }),
        }
    }
}

/// The bash as a path, if it is a name that can be looked up.
pub(super) fn located(bash: &Path) -> PathBuf {
    if bash.components().count() > 1 {
        return std::path::absolute(bash).unwrap_or_else(|_| bash.to_owned());
    }
    let folders = PATH.split(':').map(Path::new);
    let mut found = folders.map(|folder| folder.join(bash));
    found
        .find(|path| path.is_file())
        .unwrap_or_else(|| bash.to_owned())
}

/// The version that a bash says it is; nothing for other programs.
fn version(bash: &Path) -> Option<BashVersion> {
    let output = Command::new(bash)
        .args(["--noprofile", "--norc", "-c"])
        .arg("printf %s \"${BASH_VERSINFO[0]}.${BASH_VERSINFO[1]}\"")
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    BashVersion::parse(std::str::from_utf8(&output.stdout).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// A program that says it is such a bash, below a folder of that name.
    fn pretender(folder: &Path, name: &str, version: &str) -> PathBuf {
        let path = folder.join(name).join("bash");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\nprintf %s {version}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn eapi(name: &str) -> Eapi {
        Eapi::parse(name).unwrap()
    }

    #[test]
    fn a_newer_one_is_for_those_that_need_it() {
        let _rows = rows(&[16]);
        let folder = tempfile::tempdir().unwrap();
        let old = pretender(folder.path(), "old", "5.2");
        let new = pretender(folder.path(), "new", "9.9");
        let search = std::env::join_paths([old.parent().unwrap(), new.parent().unwrap()]).unwrap();
        let none = Bashes::find(None, OsStr::new(""));
        for name in ["0", "8"] {
            assert_eq!(none.for_eapi(eapi(name)), Ok(Path::new("bash")));
        }
        // By PATH.
        let found = Bashes::find(None, &search);
        assert_eq!(found.for_eapi(eapi("8")), Ok(Path::new("bash")));
        let nine = found.for_eapi(eapi("9")).unwrap();
        assert!(nine == new || version(nine) >= Some(BashVersion::new(5, 3)));
        // By name, for which the system's own makes room.
        let named = Bashes::find(Some(&new), OsStr::new(""));
        assert_eq!(named.for_eapi(eapi("9")), Ok(new.as_path()));
        assert_eq!(named.usual(), Path::new("bash"));
        // One that is no better than the system's is wanted for what it can do.
        let named = Bashes::find(Some(&old), &search);
        assert_eq!(named.for_eapi(eapi("8")), Ok(old.as_path()));
        assert_eq!(Bashes::only(&new).for_eapi(eapi("8")), Ok(new.as_path()));
    }

    #[test]
    fn without_one_the_eapi_is_named_with_what_to_do() {
        let _rows = rows(&[16]);
        let folder = tempfile::tempdir().unwrap();
        let only = Bashes::only(&pretender(folder.path(), "old", "5.2"));
        assert!(only.for_eapi(eapi("8")).is_ok());
        let error = only.for_eapi(eapi("9")).unwrap_err().to_string();
        assert_eq!(
            error,
            "EAPI 9: needs bash 5.3 or newer, which was not found: name one with --bash or \
             EBD_BASH, or put its folder into PATH"
        );
        let none = Bashes::only(Path::new("/nonexistent/bash"));
        assert!(none.for_eapi(eapi("9")).is_err());
        let other = Bashes::only(Path::new("/bin/true"));
        assert!(other.for_eapi(eapi("9")).is_err());
    }
}
