//! `ebd binpkg`: packages looked at, repaired, pruned, signed, taken over and served.

mod clients;
mod hosts;
mod input;
mod judged;
mod moves;
mod quickpkg;
mod repositories;
mod serve;
mod signed;
mod together;
mod unreadable;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ebd::binpkg::build::{PackageOptions, write_package};
use ebd::binpkg::index::HeaderSettings;
use ebd::binpkg::package::Package;
use ebd::binpkg::pkgdir::{Format, Pkgdir, PkgdirOptions};
use ebd::pms::cpv::Cpv;

use crate::support::{Outcome, Trial};

/// What a package is made of.
#[derive(Clone, Copy)]
struct Made<'a> {
    cpv: &'a str,
    format: Format,
    iuse: &'a str,
    uses: &'a str,
    built: u64,
}

const FOO: Made<'static> = Made {
    cpv: "app-misc/foo-1",
    format: Format::Gpkg,
    iuse: "+fast slow",
    uses: "fast",
    built: 1_700_000_000,
};

/// Puts a package into a PKGDIR, as a builder does, and gives its path.
fn put(pkgdir: &Path, made: Made<'_>) -> PathBuf {
    let image = tempfile::tempdir().unwrap();
    fs::create_dir_all(image.path().join("usr/share")).unwrap();
    let text = format!("{} {}\n", made.cpv, made.built);
    fs::write(image.path().join("usr/share/file"), text).unwrap();
    let cpv = Cpv::parse(made.cpv).unwrap();
    let metadata: BTreeMap<String, Vec<u8>> = [
        ("CATEGORY", cpv.category()),
        ("PF", cpv.pf()),
        ("SLOT", "0"),
        ("EAPI", "8"),
        ("IUSE", made.iuse),
        ("USE", made.uses),
        ("RDEPEND", "fast? ( a/b )"),
        ("BUILD_TIME", &made.built.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), format!("{value}\n").into_bytes()))
    .collect();
    let pkgdir = Pkgdir::open(pkgdir, PkgdirOptions::default()).unwrap();
    let place = pkgdir.reserve(&cpv, made.format).unwrap();
    let options = PackageOptions::default();
    let package = write_package(image.path(), metadata, place, &options).unwrap();
    let header = HeaderSettings::default();
    let written = pkgdir.publish(package.file, &cpv, &package.metadata, &header);
    written.unwrap().path
}

/// Three builds of foo-1, the last as xpak, and one of foo-2.
fn filled() -> Trial {
    let trial = Trial::new().make_conf("FEATURES=\"-compress-index\"\n");
    let packages = trial.packages();
    put(&packages, FOO);
    put(
        &packages,
        Made {
            uses: "fast slow",
            built: FOO.built + 60,
            ..FOO
        },
    );
    put(
        &packages,
        Made {
            format: Format::Xpak,
            uses: "slow",
            built: FOO.built + 120,
            ..FOO
        },
    );
    put(
        &packages,
        Made {
            cpv: "app-misc/foo-2",
            ..FOO
        },
    );
    trial
}

fn paths(trial: &Trial) -> Vec<String> {
    let index = trial.index();
    index
        .iter()
        .map(|entry| entry.path().into_owned())
        .collect()
}

const ALL: [&str; 4] = [
    "app-misc/foo/foo-1-1.gpkg.tar",
    "app-misc/foo/foo-1-2.gpkg.tar",
    "app-misc/foo/foo-1-3.xpak",
    "app-misc/foo/foo-2-1.gpkg.tar",
];

/// The entries of the index as they stand there, sorted, as the order of builds of one version is that of the directory.
fn entries(trial: &Trial) -> Vec<String> {
    let text = fs::read_to_string(trial.packages().join("Packages")).unwrap();
    let mut entries: Vec<String> = text.split("\n\n").skip(1).map(str::to_owned).collect();
    entries.sort();
    entries
}

