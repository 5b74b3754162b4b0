//! An ebuild with all that is known about it: its metadata, and what the configuration says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::event::Event;
use super::session::Session;
use crate::config::{Config, PackageConfig, PackageQuery, Steps};
use crate::metadata::{self, Entry, InvalidMetadata, Lookup, MetadataError};
use crate::pms::atom::{Atom, FlagState, PackageFacts};
use crate::pms::cpv::Cpv;
use crate::pms::dependency::{DepSpec, DependencyError};
use crate::pms::eapi::{self, Eapi, UnsupportedEapi};
use crate::processor::ProcessorError;
use crate::processor::sourcer::{Exchange, Sourcer, SourcingError, Subject};
use crate::repo::{Ebuild, Eclasses, RepoError};
use crate::util::digest::{HashName, hash_file};
use crate::util::regular;

/// How long sourcing one ebuild may take.
const SOURCING_LIMIT: Duration = Duration::from_secs(120);

/// Why an ebuild cannot be considered.
#[derive(Debug, thiserror::Error)]
pub enum CandidateError {
    /// The ebuild cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The ebuild.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// Its EAPI is not known or not supported.
    #[error("{}: its EAPI cannot be used", path.display())]
    Eapi {
        /// The ebuild.
        path: PathBuf,
        /// The reason.
        source: UnsupportedEapi,
    },
    /// It cannot be sourced.
    #[error(transparent)]
    Sourcing(#[from] SourcingError),
    /// Its metadata cannot be read or is not valid.
    #[error("{cpv}: its metadata cannot be used")]
    Metadata {
        /// The package.
        cpv: String,
        /// The reason.
        #[source]
        source: MetadataError,
    },
    /// What sourcing it gave is no metadata.
    #[error("{}: its metadata is not valid", path.display())]
    Sourced {
        /// The ebuild.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: MetadataError,
    },
    /// One of its dependency-like values is not valid.
    #[error("{cpv}: {key} is not valid")]
    Value {
        /// The package.
        cpv: String,
        /// The variable.
        key: &'static str,
        /// The reason.
        #[source]
        source: Box<DependencyError>,
    },
    /// No processor could be started.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
    /// Its metadata is not what the specification allows.
    #[error("{}: its metadata is not valid", path.display())]
    Invalid {
        /// The ebuild.
        path: PathBuf,
        /// The reason.
        #[source]
        source: InvalidMetadata,
    },
    /// A dependency wants to be rebuilt with a package where that has no meaning.
    #[error(
        "{}: {key} is not valid: `{atom}`: the operator = of slots may not be used in {place} \
         (PMS 8.3.3)", path.display()
    )]
    SlotOperator {
        /// The ebuild.
        path: PathBuf,
        /// The variable.
        key: &'static str,
        /// The dependency.
        atom: String,
        /// Where it stands.
        place: &'static str,
    },
    /// Its repository or an eclass cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
}

/// An ebuild, its metadata and its configuration.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The ebuild.
    pub ebuild: Ebuild,
    /// Its EAPI.
    pub eapi: Eapi,
    /// Its metadata.
    pub entry: Entry,
    /// What the configuration says about it.
    pub config: PackageConfig,
}

impl CandidateError {
    /// Whether the ebuild, or one of its eclasses, is the reason.
    #[must_use]
    pub fn is_the_ebuilds(&self) -> bool {
        match self {
            Self::Sourcing(_)
            | Self::Metadata { .. }
            | Self::Sourced { .. }
            | Self::Value { .. }
            | Self::SlotOperator { .. }
            | Self::Invalid { .. } => true,
            Self::Read { .. } | Self::Eapi { .. } | Self::Processor(_) | Self::Repository(_) => {
                false
            }
        }
    }
}

impl Candidate {
    /// What is known of `ebuild` without sourcing it: its EAPI, and of the rest nothing.
    ///
    /// # Errors
    /// It cannot be read, or its EAPI is unknown.
    pub fn unsourced(session: &Session, ebuild: Ebuild) -> Result<Self, CandidateError> {
        let text = regular::read(&ebuild.path).map_err(|source| CandidateError::Read {
            path: ebuild.path.clone(),
            source,
        })?;
        let eapi = Eapi::parse(eapi::scan(&text)).map_err(|source| CandidateError::Eapi {
            path: ebuild.path.clone(),
            source,
        })?;
        let mut entry = Entry::default();
        for (key, value) in [
            ("EAPI", eapi.name()),
            ("SLOT", "0"),
            ("DEFINED_PHASES", "-"),
        ] {
            entry.set(key, value.to_owned());
        }
        Self::with_entry(session, ebuild, entry)
    }

