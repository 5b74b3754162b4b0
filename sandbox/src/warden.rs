//! The warden: a small process between the supervisor and one processor.
//!
//! It is a child subreaper, so a build's process that daemonises becomes its child instead of
//! init's and stays within reach; and its standard input, which the processor reads its
//! commands from, is a pipe whose other end only the supervisor has, so it notices the
//! supervisor's end however that came about (SIGKILL included) and then kills everything below
//! it. A process group alone would do neither: any child can leave it with `setsid`.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::launch;
use crate::process::kill_descendants;

/// The hidden first argument by which the `ebd` program becomes a warden.
pub const ARGUMENT: &str = "__warden";

/// The option that names a folder to remove.
const TEMPORARY: &str = "--temporary";

/// How long the warden tries to end what is below it before it gives up.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a warden could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum WardenError {
    /// No program was named.
    #[error("warden: no program to run was given")]
    NoProgram,
    /// The kernel refused to make this process a subreaper.
    #[error("warden: cannot become a child subreaper")]
    Subreaper(#[source] Errno),
    /// What stands behind `--sandbox` is not what a supervisor writes.
    #[error("warden: --sandbox is followed by something else than settings")]
    Settings,
    /// The program could not be confined; the supervisor knows why.
    #[error("warden: {0}")]
    Sandbox(String),
    /// The program could not be started.
    #[error("warden: cannot start {program:?}")]
    Start {
        /// The program as given.
        program: OsString,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
}

/// The arguments by which the `ebd` program, as a warden, runs a command; those of a sandbox
/// ([`Starting::arguments`](crate::launch::Starting::arguments)) come next if there is to be one. It removes `temporary`,
/// with all that is in it, when everything has ended, however the supervisor did.
#[must_use]
pub fn arguments(temporary: Option<&Path>) -> Vec<OsString> {
    let mut arguments = vec![ARGUMENT.into()];
    if let Some(folder) = temporary {
        arguments.extend([TEMPORARY.into(), folder.into()]);
    }
    arguments
}

/// Runs `command` (what [`arguments`] gave behind the first, program and arguments) in a process group of its own, with this process's
/// standard input, output and error, and gives its exit status (128 + signal if it was killed).
///
/// Standard input must be a pipe: once its last writer is gone, everything is killed. When the
/// program ends, whatever it left behind is killed too.
///
/// # Errors
/// A [`WardenError`] if the program could not be run.
pub fn run(command: &[OsString]) -> Result<u8, WardenError> {
    let (temporary, command) = match command {
        [option, folder, command @ ..] if option == TEMPORARY => {
            (Some(PathBuf::from(folder)), command)
        }
        command => (None, command),
    };
    let (sandbox, command) = match command {
        [option, rest @ ..] if option == launch::OPTION => {
            let (settings, channel, command) = launch::parse(rest).ok_or(WardenError::Settings)?;
            (Some((settings, channel)), command)
        }
        command => (None, command),
    };
    let sandbox = sandbox.map(|(settings, number)| (settings, launch::inherited(number)));
    watch(temporary, sandbox, command)
}

/// Is the warden of a command, in a sandbox if there are settings of one.
pub(crate) fn watch(
    temporary: Option<PathBuf>,
    sandbox: Option<(launch::Settings, OwnedFd)>,
    command: &[OsString],
) -> Result<u8, WardenError> {
    let (program, arguments) = command.split_first().ok_or(WardenError::NoProgram)?;
    nix::sys::prctl::set_child_subreaper(true).map_err(WardenError::Subreaper)?;
    // Away from the terminal: ctrl-C is the supervisor's business, which ends its wardens by closing
    // their control pipes; and a build that asked the terminal for a password would be stopped for
    // ever, as a background process that reads from it, where now it finds that there is none.
    let attached = sandbox
        .as_ref()
        .is_some_and(|(settings, _)| settings.attached);
    if !attached {
        let _ = nix::unistd::setsid();
    }
    let mut channel = None;
    let child = match sandbox {
        Some((settings, ours)) => {
            let child = launch::start(&settings, &ours, program, arguments)
                .map_err(WardenError::Sandbox)?;
            channel = Some(ours);
            child
        }
        None => {
            let child = Command::new(program)
                .args(arguments)
                .stdin(Stdio::inherit())
                .process_group(0)
                .spawn()
                .map_err(|source| WardenError::Start {
                    program: program.clone(),
                    source,
                })?;
            Pid::from_raw(child.id() as i32)
        }
    };
    if attached {
        launch::leave_interrupts_to_program();
        // Its supervisor has the program end, and then ends itself.
        launch::put_off_ending();
    }
    let clean = move || {
        let _ = kill_descendants(Pid::this(), &[], PATIENCE);
        if let Some(folder) = &temporary {
            // The supervisor may have done it already.
            let _ = std::fs::remove_dir_all(folder);
        }
    };
    std::thread::spawn({
        let clean = clean.clone();
        move || {
            match channel {
                Some(channel) if attached => wait_for_hangup(channel.as_fd()),
                _ => wait_for_hangup(std::io::stdin().as_fd()),
            }
            clean();
            std::process::exit(137);
        }
    });
    let status = reap_until(child);
    clean();
    Ok(status)
}

/// Returns when the pipe or socket has no other end any more. Nothing is read from it.
fn wait_for_hangup(alive: BorrowedFd<'_>) {
    loop {
        let mut watched = [PollFd::new(alive, PollFlags::empty())];
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
        let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
        if watched
            .iter()
            .any(|fd| fd.revents().is_some_and(|r| r.intersects(gone)))
        {
            return;
        }
    }
}

/// Reaps every child until `child` has ended and gives its status.
pub(crate) fn reap_until(child: Pid) -> u8 {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => {
                return u8::try_from(code & 0xff).unwrap_or(255);
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return 128_u8.saturating_add(signal as u8);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return 255,
        }
    }
}

/// The exit status of a finished process as a shell gives it: the code, or 128 + signal.
#[must_use]
pub fn shell_status(status: std::process::ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
