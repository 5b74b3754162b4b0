//! Building one package, from its distfiles to the file in PKGDIR.

mod conclusion;
mod configures;
mod environments;
mod error;
mod packing;
mod passing_over;
mod phases;
mod preparation;
mod visit;

use std::time::{Duration, Instant};

pub use environments::{EnvironmentsError, Which, environment};
pub use error::BuildError;
pub use packing::index_header;
pub use phases::PHASES;
pub use visit::{Left, Manner, Visit, VisitError, Wish, visit};

use super::candidate::Candidate;
use super::directories::Directories;
use super::event::Event;
use super::failure::{Failure, Origin};
use super::fetching;
use super::input::Input;
use super::kept_configuration;
use super::kept_sources::KeptSources;
use super::log::Follower;
use super::session::Session;
use super::state::Progress;
use crate::binpkg::pkgdir::{Format, Written};
use crate::pms::atom::PackageFacts;
use crate::pms::phase::Phase;
use crate::util::causes::causes;
use crate::util::tail::last_lines;
use preparation::Prepared;

/// How many lines of the log a failure shows.
const SHOWN_LINES: usize = 25;

/// How packages are to be built.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Take up builds behind the last phase that they finished.
    pub resume: bool,
    /// How far to go.
    pub until: Until,
    /// Keep the build's directory when it succeeds.
    pub keep: bool,
    /// Tell every line of the log.
    pub verbose: bool,
    /// How long one phase may take.
    pub phase_limit: Option<Duration>,
    /// The format of the packages; without one that of BINPKG_FORMAT.
    pub format: Option<Format>,
    /// How the builds were called, to be kept with a failure.
    pub origin: Origin,
    /// Where to ask for a terminal when a phase fails; none if nobody wants to look at it.
    pub on_failure: Option<Visit>,
}

/// How far a build goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// To the package.
    Package,
    /// To the end of this phase.
    After(Phase),
    /// To the beginning of this phase.
    Before(Phase),
}

impl Until {
    /// Whether the phase is to be run.
    #[must_use]
    pub fn includes(self, phase: Phase) -> bool {
        match self {
            Self::Package => true,
            Self::After(last) => phase <= last,
            Self::Before(next) => phase < next,
        }
    }
}

/// How a build ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// With a package.
    Packed(Written),
    /// Where [`Settings::until`] says.
    Stopped,
    /// With an error, which was told as an event; whether in a phase, that one could look at.
    Failed(bool),
}

/// Builds the candidate and tells how it went. Nothing but the told events comes of a failure: the
/// build's directory stays for a look or for `--resume`, PKGDIR is as it was. Where somebody wants to
/// look at a failed phase at once, the build waits for that, and goes on if that is asked for.
pub async fn build(session: &Session, candidate: &Candidate, settings: &Settings) -> Outcome {
    let outcome = attempt(session, candidate, settings).await;
    let (Outcome::Failed(true), Some(wanted)) = (&outcome, &settings.on_failure) else {
        return outcome;
    };
    match visit(session, candidate, settings, wanted).await {
        Ok(Left::Resumed(outcome)) => outcome,
        Ok(Left::Ended(_)) => outcome,
        Err(error) => {
            session.events.tell(Event::Notice {
                text: format!(
                    "{}: there is no shell in it: {}",
                    candidate.cpv(),
                    causes(&error).join(": ")
                ),
            });
            outcome
        }
    }
}

/// The same without a look at what failed.
async fn attempt(session: &Session, candidate: &Candidate, settings: &Settings) -> Outcome {
    let begin = Instant::now();
    let build = Build::new(session, candidate, settings);
    let package = build.package.clone();
    session.events.tell(Event::Started {
        package: package.clone(),
        repository: candidate.ebuild.repository.to_string(),
    });
    match build.run().await {
        Ok(Some(written)) => {
            build.directories.remove_category();
            session.events.tell(Event::Finished {
                package,
                path: written.path.clone(),
                build_id: written.build_id.unwrap_or_default(),
                size: written.size,
                seconds: begin.elapsed().as_secs_f64(),
            });
            Outcome::Packed(written)
        }
        Ok(None) => {
            session.events.tell(Event::Stopped {
                package,
                directory: build.directories.root.clone(),
                seconds: begin.elapsed().as_secs_f64(),
            });
            Outcome::Stopped
        }
        Err(error) => {
            build.directories.remove_category();
            Outcome::Failed(matches!(error, BuildError::Phase { .. }))
        }
    }
}