    /// The ebuild with this metadata, whatever it says itself.
    ///
    /// # Errors
    /// Its EAPI is unknown.
    pub fn with_entry(
        session: &Session,
        ebuild: Ebuild,
        entry: Entry,
    ) -> Result<Self, CandidateError> {
        let eapi = Eapi::parse(entry.get("EAPI").unwrap_or("0")).map_err(|source| {
            CandidateError::Eapi {
                path: ebuild.path.clone(),
                source,
            }
        })?;
        let config = configured(session, &ebuild, &entry, eapi);
        Ok(Self {
            ebuild,
            eapi,
            entry,
            config,
        })
    }

    /// Everything about `ebuild`: from a cache if it has a valid entry, else by sourcing it, which
    /// leaves an entry in the writable cache.
    ///
    /// # Errors
    /// A [`CandidateError`] that names the ebuild.
    pub async fn load(session: &Session, ebuild: Ebuild) -> Result<Self, CandidateError> {
        let metadata_error = |source| CandidateError::Metadata {
            cpv: ebuild.cpv.to_string(),
            source,
        };
        let repositories = session.config.repositories();
        let found = metadata::lookup(repositories, &ebuild, Some(&session.metadata_cache))
            .map_err(metadata_error)?;
        let eapi_error = |source| CandidateError::Eapi {
            path: ebuild.path.clone(),
            source,
        };
        let entry = match found {
            Lookup::Valid(entry) => {
                // Before all else: what another EAPI allows is not known here.
                Eapi::parse(entry.get("EAPI").unwrap_or("0")).map_err(eapi_error)?;
                entry
            }
            Lookup::Stale(_) | Lookup::Missing => {
                let text = regular::read(&ebuild.path).map_err(|source| CandidateError::Read {
                    path: ebuild.path.clone(),
                    source,
                })?;
                let eapi = Eapi::parse(eapi::scan(&text)).map_err(eapi_error)?;
                source(session, &ebuild, eapi).await?
            }
        };
        metadata::Metadata::new(entry.clone()).map_err(|source| CandidateError::Invalid {
            path: ebuild.path.clone(),
            source,
        })?;
        let candidate = Self::with_entry(session, ebuild, entry)?;
        check_slot_operators(&candidate.ebuild.path, &candidate.entry, candidate.eapi)?;
        Ok(candidate)
    }

    /// What led the configuration to what it says about the ebuild.
    #[must_use]
    pub fn explain(&self, config: &Config) -> Steps {
        config
            .explain_package(&query(&self.ebuild, &self.entry, self.eapi))
            .1
    }

    /// A value of the metadata, empty if it is not set.
    #[must_use]
    pub fn value(&self, key: &str) -> &str {
        self.entry.get(key).unwrap_or_default()
    }

    /// Whether the flag is enabled.
    #[must_use]
    pub fn has_use(&self, flag: &str) -> bool {
        self.config.use_flags.contains(flag)
    }

    /// A dependency-like value, read by `parse` and with its USE conditionals resolved.
    ///
    /// # Errors
    /// [`CandidateError::Value`].
    pub fn evaluated<T: crate::pms::dependency::Element>(
        &self,
        key: &'static str,
        parse: impl Fn(&str, Eapi) -> Result<DepSpec<T>, DependencyError>,
    ) -> Result<DepSpec<T>, CandidateError> {
        let spec = parse(self.value(key), self.eapi).map_err(|source| CandidateError::Value {
            cpv: self.ebuild.cpv.to_string(),
            key,
            source: Box::new(source),
        })?;
        Ok(spec.evaluate(|flag| self.has_use(flag)))
    }
}

/// What the configuration says about an ebuild with this metadata.
fn configured(session: &Session, ebuild: &Ebuild, entry: &Entry, eapi: Eapi) -> PackageConfig {
    session.config.package(&query(ebuild, entry, eapi))
}

/// What the configuration must know of an ebuild with this metadata.
fn query<'a>(ebuild: &'a Ebuild, entry: &'a Entry, eapi: Eapi) -> PackageQuery<'a> {
    let text = |key| entry.get(key).unwrap_or_default();
    let (slot, subslot) = slots(entry);
    PackageQuery {
        cpv: &ebuild.cpv,
        slot,
        subslot,
        repository: Some(&ebuild.repository),
        eapi,
        iuse: text("IUSE"),
        keywords: text("KEYWORDS"),
        license: text("LICENSE"),
        restrict: text("RESTRICT"),
        properties: text("PROPERTIES"),
    }
}

