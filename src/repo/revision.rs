//! Which state of a repository is there, as what synced it has left word of it.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// How many references may lead from one to the next.
const LINKS: usize = 5;

/// Why the revision of a repository is not known.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// It is in no folder that git knows.
    #[error("{}: is not in a git repository, as sync-type = git in repos.conf says", path.display())]
    NoGit {
        /// The repository's folder.
        path: PathBuf,
    },
    /// A file that tells of it cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A file that tells of it says something else.
    #[error("{}: names no revision", path.display())]
    Odd {
        /// The file.
        path: PathBuf,
    },
    /// Nothing says which commit a branch is at.
    #[error("{}: does not have {name}; only references in files are understood", path.display())]
    NoReference {
        /// The folder of git.
        path: PathBuf,
        /// The name of the branch.
        name: String,
    },
    /// How it is synced is known, but not what that leaves.
    #[error("sync-type = {0}: which revision that has brought cannot be told yet")]
    SyncType(String),
}

/// The revision of the repository at `location`, which is synced by `sync_type` of repos.conf: the commit that git has
/// checked out, the first word of the commit's time that mirrors ship, or the tag of the archive. Nothing for the ways to
/// sync that know no revisions.
///
/// # Errors
/// A [`RevisionError`] that names what cannot be read.
pub fn revision(location: &Path, sync_type: &str) -> Result<Option<String>, RevisionError> {
    match sync_type {
        "git" => git_head(location).map(Some),
        "rsync" => {
            let path = location.join("metadata/timestamp.commit");
            let text = read(&path)?;
            let mut lines = text.lines().filter(|line| !line.starts_with('#'));
            let word = lines.find_map(|line| line.split_whitespace().next());
            word.map(|word| Some(word.to_owned()))
                .ok_or(RevisionError::Odd { path })
        }
        "zipfile" => {
            let path = location.join(".info");
            let text = read(&path)?;
            let tag = text.lines().find_map(|line| {
                let mut words = line.split_whitespace();
                words.next().filter(|key| *key == "etag")?;
                words.next()
            });
            tag.map(|tag| Some(tag.to_owned()))
                .ok_or(RevisionError::Odd { path })
        }
        "mercurial" => Err(RevisionError::SyncType(sync_type.to_owned())),
        _ => Ok(None),
    }
}

fn read(path: &Path) -> Result<String, RevisionError> {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|source| RevisionError::Read {
            path: path.to_owned(),
            source,
        })
}

/// The commit that is checked out in the work tree that has `location`.
fn git_head(location: &Path) -> Result<String, RevisionError> {
    let mut above = location.ancestors().map(|folder| folder.join(".git"));
    let found = above.find(|path| path.exists());
    let dot_git = found.ok_or_else(|| RevisionError::NoGit {
        path: location.to_owned(),
    })?;
    let own = match dot_git.is_dir() {
        true => dot_git,
        // A work tree of its own, or a submodule.
        false => {
            let text = read(&dot_git)?;
            let Some(target) = text.trim_end().strip_prefix("gitdir: ") else {
                return Err(RevisionError::Odd { path: dot_git });
            };
            dot_git.with_file_name("").join(target)
        }
    };
    // Branches are shared by all work trees.
    let shared = match read(&own.join("commondir")) {
        Ok(text) => own.join(text.trim_end()),
        Err(_) => own.clone(),
    };
    let mut path = own.join("HEAD");
    let mut text = read(&path)?;
    for _ in 0..LINKS {
        let line = text.trim();
        let Some(name) = line.strip_prefix("ref:").map(str::trim) else {
            return match is_commit(line) {
                true => Ok(line.to_owned()),
                false => Err(RevisionError::Odd { path }),
            };
        };
        if !is_reference(name) {
            return Err(RevisionError::Odd { path });
        }
        path = shared.join(name);
        text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(_) => packed(&shared, name).ok_or_else(|| RevisionError::NoReference {
                path: shared.clone(),
                name: name.to_owned(),
            })?,
        };
    }
    Err(RevisionError::Odd { path })
}

