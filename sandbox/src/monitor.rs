//! The monitor: a thread that decides on the calls of programs that run behind a filter.
//!
//! What a program wants is resolved to the file that it would be done to, and looked up in the
//! policy. What is allowed behind the wall is left to the kernel, which checks the wall once more;
//! everything else that is allowed is done here, on the file that was decided on.

mod change;
mod decide;
mod known;
mod look;
mod noted;
mod request;

use std::cell::{Cell, OnceCell};
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
use known::{Again, Asked, Known};
use look::Seen;
use noted::Noted;
use request::Request;

use crate::caller::Caller;
use crate::calls::{Abi, Look, Place, Row, Shape};
use crate::filter::{self, Watch};
use crate::identity::Identity;
use crate::listener::{Listener, Notice, Received};
use crate::policy::{Access, List, Policy};
use crate::resolve::Found;
use crate::trace::Trace;
use crate::violation::{COMMAND_LIMIT, Violation, Violations};
use crate::wall::Wall;

/// Opening a path that begins so, for writing, adds to the policy: the word of a control follows, then
/// the name of a list, then the path to add.
pub const CONTROL: &str = "/dev/ebd-sandbox/";

/// Opening this path behind [`CONTROL`] and the word gives a file with what others have looked at since
/// this process opened it last, as [`Trace::from_bytes`] reads it: nothing the first time, which begins
/// it. What the process looks at itself is not in it, nor in what others get.
pub const TRACE: &str = "TRACE";

/// How many changes may wait for others at once.
const WAITING: usize = 256;

