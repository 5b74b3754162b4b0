//! What lies about in the folder under names that only checks use.
//!
//! Checks make what they need there and mostly remove it, by patterns and without looking. What is there when one
//! begins is part of what it is asked for, and what is another when it ends is put there for whoever is answered.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use memchr::memmem;
use sandbox::Kind;

use super::super::super::defines::{Names, read_text};
use super::super::super::facts::{Asked, Fact, State};
use super::super::super::places::Place;
use super::super::super::questions::Looker;
use super::super::{Server, names_in};
use super::Learning;
use crate::processor::library::quote;

/// The longest text of a shell that makes a file, in bytes.
const LONG: usize = 64 << 10;

/// What stands before the name of a file that a shell is to make.
const ARROW: &[u8] = b"; } >|./";

/// How the code begins that makes an object.
const OBJECT: &[u8] = br"{ printf '\177ELF";

/// Whether only checks use a name.
pub(super) fn is_of_checks(name: &[u8]) -> bool {
    name.starts_with(b"conftest")
}

/// What lies about, by its names.
pub(super) type Lying = BTreeMap<OsString, Fact>;

/// What a check leaves lying about.
pub(super) struct Left {
    /// What lay about before that it has looked at, or changed.
    pub(super) facts: Vec<Fact>,
    /// What a shell has to do so that there is what it has left.
    pub(super) code: Vec<u8>,
    /// Whether some of that may tell behind how many lines a program stood: what a compiler made, or said of it.
    pub(super) to_lines: bool,
}

/// The names of it, as a part of what a check is asked for.
pub(super) fn names_of(all: &Lying) -> Vec<u8> {
    let names: Vec<&[u8]> = all.keys().map(|name| name.as_bytes()).collect();
    names.join(&0)
}

impl Server<'_> {
    /// All that lies about now; none if it is no file whose content can be known.
    pub(super) fn lying(&self, looker: &Looker<'_>) -> Option<Lying> {
        let names = names_in(&self.at.directory).into_iter();
        let asked = Asked {
            content: true,
            link: true,
            ..Asked::default()
        };
        let files = names
            .filter(|name| is_of_checks(name.as_bytes()))
            .map(|name| {
                let fact = self.near(Path::new(&name), asked, looker);
                let is_file =
                    matches!(fact.state, State::File { content, .. } if content.is_some());
                (is_file && fact.link.is_none()).then_some((name, fact))
            });
        files.collect()
    }

    /// Adds the names in what lies about, of which a compiler may be given any.
    pub(super) fn add_names(&self, lying: &Lying, names: &mut Names) {
        let files = lying.keys().map(|name| self.at.directory.join(name));
        for text in files.filter_map(|path| read_text(&path)) {
            names.add(&text);
        }
    }

    /// What a check has left.
    ///
    /// # Errors
    /// That cannot be.
    pub(super) fn left(
        &mut self,
        learning: &Learning,
        looker: &Looker<'_>,
    ) -> Result<Left, String> {
        let refused = |name: &OsString| format!("it left {}", Path::new(name).display());
        let now = self.lying(looker).ok_or("it left what is no file")?;
        if learning.lying.is_empty() && now.is_empty() {
            return Ok(Left {
                facts: Vec::new(),
                code: Vec::new(),
                to_lines: false,
            });
        }
        self.at.places.forget();
        let (mut touched, mut changed) = (HashSet::new(), HashSet::new());
        let inside = |place: Place| match place {
            Place::Inside(name) => Some(name),
            Place::Outside(_) => None,
        };
        for (path, kind, outcome) in learning.trace.accesses() {
            let Some(name) = inside(self.at.places.of(path)) else {
                continue;
            };
            if kind == Kind::Change && outcome.is_none() {
                changed.insert(name.clone());
            }
            touched.insert(name);
        }
        changed.extend(learning.made.iter().cloned());
        // What compilers were given is in no trace.
        let by_compilers = !learning.sources.is_empty() || !learning.made.is_empty();
        let has = |all: &HashSet<PathBuf>, name: &OsString| all.contains(Path::new(name));
        let facts = learning.lying.iter().filter(|(name, _)| {
            by_compilers || has(&touched, name) || has(&changed, name) || !now.contains_key(*name)
        });
        let facts = facts.map(|(_, fact)| fact.clone()).collect();
        let mode = std::str::from_utf8(&learning.umask).ok();
        let mode = mode.and_then(|mask| u32::from_str_radix(mask, 8).ok());
        let mode = mode.map(|mask| 0o666 & !mask);
        let (mut code, mut to_lines) = (Vec::new(), false);
        for name in learning
            .lying
            .keys()
            .filter(|name| !now.contains_key(*name))
        {
            code.extend_from_slice(b"rm -f ./");
            code.extend(quote(name.as_bytes()));
            code.push(b'\n');
        }
        for (name, fact) in &now {
            let before = learning.lying.get(name);
            if before.is_some_and(|before| before.state == fact.state) && !has(&changed, name) {
                continue;
            }
            // What was there keeps its mode when it is written to.
            let wanted = before.map_or(mode, mode_of);
            let content = fs::read(self.at.directory.join(name)).map_err(|_| refused(name))?;
            if wanted.is_none() || wanted != mode_of(fact) {
                return Err(refused(name));
            }
            to_lines |= tells_lines(&content);
            code.extend(made(name, &content, &learning.defines).ok_or_else(|| refused(name))?);
        }
        Ok(Left {
            facts,
            code,
            to_lines,
        })
    }
}

