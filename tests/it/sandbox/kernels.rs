//! What the kernel and the machine around a sandbox give, or do not.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Place, Run, dynamic, is_root, left_out};

/// Has `ebd sandbox` run with what stands in `before` in front of it, the folder inside being writable.
fn run_behind(place: &Place, before: &[OsString], options: &[&str], words: &[OsString]) -> Run {
    let inside = place.inside();
    let mut given = vec![OsStr::new("--write"), inside.as_os_str()];
    given.extend(options.iter().map(OsStr::new));
    let plain = place.sandbox(&given);
    let (program, rest) = before.split_first().unwrap();
    let mut command = Command::new(program);
    command
        .args(rest)
        .arg(plain.get_program())
        .args(plain.get_args())
        .args(words);
    place.finish(&mut command)
}

/// The C program doing something in the folder `at`.
fn call(place: &Place, words: &str, at: &Path) -> Vec<OsString> {
    let mut all = vec![dynamic().into()];
    all.extend(place.words(words, at));
    all
}

/// The command that begins a program for which the kernel does not have a call.
fn lacking(number: i64) -> Vec<OsString> {
    vec![
        dynamic().into(),
        "lacking".into(),
        number.to_string().into(),
    ]
}

/// Without Landlock everything is made by the supervisor, if that is asked for.
#[test]
fn without_a_wall_nothing_runs_unless_it_may_and_then_all_is_decided_all_the_same() {
    let landlock = lacking(nix::libc::SYS_landlock_create_ruleset);
    let place = Place::new();
    let run = run_behind(
        &place,
        &landlock,
        &[],
        &call(&place, "creat @/new", &place.inside()),
    );
    run.outcome.ends(
        125,
        &["landlock", "--degrade landlock", "made by ebd itself"],
    );
    assert!(!place.inside().join("new").exists());
    for words in [
        "creat @/new",
        "open wronly,append @/file",
        "open wronly,creat @/dangling",
        "openat wronly,creat @/folder ../new",
        "mkdir @/new",
        "unlink @/file",
        "rename @/file @/new",
        "symlink x @/new",
        "link @/file @/new",
        "mknod fifo @/new",
        "chmod @/file",
        "truncate @/file",
        "int80 creat @/new",
    ] {
        let place = Place::new();
        let options = ["--degrade", "landlock"];
        let before = place.seen();
        let inside = super::Snapshot::of(&place.inside());
        let run = run_behind(
            &place,
            &landlock,
            &options,
            &call(&place, words, &place.outside()),
        );
        assert_eq!(run.outcome.code(), 1, "{words}: {}", run.outcome);
        assert_eq!(run.report().violations.len(), 1, "{words}: {}", run.outcome);
        assert!(
            run.outcome.stderr.contains("without landlock"),
            "{}",
            run.outcome
        );
        before.assert_unchanged(&place.outside(), words);
        let run = run_behind(
            &place,
            &landlock,
            &options,
            &call(&place, words, &place.inside()),
        );
        run.succeeds();
        assert!(super::Snapshot::of(&place.inside()) != inside, "{words}");
    }
}

#[test]
fn without_filters_nothing_runs_unless_it_may() {
    let seccomp = lacking(nix::libc::SYS_seccomp);
    let place = Place::new();
    let words = call(&place, "creat @/new", &place.outside());
    let run = run_behind(&place, &seccomp, &[], &words);
    run.outcome.ends(
        125,
        &[
            "sandbox: cannot be had here",
            "--degrade sandbox",
            "every file that their user may",
        ],
    );
    assert!(!place.outside().join("new").exists());
    run_behind(&place, &seccomp, &["--degrade", "sandbox"], &words).succeeds();
    assert!(place.outside().join("new").exists());
}

/// The kernel has one for each program. Who does without has the outer one still.
#[test]
fn a_sandbox_in_a_sandbox_is_named_and_is_no_way_out() {
    let place = Place::new();
    let inside = place.inside();
    let before = place.seen();
    let outer: Vec<OsString> = place
        .trial
        .command(&["sandbox", "--write"])
        .get_args()
        .map(OsStr::to_owned)
        .collect();
    let mut all = vec![super::super::support::EBD.into()];
    all.extend(outer);
    all.extend([
        inside.into_os_string(),
        "--write".into(),
        place.path("").into(),
    ]);
    // Where its report goes may be written; the folder outside is refused by its name.
    all.extend(["--deny".into(), place.outside().into(), "--".into()]);
    let words = call(&place, "creat @/new", &place.outside());
    let run = run_behind(&place, &all, &["--net", "host"], &words);
    run.outcome.ends(
        125,
        &[
            "cannot be had here",
            "this runs in a sandbox already",
            "--degrade sandbox",
        ],
    );
    let wider = ["--degrade", "sandbox", "--write", "/", "--net", "host"];
    let run = run_behind(&place, &all, &wider, &words);
    run.outcome.ends(1, &["without sandbox", "creat"]);
    run.is_told("creat");
    before.assert_unchanged(&place.outside(), "a sandbox in a sandbox");
}

