//! The monitor: a thread that decides on the calls of programs that run behind a filter.
//!
//! What a program wants is resolved to the file that it would be done to, and looked up in the
//! policy. What is allowed behind the wall is left to the kernel, which checks the wall once more;
//! everything else that is allowed is done here, on the file that was decided on.

mod change;
mod known;
mod look;
mod request;

use std::cell::OnceCell;
use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::libc;

pub(crate) use change::descriptor_of;
use change::{Change, Made};
use known::Known;
use request::{Request, Wish};

use crate::caller::Caller;
use crate::calls::{Abi, Look, Row, Shape, Subject};
use crate::filter::{self, Watch};
use crate::identity::Identity;
use crate::listener::{Listener, Notice, Received};
use crate::policy::{Access, List, Policy, Verdict};
use crate::resolve::Found;
use crate::trace::Trace;
use crate::violation::{COMMAND_LIMIT, Violation, Violations};
use crate::wall::Wall;

/// Opening a path that begins so, for writing, adds to the policy: the word of a control follows, then
/// the name of a list, then the path to add.
pub const CONTROL: &str = "/dev/ebd-sandbox/";

/// How many changes may wait for others at once.
const WAITING: usize = 256;

/// What the monitor shares with the one who started it.
#[derive(Debug)]
pub(crate) struct Shared {
    policy: Mutex<Policy>,
    /// How often the policy has changed.
    version: AtomicU64,
    control: Mutex<Option<String>>,
    violations: Mutex<Violations>,
    trace: Mutex<Trace>,
}

/// What holds even if a thread has panicked with the lock held: every change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy: Mutex::new(policy),
            version: AtomicU64::new(0),
            control: Mutex::default(),
            violations: Mutex::default(),
            trace: Mutex::default(),
        }
    }

    pub(crate) fn set_policy(&self, policy: Policy, control: Option<String>) {
        *lock(&self.control) = control;
        *lock(&self.policy) = policy;
        self.version.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn policy(&self) -> Policy {
        lock(&self.policy).clone()
    }

    pub(crate) fn take_violations(&self) -> Violations {
        std::mem::take(&mut lock(&self.violations))
    }

    pub(crate) fn take_trace(&self) -> Trace {
        std::mem::take(&mut lock(&self.trace))
    }

    /// Notes that the trace is not the whole truth.
    fn escape(&self, reason: String) {
        lock(&self.trace).escape(reason);
    }
}

/// What a monitor is made of.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The filter's descriptor.
    pub(crate) listener: OwnedFd,
    /// What is watched.
    pub(crate) watch: Watch,
    /// The wall that the programs are behind, if there is one.
    pub(crate) wall: Option<Wall>,
    /// Whose rights the programs have, if not this process's.
    pub(crate) identity: Option<Identity>,
}

/// A running monitor. It ends with the last of the programs.
#[derive(Debug)]
pub(crate) struct Monitor {
    thread: JoinHandle<()>,
}

impl Monitor {
    /// Starts the thread.
    ///
    /// # Errors
    /// The rights of the programs' user cannot be had, or no thread can be started.
    pub(crate) fn start(setup: Setup, shared: Arc<Shared>) -> Result<Self, Errno> {
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("sandbox".into())
            .spawn(move || {
                let decider = match Decider::new(setup, shared) {
                    Ok(decider) => decider,
                    Err(error) => {
                        let _ = tell.send(Err(error));
                        return;
                    }
                };
                let _ = tell.send(Ok(()));
                decider.run();
            })
            .map_err(|_| Errno::EAGAIN)?;
        told.recv().unwrap_or(Err(Errno::EAGAIN))?;
        Ok(Self { thread })
    }

    /// Waits until all programs have ended.
    pub(crate) fn join(self) {
        let _ = self.thread.join();
    }
}

/// What is said to a call.
#[derive(Debug)]
enum Answer {
    /// The kernel does it.
    Proceed,
    /// It fails.
    Fail(Errno),
    /// It is done here.
    Make(Change),
}

