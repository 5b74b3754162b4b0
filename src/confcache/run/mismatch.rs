//! Where a run and what is known of it differ.

use super::Mismatch;
use crate::confcache::entry::{Body, Stream};
use crate::confcache::output::Change;
use crate::confcache::rules::Rules;
use crate::util::printable::printable;

/// Where what is known and what a run made differ, but for what no two runs make alike.
pub(super) fn mismatches(known: &Body, now: &Body, rules: &Rules) -> Vec<Mismatch> {
    let mut all = Vec::new();
    let joined = |body: &Body, stream: Stream| -> Vec<u8> {
        let chunks = body.printed.iter().filter(|chunk| chunk.stream == stream);
        let bytes: Vec<u8> = chunks.flat_map(|chunk| chunk.bytes.clone()).collect();
        rules.steady(&bytes)
    };
    for (stream, what) in [
        (Stream::Output, "what was printed"),
        (Stream::Error, "what was printed as errors"),
    ] {
        if let Some(how) = first_difference(&joined(known, stream), &joined(now, stream)) {
            all.push(Mismatch {
                what: what.to_owned(),
                how,
            });
        }
    }
    let counts = |change: &&Change| !rules.differs_by_itself(change.name());
    let find = |body: &Body, change: &Change| {
        let is_removal = matches!(change, Change::Remove { .. });
        let found = body.changes.iter().find(|other| {
            other.name() == change.name() && matches!(other, Change::Remove { .. }) == is_removal
        });
        found.map(Change::timeless)
    };
    let mut tell = |change: &Change, how: &str| {
        all.push(Mismatch {
            what: printable(change.name().as_os_str()),
            how: how.to_owned(),
        });
    };
    for change in known.changes.iter().filter(counts) {
        match (change.timeless(), find(now, change)) {
            (_, None) => tell(change, "is known to be changed and was not"),
            (
                Change::File {
                    content: old,
                    mode: old_mode,
                    ..
                },
                Some(Change::File {
                    content: new,
                    mode: new_mode,
                    ..
                }),
            ) => {
                if let Some(how) = first_difference(&old, &new) {
                    tell(change, &how);
                } else if old_mode != new_mode {
                    tell(
                        change,
                        &format!("mode {old_mode:o} is known, {new_mode:o} was made"),
                    );
                }
            }
            (old, Some(new)) if old != new => tell(change, "is known to be something else"),
            _ => {}
        }
    }
    for change in now.changes.iter().filter(counts) {
        if find(known, change).is_none() {
            tell(change, "was changed and is not known to be");
        }
    }
    all
}

/// The first line in which two texts differ, none if they are the same.
pub(super) fn first_difference(known: &[u8], now: &[u8]) -> Option<String> {
    if known == now {
        return None;
    }
    let (mut known, mut now) = (known.split(|b| *b == b'\n'), now.split(|b| *b == b'\n'));
    let mut line = 0;
    loop {
        line += 1;
        let (old, new) = (known.next(), now.next());
        if old == new && old.is_some() {
            continue;
        }
        let text = |line: Option<&[u8]>| {
            line.map_or_else(
                || "nothing".to_owned(),
                |line| format!("{:?}", String::from_utf8_lossy(line)),
            )
        };
        return Some(format!(
            "line {line} is known as {}, now {}",
            text(old),
            text(new)
        ));
    }
}
