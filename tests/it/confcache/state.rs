//! What a configure run gets from who starts it, and what files are besides their content.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use super::answers::{asks_with, check, trial};
use super::{Trial, shown};
use crate::support::{EBD, Outcome};

/// Runs the script behind these words, with this on its standard input, without the cache and with it: it must do the
/// same. Gives what became of the run, and what was told.
#[track_caller]
fn same_behind(trial: &Trial, words: &[&str], input: Option<&str>) -> (String, String) {
    let _ = fs::remove_file(trial.path("cache/journal"));
    let [plain, cached] = [&[][..], &[EBD, "confcache", "--"]].map(|before| {
        trial.clean();
        fs::set_permissions(trial.path("build"), fs::Permissions::from_mode(0o755)).unwrap();
        let words = [words, before, &["./configure"]].concat();
        let mut command = trial.command(words[0], &words[1..]);
        // Else some shells export it, and that counts already.
        command.env("PWD", trial.path("build"));
        command.stdin(match input {
            Some(_) => Stdio::piped(),
            None => Stdio::null(),
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
            // Who reads nothing of it may have ended.
            let _ = std::io::Write::write_all(&mut pipe, input.as_bytes());
        }
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = text(&output.stderr);
        assert!(output.status.success(), "{words:?}: {told}");
        (text(&output.stdout), shown(&trial.path("build")), told)
    });
    let told = cached.2;
    assert_eq!(
        (cached.0, cached.1),
        (plain.0, plain.1),
        "{words:?}: {told}"
    );
    match trial.path("cache/journal").exists() {
        true => (trial.last(), told),
        false => ("nothing".to_owned(), told),
    }
}

/// How many of the checks are answered behind these words; what is said is the same without the cache.
#[track_caller]
fn answered_behind(trial: &Trial, words: &[&str]) -> usize {
    let [plain, cached] = [&[][..], &[EBD, "confcache", "-v", "--no-replay", "--"]].map(|before| {
        trial.clean();
        let words = [words, before, &["./configure", "a"]].concat();
        let mut command = trial.command(words[0], &words[1..]);
        let outcome = Outcome::of(command.env("PWD", trial.path("build")));
        outcome.succeeds();
        outcome
    });
    assert_eq!(plain.stdout, cached.stdout, "{words:?}: {}", cached.stderr);
    (0..9)
        .find(|number| {
            let told = format!("checks {number} were answered");
            cached.stderr.contains(&told)
        })
        .unwrap_or_else(|| panic!("nothing was asked: {cached}"))
}

/// Whether a command can be run here, which may need rights.
fn can(words: &[&str]) -> bool {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdin(Stdio::null());
    command.output().is_ok_and(|output| output.status.success())
}

/// Asserts that what is found behind some words is not put back behind others, and answered neither. `shows` is the
/// text of a program that tells them apart.
#[track_caller]
fn counts(shows: &str, one: &[&str], other: &[&str]) {
    let whole = Trial::new("shows >made 2>/dev/null\n: >config.status\n");
    let asked = trial(&check("ac_cv_x", "ac_cv_x=`shows 2>/dev/null`"));
    for each in [&whole, &asked] {
        each.put("bin/shows", &format!("#!/bin/sh\n{shows}\n"));
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(each.path("bin/shows"), mode).unwrap();
    }
    for (words, known) in [(one, false), (one, true), (other, false), (one, true)] {
        let expected = if known { "hit" } else { "learned" };
        assert_eq!(same_behind(&whole, words, None).0, expected, "{words:?}");
        assert_eq!(
            answered_behind(&asked, words),
            usize::from(known),
            "{words:?}"
        );
    }
}

#[test]
fn the_number_of_processors_counts() {
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
    let count = nix::sched::CpuSet::count();
    let all: Vec<usize> = (0..count).filter(|at| set.is_set(*at).unwrap()).collect();
    let [first, second, ..] = all[..] else {
        // There is nothing else that could be given.
        let whole = Trial::new("nproc >made");
        assert_eq!(whole.same_as_uncached(&[]), "learned");
        assert_eq!(whole.same_as_uncached(&[]), "hit");
        return;
    };
    let (one, two) = (first.to_string(), format!("{first},{second}"));
    counts("nproc", &["taskset", "-c", &one], &["taskset", "-c", &two]);
}

#[test]
fn all_limits_count() {
    let limit = |value| ["prlimit", value];
    counts(
        "grep msgqueue /proc/self/limits",
        &limit("--msgqueue=4096:"),
        &limit("--msgqueue=2048:"),
    );
    counts(
        "ulimit -c",
        &limit("--core=0:"),
        // Where none may be greater there is another difference.
        match can(&["prlimit", "--core=4096:", "true"]) {
            true => &["prlimit", "--core=4096:"],
            false => &["prlimit", "--core=0:0", "--memlock=4096:"],
        },
    );
}

#[test]
fn how_nice_it_is_counts() {
    counts("nice", &["nice", "-n", "1"], &["nice", "-n", "3"]);
}

#[test]
fn signals_that_are_ignored_count() {
    counts(
        "sh -c 'kill -HUP $$; echo survived' || :",
        // Whoever runs the tests may ignore them.
        &["env", "--default-signal=HUP"],
        &["sh", "-c", "trap '' HUP; exec \"$@\"", "x"],
    );
}

#[test]
fn rights_count() {
    let without: [&str; 5] = [
        "setpriv",
        "--bounding-set",
        "-dac_override,-dac_read_search",
        "--inh-caps",
        "-dac_override,-dac_read_search",
    ];
    if can(&[&without[..], &["true"]].concat()) {
        counts(
            ": >conftest.f; chmod 000 conftest.f; (exec 3<conftest.f) && echo can; rm -f conftest.f",
            &["env"],
            &without,
        );
    } else {
        // Without them there are none to be taken away but this. In the sandbox it is so in any case.
        counts("echo made", &["env"], &["setpriv", "--no-new-privs"]);
    }
}

#[test]
fn whether_there_is_a_network_counts() {
    let shows =
        "LC_ALL=C bash -c 'exec 3<>/dev/tcp/127.0.0.1/1' 2>&1 | grep -o 'refused\\|unreachable'";
    let apart = [&["unshare", "-n"][..], &["unshare", "-c", "-n"]];
    let apart = apart
        .into_iter()
        .find(|words| can(&[words, &["true"][..]].concat()));
    match apart {
        Some(apart) => counts(shows, &["env"], apart),
        None => {
            let whole = Trial::new(&format!("{shows} >made; :"));
            assert_eq!(whole.same_as_uncached(&[]), "learned");
            assert_eq!(whole.same_as_uncached(&[]), "hit");
        }
    }
}

/// Autoconf's scripts put their standard input aside.
#[test]
fn what_nobody_reads_does_not_count() {
    let whole = Trial::new("cat >made; : >config.status");
    assert_eq!(same_behind(&whole, &["env"], Some("one\n")).0, "learned");
    assert_eq!(same_behind(&whole, &["env"], Some("two\n")).0, "hit");
    assert_eq!(same_behind(&whole, &["env"], None).0, "hit");
}

#[test]
fn what_comes_from_elsewhere_teaches_nothing_if_it_is_read() {
    for (words, body) in [
        (&["env"][..], "read x <&7; echo \"$x\" >made"),
        (&["env"], "cat /dev/fd/7 >made"),
        (&["env", "DJDIR=x"], "cat >made"),
        (
            &["sh", "-c", "exec 8<&0; exec \"$@\"", "x"],
            "read x <&8; echo \"$x\" >made",
        ),
    ] {
        let whole = Trial::new(body);
        for input in ["one\n", "two\n"] {
            let (became, told) = same_behind(&whole, words, Some(input));
            assert_eq!(became, "nothing", "{body}");
            assert!(told.contains("may read from descriptor"), "{body}: {told}");
        }
        if words == ["env"] {
            let trial = Trial::new(&format!("{body}\n:"));
            assert_eq!(same_behind(&trial, words, None).0, "learned", "{body}");
            assert_eq!(same_behind(&trial, words, None).0, "hit", "{body}");
        }
    }
}

#[test]
fn files_that_were_opened_before_count() {
    // The script does not say what it reads.
    let whole = Trial::new("n=8; eval \"cat <&$n\" >made; : >config.status");
    let open = |name: &str| format!("exec 8<\"$OUT/{name}\"; exec \"$@\"");
    whole.put("out/1", "one\n");
    whole.put("out/2", "two\n");
    for (name, became) in [
        ("1", "learned"),
        ("1", "hit"),
        ("2", "learned"),
        ("1", "hit"),
    ] {
        let words = ["sh", "-c", &open(name), "x"];
        assert_eq!(same_behind(&whole, &words, None).0, became, "{name}");
    }
    whole.put("out/1", "new\n");
    let words = ["sh", "-c", &open("1"), "x"];
    assert_eq!(same_behind(&whole, &words, None).0, "learned");
    // To where it can only write, as in logs, it reads nothing.
    let whole = Trial::new(": >made; : >config.status");
    let words = [
        "sh",
        "-c",
        "exec 8>>\"$OUT/log\"; echo x >&8; exec \"$@\"",
        "x",
    ];
    assert_eq!(same_behind(&whole, &words, None).0, "learned");
    assert_eq!(same_behind(&whole, &words, None).0, "hit");
}

#[test]
fn variables_of_sessions_count_where_they_are_named() {
    let became = |body: &str| {
        let whole = Trial::new(body);
        ["/var/mail/a", "/var/mail/b"].map(|mail| {
            let mail = format!("MAIL={mail}");
            same_behind(&whole, &["env", &mail, "SSH_TTY=x"], None).0
        })
    };
    assert_eq!(
        became("echo \"${MAIL-none}\" >made"),
        ["learned", "learned"]
    );
    // As each script of autoconf's begins.
    let unsets = "for as_var in BASH_ENV ENV MAIL MAILPATH CDPATH\ndo eval test \\${$as_var+y} && ( (unset $as_var) \
                  || exit 1) && unset $as_var || :\ndone\nenv | grep ^MAI >made\n:";
    assert_eq!(became(unsets), ["learned", "hit"]);
    let asked = trial(&check("ac_cv_x", "ac_cv_x=$MAIL"));
    for (mail, known) in [("a", 0), ("a", 1), ("b", 0)] {
        assert_eq!(
            asks_with(&asked, &["a"], &[("MAIL", mail)]),
            (known, 1),
            "{mail}"
        );
    }
}

#[test]
fn what_would_be_lost_teaches_nothing() {
    let whole = Trial::new("echo x >a; ln a b");
    for _ in 0..2 {
        let (became, told) = same_behind(&whole, &["env"], None);
        assert_eq!(became, "untaught");
        assert!(told.contains("has another name besides"), "{told}");
    }
    // One that is gone again does no harm.
    let whole = Trial::new("echo x >a; ln a b; rm b; : >config.status");
    assert_eq!(same_behind(&whole, &["env"], None).0, "learned");
    assert_eq!(same_behind(&whole, &["env"], None).0, "hit");
}

#[test]
fn extended_attributes_are_not_lost() {
    let whole = Trial::new("cp --preserve=xattr \"$OUT/file\" a; mkdir d; : >config.status");
    whole.put("out/file", "");
    let set = xattr::set(whole.path("out/file"), "user.trial", b"x").is_ok();
    let names = || {
        let names = xattr::list(whole.path("build/a")).into_iter().flatten();
        names
            .map(|name| name.into_string().unwrap())
            .collect::<Vec<_>>()
    };
    whole.clean();
    Outcome::of(&mut whole.command("./configure", &[])).succeeds();
    let expected = names();
    // Some `cp` know nothing of them.
    assert!(set || expected.is_empty());
    for again in ["learned", "hit"] {
        let became = same_behind(&whole, &["env"], None).0;
        assert_eq!(names(), expected);
        match expected.iter().any(|name| name == "user.trial") {
            true => assert_eq!(became, "untaught"),
            false => assert_eq!(became, again),
        }
    }
}

#[test]
fn groups_are_put_back() {
    let own = nix::unistd::getegid().as_raw();
    let probe = tempfile::NamedTempFile::new().unwrap();
    let others = nix::unistd::getgroups().unwrap();
    let others = others.into_iter().map(nix::unistd::Gid::as_raw).chain([5]);
    let another = others
        .filter(|group| *group != own)
        .find(|group| std::os::unix::fs::chown(probe.path(), None, Some(*group)).is_ok());
    // Without another one there is nothing to be given away.
    let group = another.unwrap_or(own);
    let whole = Trial::new(&format!(
        "umask 022; echo x >a; mkdir d; ln -s a l; chgrp -h {group} a d l; chmod 2755 d; : >config.status"
    ));
    let groups = || {
        ["a", "d", "l"].map(|name| {
            let metadata = whole.path("build").join(name).symlink_metadata();
            metadata.unwrap().gid()
        })
    };
    for became in ["learned", "hit"] {
        assert_eq!(same_behind(&whole, &["env"], None).0, became);
        assert_eq!(groups(), [group; 3]);
    }
}

#[test]
fn the_mode_of_the_folder_itself_is_put_back() {
    let whole = Trial::new("chmod 700 .; : >config.status");
    for became in ["learned", "hit"] {
        assert_eq!(same_behind(&whole, &["env"], None).0, became);
        let mode = whole.path("build").metadata().unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o700);
    }
}

