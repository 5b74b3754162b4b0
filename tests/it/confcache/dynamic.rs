//! Checks that do more than setting variables, or depend on what their texts do not name: as without a cache, whoever
//! was answered before.

use super::Trial;
use super::answers::{asks, check, script};
use super::unseen::by_bash;
use crate::support::{EBD, Outcome};

/// A check with what stands around it; and what `$2` is at first, and then.
struct Case {
    name: &'static str,
    before: &'static str,
    body: &'static str,
    after: &'static str,
    given: [&'static str; 2],
}

const fn case(name: &'static str, before: &'static str, body: &'static str) -> Case {
    Case {
        name,
        before,
        body,
        after: "",
        given: ["one", "two"],
    }
}

impl Case {
    const fn then(self, after: &'static str) -> Self {
        Self { after, ..self }
    }

    const fn given(self, given: [&'static str; 2]) -> Self {
        Self { given, ..self }
    }

    fn script(&self) -> String {
        let Self {
            before,
            body,
            after,
            ..
        } = self;
        script(&format!("{before}\n{}{after}\n", check("ac_cv_x", body)))
    }
}

/// Runs a script with the one argument and then with the other, each without the cache and with its answers.
#[track_caller]
fn is_as_uncached(trial: &Trial, name: &str, arguments: &[&str]) {
    let [(plain, ()), (cached, ())] = trial.with_and_without(arguments, &[], || ());
    assert_eq!(plain.stdout, cached.stdout, "{name} {arguments:?}");
    assert_eq!(
        plain.stderr.trim(),
        told_by_the_script(&cached.stderr),
        "{name} {arguments:?}"
    );
}

fn told_by_the_script(errors: &str) -> String {
    let own = |line: &&str| !line.starts_with("ebd: ");
    errors.lines().filter(own).collect::<Vec<_>>().join("\n")
}

/// A function of autoconf's, in short, and what was left before.
const LEAVES: &str = "ac_fn_try () {\n  ac_status=7; ac_retval=1; test -f \"$1\"\n}\nac_status=$2";

const CASES: [Case; 33] = [
    // What may not be come to, or is lost, is as it was.
    case(
        "&& and a new line",
        "v=$2",
        "test -f /none &&\n  v=other\nac_cv_x=$v",
    ),
    case(
        "|| and a comment",
        "v=$2",
        "test -d / || # so\n\n  v=other\nac_cv_x=$v",
    ),
    case(
        "&& and braces",
        "v=$2",
        "test -f /none && { :; v=other; }\nac_cv_x=$v",
    ),
    case(
        "while, and a new line",
        "v=$2",
        "while test -f /none &&\n v=other; do :; done\nac_cv_x=$v",
    ),
    case("before a command", "v=$2", "v=other sh -c :\nac_cv_x=$v"),
    case("before one of two", "v=$2", "v=other sh -c : && ac_cv_x=$v"),
    case("into a pipe", "v=$2", "{ v=other; :; } | cat\nac_cv_x=$v"),
    case(
        "out of a pipe",
        "v=$2",
        "echo y | { v=other; cat >/dev/null; }\nac_cv_x=$v",
    ),
    case(
        "read or not",
        "v=$2",
        "if test -f /none; then read v </dev/null; fi\nac_cv_x=yes",
    )
    .then("echo $v"),
    case("set if unset", "v=$2", ": ${v=other}\nac_cv_x=yes").then("echo $v"),
    // Names that are put together.
    case("\\$a_$b", "a_b=$2\nb=b", "eval \"v=\\$a_$b\"\nac_cv_x=$v"),
    case("\\${a_$b}", "a_b=$2\nb=b", "eval v=\\${a_$b}\nac_cv_x=$v"),
    case("'$'$b", "a_b=$2\nb=a_b", "eval v='$'$b\nac_cv_x=$v"),
    case(
        "echoed",
        "a_b=$2\nb=b",
        "eval \"v=`echo '$'a_$b`\"\nac_cv_x=$v",
    ),
    case(
        "evaluated",
        "ac_cv_y=$2",
        "eval \"`echo ac_cv_x='$ac_cv_y'`\"",
    ),
    case(
        "set by another name",
        "n=v\nv=$2",
        "eval \"$n=two\"\nac_cv_x=yes",
    )
    .then("echo $v"),
    // Values that are looked at.
    case(
        "pattern",
        "case $2 in two) : >a.plugin;; esac\npat='*.plugin'",
        "ac_cv_x=`echo $pat`",
    )
    .then("rm -f a.plugin"),
    case(
        "arithmetic in a text",
        "n=$2",
        "ac_cv_x=`cat <<_E\n$((n+1))\n_E\n`",
    )
    .given(["1", "2"]),
    case("arithmetic of lines", "n=$2", "ac_cv_x=$((1 +\nn))").given(["1", "2"]),
    case("autoconf's own", "as_status=$2", "ac_cv_x=$as_status"),
    case("limits", "eval \"$2\"", "ac_cv_x=`getconf OPEN_MAX`")
        .given(["ulimit -n 100", "ulimit -n 200"]),
    case(
        "rights of the folder",
        "chmod $2 .",
        "ac_cv_x=`ls -ld . | cut -c1-10`",
    )
    .then("chmod 755 .")
    .given(["755", "700"]),
    case(
        "arguments of the script in a value",
        "v='echo $1'; set x \"$2\"; shift",
        "ac_cv_x=`eval \"$v\"`",
    ),
    case(
        "how many there are",
        "v='echo $#'; case $2 in two) set x y z;; esac",
        "ac_cv_x=`eval \"$v\"`",
    ),
    // What a shell is like afterwards.
    case("cd", "mkdir sub", "cd sub\nac_cv_x=yes")
        .then("basename \"`pwd`\"; cd \"$OUT/../build\"; rmdir sub"),
    case("set", "set -f", "set +f\nac_cv_x=yes").then("cd /; echo et[c]; cd \"$OUT/../build\""),
    case(
        "a function",
        "f () {\n echo outer\n}",
        "f () {\n echo inner\n}\nac_cv_x=`f`",
    )
    .then("f"),
    case(
        "no function",
        "f () {\n echo it\n}",
        "unset -f f\nac_cv_x=yes",
    )
    .then("(f) 2>/dev/null || echo none"),
    case(
        "unset by another name",
        "u=unset; v=$2",
        "$u v\nac_cv_x=yes",
    )
    .then("echo ${v-none}"),
    case(
        "appended",
        "as_fn_append ()\n{\n  eval $1=\\$$1\\$2\n} # as_fn_append\nl=l\nn=l",
        "as_fn_append $n ' more'\nac_cv_x=yes",
    )
    .then("echo \"$l\"")
    .given(["", ""]),
    case(
        "what nobody waits for",
        "",
        "(sleep 0.05; echo x >late) & ac_cv_x=yes",
    )
    .then("sleep 0.2; cat late; rm -f late"),
    case(
        "another descriptor",
        "exec 9>summary",
        "echo found >&9\nac_cv_x=yes",
    )
    .then("cat summary; rm summary"),
    case("status", "", "ac_cv_x=no; test -f /none").then("echo $?"),
];

/// Those that only bash understands.
const BASHISMS: [Case; 5] = [
    case(
        "a variable that a sourced function looks at",
        "echo 'probe () { echo \"<$V>\"; }' >f\nV=$2\n. ./f\nrm f",
        "ac_cv_x=`probe`",
    ),
    case(
        "one that it sets",
        "echo 'probe () { W=$V; }' >f\nV=$2\n. ./f\nrm f",
        "if probe; then ac_cv_x=yes; fi",
    )
    .then("echo $W"),
    case(
        "one in arithmetic",
        "echo 'probe () { echo $((V + 1)); }' >f\nV=$2\n. ./f\nrm f",
        "ac_cv_x=`probe`",
    )
    .given(["1", "2"]),
    case("part", "v=$2\nn=1", "ac_cv_x=${v:n}"),
    case(
        "arithmetic",
        "n=$2",
        "if ((n > 1)) 2>/dev/null; then ac_cv_x=yes; else ac_cv_x=no; fi; rm -f 1",
    )
    .given(["1", "2"]),
];

#[test]
fn whatever_a_check_does_is_done() {
    let all = CASES.iter().map(|each| (each, false));
    for (each, is_bashism) in all.chain(BASHISMS.iter().map(|each| (each, true))) {
        let trial = Trial::new(&each.script());
        if is_bashism {
            by_bash(&trial);
        }
        for given in [each.given[0], each.given[1], each.given[0]] {
            is_as_uncached(&trial, each.name, &["a", given]);
        }
    }
}

/// What a check that is left early, or not known, does not set is as it was.
#[test]
fn what_functions_might_have_set_is_as_it_was() {
    let call = "if test -f /none; then ac_fn_try 1; fi";
    for (before, body, after) in [
        ("for i in 1 2\ndo", "ac_cv_x=1\nCALL\nbreak", "done"),
        (
            "for i in 1 2\ndo",
            "ac_cv_x=1\nCALL\nfor j in 1; do :; done\nbreak",
            "done",
        ),
        (
            "for i in 1\ndo",
            "ac_cv_x=1\nCALL\nfor j in 1; do break 2; done",
            "done",
        ),
        ("g () {", "ac_cv_x=1\nCALL\nreturn 0", "}\ng"),
        (
            "probe='echo \"$ac_status\"'",
            "ac_cv_x=`eval \"$probe\"`\nCALL",
            "",
        ),
        (
            "export ac_status",
            "ac_cv_x=1\nCALL",
            "env | grep ac_status",
        ),
        ("readonly ac_status", "ac_cv_x=1\nCALL", ""),
        ("trap 'echo at end $ac_status' 0", "ac_cv_x=1\nCALL\n", ""),
        (
            "",
            "for j in 1 2; do\n  ac_cv_x=1\n  CALL\n  if test $j = 1; then break; fi\ndone",
            "",
        ),
    ] {
        let body = check("ac_cv_x", &body.replace("CALL", call));
        let text =
            format!("{LEAVES}\n{before}\n{body}{after}\necho \"<${{ac_status-unset}}>\" >&6\n");
        let trial = Trial::new(&script(&text));
        for given in ["3", "4", "3"] {
            is_as_uncached(&trial, &text, &["a", given]);
        }
    }
    // One that goes on to its end is asked for whatever was left.
    let body = "for j in 1 2; do\n  ac_cv_x=1\n  CALL\n  if test $j = 1; then break; fi\ndone";
    let body = check("ac_cv_x", &body.replace("CALL", call));
    let trial = Trial::new(&script(&format!("{LEAVES}\n{body}echo $ac_status >&6\n")));
    for (given, known) in [("3", 0), ("4", 1)] {
        assert_eq!(asks(&trial, &["a", given]), (known, 1));
    }
}

/// A list whose first part fails is no error.
#[test]
fn scripts_that_end_at_errors_go_on_where_they_would() {
    for body in [
        "ac_cv_x=no\ntest -f /none && ac_cv_x=yes",
        "ac_cv_x=no\nif test -f /none; then ac_fn_try 1; fi\ntest -f /none && ac_cv_x=yes",
        "ac_cv_x=no\nif (eval \"$ac_compile\"); then ac_cv_x=yes; fi",
        "(eval \"$ac_compile\") && ac_cv_x=yes\n: ${ac_cv_x=no}",
        "ac_cv_x=no\n(eval \"$ac_compile\")",
    ] {
        let body = check("ac_cv_x", body);
        let text = script(&format!(
            "{LEAVES}\nac_compile='$CC -c conftest.c'; CC=cc\nset -e\n{body}echo goes on >&6\n"
        ));
        for shell in ["dash", "bash"] {
            let trial = Trial::new(&text);
            let run = |program: &str, words: &[&str]| {
                trial.clean();
                let outcome = Outcome::of(&mut trial.command(program, words));
                let errors = told_by_the_script(&outcome.stderr);
                (outcome.code(), outcome.stdout.clone(), errors)
            };
            let plain = run(shell, &["./configure", "a", "3"]);
            let words = ["confcache", "--", shell, "./configure", "a", "3"];
            assert_eq!(run(EBD, &words), plain, "{body}");
            assert_eq!(run(EBD, &words), plain, "{body}");
        }
    }
}

/// As gnulib looks for a shell of POSIX.
#[test]
fn functions_that_may_be_defined_unseen_are_still_those_of_the_script() {
    let own = "ac_fn_try () {\n  # in words\n  (eval \"$ac_compile\") 2>/dev/null\n  if test \"$1\" = \"$V\"; then\n    ac_status=0; else\n    ac_status=1\n  fi >&5; return $ac_status\n}\n";
    let text = |evaluated: &str| {
        let check = check(
            "ac_cv_x",
            "if ac_fn_try a; then ac_cv_x=yes; else ac_cv_x=no; fi",
        );
        script(&format!(
            "{own}text='probe () {{\n  echo it\n}}'\nV=$2; W=$3; CC=cc; ac_compile='$CC -c conftest.c'\n{evaluated}\n{check}"
        ))
    };
    let trial = Trial::new(&text("sh -c \"$text\""));
    by_bash(&trial);
    for (given, known) in [("a", 0), ("b", 0), ("a", 1), ("b", 1)] {
        assert_eq!(asks(&trial, &["a", given]), (known, 1));
    }
    // One that has taken its place is not asked for if it has another word.
    trial.script(&text("eval 'ac_fn_try () { test \"$1\" = \"$W\"; }'"));
    by_bash(&trial);
    for given in ["a", "b", "a"] {
        is_as_uncached(&trial, "another", &["a", "c", given]);
    }
}

/// What a sourced function may look at, or do, that its text and the variables of the check do not tell.
#[test]
fn sourced_functions_that_do_more_are_not_asked_for() {
    for (function, before, body) in [
        (
            "probe () { helper; }",
            "helper () {\n  W=$V\n}",
            "if probe; then ac_cv_x=yes; fi",
        ),
        (
            "probe () { printf -vW %s 1; }",
            "W=$2",
            "if probe; then ac_cv_x=yes; fi",
        ),
        ("probe () { echo *.zz; }", ": >$2.zz", "ac_cv_x=`probe`"),
        (
            "probe () { pwd | wc -c; }",
            "mkdir -p $2; cd $2",
            "ac_cv_x=`probe`",
        ),
        (
            "probe () { echo $0 | sed s/.*configure/\"$V\"/; }",
            "",
            "ac_cv_x=`probe`",
        ),
        (
            "probe () { local V; V=$W; echo $V; }",
            "W=$2",
            "ac_cv_x=`probe`",
        ),
    ] {
        let text = format!(
            "cat >f <<\\_E\n{function}\n_E\nV=$2\n. ./f\nrm f\n{before}\n{}echo \"<$W>\" >&6\ncd \"$OUT/../build\"; rm -rf *.zz one two\n",
            check("ac_cv_x", body)
        );
        let trial = Trial::new(&script(&text));
        by_bash(&trial);
        for given in ["one", "two", "one"] {
            is_as_uncached(&trial, function, &["a", given]);
        }
    }
    // One that only runs programs is.
    let text = format!(
        "echo 'probe () {{ sed s/x/$V/ \"$OUT/it\" | grep -e \"$1\"; }}' >f\nV=$2\n. ./f\nrm f\n{}",
        check("ac_cv_x", "ac_cv_x=`probe a $V`")
    );
    let trial = Trial::new(&script(&text));
    by_bash(&trial);
    trial.put("out/it", "xa\n");
    for (given, known) in [("one", 0), ("two", 0), ("one", 1)] {
        assert_eq!(asks(&trial, &["a", given]), (known, 1));
    }
}

#[test]
fn an_unset_variable_may_be_an_error() {
    let trial = Trial::new(&script(&format!(
        "set -u\n{}",
        check("ac_cv_x", "if test -f /none; then LIBS=-lx; fi\nac_cv_x=no")
    )));
    for known in [0, 1] {
        assert_eq!(asks(&trial, &["a"]), (known, 1));
    }
}

#[test]
fn arguments_of_functions_and_scripts_count() {
    let body = check("ac_cv_x", "ac_cv_x=`echo \"<$1>\"`");
    let function = format!("try () {{\n{body}}}\ntry \"$2\"\n");
    let through = check(
        "ac_cv_x",
        "ac_cv_x=no\nfor arg\ndo\n  case $arg in two) ac_cv_x=yes;; esac\ndone",
    );
    let shifted = format!(
        "f () {{\n{}echo $1\n}}\nf 1 b \"$2\" d\n",
        check("ac_cv_x", "shift; ac_cv_x=$2")
    );
    for text in [function, through, shifted] {
        let trial = Trial::new(&script(&text));
        for given in ["one", "two", "one"] {
            is_as_uncached(&trial, &text, &["a", given]);
        }
    }
}

#[test]
fn functions_that_values_name_count() {
    for (define, call) in [
        ("probe", "`$f`"),
        ("probe", "`eval $f`"),
        ("probe_linux", "`probe_$os`"),
    ] {
        let text = |says: &str| {
            let check = check("ac_cv_x", &format!("ac_cv_x={call}"));
            script(&format!(
                "{define} () {{\n  echo {says}\n}}\nf=probe; os=linux\n{check}"
            ))
        };
        let trial = Trial::new(&text("one"));
        is_as_uncached(&trial, call, &["a"]);
        trial.script(&text("two"));
        is_as_uncached(&trial, call, &["a"]);
    }
}

/// A shell that has run a program before does not look for it again.
#[test]
fn programs_are_looked_for_where_they_would_be_found() {
    for body in ["ac_cv_x=`command -v tr`", "ac_cv_x=`type tr`"] {
        let text = format!("tr x y </dev/null\n{}", check("ac_cv_x", body));
        let trial = Trial::new(&script(&text));
        is_as_uncached(&trial, body, &["a"]);
        let tr = std::fs::read("/usr/bin/tr").unwrap();
        std::fs::write(trial.path("bin/tr"), tr).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(trial.path("bin/tr"), mode).unwrap();
        is_as_uncached(&trial, body, &["a"]);
    }
}

/// What autoconf itself writes is still asked for, as the tests beside this one show; and this, which has names that
/// are put together.
#[test]
fn answers_whose_names_are_put_together_are_known() {
    let body = "eval x_${kind}_y=\\$PACKAGE";
    let text = format!(
        "for kind in int long\ndo\nprintf %s \"checking $kind... \" >&6\nif eval test \\${{x_${{kind}}_y+y}}\nthen :\n  \
         printf %s \"(cached) \" >&6\nelse $as_nop\n{body}\nfi\neval ac_res=\\$x_${{kind}}_y\necho \"$ac_res\" >&6\ndone\n"
    );
    let trial = Trial::new(&script(&text));
    assert_eq!(asks(&trial, &["a"]), (0, 2));
    assert_eq!(asks(&trial, &["a"]), (2, 2));
    assert_eq!(asks(&trial, &["b"]), (0, 2));
}

/// As autoconf 2.71 has it in each script.
#[test]
fn functions_that_do_nothing_may_be_named() {
    let text = |status: &str| {
        let body = check("ac_cv_x", "test $? = 0 && ac_cv_x=none || ac_cv_x=other");
        script(&format!(
            "as_fn_nop ()\n{{\n  return {status}\n}}\nas_nop=as_fn_nop\n{body}"
        ))
    };
    let trial = Trial::new(&text("$?"));
    for status in ["$?", "3", "0"] {
        trial.script(&text(status));
        assert_eq!(asks(&trial, &["a"]), (0, 1), "{status}");
        assert_eq!(asks(&trial, &["b"]), (1, 1), "{status}");
    }
}
