//! What shells say of themselves and of scripts, which is the same whether a script asks or not.

use std::fs;
use std::os::unix::fs::symlink;

use super::answers::{asks, check, script, starts};
use super::{HEAD, Trial};
use crate::support::{EBD, Outcome};

/// What a shell tells of itself, on its standard output and among its errors.
const TELLS: &str = r#"echo "$0 $# $* at $LINENO in $PWD, options $-, level ${SHLVL-}, ${POSIXLY_CORRECT-not} as POSIX" >&6
env | grep -e PWD >&6
export -p | grep -e PWD >&6
no-such-program
test a -eq b
: ${NO_SUCH_VALUE?is what it says} | :
(cd /no/such/folder)
echo "`no-such-program 2>&1`" >&6
(eval 'foo )')
f () { also-no-such-program; }
f 2>said
cat said >&6
for each in /proc/$$/fd/*; do echo "${each##*/}" >&6; done
"#;

/// Makes a shell start the script once more in another one.
const AGAIN: &str = "if test -n \"$AGAIN\"; then\n  CONFIG_SHELL=$AGAIN; export CONFIG_SHELL; unset AGAIN\n  as_opts=\n  as_myself=$0\n\
                     exec $CONFIG_SHELL $as_opts \"$as_myself\" ${1+\"$@\"}\nfi\n";

/// Runs the script without the cache and with it: what it says and how it ends must be the same.
#[track_caller]
fn runs_the_same(trial: &Trial, words: &[&str], variables: &[(&str, &str)]) {
    let _ = fs::remove_dir_all(trial.path("cache"));
    let run = |program: &str, arguments: &[&str]| {
        trial.clean();
        let mut command = trial.command(program, arguments);
        Outcome::of(command.envs(variables.iter().copied()))
    };
    let plain = run(words[0], &words[1..]);
    let cached = run(EBD, &[&["confcache", "--"], words].concat());
    assert_eq!(plain.code(), cached.code(), "{words:?} {variables:?}");
    assert_eq!(plain.stdout, cached.stdout, "{words:?} {variables:?}");
    assert_eq!(plain.stderr, cached.stderr, "{words:?} {variables:?}");
}

/// The same of a script that has asked.
#[track_caller]
fn says_the_same(trial: &Trial, words: &[&str], variables: &[(&str, &str)]) {
    runs_the_same(trial, words, variables);
    let why = trial.confcache(&["why", "ac_cv_x"]);
    assert!(why.succeeds().stdout.contains("ac_cv_x"), "{}", why.stdout);
}

#[test]
fn shells_say_the_same_of_a_script_that_asks() {
    let text = script(&format!("{AGAIN}{TELLS}{}", check("ac_cv_x", "ac_cv_x=a")));
    let trial = Trial::new(&text);
    trial.put("out/configure", "echo another\n");
    symlink(trial.path("build"), trial.path("link")).unwrap();
    let link = trial.path("link");
    let link = link.to_str().unwrap();
    for words in [
        &["./configure", "a b"][..],
        &["dash", "./configure", "a"],
        &["/bin/bash", "./configure", "a"],
        &["bash", "configure"],
        &["../build/configure"],
        &["dash", "./.././build//configure"],
    ] {
        says_the_same(&trial, words, &[]);
        says_the_same(&trial, words, &[("OLDPWD", "/usr"), ("PWD", link)]);
        says_the_same(&trial, words, &[("PWD", "/usr")]);
        for shell in ["/bin/bash", "/bin/dash"] {
            says_the_same(&trial, words, &[("AGAIN", shell), ("SHLVL", "3")]);
        }
    }
}

