//! Entries that stay although an eclass changed, and those that do not.

use std::fs;

use super::super::support::Trial;
use super::CACHE;

const TOOLS: &str = r#"# Copyright
# An eclass with everything that can change.

# @FUNCTION: tools_used
# Called in global scope.
tools_used() {
	TOOLS_USED="used"
}

# Called in a subshell.
tools_subshell() { echo "sub"; }

tools_nested() { tools_inner; }
tools_inner() { TOOLS_INNER="inner"; }

# Called by nobody.
tools_unused() { echo "unused"; }

# Called by one ebuild only.
tools_seldom() { TOOLS_SELDOM="seldom"; }

# It has to stay whole.
tools_caller() { TOOLS_CALLER=${FUNCNAME[1]}; }

tools_src_install() { :; }

tools_used
tools_nested
TOOLS_TOP="top $(tools_subshell)"
IUSE="tools"
EXPORT_FUNCTIONS src_install
"#;

const TELL: &str =
    "DESCRIPTION=\"${TOOLS_USED} ${TOOLS_INNER} ${TOOLS_TOP} ${TOOLS_SELDOM} ${TOOLS_CALLER}\"";

/// Five ebuilds, all of which have the eclass in some way; one calls a function more.
fn tools() -> Trial {
    Trial::new()
        .eclass("tools", TOOLS)
        .eclass("over", "inherit tools\nover_none() { :; }\n")
        .package("app-a/one-1", &format!("inherit tools\n{TELL}"))
        .package("app-a/one-2", &format!("inherit over\n{TELL}"))
        .package(
            "app-b/two-1",
            &format!("inherit tools\ntools_seldom\n{TELL}"),
        )
        .package("app-b/two-2", &format!("inherit over tools\n{TELL}"))
        .package("app-c/none-1", "")
}

impl Trial {
    /// Makes the same entries from nothing, without a memory and with whole eclasses, and asserts
    /// that the cache has them.
    #[track_caller]
    fn assert_as_from_nothing(&self, what: &str) {
        let _ = fs::remove_dir_all(self.path("fresh"));
        self.regen(&["--cache", "fresh", "--memory", "none", "--whole-eclasses"])
            .succeeds();
        assert_eq!(self.texts(CACHE), self.texts("fresh/trial"), "{what}");
    }
}

#[test]
fn what_is_not_executed_does_not_count() {
    for (what, from, to, unaffected) in [
        (
            "a comment at the top",
            "# Copyright",
            "# Copyright\n# and left",
            4,
        ),
        (
            "a comment further down",
            "# Called by nobody.",
            "# Called by some.",
            4,
        ),
        ("an unused body", "echo \"unused\"", "echo \"never\"", 4),
        (
            "an exported body",
            "install() { :; }",
            "install() { true; }",
            4,
        ),
        ("a body that is used once", "=\"seldom\"", "=\"often\"", 3),
        ("a used body", "=\"used\"", "=\"changed\"", 0),
        ("a body used by a body", "=\"inner\"", "=\"outer\"", 0),
        (
            "a body used in a subshell",
            "echo \"sub\"",
            "echo \"way\"",
            0,
        ),
        (
            "a body that is part of the top level",
            "[1]}; }",
            "[1]}x; }",
            0,
        ),
        ("the top level", "\"top ", "\"down ", 0),
        ("another name", "tools_unused", "tools_idle", 0),
        (
            "a new function",
            "tools_used\ntools_nested",
            "f() { :; }\ntools_used\ntools_nested",
            0,
        ),
        (
            "a function less",
            "tools_unused() { echo \"unused\"; }",
            "",
            0,
        ),
        (
            "another order",
            "tools_used\ntools_nested",
            "tools_nested\ntools_used",
            0,
        ),
        (
            "two functions for one",
            "tools_unused() {",
            "tools_unused() { :; }; tools_other() {",
            0,
        ),
    ] {
        let trial = tools();
        trial.regen(&["--jobs=2"]).succeeds();
        let changed = TOOLS.replacen(from, to, 1);
        assert_ne!(changed, TOOLS, "{what}");
        let trial = trial.eclass("tools", &changed);
        trial.regen(&["--check"]).fails(&["4 stale"]);
        let expected = match unaffected {
            0 => "4 generated (4 written), 1 still valid".to_owned(),
            _ => format!(
                "{} generated ({} written), {unaffected} unaffected by changed eclasses, 1 still \
                 valid",
                4 - unaffected,
                4 - unaffected
            ),
        };
        trial.regen(&["--jobs=2"]).ends(0, &[&expected]);
        trial.assert_as_from_nothing(what);
        trial.regen(&["--check"]).succeeds();
        // And once more, back to what it was.
        let trial = trial.eclass("tools", TOOLS);
        trial.regen(&["--jobs=1"]).ends(0, &[&expected]);
        trial.assert_as_from_nothing(what);
    }
}

#[test]
fn an_eclass_that_broke_where_nobody_looks_is_an_error_still() {
    for broken in ["echo \"unused\"; }; }", "if; }", "echo \"unused\" }"] {
        let trial = tools();
        trial.regen(&[]).succeeds();
        let trial = trial.eclass("tools", &TOOLS.replace("echo \"unused\"; }", broken));
        trial
            .regen(&[])
            .fails(&["0 generated", "4 failed", "tools.eclass"]);
        trial.assert_entries(&["app-c/none-1"]);
    }
}

#[test]
fn an_eclass_that_begins_to_look_at_itself_is_sourced() {
    let trial = tools();
    trial.regen(&[]).succeeds();
    let text = TOOLS.replace("echo \"unused\"", "declare -f tools_used");
    let trial = trial.eclass("tools", &text);
    trial.regen(&[]).ends(0, &["4 generated"]);
    trial.assert_as_from_nothing("it looks at itself");
}

