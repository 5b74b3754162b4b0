//! Each way in which a server may fail: another source delivers, or all that were tried are told; and nothing wrong
//! has the file's name.

use std::collections::HashSet;
use std::fs;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::mpsc;

use super::world::*;
use crate::fetch::*;

fn raw(bytes: &[u8]) -> Reply {
    Reply {
        bytes: bytes.to_vec(),
        hangs: false,
    }
}

fn redirect(to: &str) -> Reply {
    Reply::new("302 Found", &[format!("Location: {to}")], b"")
}

fn with_length(length: &str, body: &[u8]) -> Reply {
    Reply::new("200 OK", &[format!("Content-Length: {length}")], body)
}

/// What the server does at each path, and a part of what is told of it.
const WAYS: &[(&str, &str)] = &[
    ("404", "the server answered 404 Not Found"),
    ("403", "the server answered 403 Forbidden"),
    ("429", "the server answered 429 Too Many Requests"),
    ("500", "the server answered 500 Internal Server Error"),
    ("204", "the server answered 204 No Content"),
    ("circle", "redirect"),
    ("to-nowhere", "the server answered 302 Found"),
    ("to-another-protocol", "transfer failed"),
    ("to-a-file", "the server answered 302 Found"),
    ("silent", "no answer within"),
    ("stalling", "stalled: less than"),
    ("dripping", "stalled: less than"),
    ("too-much", "offers a file of 6000 bytes"),
    ("too-much-unsaid", "more than 5000 bytes were sent"),
    ("endless", "more than 5000 bytes were sent"),
    ("too-little", "offers a file of 10 bytes"),
    ("too-little-unsaid", "size is 10 bytes"),
    ("empty", "offers a file of 0 bytes"),
    ("page", "BLAKE2B is"),
    ("garbage", "BLAKE2B is"),
    ("no-http", "transfer failed"),
    ("hangs-up", "transfer failed"),
    ("length-too-large", "the connection ended when 100 bytes"),
    ("length-no-number", "transfer failed"),
    ("lengths-differ", "transfer failed"),
    ("chunks-broken", "the connection ended when"),
    ("header-endless", "transfer failed"),
];

fn misbehave(path: &str) -> Reply {
    let content = content();
    match path.trim_start_matches('/') {
        "404" => Reply::status("404 Not Found"),
        "403" => Reply::status("403 Forbidden"),
        "429" => Reply::new(
            "429 Too Many Requests",
            &["Retry-After: 1".to_owned(), "Content-Length: 0".to_owned()],
            b"",
        ),
        "500" => Reply::status("500 Internal Server Error"),
        "204" => Reply::new("204 No Content", &[], b""),
        "circle" => redirect("/circle-2"),
        "circle-2" => redirect("/circle"),
        "to-nowhere" => redirect("http://"),
        "to-another-protocol" => redirect("gopher://127.0.0.1/x"),
        "to-a-file" => redirect("file:///etc/passwd"),
        "silent" => raw(b"").hanging(),
        "stalling" => Reply::cut(5000, &content[..100]).hanging(),
        "dripping" => Reply::cut(5000, b"").hanging(),
        "too-much" => Reply::ok(&[b'x'; 6000]),
        "too-much-unsaid" => Reply::until_close(&[b'x'; 6000]),
        "endless" => Reply::chunked(&vec![b'x'; 3 << 20]),
        "too-little" => Reply::ok(b"0123456789"),
        "too-little-unsaid" => Reply::chunked(b"0123456789"),
        "empty" => Reply::ok(b""),
        "page" => {
            let mut page = b"<!DOCTYPE html>not here".to_vec();
            page.resize(5000, b' ');
            Reply::ok(&page)
        }
        "garbage" => Reply::ok(&[0xff; 5000]),
        "no-http" => raw(b"220 ftp.example.org ready\r\n\r\n"),
        "hangs-up" => raw(b""),
        "length-too-large" => Reply::cut(5000, &content[..100]),
        "length-no-number" => with_length("much", &content),
        "lengths-differ" => Reply::new(
            "200 OK",
            &["Content-Length: 5000".into(), "Content-Length: 10".into()],
            &content,
        ),
        "chunks-broken" => Reply::new(
            "200 OK",
            &["Transfer-Encoding: chunked".to_owned()],
            b"zz\r\nhello",
        ),
        "header-endless" => {
            let mut reply = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
            reply.resize(4 << 20, b'x');
            raw(&reply)
        }
        "good" => Reply::ok(&content),
        other => panic!("{other}"),
    }
}

