//! A configure script that asks, and who answers it.
//!
//! The shell that runs the script evaluates `start`, which defines two functions and then the script that asks
//! (`checks`). `__ebd_ask NUMBER COUNT ARGUMENT… VALUE…` writes to the pipe `up` and reads a line from `down`: `h` if the
//! file `answer` is to be evaluated, `m` if the check is to be made and told of with `__ebd_tell NUMBER`, `n` if it is
//! only to be made. A message is the number of its fields and the fields, each with a NUL behind it. No descriptor
//! stays open between two messages, as checks would see it.

mod found;
mod shell;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::libc;
use sandbox::Trace;
use serde::{Deserialize, Serialize};

use self::shell::{Messages, exported, quoted, start_text, variables};
use super::answers::{Answers, Given, Hit, Lesson, Miss, Question, near_texts};
use super::call::Call;
use super::checks::{Asking, Check, Script, named_in};
use super::defines::{Names, Nature, nature};
use super::facts::{self, Fact, Sum, sum};
use super::learn::Answered;
use super::places::{Place, Places, Temporary};
use super::printed::Printed;
use super::questions::{self, Looker};

/// Changes when answers of before must not be taken for ones of now.
const VERSION: &[u8] = b"1";

/// What ends the answering when it is written to [`Server::end`].
pub(super) const END: &[u8] = b"1\0end\0";

/// Variables of shells that change by themselves, or that only this program has set.
const OWN: [&str; 17] = [
    "_",
    "LINENO",
    "as_lineno",
    "as_lineno_stack",
    "ac_try_echo",
    "RANDOM",
    "SRANDOM",
    "SECONDS",
    "EPOCHSECONDS",
    "EPOCHREALTIME",
    "OLDPWD",
    "PIPESTATUS",
    "FUNCNAME",
    "BASH_LINENO",
    "BASH_SOURCE",
    "BASH_ARGC",
    "BASH_ARGV",
];

/// Checks whose answers are about the moment or the folder, not about the system.
const NEVER: [&str; 2] = [
    "am_cv_filesystem_timestamp_resolution",
    "am_cv_build_env_sane",
];

/// What became of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// The answer was known; how long it had taken, in microseconds.
    Known(u64),
    /// It was not, and is now: why it was not.
    Learned(String),
    /// It was not, and is not: why it was not, and why it could not be learned.
    Unlearned(String, String),
    /// It was known, and found once more.
    Verified,
    /// It was known to be something else.
    Differed {
        /// What was known, as a shell's assignments.
        known: String,
        /// What was found.
        found: String,
    },
}

/// A check that was asked, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The variable that has its answer.
    pub variable: String,
    /// What became of it.
    pub told: Told,
}

/// Gives what was traced since the last time, none if that was lost.
pub(super) type Take<'a> = &'a (dyn Fn() -> Option<Trace> + Sync);

/// Everything that a run that asked needs.
pub(super) struct Server<'a> {
    folder: tempfile::TempDir,
    up: fs::File,
    down: fs::File,
    script: Script,
    text: Vec<u8>,
    base: Vec<Given>,
    base_sum: Sum,
    directory: PathBuf,
    answers: Answers,
    /// What shell runs it: how it calls itself.
    shell: Vec<u8>,
    shell_facts: Vec<Fact>,
    /// The names in the texts of checks.
    names: HashMap<usize, Names>,
    learning: Option<Learning>,
    temporary: &'a Temporary,
    printed: &'a Printed,
    verify: bool,
    /// All that was traced up to now.
    trace: Trace,
    /// Whether a trace was lost.
    lost: bool,
    answered: Answered,
    outcomes: Vec<Asked>,
}

/// What a script asks.
struct Request {
    number: usize,
    arguments: Vec<Vec<u8>>,
    values: Vec<Vec<u8>>,
}

/// A check that is being made.
struct Learning {
    number: usize,
    variable: String,
    key: Sum,
    given: Vec<Given>,
    own: Option<Names>,
    defines: Vec<u8>,
    path: Vec<u8>,
    printed: usize,
    /// What was in the folder.
    present: HashSet<OsString>,
    why: Miss,
    /// What it must do, if that is known.
    expected: Option<Vec<u8>>,
    begin: Instant,
}

/// What is left of a run that asked.
pub(super) struct Asks {
    pub(super) trace: Trace,
    pub(super) lost: bool,
    pub(super) answered: Answered,
    pub(super) outcomes: Vec<Asked>,
    pub(super) answers: Answers,
}

