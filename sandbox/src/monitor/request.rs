//! One call that was handed over, taken apart.

mod socket;

use std::cell::OnceCell;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::libc;

use self::socket::Use;
use super::change::{Change, TimePair, descriptor_of};
use crate::caller::Caller;
use crate::calls::{Abi, Place, Row, Shape, Subject, Times};
use crate::filter;
use crate::listener::Notice;
use crate::resolve::{Entry, Found, Given, Object, follows};

/// The longest value of an extended attribute (linux/limits.h).
const XATTR_MAX: usize = 65536;

/// The longest name of one.
const XATTR_NAME_MAX: usize = 256;

/// The flags of an open that change something or may.
const CHANGING: i32 = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC;

/// A call and who made it.
#[derive(Debug)]
pub(super) struct Request {
    /// What the kernel said.
    pub(super) notice: Notice,
    /// Who waits.
    pub(super) caller: Caller,
    /// Which numbers it came by.
    pub(super) abi: Abi,
    /// What it is.
    pub(super) row: &'static Row,
    /// Whether paths mean to the caller what they mean to us.
    pub(super) same_root: bool,
    /// The text that was read first, and where.
    pub(super) first: OnceCell<(u64, CString)>,
}

/// What a call comes to.
#[derive(Debug)]
pub(super) enum Wish {
    /// A change.
    Change(Change),
    /// Reading: what is opened or run, and with which flags.
    Read {
        found: Found,
        flags: i32,
        /// Whether it is to be opened; else it is run.
        opens: bool,
    },
    /// Nothing that anybody need decide on.
    Free,
}

/// The memory of `openat2`'s third argument (linux/openat2.h).
struct How {
    flags: u64,
    mode: u64,
    resolve: u64,
}

impl Request {
    /// An argument, as wide as programs of this kind have it.
    pub(super) fn argument(&self, number: usize) -> u64 {
        let value = self.notice.arguments.get(number).copied().unwrap_or(0);
        match self.abi {
            Abi::Native => value,
            Abi::I386 => value & 0xffff_ffff,
        }
    }

    /// An argument that is an `int`.
    pub(super) fn int(&self, number: usize) -> i32 {
        self.argument(number) as i32
    }

    fn flags(&self, number: Option<usize>) -> i32 {
        number.map_or(0, |number| self.int(number))
    }

    /// The size of an address or a `long`.
    fn word(&self) -> usize {
        match self.abi {
            Abi::Native => 8,
            Abi::I386 => 4,
        }
    }

    /// The text of a place's path.
    ///
    /// It is read once: a second look could find another.
    pub(super) fn text(&self, place: Place) -> Result<CString, Errno> {
        let at = self.argument(place.path);
        if let Some((known, text)) = self.first.get()
            && *known == at
        {
            return Ok(text.clone());
        }
        let text = self.caller.path(at)?;
        let _ = self.first.set((at, text.clone()));
        Ok(text)
    }

    /// Whether all numbers of users and groups that the call names are root's, or none.
    pub(super) fn stays_root(&self) -> bool {
        let count = match self.row.name {
            name if name.starts_with("setres") => 3,
            name if name.starts_with("setre") => 2,
            _ => 1,
        };
        // 16 bits are all that the older calls of 32-bit machines look at.
        let none = |number: u32| number == u32::MAX || number == 0xffff;
        (0..count).all(|at| matches!(self.argument(at) as u32, 0) || none(self.argument(at) as u32))
    }

    /// The descriptor that a place starts from.
    pub(super) fn dir(&self, place: Place) -> i32 {
        place.dir.map_or(libc::AT_FDCWD, |dir| self.int(dir))
    }