/// Those that are given up only when they have been silent for long.
const SILENT: &[&str] = &["silent", "stalling", "dripping"];

/// A world for these ways: one that does not wait for long if any of them is silent.
fn world_for(server: &Server, ways: &[&str]) -> World {
    let mut world = World::new(ways.iter().map(|way| server.uri(way)).collect());
    world.options.attempts = 2;
    if ways.iter().any(|way| SILENT.contains(way)) {
        world.options.attempts = 1;
        world.options.stall_timeout = Duration::from_secs(1);
        world.options.connect_timeout = Duration::from_secs(1);
    }
    world
}

#[tokio::test]
async fn another_source_delivers() {
    let server = Server::start(|path, _, _| misbehave(path));
    for (way, _) in WAYS {
        let mut world = world_for(&server, &[way, "good"]);
        let fetched = world.fetch_well().await;
        assert_eq!(
            fetched.how,
            How::Fetched(format!("{}/good", server.address)),
            "{way}"
        );
        for name in world.names() {
            assert!(
                name == FILE || name.contains("_checksum_failure_"),
                "{way}: {name}"
            );
        }
    }
}

#[tokio::test]
async fn every_source_is_told_with_its_reason() {
    let server = Server::start(|path, _, _| misbehave(path));
    let all: Vec<&str> = WAYS.iter().map(|(way, _)| *way).collect();
    let mut world = world_for(&server, &all);
    world.options.checksum_tries = 100;
    let text = world.fetch().await.unwrap_err().to_string();
    assert!(
        text.starts_with(&format!("{FILE}: all {} sources failed\n", WAYS.len())),
        "{text}"
    );
    let lines: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(lines.len(), WAYS.len(), "{text}");
    for (line, (way, reason)) in lines.iter().zip(WAYS) {
        let source = format!("  {}/{way}: ", server.address);
        assert!(line.starts_with(&source), "{way}: {text}");
        assert!(line.contains(reason), "{way}: {text}");
    }
    assert!(!world.target().exists());
    // Of one with an entry in the Manifest, each alone is an error of its own.
    for (way, reason) in WAYS {
        let mut world = world_for(&server, &[way]);
        let text = world.fetch().await.unwrap_err().to_string();
        assert!(text.contains("the only source failed"), "{way}: {text}");
        assert!(text.contains(reason), "{way}: {text}");
        assert!(!world.target().exists(), "{way}");
    }
}

#[tokio::test]
async fn connections_end_at_every_byte() {
    let body: Vec<u8> = (0..200u8).collect();
    let whole = Reply::ok(&body).bytes;
    let (ends, parts) = (whole.len(), body.clone());
    let seen = Mutex::new(HashSet::new());
    let server = Server::start(move |path, range, _| {
        let at: usize = path.trim_start_matches("/f").parse().unwrap();
        match range {
            None if seen.lock().unwrap().insert(at) => raw(&whole[..at]),
            None => Reply::ok(&parts),
            Some(start) => Reply::range(&parts, start),
        }
    });
    let world = World::new(Vec::new());
    let requests: Vec<Request> = (0..=ends)
        .map(|at| {
            let mut request = world.request.clone();
            request.plan.file = format!("f{at}");
            request.plan.sources = vec![server.uri(&request.plan.file)];
            request.expected = Some(entry(&body));
            request
        })
        .collect();
    let fetcher = Fetcher::new(world.options.clone());
    let (events, mut told) = mpsc::unbounded_channel();
    for result in fetcher.fetch_all(&requests, 16, &events).await {
        let fetched = result.unwrap();
        assert_eq!(fs::read(&fetched.path).unwrap(), body, "{}", fetched.file);
        assert!(fetched.set_aside.is_empty(), "{}", fetched.file);
    }
    assert_eq!(world.names().len(), ends + 1);
    // Nothing that had arrived was asked for again.
    drop(events);
    let head = ends - body.len();
    while let Some(event) = told.recv().await {
        let Event::Trying { file, from, .. } = event else {
            continue;
        };
        let at: usize = file.trim_start_matches('f').parse().unwrap();
        let had = at.saturating_sub(head) as u64;
        assert!(from == 0 || from == had, "{file}: {from}");
    }
    let resumed = server.heads();
    let resumed = resumed.iter().filter(|head| head.contains("range: bytes="));
    assert_eq!(resumed.count(), body.len() - 1);
}

