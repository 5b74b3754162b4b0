//! Each call that changes something, alone.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::{ATTRIBUTE, Linked, Place, Snapshot, calls, dynamic, ids, is_root, left_out};

/// One thing that a program does, in words of the C program.
pub(super) struct Case {
    /// Its words; see [`Place::words`].
    pub(super) words: &'static str,
    /// The calls that may be named for it.
    pub(super) calls: &'static [&'static str],
    /// The paths that may be named for it, below the folder; `*` is any there.
    pub(super) paths: &'static [&'static str],
    /// Whether it was done in this folder.
    pub(super) done: fn(&Path) -> bool,
}

/// Calls so new that programs can do without them: they may seem not to be there.
const NEWEST: [&str; 3] = ["setxattrat", "removexattrat", "file_setattr"];

const fn case(
    words: &'static str,
    calls: &'static [&'static str],
    paths: &'static [&'static str],
    done: fn(&Path) -> bool,
) -> Case {
    Case {
        words,
        calls,
        paths,
        done,
    }
}

fn says(path: &Path, text: &str) -> bool {
    fs::read(path).is_ok_and(|found| found == text.as_bytes())
}

pub(super) fn is_changed(at: &Path) -> bool {
    says(&at.join("file"), "changed\n")
}

fn is_new(at: &Path) -> bool {
    says(&at.join("new"), "changed\n")
}

fn is_moved(at: &Path) -> bool {
    says(&at.join("new"), "original") && is_gone(at)
}

fn is_linked(at: &Path) -> bool {
    says(&at.join("new"), "original") && says(&at.join("file"), "original")
}

fn is_gone(at: &Path) -> bool {
    at.join("file").symlink_metadata().is_err()
}

pub(super) fn has_mode(at: &Path) -> bool {
    at.join("file").metadata().unwrap().mode() & 0o7777 == 0o750
}

fn has_owner_at(path: &Path) -> bool {
    let found = path.symlink_metadata().unwrap();
    (found.uid(), found.gid()) == ids()
}

pub(super) fn has_owner(at: &Path) -> bool {
    has_owner_at(&at.join("file"))
}

fn link_has_owner(at: &Path) -> bool {
    has_owner_at(&at.join("link")) && at.join("link").is_symlink()
}

fn is_shorter(at: &Path) -> bool {
    says(&at.join("file"), "ori")
}

pub(super) fn has_time(at: &Path) -> bool {
    at.join("file").metadata().unwrap().mtime() == 981_173_106
}

fn link_has_time(at: &Path) -> bool {
    at.join("link").symlink_metadata().unwrap().mtime() == 981_173_106
}

fn attribute(at: &Path) -> Option<Vec<u8>> {
    xattr::get(at.join("file"), ATTRIBUTE).unwrap()
}

pub(super) fn has_attribute(at: &Path) -> bool {
    attribute(at).as_deref() == Some(b"changed")
}

fn lost_attribute(at: &Path) -> bool {
    attribute(at).is_none()
}

fn is_fifo(at: &Path) -> bool {
    at.join("new")
        .symlink_metadata()
        .is_ok_and(|found| found.file_type().is_fifo())
}

fn is_socket(at: &Path) -> bool {
    at.join("new")
        .symlink_metadata()
        .is_ok_and(|found| found.file_type().is_socket())
}

const OPEN: &[&str] = &["open"];
const OPENAT: &[&str] = &["openat"];
const OPENAT2: &[&str] = &["openat2"];
const FILE: &[&str] = &["file"];
const NEW: &[&str] = &["new"];
const LINK: &[&str] = &["link"];
const BOTH: &[&str] = &["file", "new"];

