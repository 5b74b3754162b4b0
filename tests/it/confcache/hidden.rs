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

/// What lies about under a name that only checks use may be of another one, or of the script.
#[test]
fn what_a_script_puts_where_checks_have_theirs_counts() {
    for (before, body) in [
        ("echo \"$2\" >conftest.in", "ac_cv_x=`cat conftest.in`"),
        (
            "echo \"$2\" >conftest.in",
            "ac_cv_x=`cat conftest.in`; rm -f conftest*",
        ),
        (
            "test -z \"$2\" || : >conftest.stamp",
            "ac_cv_x=no; test -f conftest.stamp && ac_cv_x=yes",
        ),
        (
            "test -z \"$2\" || : >conftest.stamp",
            "ac_cv_x=yes; test -f conftest.stamp || { ac_cv_x=no; : >conftest.stamp; }; rm -f conftest.stamp",
        ),
        (
            "test -z \"$2\" || : >conftest.stamp",
            "rm -f conftest*; ac_cv_x=yes",
        ),
    ] {
        let trial = trial(&format!(
            "{before}\n{}ls >&6\nrm -f conftest*\n",
            check("ac_cv_x", body)
        ));
        for argument in ["", "one", "two", ""] {
            asked(&trial, &["a", argument]);
        }
    }
    // It is still answered where there is what there was.
    let trial = trial(&format!(
        "echo \"$2\" >conftest.in\n{}rm -f conftest*\n",
        check(
            "ac_cv_x",
            "ac_cv_x=`cat conftest.in`; : >conftest.c; rm conftest.c"
        )
    ));
    for (argument, known) in [("one", 0), ("two", 0), ("one", 1)] {
        assert_eq!(asked(&trial, &["a", argument]), (known, 1));
    }
}

#[test]
fn what_a_check_has_compiled_is_there_when_it_is_answered() {
    for body in [
        "echo 'int x;' >conftest.c; cc -c conftest.c && ac_cv_x=yes",
        "if (eval \"$ac_compile\"); then ac_cv_x=yes; fi",
    ] {
        let trial = trial(&format!(
            "ac_compile='$CC -c conftest.c'\nCC=cc\necho 'int x;' >conftest.c\n{}nm conftest.o >&6\nrm -f conftest*\n",
            check("ac_cv_x", body)
        ));
        for (argument, known) in [("a", 0), ("b", 1)] {
            assert_eq!(asked(&trial, &[argument]), (known, 1), "{body}");
        }
    }
    // What is no file is not put there.
    let trial = trial(&format!(
        "{}rmdir conftest.d && echo gone >&6\n",
        check("ac_cv_x", "mkdir conftest.d; ac_cv_x=yes")
    ));
    for argument in ["a", "b"] {
        assert_eq!(asked(&trial, &[argument]), (0, 1));
    }
}

/// Texts that a check leaves are there too when it is answered, behind the definitions of now.
#[test]
fn what_a_check_leaves_is_there_when_it_is_answered() {
    for (before, body) in [
        (
            ":",
            "cat confdefs.h - <<_E >conftest.c\nint x = 'y';\n_E\nac_cv_x=yes",
        ),
        (":", "echo \"it's\" >conftest.one; ac_cv_x=yes"),
        (
            "echo one >conftest.one",
            "echo two >conftest.one; ac_cv_x=yes",
        ),
        ("echo one >conftest.one", "rm conftest*; ac_cv_x=yes"),
        ("umask 027", "echo one >conftest.one; ac_cv_x=yes"),
    ] {
        let trial = trial(&format!(
            "{before}\n{}ls -l conftest* | cut -c1-10 >&6\ncat conftest* /dev/null >&6\nrm -f conftest*\n",
            check("ac_cv_x", body)
        ));
        for (argument, known) in [("a", 0), ("a", 1), ("b", 1)] {
            assert_eq!(asked(&trial, &[argument]), (known, 1), "{body}");
        }
    }
    // One that is a program is not put there by a shell.
    let body = "echo : >conftest.one; chmod 755 conftest.one; ac_cv_x=yes";
    let trial = trial(&format!(
        "{}./conftest.one\nrm -f conftest*\n",
        check("ac_cv_x", body)
    ));
    assert_eq!(asked(&trial, &["a"]), (0, 1));
    assert_eq!(asked(&trial, &["a"]), (0, 1));
}

