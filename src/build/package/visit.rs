//! A person in a build: a shell that is the build at one of its places, and what that can ask for.

mod answers;
mod foreign;
mod leaving;
mod listing;
mod reload;
mod room;

use std::ffi::OsString;
use std::path::PathBuf;

use nix::unistd::Pid;

use super::{Build, BuildError, Outcome, PHASES, Settings, Until, attempt};
use crate::build::candidate::Candidate;
use crate::build::console::{Console, Greeting, Standing};
use crate::build::event::Event;
use crate::build::failure::{Failure, Point};
use crate::build::kept_configuration;
use crate::build::session::Session;
use crate::build::state::{Progress, StateError};
use crate::pms::phase::Phase;
use crate::util::causes::causes;
use crate::util::lock::{Lock, openers, portage_lockfile};

use super::preparation::Prepared;

/// Where in a build somebody wants to come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Where the build there stands; where there is none, before `src_unpack` of a new one.
    AsItStands,
    /// Before this phase.
    Before(Phase),
    /// Behind this phase.
    After(Phase),
    /// Where the build there failed.
    Failed,
}

/// What a shell reads its commands from.
#[derive(Debug, Clone)]
pub enum Manner {
    /// A person at a terminal.
    Terminal(Console),
    /// This text; at a terminal if there is one.
    Commands(OsString, Option<Console>),
    /// Standard input.
    Script,
}

/// How somebody wants to come in.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Where.
    pub wish: Wish,
    /// Whether to begin anew whatever is there.
    pub fresh: bool,
    /// What the shell reads.
    pub manner: Manner,
    /// A file of the user's to be sourced too.
    pub rcfile: Option<PathBuf>,
    /// The folder in which the histories of packages are kept, if there is one.
    pub history: Option<PathBuf>,
    /// Why the candidate's metadata is not the ebuild's, if it is not.
    pub broken: Option<String>,
    /// Whether the build can be gone on with.
    pub resumable: bool,
}

/// How a visit came to its end.
#[derive(Debug)]
pub enum Left {
    /// The shell ended with this status.
    Ended(i32),
    /// The build went on, and ended so.
    Resumed(Outcome),
}

/// Why nobody can come in.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// Somebody builds there.
    #[error("{}: is being built{}; wait for its end, or end that first", directory.display(), by(holders))]
    Busy {
        /// The build's directory.
        directory: PathBuf,
        /// Who does, as far as that can be seen.
        holders: Vec<String>,
    },
    /// No build failed there.
    #[error("{}: no build failed there in a phase; without --failed the shell comes into the build as it stands, or into a new one", directory.display())]
    NotFailed {
        /// The build's directory.
        directory: PathBuf,
    },
    /// The build has passed the place.
    #[error("{}: the build there has finished {} already; without --phase the shell comes into it as it stands, with --fresh into a new one, and that one is lost", directory.display(), phase.function())]
    Passed {
        /// The build's directory.
        directory: PathBuf,
        /// The last phase that it has finished.
        phase: Phase,
    },
    /// The build there is of something else.
    #[error("{}: the build there was started with another ebuild, eclass, USE or configuration; without --phase the shell comes into it as it stands, with --fresh into a new one, and that one is lost", directory.display())]
    OtherInput {
        /// The build's directory.
        directory: PathBuf,
    },
    /// The sources are patched halfway.
    #[error("{}: src_prepare was begun there but not finished, and its sources would be unpacked anew; without --phase the shell comes into the build as it stands, with --fresh into a new one, and that one is lost", directory.display())]
    Halfway {
        /// The build's directory.
        directory: PathBuf,
    },
    /// The EAPI has no such phase.
    #[error("{package}: EAPI {eapi} has no {}", phase.function())]
    NoPhase {
        /// `category/pf`.
        package: String,
        /// Its EAPI.
        eapi: String,
        /// The phase.
        phase: Phase,
    },
    /// The phase is none of a build's.
    #[error("{}: is no phase of a build, which has {}", phase.function(), names(PHASES))]
    NotOfBuilds {
        /// The phase.
        phase: Phase,
    },
    /// There is no terminal.
    #[error(
        "there is no terminal to work at; give commands with -c, or a script on standard input"
    )]
    NoTerminal(#[source] std::io::Error),
    /// A file for or of the shell cannot be read or written.
    #[error("{}: cannot be read or written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
}

/// Who builds, as the end of a sentence.
fn by(holders: &[String]) -> String {
    match holders {
        [] => String::new(),
        all => format!(" by {}", all.join(" and ")),
    }
}

/// The names of phases.
fn names(phases: &[Phase]) -> String {
    let names: Vec<&str> = phases.iter().map(|phase| phase.name()).collect();
    names.join(", ")
}