/// Asserts that a check finds just these parts, a line each.
#[track_caller]
fn assert_found(outcome: &Outcome, parts: &[&str]) {
    for part in parts {
        assert!(outcome.stdout.contains(part), "{part:?} in:\n{outcome}");
    }
    assert_eq!(outcome.stdout.lines().count(), parts.len(), "{outcome}");
}

#[test]
fn builds_of_a_version_are_listed_with_what_differs() {
    let trial = filled();
    let listed = trial.run(&["binpkg", "list"]);
    listed.succeeds();
    let words: Vec<Vec<&str>> = listed
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(words[0], ["app-misc/foo-1"]);
    assert_eq!(words[1][..4], ["1", "2023-11-14", "22:13", "gpkg"]);
    assert_eq!(words[1][6..], ["fast", "-slow"]);
    assert_eq!(words[2][6..], ["+slow"]);
    assert_eq!(words[3][3], "xpak");
    assert_eq!(words[3][6..], ["-fast"]);
    assert_eq!(words[4], ["app-misc/foo-2"]);
    assert_eq!(words.len(), 6);

    let json = trial.run(&["binpkg", "list", "--json", "=foo-1-2"]);
    json.succeeds();
    let line: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(line["path"], ALL[1]);
    assert_eq!(line["use"]["slow"], true);
    trial
        .run(&["binpkg", "list", "app-misc/none"])
        .fails(&["no package in the index is called so"]);
    trial
        .run(&["binpkg", "list", "app-misc/"])
        .fails(&["app-misc/"]);
}

#[test]
fn everything_about_a_package_is_shown() {
    let trial = filled();
    let shown = trial.run(&["binpkg", "show", "=app-misc/foo-1-3"]);
    shown.succeeds();
    for part in [
        "format: xpak",
        "USE: slow",
        "SHA1: ",
        "    RDEPEND: fast? ( a/b )",
    ] {
        assert!(shown.stdout.contains(part), "{part} in {shown}");
    }
    let file = trial.packages().join(ALL[0]);
    let one = trial.run(&["binpkg", "show", "--file", "PF", file.to_str().unwrap()]);
    assert_eq!(one.succeeds().stdout, "foo-1\n");
    trial
        .run(&["binpkg", "show", "--file", "NONE", file.to_str().unwrap()])
        .fails(&["the metadata has no NONE"]);
}

#[test]
fn packages_are_unpacked() {
    let trial = filled();
    for (name, folder) in [("=app-misc/foo-1-3", "xpak"), ("=app-misc/foo-1", "newest")] {
        trial.run(&["binpkg", "extract", name, folder]).succeeds();
        let text = fs::read_to_string(trial.path(folder).join("usr/share/file")).unwrap();
        assert_eq!(text, "app-misc/foo-1 1700000120\n");
    }
    let file = trial.packages().join(ALL[3]);
    let file = file.to_str().unwrap();
    trial
        .run(&["binpkg", "extract", "--metadata", file, "info"])
        .succeeds();
    assert_eq!(
        fs::read_to_string(trial.path("info/PF")).unwrap(),
        "foo-2\n"
    );
    trial
        .run(&["binpkg", "extract", file, "info"])
        .fails(&["info: is not empty"]);
}

