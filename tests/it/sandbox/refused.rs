//! What no confined program may do, wherever it would do it, and what it cannot be talked out of.

use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;

use super::{Linked, Place, calls, dynamic, is_root, left_out};

/// Asserts that something works unconfined, as far as this user may do it, and is refused in a
/// folder that may be written.
#[track_caller]
fn assert_refused(words: &str, errors: &[&str]) {
    let place = Place::new();
    let name = words.rsplit("int80 ").next().unwrap();
    let name = name.split(' ').next().unwrap();
    let free = place.run_free(dynamic(), words, &place.inside());
    if free.code() != 0 {
        left_out(&format!("{words}, unconfined"), free.stdout.trim_end());
    }
    let place = Place::new();
    let before = place.seen();
    let run = place.run_linked(dynamic(), words, &place.inside());
    let told = errors
        .iter()
        .any(|error| run.outcome.stdout == format!("{name}: {error}\n"));
    assert!(told, "{words} was not refused:\n{}", run.outcome);
    before.assert_unchanged(&place.outside(), words);
}

/// Where something is mounted, paths mean something else from then on.
#[test]
fn mounts_cannot_be_changed() {
    for words in [
        "mount @/empty",
        "mount-bind @/../outside @/empty",
        "umount2 @/empty",
        "pivot_root @/empty",
        "fsopen",
        "mount_setattr @/empty",
        "int80 mount @/empty",
        "int80 umount2 @/empty",
        "int80 pivot_root @/empty",
        "int80 fsopen",
    ] {
        assert_refused(words, &["EPERM", "EACCES"]);
    }
    // A tree may be looked at, but not be put anywhere.
    for words in [
        "move_mount @/folder @/empty",
        "move_mount-alone @/folder @/empty",
    ] {
        let place = Place::new();
        let run = place.run_linked(dynamic(), words, &place.inside());
        run.is_told(words.split(' ').next().unwrap());
    }
}

/// Its calls are made by the kernel itself, where no filter sees them.
#[test]
fn there_is_no_io_uring() {
    assert_refused("io_uring_setup", &["ENOSYS"]);
    assert_refused("int80 io_uring_setup", &["ENOSYS"]);
}

#[test]
fn files_cannot_be_opened_by_handle() {
    let place = Place::new();
    let free = place.run_free(dynamic(), "open_by_handle_at @/file @", &place.outside());
    if free.code() != 0 {
        left_out("opening by handle, unconfined", free.stdout.trim_end());
        assert!(!is_root(), "{free}");
    }
    for words in [
        "open_by_handle_at @/file @",
        "int80 open_by_handle_at @/file @",
    ] {
        let place = Place::new();
        let before = place.seen();
        place.run(words).is_told("open_by_handle_at");
        before.assert_unchanged(&place.outside(), words);
    }
}

/// A program that becomes root in a namespace of its own has no rights outside.
#[test]
fn a_namespace_of_its_own_is_no_way_out() {
    for words in [
        "namespace open wronly @/file",
        "namespace chmod @/file",
        "namespace rename @/file @/new",
    ] {
        let place = Place::new();
        let free = place.run_free(dynamic(), words, &place.outside());
        if free.code() != 0 {
            left_out(&format!("{words}, unconfined"), free.stdout.trim_end());
        }
        let place = Place::new();
        let before = place.seen();
        let run = place.run(words);
        assert_eq!(
            run.outcome.code(),
            1 + i32::from(run.outcome.stdout.contains("cannot prepare"))
        );
        before.assert_unchanged(&place.outside(), words);
        // And none that could be hidden below a mount of its own.
        let words = "namespace mount-bind @ +/empty";
        let run = place.run(words);
        assert_ne!(run.outcome.code(), 0, "{}", run.outcome);
    }
}

/// What is a path within another root is not the same path without it.
#[test]
fn another_root_is_no_way_out() {
    if !is_root() {
        left_out("another root", "this is not root");
        return;
    }
    let program = calls(Linked::Static).unwrap_or_else(|| dynamic());
    for words in [
        "chroot @ open wronly /file",
        "chroot @ chmod /file",
        "chroot @ unlink /file",
    ] {
        let place = Place::new();
        let free = place.run_free(program, words, &place.outside());
        free.succeeds();
        let place = Place::new();
        let before = place.seen();
        let run = place.run_linked(program, words, &place.outside());
        assert_ne!(run.outcome.code(), 0, "{}", run.outcome);
        before.assert_unchanged(&place.outside(), words);
        // The name of a folder that may be written, but another folder.
        let inside = place.inside();
        let place = Place::new();
        let fake = place.outside().join(inside.strip_prefix("/").unwrap());
        std::fs::create_dir_all(&fake).unwrap();
        std::fs::write(fake.join("file"), "original").unwrap();
        let before = place.seen();
        let words = format!("chroot @ open wronly {}/file", inside.display());
        let run = place.run(&words);
        assert_ne!(run.outcome.code(), 0, "{}", run.outcome);
        before.assert_unchanged(&place.outside(), &words);
    }
}

/// Nor do programs with the bit of another user gain anything.
#[test]
fn no_new_privileges_is_set() {
    let place = Place::new();
    let free = place.run_free(dynamic(), "no-new-privs", &place.outside());
    if free.code() == 0 {
        left_out("no_new_privs, unconfined", "it is set already");
    }
    for words in ["no-new-privs", "vfork no-new-privs", "thread no-new-privs"] {
        place.run(words).succeeds();
    }
}

/// A socket outside is a door to whoever listens there. The C library knocks at some without being
/// asked, so nothing is said about whether that is reported.
#[test]
fn sockets_outside_cannot_be_connected_to() {
    let place = Place::new();
    let serve = |folder: PathBuf| UnixListener::bind(folder.join("socket")).unwrap();
    let _servers = [serve(place.outside()), serve(place.inside())];
    let at = place.outside();
    place
        .run_free(dynamic(), "connect @/socket", &at)
        .succeeds();
    for prefix in ["", "int80 "] {
        let words = format!("{prefix}connect @/socket");
        place.run(&words).is_told("connect");
        place
            .run_linked(dynamic(), &words, &place.inside())
            .succeeds();
    }
}

#[test]
fn sockets_outside_cannot_be_sent_to() {
    let mut wrong = Vec::new();
    for words in [
        "sendto @/socket",
        "sendmsg @/socket",
        "sendmmsg @/socket",
        "int80 sendto @/socket",
    ] {
        let place = Place::new();
        let bind = |folder: PathBuf| {
            let socket = UnixDatagram::bind(folder.join("socket")).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let [outside, inside] = [place.outside(), place.inside()].map(bind);
        let received = |socket: &UnixDatagram| socket.recv(&mut [0; 100]).ok();
        place
            .run_free(dynamic(), words, &place.outside())
            .succeeds();
        assert_eq!(received(&outside), Some(8), "{words}");
        let run = place.run(words);
        if received(&outside).is_some() || run.outcome.code() != 1 {
            wrong.push(format!("{words}: {}", run.outcome));
        }
        let run = place.run_linked(dynamic(), words, &place.inside());
        let told = run.outcome.stdout.trim_end();
        eprintln!(
            "{words} inside: {told}, received: {}",
            received(&inside).is_some()
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