/// The state of the thread.
struct Decider {
    listener: Arc<Listener>,
    shared: Arc<Shared>,
    watch: Watch,
    wall: Option<Wall>,
    /// Whose rights this thread has.
    own: Identity,
    /// Whether these are the programs', who can have no others.
    is_theirs: bool,
    /// Whether a program may have become another user since.
    identities_vary: bool,
    /// Whether all programs see the same files at the same paths as this one.
    same_root: bool,
    /// The abstract names that programs gave their sockets.
    named: HashSet<Vec<u8>>,
    /// How many threads make changes that take as long as others like.
    waiting: Arc<AtomicUsize>,
    /// What was looked at before, with the same result for as long as the policy is the same.
    known: Known,
}

impl Decider {
    fn new(setup: Setup, shared: Arc<Shared>) -> Result<Self, Errno> {
        // A mask of its own for what it makes.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS)?;
        let is_theirs = setup.identity.is_some();
        let own = match setup.identity {
            Some(identity) => {
                identity.adopt()?;
                identity
            }
            None => Identity::own()?,
        };
        Ok(Self {
            listener: Arc::new(Listener::new(setup.listener)),
            shared,
            watch: setup.watch,
            wall: setup.wall,
            own,
            is_theirs,
            identities_vary: false,
            same_root: true,
            named: HashSet::new(),
            waiting: Arc::default(),
            known: Known::default(),
        })
    }

    fn run(mut self) {
        loop {
            match self.listener.receive() {
                Ok(Received::Notice(notice)) => self.handle(&notice),
                Ok(Received::Ended) => return,
                Err(error) => {
                    self.shared
                        .escape(format!("calls could not be received: {error}"));
                    return;
                }
            }
        }
    }

    fn handle(&mut self, notice: &Notice) {
        let abi = match filter::is_native(notice.arch) {
            true => Abi::Native,
            false => Abi::I386,
        };
        let Some(row) = Row::find(abi, notice.number) else {
            // The filter hands over nothing else.
            return self.listener.fail(notice, Errno::ENOSYS);
        };
        let request = Request {
            notice: *notice,
            caller: Caller {
                thread: notice.thread,
            },
            abi,
            row,
            same_root: self.same_root,
            first: OnceCell::new(),
        };
        if self.watch == Watch::Everything && self.is_known(&request) {
            return self.listener.proceed(notice);
        }
        if !self.identities_vary {
            return self.settle(&request);
        }
        // The way to a file is looked for with the program's rights, too.
        let adopted = match request.caller.identity() {
            Some((identity, _)) => identity.adopt(),
            None => Err(Errno::EACCES),
        };
        match adopted {
            Ok(()) => self.settle(&request),
            Err(error) => self.listener.fail(notice, error),
        }
        // It had its own before, so it can have them again.
        if self.own.adopt().is_err() {
            self.shared
                .escape("the monitor lost its own rights".to_owned());
        }
    }

    /// Decides on a call and answers it.
    fn settle(&mut self, request: &Request) {
        let notice = &request.notice;
        match self.decide(request) {
            // Answers to who does not wait any more go nowhere.
            Answer::Proceed => self.listener.proceed(notice),
            Answer::Fail(error) => self.listener.fail(notice, error),
            Answer::Make(change) if self.listener.is_waiting(notice) => {
                self.make(request, change);
            }
            Answer::Make(_) => {}
        }
    }

    fn decide(&mut self, request: &Request) -> Answer {
        match request.row.shape {
            Shape::Root => {
                self.same_root = false;
                Answer::Proceed
            }
            Shape::Identity => {
                self.identities_vary |= !self.is_theirs && !request.stays_root();
                Answer::Proceed
            }
            Shape::Refused => self.refuse(request),
            Shape::Look { subject, look } => {
                self.trace_look(request);
                match look {
                    Look::Access => self.decide_access(request, subject),
                    _ => Answer::Proceed,
                }
            }
            Shape::List => {
                self.trace_look(request);
                Answer::Proceed
            }
            _ if self.control(request) => Answer::Make(Change::Open {
                found: match null() {
                    Ok(found) => found,
                    Err(error) => return Answer::Fail(error),
                },
                flags: libc::O_WRONLY,
                mode: 0,
            }),
            Shape::Open { .. } | Shape::Execute { .. } if self.only_traces(request) => {
                self.trace_look(request);
                Answer::Proceed
            }
            _ => {
                let wish = request.wish();
                let seen = match self.watch {
                    Watch::Everything => look::seen(request, wish.as_ref()),
                    _ => Vec::new(),
                };
                let answer = self.decide_wish(request, wish);
                self.trace_seen(request, seen, &answer);
                answer
            }
        }
    }