/// How a shell was left.
enum End {
    /// With this status.
    Ended(i32),
    /// To go on with the build, of this candidate if it is not the same any more.
    Resume(Option<Box<Candidate>>),
}

/// Where somebody comes in.
struct Place {
    progress: Progress,
    phase: Phase,
    standing: Standing,
    point: Option<Point>,
}

/// Lets somebody into the build of `candidate`, after running what must come before. If they have it
/// go on, it does, as `settings` say, and where that fails in turn they are back at the terminal.
///
/// # Errors
/// A [`BuildError`] that says why nobody can come in.
pub async fn visit(
    session: &Session,
    candidate: &Candidate,
    settings: &Settings,
    visit: &Visit,
) -> Result<Left, BuildError> {
    let mut candidate = candidate.clone();
    let mut visit = visit.clone();
    let mut wish = visit.wish;
    let mut failed = None;
    loop {
        let way = Settings {
            until: match wish {
                Wish::Before(phase) => Until::Before(phase),
                Wish::After(phase) => Until::After(phase),
                Wish::AsItStands | Wish::Failed => Until::Before(Phase::Unpack),
            },
            ..settings.clone()
        };
        let end = Build::new(session, &candidate, &way)
            .receive(&visit, wish)
            .await?;
        let changed = match end {
            End::Ended(status) => {
                // Who leaves after the build has failed once more has no package.
                return Ok(match failed {
                    Some(outcome) if status == 0 => Left::Resumed(outcome),
                    _ => Left::Ended(status),
                });
            }
            End::Resume(changed) => changed,
        };
        if let Some(changed) = changed {
            candidate = *changed;
            visit.broken = None;
        }
        let settings = Settings {
            resume: true,
            ..settings.clone()
        };
        let outcome = attempt(session, &candidate, &settings).await;
        match (&outcome, &visit.manner) {
            (Outcome::Failed(true), Manner::Terminal(_)) => {
                wish = Wish::Failed;
                failed = Some(outcome);
            }
            _ => return Ok(Left::Resumed(outcome)),
        }
    }
}

