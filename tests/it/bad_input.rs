//! What cannot be built before any phase runs: each ends in a message that names what is wrong and
//! what to do about it, and leaves nothing behind.

use crate::claim::rows;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support::{Outcome, Trial, dist, ebuild, is_root, line_of, text};

/// A trial of one package with a distfile `foo.tar` and the given Manifest, whose only source is the
/// folder `mirror` of the trial.
fn with_distfile(manifest: &str) -> Trial {
    let trial = Trial::new();
    let source = format!("file://{}/foo.tar", trial.path("mirror").display());
    trial
        .variable("GENTOO_MIRRORS", "")
        .package("app-misc/foo-1", &format!("SRC_URI=\"{source}\""))
        .manifest("app-misc/foo", manifest)
}

#[test]
fn an_unknown_package_is_named_with_names_near_it() {
    let trial = Trial::new()
        .package("app-misc/foobar-1", "")
        .package("dev-libs/other-1", "");
    trial.run(&["build", "app-misc/foobra"]).fails(&[
        "app-misc/foobra",
        "trial",
        "did you mean app-misc/foobar",
    ]);
    trial
        .run(&["build", "fobar"])
        .fails(&["fobar: no such package", "did you mean app-misc/foobar"]);
    trial
        .run(&["build", "dev-libs/foobar"])
        .fails(&["dev-libs/foobar", "did you mean app-misc/foobar"]);
    trial.run(&["build", "=app-misc/foobar-2"]).fails(&[
        "=app-misc/foobar-2",
        "no version matches",
        "there are 1::trial",
    ]);
    trial.assert_nothing_written();
}

#[test]
fn a_name_in_several_categories_is_refused_with_the_choices() {
    let trial = Trial::new()
        .package("app-misc/foo-1", "")
        .package("dev-libs/foo-1", "");
    trial.run(&["build", "foo"]).fails(&[
        "foo: is in several categories",
        "app-misc/foo, dev-libs/foo",
    ]);
}

#[test]
fn a_mask_is_shown_with_its_place_and_comment() {
    let trial = Trial::new().gentoo().package("app-misc/foo-1", "").file(
        "repo/profiles/package.mask",
        "# Somebody <somebody@example.org> (2026-01-01)\n# Eats files. Removal in 30 days.\napp-misc/foo\n",
    );
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "app-misc/foo",
        "is masked",
        "app-misc/foo-1::trial",
        "repo/profiles/package.mask:3",
        "Eats files. Removal in 30 days.",
        "package.unmask",
    ]);
    trial.assert_nothing_written();
}

#[test]
fn a_keyword_that_is_not_accepted_is_named_with_the_place_to_accept_it() {
    let trial = Trial::new().gentoo().ebuild(
        "app-misc/foo-1",
        ebuild("").replace("\"amd64\"", "\"~amd64\""),
    );
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "app-misc/foo-1::trial",
        "~amd64",
        "package.accept_keywords",
    ]);
}

#[test]
fn a_license_that_is_not_accepted_is_named_with_the_place_to_accept_it() {
    let trial = Trial::new()
        .gentoo()
        .make_conf("ACCEPT_LICENSE=\"-*\"\n")
        .package("app-misc/foo-1", "");
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "app-misc/foo-1::trial",
        "MIT",
        "package.license",
    ]);
}

#[test]
fn an_eapi_that_is_not_supported_is_named() {
    let _rows = rows(&[15]);
    for eapi in ["42", "8-mine"] {
        let trial = Trial::new().ebuild(
            "app-misc/foo-1",
            ebuild("").replace("EAPI=8", &format!("EAPI={eapi}")),
        );
        trial.run(&["build", "app-misc/foo"]).fails(&[
            &text(&trial.ebuild_path("app-misc/foo-1")),
            &format!("EAPI `{eapi}`: unknown"),
        ]);
    }
}