    /// What is said to a call that was taken apart.
    fn decide_wish(&self, request: &Request, wish: Result<Wish, Errno>) -> Answer {
        match wish {
            Ok(Wish::Free) => Answer::Proceed,
            Ok(Wish::Change(change)) => self.decide_change(request, change),
            Ok(Wish::Read {
                found,
                flags,
                opens,
            }) => self.decide_read(request, found, flags, opens),
            Err(Errno::EPERM) if request.caller.path(1).is_err_and(|e| e == Errno::EPERM) => {
                self.violate(request, Access::Write, Path::new("(unreadable)"));
                self.shared
                    .escape("a program's memory was closed".to_owned());
                Answer::Fail(Errno::EACCES)
            }
            // Behind the wall the kernel says the same, or meanwhile knows better.
            Err(_) if self.is_walled(request) => Answer::Proceed,
            Err(error) => Answer::Fail(error),
        }
    }

    /// Whether the wall sees all that the call may come to, whatever its paths are by then.
    fn is_walled(&self, request: &Request) -> bool {
        let seen = match request.row.shape {
            Shape::Open { flags, .. } => {
                let flags = request.int(flags);
                flags & libc::O_TRUNC == 0 || flags & libc::O_ACCMODE != libc::O_RDONLY
            }
            Shape::Creat
            | Shape::Mkdir { .. }
            | Shape::Mknod { .. }
            | Shape::Symlink { .. }
            | Shape::Unlink { .. }
            | Shape::Rmdir
            | Shape::Link { .. }
            | Shape::Rename { .. }
            | Shape::Bind => true,
            // It runs or it does not.
            Shape::Execute { .. } => return true,
            _ => false,
        };
        seen && self.wall.is_some() && !self.reads_are_decided_here()
    }

    /// Whether reading is refused that the wall lets pass.
    fn reads_are_decided_here(&self) -> bool {
        let policy = lock(&self.shared.policy);
        policy.restricts_reading()
            && (policy.denies() || self.wall.as_ref().is_none_or(|wall| wall.read.is_none()))
    }

    /// Whether the call only looks, at what may be looked at.
    fn only_traces(&self, request: &Request) -> bool {
        let looks = match request.row.shape {
            Shape::Open { flags, .. } => !filter::changes(request.int(flags)),
            _ => true,
        };
        looks && self.watch == Watch::Everything && !lock(&self.shared.policy).restricts_reading()
    }

    /// Calls that nobody may make. Where they could not have done anything, there is nothing to
    /// tell either.
    fn refuse(&self, request: &Request) -> Answer {
        if lock(&self.shared.policy).is_free() {
            return Answer::Proceed;
        }
        if request.caller.is_mighty() {
            self.violate(request, Access::Write, &request.raw_path());
        }
        Answer::Fail(Errno::EPERM)
    }

    /// Whether the call is one that adds to the policy, which has then been done.
    fn control(&self, request: &Request) -> bool {
        let Shape::Open { place, .. } = request.row.shape else {
            return false;
        };
        let control = lock(&self.shared.control);
        let Some(word) = control.as_deref() else {
            return false;
        };
        let Ok(path) = request.text(place) else {
            return false;
        };
        let Some(rest) = path
            .to_bytes()
            .strip_prefix(CONTROL.as_bytes())
            .and_then(|rest| rest.strip_prefix(word.as_bytes()))
            .and_then(|rest| rest.strip_prefix(b"/"))
        else {
            return false;
        };
        for list in List::ALL {
            if let Some(path) = rest.strip_prefix(list.name().as_bytes()) {
                use std::os::unix::ffi::OsStrExt;
                let path = Path::new(std::ffi::OsStr::from_bytes(path));
                lock(&self.shared.policy).add(list, path);
                self.shared.version.fetch_add(1, Ordering::Release);
                return true;
            }
        }
        false
    }

