//! Verifying packages, and signing those that stand in PKGDIR.

use std::path::{Path, PathBuf};

use super::build::BuildError;
use super::gpkg::copy_gpkg;
use super::index::{Entry, HeaderSettings, IndexError};
use super::package::{Package, PackageError};
use super::pkgdir::{Format, Pkgdir, PkgdirError, Written};
use super::signature::{Policy, Signer, Verifier, VerifyError};
use crate::pms::cpv::{Cpv, CpvError};
use crate::util::digest::{HashFileError, HashName, hash_file};

/// A package is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// It cannot be read, or is damaged.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Its signatures are not good.
    #[error("{}: the package cannot be trusted", path.display())]
    Signature {
        /// The package.
        path: PathBuf,
        /// Why.
        source: VerifyError,
    },
    /// An xpak, where signatures are asked for.
    #[error("{}: an xpak cannot be signed, and signatures are asked for", path.display())]
    Unsignable {
        /// The package.
        path: PathBuf,
    },
    /// The index leads out of PKGDIR.
    #[error("{0}: the path leads out of PKGDIR")]
    Outside(String),
    /// The index says something else of it.
    #[error("{path}: its {key} is {found}, but {expected} in Packages")]
    Differs {
        /// The path below PKGDIR.
        path: String,
        /// What differs.
        key: &'static str,
        /// What it is.
        found: String,
        /// What the index says.
        expected: String,
    },
    /// The index has no checksum of it.
    #[error("{0}: Packages has no checksum of it; ebd binpkg fix makes one")]
    NoDigest(String),
    /// Its checksums cannot be made.
    #[error(transparent)]
    Hash(#[from] HashFileError),
}

/// How packages are verified.
#[derive(Debug, Clone)]
pub struct Audit {
    /// What is asked of signatures.
    pub policy: Policy,
    /// Who looks at them; none is needed if they are not looked at.
    pub verifier: Option<Verifier>,
}

impl Audit {
    /// Verifies a package file: its own checksums, that its image is whole, its signatures. Gives whether it is signed
    /// and that was looked at.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn file(&self, path: &Path) -> Result<bool, AuditError> {
        let mut package = Package::open(path)?;
        package.verify()?;
        match (&package, &self.verifier) {
            (Package::Xpak(_), _) if self.policy == Policy::Require => {
                Err(AuditError::Unsignable {
                    path: path.to_owned(),
                })
            }
            (Package::Gpkg(package), Some(verifier)) => {
                let verified = verifier.verify(package, self.policy);
                match (verified, self.policy) {
                    (Err(_), Policy::Warn) => Ok(false),
                    (Err(source), _) => Err(AuditError::Signature {
                        path: path.to_owned(),
                        source,
                    }),
                    (Ok(signed), _) => Ok(signed),
                }
            }
            _ => Ok(false),
        }
    }

    /// What is to be told of the signatures of a package file, where they need not be good.
    pub fn doubt(&self, path: &Path) -> Option<AuditError> {
        match self.policy {
            Policy::Warn => {
                let strict = Self {
                    policy: Policy::Require,
                    verifier: self.verifier.clone(),
                };
                strict.file(path).err()
            }
            _ => None,
        }
    }

    /// The same for a package of the index, whose size and checksums must be as the index says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn entry(&self, pkgdir: &Pkgdir, entry: &Entry) -> Result<bool, AuditError> {
        let shown = entry.path().into_owned();
        let path = pkgdir
            .path_of(entry)
            .ok_or_else(|| AuditError::Outside(shown.clone()))?;
        let names = [HashName::Md5, HashName::Sha1];
        let expected = names.map(|name| (name, entry.get(name.name())));
        if expected.iter().all(|(_, value)| value.is_none()) {
            return Err(AuditError::NoDigest(shown));
        }
        let digests = hash_file(&path, &names)?;
        let mut all = vec![(
            "SIZE",
            digests.size().to_string(),
            entry.get("SIZE").map(str::to_owned),
        )];
        for (name, value) in expected {
            let found = digests.get(name).unwrap_or_default().to_owned();
            all.push((name.name(), found, value.map(str::to_ascii_lowercase)));
        }
        for (key, found, expected) in all {
            if let Some(expected) = expected
                && expected != found
            {
                return Err(AuditError::Differs {
                    path: shown,
                    key,
                    found,
                    expected,
                });
            }
        }
        self.file(&path)
    }
}

/// A package could not be signed in its place.
#[derive(Debug, thiserror::Error)]
pub enum SignInPlaceError {
    /// It cannot be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// It is no gpkg.
    #[error("{0}: an xpak cannot be signed")]
    Unsignable(String),
    /// The index leads out of PKGDIR.
    #[error("{0}: the path leads out of PKGDIR")]
    Outside(String),
    /// The index has a name that is none.
    #[error("the index has a package without a proper name")]
    Name(#[from] CpvError),
    /// It cannot be written.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// PKGDIR cannot be used.
    #[error(transparent)]
    Pkgdir(#[from] PkgdirError),
    /// The index cannot be changed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// Signs the package of an entry anew, in its place, under its own build id, and brings its entry up to date.
///
/// # Errors
/// It is no gpkg, is damaged, or cannot be signed; then it is as it was.
pub fn sign(
    pkgdir: &Pkgdir,
    entry: &Entry,
    signer: &Signer,
    header: &HeaderSettings,
) -> Result<Written, SignInPlaceError> {
    let shown = entry.path().into_owned();
    let path = pkgdir
        .path_of(entry)
        .ok_or_else(|| SignInPlaceError::Outside(shown.clone()))?;
    let cpv = Cpv::parse(entry.cpv())?;
    // Before it is read, so that nobody builds another one in its place that would be lost.
    let mut place = pkgdir.reserve_over(&path, Format::Gpkg, entry.build_id())?;
    let mut package = Package::open(&path)?;
    let mut metadata = package.metadata()?;
    metadata.remove("REPO_REVISIONS");
    let Package::Gpkg(package) = package else {
        return Err(SignInPlaceError::Unsignable(shown));
    };
    copy_gpkg(&package, None, &mut place, Some(signer))?;
    Ok(pkgdir.publish(place.seal()?, &cpv, &metadata, header)?)
}