/// Lets the ebuild say how distfiles are to be had that nobody may fetch (PMS 9.1.16), in a folder of its own, so that
/// a build of the package that is there stays as it is. Gives the lines that it says.
///
/// # Errors
/// It cannot be asked.
pub async fn ask_nofetch(
    session: &Session,
    candidate: &Candidate,
    settings: &Settings,
) -> Result<Vec<String>, BuildError> {
    let tmpdir = session.config.tmpdir();
    let fail = |source| BuildError::Scratch {
        path: tmpdir.clone(),
        source,
    };
    std::fs::create_dir_all(&tmpdir).map_err(fail)?;
    let scratch = tempfile::Builder::new()
        .prefix("ebd-nofetch-")
        .tempdir_in(&tmpdir)
        .map_err(fail)?;
    let mut build = Build::new(session, candidate, settings);
    let cpv = candidate.cpv();
    build.directories = Directories::new(scratch.path(), cpv.category(), cpv.pf());
    let _lock = build.lock().await?;
    let prepared = build.prepare()?;
    build.directories.create_afresh()?;
    let lines = build.nofetch(&prepared).await;
    build.directories.remove()?;
    Ok(lines)
}

/// One build.
struct Build<'a> {
    session: &'a Session,
    candidate: &'a Candidate,
    settings: &'a Settings,
    directories: Directories,
    package: String,
}

impl<'a> Build<'a> {
    fn new(session: &'a Session, candidate: &'a Candidate, settings: &'a Settings) -> Self {
        let cpv = candidate.cpv();
        Self {
            session,
            candidate,
            settings,
            directories: Directories::new(&session.config.tmpdir(), cpv.category(), cpv.pf()),
            package: cpv.to_string(),
        }
    }

    /// Tells why there is no package, and keeps it for those who come to look, if the build `stays`.
    fn tell_failure(&self, error: &BuildError, stays: bool) {
        let log = self.directories.log();
        let shows_log = matches!(
            error,
            BuildError::Phase { .. } | BuildError::Sourcing(_) | BuildError::Packaging(_)
        );
        if let BuildError::Phase { phase, .. } = error
            && stays
        {
            let failure = Failure {
                package: self.package.clone(),
                repository: self.candidate.ebuild.repository.to_string(),
                phase: phase.name().to_owned(),
                causes: causes(error),
                place: error.place(),
                time: Failure::now(),
                origin: self.settings.origin.clone(),
            };
            failure.store(&self.directories);
        }
        self.session.events.tell(Event::Failed {
            package: self.package.clone(),
            phase: error.phase().map(str::to_owned),
            causes: causes(error),
            place: error.place(),
            last_lines: if shows_log {
                last_lines(&log, SHOWN_LINES)
            } else {
                Vec::new()
            },
            log: (shows_log && log.exists() && (stays || self.feature("keeptemp"))).then_some(log),
            resumable: stays
                && matches!(error, BuildError::Phase { .. } | BuildError::Packaging(_)),
        });
    }

    /// Whether FEATURES of the package have it.
    fn feature(&self, name: &str) -> bool {
        self.candidate.config.features.contains(name)
    }

    /// Whether a build that failed so stays: not with FEATURES=fail-clean, if it had begun and nobody looks at it.
    fn stays(&self, error: &BuildError) -> bool {
        let begun = matches!(
            error,
            BuildError::Phase { .. }
                | BuildError::Sourcing(_)
                | BuildError::Between(_)
                | BuildError::Packaging(_)
        );
        !begun
            || !self.feature("fail-clean")
            || self.is_kept()
            || self.settings.on_failure.is_some()
    }

