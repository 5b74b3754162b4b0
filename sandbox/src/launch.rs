//! Starting a program behind filter and wall, in namespaces, below a warden.
//!
//! The warden enters the namespaces and forks; the child closes all doors behind itself and tells the
//! supervisor the number of the filter's descriptor, which the supervisor takes from it. Only then
//! does it become the program, or, with process numbers of its own, the first process, whose child
//! becomes the program.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{ForkResult, Pid, fork};

use crate::filter::{self, Watch};
use crate::guard::Sandbox;
use crate::identity::Identity;
use crate::listener;
use crate::monitor::{Monitor, Setup, Shared, descriptor_of};
use crate::namespaces::{Feature, Namespaces, Network, Refusal};
use crate::policy::Policy;
use crate::signals::{is_ignored, leave_pipes_to_program};
use crate::wall::Wall;
use crate::warden::{self, reap_until};

/// The option behind which the settings stand, ended by [`END`].
pub(crate) const OPTION: &str = "--sandbox";

/// The end of the settings.
const END: &str = "--end";

/// How long a program may take until its doors are closed.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a program is confined from its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// What is handed to the monitor; none if every change is free.
    pub watch: Option<Watch>,
    /// Where changes are left to the kernel; none if there is to be no wall.
    pub wall: Option<Wall>,
    /// What it has of its own.
    pub namespaces: Namespaces,
    /// Who it is, if not this process's user; only root may choose.
    pub identity: Option<Identity>,
    /// Whether it keeps the caller's terminal and standard input, as a command that a person typed
    /// does. The end of the supervisor is then seen by the sandbox's own channel.
    pub attached: bool,
}

impl Settings {
    /// Without one of the features, as far as it was asked for.
    #[must_use]
    pub fn without(mut self, feature: Feature) -> Self {
        match feature {
            Feature::Calls => {
                self.watch = None;
                self.wall = None;
            }
            Feature::Wall => self.wall = None,
            other => self.namespaces = self.namespaces.without(other),
        }
        self
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn words(&self, channel: RawFd) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec![OPTION.into(), channel.to_string().into()];
        match self.watch {
            None => {}
            Some(Watch::Changes) => words.push("--changes".into()),
            Some(Watch::Reads) => words.push("--reads".into()),
            Some(Watch::Everything) => words.push("--everything".into()),
        }
        if let Some(wall) = &self.wall {
            words.push("--wall".into());
            for path in &wall.write {
                words.extend(["--write".into(), path.into()]);
            }
            if let Some(read) = &wall.read {
                words.push("--limited".into());
                for path in read {
                    words.extend(["--read".into(), path.into()]);
                }
            }
        }
        match self.namespaces.network {
            Network::Host => {}
            Network::Loopback => words.push("--loopback".into()),
            Network::None => words.push("--no-network".into()),
        }
        for (is, word) in [
            (self.namespaces.ipc, "--ipc"),
            (self.namespaces.pid, "--pid"),
            (self.namespaces.mount, "--mount"),
        ] {
            if is {
                words.push(word.into());
            }
        }
        if let Some(identity) = &self.identity {
            let ids: Vec<String> = [identity.uid, identity.gid]
                .iter()
                .chain(&identity.groups)
                .map(u32::to_string)
                .collect();
            words.extend(["--user".into(), ids.join(":").into()]);
        }
        if self.attached {
            words.push("--attached".into());
        }
        words.push(END.into());
        words
    }
}

/// What the warden has been told: the settings, the descriptor to the supervisor, and the rest of
/// the words.
type Parsed<'a> = (Settings, RawFd, &'a [OsString]);

