//! A configure script that asks, and who answers it.
//!
//! The shell that runs the script defines two functions before it reads the script that asks (`checks`). `__ebd_ask NUMBER COUNT ARGUMENT… VALUE…` writes that to the pipe `up`, with where and how the shell is,
//! and reads a line from `down`: `h` if the file `answer` is to be evaluated, `m` if the check is to be made and told of
//! with `__ebd_tell NUMBER`, `n` if it is only to be made. `__ebd_run PROGRAM ARGUMENT…` stands before the compilers that
//! it runs, and does the same. A message is the number of its fields and the fields, each with a NUL behind it. No
//! descriptor stays open between two messages, as checks would see it.

mod check;
mod compile;
mod found;
mod functions;
mod merges;
mod shell;
mod starting;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use memchr::memmem;
use nix::libc;
use sandbox::{Kind, Trace};
use serde::{Deserialize, Serialize};

use self::shell::{Inherited, Messages, inherited, within_text};
pub(super) use self::starting::Started;
use self::starting::{Asker, Named};
use super::answers::{Answers, Given, Source};
use super::call::Call;
use super::defines::{Nature, nature};
use super::facts::{Fact, Stamp, Sum, sum};
use super::learn::{Answered, may_change};
use super::places::{Passing, Place, Places, Temporary};
use super::printed::Printed;
use super::questions::Looker;
use crate::pms::eapi::Eapi;

/// Changes when answers of before must not be taken for ones of now.
const VERSION: &[u8] = b"9";

/// What is replied: that the file `answer` is what is to be done, that what is done now is learned, or neither.
const HIT: &str = "hit";
const LEARN: &str = "learn";
const NO: &str = "no";

/// What ends the answering when it is written to [`Server::end`].
pub(super) const END: &[u8] = b"1\0end\0";

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

impl Asked {
    /// Takes back that an answer was kept.
    pub(super) fn forget(&mut self, reason: &str) {
        if let Told::Learned(why) = &self.told {
            self.told = Told::Unlearned(why.clone(), reason.to_owned());
        }
    }
}

/// How compilers were answered, and how long all looking up took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compiled {
    /// How often something was looked up, for checks too.
    pub looked_up: u32,
    /// How long that took, in microseconds.
    pub looking: u64,
    /// How often what one would do was known.
    pub known: u32,
    /// How long that had taken, in microseconds.
    pub saved: u64,
    /// How often it was not, and is now.
    pub learned: u32,
    /// How often it could not be learned.
    pub unlearned: u32,
}

impl Compiled {
    /// Notes that something was looked up, from then until now.
    fn looked_up_since(&mut self, begin: Instant) {
        self.looked_up += 1;
        self.looking += u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
    }
}

/// Gives what was traced since the last time, none if that was lost.
pub(super) type Take<'a> = &'a (dyn Fn() -> Option<Trace> + Sync);

/// Everything that a run that asked needs.
pub(super) struct Server<'a> {
    folder: tempfile::TempDir,
    up: fs::File,
    down: fs::File,
    base: Vec<Given>,
    base_sum: Sum,
    answers: Answers,
    /// The script that runs.
    at: Asker,
    /// Those that wait for it, which they have started.
    waiting: Vec<Asker>,
    /// How many there were.
    count: usize,
    /// Where paths lead from the folder of the whole run.
    top: Places,
    natures: HashMap<(Vec<u8>, Stamp), Nature>,
    /// The facts that were noted already.
    depended: HashSet<Source>,
    temporary: &'a Temporary,
    printed: &'a Printed,
    verify: bool,
    /// Whether variables tell what is built.
    in_build: bool,
    /// The folder of the build, if what leads there is there.
    build: Option<PathBuf>,
    /// All that was traced up to now.
    trace: Trace,
    /// Whether a trace was lost.
    lost: bool,
    /// What was changed elsewhere, as far as it is there still.
    touched: HashSet<PathBuf>,
    /// What was looked through beforehand, and is a part of what is traced until the next time; none if it was lost.
    ahead: Option<Trace>,
    answered: Answered,
    outcomes: Vec<Asked>,
    compiled: Compiled,
}

