//! What users and eclasses hook onto builds.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::Trial;

/// What a build has written to a file in T.
fn noted(trial: &Trial, name: &str) -> String {
    let path = trial.builddir("app-misc/foo-1").join("temp").join(name);
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn hooks_behind_a_phase_begin_where_it_ended() {
    let trial = Trial::new()
        .package(
            "app-misc/foo-1",
            "pkg_setup() { cd / || die; }\n\
             src_unpack() { mkdir -p a/b gone || die; }\n\
             src_prepare() { default; cd a || die; }\n\
             src_configure() { cd a/b || die; }\n\
             src_compile() { cd gone || die; rmdir ../gone || die; }\n\
             src_install() {\n\
             \t[[ ${PWD} == \"${WORKDIR}\" && $(umask) == 0022 ]] || die \"${PWD} $(umask)\"\n\
             \t! shopt -q nullglob || die nullglob\n}",
        )
        .conf(
            "bashrc",
            "note() { echo \"${EBUILD_PHASE} ${PWD#\"${PORTAGE_BUILDDIR}/\"}\" >>\"${T}/hooks\"; }\n\
             post_pkg_setup() { note; }\n\
             post_src_unpack() { note; cd /; }\n\
             post_src_prepare() { note; }\n\
             post_src_configure() { note; }\n\
             post_src_compile() { note; umask 077; shopt -s nullglob; cd /; }\n\
             post_src_install() { note; }\n",
        );
    trial.run(&["build", "--keep", "app-misc/foo"]).succeeds();
    assert_eq!(
        noted(&trial, "hooks"),
        "setup /\nunpack work\nprepare work/a\nconfigure work/a/b\ncompile empty\ninstall work\n"
    );
}

#[test]
fn functions_for_success_are_called_when_the_package_is_there() {
    let trial = Trial::new()
        .package(
            "app-misc/foo-1",
            "inherit hooked\nsrc_compile() { register_success_hook hooked_done; }",
        )
        .eclass(
            "hooked",
            "hooked_done() { echo \"${PF} is done\" >>\"${T}/success\"; }\n",
        );
    let package = trial.packages().join("app-misc/foo/foo-1-1.gpkg.tar");
    let bashrc = format!(
        "register_success_hook mine\n\
         mine() {{ [[ ! -e {} ]] || echo there >>\"${{T}}/success\"; }}\n",
        package.display()
    );
    let trial = trial.conf("bashrc", &bashrc);
    trial
        .run(&["build", "--stop-after", "install", "app-misc/foo"])
        .succeeds();
    assert_eq!(noted(&trial, "success"), "");
    trial
        .run(&["build", "--resume", "--keep", "app-misc/foo"])
        .succeeds();
    assert_eq!(noted(&trial, "success"), "there\nfoo-1 is done\n");
}

#[test]
fn a_package_stands_although_a_function_for_success_fails() {
    let trial = Trial::new().package(
        "app-misc/foo-1",
        "broken() { die \"no good\"; }\nsrc_install() { register_success_hook broken; }",
    );
    let outcome = trial.run(&["build", "app-misc/foo"]);
    outcome.succeeds();
    for part in ["EBUILD_SUCCESS_HOOKS failed", "no good"] {
        assert!(outcome.stderr.contains(part), "{outcome}");
    }
    assert_eq!(trial.assert_pkgdir_valid(), [1]);
    assert!(!trial.builddir("app-misc/foo-1").exists());
    trial.assert_no_processes("after a function for success has failed");
}

#[test]
fn hooks_that_are_not_run_are_told() {
    let trial = Trial::new()
        .package("app-misc/foo-1", "")
        .conf("hooks/install/one", "#!/bin/sh\n");
    let path = trial.path("conf/etc/portage/hooks/install/one");
    for (mode, told) in [(0o644, false), (0o755, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let outcome = trial.run(&["build", "app-misc/foo"]);
        outcome.succeeds();
        let notice = "etc/portage/hooks/install: what is there is not run yet";
        assert_eq!(outcome.stderr.contains(notice), told, "{outcome}");
    }
}
