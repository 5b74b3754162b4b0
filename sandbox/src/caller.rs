//! The thread that made a call: its memory, its directories, whose rights it has.
//!
//! Everything read here may be somebody else's if the thread was killed meanwhile and its number
//! given away: the monitor asks the kernel whether the call still waits before it trusts it.

use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, readlink};
use nix::libc;
use nix::sys::stat::Mode;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use crate::identity::Identity;
use crate::resolve::Object;

/// The longest path, with its end (linux/limits.h).
const PATH_MAX: usize = 4096;

/// Where a page may end, beyond which nothing may be readable.
const PAGE: u64 = 4096;

/// What most paths fit into.
const SHORT: usize = 256;

/// A thread whose call waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// Its number here.
    pub(crate) thread: i32,
}

impl Caller {
    /// As many bytes as there are from an address on, up to the buffer's length.
    fn read_some(self, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let remote = [RemoteIoVec {
            base: usize::try_from(address).map_err(|_| Errno::EFAULT)?,
            len: buffer.len(),
        }];
        process_vm_readv(
            Pid::from_raw(self.thread),
            &mut [IoSliceMut::new(buffer)],
            &remote,
        )
    }

    /// Exactly the bytes that fit into the buffer.
    ///
    /// # Errors
    /// `EFAULT` if they are not all there, `EPERM` if the thread's memory is closed to us.
    pub(crate) fn read(self, address: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_some(address.wrapping_add(done as u64), rest)? {
                0 => return Err(Errno::EFAULT),
                read => done += read,
            }
        }
        Ok(())
    }

    /// A number of 4 or 8 bytes.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn number(self, address: u64, size: usize) -> Result<u64, Errno> {
        let mut bytes = [0; 8];
        let part = bytes.get_mut(..size).ok_or(Errno::EINVAL)?;
        self.read(address, part)?;
        Ok(match size {
            4 => u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into(),
            _ => u64::from_ne_bytes(bytes),
        })
    }

    /// The text that ends with a NUL.
    ///
    /// # Errors
    /// `ENAMETOOLONG` if it has `limit` bytes without an end; else as [`read`](Self::read).
    pub(crate) fn text(self, address: u64, limit: usize) -> Result<CString, Errno> {
        let mut found = Vec::new();
        let mut buffer = [0_u8; SHORT];
        while found.len() < limit {
            let at = address.wrapping_add(found.len() as u64);
            // Not across a page's end, behind which nothing need be.
            let page = (PAGE - at % PAGE) as usize;
            let length = SHORT.min(page).min(limit - found.len());
            let part = buffer.get_mut(..length).ok_or(Errno::EINVAL)?;
            let read = self.read_some(at, part)?;
            let part = part.get(..read).unwrap_or_default();
            let end = CStr::from_bytes_until_nul(part);
            if let Ok(end) = end {
                found.extend_from_slice(end.to_bytes());
                return CString::new(found).map_err(|_| Errno::EINVAL);
            }
            if read == 0 {
                return Err(Errno::EFAULT);
            }
            found.extend_from_slice(part);
        }
        Err(Errno::ENAMETOOLONG)
    }

    /// A path.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub(crate) fn path(self, address: u64) -> Result<CString, Errno> {
        self.text(address, PATH_MAX)
    }

    /// The file of this thread below `/proc`.
    pub(crate) fn proc(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.thread))
    }

    /// The directory that relative paths start from: the working directory, or what a descriptor
    /// is open for.
    ///
    /// # Errors
    /// `EBADF` if there is no such descriptor.
    pub(crate) fn start(self, dir: i32) -> Result<OwnedFd, Errno> {
        open(
            &self.start_name(dir),
            OFlag::O_PATH | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| match error {
            Errno::ENOENT if dir != libc::AT_FDCWD => Errno::EBADF,
            other => other,
        })
    }

    /// The name of that directory below `/proc`, which the kernel follows.
    pub(crate) fn start_name(self, dir: i32) -> PathBuf {
        match dir {
            libc::AT_FDCWD => self.proc("cwd"),
            descriptor => self.proc(&format!("fd/{descriptor}")),
        }
    }

    /// What the thread finds at `/`.
    ///
    /// # Errors
    /// It is gone or closed to us.
    pub(crate) fn root(self) -> Result<OwnedFd, Errno> {
        open(
            &self.proc("root"),
            OFlag::O_PATH | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
    }

    /// Its process's number, as `/proc` has it here or, if `inner`, as the process knows it.
    pub(crate) fn process(self, inner: bool) -> Option<i32> {
        let name = if inner { "NSpid:" } else { "Tgid:" };
        let status = Status::of(self)?;
        let mut number: i32 = status
            .field(name)?
            .split_ascii_whitespace()
            .last()?
            .parse()
            .ok()?;
        if inner && status.number("Tgid:") != status.number("Pid:") {
            // The field is the thread's; its process has one of its own.
            let process = Self {
                thread: status.number("Tgid:")?,
            };
            number = process.process(true)?;
        }
        Some(number)
    }

    /// Its process's directory of the `/proc` that `object` is in, by the name that the object's
    /// path has it.
    pub(crate) fn own_directory(self, object: &Object) -> Option<PathBuf> {
        let ours = nix::sys::stat::stat("/proc").ok()?.st_dev;
        let inner = object.stat().ok()?.st_dev != ours;
        Some(PathBuf::from(format!("/proc/{}", self.process(inner)?)))
    }

    /// The number that it has in its own namespace.
    pub(crate) fn inner_thread(self) -> Option<i32> {
        let status = Status::of(self)?;
        status
            .field("NSpid:")?
            .split_ascii_whitespace()
            .last()?
            .parse()
            .ok()
    }

    /// Whose rights it has when it uses files, and the mask of what it makes.
    pub(crate) fn identity(self) -> Option<(Identity, libc::mode_t)> {
        let status = Status::of(self)?;
        let last = |name| {
            status
                .field(name)?
                .split_ascii_whitespace()
                .nth(3)?
                .parse()
                .ok()
        };
        let identity = Identity {
            uid: last("Uid:")?,
            gid: last("Gid:")?,
            groups: status
                .field("Groups:")?
                .split_ascii_whitespace()
                .filter_map(|group| group.parse().ok())
                .collect(),
        };
        let umask = libc::mode_t::from_str_radix(status.field("Umask:")?.trim(), 8).ok()?;
        Some((identity, umask))
    }

    /// Whether it could change the machine itself if nobody watched: it may administrate, and not
    /// only in a user namespace of its own.
    pub(crate) fn is_mighty(self) -> bool {
        const ADMINISTRATE: u64 = 1 << 21;
        let space = |pid: &str| readlink(&PathBuf::from(format!("/proc/{pid}/ns/user"))).ok();
        let effective = Status::of(self)
            .and_then(|status| u64::from_str_radix(status.field("CapEff:")?.trim(), 16).ok());
        effective.is_some_and(|all| all & ADMINISTRATE != 0)
            && space("self") == space(&self.thread.to_string())
    }

    /// Whether its network is another than this process's.
    pub(crate) fn has_own_network(self) -> bool {
        let space = |pid: &str| readlink(&PathBuf::from(format!("/proc/{pid}/ns/net"))).ok();
        let own = space(&self.thread.to_string());
        own.is_some() && own != space("thread-self")
    }

    /// Whether its session has a terminal.
    pub(crate) fn has_terminal(self) -> bool {
        let stat = std::fs::read(self.proc("stat")).unwrap_or_default();
        // The program's name, between parentheses, may hold any byte; the number of the terminal is
        // the fifth field behind it.
        let end = stat.iter().rposition(|&byte| byte == b')').unwrap_or(0);
        let rest = String::from_utf8_lossy(stat.get(end..).unwrap_or_default()).into_owned();
        let number = rest.split_ascii_whitespace().nth(5);
        number.is_some_and(|number| number != "0")
    }

    /// The variables that the program was started with, each `NAME=VALUE`.
    pub(crate) fn variables(self) -> Vec<u8> {
        std::fs::read(self.proc("environ")).unwrap_or_default()
    }

    /// The program that it runs.
    pub(crate) fn program(self) -> PathBuf {
        readlink(&self.proc("exe")).map_or_else(|_| PathBuf::new(), PathBuf::from)
    }

    /// The words that the program was started with, as far as `limit` bytes hold them.
    pub(crate) fn command(self, limit: u64) -> Vec<OsString> {
        let mut bytes = Vec::new();
        if let Ok(file) = File::open(self.proc("cmdline")) {
            let _ = file.take(limit).read_to_end(&mut bytes);
        }
        if bytes.last() == Some(&0) {
            bytes.pop();
        }
        bytes
            .split(|&byte| byte == 0)
            .map(|word| OsString::from_vec(word.to_vec()))
            .collect()
    }
}

