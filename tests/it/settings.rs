//! Settings of the configuration that builds follow, or refuse.

use std::fs;

use crate::support::Trial;

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
