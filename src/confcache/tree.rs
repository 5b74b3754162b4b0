//! A directory as it was at one moment: what is asked about it later is answered from that.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::ops::Bound;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::libc;

use super::facts::{Asked, Attributes, Stamp, State, Sum, file_sum, names_sum};

/// How many files a directory may hold.
const FILES: usize = 400_000;

/// How many bytes.
const BYTES: u64 = 4 << 30;

/// How many links are followed one after the other.
const LINKS: usize = 40;

/// A file, directory or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) attributes: Attributes,
    pub(super) stamp: Stamp,
    /// How many names it has.
    pub(super) links: u64,
    pub(super) kind: Kind,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// With the sum of its content, none if it cannot be read.
    File {
        size: u64,
        sum: Option<Sum>,
    },
    /// Where it leads.
    Link(Vec<u8>),
    Directory,
    /// A device, socket or pipe.
    Other {
        device: u64,
    },
}

/// Why a directory cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub(super) enum TreeError {
    #[error("{}: cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: has more than {FILES} files or {BYTES} bytes", .0.display())]
    TooLarge(PathBuf),
}

/// What was found when the tree was asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// This was there, or absent.
    Here {
        link: Option<Vec<u8>>,
        state: State,
        stamp: Option<Stamp>,
    },
    /// The path leads out of the tree, to there.
    Outside(PathBuf),
}

/// A directory and all below it, by paths relative to it.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    nodes: BTreeMap<Vec<u8>, Node>,
}

impl Tree {
    /// Reads all below `root`, the contents too if `sums` is set. Links are not followed.
    pub(super) fn read(root: &Path, sums: bool) -> Result<Self, TreeError> {
        let mut tree = Self {
            root: root.to_owned(),
            nodes: BTreeMap::new(),
        };
        let mut bytes = 0;
        for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
            let fail = |path: &Path, source: io::Error| TreeError::Read {
                path: path.to_owned(),
                source,
            };
            let entry = entry.map_err(|error| {
                let path = error.path().unwrap_or(root).to_owned();
                fail(&path, error.into())
            })?;
            let path = entry.path();
            let metadata = entry.metadata().map_err(|error| fail(path, error.into()))?;
            let kind = metadata.file_type();
            let kind = if kind.is_file() {
                bytes += metadata.size();
                if tree.nodes.len() >= FILES || bytes > BYTES {
                    return Err(TreeError::TooLarge(root.to_owned()));
                }
                Kind::File {
                    size: metadata.size(),
                    sum: match sums {
                        true => file_sum(path).ok(),
                        false => None,
                    },
                }
            } else if kind.is_symlink() {
                let target = std::fs::read_link(path).map_err(|error| fail(path, error))?;
                Kind::Link(target.into_os_string().into_vec())
            } else if kind.is_dir() {
                Kind::Directory
            } else {
                Kind::Other {
                    device: metadata.rdev(),
                }
            };
            let name = path.strip_prefix(root).unwrap_or(path);
            tree.nodes.insert(
                name.as_os_str().as_bytes().to_vec(),
                Node {
                    attributes: Attributes::of(&metadata),
                    stamp: Stamp::of(&metadata),
                    links: metadata.nlink(),
                    kind,
                },
            );
        }
        Ok(tree)
    }

    /// All of it, the directory itself (with an empty name) first, and each before what is in it.
    pub(super) fn nodes(&self) -> impl DoubleEndedIterator<Item = (&Path, &Node)> {
        let nodes = self.nodes.iter();
        nodes.map(|(name, node)| (Path::new(OsStr::from_bytes(name)), node))
    }

    /// All links, with where they lead.
    pub(super) fn links(&self) -> impl Iterator<Item = (&Path, &Path)> {
        self.nodes().filter_map(|(name, node)| match &node.kind {
            Kind::Link(target) => Some((name, Path::new(OsStr::from_bytes(target)))),
            _ => None,
        })
    }

    /// What has this name.
    pub(super) fn get(&self, name: &Path) -> Option<&Node> {
        self.nodes.get(name.as_os_str().as_bytes())
    }

    /// The names in a directory, in order.
    fn names(&self, directory: &[u8]) -> Vec<&[u8]> {
        let mut prefix = directory.to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        let from = (Bound::Excluded(prefix.clone()), Bound::Unbounded);
        let below = self.nodes.range::<Vec<u8>, _>(from);
        let below = below.take_while(|(name, _)| name.starts_with(&prefix));
        let mut names: Vec<&[u8]> = below
            .filter_map(|(name, _)| name.get(prefix.len()..))
            .filter(|name| !name.is_empty() && !name.contains(&b'/'))
            .collect();
        names.sort_unstable();
        names
    }

    /// What a program would have found at a path relative to the directory, as
    /// [`Fact::look`](super::Fact) tells it.
    pub(super) fn look(&self, name: &Path, asked: Asked) -> Seen {
        self.look_through(name, asked, &mut BTreeSet::new())
    }

    /// The same, adding the links on the way to `passed`.
    pub(super) fn look_through(
        &self,
        name: &Path,
        asked: Asked,
        passed: &mut BTreeSet<PathBuf>,
    ) -> Seen {
        let absent = |errno: i32, link: Option<Vec<u8>>| Seen::Here {
            link,
            state: State::Absent(errno),
            stamp: None,
        };
        let (mut at, mut left) = (PathBuf::new(), components(name));
        let (mut link, mut links) = (None, 0);
        while let Some(component) = left.pop() {
            if component == ".." {
                if !at.pop() {
                    // Above the root of the tree.
                    let mut path = self.root.clone();
                    path.pop();
                    path.extend(left.iter().rev());
                    return Seen::Outside(path);
                }
                continue;
            }
            match self.get(&at).map(|node| &node.kind) {
                Some(Kind::Directory) => {}
                Some(_) => return absent(libc::ENOTDIR, link),
                None => return absent(libc::ENOENT, link),
            }
            let next = at.join(&component);
            match self.get(&next).map(|node| &node.kind) {
                Some(Kind::Link(target)) => {
                    links += 1;
                    if links > LINKS {
                        return absent(libc::ELOOP, link);
                    }
                    if left.is_empty() && link.is_none() && links == 1 {
                        link = Some(target.clone()).filter(|_| asked.link);
                    }
                    passed.insert(next);
                    let target = Path::new(OsStr::from_bytes(target));
                    if target.is_absolute() {
                        match target.strip_prefix(&self.root) {
                            Ok(inside) => {
                                at = PathBuf::new();
                                left.extend(components(inside));
                            }
                            Err(_) => {
                                let mut path = target.to_owned();
                                path.extend(left.iter().rev());
                                return Seen::Outside(path);
                            }
                        }
                    } else {
                        left.extend(components(target));
                    }
                }
                _ => at = next,
            }
        }
        let Some(node) = self.get(&at) else {
            return absent(libc::ENOENT, link);
        };
        let attributes = node.attributes;
        let state = match &node.kind {
            Kind::File { size, sum } => State::File {
                attributes,
                size: *size,
                content: (*sum).filter(|_| asked.content),
            },
            Kind::Directory => State::Directory {
                attributes,
                names: asked
                    .names
                    .then(|| names_sum(&self.names(at.as_os_str().as_bytes()))),
            },
            Kind::Other { device } => State::Other {
                attributes,
                device: *device,
            },
            Kind::Link(_) => State::Absent(libc::ELOOP),
        };
        Seen::Here {
            link,
            state,
            stamp: Some(node.stamp),
        }
    }
}