/// Takes apart what [`Settings::words`] gave, behind [`OPTION`]; none if it is something else.
pub(crate) fn parse(words: &[OsString]) -> Option<Parsed<'_>> {
    let (channel, mut rest) = words.split_first()?;
    let channel = channel.to_str()?.parse().ok()?;
    let mut settings = Settings::default();
    loop {
        let (word, more) = rest.split_first()?;
        rest = more;
        let wall = &mut settings.wall;
        let mut path = || -> Option<PathBuf> {
            let (path, more) = rest.split_first()?;
            rest = more;
            Some(path.into())
        };
        match word.to_str()? {
            END => return Some((settings, channel, rest)),
            "--changes" => settings.watch = Some(Watch::Changes),
            "--reads" => settings.watch = Some(Watch::Reads),
            "--everything" => settings.watch = Some(Watch::Everything),
            "--wall" => *wall = Some(Wall::default()),
            "--write" => wall.as_mut()?.write.push(path()?),
            "--limited" => wall.as_mut()?.read = Some(Vec::new()),
            "--read" => wall.as_mut()?.read.as_mut()?.push(path()?),
            "--loopback" => settings.namespaces.network = Network::Loopback,
            "--no-network" => settings.namespaces.network = Network::None,
            "--ipc" => settings.namespaces.ipc = true,
            "--pid" => settings.namespaces.pid = true,
            "--mount" => settings.namespaces.mount = true,
            "--attached" => settings.attached = true,
            "--user" => {
                let ids = path()?;
                let mut ids = ids.to_str()?.split(':').map(str::parse);
                settings.identity = Some(Identity {
                    uid: ids.next()?.ok()?,
                    gid: ids.next()?.ok()?,
                    groups: ids.collect::<Result<_, _>>().ok()?,
                });
            }
            _ => return None,
        }
    }
}

/// Why a program could not be started in a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel, or a container around us, refuses something.
    #[error("{feature}: cannot be had here; --degrade {feature} does without, but then {}", feature.consequence())]
    Refused {
        /// What.
        feature: Feature,
        /// What the kernel says.
        #[source]
        errno: Errno,
    },
    /// It is too old.
    #[error("{feature}: this kernel has none that is good enough; --degrade {feature} does without, but then {}", feature.consequence())]
    Missing {
        /// What.
        feature: Feature,
    },
    /// The child said nothing, or something else.
    #[error("sandbox: the program was not started{}", said(.0))]
    Silent(String),
    /// The descriptors that this needs cannot be had.
    #[error("sandbox: {what}")]
    System {
        /// What was to be done.
        what: &'static str,
        /// The reason.
        #[source]
        errno: Errno,
    },
}

