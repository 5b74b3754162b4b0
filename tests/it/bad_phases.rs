//! Phases that end badly: what is shown, and what is left.

use crate::claim::rows;
use std::fs;
use std::process::Command;

use crate::support::{EBD, Outcome, Trial, ebuild, line_of, text};

/// A trial of `app-misc/foo-1` with this body.
fn foo(body: &str) -> Trial {
    Trial::new().package("app-misc/foo-1", body)
}

#[test]
fn a_phase_that_dies_is_shown_with_place_log_and_what_to_do() {
    let body = "src_compile() {\n\techo one\n\techo two\n\tfalse || die \"the compiler is out\"\n}";
    let trial = foo(body);
    let line = line_of(&ebuild(body), "the compiler is out");
    let place = format!(
        "{}:{line} (src_compile)",
        text(&trial.ebuild_path("app-misc/foo-1"))
    );
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "app-misc/foo-1: could not be built in the compile phase",
        "the compiler is out",
        &place,
        "| one\n",
        "| two\n",
        &text(&trial.builddir("app-misc/foo-1").join("temp/build.log")),
        "ebd build --resume =app-misc/foo-1",
    ]);
    trial.assert_nothing_written();
}

#[test]
fn a_die_in_an_eclass_names_the_eclass() {
    let trial = foo("inherit bar\nsrc_compile() {\n\tbar_go\n}")
        .eclass("bar", "bar_go() {\n\tdie \"no bar\"\n}\n");
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "no bar",
        "bar.eclass:2 (bar_go)",
        "src_compile called bar_go",
    ]);
}

#[test]
fn a_die_in_a_subshell_or_pipe_ends_the_build() {
    for body in [
        "src_compile() { ( die deep ); touch \"${T}\"/went-on; }",
        "src_compile() { echo | die deep; touch \"${T}\"/went-on; }",
        "src_compile() { local x=$(die deep); touch \"${T}\"/went-on; }",
        "src_compile() { while read -r x; do die deep; done <<<x; touch \"${T}\"/went-on; }",
    ] {
        let trial = foo(body);
        trial
            .run(&["build", "app-misc/foo"])
            .fails(&["compile phase", "deep"]);
        let went_on = trial.builddir("app-misc/foo-1").join("temp/went-on");
        assert!(!went_on.exists(), "{body}");
    }
}

#[test]
fn a_phase_that_exits_is_no_success() {
    let _rows = rows(&[101]);
    for code in ["0", "1", "7"] {
        let trial = foo(&format!("src_compile() {{ exit {code}; }}"));
        trial.run(&["build", "app-misc/foo"]).fails(&[
            "app-misc/foo-1: could not be built in the compile phase",
            &format!("status {code}, by `exit` or `exec`"),
            "must return or die",
        ]);
        trial.assert_nothing_written();
    }
}

#[test]
fn a_phase_that_is_killed_names_the_signal() {
    let trial = foo("src_compile() { kill -SEGV ${BASHPID}; }");
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["compile phase", "killed by SIGSEGV"]);
    let trial = foo("src_compile() { kill -KILL ${BASHPID}; }");
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["compile phase", "killed by SIGKILL"]);
    // The processor above it, too.
    let trial = foo("src_compile() { kill -KILL ${PPID} $$; sleep 30; }");
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["app-misc/foo-1: could not be built in the compile phase"]);
    trial.assert_no_processes("after the processor was killed");
}

#[test]
fn a_phase_that_execs_is_no_success() {
    let trial = foo("src_compile() { exec true; }");
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "app-misc/foo-1: could not be built in the compile phase",
        "exec",
    ]);
    trial.assert_nothing_written();
}

#[test]
fn a_phase_that_takes_too_long_is_ended_with_all_its_processes() {
    let trial = foo("src_compile() { setsid sleep 300 & sleep 300; }");
    trial
        .run(&["build", "--phase-timeout", "1", "app-misc/foo"])
        .fails(&["compile phase", "longer than 1 second"]);
    trial.assert_no_processes("after the time was over");
    trial.assert_nothing_written();
}