/// Whether a variable only tells an ebuild what is built and where (PMS 11.1), so that no program that a check runs
/// looks at it: one that EAPI 9 does not export, and that is no root in which wrappers of compilers look. A check whose
/// text mentions it depends on it nonetheless.
fn tells_what_is_built(name: &str) -> bool {
    const ROOTS: [&str; 5] = ["ROOT", "EROOT", "EPREFIX", "PORTDIR", "ECLASSDIR"];
    let defined = Eapi::all().find_map(|eapi| eapi.variable(name));
    let is_ours = defined.is_some_and(|one| !one.is_exported(Eapi::LATEST));
    // Where the ebuild is, Portage tells too.
    (is_ours && !ROOTS.contains(&name)) || name == "EBUILD"
}

/// What is left of a run that asked.
pub(super) struct Asks {
    /// Where it spoke with who answered, which is gone.
    pub(super) folder: PathBuf,
    pub(super) trace: Trace,
    pub(super) lost: bool,
    pub(super) answered: Answered,
    pub(super) outcomes: Vec<Asked>,
    pub(super) compiled: Compiled,
    pub(super) answers: Answers,
}

impl<'a> Server<'a> {
    /// Makes the script of a call ask, if it is one that can. The answers are read here.
    pub(super) fn new(
        call: &Call,
        answers: Answers,
        temporary: &'a Temporary,
        printed: &'a Printed,
        verify: bool,
        build: Option<&Path>,
    ) -> Option<Self> {
        // By the name that everything is traced by.
        let temporary_files = std::env::temp_dir().canonicalize().ok()?;
        // What it holds is evaluated by the shell, and tells what is exported.
        let folder = tempfile::Builder::new()
            .prefix("ebd-asks-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(temporary_files)
            .ok()?;
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).ok()?;
            // With both ends here it neither waits for anybody nor ever ends.
            let mut options = fs::File::options();
            options.read(true).write(true).custom_flags(libc::O_CLOEXEC);
            options.open(&path).ok()
        };
        let (up, down) = (pipe("up")?, pipe("down")?);
        let directory = call.directory().to_owned();
        let name = call.shell();
        let name = name.and_then(|(shell, words)| Named::of(shell.first()?, words.first()?));
        let at = Asker::new(folder.path(), 0, call.text().to_vec(), directory, name)?;
        fs::write(folder.path().join("within"), within_text(folder.path())?).ok()?;
        let mut all = VERSION.to_vec();
        // No shell tells these, but they are there.
        for (name, value) in std::env::vars_os() {
            if !super::outline::is_name(name.as_bytes()) {
                all.extend_from_slice(name.as_bytes());
                all.push(b'=');
                all.extend_from_slice(value.as_bytes());
                all.push(0);
            }
        }
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
            top: Places::new(call.directory()),
            folder,
            up,
            down,
            at,
            waiting: Vec::new(),
            count: 1,
            answers,
            natures: HashMap::new(),
            depended: HashSet::new(),
            temporary,
            printed,
            verify,
            in_build: build.is_some(),
            build: build
                .filter(|build| build.canonicalize().is_ok_and(|real| real == *build))
                .map(Path::to_owned),
            trace: Trace::default(),
            lost: false,
            touched: HashSet::new(),
            ahead: Some(Trace::default()),
            answered: Answered::default(),
            outcomes: Vec::new(),
            compiled: Compiled::default(),
        })
    }

    /// What ends the answering when it is written to.
    pub(super) fn end(&self) -> io::Result<fs::File> {
        self.up.try_clone()
    }

    /// Answers until it is told that the run has ended. `take` gives what was traced since the last time.
    pub(super) fn serve(mut self, looker: &mut Looker<'_>, take: Take<'_>) -> Asks {
        let mut messages = Messages::default();
        while let Some(mut fields) = messages.next(&mut self.up) {
            let kind = fields.first().cloned().unwrap_or_default();
            if kind == b"within" {
                let reply = self.starts(&fields, looker);
                if self.down.write_all(&reply).is_err() {
                    break;
                }
                continue;
            }
            let number = fields
                .get(1)
                .and_then(|field| std::str::from_utf8(field).ok());
            let Some(number) = number.and_then(|number| number.parse().ok()) else {
                break;
            };
            fields.remove(1);
            self.returns_to(number);
            let is_known = self.at.number == number;
            if kind == b"again" {
                let reply = self.again(&fields, number);
                if self.down.write_all(&reply).is_err() {
                    break;
                }
                continue;
            }
            if is_known && matches!(kind.as_slice(), b"ask" | b"run") {
                self.sees_changes(looker, take);
            }
            // The number of the script says that it is no other's.
            let reply: &str = match Some(kind.as_slice()).filter(|_| is_known) {
                Some(b"shell") => {
                    self.greet(&fields, looker);
                    continue;
                }
                Some(b"ask") => self.ask(&fields, looker, take),
                Some(b"tell") => {
                    self.tell(&fields, looker, take);
                    "told"
                }
                Some(b"run") => self.run(&fields, looker, take),
                Some(b"ran") => {
                    self.ran(&fields, looker, take);
                    "told"
                }
                // Who speaks has ended before.
                None if kind == b"shell" => continue,
                None => NO,
                _ => break,
            };
            let reply = format!("{reply} {number}\n");
            if self.down.write_all(reply.as_bytes()).is_err() {
                break;
            }
        }
        Asks {
            folder: self.folder.path().to_owned(),
            trace: self.trace,
            lost: self.lost,
            answered: self.answered,
            outcomes: self.outcomes,
            compiled: self.compiled,
            answers: self.answers,
        }
    }

    /// A file by which the script that runs and this program tell each other something.
    fn of_script(&self, name: &str) -> PathBuf {
        let number = self.at.number;
        self.folder.path().join(format!("{name}-{number}"))
    }

    fn trace_until_now(&mut self, take: Take<'_>) -> Option<Trace> {
        let taken = take();
        match &taken {
            Some(taken) => self.trace.extend(taken),
            None => self.lost = true,
        }
        let mut ahead = self.ahead.replace(Trace::default())?;
        ahead.extend(&taken?);
        Some(ahead)
    }

    /// Forgets which facts hold if something was changed since then that may be one of them.
    fn sees_changes(&mut self, looker: &Looker<'_>, take: Take<'_>) {
        let Some(taken) = take() else {
            self.lost = true;
            self.ahead = None;
            self.answers.forget();
            return;
        };
        self.at.places.forget();
        let mut passing = Passing::of(&taken, self.temporary);
        let changes = taken
            .accesses()
            .filter(|(_, kind, outcome)| *kind == Kind::Change && outcome.is_none());
        for (path, ..) in changes {
            if path.starts_with(self.folder.path()) {
                continue;
            }
            // What is in the folder and around it is looked at each time.
            if let Place::Outside(path) = self.at.places.of(path)
                && passing.made(&path).is_none()
                && may_change(&path, looker).is_err()
            {
                self.touched.insert(path);
            }
        }
        if !self.touched.is_empty() {
            self.answers.forget();
        }
        // Who has opened it may write to it at any time; once it is gone, what is there is known again.
        self.touched.retain(|path| path.symlink_metadata().is_ok());
        self.trace.extend(&taken);
        if let Some(ahead) = &mut self.ahead {
            ahead.extend(&taken);
        }
    }

    /// What the shell's programs get from it, as far as it counts.
    fn inherited(&self, looker: &Looker<'_>) -> Option<Inherited> {
        let text = fs::read(self.of_script("exports")).unwrap_or_default();
        let mut inherited = inherited(&text)?;
        inherited.variables.retain(|name, _| {
            let ignored = matches!(name.as_str(), "PWD" | "OLDPWD")
                || looker.rules().ignores_variable(name.as_ref())
                || (self.in_build && tells_what_is_built(name));
            !ignored
        });
        Some(inherited)
    }

    /// Whether a shell's working directory is the folder that is configured.
    fn is_here(&self, place: &[u8]) -> bool {
        let real = || Path::new(OsStr::from_bytes(place)).canonicalize().ok();
        place == self.at.directory.as_os_str().as_bytes()
            || real().as_deref() == Some(&self.at.directory)
    }

    /// Notes what an answer that was used depends on: facts, and what it found in the folder and near it.
    fn depend(&mut self, source: Source, local: &[Fact]) {
        self.top.forget();
        if self.depended.insert(source) {
            for fact in self.answers.facts(source) {
                let known = self.answered.outside.entry(fact.path.clone()).or_default();
                if !known.contains(fact) {
                    known.push(fact.clone());
                }
            }
        }
        for fact in local {
            let mut fact = fact.below(&self.at.directory);
            match self.top.of(fact.path()) {
                Place::Inside(name) => {
                    let known = self.answered.inside.entry(name).or_default();
                    *known = known.and(fact.asked);
                }
                Place::Outside(path) => {
                    // The folder from which it was reached may come and go.
                    fact.path = path.into_os_string().into_encoded_bytes();
                    let known = self.answered.outside.entry(fact.path.clone()).or_default();
                    if !known.contains(&fact) {
                        known.push(fact);
                    }
                }
            }
        }
    }

    /// The value of an exported variable, with one name for the folders of all builds: what programs find there, and
    /// whether they tell where it is, counts for itself.
    fn placeless<'v>(&self, value: &'v [u8]) -> Cow<'v, [u8]> {
        match &self.build {
            Some(build) => placeless(value, build.as_os_str().as_bytes()),
            None => Cow::Borrowed(value),
        }
    }

    /// Whether the folder of the build is named in a text.
    fn names_build(&self, text: &[u8]) -> bool {
        let build = self.build.as_deref();
        build.is_some_and(|build| memmem::find(text, build.as_os_str().as_bytes()).is_some())
    }

    /// Whether the folder that is configured is named in a text.
    fn names_folder(&self, text: &[u8]) -> bool {
        memmem::find(text, self.at.directory.as_os_str().as_bytes()).is_some()
    }

    /// Whether what was found out tells where the folder that is configured is.
    fn tells_place(&self, text: &[u8]) -> bool {
        let folder = &self.at.directory;
        // Not of all that is in a folder of the system.
        let parent = folder.parent().filter(|it| it.components().count() > 2);
        let place = parent.unwrap_or(folder).as_os_str().as_bytes();
        memmem::find(text, place).is_some()
    }

    /// Notes what was made in the place of a program.
    fn makes(&mut self, name: &Path) {
        if let Place::Inside(name) = self.top.of(&self.at.directory.join(name)) {
            self.answered.made.insert(name);
        }
    }

    /// Makes sure that no program has read what nobody is asked for: what the script has logged, or definitions in
    /// another way than compilers do.
    ///
    /// # Errors
    /// One may have.
    fn reads_nothing_unasked(&mut self, trace: &Trace, texts: &[PathBuf]) -> Result<(), String> {
        let is_log = |path: &Path| path.file_name().is_some_and(|name| name == "config.log");
        let mut opened = trace
            .accesses()
            .filter(|(_, kind, _)| *kind == Kind::Open)
            .map(|(path, ..)| path);
        if opened.any(is_log) {
            return Err("it read config.log".to_owned());
        }
        match self.answers.names_defines(&self.at.directory, texts) {
            Some(false) => Ok(()),
            Some(true) => Err("a file that it read names confdefs.h".to_owned()),
            None => Err("a file that it read cannot be looked through".to_owned()),
        }
    }

    /// Those of the facts that are texts which a compiler may have read.
    ///
    /// # Errors
    /// One is a text of which that cannot be said.
    fn texts<'f>(&mut self, facts: impl Iterator<Item = &'f Fact>) -> Result<Vec<PathBuf>, String> {
        let mut texts = Vec::new();
        for fact in facts.filter(|fact| fact.asked.content) {
            let look = || nature(&self.at.directory.join(fact.path()));
            let nature = match fact.stamp {
                Some(stamp) => *self
                    .natures
                    .entry((fact.path.clone(), stamp))
                    .or_insert_with(look),
                None => look(),
            };
            match nature {
                Nature::Text if fact.path().is_absolute() => texts.push(fact.path().to_owned()),
                Nature::Text | Nature::Data => {}
                Nature::Compiled => return Err("it used a compiled header".to_owned()),
            }
        }
        texts.sort();
        Ok(texts)
    }
}

