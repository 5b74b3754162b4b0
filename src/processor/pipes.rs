//! The named pipes between a build's shell and its supervisor.

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use sandbox::Identity;
use tokio::net::unix::pipe;

use super::frame::Reader;

/// Why the pipes cannot be had or used.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// A named pipe could not be made or opened.
    #[error("{}: cannot be made", path.display())]
    Make {
        /// The pipe.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A command could not be handed over.
    #[error("processor: cannot hand a command to the shell")]
    Command(#[source] io::Error),
}

/// The supervisor's ends.
#[derive(Debug)]
pub(super) struct Pipes {
    /// What the shell says.
    pub(super) up: Reader<pipe::Receiver>,
    /// What it is told.
    pub(super) down: pipe::Sender,
}

impl Pipes {
    /// Makes `up` and `down` in a build's private directory, for a shell of `identity`. Messages
    /// without `token` are refused.
    ///
    /// # Errors
    /// [`PipeError::Make`].
    pub(super) fn make(
        directory: &Path,
        identity: &Option<Identity>,
        token: &str,
    ) -> Result<Self, PipeError> {
        let up = directory.join("up");
        let down = directory.join("down");
        for path in [&up, &down] {
            make(path, identity.as_ref()).map_err(|source| PipeError::Make {
                path: path.clone(),
                source,
            })?;
        }
        // Opened for both ways, so that there is no end of file while the shell has it closed.
        let receiver = pipe::OpenOptions::new()
            .read_write(true)
            .open_receiver(&up)
            .map_err(|source| PipeError::Make { path: up, source })?;
        let sender = pipe::OpenOptions::new()
            .read_write(true)
            .open_sender(&down)
            .map_err(|source| PipeError::Make { path: down, source })?;
        Ok(Self {
            up: Reader::new(receiver, Some(token.to_owned())),
            down: sender,
        })
    }
}

/// Makes a named pipe, only for this user, or for the build's.
fn make(path: &Path, identity: Option<&Identity>) -> io::Result<()> {
    let _ = std::fs::remove_file(path);
    nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)?;
    match identity {
        Some(user) => std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)),
        None => Ok(()),
    }
}