fn set_time(path: &Path, seconds: i64) {
    filetime::set_file_mtime(path, filetime::FileTime::from_unix_time(seconds, 0)).unwrap();
}

/// What says which of two files is newer.
const COMPARES: [&str; 5] = [
    "if test \"$OUT/a\" -nt \"$OUT/b\"; then echo newer; else echo older; fi",
    "if test \"$OUT/b\" -ot \"$OUT/a\"; then echo newer; else echo older; fi",
    "(cd \"$OUT\"; ls -t a b)",
    "stat -c %Y \"$OUT/a\"",
    "ls -l --time-style=+%s \"$OUT/a\"",
];

#[test]
fn times_count_where_they_are_compared() {
    for compares in COMPARES {
        let whole = Trial::new(&format!("{compares} >made; : >config.status"));
        let asked = trial(&check("ac_cv_x", &format!("ac_cv_x=`{compares}`")));
        for (time, known) in [(1, false), (1, true), (3, false), (3, true)] {
            for each in [&whole, &asked] {
                each.put("out/a", "");
                each.put("out/b", "");
                set_time(&each.path("out/a"), 1_000_000_000 + time);
                set_time(&each.path("out/b"), 1_000_000_002);
            }
            let became = if known { "hit" } else { "learned" };
            assert_eq!(same_behind(&whole, &["env"], None).0, became, "{compares}");
            assert_eq!(
                answered_behind(&asked, &["env"]),
                usize::from(known),
                "{compares}"
            );
        }
    }
}

