//! The directories of one build below `${PORTAGE_TMPDIR}/portage`, as people know them.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::Pid;
use sandbox::Identity;

/// What `eapply_user` leaves in `build-info`: all there that is older than the image.
pub const PATCHES: [&str; 2] = ["USER_PATCHES", "user_patch.digests"];

/// A directory or link of the build could not be made, emptied or removed.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct DirectoryError {
    /// What was acted on.
    pub path: PathBuf,
    /// What could not be done.
    pub what: &'static str,
    /// The reason.
    #[source]
    pub source: io::Error,
}

/// Where one package is built: `PORTAGE_BUILDDIR` and what is in it.
#[derive(Debug, Clone)]
pub struct Directories {
    /// `PORTAGE_BUILDDIR` itself.
    pub root: PathBuf,
}

impl Directories {
    /// The directories of `category`/`pf` below `tmpdir` (`PORTAGE_TMPDIR`). Nothing is made.
    #[must_use]
    pub fn new(tmpdir: &Path, category: &str, pf: &str) -> Self {
        Self {
            root: tmpdir.join("portage").join(category).join(pf),
        }
    }

    /// `WORKDIR`.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// `D`, without a slash at the end.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.root.join("image")
    }

    /// `T`.
    #[must_use]
    pub fn temp(&self) -> PathBuf {
        self.root.join("temp")
    }

    /// `HOME`.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.root.join("homedir")
    }

    /// What becomes the package's metadata.
    #[must_use]
    pub fn build_info(&self) -> PathBuf {
        self.root.join("build-info")
    }

    /// The directory that `pkg_` phases start in (PMS 9.1.1).
    #[must_use]
    pub fn empty(&self) -> PathBuf {
        self.root.join("empty")
    }

    /// `DISTDIR` as the ebuild sees it: links to the files in `A`.
    #[must_use]
    pub fn distdir(&self) -> PathBuf {
        self.root.join("distdir")
    }

    /// `FILESDIR` as the ebuild sees it: a link.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.root.join("files")
    }

    /// What supervisor and processor share about this build; for nobody else.
    #[must_use]
    pub fn private(&self) -> PathBuf {
        self.root.join(".ebd")
    }

    /// What the supervisor keeps of this build for itself: beside the build, where its processes may be
    /// allowed to read but not to write.
    #[must_use]
    pub fn kept(&self) -> PathBuf {
        let mut name = std::ffi::OsString::from(".");
        name.push(self.root.file_name().unwrap_or_default());
        name.push(".ebd");
        self.root.with_file_name(name)
    }

    /// The log of everything that the phases print.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.temp().join("build.log")
    }

    /// The environment as it was after the last finished phase.
    #[must_use]
    pub fn environment(&self) -> PathBuf {
        self.temp().join("environment")
    }

    /// The file that is locked while somebody builds here; Portage locks the same one.
    #[must_use]
    pub fn lock_subject(&self) -> PathBuf {
        self.root.clone()
    }

    /// Makes the directories that a fresh build starts with, after removing whatever an earlier
    /// build left.
    ///
    /// # Errors
    /// A [`DirectoryError`] that names the path.
    pub fn create_afresh(&self) -> Result<(), DirectoryError> {
        self.remove()?;
        make(&self.root, 0o755)?;
        for dir in [self.work(), self.temp(), self.private()] {
            make(&dir, 0o700)?;
        }
        for dir in [self.home(), self.build_info(), self.empty(), self.kept()] {
            make(&dir, 0o755)?;
        }
        Ok(())
    }

    /// Makes sure, when a build is taken up again, that nothing but finished phases' work is there.
    ///
    /// # Errors
    /// A [`DirectoryError`] that names the path.
    pub fn reopen(&self) -> Result<(), DirectoryError> {
        for dir in [self.home(), self.build_info(), self.empty(), self.kept()] {
            make(&dir, 0o755)?;
        }
        Ok(())
    }

    /// Empties `WORKDIR`.
    ///
    /// # Errors
    /// A [`DirectoryError`] that names the path.
    pub fn empty_work(&self) -> Result<(), DirectoryError> {
        remove_tree(&self.work())?;
        make(&self.work(), 0o700)
    }

    /// Empties the image, as it must be when `src_install` starts, and what is known of it, but for
    /// [`PATCHES`].
    ///
    /// # Errors
    /// A [`DirectoryError`] that names the path.
    pub fn empty_image(&self) -> Result<(), DirectoryError> {
        remove_tree(&self.image())?;
        make(&self.image(), 0o755)?;
        let info = self.build_info();
        // The build may have put anything in its place.
        if fs::symlink_metadata(&info).is_ok_and(|found| !found.is_dir()) {
            remove_tree(&info)?;
        }
        make(&info, 0o755)?;
        let failed = |source| DirectoryError {
            path: info.clone(),
            what: "cannot be read",
            source,
        };
        for entry in fs::read_dir(&info).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let is_file = entry.file_type().map_err(failed)?.is_file();
            if !is_file || PATCHES.iter().all(|name| entry.file_name() != *name) {
                remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Forgets which of the user's patches were applied.
    ///
    /// # Errors
    /// A [`DirectoryError`] that names the path.
    pub fn forget_patches(&self) -> Result<(), DirectoryError> {
        for name in PATCHES {
            remove_tree(&self.build_info().join(name))?;
        }
        Ok(())
    }

    /// Makes `DISTDIR` for the phases: a link for each of `names` into `distdir`, so that an
    /// ebuild sees the files that it names in `SRC_URI` and no others.
    ///
    /// # Errors
    /// A [`DirectoryError`] that names the path.
    pub fn link_distfiles(&self, distdir: &Path, names: &[String]) -> Result<(), DirectoryError> {
        let links = self.distdir();
        remove_tree(&links)?;
        make(&links, 0o755)?;
        for name in names {
            link(&distdir.join(name), &links.join(name))?;
        }
        Ok(())
    }

    /// Makes `FILESDIR` for the phases: a link to the package's own files.
    ///
    /// # Errors
    /// A [`DirectoryError`] that names the path.
    pub fn link_files(&self, files: &Path) -> Result<(), DirectoryError> {
        remove_tree(&self.files())?;
        link(files, &self.files())
    }

    /// Gives everything that phases write to `user`: the directories, what is in those for the
    /// phases' own files, and what supervisor and shell share.
    ///
    /// # Errors
    /// A [`DirectoryError`] that names the path.
    pub fn give_to(&self, user: &Identity) -> Result<(), DirectoryError> {
        let give = |path: &Path| {
            std::os::unix::fs::lchown(path, Some(user.uid), Some(user.gid)).map_err(|source| {
                DirectoryError {
                    path: path.to_owned(),
                    what: "cannot be given to the user of builds",
                    source,
                }
            })
        };
        for path in [&self.root, &self.work(), &self.build_info()] {
            give(path)?;
        }
        for folder in [self.temp(), self.home(), self.private()] {
            for entry in walkdir::WalkDir::new(&folder) {
                let entry = entry.map_err(|error| DirectoryError {
                    path: error.path().unwrap_or(&folder).to_owned(),
                    what: "cannot be read",
                    source: error.into(),
                })?;
                give(entry.path())?;
            }
        }
        Ok(())
    }

    /// Notes which warden the processes of this build are below.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn remember_warden(&self, warden: Pid) -> io::Result<()> {
        let start = sandbox::process::start_time(warden).unwrap_or_default();
        fs::write(self.private().join("warden"), format!("{warden} {start}"))
    }

    /// Forgets it: the processor belongs to others from now on.
    pub fn forget_warden(&self) {
        let _ = fs::remove_file(self.private().join("warden"));
    }

    /// Whether the warden that was noted last is still there, and with it processes of the build.
    #[must_use]
    pub fn warden_is_there(&self) -> bool {
        let text = fs::read_to_string(self.private().join("warden")).unwrap_or_default();
        let mut words = text.split_whitespace();
        let pid = words.next().and_then(|word| word.parse().ok());
        let start = words.next().and_then(|word| word.parse::<u64>().ok());
        pid.is_some_and(|pid| {
            start.is_some() && sandbox::process::start_time(Pid::from_raw(pid)) == start
        })
    }

    /// Removes the build.
    ///
    /// # Errors
    /// A [`DirectoryError`] that names the path.
    pub fn remove(&self) -> Result<(), DirectoryError> {
        remove_tree(&self.root)?;
        remove_tree(&self.kept())
    }

    /// Removes the build but for `T`.
    ///
    /// # Errors
    /// A [`DirectoryError`] that names the path.
    pub fn remove_but_temp(&self) -> Result<(), DirectoryError> {
        let temp = self.temp();
        let failed = |source| DirectoryError {
            path: self.root.clone(),
            what: "cannot be read",
            source,
        };
        for entry in fs::read_dir(&self.root).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path != temp {
                remove_tree(&path)?;
            }
        }
        remove_tree(&self.kept())
    }

    /// Removes the folder of the category if nothing is in it any more. To be called when the
    /// build's lock, whose file is there, was let go of.
    pub fn remove_category(&self) {
        if let Some(category) = self.root.parent() {
            // Another build of the category may be at work: that it is not empty is no failure.
            let _ = fs::remove_dir(category);
        }
    }
}

