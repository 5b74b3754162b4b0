//! The index of a host.

use std::io::Write;

use super::*;
use crate::binhost::index::decode;

const INDEX: &str = "\
PACKAGES: 1
TIMESTAMP: 1700000000
VERSION: 0

BUILD_ID: 1
BUILD_TIME: 5
CPV: a/b-1
MD5: 0123456789abcdef0123456789abcdef
PATH: a/b/b-1-1.gpkg.tar
SIZE: 10
MTIME: 7

";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn plain(path: &str, text: &str) -> Reply {
    match path {
        "/sub/Packages" => Reply::ok(text.as_bytes()),
        _ => Reply::status("404 Not Found"),
    }
}

async fn ask(server: &Server, cache: &Path, now: u64) -> Result<HostIndex, HostError> {
    let host = host(&format!("{}/sub/", server.address), cache);
    load(&host, cache, now, false).await
}

#[tokio::test]
async fn it_is_fetched_once_and_asked_for_by_its_state() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _, number| match number {
        1 => Reply::new(
            "200 OK",
            &[
                "ETag: W/\"one\"".to_owned(),
                "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT".to_owned(),
                format!("Content-Length: {}", gzip(INDEX.as_bytes()).len()),
            ],
            &gzip(INDEX.as_bytes()),
        ),
        2 => Reply::new("304 Not Modified", &[], b""),
        _ => Reply::ok(INDEX.replace("1700000000", "1700000001").as_bytes()),
    });
    let first = ask(&server, cache.path(), 100).await.unwrap();
    assert_eq!(first.freshness, Freshness::Fetched);
    assert_eq!(first.base, format!("{}/sub", server.address));
    assert_eq!(first.index.entries().len(), 1);
    let second = ask(&server, cache.path(), 101).await.unwrap();
    assert_eq!(second.freshness, Freshness::Unchanged);
    assert_eq!(second.index, first.index);
    let third = ask(&server, cache.path(), 102).await.unwrap();
    assert_eq!(third.freshness, Freshness::Fetched);
    let heads = server.heads();
    assert!(
        heads[0].starts_with("GET /sub/Packages.gz "),
        "{}",
        heads[0]
    );
    assert!(!heads[0].contains("if-"), "{}", heads[0]);
    assert!(
        heads[1].contains("if-none-match: W/\"one\""),
        "{}",
        heads[1]
    );
    let since = "if-modified-since: Tue, 14 Nov 2023 22:13:20 GMT";
    assert!(heads[1].contains(since), "{}", heads[1]);
}

#[tokio::test]
async fn without_a_compressed_one_the_plain_one_is_asked_for_by_its_own_time() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|path, _, _| plain(path, INDEX));
    for now in [1, 2] {
        ask(&server, cache.path(), now).await.unwrap();
    }
    let heads = server.heads();
    assert_eq!(heads.len(), 4);
    let since = "if-modified-since: Tue, 14 Nov 2023 22:13:20 GMT";
    assert!(heads[3].contains(since), "{}", heads[3]);
}

#[tokio::test]
async fn it_is_not_asked_for_while_it_holds_or_the_host_is_frozen() {
    let cache = tempfile::tempdir().unwrap();
    let text = INDEX.replace("VERSION", "TTL: 60\nVERSION");
    let server = Server::start(move |path, _, _| plain(path, &text));
    for (now, asked) in [(1000, 2), (1059, 2), (1060, 4), (1061, 4), (900, 6)] {
        ask(&server, cache.path(), now).await.unwrap();
        assert_eq!(server.heads().len(), asked, "at {now}");
    }
    let mut frozen = host(&format!("{}/sub", server.address), cache.path());
    frozen.repository.frozen = true;
    let kept = load(&frozen, cache.path(), 99999, false).await.unwrap();
    assert_eq!((kept.freshness, server.heads().len()), (Freshness::Kept, 6));
}

#[tokio::test]
async fn an_older_one_does_not_replace_a_newer_one() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|path, _, number| match number {
        1 | 2 => plain(path, INDEX),
        _ => plain(path, "PACKAGES: 0\nTIMESTAMP: 1600000000\n\n"),
    });
    for _ in 0..2 {
        let found = ask(&server, cache.path(), 1).await.unwrap();
        assert_eq!(found.index.entries().len(), 1);
    }
}

#[tokio::test]
async fn an_old_one_does_for_a_pretence() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|path, _, number| match number {
        1 | 2 => plain(path, INDEX),
        _ => Reply::status("500 Oops"),
    });
    ask(&server, cache.path(), 1).await.unwrap();
    let host = host(&format!("{}/sub", server.address), cache.path());
    assert!(load(&host, cache.path(), 2, false).await.is_err());
    let old = load(&host, cache.path(), 2, true).await.unwrap();
    assert_eq!(old.freshness, Freshness::Old);
}

