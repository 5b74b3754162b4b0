//! From what the user typed to the ebuilds to build.

use std::fmt::Write as _;

use super::candidate::{Candidate, CandidateError};
use super::directories::Directories;
use super::kept_sources::KeptSources;
use super::session::Session;
use crate::pms::atom::{Atom, AtomError, PackageFacts};
use crate::pms::dependency::{DepSpec, DependencyError};
use crate::pms::required_use;
use crate::pms::suggest::closest;
use crate::processor::ProcessorError;
use crate::repo::installed::InstalledError;
use crate::repo::{Ebuild, PackageName, RepoError};
use crate::util::causes::causes;

/// Why something that the user typed cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It is no atom and no name.
    #[error(
        "{text}: is no package name and no atom; write category/name or, for one version, =category/name-version"
    )]
    NotAnAtom {
        /// What was typed.
        text: String,
        /// The reason.
        #[source]
        source: AtomError,
    },
    /// It has something that makes no sense for a package to build.
    #[error("{text}: {what} has no place in a package to build")]
    OutOfPlace {
        /// What was typed.
        text: String,
        /// A blocker, a USE dependency, …
        what: &'static str,
    },
    /// It names a repository that is not configured.
    #[error("{text}: names a repository that is not there")]
    NoRepository {
        /// What was typed.
        text: String,
        /// Which one.
        #[source]
        source: RepoError,
    },
    /// There is no such package.
    #[error("{name}: no such package in {repositories}{}", suggestion(near))]
    Unknown {
        /// The name.
        name: String,
        /// The repositories that were searched.
        repositories: String,
        /// Names near it.
        near: Vec<String>,
    },
    /// Several categories have a package of that name.
    #[error("{name}: is in several categories; name one of {}", choices.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// The packages.
        choices: Vec<String>,
    },
    /// The package has no version that matches.
    #[error("{text}: no version matches; there are {versions}")]
    NoVersion {
        /// What was typed.
        text: String,
        /// The versions there are.
        versions: String,
    },
    /// Every version that matches is masked.
    #[error("{text}: every version that matches is masked or cannot be used{reasons}")]
    Masked {
        /// What was typed.
        text: String,
        /// Versions with reasons, a line each.
        reasons: String,
    },
    /// The flags are against the package's REQUIRED_USE.
    #[error("{cpv}: its USE flags do not meet REQUIRED_USE: {unmet}; change them in package.use")]
    RequiredUse {
        /// The package.
        cpv: String,
        /// The part that is not met.
        unmet: String,
    },
    /// REQUIRED_USE is not valid.
    #[error("{cpv}: REQUIRED_USE is not valid")]
    RequiredUseInvalid {
        /// The package.
        cpv: String,
        /// The reason.
        #[source]
        source: Box<DependencyError>,
    },
    /// A repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The database of installed packages cannot be read.
    #[error(transparent)]
    Installed(#[from] InstalledError),
    /// No processor could be started.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
    /// The only ebuild that matches cannot be considered.
    #[error(transparent)]
    Candidate(#[from] CandidateError),
}

/// Names as the end of a message.
fn suggestion(near: &[String]) -> String {
    match near {
        [] => String::new(),
        names => format!("; did you mean {}?", names.join(" or ")),
    }
}

/// The ebuild to build for what the user typed: the best version that matches and may be used.
///
/// # Errors
/// A [`PlanError`] that names what was typed, or the package, and what to do.
pub async fn choose(session: &Session, text: &str) -> Result<Candidate, PlanError> {
    choose_for(session, text, Purpose::Build).await
}

/// The ebuild to fetch the distfiles of for what the user typed: as [`choose`], but it need not be one that could be
/// built here.
///
/// # Errors
/// A [`PlanError`] that names what was typed, or the package, and what to do.
pub async fn choose_to_fetch(session: &Session, text: &str) -> Result<Candidate, PlanError> {
    choose_for(session, text, Purpose::Fetch).await
}

/// The ebuild to tell about for what the user typed: as [`choose_to_fetch`], or, if all that match are masked, the best
/// of these.
///
/// # Errors
/// A [`PlanError`] that names what was typed, or the package, and what to do.
pub async fn choose_to_look(session: &Session, text: &str) -> Result<Candidate, PlanError> {
    choose_for(session, text, Purpose::Look).await
}

/// What an ebuild is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Build,
    Fetch,
    Look,
}