/// The components of a path, the last first.
fn components(path: &Path) -> Vec<std::ffi::OsString> {
    let mut all: Vec<std::ffi::OsString> = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect();
    all.reverse();
    all
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::confcache::facts::Fact;
    use crate::confcache::rules::Rules;

    #[test]
    fn a_tree_answers_as_the_files_themselves() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().canonicalize().unwrap().join("build");
        fs::create_dir_all(root.join("dir/sub")).unwrap();
        fs::create_dir(root.join("dir-2")).unwrap();
        fs::write(root.join("file"), "text").unwrap();
        fs::write(root.join("dir/sub/file"), "more").unwrap();
        symlink("dir/sub/file", root.join("link")).unwrap();
        symlink("../file", root.join("dir/up")).unwrap();
        symlink(root.join("dir"), root.join("whole")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        symlink("round", root.join("round")).unwrap();
        symlink("link", root.join("link-2")).unwrap();
        let tree = Tree::read(&root, true).unwrap();
        let rules = Rules::default();
        for name in [
            "",
            "file",
            "file/x",
            "dir",
            "dir/sub",
            "dir/none/x",
            "link",
            "dir/up",
            "whole/sub",
            "dangling",
            "round",
            "link-2",
            "dir/sub/../up",
            "dir-2",
        ] {
            for asked in [
                Asked::default(),
                Asked {
                    link: true,
                    content: true,
                    names: true,
                    ..Asked::default()
                },
            ] {
                let fact = Fact::look(&root.join(name), asked, None, &rules);
                let Seen::Here { link, state, stamp } = tree.look(Path::new(name), asked) else {
                    panic!("{name} is outside");
                };
                assert_eq!((link, state), (fact.link, fact.state), "{name}");
                assert_eq!(stamp, fact.stamp, "{name}");
            }
        }
    }

    #[test]
    fn what_leads_out_is_told() {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().join("build");
        fs::create_dir(&root).unwrap();
        symlink("../source", root.join("source")).unwrap();
        symlink("/usr/include", root.join("include")).unwrap();
        let tree = Tree::read(&root, false).unwrap();
        let look = |name: &str| tree.look(Path::new(name), Asked::default());
        assert_eq!(
            look("source/configure"),
            Seen::Outside(tmp.path().join("source/configure"))
        );
        assert_eq!(
            look("include/stdio.h"),
            Seen::Outside("/usr/include/stdio.h".into())
        );
    }
}
