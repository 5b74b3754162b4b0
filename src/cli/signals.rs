//! Running the work of a subcommand so that signals end it at once and leave nothing behind.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::arguments::Display;
use super::build::{Failure, complain};
use super::exit::Exit;

/// How long everything that was started may take to end after a signal.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long work that does not hear a signal may go on.
const PATIENCE: Duration = Duration::from_secs(1);

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
    let (tell, told) = oneshot::channel();
    let (take, taken) = oneshot::channel();
    listen(tell, taken)?;
    let number = tokio::select! {
        exit = work => return Ok(exit),
        Ok(number) = told => number,
    };
    let _ = take.send(());
    // Whatever was running has lost its processor's pipe by now, and so the wardens end it.
    let deadline = Instant::now() + FAREWELL;
    let me = nix::unistd::Pid::this();
    while !sandbox::process::descendants(me).is_empty() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(Exit::Signal(number))
}

/// Waits for a signal in a thread of the runtime, tells its number, and ends the program if that is not `taken`: work
/// that looks through many files, or waits for a file that does not answer, hears nothing meanwhile.
fn listen(tell: oneshot::Sender<u8>, taken: oneshot::Receiver<()>) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Below `nohup` nobody hears it, nor what is started from here.
    let ignored = sandbox::signals::is_ignored(nix::sys::signal::Signal::SIGHUP);
    let mut hangup = match ignored {
        true => None,
        false => Some(signal(SignalKind::hangup())?),
    };
    tokio::spawn(async move {
        let number = tokio::select! {
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
            () = heard(hangup.as_mut()) => 1,
        };
        if tell.send(number).is_ok() && tokio::time::timeout(PATIENCE, taken).await.is_err() {
            std::process::exit(128 + i32::from(number));
        }
    });
    Ok(())
}

/// Returns when the signal has come, if it can.
async fn heard(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
