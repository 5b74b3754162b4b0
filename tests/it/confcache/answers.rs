//! Answers to checks, shared between scripts, arguments and folders.
//!
//! A script says what it found out on its standard output; that must be the same with and without a cache.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::Trial;
use crate::support::{EBD, Outcome};

/// A check of autoconf's form (2.71), whose answer is printed.
pub(super) fn check(variable: &str, body: &str) -> String {
    format!(
        "printf %s \"checking {variable}... \" >&6\nif test ${{{variable}+y}}\nthen :\n  printf %s \"(cached) \" >&6\n\
         else $as_nop\n{body}\nfi\nprintf \"%s\\n\" \"${variable}\" >&6\n"
    )
}

/// What compiles a text behind `confdefs.h`, and keeps the value of `IT` there.
pub(super) fn asks_the_compiler(variable: &str, text: &str) -> String {
    check(
        variable,
        &format!(
            "cat confdefs.h - <<_ACEOF >conftest.c\n{text}\nanswer=IT\n_ACEOF\n{variable}=`cc -E $CPPFLAGS conftest.c \
             2>/dev/null | sed -n 's/^answer=//p'`\nrm -f conftest.c"
        ),
    )
}

pub(super) const BEGIN: &str = "exec 5>config.log\nas_nop=:\nPACKAGE=$1\nprintf '%s\\n' \"#define PACKAGE_NAME \\\"$1\\\"\" >confdefs.h\n";
pub(super) const END: &str = "rm -f confdefs.h\n: >config.status\n";

pub(super) fn trial(checks: &str) -> Trial {
    Trial::new(&script(checks))
}

pub(super) fn script(checks: &str) -> String {
    format!("{BEGIN}{checks}{END}")
}

/// How many of how many checks were answered.
fn answered(outcome: &Outcome) -> (usize, usize) {
    let line = outcome
        .stderr
        .lines()
        .find(|line| line.contains("were answered"))
        .unwrap_or_default();
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(all), Some(known)) => (known, all),
        _ => panic!("nothing was asked:\n{}", outcome.stderr),
    }
}

/// Runs the script with the cache and without: what it says must be the same. Gives how many of how many checks were
/// answered.
#[track_caller]
pub(super) fn asks(trial: &Trial, arguments: &[&str]) -> (usize, usize) {
    asks_with(trial, arguments, &[])
}

