//! Eclasses and ebuilds that could tell whether eclasses are kept, or that disturb what comes after
//! them.

use std::fs;
use std::os::unix::fs::symlink;

use super::super::support::Trial;
use super::{CACHE, ebuild};

/// Seven ebuilds with this body, so that functions are stubs for some and whole for others.
fn seven(mut trial: Trial, body: &str) -> Trial {
    for number in 1..=7 {
        trial = trial.package(&format!("app-a/foo-{number}"), body);
    }
    trial
}

/// Asserts that kept eclasses give what whole ones do, with this IUSE.
#[track_caller]
fn assert_same(what: &str, eclasses: &[(&str, &str)], body: &str, iuse: &str) {
    let mut trial = Trial::new();
    for (name, text) in eclasses {
        trial = trial.eclass(name, text);
    }
    let trial = seven(trial, body);
    trial.regen(&["--jobs=1", "--timeout=5"]).succeeds();
    for number in 1..=7 {
        let found = trial.value(&format!("app-a/foo-{number}"), "IUSE");
        assert_eq!(found.unwrap_or_default(), iuse, "{what}, foo-{number}");
    }
    trial
        .regen(&[
            "--jobs=1",
            "--verify",
            "--whole-eclasses",
            "--memory",
            "none",
        ])
        .ends(0, &["7 verified, 0 different"]);
}

#[test]
fn what_could_tell_the_difference_does_not() {
    for (what, eclasses, body, iuse) in [
        (
            "a copy",
            &[("x", "f() { echo val; }\n")][..],
            "inherit x\neval \"orig_$(declare -f f 2>/dev/null)\"\nIUSE=$(orig_f)",
            "val",
        ),
        (
            "a copy by another eclass",
            &[
                (
                    "a",
                    "a_copy() { local t=$(declare -f \"$1\"); eval \"$2${t#$1}\"; }\n",
                ),
                ("b", "b_f() { echo val; }\n"),
            ],
            "inherit a b\na_copy b_f old_f\nb_f() { echo new; }\nIUSE=$(old_f)",
            "val",
        ),
        (
            "a text that another eclass looks at",
            &[
                (
                    "a",
                    "a_has() { local t=$(declare -f \"$1\"); [[ ${t} == *\"$2\"* ]]; }\n",
                ),
                ("b", "b_f() { echo val; }\n"),
            ],
            "X=a\ninherit b\ninherit ${X}\na_has b_f val && IUSE=yes",
            "yes",
        ),
        (
            "a depth that another eclass measures",
            &[
                ("a", "a_depth() { IUSE+=\" d${#FUNCNAME[@]}\"; }\n"),
                ("b", "b_f() { a_depth; }\n"),
            ],
            "inherit a b\nb_f",
            "d3",
        ),
        (
            "errexit in another spelling",
            &[
                ("x", "f() { echo val; }\n"),
                ("y", "y_run() { set -ue; false || \"$@\"; }\n"),
            ],
            "inherit x y\nIUSE=$(y_run f)\n:",
            "val",
        ),
        (
            "who called",
            &[
                (
                    "u",
                    "u_only() { [[ ${FUNCNAME[1]} == source ]] && IUSE+=\" global\"; :; }\n",
                ),
                ("x", "inherit u\nu_only\n"),
            ],
            "inherit x",
            "global",
        ),
        (
            "the status before",
            &[(
                "x",
                "f() { local r=${?}; IUSE+=\" a${r}\"; }\ng() { return; }\nh() { f; }\n",
            )],
            "inherit x\nfalse; f\nfalse; g && IUSE+=\" no\"\nfalse; h\n:",
            "a1 a1",
        ),
        (
            "the last word before",
            &[("x", "f() { IUSE+=\" ${_}\"; }\n")],
            "inherit x\n: hello; f arg",
            "hello",
        ),
        (
            "an alias",
            &[(
                "x",
                "shopt -s expand_aliases\nalias has='! has'\nhas a b && IUSE=yes || IUSE=no\n",
            )],
            "inherit x",
            "yes",
        ),
        (
            "a version under set -u",
            &[("x", "f() { :; }\n")],
            "inherit x\nset -u\nver_test 1.2 -ge 1.0 && IUSE=new\nset +u",
            "new",
        ),
    ] {
        assert_same(what, eclasses, body, iuse);
    }
}

/// Asserts that a change of `x.eclass` gives what a run from nothing gives.
#[track_caller]
fn assert_noticed(what: &str, from: &str, to: &str, body: &str) {
    let trial = seven(Trial::new().eclass("x", from), body);
    trial.regen(&["--jobs=1"]).succeeds();
    let trial = trial.eclass("x", to);
    trial.regen(&["--jobs=1"]);
    trial.regen(&[
        "--jobs=1",
        "--cache",
        "fresh",
        "--whole-eclasses",
        "--memory",
        "none",
    ]);
    assert_eq!(trial.texts(CACHE), trial.texts("fresh/trial"), "{what}");
    assert_ne!(trial.texts(CACHE).len(), 0, "{what}");
}