/// Folders are what they are called, wherever else they can be seen.
#[test]
fn a_folder_that_is_mounted_elsewhere_has_the_rules_of_its_name() {
    let place = Place::new();
    let (inside, outside) = (place.inside(), place.outside());
    let script = "mount --bind \"$0\" \"$1\" && mount --bind \"$0\"/file \"$1\"/../../outside-file && shift && exec \"$@\"";
    fs::write(place.path("outside-file"), "").unwrap();
    let mut before: Vec<OsString> = vec!["unshare".into(), "--mount".into()];
    if !is_root() {
        before.extend(["--user".into(), "--map-root-user".into()]);
    }
    before.extend(["sh".into(), "-c".into(), script.into()]);
    let elsewhere = outside.join("empty");
    before.extend([inside.clone().into(), elsewhere.clone().into()]);
    let works = Command::new(&before[0])
        .args(&before[1..])
        .arg("true")
        .output()
        .unwrap();
    if !works.status.success() {
        left_out("mounts", String::from_utf8_lossy(&works.stderr).trim_end());
        return;
    }
    for words in [
        "open wronly @/file",
        "creat @/new",
        "mkdir @/new",
        "unlink @/file",
        "chmod @/file",
        "rename @/file @/new",
        "rename @/file +/new",
        "int80 creat @/new",
        "open wronly @/../../outside-file",
        "chmod @/../../outside-file",
    ] {
        let kept = super::Snapshot::of(&inside);
        let run = run_behind(&place, &before, &[], &call(&place, words, &elsewhere));
        run.is_told(
            words
                .rsplit("int80 ")
                .next()
                .unwrap()
                .split(' ')
                .next()
                .unwrap(),
        );
        let named = &run.report().violations[0];
        assert!(!named.path().starts_with(&inside), "{words}: {named:?}");
        kept.assert_unchanged(&inside, words);
    }
    run_behind(&place, &before, &[], &call(&place, "creat @/new", &inside)).succeeds();
}

/// A program of 32 bits from its first instruction on.
#[test]
fn a_program_of_32_bits_is_refused_outside_and_works_inside() {
    // No library has to be there for it: open(argv[1], O_WRONLY | O_CREAT), then exit(result < 0).
    const SOURCE: &str = "__asm__(\".globl _start\\n_start: mov 8(%esp), %ebx\\n\"
        \"mov $5, %eax; mov $0101, %ecx; mov $0644, %edx; int $0x80\\n\"
        \"xor %ebx, %ebx; test %eax, %eax; jns 1f; mov %eax, %ebx; neg %ebx\\n\"
        \"1: mov $1, %eax; int $0x80\\n\");\n";
    let place = Place::new();
    let source = place.path("small.c");
    let program = place.path("small");
    fs::write(&source, SOURCE).unwrap();
    let made = Command::new("gcc")
        .args(["-m32", "-nostdlib", "-static", "-o"])
        .args([&program, &source])
        .output()
        .unwrap();
    if !made.status.success() {
        left_out(
            "programs of 32 bits",
            String::from_utf8_lossy(&made.stderr).trim_end(),
        );
        return;
    }
    let free = Command::new(&program)
        .arg(place.path("free"))
        .status()
        .unwrap();
    if !free.success() {
        left_out("programs of 32 bits", "this kernel runs none");
        return;
    }
    assert!(place.path("free").exists());
    let write = [OsStr::new("--write"), place.inside().as_os_str()].map(OsStr::to_owned);
    let run = |path: &Path| {
        let given = [write[0].as_os_str(), write[1].as_os_str()];
        place.run_with(&given, &[program.as_os_str(), path.as_os_str()])
    };
    let (refused, made) = (place.outside().join("new"), place.inside().join("new"));
    let outcome = run(&refused);
    assert_eq!(outcome.report().status, nix::libc::EACCES as u8 as i32);
    outcome.violates("write", &refused);
    assert!(!refused.exists());
    run(&made).succeeds();
    assert!(made.exists());
}

/// What could not be seen is said to be missing: nothing may be concluded then from what is not there.
#[test]
fn a_trace_says_if_something_may_be_missing() {
    let place = Place::new();
    let trace = place.path("trace");
    let run = |program: &Path| -> serde_json::Value {
        let run = place.run_also(
            &["--net", "host", "--trace", trace.to_str().unwrap()],
            program,
            "stat @/file",
            &place.outside(),
        );
        assert!(run.report.is_some(), "{}", run.outcome);
        serde_json::from_slice(&fs::read(&trace).unwrap()).unwrap()
    };
    let whole = run(dynamic());
    assert_eq!(whole["complete"], true, "{whole}");
    assert_eq!(whole["escapes"].as_array().unwrap().len(), 0);
    // Be it only root of a user namespace.
    if nix::unistd::geteuid().is_root() {
        left_out("a program that may not be looked into", "this is root");
        return;
    }
    // Who may run a program but not read it may not look into its memory either.
    let closed: PathBuf = place.path("closed");
    fs::copy(dynamic(), &closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o111)).unwrap();
    let partial = run(&closed);
    assert_eq!(partial["complete"], false, "{partial}");
    assert!(!partial["escapes"].as_array().unwrap().is_empty());
}
