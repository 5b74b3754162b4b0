//! What is learned of a check that was made.

use std::ffi::OsStr;
use std::fs;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::super::super::answers::{Bound, Lesson, Question, near_texts};
use super::super::super::checks::Check;
use super::super::super::outline::is_name;
use super::super::super::questions::Looker;
use super::super::{Asked, Server, Take, Told};
use super::lines::{may_tell_lines, numbers};
use super::lying::without_objects;
use super::{Learning, lines_of};
use crate::processor::library::quote;

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

/// Variables that no check whose answers are shared may set.
const KEPT: [&str; 6] = [
    "PWD",
    "PATH",
    "OPTIND",
    "SHELLOPTS",
    "BASHOPTS",
    "POSIXLY_CORRECT",
];

impl Server<'_> {
    pub(in super::super) fn tell(
        &mut self,
        fields: &[Vec<u8>],
        looker: &mut Looker<'_>,
        take: Take<'_>,
    ) {
        let trace = self.trace_until_now(take);
        let Some(mut learning) = self.at.learning.take() else {
            return;
        };
        match trace {
            Some(trace) => learning.trace.extend(&trace),
            None => learning.lost = true,
        }
        let told = fields
            .get(1)
            .and_then(|field| std::str::from_utf8(field).ok());
        if told.and_then(|told| told.parse().ok()) != Some(learning.number) {
            return;
        }
        let (variable, why) = (learning.variable.clone(), learning.why.to_string());
        let told = match self.learn(learning, fields, looker) {
            Ok(told) => told,
            Err(reason) => Told::Unlearned(why, reason),
        };
        self.outcomes.push(Asked { variable, told });
    }

    fn learn(
        &mut self,
        learning: Learning,
        fields: &[Vec<u8>],
        looker: &mut Looker<'_>,
    ) -> Result<Told, String> {
        let took = learning.begin.elapsed();
        if learning.lost {
            return Err("its trace was lost".to_owned());
        }
        if let Some(reason) = learning.trace.escapes().next() {
            return Err(format!("its trace is not complete: {reason}"));
        }
        if let Some(name) = &learning.unknown {
            return Err(format!("it made up the name {name}"));
        }
        if learning.own.is_some() && self.may_make_up_names(&learning) {
            return Err("it may have made up names for a program".to_owned());
        }
        if self.printed.count() != learning.printed {
            return Err("it printed something".to_owned());
        }
        let defines = fs::read(self.at.directory.join("confdefs.h")).unwrap_or_default();
        if defines != learning.defines {
            return Err("it changed confdefs.h".to_owned());
        }
        let left = self.left(&learning, looker)?;
        let check = self
            .at
            .script
            .checks
            .get(learning.number)
            .ok_or("there is no such check")?;
        let mut code = assigned(check, &learning.told, fields.get(2..).unwrap_or_default())?;
        let own = self.folder.path().as_os_str().as_bytes();
        if memmem::find(&code, own).is_some() {
            return Err("a message names the script that asks".to_owned());
        }
        let process = self.at.process().filter(|process| *process > 99);
        if process.is_some_and(|process| numbers(&code).any(|number| number == process)) {
            return Err("what it set may be the number of a process".to_owned());
        }
        let lines = lines_of(&learning.defines);
        let tells_lines = self.tells_lines(check, fields.get(2..).unwrap_or_default(), lines);
        code.extend(left.code);
        if let Some(expected) = &learning.expected {
            let text = |code: &[u8]| String::from_utf8_lossy(code).into_owned();
            return Ok(match without_objects(expected) == without_objects(&code) {
                true => Told::Verified,
                false => Told::Differed {
                    known: text(expected),
                    found: text(&code),
                },
            });
        }
        let why = learning.why.to_string();
        let (found, mut local, by_another_name) = self.found(&learning, looker)?;
        let mut texts: Vec<PathBuf> = Vec::new();
        if learning.own.is_some() {
            texts = self.texts(found.iter().chain(&local))?;
            texts.extend(near_texts(&local));
        }
        self.reads_nothing_unasked(&learning.trace, &texts)?;
        // Names in these are among its own already.
        local.extend(left.facts);
        let mut read = texts.clone();
        for source in &learning.sources {
            read.extend(self.answers.texts(*source).map(Path::to_owned));
        }
        let question = Question {
            key: learning.key,
            variable: &learning.variable,
            given: &learning.given,
            directory: &self.at.directory,
            build: self.build.as_deref(),
            defines: &learning.defines,
            own: learning.own.as_ref(),
            lines,
        };
        // What a compiler says that was asked for is known, of those that were not, nothing is.
        let mut says = learning.says;
        if let Some(own) = &learning.own {
            let found = self.answers.says(&question, own, &texts);
            says = says.and(found.ok_or("a file that it read cannot be looked through")?);
        }
        if says.time {
            return Err("it may tell when a program was compiled".to_owned());
        }
        let defines = self
            .answers
            .defines(&question, &read)
            .ok_or("a file that it read cannot be looked through")?;
        let bound = Bound {
            to_folder: learning.names_folder
                || by_another_name
                || self.tells_place(&code)
                || self.tells_name(&code),
            lines: question.lines,
            to_lines: says.line || left.to_lines || tells_lines,
            to_build: self.names_build(&code),
            ..Bound::at(&self.at.directory, self.build.as_deref())
        };
        self.answers.learn(Lesson {
            key: learning.key,
            variable: learning.variable.clone(),
            given: learning.given,
            facts: found,
            local,
            texts,
            sources: learning.sources.into_iter().collect(),
            defines,
            code,
            made: Vec::new(),
            bound,
            took: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        });
        Ok(Told::Learned(why))
    }

    /// Whether what a check tells may be, or have in it, in which line something stands in a program behind so many lines.
    fn tells_lines(&self, check: &Check, values: &[Vec<u8>], lines: u32) -> bool {
        let functions = self.at.script.functions.iter();
        let of_autoconf: Vec<&Range<usize>> = functions
            .filter(|(name, _)| name.starts_with(b"ac_fn_") || name.starts_with(b"as_fn_"))
            .flat_map(|(_, named)| &named.texts)
            .collect();
        let texts = check
            .texts
            .iter()
            .filter(|part| !of_autoconf.contains(part));
        let text = |part: &Range<usize>| self.at.text.get(part.clone()).unwrap_or_default();
        let texts: Vec<&[u8]> = texts.map(text).collect();
        let told = check.told.iter().zip(values);
        let mut told = told
            .filter(|(output, _)| !output.left)
            .map(|(_, value)| value);
        told.any(|value| may_tell_lines(&texts, value, lines))
    }

    /// Whether assignments tell the name of the folder that is configured, without its path.
    fn tells_name(&self, code: &[u8]) -> bool {
        let name = self
            .at
            .directory
            .file_name()
            .map_or(&b""[..], OsStr::as_bytes);
        let mut values = code.split(|byte| *byte == b'\n').map(|line| {
            let equals = line.iter().position(|byte| *byte == b'=');
            line.get(equals.map_or(0, |at| at + 1)..)
                .unwrap_or_default()
        });
        !name.is_empty() && values.any(|value| memmem::find(value, name).is_some())
    }
}

/// What makes another shell have the variables that a check has told the values of.
fn assigned(check: &Check, names: &[String], values: &[Vec<u8>]) -> Result<Vec<u8>, String> {
    if names.len() != values.len() {
        return Err("it has not told what it has set".to_owned());
    }
    let outputs = check.told.iter();
    let mut code = Vec::new();
    for ((name, value), output) in names.iter().zip(values).zip(outputs) {
        if !is_name(name.as_bytes()) {
            return Err(format!("it sets {name:?}, which is no variable"));
        }
        if OWN.contains(&name.as_str()) {
            continue;
        }
        if KEPT.contains(&name.as_str()) {
            return Err(format!("it changed {name}"));
        }
        match value.strip_prefix(b"y") {
            Some(value) => {
                code.extend_from_slice(name.as_bytes());
                code.push(b'=');
                code.extend(quote(value));
                code.push(b'\n');
            }
            None if output.unset => code.extend_from_slice(format!("unset {name}\n").as_bytes()),
            None => {}
        }
    }
    Ok(code)
}
