//! `ebd query` and `ebd search`.

use std::fs;
use std::process::Command;

use crate::support::{Outcome, Trial, ebuild};

fn trial() -> Trial {
    let described = |text: &str, more: &str| ebuild(more).replace("A trial", text);
    Trial::new()
        .gentoo()
        .ebuild(
            "app-misc/foo-1",
            described(
                "An editor of text",
                "IUSE=\"+test x\"\nRDEPEND=\">=dev-libs/bar-1:=\"",
            ),
        )
        .ebuild(
            "app-misc/foo-2",
            described("The editor of text", "IUSE=\"x\"\nPROPERTIES=\"live\"")
                .replace("amd64", "~amd64"),
        )
        .ebuild(
            "dev-libs/bar-1",
            described("A library for foo", "inherit helper"),
        )
        .eclass("helper", "# nothing\n")
}

fn run(trial: &Trial, command: &str, arguments: &[&str]) -> Outcome {
    trial.run_configured(command, arguments)
}

#[track_caller]
fn found(trial: &Trial, arguments: &[&str]) -> Vec<String> {
    let outcome = run(trial, "query", arguments);
    outcome
        .succeeds()
        .stdout
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn queries_list_what_is_so() {
    let trial = trial();
    for (query, expected) in [
        (
            "category:app-misc & !keyword:~amd64",
            "app-misc/foo-1::trial",
        ),
        (">=app-misc/foo-2", "app-misc/foo-2::trial"),
        ("foo & !live", "app-misc/foo-1::trial"),
        (
            "eclass:helper | iuse:test",
            "app-misc/foo-1::trial dev-libs/bar-1::trial",
        ),
        ("rdepend:dev-libs/bar", "app-misc/foo-1::trial"),
        ("foo visible", "app-misc/foo-1::trial"),
        ("use:test", "app-misc/foo-1::trial"),
    ] {
        assert_eq!(found(&trial, &[query]).join(" "), expected, "{query}");
    }
    assert_eq!(
        found(&trial, &["--best", "--format", "{pf} {keyword}\\t{slot}"]),
        ["foo-2 ~amd64\t0", "bar-1 amd64\t0"]
    );
    assert_eq!(
        found(&trial, &["--visible", "--best", "foo"]),
        ["app-misc/foo-1::trial"]
    );
    let line = found(&trial, &["--json", "dev-libs/bar"]).remove(0);
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&value["cpv"], &value["eclass"]),
        (&"dev-libs/bar-1".into(), &"helper".into())
    );
    assert_eq!(
        (&value["visible"], &value["use"]),
        (&true.into(), &"".into())
    );
    assert_eq!(found(&trial, &["revision>=0 & !live"]).len(), 2);
    run(&trial, "query", &["app-misc/nothing"]).ends(1, &[]);
}

#[test]
fn errors_point_at_the_character() {
    let trial = trial();
    run(&trial, "query", &["foo & catgory:x"]).ends(2, &["did you mean category?", "\n        ^"]);
    run(&trial, "query", &["foo", "--format", "{slott}"]).ends(2, &["did you mean slot?"]);
    run(&trial, "search", &["--regex", "("]).ends(2, &["is no regular expression"]);
}

#[test]
fn every_change_of_the_repository_is_noticed() {
    let trial = trial();
    let descriptions =
        || found(&trial, &["--format", "{pf} {description}", "app-misc/*"]).join(", ");
    let searched = |word: &str| run(&trial, "search", &[word, "--json"]).stdout;
    assert_eq!(
        descriptions(),
        "foo-1 An editor of text, foo-2 The editor of text"
    );
    assert!(searched("editor").contains("The editor"));
    let folder = trial.path("home/cache/ebd/query");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    // In place, a new one, and one that is gone; and an eclass that another ebuild inherits.
    let path = trial.ebuild_path("app-misc/foo-2");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("The editor", "Some writer")).unwrap();
    assert_eq!(
        descriptions(),
        "foo-1 An editor of text, foo-2 Some writer of text"
    );
    assert!(searched("writer").contains("Some writer"));
    let trial = trial.ebuild("app-misc/foo-3", ebuild("").replace("A trial", "Three"));
    fs::remove_file(trial.ebuild_path("app-misc/foo-1")).unwrap();
    let descriptions =
        || found(&trial, &["--format", "{pf} {description}", "app-misc/*"]).join(", ");
    assert_eq!(descriptions(), "foo-2 Some writer of text, foo-3 Three");
    let trial = trial.eclass("helper", "IUSE=\"of-eclass\"\n");
    assert_eq!(
        found(&trial, &["iuse:of-eclass"]),
        ["dev-libs/bar-1::trial"]
    );
    // A damaged index, or none, costs time only.
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }
    assert_eq!(
        found(&trial, &["iuse:of-eclass"]),
        ["dev-libs/bar-1::trial"]
    );
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(
        found(&trial, &["iuse:of-eclass"]),
        ["dev-libs/bar-1::trial"]
    );
}