fn mode_of(fact: &Fact) -> Option<u32> {
    match &fact.state {
        State::File { attributes, .. } => Some(attributes.mode),
        _ => None,
    }
}

/// Whether the content of a file may tell at which line a program stood: it is no text, or names one.
fn tells_lines(content: &[u8]) -> bool {
    content.contains(&0) || memmem::find(content, b"conftest.").is_some()
}

/// What a shell has to do, but for what is in objects: a compiler that was answered may have made them for a program that
/// stood elsewhere, which debuggers are told.
pub(super) fn without_objects(code: &[u8]) -> Vec<u8> {
    let lines = code.split(|byte| *byte == b'\n').map(|line| {
        let begin = OBJECT.len();
        let end = memmem::rfind(line, ARROW).filter(|_| line.starts_with(OBJECT));
        end.map_or_else(
            || line.to_vec(),
            |end| [OBJECT, line.get(end.max(begin)..).unwrap_or_default()].concat(),
        )
    });
    lines.collect::<Vec<_>>().join(&b'\n')
}

/// What has a shell make a file; none if it is too large.
fn made(name: &OsString, content: &[u8], defines: &[u8]) -> Option<Vec<u8>> {
    // The next one has other definitions.
    let own = content.strip_prefix(defines);
    let own = own.filter(|_| !defines.is_empty());
    let with = own.map_or("", |_| "cat confdefs.h; ");
    let mut code = format!("{{ {with}printf ").into_bytes();
    let content = own.unwrap_or(content);
    match content.contains(&0) {
        false => {
            code.extend_from_slice(b"%s ");
            code.extend(quote(content));
        }
        true => {
            code.push(b'\'');
            for byte in content {
                match byte {
                    b'%' => code.extend_from_slice(b"%%"),
                    b' '..=b'~' if !matches!(byte, b'\\' | b'\'') => code.push(*byte),
                    _ => code.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
                }
            }
            code.push(b'\'');
        }
    }
    code.extend_from_slice(ARROW);
    code.extend(quote(name.as_bytes()));
    code.push(b'\n');
    (code.len() <= LONG).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_objects_is_left_out() {
        let code = |content: &[u8], name: &str| {
            let mut code = b"ac_cv_x='a\n; } >|./'\n".to_vec();
            code.extend(made(&name.into(), content, b"").unwrap());
            without_objects(&code)
        };
        let object = code(b"\x7fELF\0one", "conftest.o");
        assert_eq!(object, code(b"\x7fELF\0; } >|./\n", "conftest.o"));
        assert_ne!(object, code(b"\x7fELF\0one", "conftest.obj"));
        assert_ne!(object, code(b"ELF\0one", "conftest.o"));
        assert_ne!(code(b"one\n", "conftest.c"), code(b"two\n", "conftest.c"));
    }

    #[test]
    fn any_content_is_made_again() {
        let all: Vec<u8> = (0..=u8::MAX).chain(*b"7%s\\n'").collect();
        for content in [&all[..], b"it's\n%s \\n", b"", b"-n x"] {
            let folder = tempfile::tempdir().unwrap();
            for shell in ["sh", "bash"] {
                let code = made(&"conftest.x y".into(), content, b"").unwrap();
                let done = std::process::Command::new(shell)
                    .arg("-c")
                    .arg(String::from_utf8(code).unwrap())
                    .current_dir(folder.path())
                    .status();
                assert!(done.unwrap().success());
                assert_eq!(
                    fs::read(folder.path().join("conftest.x y")).unwrap(),
                    content
                );
            }
        }
    }
}
