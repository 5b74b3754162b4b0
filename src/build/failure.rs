//! What a failed phase leaves for those who come to look: why it failed, and the state of the line
//! that did.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::directories::Directories;
use crate::pms::phase::Phase;
use crate::util::anew::write_anew;

/// The file that the supervisor keeps.
const RECORD: &str = "failure.json";

/// The file that the failing shell writes into the build's private directory: NUL-terminated the phase's function, the folder,
/// the umask, and limits as LETTER=VALUE.
const POINT: &str = "failure";

/// Its environment, unfiltered.
const ENVIRONMENT: &str = "failure.environment";

/// The most bytes that are read of [`POINT`], which the build may have written.
const LIMIT: u64 = 64 * 1024;

/// How a build was called: what has to be known to find its ebuild again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Repositories that are configured nowhere.
    pub repos: Vec<PathBuf>,
    /// The folder that has `etc/portage`, if it was named.
    pub config_root: Option<PathBuf>,
    /// The file that was named instead of ebd.toml.
    #[serde(default)]
    pub config: Option<PathBuf>,
    /// ROOT, if it was named.
    pub root: Option<PathBuf>,
    /// PKGDIR, if it was named.
    pub pkgdir: Option<PathBuf>,
    /// DISTDIR, if it was named.
    pub distdir: Option<PathBuf>,
}

/// Why and where a build failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// `category/pf`.
    pub package: String,
    /// The repository of the ebuild.
    pub repository: String,
    /// The phase's short name.
    pub phase: String,
    /// What went wrong, with its causes, the outermost first.
    pub causes: Vec<String>,
    /// The ebuild or eclass and the line, if that is known.
    pub place: Option<String>,
    /// Seconds since 1970.
    pub time: u64,
    /// How the build was called.
    pub origin: Origin,
}

impl Failure {
    /// Keeps it with what the supervisor keeps of the build. That it cannot be kept is no failure of its
    /// own: the one that is told already says more.
    pub fn store(&self, directories: &Directories) {
        let path = directories.kept().join(RECORD);
        let _ = serde_json::to_vec(self)
            .map_err(std::io::Error::from)
            .and_then(|text| write_anew(&path, &text, 0o644));
    }

    /// The failure of the build; none if it did not fail in a phase.
    #[must_use]
    pub fn load(directories: &Directories) -> Option<Self> {
        Self::read(&directories.kept().join(RECORD))
    }

    fn read(path: &Path) -> Option<Self> {
        let failure: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        Phase::from_name(&failure.phase)?;
        Some(failure)
    }

    /// The phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::from_name(&self.phase).unwrap_or(Phase::Setup)
    }

    /// Forgets what an earlier failure left.
    pub fn forget(directories: &Directories) {
        let private = directories.private();
        let _ = fs::remove_file(directories.kept().join(RECORD));
        for name in [POINT, ENVIRONMENT] {
            let _ = fs::remove_file(private.join(name));
        }
    }

    /// The build below `tmpdir` (PORTAGE_TMPDIR) that failed last, of those that are `wanted`.
    #[must_use]
    pub fn last(tmpdir: &Path, wanted: impl Fn(&Self) -> bool) -> Option<Self> {
        let folders = |path: PathBuf| {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.path())
        };
        folders(tmpdir.join("portage"))
            .flat_map(folders)
            .filter_map(|folder| Self::read(&folder.join(RECORD)))
            .filter(|failure| wanted(failure))
            .max_by_key(|failure| failure.time)
    }

    /// The present time as [`Failure::time`] has it.
    #[must_use]
    pub fn now() -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

/// The state of the line that failed. Written by the build, so nothing of it is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// The folder.
    pub folder: PathBuf,
    /// The umask, in octal digits.
    pub umask: String,
    /// Soft limits by the letters of `ulimit`.
    pub limits: Vec<(char, String)>,
    /// The file with all variables and functions, unfiltered, if it is there.
    pub environment: Option<PathBuf>,
}

impl Point {
    /// What a failure in `phase` left; none if it could leave nothing, as a shell that is killed
    /// cannot, or something else than that.
    #[must_use]
    pub fn read(private: &Path, phase: Phase) -> Option<Self> {
        let mut text = Vec::new();
        fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
            .open(private.join(POINT))
            .ok()?
            .take(LIMIT)
            .read_to_end(&mut text)
            .ok()?;
        let mut fields = text.split(|&byte| byte == 0);
        let function = fields.next()?;
        let folder = fields.next()?;
        let umask = String::from_utf8(fields.next()?.to_vec()).ok()?;
        let octal = umask.bytes().all(|byte| (b'0'..b'8').contains(&byte));
        if function != phase.function().as_bytes()
            || !folder.starts_with(b"/")
            || !octal
            || !(1..=4).contains(&umask.len())
        {
            return None;
        }
        let environment = private.join(ENVIRONMENT);
        Some(Self {
            folder: std::ffi::OsString::from_vec(folder.to_vec()).into(),
            umask,
            limits: fields.filter_map(limit).collect(),
            environment: environment.is_file().then_some(environment),
        })
    }
}

/// A limit that is one.
fn limit(field: &[u8]) -> Option<(char, String)> {
    let text = std::str::from_utf8(field).ok()?;
    let (letter, value) = text.split_once('=')?;
    let mut letters = letter.chars();
    let letter = letters.next().filter(char::is_ascii_lowercase)?;
    let number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    (letters.next().is_none() && (number || value == "unlimited"))
        .then(|| (letter, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_sense_is_taken_of_a_point() {
        let tmp = tempfile::tempdir().unwrap();
        let read = |text: &[u8]| {
            fs::write(tmp.path().join(POINT), text).unwrap();
            Point::read(tmp.path(), Phase::Compile)
        };
        let point = read(b"src_compile\0/a\nb\x000077\0n=1024\0c=unlimited\0x=$(id)\0nn=1\0t=\0");
        let point = point.unwrap();
        assert_eq!(point.folder, Path::new("/a\nb"));
        assert_eq!(point.umask, "0077");
        assert_eq!(
            point.limits,
            [('n', "1024".to_owned()), ('c', "unlimited".to_owned())]
        );
        assert_eq!(point.environment, None);
        for wrong in [
            &b""[..],
            b"src_compile\0/a\0",
            b"src_compile\0a\x000022\0",
            b"src_compile\0/a\0$(id)\0",
            b"src_compile\0/a\0\0",
            b"src_install\0/a\x000022\0",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