#[test]
fn shells_say_the_same_of_scripts_that_a_script_starts() {
    let above = starts("sub").replace("$OUT/sub", "../../out/sub");
    let trial = Trial::new(&script(&above));
    let below = script(&format!("{AGAIN}{TELLS}{}", check("ac_cv_x", "ac_cv_x=a")));
    trial.put("out/sub/configure", &format!("{HEAD}{below}"));
    for shell in ["dash", "bash"] {
        let words = [shell, "./configure", "a b"];
        says_the_same(&trial, &words, &[]);
        says_the_same(&trial, &words, &[("CONFIG_SHELL", "/bin/bash")]);
        says_the_same(
            &trial,
            &words,
            &[("CONFIG_SHELL", "/bin/bash"), ("AGAIN", "/bin/dash")],
        );
    }
}

/// Whoever is started beside the script is not waited for, and asks when others are asked.
#[test]
fn a_script_that_nobody_waits_for_runs_too() {
    let above = starts("sub").replace("$OUT/sub", "../../out/sub");
    let waits = "while test ! -f begun; do sleep 0.01; done\n";
    let check = check("ac_cv_x", "ac_cv_x=a");
    let beside = [
        format!("(\n{above}\n) &\n"),
        above.replace(" || exit 3\n", " &\n"),
    ];
    for above in beside {
        let trial = Trial::new(&script(&format!("{above}{waits}{check}: >asked\nwait\n")));
        let below = script(&format!(
            ": >../begun\nwhile test ! -f ../asked; do sleep 0.01; done\n{AGAIN}echo \"$0 $*\" >made\n{check}"
        ));
        trial.put("out/sub/configure", &format!("{HEAD}{below}"));
        for shell in ["/bin/bash", "/bin/dash"] {
            says_the_same(&trial, &["./configure", "a b"], &[("AGAIN", shell)]);
            let made = fs::read_to_string(trial.path("build/sub/made")).unwrap();
            assert_eq!(
                made,
                "../../out/sub/configure a b it's --cache-file= --srcdir=../../out/sub\n"
            );
        }
    }
}

/// What a script writes, it may write as its own begin is written.
#[test]
fn texts_that_are_written_are_no_commands() {
    let text = "exec $CONFIG_SHELL $as_opts \"$as_myself\" ${1+\"$@\"}\n";
    let other = "eval \"\\$SHELL \\\"\\$ac_sub_configure\\\" $ac_sub_configure_args\"\n";
    let trial = Trial::new(&script(&format!(
        "cat >made <<\\_EOF\n{text}{other}_EOF\necho '\n{text}{other}' >>made\ncat made >&6\n{}",
        check("ac_cv_x", "ac_cv_x=a")
    )));
    says_the_same(&trial, &["./configure", "a"], &[]);
}

/// What it is given there is evaluated by the shell, and tells what is exported.
#[test]
fn nobody_else_may_look_where_a_script_asks() {
    let tells = "stat -c %a \"$TMPDIR\"/ebd-asks-*/. >&6\n";
    let trial = Trial::new(&script(&format!(
        "{tells}{}",
        check("ac_cv_x", "ac_cv_x=a")
    )));
    let folder = trial.path("t");
    fs::create_dir_all(&folder).unwrap();
    let words = "umask 0; exec \"$0\" confcache -- ./configure";
    let mut command = trial.command("sh", &["-c", words, EBD]);
    let outcome = Outcome::of(command.env("TMPDIR", &folder));
    assert!(outcome.succeeds().stdout.contains("700\n"), "{outcome}");
}

/// A shell that cannot be given the script by its name says the name of the copy.
#[test]
fn what_names_the_copy_is_not_kept() {
    let there = Trial::new("");
    let script = |body: &str| script(&format!("{body}\n{}", check("ac_cv_x", "ac_cv_x=a")));
    for (body, kept) in [
        ("no-such-program", false),
        ("(no-such-program) 2>made", false),
        ("(no-such-program) 2>&5", true),
    ] {
        there.script(&script(body));
        let path = there.path("build/configure");
        let run = || {
            there.clean();
            there.confcache(&["--", path.to_str().unwrap()]);
            there.last()
        };
        assert_eq!(run(), if kept { "learned" } else { "untaught" }, "{body}");
        assert_eq!(run(), if kept { "hit" } else { "untaught" }, "{body}");
    }
}

