//! Without a terminal: commands and scripts, in each phase.

use super::{commands, script, trial};
use crate::support::Trial;

/// What may be called in any phase.
const ANYWHERE: &str = "set -- ; einfo a; einfon b; elog c; ewarn d; eerror e; eqawarn f; ebegin g; eend 0
use one || exit 11; [[ $(usev one) == one ]] || exit 12; [[ $(usex two a b) == b ]] || exit 13
[[ $(use_with one) == --with-one ]] || exit 14; [[ $(use_enable two) == --disable-two ]] || exit 15
in_iuse one || exit 16; has a b a || exit 18
[[ $(ver_cut 1-2 1.2.3) == 1.2 ]] || exit 19; [[ $(ver_rs 1 - 1.2) == 1-2 ]] || exit 20; ver_test 1 -lt 2 || exit 21
has_version nosuch/nosuch && exit 22; [[ -z $(best_version nosuch/nosuch) ]] || exit 23
nonfatal die -n no; [[ $(get_libdir) == lib* ]] || exit 25; debug-print x; debug-print-function x y; debug-print-section x
true | true; assert no; [[ $(type -t die) == function ]] || exit 26
inherit another; [[ $(another_says) == other ]] || exit 28
sandbox_check() { addwrite /nosuch-a; addpredict /nosuch-b; addread /nosuch-c; adddeny /nosuch-d; }; sandbox_check || exit 27
";

/// What belongs to one phase: each ends with a status of its own if it does not do its work.
const OWN: &[(&str, &str)] = &[
    ("setup", "[[ ${MERGE_TYPE} == buildonly ]] || exit 30"),
    (
        "unpack",
        "tar czf \"${T}\"/a.tar.gz -C \"${FILESDIR}\" . || exit 30; unpack \"${T}\"/a.tar.gz || exit 31; [[ -e a.patch ]] || exit 32; default || exit 33",
    ),
    (
        "prepare",
        "cd \"${WORKDIR}\"; echo old >file; eapply \"${FILESDIR}\"/a.patch || exit 30; [[ $(<file) == new ]] || exit 31; eapply_user || exit 32; default || exit 33",
    ),
    (
        "configure",
        "printf '#!/bin/sh\\necho \"$@\" >args\\n' >configure; chmod +x configure; econf --mine || exit 30; grep -q -- --mine args || exit 31; default || exit 32",
    ),
    (
        "compile",
        "printf 'all:\\n\\ttouch made\\n' >Makefile; emake || exit 30; [[ -e made ]] || exit 31; default || exit 32",
    ),
    (
        "test",
        "printf 'check:\\n\\ttouch checked\\n' >Makefile; default || exit 30; [[ -e checked ]] || exit 31",
    ),
    (
        "install",
        "echo x >x; mkdir -p man; echo x >man/x.1
dobin x || exit 30; newbin x y || exit 31; dosbin x || exit 32; newsbin x y || exit 33; doins x || exit 34; newins x y || exit 35
dodoc x || exit 36; newdoc x y || exit 37; doman man/x.1 || exit 38; doinfo x || exit 74; newman man/x.1 y.1 || exit 39; doexe x || exit 40; newexe x y || exit 41
dolib.a x || exit 42; newlib.a x y || exit 43; dolib.so x || exit 44; newlib.so x y || exit 45; doheader x || exit 46; newheader x y || exit 47
doconfd x || exit 48; newconfd x y || exit 49; doenvd x || exit 50; newenvd x y || exit 51; doinitd x || exit 52; newinitd x y || exit 53
dodir /a || exit 54; keepdir /b || exit 55; dosym x /usr/bin/z || exit 56; into /opt || exit 57; dobin x || exit 58; insinto /i || exit 59; doins -r man || exit 60
exeinto /e || exit 61; doexe x || exit 62; docinto d || exit 63; dodoc x || exit 64; insopts -m 0600; diropts -m 0700; exeopts -m 0755
fperms 0700 /i || exit 65; fowners \"$(id -u):$(id -g)\" /i || exit 66; docompress /x || exit 67; dostrip -x /x || exit 68; domo x || exit 69; newbin - piped < <(echo p) || exit 70
einstalldocs || exit 71; default || exit 72
[[ -x ${ED}/opt/bin/x && -d ${ED}/i/man && -e ${ED}/opt/bin/piped && -L ${ED}/usr/bin/z ]] || exit 73",
    ),
];

fn package() -> Trial {
    Trial::new()
        .package(
            "app-misc/foo-1",
            "IUSE=\"+one two test\"\nsrc_unpack() { :; }",
        )
        .file(
            "repo/app-misc/foo/files/a.patch",
            "--- a/file\n+++ b/file\n@@ -1 +1 @@\n-old\n+new\n",
        )
        .eclass("another", "another_says() { echo other; }\n")
        .make_conf("FEATURES=\"test\"\n")
}

#[test]
fn none_is_left_out() {
    let all: String = OWN
        .iter()
        .fold(ANYWHERE.to_owned(), |all, (_, own)| all + "\n" + own);
    let words: Vec<&str> = all
        .split(|c: char| c.is_whitespace() || "();".contains(c))
        .collect();
    let eapi = ebd::pms::eapi::Eapi::parse("8").unwrap();
    for command in eapi.commands() {
        // Of eclasses, and of those only where they are sourced.
        if command.name != "EXPORT_FUNCTIONS" {
            assert!(words.contains(&command.name), "{}", command.name);
        }
    }
}