/// Every call that changes something and takes a path or a descriptor that allows no writing.
#[rustfmt::skip]
const CASES: &[Case] = &[
    case("open wronly @/file", OPEN, FILE, is_changed),
    case("open rdwr @/file", OPEN, FILE, is_changed),
    case("open wronly,append @/file", OPEN, FILE, |at| says(&at.join("file"), "originalchanged\n")),
    case("open wronly,creat @/new", OPEN, NEW, is_new),
    case("open rdwr,creat,excl @/new", OPEN, NEW, is_new),
    case("open rdonly,creat @/new", OPEN, NEW, |at| says(&at.join("new"), "")),
    case("open rdonly,trunc @/file", OPEN, FILE, |at| says(&at.join("file"), "")),
    case("open wronly @/link", OPEN, FILE, is_changed),
    case("open wronly,creat @/dangling", OPEN, &["absent"], |at| says(&at.join("absent"), "changed\n")),
    case("open wronly,trunc @/folder/../link", OPEN, FILE, is_changed),
    case("openat wronly @ file", OPENAT, FILE, is_changed),
    case("openat wronly,creat - @/new", OPENAT, NEW, is_new),
    case("openat wronly,creat @/folder ../new", OPENAT, NEW, is_new),
    case("openat rdonly,trunc @ link", OPENAT, FILE, |at| says(&at.join("file"), "")),
    case("in @ openat wronly,creat - new", OPENAT, NEW, is_new),
    case("openat2 wronly none @ file", OPENAT2, FILE, is_changed),
    case("openat2 wronly beneath @ file", OPENAT2, FILE, is_changed),
    case("openat2 wronly beneath @ link", OPENAT2, FILE, is_changed),
    case("openat2 wronly,creat beneath @ folder/../new", OPENAT2, NEW, is_new),
    case("openat2 wronly,creat no-symlinks @ new", OPENAT2, NEW, is_new),
    case("openat2 wronly in-root @ /file", OPENAT2, FILE, is_changed),
    case("openat2 wronly in-root @ /../../link", OPENAT2, FILE, is_changed),
    case("openat2 rdonly,trunc no-magiclinks - @/file", OPENAT2, FILE, |at| says(&at.join("file"), "")),
    case("openat2 wronly no-xdev @ file", OPENAT2, FILE, is_changed),
    case("creat @/file", &["creat"], FILE, is_changed),
    case("creat @/new", &["creat"], NEW, is_new),
    case("tmpfile @ @/new", OPENAT, &["", "*"], is_new),

    case("unlink @/file", &["unlink"], FILE, is_gone),
    case("unlink @/link", &["unlink"], LINK, |at| !at.join("link").is_symlink() && at.join("file").exists()),
    case("unlinkat none @ file", &["unlinkat"], FILE, is_gone),
    case("unlinkat none - @/file", &["unlinkat"], FILE, is_gone),
    case("unlinkat removedir @ empty", &["unlinkat"], &["empty"], |at| !at.join("empty").exists()),
    case("rmdir @/empty", &["rmdir"], &["empty"], |at| !at.join("empty").exists()),
    case("rename @/file @/new", &["rename"], BOTH, is_moved),
    case("rename @/folder @/new", &["rename"], &["folder", "new"], |at| says(&at.join("new/file"), "deeper")),
    case("rename +/other @/new", &["rename"], NEW, |at| says(&at.join("new"), "another")),
    case("rename @/file +/new", &["rename"], FILE, is_gone),
    case("renameat @ file @ new", &["renameat"], BOTH, is_moved),
    case("renameat2 none @ file @ new", &["renameat2"], BOTH, is_moved),
    case("renameat2 noreplace @ file @ new", &["renameat2"], BOTH, is_moved),
    case("renameat2 exchange @ file @ other", &["renameat2"], &["file", "other"],
        |at| says(&at.join("file"), "another") && says(&at.join("other"), "original")),
    case("renameat2 exchange @ file + other", &["renameat2"], FILE, |at| says(&at.join("file"), "another")),
    case("renameat2 exchange + other @ file", &["renameat2"], FILE, |at| says(&at.join("file"), "another")),
    case("mkdir @/new", &["mkdir"], NEW, |at| at.join("new").is_dir()),
    case("mkdir @/new/", &["mkdir"], NEW, |at| at.join("new").is_dir()),
    case("mkdirat @ new", &["mkdirat"], NEW, |at| at.join("new").is_dir()),
    case("link @/file @/new", &["link"], BOTH, is_linked),
    case("linkat none @ file @ new", &["linkat"], BOTH, is_linked),
    case("linkat none + other @ new", &["linkat"], NEW, |at| says(&at.join("new"), "another")),
    case("linkat follow @ link @ new", &["linkat"], BOTH, is_linked),
    case("descriptor @/file linkat follow - /proc/self/fd/40 @ new", &["linkat"], BOTH, is_linked),
    case("path-descriptor @/file linkat follow - /proc/self/fd/40 @ new", &["linkat"], BOTH, is_linked),
    case("symlink target @/new", &["symlink"], NEW, |at| at.join("new").is_symlink()),
    case("symlinkat target @ new", &["symlinkat"], NEW, |at| at.join("new").is_symlink()),
    case("mknod fifo @/new", &["mknod"], NEW, is_fifo),
    case("mknod file @/new", &["mknod"], NEW, |at| says(&at.join("new"), "")),
    case("mknodat fifo @ new", &["mknodat"], NEW, is_fifo),
    case("mknodat socket @ new", &["mknodat"], NEW, is_socket),
    case("bind @/new", &["bind"], NEW, is_socket),

    case("chmod @/file", &["chmod"], FILE, has_mode),
    case("chmod @/link", &["chmod"], FILE, has_mode),
    case("fchmod @/file", &["fchmod"], FILE, has_mode),
    case("fchmod @/folder", &["fchmod"], &["folder"], |at| at.join("folder").metadata().unwrap().mode() & 0o7777 == 0o750),
    case("descriptor @/file fchmod fd:40", &["fchmod"], FILE, has_mode),
    case("fchmodat @ file", &["fchmodat"], FILE, has_mode),
    case("fchmodat2 none @ file", &["fchmodat2"], FILE, has_mode),
    case("fchmodat2 nofollow @ file", &["fchmodat2"], FILE, has_mode),
    case("fchmodat2-empty @/file", &["fchmodat2"], FILE, has_mode),
    case("chown %ids @/file", &["chown"], FILE, has_owner),
    case("chown %ids @/link", &["chown"], FILE, has_owner),
    case("lchown %ids @/link", &["lchown"], LINK, link_has_owner),
    case("fchown %ids @/file", &["fchown"], FILE, has_owner),
    case("fchownat %ids none @ file", &["fchownat"], FILE, has_owner),
    case("fchownat %ids nofollow @ link", &["fchownat"], LINK, link_has_owner),
    case("fchownat-empty %ids @/file", &["fchownat"], FILE, has_owner),
    case("truncate @/file", &["truncate"], FILE, is_shorter),
    case("truncate @/link", &["truncate"], FILE, is_shorter),
    // Outside, the descriptor is not to be had.
    case("ftruncate @/file", OPEN, FILE, is_shorter),
    case("utime @/file", &["utime"], FILE, has_time),
    case("utimes @/file", &["utimes"], FILE, has_time),
    case("futimesat @ file", &["futimesat"], FILE, has_time),
    case("utimensat none @ file", &["utimensat"], FILE, has_time),
    case("utimensat nofollow @ link", &["utimensat"], LINK, link_has_time),
    case("utimensat-null @/file", &["utimensat"], FILE, has_time),
    case("setxattr @/file", &["setxattr"], FILE, has_attribute),
    case("lsetxattr @/file", &["lsetxattr"], FILE, has_attribute),
    case("fsetxattr @/file", &["fsetxattr"], FILE, has_attribute),
    case("setxattrat @ file", &["setxattrat"], FILE, has_attribute),
    case("removexattr @/link", &["removexattr"], FILE, lost_attribute),
    case("lremovexattr @/file", &["lremovexattr"], FILE, lost_attribute),
    case("fremovexattr @/file", &["fremovexattr"], FILE, lost_attribute),
    case("removexattrat @ file", &["removexattrat"], FILE, lost_attribute),
    // What `chattr` does, which shows in the time of the change.
    case("ioctl-flags @/file", &["ioctl"], FILE, |_| true),
    case("file_setattr @ file", &["file_setattr"], FILE, |_| true),

    case("libc-fopen @/file", &["open", "openat"], FILE, is_changed),
    case("libc-remove @/file", &["unlink", "unlinkat"], FILE, is_gone),
    case("libc-rename @/file @/new", &["rename", "renameat", "renameat2"], BOTH, is_moved),
    case("libc-mkfifo @/new", &["mknod", "mknodat"], NEW, is_fifo),
    case("libc-chmod @/file", &["fchmodat", "fchmodat2", "chmod", "fchmod"], FILE, has_mode),
    case("libc-truncate @/file", &["truncate"], FILE, is_shorter),
    case("libc-setxattr @/file", &["setxattr"], FILE, has_attribute),
    case("libc-utimes @/file", &["utimes", "utimensat"], FILE, has_time),
    case("libc-mkdtemp @", &["mkdir", "mkdirat"], &["*"],
        |at| fs::read_dir(at).unwrap().flatten().any(|found| found.file_name().len() == 6)),
];

