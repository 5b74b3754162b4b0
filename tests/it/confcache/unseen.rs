//! What a check or a script has looked at in a way that its trace does not show at first sight.

use std::fs;
use std::os::unix::fs::symlink;

use super::answers::{asks, asks_with, check, script, trial};
use super::compilers;
use super::{HEAD, Trial};

/// Has the script run by bash, which knows more than `sh` of some systems.
pub(super) fn by_bash(trial: &Trial) {
    let path = trial.path("build/configure");
    let text = fs::read_to_string(&path).unwrap();
    assert!(HEAD.starts_with("#! /bin/sh\n"));
    fs::write(path, text.replacen("#! /bin/sh\n", "#! /bin/bash\n", 1)).unwrap();
}

#[test]
fn a_link_that_the_run_makes_leads_to_what_it_depends_on() {
    for body in [
        "ln -s \"$OUT\" sdk; cat sdk/version >made",
        "ln -s \"$OUT\" sdk; cat sdk/version >made; rm sdk",
        "ln -s ../out sdk; cat sdk/version >made; rm sdk",
        "ln -s \"$OUT\" a; mv a b; cat b/version >made; rm b",
        "ln -s \"$OUT\" a; ln -s a b; cat b/version >made; rm a b",
        "mkdir d; ln -s \"$OUT/version\" d/v; cat d/v >made; rm -r d",
        "ln -s \"$OUT\" sdk; test -f sdk/version && cat sdk/../out/version >made; rm sdk",
    ] {
        let trial = Trial::new(&format!("{body}\n: >config.status\n"));
        trial.put("out/version", "one");
        assert_eq!(trial.same_as_uncached(&[]), "learned", "{body}");
        assert_eq!(trial.same_as_uncached(&[]), "hit", "{body}");
        trial.put("out/version", "two");
        let why = trial.why(&[]);
        assert!(why.contains("out/version: was a file"), "{body}: {why}");
        assert_eq!(trial.same_as_uncached(&[]), "learned", "{body}");
        assert_eq!(trial.same_as_uncached(&[]), "hit", "{body}");
    }
}

#[test]
fn what_is_written_through_a_link_is_written_elsewhere() {
    for body in [
        "ln -s \"$OUT\" d; echo x >d/new",
        "ln -s \"$OUT\" d; echo x >d/new; rm d",
        "ln -s \"$OUT/new\" f; echo x >f; rm f",
        "ln -s ../out d; mkdir -p d/new; rm d",
    ] {
        let trial = Trial::new(&format!("{body}\n: >config.status\n"));
        for _ in 0..2 {
            let _ = fs::remove_file(trial.path("out/new"));
            let _ = fs::remove_dir(trial.path("out/new"));
            assert_eq!(trial.configure(&[]), "untaught", "{body}");
            assert!(trial.path("out/new").exists(), "{body}");
        }
    }
}

#[test]
fn a_link_that_was_there_is_a_fact_itself() {
    for (reads, changed) in [
        ("cat dep/version", "dep: was a link to ../v1"),
        ("readlink dep", "dep: was a link to ../v1"),
        ("cat inner/version", "inner: was a link to here"),
    ] {
        let trial = Trial::new(&format!("{reads} >made\n: >config.status\n"));
        let put = |dep: &str, inner: &str| {
            trial.clean();
            for (folder, text) in [("v1", "one"), ("v2", "two")] {
                trial.put(&format!("{folder}/version"), text);
            }
            for (folder, text) in [("here", "one"), ("there", "two")] {
                trial.put(&format!("build/{folder}/version"), text);
            }
            symlink(dep, trial.path("build/dep")).unwrap();
            symlink(inner, trial.path("build/inner")).unwrap();
        };
        let run = || {
            trial.confcache(&["--", "./configure"]).succeeds();
            (
                trial.last(),
                fs::read_to_string(trial.path("build/made")).unwrap(),
            )
        };
        put("../v1", "here");
        let (outcome, first) = run();
        assert_eq!(outcome, "learned", "{reads}");
        put("../v1", "here");
        assert_eq!(run(), ("hit".to_owned(), first.clone()), "{reads}");
        put("../v2", "there");
        let why = trial.confcache(&["why", "--", "./configure"]);
        assert!(why.stdout.contains(changed), "{reads}: {why}");
        let (outcome, second) = run();
        assert_eq!(outcome, "learned", "{reads}");
        assert_ne!(first, second, "{reads}");
    }
}

