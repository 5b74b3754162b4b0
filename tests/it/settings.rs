//! Settings of the configuration that builds follow, or refuse.

use std::fs;

use ebd::util::digest::HashName;

use crate::support::{Trial, ebuild};

/// A configured trial of `app-misc/foo-1` with this body.
fn foo(body: &str) -> Trial {
    Trial::new().gentoo().package("app-misc/foo-1", body)
}

#[test]
fn features_that_cannot_be_followed_are_refused_before_anything_is_built() {
    for feature in ["splitdebug", "dedupdebug", "installsources", "packdebug"] {
        let trial = foo("")
            .conf("package.env", "app-misc/foo debug\n")
            .conf("env/debug", &format!("FEATURES=\"{feature}\"\n"));
        let says = format!("app-misc/foo-1: FEATURES={feature}: is not supported yet");
        for options in [&["build", "--pretend"][..], &["build"]] {
            let words = [options, &["app-misc/foo"]].concat();
            trial.run(&words).fails(&[&says, "package.env"]);
        }
        assert!(!trial.builddir("app-misc/foo-1").exists());
        // No package is made here.
        trial
            .run(&["build", "--stop-after", "compile", "app-misc/foo"])
            .succeeds();
    }
}

#[test]
fn features_that_change_nothing_for_a_package_are_not_refused() {
    for (restrict, features) in [
        ("splitdebug installsources", "splitdebug installsources"),
        ("strip", "splitdebug dedupdebug"),
        ("", "splitdebug nostrip"),
        ("", "splitdebug installsources -binpkg-dostrip"),
    ] {
        let trial = foo(&format!("RESTRICT=\"{restrict}\""))
            .make_conf(&format!("FEATURES=\"{features}\"\n"));
        trial.run(&["build", "app-misc/foo"]).succeeds();
    }
}

/// What the build of foo has written to a file in T.
fn noted(trial: &Trial, name: &str) -> String {
    let path = trial.builddir("app-misc/foo-1").join("temp").join(name);
    fs::read_to_string(path).unwrap()
}

#[test]
fn builds_use_all_processors_unless_somebody_says_otherwise() {
    let body = "src_compile() { printenv MAKEOPTS GNUMAKEFLAGS MAKEFLAGS >\"${T}/options\"; }";
    let count = std::thread::available_parallelism().unwrap();
    let load = format!("--load-average {count} --output-sync=line\n");
    for (make_conf, options) in [
        ("", format!("-j{count}\n{load}")),
        ("GNUMAKEFLAGS=\"-k\"\n", format!("-j{count}\n-k\n")),
        ("MAKEOPTS=\"-j3\"\n", "-j3\n".into()),
        ("MAKEFLAGS=\"-j5\"\n", "-j5\n".into()),
    ] {
        let trial = foo(body).make_conf(make_conf);
        trial.run(&["build", "--keep", "app-misc/foo"]).succeeds();
        assert_eq!(noted(&trial, "options"), options, "{make_conf}");
        let extract = ["binpkg", "extract", "--metadata", "app-misc/foo", "info"];
        trial.run(&extract).succeeds();
        let packed = fs::File::open(trial.path("info/environment.bz2")).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut bzip2::read::BzDecoder::new(packed), &mut text).unwrap();
        // As in Portage, the latter stays.
        assert!(!text.contains(" MAKEOPTS="), "{text}");
        assert_eq!(
            text.contains(" GNUMAKEFLAGS="),
            options.contains("-k") || options.contains("--load")
        );
    }
}

#[test]
fn packages_tell_which_patches_of_the_user_they_have() {
    let patch = "--- a/file\n+++ b/file\n@@ -1 +1 @@\n-one\n+two\n";
    let trial = foo(
        "src_unpack() { echo one >file; }\nsrc_install() { insinto /usr/share/foo; doins file; }",
    )
    .conf("patches/app-misc/foo/a.patch", patch);
    let digest = HashName::Sha256.hex(patch.as_bytes());
    let whole = HashName::Sha256.hex(digest.as_bytes());
    // A build that is taken up has them from the one before.
    trial
        .run(&["build", "--stop-after", "prepare", "app-misc/foo"])
        .succeeds();
    trial.run(&["build", "--resume", "app-misc/foo"]).succeeds();
    let extract = ["binpkg", "extract", "--metadata", "app-misc/foo", "info"];
    trial.run(&extract).succeeds();
    let told = |name: &str| fs::read_to_string(trial.path("info").join(name)).unwrap();
    assert_eq!(told("user_patch.digests"), format!("{digest}\0a.patch\0"));
    assert_eq!(told("USER_PATCHES"), format!("{whole}\n"));
    assert_eq!(trial.index()[0].get("USER_PATCHES"), Some(&*whole));
}