    fn decide_change(&self, request: &Request, change: Change) -> Answer {
        if change.abstract_name().is_some() {
            return Answer::Make(change);
        }
        // Abstract names are the network's. In a network of their own programs are among themselves;
        // in the machine's they reach only what one of them has named.
        if let Some(name) = change.abstract_peer()
            && !lock(&self.shared.policy).is_free()
            && !request.caller.has_own_network()
            && !self.named.contains(name)
        {
            return Answer::Fail(Errno::EPERM);
        }
        // Pipes, sockets and memory have no names, and nothing outside to change. What the wall does
        // not see is done here, as the descriptor may be another's by now.
        if change.paths().iter().all(|path| is_anonymous(path)) {
            return match change.is_seen_by_wall() && self.wall.is_some() {
                true => Answer::Proceed,
                false => Answer::Make(change),
            };
        }
        if is_own(request, &change) {
            return Answer::Make(change);
        }
        if let Change::Mknod(_, mode, device) = &change
            && is_dangerous(*mode, *device)
            && !lock(&self.shared.policy).is_free()
        {
            let paths = change.paths();
            self.violate(
                request,
                Access::Write,
                paths.first().unwrap_or(&Path::new("")),
            );
            return Answer::Fail(Errno::EPERM);
        }
        let policy = lock(&self.shared.policy);
        let refused = |path: &&Path| policy.decide(Access::Write, path) != Verdict::Allowed;
        if policy.minds_environment() && change.paths().iter().any(refused) {
            let variables = request.caller.variables();
            let own = policy.in_environment(variables.split(|&byte| byte == 0));
            drop(policy);
            return self.change_by(&own, request, change);
        }
        self.change_by(&policy, request, change)
    }

    /// What is said to a change by this policy.
    fn change_by(&self, policy: &Policy, request: &Request, change: Change) -> Answer {
        let paths = change.paths();
        let mut verdict = Verdict::Allowed;
        for path in &paths {
            match policy.decide(Access::Write, path) {
                Verdict::Allowed => {}
                Verdict::Predicted => verdict = Verdict::Predicted,
                Verdict::Denied => {
                    if let Some(error) = is_needless(&change) {
                        return Answer::Fail(error);
                    }
                    let quiet = match request.row.shape {
                        // The C library knocks at the sockets of daemons without being asked.
                        Shape::Connect
                        | Shape::Sendto
                        | Shape::Sendmsg
                        | Shape::Sendmmsg
                        | Shape::Socketcall => true,
                        _ => change.replaces_device(),
                    };
                    if !quiet {
                        self.violate(request, Access::Write, path);
                    }
                    return Answer::Fail(Errno::EACCES);
                }
            }
        }
        if verdict == Verdict::Predicted {
            return Answer::Fail(is_needless(&change).unwrap_or(Errno::EACCES));
        }
        if change.replaces_device() && !policy.is_free() {
            return Answer::Fail(Errno::EACCES);
        }
        // A name inside for a file outside would let it be changed there. Programs copy then.
        if let Change::Link(source, _) = &change
            && policy.decide(Access::Write, &source.path) != Verdict::Allowed
        {
            return Answer::Fail(Errno::EXDEV);
        }
        let walled = |path: &Path| {
            self.wall
                .as_ref()
                .is_some_and(|wall| wall.covers(path) && policy.is_whole_below(path))
        };
        let source_is_walled = match &change {
            Change::Link(source, _) => walled(&source.path),
            _ => true,
        };
        // Its flags stand in memory: by the time the kernel reads them they may be others.
        let certain = request.row.shape != Shape::Openat2;
        let kernel = certain
            && change.is_seen_by_wall()
            && source_is_walled
            && change.walled_paths().iter().all(|path| walled(path));
        if kernel || is_terminal(&change) {
            Answer::Proceed
        } else {
            Answer::Make(change)
        }
    }

    /// Whether something may be used is answered as using it would be, but is no violation.
    fn decide_access(&self, request: &Request, subject: Subject) -> Answer {
        let Subject::Path { place, .. } = subject else {
            return Answer::Proceed;
        };
        let mode = request.int(place.path + 1);
        let wanted = match (mode & libc::W_OK != 0, mode & libc::R_OK != 0) {
            (true, _) => Access::Write,
            (_, true) => Access::Read,
            _ => return Answer::Proceed,
        };
        let policy = lock(&self.shared.policy);
        if policy.is_free() || (wanted == Access::Read && !policy.restricts_reading()) {
            return Answer::Proceed;
        }
        match request.subject(subject) {
            Ok(object) if is_anonymous(&object.path) => Answer::Proceed,
            Ok(object) if wanted == Access::Read && object.path.starts_with("/proc") => {
                Answer::Proceed
            }
            Ok(object) if policy.decide(wanted, &object.path) != Verdict::Allowed => {
                Answer::Fail(Errno::EACCES)
            }
            // What is not there is told so by the kernel.
            _ => Answer::Proceed,
        }
    }