/// The text of `/proc/PID/status` (`proc_pid_status(5)`).
struct Status(String);

impl Status {
    fn of(caller: Caller) -> Option<Self> {
        let bytes = std::fs::read(caller.proc("status")).ok()?;
        Some(Self(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// What stands behind a name.
    fn field(&self, name: &str) -> Option<&str> {
        // The program's own name comes first and may hold anything but an unescaped end of a line.
        self.0.lines().find_map(|line| line.strip_prefix(name))
    }

    fn number(&self, name: &str) -> Option<i32> {
        self.field(name)?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> Caller {
        Caller {
            thread: nix::unistd::gettid().as_raw(),
        }
    }

    #[test]
    fn memory_is_read_up_to_its_end() {
        let text = CString::new(vec![b'x'; 5000]).unwrap();
        let address = text.as_ptr() as u64;
        assert_eq!(me().text(address, 6000).unwrap(), text);
        assert_eq!(me().path(address), Err(Errno::ENAMETOOLONG));
        assert_eq!(me().path(address + 4990).unwrap().as_bytes().len(), 10);
        assert_eq!(me().path(8), Err(Errno::EFAULT));
        assert_eq!(me().path(u64::MAX - 3), Err(Errno::EFAULT));
        let number = 0x1122_3344_5566_7788_u64;
        let address = (&raw const number) as u64;
        assert_eq!(me().number(address, 8), Ok(number));
        assert_eq!(me().number(address, 4), Ok(0x5566_7788));
    }

    #[test]
    fn a_thread_is_known() {
        assert_eq!(me().process(false), Some(std::process::id().cast_signed()));
        assert_eq!(me().program(), std::env::current_exe().unwrap());
        assert!(!me().command(10_000).is_empty());
        let (identity, umask) = me().identity().unwrap();
        assert_eq!(identity.uid, nix::unistd::geteuid().as_raw());
        assert!(umask <= 0o777);
        let other = std::thread::spawn(|| (me().process(true), me().inner_thread()));
        let (process, thread) = other.join().unwrap();
        assert_eq!(process, me().process(true));
        assert_ne!(thread, process);
        assert_eq!(me().start(9999).unwrap_err(), Errno::EBADF);
    }
}
