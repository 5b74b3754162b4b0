//! What compilers do, shared between scripts that say it in other words.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::answers::{asks as checks_of, check};
use super::{Trial, shown};
use crate::support::Outcome;

/// What autoconf has scripts begin with, as far as compilers need it.
const BEGIN: &str = r##"exec 5>config.log
ac_ext=c
ac_objext=o
ac_exeext=
CC=${CC-cc}
CPP="$CC -E"
ac_cpp='$CPP $CPPFLAGS'
ac_compile='$CC -c $CFLAGS $CPPFLAGS conftest.$ac_ext >&5'
ac_link='$CC -o conftest$ac_exeext $CFLAGS $CPPFLAGS $LDFLAGS conftest.$ac_ext $LIBS >&5'
printf '%s\n' "#define PACKAGE_NAME \"$1\"" >confdefs.h
"##;
const END: &str = "rm -f confdefs.h\n: >config.status\n";

/// Writes a program behind the definitions and does something with it, in words of its own.
pub(super) fn asks(word: &str, program: &str, rest: &str) -> String {
    format!(
        ": {word}\ncat confdefs.h - <<_ACEOF >conftest.$ac_ext\n/* end confdefs.h.  */\n{program}\n_ACEOF\n{rest}\n\
         cat conftest.err >&6\nrm -f conftest*\n"
    )
}

pub(super) const COMPILE: &str = "if { (eval \"$ac_compile\") 2>conftest.err\n  test $? = 0; }\nthen echo compiled >&6; else echo not >&6\nfi";
pub(super) const LINK_AND_RUN: &str = "if (eval $ac_link) 2>conftest.err && ./conftest$ac_exeext >&6; then echo ran >&6; else echo not >&6; fi";
pub(super) const PREPROCESS: &str =
    "if (eval \"$ac_cpp conftest.$ac_ext\") 2>conftest.err |\n  grep answer= >&6\nthen :\nfi";

pub(super) fn script(parts: &[String]) -> String {
    format!("{BEGIN}{}{END}", parts.concat())
}

/// How many of how many runs of compilers that were asked for were answered.
fn answered(outcome: &Outcome) -> (usize, usize) {
    let mut lines = outcome.stderr.lines();
    let Some(line) = lines.find(|line| line.contains("runs of compilers")) else {
        return (0, 0);
    };
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
    let all = numbers.next().unwrap();
    (numbers.next().unwrap(), all)
}

/// Runs the script with the cache and without: what it says and leaves must be the same, but for temporary names.
#[track_caller]
pub(super) fn compiles(trial: &Trial, arguments: &[&str]) -> (usize, usize) {
    compiles_with(trial, arguments, &[])
}

#[track_caller]
fn compiles_with(trial: &Trial, arguments: &[&str], variables: &[(&str, &str)]) -> (usize, usize) {
    let nameless = |text: &str| {
        regex::Regex::new("/cc[A-Za-z0-9]{6}\\b")
            .unwrap()
            .replace_all(text, "/cc")
            .into_owned()
    };
    let seen = || -> Vec<String> {
        let all = shown(&trial.path("build"));
        all.iter().map(|line| nameless(line)).collect()
    };
    let [(plain, expected), (cached, found)] = trial.with_and_without(arguments, variables, seen);
    assert_eq!(nameless(&plain.stdout), nameless(&cached.stdout));
    assert_eq!(expected, found);
    answered(&cached)
}