#[test]
fn a_check_that_makes_a_link_depends_on_where_it_leads() {
    for body in [
        "ln -s \"$OUT/version\" conftest.v; ac_cv_x=`cat conftest.v`; rm -f conftest.v",
        "ln -s \"$OUT\" conftest.d; ac_cv_x=`cat conftest.d/version`; rm -f conftest.d",
        "ln -s ../out conftest.d; ac_cv_x=`cat conftest.d/version`; rm -f conftest.d",
    ] {
        let trial = trial(&check("ac_cv_x", body));
        trial.put("out/version", "one");
        assert_eq!(asks(&trial, &["a"]), (0, 1), "{body}");
        assert_eq!(asks(&trial, &["b"]), (1, 1), "{body}");
        trial.put("out/version", "two");
        assert_eq!(asks(&trial, &["c"]), (0, 1), "{body}");
        assert_eq!(asks(&trial, &["d"]), (1, 1), "{body}");
    }
}

#[test]
fn what_is_in_the_folder_counts_for_who_lists_it() {
    // Programs may look at more than names.
    for (body, names) in [
        ("ac_cv_x=`ls | grep -c plugin`", 0),
        ("ac_cv_x=`find . -name '*.plugin' | wc -l`", 0),
        ("ac_cv_x=`sh -c 'echo *'`", 1),
        ("ac_cv_x=`\"$OUT/lists\"`", 1),
        ("ac_cv_x=`echo *.plugin`", 1),
        ("what='[!c]*'; ac_cv_x=`echo $what`", 1),
        (
            "ac_cv_x=`: >conftest.plugin; echo *.plugin`; rm -f conftest*",
            1,
        ),
        ("ac_cv_x=`: >c.plugin; echo *.plugin`; rm -f c.*", 1),
        (
            "cat >conftest.mk <<'_ACEOF'\nall: *.plugin\n\t@echo $^\n_ACEOF\nac_cv_x=`make -f conftest.mk 2>&1`\nrm -f conftest*",
            1,
        ),
        ("ac_cv_x=`: >conftest.plugin; echo *.plugin`", 0),
    ] {
        let trial = trial(&format!(
            "case $1 in b*) : >a.plugin ;; esac\n{}rm -f *.plugin\n",
            check("ac_cv_x", body)
        ));
        trial.put("out/lists", "#!/bin/sh\necho *\n");
        let lists = trial.path("out/lists");
        fs::set_permissions(lists, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        for (argument, known) in [("a", 0), ("b", 0), ("a", names), ("b2", names)] {
            assert_eq!(asks(&trial, &[argument]), (known, 1), "{body}");
        }
    }
    // What a function is given may be a pattern too.
    let function = "ac_fn_try ()\n{\n  as_lineno=${as_lineno-\"$1\"}\nif eval test \\${$3+y}\nthen :\n  printf %s \"(cached) \" >&6\n\
                    else case e in #(\n  e) found=no\n  for each in $2; do test -f \"$each\" && found=yes; done\n  eval \"$3=\\$found\" ;;\n\
                    esac\nfi\neval ac_res=\\$$3\nprintf \"%s\\n\" \"$ac_res\" >&6\n}\n";
    let trial = trial(&format!(
        "{function}case $1 in b*) : >a.plugin ;; esac\nac_fn_try 1 '*.plugin' ac_cv_x\nrm -f *.plugin\n"
    ));
    for argument in ["a", "b"] {
        assert_eq!(asks(&trial, &[argument]), (0, 1));
    }
    // The shell itself, which only looks for what checks leave behind.
    let trial = self::trial(&check(
        "ac_cv_x",
        "echo x >conftest.one; ac_cv_x=`cat conftest.one`; rm -f conftest*",
    ));
    assert_eq!(asks(&trial, &["a"]), (0, 1));
    assert_eq!(asks(&trial, &["b"]), (1, 1));
}

/// A file that is sourced may bring functions that the script does not have, and others in the place of its own.
#[test]
fn functions_of_other_files_count() {
    for own in ["", "probe () {\n  echo own\n}\n"] {
        for source in [". \"$OUT/helpers\"", "command . \"$OUT/helpers\""] {
            let script = format!("{own}{source}\n{}", check("ac_cv_x", "ac_cv_x=`probe`"));
            let trial = trial(&script);
            let helpers = |text: &str| trial.put("out/helpers", text);
            by_bash(&trial);
            helpers("probe () { calls; }\ncalls () { echo one; }\n");
            assert_eq!(asks(&trial, &["a"]), (0, 1), "{script}");
            assert_eq!(asks(&trial, &["b"]), (1, 1), "{script}");
            helpers("probe () { calls; }\ncalls () { echo two; }\n");
            assert_eq!(asks(&trial, &["c"]), (0, 1), "{script}");
            // What has nothing to do with it does not count.
            helpers("probe () { calls; }\ncalls () { echo two; }\nother () { :; }\n");
            assert_eq!(asks(&trial, &["d"]), (1, 1), "{script}");
        }
    }
}

/// Not every shell can tell its functions.
#[test]
fn a_shell_that_may_have_other_functions_is_not_answered() {
    let trial = trial(&format!(
        "{}. \"$OUT/helpers\"\n{}",
        check("ac_cv_before", "ac_cv_before=yes"),
        check("ac_cv_x", "ac_cv_x=`probe`")
    ));
    let shell = trial.path("build/configure");
    let text = fs::read_to_string(&shell).unwrap();
    fs::write(&shell, text.replacen("#! /bin/sh\n", "#! /bin/dash\n", 1)).unwrap();
    for (word, known) in [("one", 0), ("one", 1), ("two", 1)] {
        trial.put("out/helpers", &format!("probe () {{ echo {word}; }}\n"));
        assert_eq!(asks(&trial, &[word]), (known, 1), "{word}");
    }
}

#[test]
fn all_definitions_of_a_function_count() {
    let text = |first: &str| {
        script(&format!(
            "probe () {{\n  echo {first}\n}}\n{}probe () {{\n  echo last\n}}\n",
            check("ac_cv_x", "ac_cv_x=`probe`")
        ))
    };
    let trial = Trial::new(&text("one"));
    assert_eq!(asks(&trial, &["a"]), (0, 1));
    assert_eq!(asks(&trial, &["b"]), (1, 1));
    trial.script(&text("two"));
    assert_eq!(asks(&trial, &["c"]), (0, 1));
}

#[test]
fn functions_that_a_shell_begins_with_count() {
    let trial = trial(&check("ac_cv_x", "ac_cv_x=`probe`"));
    by_bash(&trial);
    for (text, known) in [("one", 0), ("one", 1), ("two", 0)] {
        let function = format!("() {{ echo {text}; }}");
        let variables = [("BASH_FUNC_probe%%", function.as_str())];
        assert_eq!(asks_with(&trial, &[text], &variables), (known, 1), "{text}");
    }
}

#[test]
fn what_is_added_to_a_variable_is_added() {
    let text = format!(
        "my_libs=$1\n{}printf '%s\\n' \"$my_libs\" >&6\n",
        check("ac_cv_x", "ac_cv_x=yes; my_libs+=\" -lfoo\"")
    );
    let trial = trial(&text);
    by_bash(&trial);
    for (argument, known) in [("a", 0), ("a", 1), ("b", 0), ("b", 1)] {
        assert_eq!(asks(&trial, &[argument]), (known, 1), "{argument}");
    }
}

#[test]
fn how_long_a_variable_is_counts() {
    let text = format!(
        "list=$1\n{}",
        check(
            "ac_cv_x",
            "if test ${#list} -gt 3; then ac_cv_x=long; else ac_cv_x=short; fi"
        )
    );
    let trial = trial(&text);
    for (argument, known) in [("a", 0), ("a", 1), ("aaaa", 0), ("aaaa", 1)] {
        assert_eq!(asks(&trial, &[argument]), (known, 1), "{argument}");
    }
}

/// Of these only the first element could be asked for.
#[test]
fn arrays_are_not_asked_for() {
    for body in [
        "ac_cv_x=${list[1]}",
        "ac_cv_x=${#list[@]}",
        "list[1]=z; ac_cv_x=yes",
    ] {
        let text = format!(
            "declare -a list\neval 'list=(1 \"$1\")'\n{}printf '%s\\n' \"${{list[*]}}\" >&6\n{}",
            check("ac_cv_x", body),
            check("ac_cv_y", "ac_cv_y=yes")
        );
        let trial = trial(&text);
        by_bash(&trial);
        for argument in ["a", "b", "a"] {
            assert_eq!(asks(&trial, &[argument]).1, 1, "{body}");
        }
    }
}

/// What was asked of a file first is less than what its compiler saw.
#[test]
fn a_header_that_was_tested_for_counts_with_its_content() {
    let elsewhere = tempfile::tempdir_in("/var/tmp").unwrap();
    let header = elsewhere.path().join("foo.h");
    let program = format!(
        "#include \"{}\"\nint x[FOO_ABI == 1 ? 1 : -1];",
        header.display()
    );
    let compile = compilers::asks(
        "one",
        &program,
        "ac_cv_x=no\nif (eval \"$ac_compile\") 2>conftest.err; then ac_cv_x=yes; fi; : >conftest.err",
    );
    let body = format!(
        "if test -f {}; then\n{}fi",
        header.display(),
        compile.replace("cat conftest.err >&6\n", "")
    );
    let parts = ["as_nop=:\n".to_owned(), check("ac_cv_x", &body)];
    let trial = Trial::new(&compilers::script(&parts));
    for (abi, known) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
        let text = format!("#define FOO_ABI {abi}\n");
        if fs::read_to_string(&header).ok().as_ref() != Some(&text) {
            fs::write(&header, text).unwrap();
        }
        let [(plain, ()), (cached, ())] = trial.with_and_without(&["a"], &[], || ());
        assert_eq!(plain.stdout, cached.stdout);
        let told = format!("of 1 checks {known} were answered");
        assert!(cached.stderr.contains(&told), "{abi}: {}", cached.stderr);
    }
}

