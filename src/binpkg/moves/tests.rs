use std::fs;

use super::*;
use crate::binpkg::build::{PackageOptions, write_package};
use crate::binpkg::pkgdir::PkgdirOptions;

fn own() -> Cpv {
    Cpv::parse("o/own-1").unwrap()
}

fn moved(from: &str, to: &str) -> Update {
    Update::Move {
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

fn slot(atom: &str, from: &str, to: &str) -> Update {
    Update::SlotMove {
        atom: Atom::parse_config(atom).unwrap(),
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

#[test]
fn words_are_replaced_and_blanks_are_not() {
    let updates = [
        moved("a/b", "c/d"),
        moved("c/d", "e/f"),
        moved("x/y", "o/own"),
        slot("g/h", "0", "2"),
        slot("<g/v-3", "0", "2"),
    ];
    for (text, expected) in [
        ("", ""),
        ("a/b", "e/f"),
        (
            " >=a/b-1.2[x,y(+)]  || ( a/bb a/b:0/1= )\n",
            " >=e/f-1.2[x,y(+)]  || ( a/bb e/f:0/1= )\n",
        ),
        ("x? ( !a/b ) a/b-extra", "x? ( !e/f ) a/b-extra"),
        ("!x/y !<x/y-1 !<x/y-2 x/y", "!x/y !<o/own-1 !<x/y-2 o/own"),
        (
            "g/h g/h:0 >=g/h-1:0/0=[q] g/h:0/3= g/h:1 g/h:= g/v:0",
            "g/h g/h:2 >=g/h-1:2/2=[q] g/h:2/3= g/h:1 g/h:= g/v:0",
        ),
    ] {
        assert_eq!(applied(&updates, text, Eapi::LATEST, &own()), expected);
    }
}

#[test]
fn moves_are_those_of_the_repository_or_else_of_the_main_one() {
    let mut index = Index::default();
    for (cpv, repository, slot, built) in [
        ("a/b-1", "gentoo", "0", "1"),
        ("a/b-2", "mine", "0", "2"),
        ("a/b-3", "unknown", "0/4", "3"),
        ("a/b-4", "gentoo", "0", "4"),
        ("c/d-4", "gentoo", "0", "4"),
        ("g/h-1", "gentoo", "0/0", "1"),
        ("g/h-2", "gentoo", "0/7", "1"),
    ] {
        let mut entry = Entry::default();
        entry.set("CPV", cpv);
        entry.set("PATH", &format!("{cpv}.xpak"));
        entry.set("REPO", repository);
        entry.set("SLOT", slot);
        entry.set("EAPI", "8");
        entry.set("BUILD_TIME", built);
        index.insert(entry);
    }
    let moves = Moves {
        repositories: [
            (
                "gentoo".to_owned(),
                vec![moved("a/b", "c/d"), slot("g/h", "0", "1")],
            ),
            ("mine".to_owned(), Vec::new()),
        ]
        .into(),
        main: Some("gentoo".to_owned()),
    };
    let changes: Vec<String> = moves
        .changes(&index)
        .into_iter()
        .map(|change| {
            let name = change
                .name
                .map_or_else(String::new, |name| name.to_string());
            format!(
                "{} {name} {}",
                change.entry.cpv(),
                change.slot.unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        changes,
        ["a/b-1 c/d-1 ", "a/b-3 c/d-3 ", "g/h-1  1", "g/h-2  1/7"]
    );
}

/// Puts foo-1 of a slot into a PKGDIR that keeps one build of each version, and gives its path.
fn put(pkgdir: &Pkgdir, format: Format, slot: &str, content: &str) -> PathBuf {
    let image = tempfile::tempdir().unwrap();
    fs::write(image.path().join("file"), content).unwrap();
    let cpv = Cpv::parse("app-misc/foo-1").unwrap();
    let metadata: Metadata = [
        ("CATEGORY", "app-misc"),
        ("PF", "foo-1"),
        ("SLOT", slot),
        ("EAPI", "8"),
        ("DESCRIPTION", content),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), format!("{value}\n").into_bytes()))
    .collect();
    let place = pkgdir.reserve(&cpv, format).unwrap();
    let package = write_package(image.path(), metadata, place, &PackageOptions::default()).unwrap();
    let header = HeaderSettings::default();
    let written = pkgdir.publish(package.file, &cpv, &package.metadata, &header);
    written.unwrap().path
}

#[test]
fn a_build_that_ends_meanwhile_is_not_lost() {
    for format in [Format::Xpak, Format::Gpkg] {
        let directory = tempfile::tempdir().unwrap();
        let options = PkgdirOptions {
            multi_instance: false,
            ..PkgdirOptions::default()
        };
        let pkgdir = Pkgdir::open(directory.path(), options).unwrap();
        let path = put(&pkgdir, format, "0", "old");
        let moves = Moves {
            repositories: [("gentoo".to_owned(), vec![slot("app-misc/foo", "0", "1")])].into(),
            main: Some("gentoo".to_owned()),
        };
        let index = Index::read(&pkgdir.index_path()).unwrap();
        let change = moves.changes(&index).pop().unwrap();
        assert_eq!(change.slot.as_deref(), Some("1"));
        let header = HeaderSettings::default();
        let apply = || apply(&pkgdir, &change, &moves, &header, None);
        // While it is built, nobody packs it anew.
        let builder = pkgdir
            .reserve(&Cpv::parse("app-misc/foo-1").unwrap(), format)
            .unwrap();
        let error = apply().unwrap_err();
        assert!(
            matches!(error, MoveError::Pkgdir(PkgdirError::Busy { .. })),
            "{error}"
        );
        drop(builder);
        // What was built since has another slot, which it keeps.
        put(&pkgdir, format, "3", "new");
        apply().unwrap();
        let metadata = Package::open(&path).unwrap().metadata().unwrap();
        assert_eq!(metadata["DESCRIPTION"], b"new\n");
        assert_eq!(metadata["SLOT"], b"3\n");
        let index = Index::read(&pkgdir.index_path()).unwrap();
        assert_eq!(index.entries()[0].get("SLOT"), Some("3"));
    }
}
