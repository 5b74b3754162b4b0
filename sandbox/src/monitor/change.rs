//! A change that a program wants to make, resolved, and how it is made in the program's place.
//!
//! Making it here works on descriptors, so what was decided on is what is changed, whatever other
//! processes do to paths and memory meanwhile.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat};
use nix::libc;
use nix::sys::stat::{Mode, SFlag, mkdirat, mknodat};
use nix::unistd::{Gid, LinkatFlags, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat};

use crate::resolve::{Entry, Found, Object};

/// The two times of a file; none for now.
pub(super) type TimePair = Option<[libc::timespec; 2]>;

/// A change, with what it is made to held open.
#[derive(Debug)]
pub(super) enum Change {
    /// Opening, for reading too where that has to be done here.
    Open {
        /// What is opened.
        found: Found,
        /// `O_` flags.
        flags: i32,
        /// The mode of what is made.
        mode: u32,
    },
    Mkdir(Entry, u32),
    Mknod(Entry, u32, u64),
    Symlink(CString, Entry),
    Remove {
        entry: Entry,
        directory: bool,
    },
    Link(Object, Entry),
    Rename {
        old: Entry,
        new: Entry,
        flags: u32,
    },
    Chmod(Object, u32),
    Chown(Object, u32, u32),
    Truncate(Object, i64),
    Utime(Object, TimePair),
    Setxattr {
        object: Object,
        name: CString,
        value: Vec<u8>,
        flags: i32,
    },
    Removexattr(Object, CString),
    /// The kernel's own flags of an inode, set by a request with this memory on a descriptor of the
    /// program's.
    SetFlags {
        object: Object,
        request: u64,
        memory: Vec<u8>,
    },
    /// A socket of the program's is given a path.
    Bind(OwnedFd, Entry),
    /// A socket of the program's is given another address.
    BindAddress(OwnedFd, Peer),
    /// A socket of the program's is connected.
    Connect(OwnedFd, Peer),
    /// Something is sent to an address.
    Send {
        socket: OwnedFd,
        data: Vec<u8>,
        flags: i32,
        to: Peer,
        /// Descriptors of the program's that are sent along.
        along: Vec<OwnedFd>,
    },
}

/// Whom a socket is to reach.
#[derive(Debug)]
pub(super) enum Peer {
    /// A socket with a path.
    Object(Object),
    /// A name that is no path, which all of a network can see.
    Abstract(Vec<u8>),
    /// Another address; none for whom the socket is connected to.
    Address(Vec<u8>),
}

impl Peer {
    fn path(&self) -> &Path {
        match self {
            Self::Object(object) => &object.path,
            Self::Abstract(_) | Self::Address(_) => Path::new("address"),
        }
    }

    /// The address as the kernel takes it. What it names must stay open meanwhile.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Abstract(bytes) | Self::Address(bytes) => bytes.clone(),
            Self::Object(object) => {
                let mut bytes = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
                bytes.extend_from_slice(object.handle().as_os_str().as_bytes());
                bytes.push(0);
                bytes
            }
        }
    }
}

/// What a change that was made here gives to the program.
#[derive(Debug)]
pub(super) enum Made {
    /// A number.
    Value(i64),
    /// An open file.
    Descriptor(OwnedFd),
}

