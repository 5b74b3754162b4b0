//! The index made true again.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::index::{HeaderSettings, Index, IndexError};
use super::pkgdir::{Pkgdir, PkgdirError, Unread};
use super::survey::{EntryFault, Memory, Survey, Unusable, survey};

/// What is wrong with PKGDIR.
#[derive(Debug, thiserror::Error)]
pub enum Finding {
    /// A package is not in the index.
    #[error("{cpv}: {path} is not in Packages")]
    NotInIndex {
        /// The package.
        cpv: String,
        /// Its path below PKGDIR.
        path: String,
    },
    /// The index tells of a package that is not there, or not as it says.
    #[error("{cpv}: Packages has {path}, which is not there, or not as it says")]
    NotThere {
        /// The package.
        cpv: String,
        /// Its path below PKGDIR.
        path: String,
    },
    /// The index has another path for it.
    #[error("{cpv}: is at {path}, but not in Packages")]
    Moved {
        /// The package.
        cpv: String,
        /// Its path below PKGDIR.
        path: String,
    },
    /// A file is no package. Repairing does not remove it.
    #[error(transparent)]
    Unusable(Unusable),
    /// A builder that was killed left a file. Repairing removes it.
    #[error("{}: was left by a builder that was killed", .0.display())]
    LeftOver(PathBuf),
    /// A directory cannot be read. Repairing leaves what the index has of it.
    #[error(transparent)]
    Unread(Unread),
    /// The index, or the compressed one, is missing.
    #[error("{0} is missing")]
    NoIndex(&'static str),
    /// The compressed index is not of the same time as the index.
    #[error("Packages.gz is not of the same time as Packages")]
    OtherTime,
    /// There is a compressed index that is not kept.
    #[error("Packages.gz is there, but FEATURES has no compress-index, so it will be out of date")]
    Unwanted,
}

impl Finding {
    /// Whether the index is wrong, and not a file.
    pub fn is_of_index(&self) -> bool {
        !matches!(
            self,
            Self::Unusable(_) | Self::Unread(_) | Self::LeftOver(_)
        )
    }

    /// Whether [`fix`] mends it.
    pub fn is_mended(&self) -> bool {
        !matches!(self, Self::Unusable(_) | Self::Unread(_))
    }
}

/// What a repair has done.
#[derive(Debug, Default)]
pub struct Repaired {
    /// What was wrong.
    pub findings: Vec<Finding>,
    /// Whether the index was written.
    pub written: bool,
    /// How many packages it has now.
    pub packages: usize,
}

/// Finds what is wrong with the index, and which files are no packages; changes nothing.
///
/// # Errors
/// PKGDIR or the index cannot be read.
pub fn check(pkgdir: &Pkgdir) -> Result<Vec<Finding>, PkgdirError> {
    let index = Index::read(&pkgdir.index_path())?;
    let found = survey(pkgdir, &index, &Memory::default())?;
    let mut all = findings(pkgdir, found)?;
    all.extend(pkgdir.left_over()?.into_iter().map(Finding::LeftOver));
    Ok(all)
}

/// Makes the index true again: entries for all packages, none for others. It is written only if something was wrong.
/// What builders that were killed left behind is removed first.
///
/// Everything is read before the index is locked; with the lock held it is looked at again, so that nothing that others
/// do meanwhile is lost.
///
/// # Errors
/// PKGDIR cannot be read, something that was left behind cannot be removed, or the index cannot be written.
pub fn fix(pkgdir: &Pkgdir, header: &HeaderSettings) -> Result<Repaired, PkgdirError> {
    let swept = pkgdir.sweep()?.into_iter().map(Finding::LeftOver);
    let mut repaired = fix_index(pkgdir, header)?;
    repaired.findings.extend(swept);
    Ok(repaired)
}

fn fix_index(pkgdir: &Pkgdir, header: &HeaderSettings) -> Result<Repaired, PkgdirError> {
    let mut memory = Memory::default();
    let index = match Index::read(&pkgdir.index_path()) {
        // What is of another version is made anew, as in Portage.
        Err(IndexError::Version { .. }) => Index::default(),
        index => index?,
    };
    let mut first = survey(pkgdir, &index, &memory)?;
    if first.is_clean() && compressed(pkgdir)?.is_empty() {
        return Ok(Repaired {
            packages: first.standing.len(),
            findings: beside_the_index(first.unusable, first.unread).collect(),
            written: false,
        });
    }
    first.complete(pkgdir, &mut memory);

    let mut locked = pkgdir.lock_index_anew()?;
    let mut second = survey(pkgdir, locked.index(), &memory)?;
    second.complete(pkgdir, &mut memory);
    let mut entries = Vec::with_capacity(second.standing.len());
    for found in second.standing.values() {
        let mut entry = found.entry.clone();
        entry.remove("REPO_REVISIONS");
        entry.set("PATH", &found.path);
        entries.push(entry);
    }
    let packages = entries.len();
    let findings = findings(pkgdir, second)?;
    let written = findings.iter().any(Finding::is_of_index);
    if written {
        locked.index_mut().replace_entries(entries);
        locked.update_header(header);
        locked.commit()?;
    }
    Ok(Repaired {
        findings,
        written,
        packages,
    })
}

fn findings(pkgdir: &Pkgdir, found: Survey) -> Result<Vec<Finding>, PkgdirError> {
    let mut all: Vec<Finding> = Vec::new();
    for standing in found.standing.into_values() {
        let (cpv, path) = (standing.cpv, standing.path);
        match standing.fault {
            Some(EntryFault::Missing | EntryFault::NoDigests) => {
                all.push(Finding::NotInIndex { cpv, path });
            }
            Some(EntryFault::Moved) => all.push(Finding::Moved { cpv, path }),
            None => {}
        }
    }
    for entry in &found.stale {
        all.push(Finding::NotThere {
            cpv: entry.cpv().to_owned(),
            path: entry.path().into_owned(),
        });
    }
    all.extend(compressed(pkgdir)?);
    all.extend(beside_the_index(found.unusable, found.unread));
    Ok(all)
}

/// What is wrong with files and directories, which no index mends.
fn beside_the_index(unusable: Vec<Unusable>, unread: Vec<Unread>) -> impl Iterator<Item = Finding> {
    let unread = unread.into_iter().map(Finding::Unread);
    unusable.into_iter().map(Finding::Unusable).chain(unread)
}

/// What is wrong with the files of the index as such.
fn compressed(pkgdir: &Pkgdir) -> Result<Vec<Finding>, PkgdirError> {
    let time = |path: &std::path::Path| match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.mtime())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PkgdirError::Io {
            path: path.to_owned(),
            step: "read",
            source,
        }),
    };
    let plain = pkgdir.index_path();
    let wanted = pkgdir.options().compress_index;
    let (plain, packed) = (time(&plain)?, time(&plain.with_extension("gz"))?);
    let mut all = Vec::new();
    if plain.is_none() {
        all.push(Finding::NoIndex("Packages"));
    }
    match (wanted, packed) {
        (true, None) => all.push(Finding::NoIndex("Packages.gz")),
        (true, Some(time)) if plain.is_some_and(|plain| plain != time) => {
            all.push(Finding::OtherTime);
        }
        (false, Some(_)) => all.push(Finding::Unwanted),
        _ => {}
    }
    Ok(all)
}
