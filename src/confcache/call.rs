//! A configure run that is wanted, and all that is known of it beforehand: its key.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::facts::{Sum, sum};
use super::process;
use super::rules::Rules;
use crate::util::printable::printable;

/// How much of a script is looked at.
const SCRIPT: u64 = 64 << 20;

/// Shells that a script may be given to.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "ksh", "zsh", "busybox"];

/// Changes when entries of before must not be taken for ones of now.
const VERSION: &str = "4";

/// The name of the part that is the working directory.
pub(super) const DIRECTORY: &str = "directory";

/// Why a command cannot be looked up.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no script.
    #[error("{}: cannot be read", path.display())]
    Script {
        /// Where it was looked for.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// It is something else.
    #[error("{}: is no configure script made by autoconf", .0.display())]
    NotAutoconf(PathBuf),
    /// The script reads what nobody can tell.
    #[error("{}: may read from descriptor {descriptor}, of which nobody can tell what comes", script.display())]
    Input {
        /// The script.
        script: PathBuf,
        /// The number of the descriptor.
        descriptor: i32,
    },
    /// No command was given.
    #[error("there is no command")]
    Empty,
    /// The working directory is not there.
    #[error("the working directory cannot be found")]
    Directory(#[source] io::Error),
}

/// One part of the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is, for people: `script`, `argument 3`, `variable CFLAGS`.
    pub name: String,
    pub(super) sum: Sum,
    /// Its text, where it may be shown.
    pub(super) text: Option<String>,
}

/// A part in which two calls differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}")]
pub struct Difference {
    /// Which part.
    pub name: String,
    /// How they differ.
    pub what: String,
}

/// A configure run that is wanted.
#[derive(Debug, Clone)]
pub struct Call {
    /// The command, as it is to be run.
    pub(super) words: Vec<OsString>,
    /// The working directory, free of links.
    pub(super) directory: PathBuf,
    /// The script, absolute.
    pub(super) script: PathBuf,
    text: Vec<u8>,
    parts: Vec<Part>,
}

impl Call {
    /// A command as this process would run it here and now: with its environment, working
    /// directory, user and open descriptors.
    ///
    /// # Errors
    /// It is not to run a script that autoconf made, or one that reads what this process was given; a [`CallError`].
    pub fn of_this_process(words: &[OsString], rules: &Rules) -> Result<Self, CallError> {
        let directory = std::env::current_dir()
            .and_then(|path| path.canonicalize())
            .map_err(CallError::Directory)?;
        let script = directory.join(script_of(words).ok_or(CallError::Empty)?);
        let script = script.canonicalize().unwrap_or(script);
        let text = read(&script).map_err(|source| CallError::Script {
            path: script.clone(),
            source,
        })?;
        if !is_autoconf(&text) {
            return Err(CallError::NotAutoconf(script));
        }
        if let Some(descriptor) = process::unknown_input(&text) {
            return Err(CallError::Input { script, descriptor });
        }
        let mut parts = Parts::default();
        parts.shown("version of the cache", VERSION);
        parts.hidden("script", &text);
        parts.shown(DIRECTORY, printable(directory.as_os_str()));
        for (at, word) in words.iter().enumerate() {
            parts.put(
                &format!("argument {at}"),
                word.as_bytes(),
                Some(printable(word)),
            );
        }
        let mut variables: Vec<(OsString, OsString)> = std::env::vars_os()
            .filter(|(name, _)| !rules.ignores_variable_of(name, &text))
            .collect();
        variables.sort();
        for (name, value) in variables {
            // A value may be a secret.
            parts.hidden(&format!("variable {}", printable(&name)), value.as_bytes());
        }
        for (name, text) in process::parts() {
            parts.shown(name, text);
        }
        parts.put("table of rules", &rules.sum(), None);
        Ok(Self {
            words: words.to_vec(),
            directory,
            script,
            text,
            parts: parts.0,
        })
    }

    /// The working directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The script that is to be run.
    #[must_use]
    pub fn script(&self) -> &Path {
        &self.script
    }

    /// All that is known beforehand.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The text of the script.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// What every check of any script depends on, but for the variables, which scripts change: parts of the key
    /// by their names.
    pub(super) fn base(&self) -> impl Iterator<Item = (&str, &Sum)> {
        let parts = self.parts.iter().filter(|part| {
            let name = part.name.as_str();
            name != "script"
                && name != DIRECTORY
                && !name.starts_with("argument ")
                // Functions that a shell begins with are no variables that scripts change.
                && (!name.starts_with("variable ") || name.starts_with("variable BASH_FUNC_"))
        });
        parts.map(|part| (part.name.as_str(), &part.sum))
    }

