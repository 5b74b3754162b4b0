//! Whether a program may say in which line it stands, or when it was compiled, by macros of what it includes.
//!
//! Where a macro says so, the line is that of whoever uses it. All else in a header is at the header's own line.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::super::comments::without_comments;
use super::{Library, Names, hash, lines, pasted, read_text, words};

/// What says in which line it stands.
const LINES: [&[u8]; 3] = [b"__LINE__", b"__builtin_LINE", b"__builtin_source_location"];

/// Those that as the default of an argument say in which line the call stands.
const OF_CALLERS: [&[u8]; 2] = [b"__builtin_LINE", b"__builtin_source_location"];

/// What says when it was compiled.
const TIMES: [&[u8]; 3] = [b"__DATE__", b"__TIME__", b"__TIMESTAMP__"];

/// How many macros are followed.
const MANY: usize = 10_000;

/// What a program may say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::confcache) struct Says {
    pub(in crate::confcache) line: bool,
    pub(in crate::confcache) time: bool,
}

impl Says {
    /// What the text itself says.
    pub(in crate::confcache) fn of(text: &[u8]) -> Self {
        let has = |name: &&[u8]| memchr::memmem::find(text, name).is_some();
        Self {
            line: LINES.iter().any(has),
            time: TIMES.iter().any(has),
        }
    }

    fn any(self) -> bool {
        self.line || self.time
    }

    /// What both say together.
    pub(in crate::confcache) fn and(self, other: Self) -> Self {
        Self {
            line: self.line || other.line,
            time: self.time || other.time,
        }
    }
}

/// A line of a text.
enum Line<'t> {
    /// A macro, with what is behind its name.
    Macro(&'t [u8], &'t [u8]),
    /// What is for the compiler.
    Code(&'t [u8]),
}

fn parts(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    lines(text).filter_map(|line| {
        let Some(rest) = line.trim_ascii_start().strip_prefix(b"#") else {
            return Some(Line::Code(line));
        };
        let rest = rest.trim_ascii_start().strip_prefix(b"define")?;
        let rest = rest.trim_ascii_start();
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 128;
        let end = rest.iter().position(|byte| !is_part(byte));
        let (name, body) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        Some(Line::Macro(name, body))
    })
}

impl Library {
    /// What a program with these names says by what it reads: `texts`, which were read before, and texts that are
    /// given. None if one cannot be read.
    pub(in crate::confcache) fn says(
        &mut self,
        names: &Names,
        texts: &[PathBuf],
        given: &[Vec<u8>],
    ) -> Option<Says> {
        let included = self.of(texts)?;
        let mut numbers = Vec::new();
        for path in texts {
            numbers.push((self.file(path)?, path));
        }
        let given: Vec<_> = given.iter().map(|text| without_comments(text)).collect();
        let mut all = Says::default();
        let mut left: Vec<(Vec<u8>, Says)> = Vec::new();
        let mut known: BTreeSet<(Vec<u8>, bool, bool)> = BTreeSet::new();
        let mut follow = |text: &[u8], about: Option<(&[u8], Says)>, left: &mut Vec<_>| {
            let mut said = Says::default();
            for line in parts(text) {
                let (name, body) = match line {
                    Line::Macro(name, body) => (Some(name), body),
                    Line::Code(code) => (None, code),
                };
                let says = match about {
                    Some((of, says)) if uses(body, of) => says,
                    Some(_) => continue,
                    None => Says::of(body),
                };
                match name {
                    Some(name) if says.any() => {
                        if known.insert((name.to_vec(), says.line, says.time)) {
                            left.push((name.to_vec(), says));
                        }
                    }
                    Some(_) => {}
                    // At its own line it says the same wherever it is included, but for who asks for the caller's.
                    None => {
                        said.time |= says.time;
                        said.line |=
                            about.is_none() && words(body).any(|word| OF_CALLERS.contains(&word));
                    }
                }
            }
            said
        };
        for (number, path) in &numbers {
            if self.says.get(*number).is_some_and(|says| says.any()) {
                let text = read_text(path)?;
                all = all.and(follow(&without_comments(&text), None, &mut left));
            }
        }
        for text in &given {
            all = all.and(follow(text, None, &mut left));
        }
        let pastes = names.pastes || included.pastes;
        let mut followed = 0;
        while let Some((name, says)) = left.pop() {
            followed += 1;
            if followed > MANY {
                return None;
            }
            let has = |part: &[u8]| names.all.contains(&hash(part));
            if has(&name) || (pastes && pasted(&name, has)) {
                all = all.and(says);
            }
            for (number, path) in &numbers {
                let places = self.places.get(&hash(&name));
                let is_there = places.is_some_and(|places| places.contains(number));
                let may_paste = self.pastes.get(*number) == Some(&true);
                if is_there || may_paste {
                    let text = read_text(path)?;
                    let about = Some((name.as_slice(), says));
                    all = all.and(follow(&without_comments(&text), about, &mut left));
                }
            }
            for text in &given {
                all = all.and(follow(text, Some((&name, says)), &mut left));
            }
        }
        Some(all)
    }
}

/// Whether a text has the name, or may paste it together of a part that it has.
fn uses(text: &[u8], name: &[u8]) -> bool {
    let pastes = memchr::memmem::find(text, b"##").is_some();
    words(text).any(|word| {
        let is_part = word.len() > 1 && (name.starts_with(word) || name.ends_with(word));
        word == name || (pastes && is_part)
    })
}