#[test]
fn packages_tell_the_revisions_of_the_repositories_they_are_of() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let trial = foo("")
        .eclass("own", "# Nothing\n")
        .file("over/profiles/repo_name", "over\n")
        .file("over/profiles/categories", "app-misc\n")
        .file(
            "over/metadata/layout.conf",
            "masters = trial\nthin-manifests = true\n",
        )
        .file("over/app-misc/bar/bar-1.ebuild", ebuild("inherit own"))
        .file("over/.git/HEAD", "ref: refs/heads/main\n")
        .file("over/.git/refs/heads/main", format!("{commit}\n"))
        .file(
            "repo/metadata/timestamp.commit",
            "abc 1718000000 2024-06-10T06:13:20+00:00\n",
        );
    let configure = |trial_sync: &str, over_sync: &str| {
        let sections = [("trial", "repo", trial_sync), ("over", "over", over_sync)];
        let mut text = "[DEFAULT]\nmain-repo = trial\n".to_owned();
        for (name, folder, sync) in sections {
            let location = trial.path(folder);
            text.push_str(&format!("[{name}]\nlocation = {}\n", location.display()));
            if !sync.is_empty() {
                text.push_str(&format!("sync-type = {sync}\n"));
            }
        }
        trial.put("conf/etc/portage/repos.conf", text);
    };
    let revisions = |pn: &str| {
        let package = format!("app-misc/{pn}");
        let outcome = trial.run(&["build", &package]);
        outcome.succeeds();
        let show = ["binpkg", "show", "--file", "REPO_REVISIONS"];
        // The newest build.
        let id = trial
            .index()
            .iter()
            .filter(|it| it.cpv().contains(pn))
            .count();
        let atom = format!("=app-misc/{pn}-1-{id}");
        let shown = trial.run(&[&show[..], &[atom.as_str()]].concat());
        (shown.succeeds().stdout.clone(), outcome.stderr)
    };
    configure("rsync", "git");
    let both = format!("{{\"over\": \"{commit}\", \"trial\": \"abc\"}}\n");
    assert_eq!(revisions("bar").0, both);
    assert_eq!(revisions("foo").0, "{\"trial\": \"abc\"}\n");
    configure("", "webrsync");
    assert_eq!(revisions("bar").0, "{}\n");
    configure("git", "git");
    let (known, told) = revisions("bar");
    assert_eq!(known, format!("{{\"over\": \"{commit}\"}}\n"));
    assert!(
        told.contains("will not tell the revision of repository trial: "),
        "{told}"
    );
}

#[test]
fn ccache_is_disabled_and_that_is_told() {
    let body = "src_compile() { unset CCACHE_DISABLE; }\nsrc_install() {\n\
                \tprintenv CCACHE_DISABLE >\"${T}/ccache\" || die\n}";
    for (features, told) in [("", false), ("ccache", true)] {
        let trial = foo(body).make_conf(&format!("FEATURES=\"{features}\"\n"));
        let outcome = trial.run(&["build", "--keep", "app-misc/foo"]);
        outcome.succeeds();
        assert_eq!(noted(&trial, "ccache"), "1\n");
        assert_eq!(
            outcome
                .stderr
                .contains("FEATURES=ccache is not supported yet"),
            told,
            "{outcome}"
        );
    }
}

#[test]
fn tests_that_fail_may_be_passed_over() {
    for failing in [
        "die \"the tests are bad\"",
        "exit 3",
        "emake -f /nonexistent all",
        "kill -KILL ${BASHPID}",
    ] {
        let body = format!(
            "src_compile() {{ KEPT=yes; }}\n\
             src_test() {{ KEPT=no; touch \"${{T}}/tested\"; {failing}; }}\n\
             src_install() {{ [[ ${{KEPT}} == yes && -e ${{T}}/tested ]] || die \"${{KEPT}}\"; }}"
        );
        let trial = foo(&body).make_conf("FEATURES=\"test\"\n");
        trial
            .run(&["build", "app-misc/foo"])
            .fails(&["app-misc/foo-1: could not be built in the test phase"]);
        trial.assert_nothing_written();
        trial.put(
            "conf/etc/portage/make.conf",
            "FEATURES=\"test test-fail-continue\"\n",
        );
        let outcome = trial.run(&["build", "app-misc/foo"]);
        outcome.succeeds();
        let told = "app-misc/foo-1: the build goes on, as FEATURES has test-fail-continue: \
                    src_test failed: ";
        assert!(outcome.stderr.contains(told), "{outcome}");
        assert_eq!(trial.index().len(), 1);
    }
    // Nothing else is passed over, and what fails behind it says its own.
    let body =
        "src_test() { emake -f /nonexistent all; }\nsrc_install() { doins /nonexistent-too; }";
    let trial = foo(body).make_conf("FEATURES=\"test test-fail-continue\"\n");
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "app-misc/foo-1: could not be built in the install phase",
        "because: doins: ",
    ]);
}