#[test]
fn eapi_9_is_built_or_named() {
    let _rows = rows(&[16]);
    let version = Outcome::of(
        Command::new("bash").args(["-c", "echo $((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1]))"]),
    );
    let trial = Trial::new().ebuild("app-misc/foo-1", ebuild("").replace("EAPI=8", "EAPI=9"));
    let outcome = trial.run(&["build", "app-misc/foo"]);
    if version.stdout.trim().parse::<u32>().unwrap() < 503 {
        outcome.fails(&[
            &text(&trial.ebuild_path("app-misc/foo-1")),
            "EAPI 9: needs bash 5.3 or newer",
            "--bash or EBD_BASH",
        ]);
        trial.assert_nothing_written();
        // Others are not kept from being built.
        let both = trial.package("app-misc/bar-1", "");
        both.run(&["build", "app-misc/bar"]).succeeds();
    } else {
        outcome.succeeds();
    }
}

#[test]
fn a_syntax_error_is_shown_with_file_and_line() {
    let content = ebuild("src_compile() {\n\tif true; then\n\t\techo\n\t}\n}");
    let trial = Trial::new().ebuild("app-misc/foo-1", &content);
    let line = line_of(&content, "\t}");
    let place = format!("foo-1.ebuild: line {line}");
    trial.run(&["build", "app-misc/foo"]).fails(&[
        &text(&trial.ebuild_path("app-misc/foo-1")),
        &place,
        "syntax error",
    ]);
    trial.assert_nothing_written();
}

#[test]
fn a_syntax_error_in_an_eclass_is_shown_with_file_and_line() {
    let trial = Trial::new()
        .package("app-misc/foo-1", "inherit bar")
        .eclass("bar", "bar_one() {\n\techo )\n}\n");
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "foo-1.ebuild",
        "bar.eclass: line 2",
        "syntax error",
    ]);
}

#[test]
fn a_missing_eclass_is_named_with_the_ebuild() {
    let trial = Trial::new().package("app-misc/foo-1", "inherit nowhere");
    trial.run(&["build", "app-misc/foo"]).fails(&[
        &text(&trial.ebuild_path("app-misc/foo-1")),
        "nowhere.eclass was not found",
        &text(&trial.path("repo/eclass")),
    ]);
}

#[test]
fn inherit_takes_names_only() {
    let trial = Trial::new()
        .package("app-misc/foo-1", "inherit ../x")
        .file("repo/x.eclass", "die 'sourced nevertheless'\n")
        .file("repo/eclass/bar.eclass", "");
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["foo-1.ebuild", "inherit: '../x' is no name of an eclass"]);
}

#[test]
fn an_eapi_that_changes_behind_inherit_is_refused() {
    let trial = Trial::new()
        .package("app-misc/foo-1", "inherit bar\nEAPI=7")
        .eclass("bar", ":\n");
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["foo-1.ebuild", "EAPI is '8'", "'7'"]);
}

#[test]
fn an_external_command_in_global_scope_is_named() {
    let trial = Trial::new().package("app-misc/foo-1", "MY_DATE=$(date +%Y)");
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "foo-1.ebuild",
        "date: external commands may not be run in global scope",
    ]);
    let trial = Trial::new().package("app-misc/foo-1", "MY_OS=$(/bin/uname -s)");
    // A path cannot be kept from being run without confinement; what bash finds by name can.
    assert!([0, 1].contains(&trial.run(&["build", "--pretend", "app-misc/foo"]).code()));
}

#[test]
fn global_scope_that_ends_the_shell_is_refused() {
    let trial = Trial::new().package("app-misc/foo-1", "exit 0");
    trial.run(&["build", "app-misc/foo"]).fails(&[
        &text(&trial.ebuild_path("app-misc/foo-1")),
        "ends the shell",
    ]);
}

#[test]
fn metadata_must_be_utf_8() {
    let mut content = ebuild("").into_bytes();
    content.extend_from_slice(b"DESCRIPTION=\"caf\xe9\"\n");
    let trial = Trial::new().ebuild("app-misc/foo-1", content);
    trial.run(&["build", "app-misc/foo"]).fails(&[
        &text(&trial.ebuild_path("app-misc/foo-1")),
        "DESCRIPTION",
        "UTF-8",
    ]);
}

