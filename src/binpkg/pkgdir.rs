//! PKGDIR: the directory of binary packages, shared by many builders.
//!
//! With `FEATURES=binpkg-multi-instance` a package is `CATEGORY/PN/PF-BUILD_ID.xpak`, without it is
//! `CATEGORY/PF.tbz2`. A build id is taken before anything is packed, by creating an empty file of the final name that
//! must not exist; Portage does the same, so builders of both kinds share one directory.
//!
//! Portage's placeholders look like ours, and nothing tells whether their maker still lives. Ours have a locked partial
//! file beside them, so those that a killed builder left are recognised by an unlocked one and removed; placeholders
//! without a partial file are left alone.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use nix::unistd::{AccessFlags, access};

use crate::binpkg::index::{Entry, Index, IndexError};
use crate::pms::cpv::Cpv;
use crate::util::lock::{Lock, LockError};

mod files;
mod names;
mod reservation;

pub use files::Unread;
use files::{directories, left_over, regular_files, sweep_directory};
pub(super) use files::{entries as entries_of, is_gone, is_passed_over, noting};
pub use names::{Format, PackageFile};
pub use reservation::{Reservation, Sealed, Written};

/// For how long, at most, somebody who looks for what is left over holds the lock of a builder.
const BRIEFLY: Duration = Duration::from_millis(50);

/// What went wrong in PKGDIR.
#[derive(Debug, thiserror::Error)]
pub enum PkgdirError {
    /// A file or directory cannot be read, written, created or removed.
    #[error("{}: cannot be {step}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried: a participle such as `created`.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Without `binpkg-multi-instance` two builders cannot make the same package at a time.
    #[error("{}: another builder is writing this package; wait for it, or set FEATURES=binpkg-multi-instance", path.display())]
    Busy {
        /// The package file.
        path: PathBuf,
    },
    /// Locking failed.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl PkgdirError {
    fn io(path: &Path, step: &'static str, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            step,
            source,
        }
    }
}

/// How PKGDIR is kept: the FEATURES that concern it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PkgdirOptions {
    /// `binpkg-multi-instance`: several builds of one version side by side.
    pub multi_instance: bool,
    /// `pkgdir-index-trusted`: what the index says is believed without looking at every file.
    pub index_trusted: bool,
    /// `compress-index`: `Packages.gz` is written too.
    pub compress_index: bool,
}

impl Default for PkgdirOptions {
    /// What Portage's make.globals sets.
    fn default() -> Self {
        Self {
            multi_instance: true,
            index_trusted: true,
            compress_index: false,
        }
    }
}

/// A directory of binary packages.
#[derive(Debug, Clone)]
pub struct Pkgdir {
    path: PathBuf,
    options: PkgdirOptions,
}

impl Pkgdir {
    /// Opens the directory at `path`, which is created when missing.
    ///
    /// # Errors
    /// The directory cannot be created.
    pub fn open(path: &Path, options: PkgdirOptions) -> Result<Self, PkgdirError> {
        fs::create_dir_all(path).map_err(|source| PkgdirError::io(path, "created", source))?;
        let path = path
            .canonicalize()
            .map_err(|source| PkgdirError::io(path, "found", source))?;
        Ok(Self { path, options })
    }

    /// Whether packages can be written to a directory at `path`, which need not be there yet.
    ///
    /// # Errors
    /// Neither it nor, if it is not there, what it would be made in is a directory in which this process may make
    /// anything.
    pub fn probe(path: &Path) -> Result<(), PkgdirError> {
        let is_there = |place: &&Path| place.symlink_metadata().is_ok();
        let place = path.ancestors().find(is_there).unwrap_or(Path::new("."));
        let fail = |source| PkgdirError::io(place, "written to", source);
        if !place.metadata().map_err(fail)?.is_dir() {
            return Err(fail(io::ErrorKind::NotADirectory.into()));
        }
        access(place, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|errno| fail(errno.into()))
    }

    /// Opens the directory at `path`, which must be there.
    ///
    /// # Errors
    /// There is no such directory.
    pub fn existing(path: &Path, options: PkgdirOptions) -> Result<Self, PkgdirError> {
        let fail = |source| PkgdirError::io(path, "opened as a PKGDIR", source);
        let path = path.canonicalize().map_err(fail)?;
        if !path.is_dir() {
            return Err(fail(io::ErrorKind::NotADirectory.into()));
        }
        Ok(Self { path, options })
    }

