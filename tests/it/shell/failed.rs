//! Coming into a build where it failed.

use std::fs;

use super::{person, trial};
use crate::support::terminal::Person;
use crate::support::{Outcome, Trial};

/// A package whose src_compile fails below its folder, in a function, until `ok` is there.
const FAILING: &str = "S=${WORKDIR}/src
src_unpack() { mkdir -p \"${S}\"/sub || die; printf 'all:\\n\\t@test -e ok || { echo not ok; exit 3; }\\n\\ttouch done\\n' >\"${S}\"/sub/Makefile || die; }
src_configure() { WHERE=configured; }
deep() { local inside=yes list=( a 'b c' ); umask 077; ulimit -n 512; emake; }
src_compile() { WHERE=compiling; cd sub || die; deep; }
src_install() { insinto /usr/share; doins sub/done; }";

fn failing() -> Trial {
    let trial = Trial::new().package("app-misc/foo-1", FAILING);
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["emake: make failed"]);
    trial
}

#[test]
fn the_state_of_the_last_line_is_there() {
    let trial = failing();
    let text =
        "pwd; umask; ulimit -S -n; echo $inside $WHERE ${list[1]} $EBUILD_PHASE; phases; diff-env";
    let outcome = trial.run(&["shell", "--failed", "-c", text]);
    outcome.succeeds();
    let folder = trial.builddir("app-misc/foo-1").join("work/src/sub");
    let expected = format!(
        "{}\n0077\n512\nyes compiling b c compile\n",
        folder.display()
    );
    assert!(outcome.stdout.starts_with(&expected), "{outcome}");
    for line in [
        "> compile    failed\n",
        "  configure  finished\n",
        "- WHERE=\"configured\"\n+ WHERE=\"compiling\"\n+ inside=\"yes\"\n",
    ] {
        assert!(outcome.stdout.contains(line), "{line}: {outcome}");
    }
    // It says why it failed, and where.
    let line = crate::support::line_of(
        &fs::read_to_string(trial.ebuild_path("app-misc/foo-1")).unwrap(),
        "deep()",
    );
    let place = format!(
        "{}:{line} (deep)",
        trial.ebuild_path("app-misc/foo-1").display()
    );
    for part in [
        "src_compile failed: emake: make failed with exit status 2",
        &place,
    ] {
        assert!(outcome.stderr.contains(part), "{part}: {outcome}");
    }
    // What fails fails again.
    let outcome = trial.run(&["shell", "--failed", "foo", "-c", "emake; echo NEXT"]);
    outcome.fails(&["emake: make failed"]);
    assert!(outcome.stdout.contains("not ok"), "{outcome}");
    assert!(!outcome.stdout.contains("NEXT"));
}

#[test]
fn it_is_found_again_as_it_was_called() {
    let trial = failing();
    let tmpdir = trial.path("tmp");
    // With nothing said of repository and configuration.
    let shell = |arguments: &[&str]| {
        let mut command = trial.command(&["help"]);
        let mut own = std::process::Command::new(command.get_program());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => own.env(name, value),
                None => own.env_remove(name),
            };
        }
        command.env_clear();
        own.args(["shell", "--failed", "--tmpdir"]).arg(&tmpdir);
        Outcome::of(own.args(arguments))
    };
    for arguments in [
        &["-c", "pwd"][..],
        &["app-misc/foo", "-c", "pwd"],
        &["foo", "-c", "pwd"],
    ] {
        let outcome = shell(arguments);
        outcome.succeeds();
        assert!(outcome.stdout.ends_with("work/src/sub\n"), "{outcome}");
    }
    assert!(!shell(&["bar", "-c", "pwd"]).status.success());
}

#[test]
fn what_is_mended_there_is_gone_on_with() {
    let trial = failing();
    let mut person = Person::start(&trial.command(&["shell", "--failed"]));
    person.sees("app-misc/foo-1 in src_compile");
    person.prompt();
    assert!(
        person
            .does("emake")
            .contains("make failed with exit status 2")
    );
    // Not yet: back at the prompt, at the same place.
    person.types("resume");
    person.sees("could not be built in the compile phase");
    person.prompt();
    assert!(person.does("pwd").ends_with("work/src/sub\n"));
    person.does("touch ok");
    person.types("resume");
    assert_eq!(person.leaves(), 0);
    assert!(
        person.seen().contains("foo-1-1.gpkg.tar"),
        "{}",
        person.seen()
    );
    assert_eq!(trial.assert_pkgdir_valid(), [1]);
    assert!(!trial.builddir("app-misc/foo-1").exists());
}

#[test]
fn a_build_opens_a_shell_where_it_fails() {
    let trial = Trial::new().package("app-misc/foo-1", FAILING);
    let mut person =
        Person::start(&trial.command(&["build", "--shell-on-failure", "app-misc/foo"]));
    person.sees("could not be built in the compile phase");
    person.sees("app-misc/foo-1 in src_compile");
    person.prompt();
    person.does("touch ok");
    person.types("resume");
    assert_eq!(person.leaves(), 0);
    assert_eq!(trial.assert_pkgdir_valid(), [1]);
    // Left without that, the build has failed.
    let trial = Trial::new().package("app-misc/foo-1", FAILING);
    let mut person =
        Person::start(&trial.command(&["build", "--shell-on-failure", "app-misc/foo"]));
    person.prompt();
    person.types("exit 0");
    assert_eq!(person.leaves(), 1);
    // Without a terminal it says so before it builds anything.
    trial
        .run(&["build", "--shell-on-failure", "app-misc/foo"])
        .fails(&["--shell-on-failure: there is no terminal"]);
}

