//! `ebd transfer` as it is typed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A repository with an eclass, two ebuilds and their cache.
struct Tree {
    directory: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let tree = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        tree.put("repo/profiles/repo_name", "tree\n");
        tree.put("repo/profiles/categories", "app-misc\n");
        tree.put("repo/metadata/layout.conf", "masters =\n");
        tree.put("repo/eclass/a.eclass", "a");
        tree.put("repo/app-misc/foo/foo-1.ebuild", "b");
        tree.put("repo/app-misc/foo/foo-2.ebuild", "c");
        // MD5 sums of a, b and c.
        let a = "0cc175b9c0f1b6a831c399e269772661";
        let b = "92eb5ffee6ae2fec3ad71c777531578f";
        let c = "4a8a08f09d37b73795649038408b5f33";
        tree.put(
            "repo/metadata/md5-cache/app-misc/foo-1",
            &format!("DESCRIPTION=Foo\nEAPI=8\nFUTURE=1\nINHERIT=a\nSLOT=0\n_eclasses_=a\t{a}\n_md5_={b}\n"),
        );
        tree.put(
            "repo/metadata/md5-cache/app-misc/foo-2",
            &format!("EAPI=9999\nSLOT=0\n_md5_={c}\n"),
        );
        fs::create_dir(tree.path("etc")).unwrap();
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn transfer(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ebd"))
            .args(["transfer", "--config-root", "etc"])
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .output()
            .unwrap()
    }

    fn done(&self, arguments: &[&str]) -> String {
        let output = self.transfer(arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap() + &errors
    }

    /// Every file of a folder: its name, inode, time of change and text.
    fn state(&self, folder: &str) -> Vec<(PathBuf, u64, i64, i64, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.path(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let known = fs::metadata(&path).unwrap();
                if known.is_dir() {
                    folders.push(path);
                } else {
                    let text = fs::read(&path).unwrap();
                    found.push((path, known.ino(), known.ctime(), known.ctime_nsec(), text));
                }
            }
        }
        found.sort();
        found
    }
}

fn same(a: &Path, b: &Path) -> bool {
    ["app-misc/foo-1", "app-misc/foo-2"]
        .iter()
        .all(|name| fs::read(a.join(name)).unwrap() == fs::read(b.join(name)).unwrap())
}

#[test]
fn a_second_transfer_writes_nothing_in_any_format() {
    let tree = Tree::new();
    let shipped = tree.path("repo/metadata/md5-cache");
    for format in [
        "md5-dict",
        "flat_hash",
        "flat_hash-md5",
        "flat_list",
        "flat_list-portage",
    ] {
        let to = format!("to-{format}");
        let told = tree.done(&["--format", format, "repo", &to]);
        assert!(
            told.contains(": 2 written, 0 unchanged, 0 removed, 1 unusable, 0 failed"),
            "{told}"
        );
        assert!(told.contains("1 entry of EAPI 9999"), "{told}");
        let before = tree.state(&to);
        let told = tree.done(&["--format", format, "repo", &to]);
        assert!(told.contains(": 0 written, 2 unchanged"), "{told}");
        assert_eq!(tree.state(&to), before);
        // The format is found out.
        let back = format!("back-{format}");
        tree.done(&["--repo", "repo", "--format", "md5-dict", &to, &back]);
        if format.starts_with("flat_list") {
            assert!(told.contains("1 entry lost FUTURE, INHERIT"), "{told}");
        } else {
            assert!(!told.contains("lost"), "{told}");
            assert!(same(&shipped, &tree.path(&back)), "{format}");
        }
    }
    let lines = fs::read_to_string(tree.path("to-flat_list/app-misc/foo-1")).unwrap();
    assert_eq!(lines, "\n\n0\n\n\n\n\nFoo\n\na\n\n\n\n\n8\n\n\n\n\n\n\n\n");
    let ebuild = fs::metadata(tree.path("repo/app-misc/foo/foo-1.ebuild")).unwrap();
    let entry = fs::metadata(tree.path("to-flat_list/app-misc/foo-1")).unwrap();
    assert_eq!(entry.mtime(), ebuild.mtime());
}

#[test]
fn a_repository_gets_a_second_cache() {
    let tree = Tree::new();
    tree.done(&["--format", "pms", "repo", "repo"]);
    assert!(tree.path("repo/metadata/cache/app-misc/foo-1").is_file());
    let output = tree.transfer(&["--format", "flat_hash", "repo", "repo"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("no place for flat_hash")
    );
}

#[test]
fn what_cannot_be_transferred_is_named() {
    let tree = Tree::new();
    tree.put("repo/metadata/md5-cache/app-misc/foo-3", "nonsense\n");
    let output = tree.transfer(&["repo", "to"]);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("repo/metadata/md5-cache/app-misc/foo-3"),
        "{errors}"
    );
    assert!(errors.contains("line 1"), "{errors}");
    assert!(same(
        &tree.path("repo/metadata/md5-cache"),
        &tree.path("to")
    ));
    // Without the repository nobody knows the times.
    let output = tree.transfer(&["--format", "flat_list", "to", "times"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--repo"));
    let output = tree.transfer(&["--json", "none", "to"]);
    assert_eq!(output.status.code(), Some(1));
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(line.contains("no cache entries are there"), "{line}");
    tree.put("odd/a-a/b-1", "odd");
    let output = tree.transfer(&["odd", "to"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("odd/a-a/b-1: no cache entry in a known format"),
        "{errors}"
    );
    assert_eq!(
        tree.transfer(&["--format", "x", "a", "b"]).status.code(),
        Some(2)
    );
}

#[test]
fn what_the_source_lost_goes() {
    let tree = Tree::new();
    tree.done(&["repo", "to"]);
    fs::remove_file(tree.path("repo/metadata/md5-cache/app-misc/foo-2")).unwrap();
    let told = tree.done(&["--keep-extra", "repo", "to"]);
    assert!(told.contains("0 removed"), "{told}");
    let told = tree.done(&["--json", "repo", "to"]);
    assert!(told.contains("\"removed\":1"), "{told}");
    assert!(!tree.path("to/app-misc/foo-2").exists());
}

#[test]
fn masters_are_those_of_the_file_that_is_named() {
    let tree = Tree::new();
    tree.put("over/profiles/repo_name", "over\n");
    tree.put("over/profiles/categories", "app-misc\n");
    tree.put("over/metadata/layout.conf", "masters = tree\n");
    tree.put("over/app-misc/foo/foo-1.ebuild", "b");
    let entry = fs::read(tree.path("repo/metadata/md5-cache/app-misc/foo-1")).unwrap();
    tree.put(
        "over/metadata/md5-cache/app-misc/foo-1",
        std::str::from_utf8(&entry).unwrap(),
    );
    let arguments = ["--format", "flat_hash", "over", "to"];
    let output = tree.transfer(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("tree"), "{errors}");
    tree.put(
        "own.toml",
        &format!(
            "[repositories.tree]\nlocation = \"{}\"\n",
            tree.path("repo").display()
        ),
    );
    let mut all = vec!["--config", "own.toml"];
    all.extend(arguments);
    assert!(tree.done(&all).contains(": 1 written"));
    assert!(tree.path("to/app-misc/foo-1").is_file());
}
