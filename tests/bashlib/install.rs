//! Install destinations, the lists of docompress and dostrip, einstalldocs.

use crate::stage::Stage;

#[test]
fn destinations_reach_programs_and_exist() {
    let stage = Stage::install("8");
    stage.program(
        "show",
        "echo \"$__EBD_DESTTREE $__EBD_INSDESTTREE $__EBD_EXEDESTTREE $__EBD_DOCDESTTREE\"",
    );
    assert_eq!(stage.prints("show"), "/usr   \n");
    assert_eq!(
        stage.prints("into /opt; insinto /etc/x; exeinto lib; docinto html; show"),
        "/opt /etc/x lib html\n"
    );
    for directory in ["opt", "etc/x", "lib", "usr/share/doc/foo-1.2.3-r1/html"] {
        assert!(stage.path("image").join(directory).is_dir(), "{directory}");
    }
    assert_eq!(
        stage.prints("into /; insinto /; exeinto /; docinto /; show"),
        "   \n"
    );
}

#[test]
fn destination_variables_of_old_eapis() {
    let code = "insinto /etc; into /opt; env | grep TREE= | grep -v __EBD | sort";
    assert_eq!(
        Stage::install("6").prints(code),
        "DESTTREE=/opt\nINSDESTTREE=/etc\n"
    );
    assert_eq!(Stage::install("7").run(code).out, "");
}

#[test]
fn a_destination_that_cannot_be_made() {
    let stage = |eapi| {
        let stage = Stage::install(eapi);
        stage.file("image/etc", "in the way");
        stage
    };
    assert!(
        stage("4")
            .dies("insinto /etc/x")
            .starts_with("insinto: cannot create")
    );
    assert_eq!(stage("3").prints("insinto /etc/x || echo on"), "on\n");
    assert_eq!(
        stage("8").prints("nonfatal insinto /etc/x || echo on"),
        "on\n"
    );
}

#[test]
fn install_options() {
    let stage = Stage::install("6");
    stage.program(
        "show",
        "echo \"$__EBD_INSOPTIONS|$__EBD_EXEOPTIONS|$__EBD_DIROPTIONS|$__EBD_LIBOPTIONS\"",
    );
    assert_eq!(stage.prints("show"), "-m0644|-m0755|-m0755|-m0644\n");
    assert_eq!(
        stage.prints("IFS=,; insopts -m 600; exeopts -m1; diropts -o x -g y; libopts -m2; show"),
        "-m 600|-m1|-o x -g y|-m2\n"
    );
    for command in ["insopts", "exeopts", "libopts"] {
        stage.dies(&format!("{command} -m 1 -s"));
    }
}

#[test]
fn compression_and_stripping_lists() {
    let show = "declare -p __EBD_DOCOMPRESS __EBD_DOCOMPRESS_SKIP __EBD_DOSTRIP __EBD_DOSTRIP_SKIP | sed 's/declare -a __EBD_//'";
    let out = Stage::install("8").prints(&format!(
        "docompress x//y/ /usr/share/man '/a b'; docompress -x /z; dostrip /q; dostrip -x /r / ; {show}"
    ));
    assert_eq!(
        out,
        "DOCOMPRESS=([0]=\"/usr/share/doc\" [1]=\"/usr/share/info\" [2]=\"/usr/share/man\" [3]=\"/x/y\" [4]=\"/a b\")\n\
         DOCOMPRESS_SKIP=([0]=\"/usr/share/doc/foo-1.2.3-r1/html\" [1]=\"/z\")\n\
         DOSTRIP=([0]=\"/\" [1]=\"/q\")\nDOSTRIP_SKIP=([0]=\"/r\" [1]=\"/\")\n"
    );
    let out = Stage::install("8")
        .set("__EBD_RESTRICT='mirror strip'")
        .prints(&format!("dostrip /usr/bin/a; {show}"));
    assert!(out.contains("DOSTRIP=([0]=\"/usr/bin/a\")\n"), "{out}");
}

fn docs() -> Stage {
    let stage = Stage::install("8");
    for name in ["README", "README.md", "NEWS", "a.txt", "b.txt", "x y.txt"] {
        stage.file(&format!("work/{name}"), "text");
    }
    stage.file("work/AUTHORS", "");
    stage.file("work/README.d/file", "text");
    stage
}

#[test]
fn einstalldocs() {
    for (code, expected) in [
        ("", "dodoc[]: README\ndodoc[]: README.md\ndodoc[]: NEWS\n"),
        ("declare DOCS", ""),
        ("DOCS=''", ""),
        ("DOCS=()", ""),
        ("declare -A DOCS=([a]=b)", ""),
        ("DOCS=( a.txt 'x y.txt' )", "dodoc[]: -r a.txt x y.txt\n"),
        ("DOCS='[ab].txt NEWS'", "dodoc[]: -r a.txt b.txt NEWS\n"),
        (
            "DOCS=''; HTML_DOCS='a.txt b.txt'",
            "dodoc[html]: -r a.txt b.txt\n",
        ),
        (
            "DOCS=''; HTML_DOCS=( a.txt/. )",
            "dodoc[html]: -r a.txt/.\n",
        ),
    ] {
        assert_eq!(
            docs().prints(&format!("{code}\neinstalldocs")),
            expected,
            "{code}"
        );
        let odd = format!("IFS=.; shopt -s failglob dotglob nocaseglob; {code}\neinstalldocs");
        assert_eq!(docs().prints(&odd), expected, "{odd}");
    }
    assert_eq!(
        docs().prints("set -f; shopt -s nullglob\neinstalldocs"),
        "dodoc[]: README\ndodoc[]: README.md\ndodoc[]: NEWS\n"
    );
}

#[test]
fn einstalldocs_restores_the_destination_and_passes_failure_on() {
    let stage = docs();
    assert!(
        stage
            .prints("docinto sub; DOCS=NEWS; einstalldocs; dodoc x")
            .ends_with("dodoc[sub]: x\n")
    );
    stage.program("dodoc", "echo \"$*\"; exit 7");
    assert_eq!(
        stage.prints("docinto sub; nonfatal einstalldocs; echo $? $__EBD_DOCDESTTREE"),
        "README\n7 sub\n"
    );
}
