//! What is said to each call: by the policy, and by what would come of it anyway.

use std::path::Path;

use nix::errno::Errno;
use nix::libc;

use super::change::Change;
use super::request::{Request, Wish};
use super::{Answer, Decider, lock};
use crate::calls::{Shape, Subject};
use crate::filter::{self, Watch};
use crate::policy::{Access, Policy, Verdict};
use crate::resolve::Found;

impl Decider {
    /// What is said to a call that was taken apart.
    pub(super) fn decide_wish(&self, request: &Request, wish: Result<Wish, Errno>) -> Answer {
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
                self.shared.escape("a program's memory was closed");
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
    pub(super) fn only_traces(&self, request: &Request) -> bool {
        let looks = match request.row.shape {
            Shape::Open { flags, .. } => !filter::changes(request.int(flags)),
            _ => true,
        };
        looks && self.watch == Watch::Everything && !lock(&self.shared.policy).restricts_reading()
    }

    /// Calls that nobody may make. Where they could not have done anything, there is nothing to
    /// tell either.
    pub(super) fn refuse(&self, request: &Request) -> Answer {
        if lock(&self.shared.policy).is_free() {
            self.forgets();
            return Answer::Proceed;
        }
        if request.caller.is_mighty() {
            self.violate(request, Access::Write, &request.raw_path());
        }
        Answer::Fail(Errno::EPERM)
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
        self.changes_at(&policy, &change.paths());
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
    pub(super) fn decide_access(&self, request: &Request, subject: Subject) -> Answer {
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
