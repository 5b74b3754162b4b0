//! `ebd sandbox` as it is typed: what a confined program may do and what it may not.
//!
//! Nothing here looks into the program under test. A small C program (`tests/sandbox/calls.c`) does
//! one thing at a time, first unconfined, where it has to succeed and its effect has to be seen, so
//! that none of these tests can pass for the wrong reason; then confined.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use ebd::util::digest::HashName;
use filetime::FileTime;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getegid, geteuid};

use crate::support::is_root;

use super::support::{Outcome, Trial};

mod calls;
mod kernels;
mod network;
mod options;
mod paths;
mod processes;
mod races;
mod refused;
mod traces;
mod usual;

/// What hangs is ended after this time, which a busy machine needs for what takes a second elsewhere.
const LIMIT: Duration = Duration::from_secs(600);

/// The attribute that the C program changes.
const ATTRIBUTE: &str = "user.ebd";

/// Owners that a file may be given here: others where that is allowed, its own again where not,
/// which is a change of the file's ctime still.
fn ids() -> (u32, u32) {
    if is_root() {
        (1, 1)
    } else {
        (geteuid().as_raw(), getegid().as_raw())
    }
}

/// Says that something could not be tried here and why.
fn left_out(what: &str, why: &str) {
    eprintln!("left out: {what}: {why}");
}

/// How the C program is linked: a sandbox that lives in the C library sees only one of them.
#[derive(Clone, Copy, Debug)]
enum Linked {
    Dynamic,
    Static,
}

/// The C program, compiled once for each state of its text.
fn calls(linked: Linked) -> Option<&'static Path> {
    static DYNAMIC: OnceLock<Option<PathBuf>> = OnceLock::new();
    static STATIC: OnceLock<Option<PathBuf>> = OnceLock::new();
    let (built, name, option) = match linked {
        Linked::Dynamic => (&DYNAMIC, "calls", None),
        Linked::Static => (&STATIC, "calls-static", Some("-static")),
    };
    built
        .get_or_init(|| {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox/calls.c");
            let sum = HashName::Md5.hex(&fs::read(&source).unwrap());
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
                .canonicalize()
                .unwrap();
            let name = format!("{name}-{}", geteuid());
            let path = folder.join(format!("{name}-{sum}"));
            if !path.exists() {
                let partial = folder.join(format!("{name}-{}", std::process::id()));
                let output = Command::new("gcc")
                    .args(["-O1", "-pthread", "-o"])
                    .arg(&partial)
                    .args(option)
                    .arg(&source)
                    .output()
                    .unwrap();
                if !output.status.success() {
                    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
                    assert!(option.is_some(), "{errors}");
                    left_out("static programs", &errors);
                    return None;
                }
                fs::rename(partial, &path).unwrap();
            }
            Some(path)
        })
        .as_deref()
}

/// The C program as most programs are.
fn dynamic() -> &'static Path {
    calls(Linked::Dynamic).unwrap()
}

/// A path or word in the report, which need not be text.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Other { bytes: Vec<u8> },
}

impl Word {
    fn path(&self) -> PathBuf {
        match self {
            Self::Text(text) => PathBuf::from(text),
            Self::Other { bytes } => OsStr::from_bytes(bytes).into(),
        }
    }
}

/// One refused change in the report.
#[derive(Debug, serde::Deserialize)]
struct Violation {
    call: String,
    access: String,
    path: Word,
    program: Word,
    command: Vec<Word>,
}

impl Violation {
    fn path(&self) -> PathBuf {
        self.path.path()
    }

    fn command(&self) -> Vec<OsString> {
        let words = self.command.iter();
        words.map(|word| word.path().into_os_string()).collect()
    }
}

/// What `--report` writes.
#[derive(Debug, serde::Deserialize)]
struct Report {
    status: i32,
    violations: Vec<Violation>,
}

/// What a confined run gave.
#[derive(Debug)]
struct Run {
    outcome: Outcome,
    report: Option<Report>,
}

impl Run {
    #[track_caller]
    fn report(&self) -> &Report {
        let outcome = &self.outcome;
        self.report
            .as_ref()
            .unwrap_or_else(|| panic!("there is no report\n{outcome}"))
    }

    /// Asserts that the command succeeded and that nothing was refused.
    #[track_caller]
    fn succeeds(&self) -> &Self {
        self.outcome.succeeds();
        self.has_no_violations()
    }

