//! Why a package could not be built.

use std::path::PathBuf;

use super::visit::VisitError;
use crate::build::candidate::CandidateError;
use crate::build::directories::DirectoryError;
use crate::build::driver::PhaseError;
use crate::build::fetching::FetchingError;
use crate::build::packaging::PackagingError;
use crate::build::runtime::RuntimeError;
use crate::build::state::StateError;
use crate::config::ConfigError;
use crate::pms::phase::Phase;
use crate::processor::frame::Death;
use crate::processor::{ProcessorError, ShellError};
use crate::repo::RepoError;
use crate::util::lock::LockError;

/// Why a package could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no place to ask an ebuild in.
    #[error("{}: cannot be written to", path.display())]
    Scratch {
        /// PORTAGE_TMPDIR.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration of the sandbox cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its metadata is not valid.
    #[error(transparent)]
    Candidate(#[from] CandidateError),
    /// A repository cannot be read.
    #[error(transparent)]
    Repository(#[from] RepoError),
    /// The build's lock cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The build's directories cannot be made.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The build cannot be taken up, or its progress not kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// A file of the build's private directory cannot be written.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The distfiles cannot be had.
    #[error(transparent)]
    Fetching(#[from] FetchingError),
    /// A processor cannot be started.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
    /// A shell cannot be started.
    #[error(transparent)]
    Shell(#[from] ShellError),
    /// The ebuild could not be sourced, or its environment not be loaded.
    #[error("sourcing failed")]
    Sourcing(#[source] PhaseError),
    /// A phase failed.
    #[error("{function} failed")]
    Phase {
        /// The phase.
        phase: Phase,
        /// Its function.
        function: &'static str,
        /// How.
        #[source]
        source: PhaseError,
    },
    /// What is done between phases failed.
    #[error(transparent)]
    Between(PhaseError),
    /// The package could not be made of the image.
    #[error(transparent)]
    Packaging(#[from] PackagingError),
    /// A file of the build cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// The package's own files are not as its Manifest has them.
    #[error("{}: does not fit the package's files\n{}", manifest.display(), problems.join("\n"))]
    Files {
        /// The Manifest.
        manifest: PathBuf,
        /// What does not fit, a line each.
        problems: Vec<String>,
    },
    /// Nobody can come in to look.
    #[error(transparent)]
    Visit(#[from] VisitError),
    /// A thread of ours ended early.
    #[error("{0}: the work was not finished")]
    Interrupted(&'static str),
}

impl BuildError {
    /// The phase in which it happened, if in one.
    #[must_use]
    pub fn phase(&self) -> Option<&'static str> {
        match self {
            Self::Phase { phase, .. } => Some(phase.name()),
            Self::Packaging(_) => Some("package"),
            Self::Fetching(_) => Some("fetch"),
            _ => None,
        }
    }

    /// The file, line and function of the ebuild or eclass where the build was ended.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        let (Self::Phase { source, .. } | Self::Sourcing(source)) = self else {
            return None;
        };
        let PhaseError::Died(death) = source else {
            return None;
        };
        let Death {
            file,
            line,
            function,
            ..
        } = death.as_ref();
        match (file.as_str(), line.as_str()) {
            ("", _) => None,
            (file, "") => Some(format!("{file} ({function})")),
            (file, line) => Some(format!("{file}:{line} ({function})")),
        }
    }
}
