//! Where the variables and functions of an environment were set.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::processor::environment::Environment;

/// Where something was last set, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// When the ebuild was sourced, at this place.
    Place {
        /// The ebuild or eclass.
        file: PathBuf,
        /// The line, from 1.
        line: u32,
    },
    /// In this phase, which has a short name.
    Phase(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Place { file, line } => write!(formatter, "{}:{line}", file.display()),
            Self::Phase(phase) => write!(formatter, "in the {phase} phase"),
        }
    }
}

/// The environments of a build in the order in which they came about, and what is known of the first.
#[derive(Debug, Default)]
pub struct History {
    sourced: Environment,
    variables: HashMap<String, Origin>,
    functions: HashMap<Vec<u8>, Origin>,
    phases: Vec<(String, Environment)>,
}

impl History {
    /// A history that begins with what sourcing the ebuild gave, with the trace of that (a line a
    /// command, as `PS4` of `fresh.bash` has it) and the places of functions (as `declare -F` with
    /// `extdebug` tells them). `real` gives the file that a sourced one is a copy of, if it is of the
    /// ebuild's at all.
    #[must_use]
    pub fn new(
        sourced: Environment,
        trace: &[u8],
        functions: &[u8],
        real: impl Fn(&Path) -> Option<PathBuf>,
    ) -> Self {
        let mut history = Self::default();
        for line in trace.split(|byte| *byte == b'\n') {
            let Some((place, command)) = traced(line) else {
                continue;
            };
            let Some(origin) = origin(place, &real) else {
                continue;
            };
            for name in assigned(command) {
                history.variables.insert(name, origin.clone());
            }
        }
        for line in functions.split(|byte| *byte == b'\n') {
            let mut words = line.splitn(3, |byte| *byte == b' ');
            let (Some(name), Some(line), Some(file)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let place = [file, b":", line].concat();
            if let Some(origin) = origin(&place, &real) {
                history.functions.insert(name.to_vec(), origin);
            }
        }
        history.sourced = sourced;
        history
    }

    /// Adds the environment as it was after a phase, or in it.
    pub fn add(&mut self, phase: &str, environment: Environment) {
        self.phases.push((phase.to_owned(), environment));
    }

    /// Where the variable got the value that it has in the last environment.
    #[must_use]
    pub fn of_variable(&self, name: &str) -> Option<Origin> {
        let value = |environment: &Environment| {
            let variable = environment.variable(name)?;
            Some(variable.value().map(|value| value.text().to_vec()))
        };
        match self.since(value) {
            Some(phase) => Some(Origin::Phase(phase.to_owned())),
            None => self.variables.get(name).cloned(),
        }
    }

    /// Where the function got the body that it has in the last environment.
    #[must_use]
    pub fn of_function(&self, name: &[u8]) -> Option<Origin> {
        let body =
            |environment: &Environment| environment.function(name).map(|it| it.body().to_vec());
        if let Some(phase) = self.since(body) {
            return Some(Origin::Phase(phase.to_owned()));
        }
        let own = self.functions.get(name);
        own.cloned().or_else(|| {
            // What EXPORT_FUNCTIONS makes only calls another, which is the one to look at.
            let body = self.sourced.function(name)?.body().to_vec();
            self.functions.get(called(&body)?).cloned()
        })
    }

    /// The phase since which something has been as it is; none if it was so when the ebuild was
    /// sourced.
    fn since<T: PartialEq>(&self, of: impl Fn(&Environment) -> T) -> Option<&str> {
        let last = of(&self.phases.last()?.1);
        let mut found = None;
        for (phase, environment) in self.phases.iter().rev() {
            if of(environment) != last {
                return found;
            }
            found = Some(phase.as_str());
        }
        match of(&self.sourced) == last {
            true => None,
            false => found,
        }
    }
}

/// The place and the command of a line of a trace.
fn traced(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let depth = line.iter().take_while(|byte| **byte == b'+').count();
    let rest = line.get(depth.max(1)..)?.strip_prefix(b"\x01")?;
    let end = rest.iter().position(|byte| *byte == 1)?;
    Some((rest.get(..end)?, rest.get(end + 1..)?))
}

/// The origin for FILE:LINE.
fn origin(place: &[u8], real: impl Fn(&Path) -> Option<PathBuf>) -> Option<Origin> {
    use std::os::unix::ffi::OsStrExt;
    let colon = place.iter().rposition(|byte| *byte == b':')?;
    let line = std::str::from_utf8(place.get(colon + 1..)?).ok()?;
    let file = Path::new(std::ffi::OsStr::from_bytes(place.get(..colon)?));
    Some(Origin::Place {
        file: real(file)?,
        line: line.parse().ok()?,
    })
}

/// The function that this body calls with all its arguments, if it does nothing else.
fn called(body: &[u8]) -> Option<&[u8]> {
    let body = body.trim_ascii().strip_prefix(b"{")?.strip_suffix(b"}")?;
    let name = body.trim_ascii().strip_suffix(b" \"$@\"")?;
    let is_word = !name
        .iter()
        .any(|byte| byte.is_ascii_whitespace() || *byte == b';');
    is_word.then_some(name)
}

/// The names of the variables that a command sets, as far as its words tell.
fn assigned(command: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(command);
    let command = text.strip_prefix("builtin ").unwrap_or(&text);
    if let Some(name) = assignment(command) {
        return vec![name.to_owned()];
    }
    let mut words = command.split(' ');
    let found: Vec<&str> = match words.next() {
        Some("declare" | "typeset" | "export" | "readonly") => words
            .filter_map(|word| assignment(word.trim_matches('\'')))
            .collect(),
        Some("printf") if words.next() == Some("-v") => words.next().into_iter().collect(),
        Some("read" | "mapfile" | "readarray") => words.next_back().into_iter().collect(),
        _ => Vec::new(),
    };
    let names = found.into_iter().filter(|name| !name.is_empty());
    names
        .filter(|name| identifier(name).1.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The variable of a word that assigns to it, or to one of its elements.
fn assignment(word: &str) -> Option<&str> {
    let (name, rest) = identifier(word);
    let rest = match rest.strip_prefix('[') {
        Some(subscript) => subscript.split_once(']')?.1,
        None => rest,
    };
    let assigns = rest.strip_prefix('+').unwrap_or(rest).starts_with('=');
    (assigns && !name.is_empty()).then_some(name)
}

/// The name that a text begins with, and the rest.
fn identifier(text: &str) -> (&str, &str) {
    let is_part = |(at, c): (usize, char)| match at {
        0 => c.is_ascii_alphabetic() || c == '_',
        _ => c.is_ascii_alphanumeric() || c == '_',
    };
    let end = text.char_indices().find(|part| !is_part(*part));
    text.split_at(end.map_or(text.len(), |(at, _)| at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_tell_what_they_set() {
        for (command, names) in [
            ("A=1", &["A"][..]),
            ("A+=(1 2)", &["A"]),
            ("A[3]=x", &["A"]),
            ("declare -gx B=1 C=2 D", &["B", "C"]),
            ("export 'E=a b'", &["E"]),
            ("builtin printf -v F %s x", &["F"]),
            ("read -r -d '' G", &["G"]),
            ("mapfile -t H", &["H"]),
            ("echo A=1", &[]),
            ("local I=1", &[]),
            ("inherit foo", &[]),
        ] {
            assert_eq!(assigned(command.as_bytes()), names, "{command}");
        }
    }

    #[test]
    fn what_a_phase_has_set_is_of_the_phase() {
        let parse = |text: &str| Environment::parse(text.as_bytes()).unwrap();
        let sourced = parse(
            "declare -- A=\"1\"\ndeclare -- B=\"1\"\nsrc_x () \n{ \n    e_src_x \"$@\"\n}\ne_src_x () \n{ \n    :\n}\n",
        );
        let trace =
            b"+\x01/copy:3\x01A=1\n++\x01/copy:4\x01B=1\nrest of a line\n+\x01/lib:1\x01C=1\n";
        let functions = b"e_src_x 7 /copy\nsrc_x 1 /lib\n";
        let real = |path: &Path| (path == Path::new("/copy")).then(|| PathBuf::from("/real"));
        let mut history = History::new(sourced.clone(), trace, functions, real);
        let place = |line| {
            let file = "/real".into();
            Some(Origin::Place { file, line })
        };
        assert_eq!(history.of_variable("A"), place(3));
        assert_eq!(history.of_function(b"src_x"), place(7));
        history.add("setup", sourced.clone());
        history.add(
            "compile",
            parse("declare -- A=\"2\"\ndeclare -- B=\"1\"\ndeclare -- N=\"1\"\n"),
        );
        history.add(
            "install",
            parse("declare -- A=\"2\"\ndeclare -- B=\"1\"\ndeclare -- N=\"1\"\n"),
        );
        let phase = |name: &str| Some(Origin::Phase(name.into()));
        assert_eq!(history.of_variable("A"), phase("compile"));
        assert_eq!(history.of_variable("N"), phase("compile"));
        assert_eq!(history.of_variable("B"), place(4));
        assert_eq!(history.of_variable("C"), None);
    }
}
