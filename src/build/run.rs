//! Building several packages of one call: what is needed first, some at a time.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::candidate::{Candidate, CandidateError};
use super::dependencies::{self, DependenciesError};
use super::event::Event;
use super::host::Place;
use super::package::{self, Outcome, Settings};
use super::plan::{self, PlanError};
use super::session::Session;
use crate::pms::atom::PackageFacts;

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Something that the user typed cannot be built.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A dependency is not valid.
    #[error(transparent)]
    Candidate(#[from] CandidateError),
    /// Dependencies could not be looked at.
    #[error(transparent)]
    Dependencies(#[from] DependenciesError),
    /// Dependencies are not installed.
    #[error(
        "dependencies are missing{list}\ninstall them, or build without looking at dependencies with --nodeps"
    )]
    Missing {
        /// Packages and what they miss, a line each.
        list: String,
    },
}

/// What is to be built, in order.
#[derive(Debug)]
pub struct Plan {
    /// The packages, what is needed by others before them.
    pub candidates: Vec<Candidate>,
    /// For each, the positions of those that must be built before it.
    pub needs: Vec<Vec<usize>>,
}

/// Chooses the packages for what the user typed, each once.
///
/// # Errors
/// A [`RunError`] that names the package.
pub async fn choose(session: &Session, texts: &[String]) -> Result<Vec<Candidate>, RunError> {
    let mut chosen: Vec<Candidate> = Vec::new();
    for text in texts {
        let candidate = plan::choose(session, text).await?;
        let twice = chosen.iter().any(|other| {
            other.cpv() == candidate.cpv() && other.ebuild.repository == candidate.ebuild.repository
        });
        if !twice {
            chosen.push(candidate);
        }
    }
    Ok(chosen)
}

/// Puts packages in order. With `look_at_dependencies` what they need to be built must be installed, if this system
/// knows what is.
///
/// # Errors
/// A [`RunError`] that names the package.
pub fn plan(
    session: &Session,
    chosen: Vec<Candidate>,
    look_at_dependencies: bool,
) -> Result<Plan, RunError> {
    if look_at_dependencies {
        check(session, &chosen)?;
    }
    let needs = dependencies::order(&chosen)?;
    let (sequence, circular) = dependencies::sequence(&needs);
    for at in &circular {
        if let Some(candidate) = chosen.get(*at) {
            session.events.tell(Event::Notice {
                text: format!(
                    "{} and others of this call need one another; it is built first",
                    candidate.cpv()
                ),
            });
        }
    }
    let place = |at: usize| sequence.iter().position(|other| *other == at);
    let mut ordered = Vec::new();
    for (new, old) in sequence.iter().enumerate() {
        let needed = needs.get(*old).into_iter().flatten();
        ordered.push(
            needed
                .filter_map(|need| place(*need))
                // Of packages that need one another, the first does not wait for the others.
                .filter(|need| *need < new)
                .collect(),
        );
    }
    let candidates = sequence
        .iter()
        .filter_map(|at| chosen.get(*at).cloned())
        .collect();
    Ok(Plan {
        candidates,
        needs: ordered,
    })
}

/// Whether everything that the builds need is installed.
fn check(session: &Session, chosen: &[Candidate]) -> Result<(), RunError> {
    let mut unknown = Vec::new();
    let mut list = String::new();
    for candidate in chosen {
        for missing in dependencies::missing(candidate, &session.installed)? {
            if !session.installed.knows(missing.place) {
                unknown.push(missing.place);
                continue;
            }
            list.push_str(&format!(
                "\n  {}: {} ({})",
                candidate.cpv(),
                missing.dependency,
                missing.key
            ));
        }
    }
    if !list.is_empty() {
        return Err(RunError::Missing { list });
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let sysroot = session.config.esysroot();
    let whose = if unknown.contains(&Place::Running) || sysroot == Path::new("/") {
        "this system has no database of installed packages (/var/db/pkg)".to_owned()
    } else {
        let database = sysroot.join("var/db/pkg");
        format!(
            "SYSROOT has no database of installed packages ({})",
            database.display()
        )
    };
    session.events.tell(Event::Notice {
        text: format!("{whose}: what the packages need is taken to be there"),
    });
    Ok(())
}

/// Builds the plan, at most `jobs` packages at a time, fetching ahead of them, and tells how it went.
/// Gives whether all could be built.
pub async fn build(session: Arc<Session>, plan: Plan, settings: &Settings, jobs: usize) -> bool {
    let Plan { candidates, needs } = plan;
    let candidates: Vec<Arc<Candidate>> = candidates.into_iter().map(Arc::new).collect();
    if candidates.len() > 1 && session.config.features().contains("parallel-fetch") {
        session.ahead.start(&session, &candidates);
    }
    let all = build_in_order(&session, &candidates, &needs, settings, jobs).await;
    session.ahead.stop();
    all
}

async fn build_in_order(
    session: &Arc<Session>,
    candidates: &[Arc<Candidate>],
    needs: &[Vec<usize>],
    settings: &Settings,
    jobs: usize,
) -> bool {
    let mut waiting: Vec<usize> = (0..candidates.len()).collect();
    let mut built: HashSet<usize> = HashSet::new();
    let mut failed: HashSet<usize> = HashSet::new();
    let mut running = JoinSet::new();
    loop {
        // A package whose need failed will not be built, nor will those that need it.
        while let Some((at, need)) = waiting.iter().find_map(|&at| {
            let need = needs.get(at)?.iter().find(|need| failed.contains(need))?;
            Some((at, *need))
        }) {
            waiting.retain(|&other| other != at);
            failed.insert(at);
            if let (Some(candidate), Some(cause)) = (candidates.get(at), candidates.get(need)) {
                session.events.tell(Event::Skipped {
                    package: candidate.cpv().to_string(),
                    because_of: cause.cpv().to_string(),
                });
            }
        }
        while running.len() < jobs.max(1) {
            let ready = waiting.iter().copied().find(|&at| {
                needs
                    .get(at)
                    .is_none_or(|all| all.iter().all(|need| built.contains(need)))
            });
            let Some(at) = ready else {
                break;
            };
            waiting.retain(|&other| other != at);
            let Some(candidate) = candidates.get(at).cloned() else {
                continue;
            };
            let session = Arc::clone(session);
            let settings = settings.clone();
            running.spawn(async move {
                let outcome = package::build(&session, &candidate, &settings).await;
                (at, !matches!(outcome, Outcome::Failed(_)))
            });
        }
        match running.join_next().await {
            Some(Ok((at, true))) => {
                built.insert(at);
            }
            Some(Ok((at, false))) => {
                failed.insert(at);
            }
            // A task of ours that ended early has told nothing: the call as a whole failed.
            Some(Err(_)) => return false,
            None => return failed.is_empty() && waiting.is_empty(),
        }
    }
}
