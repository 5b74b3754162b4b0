//! What a shell makes of the state of its build.

use std::fs;

use super::{commands, person, script, trial};
use crate::support::terminal::Person;
use crate::support::{Outcome, Trial, is_root};

/// Whether a file is in the image of `app-misc/foo-1`, and what it says.
fn image(trial: &Trial, file: &str) -> Option<String> {
    let path = trial.builddir("app-misc/foo-1").join("image").join(file);
    fs::read_to_string(path).ok()
}

#[test]
fn what_changes_the_shell_is_done_in_the_shell_itself() {
    let trial = trial();
    let mut person = person(&trial, &["--phase", "configure"]);
    for command in ["phase configure", "reload", "resume"] {
        let text = person.does(&format!("{command} | cat"));
        assert!(
            text.contains("cannot be part of a pipe or a subshell"),
            "{command}: {text}"
        );
    }
    assert!(person.does("phases | cat").contains("> configure  next\n"));
    // A resume that was refused is none when one leaves.
    person.types("exit 3");
    assert_eq!(person.leaves(), 3);
}

#[test]
fn a_phase_that_is_run_anew_takes_back_what_came_behind_it() {
    let trial = trial();
    trial
        .run(&["build", "--stop-after", "compile", "app-misc/foo"])
        .succeeds();
    let outcome = commands(&trial, &[], "phase unpack; phases");
    outcome.succeeds();
    for line in [
        "  setup      finished\n",
        "> unpack     finished here\n",
        "  prepare    next\n",
        "  compile    to come\n",
    ] {
        assert!(outcome.stdout.contains(line), "{line}: {outcome}");
    }
    // Nothing was built of the sources that are there now, so that is done again.
    trial
        .run(&["build", "--resume", "--keep", "app-misc/foo"])
        .succeeds();
    assert!(image(&trial, "usr/share/done").is_some());
    // One that fails the second time has failed.
    let outcome = commands(
        &trial,
        &["--fresh", "--phase", "install"],
        "( src_compile() { die no; }; true ); src_compile() { return 1; }; phase compile; src_compile() { die no; }; phase compile",
    );
    assert_eq!(outcome.code(), 1);
    let outcome = commands(&trial, &[], "phases");
    assert!(outcome.stdout.contains("compile    next\n"), "{outcome}");
}

#[test]
fn an_image_that_was_made_anew_is_finished_anew() {
    let trial = trial();
    trial.run(&["build", "--keep", "app-misc/foo"]).succeeds();
    for resume in ["resume", "resume --keep"] {
        let text = format!("phase install && {resume}");
        trial
            .run(&["shell", "app-misc/foo", "--keep", "-c", &text])
            .succeeds();
    }
    assert_eq!(trial.assert_pkgdir_valid(), [1, 2, 3]);
}

#[test]
fn a_phase_can_be_finished_by_hand() {
    let body = "QA_FLAGS_IGNORED=\"usr/x\"\nsrc_install() { dodir /usr; echo begun >\"${ED}\"/usr/begun; die \"no more\"; }";
    let trial = Trial::new().package("app-misc/foo-1", body);
    trial.run(&["build", "app-misc/foo"]).fails(&["no more"]);
    let text = "[[ -e ${ED}/usr/begun ]] && echo done >\"${ED}\"/usr/done && resume --done";
    trial
        .run(&["shell", "--failed", "--keep", "-c", text])
        .succeeds();
    assert_eq!(image(&trial, "usr/begun").unwrap(), "begun\n");
    assert_eq!(image(&trial, "usr/done").unwrap(), "done\n");
}

