//! What a check found, from the trace of the time in which it was made.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sandbox::{Kind, Trace};

use super::super::facts::{self, Fact};
use super::super::learn::may_change;
use super::super::links::Links;
use super::super::places::{Passing, Place};
use super::super::questions::{self, Looker, libraries, loaded_by_the_kernel, merge, question};
use super::Server;

/// What a trace shows.
pub(super) struct Looked {
    /// What was found elsewhere.
    pub(super) found: Vec<Fact>,
    /// What was found near the folder, by paths that begin there.
    pub(super) local: Vec<Fact>,
    /// What was asked in the folder, and whether it was changed, by the names there.
    pub(super) inside: BTreeMap<PathBuf, (questions::Question, bool)>,
    /// Whether something in the folder was named by a path that leads there from elsewhere.
    pub(super) by_another_name: bool,
}

impl Server<'_> {
    /// Looks at what was looked at. `path` is the shell's `PATH`.
    ///
    /// # Errors
    /// Something was changed elsewhere, or has changed meanwhile.
    pub(super) fn looked(
        &mut self,
        trace: &Trace,
        path: &[u8],
        looker: &mut Looker<'_>,
    ) -> Result<Looked, String> {
        self.at.places.forget();
        let mut outside: BTreeMap<PathBuf, questions::Question> = BTreeMap::new();
        let mut inside: BTreeMap<PathBuf, (questions::Question, bool)> = BTreeMap::new();
        let mut by_another_name = false;
        // What was named from the folder, and what from the root: in another folder the one is elsewhere then.
        let mut from_here: HashSet<PathBuf> = HashSet::new();
        let mut from_root: HashSet<PathBuf> = HashSet::new();
        let mut reached = |path: &Path, is_here: bool| match is_here {
            true => from_here.insert(path.to_owned()),
            false => from_root.insert(path.to_owned()),
        };
        // The folder of a build is as far away from the next one's.
        let build = self.build.as_deref();
        let is_near = |path: &Path| build.is_some_and(|build| path.starts_with(build));
        // What was there before is looked at where it leads.
        let links = Links::made(trace);
        let mut passing = Passing::of(trace, self.temporary);
        for (named, kind, outcome) in trace.accesses() {
            if named.starts_with(self.folder.path()) {
                continue;
            }
            let question = question(kind, outcome);
            let changed = kind == Kind::Change && outcome.is_none();
            let is_here = named.starts_with(&self.at.directory);
            let itself = (named.to_owned(), is_here, question);
            // Whether it was there then is not known.
            let led = questions::Question {
                asked: question.asked,
                ..questions::Question::default()
            };
            let ways = links.ways(named, kind).into_iter();
            let ways = ways.map(|way| (way.path, is_here && !way.rooted, led));
            for (way, is_here, question) in std::iter::once(itself).chain(ways) {
                match self.at.places.of(&way) {
                    Place::Inside(name) => {
                        by_another_name |= !is_here && !named.starts_with(&self.at.directory);
                        let known = inside.entry(name).or_default();
                        known.0.asked = known.0.asked.and(question.asked);
                        known.1 |= changed;
                    }
                    Place::Outside(path) => {
                        let is_here = is_here || (is_near(&way) && is_near(&path));
                        if let Some(made) = passing.notes(&path, kind, outcome) {
                            reached(&made, is_here);
                            continue;
                        }
                        if changed {
                            may_change(&path, looker).map_err(|error| error.to_string())?;
                            continue;
                        }
                        reached(&path, is_here);
                        merge(&mut outside, path, question);
                    }
                }
            }
        }
        for path in passing.absent() {
            merge(&mut outside, path, questions::Question::default());
        }
        let content = questions::Question {
            asked: facts::Asked {
                content: true,
                ..facts::Asked::default()
            },
            ..questions::Question::default()
        };
        for path in loaded_by_the_kernel(trace, &self.at.directory) {
            reached(&path, is_near(&path));
            merge(&mut outside, path, content);
        }
        for path in shadowed(trace, path) {
            if let Place::Outside(path) = self.at.places.of(&path) {
                reached(&path, is_near(&path));
                merge(&mut outside, path, questions::Question::default());
            }
        }
        let about = libraries(trace);
        let mut found = Vec::new();
        let mut local = Vec::new();
        for (path, question) in outside {
            let fact = looker
                .outside(&path, question, about.as_deref())
                .map_err(|error| error.to_string())?;
            let Some(mut fact) = fact else { continue };
            if from_root.contains(&path) {
                found.push(fact.clone());
            }
            // Who went up before has named what is near from there.
            if let Some(near) = relative(&self.at.directory, &path, from_here.contains(&path)) {
                fact.path = near.as_os_str().as_bytes().to_vec();
                fact.stamp = None;
                local.push(fact);
            }
        }
        Ok(Looked {
            found,
            local,
            inside,
            by_another_name,
        })
    }

    /// The fact about a name in the folder.
    pub(super) fn near(&self, name: &Path, asked: facts::Asked, looker: &Looker<'_>) -> Fact {
        let path = self.at.directory.join(name);
        let mut fact = Fact::look(&path, asked, None, looker.rules());
        fact.path = name.as_os_str().as_bytes().to_vec();
        fact.stamp = None;
        fact
    }
}

/// Where programs that were run would have been found before, had they been there: the shell remembers
/// where it has found them and does not look again.
fn shadowed(trace: &Trace, path: &[u8]) -> Vec<PathBuf> {
    let folders: Vec<&Path> = path
        .split(|byte| *byte == b':')
        .map(|folder| Path::new(std::ffi::OsStr::from_bytes(folder)))
        .collect();
    let mut all = Vec::new();
    for program in trace.programs() {
        let (Some(parent), Some(name)) = (program.parent(), program.file_name()) else {
            continue;
        };
        if let Some(at) = folders.iter().position(|folder| *folder == parent) {
            let earlier = folders
                .iter()
                .take(at)
                .filter(|folder| folder.is_absolute());
            all.extend(earlier.map(|folder| folder.join(name)));
        }
    }
    all
}

/// The path as it is reached from a folder, if it was, or may have been since both are below the same one.
fn relative(folder: &Path, path: &Path, was: bool) -> Option<PathBuf> {
    let common = folder
        .components()
        .zip(path.components())
        .take_while(|(one, other)| one == other)
        .count();
    if common < 2 && !was {
        return None;
    }
    let up = folder.components().count() - common;
    let mut near: PathBuf = std::iter::repeat_n("..", up).collect();
    near.extend(path.components().skip(common));
    (near != Path::new("")).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_paths_are_relative() {
        let from = |path: &str| relative(Path::new("/src/pkg/b"), Path::new(path), false);
        assert_eq!(from("/src/pkg/configure"), Some("../configure".into()));
        assert_eq!(from("/src/other/x"), Some("../../other/x".into()));
        assert_eq!(from("/usr/include/x.h"), None);
        let reached = relative(Path::new("/src/pkg"), Path::new("/usr/x"), true);
        assert_eq!(reached, Some("../../usr/x".into()));
    }
}
