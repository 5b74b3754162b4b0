//! Building one package, from its distfiles to the file in PKGDIR.

mod error;
mod packing;
mod phases;
mod preparation;

use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use error::BuildError;
pub use phases::PHASES;

use super::candidate::Candidate;
use super::directories::Directories;
use super::event::Event;
use super::fetching::{self};
use super::log::Follower;
use super::session::Session;
use super::state::Progress;
use crate::binpkg::pkgdir::{Format, Written};
use crate::pms::atom::PackageFacts;
use crate::pms::phase::Phase;
use crate::util::causes::causes;
use crate::util::tail::last_lines;

/// How many lines of the log a failure shows.
const SHOWN_LINES: usize = 25;

/// How packages are to be built.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Take up builds behind the last phase that they finished.
    pub resume: bool,
    /// End each build behind this phase instead of making a package.
    pub stop_after: Option<Phase>,
    /// Keep the build's directory when it succeeds.
    pub keep: bool,
    /// Tell every line of the log.
    pub verbose: bool,
    /// How long one phase may take.
    pub phase_limit: Option<Duration>,
    /// The format of the packages.
    pub format: Format,
    /// The bash that checks scripts.
    pub bash: PathBuf,
}

/// How a build ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// With a package.
    Packed(Written),
    /// Where [`Settings::stop_after`] says.
    Stopped,
    /// With an error, which was told as an event.
    Failed,
}

/// Builds the candidate and tells how it went. Nothing but the told events comes of a failure: the
/// build's directory stays for a look or for `--resume`, PKGDIR is as it was.
pub async fn build(session: &Session, candidate: &Candidate, settings: &Settings) -> Outcome {
    let begin = Instant::now();
    let package = candidate.cpv().to_string();
    session.events.tell(Event::Started {
        package: package.clone(),
        repository: candidate.ebuild.repository.to_string(),
    });
    let cpv = candidate.cpv();
    let directories = Directories::new(&session.config.tmpdir(), cpv.category(), cpv.pf());
    let build = Build {
        session,
        candidate,
        settings,
        directories,
        package: package.clone(),
    };
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
            let log = build.directories.log();
            let shows_log = matches!(
                error,
                BuildError::Phase { .. } | BuildError::Sourcing(_) | BuildError::Packaging(_)
            );
            session.events.tell(Event::Failed {
                package,
                phase: error.phase().map(str::to_owned),
                causes: causes(&error),
                place: error.place(),
                last_lines: if shows_log {
                    last_lines(&log, SHOWN_LINES)
                } else {
                    Vec::new()
                },
                log: (shows_log && log.exists()).then_some(log),
                resumable: matches!(error, BuildError::Phase { .. } | BuildError::Packaging(_)),
            });
            Outcome::Failed
        }
    }
}

/// One build.
struct Build<'a> {
    session: &'a Session,
    candidate: &'a Candidate,
    settings: &'a Settings,
    directories: Directories,
    package: String,
}

impl Build<'_> {
    /// From the lock to the package, or to the phase behind which the build is to stop.
    async fn run(&self) -> Result<Option<Written>, BuildError> {
        let _lock = self.lock().await?;
        self.wait_for_predecessor().await;
        self.check_files()?;
        let prepared = self.prepare()?;
        let input = self.fingerprint(&prepared)?;
        let progress = if self.settings.resume {
            self.take_up(&input)?
        } else {
            Progress::forget(&self.directories.private())?;
            self.directories.create_afresh()?;
            let progress = Progress {
                input,
                finished: Vec::new(),
                image_finished: false,
            };
            progress.store(&self.directories.private())?;
            progress
        };
        self.tell_phase("fetch");
        if let Err(error) = fetching::fetch(self.session, self.candidate, &prepared.distfiles).await
        {
            if error.wants_nofetch() {
                self.nofetch(&prepared).await;
            }
            return Err(error.into());
        }
        let config = &self.session.config;
        self.directories
            .link_distfiles(&config.distdir(), &prepared.distfiles.wanted)?;
        let files = self.folder().join("files");
        self.directories.link_files(&files)?;
        let follower = self.settings.verbose.then(|| {
            Follower::start(
                self.directories.log(),
                self.package.clone(),
                self.session.events.clone(),
            )
        });
        let result = self.phases_and_package(&prepared, progress).await;
        if let Some(follower) = follower {
            follower.end().await;
        }
        let Some(written) = result? else {
            return Ok(None);
        };
        let feature = |name: &str| self.candidate.config.features.contains(name);
        if !self.settings.keep && !feature("noclean") && !feature("keepwork") {
            Progress::forget(&self.directories.private())?;
            self.directories.remove()?;
        }
        Ok(Some(written))
    }

    fn tell_phase(&self, phase: &str) {
        self.session.events.tell(Event::Phase {
            package: self.package.clone(),
            phase: phase.to_owned(),
        });
    }
}