#[test]
fn metadata_that_is_no_metadata_is_named() {
    for (line, key) in [
        ("DEPEND=\"|| ( a/b\"", "DEPEND"),
        ("RDEPEND=\"foo\"", "RDEPEND"),
        ("RESTRICT=\"x? (\"", "RESTRICT"),
        ("SRC_URI=\"https://example.org/a ->\"", "SRC_URI"),
        ("REQUIRED_USE=\"|| ( a\"\nIUSE=a", "REQUIRED_USE"),
        ("SLOT=\"\"", "SLOT"),
        ("SLOT=\"a b\"", "SLOT"),
        ("IUSE=\"a,b\"", "IUSE"),
        ("LICENSE=\"( MIT\"", "LICENSE"),
        ("PROPERTIES=\"( x\"", "PROPERTIES"),
        ("KEYWORDS=\"am/d64\"", "KEYWORDS"),
    ] {
        let trial = Trial::new().package("app-misc/foo-1", line);
        trial.run(&["build", "app-misc/foo"]).fails(&["foo-1", key]);
        trial.assert_nothing_written();
    }
}

#[test]
fn flags_against_required_use_are_named() {
    let _rows = rows(&[201]);
    let trial = Trial::new().package(
        "app-misc/foo-1",
        "IUSE=\"+gtk +qt\"\nREQUIRED_USE=\"^^ ( gtk qt )\"",
    );
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "app-misc/foo-1",
        "REQUIRED_USE",
        "^^ ( gtk qt )",
        "package.use",
    ]);
}

#[test]
fn distfiles_without_manifest_are_refused() {
    let trial = with_distfile("");
    fs::remove_file(trial.path("repo/app-misc/foo/Manifest")).unwrap();
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "app-misc/foo-1",
        &text(&trial.path("repo/app-misc/foo/Manifest")),
        "manifest",
    ]);
    trial.assert_nothing_written();
}

#[test]
fn a_manifest_without_the_distfile_is_refused() {
    let trial = with_distfile(&dist("bar.tar", b"bar"));
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "app-misc/foo-1",
        &text(&trial.path("repo/app-misc/foo/Manifest")),
        "no DIST entry for `foo.tar`",
        "ebd manifest",
    ]);
    trial.assert_nothing_written();
}

#[test]
fn a_manifest_that_is_no_manifest_is_refused_with_the_line() {
    let trial = with_distfile("DIST foo.tar many BLAKE2B x\n");
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["repo/app-misc/foo/Manifest", "1"]);
    let trial = with_distfile("");
    trial.put("repo/app-misc/foo/Manifest", b"DIST caf\xe9 3 SHA512 00\n");
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["repo/app-misc/foo/Manifest"]);
}

#[test]
fn a_file_with_the_wrong_hash_is_kept_aside_and_named() {
    // The same size, so that only the hash can tell.
    let trial = with_distfile(&dist("foo.tar", b"right")).file("mirror/foo.tar", "wrong");
    let outcome = trial.run(&["build", "app-misc/foo"]);
    outcome.fails(&["app-misc/foo-1", "foo.tar", "BLAKE2B", "kept as"]);
    let kept: Vec<String> = fs::read_dir(trial.path("distfiles"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("foo.tar._checksum_failure_."))
        .collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(outcome.stderr.contains(&kept[0]), "{outcome}");
    assert!(!trial.path("distfiles/foo.tar").exists());
    trial.assert_nothing_written();
}

#[test]
fn a_wrong_file_in_distdir_is_replaced_by_the_right_one() {
    let trial = with_distfile(&dist("foo.tar", b"right"))
        .file("mirror/foo.tar", "right")
        .distfile("foo.tar", b"wrong");
    let path = trial.ebuild_path("app-misc/foo-1");
    let content = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("{content}src_unpack() {{ :; }}\n")).unwrap();
    let outcome = trial.run(&["build", "app-misc/foo"]);
    outcome.ends(
        0,
        &[
            "foo.tar: its content was wrong (",
            "the Manifest says",
            "_checksum_failure_",
        ],
    );
    assert_eq!(
        fs::read_to_string(trial.path("distfiles/foo.tar")).unwrap(),
        "right"
    );
}

