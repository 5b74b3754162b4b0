//! The options, and what the command's end becomes.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::{Linked, Place, Run, calls, dynamic, left_out};

/// Options from words as in [`Place::words`].
fn options(place: &Place, text: &str) -> Vec<OsString> {
    place.words(text, &place.outside())
}

/// Confines the C program to such options.
fn run(place: &Place, given: &str, call: &str) -> Run {
    run_program(place, given, dynamic(), call)
}

fn run_program(place: &Place, given: &str, program: &Path, call: &str) -> Run {
    let given = options(place, given);
    let given: Vec<&OsStr> = given.iter().map(OsString::as_os_str).collect();
    let mut words = place.words(call, &place.outside());
    words.insert(0, program.into());
    place.run_with(&given, &words)
}

/// The same by a shell, which ends with this status.
fn run_then(place: &Place, given: &str, call: &str, status: i32) -> Run {
    let given = options(place, given);
    let given: Vec<&OsStr> = given.iter().map(OsString::as_os_str).collect();
    let mut words: Vec<OsString> = ["sh", "-c"].map(OsString::from).into();
    words.push(format!("\"$@\"; exit {status}").into());
    words.push("sh".into());
    words.push(dynamic().into());
    words.extend(place.words(call, &place.outside()));
    place.run_with(&given, &words)
}

#[test]
fn the_status_is_the_commands() {
    let place = Place::new();
    for status in [0, 1, 2, 7, 126, 127, 255] {
        let run = run(&place, "--write +", &format!("exit {status}"));
        assert_eq!(run.outcome.code(), status, "{}", run.outcome);
        assert_eq!(run.report().status, status);
        run.has_no_violations();
    }
    for (name, signal) in [
        ("kill", 9),
        ("term", 15),
        ("abrt", 6),
        ("usr1", 10),
        ("pipe", 13),
    ] {
        let run = run(&place, "--write +", &format!("signal {signal}"));
        assert_eq!(run.outcome.code(), 128 + signal, "{name}: {}", run.outcome);
        run.has_no_violations();
    }
}

