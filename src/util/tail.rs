//! The end of a file of text, as a person is shown it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How much of the end of a file is looked at, in bytes.
const TAIL: u64 = 32 * 1024;

/// The most characters of a line that are shown.
const LINE_LIMIT: usize = 400;

/// The last `count` lines of a file that are not blank; none if it cannot be read. However large
/// the file, only its end is read.
#[must_use]
pub fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
        let mut text = Vec::new();
        file.take(TAIL).read_to_end(&mut text)?;
        Ok(text)
    };
    let text = read().unwrap_or_default();
    let lines: Vec<String> = text
        .split(|&byte| byte == b'\n')
        .map(clean)
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines
        .get(lines.len().saturating_sub(count)..)
        .unwrap_or_default()
        .to_vec()
}

/// A line as it can be shown: no control characters, not too long.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    // What a carriage return went back over is what nobody was to see.
    let text = text.trim_end_matches('\r');
    let text = text.rsplit('\r').next().unwrap_or_default();
    let mut clean = String::new();
    let mut escaped = false;
    for c in text.chars() {
        match c {
            '\x1b' => escaped = true,
            _ if escaped => escaped = !c.is_ascii_alphabetic(),
            '\t' => clean.push_str("    "),
            c if c.is_control() => {}
            c => clean.push(c),
        }
        if clean.len() > LINE_LIMIT {
            clean.push('…');
            break;
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_shown_as_plain_text() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("log");
        let mut text = "x\n".repeat(100_000);
        text.push_str("10 %\r20 %\r100 %\n\x1b[1mbold\x1b[0m\tend\n\n");
        std::fs::write(&path, text).unwrap();
        assert_eq!(last_lines(&path, 3), ["x", "100 %", "bold    end"]);
        assert!(last_lines(&tmp.path().join("none"), 3).is_empty());
    }
}
