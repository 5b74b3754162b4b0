//! What a run made of its directory: told from how it was before, and put back.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::libc;
use serde::{Deserialize, Serialize};

use super::learn::Untaught;
use super::tree::{Kind, Node, Tree};
use crate::util::token;

/// A change of the directory. Names are relative to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Change {
    /// What was there is gone.
    Remove { name: Vec<u8> },
    /// A directory is there, with this mode and group.
    Directory {
        name: Vec<u8>,
        mode: u32,
        group: u32,
    },
    /// A file is there.
    File {
        name: Vec<u8>,
        mode: u32,
        group: u32,
        content: Vec<u8>,
        /// When it was modified, in seconds and nanoseconds, if that is older than the run.
        modified: Option<(i64, i64)>,
    },
    /// A link is there.
    Link {
        name: Vec<u8>,
        target: Vec<u8>,
        group: u32,
    },
}

impl Change {
    /// What it is about.
    pub(super) fn name(&self) -> &Path {
        match self {
            Self::Remove { name }
            | Self::Directory { name, .. }
            | Self::File { name, .. }
            | Self::Link { name, .. } => Path::new(OsStr::from_bytes(name)),
        }
    }

    /// What is in it, if it is a file, or where it leads, if it is a link.
    pub(super) fn content(&self) -> Option<&[u8]> {
        match self {
            Self::File { content, .. } => Some(content),
            Self::Link { target, .. } => Some(target),
            Self::Remove { .. } | Self::Directory { .. } => None,
        }
    }

    /// Without the times, for comparing what two runs made.
    pub(super) fn timeless(&self) -> Self {
        let mut change = self.clone();
        if let Self::File { modified, .. } = &mut change {
            *modified = None;
        }
        change
    }
}

/// What became of the directory `root` between two moments, in the order in which it is to be put
/// back. `started` is when the run began, in seconds and nanoseconds.
///
/// # Errors
/// Something was made that cannot be put back, or cannot be read.
pub(super) fn changes(
    root: &Path,
    before: &Tree,
    after: &Tree,
    started: (i64, i64),
) -> Result<Vec<Change>, Untaught> {
    let mut all = Vec::new();
    // What is in a directory goes before it.
    for (name, node) in before.nodes().rev() {
        let stays = after
            .get(name)
            .is_some_and(|now| is_same_kind(&node.kind, &now.kind));
        if !stays {
            all.push(Change::Remove { name: bytes(name) });
        }
    }
    let (mut directories, mut files) = (Vec::new(), Vec::new());
    for (name, node) in after.nodes() {
        let old = before.get(name);
        let unchanged = old.is_some_and(|old| match node.kind {
            Kind::Directory => {
                is_same_kind(&old.kind, &node.kind) && old.attributes == node.attributes
            }
            _ => old.stamp == node.stamp,
        });
        if unchanged {
            continue;
        }
        if let Some(what) = cannot_be_put_back(root, name, node, old) {
            return Err(Untaught::Made {
                path: root.join(name),
                what,
            });
        }
        match &node.kind {
            Kind::Directory => directories.push(Change::Directory {
                name: bytes(name),
                mode: node.attributes.mode,
                group: node.attributes.gid,
            }),
            Kind::File { .. } => files.push((file(root, name, node, started)?, node)),
            Kind::Link(target) => files.push((
                Change::Link {
                    name: bytes(name),
                    target: target.clone(),
                    group: node.attributes.gid,
                },
                node,
            )),
            // It cannot be put back.
            Kind::Other { .. } => {}
        }
    }
    // What was made last must be newest again, for make.
    files.sort_by_key(|(_, node)| node.stamp.modified());
    all.extend(directories);
    all.extend(files.into_iter().map(|(change, _)| change));
    Ok(all)
}

/// What about a file that was made is lost if it is put back.
fn cannot_be_put_back(
    root: &Path,
    name: &Path,
    node: &Node,
    old: Option<&Node>,
) -> Option<&'static str> {
    if node.attributes.uid != nix::unistd::geteuid().as_raw() {
        return Some("belongs to another user");
    }
    match &node.kind {
        Kind::Other { .. } => return Some("is a device, socket or pipe"),
        // Whatever is written to the one is in the other.
        Kind::File { .. } if node.links > 1 => return Some("has another name besides"),
        Kind::Directory => {
            let old = old.filter(|old| is_same_kind(&old.kind, &node.kind));
            // Who may make files of a group need not be one who may give it to a directory of others.
            if old.is_some_and(|old| old.attributes.gid != node.attributes.gid) {
                return Some("was given to another group");
            }
        }
        _ => {}
    }
    has_attributes(&root.join(name)).then_some("has extended attributes")
}

/// Whether it has extended attributes that a program gave it. Others come from the file system by themselves, and
/// rights that whatever is made in a folder gets are given to what is put back there too.
fn has_attributes(path: &Path) -> bool {
    let names = |path: &Path| xattr::list(path).into_iter().flatten();
    let inherits = || {
        let mut of_folder = path.parent().into_iter().flat_map(names);
        of_folder.any(|name| name == "system.posix_acl_default")
    };
    names(path).any(|name| {
        let name = name.as_bytes();
        name.starts_with(b"user.")
            || name == b"security.capability"
            || (name.starts_with(b"system.posix_acl_") && !inherits())
    })
}