#[test]
fn what_was_entered_unseen_is_no_reason_to_keep_an_entry() {
    let (one, two) = ("f() { echo one; }\n", "f() { echo two; }\n");
    for (what, body) in [
        (
            "no descriptor left",
            "inherit x\nIUSE=\"$(ulimit -n 3; f)\"",
        ),
        ("a restricted shell", "inherit x\nIUSE=\"$(set -r; f)\""),
        ("no printf", "inherit x\nIUSE=\"$(enable -n printf; f)\""),
        ("a umask", "inherit x\nIUSE=\"$(umask 777; f)\""),
        (
            "a lost note",
            "inherit x\nIUSE=\"$(f)\"\nunset __EBD_ENTERED",
        ),
        ("noclobber", "inherit x\nset -o noclobber\nIUSE=\"$(f)\""),
    ] {
        assert_noticed(what, one, two, body);
    }
    let reader = |version: &str| {
        format!(
            "# {version}\nx_read() {{ read -r l < \"${{EBUILD%/*/*/*}}/eclass/x.eclass\"; IUSE=${{l#* }}; }}\nx_read\n"
        )
    };
    assert_noticed(
        "an eclass that reads itself",
        &reader("v1"),
        &reader("v2"),
        "inherit x",
    );
}

#[test]
fn eclasses_of_the_same_text_are_not_the_same() {
    let text = "f() { IUSE+=\" one\"; }\n[[ ${ECLASS} == b ]] && f\n:\n";
    let trial = seven(
        Trial::new().eclass("a", text).eclass("b", text),
        "inherit a\nX=b\ninherit ${X}\nPROPERTIES=${RANDOM}",
    );
    trial.regen(&["--jobs=1"]).succeeds();
    let trial = trial.eclass("b", &text.replace("one", "two"));
    trial.regen(&["--jobs=1"]).succeeds();
    for number in 1..=7 {
        let found = trial.value(&format!("app-a/foo-{number}"), "IUSE");
        assert_eq!(found.unwrap(), "two");
    }
}

#[test]
fn nothing_of_an_ebuild_reaches_the_next() {
    let trial = Trial::new()
        .eclass("x", "f() { :; }\n")
        .package(
            "app-a/foo-1",
            "inherit x\nset -o noclobber\nsrc_compile() { :; }",
        )
        .package("app-a/foo-2", "inherit x\nset -o noclobber\numask 777")
        .package("app-a/foo-3", "inherit x\ntrap 'exit 3' EXIT\nf")
        .package(
            "app-a/foo-4",
            "printf -v z %01000000d 1\n__EBD_NEW_VERSIONS=\" v1.0${z}\"\nunset z",
        )
        .package("app-a/foo-5", "inherit x");
    trial.regen(&["--jobs=1", "--timeout=5"]).succeeds();
    for (pf, phases) in [("foo-1", "compile"), ("foo-2", "-"), ("foo-5", "-")] {
        let found = trial.value(&format!("app-a/{pf}"), "DEFINED_PHASES");
        assert_eq!(found.unwrap(), phases, "{pf}");
    }
}

#[test]
fn a_processor_that_is_lost_between_ebuilds_costs_nobody_an_entry() {
    for text in [
        "printf() { while :; do :; done; }\nf() { :; }\n",
        "unset() { kill -9 $$; }\nf() { :; }\n",
        "eval() { kill -9 $$; }\ndeclare() { exit 1; }\nf() { :; }\n",
    ] {
        let trial = seven(Trial::new().eclass("x", text), "inherit x");
        trial.regen(&["--jobs=1"]).ends(0, &["7 generated"]);
    }
    let killer = "inherit x\nB=${BASHPID}\n( while kill -0 ${B}; do :; done; kill -9 $$ ) &";
    let trial = Trial::new()
        .eclass("x", "x() { :; }\n")
        .eclass("y", "y() { :; }\n")
        .package("app-a/foo-1", killer)
        .package("app-a/foo-2", "inherit y")
        .package("app-a/foo-3", "inherit x y");
    trial.regen(&["--jobs=1"]);
    // The killer itself may be quick enough to lose its own.
    for cpv in ["app-a/foo-2", "app-a/foo-3"] {
        assert!(trial.entry(cpv).is_some(), "{cpv}");
    }
}

#[test]
fn links_out_of_a_repository_are_followed() {
    let trial = Trial::new().package("app-a/foo-1", "inherit x");
    trial.put("elsewhere/x.eclass", "f() { IUSE=x; }\nf\n");
    trial.put("elsewhere/bar/bar-1.ebuild", ebuild("inherit x"));
    fs::create_dir_all(trial.path("repo/eclass")).unwrap();
    symlink(
        trial.path("elsewhere/x.eclass"),
        trial.path("repo/eclass/x.eclass"),
    )
    .unwrap();
    symlink(trial.path("elsewhere/bar"), trial.path("repo/app-a/bar")).unwrap();
    for arguments in [&["--all"][..], &["--all", "--whole-eclasses"]] {
        trial.regen(arguments).succeeds();
        for cpv in ["app-a/foo-1", "app-a/bar-1"] {
            assert_eq!(trial.value(cpv, "IUSE").unwrap(), "x", "{cpv}");
        }
    }
}

/// As in any other shell.
#[test]
fn pipes_that_nobody_reads_end_who_writes_to_them() {
    let text = ebuild("").replace(
        "DESCRIPTION=",
        "DESCRIPTION=$(kill -PIPE ${BASHPID}; echo survived)",
    );
    assert!(text.contains("BASHPID"), "{text}");
    let trial = Trial::new().ebuild("app-misc/foo-1", text);
    trial.regen(&[]).succeeds();
    let told = trial.value("app-misc/foo-1", "DESCRIPTION").unwrap();
    assert!(!told.contains("survived"), "{told}");
}