/// Whether it can be the name of a branch or the like, and no other file.
fn is_reference(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    name.starts_with("refs/") && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// Whether it is the whole hash of a commit, SHA-1 or SHA-256.
fn is_commit(text: &str) -> bool {
    [40, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The commit of a reference that has no file of its own.
fn packed(folder: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join("packed-refs")).ok()?;
    text.lines().find_map(|line| {
        let (commit, reference) = line.split_once(' ')?;
        (reference == name).then(|| commit.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::causes::causes;

    const ONE: &str = "0123456789abcdef0123456789abcdef01234567";
    const TWO: &str = "fedcba9876543210fedcba9876543210fedcba98";

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(self, name: &str, text: &str) -> Self {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        fn revision(&self, folder: &str, sync_type: &str) -> Result<Option<String>, String> {
            let found = revision(&self.0.path().join(folder), sync_type);
            found.map_err(|error| {
                let path = self.0.path().display().to_string();
                causes(&error).join(": ").replace(&path, "")
            })
        }

        fn git(&self, folder: &str) -> Result<String, String> {
            self.revision(folder, "git").map(Option::unwrap)
        }
    }

    #[test]
    fn branches_are_found_in_files_and_packed() {
        let tree = Tree::new()
            .file("repo/.git/HEAD", "ref: refs/heads/main\n")
            .file(
                "repo/.git/packed-refs",
                &format!("# pack-refs with: peeled\n{ONE} refs/heads/main\n^{TWO}\n{TWO} refs/heads/main2\n"),
            )
            .file("repo/overlay/profiles/repo_name", "overlay\n");
        assert_eq!(tree.git("repo").as_deref(), Ok(ONE));
        assert_eq!(tree.git("repo/overlay").as_deref(), Ok(ONE));
        let tree = tree.file("repo/.git/refs/heads/main", &format!("{TWO}\n"));
        assert_eq!(tree.git("repo").as_deref(), Ok(TWO));
        let tree = tree.file("repo/.git/HEAD", &format!("{ONE}\n"));
        assert_eq!(tree.git("repo").as_deref(), Ok(ONE));
    }

    #[test]
    fn work_trees_share_their_branches() {
        let tree = Tree::new()
            .file("main/.git/HEAD", "ref: refs/heads/main\n")
            .file("main/.git/refs/heads/main", ONE)
            .file("main/.git/refs/heads/other", TWO)
            .file("main/.git/worktrees/w/HEAD", "ref: refs/heads/other\n")
            .file("main/.git/worktrees/w/commondir", "../..\n")
            .file("w/.git", "gitdir: ../main/.git/worktrees/w\n");
        assert_eq!(tree.git("main").as_deref(), Ok(ONE));
        assert_eq!(tree.git("w").as_deref(), Ok(TWO));
    }

    #[test]
    fn what_git_itself_makes_is_understood() {
        let tree = Tree::new().file("repo/a", "");
        let folder = tree.0.path().join("repo");
        let git = |arguments: &str| {
            let output = std::process::Command::new("git")
                .args(["-c", "user.name=x", "-c", "user.email=x@example.org"])
                .args(arguments.split(' '))
                .current_dir(&folder)
                .output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        if git("init").is_err() {
            // No git here.
            return;
        }
        git("add a").unwrap();
        git("commit -m x").unwrap();
        let head = git("rev-parse HEAD").unwrap();
        assert_eq!(tree.git("repo"), Ok(head.clone()));
        git("pack-refs --all").unwrap();
        assert_eq!(tree.git("repo"), Ok(head.clone()));
        git("worktree add --detach ../second").unwrap();
        assert_eq!(tree.git("second"), Ok(head));
    }

    #[test]
    fn mirrors_and_archives_tell_theirs() {
        let tree = Tree::new()
            .file(
                "repo/metadata/timestamp.commit",
                &format!("# x\n\n{ONE} 1718000000 2024-06-10T06:13:20+00:00\n"),
            )
            .file("repo/.info", "other x\netag \"abc\"\n");
        assert_eq!(tree.revision("repo", "rsync"), Ok(Some(ONE.into())));
        assert_eq!(tree.revision("repo", "zipfile"), Ok(Some("\"abc\"".into())));
        for none in ["webrsync", "cvs", "svn"] {
            assert_eq!(tree.revision("repo", none), Ok(None));
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let tree = Tree::new().file("empty/x", "");
        let error = |folder, sync_type| tree.revision(folder, sync_type).unwrap_err();
        assert_eq!(
            error("empty", "rsync"),
            "/empty/metadata/timestamp.commit: cannot be read: No such file or directory (os error 2)"
        );
        assert!(error("empty", "mercurial").starts_with("sync-type = mercurial: "));
        for (head, says) in [
            ("ref: refs/heads/gone\n", "does not have refs/heads/gone"),
            ("ref: refs/../../secret\n", "HEAD: names no revision"),
            ("0123\n", "HEAD: names no revision"),
            (
                "ref: refs/heads/loop\n",
                "refs/heads/loop: names no revision",
            ),
        ] {
            let tree = Tree::new()
                .file("repo/.git/HEAD", head)
                .file("repo/.git/refs/heads/loop", "ref: refs/heads/loop\n");
            let error = tree.git("repo").unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