fn is_same_kind(one: &Kind, other: &Kind) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

fn bytes(name: &Path) -> Vec<u8> {
    name.as_os_str().as_bytes().to_vec()
}

fn file(root: &Path, name: &Path, node: &Node, started: (i64, i64)) -> Result<Change, Untaught> {
    let path = root.join(name);
    let what = "cannot be read";
    let content = fs::read(&path).map_err(|_| Untaught::Made { path, what })?;
    let modified = node.stamp.modified();
    Ok(Change::File {
        name: bytes(name),
        mode: node.attributes.mode,
        group: node.attributes.gid,
        content,
        modified: (modified < started).then_some(modified),
    })
}

/// What a run made cannot be put back. The directory is as it was.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be put back", path.display())]
pub struct PutBackError {
    /// What could not be made.
    pub path: PathBuf,
    /// The reason.
    pub source: io::Error,
}

/// Makes the changes in the directory `root`: all of them, or, if there is an error, none.
///
/// # Errors
/// Something cannot be written.
pub(super) fn put_back(root: &Path, changes: &[Change]) -> Result<(), PutBackError> {
    let mut made = Made::default();
    let gone: HashSet<&Path> = changes
        .iter()
        .filter(|change| matches!(change, Change::Remove { .. }))
        .map(Change::name)
        .collect();
    let waiting = match prepare(root, changes, &gone, &mut made) {
        Ok(waiting) => waiting,
        Err(error) => {
            made.undo();
            return Err(error);
        }
    };
    // From here on there are only renames and removals within directories that could be written to.
    for change in changes {
        let path = root.join(change.name());
        let done = match change {
            Change::Remove { .. } => fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)),
            Change::Directory { .. } if !path.is_dir() => fs::create_dir(&path),
            _ => Ok(()),
        };
        done.map_err(|source| PutBackError { path, source })?;
    }
    for (temporary, path) in waiting {
        fs::rename(&temporary, &path).map_err(|source| PutBackError { path, source })?;
    }
    for change in changes.iter().rev() {
        if let Change::Directory { mode, group, .. } = change {
            let path = root.join(change.name());
            belong(&path, *group)
                .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(*mode)))
                .map_err(|source| PutBackError { path, source })?;
        }
    }
    Ok(())
}

/// What was made so far.
#[derive(Default)]
struct Made {
    files: Vec<PathBuf>,
    directories: Vec<PathBuf>,
}

impl Made {
    fn undo(self) {
        for path in &self.files {
            let _ = fs::remove_file(path);
        }
        for path in self.directories.iter().rev() {
            let _ = fs::remove_dir(path);
        }
    }
}

/// Makes the directories, and files and links under other names: gives these and their names to be.
fn prepare(
    root: &Path,
    changes: &[Change],
    gone: &HashSet<&Path>,
    made: &mut Made,
) -> Result<Vec<(PathBuf, PathBuf)>, PutBackError> {
    let token = token::fresh();
    // Where a directory takes the place of a file, it is made when the file is gone.
    let is_blocked = |name: &Path| name.ancestors().any(|above| gone.contains(above));
    let mut waiting = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        let name = change.name();
        let path = root.join(name);
        let fail = |source: io::Error| PutBackError {
            path: path.clone(),
            source,
        };
        if !name
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
            && !name.as_os_str().is_empty()
        {
            return Err(fail(io::ErrorKind::InvalidInput.into()));
        }
        let folder = name.ancestors().skip(1).find(|folder| !is_blocked(folder));
        let folder = root.join(folder.unwrap_or(Path::new("")));
        let temporary = folder.join(OsString::from(format!(".ebd-{token}-{at}")));
        match change {
            Change::Remove { .. } => {}
            Change::Directory { group, .. } => match fs::create_dir(&path) {
                Ok(()) => {
                    made.directories.push(path.clone());
                    belong(&path, *group).map_err(fail)?;
                }
                Err(_) if path.is_dir() || is_blocked(name) => {}
                Err(error) => return Err(fail(error)),
            },
            Change::File {
                mode,
                group,
                content,
                modified,
                ..
            } => {
                made.files.push(temporary.clone());
                write(&temporary, content, (*mode, *group), *modified).map_err(fail)?;
                waiting.push((temporary, path));
            }
            Change::Link { target, group, .. } => {
                made.files.push(temporary.clone());
                std::os::unix::fs::symlink(OsStr::from_bytes(target), &temporary)
                    .and_then(|()| belong(&temporary, *group))
                    .map_err(fail)?;
                waiting.push((temporary, path));
            }
        }
    }
    Ok(waiting)
}

/// Gives it to the group, if it is another's.
fn belong(path: &Path, group: u32) -> io::Result<()> {
    match path.symlink_metadata()?.gid() == group {
        true => Ok(()),
        false => std::os::unix::fs::lchown(path, None, Some(group)),
    }
}