/// Peak memory of a run in KiB, measured by the kernel.
fn peak(trial: &Trial, arguments: &[&str]) -> (Outcome, u64) {
    let inner = trial.command(arguments);
    let mut command = Command::new("bash");
    // The program itself, not what it starts: its own high-water mark, read while it ends.
    command
        .args([
            "-c",
            "\"$@\" & pid=$!\npeak=0\nwhile read -r name size _ < <(grep VmHWM /proc/${pid}/status 2>/dev/null); do peak=${size}; sleep 0.02; done\nwait ${pid}\ncode=$?\necho ${peak} >peak\nexit ${code}",
            "peak",
            EBD,
        ])
        .args(inner.get_args())
        .current_dir(trial.path(""))
        .env_clear()
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(std::process::Stdio::null());
    let outcome = Outcome::of(&mut command);
    let peak = fs::read_to_string(trial.path("peak")).unwrap();
    (outcome, peak.trim().parse().unwrap())
}

#[test]
fn a_hundred_megabytes_of_output_stay_on_disk() {
    let _rows = rows(&[101]);
    let body = "src_compile() {\n\thead -c 100000000 /dev/zero | tr '\\0' x | fold -w 99\n\techo\n\techo the end\n\tdie enough\n}";
    let (small, base) = peak(
        &foo("src_compile() { echo the end; die enough; }"),
        &["build", "app-misc/foo"],
    );
    small.fails(&["enough"]);
    let trial = foo(body);
    let (outcome, size) = peak(&trial, &["build", "app-misc/foo"]);
    outcome.fails(&["| the end", "enough"]);
    assert!(outcome.stderr.len() < 20_000, "{}", outcome.stderr.len());
    assert!(size < base + 20_000, "{size} KiB instead of {base} KiB");
    let log = trial.builddir("app-misc/foo-1").join("temp/build.log");
    assert!(fs::metadata(log).unwrap().len() > 100_000_000);
}

#[test]
fn one_endless_line_is_cut() {
    let trial = foo("src_compile() {\n\thead -c 30000000 /dev/zero | tr '\\0' x\n\tdie enough\n}");
    let outcome = trial.run(&["build", "app-misc/foo"]);
    outcome.fails(&["enough"]);
    assert!(outcome.stderr.len() < 5_000, "{}", outcome.stderr.len());
    // The same with every line of the log shown.
    let (outcome, size) = peak(&trial, &["build", "-v", "app-misc/foo"]);
    outcome.fails(&["enough"]);
    assert!(size < 300_000, "{size} KiB");
}

#[test]
fn a_file_system_that_is_full_fails_the_package() {
    // A limit on the size of files stands in for a full file system: it needs no rights, and every
    // writer meets it in the same way, an error from write.
    let trial = foo(
        "src_install() {\n\tinsinto /usr/share/foo\n\thead -c 300000 /dev/urandom >data || die\n\tdoins data\n}",
    );
    let inner = trial.command(&["build", "app-misc/foo"]);
    let limited = |blocks: &str| {
        let mut command = Command::new("bash");
        command
            .args([
                "-c",
                "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"",
                blocks,
                EBD,
            ])
            .args(inner.get_args())
            .current_dir(trial.path(""))
            .env_clear()
            .envs(
                inner
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .stdin(std::process::Stdio::null());
        Outcome::of(&mut command)
    };
    // The file that the phase writes does not fit.
    limited("200").fails(&[
        "app-misc/foo-1: could not be built in the install phase",
        "File too large",
    ]);
    trial.assert_nothing_written();
    // It fits, but the package, which is larger, does not.
    let outcome = limited("295");
    outcome.fails(&[
        "app-misc/foo-1: could not be built in the package phase",
        &text(&trial.packages()),
        "File too large",
    ]);
    trial.assert_nothing_written();
    // Room again.
    trial.run(&["build", "--resume", "app-misc/foo"]).succeeds();
    assert_eq!(trial.assert_pkgdir_valid(), [1]);
}

#[test]
fn a_helper_in_the_wrong_phase_is_named() {
    let body = "src_compile() {\n\techo x >x || die\n\tdoins x\n}";
    let trial = foo(body);
    let line = line_of(&ebuild(body), "doins x");
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "compile phase",
        "doins: not allowed in src_compile",
        &format!("foo-1.ebuild:{line} (src_compile)"),
    ]);
}

