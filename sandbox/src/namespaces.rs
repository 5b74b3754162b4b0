//! Namespaces: a network, semaphores, process numbers and mounts of a program's own.

use std::fmt;
use std::fs;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::{ForkResult, Pid};

/// Which network a program has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// The machine's.
    #[default]
    Host,
    /// One that only leads to itself.
    Loopback,
    /// One that leads nowhere.
    None,
}

/// One thing that can be had or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Feature {
    /// System calls handed to the monitor.
    Calls,
    /// Landlock.
    Wall,
    /// A user namespace, without which only root has the others.
    User,
    /// A network of its own.
    Network,
    /// Semaphores and shared memory of its own.
    Ipc,
    /// Process numbers of its own.
    Pid,
    /// Mounts of its own.
    Mount,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Calls,
        Self::Wall,
        Self::User,
        Self::Network,
        Self::Ipc,
        Self::Pid,
        Self::Mount,
    ];

    /// The name, as users read it in FEATURES where there is one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Calls => "sandbox",
            Self::Wall => "landlock",
            Self::User => "user-namespace",
            Self::Network => "network-sandbox",
            Self::Ipc => "ipc-sandbox",
            Self::Pid => "pid-sandbox",
            Self::Mount => "mount-sandbox",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.name() == name)
    }

    /// What it means to be without.
    #[must_use]
    pub fn consequence(self) -> &'static str {
        match self {
            Self::Calls => "programs may change every file that their user may",
            Self::Wall => "every change is made by ebd itself, which is slower",
            Self::User => "an ordinary user has none of the namespaces",
            Self::Network => "programs reach the network",
            Self::Ipc => "programs share semaphores and shared memory with the machine",
            Self::Pid => "programs see the machine's processes",
            Self::Mount => "programs see new mounts of the machine",
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a program is to have of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Namespaces {
    /// The network, and with it the host's name.
    pub network: Network,
    /// Semaphores, queues and shared memory.
    pub ipc: bool,
    /// Process numbers, with a `/proc` that fits.
    pub pid: bool,
    /// Mounts, which follow the machine's but are not seen there.
    pub mount: bool,
}

/// What could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The feature that was asked for.
    pub(crate) feature: Feature,
    /// What the kernel said.
    pub(crate) errno: Errno,
}

impl Namespaces {
    /// Whether there is anything to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Without one of them.
    pub(crate) fn without(mut self, feature: Feature) -> Self {
        match feature {
            Feature::Network => self.network = Network::Host,
            Feature::Ipc => self.ipc = false,
            Feature::Pid => self.pid = false,
            Feature::Mount => self.mount = false,
            Feature::User => self = Self::default(),
            Feature::Calls | Feature::Wall => {}
        }
        self
    }

    /// Puts this process into them, but for the process numbers, which begin with a child
    /// ([`fork`](Self::fork)). It must have one thread only.
    pub(crate) fn enter(&self) -> Result<(), Refusal> {
        if self.is_empty() {
            return Ok(());
        }
        let refused = |feature| move |errno| Refusal { feature, errno };
        if !nix::unistd::geteuid().is_root() {
            user().map_err(refused(Feature::User))?;
        }
        for (wanted, flag, feature) in [
            (
                self.network != Network::Host,
                CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS,
                Feature::Network,
            ),
            (self.ipc, CloneFlags::CLONE_NEWIPC, Feature::Ipc),
            (self.mount, CloneFlags::CLONE_NEWNS, Feature::Mount),
        ] {
            if wanted {
                unshare(flag).map_err(refused(feature))?;
            }
        }
        if self.network != Network::Host {
            // As Portage has it. A name that stays as it was harms nobody.
            let _ = nix::unistd::sethostname("localhost");
        }
        if self.network == Network::Loopback {
            loopback().map_err(refused(Feature::Network))?;
        }
        if self.mount {
            follow_host("/").map_err(refused(Feature::Mount))?;
        }
        Ok(())
    }

