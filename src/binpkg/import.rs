//! Taking packages over from elsewhere.
//!
//! A package keeps its build id and its time where the id is free; where another build has it, it gets the next one,
//! which its metadata then says. Nothing is taken over that is damaged.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::index::{Entry, HeaderSettings, Index, IndexError};
use super::package::{Package, PackageError};
use super::pkgdir::{
    Format, Pkgdir, PkgdirError, PkgdirOptions, Reservation, Sealed, Unread, Written,
};
use super::repack::{RepackError, with_metadata};
use super::survey::package_files;
use super::xpak::Metadata;
use crate::pms::cpv::Cpv;
use crate::util::digest::{HashFileError, HashName, MultiDigest, hash_file};

/// A package could not be taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Its metadata lacks something.
    #[error("{}: the metadata has no {key}", path.display())]
    Missing {
        /// The package.
        path: PathBuf,
        /// The file of build-info.
        key: &'static str,
    },
    /// Its metadata names no package.
    #[error("{}: {cpv} is not the name of a package", path.display())]
    Name {
        /// The package.
        path: PathBuf,
        /// The name.
        cpv: String,
    },
    /// It is signed, so that it cannot get another id.
    #[error("{}: build {build_id} of {cpv} is another package here, and this one is signed, so it cannot get another number", path.display())]
    Signed {
        /// The package.
        path: PathBuf,
        /// Its name.
        cpv: String,
        /// Its number.
        build_id: u64,
    },
    /// It cannot be read or written.
    #[error("{}: cannot be copied", path.display())]
    Copy {
        /// The package.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be packed anew.
    #[error(transparent)]
    Repack(#[from] RepackError),
    /// Its checksums cannot be made.
    #[error(transparent)]
    Hash(#[from] HashFileError),
    /// PKGDIR cannot be used.
    #[error(transparent)]
    Pkgdir(#[from] PkgdirError),
    /// The index cannot be changed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// What became of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// It is in PKGDIR now, under its own number.
    Taken(Written),
    /// It is in PKGDIR now, under another number.
    Renumbered(Written),
    /// The very same was there already, at this path below PKGDIR.
    There(String),
}

/// The package files that `source` is or has: a file, or a PKGDIR, whose index is not looked at. And why directories
/// below it cannot be read.
///
/// # Errors
/// The PKGDIR cannot be read.
pub fn packages_of(source: &Path) -> Result<(Vec<PathBuf>, Vec<Unread>), PkgdirError> {
    if source.is_file() {
        return Ok((vec![source.to_owned()], Vec::new()));
    }
    let pkgdir = Pkgdir::existing(source, PkgdirOptions::default())?;
    let (files, unread) = package_files(&pkgdir)?;
    let mut found: Vec<PathBuf> = files
        .into_iter()
        .map(|(path, _)| pkgdir.path().join(path))
        .collect();
    found.sort();
    Ok((found, unread))
}

/// Takes the package at `path` over into `pkgdir`.
///
/// # Errors
/// The package is damaged or cannot be copied, or the index cannot be written.
pub fn import(
    pkgdir: &Pkgdir,
    path: &Path,
    header: &HeaderSettings,
) -> Result<Imported, ImportError> {
    let mut package = Package::open(path)?;
    package.verify()?;
    let metadata = package.metadata()?;
    let cpv = name(path, &metadata)?;
    let file = File::open(path).and_then(|file| file.metadata());
    let file = file.map_err(|source| ImportError::Copy {
        path: path.to_owned(),
        source,
    })?;
    let digests = hash_file(path, &[HashName::Sha1])?;
    let sha1 = digests.get(HashName::Sha1).unwrap_or_default();
    let index = Index::read(&pkgdir.index_path())?;
    let same = index.entries().iter().find(|entry| {
        entry.cpv() == cpv.as_str()
            && entry.get("SHA1") == Some(sha1)
            && entry.size() == Some(file.size())
            // Opened, since a network file system may remember a file that another builder has removed.
            && pkgdir
                .path_of(entry)
                .is_some_and(|path| path.is_file() && File::open(path).is_ok())
    });
    if let Some(entry) = same {
        return Ok(Imported::There(entry.path().into_owned()));
    }
    if let Some(unlisted) = unlisted_twin(pkgdir, &index, &mut package, &metadata)? {
        let path = unlisted.path().into_owned();
        add(pkgdir, unlisted, header)?;
        return Ok(Imported::There(path));
    }
    let own_id = text(&metadata, "BUILD_ID").parse::<u64>().ok();
    let own_place = match own_id {
        Some(build_id) if build_id > 0 && pkgdir.options().multi_instance => {
            pkgdir.reserve_id(&cpv, package.format(), build_id)?
        }
        _ => None,
    };
    let (package, mut metadata, kept) = match own_place {
        Some(reservation) => (copy(path, reservation, file.mtime())?, metadata, true),
        None => {
            if let Some(twin) = twin(pkgdir, &index, &mut package, &metadata)? {
                return Ok(Imported::There(twin));
            }
            let reservation = pkgdir.reserve(&cpv, package.format())?;
            match reservation.build_id() {
                // Where a version has one build, no other can have its number.
                None => (copy(path, reservation, file.mtime())?, metadata, true),
                Some(build_id) => {
                    let mut metadata = metadata;
                    metadata.insert("BUILD_ID".to_owned(), build_id.to_string().into_bytes());
                    let sealed = renumber(&mut package, &cpv, &metadata, own_id, reservation)?;
                    (sealed, metadata, false)
                }
            }
        }
    };
    // It tells of where the package was built.
    metadata.remove("REPO_REVISIONS");
    let written = pkgdir.publish(package, &cpv, &metadata, header)?;
    Ok(match kept {
        true => Imported::Taken(written),
        false => Imported::Renumbered(written),
    })
}

fn add(pkgdir: &Pkgdir, entry: Entry, header: &HeaderSettings) -> Result<(), IndexError> {
    let mut locked = pkgdir.lock_index()?;
    locked.update_header(header);
    locked.insert(entry);
    locked.commit()
}

fn text(metadata: &Metadata, key: &str) -> String {
    let value = metadata.get(key).map_or(&[][..], Vec::as_slice);
    String::from_utf8_lossy(value).trim().to_owned()
}

fn name(path: &Path, metadata: &Metadata) -> Result<Cpv, ImportError> {
    for key in ["CATEGORY", "PF", "SLOT"] {
        if text(metadata, key).is_empty() {
            return Err(ImportError::Missing {
                path: path.to_owned(),
                key,
            });
        }
    }
    let (category, pf) = (text(metadata, "CATEGORY"), text(metadata, "PF"));
    Cpv::from_parts(&category, &pf).map_err(|_| ImportError::Name {
        path: path.to_owned(),
        cpv: format!("{category}/{pf}"),
    })
}

/// The same package under another build id, if it is there: one that was taken over before, and renumbered.
fn twin(
    pkgdir: &Pkgdir,
    index: &Index,
    package: &mut Package,
    metadata: &Metadata,
) -> Result<Option<String>, ImportError> {
    let cpv = name(package.path(), metadata)?;
    let built = text(metadata, "BUILD_TIME");
    let mut own = Likeness::new(package, metadata);
    for entry in index.entries() {
        let alike = entry.cpv() == cpv.as_str()
            && entry.get("BUILD_TIME").unwrap_or_default() == built
            && Format::of_name(Path::new(entry.path().as_ref())) == Some(own.package.format());
        if let Some(path) = pkgdir.path_of(entry).filter(|_| alike)
            && own.is_of(&path)?
        {
            return Ok(Some(entry.path().into_owned()));
        }
    }
    Ok(None)
}

/// The entry of the same package, if it is there without one, under its build id or another: somebody who took it over
/// was ended before the index knew it.
fn unlisted_twin(
    pkgdir: &Pkgdir,
    index: &Index,
    package: &mut Package,
    metadata: &Metadata,
) -> Result<Option<Entry>, ImportError> {
    let cpv = name(package.path(), metadata)?;
    let mut own = Likeness::new(package, metadata);
    for file in pkgdir.unlisted_of(&cpv, index)? {
        let path = pkgdir.path().join(file.path());
        let found =
            Format::of_name(file.path()) == Some(own.package.format()) && own.is_of(&path)?;
        let Some(relative) = file.path().to_str().filter(|_| found) else {
            continue;
        };
        // Whatever becomes of it meanwhile, it is no twin then.
        let (Ok(stat), Ok(digests)) = (
            path.metadata(),
            hash_file(&path, &[HashName::Md5, HashName::Sha1]),
        ) else {
            continue;
        };
        let Ok(mut entry) = super::survey::read(&path, relative, &stat) else {
            continue;
        };
        for hash in [HashName::Md5, HashName::Sha1] {
            entry.set(hash.name(), digests.get(hash).unwrap_or_default());
        }
        return Ok(Some(entry));
    }
    Ok(None)
}

/// What tells whether another file has the same package, its build id left out of account.
struct Likeness<'a> {
    package: &'a mut Package,
    metadata: Metadata,
    /// The checksum of the image, once it was needed.
    image: Option<String>,
}

impl<'a> Likeness<'a> {
    fn new(package: &'a mut Package, metadata: &Metadata) -> Self {
        Self {
            package,
            metadata: Self::plain(metadata.clone()),
            image: None,
        }
    }

    fn plain(mut metadata: Metadata) -> Metadata {
        metadata.remove("BUILD_ID");
        metadata
    }

    /// One that is damaged, or gone meanwhile, is another.
    fn is_of(&mut self, path: &Path) -> Result<bool, ImportError> {
        let Ok(mut other) = Package::open(path) else {
            return Ok(false);
        };
        let alike = other.metadata().map(Self::plain);
        if !alike.is_ok_and(|metadata| metadata == self.metadata) {
            return Ok(false);
        }
        let own = match &self.image {
            Some(own) => own,
            None => self.image.insert(image_digest(self.package)?),
        };
        Ok(image_digest(&mut other).is_ok_and(|other| other == *own))
    }
}

/// A checksum of the image.
fn image_digest(package: &mut Package) -> Result<String, ImportError> {
    let path = package.path().to_owned();
    let mut digest = MultiDigest::new(&[HashName::Sha512]);
    digest
        .update_reader(&mut package.image()?)
        .map_err(|source| ImportError::Copy { path, source })?;
    let digests = digest.finish();
    Ok(digests.get(HashName::Sha512).unwrap_or_default().to_owned())
}

/// Copies a package as it is, its time too.
fn copy(path: &Path, mut place: Reservation, mtime: i64) -> Result<Sealed, ImportError> {
    let copy = |place: &mut Reservation| -> io::Result<()> {
        io::copy(&mut File::open(path)?, place)?;
        place.set_modified(mtime)
    };
    copy(&mut place).map_err(|source| ImportError::Copy {
        path: path.to_owned(),
        source,
    })?;
    Ok(place.seal()?)
}

/// Copies a package with another build id, which `metadata` has.
fn renumber(
    package: &mut Package,
    cpv: &Cpv,
    metadata: &Metadata,
    own_id: Option<u64>,
    mut place: Reservation,
) -> Result<Sealed, ImportError> {
    if package.is_signed() {
        return Err(ImportError::Signed {
            path: package.path().to_owned(),
            cpv: cpv.to_string(),
            build_id: own_id.unwrap_or(0),
        });
    }
    with_metadata(package, metadata, &mut place, None)?;
    Ok(place.seal()?)
}
