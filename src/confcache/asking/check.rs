//! Checks: what they ask.

mod documents;
mod given;
mod learn;
mod lines;
mod looked;
mod lying;
mod obstacle;

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Instant;

use memchr::memmem;
use sandbox::Trace;

use self::given::{all_given, real, value};
use self::lying::{Lying, names_of};
use super::super::answers::{Given, Miss, Question, Source};
use super::super::checks::{Check, Output, names};
use super::super::defines::{Names, Says, names_defines};
use super::super::facts::{Fact, Sum, sum};
use super::super::questions::Looker;
use super::functions::Functions;
use super::shell::Inherited;
use super::{Asked, HIT, LEARN, NO, Server, Take, Told, minds_definitions, names_in};

/// Checks whose answers are about the moment, the folder, the processor that they happen to run on, or the order in which
/// their threads do, not about the system: what their names begin with.
const NEVER: [&str; 5] = [
    "gl_cv_func_pthread_rwlock_good_waitqueue",
    "gl_cv_pthread_rwlock_rdlock_prefer_writer",
    "am_cv_filesystem_timestamp_resolution",
    "am_cv_build_env_sane",
    "ax_cv_gcc_x86_cpuid_",
];

/// What a script asks.
struct Request {
    /// The shell's working directory.
    place: Vec<u8>,
    /// The shell's options, and how it splits words, if that is set.
    manner: [Vec<u8>; 2],
    number: usize,
    arguments: Vec<Vec<u8>>,
    values: Vec<Vec<u8>>,
}

/// A check that is being made.
pub(super) struct Learning {
    number: usize,
    variable: String,
    /// The variables whose values it tells.
    told: Vec<String>,
    /// Whether what it looks for may have patterns in it.
    globs: bool,
    key: Sum,
    given: Vec<Given>,
    /// Whether the folder is named in what it was given.
    names_folder: bool,
    own: Option<Names>,
    defines: Vec<u8>,
    /// Whether what it found may tell how many lines those have, or what time it is.
    pub(super) says: Says,
    path: Vec<u8>,
    printed: usize,
    /// What was in the folder.
    present: HashSet<OsString>,
    /// What lay about that only checks make.
    lying: Lying,
    umask: Vec<u8>,
    why: Miss,
    /// What it must do, if that is known.
    expected: Option<Vec<u8>>,
    /// What was traced of it, but for what compilers did whose answers are known.
    pub(super) trace: Trace,
    /// Whether some of that was lost.
    pub(super) lost: bool,
    /// What those depend on.
    pub(super) sources: BTreeSet<Source>,
    pub(super) local: Vec<Fact>,
    /// The files that they made.
    pub(super) made: HashSet<PathBuf>,
    /// A name in a program of its own that it was not known to have.
    pub(super) unknown: Option<String>,
    begin: Instant,
}

impl Learning {
    /// Notes that a program is compiled whose text is this.
    pub(super) fn compiles(&mut self, program: &[u8]) {
        if let Some(own) = &self.own {
            let name = own.first_unknown(program);
            self.unknown = self.unknown.take().or(name);
        }
    }
}