/// What lies about may be a part of the next program.
#[test]
fn definitions_count_for_what_lies_about() {
    let trial = trial(&format!(
        "echo \"$2\" >>confdefs.h\nprintf '#ifdef NEW_ONE\\nanswer=one\\n#endif\\n' >conftest.in\n{}rm -f conftest*\n",
        check(
            "ac_cv_x",
            "cat confdefs.h conftest.in >conftest.c; ac_cv_x=`cc -E conftest.c | grep answer`; rm conftest.c"
        )
    ));
    for (definition, known) in [("", 0), ("", 1), ("#define NEW_ONE 1", 0)] {
        assert_eq!(asked(&trial, &["a", definition]), (known, 1));
    }
}

/// A macro says the line of whoever uses it.
#[test]
fn a_header_whose_macro_says_the_line_counts() {
    let parts = |lines: &str, program: &str| {
        script(&[
            format!("CPPFLAGS=-I$OUT\nprintf '#define VIA SAY\\n{lines}' >>confdefs.h\n"),
            asks("one", &format!("#include <h.h>\n{program}"), LINK_AND_RUN),
        ])
    };
    for (program, moves) in [
        ("int main (void) { SAY; return 0; }", false),
        ("int main (void) { OUTER; return 0; }", false),
        ("int main (void) { OF (SA, Y); return 0; }", false),
        ("int main (void) { JOIN (Y); return 0; }", false),
        ("int main (void) { VIA; return 0; }", false),
        (
            "int main (void) { printf (\"%d\\\\n\", here); return 0; }",
            true,
        ),
        ("int main (void) { return 0; }", true),
    ] {
        let trial = Trial::new(&parts("", program));
        trial.put(
            "out/h.h",
            "#include <stdio.h>\n#include \"more.h\"\n#define SAY printf (\"%d\\n\", \\\n  __LINE__)\nint here = __LINE__;\n",
        );
        trial.put(
            "out/more.h",
            "/* __DATE__ */\n# define OUTER SAY\n#define OF(a, b) a ## b\n#define JOIN(a) SA ## a\n",
        );
        assert_eq!(compiles(&trial, &["a"]), (0, 1), "{program}");
        assert_eq!(compiles(&trial, &["a"]), (1, 1), "{program}");
        trial.script(&parts("#define NOBODY 1\\n", program));
        assert_eq!(
            compiles(&trial, &["a"]),
            (usize::from(moves), 1),
            "{program}"
        );
    }
}

#[test]
fn a_header_that_says_the_time_counts() {
    for (header, known) in [
        ("#define T __DATE__ \" \" __TIME__\n", 0),
        ("#define U __TIMESTAMP__\n#define T U\n", 0),
        ("static const char t[] = __TIME__;\n#define T t\n", 0),
        (
            "#define U __TIME__\nstatic const char t[] = U;\n#define T t\n",
            0,
        ),
        ("#define U __TIME__\n#define T \"\"\n", 1),
    ] {
        let program = "#include <h.h>\n#include <stdio.h>\nint main (void) { puts (T); return 0; }";
        let trial = Trial::new(&script(&[
            "CPPFLAGS=-I$OUT\n".to_owned(),
            asks("one", program, "(eval $ac_link) 2>conftest.err"),
        ]));
        trial.put("out/h.h", header);
        compiles(&trial, &["a"]);
        assert_eq!(compiles(&trial, &["a"]).0, known, "{header}");
    }
}

/// What is logged, and definitions that are read by others than compilers, are in no question.
#[test]
fn what_is_read_besides_counts() {
    for (before, body) in [
        (
            "echo \"NEW_$2\" >&5",
            "if grep NEW_TWO config.log >/dev/null; then ac_cv_x=yes; else ac_cv_x=no; fi",
        ),
        ("", "ac_cv_x=`\"$OUT/tool\"`"),
        ("", "ac_cv_x=`./tool`"),
        ("defs=confdefs.h", "ac_cv_x=`sed -n 's/.*NEW//p' $defs`"),
        ("", "d=confdefs; ac_cv_x=`sed -n 's/.*NEW//p' $d.h`"),
        (". \"$OUT/helpers\"", "ac_cv_x=`probe`"),
    ] {
        let trial = trial(&format!(
            "cp \"$OUT/tool\" .\necho \"#define NEW_$2 1\" >>confdefs.h\n{before}\n{}rm tool\n",
            check("ac_cv_x", body)
        ));
        trial.put("out/tool", "#!/bin/sh\nsed -n 's/.*NEW/NEW/p' confdefs.h\n");
        trial.put(
            "out/helpers",
            "probe () { sed -n 's/.*NEW/NEW/p' confdefs.h; }\n",
        );
        fs::set_permissions(trial.path("out/tool"), fs::Permissions::from_mode(0o755)).unwrap();
        let path = trial.path("build/configure");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text.replacen("#! /bin/sh\n", "#! /bin/bash\n", 1)).unwrap();
        for word in ["ONE", "TWO", "ONE"] {
            asked(&trial, &["a", word]);
        }
    }
}