/// The value of a variable without the name of a folder, wherever paths begin with that.
fn placeless<'v>(value: &'v [u8], folder: &[u8]) -> Cow<'v, [u8]> {
    if memmem::find(value, folder).is_none() {
        return Cow::Borrowed(value);
    }
    let mut placeless = Vec::new();
    let mut rest = value;
    while let Some(at) = memmem::find(rest, folder) {
        let (before, found) = rest.split_at(at);
        let behind = found.get(folder.len()..).unwrap_or_default();
        placeless.extend_from_slice(before);
        // Within a longer name it is none. No value has a NUL.
        let begins = matches!(
            placeless.last(),
            None | Some(b':' | b'=' | b' ' | b'"' | b'\'')
        );
        let ends = matches!(
            behind.first(),
            None | Some(b'/' | b':' | b' ' | b'"' | b'\'')
        );
        match begins && ends {
            true => placeless.push(0),
            false => placeless.extend_from_slice(folder),
        }
        rest = behind;
    }
    placeless.extend_from_slice(rest);
    Cow::Owned(placeless)
}

/// The names in a folder.
fn names_in(folder: &Path) -> HashSet<OsString> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).collect()
}

/// Whether a compiler is told to complain of definitions that a program does not use, or to write them down.
fn minds_definitions(text: &[u8]) -> bool {
    const HARMLESS: [&[u8]; 8] = [
        b"-Wl,",
        b"-Wa,",
        b"-Wno-",
        b"-Wall",
        b"-Wextra",
        b"-Wformat",
        b"-Wp,-D",
        b"-Wp,-U",
    ];
    // These are about the code of a program, as scripts ask for them.
    const OF_CODE: [&[u8]; 13] = [
        b"error",
        b"error-implicit-function-declaration",
        b"implicit-function-declaration",
        b"implicit-fallthrough=1",
        b"uninitialized",
        b"strict-prototypes",
        b"missing-field-initializers",
        b"sign-compare",
        b"unused-parameter",
        b"return-type",
        b"cast-function-type",
        b"logical-op",
        b"duplicated-cond",
    ];
    const TELLING: [&[u8]; 7] = [
        b"-g3",
        b"-ggdb3",
        b"-pedantic",
        b"-save-temps",
        b"-fdebug-macro",
        b"-fdirectives-only",
        b"-frewrite-includes",
    ];
    options(text).any(|option| {
        let begins = |with: &&[u8]| option.starts_with(with);
        // What is an error is a warning too.
        let error = option.strip_prefix(b"-Werror=");
        let warning = error.or_else(|| option.strip_prefix(b"-W"));
        let warning = warning.filter(|name| {
            let whole = [b"-W", *name].concat();
            !name.is_empty()
                && !OF_CODE.contains(name)
                && !HARMLESS.iter().any(|with| whole.starts_with(with))
        });
        // Those that write names of definitions, among others that stand before programs and in tests.
        let written = option.strip_prefix(b"-d").is_some_and(|letters| {
            let mut letters = letters.iter();
            letters.any(|letter| b"DMNIU$".contains(letter))
        });
        warning.is_some() || written || TELLING.iter().any(begins)
    })
}

