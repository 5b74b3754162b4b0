//! The user's terminal, lent to one shell at a time: what is typed goes to the shell's own terminal, and
//! what is printed there comes back.

use std::fs::File;
use std::io::{self, IsTerminal, PipeReader, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use sandbox::Identity;
use sandbox::terminal::Pty;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::build::console::Lease;

/// How much of what was typed is held back while the shell does not read.
const TYPED_AHEAD: usize = 64 * 1024;

/// Whether there is somebody at a terminal.
#[must_use]
pub(super) fn is_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Lends the terminal to the shell that asked by `reply`, until it gives it back.
///
/// # Errors
/// There is none, or it cannot be used so; who asked is told.
pub(super) async fn lend(
    reply: oneshot::Sender<io::Result<Lease>>,
    identity: Option<&Identity>,
    color: bool,
) {
    let begun =
        begin(identity, color).and_then(|begun| Ok((begun, signal(SignalKind::window_change())?)));
    let (begun, mut resized) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            let _ = reply.send(Err(error));
            return;
        }
    };
    let Begun {
        pty,
        program_side,
        raw,
        relay,
        wake,
        lease,
        mut ended,
        mut given_up,
    } = begun;
    if reply.send(Ok(lease)).is_ok() {
        loop {
            tokio::select! {
                _ = &mut ended => break,
                // There is nobody to read or write any more, which the shell is told by a hang-up.
                _ = &mut given_up => break,
                _ = resized.recv() => {
                    let _ = pty.resize_like(io::stdin());
                }
            }
        }
    }
    // With the last of the program's side the relay reads to the end.
    drop(program_side);
    drop(wake);
    drop(pty);
    let _ = tokio::task::spawn_blocking(move || relay.join()).await;
    drop(raw);
}

/// A terminal that was begun to be lent.
struct Begun {
    pty: Pty,
    program_side: File,
    raw: Raw,
    relay: std::thread::JoinHandle<()>,
    wake: io::PipeWriter,
    lease: Lease,
    ended: oneshot::Receiver<()>,
    given_up: oneshot::Receiver<()>,
}

fn begin(identity: Option<&Identity>, color: bool) -> io::Result<Begun> {
    let pty = Pty::open()?;
    if let Some(user) = identity {
        pty.give_to(user.uid, user.gid)?;
    }
    if pty.resize_like(io::stdin()).is_err() {
        pty.resize(24, 80)?;
    }
    // Held open, so that there is no end to read before the shell has begun.
    let program_side = File::options()
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_NOCTTY.bits())
        .open(pty.path())?;
    let (awaited, wake) = io::pipe()?;
    let side = pty.file()?;
    let raw = Raw::enter()?;
    let (gives_up, given_up) = oneshot::channel();
    let relay = std::thread::spawn(move || {
        let _ = relay(side, awaited);
        let _ = gives_up.send(());
    });
    let (lease, ended) = Lease::new(pty.path().to_owned(), color);
    Ok(Begun {
        pty,
        program_side,
        raw,
        relay,
        wake,
        lease,
        ended,
        given_up,
    })
}

/// Carries bytes both ways until there is nothing more to read behind the end of `until`.
fn relay(mut pty: File, until: PipeReader) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(&pty, FcntlArg::F_GETFL)?);
    fcntl(&pty, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    let stdin = io::stdin();
    let mut typed: Vec<u8> = Vec::new();
    let mut reads = true;
    let mut buffer = [0; 16 * 1024];
    loop {
        let mut of_pty = PollFlags::POLLIN;
        if !typed.is_empty() {
            of_pty |= PollFlags::POLLOUT;
        }
        let of_stdin = match reads && typed.len() < TYPED_AHEAD {
            true => PollFlags::POLLIN,
            false => PollFlags::empty(),
        };
        let (pty_is, stdin_is, until_is) = wait(&[
            (pty.as_fd(), of_pty),
            (stdin.as_fd(), of_stdin),
            (until.as_fd(), PollFlags::empty()),
        ])?;
        if pty_is.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            match pty.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    // Standard output may be a file, for the path of the package.
                    let mut out = io::stderr().lock();
                    out.write_all(buffer.get(..read).unwrap_or_default())?;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Nobody has the program's side any more.
                Err(_) => return Ok(()),
            }
        }
        if until_is.contains(PollFlags::POLLHUP) {
            return Ok(());
        }
        if pty_is.contains(PollFlags::POLLOUT) {
            match pty.write(&typed) {
                Ok(written) => drop(typed.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(()),
            }
        }
        if reads && stdin_is.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR)
        {
            // Not through a buffer: what was not read yet is for who comes next.
            match nix::unistd::read(&stdin, &mut buffer) {
                Ok(0) | Err(Errno::EIO) => {
                    // The terminal went away. So does the shell's, with the last of this side.
                    return Ok(());
                }
                Ok(read) => typed.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(_) => reads = false,
            }
        }
    }
}

type Three = (PollFlags, PollFlags, PollFlags);

/// Waits until there is something to do, and tells what.
fn wait(watched: &[(BorrowedFd<'_>, PollFlags); 3]) -> io::Result<Three> {
    let [one, two, three] = watched.map(|(fd, flags)| PollFd::new(fd, flags));
    let mut all = [one, two, three];
    loop {
        match poll(&mut all, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => break,
        }
    }
    let [one, two, three] = all.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
    Ok((one, two, three))
}

/// The user's terminal in raw mode: every key goes to the shell. Back as it was when dropped.
struct Raw {
    before: Termios,
}

impl Raw {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSADRAIN, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.before);
    }
}
