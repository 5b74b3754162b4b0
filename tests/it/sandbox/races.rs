//! Programs that change what a call means while it is being judged.
//!
//! The folder that may be written is `race0`, the other `race1`: one byte tells them apart, so that
//! a thread which writes that byte never leaves a path that is neither.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;

use super::{Place, Run, dynamic};

/// Attempts of the calls that matter most, and of the others.
const MANY: u32 = 20_000;
const SOME: u32 = 3_000;

/// A place with links to either folder and to the same file in either, side by side.
fn place() -> Place {
    let place = Place::named("race0", "race1");
    for (name, folder) in [("here", place.inside()), ("there", place.outside())] {
        symlink(&folder, place.inside().join(name)).unwrap();
        symlink(
            folder.join("file"),
            place.inside().join(format!("{name}-file")),
        )
        .unwrap();
        fs::write(folder.join("secret"), format!("it is {name}\n")).unwrap();
        symlink(
            folder.join("secret"),
            place.inside().join(format!("{name}-secret")),
        )
        .unwrap();
    }
    // What is only outside, and links to what is something else, or nothing.
    fs::write(place.outside().join("only"), "original").unwrap();
    for (name, target) in [
        ("nowhere", "none"),
        ("null", "/dev/null"),
        ("pseudo", "/proc/version"),
    ] {
        symlink(target, place.inside().join(name)).unwrap();
    }
    place
}

/// The counts that a race tells: done, refused, failed.
fn counts(stdout: &str) -> [u32; 3] {
    let line = stdout.lines().last().unwrap_or_default();
    let numbers = line
        .split([' ', ':', ','])
        .filter_map(|word| word.parse().ok());
    let numbers: Vec<u32> = numbers.collect();
    numbers
        .try_into()
        .unwrap_or_else(|_| panic!("{line:?} are no counts"))
}

/// Races until the thing was done outside where nothing hinders it, and then confined, where that
/// must never be. `#` is the number of attempts.
#[track_caller]
fn race(attempts: u32, words: &str) -> Run {
    let free = (0..20).any(|_| {
        let place = place();
        let before = place.seen();
        let words = words.replace('#', "20000");
        let outcome = place.run_free(dynamic(), &words, &place.outside());
        outcome.succeeds();
        place.seen() != before
    });
    assert!(free, "{words}: the race is not won by anybody");
    let place = place();
    let before = place.seen();
    let words = words.replace('#', &attempts.to_string());
    let run = place.run(&words);
    before.assert_unchanged(&place.outside(), &words);
    let [done, refused, failed] = counts(&run.outcome.stdout);
    assert_eq!(done + refused + failed, attempts, "{words}");
    assert!(refused > 0, "{words} was never refused: {}", run.outcome);
    eprintln!(
        "{words}: {done} done, {refused} refused, {failed} failed in {:?}",
        run.outcome.elapsed
    );
    assert_eq!(run.outcome.code(), 1, "{words}: {}", run.outcome);
    for violation in &run.report().violations {
        assert!(
            violation.path().starts_with(place.outside()),
            "{violation:?}"
        );
    }
    run
}

/// The same, for what may be done again and again: it has to have been both done and refused.
#[track_caller]
fn race_for_both(attempts: u32, words: &str) {
    let run = race(attempts, words);
    let [done, ..] = counts(&run.outcome.stdout);
    assert!(done > 0, "{words} was never done: {}", run.outcome);
}

#[test]
fn links_that_are_swapped_while_opening() {
    race_for_both(
        MANY,
        "race-link # +/here-file +/there-file open wronly,trunc +/here-file",
    );
    race_for_both(
        SOME,
        "race-link # +/here +/there openat wronly,creat + here/file",
    );
    race_for_both(
        SOME,
        "race-link # +/here +/there int80 open wronly +/here/file",
    );
    race_for_both(
        SOME,
        "race-link # +/here +/there openat2 wronly none - +/here/file",
    );
    race_for_both(SOME, "race-link # +/here +/there creat +/here/file");
}

