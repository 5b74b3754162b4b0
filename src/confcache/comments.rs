//! C without its comments.
//!
//! A name in a comment is looked up by no preprocessor. Wherever a text is not plainly what it seems to be, it is
//! kept: more names then seem to count, never fewer.

use std::borrow::Cow;

/// The text without what stands in comments, in each place of which is a blank.
pub(super) fn without_comments(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.windows(2).any(|two| two == b"/*" || two == b"//") || has_raw_strings(text) {
        return Cow::Borrowed(text);
    }
    let mut left = Vec::with_capacity(text.len());
    let mut at = 0;
    let mut line = 0;
    while let Some(&byte) = text.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        match byte {
            b'/' if !names_a_file(text.get(line..at).unwrap_or_default()) => match comment(rest) {
                Some(length) => {
                    left.push(b' ');
                    at += length;
                    continue;
                }
                None => left.push(byte),
            },
            b'"' | b'\'' if !separates_digits(text, at) => {
                let length = quoted(rest);
                left.extend_from_slice(rest.get(..length).unwrap_or_default());
                at += length;
                continue;
            }
            b'\n' => {
                left.push(byte);
                line = at + 1;
            }
            _ => left.push(byte),
        }
        at += 1;
    }
    Cow::Owned(left)
}

/// The length of the comment that begins here; none if there is none that ends.
fn comment(text: &[u8]) -> Option<usize> {
    if text.starts_with(b"/*") {
        let inner = text.get(2..)?;
        return Some(inner.windows(2).position(|two| two == b"*/")? + 4);
    }
    if !text.starts_with(b"//") {
        return None;
    }
    let mut end = 2;
    loop {
        match text.get(end) {
            None | Some(b'\n') => return Some(end),
            // It may go on in the next line.
            Some(b'\\')
                if matches!(text.get(end + 1), Some(b'\n' | b'\r' | b' ' | b'\t') | None) =>
            {
                return None;
            }
            Some(b'?')
                if text
                    .get(end..)
                    .is_some_and(|rest| rest.starts_with(b"?\x3f/")) =>
            {
                return None;
            }
            Some(_) => end += 1,
        }
    }
}

/// The length of the string or character that begins here. One that does not end ends with its line.
fn quoted(text: &[u8]) -> usize {
    let Some(mark) = text.first() else { return 0 };
    let mut end = 1;
    while let Some(byte) = text.get(end) {
        match byte {
            b'\\' => end += 1,
            b'\n' => return end,
            _ if byte == mark => return end + 1,
            _ => {}
        }
        end += 1;
    }
    text.len()
}

/// Whether the apostrophe here stands in a number.
fn separates_digits(text: &[u8], at: usize) -> bool {
    if text.get(at) != Some(&b'\'') {
        return false;
    }
    let before = text.get(..at).unwrap_or_default();
    let word = before
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'\'' | b'.'))
        .last();
    word.is_some_and(u8::is_ascii_digit)
}

/// Whether the line up to here may name a file, in whose name marks of comments mean nothing.
fn names_a_file(line: &[u8]) -> bool {
    line.contains(&b'<') && line.trim_ascii_start().starts_with(b"#")
}

fn has_raw_strings(text: &[u8]) -> bool {
    text.windows(2).any(|two| two == b"R\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(text: &str) -> String {
        String::from_utf8(without_comments(text.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn comments_go() {
        assert_eq!(left("a/* b */c"), "a c");
        assert_eq!(left("a // b\nc"), "a  \nc");
        assert_eq!(left("a/**/b/*/x*/c\n"), "a b c\n");
        assert_eq!(left("/* a\n * b\n */\nint x; // y"), " \nint x;  ");
        assert_eq!(left("/* it's */ X /* don't */"), "  X  ");
    }

    #[test]
    fn what_only_looks_like_one_stays() {
        for text in [
            "\"http://x/*y*/z\"",
            "'/'*'/'",
            "\"a\\\"//b\" c",
            "'\\'' \"//\"",
            "#include <a//b>\n#include <c/*d>\nX\n#include <e*/f>",
            "# if X <Y /* z */",
            "a / b",
            "a /* never ended",
            "a // goes on \\\nX",
            "a // goes on \\ \nX",
            "R\"(/*)\" X R\"(*/)\"",
            "\"goes on \\\n//\" X",
            "plain",
            "",
        ] {
            assert_eq!(left(text), text);
        }
    }

    #[test]
    fn apostrophes_in_numbers_begin_nothing() {
        assert_eq!(left("1'000 /* x' */ Y"), "1'000   Y");
        assert_eq!(left("0x1'f'f // y"), "0x1'f'f  ");
        assert_eq!(left("L'/' /* x */"), "L'/'  ");
        assert_eq!(
            left("#error don't // x\nY /* z */"),
            "#error don't // x\nY  "
        );
    }
}
