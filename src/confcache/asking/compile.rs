//! Compilers: what they are asked to do, and what is learned of them.
//!
//! Scripts of different packages, and of different versions of autoconf, ask the same in different words, but the
//! programs that they have compiled are often the same. What counts is the command, the environment, the program
//! without the definitions that it does not use, and what the compiler found.

mod command;
mod moved;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::Instant;

use sandbox::Trace;
use serde::{Deserialize, Serialize};

use self::command::{has_read_unseen, has_run, is_the_shells, reads_unseen};
use self::moved::{Moved, nameless, names_outside_debug};
use super::super::answers::{Bound, Hit, Lesson, Made, Question, Source, near_texts};
use super::super::comments::without_comments;
use super::super::defines::{Names, Says};
use super::super::facts::{Fact, Sum, sum};
use super::super::questions::Looker;
use super::check::lines_of;
use super::found::Looked;
use super::{Asked, HIT, LEARN, NO, Server, Take, Told, minds_definitions, names_in};
use crate::processor::library::quote;

/// The largest file that a compiler may read from or leave in the folder, in bytes.
const LARGE: u64 = 4 << 20;

/// The longest text that it may print, in bytes.
const LONG: u64 = 512 << 10;

/// What stands before the definitions in programs of old versions of autoconf.
const OLD_BEGIN: &[u8] = b"/* confdefs.h.  */\n";

/// A compiler that runs.
pub(super) struct Compiling {
    command: String,
    /// The first word of it.
    program: Vec<u8>,
    key: Sum,
    defines: Vec<u8>,
    names: Names,
    /// Whether all definitions count.
    minds: bool,
    lines: u32,
    /// Whether it matters where in the text the program stands.
    to_lines: bool,
    /// Whether the folder is named in what it was given.
    names_folder: bool,
    /// The files in the folder that are part of the key.
    inputs: HashSet<PathBuf>,
    path: Vec<u8>,
    /// What was in the folder.
    present: HashSet<OsString>,
    /// What it must do, if that is known.
    expected: Option<Hit>,
    begin: Instant,
}

/// What it was asked to do.
struct Wanted {
    key: Sum,
    names: Names,
    /// Whether all definitions count.
    minds: bool,
    lines: u32,
    to_lines: bool,
    names_folder: bool,
    inputs: HashSet<PathBuf>,
    /// The program's own text.
    text: Vec<u8>,
}

/// What a check depends on that has a compiler run.
struct Part {
    source: Source,
    /// What it found near it.
    local: Vec<Fact>,
    made: Vec<Made>,
    /// Whether what it made may tell at which line its program stood. What it printed does as a preprocessor, which is
    /// searched for words.
    to_lines: bool,
}

/// What it printed, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ended {
    status: u8,
    output: Vec<u8>,
    error: Vec<u8>,
}

