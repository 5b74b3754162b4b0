//! What the accesses of a trace ask, and the facts that answer it.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};
use sandbox::{Kind, Trace};

use super::facts::{Asked, Fact, State, Sums};
use super::learn::Untaught;
use super::rules::{Rule, Rules};
use crate::util::printable::printable;

/// What was asked about a path, and whether it was there.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Question {
    pub(super) asked: Asked,
    pub(super) was_there: bool,
    pub(super) was_absent: bool,
}

/// Looks at paths after programs have looked at them. A file whose stamp is the same is read once.
#[derive(Debug)]
pub(super) struct Looker<'a> {
    rules: &'a Rules,
    /// When the run began, in seconds and nanoseconds.
    started: (i64, i64),
    sums: Sums,
}

impl<'a> Looker<'a> {
    pub(super) fn new(rules: &'a Rules, started: (i64, i64)) -> Self {
        Self {
            rules,
            started,
            sums: Sums::default(),
        }
    }

    /// Takes what is known from before of files that have not been touched since.
    pub(super) fn know<'f>(&mut self, facts: impl Iterator<Item = &'f Fact>) {
        self.sums.know(facts);
    }

    pub(super) fn rules(&self) -> &'a Rules {
        self.rules
    }

    pub(super) fn started(&self) -> (i64, i64) {
        self.started
    }

    /// The fact about a path outside of the directory, none if nothing of it counts. `about` are the
    /// libraries that were loaded.
    ///
    /// # Errors
    /// It has changed since the run began.
    pub(super) fn outside(
        &mut self,
        path: &Path,
        question: Question,
        about: Option<&[Vec<u8>]>,
    ) -> Result<Option<Fact>, Untaught> {
        let rule = self.rules.of(path);
        match rule {
            Some(Rule::Ignore) => return Ok(None),
            Some(Rule::Process) if leads_on(path) => {
                return Err(Untaught::Incomplete(unknown(path)));
            }
            Some(Rule::Process) if !is_of_others(path) => return Ok(None),
            _ => {}
        }
        let about = about.filter(|_| matches!(rule, Some(Rule::Loader)));
        let fact = self.look(path, question.asked, about.map(<[_]>::to_vec));
        let is_there = !matches!(fact.state, State::Absent(_)) || fact.link.is_some();
        let came = question.was_absent && (is_there && fact.link.is_none());
        let went = question.was_there && !is_there;
        // Names come and go in directories of which only the attributes count.
        let counts = !matches!(fact.state, State::Directory { names: None, .. });
        let touched = counts
            && fact
                .stamp
                .is_some_and(|stamp| stamp.changed() >= self.started);
        if came || went || touched {
            return Err(Untaught::Changed(path.to_owned()));
        }
        Ok(Some(fact))
    }

    fn look(&mut self, path: &Path, asked: Asked, about: Option<Vec<Vec<u8>>>) -> Fact {
        Fact::look_with(path, asked, about, self.rules, &mut self.sums)
    }
}

/// Why a path teaches nothing that leads where a process happened to be.
pub(super) fn unknown(path: &Path) -> String {
    format!("where {} led is not known", printable(path.as_os_str()))
}

/// Whether a path leads on from where a process is, or from what it has open: afterwards nobody knows where that was.
pub(super) fn leads_on(path: &Path) -> bool {
    let Ok(below) = path.strip_prefix("/proc") else {
        return false;
    };
    let mut parts = below.components().map(Component::as_os_str).peekable();
    if parts.next().and_then(number).is_none() {
        return false;
    }
    if parts.next_if(|part| *part == "task").is_some() {
        parts.next();
    }
    let is_link = match parts.next() {
        Some(part) if part == "fd" => parts.next().is_some(),
        Some(part) => part == "cwd" || part == "root",
        None => false,
    };
    is_link && parts.next().is_some()
}

fn number(name: &OsStr) -> Option<u32> {
    name.to_str()?.parse().ok()
}

/// Whether what is below `/proc` belongs to a process that is none of the run: of those that are gone nobody knows.
pub(super) fn is_of_others(path: &Path) -> bool {
    let below = path.strip_prefix("/proc").ok();
    let first = below.and_then(|below| below.components().next());
    let Some(mut process) = first.and_then(|part| number(part.as_os_str())) else {
        return false;
    };
    let mut is_there = false;
    // All of the run have been started below this one.
    while process != std::process::id() {
        let Some(parent) = parent(process) else {
            return is_there;
        };
        is_there = true;
        process = parent;
    }
    false
}