impl Change {
    /// The paths that are changed.
    pub(super) fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Open { found, .. } => vec![match found {
                Found::Object(object) => &object.path,
                Found::Missing(entry) => &entry.path,
            }],
            Self::Mkdir(entry, _)
            | Self::Mknod(entry, ..)
            | Self::Symlink(_, entry)
            | Self::Remove { entry, .. }
            | Self::Link(_, entry)
            | Self::Bind(_, entry) => vec![&entry.path],
            Self::Rename { old, new, .. } => vec![&old.path, &new.path],
            Self::Chmod(object, _)
            | Self::Chown(object, ..)
            | Self::Truncate(object, _)
            | Self::Utime(object, _)
            | Self::Setxattr { object, .. }
            | Self::Removexattr(object, _)
            | Self::SetFlags { object, .. } => vec![&object.path],
            Self::BindAddress(_, peer) | Self::Connect(_, peer) | Self::Send { to: peer, .. } => {
                vec![peer.path()]
            }
        }
    }

    /// The paths whose rules the wall looks at: a name is made and taken away by whoever may change the
    /// directory that it is in.
    pub(super) fn walled_paths(&self) -> Vec<&Path> {
        let names = match self {
            Self::Open {
                found: Found::Object(_),
                ..
            } => false,
            Self::Open { .. }
            | Self::Mkdir(..)
            | Self::Mknod(..)
            | Self::Symlink(..)
            | Self::Remove { .. }
            | Self::Link(..)
            | Self::Rename { .. }
            | Self::Bind(..) => true,
            _ => false,
        };
        let all = self.paths().into_iter();
        match names {
            true => all.map(|path| path.parent().unwrap_or(path)).collect(),
            false => all.collect(),
        }
    }

    /// Whether a wall sees it.
    pub(super) fn is_seen_by_wall(&self) -> bool {
        match self {
            // Truncating is none of the wall's business, but where writing is.
            Self::Open { flags, .. } => {
                flags & libc::O_TRUNC == 0 || flags & libc::O_ACCMODE != libc::O_RDONLY
            }
            Self::Mkdir(..)
            | Self::Mknod(..)
            | Self::Symlink(..)
            | Self::Remove { .. }
            | Self::Link(..)
            | Self::Rename { .. }
            | Self::Bind(..)
            | Self::BindAddress(..) => true,
            Self::Chmod(..)
            | Self::Chown(..)
            | Self::Truncate(..)
            | Self::Utime(..)
            | Self::Setxattr { .. }
            | Self::Removexattr(..)
            | Self::SetFlags { .. }
            | Self::Connect(..)
            | Self::Send { .. } => false,
        }
    }

    /// Whether it makes something, whose mode the program's mask lessens.
    pub(super) fn makes(&self) -> bool {
        matches!(
            self,
            Self::Open {
                found: Found::Missing(_),
                ..
            } | Self::Mkdir(..)
                | Self::Mknod(..)
                | Self::Bind(..)
        ) || matches!(self, Self::Open { flags, .. } if flags & libc::O_TMPFILE == libc::O_TMPFILE)
    }

    /// Whether the name that is taken away or replaced is a device.
    pub(super) fn replaces_device(&self) -> bool {
        let is_device = |entry: &Entry| {
            let path = &entry.path;
            path.parent() == Some(Path::new("/dev")) && entry.exists()
        };
        match self {
            Self::Remove { entry, .. } => is_device(entry),
            Self::Rename { old, new, .. } => is_device(old) || is_device(new),
            _ => false,
        }
    }

    /// The name of its own that a program gives a socket, if it is no path.
    pub(super) fn abstract_name(&self) -> Option<&[u8]> {
        match self {
            Self::BindAddress(_, Peer::Abstract(name)) => Some(name),
            _ => None,
        }
    }

    /// The name that is no path of whom a program wants to reach.
    pub(super) fn abstract_peer(&self) -> Option<&[u8]> {
        match self {
            Self::Connect(_, Peer::Abstract(name))
            | Self::Send {
                to: Peer::Abstract(name),
                ..
            } => Some(name),
            _ => None,
        }
    }

    /// Whether making it may take as long as another process likes.
    pub(super) fn may_wait(&self) -> bool {
        match self {
            Self::Connect(..) | Self::Send { .. } => true,
            Self::Open {
                found: Found::Object(object),
                ..
            } => object.kind().is_ok_and(|kind| kind == SFlag::S_IFIFO),
            _ => false,
        }
    }

    /// Makes the change.
    ///
    /// # Errors
    /// What the kernel says, which is what it would tell the program.
    pub(super) fn make(self) -> Result<Made, Errno> {
        let no_mode = Mode::empty();
        match self {
            Self::Open { found, flags, mode } => return make_open(&found, flags, mode),
            Self::Mkdir(entry, mode) => {
                mkdirat(&entry.parent, entry.name.as_c_str(), permissions(mode))?;
            }
            Self::Mknod(entry, mode, device) => mknodat(
                &entry.parent,
                entry.name.as_c_str(),
                SFlag::from_bits_truncate(mode) & SFlag::S_IFMT,
                permissions(mode),
                device,
            )?,
            Self::Symlink(target, entry) => {
                symlinkat(target.as_c_str(), &entry.parent, entry.name.as_c_str())?;
            }
            Self::Remove { entry, directory } => {
                let flag = match directory {
                    true => UnlinkatFlags::RemoveDir,
                    false => UnlinkatFlags::NoRemoveDir,
                };
                unlinkat(&entry.parent, entry.name.as_c_str(), flag)?;
            }
            Self::Link(object, entry) => {
                // Links are made of names alone, but for those who may read everything.
                linkat(
                    AT_FDCWD,
                    &object.handle(),
                    &entry.parent,
                    entry.name.as_c_str(),
                    LinkatFlags::AT_SYMLINK_FOLLOW,
                )?;
            }
            Self::Rename { old, new, flags } => rename(&old, &new, flags)?,
            Self::Chmod(object, mode) => {
                if object.kind()? == SFlag::S_IFLNK {
                    return Err(Errno::EOPNOTSUPP);
                }
                let mode = permissions(mode);
                nix::sys::stat::fchmodat(
                    AT_FDCWD,
                    &object.handle(),
                    mode,
                    nix::sys::stat::FchmodatFlags::FollowSymlink,
                )?;
            }
            Self::Chown(object, uid, gid) => {
                let some = |id: u32| (id != u32::MAX).then_some(id);
                fchownat(
                    &object.fd,
                    "",
                    some(uid).map(Uid::from_raw),
                    some(gid).map(Gid::from_raw),
                    AtFlags::AT_EMPTY_PATH,
                )?;
            }
            Self::Truncate(object, length) => {
                // Opened rather than truncated by its name: that is what finds out that a program runs.
                let file = open(
                    &object.handle(),
                    OFlag::O_WRONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK,
                    no_mode,
                )?;
                nix::unistd::ftruncate(&file, length)?;
            }
            Self::Utime(object, times) => set_times(&object, times)?,
            Self::Setxattr {
                object,
                name,
                value,
                flags,
            } => set_attribute(&object, &name, &value, flags)?,
            Self::Removexattr(object, name) => remove_attribute(&object, &name)?,
            Self::SetFlags {
                object,
                request,
                mut memory,
            } => {
                // SAFETY: the memory is as long as the request's number says.
                Errno::result(unsafe {
                    libc::ioctl(object.fd.as_raw_fd(), request, memory.as_mut_ptr())
                })?;
            }
            Self::Bind(socket, entry) => {
                let name = [
                    b"/proc/self/fd/",
                    entry.parent.as_raw_fd().to_string().as_bytes(),
                    b"/",
                    entry.name.as_bytes(),
                ]
                .concat();
                let address = nix::sys::socket::UnixAddr::new(std::ffi::OsStr::from_bytes(&name))?;
                nix::sys::socket::bind(socket.as_raw_fd(), &address)?;
            }
            Self::BindAddress(socket, peer) => {
                let address = peer.bytes();
                // SAFETY: the address outlives the call.
                Errno::result(unsafe {
                    libc::bind(
                        socket.as_raw_fd(),
                        address.as_ptr().cast(),
                        address.len() as libc::socklen_t,
                    )
                })?;
            }
            Self::Connect(socket, peer) => {
                let address = peer.bytes();
                // SAFETY: the address outlives the call.
                Errno::result(unsafe {
                    libc::connect(
                        socket.as_raw_fd(),
                        address.as_ptr().cast(),
                        address.len() as libc::socklen_t,
                    )
                })?;
            }
            Self::Send {
                socket,
                data,
                flags,
                to,
                along,
            } => {
                let mut address = to.bytes();
                let mut control = rights(&along);
                let mut piece = libc::iovec {
                    iov_base: data.as_ptr().cast_mut().cast(),
                    iov_len: data.len(),
                };
                // SAFETY: all of it may be zero.
                let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
                if !address.is_empty() {
                    message.msg_name = address.as_mut_ptr().cast();
                    message.msg_namelen = address.len() as libc::socklen_t;
                }
                message.msg_iov = &raw mut piece;
                message.msg_iovlen = 1;
                if !control.is_empty() {
                    message.msg_control = control.as_mut_ptr().cast();
                    message.msg_controllen = size_of_val(control.as_slice()) as _;
                }
                // SAFETY: all that the message names outlives the call, which writes to nothing of it.
                let sent = Errno::result(unsafe {
                    libc::sendmsg(
                        socket.as_raw_fd(),
                        &raw const message,
                        flags | libc::MSG_NOSIGNAL,
                    )
                })?;
                return Ok(Made::Value(sent as i64));
            }
        }
        Ok(Made::Value(0))
    }
}

