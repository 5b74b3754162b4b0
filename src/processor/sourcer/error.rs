//! Why ebuilds cannot be sourced.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::processor::frame::{Death, FrameError, Message};
use crate::processor::process::ProcessorError;

/// Why an ebuild could not be sourced.
#[derive(Debug, thiserror::Error)]
pub enum SourcingError {
    /// The ebuild, or an eclass, called `die` or is no valid shell text.
    #[error("{}: cannot be sourced: {}{}{}", ebuild.display(), death.message, place(death), printed(output))]
    Died {
        /// The ebuild.
        ebuild: PathBuf,
        /// Where and why.
        death: Box<Death>,
        /// What was printed.
        output: Vec<String>,
    },
    /// The shell ended without metadata.
    #[error("{}: ends the shell that sources it (status {status}); nothing in global scope may `exit` or `exec`{}", ebuild.display(), printed(output))]
    Ended {
        /// The ebuild.
        ebuild: PathBuf,
        /// The status.
        status: i32,
        /// What was printed.
        output: Vec<String>,
    },
    /// It did what it may not, such as writing a file.
    #[error("{}: does what may not be done in global scope (write files, run programs, use the network, or read outside of its repositories){}", ebuild.display(), printed(output))]
    Forbidden {
        /// The ebuild.
        ebuild: PathBuf,
        /// What bash said about it.
        output: Vec<String>,
    },
    /// Sourcing took too long.
    #[error("{}: takes longer than {} seconds to source", ebuild.display(), limit.as_secs())]
    Slow {
        /// The ebuild.
        ebuild: PathBuf,
        /// How long it may take.
        limit: Duration,
    },
    /// The processor was lost, or did not come back, between two ebuilds.
    #[error("the processor was lost between two ebuilds")]
    LostBetween {
        /// How the conversation ended; nothing if it took too long.
        #[source]
        source: Option<ProcessorError>,
    },
    /// The processor ended meanwhile.
    #[error("{}: the processor that sources it was lost; nothing in global scope may end processes", ebuild.display())]
    Lost {
        /// The ebuild.
        ebuild: PathBuf,
        /// How the conversation ended.
        #[source]
        source: ProcessorError,
    },
    /// A message came that has no place here.
    #[error("{}: the shell that sources it said {message:?}", ebuild.display())]
    Unexpected {
        /// The ebuild.
        ebuild: PathBuf,
        /// The message.
        message: Box<Message>,
    },
    /// The folder for the exchange with the shell cannot be used.
    #[error("{}: cannot be used", path.display())]
    Exchange {
        /// The folder or a file in it.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The processor failed.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
    /// The conversation broke.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

impl SourcingError {
    /// Whether it is the ebuild that is at fault; else nothing can be sourced here.
    #[must_use]
    pub fn is_the_ebuilds(&self) -> bool {
        !matches!(self, Self::Exchange { .. } | Self::Processor(_))
    }

    /// Whether it came from within the shell text, so that it matters which files and lines bash
    /// has for that text.
    #[must_use]
    pub fn tells_a_place(&self) -> bool {
        matches!(self, Self::Died { .. } | Self::Ended { .. })
    }

    /// Whether something else than the ebuild may have ended the processor: an earlier ebuild's
    /// background process, the system for want of memory.
    #[must_use]
    pub fn may_be_anothers(&self) -> bool {
        matches!(
            self,
            Self::Lost { .. } | Self::Frame(_) | Self::LostBetween { .. }
        )
    }
}

/// Where die was called, as a part of a message.
fn place(death: &Death) -> String {
    if death.file.is_empty() {
        String::new()
    } else {
        format!(" ({}, line {})", death.file, death.line)
    }
}

/// Lines as the end of a message.
fn printed(output: &[String]) -> String {
    output.iter().map(|line| format!("\n  | {line}")).collect()
}
