//! What compilers and checks see that stands neither in their own words nor in the text of a program.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::Trial;
use super::answers::{asks as asked, check, trial};
use super::compilers::{COMPILE, LINK_AND_RUN, asks, compiles, script};

/// What a command does that is no program is in no word of it.
#[test]
fn a_function_of_the_script_is_no_compiler() {
    let program = "#include <stdio.h>\nint main (void) { printf (\"%d\\\\n\", W); return 0; }";
    let parts = |number: u32, command: &str| {
        script(&[
            format!(
                "my_cc () {{\n  cc -DW={number} \"$@\"\n}}\ncc () {{\n  command cc -DW={number} \"$@\"\n}}\n\
                 CC='{command}'\n"
            ),
            asks("one", program, LINK_AND_RUN),
        ])
    };
    for command in ["my_cc", "cc", "eval my_cc"] {
        let trial = Trial::new(&parts(1, command));
        for number in [1, 1, 2] {
            trial.script(&parts(number, command));
            assert_eq!(compiles(&trial, &["a"]).0, 0, "{command}");
        }
    }
}

#[test]
fn a_function_that_a_file_has_brought_is_no_compiler() {
    let program = "#include <stdio.h>\nint main (void) { printf (\"%d\\\\n\", W); return 0; }";
    let trial = Trial::new(&script(&[
        ". \"$OUT/helpers\"\n".to_owned(),
        asks("one", program, LINK_AND_RUN),
    ]));
    let path = trial.path("build/configure");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, text.replacen("#! /bin/sh\n", "#! /bin/bash\n", 1)).unwrap();
    for number in [1, 1, 2] {
        let helper = format!("cc () {{ command cc -DW={number} \"$@\"; }}\n");
        trial.put("out/helpers", &helper);
        assert_eq!(compiles(&trial, &["a"]).0, 0);
    }
}

/// What is read from where nobody looks is part of no question.
#[test]
fn a_compiler_that_reads_what_is_open_is_not_asked() {
    for command in [
        "$CC -c -x c /dev/stdin -o conftest.o",
        "$CC -c -x c /dev/fd/0 -o conftest.o",
        "$CC -c -x c /proc/self/fd/0 -o conftest.o",
        "$CC -c conftest.c -include /dev/stdin",
        "$CC @conftest.words -c conftest.c -include -",
        "$CC -c -o conftest.o",
    ] {
        let trial = Trial::new(&script(&[format!(
            "ac_compile='{command}'\n: >conftest.c; : >conftest.words\n\
             if echo \"$2\" | (eval \"$ac_compile\") 2>conftest.err; then echo yes >&6; else echo no >&6; fi\n\
             rm -f conftest*\n"
        )]));
        // A compiler that takes its program from wherever it comes.
        trial.put(
            "bin/cc",
            "#!/bin/sh\ncase $* in '-c -o conftest.o') exec /usr/bin/cc -x c - \"$@\" ;; esac\nexec /usr/bin/cc \"$@\"\n",
        );
        fs::set_permissions(trial.path("bin/cc"), fs::Permissions::from_mode(0o755)).unwrap();
        for program in ["int x;", "int x;", "oops", "int x;"] {
            assert_eq!(compiles(&trial, &["a", program]).0, 0, "{command}");
        }
    }
}

/// A compiler that is told to complain of what no program uses, or to write that down, sees all definitions.
#[test]
fn options_in_the_text_of_a_check_mind_definitions() {
    for compile in [
        "ac_cv_x=`cc -E -dM conftest.c | grep NEW_`",
        "o=M; ac_cv_x=`cc -E -d$o conftest.c | grep NEW_`",
        "ac_cv_x=no; cc -c -Werror -Wunused-macros conftest.c 2>/dev/null && ac_cv_x=yes",
        "ac_cv_x=no; CFLAGS=\"-Werror=unused-macros\"; cc -c $CFLAGS conftest.c 2>/dev/null && ac_cv_x=yes",
    ] {
        let body = format!(
            "cat confdefs.h - <<_E >conftest.c\nPACKAGE_NAME;\n_E\n{compile}; rm -f conftest*"
        );
        let trial = trial(&format!(
            "echo '#define PACKAGE_NAME int x' >confdefs.h; echo \"$2\" >>confdefs.h\n{}",
            check("ac_cv_x", &body)
        ));
        let new = "#define NEW_ONE 1";
        for (definition, known) in [
            ("", 0),
            ("", 1),
            (new, 0),
            (new, 1),
            ("#define NEW_TWO 1", 0),
        ] {
            assert_eq!(
                asked(&trial, &["a", definition]),
                (known, 1),
                "{compile}: {definition}"
            );
        }
    }
    // Words that only look like them.
    let body = "cat confdefs.h - <<_E >conftest.c\nint x;\n_E\nac_cv_x=no; test -d . && cc -c -Wall \\\n  -Wno-unused \
                conftest.c && ac_cv_x=`cc -dumpmachine`; rm -f conftest*";
    let trial = trial(&format!(
        "echo \"$2\" >>confdefs.h\n{}",
        check("ac_cv_x", body)
    ));
    for (definition, known) in [("", 0), ("#define NEW_ONE 1", 1)] {
        assert_eq!(asked(&trial, &["a", definition]), (known, 1));
    }
}

#[test]
fn warnings_that_are_errors_mind_definitions() {
    let parts = |definition: &str| {
        script(&[
            format!(
                "echo '#define USED int' >confdefs.h; echo '{definition}' >>confdefs.h\nCFLAGS=-Werror=unused-macros\n"
            ),
            asks("one", "USED x;", COMPILE),
        ])
    };
    let trial = Trial::new(&parts(""));
    assert_eq!(compiles(&trial, &["a"]), (0, 1));
    assert_eq!(compiles(&trial, &["a"]), (1, 1));
    trial.script(&parts("#define NEW_ONE 1"));
    assert_eq!(compiles(&trial, &["a"]), (0, 1));
}