fn said(text: &str) -> String {
    match text.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

impl SandboxError {
    /// The feature that is missing, if that is the reason.
    #[must_use]
    pub fn feature(&self) -> Option<Feature> {
        match self {
            Self::Refused { feature, .. } | Self::Missing { feature } => Some(*feature),
            Self::Silent(_) | Self::System { .. } => None,
        }
    }
}

/// A sandbox whose program has not been started yet.
#[derive(Debug)]
pub struct Starting {
    settings: Settings,
    ours: OwnedFd,
    theirs: OwnedFd,
}

impl Starting {
    /// Prepares a start.
    ///
    /// # Errors
    /// No descriptors are left.
    pub fn new(settings: Settings) -> Result<Self, SandboxError> {
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .map_err(|errno| SandboxError::System {
            what: "no sockets can be made",
            errno,
        })?;
        Ok(Self {
            settings,
            ours,
            theirs,
        })
    }

    /// What the warden is told, before the program and its arguments.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        self.settings.words(self.theirs.as_raw_fd())
    }

    /// Lets the command, which becomes the warden, inherit what it needs.
    pub fn prepare(&self, command: &mut Command) {
        let fd = self.theirs.as_raw_fd();
        let inherit = move || {
            // SAFETY: the descriptor is open in the child, whose copy of it this is.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))
                .map(drop)
                .map_err(io::Error::from)
        };
        // SAFETY: what runs between fork and exec is one system call.
        unsafe { command.pre_exec(inherit) };
    }

    /// Starts the warden as a fork of this process, which is faster than starting a program that
    /// becomes it. The warden runs `command` and never comes back from here.
    ///
    /// # Errors
    /// This process has other threads, which a fork would lose, or no more processes can be made.
    pub fn fork(&self, command: &[OsString]) -> Result<Pid, SandboxError> {
        let system = |what| move |errno| SandboxError::System { what, errno };
        let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
        if threads != 1 {
            let errno = Errno::EDEADLK;
            return Err(system("a process with threads cannot become a warden")(
                errno,
            ));
        }
        let theirs = self.theirs.try_clone().map_err(|_| SandboxError::System {
            what: "no descriptors are left",
            errno: Errno::EMFILE,
        })?;
        // SAFETY: this process has one thread.
        match unsafe { fork() }.map_err(system("no processes can be made"))? {
            ForkResult::Parent { child } => Ok(child),
            ForkResult::Child => {
                // The supervisor's ends are the supervisor's alone, or its end would not be seen.
                let _ = nix::unistd::close(self.ours.as_raw_fd());
                let _ = nix::unistd::close(self.theirs.as_raw_fd());
                let sandbox = Some((self.settings.clone(), theirs));
                let status = warden::watch(None, sandbox, command).unwrap_or_else(|error| {
                    // What was refused the supervisor tells itself.
                    if !matches!(error, warden::WardenError::Sandbox(_)) {
                        eprintln!("ebd: {error}");
                    }
                    127
                });
                // SAFETY: it takes a number.
                unsafe { nix::libc::_exit(status.into()) }
            }
        }
    }

    /// Waits until the started command has closed the doors, then watches it by `policy`. This
    /// blocks for some milliseconds.
    ///
    /// # Errors
    /// A [`SandboxError`]; the command has then ended.
    pub fn finish(self, policy: Policy) -> Result<Sandbox, SandboxError> {
        let Self {
            settings,
            ours,
            theirs,
        } = self;
        drop(theirs);
        let system = |what| move |errno| SandboxError::System { what, errno };
        let text = receive(&ours).map_err(system("the warden cannot be heard"))?;
        let mut words = text.split(' ');
        let verb = words.next();
        let mut number = || words.next().and_then(|word| word.parse::<i32>().ok());
        match verb {
            Some("ready") => {
                let (Some(pid), Some(fd)) = (number(), number()) else {
                    return Err(SandboxError::Silent(text));
                };
                let shared = Arc::new(Shared::new(policy));
                let monitor = match settings.watch {
                    None => None,
                    Some(watch) => {
                        let listener = descriptor_of(pid, fd)
                            .map_err(system("the filter's descriptor cannot be taken over"))?;
                        let setup = Setup {
                            listener,
                            watch,
                            wall: settings.wall,
                            identity: settings.identity,
                        };
                        let monitor = Monitor::start(setup, Arc::clone(&shared))
                            .map_err(system("the monitor cannot be started"))?;
                        Some(monitor)
                    }
                };
                nix::unistd::write(&ours, b"go")
                    .map_err(system("the warden cannot be told to go on"))?;
                Ok(Sandbox::new(monitor, shared, ours))
            }
            Some("refused") => {
                let feature = text
                    .split(' ')
                    .nth(1)
                    .and_then(Feature::named)
                    .ok_or_else(|| SandboxError::Silent(text.clone()))?;
                let errno = text.split(' ').nth(2).and_then(|word| word.parse().ok());
                Err(match errno {
                    None | Some(0) => SandboxError::Missing { feature },
                    Some(errno) => SandboxError::Refused {
                        feature,
                        errno: Errno::from_raw(errno),
                    },
                })
            }
            _ => Err(SandboxError::Silent(text)),
        }
    }
}

/// The warden's end of the channel, by the number that the supervisor gave it.
pub(crate) fn inherited(channel: RawFd) -> OwnedFd {
    // SAFETY: the number was given by the supervisor for a descriptor that this process inherited
    // and nothing else here owns.
    let channel = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(channel) };
    let _ = fcntl(&channel, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    channel
}