impl Server<'_> {
    pub(super) fn ask(
        &mut self,
        fields: &[Vec<u8>],
        looker: &mut Looker<'_>,
        take: Take<'_>,
    ) -> &'static str {
        let Some(Request {
            place,
            manner,
            number,
            arguments,
            values,
        }) = self.asked(fields)
        else {
            return NO;
        };
        let Some(check) = self.at.script.checks.get(number).cloned() else {
            return NO;
        };
        let variable = real(&check, &arguments, &values, &check.variable);
        self.learns_functions();
        if self.at.shell.is_empty() || NEVER.iter().any(|begin| variable.starts_with(begin)) {
            return NO;
        }
        let Some(inherited) = self.inherited(looker) else {
            return NO;
        };
        let obstacle = match self.is_here(&place) {
            false => Some("it was made in another folder".to_owned()),
            true => self.obstacle(&check, (&arguments, &values), &inherited),
        };
        if let Some(obstacle) = obstacle {
            let told = Told::Unlearned("it was not looked for".to_owned(), obstacle);
            self.outcomes.push(Asked { variable, told });
            return NO;
        }
        let Some(lying) = self.lying(looker) else {
            return NO;
        };
        let exports = &inherited.variables;
        let given = (&arguments[..], &values[..]);
        let (given, key) = self.given(&check, &place, &manner, given, &inherited, &lying);
        let text = |part: &Range<usize>| self.at.text.get(part.clone()).unwrap_or_default();
        let all = arguments.iter().chain(&values).chain(exports.values());
        let mut all = all.map(Vec::as_slice).chain(check.texts.iter().map(text));
        let names_folder = all.any(|text| self.names_folder(text));
        let texts = check.texts.iter().map(text);
        let says = texts
            .chain(all_given(&arguments, &values))
            .fold(Says::default(), |says, text| says.and(Says::of(text)));
        let defines = fs::read(self.at.directory.join("confdefs.h")).unwrap_or_default();
        let mut own = self.own(number, &check, &arguments, &values);
        if let Some(own) = &mut own {
            self.add_names(&lying, own);
        }
        let question = Question {
            key,
            variable: &variable,
            given: &given,
            directory: &self.at.directory,
            build: self.build.as_deref(),
            defines: &defines,
            own: own.as_ref(),
            lines: lines_of(&defines),
        };
        let begin = Instant::now();
        let found = self.answers.find(&question, looker.rules());
        self.compiled.looked_up_since(begin);
        let (found, expected) = match found {
            Ok(hit) if self.verify => (Err(Miss::Verified), Some(hit.code)),
            found => (found, None),
        };
        match found {
            Ok(hit) if fs::write(self.of_script("answer"), &hit.code).is_ok() => {
                self.outcomes.push(Asked {
                    variable,
                    told: Told::Known(hit.took),
                });
                self.depend(hit.source, &hit.local);
                HIT
            }
            Ok(_) => NO,
            Err(why) => {
                let path = value(&check, &values, "PATH").unwrap_or_default().to_vec();
                self.trace_until_now(take);
                let real = |output: &Output| real(&check, &arguments, &values, &output.name);
                let told = check.told.iter().map(real).collect();
                let is_pattern = |byte: &u8| matches!(byte, b'*' | b'?' | b'[');
                let mut all = all_given(&arguments, &values);
                let globs = check.globs || all.any(|value| value.iter().any(is_pattern));
                self.at.learning = Some(Learning {
                    number,
                    told,
                    globs,
                    variable,
                    key,
                    given,
                    names_folder,
                    own,
                    defines,
                    says,
                    path,
                    printed: self.printed.count(),
                    present: names_in(&self.at.directory),
                    lying,
                    umask: inherited.umask,
                    why,
                    expected,
                    trace: Trace::default(),
                    lost: false,
                    sources: BTreeSet::new(),
                    local: Vec::new(),
                    made: HashSet::new(),
                    unknown: None,
                    begin: Instant::now(),
                });
                LEARN
            }
        }
    }

    /// Takes what the shell has told of its functions, if it has sourced another file since it did last.
    fn learns_functions(&mut self) {
        let told = |name: &str| {
            let path = self.of_script(name);
            let text = fs::read(&path).ok()?;
            let _ = fs::remove_file(path);
            Some(Functions::parse(&text))
        };
        let Some(now) = told("functions") else {
            return;
        };
        let before = told("functions-before").flatten();
        let known = self.at.functions.take();
        self.at.functions = match (now, before) {
            (Some(now), Some(before)) => Some(now.since(&before, known.as_ref())),
            (now, _) => now,
        };
        if self.at.functions.is_none() {
            // Whatever it has been told is no ground to stand on.
            self.at.shell.clear();
        }
    }

    /// The check that a message is about, its arguments, and the values that it may depend on.
    fn asked(&self, fields: &[Vec<u8>]) -> Option<Request> {
        let [_, place, options, splits, ..] = fields else {
            return None;
        };
        let place = place.clone();
        let manner = [options.clone(), splits.clone()];
        let fields = fields.get(3..)?;
        let number: usize = std::str::from_utf8(fields.get(1)?).ok()?.parse().ok()?;
        let count: usize = std::str::from_utf8(fields.get(2)?).ok()?.parse().ok()?;
        let end = count.checked_add(3)?;
        let arguments = fields.get(3..end)?.to_vec();
        let values = fields.get(end..)?.to_vec();
        let check = self.at.script.checks.get(number)?;
        (values.len() == check.inputs.len()).then_some(Request {
            place,
            manner,
            number,
            arguments,
            values,
        })
    }

    /// All that the check was given, for people and as a sum.
    fn given(
        &self,
        check: &Check,
        place: &[u8],
        [options, splits]: &[Vec<u8>; 2],
        (arguments, values): (&[Vec<u8>], &[Vec<u8>]),
        inherited: &Inherited,
        lying: &Lying,
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
        add("the shell", &self.at.shell);
        add("$-", options);
        add("IFS", splits);
        add("its umask", &inherited.umask);
        add("its limits", &self.at.limits());
        let folder = self.at.directory.metadata();
        let rights = folder.map(|folder| (folder.mode(), folder.uid(), folder.gid()));
        add("rights of the folder", format!("{rights:?}").as_bytes());
        add("what other checks have left", &names_of(lying));
        // The first is a line number in autoconf's functions.
        let first = usize::from(!check.sees_first);
        for (at, argument) in arguments.iter().enumerate().skip(first) {
            add(&format!("argument {}", at + 1), argument);
        }
        // Which variables are not set is the same wherever they are not mentioned.
        let set = check
            .inputs
            .iter()
            .zip(values)
            .filter(|(_, value)| !value.is_empty());
        for (name, value) in set {
            // The first byte says that it is set.
            match value.split_first() {
                Some((mark, value)) if inherited.variables.contains_key(name) => {
                    add(name, &[&[*mark], &*self.placeless(value)].concat());
                }
                _ => add(name, value),
            }
        }
        for (name, value) in &inherited.variables {
            add(&format!("variable {name}"), &self.placeless(value));
        }
        let text = |part: &Range<usize>| self.at.text.get(part.clone()).unwrap_or_default();
        for value in all_given(arguments, values) {
            // Those that values name and that are known to depend on nothing.
            for (name, _) in names(value) {
                let named = self.at.script.functions.get(name);
                for part in named.iter().flat_map(|named| &named.texts) {
                    add(
                        &format!("function {}", String::from_utf8_lossy(name)),
                        text(part),
                    );
                }
            }
        }
        if let Some(functions) = &self.at.functions {
            let texts = check.texts.iter().map(text);
            let all = texts.chain(all_given(arguments, values));
            for (name, text) in functions.called(all) {
                add(&format!("function {}", String::from_utf8_lossy(name)), text);
            }
        }
        if check.sees_directory {
            add("the folder", place);
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
        let minds = |text: &[u8]| minds_definitions(text) || names_defines(text);
        if check.reads_defines || all_given(arguments, values).any(minds) {
            return None;
        }
        let text = &self.at.text;
        let names = self.at.names.entry(number).or_insert_with(|| {
            let mut names = Names::default();
            for part in &check.texts {
                let text = text.get(part.clone()).unwrap_or_default();
                if minds_definitions(text) || names_oddly(text) {
                    return None;
                }
                names.add(text);
                names.pastes_in_shell(text);
            }
            Some(names)
        });
        let mut names = names.clone()?;
        for value in all_given(arguments, values) {
            names.add(value);
        }
        // What other files have brought is told by its text only.
        if let Some(functions) = &self.at.functions {
            let part = |part: &Range<usize>| text.get(part.clone()).unwrap_or_default();
            for (_, text) in functions.called(check.texts.iter().map(part)) {
                if minds(text) {
                    return None;
                }
                names.add(text);
                names.pastes_in_shell(text);
            }
        }
        Some(names)
    }
}

/// How many lines definitions have.
pub(super) fn lines_of(defines: &[u8]) -> u32 {
    let ends = defines.iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(ends).unwrap_or(u32::MAX)
}

/// Whether a text names the definitions otherwise than by the name of their file.
fn names_oddly(text: &[u8]) -> bool {
    let mut all = memmem::find_iter(text, b"confdefs").filter_map(|at| text.get(at + 8..));
    all.any(|behind| !behind.starts_with(b".h"))
}