/// The words that run a script which asks.
pub(super) fn words(call: &Call, start: &str) -> Option<Vec<OsString>> {
    let (mut words, rest) = call.shell()?;
    words.push("-c".into());
    words.push(format!(". {start}").into());
    words.extend(rest);
    Some(words)
}

impl<'a> Server<'a> {
    /// Makes the script of a call ask, if it is one that can. The answers are read here.
    pub(super) fn new(
        call: &Call,
        answers: Answers,
        temporary: &'a Temporary,
        printed: &'a Printed,
        verify: bool,
    ) -> Option<Self> {
        let folder = tempfile::Builder::new()
            .prefix("ebd-asks-")
            .tempdir()
            .ok()?;
        let start = quoted(&folder.path().join("start"))?;
        let environment: Vec<String> = std::env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok())
            .collect();
        let text = call.text().to_vec();
        let asking = Asking {
            start: &start,
            environment: &environment,
        };
        let script = Script::of(&text, &asking).ok()?;
        if script.checks.is_empty() {
            return None;
        }
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).ok()?;
            // With both ends here it neither waits for anybody nor ever ends.
            let mut options = fs::File::options();
            options.read(true).write(true).custom_flags(libc::O_CLOEXEC);
            options.open(&path).ok()
        };
        let (up, down) = (pipe("up")?, pipe("down")?);
        fs::write(folder.path().join("script"), &script.asking).ok()?;
        fs::write(folder.path().join("start"), start_text(folder.path())?).ok()?;
        let mut all = VERSION.to_vec();
        for (name, sum) in call.base() {
            all.extend_from_slice(name.as_bytes());
            all.push(0);
            all.extend_from_slice(sum);
        }
        Some(Self {
            base: call
                .base()
                .map(|(name, sum)| Given::new(name, sum))
                .collect(),
            base_sum: sum(&all),
            directory: call.directory().to_owned(),
            folder,
            up,
            down,
            script,
            text,
            answers,
            shell: Vec::new(),
            shell_facts: Vec::new(),
            names: HashMap::new(),
            learning: None,
            temporary,
            printed,
            verify,
            trace: Trace::default(),
            lost: false,
            answered: Answered::default(),
            outcomes: Vec::new(),
        })
    }

    /// The file that a shell is to evaluate, quoted.
    pub(super) fn start(&self) -> Option<String> {
        quoted(&self.folder.path().join("start"))
    }

    /// What ends the answering when it is written to.
    pub(super) fn end(&self) -> io::Result<fs::File> {
        self.up.try_clone()
    }

    /// Answers until it is told that the run has ended. `take` gives what was traced since the last time.
    pub(super) fn serve(mut self, looker: &mut Looker<'_>, take: Take<'_>) -> Asks {
        let mut messages = Messages::default();
        while let Some(fields) = messages.next(&mut self.up) {
            let reply: &[u8] = match fields.first().map(Vec::as_slice) {
                Some(b"shell") => {
                    self.greet(&fields, looker);
                    continue;
                }
                Some(b"ask") => self.ask(&fields, looker, take),
                Some(b"tell") => {
                    self.tell(&fields, looker, take);
                    b"t\n"
                }
                _ => break,
            };
            if self.down.write_all(reply).is_err() {
                break;
            }
        }
        Asks {
            trace: self.trace,
            lost: self.lost,
            answered: self.answered,
            outcomes: self.outcomes,
            answers: self.answers,
        }
    }

    /// A shell begins to run the script.
    fn greet(&mut self, fields: &[Vec<u8>], looker: &mut Looker<'_>) {
        self.learning = None;
        self.shell.clear();
        self.shell_facts.clear();
        let pid = fields
            .get(1)
            .and_then(|field| std::str::from_utf8(field).ok());
        let program = pid
            .filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|pid| fs::read_link(format!("/proc/{pid}/exe")).ok());
        let Some(program) = program else {
            return;
        };
        let asked = questions::Question {
            asked: facts::Asked {
                content: true,
                ..facts::Asked::default()
            },
            ..questions::Question::default()
        };
        if let Ok(Some(fact)) = looker.outside(&program, asked, None) {
            self.shell_facts.push(fact);
            self.shell = program.as_os_str().as_bytes().to_vec();
            self.shell.push(0);
            self.shell
                .extend_from_slice(fields.get(2).map_or(b"", Vec::as_slice));
        }
    }

    fn trace_until_now(&mut self, take: Take<'_>) -> Option<Trace> {
        let taken = take();
        match &taken {
            Some(taken) => self.trace.extend(taken),
            None => self.lost = true,
        }
        taken
    }

    fn ask(
        &mut self,
        fields: &[Vec<u8>],
        looker: &mut Looker<'_>,
        take: Take<'_>,
    ) -> &'static [u8] {
        let Some(Request {
            number,
            arguments,
            values,
        }) = self.asked(fields)
        else {
            return b"n\n";
        };
        let Some(check) = self.script.checks.get(number).cloned() else {
            return b"n\n";
        };
        let variable = variable(&check, &arguments);
        if self.shell.is_empty() || NEVER.contains(&variable.as_str()) {
            return b"n\n";
        }
        if let Some(name) = unknown(&check, &values) {
            self.outcomes.push(Asked {
                variable,
                told: Told::Unlearned(
                    "it was not looked for".to_owned(),
                    format!("a value names {name}, which the check was not known to use"),
                ),
            });
            return b"n\n";
        }
        let exports = fs::read(self.folder.path().join("exports")).unwrap_or_default();
        let Some(exports) = exported(&exports) else {
            return b"n\n";
        };
        let exports = exports.iter().filter(|(name, _)| {
            !matches!(name.as_str(), "PWD" | "OLDPWD")
                && !looker.rules().ignores_variable(name.as_ref())
        });
        let (given, key) = self.given(&check, &arguments, &values, exports);
        let defines = fs::read(self.directory.join("confdefs.h")).unwrap_or_default();
        let own = self.own(number, &check, &arguments, &values);
        let question = Question {
            key,
            variable: &variable,
            given: &given,
            directory: &self.directory,
            defines: &defines,
            own: own.as_ref(),
        };
        let found = self.answers.find(&question, looker.rules());
        let (found, expected) = match found {
            Ok(hit) if self.verify => (Err(Miss::Verified), Some(hit.code)),
            found => (found, None),
        };
        match found {
            Ok(hit) if fs::write(self.folder.path().join("answer"), &hit.code).is_ok() => {
                self.outcomes.push(Asked {
                    variable,
                    told: Told::Known(hit.took),
                });
                self.depend(hit);
                b"h\n"
            }
            Ok(_) => b"n\n",
            Err(why) => {
                let path = value(&check, &values, "PATH").unwrap_or_default().to_vec();
                self.trace_until_now(take);
                self.learning = Some(Learning {
                    number,
                    variable,
                    key,
                    given,
                    own,
                    defines,
                    path,
                    printed: self.printed.count(),
                    present: names_in(&self.directory),
                    why,
                    expected,
                    begin: Instant::now(),
                });
                b"m\n"
            }
        }
    }

    /// The check that a message is about, its arguments, and the values that it may depend on.
    fn asked(&self, fields: &[Vec<u8>]) -> Option<Request> {
        let number: usize = std::str::from_utf8(fields.get(1)?).ok()?.parse().ok()?;
        let count: usize = std::str::from_utf8(fields.get(2)?).ok()?.parse().ok()?;
        let arguments = fields.get(3..3 + count)?.to_vec();
        let values = fields.get(3 + count..)?.to_vec();
        let check = self.script.checks.get(number)?;
        (values.len() == check.inputs.len()).then_some(Request {
            number,
            arguments,
            values,
        })
    }

    /// All that the check was given, for people and as a sum.
    fn given<'e>(
        &self,
        check: &Check,
        arguments: &[Vec<u8>],
        values: &[Vec<u8>],
        exports: impl Iterator<Item = (&'e String, &'e Vec<u8>)>,
    ) -> (Vec<Given>, Sum) {
        let mut given = self.base.clone();
        let mut all = self.base_sum.to_vec();
        let mut add = |name: &str, value: &[u8]| {
            given.push(Given::new(name, value));
            all.extend_from_slice(&name.len().to_le_bytes());
            all.extend_from_slice(name.as_bytes());
            all.extend_from_slice(&value.len().to_le_bytes());
            all.extend_from_slice(value);
        };
        add("the text of the check", &check.sum);
        add("the shell", &self.shell);
        // The first is a line number.
        for (at, argument) in arguments.iter().enumerate().skip(1) {
            add(&format!("argument {}", at + 1), argument);
        }
        // Which variables are not set is the same wherever they are not mentioned.
        let set = check
            .inputs
            .iter()
            .zip(values)
            .filter(|(_, value)| !value.is_empty());
        for (name, value) in set {
            add(name, value);
        }
        for (name, value) in exports {
            add(&format!("variable {name}"), value);
        }
        if check.sees_directory {
            add("the folder", self.directory.as_os_str().as_bytes());
        }
        (given, sum(&all))
    }

    /// The names that the check itself mentions; none if all definitions count.
    fn own(
        &mut self,
        number: usize,
        check: &Check,
        arguments: &[Vec<u8>],
        values: &[Vec<u8>],
    ) -> Option<Names> {
        let values = values
            .iter()
            .map(|value| value.strip_prefix(b"y").unwrap_or(value));
        let given = || arguments.iter().map(Vec::as_slice).chain(values.clone());
        if check.reads_defines || given().any(minds_definitions) {
            return None;
        }
        let text = &self.text;
        let names = self.names.entry(number).or_insert_with(|| {
            let mut names = Names::default();
            for part in &check.texts {
                names.add(text.get(part.clone()).unwrap_or_default());
            }
            names
        });
        let mut names = names.clone();
        for value in given() {
            names.add(value);
        }
        Some(names)
    }

    /// Notes what an answer that was used depends on.
    fn depend(&mut self, hit: Hit) {
        for fact in hit.facts {
            let known = self.answered.outside.entry(fact.path.clone()).or_default();
            if !known.contains(&fact) {
                known.push(fact);
            }
        }
        let mut places = Places::new(&self.directory);
        for fact in hit.local {
            let fact = fact.below(&self.directory);
            match places.of(fact.path()) {
                Place::Inside(name) => {
                    let known = self.answered.inside.entry(name).or_default();
                    *known = known.and(fact.asked);
                }
                Place::Outside(_) => {
                    let known = self.answered.outside.entry(fact.path.clone()).or_default();
                    if !known.contains(&fact) {
                        known.push(fact);
                    }
                }
            }
        }
    }

    fn tell(&mut self, fields: &[Vec<u8>], looker: &mut Looker<'_>, take: Take<'_>) {
        let trace = self.trace_until_now(take);
        let Some(learning) = self.learning.take() else {
            return;
        };
        let told = fields
            .get(1)
            .and_then(|field| std::str::from_utf8(field).ok());
        if told.and_then(|told| told.parse().ok()) != Some(learning.number) {
            return;
        }
        let (variable, why) = (learning.variable.clone(), learning.why.to_string());
        let told = match self.learn(learning, trace, looker) {
            Ok(told) => told,
            Err(reason) => Told::Unlearned(why, reason),
        };
        self.outcomes.push(Asked { variable, told });
    }

    fn learn(
        &mut self,
        learning: Learning,
        trace: Option<Trace>,
        looker: &mut Looker<'_>,
    ) -> Result<Told, String> {
        let took = learning.begin.elapsed();
        let trace = trace.ok_or("its trace was lost")?;
        if let Some(reason) = trace.escapes().next() {
            return Err(format!("its trace is not complete: {reason}"));
        }
        if self.printed.count() != learning.printed {
            return Err("it printed something".to_owned());
        }
        let defines = fs::read(self.directory.join("confdefs.h")).unwrap_or_default();
        if defines != learning.defines {
            return Err("it changed confdefs.h".to_owned());
        }
        let check = self
            .script
            .checks
            .get(learning.number)
            .ok_or("there is no such check")?;
        let code = self.code(check)?;
        if let Some(expected) = &learning.expected {
            let text = |code: &[u8]| String::from_utf8_lossy(code).into_owned();
            return Ok(match *expected == code {
                true => Told::Verified,
                false => Told::Differed {
                    known: text(expected),
                    found: text(&code),
                },
            });
        }
        let why = learning.why.to_string();
        let (found, local) = self.found(check, &trace, &learning, looker)?;
        let mut texts: Vec<PathBuf> = Vec::new();
        if learning.own.is_some() {
            for fact in found.iter().chain(&local).filter(|fact| fact.asked.content) {
                match nature(&self.directory.join(fact.path())) {
                    Nature::Text if fact.path().is_absolute() => texts.push(fact.path().to_owned()),
                    Nature::Text | Nature::Data => {}
                    Nature::Compiled => return Err("it used a compiled header".to_owned()),
                }
            }
            texts.sort();
            texts.extend(near_texts(&local));
        }
        let question = Question {
            key: learning.key,
            variable: &learning.variable,
            given: &learning.given,
            directory: &self.directory,
            defines: &learning.defines,
            own: learning.own.as_ref(),
        };
        let defines = self
            .answers
            .defines(&question, &texts)
            .ok_or("a file that it read cannot be looked through")?;
        self.answers.learn(Lesson {
            key: learning.key,
            variable: learning.variable.clone(),
            given: learning.given,
            facts: found,
            local,
            texts,
            defines,
            code,
            took: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        });
        Ok(Told::Learned(why))
    }

    /// What makes another shell have the variables that this one has behind a check.
    fn code(&self, check: &Check) -> Result<Vec<u8>, String> {
        let read = |name: &str| {
            let text = fs::read(self.folder.path().join(name)).unwrap_or_default();
            variables(&text).ok_or_else(|| "the shell's variables could not be read".to_owned())
        };
        let (before, after) = (read("before")?, read("after")?);
        let is_own = |name: &str| OWN.contains(&name) || name.starts_with("__ebd_");
        let mut names: BTreeSet<&str> = check.outputs.iter().map(String::as_str).collect();
        names.extend(
            before
                .iter()
                .filter(|(name, value)| after.get(*name) != Some(value))
                .map(|(name, _)| name.as_str()),
        );
        names.extend(
            after
                .keys()
                .filter(|name| !before.contains_key(*name))
                .map(String::as_str),
        );
        let mut code = Vec::new();
        for name in names.into_iter().filter(|name| !is_own(name)) {
            if matches!(name, "PWD" | "PATH" | "OPTIND" | "SHELLOPTS" | "BASHOPTS") {
                return Err(format!("it changed {name}"));
            }
            match (after.get(name), before.get(name)) {
                (Some(value), _) => {
                    code.extend_from_slice(name.as_bytes());
                    code.push(b'=');
                    code.extend_from_slice(value);
                    code.push(b'\n');
                }
                (None, Some(_)) => code.extend_from_slice(format!("unset {name}\n").as_bytes()),
                (None, None) => {}
            }
        }
        Ok(code)
    }
}

