//! What has to work as it does without a sandbox: programs must not notice it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use super::{Place, dynamic, is_root, left_out};

/// Runs a shell's text confined, with `$1` being the C program, `$2` the folder outside and `$3` the
/// one that may be written.
fn shell(place: &Place, text: &str) -> super::Run {
    let words = [
        "sh".as_ref(),
        "-c".as_ref(),
        text.as_ref(),
        "sh".as_ref(),
        dynamic().as_os_str(),
        place.outside().as_os_str(),
        place.inside().as_os_str(),
    ]
    .map(std::ffi::OsStr::to_owned);
    place.run_with(&["--write".as_ref(), place.inside().as_os_str()], &words)
}

/// Flags, numbers and modes come out the same.
#[test]
fn descriptors_and_modes_are_what_they_would_be() {
    let place = Place::new();
    let free = place.run_free(dynamic(), "details @", &place.outside());
    free.succeeds();
    let place = Place::new();
    let run = place.run_linked(dynamic(), "details @", &place.inside());
    run.succeeds();
    assert_eq!(run.outcome.stdout, free.stdout);
}

#[test]
fn devices_terminals_and_nameless_files_can_be_written() {
    let place = Place::new();
    for words in [
        "open wronly /dev/null",
        "open rdwr,creat,trunc /dev/null",
        "open wronly /dev/zero",
        "terminal",
        "nameless",
        "unlinked +/new",
        "own-proc",
        "openat wronly /dev null",
    ] {
        place
            .run_free(dynamic(), words, &place.outside())
            .succeeds();
        place.run(words).succeeds();
    }
    place
        .run("open wronly /dev/full")
        .prints("open: ENOSPC\n")
        .has_no_violations();
}

/// Pipes that were given to the program have no path that could be below a folder.
#[test]
fn output_can_be_opened_by_name() {
    let place = Place::new();
    let run = shell(
        &place,
        "echo one >/dev/stdout && echo two >/dev/fd/1 && echo three >/proc/self/fd/1 \
         && echo four >/dev/stderr && echo five | tee /dev/stderr >/dev/null",
    );
    run.succeeds();
    assert_eq!(run.outcome.stdout, "one\ntwo\nthree\n");
    assert!(
        run.outcome.stderr.contains("four\nfive\n"),
        "{}",
        run.outcome
    );
}

/// A file that the command was started with is its to write, wherever it is.
#[test]
fn a_given_descriptor_can_be_written() {
    let place = Place::new();
    let log = place.outside().join("log");
    let mut command = place.sandbox(&[]);
    let status = command
        .args(["sh", "-c", "echo to-the-log; echo to-the-log >&2; cat"])
        .stdin(fs::File::open(place.outside().join("file")).unwrap())
        .stdout(fs::File::create(&log).unwrap())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(fs::read_to_string(&log).unwrap(), "to-the-log\noriginal");
}

/// The environment, the directory and the user stay.
#[test]
fn a_program_is_who_and_where_it_was() {
    let place = Place::new();
    let text = "echo \"$FOO $(pwd) $(id -u) $(id -g) $(umask)\"";
    let mut command = place.sandbox(&[]);
    command
        .env("FOO", "bar")
        .current_dir(place.outside())
        .args(["sh", "-c", text]);
    let run = place.finish(&mut command);
    run.succeeds();
    let free = super::finish(
        Command::new("sh")
            .args(["-c", text])
            .env("FOO", "bar")
            .current_dir(place.outside()),
    );
    assert_eq!(run.outcome.stdout, free.stdout);
}

/// Whoever gives up its rights has no more of them for being supervised by somebody who has them.
#[test]
fn a_program_that_became_another_user_has_that_users_rights() {
    if !is_root() {
        left_out("other users", "this is not root");
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let open = place.inside().join("empty");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    for words in [
        "user 65534 open wronly @/file",
        "user 65534 creat @/new",
        "user 65534 unlink @/file",
        "user 65534 chmod @/file",
        "user 65534 chown 65534 65534 @/file",
        "user 65534 mkdir @/new",
        "user 65534 rename @/file @/new",
        "user 65534 truncate @/file",
        "user 65534 utimensat none - @/file",
        "user 65534 setxattr @/file",
        "user 65534 mknod fifo @/new",
        "user 65534 symlink x @/new",
        "user 65534 link @/file @/empty/new",
        "user 65534 bind @/new",
    ] {
        let free = place.run_free(dynamic(), words, &place.inside());
        let run = place.run_linked(dynamic(), words, &place.inside());
        assert_eq!(run.outcome.stdout, free.stdout, "{words}: {}", run.outcome);
        assert_ne!(free.code(), 0, "{words}");
        // It is the file that forbids it, not the sandbox.
        run.has_no_violations();
    }
    for (words, name) in [
        ("user 65534 creat @/empty/file", "file"),
        ("user 65534 mkdir @/empty/folder", "folder"),
        ("user 65534 mknod fifo @/empty/fifo", "fifo"),
        ("user 65534 symlink x @/empty/link", "link"),
        ("user 65534 bind @/empty/socket", "socket"),
    ] {
        place
            .run_linked(dynamic(), words, &place.inside())
            .succeeds();
        let found = open.join(name).symlink_metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (65534, 65534), "{name}");
    }
}

