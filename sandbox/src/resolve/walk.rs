//! Resolving a path a component at a time, as its caller would see it.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::{Entry, Found, HELD, Object, kind_of};
use crate::caller::Caller;

/// How many links a path may lead over, as in the kernel.
const LINKS: usize = 40;

/// The names in a path.
fn components(path: &[u8]) -> VecDeque<OsString> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .map(|name| OsString::from_vec(name.to_vec()))
        .collect()
}

/// What is to be done about the last component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// It must exist.
    Resolve { follow: bool },
    /// It is an entry, whatever it is.
    Entry,
    /// It is made if it is missing, where a link leads.
    Make,
}

/// A resolution on its way.
pub(super) struct Walk {
    caller: Caller,
    root: OwnedFd,
    here: OwnedFd,
    left: VecDeque<OsString>,
    links: usize,
}

impl Walk {
    /// A way along `path`, as the caller has it, from `start`.
    pub(super) fn new(caller: Caller, root: OwnedFd, start: OwnedFd, path: &[u8]) -> Self {
        Self {
            caller,
            root,
            here: start,
            left: components(path),
            links: 0,
        }
    }

    /// Goes to its end. `slashes` tells whether the path ends with some.
    ///
    /// # Errors
    /// What the kernel would tell the caller.
    pub(super) fn run(&mut self, last: Last, slashes: bool) -> Result<Found, Errno> {
        while let Some(name) = self.left.pop_front() {
            let is_last = self.left.is_empty();
            if name == ".." {
                if !self.is_at_root()? {
                    self.here = self.open("..", OFlag::O_DIRECTORY)?;
                }
                continue;
            }
            if is_last && last == Last::Entry {
                let parent = self.here.try_clone().map_err(|_| Errno::EMFILE)?;
                return Entry::new(parent, name.as_bytes(), slashes).map(Found::Missing);
            }
            let next = match self.open(&name, OFlag::O_NOFOLLOW) {
                Ok(next) => next,
                Err(Errno::ENOENT) if is_last && last == Last::Make => {
                    let parent = self.here.try_clone().map_err(|_| Errno::EMFILE)?;
                    return Entry::new(parent, name.as_bytes(), slashes).map(Found::Missing);
                }
                Err(error) => return Err(error),
            };
            let kind = kind_of(&next)?;
            let kept = is_last && last == Last::Resolve { follow: false } && !slashes;
            if kind != SFlag::S_IFLNK || kept {
                self.here = next;
                continue;
            }
            self.links += 1;
            if self.links > LINKS {
                return Err(Errno::ELOOP);
            }
            self.follow(&name, &next)?;
        }
        if slashes && kind_of(&self.here)? != SFlag::S_IFDIR {
            return Err(Errno::ENOTDIR);
        }
        let here = self.here.try_clone().map_err(|_| Errno::EMFILE)?;
        Object::new(here).map(Found::Object)
    }

    fn open<P: AsRef<OsStr>>(&self, name: P, flags: OFlag) -> Result<OwnedFd, Errno> {
        openat(&self.here, name.as_ref(), HELD | flags, Mode::empty())
    }

    fn is_at_root(&self) -> Result<bool, Errno> {
        let (here, root) = (fstat(&self.here)?, fstat(&self.root)?);
        Ok((here.st_dev, here.st_ino) == (root.st_dev, root.st_ino))
    }

    /// Goes where the link `link`, which is called `name` here, leads.
    fn follow(&mut self, name: &OsStr, link: &OwnedFd) -> Result<(), Errno> {
        let target = match self.below_proc(name, link)? {
            Linked::There(there) => {
                self.here = there;
                return Ok(());
            }
            Linked::Text(text) => text,
        };
        if target.as_bytes().first() == Some(&b'/') {
            self.here = self.root.try_clone().map_err(|_| Errno::EMFILE)?;
        }
        for name in components(target.as_bytes()).into_iter().rev() {
            self.left.push_front(name);
        }
        Ok(())
    }

    /// What a link says, with regard to those of `/proc`, which mean the one who asks.
    fn below_proc(&self, name: &OsStr, link: &OwnedFd) -> Result<Linked, Errno> {
        let text = || readlinkat(link.as_fd(), "").map(Linked::Text);
        if fstatfs(link)?.filesystem_type() != PROC_SUPER_MAGIC {
            return text();
        }
        // The directory of the mount itself has the number 1.
        let here = fstat(&self.here)?;
        if here.st_ino == 1 && (name == "self" || name == "thread-self") {
            let ours = Path::new("/proc");
            let inner = nix::sys::stat::stat(ours)?.st_dev != here.st_dev;
            let process = self.caller.process(inner).ok_or(Errno::ESRCH)?;
            let mut target = process.to_string();
            if name == "thread-self" {
                let thread = match inner {
                    true => self.caller.inner_thread().ok_or(Errno::ESRCH)?,
                    false => self.caller.thread,
                };
                target.push_str(&format!("/task/{thread}"));
            }
            return Ok(Linked::Text(target.into()));
        }
        let how = OpenHow::new()
            .flags(HELD)
            .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
        match openat2(&self.here, name, how) {
            Err(Errno::ELOOP) => self.open(name, OFlag::empty()).map(Linked::There),
            _ => text(),
        }
    }
}

/// Where a link leads.
enum Linked {
    /// To what its text says.
    Text(OsString),
    /// Straight to something, whatever the text.
    There(OwnedFd),
}