#[test]
fn what_is_left_of_a_build_is_what_features_ask_for() {
    let left = |trial: &Trial| {
        let folder = trial.builddir("app-misc/foo-1");
        let entries = fs::read_dir(folder).into_iter().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let good = "src_compile() { echo here >\"${T}/here\"; }";
    let bad = "src_compile() { echo here >\"${T}/here\"; die bad; }";
    for features in ["", "fail-clean"] {
        let trial = foo(good).make_conf(&format!("FEATURES=\"{features} keeptemp\"\n"));
        trial.run(&["build", "app-misc/foo"]).succeeds();
        assert_eq!(left(&trial), ["temp"], "{features}");
        assert_eq!(noted(&trial, "here"), "here\n");
        // The next one does not mind.
        trial.run(&["build", "app-misc/foo"]).succeeds();
    }
    let trial = foo(bad).make_conf("FEATURES=\"fail-clean\"\n");
    let outcome = trial.run(&["build", "app-misc/foo"]);
    outcome.fails(&["could not be built in the compile phase", "bad"]);
    for gone in ["--resume", "build.log"] {
        assert!(!outcome.stderr.contains(gone), "{outcome}");
    }
    assert!(!trial.path("tmp/portage/app-misc").exists());
    trial.run(&["shell", "--failed", "-c", "true"]).ends(1, &[]);
    for (features, option) in [("fail-clean noclean", "--quiet"), ("fail-clean", "--keep")] {
        let trial = foo(bad).make_conf(&format!("FEATURES=\"{features}\"\n"));
        trial
            .run(&["build", option, "app-misc/foo"])
            .fails(&["--resume"]);
        assert!(left(&trial).len() > 1);
    }
    let trial = foo(bad).make_conf("FEATURES=\"fail-clean keeptemp\"\n");
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["temp/build.log"]);
    assert_eq!(left(&trial), ["temp"]);
}

#[test]
fn libraries_without_links_and_libraries_that_nobody_has_are_told() {
    let body = "src_compile() {\n\
                \techo 'int answer(void) { return 42; }' >x.c\n\
                \tgcc -shared -fPIC -Wl,-soname,libgone.so.1 x.c -o libgone.so || die\n\
                \tgcc -shared -fPIC -Wl,-soname,libx.so.1 -Wl,--no-as-needed x.c -L. -lgone -o libx.so.1.0 || die\n}\n\
                src_install() { into /opt/own; dolib.so libx.so.1.0; }";
    let trial = foo(body)
        .file("root/etc/ld.so.conf", "include ld.so.conf.d/*.conf\n")
        .file(
            "root/etc/ld.so.conf.d/own.conf",
            "/opt/own/lib\n/opt/own/lib64\n",
        )
        .file("root/var/db/pkg/sys-libs/libc-1/SLOT", "0\n")
        .file("root/var/db/pkg/sys-libs/libc-1/EAPI", "8\n")
        .file(
            "root/var/db/pkg/sys-libs/libc-1/PROVIDES",
            "arm_64: libc.so.6 x86_64: libc.so.6\n",
        );
    let told = |trial: &Trial| {
        let outcome = trial.run(&["build", "--json", "app-misc/foo"]);
        let events = outcome.succeeds().events();
        let texts = events.iter().filter_map(|event| event["text"].as_str());
        texts.map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    let said = told(&trial);
    for part in [
        "Missing soname symlink(s):\n  opt/own/lib",
        "/libx.so.1 -> libx.so.1.0",
        "Unresolved soname dependencies:\n  /opt/own/lib",
        "/libx.so.1.0: libgone.so.1",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    let trial = trial.make_conf("FEATURES=\"-qa-unresolved-soname-deps\"\n");
    std::fs::remove_dir_all(trial.path("root/etc")).unwrap();
    let said = told(&trial);
    for part in ["Missing soname", "Unresolved soname"] {
        assert!(!said.contains(part), "{said}");
    }
}
