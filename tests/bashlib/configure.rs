//! econf and einstall.

use crate::stage::Stage;

/// A configure script that prints its arguments, one per line.
const CONFIGURE: &str = r#"
if [[ $1 == --help ]]; then
	cat "${0%/*}/help" 2>/dev/null
	exit
fi
printf '%s\n' "$@"
exit "${CONFIGURE_STATUS:-0}"
"#;

fn stage(eapi: &'static str, help: &str) -> Stage {
    let stage = Stage::new(eapi).phase(if eapi < "2" {
        "src_compile"
    } else {
        "src_configure"
    });
    stage.executable("work/configure", CONFIGURE);
    stage.file("work/help", help);
    stage
}

const HELP: &str = "--datarootdir --docdir --htmldir --with-sysroot=DIR \
    --disable-dependency-tracking --disable-silent-rules --enable-static --enable-shared";

fn arguments(eapi: &'static str, help: &str, code: &str) -> Vec<String> {
    let out = stage(eapi, help).prints(code);
    out.lines().map(str::to_owned).collect()
}

const COMMON: [&str; 7] = [
    "--prefix=/usr",
    "--host=x86_64-pc-linux-gnu",
    "--mandir=/usr/share/man",
    "--infodir=/usr/share/info",
    "--datadir=/usr/share",
    "--sysconfdir=/etc",
    "--localstatedir=/var/lib",
];

#[test]
fn options_by_eapi() {
    let docs = [
        "--docdir=/usr/share/doc/foo-1.2.3-r1",
        "--htmldir=/usr/share/doc/foo-1.2.3-r1/html",
    ];
    let tracking = "--disable-dependency-tracking";
    let silent = "--disable-silent-rules";
    for (eapi, extra) in [
        ("0", vec![]),
        ("3", vec![]),
        ("4", vec![tracking]),
        ("5", vec![tracking, silent]),
        ("6", vec![tracking, silent, docs[0], docs[1]]),
        (
            "7",
            vec![tracking, silent, docs[0], docs[1], "--with-sysroot=/"],
        ),
        (
            "8",
            vec![
                "--datarootdir=/usr/share",
                tracking,
                silent,
                "--disable-static",
                docs[0],
                docs[1],
                "--with-sysroot=/",
            ],
        ),
    ] {
        let expected: Vec<_> = COMMON.into_iter().chain(extra).collect();
        assert_eq!(arguments(eapi, HELP, "econf"), expected, "EAPI {eapi}");
        assert_eq!(arguments(eapi, "nothing", "econf"), COMMON, "EAPI {eapi}");
    }
}

#[test]
fn switches_in_the_help_text_match_whole() {
    for help in [
        "--disable-silent-rules-foo",
        "--disable-silent-rules+",
        "--disable-silent-rules.x",
        "--disable-silent-rulesX",
        "--enable-static",
        "--enable-shared",
        "--enable-static-foo --enable-shared",
        "--with-sysroots",
    ] {
        assert_eq!(arguments("8", help, "econf"), COMMON, "{help}");
    }
    let switch = "--disable-silent-rules";
    for help in ["--disable-silent-rules", "--disable-silent-rules=x"] {
        assert!(arguments("8", help, "econf").contains(&switch.to_owned()));
    }
    assert!(
        arguments("8", "--docdirs", "econf")
            .contains(&"--docdir=/usr/share/doc/foo-1.2.3-r1".into())
    );
}

#[test]
fn build_and_target_when_set() {
    let arguments = arguments("8", "", "CBUILD=b CTARGET=t; econf");
    assert_eq!(
        arguments[1..4],
        ["--build=b", "--host=x86_64-pc-linux-gnu", "--target=t"]
    );
}

#[test]
fn libdir() {
    for (code, expected) in [
        ("econf", Some("--libdir=/usr/lib64")),
        ("econf --prefix=/opt", Some("--libdir=/opt/lib64")),
        (
            "econf --prefix=/opt --exec-prefix=/exec",
            Some("--libdir=/exec/lib64"),
        ),
        ("econf --prefix=opt//x/", Some("--libdir=/opt/x/lib64")),
        ("econf --libdir=/mine", Some("--libdir=/mine")),
        ("unset ABI; econf", None),
        ("ABI=other; econf", None),
    ] {
        let found = arguments("8", "", &format!("ABI=x LIBDIR_x=lib64; {code}"));
        let libdirs: Vec<_> = found
            .iter()
            .filter(|argument| argument.starts_with("--libdir="))
            .collect();
        assert_eq!(libdirs, Vec::from_iter(expected), "{code}");
    }
}