/// Makes `path` and what is missing above it; `mode` is for `path` itself.
fn make(path: &Path, mode: u32) -> Result<(), DirectoryError> {
    let failed = |source| DirectoryError {
        path: path.to_owned(),
        what: "cannot be made",
        source,
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    match fs::DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result.map_err(failed),
    }?;
    // The umask may have taken bits away.
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)
}

/// Makes a symbolic link.
fn link(target: &Path, path: &Path) -> Result<(), DirectoryError> {
    std::os::unix::fs::symlink(target, path).map_err(|source| DirectoryError {
        path: path.to_owned(),
        what: "the link cannot be made",
        source,
    })
}

/// Removes whatever is at `path`, without following links; builds leave directories that not even
/// their owner may write to, which are opened up first.
fn remove_tree(path: &Path) -> Result<(), DirectoryError> {
    let failed = |source| DirectoryError {
        path: path.to_owned(),
        what: "cannot be removed",
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.is_dir() => return fs::remove_file(path).map_err(failed),
        Ok(_) => {}
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            for entry in walkdir::WalkDir::new(path).into_iter().flatten() {
                if entry.file_type().is_dir() {
                    let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o700));
                }
            }
            fs::remove_dir_all(path).map_err(failed)
        }
        result => result.map_err(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_build_starts_empty_and_leaves_nothing() {
        let tmp = tempfile::tempdir().unwrap();
        let dirs = Directories::new(tmp.path(), "app-misc", "foo-1");
        dirs.create_afresh().unwrap();
        fs::create_dir(dirs.work().join("sealed")).unwrap();
        fs::write(dirs.work().join("sealed/file"), "x").unwrap();
        fs::set_permissions(
            dirs.work().join("sealed"),
            fs::Permissions::from_mode(0o500),
        )
        .unwrap();
        dirs.link_files(Path::new("/nonexistent")).unwrap();
        dirs.create_afresh().unwrap();
        assert_eq!(fs::read_dir(dirs.work()).unwrap().count(), 0);
        assert!(fs::symlink_metadata(dirs.files()).is_err());
        dirs.remove().unwrap();
        dirs.remove_category();
        assert_eq!(fs::read_dir(tmp.path().join("portage")).unwrap().count(), 0);
    }

    #[test]
    fn of_what_is_known_of_an_image_only_the_patches_are_older() {
        let tmp = tempfile::tempdir().unwrap();
        let dirs = Directories::new(tmp.path(), "app-misc", "foo-1");
        dirs.create_afresh().unwrap();
        let info = dirs.build_info();
        let names = || {
            let entries = fs::read_dir(&info).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        for name in PATCHES {
            fs::write(info.join(name), name).unwrap();
        }
        fs::write(info.join("USE"), "").unwrap();
        fs::create_dir(info.join("folder")).unwrap();
        dirs.empty_image().unwrap();
        assert_eq!(names(), PATCHES);
        assert_eq!(
            fs::read_to_string(info.join(PATCHES[0])).unwrap(),
            PATCHES[0]
        );
        dirs.forget_patches().unwrap();
        assert!(names().is_empty());
        // What is no file is not Portage's, and nothing behind a link is touched.
        let other = tmp.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("USE"), "").unwrap();
        std::os::unix::fs::symlink(other.join("USE"), info.join(PATCHES[0])).unwrap();
        dirs.empty_image().unwrap();
        assert!(names().is_empty());
        fs::remove_dir(&info).unwrap();
        std::os::unix::fs::symlink(&other, &info).unwrap();
        dirs.empty_image().unwrap();
        assert!(other.join("USE").exists());
        assert!(fs::symlink_metadata(&info).unwrap().is_dir());
    }

    #[test]
    fn only_the_named_distfiles_are_linked() {
        let tmp = tempfile::tempdir().unwrap();
        let dirs = Directories::new(tmp.path(), "app-misc", "foo-1");
        dirs.create_afresh().unwrap();
        let distdir = tmp.path().join("distfiles");
        fs::create_dir(&distdir).unwrap();
        fs::write(distdir.join("a.tar"), "a").unwrap();
        fs::write(distdir.join("b.tar"), "b").unwrap();
        dirs.link_distfiles(&distdir, &["a.tar".into()]).unwrap();
        assert_eq!(
            fs::read_to_string(dirs.distdir().join("a.tar")).unwrap(),
            "a"
        );
        assert!(!dirs.distdir().join("b.tar").exists());
    }
}