    #[track_caller]
    fn has_no_violations(&self) -> &Self {
        let report = self.report();
        assert!(
            report.violations.is_empty(),
            "{report:#?}\n{}",
            self.outcome
        );
        self
    }

    /// Asserts that the program printed this, among other things.
    #[track_caller]
    fn prints(&self, part: &str) -> &Self {
        let outcome = &self.outcome;
        assert!(
            outcome.stdout.contains(part),
            "{part:?} is not in:\n{outcome}"
        );
        self
    }

    /// Asserts that the program was told that it may not.
    #[track_caller]
    fn is_told(&self, name: &str) -> &Self {
        let outcome = &self.outcome;
        let told = outcome.stdout.lines().any(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| [": EACCES", ": EPERM"].contains(&rest))
        });
        assert!(told, "{name} was not refused:\n{outcome}");
        self
    }

    /// Asserts that there was a violation with this path, which is told and is no success.
    #[track_caller]
    fn violates(&self, access: &str, path: &Path) -> &Self {
        let found = self.report().violations.iter();
        let named = found
            .filter(|violation| violation.path() == path && violation.access == access)
            .count();
        let path = path.to_str().unwrap();
        assert!(named > 0, "{path} in {:#?}\n{}", self.report, self.outcome);
        assert_ne!(self.outcome.code(), 0, "{}", self.outcome);
        self.outcome.ends(self.outcome.code(), &[path]);
        self
    }
}

/// A folder that may be written in a confined run, and one beside it that may not, in both of which
/// there is the same.
struct Place {
    trial: Trial,
    root: PathBuf,
    names: [&'static str; 2],
}

impl Place {
    fn new() -> Self {
        Self::named("inside", "outside")
    }

    /// The same with other names.
    fn named(inside: &'static str, outside: &'static str) -> Self {
        let trial = Trial::new();
        let root = trial.path("").canonicalize().unwrap();
        let place = Self {
            trial,
            root,
            names: [inside, outside],
        };
        for folder in [place.inside(), place.outside()] {
            place.furnish(&folder);
        }
        symlink(place.inside(), place.inside().join("to-inside")).unwrap();
        symlink(place.outside(), place.inside().join("to-outside")).unwrap();
        symlink("/proc/self/fd/40", place.inside().join("to-descriptor")).unwrap();
        symlink("/proc/self/cwd", place.inside().join("to-cwd")).unwrap();
        place
    }

    fn furnish(&self, folder: &Path) {
        fs::create_dir_all(folder.join("folder")).unwrap();
        fs::create_dir(folder.join("empty")).unwrap();
        for (name, text) in [
            ("file", "original"),
            ("other", "another"),
            ("folder/file", "deeper"),
        ] {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            let _ = xattr::set(&path, ATTRIBUTE, text.as_bytes());
            filetime::set_file_mtime(&path, FileTime::from_unix_time(1_000_000_000, 0)).unwrap();
        }
        symlink("file", folder.join("link")).unwrap();
        symlink("absent", folder.join("dangling")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn inside(&self) -> PathBuf {
        self.path(self.names[0])
    }

    fn outside(&self) -> PathBuf {
        self.path(self.names[1])
    }

    /// Words of a call, in which `@` is the given folder, `%name` its name, `+` the one that may be
    /// written and `%ids` a user and a group.
    fn words(&self, call: &str, at: &Path) -> Vec<OsString> {
        let (user, group) = ids();
        let call = call.replace("%ids", &format!("{user} {group}"));
        let fill = |word: &str| {
            let word = word.replace("%name", at.file_name().unwrap().to_str().unwrap());
            let word = word.replace('@', at.to_str().unwrap());
            OsString::from(word.replace('+', self.inside().to_str().unwrap()))
        };
        call.split_whitespace().map(fill).collect()
    }

    /// The command of a confined run, up to `--`. It writes its report to [`Self::report`].
    fn sandbox(&self, options: &[&OsStr]) -> Command {
        let mut command = self.trial.command(&["sandbox", "--report"]);
        command.arg(self.path("report.json")).args(options);
        command.arg("--");
        command
    }

    /// Confines a command to the options alone.
    fn run_with(&self, options: &[&OsStr], words: &[impl AsRef<OsStr>]) -> Run {
        let mut command = self.sandbox(options);
        self.finish(command.args(words))
    }

    /// Runs a command that was made by [`Self::sandbox`] to its end.
    fn finish(&self, command: &mut Command) -> Run {
        let _ = fs::remove_file(self.path("report.json"));
        let outcome = finish(command);
        let report = fs::read(self.path("report.json")).ok().map(|text| {
            serde_json::from_slice(&text)
                .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&text)))
        });
        Run { outcome, report }
    }