#[test]
fn every_source_that_failed_is_named_with_its_reason() {
    let trial = Trial::new();
    let mirror = format!("file://{}", trial.path("mirror").display());
    let trial = trial
        .variable("GENTOO_MIRRORS", &mirror)
        .package(
            "app-misc/foo-1",
            &format!("SRC_URI=\"{mirror}/a/foo.tar gopher://example.org/foo.tar mirror://nobody/foo.tar\""),
        )
        .manifest("app-misc/foo", &dist("foo.tar", b"foo"));
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "app-misc/foo-1",
        "foo.tar",
        "mirror/a/foo.tar: cannot be read: No such file",
        "mirror/distfiles/foo.tar: cannot be read: No such file",
        "gopher://example.org/foo.tar: protocol `gopher` is not spoken here",
        "mirror://nobody/foo.tar: no mirror has this name",
    ]);
    trial.assert_nothing_written();
}

#[test]
fn a_fetch_restricted_file_shows_what_pkg_nofetch_says() {
    let trial = Trial::new()
        .package(
            "app-misc/foo-1",
            "SRC_URI=\"https://example.org/foo.tar\"\nRESTRICT=\"fetch\"\n\
             pkg_nofetch() {\n\teinfo \"Buy ${A} from the shop\"\n\teinfo \"and pay.\"\n}",
        )
        .manifest("app-misc/foo", &dist("foo.tar", b"foo"));
    let outcome = trial.run(&["build", "app-misc/foo"]);
    outcome.fails(&[
        "Buy foo.tar from the shop",
        "and pay.",
        "foo.tar: fetch restricted",
        &text(&trial.path("distfiles")),
    ]);
    assert_eq!(
        outcome.stderr.matches("Buy foo.tar from the shop").count(),
        1,
        "{outcome}"
    );
    trial.assert_nothing_written();
}

#[test]
fn a_pkgdir_that_cannot_be_made_is_named() {
    let trial = Trial::new().file("plain", "").package("app-misc/foo-1", "");
    let (plain, below) = (trial.path("plain"), trial.path("plain/packages"));
    let trial = trial.pkgdir(below);
    trial.run(&["build", "app-misc/foo"]).fails(&[
        &text(&plain),
        "cannot be written to",
        "not a directory",
    ]);
}

/// That nothing can be written at the end is told before anything is built.
#[test]
fn a_pkgdir_that_may_not_be_written_to_is_told_at_once() {
    for name in ["packages", "packages/below/it"] {
        let trial = Trial::new().file("packages/mine", "").package(
            "app-misc/foo-1",
            "pkg_setup() { touch \"${T}\"/../../../../ran; }",
        );
        let (place, pkgdir) = (trial.path("packages"), trial.path(name));
        let trial = trial.pkgdir(pkgdir);
        fs::set_permissions(trial.path("packages"), fs::Permissions::from_mode(0o555)).unwrap();
        let mut command = trial.command(&["build", "app-misc/foo"]);
        if is_root() {
            // Whom permissions do not stop.
            let own = Command::new("chown")
                .args(["-R", "65534"])
                .arg(trial.path(""))
                .status();
            assert!(own.unwrap().success());
            command.uid(65534);
        }
        Outcome::of(&mut command).fails(&[&text(&place), "Permission denied"]);
        assert!(!trial.builddir("app-misc/foo-1").exists());
    }
}

#[test]
fn a_tmpdir_or_distdir_that_cannot_be_made_is_named() {
    let trial = Trial::new().file("plain", "").package("app-misc/foo-1", "");
    let below = trial.path("plain/tmp");
    let trial = trial.tmpdir(below.clone());
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "app-misc/foo-1",
        &text(&below),
        "Not a directory",
    ]);
    trial.assert_nothing_written();

    let trial = with_distfile(&dist("foo.tar", b"foo")).file("mirror/foo.tar", "foo");
    fs::remove_dir(trial.path("distfiles")).unwrap();
    let trial = trial.file("distfiles", "");
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["app-misc/foo-1", &text(&trial.path("distfiles"))]);
}