#[test]
fn two_eclasses_may_change_at_once() {
    let trial = tools();
    trial.regen(&[]).succeeds();
    let trial = trial
        .eclass("tools", &TOOLS.replace("echo \"unused\"", "echo"))
        .eclass("over", "inherit tools\nover_none() { true; }\n");
    trial.regen(&[]).ends(0, &["4 unaffected"]);
    trial.assert_as_from_nothing("both unaffected");
    let trial = trial
        .eclass("tools", &TOOLS.replace("echo \"unused\"", "echo x"))
        .eclass("over", "inherit tools\nover_none() { true; }\nIUSE=over\n");
    trial.regen(&[]).ends(0, &["2 generated", "2 unaffected"]);
    trial.assert_as_from_nothing("one affected");
}

#[test]
fn a_shadowing_eclass_is_compared_too() {
    let trial = tools();
    trial.regen(&[]).succeeds();
    // The same but for an unused body, and then not.
    for (text, counts) in [
        (TOOLS.replace("echo \"unused\"", "echo"), "4 unaffected"),
        (TOOLS.replace("=\"used\"", "=\"over\""), "4 generated"),
    ] {
        trial.put("overlay/profiles/repo_name", "overlay\n");
        trial.put("overlay/eclass/tools.eclass", &text);
        trial.put(
            "conf/etc/portage/repos.conf",
            format!(
                "[trial]\nlocation = {}\neclass-overrides = overlay\n[overlay]\nlocation = {}\n",
                trial.path("repo").display(),
                trial.path("overlay").display()
            ),
        );
        trial.regen(&["trial"]).ends(0, &[counts]);
        let _ = fs::remove_dir_all(trial.path("fresh"));
        trial
            .regen(&["trial", "--cache", "fresh", "--memory", "none"])
            .succeeds();
        assert_eq!(trial.texts(CACHE), trial.texts("fresh/trial"));
    }
}

#[test]
fn without_its_memory_everything_is_sourced() {
    let trial = tools();
    trial.regen(&["--memory", "memory"]).succeeds();
    let changed = trial.eclass("tools", &TOOLS.replace("echo \"unused\"", "echo"));
    let files = changed.files("memory");
    assert_eq!(files.len(), 1);
    for damage in [&b""[..], b"{}", b"\xff\xff", &files[0].4[..100]] {
        fs::write(changed.path("memory").join(&files[0].0), damage).unwrap();
        let _ = fs::remove_dir_all(changed.path("fresh"));
        changed
            .regen(&["--memory", "memory", "--cache", "fresh"])
            .ends(0, &["5 generated"]);
    }
    changed
        .regen(&["--memory", "other"])
        .ends(0, &["4 generated"]);
    changed.assert_as_from_nothing("without memory");
    // An entry that somebody else wrote is not what is remembered.
    let trial = changed;
    let entry = trial.entry("app-a/one-1").unwrap();
    trial.put(&format!("{CACHE}/app-a/one-1"), entry.replace("top", "pot"));
    let trial = trial.eclass("tools", &TOOLS.replace("echo \"unused\"", "echo 2"));
    trial
        .regen(&["--memory", "other"])
        .ends(0, &["1 generated", "3 unaffected"]);
    trial.assert_as_from_nothing("another entry");
}

#[test]
fn a_memory_that_cannot_be_kept_is_said() {
    let trial = tools();
    trial.put("file", "");
    trial
        .regen(&["--memory", "file"])
        .ends(0, &["5 generated", "not remembered", "file"]);
    trial.regen(&["--check"]).succeeds();
}

#[test]
fn verifying_finds_what_is_not_what_sourcing_gives() {
    let trial = tools();
    trial.regen(&[]).succeeds();
    trial
        .regen(&["--verify"])
        .ends(0, &["5 verified, 0 different, 0 stale"]);
    // Its checksums are right, its values are not.
    let entry = trial.entry("app-a/one-1").unwrap();
    let wrong = entry.replace("IUSE=tools", "IUSE=toys");
    trial.put(&format!("{CACHE}/app-a/one-1"), &wrong);
    trial.regen(&["--check"]).succeeds();
    trial.regen(&["--verify"]).fails(&[
        "app-a/one-1: IUSE",
        "in the cache: toys",
        "sourced:      tools",
        "5 verified, 1 different",
    ]);
    let reordered = format!("{}\n", entry.lines().rev().collect::<Vec<_>>().join("\n"));
    trial.put(&format!("{CACHE}/app-a/one-1"), &reordered);
    trial
        .regen(&["--verify"])
        .fails(&["app-a/one-1: the same values, but not the same text"]);
    assert_eq!(trial.entry("app-a/one-1").unwrap(), reordered);
    trial.regen(&["--all"]).succeeds();
    assert_eq!(trial.entry("app-a/one-1").unwrap(), entry);

    // What would be kept is verified as what it would become.
    let trial = trial.eclass("tools", &TOOLS.replace("echo \"unused\"", "echo"));
    trial
        .regen(&["--verify"])
        .ends(0, &["5 verified, 0 different, 0 stale"]);
    assert_eq!(trial.entry("app-a/one-1").unwrap(), entry);
    let trial = trial.eclass("tools", &TOOLS.replace("=\"used\"", "=\"x\""));
    trial.regen(&["--verify"]).fails(&[
        "1 verified, 0 different, 4 stale",
        "app-b/two-2: eclass tools has changed",
    ]);
}