/// What the monitor shares with the one who started it.
#[derive(Debug)]
pub(crate) struct Shared {
    policy: Mutex<Policy>,
    /// How often the policy has changed.
    version: AtomicU64,
    /// How often a trace was taken.
    taken: AtomicU64,
    control: Mutex<Option<String>>,
    violations: Mutex<Violations>,
    noted: Mutex<Noted>,
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
            taken: AtomicU64::new(0),
            control: Mutex::default(),
            violations: Mutex::default(),
            noted: Mutex::default(),
        }
    }

    pub(crate) fn set_policy(&self, policy: Policy, control: Option<String>) {
        lock(&self.noted).is_theirs(control.is_some());
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
        // What was answered and noted before is to be noted again.
        self.taken.fetch_add(1, Ordering::Release);
        lock(&self.noted).take()
    }

    /// Notes that the trace is not the whole truth.
    fn escape(&self, reason: &str) {
        lock(&self.noted).escape(reason);
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
    /// It opens this.
    Give(OwnedFd),
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
    /// Whether what the call at hand looks at is to be noted.
    notes: bool,
    /// What it looks at, to be noted when it is answered.
    seen: Seen,
    /// The question that the call at hand asks, if its answer may be remembered.
    asked: Option<Asked>,
    /// Whether something was changed that hardly ever is.
    unsteady: Cell<bool>,
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
            notes: false,
            seen: Seen::new(),
            asked: None,
            unsteady: Cell::new(false),
        })
    }

    fn run(mut self) {
        loop {
            match self.listener.receive() {
                Ok(Received::Notice(notice)) => self.handle(&notice),
                Ok(Received::Ended) => return,
                Err(error) => {
                    self.shared
                        .escape(&format!("calls could not be received: {error}"));
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
            self.listener.fail(notice, Errno::ENOSYS);
            return;
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
        self.asked = None;
        self.notes =
            self.watch == Watch::Everything && lock(&self.shared.noted).notes(notice.thread);
        if self.notes {
            match self.known(&request) {
                Some(Again::Noted) => {
                    self.listener.proceed(notice);
                    return;
                }
                Some(Again::Unnoted(seen)) => {
                    self.note(&seen, || self.listener.proceed(notice));
                    return;
                }
                None => {}
            }
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
            Err(error) => {
                self.listener.fail(notice, error);
            }
        }
        // It had its own before, so it can have them again.
        if self.own.adopt().is_err() {
            self.shared.escape("the monitor lost its own rights");
        }
    }

    /// Decides on a call and answers it.
    fn settle(&mut self, request: &Request) {
        let notice = &request.notice;
        let answer = self.decide(request);
        let seen = std::mem::take(&mut self.seen);
        match answer {
            // Answers to who does not wait any more go nowhere, and what was seen then was not theirs.
            Answer::Proceed => {
                if self.note(&seen, || self.listener.proceed(notice)) {
                    self.remember(seen);
                }
            }
            Answer::Fail(error) => {
                self.note(&seen, || self.listener.fail(notice, error));
            }
            Answer::Make(change) if self.listener.is_waiting(notice) => {
                self.note(&seen, || true);
                self.make(request, change);
            }
            Answer::Make(_) => {}
            Answer::Give(fd) => self.listener.give_descriptor(notice, fd.as_fd(), true),
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
                let answer = match look {
                    Look::Access => self.decide_access(request, subject),
                    _ => Answer::Proceed,
                };
                let seen = std::mem::take(&mut self.seen);
                self.trace_seen(seen, &answer);
                answer
            }
            Shape::List => {
                self.trace_look(request);
                Answer::Proceed
            }
            Shape::Open { place, .. } if let Some(word) = self.control(request, place) => {
                self.obey(request, &word).unwrap_or_else(Answer::Fail)
            }
            Shape::Open { .. } | Shape::Execute { .. } if self.only_traces(request) => {
                self.trace_look(request);
                Answer::Proceed
            }
            _ => {
                let wish = request.wish();
                let seen = match self.notes {
                    true => look::seen(request, wish.as_ref()),
                    false => Seen::new(),
                };
                let answer = self.decide_wish(request, wish);
                self.trace_seen(seen, &answer);
                answer
            }
        }
    }

    /// What a call that is a control says.
    fn control(&self, request: &Request, place: Place) -> Option<Vec<u8>> {
        let control = lock(&self.shared.control);
        let word = control.as_deref()?;
        let path = request.text(place).ok()?;
        let rest = path.to_bytes().strip_prefix(CONTROL.as_bytes())?;
        let said = rest.strip_prefix(word.as_bytes())?.strip_prefix(b"/")?;
        let known = said == TRACE.as_bytes()
            || List::ALL
                .iter()
                .any(|list| said.starts_with(list.name().as_bytes()));
        known.then(|| said.to_vec())
    }

    /// Does what a control says.
    fn obey(&self, request: &Request, said: &[u8]) -> Result<Answer, Errno> {
        use std::os::unix::ffi::OsStrExt;
        if said == TRACE.as_bytes() {
            let process = request.caller.process(false).ok_or(Errno::ESRCH)?;
            self.shared.taken.fetch_add(1, Ordering::Release);
            let waits = || self.listener.is_waiting(&request.notice);
            let trace = lock(&self.shared.noted).take_for(process, waits)?;
            return Ok(Answer::Give(memory(&trace.to_bytes())?));
        }
        for list in List::ALL {
            if let Some(path) = said.strip_prefix(list.name().as_bytes()) {
                let path = Path::new(std::ffi::OsStr::from_bytes(path));
                lock(&self.shared.policy).add(list, path);
                self.shared.version.fetch_add(1, Ordering::Release);
            }
        }
        Ok(Answer::Make(Change::Open {
            found: null()?,
            flags: libc::O_WRONLY,
            mode: 0,
        }))
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
                self.listener.fail(&request.notice, Errno::EACCES);
                return;
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
        Err(error) => {
            listener.fail(notice, error);
        }
    }
}

/// A file in memory with this content, read from its begin.
fn memory(content: &[u8]) -> Result<OwnedFd, Errno> {
    use std::io::{Seek, Write};
    let fd = nix::sys::memfd::memfd_create(c"trace", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
    let mut file = std::fs::File::from(fd);
    let written = file.write_all(content).and_then(|()| file.rewind());
    written.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    Ok(file.into())
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
