//! Servers that behave and servers that do not.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use super::world::*;
use crate::fetch::*;
use crate::util::digest::HashName;

#[tokio::test]
async fn a_file_is_fetched_and_found_the_next_time() {
    let server = Server::start(|_, _, _| Reply::ok(&content()));
    let mut world = World::new(vec![server.uri("a/b")]);
    let fetched = world.fetch_well().await;
    assert_eq!(fetched.how, How::Fetched(format!("{}/a/b", server.address)));
    assert_eq!(
        fetched.digests.get(HashName::Sha512),
        Some(HashName::Sha512.hex(&content()).as_str())
    );
    let head = &server.heads()[0];
    assert!(head.starts_with("GET /a/b HTTP/1.1"), "{head}");
    let agent = concat!("user-agent: ebd/", env!("CARGO_PKG_VERSION"));
    assert!(head.contains(agent), "{head}");
    assert!(head.contains("accept-encoding: identity"), "{head}");
    assert_eq!(world.fetch_well().await.how, How::Present);
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn the_next_source_is_tried() {
    let server = Server::start(|path, _, _| match path {
        "/gone" => Reply::status("404 Not Found"),
        _ => Reply::ok(&content()),
    });
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/x", listener.local_addr().unwrap())
    };
    let mut world = World::new(vec![
        Source::UnknownMirror("mirror://nobody/x".to_owned()),
        Source::Mirror("gopher://host".to_owned()),
        Source::Uri(nobody),
        server.uri("gone"),
        server.uri("there"),
    ]);
    world.fetch_well().await;
    let reasons: Vec<&str> = world
        .events
        .iter()
        .filter_map(|event| match event {
            Event::SourceFailed { reason, .. } => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(reasons.len(), 4);
    assert!(reasons[0].contains("thirdpartymirrors"), "{reasons:?}");
    assert!(
        reasons[1].contains("`gopher` is not spoken here"),
        "{reasons:?}"
    );
    assert!(reasons[2].contains("onnection refused"), "{reasons:?}");
    assert_eq!(reasons[3], "the server answered 404 Not Found");
    assert_eq!(server.heads().len(), 2);
}

#[tokio::test]
async fn all_sources_fail_and_each_says_why() {
    let server = Server::start(|_, _, _| Reply::status("403 Forbidden"));
    let address = server.address.replace("http://", "http://me:secret@");
    let mut world = World::new(vec![
        Source::Uri(format!("{address}/a")),
        Source::Uri("gopher://host/x".to_owned()),
    ]);
    let text = world.fetch().await.unwrap_err().to_string();
    assert_eq!(
        text,
        format!(
            "foo-1.tar.gz: all 2 sources failed\n  {}/a: the server answered 403 Forbidden\n  \
             gopher://host/x: protocol `gopher` is not spoken here, and no FETCHCOMMAND_GOPHER is set",
            server.address.replace("http://", "http://me:*password*@")
        )
    );
    assert!(server.heads()[0].contains("authorization: Basic"));
    assert_eq!(world.names(), Vec::<String>::new());
}

#[tokio::test]
async fn wrong_content_is_kept_aside() {
    let server = Server::start(|path, _, _| match path {
        "/bad" => Reply::ok(&vec![b'x'; 5000]),
        _ => Reply::ok(&content()),
    });
    let mut world = World::new(vec![server.uri("bad"), server.uri("good")]);
    let fetched = world.fetch_well().await;
    assert_eq!(fetched.set_aside.len(), 1);
    assert_eq!(fs::read(&fetched.set_aside[0]).unwrap(), vec![b'x'; 5000]);
    assert_eq!(
        world.names(),
        [FILE.to_owned(), format!("{FILE}._checksum_failure_")]
    );
}

#[tokio::test]
async fn the_difference_is_told() {
    let server = Server::start(|_, _, _| Reply::ok(&vec![b'x'; 5000]));
    let mut world = World::new(vec![server.uri("bad")]);
    let failures = failures(world.fetch().await.unwrap_err());
    let SourceError::Content(Mismatch::Hash {
        name,
        expected,
        got,
    }) = &failures[0].reason
    else {
        panic!("{failures:?}");
    };
    assert_eq!(*name, HashName::Blake2b);
    assert_eq!(*expected, HashName::Blake2b.hex(&content()));
    assert_eq!(*got, HashName::Blake2b.hex(&vec![b'x'; 5000]));
    assert!(failures[0].kept.as_ref().unwrap().exists());
}

#[tokio::test]
async fn no_more_is_taken_than_the_manifest_says() {
    let server = Server::start(|path, _, _| match path {
        // Says so beforehand.
        "/long" => Reply::ok(&vec![b'x'; 6000]),
        "/short" => Reply::ok(b"<html>not found"),
        // Does not, and would go on for ever.
        "/endless" => Reply::chunked(&vec![b'x'; 3 << 20]),
        "/endless-until-close" => Reply::until_close(&vec![b'y'; 3 << 20]),
        _ => Reply::ok(&content()),
    });
    let mut world = World::new(vec![
        server.uri("long"),
        server.uri("short"),
        server.uri("endless"),
        server.uri("endless-until-close"),
        server.uri("good"),
    ]);
    let fetched = world.fetch_well().await;
    assert_eq!(fetched.set_aside.len(), 2);
    for path in fetched.set_aside {
        assert_eq!(fs::metadata(path).unwrap().len(), 5000);
    }
}

#[tokio::test]
async fn a_cut_download_is_resumed() {
    let server = Server::start(|_, range, _| match range {
        None => Reply::cut(5000, &content()[..2000]),
        Some(start) => Reply::range(&content(), start),
    });
    let mut world = World::new(vec![server.uri("a")]);
    world.fetch_well().await;
    assert_eq!(world.from(), [0, 2000]);
    assert!(server.heads()[1].contains("range: bytes=2000-"));
}

#[tokio::test]
async fn a_connection_that_ends_without_a_size_is_resumed() {
    let server = Server::start(|_, range, _| match range {
        None => Reply::until_close(&content()[..2000]),
        Some(start) => Reply::range(&content(), start),
    });
    let mut world = World::new(vec![server.uri("a")]);
    world.fetch_well().await;
    assert_eq!(world.from(), [0, 2000]);
}

#[tokio::test]
async fn an_earlier_download_is_resumed_from_another_source() {
    let first = Server::start(|_, _, _| Reply::cut(5000, &content()[..1000]));
    let mut world = World::new(vec![first.uri("a")]);
    let failures = failures(world.fetch().await.unwrap_err());
    assert!(
        matches!(failures[0].reason, SourceError::Cut { got: 1000, .. }),
        "{failures:?}"
    );
    assert_eq!(first.heads().len(), 3);
    assert_eq!(fs::read(world.partial()).unwrap(), content()[..1000]);

    let second = Server::start(|_, range, _| Reply::range(&content(), range.unwrap()));
    world.request.plan.sources = vec![second.uri("a")];
    world.events.clear();
    world.fetch_well().await;
    assert_eq!(world.from(), [1000]);
}

#[tokio::test]
async fn servers_that_know_no_ranges() {
    let server = Server::start(|_, _, _| Reply::ok(&content()));
    let mut world = World::new(vec![server.uri("a")]);
    world.put("foo-1.tar.gz.partial", &content()[..1000]);
    world.fetch_well().await;
    assert_eq!(server.heads().len(), 1);

    // One that sends another part than it was asked for, and one that refuses.
    for refusal in [false, true] {
        let server = Server::start(move |_, range, _| match range {
            Some(_) if refusal => Reply::status("416 Range Not Satisfiable"),
            Some(start) => Reply::range(&content(), start / 2),
            None => Reply::ok(&content()),
        });
        let mut world = World::new(vec![server.uri("a")]);
        world.put("foo-1.tar.gz.partial", &content()[..1000]);
        let fetched = world.fetch_well().await;
        assert_eq!(fetched.set_aside, Vec::<PathBuf>::new());
        assert_eq!(server.heads().len(), 2);
        assert!(!server.heads()[1].contains("range:"));
    }
}

#[tokio::test]
async fn a_wrong_beginning_is_no_fault_of_the_source() {
    let server = Server::start(|_, range, _| match range {
        Some(start) => Reply::range(&content(), start),
        None => Reply::ok(&content()),
    });
    let mut world = World::new(vec![server.uri("a")]);
    world.put("foo-1.tar.gz.partial", &[b'x'; 1000]);
    let fetched = world.fetch_well().await;
    assert_eq!(fetched.set_aside.len(), 1);
    assert_eq!(world.from(), [1000, 0]);
}

#[tokio::test]
async fn an_unfinished_file_may_be_complete_or_too_long() {
    let server = Server::start(|_, _, _| Reply::ok(&content()));
    let mut world = World::new(vec![server.uri("a")]);
    world.put("foo-1.tar.gz.partial", &content());
    assert_eq!(world.fetch_well().await.how, How::Completed);
    assert_eq!(server.heads().len(), 0);

    let mut world = World::new(vec![server.uri("a")]);
    world.put("foo-1.tar.gz.partial", &[b'x'; 9000]);
    assert_eq!(world.fetch_well().await.set_aside.len(), 1);
}

#[tokio::test]
async fn small_beginnings_are_not_resumed() {
    let server = Server::start(|_, _, _| Reply::ok(&content()));
    let mut world = World::new(vec![server.uri("a")]);
    world.options.resume_min_size = 350 << 10;
    world.put("foo-1.tar.gz.partial", &content()[..1000]);
    world.fetch_well().await;
    assert!(!server.heads()[0].contains("range:"));
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let server = Server::start(|_, _, number| match number {
        1 => Reply::status("503 Service Unavailable"),
        2 => Reply::new(
            "429 Too Many Requests",
            &["Retry-After: 100000".to_owned()],
            b"",
        ),
        _ => Reply::ok(&content()),
    });
    let mut world = World::new(vec![server.uri("a")]);
    world.fetch_well().await;
    assert_eq!(server.heads().len(), 3);
    assert!(world.events.iter().any(|event| matches!(
        event,
        Event::Retrying { pause, .. } if *pause == Duration::from_millis(20)
    )));

    let server = Server::start(|_, _, _| Reply::status("500 Internal Server Error"));
    let mut world = World::new(vec![server.uri("a")]);
    world.fetch().await.unwrap_err();
    assert_eq!(server.heads().len(), 3);
}

#[tokio::test]
async fn silence_is_not_waited_for() {
    let server = Server::start(|path, _, _| match path {
        "/before" => Reply {
            bytes: Vec::new(),
            hangs: true,
        },
        _ => Reply::cut(5000, &content()[..100]).hanging(),
    });
    let mut world = World::new(vec![server.uri("before"), server.uri("amid")]);
    world.options.attempts = 1;
    world.options.stall_timeout = Duration::from_millis(500);
    world.options.connect_timeout = Duration::from_millis(500);
    let failures = failures(world.fetch().await.unwrap_err());
    assert!(
        matches!(
            (&failures[0].reason, &failures[1].reason),
            (SourceError::Silent(_), SourceError::Stalled { .. })
        ),
        "{failures:?}"
    );
    assert_eq!(fs::metadata(world.partial()).unwrap().len(), 100);
}

#[tokio::test]
async fn wrong_content_too_often_is_the_end() {
    let server = Server::start(|path, _, _| {
        let mut body = content();
        body[0] = path.len() as u8 + 1;
        Reply::ok(&body)
    });
    let sources = |number: usize| server.uri(&"x".repeat(number));
    let mut world = World::new((1..9).map(sources).collect());
    world.request.plan.primary = vec![sources(8), sources(7)];
    let error = world.fetch().await.unwrap_err();
    assert!(
        matches!(&error, FetchError::AllFailed { given_up: true, .. }),
        "{error}"
    );
    let paths: Vec<usize> = server
        .heads()
        .iter()
        .map(|head| head.split(' ').nth(1).unwrap().len() - 1)
        .collect();
    // After two, those of SRC_URI come first.
    assert_eq!(paths, [1, 2, 8, 7, 3]);
    assert_eq!(world.names().len(), 5);
}