    /// Has the C program do something confined, `@` being the folder outside.
    fn run(&self, call: &str) -> Run {
        self.run_linked(dynamic(), call, &self.outside())
    }

    /// The same with another program and another folder.
    fn run_linked(&self, program: &Path, call: &str, at: &Path) -> Run {
        self.run_also(&[], program, call, at)
    }

    /// The same with more options.
    fn run_also(&self, options: &[&str], program: &Path, call: &str, at: &Path) -> Run {
        let mut words = self.words(call, at);
        words.insert(0, program.into());
        let inside = self.inside();
        let mut given = vec![OsStr::new("--write"), inside.as_os_str()];
        given.extend(options.iter().map(OsStr::new));
        self.run_with(&given, &words)
    }

    /// Has the C program do something unconfined.
    fn run_free(&self, program: &Path, call: &str, at: &Path) -> Outcome {
        let mut command = Command::new(program);
        command.args(self.words(call, at)).current_dir(&self.root);
        finish(&mut command)
    }

    /// What is in the folder outside.
    fn seen(&self) -> Snapshot {
        Snapshot::of(&self.outside())
    }
}

/// Runs a command to its end, which has to come within [`LIMIT`] for it and for whoever has its
/// output.
fn finish(command: &mut Command) -> Outcome {
    let begin = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(LIMIT) else {
        let _ = kill(pid, Signal::SIGKILL);
        panic!("it hangs: {command:?}");
    };
    let output = output.unwrap();
    Outcome {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        status: output.status,
        elapsed: begin.elapsed(),
    }
}

/// A program that runs beside the test and is ended with it.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is known about one file.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Facts {
    inode: u64,
    mode: u32,
    links: u64,
    owner: (u32, u32),
    size: u64,
    modified: (i64, i64),
    /// Any change of a file changes this, also one to what it has been.
    changed: (i64, i64),
    text: Vec<u8>,
    attribute: Option<Vec<u8>>,
}

/// All that is known about a folder and what is below it.
#[derive(Clone, PartialEq, Eq)]
struct Snapshot(BTreeMap<PathBuf, Facts>);

impl Snapshot {
    fn of(folder: &Path) -> Self {
        let entries = walkdir::WalkDir::new(folder).into_iter().map(|entry| {
            let entry = entry.unwrap();
            let known = entry.metadata().unwrap();
            let path = entry.path();
            let text = if known.is_symlink() {
                fs::read_link(path).unwrap().into_os_string()
            } else if known.is_file() {
                OsStr::from_bytes(&fs::read(path).unwrap_or_default()).to_owned()
            } else {
                OsString::new()
            };
            let facts = Facts {
                inode: known.ino(),
                mode: known.mode(),
                links: known.nlink(),
                owner: (known.uid(), known.gid()),
                size: known.len(),
                modified: (known.mtime(), known.mtime_nsec()),
                changed: (known.ctime(), known.ctime_nsec()),
                text: text.as_bytes().to_owned(),
                attribute: xattr::get(path, ATTRIBUTE).ok().flatten(),
            };
            (path.to_owned(), facts)
        });
        Self(entries.collect())
    }

    /// What differs from an earlier one, in words.
    fn differences(&self, before: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (path, facts) in &self.0 {
            match before.0.get(path) {
                None => found.push(format!("{} is new: {facts:?}", path.display())),
                Some(old) if old != facts => {
                    found.push(format!("{} was {old:?} and is {facts:?}", path.display()))
                }
                Some(_) => {}
            }
        }
        let gone = before.0.keys().filter(|path| !self.0.contains_key(*path));
        found.extend(gone.map(|path| format!("{} is gone", path.display())));
        found
    }

    /// Asserts that the folder is what it was.
    #[track_caller]
    fn assert_unchanged(&self, folder: &Path, when: &str) {
        let differences = Self::of(folder).differences(self);
        assert!(differences.is_empty(), "{when}: {differences:#?}");
    }
}
