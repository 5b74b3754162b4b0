//! What cannot be: escapes from the shell, and bad input.

use std::fs;

use super::{commands, person, trial};
use crate::support::terminal::Person;
use crate::support::{Trial, text};

/// Gentoo's own defaults for builds, but for `/tmp`, which trials are in.
const SANDBOX_CONF: &str =
    "SANDBOX_WRITE=\"/dev/null:/dev/zero:/dev/full:/dev/tty:/dev/pts:/dev/shm\"\n";

fn confined() -> Trial {
    // With --output-sync, which is in GNUMAKEFLAGS where nobody says how to make, make has files in /tmp.
    let trial = trial().file("conf/etc/sandbox.conf", SANDBOX_CONF).make_conf(
        "FEATURES=\"sandbox usersandbox network-sandbox ipc-sandbox pid-sandbox mount-sandbox\"\n\
         MAKEOPTS=\"-j1\"\n",
    );
    fs::create_dir(trial.path("outside")).unwrap();
    let outside = text(&trial.path("outside"));
    trial.variable("OUTSIDE", &outside)
}

#[test]
fn nothing_outside_is_changed_from_inside() {
    let trial = confined();
    let outside = trial.path("outside");
    for phase in ["unpack", "compile", "install"] {
        let arguments = ["--fresh", "--phase", phase];
        for command in [
            "touch \"${OUTSIDE}\"/new",
            ": >\"${OUTSIDE}\"/new",
            "ln \"${WORKDIR}\"/x \"${OUTSIDE}\"/new",
            "mkdir \"${OUTSIDE}\"/new",
        ] {
            let outcome = commands(
                &trial,
                &arguments,
                &format!(": >\"${{WORKDIR}}\"/x; {command}; true"),
            );
            assert_eq!(outcome.code(), 1, "{phase}: {command}: {outcome}");
            assert!(outcome.stderr.contains("* sandbox: "), "{outcome}");
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{command}");
        }
        // What is added may be changed, in the same command.
        let outcome = commands(
            &trial,
            &arguments,
            "addwrite \"${OUTSIDE}\"; touch \"${OUTSIDE}\"/added",
        );
        outcome.succeeds();
        fs::remove_file(outside.join("added")).unwrap();
    }
    // At a prompt it is told before the next one.
    let mut person = person(&trial, &["--fresh"]);
    let told = person.does("touch \"${OUTSIDE}\"/new");
    assert!(
        told.contains("* sandbox: openat (write) of") && told.contains("by "),
        "{told}"
    );
    assert_eq!(person.does("echo again"), "again\n");
    person.types("exit 0");
    assert_eq!(person.leaves(), 0);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn the_host_is_not_reached_from_inside() {
    let trial = confined();
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let connect = format!("exec 9<>/dev/tcp/127.0.0.1/{port} && echo connected");
    let outcome = commands(&trial, &["--phase", "compile"], &connect);
    assert_ne!(outcome.code(), 0, "{outcome}");
    assert!(!outcome.stdout.contains("connected"));
    // It can fail: a phase that is free reaches it.
    let outcome = commands(&trial, &["--fresh", "--phase", "setup"], &connect);
    outcome.succeeds();
    // Nor are its processes.
    let kill = format!("kill -0 {}; echo $?", std::process::id());
    let outcome = commands(&trial, &["--fresh", "--phase", "compile"], &kill);
    assert!(outcome.stdout.ends_with("1\n"), "{outcome}");
}

#[test]
fn descriptors_of_the_protocol_are_not_there() {
    let trial = confined();
    let list = "for fd in /proc/self/fd/*; do fd=${fd##*/}; [[ ${fd} -le 2 || ${fd} == 255 ]] || [[ ! -e /proc/self/fd/${fd} ]] || echo \"open ${fd} $(readlink /proc/self/fd/${fd})\"; done";
    let outcome = commands(&trial, &["--phase", "compile"], list);
    outcome.succeeds();
    assert!(!outcome.stdout.contains("open "), "{outcome}");
    // A question under a name that would lead elsewhere is none.
    let forged = "__ebd_notify ask ../../outside phases ''; sleep 5; echo NEXT";
    let outcome = commands(&trial, &["--phase", "compile"], forged);
    outcome.fails(&["message ask has a field that does not fit"]);
    // Writing nonsense where messages go ends the shell, and nothing else.
    let outcome = commands(
        &trial,
        &["--phase", "compile"],
        "printf 'nonsense\\0resume\\0' >\"${PORTAGE_BUILDDIR}\"/.ebd/up; sleep 5; echo NEXT",
    );
    outcome.fails(&["a message does not come from this build's library"]);
    assert!(!outcome.stdout.contains("NEXT"));
    trial.assert_no_processes("after nonsense");
    trial.assert_nothing_written();
}

#[test]
fn an_answer_that_was_not_waited_for_harms_nobody() {
    let trial = trial();
    let mut person = person(&trial, &["--phase", "compile"]);
    // Who asked is gone before the answer comes.
    person.does("( __ebd_notify ask 1-1 phases '' ); ( __ebd_notify ask 1-2 nosuch '' )");
    assert!(person.does("phases").contains("> compile    next\n"));
    // Nor do two who ask at once get each other's.
    let text = person.does("for i in {1..20}; do image & phases & done | sort | uniq -c; wait");
    let count = |line: &str| text.lines().any(|found| found.trim_start() == line);
    assert!(count("20 image: nothing is installed yet"), "{text}");
    assert!(count("20 > compile    next"), "{text}");
    assert!(
        person
            .does("phase nosuch")
            .contains("there is no such phase")
    );
    person.types("exit");
    person.leaves();
}

#[test]
fn a_build_in_progress_is_nobodys_to_come_into() {
    let trial = trial();
    let mut first = person(&trial, &["--phase", "compile"]);
    let outcome = commands(&trial, &[], "pwd");
    outcome.fails(&[
        "foo-1: is being built by process",
        "shell app-misc/foo",
        "wait for its end",
    ]);
    first.types("exit");
    first.leaves();
    commands(&trial, &[], "pwd").succeeds();
}

#[test]
fn phases_that_there_are_not_are_named() {
    let trial = trial().ebuild(
        "app-misc/old-1",
        "EAPI=1\nDESCRIPTION=\"old\"\nSLOT=0\nKEYWORDS=amd64\nLICENSE=MIT\nHOMEPAGE=\"https://example.org/\"\n",
    );
    let outcome = trial.run(&["shell", "app-misc/foo", "--phase", "nosuch", "-c", "pwd"]);
    outcome.ends(2, &["nosuch", "possible values", "src_compile"]);
    trial
        .run(&[
            "shell",
            "app-misc/foo",
            "--phase",
            "pkg_postinst",
            "-c",
            "pwd",
        ])
        .fails(&["pkg_postinst: is no phase of a build, which has setup, unpack"]);
    let outcome = trial.run(&["shell", "app-misc/nosuch", "-c", "pwd"]);
    outcome.fails(&["app-misc/nosuch: no such package"]);
    let outcome = trial.run(&["shell", "-c", "pwd"]);
    outcome.ends(2, &["ATOM"]);
}

#[test]
fn a_build_that_is_past_the_place_is_not_thrown_away() {
    let trial = trial();
    commands(&trial, &["--phase", "install"], "echo precious >precious").succeeds();
    let outcome = commands(&trial, &["--phase", "configure"], "pwd");
    outcome.fails(&["has finished src_compile already", "--fresh"]);
    commands(&trial, &[], "cat precious").succeeds();
    // Nor is one of another ebuild.
    let path = trial.ebuild_path("app-misc/foo-1");
    let old = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{old}\nMORE=1\n")).unwrap();
    commands(&trial, &["--phase", "install"], "pwd")
        .fails(&["was started with another ebuild", "--fresh"]);
    let outcome = commands(
        &trial,
        &[],
        "cat precious; echo =$MORE=; reload; echo =$MORE=",
    );
    outcome.succeeds();
    assert!(
        outcome
            .stdout
            .ends_with("precious\n==\n+ MORE=\"1\"\n=1=\n"),
        "{outcome}"
    );
    assert!(
        outcome
            .stderr
            .contains("were changed since the build began"),
        "{outcome}"
    );
    commands(
        &trial,
        &["--fresh", "--phase", "configure"],
        "[[ ! -e precious ]]",
    )
    .succeeds();
}

#[test]
fn an_ebuild_that_cannot_be_loaded_is_entered_as_far_as_it_can() {
    let body = "inherit helper\nBEFORE=1\ninherit nosuch\nAFTER=1\nsrc_install() { dodoc \"${FILESDIR}\"/x; }";
    let trial = Trial::new()
        .package("app-misc/foo-1", body)
        .file("repo/app-misc/foo/files/x", "x")
        .eclass("helper", "helper_says() { einfo \"helped\"; }\n");
    let mut person = Person::start(&trial.command(&["shell", "app-misc/foo"]));
    person.sees("the ebuild could not be sourced");
    person.sees("nosuch.eclass was not found");
    person.sees("what comes behind that place is missing here");
    person.prompt();
    assert_eq!(
        person.does("echo $BEFORE =$AFTER=; helper_says"),
        "1 ==\n * helped\n"
    );
    let path = trial.ebuild_path("app-misc/foo-1");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("inherit nosuch\n", "")).unwrap();
    assert!(person.does("reload").contains("the ebuild could be loaded"));
    assert_eq!(person.does("echo $AFTER"), "1\n");
    person.types("resume");
    assert_eq!(person.leaves(), 0, "{}", person.seen());
    assert_eq!(trial.assert_pkgdir_valid(), [1]);
    // A script must not go on with half of it.
    fs::write(&path, &text).unwrap();
    let outcome = commands(&trial, &[], "echo NEXT");
    outcome.fails(&["nosuch.eclass was not found"]);
    assert!(!outcome.stdout.contains("NEXT"));
}