    fn decide_read(&self, request: &Request, found: Found, flags: i32, opens: bool) -> Answer {
        let path = match &found {
            Found::Object(object) => object.path.clone(),
            Found::Missing(entry) => entry.path.clone(),
        };
        let holds = flags & libc::O_PATH != 0;
        if holds && request.row.shape == Shape::Openat2 {
            // It cannot be handed over, and its flags stand in memory: programs do without.
            return Answer::Fail(Errno::ENOSYS);
        }
        let policy = lock(&self.shared.policy);
        if !policy.restricts_reading() {
            // What stands in memory may be other flags by the time the kernel reads them, and a file
            // may be gone that would then be made.
            let makes = matches!(request.row.shape, Shape::Open { flags, .. }
                if request.int(flags) & libc::O_CREAT != 0);
            let raced = request.row.shape == Shape::Openat2 || (makes && self.wall.is_none());
            return match raced {
                true => Answer::Make(Change::Open {
                    found,
                    flags,
                    mode: 0,
                }),
                false => Answer::Proceed,
            };
        }
        // Descriptors of what has no name, and what the kernel makes up for each process.
        let made_up = is_anonymous(&path) || path.starts_with("/proc");
        match policy.decide(Access::Read, &path) {
            Verdict::Allowed => {}
            _ if made_up => {}
            Verdict::Predicted => return Answer::Fail(Errno::EACCES),
            Verdict::Denied => {
                drop(policy);
                self.violate(request, Access::Read, &path);
                return Answer::Fail(Errno::EACCES);
            }
        }
        drop(policy);
        // Holding gives nothing away, and what is run is not opened.
        if holds || !opens || !self.reads_are_decided_here() {
            return Answer::Proceed;
        }
        if path == Path::new("/dev/tty") && !request.caller.has_terminal() {
            return Answer::Fail(Errno::ENXIO);
        }
        // What the kernel tells of other processes it would tell this one, not the program.
        if let Found::Object(object) = &found
            && is_of_process(&path)
            && request
                .caller
                .own_directory(object)
                .is_none_or(|own| !path.starts_with(own))
        {
            return Answer::Fail(Errno::EACCES);
        }
        Answer::Make(Change::Open {
            found,
            flags,
            mode: 0,
        })
    }

    fn violate(&self, request: &Request, access: Access, path: &Path) {
        let violation = Violation {
            program: request.caller.program(),
            call: request.row.name,
            access,
            path: path.to_owned(),
            command: request.caller.command(COMMAND_LIMIT),
        };
        if self.listener.is_waiting(&request.notice) {
            lock(&self.shared.violations).add(violation);
        }
    }

    /// Makes a change and answers the call.
    fn make(&mut self, request: &Request, change: Change) {
        let close_on_exec = match (&change, request.row.shape) {
            (Change::Open { flags, .. }, _) => flags & libc::O_CLOEXEC != 0,
            _ => false,
        };
        if change.makes() {
            let Some((_, umask)) = request.caller.identity() else {
                return self.listener.fail(&request.notice, Errno::EACCES);
            };
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(umask));
        }
        if change.may_wait() && self.waiting.load(Ordering::Acquire) >= WAITING {
            self.listener.fail(&request.notice, Errno::EAGAIN);
        } else if change.may_wait() {
            // It is made by a thread of its own, which is the program's user in all that it does: who is
            // spoken to asks the kernel who speaks.
            let rights = match (self.is_theirs, self.identities_vary) {
                (true, _) => Some(self.own.clone()),
                (false, true) => request.caller.identity().map(|(identity, _)| identity),
                (false, false) => None,
            };
            let listener = Arc::clone(&self.listener);
            let waiting = Arc::clone(&self.waiting);
            let notice = request.notice;
            waiting.fetch_add(1, Ordering::AcqRel);
            let started = std::thread::Builder::new()
                .name("sandbox-wait".into())
                .spawn(move || {
                    let become_it = rights.map_or(Ok(()), |rights| rights.adopt_whole());
                    let made = become_it.and_then(|()| change.make());
                    answer(&listener, &notice, made, close_on_exec);
                    waiting.fetch_sub(1, Ordering::AcqRel);
                });
            if started.is_err() {
                self.waiting.fetch_sub(1, Ordering::AcqRel);
                self.listener.fail(&request.notice, Errno::EAGAIN);
            }
        } else {
            let name = change.abstract_name().map(<[u8]>::to_vec);
            let made = change.make();
            if made.is_ok() {
                self.named.extend(name);
            }
            answer(&self.listener, &request.notice, made, close_on_exec);
        }
    }
}

