//! Calls on sockets, taken apart: addresses, messages, and the descriptors that go along.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;

use super::super::change::{Change, Peer};
use super::{Request, Wish};
use crate::calls::Place;

/// The most that is sent in a program's place; what is longer fails as if the socket took no more.
const SEND_MAX: u64 = 1 << 20;

/// The most that stands beside a message, as the kernel has it by default (`net.core.optmem_max`).
const CONTROL_MAX: u64 = 1 << 17;

/// How many descriptors one message has at most (`SCM_MAX_FD`).
const DESCRIPTORS_MAX: usize = 253;

impl Request {
    /// The address of a socket.
    fn address(&self, at: u64, length: u64) -> Result<Address, Errno> {
        let length = usize::try_from(length).map_err(|_| Errno::EINVAL)?;
        if at == 0 || length == 0 {
            return Ok(Address::None);
        }
        // sizeof(struct sockaddr_storage)
        if length > 128 {
            return Err(Errno::EINVAL);
        }
        let mut bytes = vec![0; length];
        self.caller.read(at, &mut bytes)?;
        let family = match bytes.first_chunk() {
            Some(family) => i32::from(u16::from_ne_bytes(*family)),
            None => return Err(Errno::EINVAL),
        };
        let path = bytes.get(2..).unwrap_or_default();
        Ok(match path.first() {
            Some(&first) if family == libc::AF_UNIX && first != 0 => {
                let end = path.iter().position(|&byte| byte == 0);
                let path = path.get(..end.unwrap_or(path.len())).unwrap_or_default();
                Address::Path(CString::new(path).map_err(|_| Errno::EINVAL)?)
            }
            Some(_) if family == libc::AF_UNIX => Address::Abstract(bytes),
            _ => Address::Other(bytes),
        })
    }

    /// A socket and the address that it is to have or to reach. All of it is done in the program's
    /// place, as descriptor and address may be others by the time the kernel looks.
    pub(super) fn socket(&self, arguments: [u64; 3], use_: Use) -> Result<Wish, Errno> {
        let [number, at, length] = arguments;
        let socket = self.own_descriptor(number as i32)?;
        let place = Place { dir: None, path: 0 };
        let peer = match self.address(at, length)? {
            Address::None => return Err(Errno::EINVAL),
            Address::Path(path) => match use_ {
                Use::Bind => {
                    let entry = self.given(place, &path).entry()?;
                    return Ok(Wish::Change(Change::Bind(
                        socket,
                        entry.map_err(|_| Errno::EADDRINUSE)?,
                    )));
                }
                _ => Peer::Object(self.given(place, &path).object(true)?),
            },
            Address::Abstract(bytes) => Peer::Abstract(bytes),
            Address::Other(bytes) => Peer::Address(bytes),
        };
        Ok(Wish::Change(match use_ {
            Use::Bind => Change::BindAddress(socket, peer),
            Use::Connect => Change::Connect(socket, peer),
            Use::Send { data, flags, along } => Change::Send {
                socket,
                data,
                flags,
                to: peer,
                along,
            },
        }))
    }

    pub(super) fn sendto(&self, arguments: [u64; 6]) -> Result<Wish, Errno> {
        let [number, data, size, flags, at, length] = arguments;
        if size > SEND_MAX {
            return Err(Errno::EMSGSIZE);
        }
        let mut bytes = vec![0; size as usize];
        self.caller.read(data, &mut bytes)?;
        let flags = flags as i32;
        let sent = Use::Send {
            data: bytes,
            flags,
            along: Vec::new(),
        };
        self.socket([number, at, length], sent)
    }

    /// The header of a message.
    fn message(&self, at: u64) -> Result<Message, Errno> {
        let word = self.word() as u64;
        let field = |index: u64| {
            self.caller
                .number(at.wrapping_add(index * word), word as usize)
        };
        Ok(Message {
            name: field(0)?,
            // An `int`, with nothing behind it up to the next address.
            length: self.caller.number(at.wrapping_add(word), 4)?,
            pieces: field(2)?,
            count: field(3)?,
            control: field(4)?,
            control_size: field(5)?,
        })
    }