#[test]
fn every_function_of_the_specification_works_in_its_phase() {
    let trial = package();
    for (phase, own) in OWN {
        let text = format!("{ANYWHERE}{own}\ntrue");
        let arguments = ["--fresh", "--phase", phase];
        let outcome = commands(&trial, &arguments, &text);
        assert_eq!(outcome.code(), 0, "{phase}: {outcome}");
        assert!(outcome.stderr.contains(" * e\n"), "{outcome}");
        // The same from a script.
        let outcome = script(
            &trial,
            &["shell", "app-misc/foo", "--fresh", "--phase", phase],
            &text,
        );
        assert_eq!(outcome.code(), 0, "{phase}: {outcome}");
    }
}

#[test]
fn what_is_of_another_phase_is_refused() {
    let trial = package();
    for (phase, command) in [
        ("compile", "dobin x"),
        ("install", "eapply_user"),
        ("compile", "eapply_user"),
    ] {
        let outcome = commands(
            &trial,
            &["--fresh", "--phase", phase],
            &format!("{command}; echo NEXT"),
        );
        let name = command.split(' ').next().unwrap();
        outcome.fails(&[&format!("{name}: not allowed in src_{phase}")]);
        assert!(!outcome.stdout.contains("NEXT"), "{outcome}");
    }
}

#[test]
fn the_status_is_that_of_the_last_command() {
    let trial = trial();
    for (text, status) in [
        ("true", 0),
        ("false", 1),
        ("exit 42", 42),
        ("(exit 5)", 5),
        ("kill -TERM $$", 143),
        ("die no", 1),
        ("( die no ); true", 1),
        ("x=$(die no); true", 1),
        ("nosuchcommand", 127),
        ("phase nosuch", 1),
    ] {
        assert_eq!(commands(&trial, &[], text).code(), status, "{text}");
        let outcome = script(&trial, &["shell", "app-misc/foo"], &format!("{text}\n"));
        assert_eq!(outcome.code(), status, "{text}: {outcome}");
    }
    assert_eq!(script(&trial, &["shell", "app-misc/foo"], "").code(), 0);
    trial.assert_no_processes("after commands");
}

#[test]
fn standard_input_output_and_error_are_the_callers() {
    let trial = trial();
    trial.put("input", "typed\n");
    let mut command = trial.command(&[
        "shell",
        "-q",
        "app-misc/foo",
        "-c",
        "cat; echo error >&2; [[ -t 0 ]] || echo no",
    ]);
    command.stdin(std::fs::File::open(trial.path("input")).unwrap());
    let outcome = crate::support::Outcome::of(&mut command);
    outcome.succeeds();
    assert_eq!(outcome.stdout, "typed\nno\n");
    assert_eq!(outcome.stderr, "error\n");
}

#[test]
fn a_whole_build_can_be_done_by_a_script() {
    let trial = trial();
    let text = "for name in unpack prepare configure compile install; do phase ${name} || exit; done\nimage\nresume --keep\n";
    let outcome = script(&trial, &["shell", "app-misc/foo"], text);
    outcome.succeeds();
    assert!(
        outcome.stdout.contains(" /usr/share/link -> done\n"),
        "{outcome}"
    );
    assert_eq!(trial.assert_pkgdir_valid(), [1]);
}

#[test]
fn one_comes_in_before_a_phase_or_behind_it() {
    let trial = trial();
    let state = "echo =$PREPARED=$CONFIGURED= $EBUILD_PHASE; [[ -e sub/done ]] && echo made; true";
    for (arguments, expected) in [
        (&["--phase", "src_prepare"][..], "=== prepare\n"),
        (&["--phase", "configure", "--before"], "=yes== configure\n"),
        (
            &["--phase", "configure", "--after"],
            "=yes=yes= configure\n",
        ),
        (&["--phase", "compile"], "=yes=yes= compile\n"),
        (
            &["--phase", "compile", "--after"],
            "=yes=yes= compile\nmade\n",
        ),
        // As it stands, without more being done.
        (&[], "=yes=yes= install\nmade\n"),
        (&["--fresh"], "=== unpack\n"),
        (
            &["--phase", "install", "--after"],
            "=yes=yes= install\nmade\n",
        ),
    ] {
        let outcome = commands(&trial, arguments, state);
        outcome.succeeds();
        assert!(
            outcome.stdout.ends_with(expected),
            "{arguments:?}: {outcome}"
        );
    }
}

#[test]
fn the_functions_can_be_had_without_a_package() {
    let trial = trial();
    let run = |text: &str| trial.run(&["shell", "-q", "--no-package", "-c", text]);
    let outcome = run("ver_cut 2 1.2.3; has a b; echo $?; inherit helper; helper_says; echo $EAPI");
    outcome.succeeds();
    assert_eq!(outcome.stdout, "2\n1\n8\n");
    assert_eq!(outcome.stderr, " * helped\n");
    assert_eq!(run("die no").code(), 1);
    assert_eq!(
        std::fs::read_dir(trial.path("tmp/portage"))
            .unwrap()
            .count(),
        0
    );
    // Where no repository is known at all.
    let outcome = trial.command(&["help"]);
    let mut command = std::process::Command::new(outcome.get_program());
    command.args([
        "shell",
        "-q",
        "--no-package",
        "-c",
        "ver_cut 1 3.4",
        "--tmpdir",
    ]);
    command
        .arg(trial.path("tmp"))
        .arg("--config-root")
        .arg(trial.path("conf"));
    command.env("HOME", trial.path("home"));
    let outcome = crate::support::Outcome::of(&mut command);
    outcome.succeeds();
    assert_eq!(outcome.stdout, "3\n");
}
