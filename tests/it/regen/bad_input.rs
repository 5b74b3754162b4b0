//! Ebuilds that cannot be sourced, and what they do to others.

use crate::claim::rows;
use std::fs;

use super::CACHE;
use crate::support::{Trial, ebuild, line_of};

/// Ebuilds in several categories, each right but for `app-m/bad-1`, which has this text.
fn with_bad(text: impl AsRef<[u8]>) -> Trial {
    let trial = Trial::new()
        .eclass("plain", "IUSE=\"plain\"\nplain_foo() { :; }\n")
        .package("app-a/good-1", "inherit plain")
        .package("app-a/good-2", "inherit plain")
        .ebuild("app-m/bad-1", text)
        .package("app-z/good-1", "inherit plain")
        .package("app-z/good-2", "");
    trial.put(&format!("{CACHE}/app-m/bad-1"), "EAPI=8\nSLOT=0\n");
    trial
}

const GOOD: [&str; 4] = [
    "app-a/good-1",
    "app-a/good-2",
    "app-z/good-1",
    "app-z/good-2",
];

/// Asserts that the bad one fails, by name and with all of `parts`, loses its entry, and that the
/// others are done.
#[track_caller]
fn assert_only_bad_fails(trial: &Trial, arguments: &[&str], parts: &[&str]) {
    let outcome = trial.regen(arguments);
    outcome.fails(&[
        "app-m/bad/bad-1.ebuild",
        "4 generated (4 written)",
        "1 failed",
    ]);
    outcome.fails(parts);
    let errors = outcome.stderr.lines();
    let errors = errors.filter(|line| line.starts_with("error:"));
    assert_eq!(errors.count(), 1, "{outcome}");
    trial.assert_entries(&GOOD);
    assert!(outcome.elapsed.as_secs() < 8, "{outcome}");
    trial.assert_no_processes("after a failure");
}

/// Asserts that an ebuild with this body fails so, wherever it stands in a processor's work.
#[track_caller]
fn assert_body_fails(body: &str, parts: &[&str]) {
    assert_only_bad_fails(&with_bad(ebuild(body)), &["--jobs=1", "--timeout=1"], parts);
}

#[test]
fn shell_text_that_is_none() {
    let _rows = rows(&[39]);
    let text = ebuild("src_compile() {\n\tif true; then\n}\n");
    let line = format!("line {}: ", line_of(&text, "if true") + 1);
    assert_only_bad_fails(&with_bad(&text), &["--jobs=1"], &["syntax error", &line]);
    assert_body_fails("src_compile() {", &["syntax error: unexpected end of file"]);
    let trial = with_bad(ebuild("inherit plain broken")).eclass("broken", "foo() {\n\tif\n}\n");
    assert_only_bad_fails(
        &trial,
        &["--jobs=1"],
        &[
            "broken.eclass could not be sourced",
            "broken.eclass: line 3: syntax error",
        ],
    );
}

#[test]
fn eclasses_that_cannot_be() {
    let text = ebuild("inherit plain missing");
    let line = format!("line {}", line_of(&text, "inherit"));
    assert_only_bad_fails(
        &with_bad(&text),
        &[],
        &["missing.eclass was not found", &line],
    );
    for name in ["../x", "/etc/passwd", "sub/x", "''", "."] {
        assert_body_fails(&format!("inherit {name}"), &["is no name of an eclass"]);
    }
}

#[test]
fn text_that_is_not_utf_8_or_has_carriage_returns() {
    let _rows = rows(&[14, 39]);
    let text = ebuild("IUSE=a");
    let line = line_of(&text, "LICENSE");
    let at = text.find("LICENSE").unwrap();
    let mut bytes = text.clone().into_bytes();
    bytes[at] = 0xe9;
    assert_only_bad_fails(
        &with_bad(bytes),
        &[],
        &["not valid UTF-8", &format!("line {line}")],
    );
    let crlf = text.replace('\n', "\r\n");
    assert_only_bad_fails(&with_bad(crlf), &[], &["carriage returns", "line 1"]);
}

#[test]
fn shells_that_end_or_never_end() {
    assert_body_fails("exit 0", &["`exit`"]);
    assert_body_fails("exit 7", &["status 7"]);
    let body = ebuild("exec /bin/true");
    assert_only_bad_fails(&with_bad(body), &["--unconfined"], &["`exec`"]);
    assert_body_fails("exec true", &["`exec`"]);
    assert_body_fails("kill -9 ${BASHPID}", &["status 137"]);
    assert_body_fails(
        "kill -9 $$; sleep 9",
        &["processor that sources it was lost"],
    );
    assert_body_fails("kill -9 0", &["bad-1.ebuild: "]);
    assert_body_fails("while :; do :; done", &["longer than 1 seconds"]);
    assert_body_fails(
        "trap '' TERM INT HUP; while :; do :; done",
        &["longer than 1 seconds"],
    );
    assert_body_fails(
        "read -r x < <(while :; do :; done)",
        &["longer than 1 seconds"],
    );
}

