use std::collections::BTreeSet;
use std::io::Write;

use super::files::entries;
use super::*;

fn cpv() -> Cpv {
    Cpv::parse("app-misc/foo-1.0").unwrap()
}

fn pkgdir(options: PkgdirOptions) -> (tempfile::TempDir, Pkgdir) {
    let directory = tempfile::tempdir().unwrap();
    let pkgdir = Pkgdir::open(&directory.path().join("binpkgs"), options).unwrap();
    (directory, pkgdir)
}

fn multi() -> (tempfile::TempDir, Pkgdir) {
    pkgdir(PkgdirOptions::default())
}

fn put(pkgdir: &Pkgdir, path: &str, content: &str) {
    let path = pkgdir.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn names(pkgdir: &Pkgdir, directory: &str) -> Vec<String> {
    let mut names: Vec<_> = entries(&pkgdir.path().join(directory))
        .unwrap()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    names.sort();
    names
}

fn reserved_id(pkgdir: &Pkgdir) -> Option<u64> {
    pkgdir.reserve(&cpv(), Format::Xpak).unwrap().build_id()
}

#[test]
fn holds_the_place_until_the_package_stands_in_it() {
    let (_directory, pkgdir) = multi();
    let mut reservation = pkgdir.reserve(&cpv(), Format::Xpak).unwrap();
    assert_eq!(
        names(&pkgdir, "app-misc/foo"),
        [".foo-1.0-1.partial", "foo-1.0-1.xpak"]
    );
    assert_eq!(reservation.path().metadata().unwrap().len(), 0);
    assert!(
        pkgdir.list().unwrap().is_empty(),
        "a placeholder is no package"
    );
    reservation.write_all(b"abc").unwrap();
    let written = reservation.seal().unwrap().commit().unwrap();
    assert_eq!(written.md5, "900150983cd24fb0d6963f7d28e17f72");
    assert_eq!(written.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_eq!((written.size, written.build_id), (3, Some(1)));
    assert_eq!(
        written.relative_path,
        Path::new("app-misc/foo/foo-1.0-1.xpak")
    );
    let metadata = written.path.metadata().unwrap();
    assert_eq!(
        (metadata.mtime(), metadata.mode() & 0o7777),
        (written.mtime, 0o644)
    );
    assert_eq!(fs::read(&written.path).unwrap(), b"abc");
    assert_eq!(names(&pkgdir, "app-misc/foo"), ["foo-1.0-1.xpak"]);
    assert_eq!(reserved_id(&pkgdir), Some(2));
}

#[test]
fn a_dropped_reservation_leaves_nothing() {
    let (_directory, pkgdir) = multi();
    let mut reservation = pkgdir.reserve(&cpv(), Format::Xpak).unwrap();
    reservation.write_all(b"half").unwrap();
    drop(reservation);
    assert!(names(&pkgdir, "app-misc/foo").is_empty());
    assert_eq!(reserved_id(&pkgdir), Some(1));
}

#[test]
fn counts_files_placeholders_and_the_index() {
    let (_directory, pkgdir) = multi();
    for other in [
        "foo-1.0-r1-9.xpak",
        "foo-1.0-7.tbz2",
        "foo-1.0.1-8.xpak",
        "foo-1-6.xpak",
        "readme",
    ] {
        put(&pkgdir, &format!("app-misc/foo/{other}"), "other");
    }
    assert_eq!(reserved_id(&pkgdir), Some(1));
    put(
        &pkgdir,
        "app-misc/foo/foo-1.0-2.gpkg.tar",
        "built by another",
    );
    assert_eq!(reserved_id(&pkgdir), Some(3));
    put(&pkgdir, "app-misc/foo/foo-1.0-4.xpak", "");
    assert_eq!(
        reserved_id(&pkgdir),
        Some(5),
        "Portage may be about to write the fourth"
    );
    put(
        &pkgdir,
        "Packages",
        "VERSION: 0\n\nBUILD_ID: 11\nCPV: app-misc/foo-1.0\nPATH: gone\n\n",
    );
    assert_eq!(reserved_id(&pkgdir), Some(12), "the eleventh is remembered");
}

#[test]
fn removes_what_a_killed_builder_left() {
    let (_directory, pkgdir) = multi();
    put(&pkgdir, "app-misc/foo/.foo-1.0-1.partial", "half a package");
    put(&pkgdir, "app-misc/foo/foo-1.0-1.xpak", "");
    put(&pkgdir, "app-misc/foo/.foo-1.0-2.partial", "");
    put(
        &pkgdir,
        "app-misc/foo/foo-1.0-2.xpak",
        "finished by another",
    );
    let live = pkgdir
        .try_reserve(&pkgdir.path().join("app-misc/foo"), &cpv(), Format::Xpak, 5)
        .unwrap();
    assert!(live.is_some());
    assert_eq!(reserved_id(&pkgdir), Some(6));
    assert_eq!(
        names(&pkgdir, "app-misc/foo"),
        [".foo-1.0-5.partial", "foo-1.0-2.xpak", "foo-1.0-5.xpak"]
    );
    drop(live);

    put(&pkgdir, "app-misc/foo/.foo-1.0-9.partial", "");
    put(&pkgdir, "app-misc/foo/foo-1.0-9.gpkg.tar", "");
    let left = pkgdir.left_over().unwrap();
    assert_eq!(left.len(), 2);
    assert_eq!(pkgdir.sweep().unwrap(), left);
    assert_eq!(names(&pkgdir, "app-misc/foo"), ["foo-1.0-2.xpak"]);
}

#[test]
fn builders_side_by_side_get_ids_and_entries_of_their_own() {
    let (_directory, pkgdir) = multi();
    let ids: BTreeSet<u64> = std::thread::scope(|scope| {
        let builders: Vec<_> = (0..8)
            .map(|builder| {
                let pkgdir = &pkgdir;
                scope.spawn(move || {
                    let mut reservation = pkgdir.reserve(&cpv(), Format::Xpak).unwrap();
                    write!(reservation, "package {builder}").unwrap();
                    let written = reservation.seal().unwrap().commit().unwrap();
                    let metadata = [
                        ("SLOT", "0".to_owned()),
                        ("BUILD_ID", written.build_id.unwrap().to_string()),
                    ]
                    .map(|(name, value)| (name.to_owned(), value.into_bytes()));
                    let facts = crate::binpkg::index::FileFacts::try_from(&written).unwrap();
                    let entry = crate::binpkg::index::Entry::from_metadata(
                        &cpv(),
                        &metadata.into(),
                        &facts,
                    )
                    .unwrap();
                    let mut index = pkgdir.lock_index().unwrap();
                    index.insert(entry);
                    index.commit().unwrap();
                    written.build_id.unwrap()
                })
            })
            .collect();
        builders
            .into_iter()
            .map(|builder| builder.join().unwrap())
            .collect()
    });
    assert_eq!(ids.len(), 8);
    let index = Index::read(&pkgdir.index_path()).unwrap();
    assert_eq!(
        index
            .entries()
            .iter()
            .filter_map(|entry| entry.build_id())
            .collect::<BTreeSet<_>>(),
        ids
    );
    assert_eq!(pkgdir.list().unwrap().len(), 8);
    assert_eq!(names(&pkgdir, ""), ["Packages", "app-misc"]);
    assert_eq!(names(&pkgdir, "app-misc/foo").len(), 8);
}

#[test]
fn the_old_layout_has_one_place() {
    let (_directory, pkgdir) = pkgdir(PkgdirOptions {
        multi_instance: false,
        ..PkgdirOptions::default()
    });
    let mut reservation = pkgdir.reserve(&cpv(), Format::Xpak).unwrap();
    assert_eq!(
        (reservation.build_id(), reservation.relative_path()),
        (None, Path::new("app-misc/foo-1.0.tbz2"))
    );
    let error = pkgdir
        .reserve(&cpv(), Format::Xpak)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("app-misc/foo-1.0.tbz2: another builder is writing this package"),
        "{error}"
    );
    reservation.write_all(b"first").unwrap();
    reservation.seal().unwrap().commit().unwrap();
    drop(pkgdir.reserve(&cpv(), Format::Xpak).unwrap());
    assert_eq!(
        names(&pkgdir, "app-misc"),
        ["foo-1.0.tbz2"],
        "a dropped reservation keeps the old package"
    );
}

#[test]
fn who_packs_a_package_anew_and_who_builds_it_keep_each_other_away() {
    for multi_instance in [true, false] {
        let (_directory, pkgdir) = pkgdir(PkgdirOptions {
            multi_instance,
            ..PkgdirOptions::default()
        });
        for format in [Format::Xpak, Format::Gpkg] {
            let builder = pkgdir.reserve(&cpv(), format).unwrap();
            let (path, id) = (builder.path().to_owned(), builder.build_id());
            let over = pkgdir.reserve_over(&path, format, id);
            assert!(matches!(over, Err(PkgdirError::Busy { .. })), "{over:?}");
            drop(builder);
            let over = pkgdir.reserve_over(&path, format, id).unwrap();
            let built = match id {
                Some(id) => pkgdir.reserve_id(&cpv(), format, id),
                None => pkgdir.reserve(&cpv(), format).map(Some),
            };
            assert!(
                matches!(built, Ok(None) | Err(PkgdirError::Busy { .. })),
                "{built:?}"
            );
            drop(over);
        }
    }
}

#[test]
fn who_looks_for_what_is_left_over_is_not_taken_for_a_builder() {
    let (_directory, pkgdir) = pkgdir(PkgdirOptions {
        multi_instance: false,
        ..PkgdirOptions::default()
    });
    put(&pkgdir, "app-misc/.foo-1.0.partial", "half a package");
    let partial = pkgdir.path().join("app-misc/.foo-1.0.partial");
    let sweeper = Lock::try_acquire(&partial).unwrap();
    let sweeper = sweeper.unwrap().remove_on_release();
    let reserved = std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(BRIEFLY / 5);
            drop(sweeper);
        });
        pkgdir.reserve(&cpv(), Format::Gpkg)
    });
    assert!(reserved.is_ok(), "{reserved:?}");
    assert!(pkgdir.left_over().unwrap().is_empty());
    // Who builds something else in the same category finds it too.
    put(&pkgdir, "app-misc/.bar-1.partial", "half a package");
    assert_eq!(
        pkgdir.left_over().unwrap(),
        [pkgdir.path().join("app-misc/.bar-1.partial")]
    );
    drop(reserved);
    drop(pkgdir.reserve(&cpv(), Format::Gpkg).unwrap());
    assert!(names(&pkgdir, "app-misc").is_empty());
}