#[test]
fn messages_of_shells_are_answers_like_others() {
    let said = check("ac_cv_x", "ac_cv_x=`./no-such-program 2>&1`");
    let trial = Trial::new(&script(&said));
    assert_eq!(asks(&trial, &["a"]), (0, 1));
    assert_eq!(asks(&trial, &["b"]), (1, 1));
}

#[test]
fn shells_take_an_odd_name_of_the_folder_as_ever() {
    let text = format!(
        "export -p | grep PWD\npwd >&6\n{}",
        check("ac_cv_x", "ac_cv_x=a")
    );
    let trial = Trial::new(&script(&text));
    let place = trial.path("build");
    let place = place.to_str().unwrap();
    for odd in [
        format!("{place}/."),
        format!("{place}/../build"),
        format!("/{place}"),
        format!("{place}/"),
        "../build".to_owned(),
    ] {
        for shell in ["dash", "bash"] {
            let words = [shell, "./configure"];
            says_the_same(&trial, &words, &[("PWD", &odd)]);
            says_the_same(&trial, &words, &[("OLDPWD", "/none"), ("PWD", place)]);
            says_the_same(&trial, &words, &[("OLDPWD", ""), ("PWD", place)]);
        }
    }
}

/// What is known of how a shell was started is not all that it may have been given.
#[test]
fn shells_are_started_again_as_they_were() {
    let tells = "echo \"$0 $* in $PWD by ${BASH_VERSION+bash}, ${-%c}\" >&6\n(set -o) | grep posix >&6\nfalse\necho goes on >&6\n";
    let check = check("ac_cv_x", "ac_cv_x=a");
    let own = Trial::new(&script(&format!("{AGAIN}{tells}{check}")));
    let above = starts("sub").replace("$OUT/sub", "../../out/sub");
    let nested = Trial::new(&script(&above));
    let below = script(&format!("{tells}{check}"));
    nested.put("out/sub/configure", &format!("{HEAD}{below}"));
    for (trial, is_nested) in [(&own, false), (&nested, true)] {
        symlink("/bin/bash", trial.path("bin/another")).unwrap();
        for shell in [
            "/bin/bash --norc",
            "/bin/bash -e",
            "/bin/bash --posix",
            "bash",
            "../bin/another",
            "/bin/sh",
            "/bin/no-such-shell",
        ] {
            let name = if is_nested { "CONFIG_SHELL" } else { "AGAIN" };
            runs_the_same(trial, &["./configure", "a b"], &[(name, shell)]);
        }
        let by_name = [("BASH", "/bin/bash")];
        runs_the_same(trial, &["dash", "./configure", "a"], &by_name);
        let folder = trial.path("t m*p");
        fs::create_dir_all(&folder).unwrap();
        let folder = folder.to_str().unwrap();
        let odd = [("AGAIN", "/bin/bash"), ("TMPDIR", folder)];
        runs_the_same(trial, &["./configure", "a"], &odd);
    }
}

#[test]
fn a_script_below_that_was_edited_is_another() {
    let above = starts("sub").replace("$OUT/sub", "../../out/sub");
    let trial = Trial::new(&script(&above));
    let below = |version: &str| {
        let text = script(&format!(
            "echo {version} >made\n{}",
            check("ac_cv_x", "ac_cv_x=a")
        ));
        trial.put("out/sub/configure", &format!("{HEAD}{text}"));
    };
    below("1.2.3");
    assert_eq!(trial.same_as_uncached(&["a"]), "learned");
    assert_eq!(trial.same_as_uncached(&["a"]), "hit");
    below("1.2.4");
    assert_eq!(trial.same_as_uncached(&["a"]), "learned");
    assert_eq!(trial.same_as_uncached(&["a"]), "hit");
}