#[test]
fn links_that_are_swapped_while_changing_modes() {
    race_for_both(
        MANY,
        "race-link # +/here-file +/there-file chmod +/here-file",
    );
    race_for_both(SOME, "race-link # +/here +/there fchmodat - +/here/file");
    race_for_both(
        SOME,
        "race-link # +/here +/there fchmodat2 nofollow - +/here/file",
    );
}

#[test]
fn links_that_are_swapped_while_changing_anything_else() {
    for call in [
        "chown %ids +/here-file",
        "truncate +/here-file",
        "utimensat none - +/here-file",
        "setxattr +/here-file",
    ] {
        race_for_both(
            SOME,
            &format!("race-link # +/here-file +/there-file {call}"),
        );
    }
    for call in [
        "unlink +/here/file",
        "rename +/here/file +/here/new",
        "mkdir +/here/new",
        "link +/here/file +/here/new",
        "symlink x +/here/new",
        "mknod fifo +/here/new",
        "bind +/here/new",
        "rmdir +/here/empty",
        "lchown %ids +/here/link",
        "removexattr +/here/file",
    ] {
        race(SOME, &format!("race-link # +/here +/there {call}"));
    }
}

#[test]
fn paths_that_are_rewritten_while_opening() {
    race_for_both(MANY, "race-path # open wronly,trunc +/file");
    race_for_both(SOME, "race-path # int80 open wronly +/file");
    race_for_both(SOME, "race-path # openat wronly,creat - +/file");
    race_for_both(SOME, "race-path # openat2 wronly none - +/file");
    race_for_both(SOME, "race-path # creat +/file");
}

#[test]
fn paths_that_are_rewritten_while_changing_modes() {
    race_for_both(MANY, "race-path # chmod +/file");
    race_for_both(SOME, "race-path # int80 chmod +/file");
    race_for_both(SOME, "race-path # fchmodat - +/file");
    race_for_both(SOME, "race-path # fchmodat2 none - +/file");
}

#[test]
fn paths_that_are_rewritten_while_changing_anything_else() {
    for call in [
        "chown %ids +/file",
        "truncate +/file",
        "utimensat none - +/file",
        "setxattr +/file",
    ] {
        race_for_both(SOME, &format!("race-path # {call}"));
    }
    for call in [
        "unlink +/file",
        "unlinkat removedir - +/empty",
        "rename +/file +/new",
        "renameat2 exchange - +/file - +/other",
        "mkdir +/new",
        "link +/file +/new",
        "symlink x +/new",
        "mknod fifo +/new",
        "bind +/new",
        "lchown %ids +/link",
        "int80 unlink +/file",
        "int80 rename +/file +/new",
    ] {
        race(SOME, &format!("race-path # {call}"));
    }
}

/// A descriptor may mean another file when the call is made than when it was looked at.
#[test]
fn descriptors_that_are_replaced() {
    race_for_both(MANY, "race-descriptor # +/file @/file fchmod fd:40");
    race_for_both(SOME, "race-descriptor # +/file @/file utimensat-null fd:40");
    race_for_both(SOME, "race-descriptor # +/file @/file fchown %ids fd:40");
    race_for_both(SOME, "race-descriptor # +/file @/file fsetxattr fd:40");
    race_for_both(SOME, "race-descriptor # + @ openat wronly,creat fd:40 file");
    race_for_both(SOME, "race-descriptor # + @ fchmodat fd:40 file");
    race_for_both(
        SOME,
        "race-descriptor # + @ open wronly /proc/self/fd/40/file",
    );
    race(SOME, "race-descriptor # + @ unlinkat none fd:40 file");
    race(SOME, "race-descriptor # + @ mkdirat fd:40 new");
}

#[test]
fn a_working_directory_that_changes() {
    race_for_both(MANY, "race-folder # + @ open wronly,trunc file");
    race_for_both(SOME, "race-folder # + @ chmod file");
    race_for_both(SOME, "race-folder # + @ open wronly /proc/self/cwd/file");
    race(SOME, "race-folder # + @ unlink file");
    race(SOME, "race-folder # + @ mkdir new");
    race(SOME, "race-folder # + @ rename file new");
}