#[test]
fn lists_both_layouts() {
    let (_directory, pkgdir) = multi();
    for path in [
        "a/b-1.tbz2",
        "a/b/b-1-2.xpak",
        "a/b/b-1-10.gpkg.tar",
        "a/b/c-1-1.xpak",
        "a/b/b-1.tbz2",
        "Packages",
    ] {
        put(&pkgdir, path, "x");
    }
    let list = pkgdir.list().unwrap();
    let paths: Vec<_> = list
        .iter()
        .map(|file| (file.path().to_str().unwrap(), file.build_id()))
        .collect();
    assert_eq!(
        paths,
        [
            ("a/b/b-1-10.gpkg.tar", Some(10)),
            ("a/b/b-1-2.xpak", Some(2)),
            ("a/b-1.tbz2", None)
        ]
    );
}

#[test]
fn shares_with_the_group_of_pkgdir() {
    let (_directory, pkgdir) = multi();
    fs::set_permissions(pkgdir.path(), Permissions::from_mode(0o2775)).unwrap();
    let mut reservation = pkgdir.reserve(&cpv(), Format::Xpak).unwrap();
    reservation.write_all(b"x").unwrap();
    let written = reservation.seal().unwrap().commit().unwrap();
    assert_eq!(written.path.metadata().unwrap().mode() & 0o7777, 0o664);
    let directory = written.path.parent().unwrap();
    assert_eq!(directory.metadata().unwrap().mode() & 0o2070, 0o2070);
    assert_eq!(
        directory.parent().unwrap().metadata().unwrap().mode() & 0o2070,
        0o2070
    );
    pkgdir.lock_index().unwrap().commit().unwrap();
    assert_eq!(
        pkgdir.index_path().metadata().unwrap().mode() & 0o7777,
        0o664
    );
}