    pub(super) fn given<'a>(&self, place: Place, path: &'a CString) -> Given<'a> {
        Given {
            caller: self.caller,
            dir: self.dir(place),
            path,
            resolve: ResolveFlag::empty(),
            same_root: self.same_root,
        }
    }

    /// The entry that a place names; one that names none is what the kernel calls `wrong`.
    fn entry(&self, place: Place, wrong: Errno) -> Result<Entry, Errno> {
        let path = self.text(place)?;
        self.given(place, &path).entry()?.map_err(|_| wrong)
    }

    /// The entry that is to be removed.
    fn doomed(&self, place: Place, directory: bool) -> Result<Change, Errno> {
        let path = self.text(place)?;
        let end = path.as_bytes().iter().rposition(|&byte| byte != b'/');
        let kept = path
            .as_bytes()
            .get(..end.map_or(0, |at| at + 1))
            .unwrap_or_default();
        let wrong = match kept.rsplit(|&byte| byte == b'/').next() {
            _ if !directory => Errno::EISDIR,
            Some(b".") => Errno::EINVAL,
            Some(b"..") => Errno::ENOTEMPTY,
            _ => Errno::EBUSY,
        };
        Ok(Change::Remove {
            entry: self.entry(place, wrong)?,
            directory,
        })
    }

    /// What a call for attributes is about.
    pub(super) fn subject(&self, subject: Subject) -> Result<Object, Errno> {
        match subject {
            Subject::Descriptor(number) => Given::descriptor(self.caller, self.int(number)),
            Subject::Path {
                place,
                flags,
                follow,
            } => {
                let flags = self.flags(flags);
                let times = matches!(self.row.shape, Shape::Utime { .. });
                let none = times || flags & libc::AT_EMPTY_PATH != 0;
                if self.argument(place.path) == 0 && none && self.dir(place) != libc::AT_FDCWD {
                    // The descriptor itself, as futimens(3) says it.
                    return Given::descriptor(self.caller, self.dir(place));
                }
                let path = self.text(place)?;
                if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
                    return Given::descriptor(self.caller, self.dir(place));
                }
                let follow = follow && flags & libc::AT_SYMLINK_NOFOLLOW == 0;
                self.given(place, &path).object(follow)
            }
        }
    }

    /// What the call comes to.
    ///
    /// # Errors
    /// What the kernel would tell the program.
    pub(super) fn wish(&self) -> Result<Wish, Errno> {
        let change = match self.row.shape {
            Shape::Open { place, flags, mode } => {
                let path = self.text(place)?;
                let mode = self.argument(mode) as u32;
                return open(self.given(place, &path), self.int(flags), mode);
            }
            Shape::Openat2 => return self.open_how(),
            Shape::Creat => {
                let place = Place { dir: None, path: 0 };
                let path = self.text(place)?;
                let flags = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
                let mode = self.argument(1) as u32;
                return open(self.given(place, &path), flags, mode);
            }
            Shape::Execute { place, flags } => {
                let path = self.text(place)?;
                let flags = self.flags(flags);
                let given = self.given(place, &path);
                let object = if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
                    Given::descriptor(self.caller, self.dir(place))?
                } else {
                    given.object(flags & libc::AT_SYMLINK_NOFOLLOW == 0)?
                };
                return Ok(Wish::Read {
                    found: Found::Object(object),
                    flags: 0,
                    opens: false,
                });
            }
            Shape::Mkdir { place, mode } => Change::Mkdir(
                self.entry(place, Errno::EEXIST)?,
                self.argument(mode) as u32,
            ),
            Shape::Mknod { place, mode } => Change::Mknod(
                self.entry(place, Errno::EEXIST)?,
                self.argument(mode) as u32,
                self.argument(mode + 1),
            ),
            Shape::Symlink { place } => Change::Symlink(
                self.caller.path(self.argument(0))?,
                self.entry(place, Errno::EEXIST)?,
            ),
            Shape::Unlink { place, flags } => {
                self.doomed(place, self.flags(flags) & libc::AT_REMOVEDIR != 0)?
            }
            Shape::Rmdir => self.doomed(Place { dir: None, path: 0 }, true)?,
            Shape::Link { old, new, flags } => {
                let flags = self.flags(flags);
                let path = self.text(old)?;
                let source = if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
                    Given::descriptor(self.caller, self.dir(old))?
                } else {
                    self.given(old, &path)
                        .object(flags & libc::AT_SYMLINK_FOLLOW != 0)?
                };
                Change::Link(source, self.entry(new, Errno::EEXIST)?)
            }
            Shape::Rename { old, new, flags } => Change::Rename {
                old: self.entry(old, Errno::EBUSY)?,
                new: self.entry(new, Errno::EBUSY)?,
                flags: self.flags(flags) as u32,
            },
            Shape::Chmod { subject, mode } => {
                Change::Chmod(self.subject(subject)?, self.argument(mode) as u32)
            }
            Shape::Chown {
                subject,
                owner,
                short,
            } => {
                let id = |number| match (short, self.argument(number) as u32) {
                    (true, id) if id & 0xffff == 0xffff => u32::MAX,
                    (true, id) => id & 0xffff,
                    (false, id) => id,
                };
                Change::Chown(self.subject(subject)?, id(owner), id(owner + 1))
            }
            Shape::Truncate { split } => {
                let path = self.text(Place { dir: None, path: 0 })?;
                let length = match split {
                    true => (self.argument(1) | self.argument(2) << 32).cast_signed(),
                    false if self.abi == Abi::I386 => self.int(1).into(),
                    false => self.argument(1).cast_signed(),
                };
                let given = self.given(Place { dir: None, path: 0 }, &path);
                Change::Truncate(given.object(true)?, length)
            }
            Shape::Utime {
                subject,
                times,
                kind,
                wide,
            } => {
                let times = self.times(self.argument(times), kind, wide)?;
                Change::Utime(self.subject(subject)?, times)
            }
            Shape::Setxattr { subject, name } => {
                let size = usize::try_from(self.argument(name + 2)).unwrap_or(usize::MAX);
                if size > XATTR_MAX {
                    return Err(Errno::E2BIG);
                }
                let mut value = vec![0; size];
                self.caller.read(self.argument(name + 1), &mut value)?;
                Change::Setxattr {
                    object: self.subject(subject)?,
                    name: self.attribute(name)?,
                    value,
                    flags: self.int(name + 3),
                }
            }
            Shape::Removexattr { subject, name } => {
                Change::Removexattr(self.subject(subject)?, self.attribute(name)?)
            }
            Shape::SetFlags if filter::TYPING.contains(&(self.argument(1) as u32)) => {
                return Err(Errno::EPERM);
            }
            Shape::SetFlags => {
                // The size of the memory is part of the request's number (asm-generic/ioctl.h); the
                // kernel reads an int all the same where it says long.
                let request = match self.argument(1) {
                    // The 32-bit name of the first of them.
                    0x4004_6602 => 0x4008_6602,
                    request => request,
                };
                let size = usize::try_from(request >> 16 & 0x3fff).unwrap_or(0);
                let mut memory = vec![0; size.max(8)];
                let read = if size > 8 { size } else { 4 };
                let part = memory.get_mut(..read).ok_or(Errno::EINVAL)?;
                self.caller.read(self.argument(2), part)?;
                Change::SetFlags {
                    object: Object::new(self.own_descriptor(self.int(0))?)?,
                    request,
                    memory,
                }
            }
            Shape::Bind => {
                return self.socket(
                    [self.argument(0), self.argument(1), self.argument(2)],
                    Use::Bind,
                );
            }
            Shape::Connect => {
                return self.socket(
                    [self.argument(0), self.argument(1), self.argument(2)],
                    Use::Connect,
                );
            }
            Shape::Sendto => return self.sendto(self.notice.arguments),
            Shape::Sendmsg => {
                return self.sendmsg(self.argument(0), self.argument(1), self.int(2));
            }
            Shape::Sendmmsg => return self.sendmmsg(),
            Shape::Socketcall => return self.socketcall(),
            Shape::Refused
            | Shape::Missing
            | Shape::Root
            | Shape::Identity
            | Shape::Prctl
            | Shape::Look { .. }
            | Shape::List => return Ok(Wish::Free),
        };
        Ok(Wish::Change(change))
    }

    /// The name of an attribute.
    fn attribute(&self, number: usize) -> Result<CString, Errno> {
        self.caller
            .text(self.argument(number), XATTR_NAME_MAX)
            .map_err(|error| match error {
                Errno::ENAMETOOLONG => Errno::ERANGE,
                other => other,
            })
    }

    fn open_how(&self) -> Result<Wish, Errno> {
        let place = Place {
            dir: Some(0),
            path: 1,
        };
        let size = self.argument(3);
        if size < 24 {
            return Err(Errno::EINVAL);
        }
        let at = self.argument(2);
        let how = How {
            flags: self.caller.number(at, 8)?,
            mode: self.caller.number(at.wrapping_add(8), 8)?,
            resolve: self.caller.number(at.wrapping_add(16), 8)?,
        };
        let path = self.text(place)?;
        let mut given = self.given(place, &path);
        // A flag that we do not know may change what the path means.
        given.resolve = ResolveFlag::from_bits(how.resolve).ok_or(Errno::EINVAL)?;
        let flags = i32::try_from(how.flags).map_err(|_| Errno::EINVAL)?;
        open(given, flags, how.mode as u32)
    }

    /// The times at an address.
    fn times(&self, at: u64, kind: Times, wide: bool) -> Result<TimePair, Errno> {
        if at == 0 {
            return Ok(None);
        }
        let size = if wide { 8 } else { self.word() };
        let number = |index: u64| -> Result<i64, Errno> {
            let value = self
                .caller
                .number(at.wrapping_add(index * size as u64), size)?;
            Ok(match size {
                4 => (value as i32).into(),
                _ => value.cast_signed(),
            })
        };
        let spec = |seconds, nanoseconds| libc::timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds,
        };
        Ok(Some(match kind {
            Times::Seconds => [spec(number(0)?, 0), spec(number(1)?, 0)],
            Times::Nano => [spec(number(0)?, number(1)?), spec(number(2)?, number(3)?)],
            Times::Micro => {
                let micro = |index| -> Result<i64, Errno> {
                    match number(index)? {
                        value @ 0..1_000_000 => Ok(value * 1000),
                        _ => Err(Errno::EINVAL),
                    }
                };
                [spec(number(0)?, micro(1)?), spec(number(2)?, micro(3)?)]
            }
        }))
    }

    /// A descriptor of the program's, as one of ours for the same open file.
    fn own_descriptor(&self, number: i32) -> Result<OwnedFd, Errno> {
        let process = self.caller.process(false).ok_or(Errno::ESRCH)?;
        descriptor_of(process, number)
    }

    /// The path as the program gave it, for telling people when it leads to nothing that has a name.
    pub(super) fn raw_path(&self) -> PathBuf {
        let place = match self.row.name {
            "mount" => 1,
            "umount" | "umount2" | "pivot_root" | "swapon" | "swapoff" | "acct" => 0,
            _ => return PathBuf::from("(no path)"),
        };
        self.caller
            .path(self.argument(place))
            .map(|text| PathBuf::from(std::ffi::OsString::from_vec(text.into_bytes())))
            .unwrap_or_default()
    }
}