    /// Forks; the child is the first of its own process numbers, if it is to have them.
    ///
    /// # Safety
    /// This process must have one thread only, as for any fork after which more is done than to
    /// become another program.
    pub(crate) unsafe fn fork(&self) -> Result<ForkResult, Refusal> {
        if !self.pid {
            // SAFETY: the caller has one thread.
            return unsafe { nix::unistd::fork() }.map_err(|errno| Refusal {
                feature: Feature::Calls,
                errno,
            });
        }
        // unshare(2) would keep this process from having threads of its own.
        let flags = libc::CLONE_NEWPID | libc::SIGCHLD;
        // SAFETY: without a stack of its own the child goes on here, with a copy of the memory.
        let child = Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) });
        match child {
            Ok(0) => Ok(ForkResult::Child),
            Ok(child) => Ok(ForkResult::Parent {
                child: Pid::from_raw(child as i32),
            }),
            Err(errno) => Err(Refusal {
                feature: Feature::Pid,
                errno,
            }),
        }
    }

    /// What the first process of the new numbers does: a `/proc` of its own.
    pub(crate) fn enter_first(&self) -> Result<(), Refusal> {
        if !self.pid {
            return Ok(());
        }
        let refused = |errno| Refusal {
            feature: Feature::Pid,
            errno,
        };
        unshare(CloneFlags::CLONE_NEWNS).map_err(refused)?;
        follow_host("/").map_err(refused)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>).map_err(refused)
    }
}

/// Lets mounts made here stay here, while those of the machine come in.
fn follow_host(path: &str) -> Result<(), Errno> {
    mount(
        None::<&str>,
        path,
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_SLAVE,
        None::<&str>,
    )
}

/// A user namespace in which this user is who it is outside.
fn user() -> Result<(), Errno> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    let write = |file: &str, text: String| {
        fs::write(format!("/proc/self/{file}"), text)
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EPERM)))
    };
    write("uid_map", format!("{uid} {uid} 1"))?;
    write("setgroups", "deny".into())?;
    write("gid_map", format!("{gid} {gid} 1"))
}

/// Brings up the loopback device, with addresses besides `127.0.0.1` and `::1`: programs that look
/// up names only for the kinds of addresses that the machine has do not count those two.
fn loopback() -> Result<(), Errno> {
    let inet = datagram(AddressFamily::Inet)?;
    let mut request = named("lo");
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the structure is the one that this request reads.
    Errno::result(unsafe {
        libc::ioctl(inet.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    })?;
    let mut second = named("lo:1");
    second.ifr_ifru.ifru_addr = private_address();
    // SAFETY: as above. Without this address only less is found, so a failure is none.
    unsafe { libc::ioctl(inet.as_raw_fd(), libc::SIOCSIFADDR, &raw const second) };
    if let Ok(inet6) = datagram(AddressFamily::Inet6) {
        let request = libc::in6_ifreq {
            ifr6_addr: libc::in6_addr {
                s6_addr: [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            },
            ifr6_prefixlen: 8,
            // The loopback device is the first of a new network.
            ifr6_ifindex: 1,
        };
        // SAFETY: as above.
        unsafe { libc::ioctl(inet6.as_raw_fd(), libc::SIOCSIFADDR, &raw const request) };
    }
    Ok(())
}

fn datagram(family: AddressFamily) -> Result<OwnedFd, Errno> {
    socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
}

/// A request about the device of this name.
fn named(name: &str) -> libc::ifreq {
    // SAFETY: all zeroes is a value of it.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, &from) in request.ifr_name.iter_mut().zip(name.as_bytes()) {
        *to = from.cast_signed();
    }
    request
}

/// 10.0.0.1 as the kernel's structure.
fn private_address() -> libc::sockaddr {
    let address = libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr {
            s_addr: u32::from_be_bytes([10, 0, 0, 1]).to_be(),
        },
        sin_zero: [0; 8],
    };
    // SAFETY: both have the same size, and any bytes are a value of the other.
    unsafe { mem::transmute::<libc::sockaddr_in, libc::sockaddr>(address) }
}