#[test]
fn phases_that_do_nothing_take_nothing_away() {
    let body = "src_compile() { [[ -e ok ]] || die \"not ok\"; }\nsrc_install() { dodoc ok; }";
    let trial = Trial::new().package("app-misc/foo-1", body);
    trial.run(&["build", "app-misc/foo"]).fails(&["not ok"]);
    let outcome = trial.run(&[
        "shell",
        "--failed",
        "-c",
        "phases; echo precious >ok; resume",
    ]);
    assert!(
        outcome
            .stdout
            .contains("  configure  finished\n> compile    failed\n"),
        "{outcome}"
    );
    outcome.succeeds();
    let only_install = Trial::new().package(
        "app-misc/foo-1",
        "src_install() { [[ -e ok ]] || die \"not ok\"; }",
    );
    only_install
        .run(&["build", "app-misc/foo"])
        .fails(&["not ok"]);
    only_install
        .run(&["shell", "--failed", "-c", "touch ok; resume"])
        .succeeds();
}

#[test]
fn variables_of_functions_are_no_variables_of_the_package() {
    let body = "src_configure() { GLOBAL=one; }
deep() { local -x LC_TIME=de_DE list=( a b ); local inside=yes; [[ -e ok ]] || die \"not ok\"; }
src_compile() { local outer=1; GLOBAL=two; deep; MADE=${GLOBAL}; }
src_install() { local name; for name in inside list outer; do [[ ! -v ${name} ]] || die \"${name} is there\"; done
	[[ ${GLOBAL}${MADE}${MINE} == twotwomine ]] || die \"${GLOBAL} ${MADE} ${MINE}\"; [[ ${LC_TIME} != de_DE ]] || die \"LC_TIME\"; dodoc ok; }";
    let trial = Trial::new().package("app-misc/foo-1", body);
    trial.run(&["build", "app-misc/foo"]).fails(&["not ok"]);
    let text = "echo $inside ${list[1]} $outer $GLOBAL; MINE=mine; touch ok; phase compile && echo =$inside=$outer=$GLOBAL=; resume --keep";
    let outcome = trial.run(&["shell", "--failed", "-c", text]);
    assert!(
        outcome.stdout.contains("yes b 1 two\n===two=\n"),
        "{outcome}"
    );
    outcome.succeeds();
    // The same where the phase is not run again but taken as done.
    let trial = Trial::new().package(
        "app-misc/foo-1",
        &body.replace("== twotwomine", "== onemine"),
    );
    trial.run(&["build", "app-misc/foo"]).fails(&["not ok"]);
    trial
        .run(&[
            "shell",
            "--failed",
            "-c",
            "MINE=mine; touch ok; resume --done",
        ])
        .succeeds();
}

#[test]
fn the_line_of_a_helper_with_options_of_its_own_is_had_too() {
    let trial = Trial::new().package(
        "app-misc/foo-1",
        "MINE=1\nsrc_prepare() { local here=1; eapply \"${FILESDIR}\"/no.patch; }",
    );
    trial.run(&["build", "app-misc/foo"]).fails(&["no.patch"]);
    let outcome = trial.run(&["shell", "--failed", "-c", "echo $here $MINE"]);
    assert_eq!(outcome.succeeds().stdout, "1 1\n");
    assert!(!outcome.stderr.contains("cannot be had"), "{outcome}");
}

#[test]
fn what_the_sandbox_refuses_fails_a_phase() {
    let trial = Trial::new()
        .package(
            "app-misc/foo-1",
            "src_compile() { touch \"${OUTSIDE}\"; true; }",
        )
        .file(
            "conf/etc/sandbox.conf",
            "SANDBOX_WRITE=\"/dev/null:/dev/tty:/dev/pts\"\n",
        );
    let outside = trial.path("outside");
    let trial = trial.variable("OUTSIDE", outside.to_str().unwrap());
    let outcome = commands(
        &trial,
        &[],
        "phase unpack; phase compile; echo status $?; phases",
    );
    assert!(outcome.stdout.contains("status 1\n"), "{outcome}");
    assert!(
        outcome.stdout.contains("> compile    failed\n"),
        "{outcome}"
    );
    assert!(
        outcome
            .stderr
            .contains("src_compile: failed, as the sandbox refused this"),
        "{outcome}"
    );
    assert!(!outside.exists());
}

#[test]
fn edits_without_effect_and_edits_taken_back_are_no_dead_end() {
    let trial = trial();
    let path = trial.ebuild_path("app-misc/foo-1");
    let before = fs::read_to_string(&path).unwrap();
    let mut person = person(&trial, &["--phase", "compile"]);
    fs::write(&path, format!("{before}# a comment\n")).unwrap();
    assert!(
        person
            .does("resume")
            .contains("was edited since the build began")
    );
    assert_eq!(person.does("reload"), "reload: nothing changed but text\n");
    assert!(
        person
            .does("resume")
            .contains("which resume --keep goes on with")
    );
    // Put back, it is as if nothing had been.
    fs::write(&path, &before).unwrap();
    person.does("reload");
    person.types("resume");
    assert_eq!(person.leaves(), 0, "{}", person.seen());
    let again = super::trial();
    let mut person = super::person(&again, &["--phase", "compile"]);
    let path = again.ebuild_path("app-misc/foo-1");
    fs::write(&path, format!("{before}# a comment\n")).unwrap();
    person.does("reload");
    person.types("resume --keep");
    assert_eq!(person.leaves(), 0, "{}", person.seen());
}

#[test]
fn patches_that_are_mended_in_the_ebuild_are_applied_anew() {
    let body = "PATCHES=( \"${FILESDIR}\"/bad.patch )\nsrc_unpack() { echo old >file; }\nsrc_install() { dodoc file; }";
    let trial = Trial::new()
        .package("app-misc/foo-1", body)
        .file("repo/app-misc/foo/files/bad.patch", "no patch\n");
    trial.run(&["build", "app-misc/foo"]).fails(&["bad.patch"]);
    // What waits to be mended is not thrown away on the way.
    trial
        .run(&[
            "shell",
            "app-misc/foo",
            "--phase",
            "configure",
            "-c",
            "true",
        ])
        .fails(&["src_prepare was begun there but not finished", "--fresh"]);
    let path = trial.ebuild_path("app-misc/foo-1");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"${FILESDIR}\"/bad.patch", "")).unwrap();
    trial
        .run(&["shell", "--failed", "-c", "reload; resume --anew"])
        .succeeds();
}