#[test]
fn eapis_that_do_not_agree() {
    assert_body_fails("EAPI=7", &["EAPI is '8'", "'7'"]);
    let late = "inherit plain\nEAPI=8\nDESCRIPTION=x\nSLOT=0\n";
    assert_only_bad_fails(&with_bad(late), &[], &["EAPI is '0'", "'8'"]);
    let unknown = "EAPI=banana\nDESCRIPTION=x\nSLOT=0\n";
    assert_only_bad_fails(&with_bad(unknown), &[], &["banana"]);
    let trial = with_bad(ebuild("inherit eapi")).eclass("eapi", "EAPI=7\n");
    assert_only_bad_fails(&trial, &[], &["EAPI is '8'"]);
}

#[test]
fn commands_that_may_not_be_run() {
    let text = ebuild("FOO=$(sed -e s/a/b/ /etc/passwd)");
    let line = format!("line {}", line_of(&text, "sed"));
    assert_only_bad_fails(
        &with_bad(&text),
        &[],
        &["sed: external commands may not be run", &line],
    );
    assert_body_fails("DOCS=( *.nothing )", &["no match: *.nothing"]);
    assert_body_fails("die \"not here\"", &["not here"]);
    assert_body_fails("econf", &["econf"]);
}

#[test]
fn files_that_cannot_be_read() {
    let trial = with_bad("");
    let path = trial.path("repo/app-m/bad/bad-1.ebuild");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    assert_only_bad_fails(&trial, &[], &["cannot be read"]);
    let trial = with_bad("");
    fs::remove_file(trial.path("repo/app-m/bad/bad-1.ebuild")).unwrap();
    fs::create_dir(trial.path("repo/app-m/bad/bad-1.ebuild")).unwrap();
    let outcome = trial.regen(&[]);
    outcome.fails(&["bad-1.ebuild", "directory", "1 failed"]);
    trial.assert_entries(&GOOD);
    let trial = with_bad(ebuild("inherit dangling"));
    fs::create_dir_all(trial.path("repo/eclass")).unwrap();
    std::os::unix::fs::symlink("no", trial.path("repo/eclass/dangling.eclass")).unwrap();
    assert_only_bad_fails(&trial, &[], &["dangling.eclass was not found"]);
}

#[test]
fn metadata_that_is_none() {
    assert_body_fails(
        "DESCRIPTION=$'a\\xffb'",
        &["DESCRIPTION is not valid UTF-8"],
    );
    assert_body_fails("DESCRIPTION='a\u{2028}b'", &["DESCRIPTION"]);
}

#[test]
fn what_is_printed_is_noted_and_written() {
    let trial = Trial::new()
        .package("app-a/loud-1", "echo to-stdout\necho to-stderr >&2\nIUSE=a")
        .package("app-a/quiet-1", "")
        .package(
            "app-b/flood-1",
            "for ((i = 0; i < 20000; i++)); do printf 'line %s\\0 \\e[1m\\n' \"${i}\"; done\nIUSE=b",
        )
        .package(
            "app-c/forged-1",
            "printf 'exited\\0000\\0died\\0'\nprintf 'x' >&3\nIUSE=c",
        );
    trial.regen(&["--jobs=1"]).ends(
        0,
        &[
            "app-a/loud-1 prints in global scope: to-stdout",
            "to-stderr",
            "4 generated (4 written)",
        ],
    );
    for (cpv, iuse) in [
        ("app-a/loud-1", "a"),
        ("app-b/flood-1", "b"),
        ("app-c/forged-1", "c"),
    ] {
        assert_eq!(trial.value(cpv, "IUSE").unwrap(), iuse);
    }
}

#[test]
fn what_an_ebuild_starts_does_not_outlive_the_run() {
    let body =
        "( trap '' TERM HUP INT; while :; do read -r -t 1 x <> <(:); done ) &\ndisown\nIUSE=a";
    let trial = Trial::new()
        .package("app-a/fork-1", body)
        .package("app-b/good-1", "");
    trial.regen(&["--jobs=1"]).ends(0, &["2 generated"]);
    trial.assert_no_processes("after a background process");
}

