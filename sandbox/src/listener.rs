//! The kernel's side of a filter: receiving the calls that it hands over and answering them
//! (`seccomp_unotify(2)`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc::{self, sock_filter};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`: whoever is woken runs on the processor that the other
/// leaves (since Linux 6.6).
const SYNC_WAKE_UP: u64 = 1;

/// Installs a filter in this thread, for good, and gives the descriptor by which the calls are
/// received. The thread must have no more privileges to gain.
///
/// # Errors
/// What the kernel says; `EBUSY` if an outer filter has a listener already.
pub(crate) fn install(program: &[sock_filter]) -> Result<OwnedFd, Errno> {
    let given = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        filter: program.as_ptr().cast_mut(),
    };
    let install = |flags: libc::c_ulong| {
        // SAFETY: the program outlives the call, and the kernel copies it.
        Errno::result(unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const given,
            )
        })
    };
    // A program whose timer strikes often would begin its call again and again otherwise.
    let patient = libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let listening = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    let fd = match install(listening | patient) {
        // Linux before 5.19 does not know the one.
        Err(Errno::EINVAL) => install(listening),
        result => result,
    }?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// The version of the kernel, its first two parts.
fn kernel() -> (u32, u32) {
    let release = nix::sys::utsname::uname().map(|name| name.release().to_owned());
    let release = release.unwrap_or_default();
    let text = release.to_string_lossy();
    let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let mut part = || parts.next().and_then(Result::ok).unwrap_or(0);
    (part(), part())
}

/// One call that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notice {
    /// What names it.
    pub(crate) id: u64,
    /// The thread that made it, as this process sees it; 0 if it cannot.
    pub(crate) thread: i32,
    /// `AUDIT_ARCH_*`.
    pub(crate) arch: u32,
    /// The call's number.
    pub(crate) number: u32,
    /// Its arguments.
    pub(crate) arguments: [u64; 6],
}

/// What came.
#[derive(Debug)]
pub(crate) enum Received {
    /// A call.
    Notice(Notice),
    /// All programs have ended.
    Ended,
}

/// The receiving end of a filter.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: OwnedFd,
    /// Whether waiting for a call ends with the last program, as it does since Linux 6.11.
    ends: bool,
}

impl Listener {
    /// Takes the descriptor that [`install`] gave.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        // Only faster, so its absence is no failure.
        // SAFETY: the request takes a number, no address.
        unsafe {
            libc::ioctl(
                fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SET_FLAGS,
                SYNC_WAKE_UP,
            )
        };
        Self {
            fd,
            ends: kernel() >= (6, 11),
        }
    }

    /// Waits for a call, or until all programs have ended.
    ///
    /// # Errors
    /// The kernel's, which nothing helps against.
    pub(crate) fn receive(&self) -> io::Result<Received> {
        // Asking first whether there is something costs a call each time.
        let mut ask = !self.ends;
        loop {
            if ask && !self.has_programs()? {
                return Ok(Received::Ended);
            }
            match self.take() {
                Ok(notice) => return Ok(Received::Notice(notice)),
                // The caller was killed meanwhile, or the last program has ended.
                Err(Errno::ENOENT | Errno::EINTR | Errno::EAGAIN) => ask = true,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until there is a call, which gives `true`, or there can be none any more.
    fn has_programs(&self) -> io::Result<bool> {
        loop {
            let mut watched = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut watched, PollTimeout::NONE) {
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    let [seen] = watched;
                    let seen = seen.revents().unwrap_or(PollFlags::POLLERR);
                    return Ok(seen.contains(PollFlags::POLLIN));
                }
            }
        }
    }

    fn take(&self) -> Result<Notice, Errno> {
        // SAFETY: all zeroes is a value of it, and what the kernel asks for.
        let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the structure is the one that this request fills.
        Errno::result(unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV,
                &raw mut raw,
            )
        })?;
        Ok(Notice {
            id: raw.id,
            thread: raw.pid.cast_signed(),
            arch: raw.data.arch,
            number: raw.data.nr.cast_unsigned(),
            arguments: raw.data.args,
        })
    }

    /// Whether the caller still waits: what was read of its thread meanwhile was its own.
    pub(crate) fn is_waiting(&self, notice: &Notice) -> bool {
        // SAFETY: the request reads a number at this address.
        let result = unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
                &raw const notice.id,
            )
        };
        result == 0
    }

    /// Answers a call, and gives whether it was still waiting.
    fn answer(&self, id: u64, val: i64, error: i32, flags: u32) -> bool {
        let response = libc::seccomp_notif_resp {
            id,
            val,
            error,
            flags,
        };
        // A caller that was killed meanwhile needs no answer.
        // SAFETY: the structure is the one that this request reads.
        let result = unsafe {
            libc::ioctl(
                self.fd.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND,
                &raw const response,
            )
        };
        result == 0
    }

    /// Lets the kernel make the call. Gives whether the caller was still waiting: what was read of its
    /// thread before was its own then.
    pub(crate) fn proceed(&self, notice: &Notice) -> bool {
        self.answer(
            notice.id,
            0,
            0,
            libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
        )
    }

    /// The call was made in the caller's place: it gave this.
    pub(crate) fn give(&self, notice: &Notice, value: i64) {
        self.answer(notice.id, value, 0, 0);
    }

    /// The call fails. Gives whether the caller was still waiting.
    pub(crate) fn fail(&self, notice: &Notice, error: Errno) -> bool {
        self.answer(notice.id, 0, -(error as i32), 0)
    }

    /// Hands a descriptor to the caller, as what its call gives.
    pub(crate) fn give_descriptor(&self, notice: &Notice, fd: BorrowedFd<'_>, close_on_exec: bool) {
        let mut given = libc::seccomp_notif_addfd {
            id: notice.id,
            flags: libc::SECCOMP_ADDFD_FLAG_SEND as u32,
            srcfd: fd.as_raw_fd().cast_unsigned(),
            newfd: 0,
            newfd_flags: if close_on_exec {
                libc::O_CLOEXEC as u32
            } else {
                0
            },
        };
        let mut add = || {
            // SAFETY: the structure is the one that this request reads.
            Errno::result(unsafe {
                libc::ioctl(
                    self.fd.as_raw_fd(),
                    libc::SECCOMP_IOCTL_NOTIF_ADDFD,
                    &raw mut given,
                )
            })
        };
        match add() {
            Ok(_) | Err(Errno::ENOENT) => {}
            // Too many are open in the caller.
            Err(error @ (Errno::EMFILE | Errno::ENFILE)) => {
                self.fail(notice, error);
            }
            // Linux before 5.14 cannot do both at once.
            Err(_) => {
                given.flags = 0;
                // SAFETY: as above.
                let number = Errno::result(unsafe {
                    libc::ioctl(
                        self.fd.as_raw_fd(),
                        libc::SECCOMP_IOCTL_NOTIF_ADDFD,
                        &raw mut given,
                    )
                });
                match number {
                    Ok(number) => self.give(notice, number.into()),
                    Err(error) => {
                        self.fail(notice, error);
                    }
                }
            }
        }
    }
}
