//! USE list functions, text lists and queries.

use crate::stage::Stage;

#[test]
fn use_and_its_relatives() {
    let stage = Stage::install("8").set("USE='a c' __EBD_IUSE_EFFECTIVE='a b c'");
    for (code, expected) in [
        ("use a && echo on", "on\n"),
        ("use b || echo off", "off\n"),
        ("use '!b' && echo off", "off\n"),
        (
            "usev a; usev '!b'; usev a bar; usev b x || echo none",
            "a\nb\nbar\nnone\n",
        ),
        (
            "usex a; usex b; usex a 1 2 3 4; usex b 1 2 3 4; usex '!a' 1 2 3 4; usex a '' x",
            "yes\nno\n13\n24\n24\n\n",
        ),
        (
            "use_with a; use_with b; use_with a o; use_with a o v; use_with '!a' o v; use_with a o ''",
            "--with-a\n--without-b\n--with-o\n--with-o=v\n--without-o\n--with-o=\n",
        ),
        (
            "use_enable a '' v; use_enable b x v",
            "--enable-a=v\n--disable-x\n",
        ),
        ("in_iuse b && ! in_iuse d && echo right", "right\n"),
        ("USE='b'; use b && ! use a && echo fresh", "fresh\n"),
    ] {
        for prefix in ["", "IFS=ac; shopt -s nullglob failglob; set -f;"] {
            let outcome = stage.run(&format!("{prefix} {code}"));
            assert_eq!(outcome.out, expected, "{prefix} {code}: {}", outcome.err);
            assert_eq!((outcome.status, outcome.err.as_str()), (0, ""), "{code}");
        }
    }
    assert_eq!(
        stage.prints("shopt -s nocasematch; has A a || echo different"),
        "different\n"
    );
    for wrong in [
        "use d",
        "use '!d'",
        "usev a b c",
        "use_with d",
        "use_with '!a'",
        "use_with",
        "use ''",
        "in_iuse",
        "usex",
    ] {
        stage.dies(wrong);
    }
}

#[test]
fn use_by_eapi() {
    let stage = |eapi| Stage::install(eapi).set("USE='a' __EBD_IUSE_EFFECTIVE='a linguas_*'");
    assert_eq!(stage("3").run("use d; echo $?").out, "1\n");
    stage("4").dies("use d");
    assert_eq!(stage("4").prints("use linguas_de || echo off"), "off\n");
    stage("7").dies("usev a b");
    assert_eq!(stage("3").prints("use_with a o ''"), "--with-o\n");
    assert_eq!(stage("4").prints("use_with a o ''"), "--with-o=\n");
    assert_eq!(
        stage("7").prints("hasv a b a; hasq a b || echo no; useq a && echo on"),
        "a\nno\non\n"
    );
    assert_eq!(
        stage("8").prints("ABI=amd64 LIBDIR_amd64=lib64; get_libdir; ABI=x; get_libdir"),
        "lib64\nlib\n"
    );
}

#[test]
fn queries_check_their_options() {
    let stage = |eapi| {
        let stage = Stage::install(eapi).set("ROOT=/r/ ESYSROOT=/s BROOT=/b");
        for name in ["has_version", "best_version"] {
            stage.program(
                name,
                "echo \"${0##*/} $ROOT $ESYSROOT $BROOT $*\"
                 [[ $1 == bad ]] && exit 2; [[ $1 != none ]]",
            );
        }
        stage
    };
    for (eapi, code, expected) in [
        ("8", "has_version a/b", "has_version /r/ /s /b a/b\n"),
        (
            "8",
            "best_version -b a/b",
            "best_version /r/ /s /b -b a/b\n",
        ),
        (
            "8",
            "best_version -d a/b",
            "best_version /r/ /s /b -d a/b\n",
        ),
        (
            "8",
            "ROOT=/o has_version -r a/b",
            "has_version /o /s /b -r a/b\n",
        ),
        (
            "8",
            "has_version none || echo no",
            "has_version /r/ /s /b none\nno\n",
        ),
        (
            "6",
            "has_version --host-root a/b",
            "has_version /r/ /s /b --host-root a/b\n",
        ),
    ] {
        assert_eq!(stage(eapi).prints(code), expected, "{code}");
    }
    for (eapi, code) in [
        ("8", "has_version bad"),
        ("8", "has_version --host-root a/b"),
        ("6", "has_version -b a/b"),
        ("4", "has_version --host-root a/b"),
        ("8", "has_version -b -d a/b"),
        ("8", "has_version"),
        ("8", "has_version a/b c/d"),
        ("8", "portageq envvar X"),
    ] {
        stage(eapi).dies(code);
    }
}