#[test]
fn an_ebuild_that_was_broken_since_is_what_it_was_when_the_build_began() {
    let body = "IUSE=\"+one\"\nMINE=sourced\nsrc_configure() { MINE=configured; }\nsrc_compile() { [[ -e ok ]] || die \"not ok\"; }\nsrc_install() { [[ ${MINE} == configured ]] || die; dodoc ok; }";
    let trial = Trial::new().package("app-misc/foo-1", body);
    trial.run(&["build", "app-misc/foo"]).fails(&["not ok"]);
    let path = trial.ebuild_path("app-misc/foo-1");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("src_compile() {", "src_compile() { if")).unwrap();
    let outcome = trial.run(&[
        "shell",
        "--failed",
        "-c",
        "use one && echo used; echo $MINE; reload; echo =$MINE",
    ]);
    assert!(
        outcome.stdout.contains("used\nconfigured\n=configured\n"),
        "{outcome}"
    );
    assert!(outcome.stderr.contains("syntax error"), "{outcome}");
    fs::write(&path, text.replace("die \"not ok\"", "touch ok")).unwrap();
    trial
        .run(&["shell", "--failed", "-c", "reload; resume --keep"])
        .succeeds();
}

#[test]
fn a_changed_configuration_is_named() {
    let trial = trial();
    commands(&trial, &["--phase", "compile"], "true").succeeds();
    let trial = trial
        .variable("MY_FLAGS", "-O3")
        .variable("KITTY_WINDOW_ID", "7");
    let outcome = commands(&trial, &[], "resume");
    outcome.fails(&["of the configuration: MY_FLAGS", "(MY_FLAGS changed)"]);
    assert!(!outcome.stderr.contains("KITTY"), "{outcome}");
    trial
        .run(&["build", "--resume", "app-misc/foo"])
        .fails(&["not as it was: MY_FLAGS", "started with another ebuild"]);
    commands(&trial, &[], "resume --anew").succeeds();
}