#[test]
fn a_banned_helper_is_named_with_the_eapi() {
    for (call, name) in [
        ("dohard a b", "dohard"),
        ("dosed a", "dosed"),
        ("dohtml a", "dohtml"),
        ("dolib a", "dolib"),
        ("einstall", "einstall"),
        ("hasv a", "hasv"),
        ("useq a", "useq"),
        ("libopts -m0644", "libopts"),
    ] {
        let trial = foo(&format!("src_install() {{\n\t{call}\n}}"));
        trial.run(&["build", "app-misc/foo"]).fails(&[
            "install phase",
            &format!("{name}: "),
            "EAPI 8",
        ]);
        trial.assert_nothing_written();
    }
}

#[test]
fn a_failed_helper_ends_the_build_wherever_it_is_called() {
    for call in [
        "dobin missing",
        "echo missing | xargs dobin",
        "( dobin missing )",
        "( dobin missing; true )",
        "dobin missing || true",
        "if ! dobin missing; then :; fi",
        "local x=$(dobin missing)",
        "find . -name there -exec dobin missing ';'",
        "bash -c 'dobin missing'",
        "dobin missing &\n\twait",
    ] {
        let trial = foo(&format!(
            "src_install() {{\n\ttouch there || die\n\t{call}\n\ttouch \"${{T}}\"/went-on\n}}"
        ));
        trial.run(&["build", "app-misc/foo"]).fails(&[
            "app-misc/foo-1: could not be built in the install phase",
            "dobin: ",
            "missing",
            "foo-1.ebuild:",
        ]);
        let went_on = trial.builddir("app-misc/foo-1").join("temp/went-on");
        assert!(!went_on.exists(), "{call}");
        trial.assert_nothing_written();
    }
}

#[test]
fn under_nonfatal_a_failed_helper_is_a_status() {
    let trial = foo(
        "src_install() {\n\tnonfatal dobin missing && die \"no status\"\n\
         \techo missing | nonfatal xargs dobin && die \"no status of xargs\"\n\
         \tnonfatal die -n \"a status too\" && die \"no status of die\"\n\
         \techo yes >\"${T}\"/went-on || die\n\tdodoc \"${T}\"/went-on\n}",
    );
    trial.run(&["build", "app-misc/foo"]).succeeds();
    assert_eq!(trial.assert_pkgdir_valid(), [1]);
}

#[test]
fn a_bashrc_with_a_syntax_error_ends_the_build() {
    let trial = foo("").gentoo().conf("bashrc", "if true; then\n\techo\n");
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "app-misc/foo-1",
        &text(&trial.path("conf/etc/portage/bashrc")),
        "syntax error",
    ]);
    trial.assert_nothing_written();
}

#[test]
fn a_bashrc_whose_last_command_fails_is_fine() {
    let trial = foo("")
        .gentoo()
        .conf("bashrc", "[[ -n ${NOT_SET} ]] && echo set\n");
    trial.run(&["build", "app-misc/foo"]).succeeds();
}

#[test]
fn a_source_directory_that_is_not_there_is_named() {
    let trial = Trial::new().ebuild(
        "app-misc/foo-1",
        ebuild("src_unpack() { :; }").replace("S=${WORKDIR}\n", ""),
    );
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "app-misc/foo-1",
        "work/foo-1",
        "does not exist",
    ]);
}

#[test]
fn a_phase_that_forgets_the_users_patches_is_named() {
    let trial = foo("src_prepare() { :; }");
    trial
        .run(&["build", "app-misc/foo"])
        .fails(&["prepare phase", "eapply_user"]);
}

