//! Each kind of fact, changed in turn.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::{BODY, Trial};
use crate::support::{EBD, Outcome};

/// Learns, makes the change, and asserts that it is seen, named and heeded.
#[track_caller]
fn is_seen(trial: &Trial, named: &[&str], change: impl FnOnce()) {
    assert_eq!(trial.same_as_uncached(&[]), "learned");
    is_seen_again(trial, named, change);
    assert_eq!(trial.same_as_uncached(&[]), "hit");
}

fn executable(trial: &Trial, name: &str, text: &str) {
    trial.put(name, text);
    fs::set_permissions(trial.path(name), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_header_that_is_edited() {
    let trial = Trial::new(BODY);
    trial.put("out/header.h", "#define A 1\n");
    is_seen(&trial, &["out/header.h: was a file with SHA-256"], || {
        trial.put("out/header.h", "#define A 2\n");
    });
}

#[test]
fn a_header_of_the_same_size_and_time() {
    let trial = Trial::new(BODY);
    trial.put("out/header.h", "#define A 1\n");
    let path = trial.path("out/header.h");
    let time = filetime::FileTime::from_unix_time(1_700_000_000, 0);
    filetime::set_file_mtime(&path, time).unwrap();
    is_seen(&trial, &["out/header.h"], || {
        fs::write(&path, "#define A 2\n").unwrap();
        filetime::set_file_mtime(&path, time).unwrap();
    });
}

#[test]
fn a_file_that_comes_and_one_that_goes() {
    let trial = Trial::new(BODY);
    is_seen(&trial, &["out/missing: was absent, is a file"], || {
        trial.put("out/missing", "");
    });
    fs::remove_file(trial.path("out/missing")).unwrap();
    // What was learned of that is still known.
    assert_eq!(trial.same_as_uncached(&[]), "hit");
}

#[test]
fn a_name_in_a_directory() {
    let trial = Trial::new(BODY);
    trial.put("out/dir/liba.so", "");
    is_seen(&trial, &["out/dir: was a directory whose names"], || {
        trial.put("out/dir/libb.so", "");
    });
}

#[test]
fn a_link_that_leads_elsewhere() {
    let trial = Trial::new(BODY);
    trial.put("out/one", "same");
    trial.put("out/two", "same");
    symlink("one", trial.path("out/link")).unwrap();
    is_seen(&trial, &["a link to one", "a link to two"], || {
        fs::remove_file(trial.path("out/link")).unwrap();
        symlink("two", trial.path("out/link")).unwrap();
    });
}

#[test]
fn a_program_that_is_put_in_front_and_one_that_is_replaced() {
    let trial = Trial::new(BODY);
    is_seen(&trial, &["bin/tool: was absent"], || {
        executable(&trial, "bin/tool", "#!/bin/sh\necho one\n");
    });
    is_seen_again(&trial, &["bin/tool: was a file with SHA-256"], || {
        executable(&trial, "bin/tool", "#!/bin/sh\necho two\n");
    });
}

/// As [`is_seen`] where something is known already.
#[track_caller]
fn is_seen_again(trial: &Trial, named: &[&str], change: impl FnOnce()) {
    assert_eq!(trial.same_as_uncached(&[]), "hit");
    change();
    let why = trial.why(&[]);
    for part in named {
        assert!(why.contains(part), "{part:?} is not in:\n{why}");
    }
    assert_eq!(trial.same_as_uncached(&[]), "learned");
}

#[test]
fn an_interpreter_that_only_the_kernel_opens() {
    let trial = Trial::new(BODY);
    fs::copy("/bin/sh", trial.path("out/shell")).unwrap();
    executable(
        &trial,
        "bin/tool",
        &format!("#!{}\necho said\n", trial.path("out/shell").display()),
    );
    is_seen(&trial, &["out/shell"], || {
        executable(&trial, "out/shell", "#!/bin/cat\n");
    });
}

#[test]
fn a_mode() {
    let trial = Trial::new(&BODY.replace("test -f", "test -x"));
    trial.put("out/missing", "");
    is_seen(&trial, &["out/missing: was a file with mode"], || {
        executable(&trial, "out/missing", "");
    });
}

#[test]
fn the_script_its_arguments_and_variables() {
    let trial = Trial::new(BODY);
    trial.put("out/site.defs", "one\n");
    is_seen(&trial, &["out/site.defs"], || {
        trial.put("out/site.defs", "two\n")
    });
    let why = trial.why(&["--enable-x"]);
    assert!(why.contains("argument 1: is new: \"--enable-x\""), "{why}");
    assert_eq!(trial.same_as_uncached(&["--enable-x"]), "learned");
    let with = |value: &str| {
        trial.clean();
        let mut command = trial.command(EBD, &["confcache", "--", "./configure"]);
        Outcome::of(command.env("CFLAGS", value)).succeeds();
        (
            trial.last(),
            fs::read_to_string(trial.path("build/config.status")).unwrap(),
        )
    };
    let (first, second) = (with("-O2"), with("-O3"));
    assert_eq!(
        (first.0.as_str(), second.0.as_str()),
        ("learned", "learned")
    );
    assert_ne!(first.1, second.1);
    assert_eq!(with("-O2"), ("hit".to_owned(), first.1));
    // What a session says of itself is nothing.
    trial.clean();
    let mut command = trial.command(EBD, &["confcache", "--", "./configure"]);
    Outcome::of(command.env("SSH_TTY", "/dev/pts/9").env("SHLVL", "7")).succeeds();
    assert_eq!(trial.last(), "hit");
    trial.script(&format!("{BODY}\n# more"));
    let why = trial.why(&[]);
    assert!(why.contains("script: is another"), "{why}");
    assert_eq!(trial.same_as_uncached(&[]), "learned");
}

#[test]
fn an_open_descriptor() {
    let trial =
        Trial::new("if (echo >&9) 2>/dev/null; then echo yes > nine; else echo no > nine; fi");
    let with = |redirection: &str| {
        trial.clean();
        let line = format!("exec \"$@\" {redirection}");
        let words = [
            "-c",
            line.as_str(),
            "sh",
            EBD,
            "confcache",
            "--",
            "./configure",
        ];
        Outcome::of(&mut trial.command("/bin/sh", &words)).succeeds();
        (
            trial.last(),
            fs::read_to_string(trial.path("build/nine")).unwrap(),
        )
    };
    assert_eq!(with(""), ("learned".into(), "no\n".into()));
    assert_eq!(with("9>/dev/null"), ("learned".into(), "yes\n".into()));
    assert_eq!(with(""), ("hit".into(), "no\n".into()));
}

#[test]
fn what_was_in_the_folder_before() {
    let trial = Trial::new("test -f old && cat old > new; echo over > old; rm -f gone; exit 0");
    let run = |old: &str, gone: bool| {
        trial.clean();
        trial.put("build/old", old);
        if gone {
            trial.put("build/gone", "");
        }
        trial.confcache(&["--", "./configure"]).succeeds();
        assert!(!trial.path("build/gone").exists());
        let text = |name: &str| fs::read_to_string(trial.path("build").join(name)).unwrap();
        assert_eq!(
            (text("new"), text("old")),
            (old.to_owned(), "over\n".to_owned())
        );
        trial.last()
    };
    assert_eq!(run("one", true), "learned");
    assert_eq!(run("one", true), "hit");
    assert_eq!(run("two", true), "learned");
    assert_eq!(run("one", false), "learned");
    assert_eq!(run("two", true), "hit");
}
