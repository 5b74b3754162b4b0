//! Whole fetches, from servers that behave and from servers that do not.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use super::*;
use crate::pms::dependency::DepSpec;
use crate::pms::eapi::Eapi;
use crate::pms::src_uri::SrcUri;
use crate::repo::manifest::Manifest;
use crate::util::digest::HashName;
use crate::util::lock::{Lock, portage_lockfile};

/// What a server sends back, byte for byte, before it hangs up.
struct Reply {
    bytes: Vec<u8>,
    /// Instead of hanging up, the server stays silent.
    hangs: bool,
}

impl Reply {
    fn new(status: &str, headers: &[String], body: &[u8]) -> Self {
        let mut bytes = format!("HTTP/1.1 {status}\r\nConnection: close\r\n").into_bytes();
        for header in headers {
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        Self {
            bytes,
            hangs: false,
        }
    }

    fn ok(body: &[u8]) -> Self {
        Self::cut(body.len(), body)
    }

    /// Promises more than it sends.
    fn cut(promised: usize, body: &[u8]) -> Self {
        Self::new("200 OK", &[format!("Content-Length: {promised}")], body)
    }

    fn chunked(body: &[u8]) -> Self {
        let mut coded = format!("{:x}\r\n", body.len()).into_bytes();
        coded.extend_from_slice(body);
        coded.extend_from_slice(b"\r\n0\r\n\r\n");
        Self::new("200 OK", &["Transfer-Encoding: chunked".to_owned()], &coded)
    }

    fn until_close(body: &[u8]) -> Self {
        Self::new("200 OK", &[], body)
    }

    fn range(body: &[u8], start: usize) -> Self {
        let range = format!(
            "Content-Range: bytes {start}-{}/{}",
            body.len() - 1,
            body.len()
        );
        let rest = &body[start..];
        Self::new(
            "206 Partial Content",
            &[range, format!("Content-Length: {}", rest.len())],
            rest,
        )
    }

    fn status(status: &str) -> Self {
        Self::new(status, &["Content-Length: 4".to_owned()], b"oops")
    }

    fn hanging(mut self) -> Self {
        self.hangs = true;
        self
    }
}

/// A web server for one test. It answers each request as a function of its path, its headers and its number.
struct Server {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Fn(&str, Option<usize>, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream.unwrap(), &seen, &*answer));
            }
        });
        Self { address, heads }
    }

    fn uri(&self, path: &str) -> Source {
        Source::Uri(format!("{}/{path}", self.address))
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    answer: &dyn Fn(&str, Option<usize>, usize) -> Reply,
) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let range = head
        .lines()
        .find_map(|line| line.strip_prefix("range: bytes="))
        .map(|text| text.trim_end_matches('-').parse().unwrap());
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(head);
        seen.len()
    };
    let reply = answer(&path, range, number);
    let _ = stream.write_all(&reply.bytes);
    if reply.hangs {
        std::thread::sleep(Duration::from_secs(20));
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// A DISTDIR, and what is wanted in it.
struct World {
    directory: tempfile::TempDir,
    options: FetchOptions,
    request: Request,
    events: Vec<Event>,
}

const FILE: &str = "foo-1.tar.gz";

fn content() -> Vec<u8> {
    (0..5000u32).map(|number| (number % 251) as u8).collect()
}

fn entry(content: &[u8]) -> Expected {
    Expected::new(
        content.len() as u64,
        [
            ("BLAKE2B", HashName::Blake2b.hex(content)),
            ("SHA512", HashName::Sha512.hex(content)),
        ],
    )
}

impl World {
    fn new(sources: Vec<Source>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut options = FetchOptions::new(directory.path().join("distfiles"));
        options.backoff = Duration::from_millis(5);
        options.longest_pause = Duration::from_millis(20);
        options.resume_min_size = 1;
        options.stall_timeout = Duration::from_secs(20);
        options.proxies = false;
        Self {
            directory,
            options,
            request: Request {
                plan: Plan {
                    file: FILE.to_owned(),
                    sources,
                    primary: Vec::new(),
                    fetch_restricted: false,
                },
                expected: Some(entry(&content())),
                manifest: PathBuf::from("/repo/app-misc/foo/Manifest"),
            },
            events: Vec::new(),
        }
    }

    fn distdir(&self) -> PathBuf {
        self.options.distdir.clone()
    }

    fn target(&self) -> PathBuf {
        self.distdir().join(FILE)
    }

    fn partial(&self) -> PathBuf {
        self.distdir().join(format!("{FILE}.partial"))
    }

    /// Puts a file into DISTDIR.
    fn put(&self, name: &str, content: &[u8]) {
        fs::create_dir_all(self.distdir()).unwrap();
        fs::write(self.distdir().join(name), content).unwrap();
    }

    async fn fetch(&mut self) -> Result<Fetched, FetchError> {
        let fetcher = Fetcher::new(self.options.clone());
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let result = fetcher.fetch(&self.request, &sender).await;
        drop(sender);
        while let Some(event) = receiver.recv().await {
            self.events.push(event);
        }
        result
    }

    /// Fetches, and sees to it that the right file and nothing unfinished is there.
    async fn fetch_well(&mut self) -> Fetched {
        let fetched = self.fetch().await.unwrap();
        assert_eq!(fetched.path, self.target());
        assert_eq!(fs::read(&fetched.path).unwrap(), content());
        assert_eq!(fetched.digests.size(), 5000);
        assert!(!self.partial().exists());
        assert!(!portage_lockfile(&self.target()).exists());
        assert!(matches!(self.events.last(), Some(Event::Done { .. })));
        fetched
    }

    /// Names of everything in DISTDIR, sorted, with random parts cut off.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.distdir())
            .unwrap()
            .map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                match name.split_once("_checksum_failure_.") {
                    Some((start, _)) => format!("{start}_checksum_failure_"),
                    None => name,
                }
            })
            .collect();
        names.sort();
        names
    }

    fn from(&self) -> Vec<u64> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Trying { from, .. } => Some(*from),
                _ => None,
            })
            .collect()
    }
}

