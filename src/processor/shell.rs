//! A shell: the fork of a processor that stays alive for all phases of one package.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use nix::unistd::Pid;
use sandbox::Guard;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

use super::frame::{FrameError, Message, Reader, counted};
use super::library;
use super::pipes::{PipeError, Pipes};
use super::process::{Processor, ProcessorError};

/// What a shell is started with.
#[derive(Debug, Clone)]
pub struct ShellSetup {
    /// The build's private directory, where the pipes are made and `initial.env` and `phase.env`
    /// are read. It must exist and be nobody else's.
    pub directory: PathBuf,
    /// The file that everything the build prints is appended to.
    pub log: PathBuf,
    /// Where eclasses are looked for, the first directory first.
    pub eclass_dirs: Vec<PathBuf>,
    /// Shell text with the facts of the EAPI.
    pub eapi: String,
    /// A saved environment to load instead of sourcing the ebuild.
    pub restore: Option<PathBuf>,
    /// What the fork evaluates: [`library::BUILD`] or [`library::METADATA`].
    pub script: &'static str,
}

/// Why a shell failed.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The pipes to it could not be made or used.
    #[error(transparent)]
    Pipe(#[from] PipeError),
    /// The shell's messages break the protocol.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The processor failed.
    #[error(transparent)]
    Processor(#[from] ProcessorError),
}

/// What a shell does next.
#[derive(Debug)]
pub enum Event {
    /// It said something.
    Message(Message),
    /// It ended with this status (128 + signal if it was killed).
    Ended(i32),
}

/// A running shell. Dropping it ends its processor and everything below.
#[derive(Debug)]
pub struct Shell {
    processor: Processor,
    up: Reader<pipe::Receiver>,
    down: pipe::Sender,
    pid: Option<Pid>,
    ended: Option<i32>,
}

impl Shell {
    /// Forks `processor` and starts the setup's script in the fork.
    ///
    /// `token` must be unknown to others: messages without it are refused.
    ///
    /// # Errors
    /// A [`ShellError`] if the pipes cannot be made or the processor is gone.
    pub async fn start(
        mut processor: Processor,
        setup: &ShellSetup,
        token: &str,
    ) -> Result<Self, ShellError> {
        let Pipes { up, down } =
            Pipes::make(&setup.directory, &processor.sandbox().identity, token)?;
        processor.begin(&job(setup, token)).await?;
        Ok(Self {
            processor,
            up,
            down,
            pid: None,
            ended: None,
        })
    }

    /// Hands over shell text to evaluate when the shell next waits for a command.
    ///
    /// # Errors
    /// [`ShellError::Command`] if the pipe does not take it.
    pub async fn command(&mut self, text: &[u8]) -> Result<(), ShellError> {
        let result = self.down.write_all(&counted(text)).await;
        result.map_err(|error| PipeError::Command(error).into())
    }

    /// The next message, or the end. A message that was sent before the end comes before it.
    /// Cancel safe.
    ///
    /// # Errors
    /// A [`ShellError`]; the shell must then be ended.
    pub async fn next(&mut self) -> Result<Event, ShellError> {
        let message = if let Some(status) = self.ended {
            // What was sent before the end is in the pipe already.
            match self.up.next().now_or_never() {
                Some(message) => message?,
                None => return Ok(Event::Ended(status)),
            }
        } else {
            tokio::select! {
                biased;
                message = self.up.next() => message?,
                status = self.processor.ended() => {
                    let status = status?;
                    self.ended = Some(status);
                    match self.up.next().now_or_never() {
                        Some(message) => message?,
                        None => return Ok(Event::Ended(status)),
                    }
                }
            }
        };
        if let Message::Hello(pid) = message {
            self.pid = Some(self.processor.here(pid));
        }
        Ok(Event::Message(message))
    }

    /// The sandbox around it, if there is one.
    #[must_use]
    pub fn guard(&self) -> Option<&Arc<dyn Guard>> {
        self.processor.guard()
    }

    /// Whether the shell has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Whether something that the shell started still runs.
    #[must_use]
    pub fn has_leftovers(&self) -> bool {
        let spare: Vec<Pid> = self.pid.into_iter().collect();
        self.processor.has_leftovers(&spare)
    }

    /// Kills what the phase left running, but not the shell.
    pub fn kill_leftovers(&self) {
        if let Some(pid) = self.pid {
            self.processor.kill_leftovers(&[pid]);
        }
    }

    /// Lets the shell end by itself and gives back the processor if it did so cleanly.
    ///
    /// # Errors
    /// A [`ShellError`] if the conversation broke.
    pub async fn finish(mut self) -> Result<Option<Processor>, ShellError> {
        self.command(b"builtin exit 0").await?;
        loop {
            match self.next().await? {
                Event::Ended(0) => {
                    self.processor.kill_leftovers(&[]);
                    return Ok(Some(self.processor));
                }
                Event::Ended(_) => return Ok(None),
                Event::Message(_) => {}
            }
        }
    }

    /// Gives back the processor of a shell that has ended with status 0 by itself.
    #[must_use]
    pub fn into_processor(self) -> Option<Processor> {
        if self.ended != Some(0) {
            return None;
        }
        self.processor.kill_leftovers(&[]);
        Some(self.processor)
    }

    /// Ends the shell, its processor and everything below, and waits until that is done.
    pub async fn end(self) {
        self.processor.end().await;
    }
}

/// The job that starts a shell.
fn job(setup: &ShellSetup, token: &str) -> Vec<u8> {
    let mut text = library::assignments(&[
        ("__EBD_BUILD", setup.directory.as_os_str().as_bytes()),
        ("__EBD_LOG", setup.log.as_os_str().as_bytes()),
        ("__EBD_TOKEN", token.as_bytes()),
        (
            "__EBD_RESTORE",
            setup
                .restore
                .as_deref()
                .map_or(&b""[..], |path| path.as_os_str().as_bytes()),
        ),
    ]);
    text.extend(library::eclass_dirs(&setup.eclass_dirs));
    text.extend_from_slice(setup.eapi.as_bytes());
    text.push(b'\n');
    text.extend_from_slice(setup.script.as_bytes());
    text
}
