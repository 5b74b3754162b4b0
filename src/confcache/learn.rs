//! From the trace of a run to the facts that its result depends on, or why nothing can be learned.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use nix::libc;
use sandbox::{Kind, Trace};

use super::facts::{Asked, Fact, More, State};
use super::links::Links;
use super::output::{self, Change};
use super::places::{Passing, Place, Places, Temporary};
use super::questions::{
    Looker, Question, is_of_others, leads_on, libraries, loaded_by_the_kernel, merge, question,
    unknown,
};
use super::rules::Rule;
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
    /// Somebody else configured the same directory meanwhile.
    #[error("another configure run is at work in this directory")]
    Shared,
    /// It made something that cannot be put back.
    #[error("what it made cannot be put back: {} {what}", printable(path.as_os_str()))]
    Made {
        /// What it made.
        path: PathBuf,
        /// Why not.
        what: &'static str,
    },
    /// A shell has said something of the copy of the script that it was given.
    #[error("what it {0} names the script that asked")]
    NamesAsker(&'static str),
    /// It printed or made too much.
    #[error("it {0} too much")]
    TooMuch(&'static str),
    /// Its directory cannot be looked at.
    #[error("{0}")]
    Directory(String),
}

/// What is known of a run.
#[derive(Debug)]
pub(super) struct Lesson<'a> {
    pub(super) directory: &'a Path,
    pub(super) trace: &'a Trace,
    pub(super) before: &'a Tree,
    pub(super) after: &'a Tree,
    pub(super) temporary: &'a Temporary,
    /// The folder of who answered, which is gone.
    pub(super) asking: Option<&'a Path>,
    /// What parts of it that did not run would have found.
    pub(super) answered: &'a Answered,
}

/// What answers that were known depend on.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// Facts that hold, by their paths.
    pub(super) outside: BTreeMap<Vec<u8>, Vec<Fact>>,
    /// What would have been asked in the directory.
    pub(super) inside: BTreeMap<PathBuf, Asked>,
    /// What was made in the directory in the place of those parts.
    pub(super) made: HashSet<PathBuf>,
}