/// Reads one message, as text.
fn receive(channel: &OwnedFd) -> Result<String, Errno> {
    use std::os::fd::AsFd;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut watched = [PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
        match poll(&mut watched, left) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
            Ok(0) => return Err(Errno::ETIMEDOUT),
            Ok(_) => break,
        }
    }
    let mut buffer = [0; 256];
    let read = nix::unistd::read(channel, &mut buffer)?;
    let text = buffer.get(..read).unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// The child's side: confines this process and its next child, and gives the first process below
/// the calling warden. Only one thread may run.
///
/// # Errors
/// What could not be done, as the message that the supervisor was sent too.
pub(crate) fn start(
    settings: &Settings,
    channel: &OwnedFd,
    program: &OsStr,
    arguments: &[OsString],
) -> Result<Pid, String> {
    let told = |refusal: Refusal| {
        let text = format!("refused {} {}", refusal.feature, refusal.errno as i32);
        let _ = nix::unistd::write(channel, text.as_bytes());
        text
    };
    let words = words(program, arguments).ok_or("a NUL in an argument")?;
    settings.namespaces.enter().map_err(told)?;
    // SAFETY: this process has one thread.
    match unsafe { settings.namespaces.fork() } {
        Err(refusal) => Err(told(refusal)),
        Ok(ForkResult::Parent { child }) => Ok(child),
        Ok(ForkResult::Child) => {
            let code = match child(settings, channel, told) {
                Ok(()) if settings.namespaces.pid => first(&words, settings.attached),
                Ok(()) => become_program(&words, settings.attached),
                Err(_) => 126,
            };
            // Nothing of the parent's is to be run at the end.
            // SAFETY: it takes a number.
            unsafe { nix::libc::_exit(code) }
        }
    }
}

/// The program and its arguments as the kernel takes them.
fn words(program: &OsStr, arguments: &[OsString]) -> Option<Vec<CString>> {
    std::iter::once(program)
        .chain(arguments.iter().map(OsString::as_os_str))
        .map(|word| CString::new(word.as_bytes()).ok())
        .collect()
}

/// Closes the doors in the child.
fn child(
    settings: &Settings,
    channel: &OwnedFd,
    told: impl Fn(Refusal) -> String,
) -> Result<(), String> {
    // The name of this process where the supervisor is, which a /proc of its own would hide.
    let number = nix::fcntl::readlink("/proc/self").map_err(|errno| {
        told(Refusal {
            feature: Feature::Pid,
            errno,
        })
    })?;
    let refused = |feature| move |errno| Refusal { feature, errno };
    settings.namespaces.enter_first().map_err(&told)?;
    if let Some(identity) = &settings.identity {
        identity
            .become_it()
            .map_err(|errno| told(refused(Feature::User)(errno)))?;
    }
    // Where the warden ends, so does this; what it has started is then without a monitor too.
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    nix::sys::prctl::set_no_new_privs().map_err(|errno| told(refused(Feature::Calls)(errno)))?;
    if let Some(wall) = &settings.wall {
        let entered = wall.enter().unwrap_or(false);
        if !entered {
            return Err(told(Refusal {
                feature: Feature::Wall,
                errno: Errno::UnknownErrno,
            }));
        }
    }
    let listener = match settings.watch {
        None => None,
        Some(watch) => {
            let identities = nix::unistd::geteuid().is_root();
            let program = filter::program(watch, identities);
            let listener = listener::install(&program)
                .map_err(|errno| told(refused(Feature::Calls)(errno)))?;
            Some(listener)
        }
    };
    let descriptor = listener.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    let text = format!("ready {} {descriptor}", number.to_string_lossy());
    let failed = |errno: Errno| errno.to_string();
    nix::unistd::write(channel, text.as_bytes()).map_err(failed)?;
    let mut answer = [0; 8];
    match nix::unistd::read(channel, &mut answer).map_err(failed)? {
        0 => Err("the supervisor is gone".into()),
        _ => Ok(()),
    }
}

