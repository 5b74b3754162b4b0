//! Where paths lead: into the folder that is configured, to temporary files, or elsewhere.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use sandbox::Trace;

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
            if let Ok(folder) = folder.canonicalize()
                && !folders.contains(&folder)
            {
                folders.push(folder);
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

    /// Whether the path was made and removed again since then.
    pub(super) fn came_and_went(&self, path: &Path) -> bool {
        let folder = self.folders.iter().find(|folder| path.starts_with(folder));
        let first = folder.and_then(|folder| {
            let first = path.strip_prefix(folder).ok()?.components().next()?;
            Some(folder.join(first))
        });
        first
            .is_some_and(|first| !self.before.contains(&first) && first.symlink_metadata().is_err())
    }
}

/// Whether a path is one that a script has made where nothing was, or below such a one, and nothing is there now.
pub(super) fn came_and_went(trace: &Trace, path: &Path) -> bool {
    let is_made = |path: &&Path| trace.has_made(path);
    let made = path.ancestors().find(is_made);
    made.is_some_and(|made| {
        made.symlink_metadata()
            .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    })
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
    fn what_comes_and_goes_is_nothing() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path().canonicalize().unwrap();
        fs::write(folder.join("old"), "").unwrap();
        let temporary = Temporary {
            folders: vec![folder.clone()],
            before: HashSet::from([folder.join("old"), folder.join("gone")]),
        };
        fs::write(folder.join("left"), "").unwrap();
        assert!(temporary.came_and_went(&folder.join("cc123.s")));
        assert!(temporary.came_and_went(&folder.join("dir/in")));
        assert!(!temporary.came_and_went(&folder.join("old")));
        assert!(!temporary.came_and_went(&folder.join("gone")));
        assert!(!temporary.came_and_went(&folder.join("left")));
        assert!(!temporary.came_and_went(&folder));
        assert!(!temporary.came_and_went(Path::new("/elsewhere")));
    }
}