#[tokio::test]
async fn it_was_only_for_a_moment() {
    for first in [
        "500 Internal Server Error",
        "502 Bad Gateway",
        "504 Gateway Timeout",
    ] {
        let server = Server::start(move |_, _, number| match number {
            1 => Reply::status(first),
            _ => Reply::ok(&content()),
        });
        let mut world = World::new(vec![server.uri("a")]);
        world.fetch_well().await;
        assert_eq!(server.heads().len(), 2, "{first}");
    }
}

fn tagged(mut reply: Reply, tag: &str) -> Reply {
    let text = reply.bytes;
    let end = text.windows(2).position(|two| two == b"\r\n").unwrap() + 2;
    let mut bytes = text[..end].to_vec();
    bytes.extend_from_slice(format!("ETag: \"{tag}\"\r\n").as_bytes());
    bytes.extend_from_slice(&text[end..]);
    reply.bytes = bytes;
    reply
}

#[tokio::test]
async fn a_file_that_changed_is_fetched_from_the_start() {
    // One server asks whether it is still the same, the other has not heard of that.
    for asks in [true, false] {
        let server = Server::start(move |_, range, _| match range {
            // The old file.
            None if !asks => tagged(Reply::ok(&content()), "new"),
            Some(start) if !asks => tagged(Reply::range(&content(), start), "new"),
            _ => tagged(Reply::ok(&content()), "new"),
        });
        let old = Server::start(|_, _, _| tagged(Reply::cut(5000, &[b'x'; 2000]), "old"));
        // Both are one address to whoever fetches: what was left is of the old one.
        let mut world = World::new(vec![old.uri("a")]);
        world.options.attempts = 1;
        world.fetch().await.unwrap_err();
        assert_eq!(fs::metadata(world.partial()).unwrap().len(), 2000);
        let attribute = "user.ebd.origin";
        let kept = xattr::get(world.partial(), attribute).unwrap().unwrap();
        let kept = String::from_utf8(kept).unwrap();
        assert!(kept.contains("\\\"old\\\""), "{kept}");
        let moved = kept.replace(&old.address, &server.address);
        xattr::set(world.partial(), attribute, moved.as_bytes()).unwrap();
        world.request.plan.sources = vec![server.uri("a")];
        let fetched = world.fetch_well().await;
        assert!(fetched.set_aside.is_empty());
        let heads = server.heads();
        assert!(heads[0].contains("if-range: \"old\""), "{}", heads[0]);
        assert_eq!(heads.len(), if asks { 1 } else { 2 });
        assert_eq!(xattr::get(world.target(), attribute).unwrap(), None);
    }
}

#[tokio::test]
async fn a_page_is_no_distfile_of_which_nothing_is_known() {
    let page = b"<!DOCTYPE html><title>Not found</title>".as_slice();
    let server = Server::start(move |path, _, _| match path {
        "/said" => Reply::new(
            "200 OK",
            &[
                "Content-Type: text/html; charset=utf-8".to_owned(),
                "Content-Length: 5".to_owned(),
            ],
            b"hello",
        ),
        "/unsaid" => Reply::ok(page),
        "/empty" => Reply::ok(b""),
        _ => Reply::ok(&content()),
    });
    let mut world = World::new(vec![
        server.uri("said"),
        server.uri("unsaid"),
        server.uri("empty"),
    ]);
    world.request.expected = None;
    world.options.allow_missing = true;
    let text = world.fetch().await.unwrap_err().to_string();
    assert_eq!(text.matches("a web page instead").count(), 2, "{text}");
    assert!(text.contains("the file is empty"), "{text}");
    assert!(!world.target().exists());
    // One that is called so may be one.
    world.request.plan.file = "index.html".to_owned();
    let fetcher = Fetcher::new(world.options.clone());
    let (events, _) = mpsc::unbounded_channel();
    world.request.plan.sources = vec![server.uri("unsaid")];
    let fetched = fetcher.fetch(&world.request, &events).await.unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), page);
}
