//! From the trace of a run to the facts that its result depends on, or why nothing can be learned.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, elf};
use sandbox::{Kind, Trace};

use super::facts::{Asked, Fact, State};
use super::output::{self, Change};
use super::rules::{Rule, Rules};
use super::tree::{Seen, Tree};
use crate::util::printable::printable;

/// Why a run teaches nothing.
#[derive(Debug, thiserror::Error)]
pub enum Untaught {
    /// It failed.
    #[error("it ended with {0}")]
    Failed(u8),
    /// It could not be traced.
    #[error("it could not be traced: {0}")]
    NotTraced(String),
    /// The trace may lack something.
    #[error("its trace is not complete: {0}")]
    Incomplete(String),
    /// It wrote elsewhere.
    #[error("it wrote outside of its directory: {}", printable(.0.as_os_str()))]
    WroteOutside(PathBuf),
    /// It spoke with somebody at a terminal.
    #[error("it used the terminal")]
    Terminal,
    /// Something that it looked at changed meanwhile.
    #[error("{} changed while it ran", printable(.0.as_os_str()))]
    Changed(PathBuf),
    /// Something was changed in its directory that it did not change.
    #[error("{} was changed, but not by what was traced", printable(.0.as_os_str()))]
    Untraced(PathBuf),
    /// It made something that cannot be put back.
    #[error("what it made cannot be put back: {} {what}", printable(path.as_os_str()))]
    Made {
        /// What it made.
        path: PathBuf,
        /// Why not.
        what: &'static str,
    },
    /// It printed or made too much.
    #[error("it {0} too much")]
    TooMuch(&'static str),
    /// Its directory cannot be looked at.
    #[error("{0}")]
    Directory(String),
}

/// Directories in which programs may leave nothing, but use what they like meanwhile.
#[derive(Debug)]
pub(super) struct Temporary {
    folders: Vec<PathBuf>,
    /// What was there before.
    before: HashSet<PathBuf>,
}

impl Temporary {
    /// As they are now.
    pub(super) fn now() -> Self {
        let mut folders = Vec::new();
        let own = std::env::var_os("TMPDIR").map(PathBuf::from);
        let usual = ["/tmp", "/var/tmp", "/dev/shm"].map(PathBuf::from);
        for folder in own.into_iter().chain(usual) {
            if let Ok(folder) = folder.canonicalize()
                && !folders.contains(&folder)
            {
                folders.push(folder);
            }
        }
        let mut before = HashSet::new();
        for folder in &folders {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                before.insert(entry.path());
            }
        }
        Self { folders, before }
    }

    /// Whether the path was made and removed again since then.
    fn came_and_went(&self, path: &Path) -> bool {
        let folder = self.folders.iter().find(|folder| path.starts_with(folder));
        let first = folder.and_then(|folder| {
            let first = path.strip_prefix(folder).ok()?.components().next()?;
            Some(folder.join(first))
        });
        first
            .is_some_and(|first| !self.before.contains(&first) && first.symlink_metadata().is_err())
    }
}

/// What is known of a run.
#[derive(Debug)]
pub(super) struct Lesson<'a> {
    pub(super) directory: &'a Path,
    pub(super) trace: &'a Trace,
    pub(super) before: &'a Tree,
    pub(super) after: &'a Tree,
    pub(super) temporary: &'a Temporary,
    /// When it began, in seconds and nanoseconds.
    pub(super) started: (i64, i64),
    pub(super) rules: &'a Rules,
}

/// What was asked about a path, and whether it was there.
#[derive(Debug, Default, Clone, Copy)]
struct Question {
    asked: Asked,
    was_there: bool,
    was_absent: bool,
}