impl Server<'_> {
    pub(super) fn run(
        &mut self,
        fields: &[Vec<u8>],
        looker: &mut Looker<'_>,
        take: Take<'_>,
    ) -> &'static str {
        let (Some(place), Some(words)) = (fields.get(1), fields.get(2..)) else {
            return NO;
        };
        // Whoever is behind a pipe from another compiler is not asked for.
        if self.at.shell.is_empty() || words.is_empty() || self.at.compiling.is_some() {
            return NO;
        }
        // What it prints comes before its messages if it is asked for.
        if self.at.merges {
            return NO;
        }
        let Some(inherited) = self.inherited(looker).filter(|_| self.is_here(place)) else {
            return NO;
        };
        let exports = inherited.variables;
        let defines = fs::read(self.at.directory.join("confdefs.h")).unwrap_or_default();
        let mut all = self.base_sum.to_vec();
        add(&mut all, &inherited.umask);
        for (name, value) in &exports {
            add(&mut all, name.as_bytes());
            add(&mut all, &self.placeless(value));
        }
        let Some(wanted) = self.wanted(words, &defines, all) else {
            return NO;
        };
        if let Some(learning) = &mut self.at.learning {
            learning.compiles(&wanted.text);
        }
        let question = Question {
            key: wanted.key,
            variable: "",
            given: &[],
            directory: &self.at.directory,
            build: self.build.as_deref(),
            defines: &defines,
            own: (!wanted.minds).then_some(&wanted.names),
            lines: wanted.lines,
        };
        let begin = Instant::now();
        let found = self.answers.find(&question, looker.rules());
        self.compiled.looked_up_since(begin);
        let expected = match found {
            Ok(hit) if self.verify => Some(hit),
            Ok(hit) => match self.put(&hit, wanted.lines) {
                Some(()) => {
                    self.compiled.known += 1;
                    self.compiled.saved += hit.took;
                    self.depend(hit.source, &hit.local);
                    for made in &hit.made {
                        self.makes(made.path());
                    }
                    self.within_check(Part {
                        source: hit.source,
                        local: hit.local,
                        made: hit.made,
                        to_lines: hit.bound.says_line,
                    });
                    return HIT;
                }
                None => return NO,
            },
            Err(_) => None,
        };
        // Here what was exported is a string of a shell, but paths have nothing in them that is quoted.
        let path = exports.get("PATH").cloned().unwrap_or_default();
        let path = path
            .iter()
            .filter(|byte| !matches!(byte, b'\'' | b'"'))
            .copied()
            .collect();
        if let (Some(before), Some(learning)) = (self.trace_until_now(take), &mut self.at.learning)
        {
            learning.trace.extend(&before);
        } else if let (true, Some(learning)) = (self.lost, &mut self.at.learning) {
            learning.lost = true;
        }
        self.at.compiling = Some(Compiling {
            command: command(words),
            program: words.first().cloned().unwrap_or_default(),
            key: wanted.key,
            defines,
            names: wanted.names,
            minds: wanted.minds,
            lines: wanted.lines,
            to_lines: wanted.to_lines,
            names_folder: wanted.names_folder,
            inputs: wanted.inputs,
            path,
            present: names_in(&self.at.directory),
            expected,
            begin: Instant::now(),
        });
        LEARN
    }

    /// What a command asks for; none if that cannot be known. `all` is what it depends on besides.
    fn wanted(&self, words: &[Vec<u8>], defines: &[u8], mut all: Vec<u8>) -> Option<Wanted> {
        let first = words.first()?;
        // A function is no program, and what it does is in no word. What a file has brought that was sourced just now
        // has not been told yet.
        let foreign = self.at.functions.as_ref();
        if is_the_shells(&self.at.text, first)
            || foreign.is_some_and(|all| all.called([&**first].into_iter()).next().is_some())
            || self.of_script("functions-before").exists()
        {
            return None;
        }
        add(&mut all, b"compile");
        let mut names = Names::default();
        let mut minds = false;
        let (mut lines, mut to_lines) = (0, false);
        let mut inputs = HashSet::new();
        let mut whole = Vec::new();
        for word in words {
            // It reads what nobody knows.
            if reads_unseen(word) {
                return None;
            }
            add(&mut all, word);
            names.add(word);
            minds |= minds_definitions(word);
            let says = Says::of(word);
            if says.time {
                return None;
            }
            to_lines |= says.line;
            let name = Path::new(OsStr::from_bytes(word));
            let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
            if word.starts_with(b"-") || !name.components().all(plain) {
                continue;
            }
            let path = self.at.directory.join(name);
            let Ok(metadata) = path.symlink_metadata() else {
                continue;
            };
            if !metadata.is_file() || metadata.len() > LARGE {
                return None;
            }
            let content = fs::read(&path).ok()?;
            let content = content.strip_prefix(OLD_BEGIN).unwrap_or(&content);
            let own = content
                .strip_prefix(defines)
                .filter(|_| !defines.is_empty());
            if let Some(own) = own {
                lines = lines_of(defines);
                add(&mut all, b"behind definitions");
                add(&mut all, own);
            } else {
                add(&mut all, content);
            }
            let text = without_comments(own.unwrap_or(content));
            let says = Says::of(&text);
            if says.time {
                return None;
            }
            let has = |name: &[u8]| text.windows(name.len()).any(|window| window == name);
            to_lines |= says.line || has(b"assert") || has(b"source_location");
            names.add(&text);
            whole.extend_from_slice(&text);
            whole.push(b'\n');
            inputs.insert(
                name.components()
                    .filter(|part| *part != Component::CurDir)
                    .collect(),
            );
        }
        // Without a program it may read what is open already.
        if inputs.is_empty() {
            return None;
        }
        Some(Wanted {
            key: sum(&all),
            names,
            minds,
            lines,
            to_lines,
            names_folder: self.names_folder(&all),
            inputs,
            text: whole,
        })
    }

    /// Does what a compiler would do; none if that cannot be.
    fn put(&self, hit: &Hit, lines: u32) -> Option<()> {
        let ended: Ended = postcard::from_bytes(&hit.code).ok()?;
        let now = Bound {
            lines,
            ..Bound::at(&self.at.directory, self.build.as_deref())
        };
        let moved = Moved {
            then: &hit.bound,
            now: &now,
        };
        let mut answer = Vec::new();
        say(&mut answer, &ended.output, b"\n");
        say(&mut answer, &moved.text(&ended.error), b" >&2\n");
        answer.extend(format!("return {}\n", ended.status).into_bytes());
        // Whatever a file with answers says, nothing is made elsewhere.
        let is_here = |made: &Made| {
            let mut parts = made.path().components();
            !made.name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_)))
        };
        if !hit.made.iter().all(is_here) {
            return None;
        }
        for made in &hit.made {
            let path = self.at.directory.join(made.path());
            // Nor behind a link.
            let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
            if parent.is_none_or(|parent| !parent.starts_with(&self.at.directory)) {
                return None;
            }
            match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => return None,
                Ok(_) => fs::remove_file(&path).ok()?,
                Err(_) => {}
            }
            fs::write(&path, &made.content).ok()?;
            fs::set_permissions(&path, fs::Permissions::from_mode(made.mode & 0o777)).ok()?;
        }
        fs::write(self.of_script("answer"), answer).ok()
    }

    /// Notes that the check which is being made depends on what a compiler did.
    fn within_check(&mut self, part: Part) {
        let Some(learning) = &mut self.at.learning else {
            return;
        };
        learning.sources.insert(part.source);
        learning.local.extend(part.local);
        learning.says.line |= part.to_lines;
        let made = part.made.iter().map(Made::path).map(Path::to_owned);
        learning.made.extend(made);
    }

    pub(super) fn ran(&mut self, fields: &[Vec<u8>], looker: &mut Looker<'_>, take: Take<'_>) {
        let trace = self.trace_until_now(take);
        let Some(compiling) = self.at.compiling.take() else {
            return;
        };
        let status = fields
            .get(1)
            .and_then(|field| std::str::from_utf8(field).ok());
        let status = status.and_then(|status| status.parse().ok());
        let learned = match &trace {
            Some(trace) => self.learn_compiled(compiling, status, trace, looker),
            None => Err("its trace was lost".to_owned()),
        };
        match (learned, &mut self.at.learning) {
            (Ok(Some(part)), _) => {
                self.compiled.learned += 1;
                self.within_check(part);
            }
            (learned, learning) => {
                if learned.is_err() {
                    self.compiled.unlearned += 1;
                }
                match (learning, trace) {
                    (Some(learning), Some(trace)) => learning.trace.extend(&trace),
                    (Some(learning), None) => learning.lost = true,
                    (None, _) => {}
                }
            }
        }
    }

    /// Learns what a compiler did; none if that was known.
    fn learn_compiled(
        &mut self,
        compiling: Compiling,
        status: Option<u8>,
        trace: &Trace,
        looker: &mut Looker<'_>,
    ) -> Result<Option<Part>, String> {
        let took = compiling.begin.elapsed();
        if let Some(reason) = trace.escapes().next() {
            return Err(format!("its trace is not complete: {reason}"));
        }
        if !has_run(trace, &compiling.program) {
            return Err("it is no program".to_owned());
        }
        if has_read_unseen(trace) {
            return Err("it read what was open already".to_owned());
        }
        // What a shell says of programs that it cannot run, and of those that were killed.
        let status = status
            .filter(|status| *status < 126)
            .ok_or("it was not run to its end")?;
        let printed = |name: &str| {
            let text = read_small(&self.of_script(name), LONG)?;
            (!text.contains(&0)).then_some(text)
        };
        let (Some(output), Some(error)) = (printed("out"), printed("err")) else {
            return Err("what it printed is no text, or too long".to_owned());
        };
        let Looked {
            found,
            mut local,
            inside,
            by_another_name,
        } = self.looked(trace, &compiling.path, looker)?;
        let mut made = Vec::new();
        for (name, (question, changed)) in inside {
            let path = self.at.directory.join(&name);
            let Some(Component::Normal(first)) = name.components().next() else {
                if question.asked.names {
                    return Err("it listed the folder".to_owned());
                }
                continue;
            };
            if !changed
                && (compiling.inputs.contains(&name)
                    || first == "confdefs.h"
                    || first == "config.log")
            {
                continue;
            }
            let was_there = compiling.present.contains(first);
            let is_there = path.symlink_metadata().is_ok();
            match (changed, was_there, is_there) {
                (true, false, false) => {}
                (true, _, true) if !compiling.inputs.contains(&name) => {
                    made.push(Made::read(&path, &name).ok_or("what it made cannot be kept")?);
                }
                (true, ..) => return Err(format!("it changed {}", name.display())),
                (false, false, true) => return Err(format!("{} came", name.display())),
                (false, ..) => local.push(self.near(&name, question.asked, looker)),
            }
        }
        let mut texts = self.texts(found.iter().chain(&local))?;
        texts.extend(near_texts(&local));
        let by_name: &[PathBuf] = if compiling.minds { &[] } else { &texts };
        self.reads_nothing_unasked(trace, by_name)?;
        let question = Question {
            key: compiling.key,
            variable: "",
            given: &[],
            directory: &self.at.directory,
            build: self.build.as_deref(),
            defines: &compiling.defines,
            own: (!compiling.minds).then_some(&compiling.names),
            lines: compiling.lines,
        };
        let says = self
            .answers
            .says(&question, &compiling.names, &texts)
            .ok_or("a file that it read cannot be looked through")?;
        if says.time {
            return Err("it tells when it was compiled".to_owned());
        }
        let bound = Bound::at(&self.at.directory, self.build.as_deref());
        let has_inside = |name: &[u8]| {
            let mut all = made.iter();
            !name.is_empty() && all.any(|made| names_outside_debug(&made.content, name))
        };
        let bound = Bound {
            lines: compiling.lines,
            to_folder: compiling.names_folder
                || by_another_name
                || self.tells_place(&output)
                || has_inside(&bound.folder),
            to_lines: compiling.to_lines || says.line || !output.is_empty(),
            says_line: compiling.to_lines || says.line,
            to_build: self.names_build(&output) || has_inside(&bound.build),
            ..bound
        };
        let ended = Ended {
            status,
            output,
            error,
        };
        if let Some(expected) = compiling.expected {
            self.compare(&compiling.command, &expected, &ended, &made, &bound);
            return Ok(None);
        }
        let defines = self
            .answers
            .defines(&question, &texts)
            .ok_or("a file that it read cannot be looked through")?;
        let code = postcard::to_stdvec(&ended).map_err(|error| error.to_string())?;
        let to_lines = bound.says_line;
        let source = self.answers.learn(Lesson {
            key: compiling.key,
            variable: String::new(),
            given: Vec::new(),
            facts: found,
            local: local.clone(),
            texts,
            sources: Vec::new(),
            defines,
            code,
            made: made.clone(),
            bound,
            took: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        });
        Ok(Some(Part {
            source,
            local,
            made,
            to_lines,
        }))
    }

    /// Tells in what a compiler did something else than what is known.
    fn compare(
        &mut self,
        command: &str,
        expected: &Hit,
        ended: &Ended,
        made: &[Made],
        bound: &Bound,
    ) {
        let Ok(known) = postcard::from_bytes::<Ended>(&expected.code) else {
            return;
        };
        let moved = Moved {
            then: &expected.bound,
            now: bound,
        };
        let same_place =
            expected.bound.folder == bound.folder && expected.bound.lines == bound.lines;
        let told = |ended: &Ended, made: &[Made], moved: Option<&Moved<'_>>| {
            let error = moved.map_or_else(|| ended.error.clone(), |moved| moved.text(&ended.error));
            let files: Vec<String> = made
                .iter()
                .map(|made| {
                    let content = match same_place {
                        true => format!(" {:02x?}", sum(&made.content).get(..4)),
                        false => String::new(),
                    };
                    format!("{} {:o}{content}", made.path().display(), made.mode)
                })
                .collect();
            format!(
                "status {}, files {files:?}, printed {:?}, errors {:?}",
                ended.status,
                String::from_utf8_lossy(&ended.output),
                String::from_utf8_lossy(&nameless(&error)),
            )
        };
        let (known, found) = (
            told(&known, &expected.made, Some(&moved)),
            told(ended, made, None),
        );
        if known != found {
            self.outcomes.push(Asked {
                variable: command.to_owned(),
                told: Told::Differed { known, found },
            });
        }
    }
}

