//! The environments of a build, to be looked at.

use std::path::{Path, PathBuf};

use super::phases::initial;
use super::visit::VisitError;
use super::{Build, BuildError, PHASES, Settings};
use crate::build::candidate::Candidate;
use crate::build::driver::{kept_environment, read_environment};
use crate::build::failure::{Failure, Point};
use crate::build::kept_sources::KeptSources;
use crate::build::origins::History;
use crate::build::runtime;
use crate::build::session::Session;
use crate::build::state::Progress;
use crate::pms::phase::Phase;
use crate::processor::environment::Environment;
use crate::processor::frame::Message;
use crate::processor::library::{self, assignments};
use crate::processor::{Event as Heard, Input, InteractiveSetup};
use crate::util::token;

/// Which environment of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The last that the build has kept; where there is no build, [`Self::Sourced`].
    Last,
    /// The one after this phase.
    After(Phase),
    /// What sourcing the ebuild gives.
    Sourced,
    /// That of the line that failed.
    Failed,
    /// One in a file of its own, packed with bzip2 or not.
    File(PathBuf),
}

/// Why there is no such environment.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentsError {
    /// The build has not kept one after that phase.
    #[error("{}: the build there has kept no environment after {}; it has {}", directory.display(), phase.function(), kept(there))]
    NotKept {
        /// The build's directory.
        directory: PathBuf,
        /// The phase.
        phase: Phase,
        /// The phases after which it has.
        there: Vec<String>,
    },
    /// The build did not fail, or left nothing.
    #[error("{}: no build failed there at a line that could be kept", directory.display())]
    NotFailed {
        /// The build's directory.
        directory: PathBuf,
    },
    /// The ebuild could not be sourced.
    #[error("{}: could not be sourced: {why}", ebuild.display())]
    NotSourced {
        /// The ebuild.
        ebuild: PathBuf,
        /// Why.
        why: String,
    },
    /// A file is no environment.
    #[error("{}: cannot be read as an environment", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What surrounds it failed.
    #[error(transparent)]
    Build(Box<BuildError>),
}

impl From<BuildError> for EnvironmentsError {
    fn from(error: BuildError) -> Self {
        Self::Build(Box::new(error))
    }
}

/// What there is, as the end of a sentence.
fn kept(there: &[String]) -> String {
    match there {
        [] => "none".into(),
        all => format!("those after {}", all.join(", ")),
    }
}

/// The environment, with what is known of where its variables and functions were set.
///
/// # Errors
/// An [`EnvironmentsError`] that says why there is none.
pub async fn environment(
    session: &Session,
    candidate: &Candidate,
    settings: &Settings,
    which: &Which,
) -> Result<(Environment, History), EnvironmentsError> {
    if let Which::File(path) = which {
        return Ok((from_file(path)?, History::default()));
    }
    let build = Build::new(session, candidate, settings);
    let private = build.directories.private();
    let progress = Progress::read(&private).ok();
    let finished = progress
        .map(|progress| progress.finished)
        .unwrap_or_default();
    let there = |phase: &&Phase| kept_environment(&private, phase.name()).is_file();
    let phases: Vec<Phase> = PHASES
        .iter()
        .filter(|phase| finished.iter().any(|name| name == phase.name()))
        .filter(there)
        .copied()
        .collect();
    let until = match which {
        Which::Sourced => &[][..],
        Which::Last | Which::Failed | Which::File(_) => &phases[..],
        Which::After(wanted) => {
            let end = phases.iter().position(|phase| phase == wanted);
            let end = end.ok_or_else(|| EnvironmentsError::NotKept {
                directory: build.directories.root.clone(),
                phase: *wanted,
                there: phases.iter().map(|phase| phase.name().to_owned()).collect(),
            })?;
            phases.get(..=end).unwrap_or_default()
        }
    };
    let (mut last, mut history) = build.sourced().await?;
    for phase in until {
        let path = kept_environment(&private, phase.name());
        let environment = read_environment(&path, phase.name());
        last = environment.map_err(BuildError::Between)?;
        history.add(phase.name(), last.clone());
    }
    if *which == Which::Failed {
        let not_failed = || EnvironmentsError::NotFailed {
            directory: build.directories.root.clone(),
        };
        let failure = Failure::load(&build.directories).ok_or_else(not_failed)?;
        let point = Point::read(&private, failure.phase());
        let raw = point.and_then(|point| point.environment);
        let environment = read_environment(&raw.ok_or_else(not_failed)?, &failure.phase);
        last = environment.map_err(BuildError::Between)?;
        history.add(&failure.phase, last.clone());
    }
    Ok((last, history))
}