fn failures(error: FetchError) -> Vec<SourceFailure> {
    match error {
        FetchError::AllFailed { failures, .. } | FetchError::Restricted { failures, .. } => {
            failures
        }
        other => panic!("{other}"),
    }
}

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
        Source::Mirror("ftp://host".to_owned()),
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
    assert!(reasons[1].contains("`ftp` is not supported"), "{reasons:?}");
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
        Source::Uri("ftp://host/x".to_owned()),
    ]);
    let text = world.fetch().await.unwrap_err().to_string();
    assert_eq!(
        text,
        format!(
            "foo-1.tar.gz: all 2 sources failed\n  {}/a: the server answered 403 Forbidden\n  \
             ftp://host/x: protocol `ftp` is not supported (http, https and file are)",
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

#[tokio::test]
async fn local_files_and_directories() {
    let mut world = World::new(Vec::new());
    let root = world.directory.path().join("with space");
    fs::create_dir(&root).unwrap();
    fs::write(root.join(FILE), content()).unwrap();
    let flat = Source::Directory(root.clone());
    let uri = Source::Uri(format!("file://{}/{FILE}", root.display()));
    let mirror = world.directory.path().join("mirror");
    let digest = HashName::Blake2b.hex(FILE.as_bytes());
    let place = mirror.join("distfiles").join(&digest[..2]);
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join(FILE), content()).unwrap();
    fs::write(
        mirror.join("distfiles/layout.conf"),
        "[structure]\n0=filename-hash BLAKE2B 8\n1=flat\n",
    )
    .unwrap();
    let hashed = Source::Directory(mirror.join("distfiles"));
    let file_mirror = Source::Mirror(format!("file://{}", mirror.display()));
    for source in [flat, uri, hashed, file_mirror] {
        world.request.plan.sources = vec![source.clone()];
        let fetched = world.fetch_well().await;
        assert!(matches!(fetched.how, How::Fetched(_)), "{source}");
        fs::remove_file(world.target()).unwrap();
    }
    world.request.plan.sources = vec![
        Source::Directory(world.directory.path().join("nowhere")),
        Source::Uri("file:///dev/zero".to_owned()),
        Source::Uri("file:///etc".to_owned()),
    ];
    let failures = failures(world.fetch().await.unwrap_err());
    for failure in &failures {
        assert!(
            matches!(failure.reason, SourceError::File { .. }),
            "{failure}"
        );
    }
}

#[tokio::test]
async fn a_mirror_is_asked_for_its_layout_once() {
    let server = Server::start(|path, _, _| {
        let digest = HashName::Blake2b.hex(FILE.as_bytes());
        if path == "/distfiles/layout.conf" {
            Reply::ok(b"[structure]\n0=filename-hash BLAKE2B 8\n1=flat\n")
        } else if path == format!("/distfiles/{}/{FILE}", &digest[..2]) {
            Reply::ok(&content())
        } else {
            Reply::status("404 Not Found")
        }
    });
    let world = World::new(vec![Source::Mirror(server.address.clone())]);
    let mut other = world.request.clone();
    other.plan.file = "other".to_owned();
    let fetcher = Fetcher::new(world.options.clone());
    let (events, _) = mpsc::unbounded_channel();
    let requests = [world.request.clone(), other, world.request.clone()];
    let results = fetcher.fetch_all(&requests, 4, &events).await;
    assert_eq!(results[0].as_ref().unwrap().file, FILE);
    assert!(results[1].is_err());
    assert_eq!(results[2].as_ref().unwrap().file, FILE);
    let heads = server.heads();
    assert_eq!(heads.len(), 3, "{heads:#?}");
}

#[tokio::test]
async fn a_mirror_without_layout_is_flat() {
    let server = Server::start(|path, _, _| match path {
        "/m/distfiles/foo-1.tar.gz" => Reply::ok(&content()),
        "/new/distfiles/layout.conf" => Reply::ok(b"[structure]\n0=by-moon 8\n"),
        _ => Reply::status("404 Not Found"),
    });
    let mut world = World::new(vec![
        Source::Mirror(format!("{}/new", server.address)),
        Source::Mirror(format!("{}/m", server.address)),
    ]);
    world.fetch_well().await;
    assert!(world.events.iter().any(|event| matches!(
        event,
        Event::SourceFailed { reason, .. } if reason.contains("`by-moon 8`")
    )));
}

#[tokio::test]
async fn a_restricted_file_is_for_the_user_to_get() {
    let mut world = World::new(Vec::new());
    world.request.plan.fetch_restricted = true;
    let error = world.fetch().await.unwrap_err();
    assert!(error.wants_nofetch());
    assert_eq!(
        error.to_string(),
        format!(
            "foo-1.tar.gz: fetch restricted; get it by hand and put it into {}",
            world.distdir().display()
        )
    );
    world.put(FILE, &content());
    world.fetch_well().await;
}

#[tokio::test]
async fn a_wrong_file_in_distdir_is_renamed() {
    let server = Server::start(|_, _, _| Reply::ok(&content()));
    let mut world = World::new(vec![server.uri("a")]);
    world.put(FILE, &[b'x'; 5000]);
    let fetched = world.fetch_well().await;
    assert_eq!(fetched.set_aside.len(), 1);
    assert_eq!(fs::read(&fetched.set_aside[0]).unwrap(), [b'x'; 5000]);
}

#[tokio::test]
async fn links_in_distdir() {
    let server = Server::start(|_, _, _| Reply::ok(&content()));
    let mut world = World::new(vec![server.uri("a")]);
    let elsewhere = world.directory.path().join("elsewhere");
    fs::create_dir(world.distdir()).unwrap();
    symlink(&elsewhere, world.target()).unwrap();
    // Broken: removed.
    world.fetch_well().await;
    assert!(fs::symlink_metadata(world.target()).unwrap().is_file());
    // Right: used.
    fs::rename(world.target(), &elsewhere).unwrap();
    symlink(&elsewhere, world.target()).unwrap();
    assert_eq!(world.fetch_well().await.how, How::Present);
    // Wrong: removed, and what it leads to is left alone.
    fs::write(&elsewhere, "mine").unwrap();
    world.fetch_well().await;
    assert_eq!(fs::read(&elsewhere).unwrap(), b"mine");
    assert_eq!(world.names(), [FILE]);
}

#[tokio::test]
async fn read_only_directories_are_linked_to() {
    let mut world = World::new(Vec::new());
    let read_only = world.directory.path().join("ro");
    fs::create_dir(&read_only).unwrap();
    let file = read_only.join(FILE);
    fs::write(&file, "wrong").unwrap();
    world.options.ro_distdirs = vec![PathBuf::from("/nonexistent"), read_only];
    world.fetch().await.unwrap_err();
    fs::write(&file, content()).unwrap();
    assert_eq!(world.fetch_well().await.how, How::Linked(file.clone()));
    assert_eq!(fs::read_link(world.target()).unwrap(), file);
}

#[tokio::test]
async fn a_lock_is_waited_for() {
    let server = Server::start(|_, _, _| Reply::ok(&content()));
    let world = World::new(vec![server.uri("a")]);
    fs::create_dir(world.distdir()).unwrap();
    let path = portage_lockfile(&world.target());
    let lock = Lock::acquire(&path).unwrap();
    let fetcher = Fetcher::new(world.options.clone());
    let (events, mut received) = mpsc::unbounded_channel();
    let request = world.request.clone();
    let task = tokio::spawn(async move { fetcher.fetch(&request, &events).await });
    assert_eq!(
        received.recv().await,
        Some(Event::Waiting {
            file: FILE.to_owned(),
            lock: path
        })
    );
    // Whoever held the lock has fetched the file.
    fs::write(world.target(), content()).unwrap();
    drop(lock);
    assert_eq!(task.await.unwrap().unwrap().how, How::Present);
    assert_eq!(server.heads().len(), 0);
    assert_eq!(world.names(), [FILE]);
}

#[tokio::test]
async fn one_file_wanted_twice_is_fetched_once() {
    let server = Server::start(|_, _, _| Reply::ok(&content()));
    let world = World::new(vec![server.uri("a")]);
    let fetcher = Fetcher::new(world.options.clone());
    let (events, _) = mpsc::unbounded_channel();
    let requests = vec![world.request.clone(); 5];
    for result in fetcher.fetch_all(&requests, 3, &events).await {
        result.unwrap();
    }
    assert_eq!(server.heads().len(), 1);
}

#[tokio::test]
async fn a_dropped_fetch_leaves_what_has_arrived() {
    let mut big = vec![0u8; 4 << 20];
    for (index, byte) in big.iter_mut().enumerate() {
        *byte = (index / 7) as u8;
    }
    let (copy, expected) = (big.clone(), entry(&big));
    let server = Server::start(move |_, range, _| match range {
        None => Reply::cut(copy.len(), &copy[..3 << 20]).hanging(),
        Some(start) => Reply::range(&copy, start),
    });
    let mut world = World::new(vec![server.uri("a")]);
    world.request.expected = Some(expected);
    let fetcher = Fetcher::new(world.options.clone());
    let (events, _) = mpsc::unbounded_channel();
    let much_has_arrived = async {
        while !fs::metadata(world.partial()).is_ok_and(|metadata| metadata.len() >= 2 << 20) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        _ = fetcher.fetch(&world.request, &events) => panic!("it should hang"),
        () = much_has_arrived => {}
    }
    // A thread may still write what it was given.
    drop(
        Lock::acquire(&portage_lockfile(&world.target()))
            .unwrap()
            .remove_on_release(),
    );
    assert_eq!(world.names(), [format!("{FILE}.partial")]);
    assert!(fs::metadata(world.partial()).unwrap().len() >= 1 << 20);
    fetcher.fetch(&world.request, &events).await.unwrap();
    assert_eq!(fs::read(world.target()).unwrap(), big);
    assert!(server.heads()[1].contains("range: bytes="));
}

#[tokio::test]
async fn a_distdir_that_cannot_be() {
    let mut world = World::new(vec![Source::Uri("http://127.0.0.1:1/a".to_owned())]);
    let file = world.directory.path().join("file");
    fs::write(&file, "").unwrap();
    world.options.distdir = file.join("distfiles");
    let error = world.fetch().await.unwrap_err();
    assert!(matches!(error, FetchError::Distdir { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        format!("{}/distfiles: DISTDIR cannot be written to", file.display())
    );
    // One where nothing can be created, not even by root.
    world.options.distdir = PathBuf::from("/proc/self/fdinfo");
    let error = world.fetch().await.unwrap_err();
    assert!(matches!(error, FetchError::Distdir { .. }), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_no_fault_of_the_sources() {
    let server = Server::start(|_, _, _| Reply::ok(&content()));
    let mut world = World::new(vec![server.uri("a")]);
    world.request.expected = Some(Expected::new(u64::MAX / 2, [("SHA1", "x")]));
    let error = world.fetch().await.unwrap_err();
    assert!(matches!(error, FetchError::NoSpace { .. }), "{error}");
    assert_eq!(server.heads().len(), 0);
}

#[tokio::test]
async fn something_in_the_way_is_named() {
    let mut world = World::new(Vec::new());
    fs::create_dir_all(world.target()).unwrap();
    let error = world.fetch().await.unwrap_err();
    assert!(matches!(error, FetchError::InTheWay { .. }), "{error}");
    fs::remove_dir(world.target()).unwrap();
    fs::create_dir(world.partial()).unwrap();
    let error = world.fetch().await.unwrap_err();
    assert!(matches!(error, FetchError::InTheWay { .. }), "{error}");
}

#[tokio::test]
async fn nothing_is_fetched_without_a_good_entry() {
    let server = Server::start(|_, _, _| Reply::ok(&content()));
    let mut world = World::new(vec![server.uri("a")]);
    world.request.expected = None;
    assert_eq!(
        world.fetch().await.unwrap_err().to_string(),
        "/repo/app-misc/foo/Manifest: no DIST entry for `foo-1.tar.gz`; it is not fetched without one \
         (run `pkgdev manifest` in the package's directory)"
    );
    world.request.expected = Some(Expected::new(0, [("SHA1", "x")]));
    assert!(matches!(
        world.fetch().await.unwrap_err(),
        FetchError::EmptyEntry { .. }
    ));
    world.request.expected = Some(Expected::new(5000, [("STREEBOG256", "x")]));
    assert_eq!(
        world.fetch().await.unwrap_err().to_string(),
        "/repo/app-misc/foo/Manifest: no hash in the DIST entry for `foo-1.tar.gz` is known here (it has: STREEBOG256)"
    );
    world.request.expected = Some(entry(&content()));
    world.request.plan.file = "../foo".to_owned();
    assert!(matches!(
        world.fetch().await.unwrap_err(),
        FetchError::BadName { .. }
    ));
    assert_eq!(server.heads().len(), 0);
    assert!(!world.distdir().exists());
}

#[tokio::test]
async fn a_file_without_entry_may_be_wished() {
    let server = Server::start(|path, _, _| match path {
        "/empty" => Reply::ok(b""),
        "/long" => Reply::chunked(&vec![b'x'; 9000]),
        _ => Reply::ok(&content()),
    });
    let mut world = World::new(vec![
        server.uri("empty"),
        server.uri("long"),
        server.uri("good"),
    ]);
    world.request.expected = None;
    world.options.allow_missing = true;
    world.options.unlisted_limit = 8000;
    world.put("foo-1.tar.gz.partial", b"other");
    let fetched = world.fetch_well().await;
    assert_eq!(
        fetched.digests.get(HashName::Blake2b),
        Some(HashName::Blake2b.hex(&content()).as_str())
    );
}

#[tokio::test]
async fn redirects_are_followed_and_names_are_not() {
    let server = Server::start(|path, _, _| match path {
        "/a" => Reply::new("302 Found", &["Location: /..%2f..%2fevil".to_owned()], b""),
        "/loop" => Reply::new("302 Found", &["Location: /loop".to_owned()], b""),
        "/file" => Reply::new(
            "302 Found",
            &["Location: file:///etc/passwd".to_owned()],
            b"",
        ),
        _ => Reply::new(
            "200 OK",
            &[
                "Content-Length: 5000".to_owned(),
                "Content-Disposition: attachment; filename=\"../evil\"".to_owned(),
            ],
            &content(),
        ),
    });
    let mut world = World::new(vec![
        server.uri("loop"),
        server.uri("file"),
        server.uri("a"),
    ]);
    world.fetch_well().await;
    assert_eq!(world.names(), [FILE]);
    assert!(Path::new("/etc/passwd").exists());
}

#[tokio::test]
async fn from_an_ebuild_to_its_distfiles() {
    let server = Server::start(|path, _, _| match path {
        "/gnu/foo/foo-1.tar.gz" | "/up/v1.tar.gz" => Reply::ok(&content()),
        _ => Reply::status("404 Not Found"),
    });
    let world = World::new(Vec::new());
    let text = format!(
        "mirror://gnu/foo/foo-1.tar.gz doc? ( {0}/up/doc.tar ) test? ( {0}/up/v1.tar.gz -> foo-test.tar.gz )",
        server.address
    );
    let src_uri = DepSpec::<SrcUri>::parse_src_uri(&text, Eapi::LATEST)
        .unwrap()
        .evaluate(|flag| flag == "test");
    let mirrors = Mirrors {
        third_party: MirrorMap::parse(&format!("gnu {0}/no/ {0}/gnu", server.address)),
        ..Mirrors::default()
    };
    let plans = plan(
        src_uri.leaves(),
        Restriction::default(),
        &mirrors,
        false,
        MirrorOrder::random(),
    );
    let path = world.directory.path().join("Manifest");
    let hash = HashName::Blake2b.hex(&content());
    let manifest = Manifest::parse(
        format!(
            "DIST foo-1.tar.gz 5000 BLAKE2B {hash}\nDIST foo-test.tar.gz 5000 BLAKE2B {hash}\n"
        )
        .as_bytes(),
        &path,
    )
    .unwrap();
    let requests = Request::with_manifest(plans.clone(), Some(&manifest), &path);
    let fetcher = Fetcher::new(world.options.clone());
    let (events, _) = mpsc::unbounded_channel();
    let results = fetcher.fetch_all(&requests, 2, &events).await;
    let files: Vec<String> = results
        .into_iter()
        .map(|result| result.unwrap().file)
        .collect();
    assert_eq!(files, ["foo-1.tar.gz", "foo-test.tar.gz"]);
    assert_eq!(world.names(), files);

    let requests = Request::with_manifest(plans, None, &path);
    let error = fetcher.fetch(&requests[0], &events).await.unwrap_err();
    assert!(matches!(error, FetchError::NoEntry { .. }), "{error}");
}