/// Whether a result says that this machine does not have a call, rather than that it refused one.
fn lacks(stdout: &str) -> Option<&str> {
    let error = stdout.trim_end().rsplit(": ").next()?;
    ["ENOSYS", "EOPNOTSUPP", "ENOTTY"]
        .into_iter()
        .find(|known| *known == error)
}

/// A call's name, whichever width its arguments have.
fn plain(call: &str) -> &str {
    let call = call.strip_suffix("_time64").unwrap_or(call);
    let call = call.strip_suffix("64").unwrap_or(call);
    call.strip_suffix("32").unwrap_or(call)
}

impl Case {
    /// Does it where nothing hinders it, where it may not be done and where it may be. What is wrong
    /// is given in words, as is what this machine lacks.
    fn check(
        &self,
        program: &Path,
        prefix: &str,
        options: &[&str],
    ) -> Result<Option<String>, String> {
        let words = format!("{prefix} {}", self.words);
        let place = Place::new();
        let before = place.seen();
        let free = place.run_free(program, &words, &place.outside());
        if let Some(error) = lacks(&free.stdout) {
            return Ok(Some(error.to_owned()));
        }
        if free.code() != 0 || !(self.done)(&place.outside()) || place.seen() == before {
            return Err(format!("unconfined, it was not done: {free}"));
        }

        let place = Place::new();
        let (inside, outside) = (place.inside(), place.outside());
        let before = (place.seen(), Snapshot::of(&inside));
        let run = place.run_also(options, program, &words, &outside);
        let outcome = &run.outcome;
        let after = (place.seen(), Snapshot::of(&inside));
        let mut differences = after.0.differences(&before.0);
        differences.extend(after.1.differences(&before.1));
        if !differences.is_empty() {
            return Err(format!("it was done outside: {differences:#?}\n{outcome}"));
        }
        let told = outcome.stdout.trim_end();
        if NEWEST.contains(&self.calls[0]) && told.ends_with(": ENOSYS") {
            return Ok(Some("it seems not to be there".to_owned()));
        }
        if !(told.ends_with(": EACCES") || told.ends_with(": EPERM")) || outcome.code() != 1 {
            return Err(format!("it was not refused: {outcome}"));
        }
        let Some(report) = &run.report else {
            return Err(format!("there is no report: {outcome}"));
        };
        let command = place.words(self.words, &outside);
        let named = report.violations.iter().find(|violation| {
            let (path, words) = (violation.path(), violation.command());
            self.calls.contains(&plain(&violation.call))
                && violation.access == "write"
                && self.paths.iter().any(|allowed| match *allowed {
                    "*" => path.starts_with(&outside),
                    "" => path == outside,
                    name => path == outside.join(name),
                })
                && violation.program.path() == program
                && words.first().map(Path::new) == Some(program)
                && words.ends_with(&command)
        });
        let Some(named) = named else {
            return Err(format!("it is not reported: {:#?}", report.violations));
        };
        let (path, told) = (named.path(), command.join(OsStr::new(" ")));
        for part in [
            named.call.as_ref(),
            path.as_os_str(),
            program.as_os_str(),
            &told,
        ] {
            let part = part.to_str().unwrap();
            if !outcome.stderr.contains(part) {
                return Err(format!("{part} is not told: {outcome}"));
            }
        }

        let place = Place::new();
        let inside = place.inside();
        let before = Snapshot::of(&inside);
        let run = place.run_also(options, program, &words, &inside);
        if run.outcome.code() != 0
            || run
                .report
                .as_ref()
                .is_none_or(|report| !report.violations.is_empty())
        {
            return Err(format!(
                "it was refused inside: {:#?}\n{}",
                run.report, run.outcome
            ));
        }
        if !(self.done)(&inside) || Snapshot::of(&inside) == before {
            return Err(format!("it was not done inside: {}", run.outcome));
        }
        Ok(None)
    }
}