    /// Where the file of an entry is, unless the entry leads out of PKGDIR.
    pub fn path_of(&self, entry: &Entry) -> Option<PathBuf> {
        let path = entry.path();
        let path = Path::new(path.as_ref());
        path.components()
            .all(|part| matches!(part, Component::Normal(_)))
            .then(|| self.path.join(path))
    }

    /// The directory, as an absolute path without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is kept.
    pub fn options(&self) -> PkgdirOptions {
        self.options
    }

    /// The path of the index, `Packages`.
    pub fn index_path(&self) -> PathBuf {
        self.path.join("Packages")
    }

    /// All packages of both layouts, sorted by path. Placeholders and files with other names are left out.
    ///
    /// Names are believed; the content is not looked at. Directories below PKGDIR that cannot be read are passed over.
    ///
    /// # Errors
    /// PKGDIR cannot be read.
    pub fn list(&self) -> Result<Vec<PackageFile>, PkgdirError> {
        Ok(self.listing()?.0)
    }

    /// The same, and why directories below PKGDIR could not be read.
    fn listing(&self) -> Result<(Vec<PackageFile>, Vec<Unread>), PkgdirError> {
        let mut files = Vec::new();
        let mut unread = Vec::new();
        for category in directories(&self.path)? {
            let folder = self.path.join(&category);
            for (file, metadata) in noting(&mut unread, regular_files(&folder)) {
                if metadata.size() > 0 {
                    files.extend(PackageFile::in_category(&category, &file));
                }
            }
            // Why it cannot be read was noted already.
            for pn in directories(&folder).unwrap_or_default() {
                for (file, metadata) in noting(&mut unread, regular_files(&folder.join(&pn))) {
                    if metadata.size() > 0 {
                        files.extend(PackageFile::in_package(&category, &pn, &file));
                    }
                }
            }
        }
        files.sort_by(|one, other| one.path().cmp(other.path()));
        Ok((files, unread))
    }

    /// The packages of [`Pkgdir::list`] that have no entry in `index`, and why directories below PKGDIR could not be read.
    ///
    /// # Errors
    /// PKGDIR cannot be read.
    pub fn unlisted(&self, index: &Index) -> Result<(Vec<PackageFile>, Vec<Unread>), PkgdirError> {
        let known: HashSet<PathBuf> = index
            .entries()
            .iter()
            .map(|entry| PathBuf::from(entry.path().as_ref()))
            .collect();
        let (mut files, unread) = self.listing()?;
        files.retain(|file| !known.contains(file.path()));
        Ok((files, unread))
    }

