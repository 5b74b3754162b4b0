//! Where paths lead: into the folder that is configured, to temporary files, or elsewhere.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use sandbox::{Kind, Outcome, Trace};

/// Where something is.
pub(super) enum Place {
    /// In the directory, by this name.
    Inside(PathBuf),
    Outside(PathBuf),
}

/// Where directories do not move while a script runs.
const STEADY: [&str; 8] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt",
];

/// Tells where paths lead.
pub(super) struct Places {
    directory: PathBuf,
    /// Where directories really are.
    real: HashMap<PathBuf, Option<PathBuf>>,
}

impl Places {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            real: HashMap::new(),
        }
    }

    /// The directory that paths lead into or not.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Forgets where directories are that may be elsewhere by now.
    pub(super) fn forget(&mut self) {
        let is_steady = |path: &Path| STEADY.iter().any(|steady| path.starts_with(steady));
        self.real
            .retain(|path, real| is_steady(path) && real.as_deref().is_some_and(is_steady));
    }

    pub(super) fn of(&mut self, path: &Path) -> Place {
        let path = self.plain(path);
        if let Ok(name) = path.strip_prefix(&self.directory) {
            return Place::Inside(name.to_owned());
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Place::Outside(path);
        };
        match self.real(parent) {
            Some(real) if real.starts_with(&self.directory) => {
                let whole = real.join(name);
                Place::Inside(
                    whole
                        .strip_prefix(&self.directory)
                        .unwrap_or(&whole)
                        .to_owned(),
                )
            }
            _ if self.real(&path).is_some_and(|real| real == self.directory) => {
                Place::Inside(PathBuf::new())
            }
            _ => Place::Outside(path),
        }
    }

    fn real(&mut self, directory: &Path) -> Option<PathBuf> {
        if let Some(known) = self.real.get(directory) {
            return known.clone();
        }
        let real = directory.canonicalize().ok();
        self.real.insert(directory.to_owned(), real.clone());
        real
    }

    /// Without `.` and `..`.
    fn plain(&mut self, path: &Path) -> PathBuf {
        let mut plain = PathBuf::from("/");
        for component in path.components() {
            match component {
                Component::Normal(name) => plain.push(name),
                Component::ParentDir => {
                    // Behind a link it leads elsewhere. A directory that is gone was none.
                    if !plain.starts_with(&self.directory)
                        && let Some(real) = self.real(&plain.clone())
                    {
                        plain = real;
                    }
                    plain.pop();
                }
                _ => {}
            }
        }
        plain
    }
}

/// Directories in which programs may leave nothing, but use what they like meanwhile.
#[derive(Debug)]
pub(super) struct Temporary {
    folders: Vec<PathBuf>,
    /// What was there before.
    before: HashSet<PathBuf>,
}

impl Temporary {
    /// As they are now.
    pub(super) fn now() -> Self {
        let mut folders = Vec::new();
        let own = std::env::var_os("TMPDIR").map(PathBuf::from);
        let usual = ["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from);
        for folder in own.into_iter().chain(usual) {
            // By the name that programs have for it too, which may lead there over a link.
            let real = folder.canonicalize().ok();
            for folder in real.into_iter().chain(Some(folder)) {
                if folder.is_absolute() && !folders.contains(&folder) {
                    folders.push(folder);
                }
            }
        }
        let mut before = HashSet::new();
        for folder in &folders {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                before.insert(entry.path());
            }
        }
        Self { folders, before }
    }

    /// The name in one of the folders that leads to the path, if nothing was there then.
    fn first(&self, path: &Path) -> Option<PathBuf> {
        let folder = self
            .folders
            .iter()
            .find(|folder| path.starts_with(folder))?;
        let first = path.strip_prefix(folder).ok()?.components().next()?;
        let first = folder.join(first);
        (!self.before.contains(&first)).then_some(first)
    }

    /// Whether nobody but who has made it can have known of this name: one in or below one of the folders, made up as
    /// `mkstemp` does.
    fn is_made_up(&self, path: &Path) -> bool {
        let folder = |folder: &PathBuf| path.starts_with(folder);
        let name = path.file_name().map(OsStr::as_bytes);
        self.folders.iter().any(folder) && name.is_some_and(is_made_up)
    }
}

/// Whether a name has letters and digits in it as only chance brings them together. Now and then chance makes a word.
fn is_made_up(name: &[u8]) -> bool {
    let parts = name.split(|byte| !byte.is_ascii_alphanumeric());
    parts.filter(|part| part.len() >= 6).any(|part| {
        if part.iter().all(u8::is_ascii_digit) {
            return part.len() > 9;
        }
        let digits = part.iter().rev().take_while(|byte| byte.is_ascii_digit());
        let letters = part.get(..part.len() - digits.count()).unwrap_or(part);
        // Words with capitals at their begins, or in capitals.
        let mut lowers = 2;
        let is_words = letters.iter().all(|byte| {
            let is_next = byte.is_ascii_lowercase() || (byte.is_ascii_uppercase() && lowers >= 2);
            lowers = if byte.is_ascii_uppercase() {
                0
            } else {
                lowers + 1
            };
            is_next
        });
        !is_words && !letters.iter().all(u8::is_ascii_uppercase)
    })
}