#[test]
fn ordinary_programs_do_their_work() {
    let place = Place::new();
    let run = shell(
        &place,
        "set -e; export TMPDIR=\"$3\"; cd \"$3\"; mkdir -p a/b/c; mkdir -p \"$3\"/d/e; cp -a folder a/b; tar -cf x.tar a; \
         rm -rf a; tar -xpf x.tar; touch -d 2001-02-03 x.tar; install -m 750 file a/y; \
         ln -s a z; ln file hard; mv file moved; sed -i s/original/edited/ moved; \
         find . -name y -delete; chmod -R u+w .; echo done > result; \
         dd if=/dev/zero of=zeros bs=1k count=4 2>/dev/null; \
         printf 'int main(void) { return 0; }\\n' >m.c; gcc m.c -o m; ./m; rm -f none; \
         mktemp >/dev/null; cat result",
    );
    run.succeeds();
    assert_eq!(run.outcome.stdout, "done\n");
    assert_eq!(
        fs::read_to_string(place.inside().join("moved")).unwrap(),
        "edited"
    );
    assert!(!place.inside().join("a/y").exists());
}

/// A timer that interrupts calls all the time makes none of them fail, nor happen twice.
#[test]
fn signals_do_not_disturb_calls() {
    let place = Place::new();
    let free = place.run_free(dynamic(), "interrupted plain 2000 +", &place.outside());
    assert!(free.stdout.starts_with("interrupted: 0 times\n"), "{free}");
    place
        .run("interrupted restart 2000 +")
        .succeeds()
        .prints("interrupted: 0 times\n");
    // A kernel interrupts a call that nobody has looked at yet if the program's handler wants that.
    let plain = place.run("interrupted plain 2000 +");
    plain.succeeds();
    eprintln!("without SA_RESTART, {}", plain.outcome.stdout.trim_end());
}

/// Neither promised nor forbidden. What happens is only told.
#[test]
fn what_is_neither_promised_nor_forbidden_is_told() {
    let place = Place::new();
    for words in [
        "comm",
        "sethostname",
        "turn mknod device +/new ; open wronly +/new",
    ] {
        let run = place.run(words);
        let told = run.outcome.stdout.trim_end().replace('\n', ", ");
        let count = run.report().violations.len();
        eprintln!("{words}: {told}, {count} violations");
    }
}

#[test]
fn threads_do_not_disturb_each_other() {
    let place = Place::new();
    place.run("threads 8 +").succeeds();
    assert!(!place.inside().join("thread-0").exists());
}

/// Who waits for a fifo's other end waits alone.
#[test]
fn fifos_block_their_openers_only() {
    for words in ["fifo-both +", "fifo-killed +"] {
        let place = Place::new();
        let run = place.run(words);
        run.succeeds();
        assert!(run.outcome.elapsed.as_secs() < 20, "{}", run.outcome);
    }
}

#[test]
fn a_program_without_descriptors_left_is_told_so() {
    let place = Place::new();
    place.run("fill +").succeeds().prints("fill: EMFILE\n");
}

/// Whoever supervises must not run out of descriptors before the programs do.
#[test]
fn ten_thousand_forks_and_a_hundred_thousand_files() {
    let place = Place::new();
    let before = place.seen();
    let limited = |words: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 256; exec \"$@\"", "sh"]);
        let sandbox = place.sandbox(&["--write".as_ref(), place.inside().as_os_str()]);
        command.arg(sandbox.get_program()).args(sandbox.get_args());
        command
            .arg(dynamic())
            .args(place.words(words, &place.outside()));
        place.finish(&mut command)
    };
    let run = limited("forks 10000 1000 creat @/new");
    assert_eq!(
        run.outcome.stdout.matches("creat: EACCES\n").count(),
        10,
        "{}",
        run.outcome
    );
    run.prints("forks: 10 of 10000 failed\n");
    run.violates("write", &place.outside().join("new"));
    limited("opens 100000 +/empty @/file").succeeds();
    let written = fs::read_dir(place.inside().join("empty")).unwrap();
    let written: u64 = written
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert_eq!(written, 50_000);
    before.assert_unchanged(&place.outside(), "much");
}

/// What was ignored when a shell began it can never undo.
#[test]
fn signals_do_what_they_would() {
    let place = Place::new();
    let words = ["grep", "SigIgn", "/proc/self/status"];
    let mut free = Command::new(words[0]);
    free.args(&words[1..]).env_clear().envs(
        place
            .sandbox(&[])
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))),
    );
    let mut confined = place.sandbox(&[]);
    confined.args(words);
    let ignores = crate::support::ignores_pipes;
    for hangups in [true, false] {
        let run = |command: &Command| {
            let mut command = match hangups {
                true => crate::support::without_hangups(command),
                false => {
                    let mut same = Command::new(command.get_program());
                    same.args(command.get_args());
                    same
                }
            };
            super::finish(&mut command).succeeds().stdout.clone()
        };
        let said = run(&confined);
        assert_eq!(said, run(&free), "SIGHUP ignored: {hangups}");
        assert!(!ignores(&said), "{said}");
    }
    let run = shell(
        &place,
        "(for x in 1 2 3; do seq 20000; done; echo survived >&2) | head -n 1; \
         (n=0; while test $n -lt 50000; do echo y || :; n=$((n+1)); done; echo survived >&2) | head -n 1",
    );
    run.succeeds();
    assert_eq!(run.outcome.stdout, "1\ny\n");
    assert_eq!(
        run.outcome.stderr.matches("survived").count(),
        1,
        "{}",
        run.outcome
    );
}

/// Descriptors go with a message as ever, whether it has an address or not.
#[test]
fn descriptors_can_be_passed_on() {
    let place = Place::new();
    for words in ["passing", "passing-to +/new", "thread passing"] {
        place
            .run_free(dynamic(), words, &place.outside())
            .succeeds();
        place.run(words).succeeds();
        let free = ["--write".as_ref(), "/".as_ref()];
        let mut all = place.words(words, &place.outside());
        all.insert(0, dynamic().into());
        place.run_with(&free, &all).succeeds();
    }
}