/// Automake's scripts ask so whether the clock is right.
#[test]
fn times_do_not_count_for_the_sanity_of_the_clock() {
    let whole = Trial::new(
        "srcdir=.; test -f ./configure && echo one >conftest.file\n\
         set X `ls -Lt \"$srcdir/configure\" conftest.file 2> /dev/null`\n\
         set X `ls -t \"$srcdir/configure\" conftest.file`\nrm -f conftest.file; : >config.status\n",
    );
    for (time, became) in [(1, "learned"), (2, "hit")] {
        set_time(&whole.path("build/configure"), 1_000_000_000 + time);
        assert_eq!(same_behind(&whole, &["env"], None).0, became);
    }
}

#[test]
fn what_other_processes_are_counts() {
    let whole = Trial::new("read p <\"$OUT/pid\"; cat /proc/$p/comm >made; : >config.status");
    let mut other = Command::new("sh")
        .args(["-c", "read x; exec sleep 60"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let name = format!("/proc/{}/comm", other.id());
    whole.put("out/pid", &format!("{}\n", other.id()));
    assert_eq!(same_behind(&whole, &["env"], None).0, "learned");
    assert_eq!(same_behind(&whole, &["env"], None).0, "hit");
    std::io::Write::write_all(other.stdin.as_mut().unwrap(), b"\n").unwrap();
    while fs::read_to_string(&name).unwrap() == "sh\n" {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let became = same_behind(&whole, &["env"], None).0;
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(became, "learned");
}

#[test]
fn what_is_reached_through_a_process_counts() {
    for path in ["/proc/$$/cwd/../out/file", "/proc/$$/root$OUT/file"] {
        let whole = Trial::new(&format!("cat \"{path}\" >made; : >config.status"));
        let body =
            format!("cat \"{path}\" >conftest.x; ac_cv_x=`cat conftest.x`; rm -f conftest.x");
        let asked = trial(&check("ac_cv_x", &body));
        for text in ["one\n", "two\n"] {
            for each in [&whole, &asked] {
                each.put("out/file", text);
            }
            assert_ne!(same_behind(&whole, &["env"], None).0, "hit", "{path}");
            assert_eq!(answered_behind(&asked, &["env"]), 0, "{path}");
        }
    }
}

#[test]
fn whether_files_may_be_written_is_asked_again() {
    let shows = "(test -w \"$OUT/file\" && echo yes)";
    let whole = Trial::new(&format!("{shows} >made; : >config.status"));
    whole.put("out/file", "");
    assert_eq!(same_behind(&whole, &["env"], None).0, "learned");
    assert_eq!(same_behind(&whole, &["env"], None).0, "hit");
    let script =
        "mount --bind \"$OUT\" \"$OUT\" && mount -o remount,ro,bind \"$OUT\" && exec \"$@\"";
    let out = whole.path("out");
    let words = ["unshare", "-m", "sh", "-c", script, "x"];
    let mut probe = Command::new(words[0]);
    probe.args(&words[1..]).arg("true").env("OUT", &out);
    // Only who may mount can take the right away from others.
    if probe.output().is_ok_and(|output| output.status.success()) {
        assert_eq!(same_behind(&whole, &words, None).0, "learned");
    }
    assert_eq!(same_behind(&whole, &["env"], None).0, "hit");
}
