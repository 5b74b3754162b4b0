//! Scripts and caches of which nothing may be learned: the result is as if there were no cache.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use super::answers::{self, check};
use super::{BODY, HEAD, Trial, shown};
use crate::support::{EBD, Outcome, is_root};

/// Asserts that configuring twice runs twice, with a warning that has these words.
#[track_caller]
fn teaches_nothing(trial: &Trial, words: &str) {
    for _ in 0..2 {
        assert_eq!(trial.same_as_uncached(&[]), "untaught");
        trial.clean();
        let outcome = trial.confcache(&["--", "./configure"]);
        assert!(
            outcome.stderr.contains(words),
            "{words:?} is not in:\n{outcome}"
        );
    }
    assert!(!trial.path("cache/runs").exists());
}

#[test]
fn a_failed_run_teaches_nothing() {
    let trial = Trial::new("echo no >&2; echo part > part; exit 77");
    for _ in 0..2 {
        assert_eq!(trial.same_as_uncached(&[]), "untaught");
    }
    trial.script("kill -TERM $$; sleep 5");
    trial.clean();
    assert_eq!(trial.confcache(&["--", "./configure"]).code(), 143);
    assert_eq!(trial.last(), "untaught");
}

/// Java keeps its counters in a folder that is there before and stays.
#[test]
fn counters_of_java_count_for_nothing() {
    let counters = tempfile::Builder::new()
        .prefix("hsperfdata_trial-")
        .tempdir_in("/tmp")
        .unwrap();
    let folder = counters.path().display();
    let trial = Trial::new(&format!(
        "ls {folder} >/dev/null; : > {folder}/$$; rm {folder}/$$; echo done > made"
    ));
    assert_eq!(trial.same_as_uncached(&[]), "learned");
    fs::write(counters.path().join("99"), "").unwrap();
    assert_eq!(trial.same_as_uncached(&[]), "hit");
}

/// What some checks of gnulib do.
#[test]
fn nameless_files_and_paths_that_are_too_long_do_no_harm() {
    let trial = Trial::new("cc -o try try.c && ./try && rm try");
    trial.put(
        "build/try.c",
        "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <sys/stat.h>\n#include <unistd.h>\nint main(void) {\n\
         if (open(\"/tmp\", O_TMPFILE | O_RDWR, 0600) < 0 && open(\".\", O_TMPFILE | O_RDWR, 0600) < 0) return 1;\n\
         for (int i = 0; i < 600; i++) if (mkdir(\"confdir3\", 0700) || chdir(\"confdir3\")) return 2;\n\
         if (access(\"none\", F_OK) == 0) return 3;\n\
         for (int i = 0; i < 600; i++) if (chdir(\"..\") || rmdir(\"confdir3\")) return 4;\n\
         return 0; }\n",
    );
    let source = fs::read(trial.path("build/try.c")).unwrap();
    let run = || {
        trial.clean();
        fs::write(trial.path("build/try.c"), &source).unwrap();
        let outcome = trial.confcache(&["--", "./configure"]);
        outcome.succeeds();
        // Shown if a test fails.
        println!("{outcome}");
        trial.last()
    };
    assert_eq!(run(), "learned");
    // Another time of the source is another fact that holds.
    assert_eq!(run(), "hit");
}

#[test]
fn what_writes_elsewhere_teaches_nothing() {
    teaches_nothing(
        &Trial::new("echo x > \"$OUT/file\"; echo y > y"),
        "it wrote outside of its directory",
    );
    let trial =
        Trial::new("t=/tmp/ebd-left-$$; echo x > $t; cp $t y; echo $t > \"$OUT/name\"; exit 0");
    trial.put("home/.config/ebd/confcache.conf", "path **/name exists\n");
    trial.put("out/name", "");
    trial.confcache(&["--", "./configure"]).succeeds();
    assert_eq!(trial.last(), "untaught");
    let left = fs::read_to_string(trial.path("out/name")).unwrap();
    fs::remove_file(left.trim()).unwrap();
}

#[test]
fn what_comes_and_goes_does_no_harm() {
    let trial = Trial::new("t=/tmp/ebd-gone-$$; mkdir $t; echo x > $t/f; cp $t/f y; rm -r $t");
    assert_eq!(trial.same_as_uncached(&[]), "learned");
    assert_eq!(trial.same_as_uncached(&[]), "hit");
}

#[test]
fn processes_are_others_each_time() {
    let trial = Trial::new(
        "test -d /proc/$$ && echo yes >made\nreadlink /proc/self >/dev/null\ncat /proc/self/comm >>made\n",
    );
    assert_eq!(trial.same_as_uncached(&[]), "learned");
    assert_eq!(trial.same_as_uncached(&[]), "hit");
}