/// The process that one was started by, or that has taken it over (`proc_pid_stat(5)`).
fn parent(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program may have anything in it.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// What no program opened, but the kernel, to run one: the interpreters of scripts, and loaders.
pub(super) fn loaded_by_the_kernel(trace: &Trace, directory: &Path) -> HashSet<PathBuf> {
    let mut found = HashSet::new();
    let mut left: Vec<PathBuf> = trace.programs().map(Path::to_owned).collect();
    while let Some(program) = left.pop() {
        if let Some(interpreter) = interpreter(&program)
            && interpreter.is_absolute()
            && !interpreter.starts_with(directory)
            && found.insert(interpreter.clone())
        {
            left.push(interpreter);
        }
    }
    found
}

/// The names of the libraries that were loaded; none if a program has listed the loader's cache.
pub(super) fn libraries(trace: &Trace) -> Option<Vec<Vec<u8>>> {
    let lists = |program: &Path| program.file_name().is_some_and(|name| name == "ldconfig");
    if trace.programs().any(lists) {
        return None;
    }
    let mut names: Vec<Vec<u8>> = trace
        .accesses()
        .filter(|(_, kind, _)| *kind == Kind::Open)
        .filter_map(|(path, ..)| path.file_name())
        .map(|name| name.as_bytes().to_vec())
        .filter(|name| name.windows(3).any(|part| part == b".so"))
        .collect();
    names.sort();
    names.dedup();
    Some(names)
}

/// What an access asks.
pub(super) fn question(kind: Kind, outcome: Option<Errno>) -> Question {
    let asked = Asked {
        // Whether metadata were asked for with or without following a link is not told.
        link: matches!(
            kind,
            Kind::Stat | Kind::Readlink | Kind::Change | Kind::Access | Kind::Other
        ),
        content: matches!(kind, Kind::Open | Kind::Execute | Kind::Change),
        names: kind == Kind::List,
        time: kind == Kind::Stat,
        // Who is not allowed to change it asks that too.
        rights: matches!(kind, Kind::Access | Kind::Change),
        extended: kind == Kind::Xattr,
    };
    let follows = !matches!(kind, Kind::Readlink | Kind::Change);
    Question {
        asked,
        was_there: follows && outcome.is_none(),
        was_absent: follows && outcome == Some(Errno::ENOENT),
    }
}

pub(super) fn merge(all: &mut BTreeMap<PathBuf, Question>, path: PathBuf, question: Question) {
    let known = all.entry(path).or_default();
    known.asked = known.asked.and(question.asked);
    known.was_there |= question.was_there;
    known.was_absent |= question.was_absent;
}

/// The program that reads a script, or the program itself where it is none; links followed.
pub(super) fn interpreter_of(program: &Path) -> PathBuf {
    let is_script = std::fs::File::open(program).is_ok_and(|mut file| {
        use std::io::Read;
        let mut head = [0; 2];
        file.read_exact(&mut head).is_ok() && head == *b"#!"
    });
    let found = match is_script {
        true => interpreter(program).unwrap_or_default(),
        false => program.to_owned(),
    };
    found.canonicalize().unwrap_or(found)
}

/// The program that the kernel loads for another: the interpreter of a script, or the loader that an
/// ELF file names.
fn interpreter(program: &Path) -> Option<PathBuf> {
    use std::io::Read;
    let mut head = Vec::new();
    let file = std::fs::File::open(program).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    file.take(64 << 10).read_to_end(&mut head).ok()?;
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next()?;
        let word = line
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .find(|word| !word.is_empty())?;
        return Some(PathBuf::from(OsStr::from_bytes(word)));
    }
    loader::<elf::FileHeader64<Endianness>>(&head)
        .or_else(|| loader::<elf::FileHeader32<Endianness>>(&head))
}

fn loader<Elf: FileHeader<Endian = Endianness>>(head: &[u8]) -> Option<PathBuf> {
    let header = Elf::parse(head).ok()?;
    let endian = header.endian().ok()?;
    for segment in header.program_headers(endian, head).ok()? {
        if let Ok(Some(path)) = segment.interpreter(endian, head) {
            return Some(PathBuf::from(OsStr::from_bytes(path)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn processes_of_others_are_told_apart() {
        let own = std::process::id();
        let is = |name: &str| is_of_others(Path::new(name));
        assert!(is("/proc/1/comm") || own == 1);
        assert!(!is(&format!("/proc/{own}/comm")));
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let name = format!("/proc/{}/stat", child.id());
        assert!(!is(&name));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is(&name) && !is("/proc") && !is("/proc/stat") && !is("/x"));
    }

    #[test]
    fn what_leads_on_is_known() {
        for (path, leads) in [
            ("/proc/12/cwd", false),
            ("/proc/12/cwd/x", true),
            ("/proc/12/cwd/../x", true),
            ("/proc/12/root/etc", true),
            ("/proc/12/fd/3", false),
            ("/proc/12/fd/3/x", true),
            ("/proc/12/task/12/cwd/x", true),
            ("/proc/12/task/12", false),
            ("/proc/12", false),
            ("/proc/sys/fd/3/x", false),
            ("/x/proc/12/cwd/x", false),
        ] {
            assert_eq!(leads_on(Path::new(path)), leads, "{path}");
        }
    }

    #[test]
    fn interpreters_are_found() {
        let tmp = tempfile::tempdir().unwrap();
        let script = tmp.path().join("script");
        fs::write(&script, "#! /usr/bin/env  bash\n").unwrap();
        assert_eq!(interpreter(&script), Some("/usr/bin/env".into()));
        let program = std::env::current_exe().unwrap();
        let loader = interpreter(&program).unwrap();
        assert!(loader.to_string_lossy().contains("ld-"), "{loader:?}");
        assert_eq!(interpreter(tmp.path()), None);
        assert_eq!(interpreter(&tmp.path().join("none")), None);
        for text in ["", "#!", "#!\n", "text", "\u{7f}ELF"] {
            fs::write(&script, text).unwrap();
            assert_eq!(interpreter(&script), None, "{text:?}");
        }
    }
}