#[test]
fn an_unchanged_repository_is_not_read_again() {
    let trial = trial();
    // Older than what could change in the same moment.
    let old = "202001010000";
    let touch = Command::new("find")
        .arg(trial.path("repo"))
        .args(["-exec", "touch", "-t", old, "{}", "+"])
        .status();
    assert!(touch.unwrap().success());
    let first = found(&trial, &["live"]);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    found(&trial, &["live"]);
    let index = fs::read_dir(trial.path("home/cache/ebd/query"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let before = fs::metadata(&index).unwrap().modified().unwrap();
    // With the metadata gone, only the index can answer.
    fs::remove_dir_all(trial.path("home/cache/ebd/metadata")).unwrap();
    assert_eq!(found(&trial, &["live"]), first);
    assert!(!trial.path("home/cache/ebd/metadata").exists());
    assert_eq!(fs::metadata(&index).unwrap().modified().unwrap(), before);
}

#[test]
fn an_ebuild_without_metadata_is_named() {
    let trial = trial().ebuild("app-misc/bad-1", "EAPI=8\ndie broken\n");
    let outcome = run(&trial, "query", &["category:app-misc"]);
    outcome.ends(
        1,
        &[
            "app-misc/bad-1::trial: has no metadata, and is left out",
            "broken",
        ],
    );
    assert_eq!(outcome.stdout.lines().count(), 2, "{outcome}");
    // Nobody asks about it here.
    assert_eq!(found(&trial, &["dev-libs/bar"]), ["dev-libs/bar-1::trial"]);
}

#[test]
fn searches_rank_names_first_and_mark_what_was_found() {
    let trial = trial();
    let shown = run(&trial, "search", &["FOO"]);
    assert_eq!(
        shown.succeeds().stdout,
        "app-misc/foo 2 (trial)\n    The editor of text\ndev-libs/bar 1 (trial)\n    A library for foo\n"
    );
    let painted = run(&trial, "search", &["--color", "always", "librar"]);
    assert!(
        painted
            .stdout
            .contains("A \u{1b}[1;32mlibrar\u{1b}[0my for"),
        "{painted}"
    );
    assert!(
        run(&trial, "search", &["-e", "^b.r$"])
            .succeeds()
            .stdout
            .starts_with("dev-libs/bar")
    );
    run(&trial, "search", &["editor", "library"]).ends(1, &[]);
}

#[test]
fn what_cannot_be_read_is_left_out_alone() {
    use std::os::unix::fs::symlink;

    let trial = trial();
    let link = |name: &str| {
        let path = trial.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(path.file_name().unwrap(), &path).unwrap();
    };
    fs::write(
        trial.path("repo/profiles/categories"),
        "app-misc\ndev-libs\nloop\n",
    )
    .unwrap();
    link("repo/loop");
    link("repo/app-misc/around");
    link("repo/app-misc/foo/foo-0.ebuild");
    let told = [
        "repo/loop: cannot be read, and is left out",
        "repo/app-misc/around: cannot be read, and is left out",
        "app-misc/foo-0::trial: has no metadata, and is left out",
    ];
    // Each time, not only when the index is made.
    for _ in 0..2 {
        let outcome = run(&trial, "query", &["category:app-misc | category:dev-libs"]);
        outcome.ends(1, &told);
        assert_eq!(outcome.stdout.lines().count(), 3, "{outcome}");
        let outcome = run(&trial, "search", &["text"]);
        outcome.ends(1, &told[..2]);
        assert!(outcome.stdout.contains("app-misc/foo 2"), "{outcome}");
    }
    run(&trial, "regen", &["trial"]).ends(
        1,
        &[
            "repo/loop: cannot be read",
            "repo/app-misc/around: cannot be read",
            "foo-0.ebuild: cannot be read",
            "3 generated",
        ],
    );
}