#[test]
fn one_ebuild_does_not_change_the_next() {
    let dirty = "IUSE=dirty\nDEPEND=dirty\nexport LEAK=1\ndeclare -gr READONLY=1\nset -f\nshopt -s nullglob\n\
                 IFS=x\ncd /\nalias inherit=die\nsrc_compile() { :; }\ninherit() { die overridden; }\nprintf() { :; }\numask 077\ntrap 'echo leaked' EXIT\n";
    let clean = "READONLY=2\n[[ -z ${LEAK} ]] || die leak\nIUSE=\"a  b\"";
    let trial = Trial::new()
        .eclass("plain", "DEPEND=plain/plain\n")
        .package("app-a/dirty-1", &format!("inherit plain\n{dirty}"))
        .package("app-b/clean-1", &format!("inherit plain\n{clean}"));
    trial
        .regen(&["--jobs=1"])
        .ends(0, &["2 generated (2 written)"]);
    assert_eq!(trial.value("app-a/dirty-1", "IUSE").unwrap(), "dirty");
    assert_eq!(
        trial.value("app-a/dirty-1", "DEPEND").unwrap(),
        "dirty plain/plain"
    );
    assert_eq!(trial.value("app-b/clean-1", "IUSE").unwrap(), "a b");
    assert_eq!(
        trial.value("app-b/clean-1", "DEPEND").unwrap(),
        "plain/plain"
    );
    assert_eq!(trial.value("app-b/clean-1", "DEFINED_PHASES").unwrap(), "-");
}

/// What only the kernel can refuse: the shell itself would do it.
#[test]
fn what_global_scope_may_not_do_is_refused_by_the_system() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let probe = with_bad("EAPI=8\nSLOT=0\nDESCRIPTION=x\n").regen(&[]);
    if probe.stderr.contains("unconfined") {
        // Said is all that can be asked for where the kernel cannot do it.
        probe.ends(0, &["note: ebuilds are sourced unconfined"]);
        return;
    }
    for (body, parts) in [
        (
            "echo x > \"${EBUILD%/*}/written\"",
            "written: Permission denied",
        ),
        (
            "echo x > /tmp/ebd-written-by-a-trial",
            "by-a-trial: Permission denied",
        ),
        ("/bin/ls", "/bin/ls: Permission denied"),
        ("/bin/bash -c true", "/bin/bash: Permission denied"),
        (
            "( exec /bin/cat </dev/null )",
            "/bin/cat: Permission denied",
        ),
        ("X=$(</etc/hostname)", "/etc/hostname: Permission denied"),
        ("source /etc/profile", "/etc/profile: Permission denied"),
    ] {
        assert_body_fails(body, &["may not be done in global scope", parts]);
    }
    for kind in ["tcp", "udp"] {
        let body = format!("echo x > /dev/{kind}/127.0.0.1/{port}");
        assert_body_fails(
            &body,
            &["may not be done in global scope", "Permission denied"],
        );
    }
    assert!(!std::path::Path::new("/tmp/ebd-written-by-a-trial").exists());
    // What it says to nobody has no effect either.
    let trial = with_bad(
        "EAPI=8\nSLOT=0\nDESCRIPTION=x\n{ echo x > \"${EBUILD%/*}/written\"; } 2>/dev/null\n:\n",
    );
    trial.regen(&[]).succeeds();
    assert!(!trial.path("repo/app-m/bad/written").exists());
    // Its own repository and its masters are open to it.
    let trial = with_bad("EAPI=8\nSLOT=0\nDESCRIPTION=$(<\"${EBUILD%/*}/files/about\")\n");
    trial.put("repo/app-m/bad/files/about", "about it\n");
    trial.regen(&[]).succeeds();
    assert_eq!(
        trial.value("app-m/bad-1", "DESCRIPTION").unwrap(),
        "about it"
    );
}

#[test]
fn confinement_can_be_left_out() {
    let trial = with_bad(
        "EAPI=8\nSLOT=0\nDESCRIPTION=x\necho x > \"${EBUILD%/*}/written\"\nX=$(</etc/passwd)\n",
    );
    trial.regen(&["--unconfined"]).succeeds();
    assert!(trial.path("repo/app-m/bad/written").exists());
}

