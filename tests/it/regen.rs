//! `ebd regen` as it is typed.

use crate::claim::rows;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use ebd::util::digest::HashName;
use filetime::FileTime;

use super::support::{Outcome, Trial, ebuild};

mod bad_input;
mod eclasses;
mod interrupted;
mod meanwhile;
mod memory;
mod mirror;
mod nasty;

const CACHE: &str = "repo/metadata/md5-cache";

/// How `ebd regen` is called on the trial's repository, with what it remembers in the trial's
/// folder.
const REGEN: [&str; 7] = [
    "regen",
    "--config-root",
    "conf",
    "--repo",
    "repo",
    "--memory",
    "home/memory",
];

/// The MD5 sum that an entry has.
fn md5(text: &str) -> String {
    HashName::Md5.hex(text.as_bytes())
}

impl Trial {
    /// Runs `ebd regen` on the trial's repository alone.
    fn regen(&self, arguments: &[&str]) -> Outcome {
        let memory = if arguments.contains(&"--memory") {
            5
        } else {
            7
        };
        let mut command = self.command(&REGEN[..memory]);
        Outcome::of(command.args(arguments))
    }

    /// The text of an entry, if there is one.
    fn entry(&self, cpv: &str) -> Option<String> {
        fs::read_to_string(self.path(CACHE).join(cpv)).ok()
    }

    /// One value of an entry.
    #[track_caller]
    fn value(&self, cpv: &str, key: &str) -> Option<String> {
        let entry = self
            .entry(cpv)
            .unwrap_or_else(|| panic!("{cpv} has no entry"));
        entry
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(str::to_owned)
    }

    /// Every file below `folder`, what it says, and whether it is still the same file.
    fn files(&self, folder: &str) -> Vec<(PathBuf, u64, i64, i64, Vec<u8>)> {
        let root = self.path(folder);
        let mut found: Vec<_> = walkdir::WalkDir::new(&root)
            .into_iter()
            .flatten()
            .filter(|entry| !entry.file_type().is_dir())
            .filter_map(|entry| {
                // A run that is at work renames its files into their places meanwhile.
                let known = fs::symlink_metadata(entry.path()).ok()?;
                let text = fs::read(entry.path()).ok()?;
                Some((
                    entry.path().strip_prefix(&root).unwrap().to_owned(),
                    known.ino(),
                    known.mtime(),
                    known.mtime_nsec(),
                    text,
                ))
            })
            .collect();
        found.sort();
        found
    }

    /// The names and texts of all files below `folder`.
    fn texts(&self, folder: &str) -> Vec<(PathBuf, String)> {
        self.files(folder)
            .into_iter()
            .map(|(path, .., text)| (path, String::from_utf8(text).unwrap()))
            .collect()
    }

    /// Asserts that the cache has these entries and nothing else.
    #[track_caller]
    fn assert_entries(&self, expected: &[&str]) {
        let found = self.texts(CACHE);
        let found: Vec<_> = found.iter().map(|(p, _)| p.to_str().unwrap()).collect();
        assert_eq!(found, expected);
    }
}

const UTILS: &str = "# An eclass\nIUSE=\"+utils\"\nDEPEND=\"dev-libs/utils\"\nutils_src_install() { :; }\nEXPORT_FUNCTIONS src_install\n";

/// A repository with three ebuilds, whose entries are known.
fn basic() -> Trial {
    Trial::new()
        .eclass("utils", UTILS)
        .eclass("base", "inherit utils\nRDEPEND=\"dev-libs/base\"\n")
        .ebuild("app-misc/foo-1", FOO)
        .ebuild("app-misc/foo-2-r1", OLD)
        .package("dev-libs/bar-0.1_rc2", "")
}

const FOO: &str = r#"# A comment
EAPI=8

inherit base

DESCRIPTION="Says \"hello\" for 5\$ = \\o/ — naïvely"
HOMEPAGE="https://example.org/
	https://example.com/"