#[test]
fn the_index_is_made_true_again() {
    let trial = filled();
    let before = entries(&trial);
    trial.run(&["binpkg", "check"]).succeeds();
    let fixed = trial.run(&["binpkg", "fix"]);
    assert!(
        fixed
            .succeeds()
            .stdout
            .contains("4 packages, the index was left"),
        "{fixed}"
    );

    // Without an index, in the same order as builders wrote it.
    fs::remove_file(trial.packages().join("Packages")).unwrap();
    let found = trial.run(&["binpkg", "check"]);
    assert_eq!(found.code(), 1);
    assert_found(
        &found,
        &[ALL[0], ALL[1], ALL[2], ALL[3], "Packages is missing"],
    );
    trial.run(&["binpkg", "fix"]).succeeds();
    trial.run(&["binpkg", "check"]).succeeds();
    assert_eq!(entries(&trial), before);

    // A package goes, one is another now, one has moved into the old layout's folder.
    let packages = trial.packages();
    fs::remove_file(packages.join(ALL[0])).unwrap();
    fs::rename(packages.join(ALL[3]), packages.join(ALL[1])).unwrap();
    let other = fs::File::options()
        .write(true)
        .open(packages.join(ALL[1]))
        .unwrap();
    // The same size, but another time than the index has.
    other.set_modified(std::time::UNIX_EPOCH).unwrap();
    fs::create_dir(packages.join("All")).unwrap();
    fs::rename(packages.join(ALL[2]), packages.join("All/foo-1.tbz2")).unwrap();
    let found = trial.run(&["binpkg", "check"]);
    assert_found(
        &found,
        &[
            "foo-1: Packages has app-misc/foo/foo-1-1.gpkg.tar, which is not there",
            "foo-1: Packages has app-misc/foo/foo-1-2.gpkg.tar",
            "foo-2: Packages has app-misc/foo/foo-2-1.gpkg.tar",
            "foo-1: is at All/foo-1.tbz2, but not in Packages",
            "foo-1-2.gpkg.tar: the package is app-misc/foo-2, so it does not belong there",
        ],
    );
    trial.run(&["binpkg", "fix"]).ends(1, &[]);
    assert_eq!(paths(&trial), ["All/foo-1.tbz2"]);
    // What is no package is still there, and still told.
    assert_found(
        &trial.run(&["binpkg", "check"]),
        &["the package is app-misc/foo-2"],
    );
}

#[test]
fn indexes_that_are_damaged_are_mended() {
    let trial = filled();
    let path = trial.packages().join("Packages");
    let good = fs::read_to_string(&path).unwrap();
    let clean = entries(&trial);
    let entry_of = |part: &str| {
        let entry = good.split("\n\n").find(|entry| entry.contains(part));
        format!("{}\n\n", entry.unwrap())
    };
    let twice = good.clone() + &entry_of(ALL[0]);
    let other_path = good.clone() + &entry_of(ALL[0]).replace("SIZE: ", "SIZE: 9");
    let no_digest = good
        .lines()
        .filter(|line| !line.starts_with("MD5: "))
        .map(|line| format!("{line}\n"))
        .collect();
    let size = good.replace("SIZE: ", "SIZE: 1");
    for (what, text) in [
        ("two entries for one path", twice),
        ("another entry for one path", other_path),
        ("no digests", no_digest),
        ("wrong sizes", size),
        ("a later version", good.replace("VERSION: 0", "VERSION: 1")),
        ("nothing", String::new()),
        (
            "noise",
            "\u{0}\u{1}: x\n\n:\n: :\nCPV\n\nCPV: \n\n".to_owned(),
        ),
    ] {
        fs::write(&path, text).unwrap();
        assert_eq!(trial.run(&["binpkg", "check"]).code(), 1, "{what}");
        trial.run(&["binpkg", "fix"]).succeeds();
        trial.run(&["binpkg", "check"]).succeeds();
        assert_eq!(entries(&trial), clean, "{what}");
    }
    // These say the same, only otherwise.
    for text in [
        good.replace('\n', "\r\n"),
        good.replace("\nCPV:", "\nUNKNOWN: 1\nCPV:"),
    ] {
        fs::write(&path, text).unwrap();
        trial.run(&["binpkg", "check"]).succeeds();
        trial.run(&["binpkg", "list"]).succeeds();
    }
}