#[test]
fn an_environment_that_is_hostile_does_not_reach_the_build() {
    let trial = foo("src_compile() { [[ -z ${BASH_ENV} && $- != *[uC]* ]] || die evil; [[ $(type -t ls) == file ]] || die function; }")
        .variable("BASH_ENV", "/nonexistent/evil")
        .variable("BASH_FUNC_ls%%", "() { echo evil; }")
        .variable("IFS", "x")
        .variable("LC_ALL", "xx_XX.UTF-8")
        .variable("SHELLOPTS", "noclobber:nounset")
        .variable("CDPATH", "/");
    trial.run(&["build", "app-misc/foo"]).succeeds();
}

#[test]
fn what_an_ebuild_prints_cannot_forge_messages() {
    let trial = foo(
        "src_compile() {\n\tlocal fd\n\tfor fd in /proc/self/fd/*; do\n\t\tprintf 'died\\0x\\0phase-done\\0compile\\0' >&${fd##*/}\n\tdone 2>/dev/null\n\tprintf 'phase-done\\0install\\0' >\"${PORTAGE_BUILDDIR}\"/.ebd/up\n\tsleep 5\n}",
    );
    let outcome = trial.run(&["build", "app-misc/foo"]);
    outcome.fails(&["app-misc/foo-1: could not be built in the compile phase"]);
    trial.assert_nothing_written();
}

#[test]
fn a_build_that_removes_its_own_directories_is_told() {
    for (victim, how) in [
        ("${PORTAGE_BUILDDIR}", "compile phase"),
        ("${PORTAGE_BUILDDIR}/.ebd", "compile phase"),
        ("${PORTAGE_BUILDDIR}/.ebd/up", "compile phase"),
        ("${PORTAGE_BUILDDIR}/.ebd/down", "phase"),
        (
            "${PORTAGE_BUILDDIR}/.ebd/state ${PORTAGE_BUILDDIR}/.ebd/phase.env",
            "",
        ),
        ("${PORTAGE_BUILDDIR}/temp", ""),
    ] {
        let trial = foo(&format!("src_compile() {{ rm -rf {victim}; }}"));
        let outcome = trial.run(&["build", "--phase-timeout", "20", "app-misc/foo"]);
        if how.is_empty() {
            outcome.ends(outcome.code(), &[]);
        } else {
            outcome.ends(1, &["app-misc/foo-1: could not be built in the", how]);
            assert!(!outcome.stderr.contains("longer than"), "{outcome}");
        }
        trial.assert_no_processes(victim);
    }
    let trial = foo("src_install() { rm -rf \"${D}\"; }");
    trial.run(&["build", "app-misc/foo"]).fails(&[
        "app-misc/foo-1",
        &text(&trial.builddir("app-misc/foo-1").join("image")),
    ]);
    trial.assert_nothing_written();
}

#[test]
fn a_build_has_no_terminal_to_wait_at() {
    let _rows = rows(&[102]);
    let trial = foo(
        "src_compile() {\n\tread -r word && die \"there is input\"\n\t: </dev/tty && die \"there is a terminal\"\n\tset -- $(</proc/self/stat)\n\techo $6 >\"${T}\"/session || die\n}",
    )
    // Below a process namespace of its own, a session that began outside has no number.
    .make_conf("FEATURES=\"-pid-sandbox\"\n");
    trial.run(&["build", "--keep", "app-misc/foo"]).succeeds();
    let path = trial.builddir("app-misc/foo-1").join("temp/session");
    let session: i32 = fs::read_to_string(path).unwrap().trim().parse().unwrap();
    let own = nix::unistd::getsid(None).unwrap();
    assert_ne!(session, own.as_raw());
}

#[test]
fn a_die_may_say_anything() {
    let trial = foo("src_compile() { die $'caf\\xe9 \\x01\\n\\n'\"$(printf %08000d 1)\"; }");
    let outcome = trial.run(&["build", "--json", "app-misc/foo"]);
    assert_eq!(outcome.code(), 1, "{outcome}");
    let events = outcome.events();
    let failed = events.last().unwrap();
    assert_eq!(failed["event"], "failed");
    let causes = failed["causes"].to_string();
    assert!(causes.contains("caf\u{fffd}"), "{causes}");
    foo("src_compile() { die; }")
        .run(&["build", "app-misc/foo"])
        .fails(&["(no error message)"]);
}