SRC_URI="
	https://example.org/${P}.tar.gz
	doc? ( https://example.org/${PN}-doc-${PV}.zip -> ${P}-doc.zip )
"
LICENSE="MIT"
SLOT="0/1"
KEYWORDS="~amd64 amd64"
IUSE="doc"
RESTRICT="test"
PROPERTIES="live"
REQUIRED_USE="doc? ( utils )"

DEPEND="
	>=dev-libs/a-1[doc?]
	doc? (
		dev-libs/b:=
	)
"
RDEPEND="${DEPEND}"
BDEPEND="	dev-util/c	"
PDEPEND="dev-libs/p"
IDEPEND="dev-libs/i"

src_compile() { :; }
pkg_pretend() { :; }
"#;

const OLD: &str = "DESCRIPTION='Old'\nSLOT=0\nDEPEND='a/b'\npkg_pretend() { :; }\nsrc_prepare() { :; }\nsrc_unpack() { :; }\n";

fn assert_basic(trial: &Trial) {
    trial.assert_entries(&[
        "app-misc/foo-1",
        "app-misc/foo-2-r1",
        "dev-libs/bar-0.1_rc2",
    ]);
    let base = md5("inherit utils\nRDEPEND=\"dev-libs/base\"\n");
    assert_eq!(
        trial.entry("app-misc/foo-1").unwrap(),
        format!(
            "BDEPEND=dev-util/c\n\
             DEFINED_PHASES=compile install pretend\n\
             DEPEND=>=dev-libs/a-1[doc?] doc? ( dev-libs/b:= ) dev-libs/utils\n\
             DESCRIPTION=Says \"hello\" for 5$ = \\o/ — naïvely\n\
             EAPI=8\n\
             HOMEPAGE=https://example.org/ https://example.com/\n\
             IDEPEND=dev-libs/i\n\
             INHERIT=base\n\
             IUSE=doc +utils\n\
             KEYWORDS=~amd64 amd64\n\
             LICENSE=MIT\n\
             PDEPEND=dev-libs/p\n\
             PROPERTIES=live\n\
             RDEPEND=>=dev-libs/a-1[doc?] doc? ( dev-libs/b:= ) dev-libs/base\n\
             REQUIRED_USE=doc? ( utils )\n\
             RESTRICT=test\n\
             SLOT=0/1\n\
             SRC_URI=https://example.org/foo-1.tar.gz doc? ( https://example.org/foo-doc-1.zip -> foo-1-doc.zip )\n\
             _eclasses_=base\t{base}\tutils\t{}\n\
             _md5_={}\n",
            md5(UTILS),
            md5(FOO)
        )
    );
    assert_eq!(
        trial.entry("app-misc/foo-2-r1").unwrap(),
        format!(
            "DEFINED_PHASES=unpack\nDEPEND=a/b\nDESCRIPTION=Old\nEAPI=0\nRDEPEND=a/b\nSLOT=0\n_md5_={}\n",
            md5(OLD)
        )
    );
    assert_eq!(
        trial.entry("dev-libs/bar-0.1_rc2").unwrap(),
        format!(
            "DEFINED_PHASES=-\nDESCRIPTION=A trial\nEAPI=8\nHOMEPAGE=https://example.org/\n\
             KEYWORDS=amd64\nLICENSE=MIT\nSLOT=0\n_md5_={}\n",
            md5(&ebuild(""))
        )
    );
}

#[test]
fn entries_are_what_the_ebuilds_say_whatever_the_number_of_processors() {
    for jobs in ["1", "2", "8"] {
        let trial = basic();
        trial
            .regen(&["--jobs", jobs])
            .succeeds()
            .ends(0, &["3 generated (3 written), 0 still valid, 0 removed"]);
        assert_basic(&trial);
    }
    let trial = basic();
    trial.regen(&["--whole-eclasses"]).succeeds();
    assert_basic(&trial);
}

#[test]
fn what_is_right_is_not_touched_and_needs_no_bash() {
    let _rows = rows(&[36]);
    let trial = basic();
    trial.regen(&[]).succeeds();
    let before = trial.files("repo");
    let idle = ["--bash", "/nonexistent/bash"];
    trial.regen(&idle).ends(0, &["3 still valid"]);
    trial.regen(&["--check"]).succeeds();
    // Sourced again, but not written.
    trial
        .regen(&["--all"])
        .ends(0, &["3 generated (0 written)"]);
    assert_eq!(trial.files("repo"), before);
    // Times do not count, neither of ebuilds nor of eclasses.
    for path in ["repo/app-misc/foo/foo-1.ebuild", "repo/eclass/utils.eclass"] {
        filetime::set_file_mtime(trial.path(path), FileTime::from_unix_time(9, 0)).unwrap();
    }
    trial.regen(&idle).ends(0, &["3 still valid"]);
    // With something to do the missing bash is an error that names it, and nothing is lost.
    fs::remove_file(trial.path(CACHE).join("app-misc/foo-1")).unwrap();
    trial.regen(&idle).fails(&["/nonexistent/bash"]);
    trial.assert_entries(&["app-misc/foo-2-r1", "dev-libs/bar-0.1_rc2"]);
    trial.regen(&[]).ends(0, &["1 generated (1 written)"]);
    assert_basic(&trial);
}

#[test]
fn what_changed_is_sourced_again() {
    let _rows = rows(&[37]);
    let trial = basic();
    trial.regen(&[]).succeeds();
    let changed = UTILS.replace("+utils", "tools");
    trial.put("repo/eclass/utils.eclass", &changed);
    // That is stale which inherits it, if only through another.
    trial
        .regen(&["--check"])
        .fails(&["app-misc/foo-1: ", "utils"]);
    assert_basic(&trial);
    trial
        .regen(&[])
        .ends(0, &["1 generated (1 written), 2 still"]);
    assert_eq!(trial.value("app-misc/foo-1", "IUSE").unwrap(), "doc tools");
    fs::remove_file(trial.path("repo/eclass/utils.eclass")).unwrap();
    trial
        .regen(&[])
        .fails(&["foo-1.ebuild: ", "utils.eclass was not found", "1 failed"]);
    trial.assert_entries(&["app-misc/foo-2-r1", "dev-libs/bar-0.1_rc2"]);
    trial.put("repo/eclass/utils.eclass", UTILS);
    trial.put("repo/app-misc/foo/foo-2-r1.ebuild", "SLOT=1\n");
    trial.regen(&[]).ends(0, &["2 generated (2 written)"]);
    assert_eq!(trial.value("app-misc/foo-2-r1", "SLOT").unwrap(), "1");
    trial.put("repo/app-misc/foo/foo-2-r1.ebuild", OLD);
    trial.put(
        &format!("{CACHE}/dev-libs/bar-0.1_rc2"),
        "not an entry at all\n",
    );
    trial.regen(&[]).ends(0, &["2 generated (2 written)"]);
    assert_basic(&trial);
}

#[test]
fn entries_without_ebuild_go_and_other_files_stay() {
    let _rows = rows(&[38]);
    let trial = basic();
    trial.regen(&[]).succeeds();
    for name in [
        "Manifest.gz",
        "Manifest.files.gz",
        ".hidden",
        "app-misc/.foo-1.tmp",
    ] {
        trial.put(&format!("{CACHE}/{name}"), "precious");
    }
    for name in ["app-misc/gone-1", "gone-cat/foo-1", "gone-cat/foo-2"] {
        trial.put(&format!("{CACHE}/{name}"), "EAPI=8\n");
    }
    trial
        .regen(&["--check"])
        .fails(&["0 stale, 3 without an ebuild, 3 valid"]);
    assert!(trial.path(CACHE).join("gone-cat/foo-2").exists());
    fs::remove_dir_all(trial.path("repo/dev-libs")).unwrap();
    trial.regen(&[]).ends(0, &["2 still valid, 4 removed"]);
    trial.assert_entries(&[
        ".hidden",
        "Manifest.files.gz",
        "Manifest.gz",
        "app-misc/.foo-1.tmp",
        "app-misc/foo-1",
        "app-misc/foo-2-r1",
    ]);
    for folder in ["gone-cat", "dev-libs"] {
        assert!(!trial.path(CACHE).join(folder).exists(), "{folder}");
    }
}

#[test]
fn check_writes_nothing() {
    let trial = basic();
    let before = trial.files("repo");
    trial
        .regen(&["--check"])
        .fails(&["app-misc/foo-1: there is no entry", "dev-libs/bar-0.1_rc2"]);
    assert_eq!(trial.files("repo"), before);
    assert!(!trial.path("repo/metadata/md5-cache").exists());
    // Nothing is sourced, so there is no "everything".
    trial.regen(&["--check", "--all"]).ends(2, &["--all"]);
}

#[test]
fn another_cache_leaves_the_repository_alone() {
    let trial = basic();
    let before = trial.files("repo");
    trial.regen(&["--cache", "elsewhere"]).succeeds();
    assert_eq!(trial.files("repo"), before);
    let elsewhere = trial.texts("elsewhere/trial");
    assert_eq!(elsewhere.len(), 3);
    trial
        .regen(&["--cache", "elsewhere", "--bash", "/none"])
        .succeeds();
    trial.regen(&[]).succeeds();
    assert_eq!(trial.texts(CACHE), elsewhere);
}

#[test]
fn only_named_packages_are_done() {
    let trial = basic();
    trial.put(&format!("{CACHE}/gone-cat/foo-1"), "EAPI=8\n");
    trial
        .regen(&["trial", "dev-libs/bar"])
        .ends(0, &["1 generated"]);
    trial.assert_entries(&["dev-libs/bar-0.1_rc2", "gone-cat/foo-1"]);
    trial
        .regen(&["app-misc/nothing"])
        .fails(&["app-misc/nothing"]);
    trial.regen(&["nowhere"]).fails(&["nowhere", "trial"]);
}

#[test]
fn packages_are_named_as_shells_complete_them_and_no_other_folder_is_one() {
    let trial = basic();
    for name in ["dev-libs/bar/", "./dev-libs/bar", ".//./dev-libs/bar//"] {
        trial
            .regen(&["--check", name])
            .fails(&["dev-libs/bar-0.1_rc2: there is no entry", "1 stale"]);
    }
    let trial = trial.file("repo/dev-libs/empty/metadata.xml", "");
    for name in ["dev-libs/empty", "repo/dev-libs", "profiles/default"] {
        trial
            .regen(&["--check", name])
            .fails(&[&format!("{name}: there is no such package in trial")]);
    }
    for name in [
        "repo/dev-libs/bar",
        "../dev-libs/bar",
        "/dev-libs/bar",
        "=dev-libs/bar-0.1_rc2",
        "dev-libs/bar-0.1_rc2",
        "dev-libs/bar::trial",
    ] {
        trial.regen(&["--check", name]).fails(&["is no package"]);
    }
}

#[test]
fn events_are_lines_of_json() {
    let trial = basic()
        .package("app-misc/loud-1", "echo hello")
        .package("app-misc/bad-1", "die broken");
    let outcome = trial.regen(&["--json"]);
    outcome.ends(1, &[]);
    let events = outcome.events();
    let named = |name: &str| -> Vec<&serde_json::Value> {
        events.iter().filter(|e| e["event"] == name).collect()
    };
    assert_eq!(named("generated").len(), 4);
    assert_eq!(named("printed")[0]["package"], "app-misc/loud-1");
    assert_eq!(named("printed")[0]["lines"][0], "hello");
    assert_eq!(named("failed")[0]["package"], "app-misc/bad-1");
    let finished = named("finished")[0];
    assert_eq!(finished["repository"], "trial");
    assert_eq!(
        (&finished["written"], &finished["failed"]),
        (&4.into(), &1.into())
    );
}

// Portage takes the master's if both have the same time.
#[test]
fn an_overlays_eclass_shadows_its_masters() {
    let _rows = rows(&[31]);
    let trial = basic()
        .file("over/profiles/repo_name", "over\n")
        .file("over/profiles/categories", "app-misc\n")
        .file("over/metadata/layout.conf", "masters = trial\n")
        .file(
            "over/eclass/utils.eclass",
            UTILS.replace("+utils", "shadow"),
        )
        .file("over/app-misc/foo/foo-1.ebuild", FOO);
    // Portage compares times only, so that is where it goes wrong.
    for folder in ["over", "repo"] {
        filetime::set_file_mtime(
            trial.path(&format!("{folder}/eclass/utils.eclass")),
            FileTime::from_unix_time(1_000_000_000, 0),
        )
        .unwrap();
    }
    trial.regen(&["--repo", "over", "--jobs", "1"]).succeeds();
    assert_basic(&trial);
    let entry = fs::read_to_string(trial.path("over/metadata/md5-cache/app-misc/foo-1")).unwrap();
    assert!(entry.contains("\nIUSE=doc shadow\n"), "{entry}");
    let sums = format!(
        "\n_eclasses_=base\t{}\tutils\t{}\n",
        md5("inherit utils\nRDEPEND=\"dev-libs/base\"\n"),
        md5(&UTILS.replace("+utils", "shadow"))
    );
    assert!(entry.contains(&sums), "{entry}");
    // Without it the master's counts.
    fs::remove_file(trial.path("over/eclass/utils.eclass")).unwrap();
    trial
        .regen(&["--repo", "over", "over"])
        .ends(0, &["over: 1 generated (1 written)"]);
    let entry = fs::read_to_string(trial.path("over/metadata/md5-cache/app-misc/foo-1")).unwrap();
    assert_eq!(entry, trial.entry("app-misc/foo-1").unwrap());
}

// There is one list of categories for all repositories, as in Portage, and the user may add to it.
#[test]
fn an_overlay_may_use_the_categories_of_others_and_of_the_user() {
    let trial = Trial::new()
        .gentoo()
        .package("dev-libs/bar-1", "")
        .file("sibling/profiles/repo_name", "sibling\n")
        .file("sibling/profiles/categories", "of-sibling\n")
        .file("sibling/metadata/layout.conf", "masters = trial\n")
        .file("over/profiles/repo_name", "over\n")
        .file("over/metadata/layout.conf", "masters = trial\n")
        .file("over/of-sibling/one/one-1.ebuild", ebuild(""))
        .file("over/of-user/two/two-1.ebuild", ebuild(""))
        .file("over/of-nobody/three/three-1.ebuild", ebuild(""))
        .file("over/metadata/md5-cache/of-nobody/three-1", "EAPI=8\n")
        .file("over/metadata/md5-cache/of-nobody/four-1", "EAPI=8\n")
        .conf("categories", "# ours\nof-user\n");
    let repos = ["sibling", "over"].map(|name| {
        let path = trial.path(name);
        format!("[{name}]\nlocation = {}\n", path.display())
    });
    let known = fs::read_to_string(trial.path("conf/etc/portage/repos.conf")).unwrap();
    let trial = trial.conf("repos.conf", &format!("{known}{}", repos.concat()));
    for told in [
        "over: 2 generated (2 written), 0 still valid, 1 removed",
        "over: 0 generated (0 written), 2 still valid, 0 removed",
    ] {
        trial.regen(&["over"]).ends(0, &[told]);
        // What has no ebuild is gone, what nobody looks at is kept.
        let entries = trial.texts("over/metadata/md5-cache");
        let entries: Vec<_> = entries.iter().map(|(p, _)| p.to_str().unwrap()).collect();
        assert_eq!(
            entries,
            ["of-nobody/three-1", "of-sibling/one-1", "of-user/two-1"]
        );
    }
    for (query, found) in [
        ("of-user/two", "of-user/two-1::over\n"),
        ("repo:over", "of-sibling/one-1::over\nof-user/two-1::over\n"),
    ] {
        let outcome = trial.run_configured("query", &[query]);
        assert_eq!(outcome.succeeds().stdout, found, "{outcome}");
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let trial = basic();
    trial.put(CACHE, "a file");
    trial.regen(&[]).fails(&["metadata/md5-cache"]);
    let trial = basic();
    trial.put(&format!("{CACHE}/app-misc"), "a file");
    trial.regen(&[]).fails(&[
        "the cache cannot be written; --cache DIR",
        "metadata/md5-cache/app-misc: cannot be created",
    ]);
    let trial = basic();
    fs::create_dir_all(trial.path(CACHE).join("app-misc/foo-1/x")).unwrap();
    trial
        .regen(&[])
        .fails(&["metadata/md5-cache/app-misc/foo-1"]);
    let trial = basic();
    trial.put("file", "");
    trial.regen(&["--cache", "file"]).fails(&["file/trial"]);
}

#[test]
fn what_this_bash_is_too_old_for_is_said() {
    let _rows = rows(&[16]);
    let version = std::process::Command::new("bash")
        .args(["-c", "echo $((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1]))"])
        .output()
        .unwrap();
    let version: u32 = String::from_utf8(version.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let text = ebuild("").replace("EAPI=8", "EAPI=9");
    let trial = Trial::new()
        .ebuild("app-a/new-1", &text)
        .package("app-a/old-1", "");
    let valid = format!("DEFINED_PHASES=-\nEAPI=9\nSLOT=0\n_md5_={}\n", md5(&text));
    if version < 503 {
        let outcome = trial.regen(&[]);
        outcome.fails(&["new-1.ebuild: ", "EAPI 9", "5.3", "1 generated (1 written)"]);
        assert_eq!(outcome.stderr.matches("EAPI 9").count(), 1, "{outcome}");
        trial.assert_entries(&["app-a/old-1"]);
    }
    // Whoever could source it has done so: that still counts.
    trial.put(&format!("{CACHE}/app-a/new-1"), &valid);
    trial.regen(&[]).succeeds();
    assert_eq!(trial.entry("app-a/new-1").unwrap(), valid);
    if version < 503 {
        trial.regen(&["--all"]).fails(&["new-1.ebuild: "]);
        assert_eq!(trial.entry("app-a/new-1").unwrap(), valid);
    }
}

#[test]
fn eclasses_and_ebuilds_join_their_metadata_as_specified() {
    let _rows = rows(&[17, 18, 19, 20, 22]);
    let head = |eapi: &str| format!("EAPI={eapi}\nDESCRIPTION=x\nSLOT=0\n");
    let all = "IUSE REQUIRED_USE DEPEND BDEPEND RDEPEND PDEPEND IDEPEND";
    let seven = |value: &str| {
        all.split(' ')
            .map(|key| format!("{key}=\"{value}\"\n"))
            .collect::<String>()
    };
    let trial = Trial::new()
        .eclass("b", "IUSE=b\nDEPEND=\"c/b\"\nRESTRICT=test\nPROPERTIES=live\n")
        .eclass("c", "DESCRIPTION=\"[${IUSE-unset}${DEPEND-unset}]\"\nIUSE=c\nDEPEND=\"c/c\"\n")
        .eclass("all", &seven("all"))
        .eclass("rdep", "DEPEND=c/e\nRDEPEND=c/r\n")
        .eclass("dep", "DEPEND=c/e\n")
        .eclass(
            "outer",
            "A=${ECLASS}\ninherit inner\nA+=:${ECLASS}\nDESCRIPTION=${A}\nIUSE=outer\n",
        )
        .eclass("inner", "A+=:${ECLASS}\nIUSE=inner\n")
        .eclass(
            "pa",
            "EXPORT_FUNCTIONS src_compile pkg_setup\npa_src_compile() { :; }\npa_pkg_setup() { :; }\n",
        )
        .eclass("pb", "pb_src_compile() { :; }\nEXPORT_FUNCTIONS src_compile\npb_src_test() { :; }\n")
        .eclass("pe", "pe_pkg_pretend() { :; }\npe_src_prepare() { :; }\nEXPORT_FUNCTIONS pkg_pretend src_prepare\n")
        .eclass("lost", "EXPORT_FUNCTIONS src_compile\n")
        // 17 to 20
        .ebuild("m-m/r17-1", head("8") + "inherit b c\nIUSE=a\nDESCRIPTION+=y\n")
        .ebuild("m-m/r18-1", head("8") + "DEPEND=x/x\ninherit b\n")
        .ebuild("m-m/r19-1", head("8") + "DEPEND=x/x\ninherit b\nDEPEND+=\" x/y\"\ninherit c\nDEPEND+=\" x/z\"\n")
        .ebuild("m-m/r19-2", head("8") + "DEPEND=x/x\ninherit b\nDEPEND=x/y\n")
        .ebuild("m-m/r20-1", head("8") + "inherit all\n" + &seven("own"))
        .ebuild("m-m/r20-2", head("6") + "inherit all\n" + &seven("own"))
        // 21
        .ebuild("m-m/r21-7", head("7") + "inherit b\nRESTRICT=mirror\n")
        .ebuild("m-m/r21-8", head("8") + "inherit b\nRESTRICT=mirror\n")
        // 22 to 24
        .ebuild("m-m/r22-1", head("3") + "DEPEND=x/x\ninherit dep\n")
        .ebuild("m-m/r22-2", head("3") + "DEPEND=x/x\ninherit rdep\n")
        .ebuild("m-m/r23-1", head("3") + "DEPEND=x/x\nRDEPEND=\"\"\ninherit dep\n")
        .ebuild("m-m/r24-1", head("4") + "DEPEND=x/x\ninherit dep\n")
        // 25, 26
        .ebuild("m-m/r25-1", head("8") + "inherit outer\nDESCRIPTION+=:${ECLASS-unset}\n")
        .ebuild("m-m/r26-1", head("8") + "inherit inner outer\ninherit inner\nIUSE=own\n")
        // 29, 30, 32
        .ebuild("m-m/r29-1", head("8") + "inherit pa pb\n")
        .ebuild("m-m/r29-2", head("8") + "inherit pa\nsrc_install() { :; }\n")
        .ebuild("m-m/r30-1", head("8") + "inherit lost\n")
        .ebuild("m-m/r32-1", head("8"))
        .ebuild("m-m/r32-3", head("3") + "inherit pe\n")
        .ebuild("m-m/r32-4", head("4") + "inherit pe\n")
        .ebuild("m-m/r32-0", "DESCRIPTION=x\nSLOT=0\nsrc_prepare() { :; }\nsrc_configure() { :; }\n")
        // 34, 35
        .ebuild("m-m/r34-1", head("8") + "DEPEND=\"\n\tx/a\n\n\t|| (\tx/b\n x/c )\t\n\"\n")
        .ebuild("m-m/r35-1", head("8") + "DESCRIPTION='a=b \"c\" $d \\e `f` ü ✓ %s !x'\n");
    // Whatever the processor has done before.
    for arguments in [
        &["--jobs=1"][..],
        &["--all", "--jobs=1", "--whole-eclasses"],
    ] {
        trial.regen(arguments).fails(&[
            "r30-1.ebuild: ",
            "lost_src_compile is not defined in lost.eclass",
            "1 failed",
        ]);
        for (pf, key, value) in [
            ("r17-1", "IUSE", "a b c"),
            ("r17-1", "DEPEND", "c/b c/c"),
            ("r17-1", "DESCRIPTION", "[unsetunset]y"),
            ("r18-1", "DEPEND", "x/x c/b"),
            ("r19-1", "DEPEND", "x/x x/y x/z c/b c/c"),
            ("r19-2", "DEPEND", "x/y c/b"),
            ("r20-1", "IUSE", "own all"),
            ("r20-1", "REQUIRED_USE", "own all"),
            ("r20-1", "DEPEND", "own all"),
            ("r20-1", "BDEPEND", "own all"),
            ("r20-1", "RDEPEND", "own all"),
            ("r20-1", "PDEPEND", "own all"),
            ("r20-1", "IDEPEND", "own all"),
            ("r20-2", "PDEPEND", "own all"),
            ("r20-2", "BDEPEND", ""),
            ("r20-2", "IDEPEND", ""),
            ("r21-7", "RESTRICT", "mirror"),
            ("r21-7", "PROPERTIES", "live"),
            ("r21-8", "RESTRICT", "mirror test"),
            ("r21-8", "PROPERTIES", "live"),
            ("r22-1", "DEPEND", "x/x c/e"),
            ("r22-1", "RDEPEND", "x/x"),
            ("r22-2", "RDEPEND", "x/x c/r"),
            ("r23-1", "RDEPEND", ""),
            ("r24-1", "RDEPEND", ""),
            ("r25-1", "DESCRIPTION", "outer:inner:outer:unset"),
            ("r25-1", "IUSE", "inner outer"),
            ("r25-1", "INHERIT", "outer"),
            ("r26-1", "INHERIT", "inner outer inner"),
            ("r26-1", "IUSE", "own inner inner outer inner"),
            ("r29-1", "DEFINED_PHASES", "compile setup"),
            ("r29-2", "DEFINED_PHASES", "compile install setup"),
            ("r32-1", "DEFINED_PHASES", "-"),
            ("r32-3", "DEFINED_PHASES", "prepare"),
            ("r32-4", "DEFINED_PHASES", "prepare pretend"),
            ("r32-0", "DEFINED_PHASES", "-"),
            ("r34-1", "DEPEND", "x/a || ( x/b x/c )"),
            ("r35-1", "DESCRIPTION", "a=b \"c\" $d \\e `f` ü ✓ %s !x"),
        ] {
            let found = trial.value(&format!("m-m/{pf}"), key).unwrap_or_default();
            assert_eq!(found, value, "{key} of {pf}");
        }
    }
}