#[tokio::test]
async fn what_is_kept_and_damaged_is_fetched_again() {
    let cache = tempfile::tempdir().unwrap();
    let server = Server::start(|path, _, _| plain(path, INDEX));
    ask(&server, cache.path(), 1).await.unwrap();
    let [kept] = &fs::read_dir(cache.path())
        .unwrap()
        .flatten()
        .collect::<Vec<_>>()[..]
    else {
        panic!("one file")
    };
    for content in [
        "",
        "{}",
        "{}\n",
        "{\"address\":\"x\",\"fetched\":1}\nTIMESTAMP: 1\n\n",
    ] {
        fs::write(kept.path(), content).unwrap();
        let found = ask(&server, cache.path(), 1).await.unwrap();
        assert_eq!(found.freshness, Freshness::Fetched);
    }
}

#[tokio::test]
async fn bad_hosts_are_one_error() {
    let whole = INDEX.len();
    // Made before anybody waits for it.
    let endless = b"PACKAGES: 0\nX: 4\n".repeat(100_000_000 / 17);
    let packed = gzip(&vec![b'\n'; 100_000_000]);
    type Answers = Box<dyn Fn() -> Reply + Send + Sync>;
    let cases: Vec<(&str, Answers, &str)> = vec![
        (
            "silent",
            Box::new(|| Reply::new("200 OK", &["Content-Length: 9".into()], b"").hanging()),
            "no answer within",
        ),
        (
            "promises more than it sends",
            Box::new(move || Reply::cut(whole + 10, INDEX.as_bytes())),
            "the connection ended",
        ),
        (
            "ends early without saying so",
            Box::new(|| Reply::until_close(&INDEX.as_bytes()[..50])),
            "cut off: of 1 packages it has 0",
        ),
        (
            "has 100 MB",
            Box::new(|| Reply::cut(100_000_000, b"PACKAGES: 0\n")),
            "more than 67108864 bytes",
        ),
        (
            "has 100 MB and does not say so",
            Box::new(move || Reply::until_close(&endless)),
            "more than 67108864 bytes",
        ),
        (
            "has 100 MB when it is unpacked",
            Box::new(move || Reply::ok(&packed)),
            "more than 67108864 bytes",
        ),
        (
            "is damaged",
            Box::new(|| {
                let mut bytes = gzip(INDEX.as_bytes());
                let half = bytes.len() / 2;
                bytes[half] ^= 0x40;
                bytes.truncate(half + 5);
                Reply::ok(&bytes)
            }),
            "Packages.gz is damaged",
        ),
        (
            "is a page",
            Box::new(|| Reply::ok(b"<!doctype html><title>Welcome: stranger</title>")),
            "no package index",
        ),
        (
            "is of the future",
            Box::new(|| Reply::ok(INDEX.replace("VERSION: 0", "VERSION: 1").as_bytes())),
            "version \"1\" is not supported",
        ),
        (
            "leads to files of this machine",
            Box::new(|| {
                Reply::ok(
                    INDEX
                        .replace("VERSION", "URI: file:///etc\nVERSION")
                        .as_bytes(),
                )
            }),
            "no address of a server",
        ),
        (
            "leads round and round",
            Box::new(|| Reply::new("302 Found", &["Location: /sub/Packages.gz".into()], b"")),
            "redirect",
        ),
        (
            "refuses",
            Box::new(|| Reply::status("403 Forbidden")),
            "403 Forbidden",
        ),
        (
            "has nothing",
            Box::new(|| Reply::status("404 Not Found")),
            "neither Packages.gz nor Packages",
        ),
    ];
    for (what, reply, expected) in cases {
        let cache = tempfile::tempdir().unwrap();
        let server = Server::start(move |_, _, _| reply());
        let error = ask(&server, cache.path(), 1).await.expect_err(what);
        let text = causes(&error).join(": ");
        assert!(text.contains(expected), "{what}: {text}");
        assert!(text.starts_with(&server.address), "{what}: {text}");
        assert_eq!(everything(cache.path()), BTreeMap::new(), "{what}");
    }
}