#[test]
fn a_phase_that_fails_on_the_way_is_entered_there() {
    let trial = Trial::new().package("app-misc/foo-1", "src_configure() { MINE=1; die early; }");
    let mut person =
        Person::start(&trial.command(&["shell", "app-misc/foo", "--phase", "install"]));
    person.sees("could not be built in the configure phase");
    person.sees("app-misc/foo-1 in src_configure");
    person.prompt();
    assert_eq!(person.does("echo $MINE"), "1\n");
    person.types("exit");
    person.leaves();
    // Commands that were meant for another place are not run.
    let outcome = commands(&trial, &["--fresh", "--phase", "install"], "echo NEXT");
    outcome.fails(&["early", "configure phase"]);
    assert!(!outcome.stdout.contains("NEXT"));
}

#[test]
fn sources_that_cannot_be_had_are_told() {
    let trial = Trial::new()
        .package("app-misc/foo-1", "SRC_URI=\"http://127.0.0.1:1/foo.tar\"")
        .manifest("app-misc/foo", &crate::support::dist("foo.tar", b"x"));
    let outcome = commands(&trial, &[], "echo here");
    outcome.succeeds();
    assert!(
        outcome
            .stderr
            .contains("not all distfiles are there, so src_unpack will fail"),
        "{outcome}"
    );
    commands(&trial, &["--fresh", "--phase", "prepare"], "echo here").fails(&["foo.tar"]);
}

#[test]
fn the_rc_file_must_be_there() {
    let trial = trial();
    let outcome = commands(&trial, &["--rcfile", "nosuch.rc"], "pwd");
    outcome.fails(&["nosuch.rc: cannot be read"]);
}
