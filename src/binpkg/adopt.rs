//! Taking a package that was fetched into PKGDIR, as the host has it.
//!
//! It keeps its metadata, build id included. Its file has that id in its name too, unless another package has it here:
//! then the name has the next one, and the index tells both.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::audit::{Audit, AuditError};
use super::index::{Entry, FileFacts, HeaderSettings, Index, IndexError};
use super::package::{Package, PackageError};
use super::pkgdir::{Format, Pkgdir, PkgdirError};
use super::xpak::Metadata;
use crate::pms::cpv::{Cpv, CpvError};
use crate::util::digest::{HashName, hash_file};

/// What the index of a host says of a package and what must be so. By these a package is told from others; whether it
/// may be used is judged by what it says itself.
const HELD_AGAINST: [&str; 8] = [
    "BUILD_ID",
    "BUILD_TIME",
    "CHOST",
    "EAPI",
    "IUSE",
    "REPO",
    "SLOT",
    "USE",
];

/// A package was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// It is damaged, or not signed as is asked.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// It cannot be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Its format is not that of its name.
    #[error("the index says that the package is {named}, but it is {found}")]
    Format {
        /// The format by the name.
        named: Format,
        /// The format by the content.
        found: Format,
    },
    /// It is not what the index of the host says.
    #[error("the index says that {key} is {said:?}, but in the package it is {found:?}")]
    Differs {
        /// The key.
        key: &'static str,
        /// What the index says.
        said: String,
        /// What the package says.
        found: String,
    },
    /// It was made of something else than is wanted.
    #[error("it was made of something else: {}", .0.join(", "))]
    Input(Vec<String>),
    /// The index has a name that is none.
    #[error("the index has a name that is none")]
    Name(#[from] CpvError),
    /// It cannot be copied.
    #[error("{}: cannot be copied to PKGDIR", path.display())]
    Copy {
        /// The package.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// PKGDIR cannot be used.
    #[error(transparent)]
    Pkgdir(#[from] PkgdirError),
    /// The index cannot be changed, or no entry can be made.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// A package that was looked at: it is the one that the entry of a host's index tells of, whole, and signed as is asked.
#[derive(Debug)]
pub struct Examined {
    cpv: Cpv,
    format: Format,
    metadata: Metadata,
    /// The entry that is made of it, but for its checksums.
    pub entry: Entry,
}

/// Looks at the package in the file `path`, which has the size and checksums that `said`, the entry of a host's index,
/// has. `accept` says of the metadata which parts of what it was made of are not wanted.
///
/// # Errors
/// It is not what `said` says, or not as `audit` and `accept` want it.
pub fn examine(
    path: &Path,
    said: &Entry,
    audit: &Audit,
    accept: &dyn Fn(&Metadata) -> Result<(), Vec<String>>,
) -> Result<Examined, AdoptError> {
    audit.file(path)?;
    let mut package = Package::open(path)?;
    let format = package.format();
    if let Some(named) = Format::of_name(Path::new(said.path().as_ref()))
        && named != format
    {
        return Err(AdoptError::Format {
            named,
            found: format,
        });
    }
    let cpv = Cpv::parse(said.cpv())?;
    let mut metadata = package.metadata()?;
    // It tells of where the package was built.
    metadata.remove("REPO_REVISIONS");
    let text = |key: &str| {
        let value = metadata.get(key).map_or(&[][..], Vec::as_slice);
        String::from_utf8_lossy(value).trim().to_owned()
    };
    let name = format!("{}/{}", text("CATEGORY"), text("PF"));
    let differs = |key, said: &str, found: &str| AdoptError::Differs {
        key,
        said: said.to_owned(),
        found: found.to_owned(),
    };
    if name != said.cpv() {
        return Err(differs("CPV", said.cpv(), &name));
    }
    let facts = FileFacts {
        path: said.path().into_owned(),
        size: said.size().unwrap_or(0),
        mtime: said.mtime().unwrap_or(0),
        md5: String::new(),
        sha1: String::new(),
    };
    let entry = Entry::from_metadata(&cpv, &metadata, &facts)?;
    for key in HELD_AGAINST {
        let (expected, found) = (said.get(key), entry.get(key));
        if expected != found {
            return Err(differs(
                key,
                expected.unwrap_or_default(),
                found.unwrap_or_default(),
            ));
        }
    }
    accept(&metadata).map_err(AdoptError::Input)?;
    Ok(Examined {
        cpv,
        format,
        metadata,
        entry,
    })
}

/// Takes the package in the file `path`, which was examined with `said`, into `pkgdir` and its index. If PKGDIR has it
/// already, that is given.
///
/// # Errors
/// It cannot be written. PKGDIR is then as it was.
pub fn adopt(
    pkgdir: &Pkgdir,
    path: &Path,
    said: &Entry,
    package: &Examined,
    header: &HeaderSettings,
) -> Result<PathBuf, AdoptError> {
    let Examined {
        cpv,
        format,
        metadata,
        entry,
    } = package;
    let mtime = said.mtime();
    let own_id = entry.build_id().filter(|id| *id > 0);
    let own_place = match own_id {
        Some(id) if pkgdir.options().multi_instance => pkgdir.reserve_id(cpv, *format, id)?,
        _ => None,
    };
    let mut place = match own_place {
        Some(place) => place,
        None => pkgdir.reserve(cpv, *format)?,
    };
    let mut copy = || -> io::Result<()> {
        io::copy(&mut File::open(path)?, &mut place)?;
        match mtime {
            Some(mtime) => place.set_modified(mtime),
            None => Ok(()),
        }
    };
    copy().map_err(|source| AdoptError::Copy {
        path: path.to_owned(),
        source,
    })?;
    let sealed = place.seal()?;
    let mut locked = pkgdir.lock_index()?;
    // Others may have brought the very same meanwhile.
    if let Some(there) = found_in(pkgdir, locked.index(), said) {
        return Ok(there);
    }
    locked.update_header(header);
    Ok(locked.publish(sealed, cpv, metadata)?.path)
}

/// The very package that a host's entry tells of, in PKGDIR, if it is there, with the size and checksum of the entry.
#[must_use]
pub fn there(pkgdir: &Pkgdir, said: &Entry) -> Option<PathBuf> {
    found_in(pkgdir, &Index::read(&pkgdir.index_path()).ok()?, said)
}

fn found_in(pkgdir: &Pkgdir, index: &Index, said: &Entry) -> Option<PathBuf> {
    index
        .entries()
        .iter()
        .filter(|entry| entry.cpv() == said.cpv() && entry.size() == said.size())
        .filter(|entry| {
            let both = |key: &str| Some((entry.get(key)?, said.get(key)?));
            match both("SHA1").or_else(|| both("MD5")) {
                Some((one, other)) => one.eq_ignore_ascii_case(other),
                None => false,
            }
        })
        .find_map(|entry| pkgdir.path_of(entry).filter(|path| is_it(path, said)))
}

/// Whether a file has the size and checksum that an entry says. What the index of PKGDIR says of it may have become
/// wrong.
fn is_it(path: &Path, said: &Entry) -> bool {
    let hashes = [HashName::Sha1, HashName::Md5];
    let named = hashes
        .into_iter()
        .find_map(|hash| Some((hash, said.get(hash.name())?)));
    let Some((hash, expected)) = named else {
        return false;
    };
    hash_file(path, &[hash]).is_ok_and(|digests| {
        let digest = digests.get(hash).unwrap_or_default();
        said.size() == Some(digests.size()) && digest.eq_ignore_ascii_case(expected)
    })
}
