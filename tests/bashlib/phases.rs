//! Default phase functions.

use crate::stage::Stage;

#[test]
fn default_where_there_is_one() {
    for (eapi, phase, good) in [
        ("2", "src_prepare", true),
        ("2", "src_install", false),
        ("4", "src_install", true),
        ("8", "pkg_nofetch", true),
        ("8", "pkg_setup", false),
        ("8", "pkg_postinst", false),
    ] {
        for code in ["default", &format!("default_{phase}")] {
            let outcome = Stage::new(eapi).phase(phase).run(code);
            // What happens later, such as a missing configure script, is no matter here.
            let refused = outcome.err.contains("die: default");
            assert_eq!(
                !refused, good,
                "{code} in {phase}, EAPI {eapi}: {}",
                outcome.err
            );
        }
    }
    assert_eq!(
        Stage::new("8")
            .phase("src_compile")
            .dies("default_src_install"),
        "default_src_install: not allowed in src_compile"
    );
    assert_eq!(
        Stage::new("8").phase("pkg_setup").dies("default"),
        "default: pkg_setup has no default in EAPI 8"
    );
}

#[test]
fn src_prepare_formats() {
    let run = |eapi, code: &str| {
        let stage = Stage::new(eapi).phase("src_prepare");
        stage.prints(&format!(
            "eapply() {{ echo \"eapply($#): $*\"; }}; eapply_user() {{ echo user; }}\n{code}\ndefault"
        ))
    };
    for (code, plain) in [
        ("", ""),
        ("PATCHES=()", ""),
        ("PATCHES=('')", ""),
        ("PATCHES=''", ""),
        ("PATCHES='a b'", "eapply(2): a b\n"),
        ("PATCHES=('a b' c)", "eapply(2): a b c\n"),
    ] {
        assert_eq!(run("6", code), format!("{plain}user\n"), "{code}");
        let dashed = plain.replace("(2): ", "(3): -- ");
        assert_eq!(run("8", code), format!("{dashed}user\n"), "{code}");
    }
    assert_eq!(run("5", "PATCHES=a"), "");
}

#[test]
fn src_unpack_takes_all_of_a() {
    let stage = Stage::new("8").phase("src_unpack");
    assert_eq!(
        stage
            .prints("unpack() { echo \"$#: $*\"; }; IFS=a; A='a.tar b*.zip'; default; A=; default"),
        "2: a.tar b*.zip\n"
    );
}

#[test]
fn configure_and_compile() {
    let code = "econf() { echo econf; }; default";
    let stage = |eapi, phase| {
        let stage = Stage::new(eapi).phase(phase);
        stage.file("work/Makefile", "");
        stage.executable("work/sub/configure", "");
        stage
    };
    assert_eq!(stage("8", "src_configure").prints(code), "");
    assert_eq!(
        stage("8", "src_configure").prints(&format!("ECONF_SOURCE=sub; {code}")),
        "econf\n"
    );
    assert_eq!(stage("8", "src_compile").prints(code), "emake: \n");
    let old = "econf() { echo econf; }; ECONF_SOURCE=sub; __ebd_run_default src_compile";
    assert_eq!(stage("1", "src_compile").prints(old), "econf\nemake: \n");
    assert_eq!(stage("0", "src_compile").prints(old), "emake: \n");
    let failing = stage("8", "src_compile");
    failing.program("emake", "exit 1");
    assert_eq!(failing.dies("default"), "emake failed");
}

#[test]
fn src_test_runs_the_target_there_is() {
    let stage = |eapi, targets: &[&str]| {
        let stage = Stage::new(eapi).phase("src_test");
        // Answers like make: fails for an unknown target, prints nothing with -n.
        let known = targets.join("|");
        stage.program(
            "make",
            &format!("case \"$*\" in *\\ -n) ;; *) exit 3 ;; esac\nfor a; do case $a in {known}) exit 0 ;; esac; done; exit 2"),
        );
        stage
    };
    let code = "MAKEOPTS=-j8; default";
    assert_eq!(
        stage("8", &["check", "test"]).prints(code),
        "emake: check\n"
    );
    assert_eq!(stage("8", &["test"]).prints(code), "emake: test\n");
    assert_eq!(stage("8", &["none"]).prints(code), "");
    assert_eq!(stage("4", &["test"]).prints(code), "emake: -j1 test\n");
    let failing = stage("8", &["check"]);
    failing.program("emake", "exit 1");
    failing.dies(code);
}

#[test]
fn src_install_formats() {
    let stage = |eapi| {
        let stage = Stage::install(eapi);
        stage.file("work/Makefile", "");
        stage.file("work/README", "x");
        stage
    };
    let strip = |stage: &Stage, code: &str| {
        let image = format!("{}/", stage.path("image").display());
        stage.prints(code).replace(&image, "D")
    };
    for eapi in ["4", "8"] {
        let stage = stage(eapi);
        assert_eq!(
            strip(&stage, "default"),
            "emake: DESTDIR=D install\ndodoc[]: README\n"
        );
    }
    // Format 4 hands even an empty list to dodoc, format 6 does not.
    assert!(strip(&stage("5"), "DOCS=''; default").ends_with("install\ndodoc[]: \n"));
    assert!(strip(&stage("5"), "DOCS=(a 'b c'); default").ends_with("install\ndodoc[]: a b c\n"));
    assert!(strip(&stage("6"), "DOCS=''; default").ends_with("install\n"));
    assert_eq!(stage("3").prints("__ebd_run_default src_install"), "");
}

#[test]
fn pkg_nofetch_names_the_files() {
    let outcome = Stage::new("8").phase("pkg_nofetch").run("A='a b'; default");
    assert_eq!(
        outcome.err,
        " * The following files cannot be fetched for foo:\n *    a\n *    b\n"
    );
}

#[test]
fn missing_phase_functions_are_defined() {
    let functions = |eapi| {
        Stage::new(eapi)
            .prints("src_compile() { :; }; before=$(declare -F); __ebd_define_phases; diff <(echo \"$before\") <(declare -F) | sed -n 's/^> declare -f //p'; declare -f src_unpack")
    };
    assert_eq!(
        functions("8"),
        "pkg_nofetch\nsrc_configure\nsrc_install\nsrc_prepare\nsrc_test\nsrc_unpack\n\
         src_unpack () \n{ \n    default\n}\n"
    );
    assert!(functions("0").starts_with("pkg_nofetch\nsrc_test\nsrc_unpack\nsrc_unpack ()"));
}