async fn choose_for(
    session: &Session,
    text: &str,
    purpose: Purpose,
) -> Result<Candidate, PlanError> {
    let build = purpose == Purpose::Build;
    let atom = read(session, text)?;
    let repositories = session.config.repositories();
    let all = repositories.ebuilds(atom.cp())?;
    if all.is_empty() {
        return Err(unknown(session, atom.cp())?);
    }
    // By version, and by the repositories' priority where versions are equal; the best comes last.
    let named: Vec<Ebuild> = all
        .iter()
        .filter(|ebuild| atom.names(&ebuild.cpv))
        .filter(|ebuild| {
            atom.repository()
                .is_none_or(|name| *name == *ebuild.repository)
        })
        .cloned()
        .collect();
    let installed_from = session.installed.repositories_of(atom.cp())?;
    let mut reasons = String::new();
    let mut failure = None;
    let mut matched = false;
    let mut best_masked = None;
    for ebuild in named.into_iter().rev() {
        let name = format!("{}::{}", ebuild.cpv, ebuild.repository);
        let mut candidate = match Candidate::load(session, ebuild).await {
            Ok(candidate) => candidate,
            Err(error) => {
                let mut line = error.to_string();
                if let Some(source) = std::error::Error::source(&error) {
                    let _ = write!(line, ": {source}");
                }
                let _ = write!(reasons, "\n  {name}: {line}");
                failure.get_or_insert(error);
                continue;
            }
        };
        if !atom.matches(&candidate) {
            continue;
        }
        matched = true;
        if build {
            match session.pool.check(candidate.eapi).await {
                Ok(()) => {}
                Err(ProcessorError::Eapi(error)) => {
                    let _ = write!(reasons, "\n  {name}: {error}");
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
        }
        // Who names the repository wants it, whatever is installed.
        if atom.repository().is_none() {
            let own = &candidate.ebuild.repository;
            let obstacle = session.config.update_obstacle(own, &installed_from);
            candidate.config.masks.extend(obstacle);
        }
        if candidate.config.masks.is_empty() {
            if build {
                check_required_use(&candidate)?;
            }
            return Ok(candidate);
        }
        for reason in &candidate.config.masks {
            let _ = write!(reasons, "\n  {name}: {reason}");
        }
        best_masked = best_masked.or(Some(candidate));
    }
    if let Some(candidate) = best_masked
        && purpose == Purpose::Look
    {
        return Ok(candidate);
    }
    if matched {
        return Err(PlanError::Masked {
            text: text.to_owned(),
            reasons,
        });
    }
    if let Some(error) = failure {
        return Err(error.into());
    }
    let mut versions: Vec<String> = all
        .iter()
        .map(|ebuild| format!("{}::{}", ebuild.cpv.pvr(), ebuild.repository))
        .collect();
    versions.dedup();
    Err(PlanError::NoVersion {
        text: text.to_owned(),
        versions: versions.join(", "),
    })
}

/// The ebuild to look at for what the user typed: the one to build, or, if the only ones that match
/// cannot be sourced, the best of them as far as it is known unsourced, with the reason.
///
/// # Errors
/// A [`PlanError`] that names what was typed, or the package, and what to do.
pub async fn choose_to_visit(
    session: &Session,
    text: &str,
) -> Result<(Candidate, Option<String>), PlanError> {
    let error = match choose(session, text).await {
        Err(PlanError::Candidate(error)) if error.is_the_ebuilds() => error,
        result => return result.map(|candidate| (candidate, None)),
    };
    let atom = read(session, text)?;
    let all = session.config.repositories().ebuilds(atom.cp())?;
    let mut named = all.into_iter().filter(|ebuild| {
        let repository = atom.repository();
        atom.names(&ebuild.cpv) && repository.is_none_or(|name| *name == *ebuild.repository)
    });
    let Some(ebuild) = named.next_back() else {
        return Err(error.into());
    };
    let directories = Directories::new(
        &session.config.tmpdir(),
        ebuild.cpv.category(),
        ebuild.cpv.pf(),
    );
    // A build that began with another text of it goes by that one's metadata.
    if let Some(entry) = KeptSources::of(&directories).entry() {
        return Ok((Candidate::with_entry(session, ebuild, entry)?, None));
    }
    let candidate = Candidate::unsourced(session, ebuild)?;
    match session.pool.check(candidate.eapi).await {
        Ok(()) => Ok((candidate, Some(causes(&error).join(": ")))),
        Err(_) => Err(error.into()),
    }
}

/// The atom for what the user typed; a name without category is looked up.
fn read(session: &Session, text: &str) -> Result<Atom, PlanError> {
    if !text.contains('/') && text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        let repositories = session.config.repositories();
        let cp = match repositories.package_named(text)? {
            PackageName::One(cp) => cp,
            PackageName::Several(choices) => {
                return Err(PlanError::Ambiguous {
                    name: text.to_owned(),
                    choices,
                });
            }
            PackageName::Unknown => return Err(unknown(session, text)?),
        };
        return parse(&cp);
    }
    let atom = session
        .config
        .repositories()
        .resolve(parse(text)?)
        .map_err(|source| PlanError::NoRepository {
            text: text.to_owned(),
            source,
        })?;
    let what = if atom.blocker().is_some() {
        "a blocker"
    } else if !atom.use_deps().is_empty() {
        "a USE dependency"
    } else if atom.is_wildcard() {
        "a wildcard"
    } else if atom.build_id().is_some() {
        "a build id"
    } else {
        return Ok(atom);
    };
    Err(PlanError::OutOfPlace {
        text: text.to_owned(),
        what,
    })
}

fn parse(text: &str) -> Result<Atom, PlanError> {
    Atom::parse_config(text).map_err(|source| PlanError::NotAnAtom {
        text: text.to_owned(),
        source,
    })
}

/// The error for a package that is nowhere, with names near it.
fn unknown(session: &Session, name: &str) -> Result<PlanError, PlanError> {
    let set = session.config.repositories();
    let all = set.all_packages()?;
    let near = if name.contains('/') {
        let mut near = closest(name, all.iter().map(String::as_str));
        if near.is_empty() {
            // The right name in another category is near too.
            let pn = name.rsplit('/').next().unwrap_or_default();
            near = all
                .iter()
                .filter(|cp| cp.rsplit('/').next() == Some(pn))
                .take(3)
                .cloned()
                .collect();
        }
        near
    } else {
        let names: Vec<&str> = all.iter().filter_map(|cp| cp.rsplit('/').next()).collect();
        let near = closest(name, names);
        all.iter()
            .filter(|cp| {
                cp.rsplit('/')
                    .next()
                    .is_some_and(|pn| near.iter().any(|n| n == pn))
            })
            .take(3)
            .cloned()
            .collect()
    };
    let repositories: Vec<&str> = set.repositories().map(|r| r.name()).collect();
    Ok(PlanError::Unknown {
        name: name.to_owned(),
        repositories: if repositories.is_empty() {
            "any repository, as none is configured; name one with --repo".to_owned()
        } else {
            repositories.join(", ")
        },
        near,
    })
}

/// Whether the flags meet REQUIRED_USE (PMS 8.2.7).
fn check_required_use(candidate: &Candidate) -> Result<(), PlanError> {
    let cpv = || candidate.cpv().to_string();
    let spec = DepSpec::parse_required_use(candidate.value("REQUIRED_USE"), candidate.eapi)
        .map_err(|source| PlanError::RequiredUseInvalid {
            cpv: cpv(),
            source: Box::new(source),
        })?;
    required_use::check(&spec, |flag| candidate.has_use(flag), candidate.eapi).map_err(|unmet| {
        PlanError::RequiredUse {
            cpv: cpv(),
            unmet: unmet.expression,
        }
    })
}