impl Lesson<'_> {
    /// The facts that the result depends on, and what it changed.
    ///
    /// # Errors
    /// Nothing can be learned: why.
    pub(super) fn learn(
        &self,
        looker: &mut Looker<'_>,
    ) -> Result<(Vec<Fact>, Vec<Change>), Untaught> {
        if let Some(reason) = self.trace.escapes().next() {
            return Err(Untaught::Incomplete(reason.to_owned()));
        }
        let mut places = Places::new(self.directory);
        let links = Links::made(self.trace).and_of(self.directory, self.before);
        let mut inside: BTreeMap<PathBuf, Question> = BTreeMap::new();
        let mut outside: BTreeMap<PathBuf, Question> = BTreeMap::new();
        let mut changed: HashSet<PathBuf> = HashSet::new();
        let mut passing = Passing::of(self.trace, self.temporary);
        for (path, kind, outcome) in self.trace.accesses() {
            if self.asking.is_some_and(|asking| path.starts_with(asking)) {
                continue;
            }
            if leads_on(path) {
                return Err(Untaught::Incomplete(unknown(path)));
            }
            let (question, done) = (question(kind, outcome), outcome.is_none());
            // Whether it was there is no question in the directory: it may have been made by the run. Nor is it
            // behind a link that may not have been there then.
            let always = Question {
                was_there: false,
                was_absent: false,
                ..question
            };
            let ways = links.ways(path, kind).into_iter();
            let ways = ways.map(|way| (way.path, always));
            for (way, question) in std::iter::once((path.to_owned(), question)).chain(ways) {
                match places.of(&way) {
                    Place::Inside(name) => {
                        if kind == Kind::Change {
                            changed.insert(name.clone());
                        }
                        merge(&mut inside, name, always);
                    }
                    Place::Outside(path) => {
                        if passing.notes(&path, kind, outcome).is_some() {
                            continue;
                        }
                        if kind == Kind::Change && done {
                            may_change(&path, looker)?;
                            continue;
                        }
                        merge(&mut outside, path, question);
                    }
                }
            }
        }
        for path in passing.absent() {
            merge(&mut outside, path, Question::default());
        }
        for path in loaded_by_the_kernel(self.trace, self.directory) {
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
        for (name, asked) in &self.answered.inside {
            let question = Question {
                asked: *asked,
                ..Question::default()
            };
            merge(&mut inside, name.clone(), question);
        }
        let about = libraries(self.trace);
        let mut facts = Vec::new();
        let mut further = outside;
        let mut passed = BTreeSet::new();
        for (name, question) in inside {
            let name = lacking(self.before, &name);
            match self.before.look_through(name, question.asked, &mut passed) {
                Seen::Here { link, state, stamp } => {
                    let path = self.directory.join(name);
                    let asked = Asked {
                        time: question.asked.time && looker.rules().times_count(),
                        // How the directory is mounted is known beforehand, the rest is not known any more.
                        rights: false,
                        extended: false,
                        ..question.asked
                    };
                    let more = More {
                        time: More::time(asked, &state, stamp),
                        ..More::default()
                    };
                    facts.push(Fact {
                        path: path.into_os_string().into_encoded_bytes(),
                        asked,
                        link,
                        state,
                        more,
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
        for link in passed {
            facts.extend(self.led(&link, looker)?);
        }
        for (path, question) in further {
            if let Some(fact) = looker.outside(&path, question, about.as_deref())? {
                facts.push(fact);
            }
        }
        facts.extend(self.answered.outside.values().flatten().cloned());
        let changes = output::changes(self.directory, self.before, self.after, looker.started())?;
        for change in &changes {
            let is_known =
                |name: &Path| changed.contains(name) || self.answered.made.contains(name);
            // That the directory itself was given other attributes says nothing about what is in it.
            let is_itself = change.name().as_os_str().is_empty();
            let mut names = change.name().ancestors();
            if !names.any(|name| is_known(name) && (is_itself || !name.as_os_str().is_empty())) {
                return Err(Untaught::Untraced(self.directory.join(change.name())));
            }
        }
        Ok((facts, changes))
    }
}

impl Lesson<'_> {
    /// The fact that a link leads where it leads, which was in the directory before.
    fn led(&self, link: &Path, looker: &mut Looker<'_>) -> Result<Option<Fact>, Untaught> {
        let path = self.directory.join(link);
        let asked = Asked {
            link: true,
            ..Asked::default()
        };
        if let Seen::Here { link, state, stamp } = self.before.look(link, asked) {
            return Ok(Some(Fact {
                path: path.into_os_string().into_encoded_bytes(),
                asked,
                link,
                state,
                more: More::default(),
                stamp,
                about: None,
            }));
        }
        // What is outside of the directory is there still, if the link is.
        let target = |tree: &Tree| tree.get(link).map(|node| node.kind.clone());
        if target(self.before) != target(self.after) {
            return Err(Untaught::Changed(path));
        }
        let question = Question {
            asked,
            ..Question::default()
        };
        looker.outside(&path, question, None)
    }
}

/// The name, or the shortest one above it where nothing was: then nothing was below it either, and what was made
/// there meanwhile may be too long a path to be looked at from here.
fn lacking<'n>(before: &Tree, name: &'n Path) -> &'n Path {
    let is_absent = |name: &Path| {
        matches!(
            before.look(name, Asked::default()),
            Seen::Here {
                link: None,
                state: State::Absent(libc::ENOENT),
                ..
            }
        )
    };
    let lacking = name.ancestors().take_while(|name| is_absent(name));
    lacking.last().unwrap_or(name)
}

/// Whether a change of something outside of the directory leaves nothing.
pub(super) fn may_change(path: &Path, looker: &Looker<'_>) -> Result<(), Untaught> {
    if path == Path::new("/dev/tty") {
        return Err(Untaught::Terminal);
    }
    match looker.rules().of(path) {
        Some(Rule::Ignore | Rule::Exists) => Ok(()),
        Some(Rule::Process) if !is_of_others(path) => Ok(()),
        _ => Err(Untaught::WroteOutside(path.to_owned())),
    }
}