    /// The packages of one version in their own directory, CATEGORY/PN, that have no entry in `index`, sorted by path.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn unlisted_of(&self, cpv: &Cpv, index: &Index) -> Result<Vec<PackageFile>, PkgdirError> {
        let directory = self.path.join(cpv.category()).join(cpv.pn());
        if !directory.is_dir() {
            return Ok(Vec::new());
        }
        let entries = index.entries().iter();
        let known: HashSet<PathBuf> = entries
            .filter(|entry| entry.cpv() == cpv.as_str())
            .map(|entry| PathBuf::from(entry.path().as_ref()))
            .collect();
        let mut files: Vec<PackageFile> = regular_files(&directory)?
            .into_iter()
            .filter(|(_, metadata)| metadata.len() > 0)
            .filter_map(|(file, _)| PackageFile::in_package(cpv.category(), cpv.pn(), &file))
            .filter(|file| file.cpv() == cpv && !known.contains(file.path()))
            .collect();
        files.sort_by(|one, other| one.path().cmp(other.path()));
        Ok(files)
    }

    /// Takes the next build id of `cpv` and holds it until the reservation is committed or dropped.
    ///
    /// The id is one more than the highest that any file, placeholder or entry of the index has, so an id whose package
    /// is gone is not given again while the index remembers it. What builders that were killed left behind is removed
    /// on the way.
    ///
    /// # Errors
    /// The directory cannot be read or written, the index cannot be read, or, without `binpkg-multi-instance`, somebody
    /// else is at it.
    pub fn reserve(&self, cpv: &Cpv, format: Format) -> Result<Reservation, PkgdirError> {
        if self.options.multi_instance {
            self.reserve_next(cpv, format)
        } else {
            self.reserve_only(cpv, format)
        }
    }

    /// Takes this very build id of `cpv`, or gives nothing if it is taken.
    ///
    /// # Errors
    /// As for [`Pkgdir::reserve`].
    pub fn reserve_id(
        &self,
        cpv: &Cpv,
        format: Format,
        build_id: u64,
    ) -> Result<Option<Reservation>, PkgdirError> {
        let directory = self.path.join(cpv.category()).join(cpv.pn());
        self.ensure_directory(&directory)?;
        sweep_directory(&directory)?;
        self.try_reserve(&directory, cpv, format, build_id)
    }

    /// Takes the place of a package that stands at `path`, which stays until the reservation is committed. What is read of
    /// it from then on is what will be replaced: no builder puts another one there meanwhile.
    ///
    /// # Errors
    /// Somebody else writes there.
    pub fn reserve_over(
        &self,
        path: &Path,
        format: Format,
        build_id: Option<u64>,
    ) -> Result<Reservation, PkgdirError> {
        let busy = || PkgdirError::Busy {
            path: path.to_owned(),
        };
        let directory = path.parent().unwrap_or(&self.path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let stem = names::stem(&name);
        let partial = self.lock_only(directory, stem)?.ok_or_else(busy)?;
        let path = path.to_owned();
        Ok(Reservation::new(
            &self.path, partial, path, build_id, format, None,
        ))
    }

    /// Removes what builders that were killed left behind, everywhere, and gives the paths of it. Directories that cannot
    /// be read are passed over.
    ///
    /// # Errors
    /// PKGDIR cannot be read, or something in it cannot be removed.
    pub fn sweep(&self) -> Result<Vec<PathBuf>, PkgdirError> {
        let mut swept = Vec::new();
        for directory in self.of_packages()? {
            swept.extend(sweep_directory(&directory)?);
        }
        Ok(swept)
    }

    /// What [`Pkgdir::sweep`] would remove.
    ///
    /// # Errors
    /// PKGDIR cannot be read.
    pub fn left_over(&self) -> Result<Vec<PathBuf>, PkgdirError> {
        let look = |directories: &[PathBuf]| -> Vec<PathBuf> {
            directories.iter().flat_map(|it| left_over(it)).collect()
        };
        let directories = self.of_packages()?;
        let first = look(&directories);
        if first.is_empty() {
            return Ok(first);
        }
        // A builder that has just begun has its file before it has the lock on it.
        std::thread::sleep(BRIEFLY);
        let mut second = look(&directories);
        second.retain(|path| first.contains(path));
        Ok(second)
    }

    /// The directories of categories and of packages that can be read.
    fn of_packages(&self) -> Result<Vec<PathBuf>, PkgdirError> {
        let mut found = Vec::new();
        for category in directories(&self.path)? {
            let category = self.path.join(category);
            let below = directories(&category).unwrap_or_default();
            let below: Vec<PathBuf> = below.iter().map(|pn| category.join(pn)).collect();
            found.push(category);
            found.extend(below);
        }
        Ok(found)
    }

    fn reserve_next(&self, cpv: &Cpv, format: Format) -> Result<Reservation, PkgdirError> {
        let directory = self.path.join(cpv.category()).join(cpv.pn());
        self.ensure_directory(&directory)?;
        sweep_directory(&directory)?;
        let on_disk = regular_files(&directory)?
            .into_iter()
            .filter_map(|(file, _)| PackageFile::in_package(cpv.category(), cpv.pn(), &file))
            .filter(|file| file.cpv() == cpv)
            .filter_map(|file| file.build_id())
            .max();
        let indexed = Index::read(&self.index_path())?.highest_build_id(cpv.as_str());
        let mut build_id = on_disk.max(indexed).unwrap_or(0);
        loop {
            build_id += 1;
            if let Some(reservation) = self.try_reserve(&directory, cpv, format, build_id)? {
                return Ok(reservation);
            }
        }
    }

    fn try_reserve(
        &self,
        directory: &Path,
        cpv: &Cpv,
        format: Format,
        build_id: u64,
    ) -> Result<Option<Reservation>, PkgdirError> {
        let stem = format!("{}-{build_id}", cpv.pf());
        let Some(partial) = self.lock_partial(directory, &stem)? else {
            return Ok(None);
        };
        let taken = |format: Format| {
            directory
                .join(format!("{stem}.{}", format.extension()))
                .symlink_metadata()
                .is_ok()
        };
        if taken(Format::Xpak) || taken(Format::Gpkg) {
            return Ok(None);
        }
        let path = directory.join(format!("{stem}.{}", format.extension()));
        let placeholder = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(PkgdirError::io(&path, "created", error)),
        };
        let metadata = placeholder
            .metadata()
            .map_err(|source| PkgdirError::io(&path, "created", source))?;
        Ok(Some(Reservation::new(
            &self.path,
            partial,
            path,
            Some(build_id),
            format,
            Some(&metadata),
        )))
    }

    /// The one place that a package has without `binpkg-multi-instance`.
    fn reserve_only(&self, cpv: &Cpv, format: Format) -> Result<Reservation, PkgdirError> {
        let directory = self.path.join(cpv.category());
        self.ensure_directory(&directory)?;
        sweep_directory(&directory)?;
        let extension = match format {
            Format::Xpak => "tbz2",
            Format::Gpkg => format.extension(),
        };
        let path = directory.join(format!("{}.{extension}", cpv.pf()));
        match self.lock_only(&directory, cpv.pf())? {
            Some(partial) => Ok(Reservation::new(
                &self.path, partial, path, None, format, None,
            )),
            None => Err(PkgdirError::Busy { path }),
        }
    }

    /// Locks the file that the package `stem` is written to, empty and removed again when the lock is dropped.
    fn lock_partial(&self, directory: &Path, stem: &str) -> Result<Option<Lock>, PkgdirError> {
        let path = directory.join(names::partial(stem));
        let Some(lock) = Lock::try_acquire(&path)? else {
            return Ok(None);
        };
        let lock = lock.remove_on_release();
        let fail = |source| PkgdirError::io(&path, "prepared", source);
        lock.file().set_len(0).map_err(fail)?;
        lock.file()
            .set_permissions(Permissions::from_mode(0o644))
            .map_err(fail)?;
        self.share_file(lock.file());
        Ok(Some(lock))
    }

    /// The same where there is no other place: who sweeps holds the lock for a moment, and is no builder.
    fn lock_only(&self, directory: &Path, stem: &str) -> Result<Option<Lock>, PkgdirError> {
        if let Some(lock) = self.lock_partial(directory, stem)? {
            return Ok(Some(lock));
        }
        std::thread::sleep(BRIEFLY);
        self.lock_partial(directory, stem)
    }

    /// Gives a file the group of PKGDIR, and that group the rights it has to PKGDIR. Best effort, as in Portage.
    pub(super) fn share_file(&self, file: &File) {
        if let (Ok(pkgdir), Ok(metadata)) = (self.path.metadata(), file.metadata()) {
            if pkgdir.gid() != metadata.gid() {
                let _ = std::os::unix::fs::fchown(file, None, Some(pkgdir.gid()));
            }
            let mode = metadata.mode() & 0o7777 | pkgdir.mode() & 0o060;
            let _ = file.set_permissions(Permissions::from_mode(mode));
        }
    }

    /// Makes a directory below PKGDIR with the group and the group's rights of PKGDIR.
    fn ensure_directory(&self, directory: &Path) -> Result<(), PkgdirError> {
        let pkgdir = self
            .path
            .metadata()
            .map_err(|source| PkgdirError::io(&self.path, "read", source))?;
        let mut path = self.path.clone();
        for component in directory
            .strip_prefix(&self.path)
            .unwrap_or(directory)
            .components()
        {
            path.push(component);
            match fs::create_dir(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
                Err(error) => return Err(PkgdirError::io(&path, "created", error)),
            }
            if let Ok(metadata) = path.metadata() {
                let mode = metadata.mode() & 0o7777 | pkgdir.mode() & 0o2070;
                if metadata.gid() != pkgdir.gid() {
                    let _ = chown(&path, None, Some(pkgdir.gid()));
                }
                if mode != metadata.mode() & 0o7777 {
                    let _ = fs::set_permissions(&path, Permissions::from_mode(mode));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