#[test]
fn no_package_is_no_package_to_build() {
    let trial = trial();
    let outcome = trial.run(&["shell", "--no-package", "-c", "phase unpack; resume --keep"]);
    outcome.fails(&["resume: there is no package to build"]);
    assert!(!trial.packages().exists());
}

#[test]
fn the_prompt_is_not_where_standard_output_goes() {
    let trial = Trial::new().package(
        "app-misc/foo-1",
        "src_compile() { [[ -e ok ]] || die \"not ok\"; }",
    );
    let build = trial.command(&["build", "--shell-on-failure", "app-misc/foo"]);
    let words: Vec<_> = build
        .get_args()
        .map(|word| word.to_str().unwrap())
        .collect();
    let line = format!(
        "{} {} >{}/out",
        crate::support::EBD,
        words.join(" "),
        trial.path(".").display()
    );
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", &line]);
    for (name, value) in build.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let mut person = Person::start(&command);
    person.prompt();
    assert_eq!(person.does("echo seen"), "seen\n");
    person.does("touch ok");
    person.types("resume");
    assert_eq!(person.leaves(), 0, "{}", person.seen());
    let out = fs::read_to_string(trial.path("out")).unwrap();
    assert!(
        out.ends_with("foo-1-1.gpkg.tar\n") && out.lines().count() == 1,
        "{out}"
    );
}

#[test]
fn options_of_the_shell_are_the_persons() {
    let trial = trial();
    let mut person = person(&trial, &[]);
    person.does("set -u; shopt -s nullglob");
    assert_eq!(person.does("echo fine"), "fine\n");
    person.does("phase unpack");
    assert_eq!(person.does("shopt -q nullglob && echo still"), "still\n");
    person.does("set +u; set -x");
    let text = person.does("echo traced");
    assert!(
        text.contains("traced\n") && text.matches("__ebd_").count() < 4,
        "{text}"
    );
    person.does("set +x");
    let text = person.does("suspend; echo $?");
    assert!(
        text.contains("cannot be suspended") && text.ends_with("1\n"),
        "{text}"
    );
    person.types("exit");
    person.leaves();
}

#[test]
fn what_another_user_builds_is_not_followed_as_root() {
    if !is_root() {
        eprintln!("not tried: only root can be another user");
        return;
    }
    let trial = super::prompt::nobodys();
    let victim = trial.path("victim");
    fs::write(&victim, "precious").unwrap();
    let folder = trial.path(".").display().to_string();
    let body = format!(
        "src_compile() {{ local name; for name in progress.json.new failure.json.new environment.configure.new; do\n\
         ln -s {folder}/victim \"${{PORTAGE_BUILDDIR}}\"/.ebd/${{name}} || die link; done\n\
         printf %s '{{\"package\":\"app-misc/foo-1\",\"repository\":\"evil\",\"phase\":\"compile\",\"causes\":[],\"place\":null,\"time\":99999999999,\"origin\":{{\"repos\":[]}}}}' >\"${{PORTAGE_BUILDDIR}}\"/.ebd/failure.json\n\
         die \"as it should\"; }}"
    );
    let trial = trial.package("app-misc/foo-1", &body);
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["as it should"]);
    let outcome: Outcome = script(&trial, &["shell", "--failed"], "echo in $EBUILD_PHASE\n");
    outcome.succeeds();
    assert!(
        outcome.stderr.contains("src_compile failed: as it should"),
        "{outcome}"
    );
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

/// As in a phase, and as in any other shell.
#[test]
fn pipes_that_nobody_reads_end_who_writes_to_them() {
    for features in ["", "sandbox usersandbox userpriv"] {
        let trial = trial().make_conf(&format!("FEATURES=\"-* {features}\"\n"));
        let outcome = commands(&trial, &[], "grep SigIgn /proc/self/status");
        let said = &outcome.succeeds().stdout;
        let line = said.lines().find(|line| line.starts_with("SigIgn:"));
        assert!(
            !crate::support::ignores_pipes(line.unwrap_or(said)),
            "{features:?}: {said}"
        );
    }
}