#[test]
fn a_command_that_cannot_be_run_is_named() {
    let place = Place::new();
    let mut command = place.sandbox(&[]);
    // A folder of PATH that this user may not enter would be told instead.
    command.env("PATH", "/usr/bin:/bin").arg("no-such-program");
    let missing = place.finish(&mut command);
    missing.outcome.ends(127, &["no-such-program"]);
    let missing = place.run_with(&[], &["/no/such/program"]);
    missing.outcome.ends(127, &["/no/such/program"]);
    let file = place.outside().join("file");
    let plain = place.run_with(&[], &[&file]);
    plain.outcome.ends(126, &[file.to_str().unwrap()]);
    // A script is run by what it names.
    let script = place.outside().join("script");
    fs::write(&script, "#!/bin/sh\nexit 5\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(place.run_with(&[], &[&script]).outcome.code(), 5);
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    let lost = place.run_with(&[], &[&script]);
    assert!(
        [126, 127].contains(&lost.outcome.code()),
        "{}",
        lost.outcome
    );
    // No command at all is no command line.
    let outcome = super::finish(&mut place.trial.command(&["sandbox"]));
    assert_eq!(outcome.code(), 2, "{outcome}");
}

/// Whatever the command makes of it, it is no success.
#[test]
fn a_violation_is_no_success() {
    for (status, code) in [(0, 1), (1, 1), (7, 7)] {
        let place = Place::new();
        let before = place.seen();
        let run = run_then(&place, "--write +", "creat @/new", status);
        let path = place.outside().join("new");
        run.is_told("creat").violates("write", &path);
        assert_eq!(run.report().status, status);
        before.assert_unchanged(&place.outside(), "a violation");
        let violation = &run.report().violations[0];
        let command = [dynamic().as_os_str(), "creat".as_ref(), path.as_os_str()];
        assert_eq!(violation.command(), command);
        assert_eq!(violation.program.path(), dynamic());
        let told = command.join(OsStr::new(" "));
        run.outcome.ends(code, &["creat", told.to_str().unwrap()]);
    }
    // Reading is none, nor is writing what was written for.
    let place = Place::new();
    run(
        &place,
        "--write +",
        "turn read @/file ; list @ ; stat @/file ; creat +/new",
    )
    .succeeds();
}

#[test]
fn without_options_nothing_can_be_written() {
    let place = Place::new();
    let before = place.seen();
    run(&place, "", "creat @/new").is_told("creat");
    run(&place, "", "creat +/new").is_told("creat");
    run(&place, "", "mkdir /tmp/ebd-made-by-a-test").is_told("mkdir");
    assert!(!Path::new("/tmp/ebd-made-by-a-test").exists());
    run(&place, "", "turn read @/file ; open wronly /dev/null").succeeds();
    before.assert_unchanged(&place.outside(), "nothing can be written");
}

#[test]
fn several_folders_can_be_written() {
    let place = Place::new();
    run(
        &place,
        "--write + --write @/folder",
        "turn creat +/new ; creat @/folder/new",
    )
    .succeeds();
    run(&place, "--write + --write @/folder", "creat @/new").is_told("creat");
    // The folder itself is one of them.
    run(&place, "--write @/empty", "chmod @/empty").succeeds();
    // By what it is, not by how it was named.
    symlink(
        place.outside().join("folder"),
        place.inside().join("link-to-folder"),
    )
    .unwrap();
    run(&place, "--write +/link-to-folder", "creat @/folder/other").succeeds();
    run(
        &place,
        "--write +/../%name/./folder/",
        "creat @/folder/third",
    )
    .succeeds();
    let mut command = place.sandbox(&["--write".as_ref(), "empty".as_ref()]);
    command.current_dir(place.outside()).args([
        dynamic().as_os_str(),
        "creat".as_ref(),
        "empty/new".as_ref(),
    ]);
    place.finish(&mut command).succeeds();
    assert!(place.outside().join("empty/new").exists());
}

/// Refused in silence: packages try what they are known to try.
#[test]
fn what_is_predicted_is_refused_but_no_violation() {
    for call in [
        "creat @/new",
        "open wronly @/file",
        "chmod @/file",
        "unlink @/file",
        "rename @/file @/new",
        "mkdir @/new",
        "fchmod @/file",
        "int80 unlink @/file",
        "open wronly +/to-outside/file",
    ] {
        let place = Place::new();
        let before = place.seen();
        let run = run_then(&place, "--write + --predict @", call, 0);
        run.outcome.succeeds();
        run.is_told(
            call.rsplit("int80 ")
                .next()
                .unwrap()
                .split(' ')
                .next()
                .unwrap(),
        );
        run.has_no_violations();
        assert!(
            !run.outcome
                .stderr
                .contains(place.outside().to_str().unwrap()),
            "{}",
            run.outcome
        );
        before.assert_unchanged(&place.outside(), call);
    }
    let place = Place::new();
    // Reading is not writing.
    run(&place, "--predict @", "turn read @/file ; list @").succeeds();
    // Only what is below it.
    run_then(&place, "--predict @/folder", "creat @/new", 0)
        .violates("write", &place.outside().join("new"));
    run_then(&place, "--predict @/folder", "creat @/folder/new", 0).succeeds();
    // `addpredict /` does not take away what may be written.
    run(&place, "--write + --predict /", "creat +/new").succeeds();
    run_then(&place, "--write + --predict /", "creat @/new", 0).succeeds();
    assert!(!place.outside().join("new").exists());
}

#[test]
fn what_is_denied_can_neither_be_written_nor_read() {
    for (given, folder) in [
        ("--write + --deny +/folder", "+/folder"),
        ("--deny +/folder --write +", "+/folder"),
        ("--write + --deny @/folder", "@/folder"),
        ("--write @/folder --deny @/folder", "@/folder"),
        ("--predict / --deny @/folder", "@/folder"),
    ] {
        for (call, name, access) in [
            ("read FOLDER/file", "file", "read"),
            ("int80 read FOLDER/file", "file", "read"),
            ("in / openat rdonly - FOLDER/file", "file", "read"),
            ("open wronly FOLDER/file", "file", "write"),
            ("creat FOLDER/new", "new", "write"),
            ("chmod FOLDER/file", "file", "write"),
            ("unlink FOLDER/file", "file", "write"),
        ] {
            let place = Place::new();
            let before = (place.seen(), super::Snapshot::of(&place.inside()));
            let call = call.replace("FOLDER", folder);
            let run = run_then(&place, given, &call, 0);
            let path = place.words(&format!("{folder}/{name}"), &place.outside());
            assert!(!run.outcome.stdout.contains("deeper"), "{}", run.outcome);
            assert!(
                run.outcome.stdout.ends_with(": EACCES\n"),
                "{call}: {}",
                run.outcome
            );
            run.violates(access, Path::new(&path[0]));
            before.0.assert_unchanged(&place.outside(), &call);
            before.1.assert_unchanged(&place.inside(), &call);
        }
        let place = Place::new();
        let list = run_then(&place, given, &format!("list {folder}"), 0);
        assert!(!list.outcome.stdout.contains("file"), "{}", list.outcome);
        // Beside it everything is as it was.
        run(&place, given, "turn read @/file ; read +/file").succeeds();
    }
    // A link is no way in.
    let place = Place::new();
    let run = run_then(&place, "--write + --deny @", "read +/to-outside/file", 0);
    run.violates("read", &place.outside().join("file"));
    assert!(!run.outcome.stdout.contains("original"));
}

/// Once something is named, the rest of the system is closed.
#[test]
fn only_what_is_named_can_be_read() {
    let Some(program) = calls(Linked::Static) else {
        left_out("--read", "static programs cannot be linked");
        return;
    };
    let place = Place::new();
    let folder = program.parent().unwrap().to_str().unwrap();
    let given = format!("--read {folder} --read @/folder --write +");
    for call in [
        "read @/folder/file",
        "read +/file",
        "list @/folder",
        "creat +/new",
        "open wronly /dev/null",
    ] {
        run_program(&place, &given, program, call).succeeds();
    }
    for (call, name) in [
        ("read @/file", "file"),
        ("read +/to-outside/file", "file"),
        ("in / read .@/other", "other"),
        ("int80 read @/file", "file"),
        ("openat rdonly @/folder ../file", "file"),
    ] {
        let run = run_program(&place, &given, program, call);
        assert!(
            run.outcome.stdout.ends_with(": EACCES\n"),
            "{call}: {}",
            run.outcome
        );
        run.violates("read", &place.outside().join(name));
        assert!(!run.outcome.stdout.contains("original"), "{}", run.outcome);
    }
    let before = place.seen();
    run_program(&place, &given, program, "creat @/folder/new").is_told("creat");
    before.assert_unchanged(&place.outside(), "what may be read may not be written");
}

/// Portage's lists of paths are separated by colons; these options are not lists.
#[test]
fn a_colon_is_part_of_a_path() {
    for name in ["a:b", ":", "a:", ":b"] {
        let place = Place::new();
        let make = |name: &str| {
            let path = place.path(name);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("file"), "original").unwrap();
            path
        };
        let (colon, parts) = (
            make(&format!("colon/{name}")),
            ["colon/a", "colon/b"].map(make),
        );
        let one = |option: &str, call: &str, path: &Path| {
            let words = [dynamic().as_os_str(), call.as_ref(), path.as_os_str()];
            place.run_with(&[option.as_ref(), colon.as_os_str()], &words)
        };
        one("--write", "creat", &colon.join("new")).succeeds();
        one("--deny", "read", &colon.join("file")).violates("read", &colon.join("file"));
        one("--predict", "unlink", &colon.join("file")).has_no_violations();
        for part in &parts {
            let run = one("--write", "creat", &part.join("new"));
            run.is_told("creat").violates("write", &part.join("new"));
            one("--deny", "read", &part.join("file")).succeeds();
            let run = one("--predict", "unlink", &part.join("file"));
            run.is_told("unlink").violates("write", &part.join("file"));
        }
        assert!(colon.join("file").exists());
    }
}