fn write(
    path: &Path,
    content: &[u8],
    (mode, group): (u32, u32),
    modified: Option<(i64, i64)>,
) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    file.write_all(content)?;
    // It takes away some of what the mode gives.
    belong(path, group)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    if let Some((seconds, nanoseconds)) = modified {
        let (seconds, nanoseconds) = (
            u64::try_from(seconds).unwrap_or(0),
            u32::try_from(nanoseconds).unwrap_or(0),
        );
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const LONG_AGO: (i64, i64) = (0, 0);

    /// A directory with something of everything.
    fn directory() -> (tempfile::TempDir, PathBuf) {
        let tmp = tempfile::tempdir().unwrap();
        let root = tmp.path().join("build");
        fs::create_dir_all(root.join("old/deep")).unwrap();
        for name in ["kept", "changed", "removed", "old/deep/file", "file-to-dir"] {
            fs::write(root.join(name), name).unwrap();
        }
        symlink("kept", root.join("link")).unwrap();
        (tmp, root)
    }

    fn run(root: &Path) {
        fs::write(root.join("changed"), "new").unwrap();
        fs::remove_file(root.join("removed")).unwrap();
        fs::remove_dir_all(root.join("old")).unwrap();
        fs::remove_file(root.join("file-to-dir")).unwrap();
        fs::create_dir_all(root.join("file-to-dir/deep")).unwrap();
        fs::write(root.join("file-to-dir/deep/in"), "x").unwrap();
        fs::remove_file(root.join("link")).unwrap();
        symlink("changed", root.join("link")).unwrap();
        fs::create_dir_all(root.join("new/dir")).unwrap();
        fs::write(root.join("new/dir/script"), "#!\n").unwrap();
        fs::set_permissions(root.join("new/dir/script"), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(root.join("new/dir"), Permissions::from_mode(0o750)).unwrap();
    }

    /// All that is there, with modes and contents.
    fn shown(root: &Path) -> Vec<String> {
        let tree = Tree::read(root, true).unwrap();
        let each = tree.nodes().skip(1);
        each.map(|(name, node)| {
            let kind = match &node.kind {
                Kind::File { .. } => fs::read_to_string(root.join(name)).unwrap(),
                kind => format!("{kind:?}"),
            };
            format!("{} {:o} {kind}", name.display(), node.attributes.mode)
        })
        .collect()
    }

    #[test]
    fn what_was_made_is_put_back() {
        let (_first, one) = directory();
        let (_second, two) = directory();
        let before = Tree::read(&one, true).unwrap();
        run(&one);
        let after = Tree::read(&one, false).unwrap();
        let all = changes(&one, &before, &after, LONG_AGO).unwrap();
        put_back(&two, &all).unwrap();
        assert_eq!(shown(&two), shown(&one));
    }

    #[test]
    fn what_cannot_be_put_back_leaves_all_as_it_was() {
        let (_first, one) = directory();
        let (_second, two) = directory();
        let before = Tree::read(&one, true).unwrap();
        run(&one);
        let after = Tree::read(&one, false).unwrap();
        let mut all = changes(&one, &before, &after, LONG_AGO).unwrap();
        all.push(Change::File {
            name: b"kept/in-a-file".to_vec(),
            mode: 0o644,
            group: nix::unistd::getegid().as_raw(),
            content: Vec::new(),
            modified: None,
        });
        let was = shown(&two);
        let error = put_back(&two, &all).unwrap_err();
        assert!(error.path.ends_with("kept/in-a-file"), "{error}");
        assert_eq!(shown(&two), was);
    }

    #[test]
    fn nothing_is_put_outside() {
        let (_tmp, root) = directory();
        for name in ["../out", "/tmp/out", "a/../../out"] {
            let change = Change::File {
                name: name.into(),
                mode: 0o644,
                group: nix::unistd::getegid().as_raw(),
                content: Vec::new(),
                modified: None,
            };
            put_back(&root, &[change]).unwrap_err();
        }
        assert!(!root.join("../out").exists());
    }

    #[test]
    fn the_order_of_times_is_kept() {
        let (_first, one) = directory();
        let (_second, two) = directory();
        let before = Tree::read(&one, true).unwrap();
        for (name, second) in [("z", 10), ("a", 30), ("m", 20)] {
            fs::write(one.join(name), "").unwrap();
            let time = filetime::FileTime::from_unix_time(2_000_000_000 + second, 0);
            filetime::set_file_mtime(one.join(name), time).unwrap();
        }
        fs::write(one.join("of-old"), "").unwrap();
        filetime::set_file_mtime(
            one.join("of-old"),
            filetime::FileTime::from_unix_time(99, 5),
        )
        .unwrap();
        let after = Tree::read(&one, false).unwrap();
        let all = changes(&one, &before, &after, (1_000_000, 0)).unwrap();
        put_back(&two, &all).unwrap();
        let time = |name: &str| fs::metadata(two.join(name)).unwrap().modified().unwrap();
        assert!(time("z") <= time("m") && time("m") <= time("a"));
        assert_eq!(
            time("of-old"),
            SystemTime::UNIX_EPOCH + Duration::new(99, 5)
        );
    }
}
