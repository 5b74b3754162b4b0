//! Bringing the distfiles of one package.

use std::path::{Path, PathBuf};

use super::candidate::{Candidate, CandidateError};
use super::event::{Event, Events};
use super::session::Session;
use crate::fetch::{
    self, FetchError, MirrorFileError, MirrorMap, MirrorOrder, Mirrors, Plan, Request, Restriction,
    plan,
};
use crate::pms::atom::PackageFacts;
use crate::pms::dependency::DepSpec;
use crate::pms::src_uri::SrcUri;
use crate::repo::RepoError;
use crate::repo::manifest::{Manifest, ManifestError};

/// Why the distfiles of a package are not there.
#[derive(Debug, thiserror::Error)]
pub enum FetchingError {
    /// SRC_URI or RESTRICT is not valid.
    #[error(transparent)]
    Candidate(#[from] CandidateError),
    /// The Manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The repository has no Manifest although the package has distfiles.
    #[error("{}: is missing, so the distfiles of {cpv} cannot be verified; make it with `ebd manifest {}`", path.display(), ebuild.parent().unwrap_or(ebuild).display())]
    NoManifest {
        /// Where it should be.
        path: PathBuf,
        /// The package.
        cpv: String,
        /// The ebuild.
        ebuild: PathBuf,
    },
    /// The lists of mirrors cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The user's list of mirrors cannot be read.
    #[error(transparent)]
    Mirrors(#[from] MirrorFileError),
    /// One file could not be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl FetchingError {
    /// Whether the ebuild has something to say about it in `pkg_nofetch`.
    #[must_use]
    pub fn wants_nofetch(&self) -> bool {
        matches!(self, Self::Fetch(error) if error.wants_nofetch())
    }
}

/// The distfiles of a candidate: those that its flags ask for, and all.
#[derive(Debug, Clone)]
pub struct Distfiles {
    /// `A`: each file once, in order of first appearance (PMS 7.3.2).
    pub wanted: Vec<String>,
    /// `AA`.
    pub all: Vec<String>,
    uris: Vec<SrcUri>,
    every: Vec<SrcUri>,
}

impl Distfiles {
    /// Reads SRC_URI.
    ///
    /// # Errors
    /// [`CandidateError::Value`] if it is not valid.
    pub fn of(candidate: &Candidate) -> Result<Self, CandidateError> {
        let spec = DepSpec::parse_src_uri(candidate.value("SRC_URI"), candidate.eapi).map_err(
            |source| CandidateError::Value {
                cpv: candidate.cpv().to_string(),
                key: "SRC_URI",
                source: Box::new(source),
            },
        )?;
        let names = |spec: &DepSpec<SrcUri>| {
            let mut names: Vec<String> = Vec::new();
            for uri in spec.leaves() {
                if !names.iter().any(|name| name == uri.filename()) {
                    names.push(uri.filename().to_owned());
                }
            }
            names
        };
        let evaluated = spec.evaluate(|flag| candidate.has_use(flag));
        Ok(Self {
            every: spec.leaves().cloned().collect(),
            wanted: names(&evaluated),
            all: names(&spec),
            uris: evaluated.leaves().cloned().collect(),
        })
    }

    /// The same where the files that any flags could ask for are wanted, as for a mirror.
    #[must_use]
    pub fn whatever_the_flags(self) -> Self {
        Self {
            wanted: self.all.clone(),
            uris: self.every.clone(),
            ..self
        }
    }
}

/// What is to be fetched for the candidate's flags.
///
/// # Errors
/// A [`FetchingError`] if nothing could be verified, or the mirrors are not known.
pub fn requests(
    session: &Session,
    candidate: &Candidate,
    distfiles: &Distfiles,
) -> Result<Vec<Request>, FetchingError> {
    if distfiles.wanted.is_empty() {
        return Ok(Vec::new());
    }
    let folder = candidate.ebuild.path.parent().unwrap_or(Path::new("/"));
    let path = folder.join("Manifest");
    let manifest = Manifest::read(folder)?;
    if manifest.is_none() {
        return Err(FetchingError::NoManifest {
            path,
            cpv: candidate.cpv().to_string(),
            ebuild: candidate.ebuild.path.clone(),
        });
    }
    let plans = plans(session, candidate, distfiles)?;
    Ok(Request::with_manifest(plans, manifest.as_ref(), &path))
}

/// Where each of the distfiles may come from.
///
/// # Errors
/// RESTRICT is not valid, or the mirrors are not known.
pub fn plans(
    session: &Session,
    candidate: &Candidate,
    distfiles: &Distfiles,
) -> Result<Vec<Plan>, FetchingError> {
    let restrict = candidate.evaluated("RESTRICT", DepSpec::parse_restrict)?;
    Ok(plan(
        &distfiles.uris,
        Restriction::from_tokens(restrict.leaves().map(String::as_str)),
        &mirrors(session)?,
        candidate.config.features.contains("force-mirror"),
        MirrorOrder::random(),
    ))
}

/// Brings the files that the candidate's flags ask for into DISTDIR, verified; if somebody does that
/// already, waits for them.
///
/// # Errors
/// A [`FetchingError`] that names the file.
pub async fn fetch(
    session: &Session,
    candidate: &Candidate,
    distfiles: &Distfiles,
) -> Result<(), FetchingError> {
    if let Some(result) = session.ahead.wait(candidate).await {
        return result;
    }
    let requests = requests(session, candidate, distfiles)?;
    let teller = Teller::new(&session.events, candidate);
    let parallel = session.fetcher.options().connections;
    let sender = teller.sender();
    let results = session.fetcher.fetch_all(&requests, parallel, &sender);
    let results = results.await;
    drop(sender);
    teller.end().await;
    for result in results {
        result?;
    }
    Ok(())
}

/// Tells what fetches for one package tell, in the words of a build.
#[derive(Debug)]
pub struct Teller {
    sender: fetch::Events,
    task: tokio::task::JoinHandle<()>,
}

impl Teller {
    /// One that has been told nothing yet.
    #[must_use]
    pub fn new(events: &Events, candidate: &Candidate) -> Self {
        Self::telling(events, candidate.cpv().to_string(), true)
    }

    /// One for a binary package, whose failures are told by who wants it.
    #[must_use]
    pub fn of_package(events: &Events, package: String) -> Self {
        Self::telling(events, package, false)
    }

    fn telling(events: &Events, package: String, failures: bool) -> Self {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let task = tokio::spawn(tell(events.clone(), package, failures, receiver));
        Self { sender, task }
    }

    /// Where fetches tell.
    #[must_use]
    pub fn sender(&self) -> fetch::Events {
        self.sender.clone()
    }

    /// Waits until all is told. Senders that were given must be gone.
    pub async fn end(self) {
        drop(self.sender);
        let _ = self.task.await;
    }
}

/// The mirrors that are configured.
fn mirrors(session: &Session) -> Result<Mirrors, FetchingError> {
    let config = &session.config;
    let mut third_party = String::new();
    for (name, uris) in config.repositories().third_party_mirrors()? {
        third_party.push_str(&format!("{name} {}\n", uris.join(" ")));
    }
    let custom = config.config_root().join("etc/portage/mirrors");
    Ok(Mirrors {
        custom: if custom.exists() {
            MirrorMap::read(&custom)?
        } else {
            MirrorMap::default()
        },
        third_party: MirrorMap::parse(&third_party),
        gentoo: config.mirrors().into_iter().map(str::to_owned).collect(),
    })
}

/// Tells what a fetch tells, in the words of a build.
async fn tell(
    events: Events,
    package: String,
    failures: bool,
    mut receiver: tokio::sync::mpsc::UnboundedReceiver<fetch::Event>,
) {
    let mut totals = std::collections::HashMap::new();
    while let Some(event) = receiver.recv().await {
        let package = package.clone();
        match event {
            fetch::Event::SourceFailed { .. } | fetch::Event::SetAside { .. } if !failures => {}
            fetch::Event::Waiting { lock, .. } => events.tell(Event::Waiting {
                package,
                path: lock,
            }),
            fetch::Event::Started { file, total } => {
                totals.insert(file.clone(), total);
                events.tell(Event::Fetch {
                    package,
                    file,
                    bytes: 0,
                    total,
                });
            }
            fetch::Event::Progress { file, bytes } => {
                let total = totals.get(&file).copied().flatten();
                events.tell(Event::Fetch {
                    package,
                    file,
                    bytes,
                    total,
                });
            }
            fetch::Event::Retrying {
                file,
                source,
                reason,
                ..
            }
            | fetch::Event::SourceFailed {
                file,
                source,
                reason,
            } => events.tell(Event::FetchSourceFailed {
                package,
                file,
                source,
                reason,
            }),
            fetch::Event::SetAside { file, path, reason } => events.tell(Event::Elog {
                package,
                phase: "fetch".into(),
                level: "warn".into(),
                text: format!(
                    "{file}: its content was wrong ({reason}); it was renamed to {}",
                    path.display()
                ),
            }),
            fetch::Event::Trying { .. } | fetch::Event::Done { .. } => {}
        }
    }
}