/// Descriptors as a message has them that they are sent along with.
fn rights(along: &[OwnedFd]) -> Vec<u64> {
    let size = size_of_val(along) as u32;
    if size == 0 {
        return Vec::new();
    }
    // SAFETY: both only count.
    let (length, space) = unsafe { (libc::CMSG_LEN(size), libc::CMSG_SPACE(size)) };
    let mut memory = vec![0_u64; (space as usize).div_ceil(size_of::<u64>())];
    let header = memory.as_mut_ptr().cast::<libc::cmsghdr>();
    // SAFETY: the memory is aligned for the header, and has room for it and for the numbers behind it.
    unsafe {
        (*header).cmsg_len = length as _;
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        let numbers = libc::CMSG_DATA(header).cast::<i32>();
        for (at, descriptor) in along.iter().enumerate() {
            numbers.add(at).write_unaligned(descriptor.as_raw_fd());
        }
    }
    memory
}

/// The bits of a mode that are no kind of file.
fn permissions(mode: u32) -> Mode {
    Mode::from_bits_truncate(mode & 0o7777)
}

/// Opens for the program.
fn make_open(found: &Found, flags: i32, mode: u32) -> Result<Made, Errno> {
    // Not the terminal of this process, and no descriptor that other programs inherit from it.
    let mut given = OFlag::from_bits_retain(flags) | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let fd = match found {
        Found::Missing(entry) => {
            let name = entry.name.as_c_str();
            given |= OFlag::O_NOFOLLOW;
            openat(&entry.parent, name, given, permissions(mode))?
        }
        Found::Object(object) => {
            if given.contains(OFlag::O_CREAT | OFlag::O_EXCL) {
                return Err(Errno::EEXIST);
            }
            if object.kind()? == SFlag::S_IFLNK && !given.contains(OFlag::O_PATH) {
                return Err(Errno::ELOOP);
            }
            if given.contains(OFlag::O_CREAT) && object.kind()? == SFlag::S_IFDIR {
                return Err(Errno::EISDIR);
            }
            // The handle is a link, which is to be followed.
            given &= !(OFlag::O_NOFOLLOW | OFlag::O_CREAT);
            open(&object.handle(), given, permissions(mode))?
        }
    };
    Ok(Made::Descriptor(fd))
}

