//! How scripts that ask are started.
//!
//! A script is read by its shell under the name that it has, from a folder of its own, so that the shell's messages
//! say what they say without a cache: its first line goes back to where it is to run. So are those that a script starts,
//! and the script itself if it does so in another shell. Where that cannot be, the shell sources it.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::super::call::{Call, is_autoconf};
use super::super::checks::{Asking, Script};
use super::super::defines::{Names, read_text};
use super::super::facts::{self, Fact};
use super::super::places::{Place, Places};
use super::super::questions::{self, Looker};
use super::Server;
use super::check::Learning;
use super::compile::Compiling;
use super::functions::Functions;
use super::merges::merges;
use super::shell::{again_text, back_text, begin_text, quoted, under_text};

/// A script that asks.
pub(super) struct Asker {
    /// Its number, by which it says that it is the one.
    pub(super) number: usize,
    pub(super) script: Script,
    pub(super) text: Vec<u8>,
    /// Its name, and where its shell begins, if it is read under that.
    named: Option<(Named, PathBuf)>,
    /// Where it runs.
    pub(super) directory: PathBuf,
    /// Where paths lead from there.
    pub(super) places: Places,
    /// What shell runs it: how it calls itself.
    pub(super) shell: Vec<u8>,
    /// The shell's process, by its number; empty if it has not told it.
    process: String,
    pub(super) shell_facts: Vec<Fact>,
    /// Its functions, once it has sourced another file.
    pub(super) functions: Option<Functions>,
    /// Whether it may have a compiler write its output and its messages to one place.
    pub(super) merges: bool,
    /// The names in the texts of checks; none if one minds all definitions.
    pub(super) names: HashMap<usize, Option<Names>>,
    pub(super) learning: Option<Learning>,
    pub(super) compiling: Option<Compiling>,
}

impl Asker {
    /// Has a script ask by this number; none if it is one that cannot. What it needs is written to `folder`. With a name
    /// it can be read under that.
    pub(super) fn new(
        folder: &Path,
        number: usize,
        text: Vec<u8>,
        directory: PathBuf,
        name: Option<Named>,
    ) -> Option<Self> {
        let start = start(folder, number);
        let again = folder.join(format!("again-{number}"));
        fs::write(&again, again_text(folder, number)?).ok()?;
        let environment: Vec<String> = std::env::vars_os()
            .filter_map(|(name, _)| name.into_string().ok())
            .collect();
        let within = folder.join("within");
        let asking = Asking {
            start: again.to_str().filter(|path| is_plain(path)),
            within: within.to_str().filter(|path| is_plain(path)),
            environment: &environment,
        };
        let script = Script::of(&text, &asking).ok()?;
        if script.checks.is_empty() && script.compilers == 0 && script.starts == 0 {
            return None;
        }
        let path = folder.join(format!("script-{number}"));
        fs::write(&path, &script.asking).ok()?;
        let begin = folder.join(format!("begin-{number}"));
        fs::write(&begin, begin_text(folder, number, script.sources_unseen)?).ok()?;
        let begin = quoted(&begin)?;
        fs::write(&start, format!(". {begin}\n. {}\n", quoted(&path)?)).ok()?;
        let named = match name {
            Some(name) => {
                let back = folder.join(format!("back-{number}"));
                fs::write(&back, back_text(&name.place, &begin)).ok()?;
                let named = name.put(folder, number, &script.asking, &quoted(&back)?)?;
                Some((name, named))
            }
            None => None,
        };
        Some(Self {
            number,
            script,
            merges: merges(&text),
            text,
            named,
            places: Places::new(&directory),
            directory,
            shell: Vec::new(),
            process: String::new(),
            shell_facts: Vec::new(),
            functions: None,
            names: HashMap::new(),
            learning: None,
            compiling: None,
        })
    }

    /// The number of the shell's process, if it has told it.
    pub(super) fn process(&self) -> Option<u64> {
        self.process.parse().ok()
    }