#[test]
fn a_script_can_mend_and_resume() {
    let trial = failing();
    let outcome = trial.run(&["shell", "--failed", "-c", "touch ok && resume; echo NEXT"]);
    outcome.succeeds();
    assert!(
        outcome.stdout.ends_with("app-misc/foo/foo-1-1.gpkg.tar\n"),
        "{outcome}"
    );
    assert!(!outcome.stdout.contains("NEXT"), "{outcome}");
    let trial = failing();
    trial
        .run(&["shell", "--failed", "-c", "resume"])
        .fails(&["could not be built in the compile phase"]);
}

#[test]
fn a_mended_ebuild_is_reloaded_and_kept() {
    let trial = failing();
    let path = trial.ebuild_path("app-misc/foo-1");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("emake; }", "touch ok; emake; }")).unwrap();
    let outcome = trial.run(&["shell", "--failed", "-c", "resume; echo $?"]);
    outcome.succeeds();
    assert!(outcome.stdout.ends_with("1\n"), "{outcome}");
    assert!(
        outcome
            .stderr
            .contains("was edited since the build began: `reload` reads it"),
        "{outcome}"
    );
    let outcome = trial.run(&["shell", "--failed", "-c", "reload; resume"]);
    assert!(
        outcome.stderr.contains("which resume --keep goes on with"),
        "{outcome}"
    );
    let outcome = trial.run(&["shell", "--failed", "-c", "reload && resume --keep"]);
    outcome.succeeds();
    assert!(outcome.stdout.contains("~ deep()\n"), "{outcome}");
    assert_eq!(trial.assert_pkgdir_valid(), [1]);
}

#[test]
fn a_phase_that_ends_otherwise_is_entered_at_its_begin() {
    for body in [
        "src_compile() { exit 3; }",
        "src_compile() { kill -9 ${BASHPID}; }",
    ] {
        let trial = Trial::new().package(
            "app-misc/foo-1",
            &format!("src_configure() {{ C=1; }}\n{body}"),
        );
        assert_eq!(trial.run(&["build", "app-misc/foo"]).code(), 1);
        let outcome = trial.run(&["shell", "--failed", "-c", "pwd; echo $C $EBUILD_PHASE"]);
        outcome.succeeds();
        assert!(outcome.stdout.ends_with("/work\n1 compile\n"), "{outcome}");
        assert!(
            outcome.stderr.contains("left no trace of its last line"),
            "{outcome}"
        );
    }
}

#[test]
fn sources_that_were_patched_halfway_are_not_patched_twice() {
    let body = "src_unpack() { echo one >file; }\nsrc_prepare() { echo two >>file; die halfway; }\nsrc_install() { dodoc file; }";
    let trial = Trial::new().package("app-misc/foo-1", body);
    trial.run(&["build", "app-misc/foo"]).fails(&["halfway"]);
    let mut person = Person::start(&trial.command(&["shell", "--failed", "--keep"]));
    person.prompt();
    let text = person.does("resume");
    assert!(
        text.contains("resume --done goes on behind it, resume --anew unpacks them anew"),
        "{text}"
    );
    person.does("eapply_user; echo three >>file");
    person.types("resume --done");
    assert_eq!(person.leaves(), 0, "{}", person.seen());
    let doc = trial
        .builddir("app-misc/foo-1")
        .join("image/usr/share/doc/foo-1/file");
    assert_eq!(fs::read_to_string(doc).unwrap(), "one\ntwo\nthree\n");
}

#[test]
fn the_place_of_a_failure_is_taken_from_nobody_who_lies() {
    let trial = failing();
    let private = trial.builddir("app-misc/foo-1").join(".ebd");
    let outside = trial.path("outside");
    fs::write(
        private.join("failure"),
        format!(
            "src_compile\0{}\x000022\0n=$(touch {0})\0v=1;touch {0}\0",
            outside.display()
        ),
    )
    .unwrap();
    let lie = format!("declare -- A=\"$(touch {})\"\n", outside.display());
    fs::write(private.join("failure.environment"), lie).unwrap();
    let outcome = trial.run(&["shell", "--failed", "-c", "echo $WHERE"]);
    outcome.succeeds();
    assert_eq!(outcome.stdout, "configured\n");
    assert!(
        outcome
            .stderr
            .contains("the environment of the line that failed cannot be had"),
        "{outcome}"
    );
    assert!(
        outcome.stderr.contains("The folder of the failure is gone"),
        "{outcome}"
    );
    assert!(!outside.exists());
}

#[test]
fn without_a_failure_there_is_none_to_come_into() {
    let trial = trial();
    trial
        .run(&["shell", "--failed", "-c", "pwd"])
        .fails(&["no build failed there in a phase"]);
    trial
        .run(&["shell", "--failed", "app-misc/foo", "-c", "pwd"])
        .fails(&["foo-1: no build failed there in a phase"]);
    let mut person = person(&trial, &["--phase", "compile"]);
    person.types("exit");
    person.leaves();
    trial
        .run(&["shell", "--failed", "app-misc/foo", "-c", "pwd"])
        .fails(&["foo-1: no build failed there in a phase"]);
}
