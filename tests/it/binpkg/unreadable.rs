//! Folders in PKGDIR that may not be read.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;

use super::{ALL, FOO, Made, assert_found, filled, paths, put};
use crate::support::{Outcome, Trial, is_root};

const NOBODY: u32 = 65534;

/// Gives a folder, with all that is in it, to whom the program runs as.
fn give(path: &Path) {
    for entry in walkdir::WalkDir::new(path) {
        if is_root() {
            chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
}

/// Runs the program as somebody who may not read everything.
fn run(trial: &Trial, arguments: &[&str]) -> Outcome {
    let mut command = trial.command(arguments);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    Outcome::of(&mut command)
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_that_may_not_be_read_stops_nothing() {
    let trial = filled();
    let packages = trial.packages();
    let bar = Made {
        cpv: "app-arch/bar-1",
        ..FOO
    };
    put(&packages, bar);
    let other = trial.path("other");
    for folder in ["packages/lost+found", "packages/.snapshots", "other"] {
        fs::create_dir(trial.path(folder)).unwrap();
    }
    allow(&trial.path(""), 0o755);
    give(&packages);
    give(&other);
    for folder in ["lost+found", ".snapshots"] {
        allow(&packages.join(folder), 0);
    }
    for command in [&["check"][..], &["fix"], &["verify", "--ignore-signature"]] {
        run(&trial, &[&["binpkg"][..], command].concat()).succeeds();
    }

    // One that may have packages is told, and what is known of it is kept.
    let closed = packages.join("app-arch");
    let told = format!(
        "{}: cannot be read, so nothing below it is looked at",
        closed.display()
    );
    allow(&closed, 0);
    fs::remove_file(packages.join(ALL[0])).unwrap();
    if !is_root() && fs::read_dir(&closed).is_ok() {
        // Root of a user namespace reads everything, and there is nobody else.
        return;
    }
    let found = run(&trial, &["binpkg", "check"]);
    assert_eq!(found.code(), 1);
    let gone = format!("foo-1: Packages has {}, which is not there", ALL[0]);
    assert_found(&found, &[&gone, &told]);
    let fixed = run(&trial, &["binpkg", "fix"]);
    fixed.ends(1, &[]);
    let known = [ALL[1], ALL[2], ALL[3], "app-arch/bar/bar-1-1.gpkg.tar"];
    let mut left = paths(&trial);
    left.sort();
    let mut expected = known.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(left, expected);
    assert_found(&run(&trial, &["binpkg", "check"]), &[&told]);

    let verified = run(&trial, &["binpkg", "verify", "--ignore-signature"]);
    verified.fails(&[&told]);
    assert!(
        verified.stdout.contains("3 of 4 packages are good"),
        "{verified}"
    );
    run(&trial, &["binpkg", "list"]).succeeds();
    let (conf, source) = (trial.path("conf"), packages.to_str().unwrap());
    let imported = run(
        &trial,
        &[
            "binpkg",
            "import",
            "--config-root",
            conf.to_str().unwrap(),
            "--pkgdir",
            other.to_str().unwrap(),
            source,
        ],
    );
    imported.fails(&[&told]);
    assert_eq!(imported.stdout.matches("imported: ").count(), 3);

    // Whoever may read it finds all that is there.
    allow(&closed, 0o755);
    run(&trial, &["binpkg", "check"]).succeeds();
    for folder in ["lost+found", ".snapshots"] {
        allow(&packages.join(folder), 0o755);
    }
}
