//! `--net`: whom a confined program can talk to.

use std::io::Write;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

use super::{Place, Run, dynamic, left_out};

/// A server on this machine's own loopback, and its port. It greets everybody.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let _ = connection.unwrap().write_all(b"hello");
        }
    });
    port
}

fn run(place: &Place, net: Option<&str>, call: &str) -> Run {
    let inside = place.inside();
    let mut given = vec!["--write".as_ref(), inside.as_os_str()];
    if let Some(net) = net {
        given.extend(["--net".as_ref(), std::ffi::OsStr::new(net)]);
    }
    let mut words = place.words(call, &place.outside());
    words.insert(0, dynamic().into());
    place.run_with(&given, &words)
}

/// Whether a network of their own can be given to programs here.
fn can_have_own_network() -> bool {
    let as_root = ["--net", "true"];
    let as_user = ["--user", "--net", "true"];
    [&as_root[..], &as_user].into_iter().any(|arguments| {
        Command::new("unshare")
            .args(arguments)
            .output()
            .is_ok_and(|output| output.status.success())
    })
}

#[test]
fn the_host_is_reached_only_where_that_was_asked_for() {
    let place = Place::new();
    let call = format!("tcp-connect {}", server());
    place
        .run_free(dynamic(), &call, &place.outside())
        .succeeds();
    run(&place, Some("host"), &call).succeeds();
    if !can_have_own_network() {
        left_out("networks of their own", "unshare --net does not work here");
        return;
    }
    for net in [None, Some("loopback"), Some("none")] {
        let run = run(&place, net, &call);
        assert_eq!(run.outcome.code(), 1, "{net:?}: {}", run.outcome);
    }
}

/// Test suites talk to servers of their own.
#[test]
fn loopback_works_within() {
    let place = Place::new();
    for net in [None, Some("loopback"), Some("host")] {
        run(&place, net, "tcp-both").succeeds();
        run(&place, net, "fork thread tcp-both").succeeds();
    }
    let free = place.run_free(dynamic(), "tcp6-both", &place.outside());
    if free.code() == 0 {
        run(&place, None, "tcp6-both").succeeds();
    } else {
        left_out("IPv6", free.stdout.trim_end());
    }
    if can_have_own_network() {
        let none = run(&place, Some("none"), "tcp-both");
        assert_eq!(none.outcome.code(), 1, "{}", none.outcome);
    }
}

/// Sockets that are files belong to their folder, whatever the network is.
#[test]
fn sockets_inside_work_with_any_network() {
    for net in [None, Some("none"), Some("loopback"), Some("host")] {
        let place = Place::new();
        run(&place, net, "unix-both +/new").succeeds();
        run(&place, net, "abstract-both ebd-abstract").succeeds();
        let before = place.seen();
        run(&place, net, "bind @/new").violates("write", &place.outside().join("new"));
        before.assert_unchanged(&place.outside(), "a socket");
    }
}

/// Names that are in no folder belong to a network.
#[test]
fn abstract_sockets_of_the_host_are_not_reached() {
    let place = Place::new();
    let name = format!("ebd-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let call = format!("abstract-connect {name}");
    place
        .run_free(dynamic(), &call, &place.outside())
        .succeeds();
    let host = run(&place, Some("host"), &call);
    eprintln!(
        "abstract sockets with --net host: {}",
        host.outcome.stdout.trim_end()
    );
    if !can_have_own_network() {
        left_out("networks of their own", "unshare --net does not work here");
        return;
    }
    for net in [None, Some("loopback"), Some("none")] {
        let run = run(&place, net, &call);
        assert_eq!(run.outcome.code(), 1, "{net:?}: {}", run.outcome);
    }
}

/// The rules for files hold whatever the network is.
#[test]
fn the_network_says_nothing_about_files() {
    for net in ["none", "loopback", "host"] {
        let place = Place::new();
        let before = place.seen();
        run(&place, Some(net), "creat @/new").violates("write", &place.outside().join("new"));
        before.assert_unchanged(&place.outside(), net);
        run(&place, Some(net), "creat +/new").succeeds();
    }
    let place = Place::new();
    let outcome = run(&place, Some("everything"), "tcp-both").outcome;
    assert_eq!(outcome.code(), 2, "{outcome}");
}