/// What it might define is seen by nobody, and what it does at one time must not look like another's doing.
#[test]
fn a_check_that_sources_a_file_is_not_asked() {
    let trial = trial(&format!(
        "probe () {{\n  echo own\n}}\n{}{}",
        check("ac_cv_x", ". \"$OUT/helpers\"; ac_cv_x=yes"),
        check("ac_cv_y", "ac_cv_y=`probe`")
    ));
    by_bash(&trial);
    trial.put("out/helpers", "probe () { echo other; }\n");
    for (argument, known) in [("a", 0), ("b", 1)] {
        assert_eq!(asks(&trial, &[argument]), (known, 1), "{argument}");
    }
}

/// As autoconf looks whether the file systems of a prefix have long names, where the user may write there.
#[test]
fn what_is_made_elsewhere_and_removed_again_leaves_nothing() {
    for (body, taught) in [
        (
            "mkdir \"$OUT/cf$$\"; : >\"$OUT/cf$$/x\"; rm -r \"$OUT/cf$$\"",
            true,
        ),
        (
            ": >\"$OUT/cf$$\"; rm \"$OUT/cf$$\"; : >\"$OUT/cf$$\"; rm \"$OUT/cf$$\"",
            true,
        ),
        ("mkdir -p \"$OUT/cf\"; rm -r \"$OUT/cf\"", true),
        // It is there still, was there before, or comes back as another.
        ("mkdir \"$OUT/cf$$\"", false),
        ("rm -r \"$OUT/old\"", false),
        (
            "rm -r \"$OUT/old\"; mkdir \"$OUT/old\"; rmdir \"$OUT/old\"",
            false,
        ),
        ("mv \"$OUT/old\" \"$OUT/new\"; rm -r \"$OUT/new\"", false),
    ] {
        let trial = Trial::new(&format!("{body}\necho made >made\n: >config.status\n"));
        let renewed = || {
            let _ = fs::remove_dir_all(trial.path("out"));
            trial.put("out/old/file", "");
        };
        renewed();
        let first = if taught { "learned" } else { "untaught" };
        assert_eq!(trial.configure(&[]), first, "{body}");
        renewed();
        let again = if taught { "hit" } else { "untaught" };
        assert_eq!(trial.configure(&[]), again, "{body}");
        let asked = super::answers::trial(&check("ac_cv_x", &format!("{body}\nac_cv_x=yes")));
        asked.put("out/old/file", "");
        asks(&asked, &["a"]);
        fs::remove_dir_all(asked.path("out")).unwrap();
        asked.put("out/old/file", "");
        assert_eq!(asks(&asked, &["b"]).0, usize::from(taught), "{body}");
    }
}