#[test]
fn callers_arguments_then_the_users() {
    let found = arguments(
        "8",
        "--docdir",
        "EXTRA_ECONF='--last \"with space\"'; IFS=-; econf --mandir=/m 'a b'",
    );
    assert_eq!(
        found[7..],
        [
            "--docdir=/usr/share/doc/foo-1.2.3-r1",
            "--mandir=/m",
            "a b",
            "--last",
            "with space"
        ]
    );
}

#[test]
fn prefix_and_sysroot() {
    let found = arguments("8", "--with-sysroot", "EPREFIX=/pre ESYSROOT=/sys; econf");
    assert_eq!(found[0], "--prefix=/pre/usr");
    assert_eq!(found[7], "--with-sysroot=/sys");
    assert_eq!(
        arguments("2", "", "EPREFIX=/pre; econf")[0],
        "--prefix=/usr"
    );
}

#[test]
fn another_directory() {
    let stage = stage("8", "");
    stage.executable("work/sub/configure", "echo \"$PWD $1\"");
    let expected = format!("{} --prefix=/usr\n", stage.path("work/build").display());
    assert_eq!(
        stage.prints("mkdir build; cd build; ECONF_SOURCE=../sub econf"),
        expected
    );
}

#[test]
fn config_shell_replaces_bin_sh() {
    let stage = stage("8", "");
    for (first, expected) in [
        ("#!/bin/sh", "#!/bin/bash"),
        ("#! /bin/sh -e", "#!/bin/bash -e"),
        ("#!/bin/shell", "#!/bin/shell"),
    ] {
        stage.executable("work/configure", "");
        stage.file("work/configure", &format!("{first}\nexit 0\n"));
        let code = "touch -d @1000 configure; CONFIG_SHELL=/bin/bash; nonfatal econf; stat -c %Y configure";
        assert!(stage.run(code).out.ends_with("1000\n"));
        let script = stage.read("work/configure");
        assert_eq!(script.lines().next(), Some(expected));
    }
}

#[test]
fn gnuconfig_replaces_config_guess() {
    let stage = stage("8", "");
    stage.file("prefix/usr/share/gnuconfig/config.guess", "new guess");
    stage.file("prefix/usr/share/gnuconfig/config.sub", "new sub");
    stage.file("work/a b/config.guess", "old");
    stage.file("work/config.sub", "old");
    let code = format!("EPREFIX={}; econf", stage.path("prefix").display());
    let outcome = stage.run(&code);
    assert_eq!(stage.read("work/a b/config.guess"), "new guess");
    assert_eq!(stage.read("work/config.sub"), "new sub");
    assert!(outcome.err.contains("updating a b/config.guess with"));
}

#[test]
fn failure() {
    let failing = "export CONFIGURE_STATUS=1; echo log > config.log;";
    for eapi in ["0", "3", "4", "8"] {
        assert_eq!(
            stage(eapi, "").dies(&format!("{failing} econf")),
            "econf failed"
        );
    }
    let outcome = stage("8", "").run(&format!("{failing} nonfatal econf; echo \"on $?\""));
    assert!(outcome.out.ends_with("on 1\n"));
    assert!(outcome.err.contains("work/config.log\n"));
    stage("8", "").dies("rm configure; econf");
    stage("8", "").dies("chmod -x configure; econf");
    Stage::new("8").phase("pkg_setup").dies("econf");
}

#[test]
fn a_notice_in_other_phases() {
    let stage = stage("8", "").phase("src_compile");
    let outcome = stage.run("econf");
    assert!(outcome.err.contains("econf called in src_compile"));
    assert_eq!(outcome.status, 0);
}

#[test]
fn einstall() {
    let out = Stage::install("5").prints("ABI=x LIBDIR_x=lib64; einstall --mine");
    let image = out.split("prefix=").nth(1).unwrap();
    let image = image.split("/usr").next().unwrap();
    assert_eq!(
        out,
        format!(
            "emake: prefix={image}/usr datadir={image}/usr/share mandir={image}/usr/share/man \
             infodir={image}/usr/share/info libdir={image}/usr/lib64 \
             localstatedir={image}/var/lib sysconfdir={image}/etc -j1 --mine install\n"
        )
    );
}