#[test]
fn an_index_of_100_mb_is_mended() {
    let trial = filled();
    let path = trial.packages().join("Packages");
    let clean = entries(&trial);
    let good = fs::read_to_string(&path).unwrap();
    let word = "x".repeat(1 << 20);
    // Lines of a megabyte in an entry, and an entry of nothing but them.
    let more = format!("UNKNOWN: {word}\n").repeat(50);
    let text = format!("{good}CPV: a/b-1\nPATH: {word}\n{more}\n{more}");
    assert!(text.len() > 100_000_000);
    fs::write(&path, text).unwrap();
    assert_eq!(trial.run(&["binpkg", "check"]).code(), 1);
    trial.run(&["binpkg", "fix"]).succeeds();
    trial.run(&["binpkg", "check"]).succeeds();
    assert_eq!(entries(&trial), clean);
}

#[test]
fn packages_are_held_against_index_and_checksums() {
    let trial = filled();
    let verified = trial.run(&["binpkg", "verify", "--ignore-signature"]);
    assert!(
        verified
            .succeeds()
            .stdout
            .contains("4 of 4 packages are good"),
        "{verified}"
    );

    let path = trial.packages().join("Packages");
    let good = fs::read_to_string(&path).unwrap();
    let wrong = good.replacen("MD5: ", "MD5: 0", 1);
    fs::write(&path, wrong).unwrap();
    trial
        .run(&["binpkg", "verify", "--ignore-signature"])
        .fails(&["its MD5 is", "in Packages"]);
    fs::write(&path, good).unwrap();

    // A byte of each image is another.
    for path in [ALL[0], ALL[2]] {
        let path = trial.packages().join(path);
        let mut bytes = fs::read(&path).unwrap();
        // The frame of zstd in the last member before the Manifest, or at the beginning.
        let at = bytes
            .windows(4)
            .rposition(|part| part == b"\x28\xb5\x2f\xfd");
        bytes[at.unwrap() + 12] ^= 1;
        fs::write(&path, bytes).unwrap();
        let file = path.to_str().unwrap();
        let outcome = trial.run(&["binpkg", "verify", "--ignore-signature", file]);
        outcome.fails(&[file]);
    }
    trial
        .run(&[
            "binpkg",
            "verify",
            "--ignore-signature",
            "=app-misc/foo-1-1",
        ])
        .fails(&["its MD5 is"]);
}

#[test]
fn old_builds_go_by_the_rules_that_are_given() {
    let trial = filled();
    let pretended = trial.run(&["binpkg", "prune", "--keep", "1", "--pretend"]);
    pretended.succeeds();
    assert!(
        pretended.stdout.contains("--keep would free"),
        "{pretended}"
    );
    assert_eq!(paths(&trial), ALL);
    let json = trial.run(&["binpkg", "prune", "--keep", "2", "--json", "foo"]);
    let events = json.succeeds().events();
    assert_eq!(events[0]["path"], ALL[0]);
    assert_eq!(
        (&events[1]["event"], &events[1]["packages"]),
        (&"rule".into(), &1.into())
    );
    assert_eq!(paths(&trial), ALL[1..]);
    assert!(!trial.packages().join(ALL[0]).exists());
    trial.run(&["binpkg", "check"]).succeeds();
    // Everything was built in 2023.
    trial
        .run(&["binpkg", "prune", "--older-than", "52w", "=app-misc/foo-2"])
        .succeeds();
    assert_eq!(paths(&trial), ALL[1..3]);
    trial
        .run(&["binpkg", "prune", "--max-size", "0"])
        .succeeds();
    assert!(paths(&trial).is_empty());
    trial.run(&["binpkg", "prune"]).ends(2, &["--keep"]);
    trial
        .run(&["binpkg", "prune", "--older-than", "x"])
        .ends(2, &["90d"]);
}