/// What a check finds while its folder is taken away from below it is not what it would have found.
#[test]
fn a_run_that_fails_or_loses_its_folder_keeps_no_answers() {
    let x = check("ac_cv_x", "ac_cv_x=yes");
    for (ends, kept) in [
        (":", true),
        ("if test $1 = a; then exit 3; fi", false),
        (
            "if test $1 = a; then mv \"$PWD\" \"$PWD.old\"; mkdir \"$PWD\"; fi",
            false,
        ),
    ] {
        let trial = trial(&format!("{x}{ends}\n"));
        let text = fs::read_to_string(trial.path("build/configure")).unwrap();
        let run = |argument: &str| {
            trial.clean();
            trial.confcache(&["-v", "--no-replay", "--", "./configure", argument])
        };
        let first = run("a");
        let why = trial.confcache(&["why", "ac_cv_x"]).stdout;
        if !trial.path("build/configure").exists() {
            trial.script("");
            fs::write(trial.path("build/configure"), text).unwrap();
        }
        let told = run("b").stderr;
        let answered = format!("of 1 checks {} were answered", usize::from(kept));
        assert!(told.contains(&answered), "{ends}: {told}\n{first}");
        assert_eq!(why.contains("and kept"), kept, "{ends}: {why}");
    }
}

/// Values that are evaluated once more may name what is another each time, and mostly do not.
#[test]
fn what_is_of_the_moment_counts_only_if_it_is_named() {
    let trial = trial(&format!(
        "command='echo one'\ncase $1 in b*) command='echo ${{RANDOM:+some}}' ;; c*) command='echo $((RANDOM * 0))' ;; esac\n{}",
        check("ac_cv_x", "ac_cv_x=`eval \"$command\"`")
    ));
    by_bash(&trial);
    for (argument, known) in [
        ("a", 0),
        ("a2", 1),
        ("b", 0),
        ("b2", 0),
        ("c", 0),
        ("c2", 0),
    ] {
        assert_eq!(asks(&trial, &[argument]), (known, 1), "{argument}");
    }
}

