//! Bringing a package into PKGDIR.
//!
//! It is fetched into a hidden folder of PKGDIR, under a name that neither Portage nor ebd takes for a package, as
//! `….partial`, which the next attempt goes on with. Only what is right is taken over.

use std::fs;
use std::io::ErrorKind::NotFound;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;

use super::Host;
use super::choice::Unfit;
use super::instances::{Instance, Instances};
use crate::binpkg::adopt::{AdoptError, Examined, adopt, examine, there};
use crate::binpkg::audit::{Audit, AuditError};
use crate::binpkg::index::{Entry, HeaderSettings};
use crate::binpkg::package::{Package, PackageError};
use crate::binpkg::pkgdir::{Pkgdir, PkgdirError};
use crate::binpkg::xpak::Metadata;
use crate::fetch::{
    Events, Expected, FetchError, Mismatch, Plan, Request, Source, SourceError, without_password,
};
use crate::util::digest::HashName;
use crate::util::lock::Lock;

/// The folder below PKGDIR for what is being fetched.
pub const FOLDER: &str = ".fetching";

/// So long an unfinished package is kept for somebody to go on with it.
const KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How often the folder may vanish before it is used.
const ATTEMPTS: u32 = 10;

/// A package could not be brought into PKGDIR.
#[derive(Debug, thiserror::Error)]
pub enum BringError {
    /// It is not in PKGDIR as the index says.
    #[error(transparent)]
    Local(#[from] AuditError),
    /// The host did not deliver it.
    #[error("{address}: cannot be fetched: {reason}")]
    Source {
        /// Its address, without a password.
        address: String,
        /// Why.
        reason: String,
    },
    /// It cannot be kept here.
    #[error("it cannot be fetched")]
    Fetch(#[from] FetchError),
    /// It was fetched, and is no good.
    #[error("{address}: was fetched, but not taken into PKGDIR")]
    Adopt {
        /// Its address, without a password.
        address: String,
        /// Why.
        source: AdoptError,
    },
    /// It is in PKGDIR, and is no good.
    #[error("{}: is the package of that address, but is not used", path.display())]
    There {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: AdoptError,
    },
    /// It may not be used, whatever its index says of it.
    #[error("{0}")]
    Unfit(Unfit),
    /// It cannot be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// It was made of something else than is wanted.
    #[error("it was made of something else: {}", .0.join(", "))]
    Input(Vec<String>),
    /// No host has it any more.
    #[error("the host is not known")]
    NoHost,
    /// A thread of ours ended early.
    #[error("the work was interrupted")]
    Interrupted,
}

impl From<&BringError> for Unfit {
    fn from(error: &BringError) -> Self {
        match error {
            BringError::Unfit(unfit) => unfit.clone(),
            BringError::Input(parts)
            | BringError::There {
                source: AdoptError::Input(parts),
                ..
            }
            | BringError::Adopt {
                source: AdoptError::Input(parts),
                ..
            } => Self::Input(parts.clone()),
            _ => Self::Broken(crate::util::causes::causes(error).join(": ")),
        }
    }
}

/// Where packages are brought, and how they are verified.
#[derive(Debug, Clone)]
pub struct Desk {
    /// PKGDIR.
    pub pkgdir: Pkgdir,
    /// What the header of its index tells.
    pub header: HeaderSettings,
    /// How packages that are there are verified.
    pub own: Audit,
    /// How those of each host are.
    pub hosts: Vec<Audit>,
}

/// Says of a package's metadata which parts of what it was made of are not wanted.
pub type Accept = Arc<dyn Fn(&Metadata) -> Result<(), Vec<String>> + Send + Sync>;

/// What is asked of a package of a host itself, whatever its index says of it.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Which parts of what it was made of are not wanted; this is asked of packages of PKGDIR too.
    pub accept: &'a Accept,
    /// Whether it may be used; it comes with the entry that was made of it.
    pub judge: &'a (dyn Fn(&Instance) -> Result<(), Unfit> + Sync),
}

/// The folder that a host's packages are fetched to.
#[must_use]
pub fn folder(pkgdir: &Path) -> PathBuf {
    pkgdir.join(FOLDER)
}

/// Sees to it that a package is in PKGDIR, and good. Gives where.
///
/// # Errors
/// It cannot be had, or is not good; PKGDIR is then as it was.
pub async fn bring(
    instances: &Instances,
    instance: &Instance,
    desk: &Desk,
    wanted: Wanted<'_>,
    events: &Events,
) -> Result<PathBuf, BringError> {
    let entry = instance.entry.clone();
    let Some(number) = instance.host else {
        let (pkgdir, own) = (desk.pkgdir.clone(), desk.own.clone());
        let accept = wanted.accept.clone();
        return blocking(move || {
            own.entry(&pkgdir, &entry)?;
            let path = pkgdir.path_of(&entry).unwrap_or_default();
            accept(&Package::open(&path)?.metadata()?).map_err(BringError::Input)?;
            Ok(path)
        })
        .await;
    };
    let (Some((host, address)), Some(audit)) = (instances.source(instance), desk.hosts.get(number))
    else {
        return Err(BringError::NoHost);
    };
    let folder = folder(desk.pkgdir.path());
    // Who comes second finds the package in PKGDIR.
    let _lock = lock(&folder, &address).await?;
    let known = {
        let (pkgdir, entry) = (desk.pkgdir.clone(), entry.clone());
        blocking(move || Ok(there(&pkgdir, &entry))).await?
    };
    if let Some(path) = known {
        // It may have come otherwise, or for somebody who asks for less.
        let examined = examined(&path, instance, audit, wanted).await?;
        return match examined {
            Ok(_) => Ok(path),
            Err(source) => Err(BringError::There { path, source }),
        };
    }
    let result = match fetch(host, &address, &entry, events).await {
        Err(error) => Err(error),
        Ok(path) => {
            let taken = take(&path, &address, instance, audit, desk, wanted).await;
            let _ = fs::remove_file(&path);
            taken
        }
    };
    tidy(&folder);
    result
}

/// Takes a package that was fetched to `path` into PKGDIR, if it is good and may be used.
async fn take(
    path: &Path,
    address: &str,
    instance: &Instance,
    audit: &Audit,
    desk: &Desk,
    wanted: Wanted<'_>,
) -> Result<PathBuf, BringError> {
    let address = without_password(address);
    let examined = match examined(path, instance, audit, wanted).await? {
        Ok(examined) => examined,
        Err(source) => return Err(BringError::Adopt { address, source }),
    };
    let (pkgdir, header) = (desk.pkgdir.clone(), desk.header.clone());
    let (path, said) = (path.to_owned(), instance.entry.clone());
    blocking(move || {
        adopt(&pkgdir, &path, &said, &examined, &header)
            .map_err(|source| BringError::Adopt { address, source })
    })
    .await
}

/// Looks at the package of a host in the file `path`, and judges it by what it says itself: the index was believed only
/// as far as to fetch it.
async fn examined(
    path: &Path,
    instance: &Instance,
    audit: &Audit,
    wanted: Wanted<'_>,
) -> Result<Result<Examined, AdoptError>, BringError> {
    let (path, said) = (path.to_owned(), instance.entry.clone());
    let (audit, accept) = (audit.clone(), wanted.accept.clone());
    let found = blocking(move || Ok(examine(&path, &said, &audit, &*accept))).await?;
    if let Ok(examined) = &found {
        let package = Instance {
            entry: examined.entry.clone(),
            ..instance.clone()
        };
        (wanted.judge)(&package).map_err(BringError::Unfit)?;
    }
    Ok(found)
}

/// The lock on a package of a host, for as long as it is fetched and taken over. It lies beside the folder of what is
/// being fetched, which comes and goes.
async fn lock(folder: &Path, address: &str) -> Result<Lock, BringError> {
    let digest = HashName::Sha256.hex(address.as_bytes());
    let name = format!("{FOLDER}.{}.lock", digest.get(..16).unwrap_or_default());
    let path = folder.with_file_name(name);
    let lock = Lock::acquire_async(&path).await.map_err(PkgdirError::from);
    Ok(lock
        .map_err(AdoptError::from)
        .map_err(|source| BringError::Adopt {
            address: without_password(address),
            source,
        })?
        .remove_on_release())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BringError> + Send + 'static,
) -> Result<T, BringError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(BringError::Interrupted),
    }
}

