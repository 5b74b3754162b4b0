//! What mirrors serve beside the cache: other formats, and files made of the whole repository.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use filetime::FileTime;

use super::super::support::Trial;
use super::{CACHE, basic};

const XML: &str = "<?xml version='1.0'?><pkgmetadata><use><flag name='doc'>Build the \
                   documentation</flag></use></pkgmetadata>";

const LISTS: [&str; 3] = ["--use-local-desc", "--pkg-desc-index", "--timestamp"];

fn with_xml() -> Trial {
    let trial = basic();
    trial.put("repo/app-misc/foo/metadata.xml", XML);
    trial
}

impl Trial {
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

#[test]
fn lists_are_made_and_written_when_they_change() {
    let trial = with_xml();
    trial
        .regen(&LISTS)
        .ends(0, &["use.local.desc: written", "pkg_desc_index: written"]);
    let uses = trial.read("repo/profiles/use.local.desc");
    assert!(
        uses.ends_with("\napp-misc/foo:doc - Build the documentation\n"),
        "{uses}"
    );
    let index = trial.read("repo/metadata/pkg_desc_index");
    assert_eq!(
        index,
        "app-misc/foo 1 2-r1: Old\ndev-libs/bar 0.1_rc2: A trial\n"
    );
    let time = trial.read("repo/metadata/timestamp.chk");
    assert!(time.ends_with(" +0000\n"), "{time}");

    // Nothing is written that is the same already, and a check says so.
    let before = trial.files("repo/profiles");
    let outcome = trial.regen(&LISTS);
    outcome.succeeds();
    assert!(!outcome.stderr.contains("written:"), "{outcome}");
    assert!(!outcome.stderr.contains("desc: written"), "{outcome}");
    assert_eq!(trial.files("repo/profiles"), before);
    trial.regen(&["--check", LISTS[0], LISTS[1]]).succeeds();
    trial.put(
        "repo/app-misc/foo/metadata.xml",
        XML.replace("Build", "Install"),
    );
    trial
        .regen(&["--check", LISTS[0], LISTS[1]])
        .fails(&["profiles/use.local.desc: stale", "1 stale"]);
    assert_eq!(trial.read("repo/profiles/use.local.desc"), uses);
    trial.regen(&LISTS).succeeds();
    assert_ne!(trial.read("repo/profiles/use.local.desc"), uses);
}

#[test]
fn lists_go_where_they_are_wanted() {
    let trial = with_xml();
    trial
        .regen(&["--cache", "c", "--use-local-desc"])
        .fails(&["--use-local-desc=FILE"]);
    trial
        .regen(&["--cache", "c", "--timestamp"])
        .fails(&["--timestamp", "stays as it is"]);
    trial
        .regen(&[
            "--cache",
            "c",
            "--use-local-desc=out/uses",
            "--pkg-desc-index=out/index",
        ])
        .succeeds();
    assert!(trial.read("out/uses").contains("app-misc/foo:doc"));
    assert!(trial.read("out/index").contains("app-misc/foo 1 2-r1: Old"));
    assert!(!trial.path("repo/profiles/use.local.desc").exists());
    assert!(!trial.path("repo/metadata/pkg_desc_index").exists());
}

#[test]
fn a_broken_metadata_xml_is_named() {
    let trial = with_xml();
    trial.put("repo/dev-libs/bar/metadata.xml", "<pkgmetadata>");
    trial
        .regen(&["--use-local-desc"])
        .fails(&["dev-libs/bar/metadata.xml", "not XML", "1 failed"]);
    // The others are in the list.
    assert!(
        trial
            .read("repo/profiles/use.local.desc")
            .contains("app-misc/foo:doc")
    );
}

#[test]
fn what_has_no_entry_is_left_out_of_the_index() {
    let trial = with_xml().ebuild("app-misc/foo-3", "EAPI=8\nif\n");
    trial
        .regen(&["--pkg-desc-index"])
        .fails(&["app-misc/foo-3 has no entry and is left out", "1 failed"]);
    assert_eq!(
        trial.read("repo/metadata/pkg_desc_index"),
        "dev-libs/bar 0.1_rc2: A trial\n"
    );
}

#[test]
fn every_format_of_the_repository_is_brought_up_to_date() {
    let trial = basic();
    trial.put(
        "repo/metadata/layout.conf",
        "masters =\ncache-formats = md5-dict pms\n",
    );
    let ebuild = trial.ebuild_path("app-misc/foo-1");
    filetime::set_file_mtime(&ebuild, FileTime::from_unix_time(1_500_000_000, 0)).unwrap();
    trial
        .regen(&[])
        .ends(0, &["metadata/cache (flat_list): 3 written, 0 unchanged"]);
    let list = trial.read("repo/metadata/cache/app-misc/foo-1");
    assert_eq!(list.lines().count(), 22);
    assert_eq!(list.lines().nth(2), Some("0/1"));
    let found = fs::metadata(trial.path("repo/metadata/cache/app-misc/foo-1")).unwrap();
    assert_eq!(found.mtime(), 1_500_000_000);
    trial
        .regen(&[])
        .ends(0, &["metadata/cache (flat_list): 0 written, 3 unchanged"]);

    fs::remove_file(trial.ebuild_path("app-misc/foo-2-r1")).unwrap();
    let trial = trial.package("dev-libs/bar-0.1_rc2", "IUSE=new");
    // A package alone leaves all others as they are, even those that are gone.
    trial
        .regen(&["trial", "dev-libs/bar"])
        .ends(0, &["1 written, 0 unchanged, 0 removed"]);
    trial
        .regen(&[])
        .ends(0, &["0 written, 2 unchanged, 1 removed"]);
}

#[test]
fn a_repository_may_have_flat_lists_alone() {
    let trial = basic();
    trial.put(
        "repo/metadata/layout.conf",
        "masters =\ncache-formats = pms\n",
    );
    trial.regen(&[]).ends(0, &["3 generated", "3 written"]);
    assert!(trial.path("repo/metadata/cache/app-misc/foo-1").is_file());
    assert!(!trial.path(CACHE).exists());
    trial
        .regen(&[])
        .ends(0, &["0 generated", "3 still valid", "3 unchanged"]);
    for option in ["--check", "--verify"] {
        trial
            .regen(&[option])
            .fails(&["cache-formats", "md5-dict", "repo"]);
    }
}

#[test]
fn lists_go_where_they_are_sent() {
    let trial = with_xml();
    symlink("/dev/null", trial.path("null")).unwrap();
    symlink("elsewhere", trial.path("link")).unwrap();
    let printed = trial.regen(&["--use-local-desc=/dev/stdout", "--pkg-desc-index=null"]);
    let uses = &printed.succeeds().stdout;
    assert!(
        uses.ends_with("\napp-misc/foo:doc - Build the documentation\n"),
        "{printed}"
    );
    assert!(trial.path("null").is_symlink());
    for _ in 0..2 {
        trial.regen(&["--use-local-desc=link"]).succeeds();
        assert!(trial.path("link").is_symlink());
        assert_eq!(&trial.read("elsewhere"), uses);
    }
    trial
        .regen(&["--check", "--pkg-desc-index=null"])
        .fails(&["null: is no regular file, so there is nothing to compare"]);
    // A link in the repository is not followed: it may be anybody's.
    trial.put("secret", "kept");
    symlink(
        trial.path("secret"),
        trial.path("repo/profiles/use.local.desc"),
    )
    .unwrap();
    trial.regen(&["--use-local-desc"]).succeeds();
    assert_eq!(trial.read("secret"), "kept");
    assert_eq!(&trial.read("repo/profiles/use.local.desc"), uses);
}