#[test]
fn a_bash_that_is_a_script_cannot_be_confined_which_is_said() {
    let trial = with_bad("EAPI=8\nSLOT=0\nDESCRIPTION=x\n");
    trial.put("wrapper", "#!/bin/sh\nexec bash \"$@\"\n");
    fs::set_permissions(
        trial.path("wrapper"),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    // Where nothing is sourced there is nothing to say.
    let check = trial.regen(&["--check", "--bash", "./wrapper"]);
    check.fails(&["5 stale"]);
    assert!(!check.stderr.contains("unconfined"), "{check}");
    trial
        .regen(&["--bash", "./wrapper"])
        .ends(0, &["sourced unconfined", "wrapper is a script"]);
}

#[test]
fn pipes_and_devices_are_not_waited_for() {
    let trial = with_bad(ebuild("inherit piped"));
    let pipe = |name: &str| {
        let path = trial.path(name);
        let _ = fs::remove_file(&path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    };
    pipe("repo/eclass/piped.eclass");
    assert_only_bad_fails(&trial, &[], &["piped.eclass was not found"]);
    pipe("repo/app-m/bad/bad-1.ebuild");
    let told = "bad-1.ebuild: cannot be read: it is a named pipe, not a regular file";
    trial.regen(&["--all"]).fails(&[told, "1 failed"]);
    let places = ["--repo", "repo"];
    let all = [&places[..], &["category:app-m | category:app-z"]].concat();
    let outcome = trial.run_configured("query", &all);
    outcome.fails(&["app-m/bad-1::trial", "it is a named pipe"]);
    assert_eq!(outcome.stdout.lines().count(), 2, "{outcome}");
    trial
        .run_configured("search", &[&places[..], &["trial"]].concat())
        .fails(&["app-m/bad-1::trial", "it is a named pipe"]);
    trial
        .run(&["manifest", "app-m/bad"])
        .fails(&["bad-1.ebuild", "it is a named pipe"]);
    trial.put("repo/metadata/layout.conf", "masters =\n");
    pipe("repo/app-a/good/files/pipe");
    trial
        .run(&["manifest", "app-a/good"])
        .fails(&["files/pipe: cannot be read", "it is a named pipe"]);
}

#[test]
fn work_that_waits_for_a_file_ends_by_a_signal() {
    use nix::sys::signal::{Signal, kill};
    use std::os::unix::process::ExitStatusExt;

    let trial = Trial::new();
    let categories = trial.path("repo/profiles/categories");
    nix::unistd::mkfifo(&categories, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (command, signal) in [("regen", Signal::SIGTERM), ("search", Signal::SIGINT)] {
        let words: &[&str] = match command {
            "regen" => &["regen", "--repo", "repo", "trial"],
            _ => &["search", "--repo", "repo", "word"],
        };
        let mut child = trial.start(words);
        std::thread::sleep(std::time::Duration::from_millis(700));
        assert!(child.try_wait().unwrap().is_none(), "{command}");
        kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
        let begin = std::time::Instant::now();
        let status = child.wait().unwrap();
        assert!(begin.elapsed().as_secs() < 5, "{command}");
        assert_eq!(
            status.code(),
            Some(128 + signal as i32),
            "{command}: {:?}",
            status.signal()
        );
    }
}

#[test]
fn what_nobody_looks_at_is_told() {
    use std::os::unix::ffi::OsStrExt;

    let trial = Trial::new()
        .package("app-a/good-1", "")
        .file("repo/lost/foo/foo-1.ebuild", ebuild(""))
        .file("repo/app-a/+plus/+plus-1.ebuild", ebuild(""))
        .file("repo/app-a/foo-1/foo-1-1.ebuild", ebuild(""));
    let bad = std::ffi::OsStr::from_bytes(b"good-\xff.ebuild");
    fs::write(trial.path("repo/app-a/good").join(bad), ebuild("")).unwrap();
    trial.regen(&[]).fails(&[
        "lost: is not among the categories of profiles/categories; its ebuilds are left out",
        "app-a/+plus: ",
        "app-a/foo-1: ",
        "its name is not UTF-8",
        "1 generated (1 written)",
        "1 failed",
    ]);
    // Only what was asked for.
    let outcome = trial.regen(&["app-a/good"]);
    assert!(!outcome.stderr.contains("left out"), "{outcome}");
    for (command, word) in [("query", "category:app-a"), ("search", "trial")] {
        trial
            .run_configured(command, &["--repo", "repo", word])
            .ends(0, &["repo/lost: is not among the categories"]);
    }
    let all = ["--repo", "repo", "--quiet", "category:app-a"];
    let quiet = trial.run_configured("query", &all);
    assert_eq!(quiet.succeeds().stderr, "");
}

#[test]
fn folders_that_are_no_repositories_are_refused() {
    let trial = Trial::new().package("app-a/good-1", "");
    trial.put("empty/app-a/foo/foo-1.ebuild", ebuild(""));
    trial.put("other/profiles/repo_name", "trial\n");
    for command in ["regen", "query", "search"] {
        let word: &[&str] = match command {
            "search" => &["word"],
            _ => &[],
        };
        let run = |places: &[&str]| trial.run_configured(command, &[places, word].concat());
        run(&["--repo", "empty"])
            .fails(&["empty: is no repository: it has neither profiles nor metadata/layout.conf"]);
        run(&["--repo", "repo", "--repo", "other"])
            .fails(&["repository trial: both repo and other have this name"]);
        let twice = run(&["--repo", "repo", "--repo", "./repo"]);
        assert!(!twice.stderr.contains("have this name"), "{twice}");
        run(&[]).fails(&["no repository is configured; name one with --repo PATH"]);
    }
    trial.put(
        "conf/etc/portage/repos.conf",
        "[gone]\nlocation = /nowhere\n",
    );
    trial.run_configured("regen", &[]).fails(&[
        "location of [gone] is not a directory",
        "no repository is configured",
    ]);
}