    /// The limits of the shell, as the kernel tells them.
    pub(super) fn limits(&self) -> Vec<u8> {
        fs::read(format!("/proc/{}/limits", self.process)).unwrap_or_default()
    }
}

/// The name of a script by which its shell finds it, from the folder where it is to run.
pub(super) struct Named {
    /// The name, in quotes.
    pub(super) name: String,
    /// The folder, in quotes, as the shell would call it.
    pub(super) place: String,
    /// How often it leads to the folder above.
    up: usize,
    /// Where it leads from there.
    below: PathBuf,
}

/// Where a shell is, by what it would say.
struct Here<'a> {
    directory: &'a Path,
    /// What the folder is called, if the shell has been told.
    told: Option<&'a Path>,
    /// Where it was before, if it has been told.
    before: Option<&'a Path>,
}

impl Named {
    /// The name by which this process would have a script run here by a shell. None if it does not lead from here to
    /// there, or if the shell is not the same from elsewhere, or does something before it reads the script.
    pub(super) fn of(shell: &OsStr, name: &OsStr) -> Option<Self> {
        let shell = Path::new(shell);
        let mut parts = shell.components();
        let in_path = matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        );
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path);
        let is_the_same =
            shell.is_absolute() || (in_path && folders.all(|each| each.is_absolute()));
        let directory = std::env::current_dir().ok().filter(|_| is_the_same)?;
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let (told, before) = (path("PWD"), path("OLDPWD"));
        Self::from(
            Path::new(name),
            Here {
                directory: &directory,
                told: told.as_deref(),
                before: before.as_deref(),
            },
        )
    }

    fn from(name: &Path, here: Here<'_>) -> Option<Self> {
        let (mut up, mut below) = (0, PathBuf::new());
        for part in name.components() {
            match part {
                Component::CurDir => {}
                Component::ParentDir if below.as_os_str().is_empty() => up += 1,
                Component::Normal(part) => below.push(part),
                _ => return None,
            }
        }
        // Shells take it for the folder's name if it leads there, and each has its own way with what is odd in it.
        let leads_here =
            |told: &&Path| told.canonicalize().is_ok_and(|real| real == here.directory);
        let told = here.told.filter(leads_here);
        let is_odd = told.is_some_and(|told| {
            let mut parts = told.as_os_str().as_bytes().split(|byte| *byte == b'/');
            parts.next() != Some(b"") || parts.any(|part| matches!(part, b"" | b"." | b".."))
        });
        // Nor is where they were before told alike if that is gone.
        if is_odd
            || here
                .before
                .is_some_and(|before| !before.is_absolute() || !before.is_dir())
            || std::env::var_os("BASH_ENV").is_some()
        {
            return None;
        }
        (!below.as_os_str().is_empty()).then_some(Self {
            name: quoted(name)?,
            place: quoted(told.unwrap_or(here.directory))?,
            up,
            below,
        })
    }

    /// Puts the script to a folder of its own. Its first line, a comment, gives way to the file that goes back. Gives
    /// from where the name leads there.
    fn put(&self, folder: &Path, number: usize, script: &[u8], back: &str) -> Option<PathBuf> {
        let top = folder.join(format!("named-{number}"));
        let from: PathBuf = std::iter::repeat_n("d", self.up).collect();
        let from = top.join(from);
        let path = top.join(&self.below);
        fs::create_dir_all(&from).ok()?;
        fs::create_dir_all(path.parent()?).ok()?;
        let end = script.iter().position(|byte| *byte == b'\n')?;
        let (first, rest) = script.split_at(end);
        let line = format!(". {back}").into_bytes();
        let text = match first.starts_with(b"#") {
            true => [&line, rest].concat(),
            false => [&line, &b"; "[..], script].concat(),
        };
        fs::write(path, text).ok()?;
        Some(from)
    }
}