/// What an open comes to.
fn open(given: Given<'_>, flags: i32, mode: u32) -> Result<Wish, Errno> {
    // Only names it, whatever the other flags say.
    let only_held = flags & libc::O_PATH != 0;
    let unnamed = flags & libc::O_TMPFILE == libc::O_TMPFILE;
    if only_held || (flags & CHANGING == 0 && !unnamed) {
        return Ok(Wish::Read {
            found: Found::Object(given.object(flags & libc::O_NOFOLLOW == 0)?),
            flags,
            opens: true,
        });
    }
    if flags & libc::O_CREAT != 0 && given.path.to_bytes().ends_with(b"/") && !unnamed {
        return Err(Errno::EISDIR);
    }
    let found = if flags & libc::O_CREAT != 0 && !unnamed {
        given.found(follows(flags))?
    } else {
        Found::Object(given.object(follows(flags))?)
    };
    if let Found::Object(_) = &found
        && !unnamed
        && flags & (libc::O_ACCMODE | libc::O_TRUNC | libc::O_EXCL) == libc::O_RDONLY
    {
        // What would be made is there already, so that it is only looked at, as flock(1) does.
        return Ok(Wish::Read {
            found,
            flags: flags & !libc::O_CREAT,
            opens: true,
        });
    }
    // Directories are not written to: the kernel says so.
    if let Found::Object(object) = &found
        && !unnamed
        && flags & libc::O_ACCMODE != libc::O_RDONLY
        && object.kind()? == nix::sys::stat::SFlag::S_IFDIR
    {
        return Err(if flags & libc::O_CREAT != 0 && flags & libc::O_EXCL != 0 {
            Errno::EEXIST
        } else {
            Errno::EISDIR
        });
    }
    debug_assert!(OFlag::from_bits_retain(flags).bits() == flags);
    Ok(Wish::Change(Change::Open { found, flags, mode }))
}