#[tokio::test]
async fn one_that_is_cut_off_at_any_byte_is_not_used() {
    let packed = gzip(INDEX.as_bytes());
    for text in [INDEX.as_bytes(), &packed] {
        for length in 0..text.len() {
            let part = &text[..length];
            assert!(decode(part.to_vec()).is_err(), "{length}");
        }
        assert!(decode(text.to_vec()).is_ok());
    }
    let half = INDEX.len() - 20;
    for reply in [
        || Reply::cut(INDEX.len(), &INDEX.as_bytes()[..INDEX.len() - 20]),
        || Reply::until_close(&INDEX.as_bytes()[..INDEX.len() - 20]),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let server = Server::start(move |_, _, _| reply());
        ask(&server, cache.path(), 1).await.unwrap_err();
        assert_eq!(everything(cache.path()), BTreeMap::new(), "{half}");
    }
}

#[tokio::test]
async fn a_folder_is_a_host() {
    let (folder, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = folder.path().to_str().unwrap().to_owned();
    for address in [path.clone(), format!("file://{path}")] {
        let host = host(&address, cache.path());
        fs::write(folder.path().join("Packages"), INDEX).unwrap();
        let found = load(&host, cache.path(), 1, false).await.unwrap();
        assert_eq!(found.base, format!("file://{path}"));
        let again = load(&host, cache.path(), 1, false).await.unwrap();
        assert_eq!(again.freshness, Freshness::Unchanged);
    }
}

#[test]
fn odd_entries_are_told_and_not_used() {
    let good = INDEX.split("\n\n").nth(1).unwrap();
    let text = format!(
        "TIMESTAMP: 1\r\n\r\n{}\n\n{good}\nUNHEARD_OF: 1\n\n{}\n\n{}\n\n{}\n\n{}\n\n{}\n\n{}\n\n",
        good.replace("b-1", "b-2").replace('\n', "\r\n"),
        good.replace("b-1", "b-3"),
        good.replace("b-1", "b-3").replace("SIZE: 10", "SIZE: 11"),
        good.replace("a/b/b-1-1", "../b-1-1").replace("b-1", "b-4"),
        good.replace("b-1", "b-5").replace("MD5", "MD6"),
        good.replace("b-1", "b-6").replace("SIZE: 10", "SIZE: -1"),
        good.replace("CPV: a/b-1", "CPV: ../../b")
            .replace("b-1-1", "b-7-1"),
    );
    let distdir = tempfile::tempdir().unwrap();
    let found = HostIndex {
        index: Index::parse(text.as_bytes()),
        base: "http://x".to_owned(),
        freshness: Freshness::Fetched,
    };
    let instances = Instances::new(None, vec![(host("http://x", distdir.path()), found)]);
    let names: Vec<String> = instances
        .all()
        .iter()
        .map(|instance| instance.cpv.to_string())
        .collect();
    assert_eq!(names, ["a/b-2", "a/b-1"]);
    let [twice, bad] = &instances.notices[..] else {
        panic!("{:?}", instances.notices)
    };
    assert!(
        twice.contains("several entries for a/b/b-3-1.gpkg.tar;"),
        "{twice}"
    );
    assert!(bad.contains("and 3 more"), "{bad}");
}

#[test]
fn the_best_comes_first_and_what_is_here_counts_more() {
    let entry = |id: &str, built: &str, size: &str| {
        format!(
            "BUILD_ID: {id}\nBUILD_TIME: {built}\nCPV: a/b-1\nMD5: x\nPATH: a/b/b-1-{id}.xpak\nSIZE: {size}\n\n"
        )
    };
    let index = |entries: &[String]| {
        Index::parse(format!("TIMESTAMP: 1\n\n{}", entries.concat()).as_bytes())
    };
    let distdir = tempfile::tempdir().unwrap();
    let remote = |number: usize, entries: &[String]| {
        let found = HostIndex {
            index: index(entries),
            base: format!("http://{number}"),
            freshness: Freshness::Fetched,
        };
        (host(&found.base, distdir.path()), found)
    };
    let local = index(&[entry("1", "5", "1"), entry("2", "9", "1")]);
    let instances = Instances::new(
        Some(&local),
        vec![
            // The same as is here, a newer one, one of the same time with a higher id.
            remote(
                0,
                &[
                    entry("2", "9", "1"),
                    entry("3", "10", "1"),
                    entry("4", "10", "1"),
                ],
            ),
            // The same as the other host has, and one that differs in its size alone from the one that is here.
            remote(1, &[entry("4", "10", "1"), entry("1", "5", "2")]),
        ],
    );
    let order: Vec<_> = instances
        .named("a/b")
        .map(|it| {
            (
                it.entry.build_id().unwrap(),
                it.entry.size().unwrap(),
                it.host,
            )
        })
        .collect();
    assert_eq!(
        order,
        [
            (4, 1, Some(0)),
            (3, 1, Some(0)),
            (2, 1, None),
            (1, 1, None),
            (1, 2, Some(1)),
        ]
    );
}
