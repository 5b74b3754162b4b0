//! The ebuild and the eclasses as a build was started with them, to be compared with what somebody
//! has made of them since.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::candidate::Candidate;
use super::directories::Directories;
use super::runtime::RuntimeError;
use crate::metadata::Entry;

/// The copies, with what the supervisor keeps of a build.
#[derive(Debug, Clone)]
pub struct KeptSources {
    folder: PathBuf,
}

impl KeptSources {
    /// Those of the build. Nothing is made.
    #[must_use]
    pub fn of(directories: &Directories) -> Self {
        Self {
            folder: directories.kept().join("sources"),
        }
    }

    /// Those that a shell in the build has read since.
    #[must_use]
    pub fn of_shell(directories: &Directories) -> Self {
        Self {
            folder: directories.kept().join("sources.shell"),
        }
    }

    /// The copy of the ebuild.
    #[must_use]
    pub fn ebuild(&self) -> PathBuf {
        self.folder.join("ebuild")
    }

    /// The folder with the copies of the eclasses.
    #[must_use]
    pub fn eclasses(&self) -> PathBuf {
        self.folder.join("eclass")
    }

    fn metadata(&self) -> PathBuf {
        self.folder.join("metadata")
    }

    /// The metadata that the ebuild had.
    #[must_use]
    pub fn entry(&self) -> Option<Entry> {
        Entry::parse(&fs::read_to_string(self.metadata()).ok()?).ok()
    }

    /// Copies the ebuild of `candidate` and its eclasses, found in `eclass_dirs`, in the place of
    /// earlier copies.
    ///
    /// # Errors
    /// A [`RuntimeError`] that names the file.
    pub fn keep(&self, candidate: &Candidate, eclass_dirs: &[PathBuf]) -> Result<(), RuntimeError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| RuntimeError { path, source }
        };
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&self.folder)(error));
            }
            _ => {}
        }
        let eclasses = self.eclasses();
        fs::create_dir_all(&eclasses).map_err(failed(&eclasses))?;
        let ebuild = self.ebuild();
        fs::copy(&candidate.ebuild.path, &ebuild).map_err(failed(&ebuild))?;
        let metadata = self.metadata();
        fs::write(&metadata, candidate.entry.to_md5_dict()).map_err(failed(&metadata))?;
        for file in eclasses_of(candidate, eclass_dirs) {
            if let Some(name) = file.file_name() {
                let copy = eclasses.join(name);
                fs::copy(&file, &copy).map_err(failed(&copy))?;
            }
        }
        Ok(())
    }

    /// Whether there are copies.
    #[must_use]
    pub fn exist(&self) -> bool {
        self.ebuild().is_file()
    }

    /// Which of the files is not as it was, if there are copies.
    #[must_use]
    pub fn edited(&self, ebuild: &Path, eclass_dirs: &[PathBuf]) -> Option<PathBuf> {
        let differs = |copy: &Path, file: &Path| match (fs::read(copy), fs::read(file)) {
            (Ok(copy), Ok(file)) => copy != file,
            (Ok(_), Err(_)) => true,
            (Err(_), _) => false,
        };
        if differs(&self.ebuild(), ebuild) {
            return Some(ebuild.to_owned());
        }
        let copies = fs::read_dir(self.eclasses())
            .into_iter()
            .flatten()
            .flatten();
        copies.map(|entry| entry.path()).find_map(|copy| {
            let found = find(copy.file_name()?.to_str()?, eclass_dirs)?;
            differs(&copy, &found).then_some(found)
        })
    }
}

/// Where the eclasses are that the candidate inherits.
fn eclasses_of<'a>(
    candidate: &'a Candidate,
    eclass_dirs: &'a [PathBuf],
) -> impl Iterator<Item = PathBuf> + 'a {
    let inherited = candidate.entry.eclasses().unwrap_or_default();
    let names: Vec<String> = inherited
        .iter()
        .map(|(name, _)| format!("{name}.eclass"))
        .collect();
    names
        .into_iter()
        .filter_map(move |name| find(&name, eclass_dirs))
}

/// The file of that name in the first folder that has one.
fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let mut files = folders.iter().map(|folder| folder.join(name));
    files.find(|file| file.is_file())
}