/// Tells the program what came of a change.
fn answer(listener: &Listener, notice: &Notice, made: Result<Made, Errno>, close_on_exec: bool) {
    match made {
        Ok(Made::Value(value)) => listener.give(notice, value),
        Ok(Made::Descriptor(fd)) => listener.give_descriptor(notice, fd.as_fd(), close_on_exec),
        Err(error) => listener.fail(notice, error),
    }
}

/// `/dev/null`, held open.
fn null() -> Result<Found, Errno> {
    use crate::resolve::Object;
    let fd = nix::fcntl::open(
        "/dev/null",
        nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC,
        nix::sys::stat::Mode::empty(),
    )?;
    Ok(Found::Object(Object {
        fd,
        path: PathBuf::from("/dev/null"),
    }))
}

/// Whether a path is in a process's directory of `/proc`.
fn is_of_process(path: &Path) -> bool {
    let mut parts = path.iter().skip(1);
    parts.next().is_some_and(|name| name == "proc")
        && parts
            .next()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether the kernel's name is none in any directory.
fn is_anonymous(path: &Path) -> bool {
    !path.is_absolute() || path.as_os_str().as_encoded_bytes().starts_with(b"/memfd:")
}

/// Why a change would fail even if it were allowed, as far as many programs count on it: directories
/// are made that are there already, and what is not there is removed.
fn is_needless(change: &Change) -> Option<Errno> {
    match change {
        Change::Mkdir(entry, _)
        | Change::Mknod(entry, ..)
        | Change::Symlink(_, entry)
        | Change::Link(_, entry)
            if entry.exists() =>
        {
            Some(Errno::EEXIST)
        }
        Change::Open {
            found: Found::Object(_),
            flags,
            ..
        } if flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL => {
            Some(Errno::EEXIST)
        }
        Change::Remove { entry, .. } | Change::Rename { old: entry, .. } if !entry.exists() => {
            Some(Errno::ENOENT)
        }
        _ => None,
    }
}

/// Whether a node for this device would lead past all that is decided on paths: those that everybody
/// may use do not.
fn is_dangerous(mode: u32, device: u64) -> bool {
    const HARMLESS: [(u64, u64); 7] = [(0, 0), (1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0)];
    let number = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    match mode & libc::S_IFMT {
        libc::S_IFBLK => true,
        libc::S_IFCHR => !HARMLESS.contains(&number),
        _ => false,
    }
}

/// Files of a process's own directory of `/proc` that it may write: names and hints, nothing that
/// anybody else goes by.
const OWN: [&str; 4] = ["comm", "oom_score_adj", "coredump_filter", "timerslack_ns"];

/// Whether a program opens one of its own files of `/proc`.
fn is_own(request: &Request, change: &Change) -> bool {
    let Change::Open {
        found: Found::Object(object),
        ..
    } = change
    else {
        return false;
    };
    let named = object
        .path
        .file_name()
        .is_some_and(|name| OWN.iter().any(|own| name == *own));
    named
        && object.path.starts_with("/proc")
        && request
            .caller
            .own_directory(object)
            .is_some_and(|own| object.path.starts_with(own))
}

/// Whether a device is opened, which may mean the program's own terminal.
fn is_terminal(change: &Change) -> bool {
    match change {
        Change::Open {
            found: Found::Object(object),
            ..
        } => {
            object.path.starts_with("/dev")
                && object
                    .kind()
                    .is_ok_and(|kind| kind == nix::sys::stat::SFlag::S_IFCHR)
        }
        _ => false,
    }
}