/// A command that has a script ask.
pub(in crate::confcache) struct Started {
    pub(in crate::confcache) words: Vec<OsString>,
    /// Where it is to be started, if not here.
    pub(in crate::confcache) directory: Option<PathBuf>,
}

/// The file that a shell evaluates to run the script of this number.
fn start(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("start-{number}"))
}

/// The program of a process.
fn program_of(process: &str) -> Option<PathBuf> {
    let is_number = process.bytes().all(|byte| byte.is_ascii_digit());
    let link = format!("/proc/{process}/exe");
    fs::read_link(link).ok().filter(|_| is_number)
}

/// The words, in quotes, that a shell was started with which evaluates a text and nothing else; none if it is not known
/// to do the same with a file. Only what is written down is an option: others are in none of its variables.
fn started_as(process: &str) -> Option<String> {
    const OPTIONS: [&str; 7] = ["-v", "-x", "-vx", "-xv", "-e", "-u", "-f"];
    const OF_BASH: [&str; 3] = ["--posix", "--norc", "--noprofile"];
    let program = program_of(process)?;
    let words = fs::read(format!("/proc/{process}/cmdline")).ok()?;
    let mut words = words
        .split(|byte| *byte == 0)
        .map(|word| Path::new(OsStr::from_bytes(word)));
    let shell = words.next()?;
    let name = |path: &Path| path.file_name().map(OsStr::to_owned);
    let (is, called) = (name(&program)?, name(shell)?);
    if !(is == "bash" || is == "dash") || !(called == is || called == "sh") {
        return None;
    }
    // By its name alone it is found again if it was found from anywhere.
    let is_found = || {
        let variables = fs::read(format!("/proc/{process}/environ")).ok()?;
        let mut variables = variables.split(|byte| *byte == 0);
        let path = variables.find_map(|variable| variable.strip_prefix(b"PATH="))?;
        let mut folders = std::env::split_paths(OsStr::from_bytes(path));
        let found = folders.try_fold(None, |found: Option<PathBuf>, folder| {
            let here = folder.join(shell);
            let found = found.or_else(|| here.is_file().then_some(here));
            folder.is_absolute().then_some(found)
        });
        Some(found??.canonicalize().ok()? == program)
    };
    if !shell.is_absolute() && (Path::new(&called) != shell || is_found() != Some(true)) {
        return None;
    }
    let mut all = quoted(shell)?;
    for word in words {
        let word = word.to_str()?;
        match word {
            "-c" => return Some(all),
            _ if OPTIONS.contains(&word) || (is == "bash" && OF_BASH.contains(&word)) => {
                all.push(' ');
                all.push_str(word);
            }
            _ => return None,
        }
    }
    None
}

/// A path as a line.
fn line(path: PathBuf) -> Vec<u8> {
    let mut line = path.into_os_string().into_encoded_bytes();
    line.push(b'\n');
    line
}

/// Whether a path means itself in a shell, however it is quoted.
fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'.' | b'+')
    })
}