/// Checks all of them and tells of all that are wrong, not only of the first.
#[track_caller]
pub(super) fn assert_cases(program: &Path, prefix: &str, cases: &[Case]) {
    assert_cases_with(&[], program, prefix, cases);
}

/// The same with more options.
#[track_caller]
fn assert_cases_with(options: &[&str], program: &Path, prefix: &str, cases: &[Case]) {
    let mut wrong = Vec::new();
    let mut done = 0;
    for case in cases {
        match case.check(program, prefix, options) {
            Ok(None) => done += 1,
            Ok(Some(error)) => left_out(&format!("{prefix} {}", case.words), &error),
            Err(error) => wrong.push(format!("{prefix} {}: {error}", case.words)),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
    // A machine without 32-bit programs has none of those, others lack a few of the newest.
    assert!(done * 2 > cases.len() || !prefix.is_empty() && done == 0);
    if !is_root() {
        left_out(
            "files given to others",
            "this is not root; chown was tried with the own ids",
        );
    }
}

#[test]
fn calls_of_a_dynamic_program_are_refused_outside_and_work_inside() {
    assert_cases(calls(Linked::Dynamic).unwrap(), "", CASES);
}

#[test]
fn calls_of_a_static_program_are_refused_outside_and_work_inside() {
    if let Some(program) = calls(Linked::Static) {
        assert_cases(program, "", CASES);
    }
}

/// A 64-bit program may make the calls of 32-bit ones, whose numbers mean other things.
#[test]
fn calls_of_32_bits_are_refused_outside_and_work_inside() {
    let cases: Vec<Case> = CASES
        .iter()
        .filter(|case| !case.words.starts_with("libc-"))
        .map(|case| Case { ..*case })
        .collect();
    assert_cases(calls(Linked::Dynamic).unwrap(), "int80", &cases);
}

/// Where reading is judged as well, more calls are, and some are made otherwise.
#[test]
fn calls_are_refused_outside_and_work_inside_where_reading_is_judged_too() {
    assert_cases_with(&["--deny", "/no/such/folder"], dynamic(), "", CASES);
}

#[test]
fn calls_are_refused_outside_and_work_inside_where_everything_is_traced() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    assert_cases_with(&["--trace", trace.to_str().unwrap()], dynamic(), "", CASES);
}

/// The same from elsewhere than a program's first thread.
#[test]
fn calls_of_all_kinds_of_processes_are_refused_outside_and_work_inside() {
    const WAYS: &[&str] = &[
        "thread",
        "fork",
        "vfork",
        "clone",
        "thread fork thread",
        "filter",
        "edge",
        "int80 edge",
        "undumpable",
    ];
    for way in WAYS {
        let words = [
            "open wronly,creat @/new",
            "chmod @/file",
            "rename @/file @/new",
        ];
        let cases: Vec<Case> = CASES
            .iter()
            .filter(|case| words.contains(&case.words))
            .map(|case| Case { ..*case })
            .collect();
        assert_eq!(cases.len(), words.len());
        if *way == "undumpable" && !is_root() {
            // Nobody but root may look into such a process: its calls may be refused for that.
            left_out("undumpable programs", "this is not root");
            continue;
        }
        assert_cases(calls(Linked::Dynamic).unwrap(), way, &cases);
    }
}