#[test]
fn other_words_for_the_same_program_are_answered() {
    let program = "#include <limits.h>\nint main (void) { return INT_MAX != 2147483647; }";
    let bad = "#include <no/such/header.h>\nint x;";
    let parts = |word: &str| {
        script(&[
            asks(word, program, COMPILE),
            asks(word, program, LINK_AND_RUN),
            asks(word, bad, COMPILE),
            asks(word, "int main (void) { return missing (); }", LINK_AND_RUN),
            asks(word, "answer=__INT_MAX__", PREPROCESS),
        ])
    };
    let trial = Trial::new(&parts("one"));
    assert_eq!(compiles(&trial, &["a"]), (0, 5));
    trial.script(&parts("two"));
    assert_eq!(compiles(&trial, &["a"]), (5, 5));
    // The name of the package matters to nobody.
    assert_eq!(compiles(&trial, &["b"]), (5, 5));
    // More lines stand before the programs: messages are about other ones, and what is printed may be.
    trial.script(&parts("two").replace(
        "#define PACKAGE_NAME",
        "#define NOBODY 1\n#define PACKAGE_NAME",
    ));
    assert_eq!(compiles(&trial, &["b"]), (4, 5));
    fs::rename(trial.path("build"), trial.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", trial.path("build")).unwrap();
    assert_eq!(compiles(&trial, &["b"]), (5, 5));
}

#[test]
fn what_the_program_sees_counts() {
    let program = "#include \"$OUT/header.h\"\n#ifdef IT\nint x = IT;\n#else\nint x;\n#endif";
    let parts = |word: &str, define: &str| {
        script(&[
            format!("printf '%s\\n' '{define}' >>confdefs.h\n"),
            asks(word, program, COMPILE),
        ])
    };
    let trial = Trial::new(&parts("one", ""));
    trial.put(
        "out/header.h",
        "#ifdef FROM_HEADER\n#define IT FROM_HEADER\n#endif\n",
    );
    assert_eq!(compiles(&trial, &["a"]), (0, 1));
    for define in [
        "#define IT 1",
        "#define IT oops",
        "#define FROM_HEADER 2",
        "#define x y",
    ] {
        trial.script(&parts("one", define));
        assert_eq!(compiles(&trial, &["a"]), (0, 1), "{define}");
        trial.script(&parts("two", define));
        assert_eq!(compiles(&trial, &["a"]), (1, 1), "{define}");
    }
    trial.script(&parts("three", "#define NOBODY 1"));
    assert_eq!(compiles(&trial, &["a"]), (1, 1));
    trial.put("out/header.h", "int other;\n");
    assert_eq!(compiles(&trial, &["a"]), (0, 1));
    assert_eq!(compiles(&trial, &["a"]), (1, 1));
    // A header that is found earlier.
    fs::create_dir(trial.path("out/first")).unwrap();
    let found = |word: &str| {
        let include = asks(word, "#include <own.h>\nint x = OWN;", COMPILE);
        script(&["CPPFLAGS=\"-I$OUT/first -I$OUT\"\n".to_owned(), include])
    };
    trial.put("out/own.h", "#define OWN 1\n");
    trial.script(&found("one"));
    assert_eq!(compiles(&trial, &["a"]), (0, 1));
    trial.put("out/first/own.h", "#define OWN oops\n");
    trial.script(&found("two"));
    assert_eq!(compiles(&trial, &["a"]), (0, 1));
    fs::remove_file(trial.path("out/first/own.h")).unwrap();
    assert_eq!(compiles(&trial, &["a"]), (1, 1));
}

#[test]
fn the_command_and_its_environment_count() {
    let parts = |word: &str, before: &str| {
        script(&[
            format!("{before}\n"),
            asks(
                word,
                "#ifdef IT\nint main (void) { return 0; }\n#endif",
                LINK_AND_RUN,
            ),
        ])
    };
    let trial = Trial::new(&parts("one", ""));
    assert_eq!(compiles(&trial, &["a"]), (0, 1));
    for before in [
        "CPPFLAGS=-DIT",
        "CFLAGS='-DIT -O2'",
        "CC='cc -DIT'",
        "LIBS=-lm",
        "LIBRARY_PATH=$OUT; export LIBRARY_PATH",
        "CPATH=$OUT; export CPATH",
    ] {
        trial.script(&parts("one", before));
        assert_eq!(compiles(&trial, &["a"]), (0, 1), "{before}");
        trial.script(&parts("two", before));
        assert_eq!(compiles(&trial, &["a"]), (1, 1), "{before}");
    }
    // A compiler that is found earlier, and then no more.
    trial.put(
        "bin/cc",
        "#!/bin/sh\necho other >&2\nexec /usr/bin/cc -DIT \"$@\"\n",
    );
    fs::set_permissions(trial.path("bin/cc"), fs::Permissions::from_mode(0o755)).unwrap();
    trial.script(&parts("one", ""));
    assert_eq!(compiles(&trial, &["a"]), (0, 1));
    trial.script(&parts("three", ""));
    assert_eq!(compiles(&trial, &["a"]), (1, 1));
    fs::remove_file(trial.path("bin/cc")).unwrap();
    trial.script(&parts("four", ""));
    assert_eq!(compiles(&trial, &["a"]), (1, 1));
}

#[test]
fn where_a_program_stands_counts_if_it_says_so() {
    let parts = |word: &str, lines: &str| {
        script(&[
            format!("printf '{lines}' >>confdefs.h\n"),
            asks(
                word,
                "#include <stdio.h>\nint main (void) { printf (\"line %d\\\\n\", __LINE__); return 0; }",
                LINK_AND_RUN,
            ),
            asks(
                word,
                "#include <assert.h>\nint main (int c, char **v) { assert (c > 5); return 0; }",
                "if (eval \"$ac_link\") 2>conftest.err; then (./conftest; :) 2>&1 | sed 's/.*conftest.c/c/' >&6; fi",
            ),
        ])
    };
    let trial = Trial::new(&parts("one", ""));
    assert_eq!(compiles(&trial, &["a"]), (0, 2));
    trial.script(&parts("two", ""));
    assert_eq!(compiles(&trial, &["a"]), (2, 2));
    trial.script(&parts("two", "#define NOBODY 1\\n"));
    assert_eq!(compiles(&trial, &["a"]), (0, 2));
}

#[test]
fn a_check_that_says_where_its_program_stands_is_answered_there_only() {
    let program =
        |text: &str| format!("cat confdefs.h - <<_ACEOF >conftest.$ac_ext\n{text}\n_ACEOF\n");
    let line = "#include <stdio.h>\nint main (void) { printf (\"%d\\n\", __LINE__); return 0; }";
    let by_header = "#include \"$OUT/line.h\"\n#include <stdio.h>\nint main (void) { printf (\"%d\\n\", WHERE); return 0; }";
    let runs = "\nac_cv_x=`./conftest$ac_exeext`\nrm -f conftest*";
    let direct = format!("$CC -o conftest conftest.$ac_ext{runs}");
    let asked = format!("if (eval \"$ac_link\") 2>conftest.err\nthen :\nfi{runs}");
    // What is left lying about says so too, in what is for debuggers or in messages.
    let object = "$CC -g -c conftest.$ac_ext\nac_cv_x=yes\nrm -f conftest.$ac_ext";
    let messages =
        "$CC -c conftest.$ac_ext 2>conftest.err\nac_cv_x=yes\nrm -f conftest.o conftest.$ac_ext";
    let said = "ac_cv_x=`$CC -c conftest.$ac_ext 2>&1`\nrm -f conftest*";
    let read = "(eval \"$ac_compile\") 2>conftest.err\nac_cv_x=`cat conftest.err`\nrm -f conftest*";
    let preprocessed = "ac_cv_x=`(eval \"$ac_cpp conftest.$ac_ext\") 2>/dev/null | sed -n 's/^x=//p'`\nrm -f conftest*";
    for body in [
        program("#warning here") + said,
        program("#warning here") + read,
        program("#include \"$OUT/line.h\"\nx=WHERE") + preprocessed,
        program(line) + &direct,
        program(line) + &asked,
        program(by_header) + &direct,
        program(by_header) + &asked,
        program("int f (void) { return 0; }") + object,
        program("#warning here") + messages,
    ] {
        let parts = |lines: &str| {
            script(&[
                format!("printf '{lines}' >>confdefs.h\n"),
                check("ac_cv_x", &body),
                "cat conftest.[eo]* | cksum\nrm -f conftest*\n".to_owned(),
            ])
        };
        let trial = Trial::new(&parts(""));
        trial.put("out/line.h", "#define WHERE __LINE__\n");
        let one = "#define NOBODY 1\\n";
        let known = ["", "", one, "#define NONE 1\\n"].map(|lines| {
            trial.script(&parts(lines));
            checks_of(&trial, &["a"])
        });
        assert_eq!(known, [(0, 1), (1, 1), (0, 1), (1, 1)], "{body}");
    }
}

/// What debuggers are told of an object is that of the program that was compiled first.
#[test]
fn objects_that_are_left_may_be_of_a_program_elsewhere() {
    let parts = |lines: &str| {
        let body = "cat confdefs.h - <<_ACEOF >conftest.$ac_ext\nint f (void) { return 0; }\n_ACEOF\n\
                    if (eval \"$ac_compile\") 2>conftest.err\nthen :\n  ac_cv_x=yes\nfi\nrm -f conftest.err conftest.$ac_ext";
        script(&[
            format!("CFLAGS=-g\nprintf '{lines}' >>confdefs.h\n"),
            check("ac_cv_x", body),
            "rm -f conftest*\n".to_owned(),
        ])
    };
    let trial = Trial::new(&parts(""));
    assert_eq!(compiles(&trial, &["a"]), (0, 1));
    trial.script(&parts("#define NOBODY 1\\n"));
    assert_eq!(compiles(&trial, &["a"]), (1, 1));
    trial.clean();
    let words = ["-v", "--verify", "--", "./configure", "a"];
    let outcome = trial.confcache(&words);
    assert!(
        outcome.succeeds().stderr.contains("1 are as was known"),
        "{outcome}"
    );
}

#[test]
fn the_folder_counts_if_it_is_in_the_program() {
    let parts = |word: &str| {
        let program = "#include <stdio.h>\nint main (void) { puts (HERE); return 0; }";
        script(&[
            "CPPFLAGS='-include here.h'; echo \"#define HERE \\\"`pwd`\\\"\" >here.h\n".to_owned(),
            asks(word, program, LINK_AND_RUN),
            "rm here.h\n".to_owned(),
        ])
    };
    let trial = Trial::new(&parts("one"));
    assert_eq!(compiles(&trial, &["a"]), (0, 1));
    trial.script(&parts("two"));
    assert_eq!(compiles(&trial, &["a"]), (1, 1));
    fs::rename(trial.path("build"), trial.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", trial.path("build")).unwrap();
    assert_eq!(compiles(&trial, &["a"]), (0, 1));
}

#[test]
fn what_is_left_over_is_put_back_too() {
    let left = "umask 027\nif (eval \"$ac_link\") 2>conftest.err; then mv conftest kept; fi";
    let parts = |word: &str| script(&[asks(word, "int main (void) { return 0; }", left)]);
    let trial = Trial::new(&parts("one"));
    assert_eq!(compiles(&trial, &["a"]), (0, 1));
    trial.script(&parts("two"));
    assert_eq!(compiles(&trial, &["a"]), (1, 1));
    // The run that was answered can be put back as a whole.
    trial.clean();
    trial
        .confcache(&["-v", "--", "./configure", "a"])
        .succeeds();
    let expected = shown(&trial.path("build"));
    trial.clean();
    let outcome = trial.confcache(&["-v", "--", "./configure", "a"]);
    assert!(outcome.stderr.contains("put back"), "{}", outcome.stderr);
    assert_eq!(shown(&trial.path("build")), expected);
}

#[test]
fn a_check_depends_on_what_its_compilers_found() {
    let check = |word: &str| {
        format!(
            "printf %s \"checking... \" >&6\nif test ${{ac_cv_x+y}}\nthen :\n  printf %s \"(cached) \" >&6\nelse $as_nop\n\
             {}ac_cv_x=$it\nfi\nprintf \"%s\\n\" \"$ac_cv_x\" >&6\n",
            asks(
                word,
                "#include \"$OUT/header.h\"\nint x;",
                "it=no\nif (eval \"$ac_compile\") 2>conftest.err; then it=yes; fi; : >conftest.err"
            )
        )
    };
    // What it prints is printed by its compiler's caller only.
    let script = |word: &str| {
        script(&[
            "as_nop=:\n".to_owned(),
            check(word).replace("cat conftest.err >&6\n", ""),
        ])
    };
    let trial = Trial::new(&script("one"));
    trial.put("out/header.h", "int y;\n");
    let run = || {
        trial.clean();
        let outcome = trial.confcache(&["-v", "--no-replay", "--", "./configure", "a"]);
        assert!(outcome.status.success(), "{}", outcome.stderr);
        outcome
    };
    assert_eq!(answered(&run()), (0, 1));
    // The check itself is new, what it has compiled is not.
    trial.script(&script("two"));
    let outcome = run();
    assert_eq!(answered(&outcome), (1, 1));
    assert!(
        outcome.stderr.contains("of 1 checks 0 were answered"),
        "{}",
        outcome.stderr
    );
    let outcome = run();
    assert!(
        outcome.stderr.contains("of 1 checks 1 were answered"),
        "{}",
        outcome.stderr
    );
    // It depends on the header that it has never read itself.
    trial.put("out/header.h", "oops\n");
    let outcome = run();
    assert!(
        outcome.stderr.contains("of 1 checks 0 were answered"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stdout.contains("no"), "{}", outcome.stdout);
    let why = trial.confcache(&["why", "ac_cv_x"]);
    assert!(why.stdout.contains("header.h"), "{}", why.stdout);
}

#[test]
fn a_compiler_that_lies_is_found_out() {
    let parts = |word: &str| script(&[asks(word, "int main (void) { return 0; }", LINK_AND_RUN)]);
    let trial = Trial::new(&parts("one"));
    trial.put(
        "bin/cc",
        "#!/bin/sh\nread -r id </proc/sys/kernel/random/uuid\necho \"int id = sizeof \\\"$id\\\";\" >/dev/null\n\
         echo \"$id\" >&2\nexec /usr/bin/cc \"$@\"\n",
    );
    fs::set_permissions(trial.path("bin/cc"), fs::Permissions::from_mode(0o755)).unwrap();
    let run = |word: &str| trial.confcache(&["-v", word, "--", "./configure", "a"]);
    assert!(run("--no-replay").status.success());
    trial.clean();
    trial.script(&parts("two"));
    let outcome = run("--verify");
    assert_eq!(outcome.code(), 1, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("cc -o conftest"),
        "{}",
        outcome.stderr
    );
    // One that does not is found to be the same.
    fs::remove_file(trial.path("bin/cc")).unwrap();
    trial.clean();
    assert!(run("--no-replay").status.success());
    trial.clean();
    trial.script(&parts("three"));
    run("--verify").succeeds();
}

#[test]
fn what_is_odd_is_not_asked() {
    let program = "const char *x = __TIME__;";
    let trial = Trial::new(&script(&[
        asks("one", program, COMPILE),
        // Somewhere else, from a pipe, with a name that is none.
        "mkdir sub; (cd sub; echo 'int x;' >conftest.c; (eval \"$ac_compile\") 2>&5; ls); rm -r sub\n".to_owned(),
        "ac_compile='$CC -c -x c - -o piped.o'; echo 'int x;' | (eval \"$ac_compile\") 2>&5; rm piped.o\n".to_owned(),
        "CC=no-such-compiler; ac_compile='$CC conftest.c'; (eval \"$ac_compile\") 2>&5; echo $?\n".to_owned(),
"CC=killed; (eval \"$ac_compile\") 2>&5; echo $?\n".to_owned(),
    ]));
    trial.put("bin/killed", "#!/bin/sh\nkill -9 $$\n");
    fs::set_permissions(trial.path("bin/killed"), fs::Permissions::from_mode(0o755)).unwrap();
    for _ in 0..2 {
        trial.clean();
        let plain = Outcome::of(&mut trial.command("./configure", &["a"]));
        trial.clean();
        let cached = trial.confcache(&["-v", "--no-replay", "--", "./configure", "a"]);
        assert_eq!(plain.stdout, cached.stdout, "{}", cached.stderr);
        assert_eq!(answered(&cached).0, 0, "{}", cached.stderr);
    }
}

/// What is said of a program, or counted in it, tells how many lines are before it.
#[test]
fn values_that_tell_lines_are_for_as_many_lines() {
    for value in [
        "`(eval \"$ac_compile\") 2>&1 5>&1 | sed -n 's/^conftest.c:\\([0-9]*\\):.*warning.*/\\1/p'`",
        "`$CC -c conftest.c 2>&1 | sed -n 's/^conftest.c\\(:[0-9]*\\):.*warning.*/\\1/p'`",
        "`(eval \"$ac_compile\") 2>conftest.err; sed -n 's/.*c:\\([0-9]*\\):[0-9]*: w.*/\\1/p' conftest.err`",
        "`grep -n here conftest.c`",
        "`wc -l <conftest.$ac_ext`",
        "`$CC -E conftest.c 2>/dev/null | wc -l`",
    ] {
        let body = format!(
            "cat confdefs.h - <<_ACEOF >conftest.c\n#warning here\nint it;\n_ACEOF\nac_cv_x={value}\nrm -f conftest*"
        );
        let more = "case $2 in yes) printf '#define HAVE_ONE 1\\n#define HAVE_TWO 1\\n' >>confdefs.h ;; esac\n";
        let trial = Trial::new(&script(&[more.to_owned(), check("ac_cv_x", &body)]));
        for (arguments, known) in [
            (["a", "no"], 0),
            (["b", "no"], 1),
            (["a", "yes"], 0),
            (["b", "yes"], 1),
        ] {
            assert_eq!(
                checks_of(&trial, &arguments),
                (known, 1),
                "{value} {arguments:?}"
            );
        }
    }
    // Whether there is a message is no number.
    let body = "cat confdefs.h - <<_ACEOF >conftest.c\nint it;\n_ACEOF\nif (eval \"$ac_compile\") 2>conftest.err && test ! -s conftest.err\nthen ac_cv_x=yes; fi\nrm -f conftest*";
    let more = "case $2 in yes) echo '#define HAVE_ONE 1' >>confdefs.h ;; esac\n";
    let trial = Trial::new(&script(&[more.to_owned(), check("ac_cv_x", body)]));
    assert_eq!(checks_of(&trial, &["a", "no"]), (0, 1));
    assert_eq!(checks_of(&trial, &["b", "yes"]), (1, 1));
}