impl Build<'_> {
    /// From the lock to the end of the shell.
    async fn receive(&self, visit: &Visit, wish: Wish) -> Result<End, BuildError> {
        if let Wish::Before(phase) | Wish::After(phase) = wish {
            self.check_phase(phase)?;
        }
        let _lock = self.lock_or_refuse()?;
        self.wait_for_predecessor().await;
        let prepared = self.prepare()?;
        let input = self.fingerprint(&prepared)?;
        let mut notes = Vec::new();
        let found = match wish {
            Wish::Failed => self.failed(&input, &mut notes),
            wish => self.reach(visit, wish, &prepared, input, &mut notes).await,
        };
        let place = match found {
            Ok(place) => place,
            Err(error @ BuildError::Phase { .. }) => {
                self.tell_failure(&error, true);
                if !matches!(visit.manner, Manner::Terminal(_)) {
                    return Ok(End::Ended(1));
                }
                let input = self.fingerprint(&prepared)?;
                self.failed(&input, &mut notes)?
            }
            Err(error) => return Err(error),
        };
        if let Some(why) = &visit.broken {
            notes.push(format!("the ebuild could not be sourced: {why}"));
        }
        let greeting = Greeting {
            package: self.package.clone(),
            function: place.phase.function(),
            standing: place.standing,
            directory: self.directories.root.clone(),
            notes,
        };
        self.open(visit, &prepared, place, greeting).await
    }

    /// Whether this build can have such a phase.
    fn check_phase(&self, phase: Phase) -> Result<(), VisitError> {
        let eapi = self.candidate.eapi;
        if !PHASES.contains(&phase) && phase != Phase::Pretend {
            return Err(VisitError::NotOfBuilds { phase });
        }
        if !eapi.has_phase(phase) {
            return Err(VisitError::NoPhase {
                package: self.package.clone(),
                eapi: eapi.name().to_owned(),
                phase,
            });
        }
        Ok(())
    }

    /// The build's lock, if nobody has it.
    fn lock_or_refuse(&self) -> Result<Lock, BuildError> {
        let path = portage_lockfile(&self.directories.lock_subject());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|source| VisitError::File {
                path: parent.to_owned(),
                source,
            })?;
        }
        if let Some(lock) = Lock::try_acquire(&path)? {
            return Ok(lock.remove_on_release());
        }
        let others = openers(&path);
        let others = others.into_iter().filter(|pid| *pid != Pid::this());
        Err(VisitError::Busy {
            directory: self.directories.root.clone(),
            holders: others.map(described).collect(),
        }
        .into())
    }

    /// Where the build there failed.
    fn failed(&self, input: &str, notes: &mut Vec<String>) -> Result<Place, BuildError> {
        let private = self.directories.private();
        let not_failed = || VisitError::NotFailed {
            directory: self.directories.root.clone(),
        };
        let failure = Failure::load(&self.directories).ok_or_else(not_failed)?;
        let progress = Progress::read(&private)?;
        let phase = failure.phase();
        let reason = failure.causes.last().map_or("", String::as_str);
        let place = failure
            .place
            .map_or_else(String::new, |it| format!(", at {it}"));
        notes.push(format!("{} failed: {reason}{place}", phase.function()));
        if progress.input != input {
            notes.push(self.changed());
        }
        let point = Point::read(&private, phase);
        if point.is_none() {
            notes.push(
                "the phase left no trace of its last line, as it ended otherwise than by die: this is how it began"
                    .into(),
            );
        }
        Ok(Place {
            progress,
            phase,
            standing: Standing::Failed,
            point,
        })
    }

    /// Has the build come to where somebody wants to come in.
    async fn reach(
        &self,
        visit: &Visit,
        wish: Wish,
        prepared: &Prepared,
        input: String,
        notes: &mut Vec<String>,
    ) -> Result<Place, BuildError> {
        let private = self.directories.private();
        let directory = || self.directories.root.clone();
        let there = match Progress::read(&private) {
            _ if visit.fresh => None,
            Ok(progress) => Some(progress),
            Err(StateError::Nothing { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        if let (Wish::AsItStands, Some(progress)) = (wish, &there) {
            if progress.input != input {
                notes.push(self.changed());
            }
            let next = self.next(progress);
            return Ok(Place {
                phase: next.unwrap_or(Phase::Install),
                standing: match next {
                    Some(_) => Standing::Before,
                    None => Standing::After,
                },
                progress: progress.clone(),
                point: None,
            });
        }
        let progress = match there {
            None => self.begin(prepared, input)?,
            Some(progress) => {
                if progress.input != input {
                    let directory = directory();
                    return Err(VisitError::OtherInput { directory }.into());
                }
                let passed = progress.finished.iter().rev();
                let mut passed = passed.filter_map(|name| Phase::from_name(name));
                if let Some(phase) = passed.find(|phase| !self.settings.until.includes(*phase)) {
                    let directory = directory();
                    return Err(VisitError::Passed { directory, phase }.into());
                }
                if self.is_halfway(&progress) {
                    let directory = directory();
                    return Err(VisitError::Halfway { directory }.into());
                }
                self.take_up(&input)?
            }
        };
        if let Err(error) = self.provide(prepared).await {
            if self.settings.until.includes(Phase::Unpack) {
                return Err(error);
            }
            notes.push(format!(
                "not all distfiles are there, so src_unpack will fail: {}",
                causes(&error).join(": ")
            ));
        }
        let wanted = self.wanted(&progress);
        let hooked = !self.candidate.config.bashrcs.is_empty();
        let matters = |phase: &Phase| hooked || self.leaves_something(*phase, prepared);
        if visit.broken.is_none() && wanted.iter().any(matters) {
            self.go(prepared, progress).await?;
        }
        let (phase, standing) = match self.settings.until {
            Until::After(phase) => (phase, Standing::After),
            Until::Before(phase) => (phase, Standing::Before),
            Until::Package => (Phase::Install, Standing::After),
        };
        Ok(Place {
            progress: Progress::read(&private)?,
            phase,
            standing,
            point: None,
        })
    }

    /// The first phase that the build has not finished.
    fn next(&self, progress: &Progress) -> Option<Phase> {
        let eapi = self.candidate.eapi;
        PHASES.iter().copied().find(|phase| {
            eapi.has_phase(*phase)
                && !progress.has(phase.name())
                && (*phase != Phase::Test || self.tests())
        })
    }

    /// Whether the sources may be patched halfway.
    fn is_halfway(&self, progress: &Progress) -> bool {
        self.prepare_mark().exists() && !progress.has(Phase::Prepare.name())
    }

    /// What is to be said of a build that began with other input.
    fn changed(&self) -> String {
        match kept_configuration::changed(&self.directories, self.candidate) {
            names if names.is_empty() => CHANGED.into(),
            names => format!("{CHANGED}; of the configuration: {}", names.join(", ")),
        }
    }

    pub(super) fn notice(&self, text: &str) {
        self.session.events.tell(Event::Notice {
            text: format!("{}: {text}", self.package),
        });
    }
}

/// What a shell in a build of other input is told.
const CHANGED: &str = "the ebuild, its eclasses or the configuration were changed since the build began; the shell has what it began with, and `reload` reads the ebuild anew";

/// A process as people know it.
fn described(pid: Pid) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| {
            use std::os::unix::ffi::OsStrExt;
            crate::util::printable::printable(std::ffi::OsStr::from_bytes(word))
        })
        .take(6)
        .collect();
    match words.is_empty() {
        true => format!("process {pid}"),
        false => format!("process {pid} ({})", words.join(" ")),
    }
}
