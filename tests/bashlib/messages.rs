//! Output, debug and sandbox commands, and what else tells or keeps something.

use crate::stage::{Stage, quote};

#[test]
fn messages_go_to_standard_error_with_stars() {
    for (command, level) in [
        ("einfo", "INFO"),
        ("elog", "LOG"),
        ("ewarn", "WARN"),
        ("eerror", "ERROR"),
        ("eqawarn", "QA"),
    ] {
        let outcome =
            Stage::install("8").run(&format!(r"IFS=:; {command} 'a\tb' '\\c' 'two\nlines'"));
        assert_eq!(outcome.out, "");
        assert_eq!(outcome.err, " * a\tb \\c two\n * lines\n");
        assert_eq!(
            outcome.notices,
            format!("<elog><{level}><install><a\tb \\c two\nlines>\n")
        );
    }
}

#[test]
fn escapes_are_those_of_echo() {
    let stage = Stage::install("8");
    for (text, expected) in [
        (r"\101", r"\101"),
        (r"\0101", "A"),
        (r#"\"q\" \'"#, r#"\"q\" \'"#),
        (r"\x41\e[m", "A\x1b[m"),
        (r"a\1\n", "a\\1\n * "),
        (r"\\101", r"\101"),
        ("-n -e", "-n -e"),
        ("50% & more", "50% & more"),
    ] {
        let outcome = stage.run(&format!("einfo {}", quote(text)));
        assert_eq!(outcome.err, format!(" * {expected}\n"), "{text}");
    }
    let outcome = stage.run("einfo");
    assert_eq!(
        (outcome.err.as_str(), outcome.notices.as_str()),
        (" * \n", "")
    );
    assert_eq!(stage.run("einfon 'a\\tb'").err, " * a\tb");
}

#[test]
fn eend_returns_its_first_argument() {
    let stage = Stage::install("8");
    let outcome = stage.run("ebegin work; eend 3 it broke; echo $?; ebegin on; eend 0 x; echo $?");
    assert_eq!(outcome.out, "3\n0\n");
    assert_eq!(
        outcome.err,
        " * work ...\n * it broke\n [ !! ]\n * on ...\n [ ok ]\n"
    );
    assert!(stage.run("eend 0").err.contains("without preceding ebegin"));
    stage.dies("eend");
    stage.dies("eend x");
}

#[test]
fn colours_only_when_asked_for() {
    let outcome = Stage::install("8")
        .set("__EBD_COLOR=1 __EBD_COLUMNS=100")
        .run("ewarn a; ebegin b; eend 0");
    assert_eq!(
        outcome.err,
        " \x1b[33;01m*\x1b[0m a\n \x1b[32m*\x1b[0m b ...\n\
         \x1b[A\x1b[92C \x1b[34;01m[ \x1b[32;01mok\x1b[34;01m ]\x1b[0m\n"
    );
}

#[test]
fn debug_output() {
    let stage = Stage::install("8");
    let outcome =
        stage.run("debug-print a 'b c'; debug-print-function f x y; debug-print-section s");
    assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("", ""));
    assert_eq!(
        stage.read("temp/eclass-debug.log"),
        "a\nb c\nf: entering function, parameters: x y\nnow in section s\n"
    );
    assert_eq!(
        stage.run("ECLASS_DEBUG_OUTPUT=on; debug-print a").err,
        "debug: a\n"
    );
}

#[test]
fn edo_shows_and_runs() {
    let stage = Stage::install("9");
    let outcome = stage.run("edo printf '%s|' 'a b' c");
    assert_eq!(outcome.out, "a b|c|");
    assert_eq!(outcome.err, " * printf '%s|' 'a b' c\n");
    assert_eq!(stage.dies("edo false x"), "edo: failed to run: false x");
    assert_eq!(stage.prints("nonfatal edo false || echo on"), "on\n");
    stage.dies("edo");
}

#[test]
fn pipe_status() {
    let stage = Stage::install("9");
    assert_eq!(stage.prints("true | true; pipestatus; echo $?"), "0\n");
    assert_eq!(
        stage.prints("false | (exit 3) | true; pipestatus -v; echo $?"),
        "1 3 0\n3\n"
    );
    stage.dies("true; pipestatus x");
    let stage = Stage::install("8");
    assert_eq!(stage.dies("false | true; assert broken"), "broken");
    assert_eq!(
        stage.prints("true | true; assert broken; echo fine"),
        "fine\n"
    );
}

#[test]
fn sandbox_lists_grow() {
    let stage = Stage::install("8").set("SANDBOX_WRITE=/a");
    assert_eq!(
        stage.prints(
            "addwrite '/b c'; addpredict /p; addread /r; adddeny /d; env | grep ^SANDBOX_ | sort"
        ),
        "SANDBOX_DENY=/d\nSANDBOX_PREDICT=/p\nSANDBOX_READ=/r\nSANDBOX_WRITE=/a:/b c\n"
    );
    assert_eq!(
        stage.prints("addwrite '/c:d'; env | grep ^SANDBOX_"),
        "SANDBOX_WRITE=/a:/c\\:d\n"
    );
    stage.dies("addwrite /a /b");
    stage.dies("addwrite");
}

#[test]
fn hooks_are_registered_once() {
    assert_eq!(
        Stage::new("8").prints(
            "register_die_hook a b; register_die_hook b c; register_success_hook s
             echo ${EBUILD_DEATH_HOOKS}; echo ${EBUILD_SUCCESS_HOOKS}"
        ),
        "a b c\ns\n"
    );
}

#[test]
fn qa_findings_are_yaml() {
    let stage = Stage::install("8");
    stage.prints(r#"eqatag one; __eqatag -v two 'k=a "b" \' /x $'l=1\n2'"#);
    assert_eq!(
        stage.read("temp/qa.log"),
        concat!(
            "- tag: one\n",
            "- tag: two\n  data:\n    k: \"a \\\"b\\\" \\\\\"\n    l: \"1\\n2\"\n",
            "  files:\n    - \"/x\"\n"
        )
    );
    stage.dies("eqatag tag neither");
}

#[test]
fn environment_defaults_are_exported() {
    let stage = Stage::install("8");
    let code = "env | grep -E '^(XARGS|USERLAND)=' | sort";
    assert_eq!(
        stage.prints(&format!(
            "unset XARGS USERLAND; __ebd_environment_defaults; {code}"
        )),
        "USERLAND=GNU\nXARGS=xargs -r\n"
    );
    assert_eq!(
        stage.prints(&format!(
            "export XARGS=mine USERLAND=BSD; __ebd_environment_defaults; {code}"
        )),
        "USERLAND=BSD\nXARGS=mine\n"
    );
}