#[test]
fn a_make_conf_that_cannot_be_read_is_shown_with_the_line() {
    let trial = Trial::new()
        .gentoo()
        .make_conf("USE=\"a\"\nCFLAGS=\"-O2\n")
        .package("app-misc/foo-1", "");
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["etc/portage/make.conf:2"]);
    let trial = Trial::new()
        .gentoo()
        .make_conf("USE=\"a\"\nthis is no assignment\n")
        .package("app-misc/foo-1", "");
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["etc/portage/make.conf:2"]);
    trial.assert_nothing_written();
}

#[test]
fn a_profile_that_is_not_there_is_named() {
    let trial = Trial::new().gentoo().package("app-misc/foo-1", "");
    fs::remove_dir_all(trial.path("repo/profiles/default")).unwrap();
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "etc/portage/make.profile",
        &text(&trial.path("repo/profiles/default")),
        "ln -sfn",
    ]);
}

#[test]
fn a_repository_that_is_not_there_is_named() {
    let trial = Trial::new().package("app-misc/foo-1", "");
    trial
        .run(&["build", "--repo", "/nonexistent/overlay", "app-misc/foo"])
        .fails(&["/nonexistent/overlay"]);
    let trial = Trial::new()
        .gentoo()
        .package("app-misc/foo-1", "")
        .conf("repos.conf", "[trial]\nlocation = /nonexistent/trial\n");
    trial
        .run(&["build", "app-misc/foo"])
        .ends(1, &["/nonexistent/trial"]);
}

#[test]
fn dependencies_that_are_not_installed_are_named() {
    let trial = Trial::new()
        .package("app-misc/foo-1", "DEPEND=\"dev-libs/bar\"")
        .package("dev-libs/bar-1", "");
    let installed = |cpv: &str| {
        trial.put(&format!("root/var/db/pkg/{cpv}/SLOT"), "0\n");
        trial.put(&format!("root/var/db/pkg/{cpv}/EAPI"), "8\n");
    };
    installed("sys-apps/baselayout-2");
    // What DEPEND names belongs to SYSROOT.
    let sysroot = trial.path("root");
    let build = |arguments: &[&str]| {
        let mut command = trial.command(arguments);
        Outcome::of(command.env("ROOT", &sysroot).env("SYSROOT", &sysroot))
    };
    build(&["build", "app-misc/foo"]).fails(&[
        "dependencies are missing",
        "app-misc/foo-1: dev-libs/bar (DEPEND)",
        "--nodeps",
    ]);
    build(&["build", "--nodeps", "app-misc/foo"]).succeeds();
    installed("dev-libs/bar-1");
    build(&["build", "app-misc/foo"]).succeeds();
    // Where nothing is known of what is installed, that is said.
    fs::remove_dir_all(trial.path("root/var")).unwrap();
    let outcome = build(&["build", "app-misc/foo"]);
    outcome.succeeds();
    let database = sysroot.join("var/db/pkg").display().to_string();
    assert!(outcome.stderr.contains(&database), "{outcome}");
}

#[test]
fn a_bash_that_is_none_is_named() {
    let trial = Trial::new().package("app-misc/foo-1", "");
    trial
        .run(&["build", "--bash", "/nonexistent/bash", "app-misc/foo"])
        .fails(&["/nonexistent/bash"]);
    trial
        .run(&["build", "--bash", "/bin/true", "app-misc/foo"])
        .fails(&["/bin/true"]);
}