#[track_caller]
pub(super) fn asks_with(
    trial: &Trial,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> (usize, usize) {
    let [(plain, ()), (cached, ())] = trial.with_and_without(arguments, variables, || ());
    assert_eq!(plain.stdout, cached.stdout);
    // Shown if a test fails.
    println!("{arguments:?}: {}", trial.confcache(&["why", "*"]).stdout);
    answered(&cached)
}

#[test]
fn other_arguments_and_folders_have_the_same_answers() {
    let trial = trial(&asks_the_compiler(
        "ac_cv_x",
        "#include <limits.h>\n#define IT INT_MAX",
    ));
    assert_eq!(asks(&trial, &["a"]), (0, 1));
    assert_eq!(asks(&trial, &["a"]), (1, 1));
    assert_eq!(asks(&trial, &["b"]), (1, 1));
    fs::rename(trial.path("build"), trial.path("elsewhere")).unwrap();
    symlink("elsewhere", trial.path("build")).unwrap();
    assert_eq!(asks(&trial, &["c"]), (1, 1));
}

/// What is named from the root is there, wherever the folder is that is configured.
#[test]
fn paths_near_another_folder_are_no_others() {
    let trial = trial(&check(
        "ac_cv_x",
        "if test -e \"$OUT/tool\"; then ac_cv_x=yes; else ac_cv_x=no; fi",
    ));
    assert_eq!(asks(&trial, &["a"]), (0, 1));
    fs::create_dir_all(trial.path("further/down")).unwrap();
    fs::rename(trial.path("build"), trial.path("further/down/build")).unwrap();
    symlink("further/down/build", trial.path("build")).unwrap();
    assert_eq!(asks(&trial, &["b"]), (1, 1));
    trial.put("out/tool", "");
    assert_eq!(asks(&trial, &["c"]), (0, 1));
    assert_eq!(asks(&trial, &["d"]), (1, 1));
}

/// The same path leads into the one folder, and to another from the other.
#[test]
fn the_path_of_a_folder_is_elsewhere_for_another() {
    for path in ["before", "link"] {
        let checks = check(
            "ac_cv_x",
            "if test -e \"$PLACE/near\"; then ac_cv_x=yes; else ac_cv_x=no; fi",
        );
        let trial = trial(&checks);
        fs::rename(trial.path("build"), trial.path("before")).unwrap();
        symlink("before", trial.path("build")).unwrap();
        symlink("before", trial.path("link")).unwrap();
        let place = trial.path(path).canonicalize().unwrap();
        let place = match path {
            "link" => place.with_file_name("link"),
            _ => place,
        };
        let variables = [("PLACE", place.to_str().unwrap())];
        assert_eq!(asks_with(&trial, &["a"], &variables), (0, 1));
        assert_eq!(asks_with(&trial, &["b"], &variables), (1, 1));
        fs::create_dir(trial.path("after")).unwrap();
        fs::remove_file(trial.path("build")).unwrap();
        symlink("after", trial.path("build")).unwrap();
        trial.script(&script(&checks));
        trial.put("before/near", "");
        assert_eq!(asks_with(&trial, &["c"], &variables), (0, 1));
    }
}

/// A program that a check runs may tell where it is.
#[test]
fn an_answer_with_the_folder_in_it_is_for_that_alone() {
    for told in ["pwd -P", "dirname \"`pwd -P`\""] {
        let trial = trial(&check("ac_cv_x", "ac_cv_x=`\"$OUT/tool\"`"));
        trial.put("out/tool", &format!("#!/bin/sh\n{told}\n"));
        let tool = trial.path("out/tool");
        fs::set_permissions(tool, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(asks(&trial, &["a"]), (0, 1));
        assert_eq!(asks(&trial, &["b"]), (1, 1));
        fs::create_dir(trial.path("further")).unwrap();
        fs::rename(trial.path("build"), trial.path("further/build")).unwrap();
        symlink("further/build", trial.path("build")).unwrap();
        assert_eq!(asks(&trial, &["c"]), (0, 1));
        assert_eq!(asks(&trial, &["d"]), (1, 1));
    }
}

/// What the shell is like that makes a check, which no text of the check mentions.
#[test]
fn where_and_how_the_shell_is_counts() {
    let all = "ac_cv_x=; for it in $LIST; do ac_cv_x=\"$ac_cv_x<$it>\"; done";
    let checks = check("ac_cv_x", all);
    let trial = trial(&format!("LIST='/usr/bi[n] b,c'\neval \"$2\"\n{checks}"));
    for before in ["", "IFS=,", "set -f", "IFS=", "set -f; IFS=,"] {
        assert_eq!(asks(&trial, &["a", before]), (0, 1), "{before}");
        assert_eq!(asks(&trial, &["b", before]), (1, 1), "{before}");
    }
    let trial = self::trial(&format!(
        "mkdir -p sub; : >sub/here\neval \"$2\"\n{}",
        check(
            "ac_cv_y",
            "if test -f here; then ac_cv_y=yes; else ac_cv_y=no; fi; : >conftest.x\n\
             ac_cv_y=$ac_cv_y`ls -l conftest.x | cut -c1-10`; rm -f conftest.x"
        )
    ));
    assert_eq!(asks(&trial, &["a", ""]), (0, 1));
    assert_eq!(asks(&trial, &["b", ""]), (1, 1));
    assert_eq!(asks(&trial, &["b", "umask 077"]), (0, 1));
    assert_eq!(asks(&trial, &["c", "umask 077"]), (1, 1));
    assert_eq!(asks(&trial, &["c", ""]), (1, 1));
    // In another folder none is looked for.
    for _ in 0..2 {
        assert_eq!(asks(&trial, &["b", "cd sub"]).0, 0);
    }
}

/// What a check may set, and does not, is what it was before.
#[test]
fn what_is_only_set_at_times_counts() {
    for body in [
        "if test -e \"$OUT/none\"; then v=1; fi; ac_cv_x=$v",
        "for v in `ls \"$OUT\"`; do :; done; ac_cv_x=1",
        "test -e \"$OUT/none\" && v=1; ac_cv_x=1",
        ": v is named; ac_cv_x=$v",
    ] {
        let trial = trial(&format!("v=$2\n{}echo \"v=$v\"\n", check("ac_cv_x", body)));
        assert_eq!(asks(&trial, &["a", "7"]), (0, 1), "{body}");
        assert_eq!(asks(&trial, &["b", "7"]), (1, 1), "{body}");
        asks(&trial, &["a", "8"]);
        assert_eq!(asks(&trial, &["b", "8"]), (1, 1), "{body}");
    }
}

#[test]
fn what_cannot_be_kept_costs_one_warning() {
    let trial = trial(&asks_the_compiler("ac_cv_x", "#define IT one"));
    trial.put("cache", "a file");
    let outcome = trial.confcache(&["--", "./configure", "a"]);
    outcome.succeeds();
    let warnings = outcome.stderr.matches("ebd: confcache:").count();
    assert_eq!(warnings, 1, "{outcome}");
}

#[test]
fn the_same_name_for_another_test_is_another_check() {
    let trial = trial(&asks_the_compiler("ac_cv_x", "#define IT one"));
    assert_eq!(asks(&trial, &["a"]), (0, 1));
    trial.script(&script(&asks_the_compiler("ac_cv_x", "#define IT two")));
    assert_eq!(asks(&trial, &["a"]), (0, 1));
    assert_eq!(asks(&trial, &["a"]), (1, 1));
}

#[test]
fn flags_of_the_compiler_count() {
    let checks = asks_the_compiler("ac_cv_x", "#ifndef IT\n#define IT none\n#endif");
    let trial = trial(&format!("CPPFLAGS=\"-DIT=$2\"\n{checks}"));
    assert_eq!(asks(&trial, &["a", "one"]), (0, 1));
    assert_eq!(asks(&trial, &["a", "two"]), (0, 1));
    assert_eq!(asks(&trial, &["a", "one"]), (1, 1));
}

#[test]
fn definitions_count_if_they_matter() {
    let checks = asks_the_compiler(
        "ac_cv_x",
        "#include \"$OUT/header.h\"\n#ifndef IT\n#define IT none\n#endif",
    );
    let trial = trial(&format!("printf '%s\\n' \"$2\" >>confdefs.h\n{checks}"));
    trial.put(
        "out/header.h",
        "#ifdef FROM_HEADER\n#define IT FROM_HEADER\n#endif\n#define JOIN(a) OTHER_ ## a\n",
    );
    assert_eq!(asks(&trial, &["a", "#define NOBODY 1"]), (0, 1));
    assert_eq!(asks(&trial, &["b", "#define NOBODY 2"]), (1, 1));
    for definition in [
        "#define IT direct",
        "#define FROM_HEADER 3",
        "#define FROM_HEADER PACKAGE_NAME",
        "#define OTHER_IT 1",
        "#define PACKAGE_NAME 1",
        "#undef NOBODY",
    ] {
        assert_eq!(asks(&trial, &["a", definition]), (0, 1), "{definition}");
        assert_eq!(asks(&trial, &["a", definition]), (1, 1), "{definition}");
    }
    // Where the value is the package's name, that counts again.
    assert_eq!(
        asks(&trial, &["b", "#define FROM_HEADER PACKAGE_NAME"]),
        (0, 1)
    );
    assert_eq!(asks(&trial, &["b", "#define NOBODY 1"]), (1, 1));
}

#[test]
fn an_earlier_answer_counts() {
    let second = check(
        "ac_cv_b",
        "ac_cv_b=no\ntest \"$ac_cv_a\" = yes && ac_cv_b=yes",
    );
    let named = check("ac_cv_c", "name=ac_cv_a\neval \"ac_cv_c=\\$$name\"");
    let trial = trial(&format!("ac_cv_a=$2\n{second}{named}"));
    assert_eq!(asks(&trial, &["a", "yes"]).0, 0);
    assert_eq!(asks(&trial, &["a", "no"]).0, 0);
    // The other one finds its variable by a name that it makes up, and is never answered.
    assert_eq!(asks(&trial, &["a", "yes"]).0, 1);
}

#[test]
fn functions_are_checks_by_their_arguments() {
    let function = "ac_fn_try ()\n{\n  as_lineno=${as_lineno-\"$1\"}\nif eval test \\${$3+y}\nthen :\n  printf %s \"(cached) \" >&6\n\
                    else case e in #(\n  e) cat confdefs.h - <<_ACEOF >conftest.c\nanswer=$2\n_ACEOF\nif grep \"answer=$4\" conftest.c >/dev/null\nthen :\n  eval \"$3=yes\"\nelse case e in #(\n  e) eval \"$3=no\" ;;\nesac\nfi\nrm -f conftest* ;;\nesac\nfi\neval ac_res=\\$$3\n\
                    printf \"%s\\n\" \"$3 $ac_res\" >&6\n} # ac_fn_try\n";
    let calls =
        "ac_fn_try \"$LINENO\" one ac_cv_one \"$2\"\nac_fn_try \"$LINENO\" two ac_cv_two \"$2\"\n";
    let trial = trial(&format!("{function}{calls}"));
    assert_eq!(asks(&trial, &["a", "one"]), (0, 2));
    assert_eq!(asks(&trial, &["a", "two"]), (0, 2));
    assert_eq!(asks(&trial, &["b", "one"]), (2, 2));
    trial.script(&script(&format!("{function}:\n:\n{calls}")));
    assert_eq!(asks(&trial, &["b", "one"]), (2, 2));
}

fn executable(trial: &Trial, name: &str, text: &str) {
    trial.put(name, text);
    fs::set_permissions(trial.path(name), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn what_programs_find_counts_for_those_that_looked() {
    let header = asks_the_compiler("ac_cv_header", "#include \"$OUT/header.h\"");
    let there = check(
        "ac_cv_there",
        "ac_cv_there=no\ntest -f \"$OUT/there\" && ac_cv_there=yes",
    );
    // The shell knows where it is from the first time.
    let program = check("ac_cv_program", "ac_cv_program=`tr a b <\"$OUT/text\"`");
    let trial = trial(&format!("tr x y </dev/null\n{header}{there}{program}"));
    trial.put("out/header.h", "#define IT one\n");
    trial.put("out/text", "aaa\n");
    assert_eq!(asks(&trial, &["a"]), (0, 3));
    assert_eq!(asks(&trial, &["a"]), (3, 3));
    trial.put("out/header.h", "#define IT two\n");
    assert_eq!(asks(&trial, &["a"]), (2, 3));
    trial.put("out/there", "");
    assert_eq!(asks(&trial, &["a"]), (2, 3));
    executable(&trial, "bin/tr", "#!/bin/sh\necho other\n");
    assert_eq!(asks(&trial, &["a"]), (2, 3));
    assert_eq!(asks(&trial, &["a"]), (3, 3));
    fs::remove_file(trial.path("bin/tr")).unwrap();
    assert_eq!(asks(&trial, &["a"]), (3, 3));
}

#[test]
fn variables_of_the_environment_count() {
    let trial = trial(&check("ac_cv_x", "ac_cv_x=`printenv GIVEN; echo .`"));
    assert_eq!(asks_with(&trial, &["a"], &[("GIVEN", "1")]), (0, 1));
    assert_eq!(asks_with(&trial, &["a"], &[("GIVEN", "2")]), (0, 1));
    assert_eq!(
        asks_with(&trial, &["a"], &[("GIVEN", "1"), ("SSH_TTY", "x")]),
        (1, 1)
    );
    // And those that the script itself exports.
    trial.script(&script(&format!(
        "MINE=$2; export MINE\n{}",
        check("ac_cv_x", "ac_cv_x=`printenv MINE; echo .`")
    )));
    assert_eq!(asks(&trial, &["a", "1"]), (0, 1));
    assert_eq!(asks(&trial, &["a", "2"]), (0, 1));
    assert_eq!(asks(&trial, &["a", "1"]), (1, 1));
}

#[test]
fn where_the_cache_is_counts_for_nothing() {
    let trial = trial(&check("ac_cv_x", "ac_cv_x=1"));
    assert_eq!(asks(&trial, &["a"]), (0, 1));
    symlink("cache", trial.path("the-same-cache")).unwrap();
    let other = trial.path("the-same-cache").display().to_string();
    let variables = [("EBD_CONFCACHE", other.as_str())];
    assert_eq!(asks_with(&trial, &["a"], &variables), (1, 1));
}

#[test]
fn all_that_a_check_sets_is_set() {
    let body = "saved=$LIBS\nLIBS=\"-lm $LIBS\"\nac_cv_x='a\"b'\\''c\nd'\nother=$LIBS\nLIBS=$saved\nunset gone";
    let show = "printf '%s|' \"$LIBS\" \"$other\" \"$saved\" \"${gone-none}\" >&6\n";
    let trial = trial(&format!(
        "gone=1\nLIBS=-lx\n{}{show}",
        check("ac_cv_x", body)
    ));
    assert_eq!(asks(&trial, &["a"]), (0, 1));
    assert_eq!(asks(&trial, &["b"]), (1, 1));
}

#[test]
fn what_does_more_than_set_variables_is_not_answered() {
    let bodies = [
        ("prints", "ac_cv_x=1; echo hello >&6"),
        ("defines", "ac_cv_x=1; echo '#define X 1' >>confdefs.h"),
        ("leaves a file", "ac_cv_x=1; echo x >made"),
        ("exports", "ac_cv_x=1; MORE=1; export MORE"),
        (
            "goes elsewhere",
            "ac_cv_x=1; cd \"$OUT\"; cd \"$OLDPWD\"; ln -s a \"$OUT/$$\"",
        ),
        (
            "goes and stays",
            "ac_cv_x=1; mkdir -p sub; cd ./sub; : >../../out/x",
        ),
        ("lists the folder", "ac_cv_x=`ls`"),
        ("looks at arguments", "ac_cv_x=$2"),
        ("opens", "exec 9>/dev/null; ac_cv_x=1"),
    ];
    for (what, body) in bodies {
        let end = "cat confdefs.h >&6; echo ${MORE-} >&6; rm -rf made\n";
        let trial = trial(&format!("{}{end}", check("ac_cv_x", body)));
        for _ in 0..2 {
            let mut command = trial.command(
                EBD,
                &[
                    "confcache",
                    "-v",
                    "--no-replay",
                    "--",
                    "./configure",
                    "a",
                    "2",
                ],
            );
            let outcome = Outcome::of(&mut command);
            assert!(outcome.status.success(), "{what}: {}", outcome.stderr);
            assert!(
                !outcome.stderr.contains("checks 1 were answered"),
                "{what}: {}",
                outcome.stderr
            );
        }
    }
}

#[test]
fn a_check_within_a_check_is_part_of_it() {
    let inner =
        check("ac_cv_inner", "ac_cv_inner=`cat \"$OUT/text\"`").replace("printf", ": printf");
    let trial = trial(&check(
        "ac_cv_outer",
        &format!("{inner}\nac_cv_outer=x$ac_cv_inner"),
    ));
    trial.put("out/text", "one\n");
    assert_eq!(asks(&trial, &["a"]).0, 0);
    assert_eq!(asks(&trial, &["a"]), (1, 1));
    trial.put("out/text", "two\n");
    assert_eq!(asks(&trial, &["a"]).0, 0);
}

#[test]
fn a_script_that_fails_fails_the_same_way() {
    let fails = check("ac_cv_x", "ac_cv_x=1\necho no >&2\nexit 7");
    let trial = trial(&format!("{}{fails}", check("ac_cv_a", "ac_cv_a=1")));
    // Nor is anything kept of it.
    for _ in 0..2 {
        let outcome = trial.confcache(&["-v", "--", "./configure", "a"]);
        assert_eq!(outcome.code(), 7);
        assert!(outcome.stderr.contains("no\n"), "{}", outcome.stderr);
        assert_eq!(answered(&outcome).0, 0);
    }
}

#[test]
fn a_run_that_was_answered_is_put_back_as_long_as_its_answers_hold() {
    let trial = trial(&asks_the_compiler("ac_cv_x", "#include \"$OUT/header.h\""));
    trial.put("out/header.h", "#define IT one\n");
    let run = |arguments: &[&str]| {
        let all: Vec<&str> = ["-v", "--", "./configure"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        let outcome = trial.confcache(&all);
        assert!(outcome.status.success(), "{}", outcome.stderr);
        outcome
    };
    run(&["a"]);
    assert_eq!(answered(&run(&["b"])), (1, 1));
    let outcome = run(&["b"]);
    assert!(outcome.stderr.contains("put back"), "{}", outcome.stderr);
    // Nothing of the run itself has looked at that file.
    trial.put("out/header.h", "#define IT two\n");
    let outcome = run(&["b"]);
    assert_eq!(answered(&outcome), (0, 1));
    assert!(outcome.stdout.contains("two"), "{}", outcome.stdout);
}

#[test]
fn bash_and_a_script_that_starts_itself_again_ask_too() {
    let again = "if test -z \"$CONFIG_SHELL\"; then\n  CONFIG_SHELL=/bin/bash; export CONFIG_SHELL\n  as_opts=\n  as_myself=$0\n\
                 exec $CONFIG_SHELL $as_opts \"$as_myself\" ${1+\"$@\"}\nfi\nset -o posix\necho \"$0 ${BASH_VERSION+bash} $*\" >&6\n";
    let trial = trial(&format!(
        "{again}{}",
        check("ac_cv_x", "ac_cv_x=$BASH_VERSION")
    ));
    assert_eq!(asks(&trial, &["a", "b c"]), (0, 1));
    assert_eq!(asks(&trial, &["a", "b d"]), (1, 1));
}

/// How autoconf starts the scripts of folders below, which may start others.
pub(super) fn starts(folder: &str) -> String {
    format!(
        "SHELL=${{CONFIG_SHELL-/bin/sh}}\nac_sub_configure_args=\"'$1' 'it'\\''s'\"\n\
         test -d {folder} || mkdir {folder}\nac_popdir=`pwd`\ncd {folder}\nac_srcdir=$OUT/{folder} ac_sub_configure=$OUT/{folder}/configure\n\
         eval \"\\$SHELL \\\"\\$ac_sub_configure\\\" $ac_sub_configure_args \\\n           --cache-file=\\\"\\$ac_sub_cache_file\\\" \
         --srcdir=\\\"\\$ac_srcdir\\\"\" || exit 3\ncd \"$ac_popdir\"\n"
    )
}

#[test]
fn scripts_that_a_script_starts_ask_too() {
    let header = asks_the_compiler("ac_cv_x", "#include \"$OUT/header.h\"");
    let own = asks_the_compiler("ac_cv_y", "#include \"own.h\"");
    let begin = "echo \"$0 $*\" >&6\necho '#define IT own' >own.h\n";
    let inner = script(&format!("{begin}{header}{own}: >made\n"));
    let trial = trial(&format!("{header}{}", starts("sub")));
    trial.put("out/header.h", "#define IT one\n");
    trial.put("out/sub/configure", &format!("{}{inner}", super::HEAD));
    assert_eq!(asks(&trial, &["a"]), (0, 3));
    assert_eq!(asks(&trial, &["b"]), (3, 3));
    // What is below is asked as what is here.
    trial.put("out/header.h", "#define IT two\n");
    assert_eq!(asks(&trial, &["b"]), (1, 3));
    assert_eq!(asks(&trial, &["b"]), (3, 3));
    // One within one, and one that autoconf did not make.
    let outer = script(
        &format!("{header}{}{own}", starts("deep"))
            .replace("$OUT/header.h", "$OUT/header.h\"\n#include \"own.h"),
    );
    trial.put(
        "out/sub/configure",
        &format!("{}{begin}{outer}", super::HEAD),
    );
    trial.put(
        "out/deep/configure",
        "echo \"deep $0 $*\" >&6; pwd >here; exit 0\n",
    );
    assert_eq!(asks(&trial, &["a"]).1, 3);
    trial.put("out/deep/configure", &format!("{}{inner}", super::HEAD));
    assert_eq!(asks(&trial, &["a"]).1, 5);
    assert_eq!(asks(&trial, &["b"]), (5, 5));
    // One that fails fails the whole.
    trial.put("out/deep/configure", &format!("{}exit 5\n", super::HEAD));
    trial.clean();
    let outcome = trial.confcache(&["-v", "--no-replay", "--", "./configure", "a"]);
    assert_eq!(outcome.code(), 3, "{outcome}");
    // All of it is put back if nothing has changed.
    trial.put("out/deep/configure", &format!("{}{inner}", super::HEAD));
    assert_eq!(trial.same_as_uncached(&["c"]), "learned");
    assert_eq!(trial.same_as_uncached(&["c"]), "hit");
    trial.put("out/header.h", "#define IT three\n");
    assert_eq!(trial.same_as_uncached(&["c"]), "learned");
}

#[test]
fn damaged_answers_are_left_out_of_account() {
    let trial = trial(&check("ac_cv_x", "ac_cv_x=1"));
    assert_eq!(asks(&trial, &["a"]), (0, 1));
    let file = || {
        fs::read_dir(trial.path("cache/answers"))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path()
    };
    let mut bytes = fs::read(file()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file(), &bytes).unwrap();
    let outcome = trial.confcache(&["-v", "--no-replay", "--", "./configure", "a"]);
    assert!(
        outcome.status.success() && outcome.stderr.contains(".answers: is damaged"),
        "{}",
        outcome.stderr
    );
    assert_eq!(answered(&outcome), (0, 1));
    assert_eq!(asks(&trial, &["a"]), (1, 1));
    let outcome = trial.confcache(&["clear"]);
    assert!(outcome.status.success(), "{}", outcome.stderr);
    assert_eq!(asks(&trial, &["a"]), (0, 1));
}

#[test]
fn verify_finds_what_no_trace_shows() {
    let trial = trial(&format!(
        "{}{}",
        check("ac_cv_good", "ac_cv_good=1"),
        check("ac_cv_odd", "ac_cv_odd=`cat /proc/sys/kernel/random/uuid`")
    ));
    let run =
        |word: &str, argument: &str| trial.confcache(&["-v", word, "--", "./configure", argument]);
    assert!(run("--no-replay", "a").status.success());
    let outcome = run("--verify", "b");
    assert_eq!(outcome.code(), 1, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("1 are as was known, 1 are not"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome
            .stderr
            .contains("  ac_cv_odd: line 1 is known as \"ac_cv_odd="),
        "{}",
        outcome.stderr
    );
    assert!(!outcome.stderr.contains("ac_cv_good"), "{}", outcome.stderr);
}

#[test]
fn why_tells_what_became_of_a_check() {
    let trial = trial(&format!(
        "CC=$2\n{}{}",
        check("ac_cv_x", "ac_cv_x=`cat \"$OUT/text\"`$CC"),
        check("ac_cv_listing", "ac_cv_listing=`ls`")
    ));
    trial.put("out/text", "one\n");
    let why = |name: &str| trial.confcache(&["why", name]);
    let outcome = why("ac_cv_x");
    assert!(
        !outcome.status.success() && outcome.stderr.contains("no script that was run here"),
        "{}",
        outcome.stderr
    );
    asks(&trial, &["a", "gcc"]);
    assert_eq!(
        why("ac_cv_x").stdout,
        "ac_cv_x: was found out and kept: it was never asked\n"
    );
    assert_eq!(
        why("ac_cv_l*").stdout,
        "ac_cv_listing: was found out (it was never asked) and not kept: it listed the folder\n"
    );
    asks(&trial, &["a", "clang"]);
    assert_eq!(
        why("ac_cv_x").stdout,
        "ac_cv_x: was found out and kept: CC is another than before\n"
    );
    asks(&trial, &["a", "gcc"]);
    assert!(why("ac_cv_x").stdout.starts_with("ac_cv_x: was known"));
    trial.put("out/text", "two\n");
    asks(&trial, &["a", "gcc"]);
    let told = why("ac_cv_x").stdout;
    assert!(told.contains("out/text: was a file with SHA-256"), "{told}");
    let outcome = why("ac_cv_none");
    assert!(
        outcome.stderr.contains("did not ask for it"),
        "{}",
        outcome.stderr
    );
}
