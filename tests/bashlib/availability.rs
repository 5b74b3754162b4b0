//! Which commands there are, and where they may be called.

use crate::stage::Stage;

fn number(eapi: &str) -> i32 {
    eapi.parse().unwrap()
}

#[test]
fn commands_come_with_their_eapi() {
    let commands = [
        ("usex", 5),
        ("in_iuse", 6),
        ("get_libdir", 6),
        ("einstalldocs", 6),
        ("eapply", 6),
        ("eapply_user", 6),
        ("ver_cut", 7),
        ("ver_rs", 7),
        ("ver_test", 7),
        ("eqawarn", 7),
        ("edo", 9),
        ("pipestatus", 9),
        ("ver_replacing", 9),
        ("econf", 0),
        ("unpack", 0),
        ("use", 0),
    ];
    for eapi in ["0", "4", "5", "6", "7", "8", "9"] {
        let listed = Stage::new(eapi).prints("declare -F");
        for (name, since) in commands {
            let known = listed.contains(&format!("declare -f {name}\n"));
            assert_eq!(known, number(eapi) >= since, "{name} in {eapi}");
        }
    }
}

#[test]
fn banned_commands_abort() {
    for (name, since) in [
        ("einstall", 6),
        ("libopts", 7),
        ("useq", 8),
        ("hasv", 8),
        ("hasq", 8),
        ("assert", 9),
    ] {
        for eapi in ["5", "6", "7", "8", "9"] {
            let outcome = Stage::install(eapi)
                .set("USE=x __EBD_IUSE_EFFECTIVE=x")
                .run(&format!("true | true; {name} x x"));
            let banned = number(eapi) >= since;
            let message = format!("die: {name}: banned in EAPI {eapi}");
            assert_eq!(outcome.err.contains(&message), banned, "{name} in {eapi}");
            assert_eq!(outcome.status == 99, banned, "{name} in {eapi}");
        }
    }
}

#[test]
fn commands_nobody_else_brings_abort_before_their_eapi() {
    for (eapi, command) in [("3", "docompress"), ("6", "dostrip"), ("1", "default")] {
        assert_eq!(
            Stage::install(eapi).dies(&format!("{command} /x")),
            format!("{command}: not available in EAPI {eapi}")
        );
    }
}

#[test]
fn phase_commands_abort_in_global_scope() {
    let stage = Stage::new("8").set("USE=x __EBD_IUSE_EFFECTIVE=x");
    for command in [
        "use x",
        "usev x",
        "usex x",
        "use_with x",
        "in_iuse x",
        "has_version a/b",
        "unpack a",
        "eapply a",
        "eapply_user",
        "econf",
        "into /",
        "insopts -m1",
        "docompress /a",
        "dostrip /a",
        "einstalldocs",
        "default",
        "addread /",
    ] {
        let message = stage.dies(command);
        assert!(message.contains("global scope"), "{command}: {message}");
    }
    assert_eq!(
        stage.prints("has a b a && ver_cut 1; get_libdir; debug-print x; debug-print-function y"),
        "1\nlib\n"
    );
}

#[test]
fn commands_abort_in_phases_they_are_not_for() {
    for (command, good) in [
        ("docompress /x", "src_install"),
        ("dostrip /x", "src_install"),
        ("eapply_user", "src_prepare"),
    ] {
        let message = Stage::new("8").phase("src_compile").dies(command);
        assert!(message.ends_with("not allowed in src_compile"), "{message}");
        Stage::new("8").phase(good).prints(command);
    }
    for phase in ["src_test", "src_install", "pkg_preinst"] {
        let message = Stage::new("8").phase(phase).dies("eapply x.patch");
        assert_eq!(message, format!("eapply: not allowed in {phase}"));
    }
}

#[test]
fn ebuild_functions_named_like_builtins_break_nothing() {
    let traps: String = [
        "local", "declare", "export", "read", "printf", "echo", "cd", "source", "set", "unset",
        "shopt", "test", "eval", "mapfile", "command", "type", "install", "find", "chmod", "tar",
    ]
    .iter()
    .map(|name| format!("{name}() {{ builtin printf 'trap {name}\\n' >&2; }}\n"))
    .collect();
    let stage = Stage::install("8").set("USE=a __EBD_IUSE_EFFECTIVE=a ABI=x LIBDIR_x=lib64");
    stage.file("work/README", "x");
    stage.file("distdir/x.gz", "");
    let outcome = stage.run(&format!(
        "{traps}
        use a && usex a 1 2 && ver_cut 1-2 && ver_rs 1 - && ver_test 1 -lt 2
        einfo hello; ebegin a; eend 0; insinto /etc; insopts -m 600; docompress /x; dostrip -x /y
        has a b a; get_libdir; addwrite /x; debug-print x; einstalldocs
        builtin printf '%s\\n' \"${{__EBD_INSDESTTREE}} ${{__EBD_INSOPTIONS}} ${{SANDBOX_WRITE}}\"
        "
    ));
    assert!(!outcome.err.contains("trap"), "{}", outcome.err);
    assert_eq!(
        outcome.out,
        "1\n1.2\n1-2.3\nlib64\ndodoc[]: README\n/etc -m 600 /x\n"
    );
}