/// What autoconf's functions leave in variables of theirs is left by answers as well, and by a check that does not call
/// them it is as it was; what that was is not asked for.
#[test]
fn what_functions_leave_is_left_by_answers_too() {
    let function = "ac_fn_try ()\n{\n  as_lineno=${as_lineno-\"$1\"}\n  if test \"$2\" = yes\nthen :\n  ac_retval=0\nelse\n  ac_retval=3\nfi\n  \
                    ac_status=$ac_retval\n  as_fn_set_status $ac_retval\n}\nas_fn_set_status ()\n{\n  return $1\n}\n";
    let body = "ac_cv_x=none\nif test -f \"$OUT/there\"\nthen :\n  if ac_fn_try 1 yes\nthen :\n  ac_cv_x=yes\nfi\nfi";
    let looks = "echo \"$((ac_status + 0)) ${ac_retval-unset}\" >&6\nv=ac_status\neval \"echo \\$$v\" >&6\n(set) | grep ^ac_status= >&6\n";
    for (before, given) in [
        ("ac_fn_try 1 $2 || :\n", ["no", "yes"]),
        ("ac_status=$2\n", ["1", "2"]),
    ] {
        let script = format!("{function}{before}{}{looks}", check("ac_cv_x", body));
        let trial = self::trial(&script);
        for (argument, known) in given.iter().zip([0, 1]) {
            assert_eq!(asks(&trial, &["a", argument]), (known, 1), "{before}");
        }
        trial.put("out/there", "");
        for (argument, known) in given.iter().zip([0, 1]) {
            assert_eq!(asks(&trial, &["a", argument]), (known, 1), "{before}");
        }
        trial.clean();
        let words = ["-v", "--verify", "--", "./configure", "a", given[0]];
        let outcome = trial.confcache(&words);
        let told = &outcome.succeeds().stderr;
        assert!(told.contains("1 are as was known"), "{told}");
    }
    // A check that looks at what was left before depends on it.
    let body = "ac_cv_x=$ac_status\nif test -f \"$OUT/there\"\nthen :\n  ac_fn_try 1 yes\nfi";
    let trial = self::trial(&format!(
        "{function}ac_status=$2\n{}",
        check("ac_cv_x", body)
    ));
    for (argument, known) in [("1", 0), ("2", 0), ("1", 1)] {
        assert_eq!(asks(&trial, &["a", argument]), (known, 1));
    }
}