#[test]
fn packages_of_others_are_taken_over_once() {
    let trial = filled();
    let target = Trial::new();
    let source = trial.packages();
    let source = source.to_str().unwrap();
    let import = || target.run(&["binpkg", "import", "--json", source]);
    let first = import();
    let events = first.succeeds().events();
    assert!(
        events.iter().all(|event| event["event"] == "imported"),
        "{first}"
    );
    assert_eq!(paths(&target), ALL);
    for path in ALL {
        let time = |trial: &Trial| {
            let metadata = fs::metadata(trial.packages().join(path)).unwrap();
            metadata
                .modified()
                .unwrap()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap()
                .as_secs()
        };
        assert_eq!(time(&trial), time(&target), "{path}");
    }
    let again = import();
    let events = again.succeeds().events();
    assert!(
        events.iter().all(|event| event["event"] == "already there"),
        "{again}"
    );

    // The same numbers, other packages: both formats get numbers of their own.
    let other = Trial::new();
    for format in [Format::Gpkg, Format::Xpak] {
        put(
            &other.packages(),
            Made {
                built: 1_800_000_000,
                format,
                ..FOO
            },
        );
    }
    let source = other.packages();
    let source = source.to_str().unwrap();
    let renumbered = target.run(&["binpkg", "import", "--json", source]);
    let events = renumbered.succeeds().events();
    let event = |at: usize| (events[at]["event"].clone(), events[at]["path"].clone());
    assert_eq!(
        event(0),
        ("renumbered".into(), "app-misc/foo/foo-1-4.gpkg.tar".into())
    );
    assert_eq!(
        event(1),
        ("renumbered".into(), "app-misc/foo/foo-1-5.xpak".into())
    );
    assert_eq!(target.assert_pkgdir_valid(), [1, 1, 2, 3, 4, 5]);
    // Also under another number they are not taken twice.
    let again = target.run(&["binpkg", "import", "--json", source]);
    let events = again.succeeds().events();
    let event = |at: usize| (events[at]["event"].clone(), events[at]["path"].clone());
    assert_eq!(
        [event(0), event(1)],
        ["foo-1-4.gpkg.tar", "foo-1-5.xpak"].map(|name| (
            "already there".into(),
            format!("app-misc/foo/{name}").into()
        ))
    );
    assert_eq!(target.assert_pkgdir_valid(), [1, 1, 2, 3, 4, 5]);
    target.run(&["binpkg", "check"]).succeeds();
    target
        .run(&["binpkg", "verify", "--ignore-signature"])
        .succeeds();

    // What is damaged is not taken.
    let file = other.packages().join("app-misc/foo/foo-1-1.gpkg.tar");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 9000]).unwrap();
    let before = entries(&target);
    target
        .run(&["binpkg", "import", file.to_str().unwrap()])
        .fails(&["foo-1-1.gpkg.tar: the package cannot be read"]);
    assert_eq!(entries(&target), before);
}

#[test]
fn what_the_index_did_not_get_to_know_is_not_taken_twice() {
    let trial = filled();
    let target = Trial::new();
    put(&target.packages(), Made { built: 5, ..FOO });
    let file = trial.packages().join(ALL[0]);
    let import = || {
        let taken = target.run(&["binpkg", "import", "--json", file.to_str().unwrap()]);
        let event = taken.succeeds().events().remove(0);
        (event["event"].clone(), event["path"].clone())
    };
    let renumbered = "app-misc/foo/foo-1-2.gpkg.tar";
    assert_eq!(import(), ("renumbered".into(), renumbered.into()));
    let whole = entries(&target);
    // As somebody leaves it who is killed before the index is written.
    let forget = || fs::remove_file(target.packages().join("Packages")).unwrap();
    forget();
    assert_eq!(import(), ("already there".into(), renumbered.into()));
    assert_eq!(paths(&target), [renumbered]);
    target.run(&["binpkg", "fix"]).succeeds();
    assert_eq!(entries(&target), whole);

    // The same under its own number.
    let own = target.packages().join(ALL[0]);
    fs::remove_file(&own).unwrap();
    fs::remove_file(target.packages().join(renumbered)).unwrap();
    forget();
    assert_eq!(import(), ("imported".into(), ALL[0].into()));
    forget();
    assert_eq!(import(), ("already there".into(), ALL[0].into()));
    assert_eq!(paths(&target), ALL[..1]);
    target.run(&["binpkg", "check"]).succeeds();
}