/// The names in a folder.
fn names_in(folder: &Path) -> HashSet<OsString> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

/// The variable that has the answer to a check.
fn variable(check: &Check, arguments: &[Vec<u8>]) -> String {
    let position = check
        .variable
        .strip_prefix('$')
        .and_then(|number| number.trim_matches(['{', '}']).parse::<usize>().ok());
    match position.and_then(|at| arguments.get(at.checked_sub(1)?)) {
        Some(name) => String::from_utf8_lossy(name).into_owned(),
        None => check.variable.clone(),
    }
}

/// The value of an input, without the mark that it is set.
fn value<'v>(check: &Check, values: &'v [Vec<u8>], name: &str) -> Option<&'v [u8]> {
    let at = check.inputs.iter().position(|input| input == name)?;
    values.get(at)?.strip_prefix(b"y")
}

/// A variable that a value names, and that is none of those that were asked for.
fn unknown(check: &Check, values: &[Vec<u8>]) -> Option<String> {
    for (input, value) in check.inputs.iter().zip(values) {
        // What these hold is data.
        if matches!(input.as_str(), "PATH" | "IFS" | "as_nl") {
            continue;
        }
        for name in named_in(value) {
            let known = check.inputs.iter().any(|input| input.as_bytes() == name);
            let is_set = check.outputs.iter().any(|output| output.as_bytes() == name);
            if !known && !is_set {
                return Some(String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    None
}

/// Whether a compiler is told to complain of definitions that a program does not use.
fn minds_definitions(value: &[u8]) -> bool {
    const HARMLESS: [&[u8]; 9] = [
        b"-Wl,",
        b"-Wa,",
        b"-Wno-",
        b"-Wall",
        b"-Wextra",
        b"-Werror",
        b"-Wformat",
        b"-Wp,-D",
        b"-Wp,-U",
    ];
    value
        .split(u8::is_ascii_whitespace)
        .filter(|word| word.starts_with(b"-W"))
        .any(|word| !HARMLESS.iter().any(|harmless| word.starts_with(harmless)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_about_definitions_are_known() {
        for harmless in ["-Wall -O2", "-O2 -Wl,-O1", "-Wno-x -Werror=format"] {
            assert!(!minds_definitions(harmless.as_bytes()), "{harmless}");
        }
        for other in ["-Wunused-macros", "-O2 -Weverything", "-Wp,-MD,x"] {
            assert!(minds_definitions(other.as_bytes()), "{other}");
        }
    }
}