    /// The descriptors that are sent along with a message.
    fn along(&self, message: &Message) -> Result<Vec<OwnedFd>, Errno> {
        let word = self.word() as u64;
        let head = word + 8;
        let size = message.control_size;
        if size > CONTROL_MAX {
            return Err(Errno::ENOBUFS);
        }
        let mut along = Vec::new();
        let mut at = 0;
        while size.saturating_sub(at) >= head {
            let start = message.control.wrapping_add(at);
            let length = self.caller.number(start, word as usize)?;
            if length < head || length > size - at {
                return Err(Errno::EINVAL);
            }
            let number = |at: u64| Ok(self.caller.number(at, 4)? as i32);
            let level = number(start.wrapping_add(word))?;
            let kind = number(start.wrapping_add(word + 4))?;
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                    for index in 0..(length - head) / 4 {
                        if along.len() >= DESCRIPTORS_MAX {
                            return Err(Errno::EINVAL);
                        }
                        let given = number(start.wrapping_add(head + 4 * index))?;
                        along.push(self.own_descriptor(given)?);
                    }
                }
                // Who sends cannot be told in a program's place.
                (libc::SOL_SOCKET, _) => return Err(Errno::EACCES),
                // The kernel passes over what is of another kind of socket.
                _ => {}
            }
            at = at.saturating_add(length.next_multiple_of(word));
        }
        Ok(along)
    }

    pub(super) fn sendmsg(&self, number: u64, at: u64, flags: i32) -> Result<Wish, Errno> {
        let message = self.message(at)?;
        let socket = self.own_descriptor(number as i32)?;
        let unnamed = message.name == 0 || message.length == 0;
        if !takes_paths(&socket)? {
            return Ok(Wish::Free);
        }
        let along = self.along(&message)?;
        let word = self.word() as u64;
        let mut data = Vec::new();
        for piece in 0..message.count.min(1024) {
            let at = message.pieces.wrapping_add(2 * piece * word);
            let from = self.caller.number(at, word as usize)?;
            let size = self.caller.number(at.wrapping_add(word), word as usize)?;
            if size > SEND_MAX || data.len() as u64 + size > SEND_MAX {
                return Err(Errno::EMSGSIZE);
            }
            let mut bytes = vec![0; size as usize];
            self.caller.read(from, &mut bytes)?;
            data.extend(bytes);
        }
        if unnamed {
            return Ok(Wish::Change(Change::Send {
                socket,
                data,
                flags,
                to: Peer::Address(Vec::new()),
                along,
            }));
        }
        self.socket(
            [number, message.name, message.length],
            Use::Send { data, flags, along },
        )
    }

    /// Several messages at once: those that could have paths are to be sent one by one.
    pub(super) fn sendmmsg(&self) -> Result<Wish, Errno> {
        match takes_paths(&self.own_descriptor(self.int(0))?)? {
            true => Err(Errno::ENOSYS),
            false => Ok(Wish::Free),
        }
    }

    /// The calls for sockets that share a number: their arguments stand in memory.
    pub(super) fn socketcall(&self) -> Result<Wish, Errno> {
        let mut arguments = [0; 6];
        let count = match self.argument(0) {
            2 | 3 => 3,
            11 => 6,
            _ => 3,
        };
        for (index, argument) in arguments.iter_mut().enumerate().take(count) {
            let at = self.argument(1).wrapping_add(4 * index as u64);
            *argument = self.caller.number(at, 4)?;
        }
        let [first, second, third, ..] = arguments;
        match self.argument(0) {
            2 => self.socket([first, second, third], Use::Bind),
            3 => self.socket([first, second, third], Use::Connect),
            11 => self.sendto(arguments),
            16 => self.sendmsg(first, second, third as i32),
            // Several messages at once; who is told that it is not there sends one by one.
            _ => Err(Errno::ENOSYS),
        }
    }
}

/// Whether what is sent on a socket may go to a path that is named beside it.
fn takes_paths(socket: &OwnedFd) -> Result<bool, Errno> {
    let option = |name| -> Result<i32, Errno> {
        let mut value: i32 = 0;
        let mut size = size_of::<i32>() as libc::socklen_t;
        // SAFETY: value and size outlive the call.
        Errno::result(unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                name,
                (&raw mut value).cast(),
                &raw mut size,
            )
        })?;
        Ok(value)
    };
    Ok(option(libc::SO_DOMAIN)? == libc::AF_UNIX && option(libc::SO_TYPE)? == libc::SOCK_DGRAM)
}

/// What is done with a socket.
pub(super) enum Use {
    Bind,
    Connect,
    Send {
        data: Vec<u8>,
        flags: i32,
        along: Vec<OwnedFd>,
    },
}

/// What a socket's address says.
enum Address {
    None,
    Path(CString),
    /// A name that is no path.
    Abstract(Vec<u8>),
    /// Another kind of network.
    Other(Vec<u8>),
}

/// A message's header (`struct msghdr`).
struct Message {
    name: u64,
    length: u64,
    pieces: u64,
    count: u64,
    control: u64,
    control_size: u64,
}
