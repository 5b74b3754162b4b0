//! `ebd binpkg move`.

use std::fs;

use ebd::binpkg::package::Package;

use super::{FOO, Made, put};
use crate::support::Trial;
use ebd::binpkg::pkgdir::Format;

/// Two builds of foo, as gpkg and xpak, in a repository that says what moved.
fn trial(updates: &str) -> Trial {
    let trial = Trial::new()
        .gentoo()
        .make_conf("FEATURES=\"-compress-index\"\n")
        .file("repo/profiles/updates/1Q-2025", updates);
    put(&trial.packages(), FOO);
    put(
        &trial.packages(),
        Made {
            format: Format::Xpak,
            built: FOO.built + 9,
            uses: "slow",
            ..FOO
        },
    );
    trial
}

fn entries(trial: &Trial) -> Vec<(String, String, String)> {
    let value = |entry: &ebd::binpkg::index::Entry, key: &str| {
        entry.get(key).unwrap_or_default().to_owned()
    };
    let mut all: Vec<_> = trial
        .index()
        .iter()
        .map(|it| {
            (
                it.path().into_owned(),
                value(it, "SLOT"),
                value(it, "RDEPEND"),
            )
        })
        .collect();
    all.sort();
    all
}

fn row(path: &str, slot: &str, rdepend: &str) -> (String, String, String) {
    (path.to_owned(), slot.to_owned(), rdepend.to_owned())
}

#[test]
fn packages_get_their_new_name_slot_and_dependencies() {
    let trial = trial("move app-misc/foo app-arch/bar\nslotmove app-arch/bar 0 5\nmove a/b c/d\n");
    let before = entries(&trial);
    let outcome = trial.run(&["binpkg", "move", "--pretend"]);
    outcome.succeeds();
    assert!(
        outcome
            .stdout
            .contains("is app-arch/bar-1 now, is in slot 5 now, has other names in RDEPEND"),
        "{}",
        outcome.stdout
    );
    assert_eq!(entries(&trial), before);
    trial.run(&["binpkg", "move"]).succeeds();
    let old = |path: &str, rdepend: &str| row(path, "0", rdepend);
    assert_eq!(
        entries(&trial),
        [
            row("app-arch/bar/bar-1-1.gpkg.tar", "5", "c/d"),
            row("app-arch/bar/bar-1-2.xpak", "5", ""),
            old("app-misc/foo/foo-1-1.gpkg.tar", "a/b"),
            old("app-misc/foo/foo-1-2.xpak", ""),
        ]
    );
    for name in ["bar-1-1.gpkg.tar", "bar-1-2.xpak"] {
        let path = trial.packages().join("app-arch/bar").join(name);
        let mut package = Package::open(&path).unwrap();
        package.verify().unwrap();
        let metadata = package.metadata().unwrap();
        let text = |key: &str| String::from_utf8(metadata[key].clone()).unwrap();
        assert_eq!(text("CATEGORY"), "app-arch\n");
        assert_eq!(text("PF"), "bar-1\n");
        assert_eq!(text("RDEPEND"), "fast? ( c/d )\n");
    }
    for what in ["check", "verify"] {
        trial.run(&["binpkg", what]).succeeds();
    }
    // The second time nothing is left to be done.
    let outcome = trial.run(&["binpkg", "move"]);
    outcome.succeeds();
    assert!(
        !outcome.stdout.contains("is app-arch/bar-1 now"),
        "{}",
        outcome.stdout
    );
    assert_eq!(entries(&trial).len(), 4);
}

#[test]
fn slots_and_dependencies_change_in_place() {
    let trial = trial("slotmove app-misc/foo 0 2\nmove a/b c/d\nnonsense\n");
    let outcome = trial.run(&["binpkg", "move"]);
    outcome.succeeds();
    assert!(
        outcome.stderr.contains("1Q-2025:3: is neither"),
        "{}",
        outcome.stderr
    );
    assert_eq!(
        entries(&trial),
        [
            row("app-misc/foo/foo-1-1.gpkg.tar", "2", "c/d"),
            row("app-misc/foo/foo-1-2.xpak", "2", ""),
        ]
    );
    for what in ["check", "verify"] {
        trial.run(&["binpkg", what]).succeeds();
    }
    let outcome = trial.run(&["binpkg", "move"]);
    assert!(
        outcome.stdout.starts_with("0 packages"),
        "{}",
        outcome.stdout
    );
}

#[test]
fn a_damaged_package_stays_and_the_others_are_moved() {
    let trial = trial("move app-misc/foo app-arch/bar\n");
    let path = trial.packages().join("app-misc/foo/foo-1-1.gpkg.tar");
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half] ^= 1;
    fs::write(&path, &bytes).unwrap();
    trial.run(&["binpkg", "move"]).fails(&["foo-1-1.gpkg.tar"]);
    assert_eq!(fs::read(&path).unwrap(), bytes);
    let paths: Vec<String> = entries(&trial).into_iter().map(|row| row.0).collect();
    assert_eq!(paths[0], "app-arch/bar/bar-1-2.xpak");
    assert_eq!(paths.len(), 3);
    let names = fs::read_dir(trial.packages().join("app-arch/bar")).unwrap();
    assert_eq!(names.count(), 1, "what was not finished is gone");
}
