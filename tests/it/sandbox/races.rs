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
    let _ = xattr::set(place.outside().join("only"), super::ATTRIBUTE, b"original");
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

/// A race between a call and a thread that changes its meaning.
struct Race {
    attempts: u32,
    /// The words of the C program, with `#` in the place of the number of attempts.
    words: String,
    /// Whether it may be done again and again, so that both sides must win at times.
    endless: bool,
}

/// One that both sides must win at times.
fn endless(attempts: u32, words: &str) -> Race {
    Race {
        attempts,
        words: words.to_owned(),
        endless: true,
    }
}

/// One that ends when the thing has been done once, or that is never won inside.
fn single(attempts: u32, words: &str) -> Race {
    Race {
        endless: false,
        ..endless(attempts, words)
    }
}

impl Race {
    fn words(&self, attempts: u32) -> String {
        self.words.replace('#', &attempts.to_string())
    }

    /// Whether it is won where nothing hinders it, which the other half would be worth nothing
    /// without.
    fn is_won_freely(&self) -> bool {
        (0..20).any(|_| {
            let place = place();
            let before = place.seen();
            let outcome = place.run_free(dynamic(), &self.words(MANY), &place.outside());
            outcome.succeeds();
            place.seen() != before
        })
    }

    /// Races confined, where it must never be won. What is wrong is given in words.
    fn run(&self) -> Result<Run, String> {
        let place = place();
        let before = place.seen();
        let words = self.words(self.attempts);
        let run = place.run(&words);
        let differences = place.seen().differences(&before);
        if !differences.is_empty() {
            return Err(format!("it was done outside: {differences:#?}"));
        }
        let [done, refused, failed] = counts(&run.outcome.stdout);
        eprintln!("{words}: {done} done, {refused} refused, {failed} failed");
        if done + refused + failed != self.attempts || run.outcome.code() != 1 {
            return Err(format!("it did not go to its end: {}", run.outcome));
        }
        if refused == 0 || self.endless && done == 0 {
            return Err(format!("only one side ever won: {}", run.outcome));
        }
        let named = &run.report().violations;
        match named
            .iter()
            .find(|v| !v.path().starts_with(place.outside()))
        {
            Some(other) => Err(format!("{other:?} is no violation")),
            None => Ok(run),
        }
    }
}

