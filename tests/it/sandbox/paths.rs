//! Paths that are not what they look like.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use super::calls::{Case, assert_cases, has_attribute, has_mode, has_owner, has_time, is_changed};
use super::{Linked, Place, Snapshot, calls, dynamic, left_out};

const fn file(words: &'static str, calls: &'static [&'static str]) -> Case {
    Case {
        words,
        calls,
        paths: &["file"],
        done: is_changed,
    }
}

const fn mode(words: &'static str, calls: &'static [&'static str]) -> Case {
    Case {
        words,
        calls,
        paths: &["file"],
        done: has_mode,
    }
}

/// Ways to the same file that are not its path.
const DETOURS: &[Case] = &[
    // Links whose names depend on who asks: the program, not whoever supervises it.
    file("open wronly /proc/self/root@/file", &["open"]),
    file("open wronly /proc/thread-self/root@/file", &["open"]),
    file("open wronly /proc/PID/root@/file", &["open"]),
    file("thread open wronly /proc/thread-self/root@/file", &["open"]),
    mode("chmod /proc/self/root@/file", &["chmod"]),
    file("in @ open wronly /proc/self/cwd/file", &["open"]),
    file("in @/folder open wronly /proc/self/cwd/../file", &["open"]),
    file("in @ openat wronly /proc self/cwd/file", &["openat"]),
    mode("in @ chmod /proc/self/cwd/file", &["chmod"]),
    file("descriptor @ open wronly /proc/self/fd/40/file", &["open"]),
    file("descriptor @ open wronly /proc/PID/fd/40/file", &["open"]),
    file("descriptor @ open wronly /dev/fd/40/file", &["open"]),
    file(
        "path-descriptor @ open wronly /proc/thread-self/fd/40/file",
        &["open"],
    ),
    file(
        "descriptor @ openat wronly /proc self/fd/40/../%name/file",
        &["openat"],
    ),
    mode("descriptor @ chmod /dev/fd/40/file", &["chmod"]),
    // The same from the middle of the way.
    file(
        "in /proc descriptor @ open wronly self/fd/40/file",
        &["open"],
    ),
    file(
        "descriptor @ openat wronly /proc self/fd/40/file",
        &["openat"],
    ),
    mode("in /proc descriptor @ chmod self/fd/40/file", &["chmod"]),
    mode("in /proc/self descriptor @ chmod fd/40/file", &["chmod"]),
    mode("in /proc/self/fd descriptor @ chmod 40/file", &["chmod"]),
    mode("in /dev descriptor @ chmod fd/40/file", &["chmod"]),
    mode("in / descriptor @ chmod proc/self/fd/40/file", &["chmod"]),
    mode("descriptor @ fchmodat /proc self/fd/40/file", &["fchmodat"]),
    mode(
        "path-descriptor @/file fchmodat /proc self/fd/40",
        &["fchmodat"],
    ),
    mode(
        "descriptor @ chmod /usr/../proc/self/fd/40/file",
        &["chmod"],
    ),
    mode("descriptor @ chmod //proc/self/fd/40/file", &["chmod"]),
    // And by way of a link to there.
    file("descriptor @ open wronly +/to-descriptor/file", &["open"]),
    mode("descriptor @ chmod +/to-descriptor/file", &["chmod"]),
    mode("descriptor @/file chmod +/to-descriptor", &["chmod"]),
    mode("in @ chmod +/to-cwd/file", &["chmod"]),
    Case {
        words: "descriptor @/file setxattr +/to-descriptor",
        calls: &["setxattr"],
        paths: &["file"],
        done: has_attribute,
    },
    Case {
        words: "in /proc descriptor @ utimensat none - self/fd/40/file",
        calls: &["utimensat"],
        paths: &["file"],
        done: has_time,
    },
    Case {
        words: "in /proc descriptor @ chown %ids self/fd/40/file",
        calls: &["chown"],
        paths: &["file"],
        done: has_owner,
    },
    // A descriptor that allows no writing, opened once more.
    file("descriptor @/file open wronly /proc/self/fd/40", &["open"]),
    file(
        "path-descriptor @/file open wronly /proc/self/fd/40",
        &["open"],
    ),
    file("path-descriptor @/file open wronly /dev/fd/40", &["open"]),
    file(
        "descriptor @/file openat2 wronly none - /proc/self/fd/40",
        &["openat2"],
    ),
    mode("path-descriptor @/file chmod /proc/self/fd/40", &["chmod"]),
    mode(
        "descriptor @/file fchmodat - /proc/self/fd/40",
        &["fchmodat"],
    ),
    // Relative ones.
    file("in + open wronly ../%name/file", &["open"]),
    file("in @ open wronly file", &["open"]),
    file("in @/folder openat wronly - ../file", &["openat"]),
    file("in / open wronly .@/file", &["open"]),
    file("open wronly /..//.@/folder/..//./file", &["open"]),
    mode("in + chmod ../%name/link", &["chmod"]),
    // Links that were left in the folder that may be written.
    file("open wronly +/to-%name/file", &["open"]),
    file("open wronly,creat,trunc +/to-%name/link", &["open"]),
    file("openat wronly + to-%name/folder/../file", &["openat"]),
    mode("chmod +/to-%name/file", &["chmod"]),
    mode("fchmodat2 nofollow + to-%name/file", &["fchmodat2"]),
    Case {
        words: "open wronly,creat +/to-%name/dangling",
        calls: &["open"],
        paths: &["absent"],
        done: |at| at.join("absent").exists(),
    },
    Case {
        words: "unlink +/to-%name/file",
        calls: &["unlink"],
        paths: &["file"],
        done: |at| !at.join("file").exists(),
    },
    Case {
        words: "mkdir +/to-%name/new",
        calls: &["mkdir"],
        paths: &["new"],
        done: |at| at.join("new").is_dir(),
    },
];

#[test]
fn detours_lead_to_the_same_file() {
    assert_cases(dynamic(), "", DETOURS);
}

#[test]
fn detours_of_a_static_program_with_calls_of_32_bits_too() {
    if let Some(program) = calls(Linked::Static) {
        assert_cases(program, "int80", DETOURS);
    }
}

/// A link to somewhere else is a thing of its own folder.
#[test]
fn links_to_outside_may_be_made_and_removed_but_not_followed() {
    let place = Place::new();
    let before = place.seen();
    for words in [
        "symlink @/file +/one",
        "rename +/one +/two",
        "unlink +/two",
        "utimensat nofollow + to-outside",
        "unlink +/to-outside",
    ] {
        place.run(words).succeeds();
    }
    before.assert_unchanged(&place.outside(), "what was changed are links");
    let run = place.run("turn symlink @/absent +/one ; open wronly,creat +/one");
    run.is_told("open");
    run.violates("write", &place.outside().join("absent"));
    before.assert_unchanged(&place.outside(), "a dangling link");
}

/// Another name of the same file would be a way to change it.
#[test]
fn files_outside_cannot_be_changed_by_a_second_name() {
    for words in [
        "link @/file +/new",
        "linkat none @ file + new",
        "linkat follow - @/link + new",
        "descriptor @/file linkat follow - /proc/self/fd/40 + new",
        "int80 link @/file +/new",
    ] {
        let place = Place::new();
        place
            .run_free(dynamic(), words, &place.outside())
            .succeeds();
        let place = Place::new();
        let before = place.seen();
        let words = format!("turn {words} ; open wronly +/new ; chmod +/new ; truncate +/new");
        place.run(&words);
        before.assert_unchanged(&place.outside(), &words);
    }
}

/// Names are compared by their parts.
#[test]
fn a_folder_whose_name_begins_alike_is_another() {
    for (inside, outside) in [
        ("a", "ab"),
        ("a.b", "a"),
        ("a", "a:b"),
        ("a:b", "a"),
        ("a b", "a"),
    ] {
        let place = Place::named(inside, outside);
        let before = place.seen();
        let run = place.run_with(
            &["--write".as_ref(), place.inside().as_os_str()],
            &[
                dynamic().as_os_str(),
                "creat".as_ref(),
                place.outside().join("new").as_os_str(),
            ],
        );
        run.is_told("creat")
            .violates("write", &place.outside().join("new"));
        before.assert_unchanged(&place.outside(), outside);
        let run = place.run_with(
            &["--write".as_ref(), place.inside().as_os_str()],
            &[
                dynamic().as_os_str(),
                "creat".as_ref(),
                place.inside().join("new").as_os_str(),
            ],
        );
        run.succeeds();
        assert!(place.inside().join("new").exists(), "{inside}");
    }
}

/// The path of a file in this folder, made as long as this.
fn of_length(folder: PathBuf, length: usize) -> PathBuf {
    let mut path = folder.into_os_string().into_vec();
    let rest = length - path.len() - "/file".len();
    path.extend(b"/.".repeat(rest / 2));
    path.extend(b"/".repeat(rest % 2));
    path.extend(b"/file");
    assert_eq!(path.len(), length);
    PathBuf::from(std::ffi::OsString::from_vec(path))
}

#[test]
fn paths_may_be_as_long_as_the_kernel_allows_and_not_longer() {
    let place = Place::new();
    let write = [OsStr::new("--write"), place.inside().as_os_str()].map(OsStr::to_owned);
    let run = |folder: PathBuf, length: usize| {
        let path = of_length(folder, length);
        let write = [write[0].as_os_str(), write[1].as_os_str()];
        place.run_with(
            &write,
            &[dynamic().as_os_str(), "creat".as_ref(), path.as_os_str()],
        )
    };
    let before = place.seen();
    for length in [4094, 4095] {
        let refused = run(place.outside(), length);
        refused.is_told("creat");
        refused.violates("write", &place.outside().join("file"));
        run(place.inside(), length).succeeds();
        assert!(is_changed(&place.inside()));
    }
    for length in [4096, 4097, 5000, 8192, 100_000] {
        for folder in [place.outside(), place.inside()] {
            let refused = run(folder, length);
            refused.prints("creat: ENAMETOOLONG\n").has_no_violations();
            assert_eq!(refused.outcome.code(), 1);
        }
    }
    before.assert_unchanged(&place.outside(), "long paths");

    let name = |length| "n".repeat(length);
    place.run(&format!("creat +/{}", name(255))).succeeds();
    place
        .run(&format!("creat @/{}", name(255)))
        .is_told("creat");
    for folder in ["@", "+"] {
        let run = place.run(&format!("creat {folder}/{}", name(256)));
        run.prints("creat: ENAMETOOLONG\n").has_no_violations();
    }
}

/// Programs do that to find out what the system's getcwd() is good for.
#[test]
fn folders_may_be_deeper_than_any_path() {
    let place = Place::new();
    for depth in [15, 17, 40] {
        // The test's own folder is removed with them.
        let made = place.run_free(
            dynamic(),
            &format!("deep {depth} @ turn creat file ; stat file"),
            &place.outside(),
        );
        made.succeeds();
        for words in [
            "open wronly,trunc file",
            "chmod file",
            "unlink file",
            "mkdir new",
        ] {
            let run = place.run(&format!("deep {depth} @ {words}"));
            run.is_told(words.split(' ').next().unwrap());
            assert_eq!(run.outcome.code(), 1, "{}", run.outcome);
            // What has no path that could be told need not be.
            let told = !run.report().violations.is_empty();
            assert!(told || depth > 15, "{}", run.outcome);
        }
        let still = place.run_free(
            dynamic(),
            &format!("deep {depth} @ turn read file ; rmdir new"),
            &place.outside(),
        );
        assert_eq!(still.stdout, "changed\nread: ok\nrmdir: ENOENT\n");
        place
            .run(&format!(
                "deep {depth} + turn creat file ; chmod file ; rename file other ; unlink other"
            ))
            .succeeds();
    }
}

#[test]
fn names_may_be_any_bytes() {
    for name in [
        &b"\xff\xfe\x80"[..],
        b"caf\xe9",
        b"new\nline",
        b"quote\"backslash\\",
        b"\x1b[31mred",
        b" blank ",
        b"tab\there",
        b"-option",
        "\u{2028}ü✓".as_bytes(),
    ] {
        let shown = String::from_utf8_lossy(name);
        let place = Place::new();
        let name = OsStr::from_bytes(name);
        for (folder, may) in [(place.outside(), false), (place.inside(), true)] {
            let folder = folder.join(name);
            fs::create_dir(&folder).unwrap();
            let path = folder.join(name);
            let run = place.run_with(
                &["--write".as_ref(), place.inside().as_os_str()],
                &[dynamic().as_os_str(), "creat".as_ref(), path.as_os_str()],
            );
            assert_eq!(path.exists(), may, "{shown:?}: {}", run.outcome);
            if may {
                run.succeeds();
                continue;
            }
            run.is_told("creat");
            assert_eq!(run.report().violations[0].path(), path);
            // A name must not draw on the terminal, nor look like a line of its own.
            assert!(
                !run.outcome.stderr.contains('\x1b'),
                "{:?}",
                run.outcome.stderr
            );
            assert!(
                !run.outcome.stderr.contains("new\nline"),
                "{}",
                run.outcome.stderr
            );
        }
        // It may be the folder itself, too.
        let odd = place.path("").join(name);
        fs::create_dir(&odd).unwrap();
        let file = odd.join("file");
        place
            .run_with(
                &["--write".as_ref(), odd.as_os_str()],
                &[dynamic().as_os_str(), "creat".as_ref(), file.as_os_str()],
            )
            .succeeds();
        assert!(file.exists(), "{shown:?}");
    }
}

/// What has no path any more belongs to nobody's folder, and nothing is to be had there.
#[test]
fn a_deleted_working_directory_is_no_place() {
    for words in [
        "creat file",
        "mkdir new",
        "unlink file",
        "open wronly ./file",
    ] {
        let place = Place::new();
        let before = place.seen();
        let words = format!("deleted + {words}");
        let free = place.run_free(dynamic(), &words, &place.outside());
        let run = place.run(&words);
        assert_eq!(run.outcome.stdout, free.stdout, "{}", run.outcome);
        run.has_no_violations();
        before.assert_unchanged(&place.outside(), &words);
    }
    // A way out of it is one still.
    let place = Place::new();
    fs::create_dir(place.inside().join("gone (deleted)")).unwrap();
    let before = place.seen();
    place.run("deleted + creat @/new").is_told("creat");
    before.assert_unchanged(&place.outside(), "from a deleted directory");
    place.run("deleted + creat +/new").succeeds();
}

/// What fails anyhow is told as the kernel tells it: programs decide by that what to do next.
#[test]
fn what_fails_anyhow_fails_as_ever() {
    let mut wrong = Vec::new();
    for words in [
        "mkdir @/folder",
        "mkdir @/file",
        "mkdir @",
        "mkdir /",
        "mkdirat @ folder",
        "unlink @/none",
        "unlink @/none/none",
        "unlink @/file/none",
        "rmdir @/none",
        "rename @/none @/new",
        "open wronly @/none",
        "open wronly,creat @/none/none",
        "open wronly @/file/none",
        "open wronly,creat,excl @/file",
        "chmod @/none",
        "truncate @/none",
        "symlink x @/file",
        "removexattr @/none",
    ] {
        // Nothing would be changed, so nothing is refused.
        wrong.extend(differs_from_free(words, false));
        wrong.extend(differs_from_free(words, true));
    }
    for words in [
        "open wronly @/folder",
        "open wronly,nofollow @/link",
        "open wronly,directory @/file",
        "open wronly @/loop",
        "open wronly,nonblock @/fifo",
        "openat2 wronly no-symlinks - @/link",
        "openat2 wronly beneath @ ../%name/file",
        "openat2 wronly beneath @ /etc/passwd",
        "openat2 wronly no-symlinks @ link",
        "openat2 wronly no-magiclinks - /proc/self/root@/file",
        "openat2 wronly,creat in-root @ /none/../../new",
        "rmdir @/folder",
        "rmdir @/file",
        "unlink @/folder",
        "unlinkat removedir @ file",
        "rename @/folder @/folder/below",
        "rename @/folder @/file",
        "rename @/file @/folder",
        "renameat2 noreplace @ file @ other",
        "renameat2 exchange @ file @ none",
        "link @/file @/other",
        "link @/folder @/new",
        "mknod fifo @/file",
        "bind @/file",
        "truncate @/folder",
        "chmod @/loop",
        "removexattr @/folder",
        "openat wronly @ ",
        "creat ",
    ] {
        wrong.extend(differs_from_free(words, true));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let place = Place::new();
    place.run("bad-pointers").succeeds();
}

/// Tells what a confined program is told that one that is not confined is not, inside or outside.
fn differs_from_free(words: &str, inside: bool) -> Option<String> {
    let place = Place::new();
    let at = if inside {
        place.inside()
    } else {
        place.outside()
    };
    symlink("loop", at.join("loop")).unwrap();
    nix::unistd::mkfifo(&at.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let program = dynamic();
    let mut arguments = place.words(words, &at);
    // What ends with a blank has an empty path.
    if words.ends_with(' ') {
        arguments.push("".into());
    }
    let free = super::finish(Command::new(program).args(&arguments));
    assert_ne!(free.code(), 0, "{words}: {free}");
    let before = Snapshot::of(&at);
    arguments.insert(0, program.into());
    let run = place.run_with(
        &["--write".as_ref(), place.inside().as_os_str()],
        &arguments,
    );
    before.assert_unchanged(&at, words);
    let same = run.outcome.stdout == free.stdout
        && run.outcome.code() == free.code()
        && run.report().violations.is_empty();
    (!same).then(|| {
        format!(
            "{words}: not {}, but {}",
            free.stdout.trim_end(),
            run.outcome
        )
    })
}

/// A path that is read by somebody else than the kernel could be read too far, or not far enough.
#[test]
fn a_path_may_end_where_memory_does() {
    let place = Place::new();
    place.run("edge openat2 wronly,creat none + new").succeeds();
    place
        .run("edge mkdir @/new")
        .violates("write", &place.outside().join("new"));
    if calls(Linked::Static).is_none() {
        left_out("static programs", "they cannot be linked");
    }
}