fn from_file(path: &Path) -> Result<Environment, EnvironmentsError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| EnvironmentsError::File {
        path: path.to_owned(),
        source,
    };
    let contents = std::fs::read(path).map_err(|error| failed(error.into()))?;
    let mut environment =
        Environment::from_file_contents(&contents).map_err(|error| failed(error.into()))?;
    environment.filter(&crate::processor::environment::Filter::for_save());
    Ok(environment)
}

impl Build<'_> {
    /// What sourcing the ebuild gives: as the build began with it, or as it is where there is no build.
    async fn sourced(&self) -> Result<(Environment, History), EnvironmentsError> {
        let prepared = self.prepare()?;
        let places = self.places(&prepared);
        let sources = self.sources(&prepared, &places)?;
        let kept = KeptSources::of(&self.directories);
        let own = &self.candidate.ebuild.path;
        let (ebuild, eclass_dirs) = match kept.exist() {
            true => (kept.ebuild(), vec![kept.eclasses()]),
            false => (own.clone(), prepared.eclass_dirs.clone()),
        };
        let file_error = |path: &Path| {
            let path = path.to_owned();
            move |source| BuildError::from(VisitError::File { path, source })
        };
        let folder = self.session.config.tmpdir().join("portage");
        std::fs::create_dir_all(&folder).map_err(file_error(&folder))?;
        let temporary = tempfile::Builder::new()
            .prefix(".ebd-env-")
            .tempdir_in(&folder)
            .map_err(file_error(&folder))?;
        let private = temporary.path();
        let initial = initial(&prepared, &sources, false);
        runtime::write_initial(private, &initial).map_err(BuildError::from)?;
        let token = token::fresh();
        let bytes = |path: &Path| path.as_os_str().as_encoded_bytes().to_vec();
        let [into, trace, functions] =
            ["environment", "trace", "trace.functions"].map(|name| private.join(name));
        let mut text = library::interactive_text().into_bytes();
        text.extend(assignments(&[
            ("__EBD_BUILD", &bytes(private)),
            ("__EBD_TOKEN", token.as_bytes()),
            ("__EBD_LOG", b"/dev/null"),
            ("__EBD_RESTORE", b""),
            ("__EBD_SOURCE", &bytes(&ebuild)),
            ("__EBD_INTO", &bytes(&into)),
            ("__EBD_TRACE", &bytes(&trace)),
        ]));
        text.extend(library::eclass_dirs(&eclass_dirs));
        text.extend_from_slice(self.candidate.eapi.to_bash().as_bytes());
        text.push(b'\n');
        text.extend_from_slice(library::FRESH.as_bytes());
        let start = private.join("start.bash");
        runtime::write(&start, &text).map_err(BuildError::from)?;
        let setup = InteractiveSetup {
            program: self.session.program.clone(),
            bash: self.bash(),
            sandbox: prepared.isolation.settings(Phase::Install),
            directory: private.to_owned(),
            start,
            input: Input::Commands("exit".into(), None),
            term: None,
        };
        let policy = prepared.isolation.policy(Phase::Install);
        let started = self.session.interactive(setup, &policy, &token).await;
        let mut shell = started.map_err(BuildError::from)?;
        let mut death = None;
        let status = loop {
            match shell.next().await.map_err(BuildError::from)? {
                Heard::Ended(status) => break status,
                Heard::Message(Message::Died(told)) => death = Some(told),
                Heard::Message(_) => {}
            }
        };
        shell.end().await;
        if status != 0 || !into.is_file() {
            return Err(EnvironmentsError::NotSourced {
                ebuild: own.clone(),
                why: death.map_or_else(|| format!("exit status {status}"), |it| it.message),
            });
        }
        let environment = read_environment(&into, "sourced").map_err(BuildError::Between)?;
        let read = |path: &Path| std::fs::read(path).map_err(file_error(path));
        let real = |path: &Path| {
            if path == ebuild {
                return Some(own.clone());
            }
            let name = path.file_name()?;
            let folder = path.parent()?;
            let known = eclass_dirs.iter().any(|dir| dir == folder);
            let mut found = prepared.eclass_dirs.iter().map(|dir| dir.join(name));
            known.then(|| found.find(|path| path.is_file()))?
        };
        let history = History::new(
            environment.clone(),
            &read(&trace)?,
            &read(&functions)?,
            real,
        );
        Ok((environment, history))
    }
}
