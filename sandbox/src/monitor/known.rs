//! What was looked at before: the answer to the same question again.
//!
//! Compilers ask the same of the same headers thousands of times. Outside of what the programs may
//! change nothing changes for them, so there the first answer holds.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::look::PERSONAL;
use super::request::Request;
use super::{Decider, lock};
use crate::calls::{Look, Place, Shape, Subject};
use crate::filter;
use crate::policy::{Access, Verdict, resolved};

/// How many different questions are remembered.
const KEPT: usize = 100_000;

/// A way of looking: the call's number, and what else it depends on.
type Way = (u32, i32);

/// Questions that were asked before.
#[derive(Debug, Default)]
pub(super) struct Known {
    paths: HashMap<Way, HashSet<Vec<u8>>>,
    count: usize,
    /// The policy for which this holds.
    version: u64,
}

impl Decider {
    /// Whether the call asks again what was answered and noted before. If it might be asked again, it
    /// is remembered for the next time.
    pub(super) fn is_known(&mut self, request: &Request) -> bool {
        let Some((place, flags)) = question(request) else {
            return false;
        };
        if !self.same_root || self.identities_vary {
            return false;
        }
        let version = self.shared.version.load(Ordering::Acquire);
        if self.known.version != version {
            self.known = Known {
                version,
                ..Known::default()
            };
        }
        let Ok(text) = request.text(place) else {
            return false;
        };
        let path = text.as_bytes();
        let way = (request.notice.number, flags);
        let paths = self.known.paths.entry(way).or_default();
        if paths.contains(path) {
            return true;
        }
        let personal = PERSONAL.iter().any(|prefix| path.starts_with(prefix));
        if path.first() != Some(&b'/') || personal || self.known.count >= KEPT {
            return false;
        }
        let policy = lock(&self.shared.policy);
        let path = Path::new(OsStr::from_bytes(path));
        let changes = |path: &Path| policy.decide(Access::Write, path) != Verdict::Denied;
        if changes(path) {
            return false;
        }
        // Asked last, as it costs as much as the look itself.
        let place = resolved(path);
        if !changes(&place) && !place.starts_with("/proc") && !policy.restricts_reading() {
            paths.insert(text.into_bytes());
            self.known.count += 1;
        }
        // This time it is looked at.
        false
    }
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