#[test]
fn a_renumbered_package_is_the_same_but_for_its_number() {
    let trial = filled();
    let target = Trial::new();
    put(&target.packages(), Made { built: 5, ..FOO });
    let file = trial.packages().join(ALL[0]);
    target
        .run(&["binpkg", "import", file.to_str().unwrap()])
        .succeeds();
    let content = |path: PathBuf| {
        let mut package = Package::open(&path).unwrap();
        let mut metadata = package.metadata().unwrap();
        let id = String::from_utf8(metadata.remove("BUILD_ID").unwrap()).unwrap();
        let mut image = Vec::new();
        std::io::copy(&mut package.image().unwrap(), &mut image).unwrap();
        (id, metadata, image)
    };
    let (one, metadata, image) = content(file);
    let (other, same_metadata, same_image) = content(target.packages().join(ALL[1]));
    assert_eq!((one.as_str(), other.as_str()), ("1", "2"));
    assert_eq!(metadata, same_metadata);
    assert!(image == same_image);
}

#[test]
fn a_pkgdir_that_is_not_there_is_told() {
    let trial = Trial::new();
    let all: [&[&str]; 10] = [
        &["list"],
        &["check"],
        &["fix"],
        &["verify"],
        &["show", "a/b"],
        &["extract", "a/b", "to"],
        &["sign", "a/b"],
        &["prune", "--keep", "1"],
        &["move"],
        &["serve", "--listen", "127.0.0.1:0"],
    ];
    for what in all {
        trial
            .run(&[&["binpkg"], what].concat())
            .fails(&["cannot be opened as a PKGDIR"]);
    }
    assert!(!trial.packages().exists());
}

#[test]
fn packages_that_are_not_in_the_index_are_told_and_verified() {
    let trial = filled();
    let index = trial.packages().join("Packages");
    let text = fs::read_to_string(&index).unwrap();
    let verify = ["binpkg", "verify", "--ignore-signature"];
    let rest = text.split_once("PATH: app-misc/foo/foo-2").unwrap().1;
    let (before, last) = text.split_at(text.len() - rest.len());
    let start = before.rfind("\n\n").unwrap();
    fs::write(&index, &text[..start + 2]).unwrap();
    assert!(last.contains("SIZE"));
    let outcome = trial.run(&verify);
    outcome.ends(
        0,
        &[
            "warning:",
            "1 package file is not in the index",
            "binpkg fix",
        ],
    );
    assert!(
        outcome.stdout.contains("4 of 4 packages are good"),
        "{outcome}"
    );

    fs::remove_file(&index).unwrap();
    let told = ["there is no package index", "4 package files", "binpkg fix"];
    for what in [
        &verify[..],
        &["binpkg", "list"],
        &["binpkg", "prune", "--keep", "1"],
        &["binpkg", "prune", "--keep", "1", "--pretend"],
        &["binpkg", "move"],
    ] {
        trial.run(what).ends(0, &told);
    }
    for what in ["show", "extract", "sign", "verify", "list"] {
        let more: &[&str] = if what == "extract" { &["to"] } else { &[] };
        let arguments = [&["binpkg", what, "app-misc/foo"][..], more].concat();
        trial.run(&arguments).fails(&told);
    }
    let json = trial.run(&["binpkg", "list", "--json"]);
    let events = json.succeeds().events();
    assert_eq!(events[0]["event"], "warning");

    fs::write(trial.packages().join(ALL[3]), "damaged").unwrap();
    let outcome = trial.run(&verify);
    outcome.fails(&[ALL[3]]);
    assert!(
        outcome.stdout.contains("3 of 4 packages are good"),
        "{outcome}"
    );
    assert!(!index.exists());
}
