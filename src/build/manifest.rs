//! Making the Manifest of a package.

use std::fs;
use std::path::{Path, PathBuf};

use super::candidate::{Candidate, CandidateError};
use super::fetching::{Distfiles, FetchingError, plans};
use super::session::Session;
use crate::fetch::{Expected, FetchOptions, Fetched, Fetcher, Plan, Request};
use crate::repo::manifest::{FileKind, Manifest, ManifestEntry, ManifestError, ManifestProblem};
use crate::repo::manifest_text::{manifest_text, own_files};
use crate::repo::{Layout, ManifestPolicy, RepoError, Repository};
use crate::util::atomic::{self, AtomicError};
use crate::util::digest::{HashFileError, HashName, UnknownHash, hash_file};

/// The hashes of a repository that names none, as in Portage.
const USUAL_HASHES: [HashName; 2] = [HashName::Blake2b, HashName::Sha512];

/// Permissions of a Manifest that was not there.
const MODE: u32 = 0o644;

/// Why a Manifest was not made.
#[derive(Debug, thiserror::Error)]
pub enum MakeManifestError {
    /// The repository does not have Manifests.
    #[error("{cp}: {repository} has no Manifests (use-manifests = false in its layout.conf)")]
    NotUsed {
        /// The package.
        cp: String,
        /// The repository.
        repository: String,
    },
    /// A file in the package's directory is called like an ebuild but is none.
    #[error("{}: {reason}", path.display())]
    InvalidEbuild {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The repository wants hashes that are not known here.
    #[error("{repository}: its layout.conf names a hash that cannot be made")]
    Hash {
        /// The repository.
        repository: String,
        /// The hash.
        source: UnknownHash,
    },
    /// An ebuild cannot be used.
    #[error(transparent)]
    Candidate(#[from] CandidateError),
    /// The repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The Manifest that is there cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Where distfiles come from is not known.
    #[error(transparent)]
    Fetching(#[from] FetchingError),
    /// A file of the package cannot be read.
    #[error(transparent)]
    Own(#[from] ManifestProblem),
    /// A distfile cannot be read.
    #[error(transparent)]
    Read(#[from] HashFileError),
    /// The Manifest cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
    /// The Manifest cannot be removed although nothing is to be listed.
    #[error("{}: cannot be removed", path.display())]
    Remove {
        /// The Manifest.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A package whose Manifest is to be made.
#[derive(Debug)]
pub struct Making {
    /// `category/package`.
    pub cp: String,
    /// Where the package is.
    pub directory: PathBuf,
    /// What has to be fetched or verified before.
    pub requests: Vec<Request>,
    /// Entries of distfiles that stay as they are.
    kept: Vec<ManifestEntry>,
    hashes: Vec<HashName>,
    thin: bool,
}

/// What became of a Manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It was as it should be.
    Unchanged,
    /// It was written.
    Written {
        /// What was there was signed, and its signature is gone, as it was one of another text.
        unsigned: bool,
    },
    /// There is nothing to list, and so no Manifest any more.
    Removed,
}

/// A fetcher for files that no Manifest has yet.
#[must_use]
pub fn fetcher(session: &Session) -> Fetcher {
    Fetcher::new(FetchOptions {
        allow_missing: true,
        ..session.fetcher.options().clone()
    })
}

fn hashes(
    layout: &Layout,
    repository: &str,
) -> Result<(Vec<HashName>, Vec<HashName>), MakeManifestError> {
    let read = |names: &Option<Vec<String>>| match names {
        None => Ok(USUAL_HASHES.to_vec()),
        Some(names) => names.iter().map(|name| name.parse()).collect(),
    };
    let unknown = |source| MakeManifestError::Hash {
        repository: repository.to_owned(),
        source,
    };
    Ok((
        read(&layout.manifest_hashes).map_err(unknown)?,
        read(&layout.manifest_required_hashes).map_err(unknown)?,
    ))
}

/// Finds out what the Manifest of the package needs. With `force` what an existing one says of distfiles does not
/// count.
///
/// An entry stays if it has the hashes that the repository requires and its file is not in DISTDIR, or has the right
/// size there and all hashes that the repository wants. Else the file is verified by the entry, and hashed. A file
/// without an entry is fetched from where the ebuild says, not from mirrors that may have another one of its name.
///
/// # Errors
/// A [`MakeManifestError`] that names what is wrong.
pub async fn prepare(
    session: &Session,
    repository: &Repository,
    cp: &str,
    force: bool,
) -> Result<Making, MakeManifestError> {
    let layout = repository.layout();
    if layout.use_manifests == ManifestPolicy::Absent {
        return Err(MakeManifestError::NotUsed {
            cp: cp.to_owned(),
            repository: repository.name().to_owned(),
        });
    }
    let (hashes, required) = hashes(layout, repository.name())?;
    let directory = repository.location().join(cp);
    let package = repository.ebuilds(cp)?;
    if let Some(invalid) = package.invalid.into_iter().next() {
        return Err(MakeManifestError::InvalidEbuild {
            path: invalid.path,
            reason: invalid.reason,
        });
    }
    let mut wanted: Vec<Plan> = Vec::new();
    for ebuild in package.ebuilds {
        let candidate = Candidate::load(session, ebuild).await?;
        let distfiles = Distfiles::of(&candidate)?.whatever_the_flags();
        for plan in plans(session, &candidate, &distfiles)? {
            match wanted.iter_mut().find(|known| known.file == plan.file) {
                Some(known) => known.join(plan),
                None => wanted.push(plan),
            }
        }
    }
    let path = directory.join("Manifest");
    let old = match Manifest::read(&directory) {
        Err(_) if force => None,
        result => result?,
    };
    let distdir = session.config.distdir();
    let assume = session.config.features().contains("assume-digests");
    let (mut kept, mut requests) = (Vec::new(), Vec::new());
    for mut plan in wanted {
        let entry = old
            .as_ref()
            .and_then(|manifest| manifest.distfile(&plan.file))
            .filter(|_| !force);
        let Some(entry) = entry else {
            plan.from_its_author();
            requests.push(Request {
                plan,
                expected: None,
                manifest: path.clone(),
            });
            continue;
        };
        let has_all = |names: &[HashName]| names.iter().all(|it| entry.hash(it.name()).is_some());
        let stays = has_all(&required)
            && match fs::metadata(distdir.join(&plan.file)) {
                Err(_) => true,
                Ok(file) => {
                    assume
                        && file.len() == entry.size
                        && has_all(&hashes)
                        && entry.hashes.len() == hashes.len()
                }
            };
        if stays {
            kept.push(entry.clone());
        } else {
            requests.push(Request {
                plan,
                expected: Some(Expected::from(entry)),
                manifest: path.clone(),
            });
        }
    }
    Ok(Making {
        cp: cp.to_owned(),
        directory,
        requests,
        kept,
        hashes,
        thin: layout.thin_manifests,
    })
}

impl Making {
    /// Writes the Manifest, now that these distfiles are there.
    ///
    /// # Errors
    /// A file cannot be read, or the Manifest cannot be written; then it is as it was.
    pub fn write(self, fetched: &[Fetched]) -> Result<Made, MakeManifestError> {
        let mut entries = self.kept;
        for file in fetched {
            let known = |name: &HashName| file.digests.get(*name).is_some();
            let digests = if self.hashes.iter().all(known) {
                file.digests.clone()
            } else {
                hash_file(&file.path, &self.hashes)?
            };
            let mut entry = ManifestEntry::of(FileKind::Dist, &file.file, &digests);
            entry
                .hashes
                .retain(|(name, _)| self.hashes.iter().any(|hash| hash.name() == name));
            entries.push(entry);
        }
        if !self.thin {
            entries.extend(own_files(&self.directory, &self.hashes)?);
        }
        let path = self.directory.join("Manifest");
        let text = manifest_text(&entries);
        write(&path, &text)
    }
}

fn write(path: &Path, text: &str) -> Result<Made, MakeManifestError> {
    use std::os::unix::fs::PermissionsExt;
    let old = fs::read(path).unwrap_or_default();
    if text.is_empty() {
        return match fs::remove_file(path) {
            Ok(()) => Ok(Made::Removed),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Made::Unchanged),
            Err(source) => Err(MakeManifestError::Remove {
                path: path.to_owned(),
                source,
            }),
        };
    }
    if says_the_same(&old, text.as_bytes(), path) {
        return Ok(Made::Unchanged);
    }
    let mode = fs::metadata(path).map_or(MODE, |it| it.permissions().mode() & 0o777);
    atomic::write(path, text.as_bytes(), mode)?;
    let unsigned = old.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----");
    Ok(Made::Written { unsigned })
}

/// Whether two Manifests have the same entries in the same order. As in Portage, one that is right
/// stays as it is, with its signature if it has one.
fn says_the_same(old: &[u8], new: &[u8], path: &Path) -> bool {
    let parse = |text| Manifest::parse(text, path).ok();
    let (Some(old), Some(new)) = (parse(old), parse(new)) else {
        return false;
    };
    let (old, new) = (old.entries(), new.entries());
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| old.says_as(new))
}