#[test]
fn a_compiler_that_reads_the_definitions_itself_is_not_answered() {
    for reads in ["confdefs.h", "config.log"] {
        let trial = Trial::new(&script(&[
            "echo \"#define NEW_$2 1\" >>confdefs.h; echo \"NEW_$2\" >&5\n".to_owned(),
            asks(
                "one",
                "int x;",
                "(eval $ac_compile) 2>conftest.err; cat conftest.o >&6",
            ),
        ]));
        trial.put(
            "bin/cc",
            &format!("#!/bin/sh\nsed -n 's/.*NEW/NEW/p' {reads} >conftest.o\n"),
        );
        fs::set_permissions(trial.path("bin/cc"), fs::Permissions::from_mode(0o755)).unwrap();
        for word in ["ONE", "TWO"] {
            assert_eq!(compiles(&trial, &["a", word]).0, 0, "{reads}");
        }
    }
}

#[test]
fn where_the_order_of_what_a_compiler_writes_is_seen_it_is_not_asked() {
    let trial = Trial::new(&script(&[
        "ac_compile='$CC -c conftest.$ac_ext 2>&1'\n".to_owned(),
        asks(
            "one",
            "int x;",
            "x=`(eval \"$ac_compile\")`; echo \"$x\" >&6",
        ),
    ]));
    trial.put(
        "bin/cc",
        "#!/bin/sh\necho one; echo two >&2; echo three; : >conftest.o\n",
    );
    fs::set_permissions(trial.path("bin/cc"), fs::Permissions::from_mode(0o755)).unwrap();
    for _ in 0..2 {
        assert_eq!(compiles(&trial, &["a"]).0, 0);
    }
}

/// What a program prints may be a name, which no text of the check has.
#[test]
fn names_that_a_check_makes_up_count() {
    let begins = "ac_compile='$CC -c conftest.c'\nCC=cc\nword=foo upper=FOO\n";
    let program = |name: &str| {
        format!(
            "cat confdefs.h - <<_E >conftest.c\n#if{name}\nanswer=yes\n#endif\n_E\nac_cv_x=no\n"
        )
    };
    let own = "cc -E conftest.c | grep answer=yes >/dev/null && ac_cv_x=yes; rm -f conftest*";
    let asks = "(eval \"$ac_compile\") 2>/dev/null || ac_cv_x=yes; rm -f conftest*";
    for compile in [own, asks] {
        for (before, name) in [
            ("n=HAVE_`echo foo | tr a-z A-Z`", "def $n"),
            ("n=HAVE_$(echo $word | tr a-z A-Z)", "def $n"),
            ("", "def HAVE_`echo foo | tr a-z A-Z`"),
            ("", "def HAVE_$upper"),
            ("n=HAVE_\"$upper\"", "def $n"),
        ] {
            let body = format!("{before}\n{}{compile}", program(name));
            let trial = trial(&format!(
                "{begins}echo \"$2\" >>confdefs.h\n{}",
                check("ac_cv_x", &body)
            ));
            for definition in ["", "#define HAVE_FOO 1", ""] {
                asked(&trial, &["a", definition]);
            }
        }
    }
    // Where the compiler is asked for, what is made of a value counts only if it is another name.
    let body = format!(
        "n=`echo \"$word (int)\" | cut -d' ' -f1`\n{}{asks}",
        program("def $n")
    );
    let trial = super::answers::trial(&format!(
        "{begins}echo \"$2\" >>confdefs.h\n{}",
        check("ac_cv_x", &body)
    ));
    for (definition, known) in [("", 0), ("#define NOBODY 1", 1), ("#define foo 1", 0)] {
        assert_eq!(asked(&trial, &["a", definition]), (known, 1));
    }
    // Others still do not count.
    let body = format!("{}{own}", program("def HAVE_$upper"));
    let trial = super::answers::trial(&format!(
        "{begins}echo \"$2\" >>confdefs.h\n{}",
        check("ac_cv_x", &body)
    ));
    for (definition, known) in [("", 0), ("#define NOBODY 1", 1), ("#define HAVE_FOO 1", 0)] {
        assert_eq!(asked(&trial, &["a", definition]), (known, 1));
    }
}