/// What the trace is for: to see what a command writes before it is confined to that.
#[test]
fn a_trace_names_what_was_done() {
    let place = Place::new();
    let call = "turn creat +/new ; unlink +/other ; read @/file ; creat @/new";
    let run = run(&place, "--write + --trace @/trace", call);
    run.is_told("creat");
    let trace = fs::read(place.outside().join("trace")).unwrap();
    let trace: serde_json::Value = serde_json::from_slice(&trace).unwrap();
    for (path, access) in [
        (place.inside().join("new"), "change"),
        (place.inside().join("other"), "change"),
        (place.outside().join("new"), "change"),
        (place.outside().join("file"), "open"),
    ] {
        let named = trace["accesses"]
            .as_array()
            .unwrap()
            .iter()
            .any(|found| found["path"] == path.to_str().unwrap() && found["access"] == access);
        assert!(named, "{access} {} is not in:\n{trace:#}", path.display());
    }
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let place = Place::new();
    for option in ["--report", "--trace"] {
        let mut command = place.trial.command(&["sandbox", option]);
        command.arg(place.path("none/file")).args(["--", "true"]);
        let outcome = super::finish(&mut command);
        assert_ne!(outcome.code(), 0, "{outcome}");
        outcome.ends(outcome.code(), &["none/file"]);
    }
}

/// Devices, pipes and links are written to, never replaced.
#[test]
fn what_is_no_file_is_written_to_and_stays() {
    let place = Place::new();
    let write = |option: &str, file: &Path| {
        let mut command = place.trial.command(&["sandbox", option]);
        command.arg(file).args(["--", "echo", "text"]);
        let outcome = super::finish(&mut command);
        outcome.succeeds();
        outcome.stdout
    };
    let null = place.path("null");
    symlink("/dev/null", &null).unwrap();
    let link = place.path("link");
    symlink("report", &link).unwrap();
    for option in ["--report", "--trace"] {
        let printed = write(option, Path::new("/dev/stdout"));
        let value = printed.strip_prefix("text\n").unwrap();
        let value: serde_json::Value = serde_json::from_str(value).unwrap();
        assert!(value.is_object(), "{value}");
        assert_eq!(write(option, &null), "text\n");
        assert!(null.is_symlink());
        for _ in 0..2 {
            assert_eq!(write(option, &link), "text\n");
        }
        assert!(link.is_symlink());
        let text = fs::read(place.path("report")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&text).unwrap();
    }
    // What cannot be written is told before the command is run.
    let mut command = place.trial.command(&["sandbox", "--report", "/dev/fd/77"]);
    let outcome = super::finish(command.args(["--", "echo", "text"]));
    outcome.ends(125, &["/dev/fd/77: cannot be written"]);
    assert_eq!(outcome.stdout, "");
}
