//! Running the work of a subcommand so that signals end it at once and leave nothing behind.

use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use super::arguments::Display;
use super::build::{Failure, complain};
use super::exit::Exit;

/// How long everything that was started may take to end after a signal.
const FAREWELL: Duration = Duration::from_secs(3);

/// Runs `work` to its end or to a signal's.
///
/// # Errors
/// The runtime cannot be started or signals cannot be heard.
pub(super) fn guard(work: impl Future<Output = Exit>) -> std::io::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let exit = runtime.block_on(until_signal(work));
    runtime.shutdown_timeout(FAREWELL);
    exit
}

/// Runs the work of a subcommand as [`guard`] does, and tells why it failed if it did.
pub(super) fn run(display: &Display, work: impl Future<Output = Result<Exit, Failure>>) -> Exit {
    let told = async {
        work.await.unwrap_or_else(|Failure(causes)| {
            complain(display, &causes);
            Exit::Failed
        })
    };
    guard(told).unwrap_or_else(|error| {
        complain(display, &[format!("cannot start: {error}")]);
        Exit::Failed
    })
}

async fn until_signal(work: impl Future<Output = Exit>) -> std::io::Result<Exit> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let exit = tokio::select! {
        exit = work => return Ok(exit),
        _ = interrupt.recv() => Exit::Signal(2),
        _ = terminate.recv() => Exit::Signal(15),
        _ = hangup.recv() => Exit::Signal(1),
    };
    // Whatever was running has lost its processor's pipe by now, and so the wardens end it.
    let deadline = Instant::now() + FAREWELL;
    let me = nix::unistd::Pid::this();
    while !sandbox::process::descendants(me).is_empty() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(exit)
}