#[test]
fn what_was_changed_meanwhile_teaches_nothing() {
    let trial =
        Trial::new("cat \"$OUT/pipe\" > got; cat \"$OUT/file\" > read; cat \"$OUT/pipe\" > got");
    trial.put("out/file", "old");
    let pipe = trial.path("out/pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut child = trial
        .command(EBD, &["confcache", "--", "./configure"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The script waits for both.
    fs::write(&pipe, "first").unwrap();
    let read = trial.path("build/read");
    while fs::read_to_string(&read).unwrap_or_default().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    trial.put("out/file", "new");
    fs::write(&pipe, "second").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(trial.last(), "untaught");
}

#[test]
fn what_cannot_be_put_back_teaches_nothing() {
    teaches_nothing(&Trial::new("mkfifo pipe"), "is a device, socket or pipe");
}

#[test]
fn what_autoconf_did_not_make_is_run_as_ever() {
    let trial = Trial::new("");
    let path = trial.path("build/configure");
    fs::write(&path, "#!/bin/sh\necho mine; cat > read; exit 3\n").unwrap();
    let run = |program: &str, words: &[&str]| {
        let mut command = trial.command(program, words);
        Outcome::of(command.stdin(Stdio::null()))
    };
    let outcome = run(EBD, &["confcache", "--", "./configure"]);
    outcome.ends(3, &["no configure script made by autoconf", "run as ever"]);
    assert_eq!(outcome.stdout, "mine\n");
    assert!(!trial.path("cache").exists());
    run(EBD, &["confcache", "--", "./nothing"]).ends(127, &["nothing"]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    run(EBD, &["confcache", "--", "./configure"]).ends(126, &["configure: cannot be run"]);
    run(EBD, &["confcache"]).ends(125, &["there is no command"]);
}

#[test]
fn a_damaged_entry_is_none() {
    let trial = Trial::new(BODY);
    trial.configure(&[]);
    let expected = shown(&trial.path("build"));
    let entry = || {
        let runs = walkdir::WalkDir::new(trial.path("cache/runs")).into_iter();
        let mut files = runs.map(Result::unwrap).filter(|e| e.file_type().is_file());
        let file = files.next().unwrap();
        assert!(files.next().is_none());
        file.into_path()
    };
    let whole = fs::read(entry()).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 8) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        fs::write(entry(), damaged).unwrap();
        trial.clean();
        let outcome = trial.confcache(&["--", "./configure"]);
        outcome.succeeds();
        assert!(outcome.stderr.contains("is damaged"), "{outcome}");
        assert_eq!(trial.last(), "learned");
        assert_eq!(shown(&trial.path("build")), expected);
    }
    fs::write(entry(), &whole[..whole.len() / 2]).unwrap();
    trial.confcache(&["check"]).fails(&["is damaged"]);
    trial.confcache(&["check"]).succeeds();
}

#[test]
fn a_cache_that_cannot_be_written_costs_a_warning() {
    let trial = Trial::new(BODY);
    fs::write(trial.path("cache"), "a file").unwrap();
    trial.clean();
    let outcome = trial.confcache(&["--", "./configure"]);
    outcome.succeeds();
    assert_eq!(
        outcome.stderr.matches("nothing is kept").count(),
        1,
        "{outcome}"
    );
    if !is_root() {
        fs::remove_file(trial.path("cache")).unwrap();
        fs::create_dir(trial.path("cache")).unwrap();
        fs::set_permissions(trial.path("cache"), fs::Permissions::from_mode(0o555)).unwrap();
        trial.clean();
        let outcome = trial.confcache(&["--", "./configure"]);
        outcome.succeeds();
        assert_eq!(
            outcome.stderr.matches("nothing is kept").count(),
            1,
            "{outcome}"
        );
    }
}

#[test]
fn a_table_with_a_bad_line_is_an_error() {
    let trial = Trial::new(BODY);
    trial.put(
        "home/.config/ebd/confcache.conf",
        "# mine\npath /x perhaps\n",
    );
    trial.confcache(&["--", "./configure"]).ends(
        125,
        &["confcache.conf:2", "path GLOB ignore|exists|without REGEX"],
    );
    assert_eq!(shown(&trial.path("build")).len(), 2);
}

#[test]
fn what_is_killed_in_the_middle_leaves_nothing_wrong() {
    let trial = Trial::new("echo half > half; echo going; sleep 30; echo whole > half");
    let mut child = trial
        .command(EBD, &["confcache", "--", "./configure"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!trial.path("cache/runs").exists());
    // What is told to end, ends with what it ran.
    trial.clean();
    let mut child = trial
        .command(EBD, &["confcache", "--", "./configure"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(143));
    assert_eq!(trial.last(), "untaught");
}

#[test]
fn many_at_once_do_not_mix() {
    let trial = Trial::new("echo \"$1\" > config.status");
    let folders: Vec<_> = (0..16).map(|at| trial.path(&format!("b{at}"))).collect();
    for round in 0..2 {
        let mut children = Vec::new();
        for (at, folder) in folders.iter().enumerate() {
            let _ = fs::remove_dir_all(folder);
            fs::create_dir(folder).unwrap();
            fs::copy(trial.path("build/configure"), folder.join("configure")).unwrap();
            let argument = format!("--n={}", at % 4);
            let mut command = trial.command(EBD, &["confcache", "--", "./configure", &argument]);
            children.push(command.current_dir(folder).spawn().unwrap());
        }
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        for (at, folder) in folders.iter().enumerate() {
            let text = fs::read_to_string(folder.join("config.status")).unwrap();
            assert_eq!(text, format!("--n={}\n", at % 4), "round {round}");
        }
    }
    let stats = trial
        .confcache(&["stats", "--json"])
        .succeeds()
        .stdout
        .clone();
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(
        (&stats["learned"], &stats["put_back"]),
        (&16.into(), &16.into()),
        "{stats}"
    );
}

#[test]
fn a_cache_within_the_folder_is_refused_as_a_place() {
    let trial = Trial::new(BODY);
    let outcome = trial.confcache(&["--dir", "cache-here", "--", "./configure"]);
    outcome.succeeds();
    assert!(
        outcome
            .stderr
            .contains("is in the folder that is configured"),
        "{outcome}"
    );
    assert!(!trial.path("build/cache-here").exists());
}

#[test]
fn binary_output_and_names_that_are_no_text_come_back() {
    let trial = Trial::new("printf '\\377\\000\\n'; printf 'x' > \"$(printf 'a\\377')\"");
    assert!(HEAD.starts_with("#!"));
    let run = || {
        trial.clean();
        let output = trial
            .command(EBD, &["confcache", "--", "./configure"])
            .output()
            .unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, b"\xff\0\n");
        let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"a\xff");
        assert_eq!(fs::read(trial.path("build").join(name)).unwrap(), b"x");
        trial.last()
    };
    assert_eq!(run(), "learned");
    assert_eq!(run(), "hit");
}

/// Each removes what the other has just made; no trace shows it.
#[test]
fn two_runs_in_one_folder_teach_nothing_and_are_told() {
    let waits = |begun: &str, go: &str| {
        check(
            "ac_cv_x",
            &format!(
                "echo x >conftest.c; : >\"$OUT/$PACKAGE.{begun}\"\nuntil test -e \"$OUT/$PACKAGE.{go}\"\ndo sleep 0.02\ndone\n\
                 if test -f conftest.c; then ac_cv_x=yes; else ac_cv_x=no; fi; rm -f conftest.c"
            ),
        )
    };
    let trial = answers::trial(&waits("begun", "go"));
    trial.put(
        "home/.config/ebd/confcache.conf",
        "path **/*.begun ignore\npath **/*.go ignore\n",
    );
    let run = |name: &str| {
        let mut command = trial.command(EBD, &["confcache", "-v", "--", "./configure", name]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let end = |child: std::process::Child| {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let texts = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (texts, trial.last())
    };
    let first = run("slow");
    while !trial.path("out/slow.begun").exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    trial.put("out/quick.go", "");
    let ([stdout, stderr], outcome) = end(run("quick"));
    assert!(stdout.ends_with("yes\n"), "{stdout}");
    assert_eq!(outcome, "untaught");
    assert!(
        stderr.contains("another configure run is at work in this directory"),
        "{stderr}"
    );
    trial.put("out/slow.go", "");
    let ([stdout, stderr], outcome) = end(first);
    assert!(stdout.ends_with("no\n"), "the two do not meet: {stdout}");
    assert_eq!(outcome, "untaught");
    assert!(
        stderr.contains("another configure run is at work in this directory"),
        "{stderr}"
    );
    for outcome in ["learned", "hit"] {
        trial.clean();
        let ([stdout, _], last) = end(run("slow"));
        assert!(stdout.ends_with("yes\n"), "{stdout}");
        assert_eq!(last, outcome);
    }
}