/// What would fail is no reason to look away: it may succeed a moment later.
#[test]
fn paths_that_lead_nowhere_at_first() {
    for call in [
        "open wronly +/only",
        "chmod +/only",
        "fchmodat - +/only",
        "chown %ids +/only",
        "truncate +/only",
        "utimensat none - +/only",
        "setxattr +/only",
        "unlink +/only",
        "rename +/only +/new",
    ] {
        race(MANY, &format!("race-path # {call}"));
    }
    for call in [
        "open wronly +/nowhere",
        "chmod +/nowhere",
        "setxattr +/nowhere",
    ] {
        race(MANY, &format!("race-link # +/nowhere +/there-file {call}"));
    }
}

/// Nor is what has no path, or is something else than a file.
#[test]
fn descriptors_that_have_no_path_at_first() {
    for call in ["fchmod fd:40", "fchown %ids fd:40", "utimensat-null fd:40"] {
        race(MANY, &format!("race-descriptor # memfd @/file {call}"));
    }
    race(MANY, "race-descriptor # +/file @/file ioctl-flags fd:40");
}

/// A socket's address may become a path.
#[test]
fn addresses_that_are_rewritten() {
    for call in ["racing-connect", "racing-sendto", "racing-sendmsg"] {
        let words = format!("race-address {MANY} {call} @/socket");
        let bind = |place: &Place| {
            let socket = UnixDatagram::bind(place.outside().join("socket")).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let free = place();
        let socket = bind(&free);
        let outcome = free.run_free(dynamic(), &words, &free.outside());
        assert!(counts(&outcome.stdout)[0] > 0, "{outcome}");
        assert!(call == "racing-connect" || socket.recv(&mut [0; 10]).is_ok());
        let place = place();
        let socket = bind(&place);
        let run = place.run(&words);
        let [done, refused, _] = counts(&run.outcome.stdout);
        assert!(refused > 0, "{call} was never refused: {}", run.outcome);
        assert_eq!(done, 0, "{call} was done: {}", run.outcome);
        assert!(socket.recv(&mut [0; 10]).is_err(), "{call}");
    }
}

/// What is asked for may become more while the path stays the same.
#[test]
fn flags_that_are_rewritten() {
    let words = format!("race-flags {MANY} racing-openat2 @/file");
    let free = place();
    let before = free.seen();
    free.run_free(dynamic(), &words, &free.outside()).succeeds();
    assert!(free.seen() != before);
    let place = place();
    let before = place.seen();
    let run = place.run(&words);
    before.assert_unchanged(&place.outside(), &words);
    let [_, refused, _] = counts(&run.outcome.stdout);
    assert!(refused > 0, "{}", run.outcome);
}

/// What may not be read must not be read by luck either, whatever it is exchanged with.
#[test]
fn links_that_are_swapped_while_reading_what_is_denied() {
    for (words, allowed) in [
        (
            "race-link # +/here +/there read +/here/secret",
            "it is here",
        ),
        (
            "race-link # +/here-secret +/there-secret read +/here-secret",
            "it is here",
        ),
        ("race-link # +/nowhere +/there-secret read +/nowhere", ""),
        ("race-link # +/null +/there-secret read +/null", ""),
        ("race-link # +/pseudo +/there-secret read +/pseudo", "Linux"),
        ("race-path # read +/secret", "it is here"),
    ] {
        let words = words.replace('#', &SOME.to_string());
        let free = place();
        let outcome = free.run_free(dynamic(), &words, &free.outside());
        assert!(outcome.stdout.contains("it is there"), "{words}: {outcome}");
        let place = place();
        let outside = place.outside();
        let options = ["--deny", outside.to_str().unwrap()];
        let run = place.run_also(&options, dynamic(), &words, &outside);
        assert!(run.outcome.stdout.contains(allowed), "{words}");
        let read = run.outcome.stdout.matches("it is there").count();
        assert_eq!(read, 0, "{words}");
        let [_, refused, _] = counts(&run.outcome.stdout);
        assert!(refused > 0, "{words}");
    }
}
