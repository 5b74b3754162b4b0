//! What was looked at before: the answer to the same question again.
//!
//! Compilers ask the same of the same headers thousands of times. Outside of what the programs may
//! change nothing changes for them, so there the first answer holds. Where they may change everything
//! it holds for what systems are made of, until one of them does change that.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::look::{PERSONAL, Seen};
use super::request::Request;
use super::{Decider, lock};
use crate::calls::{Look, Place, Shape, Subject};
use crate::filter;
use crate::policy::{Access, Policy, Verdict, resolved};

/// How many different questions are remembered.
const KEPT: usize = 100_000;

/// Where nothing changes but when a system is changed.
const STEADY: [&str; 9] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt",
];

/// A way of looking: the call's number, and what else it depends on.
type Way = (u32, i32);

/// Questions that were asked before.
#[derive(Debug, Default)]
pub(super) struct Known {
    answers: HashMap<Way, HashMap<Vec<u8>, Answered>>,
    count: usize,
    /// The policy for which this holds.
    version: u64,
}

#[derive(Debug)]
struct Answered {
    seen: Seen,
    /// The trace in which it is noted.
    noted: u64,
}

/// A question that was asked before.
#[derive(Debug)]
pub(super) enum Again {
    /// The trace has it.
    Noted,
    /// The trace was taken since, and is to have this.
    Unnoted(Seen),
}

/// A question whose answer may be remembered.
#[derive(Debug)]
pub(super) struct Asked {
    way: Way,
    path: Vec<u8>,
}

impl Decider {
    /// Whether the call asks again what was answered before. If it might be asked again, its answer is
    /// to be remembered.
    pub(super) fn known(&mut self, request: &Request) -> Option<Again> {
        let (place, flags) = question(request)?;
        if !self.same_root || self.identities_vary {
            return None;
        }
        let version = self.shared.version.load(Ordering::Acquire);
        if self.known.version != version {
            self.known = Known {
                version,
                ..Known::default()
            };
        }
        let taken = self.shared.taken.load(Ordering::Acquire);
        let text = request.text(place).ok()?;
        let path = text.as_bytes();
        let way = (request.notice.number, flags);
        let answers = self.known.answers.entry(way).or_default();
        if let Some(known) = answers.get_mut(path) {
            if known.noted == taken {
                return Some(Again::Noted);
            }
            known.noted = taken;
            return Some(Again::Unnoted(known.seen.clone()));
        }
        let personal = PERSONAL.iter().any(|prefix| path.starts_with(prefix));
        if path.first() != Some(&b'/') || personal || self.known.count >= KEPT {
            return None;
        }
        let policy = lock(&self.shared.policy);
        let path = Path::new(OsStr::from_bytes(path));
        let changes = |path: &Path| match policy.is_free() {
            true => self.unsteady.get() || !is_steady(path),
            false => policy.decide(Access::Write, path) != Verdict::Denied,
        };
        if changes(path) {
            return None;
        }
        // Asked last, as it costs as much as the look itself.
        let place = resolved(path);
        if !changes(&place) && !place.starts_with("/proc") && !policy.restricts_reading() {
            self.asked = Some(Asked {
                way,
                path: text.into_bytes(),
            });
        }
        // This time it is looked at.
        None
    }

    /// Remembers what a question has seen that was let pass, if it is one to be remembered.
    pub(super) fn remember(&mut self, seen: Seen) {
        let Some(Asked { way, path }) = self.asked.take() else {
            return;
        };
        // The trace may have been taken since this was noted; then it is noted once more.
        let noted = self.shared.taken.load(Ordering::Acquire).wrapping_sub(1);
        let answers = self.known.answers.entry(way).or_default();
        answers.insert(path, Answered { seen, noted });
        self.known.count += 1;
    }

    /// Notes where a change is to be made.
    pub(super) fn changes_at(&self, policy: &Policy, paths: &[&Path]) {
        if policy.is_free() && paths.iter().any(|path| is_steady(path)) {
            self.forgets();
        }
    }

    /// Notes that something may be changed anywhere.
    pub(super) fn forgets(&self) {
        if !self.unsteady.replace(true) {
            // What is known is known for the policy of before.
            self.shared.version.fetch_add(1, Ordering::Release);
        }
    }
}

fn is_steady(path: &Path) -> bool {
    STEADY.iter().any(|steady| path.starts_with(steady))
}

/// Where a call that only looks has its path, and what else its answer depends on.
fn question(request: &Request) -> Option<(Place, i32)> {
    match request.row.shape {
        Shape::Open { place, flags, .. } => {
            let flags = request.int(flags);
            (!filter::changes(flags)).then_some((place, flags))
        }
        Shape::Execute { place, flags } => {
            Some((place, flags.map_or(0, |flags| request.int(flags))))
        }
        Shape::Look {
            subject: Subject::Path { place, flags, .. },
            look,
        } => match look {
            Look::Access => Some((place, request.int(place.path + 1)))
                .filter(|(_, mode)| mode & nix::libc::W_OK == 0),
            // Its answer depends on a name too.
            Look::Xattr => None,
            _ => Some((place, flags.map_or(0, |flags| request.int(flags)))),
        },
        _ => None,
    }
}
