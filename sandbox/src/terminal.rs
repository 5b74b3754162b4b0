//! Pseudo-terminals: one side is the supervisor's, the other becomes the terminal of a program.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{Gid, Mode, Uid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetwinsize, tcsetwinsize};

/// The hidden first argument by which the `ebd` program gives a program its terminal.
pub const ARGUMENT: &str = "__terminal";

/// What stands for no terminal, in the place of its path.
const NONE: &str = "-";

/// The supervisor's side of a pseudo-terminal. When it is dropped, the terminal hangs up.
#[derive(Debug)]
pub struct Pty {
    ours: OwnedFd,
    path: PathBuf,
}

impl Pty {
    /// Makes one with a size of nothing.
    ///
    /// # Errors
    /// There are none left, or there is no `/dev/pts`.
    pub fn open() -> io::Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let path = ptsname(&ours, Vec::new())?;
        Ok(Self {
            ours,
            path: OsString::from_vec(path.into_bytes()).into(),
        })
    }

    /// The program's side, by its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the program's side to a user, who could not open it otherwise.
    ///
    /// # Errors
    /// This process may not.
    pub fn give_to(&self, uid: u32, gid: u32) -> io::Result<()> {
        rustix::fs::chown(
            &self.path,
            Some(Uid::from_raw(uid)),
            Some(Gid::from_raw(gid)),
        )?;
        rustix::fs::chmod(&self.path, Mode::RUSR | Mode::WUSR | Mode::WGRP)?;
        Ok(())
    }

    /// Gives it the size of the terminal `of`; the program is told by SIGWINCH.
    ///
    /// # Errors
    /// That is no terminal.
    pub fn resize_like(&self, of: impl AsFd) -> io::Result<()> {
        Ok(tcsetwinsize(&self.ours, tcgetwinsize(of)?)?)
    }

    /// Gives it a size in characters.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(tcsetwinsize(&self.ours, size)?)
    }

    /// This side as a file, to read what the program prints and to write what is typed.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn file(&self) -> io::Result<File> {
        Ok(self.ours.try_clone()?.into())
    }
}

/// The arguments by which the `ebd` program gives the next words, program and arguments, a session
/// of their own and `terminal`, if there is one.
#[must_use]
pub fn arguments(terminal: Option<&Path>) -> Vec<OsString> {
    let terminal = terminal.map_or(OsString::from(NONE), |path| path.into());
    vec![ARGUMENT.into(), terminal]
}

/// Begins a session, makes the terminal that [`arguments`] named its own, in the place of
/// standard input, output and error, and becomes the program. Without a terminal those three stay.
///
/// # Errors
/// The terminal cannot be had or the program not be run; there is no other return.
pub fn run(words: &[OsString]) -> io::Result<std::convert::Infallible> {
    let [terminal, program, arguments @ ..] = words else {
        return Err(io::Error::other("terminal: no program to run was given"));
    };
    let about = |what: &OsString, error: io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", what.display()))
    };
    nix::unistd::setsid()?;
    if terminal != NONE {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::libc::O_NOCTTY)
            .open(terminal)
            .map_err(|error| about(terminal, error))?;
        rustix::process::ioctl_tiocsctty(&file).map_err(|error| about(terminal, error.into()))?;
        nix::unistd::dup2_stdin(&file)?;
        nix::unistd::dup2_stdout(&file)?;
        nix::unistd::dup2_stderr(&file)?;
    }
    Err(about(program, Command::new(program).args(arguments).exec()))
}