/// The slot and subslot of SLOT.
fn slots(entry: &Entry) -> (&str, &str) {
    let slot = entry.get("SLOT").unwrap_or_default();
    slot.split_once('/').unwrap_or((slot, slot))
}

impl PackageFacts for Candidate {
    fn cpv(&self) -> &Cpv {
        &self.ebuild.cpv
    }

    fn slot(&self) -> &str {
        slots(&self.entry).0
    }

    fn subslot(&self) -> &str {
        slots(&self.entry).1
    }

    fn repository(&self) -> Option<&str> {
        Some(&self.ebuild.repository)
    }

    fn use_flag(&self, flag: &str) -> FlagState {
        if self.has_use(flag) {
            FlagState::On
        } else if self.config.iuse_effective.contains(flag) {
            FlagState::Off
        } else {
            FlagState::Missing
        }
    }
}

/// Where eclasses of an ebuild of `repository` are looked for, the first directory first.
///
/// # Errors
/// The repository is not among the session's.
pub fn eclass_dirs(session: &Session, repository: &str) -> Result<Vec<PathBuf>, RepoError> {
    Ok(session
        .config
        .repositories()
        .eclass_order(repository)?
        .into_iter()
        .map(crate::repo::Repository::eclass_dir)
        .collect())
}

/// Looks for the operators of slots where PMS 8.3.3 forbids them; Portage takes them everywhere. What
/// cannot be parsed is told of by who needs it.
fn check_slot_operators(path: &Path, entry: &Entry, eapi: Eapi) -> Result<(), CandidateError> {
    for &key in eapi.dependency_variables() {
        let text = entry.get(key).unwrap_or_default();
        let Ok(spec) = DepSpec::parse_dependencies(text, eapi) else {
            continue;
        };
        let error = |atom: &Atom, place| CandidateError::SlotOperator {
            path: path.to_owned(),
            key,
            atom: atom.to_string(),
            place,
        };
        if let Some(atom) = spec.slot_operators_in_any_of().first() {
            return Err(error(atom, "|| ( )"));
        }
        if key == "PDEPEND"
            && let Some(atom) = spec.leaves().find(|atom| atom.wants_rebuild())
        {
            return Err(error(atom, "PDEPEND"));
        }
    }
    Ok(())
}

/// Sources the ebuild and keeps what came of it.
async fn source(session: &Session, ebuild: &Ebuild, eapi: Eapi) -> Result<Entry, CandidateError> {
    let repositories = session.config.repositories();
    let dirs = eclass_dirs(session, &ebuild.repository)?;
    let taken = session
        .pool
        .take(&sandbox::launch::Settings::default(), eapi)
        .await;
    let processor = taken.map_err(|error| match error {
        ProcessorError::Eapi(source) => CandidateError::Eapi {
            path: ebuild.path.clone(),
            source,
        },
        error => error.into(),
    })?;
    // What both were before bash read them: if they change meanwhile, nobody takes the entry for theirs.
    let eclasses = Eclasses::of(repositories, &ebuild.repository)?;
    let known = eclasses.len();
    let digests =
        hash_file(&ebuild.path, &[HashName::Md5]).map_err(|error| CandidateError::Read {
            path: error.path,
            source: error.source,
        })?;
    let mut sourcer = Sourcer::start(processor, Exchange::create()?, eapi, &dirs, None).await?;
    let sourced = sourcer
        .source(&Subject {
            cpv: &ebuild.cpv,
            ebuild: &ebuild.path,
            whole_eclasses: true,
            limit: SOURCING_LIMIT,
        })
        .await;
    // Not put back: it holds what sourcing left in it.
    sourcer.end().await;
    let sourced = sourced?;
    let md5 = digests.get(HashName::Md5).unwrap_or_default().to_owned();
    let find = |name: &str| eclasses.get(repositories, name);
    let (entry, inherited) =
        metadata::from_values(&md5, &sourced.values, find).map_err(|source| {
            CandidateError::Sourced {
                path: ebuild.path.clone(),
                source,
            }
        })?;
    if !inherited
        .iter()
        .all(|(name, _)| eclasses.was_among(known, name))
    {
        return Ok(entry);
    }
    if let Err(error) = metadata::store(&session.metadata_cache, ebuild, &entry) {
        // The next call sources again, which costs time and nothing else.
        session.events.tell(Event::Notice {
            text: format!("the metadata of {} was not kept: {error}", ebuild.cpv),
        });
    }
    Ok(entry)
}