impl Server<'_> {
    /// What is to be started so that the script of the call asks.
    pub(in crate::confcache) fn command(&self, call: &Call) -> Option<Started> {
        let (mut words, rest) = call.shell()?;
        let directory = self.at.named.as_ref().map(|(_, from)| from.clone());
        if directory.is_none() {
            let start = quoted(&start(self.folder.path(), self.at.number))?;
            words.push("-c".into());
            words.push(format!(". {start}").into());
        }
        words.extend(rest);
        Some(Started { words, directory })
    }

    /// A script is started by the one that runs. Gives the file to be evaluated, or nothing if it cannot be asked.
    pub(super) fn starts(&mut self, fields: &[Vec<u8>], looker: &mut Looker<'_>) -> Vec<u8> {
        let path = |at: usize| {
            fields
                .get(at)
                .map(|field| Path::new(OsStr::from_bytes(field)))
        };
        let (Some(place), Some(script)) = (path(1), path(4)) else {
            return b"\n".to_vec();
        };
        let asker = || {
            let directory = place.canonicalize().ok()?;
            // Elsewhere it is not part of this run.
            if !directory.starts_with(self.top.directory()) || script.components().count() < 2 {
                return None;
            }
            let text = read_text(&directory.join(script)).filter(|text| is_autoconf(text))?;
            let name = Named::from(
                script,
                Here {
                    directory: &directory,
                    told: Some(place),
                    before: path(3),
                },
            );
            Asker::new(self.folder.path(), self.count, text, directory, name)
        };
        let Some(asker) = asker() else {
            return b"\n".to_vec();
        };
        // Its shell reads another file in its place.
        if self.reads(&asker.directory.join(script), looker).is_none() {
            return b"\n".to_vec();
        }
        let start = self.start_of(&asker, fields.get(2));
        self.count += 1;
        let before = std::mem::replace(&mut self.at, asker);
        self.waiting.push(before);
        line(start)
    }

    /// The script of this number is started once more. Gives the file to be evaluated. One that others have gone on
    /// beside, who have waited for it so far, is started as well, but is not answered any more.
    pub(super) fn again(&self, fields: &[Vec<u8>], number: usize) -> Vec<u8> {
        line(match self.at.number == number {
            true => self.start_of(&self.at, fields.get(2)),
            false if number < self.count => start(self.folder.path(), number),
            false => PathBuf::new(),
        })
    }

    /// The file that has a shell run a script: under its own name, if it is known how the shell was started.
    fn start_of(&self, asker: &Asker, process: Option<&Vec<u8>>) -> PathBuf {
        let start = start(self.folder.path(), asker.number);
        let under = || {
            let (name, from) = asker.named.as_ref()?;
            let shell = started_as(std::str::from_utf8(process?).ok()?)?;
            let path = self.folder.path().join(format!("under-{}", asker.number));
            fs::write(&path, under_text(name, from, &start, &shell)?).ok()?;
            Some(path)
        };
        under().unwrap_or(start)
    }

    /// Notes that the run depends on the content of a file; none if that cannot be.
    fn reads(&mut self, path: &Path, looker: &mut Looker<'_>) -> Option<()> {
        let asked = facts::Asked {
            content: true,
            ..facts::Asked::default()
        };
        match self.top.of(path) {
            Place::Inside(name) => {
                let known = self.answered.inside.entry(name).or_default();
                *known = known.and(asked);
            }
            Place::Outside(path) => {
                let question = questions::Question {
                    asked,
                    ..questions::Question::default()
                };
                let fact = looker.outside(&path, question, None).ok()?;
                let name = path.into_os_string().into_encoded_bytes();
                self.answered.outside.entry(name).or_default().extend(fact);
            }
        }
        Some(())
    }

    /// A script goes on that has waited for others.
    pub(super) fn returns_to(&mut self, number: usize) {
        while self.at.number > number
            && let Some(before) = self.waiting.pop()
        {
            self.at = before;
        }
    }

    /// A shell begins to run the script.
    pub(super) fn greet(&mut self, fields: &[Vec<u8>], looker: &mut Looker<'_>) {
        self.at.learning = None;
        self.at.compiling = None;
        self.at.shell.clear();
        self.at.shell_facts.clear();
        self.at.functions = None;
        let pid = fields
            .get(1)
            .and_then(|field| std::str::from_utf8(field).ok());
        let pid = pid.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()));
        self.at.process = pid.unwrap_or_default().to_owned();
        let program = pid.and_then(program_of);
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
            self.at.shell_facts.push(fact);
            self.at.shell = program.as_os_str().as_bytes().to_vec();
            self.at.shell.push(0);
            self.at
                .shell
                .extend_from_slice(fields.get(2).map_or(b"", Vec::as_slice));
        }
    }
}