/// The first process of its own numbers: it only waits for the program.
fn first(words: &[CString], attached: bool) -> i32 {
    // SAFETY: this process has one thread.
    match unsafe { fork() } {
        Err(_) => 126,
        Ok(ForkResult::Child) => become_program(words, attached),
        Ok(ForkResult::Parent { child }) => {
            leave_interrupts_to_program();
            // What comes in and goes out is the program's: an end that stays open here would keep
            // others waiting.
            if let Ok(null) = nix::fcntl::open(
                "/dev/null",
                OFlag::O_RDWR | OFlag::O_CLOEXEC,
                nix::sys::stat::Mode::empty(),
            ) {
                let _ = nix::unistd::dup2_stdin(&null);
                let _ = nix::unistd::dup2_stdout(&null);
                let _ = nix::unistd::dup2_stderr(&null);
            }
            reap_until(child).into()
        }
    }
}

/// The number of the signal that is to end this process.
static ENDING: AtomicI32 = AtomicI32::new(0);

extern "C" fn note_ending(number: nix::libc::c_int) {
    ENDING.store(number, Ordering::Release);
}

/// Has SIGTERM and SIGHUP interrupt what this process waits for, instead of ending it:
/// [`ending`] tells. Below `nohup` the end of a terminal stays nobody's business.
pub(crate) fn put_off_ending() {
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, sigaction};
    let handler = SigHandler::Handler(note_ending);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    for number in [Signal::SIGTERM, Signal::SIGHUP] {
        if number == Signal::SIGHUP && is_ignored(number) {
            continue;
        }
        // SAFETY: the handler stores one number.
        let _ = unsafe { sigaction(number, &action) };
    }
}

/// The signal that was put off since the last call, if there was one.
#[must_use]
pub(crate) fn ending() -> Option<Signal> {
    Signal::try_from(ENDING.swap(0, Ordering::AcqRel)).ok()
}

/// Lets ctrl-C at the terminal end the program, and this process only in its wake.
pub(crate) fn leave_interrupts_to_program() {
    use nix::sys::signal::{SigHandler, signal};
    for number in [Signal::SIGINT, Signal::SIGQUIT] {
        // SAFETY: a signal that is ignored runs nothing.
        let _ = unsafe { signal(number, SigHandler::SigIgn) };
    }
}

/// Becomes the program; gives the status of a shell that cannot.
fn become_program(words: &[CString], attached: bool) -> i32 {
    if !attached {
        let _ = nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0));
    }
    let Some(program) = words.first() else {
        return 127;
    };
    leave_pipes_to_program();
    let Err(errno) = nix::unistd::execvp(program, words);
    eprintln!(
        "ebd: {}: cannot be run: {}",
        program.to_string_lossy(),
        errno.desc()
    );
    match errno {
        Errno::ENOENT | Errno::ENOTDIR => 127,
        _ => 126,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back() {
        let settings = Settings {
            watch: Some(Watch::Reads),
            wall: Some(Wall {
                write: vec!["/a b".into(), "--end".into()],
                read: Some(vec!["/c:d".into()]),
            }),
            namespaces: Namespaces {
                network: Network::Loopback,
                ipc: true,
                pid: true,
                mount: false,
            },
            identity: Some(Identity {
                uid: 250,
                gid: 251,
                groups: vec![1, 2],
            }),
            attached: true,
        };
        for settings in [settings, Settings::default()] {
            let mut words = settings.words(7);
            words.push("bash".into());
            let (parsed, channel, rest) = parse(&words[1..]).unwrap();
            assert_eq!(parsed, settings);
            assert_eq!(channel, 7);
            assert_eq!(rest, ["bash"]);
        }
        for wrong in [&["x"][..], &[], &["3", "--write", "/a"], &["3", "--what"]] {
            let words: Vec<OsString> = wrong.iter().map(OsString::from).collect();
            assert!(parse(&words).is_none(), "{wrong:?}");
        }
    }
}
