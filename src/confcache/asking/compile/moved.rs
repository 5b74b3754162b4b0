//! What a compiler made and said somewhere else.

use std::sync::LazyLock;

use object::{Object, ObjectSection};
use regex::bytes::{Captures, Regex};

use super::super::super::answers::Bound;

/// Whether a name stands in a file elsewhere than where debuggers read.
pub(super) fn names_outside_debug(content: &[u8], name: &[u8]) -> bool {
    let mut places = content
        .windows(name.len())
        .enumerate()
        .filter(|(_, window)| *window == name)
        .map(|(at, _)| at as u64)
        .peekable();
    if places.peek().is_none() {
        return false;
    }
    let Ok(object) = object::File::parse(content) else {
        return true;
    };
    let debug: Vec<(u64, u64)> = object
        .sections()
        .filter(|section| section.name().is_ok_and(|name| name.starts_with(".debug")))
        .filter_map(|section| section.file_range())
        .collect();
    places.any(|at| {
        !debug
            .iter()
            .any(|(from, length)| *from <= at && at < from.saturating_add(*length))
    })
}

/// Something that is said of another place now.
pub(super) struct Moved<'a> {
    pub(super) then: &'a Bound,
    pub(super) now: &'a Bound,
}

/// A place in a program of a check.
static PLACE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(conftest\w*\.\w+:)(\d+)").ok());
/// What a message begins with: the file that it, and the lines shown below it, are about.
static MESSAGE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^([^\s:][^:\n]*):\d+:").ok());
/// A line of the program that is shown.
static SHOWN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^ *(\d+)( \|)").ok());
static TEMPORARY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"/cc[A-Za-z0-9]{6}\b").ok());

impl Moved<'_> {
    /// Messages about a program that stands there now.
    pub(super) fn text(&self, text: &[u8]) -> Vec<u8> {
        let mut text = match self.then.lines == self.now.lines {
            true => text.to_vec(),
            false => self.with_moved_lines(text),
        };
        for (then, now) in [
            (&self.then.folder, &self.now.folder),
            (&self.then.build, &self.now.build),
        ] {
            if then != now && !then.is_empty() {
                text = replaced(&text, then, now);
            }
        }
        text
    }

    fn with_moved_lines(&self, text: &[u8]) -> Vec<u8> {
        let (Some(place), Some(message), Some(shown)) =
            (PLACE.as_ref(), MESSAGE.as_ref(), SHOWN.as_ref())
        else {
            return text.to_vec();
        };
        let mut moved = Vec::with_capacity(text.len());
        // Lines of headers are shown like those of the program, and stay where they are.
        let mut is_program = false;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if let Some(found) = shown.captures(line) {
                let number = found
                    .get(1)
                    .and_then(|number| self.moved(number.as_bytes()));
                if let (true, Some(number), Some(bar)) = (is_program, number, found.get(2)) {
                    let width = bar.start();
                    moved.extend_from_slice(format!("{number:width$}").as_bytes());
                    moved.extend_from_slice(line.get(bar.start()..).unwrap_or_default());
                    continue;
                }
            } else if let Some(file) = message.captures(line).and_then(|found| found.get(1)) {
                let name = file.as_bytes().rsplit(|byte| *byte == b'/').next();
                is_program = name.is_some_and(|name| name.starts_with(b"conftest"));
            }
            moved.extend_from_slice(&place.replace_all(line, |found: &Captures<'_>| {
                let part = |at: usize| found.get(at).map_or(&b""[..], |part| part.as_bytes());
                match self.moved(part(2)) {
                    Some(number) => [part(1), number.to_string().as_bytes()].concat(),
                    None => part(0).to_vec(),
                }
            }));
        }
        moved
    }

    /// The number of a line behind the definitions, where it is now.
    fn moved(&self, number: &[u8]) -> Option<u32> {
        let number = std::str::from_utf8(number).ok()?.parse::<u32>().ok()?;
        let behind = number.checked_sub(self.then.lines).filter(|it| *it > 0)?;
        Some(behind.saturating_add(self.now.lines))
    }
}

/// The text with another name wherever one stands.
fn replaced(text: &[u8], name: &[u8], other: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(name.len()).position(|window| window == name) {
        all.extend_from_slice(rest.get(..at).unwrap_or_default());
        all.extend_from_slice(other);
        rest = rest.get(at + name.len()..).unwrap_or_default();
    }
    all.extend_from_slice(rest);
    all
}

/// The text without the names of temporary files, which are never the same.
pub(super) fn nameless(text: &[u8]) -> Vec<u8> {
    match TEMPORARY.as_ref() {
        Some(regex) => regex.replace_all(text, &b"/cc"[..]).into_owned(),
        None => text.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use super::*;

    #[test]
    fn messages_move_with_their_program() {
        let then = Bound {
            lines: 10,
            ..Bound::at(Path::new("/a/b"), Some(Path::new("/a")))
        };
        let now = Bound {
            lines: 105,
            ..Bound::at(Path::new("/other/x"), Some(Path::new("/other")))
        };
        let moved = Moved {
            then: &then,
            now: &now,
        };
        let text = "conftest.c:12:3: error: x\n   12 | int x\n      | ^\nconftest.c:4:1: y\n\
                    In file included from conftest.c:11:\n/usr/x.h:12: z\n   12 | z\n/a/b/conftest.c:13: undefined\n\
                    /a/temp\n";
        let now = "conftest.c:107:3: error: x\n  107 | int x\n      | ^\nconftest.c:4:1: y\n\
                   In file included from conftest.c:106:\n/usr/x.h:12: z\n   12 | z\n/other/x/conftest.c:108: undefined\n\
                   /other/temp\n";
        assert_eq!(String::from_utf8(moved.text(text.as_bytes())).unwrap(), now);
        let same = Moved {
            then: &then,
            now: &then,
        };
        assert_eq!(same.text(text.as_bytes()), text.as_bytes());
    }

    #[test]
    fn only_debuggers_may_read_where_it_was() {
        assert!(!names_outside_debug(b"nothing", b"/some/where"));
        assert!(names_outside_debug(b"a /some/where b", b"/some/where"));
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path().canonicalize().unwrap();
        let compiled = |text: &str| {
            fs::write(folder.join("x.c"), text).unwrap();
            let done = std::process::Command::new("gcc")
                .args(["-g", "-c", "x.c"])
                .current_dir(&folder)
                .status();
            assert!(done.unwrap().success());
            fs::read(folder.join("x.o")).unwrap()
        };
        let name = folder.as_os_str().as_bytes();
        let plain = compiled("int x;\n");
        assert!(plain.windows(name.len()).any(|window| window == name));
        assert!(!names_outside_debug(&plain, name));
        let text = format!("const char *x = \"{}\";\n", folder.display());
        assert!(names_outside_debug(&compiled(&text), name));
    }
}