impl Made {
    /// Its name, from the folder that is configured.
    fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.name))
    }

    fn read(path: &Path, name: &Path) -> Option<Self> {
        let metadata = path.symlink_metadata().ok().filter(fs::Metadata::is_file)?;
        Some(Self {
            name: name.as_os_str().as_bytes().to_vec(),
            mode: metadata.mode() & 0o7777,
            content: read_small(path, LARGE)?,
        })
    }
}

/// Adds a part to what a sum is made of.
fn add(all: &mut Vec<u8>, part: &[u8]) {
    all.extend_from_slice(&part.len().to_le_bytes());
    all.extend_from_slice(part);
}

/// The content of a file, if it is no longer than that.
fn read_small(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let file = fs::File::open(path).ok()?;
    file.take(limit + 1).read_to_end(&mut text).ok()?;
    (text.len() as u64 <= limit).then_some(text)
}

/// What a shell has to do to print a text.
fn say(answer: &mut Vec<u8>, text: &[u8], to: &[u8]) {
    if text.is_empty() {
        return;
    }
    answer.extend_from_slice(b"printf %s ");
    answer.extend(quote(text));
    answer.extend_from_slice(to);
}

/// A command for people.
fn command(words: &[Vec<u8>]) -> String {
    let words: Vec<_> = words
        .iter()
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_what_was_printed() {
        let mut answer = Vec::new();
        say(&mut answer, b"it's \\n %s\n$x `y`", b"\n");
        for shell in ["sh", "bash"] {
            let done = std::process::Command::new(shell)
                .arg("-c")
                .arg(OsStr::from_bytes(&answer))
                .output()
                .unwrap();
            assert_eq!(done.stdout, b"it's \\n %s\n$x `y`");
        }
    }
}