fn rename(old: &Entry, new: &Entry, flags: u32) -> Result<(), Errno> {
    // SAFETY: the names outlive the call.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            old.parent.as_raw_fd(),
            old.name.as_ptr(),
            new.parent.as_raw_fd(),
            new.name.as_ptr(),
            flags,
        )
    })
    .map(drop)
}

fn set_times(object: &Object, times: TimePair) -> Result<(), Errno> {
    let times = times.as_ref().map_or(std::ptr::null(), |t| t.as_ptr());
    // SAFETY: the times outlive the call, and the name is empty.
    Errno::result(unsafe {
        libc::utimensat(
            object.fd.as_raw_fd(),
            c"".as_ptr(),
            times,
            libc::AT_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// The object's name here, for calls that take nothing else.
fn handle(object: &Object) -> Result<CString, Errno> {
    CString::new(object.handle().as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

fn set_attribute(object: &Object, name: &CStr, value: &[u8], flags: i32) -> Result<(), Errno> {
    let path = handle(object)?;
    // SAFETY: path, name and value outlive the call.
    Errno::result(unsafe {
        libc::setxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            flags,
        )
    })
    .map(drop)
}

fn remove_attribute(object: &Object, name: &CStr) -> Result<(), Errno> {
    let path = handle(object)?;
    // SAFETY: path and name outlive the call.
    Errno::result(unsafe { libc::removexattr(path.as_ptr(), name.as_ptr()) }).map(drop)
}

/// A descriptor of another process, as one of ours for the same open file.
///
/// # Errors
/// `EBADF` if there is none, `EPERM` if the process is closed to us.
pub(crate) fn descriptor_of(process: i32, number: i32) -> Result<OwnedFd, Errno> {
    let own = |result| {
        // SAFETY: the kernel has just made this descriptor for us.
        Errno::result(result).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) })
    };
    // SAFETY: the call takes numbers.
    let process = own(unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) })?;
    let process: BorrowedFd<'_> = process.as_fd();
    // SAFETY: as above.
    own(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) })
}