    /// Whether the build's directory is to be left as it is.
    fn is_kept(&self) -> bool {
        self.settings.keep || self.feature("noclean") || self.feature("keepwork")
    }

    /// Removes the build, but for T with FEATURES=keeptemp.
    fn clean(&self) -> Result<(), BuildError> {
        Progress::forget(&self.directories.private())?;
        match self.feature("keeptemp") {
            true => self.directories.remove_but_temp()?,
            false => self.directories.remove()?,
        }
        Ok(())
    }

    /// From the lock to the package, or to the phase behind which the build is to stop. A failure is told.
    async fn run(&self) -> Result<Option<Written>, BuildError> {
        let _lock = match self.lock().await {
            Ok(lock) => lock,
            Err(error) => {
                self.tell_failure(&error, true);
                return Err(error);
            }
        };
        let result = self.run_locked().await;
        if let Err(error) = &result {
            let stays = self.stays(error);
            self.tell_failure(error, stays);
            if !stays && let Err(error) = self.clean() {
                self.notice(&causes(&error).join(": "));
            }
        }
        result
    }

    async fn run_locked(&self) -> Result<Option<Written>, BuildError> {
        self.wait_for_predecessor().await;
        self.check_files()?;
        let prepared = self.prepare()?;
        let input = self.fingerprint(&prepared)?;
        let progress = if self.settings.resume {
            self.take_up(&input)?
        } else {
            self.begin(&prepared, input)?
        };
        self.provide(&prepared).await?;
        let Some(written) = self.go(&prepared, progress).await? else {
            return Ok(None);
        };
        if !self.is_kept() {
            self.clean()?;
        }
        Ok(Some(written))
    }

    /// Begins anew, with nothing of an earlier build.
    fn begin(&self, prepared: &Prepared, input: String) -> Result<Progress, BuildError> {
        let private = self.directories.private();
        Progress::forget(&private)?;
        self.directories.create_afresh()?;
        KeptSources::of(&self.directories).keep(self.candidate, &prepared.eclass_dirs)?;
        kept_configuration::keep(&self.directories, self.candidate)?;
        let made_of = Input::of(self.session, self.candidate);
        let kept = made_of.keep(&self.directories);
        kept.map_err(|source| BuildError::Scratch {
            path: self.directories.kept(),
            source,
        })?;
        let progress = Progress {
            input,
            finished: Vec::new(),
            image_finished: false,
        };
        progress.store(&private)?;
        Ok(progress)
    }

    /// Brings the distfiles, and puts them and the package's own files where phases look for them.
    async fn provide(&self, prepared: &Prepared) -> Result<(), BuildError> {
        self.tell_phase("fetch");
        let fetched = fetching::fetch(self.session, self.candidate, &prepared.distfiles).await;
        if let Err(error) = fetched {
            if error.wants_nofetch() {
                for text in self.nofetch(prepared).await {
                    self.session.events.tell(Event::Elog {
                        package: self.package.clone(),
                        phase: "nofetch".into(),
                        level: "log".into(),
                        text,
                    });
                }
            }
            return Err(error.into());
        }
        let config = &self.session.config;
        self.directories
            .link_distfiles(&config.distdir(), &prepared.distfiles.wanted)?;
        let files = self.folder().join("files");
        Ok(self.directories.link_files(&files)?)
    }

    /// Runs the phases that are not finished, and makes the package, telling the log if the user
    /// wants it.
    async fn go(
        &self,
        prepared: &Prepared,
        progress: Progress,
    ) -> Result<Option<Written>, BuildError> {
        let follower = self.settings.verbose.then(|| {
            Follower::start(
                self.directories.log(),
                self.package.clone(),
                self.session.events.clone(),
            )
        });
        let result = self.phases_and_package(prepared, progress).await;
        if let Some(follower) = follower {
            follower.end().await;
        }
        result
    }

    fn tell_phase(&self, phase: &str) {
        self.session.events.tell(Event::Phase {
            package: self.package.clone(),
            phase: phase.to_owned(),
        });
    }
}