/// Fetches a package, which is then as its entry says. Gives where it is meanwhile.
async fn fetch(
    host: &Host,
    address: &str,
    entry: &Entry,
    events: &Events,
) -> Result<PathBuf, BringError> {
    let digests = [HashName::Md5, HashName::Sha1];
    let hashes: Vec<(&str, String)> = digests
        .iter()
        .filter_map(|name| Some((name.name(), entry.get(name.name())?.to_ascii_lowercase())))
        .collect();
    // What is there of another state of the package must not be taken for the beginning of this one.
    let state = format!("{address}\0{:?}\0{hashes:?}", entry.size());
    let state = HashName::Sha256.hex(state.as_bytes());
    let path = entry.path();
    let name = path.rsplit('/').next().unwrap_or_default();
    let file = format!("{name}.{}", state.get(..16).unwrap_or_default());
    let request = |source: String| Request {
        plan: Plan {
            file: file.clone(),
            sources: vec![Source::Uri(source)],
            primary: Vec::new(),
            fetch_restricted: false,
        },
        expected: Some(Expected::new(entry.size().unwrap_or(0), hashes.clone())),
        manifest: PathBuf::from("Packages"),
    };
    // What is not as the index says is not worth a word: Portage may have fetched it long ago, or fetch it now.
    if let Some(kept) = kept(host, entry)
        && let Ok(fetched) = host.fetcher.fetch(&request(kept), events).await
    {
        return Ok(fetched.path);
    }
    let request = request(address.to_owned());
    let mut fetched = host.fetcher.fetch(&request, events).await;
    // Somebody else who had fetched something removed the folder, empty as it was then.
    for _ in 0..ATTEMPTS {
        match &fetched {
            Err(FetchError::Distdir { source, .. }) if source.kind() == NotFound => {
                fetched = host.fetcher.fetch(&request, events).await;
            }
            _ => break,
        }
    }
    match fetched {
        Ok(fetched) => Ok(fetched.path),
        Err(FetchError::AllFailed { mut failures, .. }) if failures.len() == 1 => {
            let failure = failures.pop();
            let reason = failure.map_or_else(String::new, |failure| {
                if let Some(kept) = &failure.kept {
                    let _ = fs::remove_file(kept);
                }
                reason(&failure.reason)
            });
            Err(BringError::Source {
                address: without_password(address),
                reason,
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// Where Portage has kept the package, if it has the size that the index says.
fn kept(host: &Host, entry: &Entry) -> Option<String> {
    let path = entry.path();
    let path = Path::new(path.as_ref());
    let inside = |part| matches!(part, Component::Normal(_));
    if !path.components().all(inside) {
        return None;
    }
    let path = host.repository.location.as_ref()?.join(path);
    let metadata = fs::metadata(&path).ok()?;
    (metadata.is_file() && Some(metadata.len()) == entry.size())
        .then(|| Url::from_file_path(&path).ok())
        .flatten()
        .map(String::from)
}

/// Why a host did not deliver, where it is not a Manifest that says otherwise.
fn reason(error: &SourceError) -> String {
    match error {
        SourceError::Offered { offered, expected } => {
            format!("the host has {offered} bytes, its index says {expected}")
        }
        SourceError::TooLong { limit } => format!("more came than the {limit} bytes of the index"),
        SourceError::Content(Mismatch::Size { expected, got }) => {
            format!("{got} bytes came, the index says {expected}")
        }
        SourceError::Content(Mismatch::Hash {
            name,
            expected,
            got,
        }) => format!("its {name} is {got}, the index says {expected}"),
        other => crate::util::causes::causes(other).join(": "),
    }
}

/// Removes what nobody will go on with, and the folder when it is empty.
fn tidy(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|time| time.elapsed().ok())
            .is_some_and(|age| age > KEPT);
        if old && name.ends_with(".partial") {
            let _ = fs::remove_file(entry.path());
        }
    }
    let _ = fs::remove_dir(folder);
}