/// Whether nothing is there now.
fn is_gone(path: &Path) -> bool {
    path.symlink_metadata()
        .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// What programs have made where nothing was, outside of the folder that is configured, and have removed again.
pub(super) struct Passing<'t> {
    trace: &'t Trace,
    temporary: &'t Temporary,
    /// Names in folders for temporary files below which they have changed something.
    used: HashSet<PathBuf>,
    /// Whether nothing is at these paths.
    gone: HashMap<PathBuf, bool>,
    /// The topmost of what they have made, and whether they have asked for it when it was not there.
    found: BTreeMap<PathBuf, bool>,
}

impl<'t> Passing<'t> {
    pub(super) fn of(trace: &'t Trace, temporary: &'t Temporary) -> Self {
        let changed = trace
            .accesses()
            .filter(|(_, kind, outcome)| *kind == Kind::Change && outcome.is_none());
        Self {
            trace,
            temporary,
            used: changed
                .filter_map(|(path, ..)| temporary.first(path))
                .collect(),
            gone: HashMap::new(),
            found: BTreeMap::new(),
        }
    }

    /// The topmost of what they have made and removed that the path is, or is below.
    pub(super) fn made(&mut self, path: &Path) -> Option<PathBuf> {
        let made: Vec<&Path> = path
            .ancestors()
            .filter(|path| self.trace.has_made(path))
            .collect();
        let topmost = made.into_iter().rev().find(|path| self.is_gone(path));
        // What was renamed there is there without having been made.
        let used = || {
            self.temporary
                .first(path)
                .filter(|first| self.used.contains(first))
        };
        let topmost = topmost.map(Path::to_owned).or_else(used)?;
        self.is_gone(&topmost).then_some(topmost)
    }

    fn is_gone(&mut self, path: &Path) -> bool {
        if let Some(is_gone) = self.gone.get(path) {
            return *is_gone;
        }
        let is_gone = is_gone(path);
        self.gone.insert(path.to_owned(), is_gone);
        is_gone
    }

    /// Notes that something was done with a path. Gives the same.
    pub(super) fn notes(&mut self, path: &Path, kind: Kind, outcome: Outcome) -> Option<PathBuf> {
        let made = self.made(path)?;
        let asked = self.found.entry(made.clone()).or_default();
        *asked |= kind != Kind::Change && outcome == Some(Errno::ENOENT);
        Some(made)
    }

    /// Where nothing must have been before: what else a run finds there it makes something else of. Names that nobody
    /// can have known before are left out, as there are many.
    pub(super) fn absent(self) -> impl Iterator<Item = PathBuf> {
        let temporary = self.temporary;
        let counts = move |(path, asked): &(PathBuf, bool)| *asked || !temporary.is_made_up(path);
        self.found.into_iter().filter(counts).map(|(path, _)| path)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn places_are_told_apart() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("build/sub")).unwrap();
        fs::create_dir(root.join("source")).unwrap();
        std::os::unix::fs::symlink("build", root.join("alias")).unwrap();
        std::os::unix::fs::symlink("build/sub", root.join("deep")).unwrap();
        let directory = root.join("build");
        let mut places = Places::new(&directory);
        let mut told = |path: &str| match places.of(&root.join(path)) {
            Place::Inside(name) => format!("in {}", name.display()),
            Place::Outside(path) => format!("out {}", path.strip_prefix(&root).unwrap().display()),
        };
        assert_eq!(told("build/x"), "in x");
        assert_eq!(told("build/./sub//x/"), "in sub/x");
        assert_eq!(told("build"), "in ");
        assert_eq!(told("alias"), "in ");
        assert_eq!(told("alias/x"), "in x");
        assert_eq!(told("deep/../x"), "in x");
        assert_eq!(told("source/../build/x"), "in x");
        assert_eq!(told("build/gone/../../source/x"), "out source/x");
        assert_eq!(told("build-2/x"), "out build-2/x");
    }

    #[test]
    fn what_was_not_there_before_is_known() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path().canonicalize().unwrap();
        fs::write(folder.join("old"), "").unwrap();
        let temporary = Temporary {
            folders: vec![folder.clone()],
            before: HashSet::from([folder.join("old"), folder.join("gone")]),
        };
        let first = |path: &str| temporary.first(&folder.join(path));
        assert_eq!(first("cc123.s"), Some(folder.join("cc123.s")));
        assert_eq!(first("dir/in"), Some(folder.join("dir")));
        for other in ["old", "gone", "", "/elsewhere"] {
            assert_eq!(first(other), None, "{other}");
        }
    }

    #[test]
    fn names_that_were_made_up_are_told_from_others() {
        for name in [
            "ccK3dxQ2.s",
            "tmp.hX8wq2LkPz",
            "sh-thd.a8Kx2P",
            "conftest-3f2a1b.o",
            "rustcQw9aBc",
            "tmpab1c2d_e.lto.o",
            "sh-thd-1817123456",
        ] {
            assert!(is_made_up(name.as_bytes()), "{name}");
        }
        for name in [
            "inst",
            "lock",
            "foo.h",
            "conftest.c",
            "configure",
            "python3",
            "x86_64",
            "libFooBar12",
            "ConfigLock",
            "README",
            "LOCK12",
            "20240101",
            "conf1234567",
            "myLock",
            "include",
        ] {
            assert!(!is_made_up(name.as_bytes()), "{name}");
        }
    }
}