#[test]
fn what_has_no_effect_is_told_if_somebody_asked_for_it() {
    // The usual FEATURES are nobody's wish.
    let trial = Trial::new().gentoo().package("app-misc/foo-1", "");
    let outcome = trial.run(&["build", "--pretend", "app-misc/foo"]);
    assert_eq!(outcome.succeeds().stderr, "", "{outcome}");
    let trial = trial.make_conf("FEATURES=\"split-log\"\nPORTAGE_NICENESS=\"3\"\n");
    let outcome = trial.run(&["build", "--pretend", "app-misc/foo"]);
    for told in [
        "not supported yet: FEATURES=\"split-log\"",
        "PORTAGE_NICENESS has no effect yet",
    ] {
        assert!(outcome.succeeds().stderr.contains(told), "{outcome}");
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let trial = Trial::new().package("app-misc/foo-1", "");
    for arguments in [
        &[][..],
        &["bulid"],
        &["build", "--jobs", "0", "foo"],
        &["build", "--jobs", "many", "foo"],
        &["build", "--no-such-option", "foo"],
        &["build", "-q", "-v", "foo"],
        &["build", "--phase-timeout", "0", "foo"],
        &["build", "--format", "rpm", "foo"],
    ] {
        let outcome = Outcome::of(&mut trial.command(arguments));
        outcome.ends(2, &["--help"]);
        assert_eq!(outcome.stdout, "", "{outcome}");
    }
    let mut command = Command::new(crate::support::EBD);
    Outcome::of(command.arg("build").current_dir(trial.path(""))).ends(2, &["ATOM"]);
}

#[test]
fn what_is_no_package_to_build_is_refused() {
    let trial = Trial::new().package("app-misc/foo-1", "");
    for (atom, what) in [
        ("!app-misc/foo", "blocker"),
        ("app-misc/foo[bar]", "USE dependency"),
        ("app-misc/*", "wildcard"),
        ("app-misc/foo-1", "=category/name-version"),
        (">=app-misc/foo", "version"),
        ("app misc/foo", "app misc/foo"),
        ("app-misc/", "app-misc/"),
        ("", "atom"),
        ("app-misc/foo::nowhere", "nowhere"),
    ] {
        let outcome = trial.run(&["build", atom]);
        outcome.ends(outcome.code(), &[atom, what]);
        assert!([1, 2].contains(&outcome.code()), "{outcome}");
    }
    trial.assert_nothing_written();
}

/// A trial whose repository has Manifests that list ebuilds and their files too.
fn thick(manifest: &str, policy: &str) -> Trial {
    let content = ebuild("");
    let trial = Trial::new()
        .package("app-misc/foo-1", "")
        .file("repo/app-misc/foo/files/a.patch", "patch\n")
        .file("repo/metadata/layout.conf", format!("masters =\n{policy}"));
    if manifest.is_empty() {
        return trial;
    }
    let line = |kind: &str, name: &str, content: &str| {
        dist(name, content.as_bytes()).replace("DIST", kind)
    };
    let manifest = manifest
        .replace("AUX\n", &line("AUX", "a.patch", "patch\n"))
        .replace("EBUILD\n", &line("EBUILD", "foo-1.ebuild", &content));
    trial.manifest("app-misc/foo", &manifest)
}

#[test]
fn files_that_a_manifest_lists_must_be_as_it_says() {
    thick("AUX\nEBUILD\n", "").run(&["build", "foo"]).succeeds();
    let trial = thick("AUX\nEBUILD\n", "");
    trial.put("repo/app-misc/foo/files/a.patch", "catch\n");
    trial.run(&["build", "foo"]).fails(&[
        "app-misc/foo-1",
        "foo/Manifest",
        "files/a.patch",
        "BLAKE2B",
    ]);
    trial.assert_nothing_written();
    // Without `strict` it is the user's own business.
    trial
        .variable("FEATURES", "-strict")
        .run(&["build", "foo"])
        .succeeds();
    thick("EBUILD\n", "")
        .run(&["build", "foo"])
        .fails(&["files/a.patch", "not listed in the Manifest"]);
    thick("", "")
        .run(&["build", "foo"])
        .fails(&["foo-1.ebuild", "not listed in the Manifest"]);
    thick("EBUILD\n", "use-manifests = true\n")
        .run(&["build", "foo"])
        .succeeds();
    thick("", "use-manifests = false\n")
        .run(&["build", "foo"])
        .succeeds();
}
