//! Repositories that change while their ebuilds are sourced, as they do when somebody syncs.

use std::fs;

use super::CACHE;
use crate::support::Trial;

/// Three ebuilds that are sourced one after the other; the one in the middle has `text` put in the
/// place of the eclass `x`.
fn changing(trial: Trial, text: &str) -> Trial {
    let eclass = trial.path("repo/eclass/x.eclass");
    let other = trial.path("other");
    fs::create_dir_all(trial.path("repo/eclass")).unwrap();
    fs::write(&other, text).unwrap();
    let sync = format!(
        "[[ -e {0} ]] && /bin/mv {0} {1} || :",
        other.display(),
        eclass.display()
    );
    trial
        .package("app-a/foo-2", &sync)
        .package("app-a/foo-3", "inherit x")
}

#[test]
fn an_eclass_that_is_replaced_leaves_no_wrong_entry_that_counts_as_right() {
    for arguments in [
        &["--jobs=1", "--unconfined"][..],
        &["--jobs=1", "--unconfined", "--whole-eclasses"],
    ] {
        let trial = Trial::new().eclass("x", "f() { :; }\nIUSE=old\n");
        let trial = changing(trial, "f() { :; }\nIUSE=new\n").package("app-a/foo-1", "inherit x");
        trial
            .regen(arguments)
            .ends(0, &["3 generated", "x.eclass: changed meanwhile"]);
        trial.regen(&["--check"]).ends(
            1,
            &[
                "app-a/foo-1: ",
                "app-a/foo-3: ",
                "2 stale, 0 without an ebuild, 1 valid",
            ],
        );
        let outcome = trial.regen(arguments);
        outcome.ends(0, &["2 generated"]);
        assert!(!outcome.stderr.contains("meanwhile"), "{}", outcome.stderr);
        for cpv in ["app-a/foo-1", "app-a/foo-3"] {
            assert_eq!(trial.value(cpv, "IUSE").unwrap(), "new", "{cpv}");
        }
        trial.regen(&["--check"]).ends(0, &["3 valid"]);
        assert_eq!(trial.texts(CACHE).len(), 3);
    }
}

#[test]
fn an_eclass_that_comes_meanwhile_is_the_one_that_was_sourced() {
    for arguments in [
        &["--jobs=1", "--unconfined"][..],
        &["--jobs=1", "--unconfined", "--whole-eclasses"],
    ] {
        let trial = changing(Trial::new(), "f() { :; }\nIUSE=new\n").package("app-a/foo-1", "");
        trial.regen(arguments).ends(0, &["3 generated"]);
        assert_eq!(trial.value("app-a/foo-3", "IUSE").unwrap(), "new");
        trial.regen(&["--check"]).ends(0, &["3 valid"]);
    }
}

#[test]
fn an_eclass_that_is_another_each_time_is_told() {
    let trial = Trial::new();
    let eclasses = trial.path("repo/eclass");
    fs::create_dir_all(&eclasses).unwrap();
    let body = format!(
        "for n in 1 2 3 4 5 6 7 8 9; do [[ -e {0}/x${{n}}.eclass ]] || break; done\n\
         printf 'IUSE=x\\n' > {0}/x${{n}}.eclass\ninherit x${{n}}",
        eclasses.display()
    );
    let trial = trial
        .package("app-a/foo-1", &body)
        .package("app-a/foo-2", "");
    trial.regen(&["--jobs=1", "--unconfined"]).ends(
        1,
        &[
            "foo-1.ebuild: ",
            "x3.eclass changed while it was sourced",
            "1 generated",
        ],
    );
    assert!(trial.entry("app-a/foo-1").is_none());
}
