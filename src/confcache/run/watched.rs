//! A command that runs while it is watched.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use nix::unistd::Pid;
use sandbox::launch::{SandboxError, Settings, Starting};
use sandbox::{Feature, Guard, Policy, Sandbox, Trace, Wall, Watch};

use super::{Print, RunError};
use crate::confcache::asking::{self, Asks, Server, Started, Take};
use crate::confcache::call::Call;
use crate::confcache::entry::Stream;
use crate::confcache::learn::Untaught;
use crate::confcache::printed::Printed;
use crate::confcache::questions::Looker;
use crate::util::printable::printable;

/// A run that is to be watched.
pub(super) struct Running<'r, 'l> {
    pub(super) call: &'r Call,
    /// Takes what it prints.
    pub(super) print: &'r Print,
    pub(super) printed: &'r Printed,
    /// Who answers, if it asks.
    pub(super) asks: Option<Server<'r>>,
    pub(super) looker: Looker<'l>,
}

/// A run that was watched.
pub(super) struct Watched {
    pub(super) status: u8,
    pub(super) trace: Trace,
    pub(super) asks: Option<Asks>,
}

/// A status as a shell tells it.
pub(super) fn shell_status(status: std::process::ExitStatus) -> u8 {
    u8::try_from(sandbox::warden::shell_status(status) & 0xff).unwrap_or(255)
}

/// Runs the command in a sandbox that allows everything and writes down what is looked at. `program` is this one.
pub(super) fn watched(
    program: &Path,
    running: &mut Running<'_, '_>,
) -> Result<Result<Watched, SandboxError>, RunError> {
    // If the warden is lost, what it watched over comes to this process.
    let _ = nix::sys::prctl::set_child_subreaper(true);
    // With a wall that allows everything changes are the kernel's; without they are seen all the same.
    let settings = Settings {
        watch: Some(Watch::Everything),
        wall: Some(Wall {
            write: vec!["/".into()],
            read: None,
        }),
        attached: true,
        ..Settings::default()
    };
    match watched_in(program, &settings, running)? {
        Err(error) if error.feature() == Some(Feature::Wall) => {
            watched_in(program, &settings.without(Feature::Wall), running)
        }
        result => Ok(result),
    }
}

fn watched_in(
    program: &Path,
    settings: &Settings,
    running: &mut Running<'_, '_>,
) -> Result<Result<Watched, SandboxError>, RunError> {
    let starting = match Starting::new(settings.clone()) {
        Ok(starting) => starting,
        Err(error) => return Ok(Err(error)),
    };
    let started = running.started();
    let mut command = Command::new(program);
    command
        .arg(sandbox::warden::ARGUMENT)
        .args(starting.arguments())
        .args(started.words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(directory) = started.directory {
        command.current_dir(directory);
    }
    starting.prepare(&mut command);
    let mut child = command.spawn().map_err(|source| RunError::Start {
        program: printable(program.as_os_str()),
        source,
    })?;
    let pipes = Pipes::of(&mut child, running.printed);
    let sandbox: Sandbox = match starting.finish(Policy::free()) {
        Ok(sandbox) => sandbox,
        Err(error) => {
            let _ = child.wait();
            return Ok(Err(error));
        }
    };
    let warden = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let take = || Some(sandbox.take_trace());
    // Signals come to this thread.
    let (status, asks) = running.carried(pipes, &take, || sandbox::attached::wait(warden));
    let (_, trace) = sandbox.finish();
    Ok(Ok(Watched {
        status: status.map_err(RunError::Lost)?,
        trace,
        asks,
    }))
}

/// Runs the command in the sandbox that this runs in, which writes down what is looked at.
pub(super) fn seen_from_around(
    path: &Path,
    running: &mut Running<'_, '_>,
) -> Result<Result<Watched, Untaught>, RunError> {
    let taken = || {
        let bytes = std::fs::read(path).ok()?;
        Trace::from_bytes(&bytes)
    };
    let unseen = "the sandbox of this build traces nothing";
    if taken().is_none() {
        return Ok(Err(Untaught::NotTraced(unseen.to_owned())));
    }
    let started = running.started();
    let program = started.words.first().cloned().unwrap_or_default();
    let start = |source| RunError::Start {
        program: printable(&program),
        source,
    };
    let mut command = Command::new(&program);
    if let Some(directory) = started.directory {
        command.current_dir(directory);
    }
    let mut child = command
        .args(started.words.iter().skip(1))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let pipes = Pipes::of(&mut child, running.printed);
    let (status, asks) = running.carried(pipes, &taken, || child.wait());
    let status = status.map_err(start)?;
    let trace = taken().unwrap_or_else(|| {
        running.printed.lose();
        Trace::default()
    });
    Ok(Ok(Watched {
        status: shell_status(status),
        trace,
        asks,
    }))
}

impl Running<'_, '_> {
    /// The command, or the one that has its script ask.
    fn started(&self) -> Started {
        let asks = self.asks.as_ref();
        let started = asks.and_then(|asks| asks.command(self.call));
        started.unwrap_or_else(|| Started {
            words: self.call.words.clone(),
            directory: None,
        })
    }

    /// Carries on what comes out, and answers what is asked, until `wait` says that the command has ended.
    fn carried<T>(
        &mut self,
        pipes: Pipes,
        take: Take<'_>,
        wait: impl FnOnce() -> T,
    ) -> (T, Option<Asks>) {
        let (print, printed) = (self.print, self.printed);
        let (asks, looker) = (self.asks.take(), &mut self.looker);
        let end = asks.as_ref().and_then(|asks| asks.end().ok());
        std::thread::scope(|threads| {
            threads.spawn(|| printed.carry(pipes.output, Stream::Output, print));
            threads.spawn(|| printed.carry(pipes.error, Stream::Error, print));
            let server = asks.map(|asks| threads.spawn(move || asks.serve(looker, take)));
            let waited = wait();
            if let Some(mut end) = end {
                let _ = end.write_all(asking::END);
            }
            (waited, server.and_then(|server| server.join().ok()))
        })
    }
}

/// What comes out of a command.
struct Pipes {
    output: Option<ChildStdout>,
    error: Option<ChildStderr>,
}

impl Pipes {
    fn of(child: &mut Child, printed: &Printed) -> Self {
        let (output, error) = (child.stdout.take(), child.stderr.take());
        printed.expect(output.as_ref());
        printed.expect(error.as_ref());
        Self { output, error }
    }
}