/// Where in the script a check stands is no part of it, and which process makes it neither.
#[test]
fn numbers_of_lines_and_processes_are_no_answers() {
    for body in [
        "ac_cv_x=$LINENO",
        "ac_cv_x=x${LINENO}y",
        "for ac_i in $LINENO; do ac_cv_x=$ac_i; done",
        "ac_cv_x=$$",
        "ac_cv_x=${$}",
        "ac_cv_x=`echo`$$",
        "for ac_i in $$; do ac_cv_x=$ac_i; done",
        "case $$ in *) ac_cv_x=$$ ;; esac",
        "read ac_cv_x <<_E\n$$\n_E",
        "echo $$ >conftest.x; ac_cv_x=`cat conftest.x`; rm -f conftest.x",
        ": >conftest$$; ac_cv_x=`echo conftest*[0-9] | sed s/conftest//`; rm -f conftest*",
        "if test `expr $$ + 0` = $$; then ac_cv_x=$$; fi",
    ] {
        let own = check("ac_cv_x", body).replace("\"$ac_cv_x\"", "\"${ac_cv_x#\"$$\"}\"");
        let text = format!("{own}{}", check("ac_cv_y", "ac_cv_y=yes"));
        let trial = self::trial(&text);
        assert_eq!(asks(&trial, &["a"]).0, 0, "{body}");
        trial.script(&super::answers::script(&format!("\n\n{text}")));
        assert_eq!(asks(&trial, &["b"]).0, 1, "{body}");
    }
}

#[test]
fn what_is_set_by_a_function_that_may_not_be_called_is_what_it_was() {
    let body =
        "ac_cv_x=no\nif test -f \"$OUT/there\"\nthen :\n  if probe\nthen :\n  ac_cv_x=yes\nfi\nfi";
    let trial = trial(&format!(
        "probe ()\n{{\n  FLAG=yes\n  test -f \"$OUT/there\"\n}}\nFLAG=$2\n{}echo $FLAG >&6\n",
        check("ac_cv_x", body)
    ));
    for (argument, known) in [("one", 0), ("two", 0), ("one", 1)] {
        assert_eq!(asks(&trial, &["a", argument]), (known, 1));
    }
    trial.put("out/there", "");
    for (argument, known) in [("one", 0), ("one", 1)] {
        assert_eq!(asks(&trial, &["a", argument]), (known, 1));
    }
}