impl Lesson<'_> {
    /// The facts that the result depends on, and what it changed.
    ///
    /// # Errors
    /// Nothing can be learned: why.
    pub(super) fn learn(&self) -> Result<(Vec<Fact>, Vec<Change>), Untaught> {
        if let Some(reason) = self.trace.escapes().next() {
            return Err(Untaught::Incomplete(reason.to_owned()));
        }
        let mut places = Places::new(self.directory);
        let mut inside: BTreeMap<PathBuf, Question> = BTreeMap::new();
        let mut outside: BTreeMap<PathBuf, Question> = BTreeMap::new();
        let mut changed: HashSet<PathBuf> = HashSet::new();
        for (path, kind, outcome) in self.trace.accesses() {
            let (question, done) = (question(kind, outcome), outcome.is_none());
            match places.of(path) {
                Place::Inside(name) => {
                    if kind == Kind::Change {
                        changed.insert(name.clone());
                    }
                    // Whether it was there is no question: it may have been made by the run.
                    merge(
                        &mut inside,
                        name,
                        Question {
                            was_there: false,
                            was_absent: false,
                            ..question
                        },
                    );
                }
                Place::Outside(path) => {
                    if self.temporary.came_and_went(&path) {
                        continue;
                    }
                    if kind == Kind::Change && done {
                        self.may_change(&path)?;
                        continue;
                    }
                    merge(&mut outside, path, question);
                }
            }
        }
        for path in self.loaded_by_the_kernel(&outside) {
            let asked = Asked {
                content: true,
                ..Asked::default()
            };
            merge(
                &mut outside,
                path,
                Question {
                    asked,
                    ..Question::default()
                },
            );
        }
        let about = self.libraries();
        let mut facts = Vec::new();
        let mut further = outside;
        for (name, question) in inside {
            match self.before.look(&name, question.asked) {
                Seen::Here { link, state, stamp } => {
                    let path = self.directory.join(name);
                    facts.push(Fact {
                        path: path.into_os_string().into_encoded_bytes(),
                        asked: question.asked,
                        link,
                        state,
                        stamp,
                        about: None,
                    });
                }
                Seen::Outside(path) => match places.of(&path) {
                    Place::Outside(path) => merge(&mut further, path, question),
                    // Links that lead out and in again are nobody's way to build.
                    Place::Inside(_) => return Err(Untaught::Changed(path)),
                },
            }
        }
        for (path, question) in further {
            if let Some(fact) = self.outside(&path, question, about.clone())? {
                facts.push(fact);
            }
        }
        let changes = output::changes(self.directory, self.before, self.after, self.started)?;
        for change in &changes {
            if !change.name().ancestors().any(|name| changed.contains(name)) {
                return Err(Untaught::Untraced(self.directory.join(change.name())));
            }
        }
        Ok((facts, changes))
    }

    /// The fact about a path outside of the directory, none if nothing of it counts.
    fn outside(
        &self,
        path: &Path,
        question: Question,
        about: Option<Vec<Vec<u8>>>,
    ) -> Result<Option<Fact>, Untaught> {
        let rule = self.rules.of(path);
        if matches!(rule, Some(Rule::Ignore)) {
            return Ok(None);
        }
        let about = about.filter(|_| matches!(rule, Some(Rule::Loader)));
        let fact = Fact::look(path, question.asked, about, self.rules);
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

    /// Whether a change of something outside of the directory leaves nothing.
    fn may_change(&self, path: &Path) -> Result<(), Untaught> {
        if path == Path::new("/dev/tty") {
            return Err(Untaught::Terminal);
        }
        match self.rules.of(path) {
            Some(Rule::Ignore | Rule::Exists) => Ok(()),
            _ => Err(Untaught::WroteOutside(path.to_owned())),
        }
    }

    /// What no program opened, but the kernel, to run one: the interpreters of scripts, and loaders.
    fn loaded_by_the_kernel(&self, outside: &BTreeMap<PathBuf, Question>) -> HashSet<PathBuf> {
        let mut found = HashSet::new();
        let mut left: Vec<PathBuf> = self.trace.programs().map(Path::to_owned).collect();
        while let Some(program) = left.pop() {
            if let Some(interpreter) = interpreter(&program)
                && interpreter.is_absolute()
                && !interpreter.starts_with(self.directory)
                && found.insert(interpreter.clone())
            {
                left.push(interpreter);
            }
        }
        let known = |path: &PathBuf| outside.get(path).is_some_and(|q| q.asked.content);
        found.retain(|path| !known(path));
        found
    }

    /// The names of the libraries that were loaded; none if a program has listed the loader's cache.
    fn libraries(&self) -> Option<Vec<Vec<u8>>> {
        let lists = |program: &Path| program.file_name().is_some_and(|name| name == "ldconfig");
        if self.trace.programs().any(lists) {
            return None;
        }
        let mut names: Vec<Vec<u8>> = self
            .trace
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
}

/// What an access asks.
fn question(kind: Kind, outcome: Option<Errno>) -> Question {
    let asked = Asked {
        // Whether metadata were asked for with or without following a link is not told.
        link: matches!(
            kind,
            Kind::Stat | Kind::Readlink | Kind::Change | Kind::Access | Kind::Other
        ),
        content: matches!(kind, Kind::Open | Kind::Execute | Kind::Change),
        names: kind == Kind::List,
    };
    let follows = !matches!(kind, Kind::Readlink | Kind::Change);
    Question {
        asked,
        was_there: follows && outcome.is_none(),
        was_absent: follows && outcome == Some(Errno::ENOENT),
    }
}

fn merge(all: &mut BTreeMap<PathBuf, Question>, path: PathBuf, question: Question) {
    let known = all.entry(path).or_default();
    known.asked = known.asked.and(question.asked);
    known.was_there |= question.was_there;
    known.was_absent |= question.was_absent;
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

/// Where something is.
enum Place {
    /// In the directory, by this name.
    Inside(PathBuf),
    Outside(PathBuf),
}

/// Tells where paths lead.
struct Places<'a> {
    directory: &'a Path,
    /// Where directories really are.
    real: HashMap<PathBuf, Option<PathBuf>>,
}

impl<'a> Places<'a> {
    fn new(directory: &'a Path) -> Self {
        Self {
            directory,
            real: HashMap::new(),
        }
    }

    fn of(&mut self, path: &Path) -> Place {
        let path = self.plain(path);
        if let Ok(name) = path.strip_prefix(self.directory) {
            return Place::Inside(name.to_owned());
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Place::Outside(path);
        };
        match self.real(parent) {
            Some(real) if real.starts_with(self.directory) => {
                let whole = real.join(name);
                Place::Inside(
                    whole
                        .strip_prefix(self.directory)
                        .unwrap_or(&whole)
                        .to_owned(),
                )
            }
            _ if self.real(&path).is_some_and(|real| real == self.directory) => {
                Place::Inside(PathBuf::new())
            }
            _ => Place::Outside(path),
        }
    }

    fn real(&mut self, directory: &Path) -> Option<PathBuf> {
        if let Some(known) = self.real.get(directory) {
            return known.clone();
        }
        let real = directory.canonicalize().ok();
        self.real.insert(directory.to_owned(), real.clone());
        real
    }

    /// Without `.` and `..`.
    fn plain(&mut self, path: &Path) -> PathBuf {
        let mut plain = PathBuf::from("/");
        for component in path.components() {
            match component {
                Component::Normal(name) => plain.push(name),
                Component::ParentDir => {
                    // Behind a link it leads elsewhere. A directory that is gone was none.
                    if !plain.starts_with(self.directory)
                        && let Some(real) = self.real(&plain.clone())
                    {
                        plain = real;
                    }
                    plain.pop();
                }
                _ => {}
            }
        }
        plain
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

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

    #[test]
    fn places_are_told_apart() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("build/sub")).unwrap();
        fs::create_dir(root.join("source")).unwrap();
        std::os::unix::fs::symlink("build", root.join("alias")).unwrap();
        std::os::unix::fs::symlink("build/sub", root.join("deep")).unwrap();
        let directory = root.join("build");
        let mut places = Places::new(&directory);
        let mut told = |path: &str| match places.of(&root.join(path)) {
            Place::Inside(name) => format!("in {}", name.display()),
            Place::Outside(path) => format!("out {}", path.strip_prefix(&root).unwrap().display()),
        };
        assert_eq!(told("build/x"), "in x");
        assert_eq!(told("build/./sub//x/"), "in sub/x");
        assert_eq!(told("build"), "in ");
        assert_eq!(told("alias"), "in ");
        assert_eq!(told("alias/x"), "in x");
        assert_eq!(told("deep/../x"), "in x");
        assert_eq!(told("source/../build/x"), "in x");
        assert_eq!(told("build/gone/../../source/x"), "out source/x");
        assert_eq!(told("build-2/x"), "out build-2/x");
    }

    #[test]
    fn what_comes_and_goes_is_nothing() {
        let tmp = tempfile::tempdir().unwrap();
        let folder = tmp.path().canonicalize().unwrap();
        fs::write(folder.join("old"), "").unwrap();
        let temporary = Temporary {
            folders: vec![folder.clone()],
            before: HashSet::from([folder.join("old"), folder.join("gone")]),
        };
        fs::write(folder.join("left"), "").unwrap();
        assert!(temporary.came_and_went(&folder.join("cc123.s")));
        assert!(temporary.came_and_went(&folder.join("dir/in")));
        assert!(!temporary.came_and_went(&folder.join("old")));
        assert!(!temporary.came_and_went(&folder.join("gone")));
        assert!(!temporary.came_and_went(&folder.join("left")));
        assert!(!temporary.came_and_went(&folder));
        assert!(!temporary.came_and_went(Path::new("/elsewhere")));
    }
}
