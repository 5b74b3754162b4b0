//! Names in a text, and lines of it.

use std::ops::Range;

/// Whether the name at this place is that of a variable whose value is put there.
pub(super) fn is_replaced(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    before.ends_with(b"$") || before.ends_with(b"${") || before.ends_with(b"${#")
}

/// The line around a place, with those that it goes on in and from.
pub(super) fn line_at(text: &[u8], at: usize) -> &[u8] {
    text.get(line_around(text, at)).unwrap_or_default()
}

/// Where that line is.
pub(super) fn line_around(text: &[u8], at: usize) -> Range<usize> {
    let goes_on = |end: usize| text.get(..end).is_some_and(|text| text.ends_with(b"\\"));
    let mut from = at;
    loop {
        let before = text.get(..from).unwrap_or_default();
        match before.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) if goes_on(newline) => from = newline,
            Some(newline) => {
                from = newline + 1;
                break;
            }
            None => {
                from = 0;
                break;
            }
        }
    }
    let mut to = at;
    loop {
        let after = text.get(to..).unwrap_or_default();
        match after.iter().position(|byte| *byte == b'\n') {
            Some(by) if goes_on(to + by) => to += by + 1,
            Some(by) => {
                to += by;
                break;
            }
            None => {
                to = text.len();
                break;
            }
        }
    }
    from..to
}

/// All names in a text, with their places.
pub(in crate::confcache) fn names(text: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..)?;
            let from = at + rest.iter().position(is_part)?;
            let rest = text.get(from..)?;
            let length = rest
                .iter()
                .position(|byte| !is_part(byte))
                .unwrap_or(rest.len());
            at = from + length;
            let name = text.get(from..at)?;
            if !name.first()?.is_ascii_digit() {
                return Some((name, from));
            }
        }
    })
}

/// The variables that a value names.
pub(in crate::confcache) fn named_in(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    names(value)
        .filter(|(_, at)| is_replaced(value, *at))
        .map(|(name, _)| name)
}

/// Where a part of a text begins.
pub(super) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