/// Runs all of them and tells of all that are wrong, not only of the first.
#[track_caller]
fn assert_races(races: impl IntoIterator<Item = Race>) {
    let mut wrong = Vec::new();
    for race in races {
        assert!(race.is_won_freely(), "{} is won by nobody", race.words);
        if let Err(error) = race.run() {
            wrong.push(format!("{}: {error}", race.words));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn links_that_are_swapped_while_opening() {
    assert_races([
        endless(
            MANY,
            "race-link # +/here-file +/there-file open wronly,trunc +/here-file",
        ),
        endless(
            SOME,
            "race-link # +/here +/there openat wronly,creat + here/file",
        ),
        endless(
            SOME,
            "race-link # +/here +/there int80 open wronly +/here/file",
        ),
        endless(
            SOME,
            "race-link # +/here +/there openat2 wronly none - +/here/file",
        ),
        endless(SOME, "race-link # +/here +/there creat +/here/file"),
    ]);
}

#[test]
fn links_that_are_swapped_while_changing_modes() {
    assert_races([
        endless(
            MANY,
            "race-link # +/here-file +/there-file chmod +/here-file",
        ),
        endless(SOME, "race-link # +/here +/there fchmodat - +/here/file"),
        endless(
            SOME,
            "race-link # +/here +/there fchmodat2 nofollow - +/here/file",
        ),
    ]);
}

#[test]
fn links_that_are_swapped_while_changing_anything_else() {
    let files = ["chown %ids", "truncate", "utimensat none -", "setxattr"];
    assert_races(files.map(|call| {
        let words = format!("race-link # +/here-file +/there-file {call} +/here-file");
        endless(SOME, &words)
    }));
    let others = [
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
    ];
    assert_races(others.map(|call| single(SOME, &format!("race-link # +/here +/there {call}"))));
}

#[test]
fn paths_that_are_rewritten_while_opening() {
    assert_races([
        endless(MANY, "race-path # open wronly,trunc +/file"),
        endless(SOME, "race-path # int80 open wronly +/file"),
        endless(SOME, "race-path # openat wronly,creat - +/file"),
        endless(SOME, "race-path # openat2 wronly none - +/file"),
        endless(SOME, "race-path # creat +/file"),
    ]);
}

#[test]
fn paths_that_are_rewritten_while_changing_modes() {
    assert_races([
        endless(MANY, "race-path # chmod +/file"),
        endless(SOME, "race-path # int80 chmod +/file"),
        endless(SOME, "race-path # fchmodat - +/file"),
        endless(SOME, "race-path # fchmodat2 none - +/file"),
    ]);
}

#[test]
fn paths_that_are_rewritten_while_changing_anything_else() {
    let files = ["chown %ids", "truncate", "utimensat none -", "setxattr"];
    assert_races(files.map(|call| endless(SOME, &format!("race-path # {call} +/file"))));
    let others = [
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
    ];
    assert_races(others.map(|call| single(SOME, &format!("race-path # {call}"))));
}

/// A descriptor may mean another file when the call is made than when it was looked at.
#[test]
fn descriptors_that_are_replaced() {
    assert_races([
        endless(MANY, "race-descriptor # +/file @/file fchmod fd:40"),
        endless(SOME, "race-descriptor # +/file @/file utimensat-null fd:40"),
        endless(SOME, "race-descriptor # +/file @/file fchown %ids fd:40"),
        endless(SOME, "race-descriptor # +/file @/file fsetxattr fd:40"),
        endless(MANY, "race-descriptor # +/file @/file ioctl-flags fd:40"),
        endless(SOME, "race-descriptor # + @ openat wronly,creat fd:40 file"),
        endless(SOME, "race-descriptor # + @ fchmodat fd:40 file"),
        endless(
            SOME,
            "race-descriptor # + @ open wronly /proc/self/fd/40/file",
        ),
        single(SOME, "race-descriptor # + @ unlinkat none fd:40 file"),
        single(SOME, "race-descriptor # + @ mkdirat fd:40 new"),
    ]);
}

#[test]
fn a_working_directory_that_changes() {
    assert_races([
        endless(MANY, "race-folder # + @ open wronly,trunc file"),
        endless(SOME, "race-folder # + @ chmod file"),
        endless(SOME, "race-folder # + @ open wronly /proc/self/cwd/file"),
        single(SOME, "race-folder # + @ unlink file"),
        single(SOME, "race-folder # + @ mkdir new"),
        single(SOME, "race-folder # + @ rename file new"),
    ]);
}

/// What would fail is no reason to look away: it may succeed a moment later.
#[test]
fn paths_that_lead_nowhere_at_first() {
    let calls = [
        "open wronly +/only",
        "chmod +/only",
        "fchmodat - +/only",
        "chown %ids +/only",
        "truncate +/only",
        "utimensat none - +/only",
        "setxattr +/only",
        "removexattr +/only",
        "unlink +/only",
        "rename +/only +/new",
    ];
    assert_races(calls.map(|call| single(MANY, &format!("race-path # {call}"))));
    let calls = ["open wronly", "chmod", "setxattr"];
    assert_races(calls.map(|call| {
        let words = format!("race-link # +/nowhere +/there-file {call} +/nowhere");
        single(MANY, &words)
    }));
}

/// Nor is what has no path.
#[test]
fn descriptors_that_have_no_path_at_first() {
    let calls = ["fchmod fd:40", "fchown %ids fd:40", "utimensat-null fd:40"];
    assert_races(calls.map(|call| {
        let words = format!("race-descriptor # memfd @/file {call}");
        endless(MANY, &words)
    }));
}

/// A socket's address may become a path.
#[test]
fn addresses_that_are_rewritten() {
    let mut wrong = Vec::new();
    for call in ["racing-connect", "racing-sendto", "racing-sendmsg"] {
        let words = format!("race-address {MANY} {call} @/socket");
        let bind = |place: &Place| {
            let socket = UnixDatagram::bind(place.outside().join("socket")).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let free = place();
        let socket = bind(&free);
        // On a busy machine the two may not run at the same time for long.
        let mut tries = (0..20).map(|_| free.run_free(dynamic(), &words, &free.outside()));
        let won = tries.any(|outcome| counts(&outcome.stdout)[0] > 0);
        assert!(won, "{words} is won by nobody");
        assert!(call == "racing-connect" || socket.recv(&mut [0; 10]).is_ok());
        let place = place();
        let socket = bind(&place);
        let was_tried = (0..20).any(|_| {
            let run = place.run(&words);
            let [done, refused, _] = counts(&run.outcome.stdout);
            if done > 0 || socket.recv(&mut [0; 10]).is_ok() {
                wrong.push(format!("{words}: {}", run.outcome));
            }
            refused > 0
        });
        if !was_tried {
            wrong.push(format!("{words}: nothing was ever refused"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is asked for may become more while the path stays the same.
#[test]
fn flags_that_are_rewritten() {
    assert_races([single(MANY, "race-flags # racing-openat2 @/file")]);
}

/// What may not be read must not be read by luck either, whatever it is exchanged with.
#[test]
fn links_that_are_swapped_while_reading_what_is_denied() {
    let mut wrong = Vec::new();
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
        ("race-path # read +/only", ""),
    ] {
        let words = |attempts: u32| words.replace('#', &attempts.to_string());
        let secrets = ["it is there", "original"];
        let leaked = |stdout: &str| -> usize {
            let count = |secret: &str| stdout.matches(secret).count();
            secrets.into_iter().map(count).sum()
        };
        let free = (0..20).any(|_| {
            let place = place();
            let outcome = place.run_free(dynamic(), &words(MANY), &place.outside());
            leaked(&outcome.stdout) > 0
        });
        let words = words(SOME);
        assert!(free, "{words} is won by nobody");
        let place = place();
        let outside = place.outside();
        let options = ["--deny", outside.to_str().unwrap()];
        let run = place.run_also(&options, dynamic(), &words, &outside);
        let leaked = leaked(&run.outcome.stdout);
        let [done, refused, failed] = counts(&run.outcome.stdout);
        eprintln!("{words}: {done} done, {refused} refused, {failed} failed");
        if leaked > 0 || refused == 0 || !run.outcome.stdout.contains(allowed) {
            wrong.push(format!("{words}: {leaked} read, {refused} refused"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
