//! Names from elsewhere as they may be shown on a terminal.

use std::ffi::OsStr;

/// `name` on one line, with everything in it that a terminal would obey rather than show, and every
/// byte that is no text, as an escape.
#[must_use]
pub fn printable(name: &OsStr) -> String {
    let mut shown = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            // What reverses the direction of the text hides what stands behind it.
            let obeyed = c.is_control()
                || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if obeyed {
                shown.extend(c.escape_default());
            } else {
                shown.push(c);
            }
        }
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let shown = |bytes: &[u8]| printable(OsStr::from_bytes(bytes));
        assert_eq!(shown("/a b/ü".as_bytes()), "/a b/ü");
        assert_eq!(shown(b"a\nb\x1b[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(shown(b"\xff/x"), "\\xff/x");
        assert_eq!(shown("\u{202e}x".as_bytes()), "\\u{202e}x");
    }
}