/// The words of a text that begin with one dash, each up to what ends a word of a shell.
fn options(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let dashes = memchr::memchr_iter(b'-', text);
    dashes.filter_map(|at| {
        let (before, option) = text.split_at_checked(at)?;
        let within = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./".contains(byte);
        let length = option
            .iter()
            .position(|byte| byte.is_ascii_whitespace() || b"\"'`;|&()<>".contains(byte));
        (!before.last().is_some_and(within))
            .then(|| option.get(..length.unwrap_or(option.len())))
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_builds_have_one_name() {
        let told = |value: &str| {
            let value = placeless(value.as_bytes(), b"/b/foo-1").into_owned();
            String::from_utf8(value).unwrap().replace('\0', "@")
        };
        for (value, placeless) in [
            ("/usr/bin", "/usr/bin"),
            ("/b/foo-1", "@"),
            ("\"/b/foo-1/bin:/b/foo-1:/usr/bin\"", "\"@/bin:@:/usr/bin\""),
            ("--with=/b/foo-1/x '/b/foo-1'", "--with=@/x '@'"),
            // Other folders.
            ("/b/foo-1-r1/bin", "/b/foo-1-r1/bin"),
            ("/x/b/foo-1/bin:/b/foo-1/bin", "/x/b/foo-1/bin:@/bin"),
            ("/b/foo-1/b/foo-1", "@/b/foo-1"),
            ("-I/b/foo-1", "-I/b/foo-1"),
        ] {
            assert_eq!(told(value), placeless);
        }
    }

    #[test]
    fn warnings_about_definitions_are_known() {
        for harmless in [
            "-Wall -O2",
            "-O2 -Wl,-O1",
            "-Wno-x -Werror=format",
            "-g -O2",
            "-W -Werror",
            "test -d \"$x\" || cc -dumpmachine -dynamic -debug",
            "gcc_has-Wshadow my-dD",
        ] {
            assert!(!minds_definitions(harmless.as_bytes()), "{harmless}");
        }
        for other in [
            "-Wunused-macros",
            "-O2 -Weverything",
            "-Wp,-MD,x",
            "-g3",
            "-E -dD",
            "-Werror=unused-macros",
            "-Werror-unused-macros",
            "CFLAGS=\"-Wunused-macros\"",
            "x=`cc -E -dM`",
            "cc -d$x",
            "cc -W$x",
        ] {
            assert!(minds_definitions(other.as_bytes()), "{other}");
        }
    }
}