    /// The words that start the shell which runs the script, and those from the script on; none if it is no shell
    /// whose scripts can be made to ask.
    pub(super) fn shell(&self) -> Option<(Vec<OsString>, Vec<OsString>)> {
        let known = |word: &OsStr| {
            let name = Path::new(word).file_name().and_then(OsStr::to_str);
            name.is_some_and(|name| matches!(name, "sh" | "bash" | "dash"))
        };
        let first = self.words.first()?;
        if known(first) {
            // With options it may do anything.
            let script = self.words.get(1)?;
            return (!script.as_bytes().starts_with(b"-")).then(|| {
                (
                    vec![first.clone()],
                    self.words.get(1..).unwrap_or_default().to_vec(),
                )
            });
        }
        // Found in PATH it would get another name.
        if !first.as_bytes().contains(&b'/')
            || nix::unistd::access(&self.script, nix::unistd::AccessFlags::X_OK).is_err()
        {
            return None;
        }
        let line = self
            .text
            .strip_prefix(b"#!")?
            .split(|byte| *byte == b'\n')
            .next()?;
        let mut words = line
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|word| !word.is_empty());
        let shell = OsStr::from_bytes(words.next()?);
        (known(shell) && words.next().is_none())
            .then(|| (vec![shell.to_owned()], self.words.clone()))
    }

    /// The sum of all parts.
    #[must_use]
    pub fn key(&self) -> String {
        key(&self.parts)
    }
}

/// The sum of all parts.
pub(super) fn key(parts: &[Part]) -> String {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(&part.name.len().to_ne_bytes());
        all.extend_from_slice(part.name.as_bytes());
        all.extend_from_slice(&part.sum);
    }
    let mut text = String::new();
    for byte in sum(&all) {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// In what this call differs from one that has these parts.
#[must_use]
pub(super) fn differences(now: &[Part], then: &[Part]) -> Vec<Difference> {
    let find = |parts: &[Part], name: &str| parts.iter().find(|part| part.name == name).cloned();
    let quoted = |part: &Part| part.text.as_ref().map(|text| format!(" {text:?}"));
    let mut all = Vec::new();
    for part in now {
        let what = match find(then, &part.name) {
            None => format!("is new:{}", quoted(part).unwrap_or_default()),
            Some(old) if old.sum != part.sum => match (quoted(&old), quoted(part)) {
                (Some(old), Some(new)) => format!("was{old}, is{new}"),
                _ => "is another".to_owned(),
            },
            Some(_) => continue,
        };
        all.push(Difference {
            name: part.name.clone(),
            what: what.trim_end_matches(':').to_owned(),
        });
    }
    for part in then {
        if find(now, &part.name).is_none() {
            all.push(Difference {
                name: part.name.clone(),
                what: format!("is gone{}", quoted(part).unwrap_or_default()),
            });
        }
    }
    all
}

/// Collects parts.
#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn put(&mut self, name: &str, value: &[u8], text: Option<String>) {
        self.0.push(Part {
            name: name.to_owned(),
            sum: sum(value),
            text,
        });
    }

    fn hidden(&mut self, name: &str, value: &[u8]) {
        self.put(name, value, None);
    }

    fn shown(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        self.put(name, value.clone().as_bytes(), Some(value));
    }
}

/// The word of a command that names the script: the first, or the one that a shell is given.
fn script_of(words: &[OsString]) -> Option<&OsStr> {
    let first = words.first()?;
    let name = Path::new(first).file_name().and_then(OsStr::to_str);
    if !name.is_some_and(|name| SHELLS.contains(&name)) {
        return Some(first);
    }
    let mut rest = words.iter().skip(1);
    let script = rest.find(|word| !word.as_bytes().starts_with(b"-") && *word != "sh");
    Some(script.unwrap_or(first))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut text = Vec::new();
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    file.take(SCRIPT).read_to_end(&mut text)?;
    Ok(text)
}

/// Whether autoconf made the script, and so it reads nothing from its standard input.
pub(super) fn is_autoconf(text: &[u8]) -> bool {
    let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
    let head = text.get(..text.len().min(4096)).unwrap_or_default();
    let head = String::from_utf8_lossy(head);
    head.starts_with("#!")
        && head.contains("enerated by GNU Autoconf")
        && has(b"exec 7<&0 </dev/null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_found() {
        let of = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            script_of(&words).map(OsStr::to_owned)
        };
        assert_eq!(of(&["./configure", "-x"]), Some("./configure".into()));
        assert_eq!(
            of(&["/bin/sh", "../configure"]),
            Some("../configure".into())
        );
        assert_eq!(
            of(&["bash", "-e", "./configure", "a"]),
            Some("./configure".into())
        );
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn differences_are_named() {
        let parts = |all: &[(&str, &str, bool)]| {
            let mut parts = Parts::default();
            for (name, value, shown) in all {
                match shown {
                    true => parts.shown(name, *value),
                    false => parts.hidden(name, value.as_bytes()),
                }
            }
            parts.0
        };
        let then = parts(&[
            ("argument 1", "--a", true),
            ("variable CC", "gcc", false),
            ("gone", "x", true),
        ]);
        let now = parts(&[
            ("argument 1", "--b", true),
            ("variable CC", "clang", false),
            ("new", "y", true),
        ]);
        let told: Vec<String> = differences(&now, &then)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            [
                "argument 1: was \"--a\", is \"--b\"",
                "variable CC: is another",
                "new: is new: \"y\"",
                "gone: is gone \"x\"",
            ]
        );
        assert_eq!(differences(&now, &now), []);
    }
}
