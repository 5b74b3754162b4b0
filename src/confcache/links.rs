//! Links that were in the folder that is configured, or that were made while a script ran: where paths
//! that name them have led.
//!
//! A trace has paths as programs gave them. A link that was there before leads where it leads, which is a
//! fact of its own; behind one that was made meanwhile, and is perhaps gone again, is what the run has seen
//! all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use sandbox::{Kind, Trace};

use super::tree::Tree;

/// How many links are followed one after the other.
const FOLLOWED: usize = 40;

/// How many ways of one path are told.
const WAYS: usize = 200;

/// Links by their absolute paths. What one path was at different times leads to all of that.
#[derive(Debug, Default)]
pub(super) struct Links(BTreeMap<PathBuf, BTreeSet<PathBuf>>);

impl Links {
    /// Those that programs have made.
    pub(super) fn made(trace: &Trace) -> Self {
        let mut links = Self::default();
        for (link, target) in trace.links() {
            links.add(plain(link), target);
        }
        links
    }

    /// Those of a directory too.
    pub(super) fn and_of(mut self, directory: &Path, tree: &Tree) -> Self {
        for (name, target) in tree.links() {
            self.add(directory.join(name), target);
        }
        self
    }

    fn add(&mut self, link: PathBuf, target: &Path) {
        self.0.entry(link).or_default().insert(target.to_owned());
    }

    /// Where a path may have led that something of this kind was done with, if there was a link on its
    /// way: paths without the links that are known here.
    pub(super) fn ways(&self, path: &Path, kind: Kind) -> Vec<Way> {
        let mut ways = Vec::new();
        if !self.0.is_empty() {
            // What is changed is told by its real name besides.
            let follows = !matches!(kind, Kind::Readlink | Kind::Change);
            let walk = Walk {
                at: PathBuf::from("/"),
                left: backwards(path),
                followed: 0,
                rooted: false,
            };
            self.walk(walk, follows, &mut ways);
        }
        ways
    }

    fn walk(&self, mut walk: Walk, follows: bool, ways: &mut Vec<Way>) {
        while let Some(name) = walk.left.pop() {
            if name == ".." {
                walk.at.pop();
                continue;
            }
            let next = walk.at.join(&name);
            let is_last = walk.left.is_empty();
            for target in self.0.get(&next).into_iter().flatten() {
                if (is_last && !follows) || walk.followed >= FOLLOWED || ways.len() >= WAYS {
                    break;
                }
                let mut left = walk.left.clone();
                left.extend(backwards(target));
                let at = match target.is_absolute() {
                    true => PathBuf::from("/"),
                    false => walk.at.clone(),
                };
                let next = Walk {
                    at,
                    left,
                    followed: walk.followed + 1,
                    rooted: walk.rooted || target.is_absolute(),
                };
                self.walk(next, follows, ways);
            }
            walk.at = next;
        }
        if walk.followed > 0 {
            ways.push(Way {
                path: walk.at,
                rooted: walk.rooted,
            });
        }
    }
}

/// Where a path may have led.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) path: PathBuf,
    /// Whether a link names it from the root.
    pub(super) rooted: bool,
}

/// A path that is gone a part of the way.
struct Walk {
    at: PathBuf,
    /// What is left of it, the last name first.
    left: Vec<OsString>,
    followed: usize,
    rooted: bool,
}

/// The names of a path, the last first.
fn backwards(path: &Path) -> Vec<OsString> {
    let names = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    names.collect()
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(all: &[(&str, &str)]) -> Links {
        let mut links = Links::default();
        for (link, target) in all {
            links.add(plain(Path::new(link)), Path::new(target));
        }
        links
    }

    #[test]
    fn all_ways_are_told() {
        let links = links(&[
            ("/b/sdk", "/opt/sdk"),
            ("/b/sdk", "../other"),
            ("/b/./twice", "sdk/in"),
            ("/b/round", "round"),
            ("/b/file", "real"),
        ]);
        let ways = |path: &str, kind| -> Vec<String> {
            let ways = links.ways(Path::new(path), kind);
            let told = |way: &Way| {
                format!(
                    "{}{}",
                    way.path.display(),
                    if way.rooted { "" } else { " here" }
                )
            };
            ways.iter().map(told).collect()
        };
        assert_eq!(ways("/b/plain", Kind::Open), [""; 0]);
        assert_eq!(
            ways("/b/sdk/x", Kind::Open),
            ["/opt/sdk/x", "/other/x here"]
        );
        assert_eq!(ways("/b/sdk/../x", Kind::Open), ["/opt/x", "/x here"]);
        assert_eq!(
            ways("/b/twice/x", Kind::Stat),
            ["/opt/sdk/in/x", "/other/in/x here", "/b/sdk/in/x here"]
        );
        assert_eq!(ways("/b/file", Kind::Open), ["/b/real here"]);
        for kind in [Kind::Readlink, Kind::Change] {
            assert_eq!(ways("/b/file", kind), [""; 0]);
            assert_eq!(ways("/b/sdk/x", kind), ["/opt/sdk/x", "/other/x here"]);
        }
        assert!(ways("/b/round/x", Kind::Open).len() <= FOLLOWED);
    }
}
