//! The lines of one entry in the text of an index, taken apart when they are asked for.

use std::ops::Range;
use std::sync::Arc;

use super::{default_value, file_name, sort_name};

/// Some lines of a text that many share.
#[derive(Clone, Default)]
pub(super) struct Lines {
    text: Arc<String>,
    span: Range<usize>,
    /// The value of `CPV`.
    cpv: Range<usize>,
}

impl Lines {
    /// All entries of the text behind `start` that have a `CPV`.
    pub(super) fn split(text: String, start: usize) -> Vec<Self> {
        let text = Arc::new(text);
        let bytes = text.as_bytes();
        let mut found = Vec::new();
        let (mut begin, mut line, mut cpv) = (start, start, 0..0);
        let ends = memchr::memchr_iter(b'\n', bytes).skip_while(|end| *end < start);
        for end in ends.chain([bytes.len(), bytes.len()]) {
            let content = bytes.get(line..end).unwrap_or_default();
            if content.is_empty() {
                if !cpv.is_empty() {
                    found.push(Self {
                        text: Arc::clone(&text),
                        span: begin..line,
                        cpv,
                    });
                }
                (begin, cpv) = (end + 1, 0..0);
            } else if content.starts_with(b"CPV:") {
                let value = text.get(line..end).and_then(split).unwrap_or_default().1;
                cpv = end - value.len()..end;
            }
            line = (end + 1).min(bytes.len());
        }
        found
    }

    /// The lines as they stand in the text.
    fn as_str(&self) -> &str {
        self.text.get(self.span.clone()).unwrap_or_default()
    }

    /// The bytes that the lines have.
    pub(super) fn length(&self) -> usize {
        self.span.len()
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        let text = self.as_str();
        let mut start = 0;
        std::iter::from_fn(move || {
            let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
            let end = memchr::memchr(b'\n', rest.as_bytes()).unwrap_or(rest.len());
            start += end + 1;
            rest.get(..end)
        })
    }

    /// The value of `CPV`.
    pub(super) fn cpv(&self) -> &str {
        self.text.get(self.cpv.clone()).unwrap_or_default()
    }

    /// The value of a key under the name that it has in the file; of several the last counts.
    pub(super) fn get(&self, wanted: &str) -> Option<&str> {
        let mut found = None;
        for line in self.lines() {
            // The colon is looked for first, as it is elsewhere in most lines.
            let own = line.as_bytes().get(wanted.len()) == Some(&b':') && line.starts_with(wanted);
            if own || has_other_name(line) {
                found = split(line)
                    .filter(|(key, _)| file_name(key) == wanted)
                    .map(|(_, value)| value)
                    .or(found);
            }
        }
        found
    }

    /// Keys, under the names that they have in the file, and values, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines()
            .filter_map(split)
            .map(|(key, value)| (file_name(key), value))
    }

    /// The text, if it is what would be written: each key once, in order, and of all values only such as are `wanted`.
    pub(super) fn as_written(&self, wanted: impl Fn(&str, &str) -> bool) -> Option<&str> {
        let mut before = "";
        let right = self.lines().all(|line| {
            let Some((key, value)) = split(line) else {
                return false;
            };
            let name = sort_name(key);
            let right = before < name
                && line.len() == key.len() + 2 + value.len()
                && line.get(key.len() + 1..key.len() + 2) == Some(" ")
                && !value.is_empty()
                && file_name(key) == key
                && default_value(key) != Some(value)
                && wanted(key, value);
            before = name;
            right
        });
        let text = self.as_str();
        (right && text.ends_with('\n')).then_some(text)
    }
}

/// Key and value of a line.
pub(super) fn split(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once(':')?;
    // Whatever follows the colon is the separator.
    let mut value = value.chars();
    value.next();
    Some((key, value.as_str()))
}

/// Whether the key of a line may be one that has another name in the file.
fn has_other_name(line: &str) -> bool {
    match line.as_bytes() {
        [b'r' | b'_', ..] => true,
        [b'D', b'E', b'S', b'C', next, ..] => *next != b':',
        _ => false,
    }
}
