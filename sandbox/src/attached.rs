//! Waiting for a command that keeps the terminal of a person, who may end it.

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::launch::{ending, leave_interrupts_to_program, put_off_ending};
use crate::process;

/// How long it is tried to end what a lost warden has left.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long programs have to end when they are told to.
const GRACE: Duration = Duration::from_secs(1);

/// Waits for the end of a warden that was started with `attached` set, and gives its status, as a
/// shell tells it. Interrupts are the program's meanwhile; SIGTERM and SIGHUP are passed on to all
/// below the warden.
///
/// # Errors
/// The warden is lost.
pub fn wait(warden: Pid) -> Result<u8, Errno> {
    leave_interrupts_to_program();
    put_off_ending();
    let status = loop {
        if let Some(signal) = ending() {
            end(warden, signal);
        }
        match waitpid(warden, None) {
            Ok(WaitStatus::Exited(_, code)) => break u8::try_from(code & 0xff).unwrap_or(255),
            Ok(WaitStatus::Signaled(_, signal, _)) => break 128_u8.saturating_add(signal as u8),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    };
    let _ = process::kill_descendants(Pid::this(), &[], PATIENCE);
    Ok(status)
}

/// Has the programs below the warden end: they are told, and killed if they take their time. What
/// they were refused until then is told all the same.
fn end(warden: Pid, signal: Signal) {
    let below = || process::descendants(Pid::this()).into_iter();
    for pid in below().filter(|pid| *pid != warden) {
        let _ = kill(pid, signal);
    }
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        if below().all(|pid| pid == warden) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    for pid in below().filter(|pid| *pid != warden) {
        let _ = kill(pid, Signal::SIGKILL);
    }
}
