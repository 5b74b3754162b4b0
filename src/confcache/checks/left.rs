//! What autoconf's functions leave in variables of theirs.

use std::ops::Range;

use super::super::outline::Function;
use super::Whole;
use super::names::{find, is_replaced};

/// Variables that autoconf's functions set, and that are set by whoever looks at them just before: nobody knows what was
/// left there.
pub(super) const LEFT: [&str; 4] = ["ac_retval", "ac_status", "ac_try", "as_status"];

/// How far back that is, in bytes.
const JUST_BEFORE: usize = 600;

impl Whole<'_> {
    /// Whether the value of a variable is looked at that was not set just before, outside of autoconf's functions, and of
    /// texts that nothing is replaced in.
    pub(super) fn is_looked_at(&self, name: &str) -> bool {
        let of_autoconf = |function: &&Function| {
            let name = self.bytes(function.name.clone());
            name.starts_with(b"ac_fn_") || name.starts_with(b"as_fn_")
        };
        let functions = self.outline.functions.iter().filter(of_autoconf);
        let texts = self.outline.documents.iter().filter(|each| !each.expands);
        let inside: Vec<&Range<usize>> = functions
            .map(|each| &each.body)
            .chain(texts.map(|each| &each.text))
            .collect();
        let assignment = format!("{name}=");
        memchr::memmem::find_iter(self.text, name.as_bytes())
            .filter(|at| is_replaced(self.text, *at))
            .filter(|at| !inside.iter().any(|range| range.contains(at)))
            .any(|at| {
                let ends = inside.iter().map(|range| range.end);
                let begin = ends.filter(|end| *end <= at).max().unwrap_or(0);
                let before = self.bytes(begin.max(at.saturating_sub(JUST_BEFORE))..at);
                find(before, assignment.as_bytes()).is_none()
            })
    }
}
