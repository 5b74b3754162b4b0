//! `ebd binpkg serve`, asked by a real client.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use super::{ALL, filled};
use crate::support::Trial;

/// A server of a trial's PKGDIR, ended with the value.
pub(super) struct Serving {
    child: Child,
    pub(super) host: String,
}

impl Serving {
    pub(super) fn of(trial: &Trial) -> Self {
        let mut child = trial
            .command(&["binpkg", "serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut address)
            .unwrap();
        let host = address.trim().strip_prefix("http://").unwrap();
        Self {
            child,
            host: host.trim_end_matches('/').to_owned(),
        }
    }

    /// Sends a request as it is written, and gives the head and the body of the answer.
    fn raw(&self, request: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let at = answer.windows(4).position(|part| part == b"\r\n\r\n");
        let body = answer.split_off(at.expect("an answer with a head") + 4);
        (String::from_utf8(answer).unwrap().to_lowercase(), body)
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> (String, Vec<u8>) {
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        self.raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n"
        ))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let prefix = format!("{name}: ");
    head.lines()
        .find_map(|line| line.strip_prefix(&prefix))
        .unwrap_or_else(|| panic!("no {name} in {head}"))
}

fn status(head: &str) -> &str {
    head.split(' ').nth(1).unwrap()
}

#[test]
fn the_index_is_served_plain_and_compressed() {
    let trial = filled();
    let serving = Serving::of(&trial);
    let text = fs::read(trial.packages().join("Packages")).unwrap();
    let (head, body) = serving.get("/Packages", &[]);
    assert_eq!(status(&head), "200");
    assert!(body == text);
    let tag = header(&head, "etag").to_owned();
    let metadata = fs::metadata(trial.packages().join("Packages")).unwrap();
    let time = httpdate::fmt_http_date(metadata.modified().unwrap());
    assert_eq!(header(&head, "last-modified"), time.to_lowercase());

    let unpacked = |bytes: &[u8]| {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(bytes)
            .read_to_end(&mut text)
            .unwrap();
        text
    };
    let (head, body) = serving.get("/Packages", &[("Accept-Encoding", "br, gzip")]);
    assert_eq!(header(&head, "content-encoding"), "gzip");
    assert!(unpacked(&body) == text);
    let (head, body) = serving.get("/Packages", &[("Accept-Encoding", "gzip;q=0")]);
    assert!(!head.contains("content-encoding") && body == text);
    let (head, body) = serving.get("/Packages.gz", &[]);
    assert!(!head.contains("content-encoding"), "{head}");
    assert!(unpacked(&body) == text);

    for (name, value) in [
        ("If-None-Match", tag.as_str()),
        ("If-Modified-Since", &time),
    ] {
        let (head, body) = serving.get("/Packages", &[(name, value)]);
        assert_eq!((status(&head), body.len()), ("304", 0), "{name}");
    }
    let (head, _) = serving.get("/Packages", &[("If-None-Match", "\"other\"")]);
    assert_eq!(status(&head), "200");
    // What a client knows is old when a package has come.
    super::put(
        &trial.packages(),
        super::Made {
            built: 5,
            ..super::FOO
        },
    );
    let (head, body) = serving.get("/Packages", &[("If-None-Match", &tag)]);
    assert_eq!(status(&head), "200");
    assert!(body != text);
}

#[test]
fn packages_are_served_whole_and_in_parts() {
    let trial = filled();
    let serving = Serving::of(&trial);
    let path = format!("/{}", ALL[0]);
    let bytes = fs::read(trial.packages().join(ALL[0])).unwrap();
    let (head, body) = serving.get(&path, &[]);
    assert_eq!(header(&head, "accept-ranges"), "bytes");
    assert!(body == bytes);
    let tag = header(&head, "etag").to_owned();
    for (range, expected) in [
        ("bytes=0-0", 0..1),
        ("bytes=100-", 100..bytes.len()),
        ("bytes=-7", bytes.len() - 7..bytes.len()),
        ("bytes=10-999999", 10..bytes.len()),
    ] {
        let (head, body) = serving.get(&path, &[("Range", range), ("If-Range", &tag)]);
        assert_eq!(status(&head), "206", "{range}");
        let said = format!(
            "bytes {}-{}/{}",
            expected.start,
            expected.end - 1,
            bytes.len()
        );
        assert_eq!(header(&head, "content-range"), said);
        assert!(body == bytes[expected], "{range}");
    }
    let (head, body) = serving.get(&path, &[("Range", "bytes=5-"), ("If-Range", "\"old\"")]);
    assert_eq!(status(&head), "200");
    assert!(body == bytes);
    let (head, _) = serving.get(&path, &[("Range", "bytes=999999-")]);
    assert_eq!(status(&head), "416");
    let (head, body) = serving.raw(&format!(
        "HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    ));
    assert_eq!(header(&head, "content-length"), bytes.len().to_string());
    assert!(body.is_empty());
}

#[test]
fn nothing_else_is_served() {
    let trial = filled();
    trial.put("secret.xpak", "x");
    let packages = trial.packages();
    fs::write(packages.join("notes.txt"), "x").unwrap();
    fs::write(packages.join("app-misc/.hidden.xpak"), "x").unwrap();
    let outside = trial.path("secret.xpak");
    std::os::unix::fs::symlink(&outside, packages.join("app-misc/link.xpak")).unwrap();
    let serving = Serving::of(&trial);
    for path in [
        "/notes.txt",
        "/app-misc/.hidden.xpak",
        "/app-misc/link.xpak",
        "/app-misc/",
        "/app-misc/foo",
        "/../secret.xpak",
        "/%2e%2e/secret.xpak",
        "/app-misc/..%2f..%2fsecret.xpak",
        "//etc/passwd",
        "/app-misc/foo/none-1-1.xpak",
        "/%00.xpak",
        "/%zz.xpak",
        "/Packages/",
    ] {
        let (head, _) = serving.get(path, &[]);
        assert_eq!(status(&head), "404", "{path}");
    }
    let (head, _) = serving.raw("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&head), "405");
    let (head, _) = serving.raw("nonsense\r\n\r\n");
    assert_eq!(status(&head), "400");
    // It is still there.
    assert_eq!(status(&serving.get("/Packages", &[]).0), "200");
}

#[test]
fn the_page_shows_packages_builds_and_flags() {
    let trial = filled();
    let serving = Serving::of(&trial);
    let page = |path: &str| {
        let (head, body) = serving.get(path, &[]);
        assert_eq!(status(&head), "200");
        assert_eq!(header(&head, "content-type"), "text/html; charset=utf-8");
        String::from_utf8(body).unwrap()
    };
    let html = page("/");
    assert!(html.contains("4 builds in 2 versions"), "{html}");
    for path in ALL {
        assert!(
            html.contains(&format!("href=\"./{path}\"")),
            "{path}: {html}"
        );
    }
    assert!(page("/?q=foo-2").contains("1 build in 1 version"));
}

#[test]
fn an_address_that_is_taken_is_told() {
    let trial = filled();
    let serving = Serving::of(&trial);
    trial
        .run(&["binpkg", "serve", "--listen", &serving.host])
        .fails(&[&serving.host, "cannot be listened on"]);
}
