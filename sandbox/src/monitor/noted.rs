//! What was noted, and for whom: for who started the monitor, or for processes behind the filter that
//! take the trace themselves.

use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::look::{Beside, Sight};
use crate::trace::Trace;

/// What was noted since it was taken.
///
/// Each process that takes the trace gets all that others look at from its first taking on, whoever
/// else takes it meanwhile. What it looks at itself is noted for nobody: it is there to answer, and to
/// judge what it answers with.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// For who started the monitor.
    outer: Trace,
    /// Whether it is for those behind the filter to take the trace.
    is_theirs: bool,
    takers: Vec<Taker>,
}

/// A process behind the filter that takes the trace.
#[derive(Debug)]
struct Taker {
    process: i32,
    /// Readable when it has ended and its number may be another's.
    ended: OwnedFd,
    trace: Trace,
}

impl Noted {
    /// Says whether those behind the filter are to take the trace, not who started the monitor.
    pub(super) fn is_theirs(&mut self, is_theirs: bool) {
        self.is_theirs = is_theirs;
    }

    /// Whether what the thread looks at is noted.
    pub(super) fn notes(&mut self, thread: i32) -> bool {
        self.takers.retain(|taker| !taker.has_ended());
        let is_taker = self.takers.iter().any(|taker| taker.has(thread));
        let is_wanted = !self.is_theirs || !self.takers.is_empty();
        is_wanted && !is_taker
    }

    /// Notes an access.
    pub(super) fn add(&mut self, sight: &Sight) {
        let Sight {
            path,
            kind,
            outcome,
            beside,
            makes,
        } = sight;
        self.for_all(|trace| {
            if *makes && outcome.is_none() {
                trace.makes(path);
            }
            trace.add(path, *kind, *outcome);
            match (beside, outcome) {
                (Some(Beside::ListedBy(program)), _) => trace.listed_by(path, program),
                (Some(Beside::Leads(target)), None) => trace.leads(path, target),
                (Some(Beside::Leads(_)), Some(_)) | (None, _) => {}
            }
        });
    }

    /// Notes that the trace is not the whole truth.
    pub(super) fn escape(&mut self, reason: &str) {
        self.for_all(|trace| trace.escape(reason.to_owned()));
    }

    fn for_all(&mut self, add: impl Fn(&mut Trace)) {
        if !self.is_theirs {
            add(&mut self.outer);
        }
        for taker in &mut self.takers {
            add(&mut taker.trace);
        }
    }

    /// What was noted for who started the monitor.
    pub(super) fn take(&mut self) -> Trace {
        std::mem::take(&mut self.outer)
    }

    /// What was noted for a process since it last asked; nothing if it has not asked before.
    ///
    /// `waits` says whether the process still waits for the answer, and so is the one with this number.
    ///
    /// # Errors
    /// The kernel's; `ESRCH` if it does not wait any more.
    pub(super) fn take_for(
        &mut self,
        process: i32,
        waits: impl FnOnce() -> bool,
    ) -> Result<Trace, Errno> {
        self.takers.retain(|taker| !taker.has_ended());
        if let Some(taker) = self
            .takers
            .iter_mut()
            .find(|taker| taker.process == process)
        {
            return Ok(std::mem::take(&mut taker.trace));
        }
        let ended = watch(process)?;
        if !waits() {
            return Err(Errno::ESRCH);
        }
        self.takers.push(Taker {
            process,
            ended,
            trace: Trace::default(),
        });
        Ok(Trace::default())
    }
}

impl Taker {
    /// Whether the thread is one of the process's.
    fn has(&self, thread: i32) -> bool {
        // SAFETY: signal 0 only asks, and all arguments are numbers.
        let asked = unsafe { libc::syscall(libc::SYS_tgkill, self.process, thread, 0) };
        // It is there also if it is not to be sent anything.
        matches!(Errno::result(asked), Ok(_) | Err(Errno::EPERM))
    }

    fn has_ended(&self) -> bool {
        let mut watched = [PollFd::new(self.ended.as_fd(), PollFlags::POLLIN)];
        !matches!(poll(&mut watched, PollTimeout::ZERO), Ok(0))
    }
}

/// A descriptor for a process (`pidfd_open(2)`), readable when it has ended.
fn watch(process: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: both arguments are numbers.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
