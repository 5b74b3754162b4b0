//! A bash of a build's in which a person works: at a terminal of its own, or reading a script.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use nix::unistd::Pid;
use sandbox::{Guard, Policy, terminal};
use tokio::process::Child;
use tokio::time::timeout;

use super::launch::{self, Started};
use super::pipes::Pipes;
use super::process::PATH;
use super::shell::{Event, ShellError};

/// How long an ended shell's warden may take to end what was below it.
const END_LIMIT: Duration = Duration::from_secs(5);

/// What the shell reads its commands from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A person at the terminal of this name, which becomes the shell's own.
    Terminal(PathBuf),
    /// This text, at such a terminal if there is one; without, standard input, output and error are
    /// this process's.
    Commands(OsString, Option<PathBuf>),
    /// This process's standard input.
    Script,
}

/// What an [`Interactive`] is started with.
#[derive(Debug, Clone)]
pub struct InteractiveSetup {
    /// The `ebd` program.
    pub program: PathBuf,
    /// The bash to run.
    pub bash: PathBuf,
    /// The sandbox around it.
    pub sandbox: sandbox::launch::Settings,
    /// The build's private directory.
    pub directory: PathBuf,
    /// A file with what it evaluates before anything else.
    pub start: PathBuf,
    /// What it reads its commands from.
    pub input: Input,
    /// The kind of the terminal (`TERM`), which bash wants to know from its start.
    pub term: Option<String>,
}

/// A running shell. Dropping it ends everything that it started.
#[derive(Debug)]
pub struct Interactive {
    warden: Child,
    guard: Option<Arc<dyn Guard>>,
    pipes: Pipes,
    ended: Option<i32>,
}

impl Interactive {
    /// Starts bash, which may do what `policy` says. Messages without `token` are refused.
    ///
    /// # Errors
    /// The pipes cannot be made, or bash not be started so.
    pub async fn start(
        setup: &InteractiveSetup,
        policy: Policy,
        token: &str,
    ) -> Result<Self, ShellError> {
        let pipes = Pipes::make(&setup.directory, &setup.sandbox.identity, token)?;
        let mut sandbox = setup.sandbox.clone();
        // Standard input is not what tells that this process is gone.
        sandbox.attached = true;
        let mut command = std::process::Command::new(&setup.program);
        command
            .args(sandbox::warden::arguments(None))
            .env_clear()
            .env("PATH", PATH)
            .envs(setup.term.as_ref().map(|term| ("TERM", term)));
        let terminal = match &setup.input {
            Input::Terminal(path) => Some(path.as_path()),
            Input::Commands(_, path) => path.as_deref(),
            Input::Script => None,
        };
        if terminal.is_some() {
            // A terminal that this process has is nothing for the shell.
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
        }
        let mut words = vec![setup.program.clone().into_os_string()];
        words.extend(terminal::arguments(terminal));
        words.push(setup.bash.clone().into());
        words.push("--noprofile".into());
        match &setup.input {
            Input::Terminal(_) => {
                words.extend(["--rcfile".into(), setup.start.clone().into(), "-i".into()]);
            }
            Input::Commands(text, _) => {
                command.env("BASH_ENV", &setup.start);
                words.extend(["--norc".into(), "-c".into(), text.clone(), "ebd".into()]);
            }
            Input::Script => {
                command.env("BASH_ENV", &setup.start);
                words.extend(["--norc".into(), "-s".into()]);
            }
        }
        let Started { warden, guard } = launch::start(command, &sandbox, policy, words).await?;
        Ok(Self {
            warden,
            guard,
            pipes,
            ended: None,
        })
    }

    /// The sandbox around it, if there is one.
    #[must_use]
    pub fn guard(&self) -> Option<&Arc<dyn Guard>> {
        self.guard.as_ref()
    }

    /// The pid of the warden, which is there until everything below it has ended.
    #[must_use]
    pub fn warden(&self) -> Option<Pid> {
        self.warden.id().map(|pid| Pid::from_raw(pid.cast_signed()))
    }

    /// The next message, or the end. A message that was sent before the end comes before it.
    /// Cancel safe.
    ///
    /// # Errors
    /// A [`ShellError`]; the shell must then be ended.
    pub async fn next(&mut self) -> Result<Event, ShellError> {
        let up = &mut self.pipes.up;
        if self.ended.is_none() {
            tokio::select! {
                biased;
                message = up.next() => return Ok(Event::Message(message?)),
                status = self.warden.wait() => {
                    let status = status.map(sandbox::warden::shell_status);
                    self.ended = Some(status.unwrap_or(255));
                }
            }
        }
        match up.next().now_or_never() {
            Some(message) => Ok(Event::Message(message?)),
            None => Ok(Event::Ended(self.ended.unwrap_or(255))),
        }
    }

    /// Ends the shell and everything below, and waits until that is done.
    pub async fn end(self) {
        let Self {
            mut warden, guard, ..
        } = self;
        // The other end of the warden's channel goes with it.
        drop(guard);
        if timeout(END_LIMIT, warden.wait()).await.is_err() {
            let _ = warden.start_kill();
        }
    }
}
