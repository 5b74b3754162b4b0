//! A server and a DISTDIR for one test.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::fetch::*;
use crate::util::digest::HashName;
use crate::util::lock::portage_lockfile;

/// What a server sends back, byte for byte, before it hangs up.
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    /// Instead of hanging up, the server stays silent.
    pub(crate) hangs: bool,
}

impl Reply {
    pub(crate) fn new(status: &str, headers: &[String], body: &[u8]) -> Self {
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

    pub(crate) fn ok(body: &[u8]) -> Self {
        Self::cut(body.len(), body)
    }

    /// Promises more than it sends.
    pub(crate) fn cut(promised: usize, body: &[u8]) -> Self {
        Self::new("200 OK", &[format!("Content-Length: {promised}")], body)
    }

    pub(crate) fn chunked(body: &[u8]) -> Self {
        let mut coded = format!("{:x}\r\n", body.len()).into_bytes();
        coded.extend_from_slice(body);
        coded.extend_from_slice(b"\r\n0\r\n\r\n");
        Self::new("200 OK", &["Transfer-Encoding: chunked".to_owned()], &coded)
    }

    pub(crate) fn until_close(body: &[u8]) -> Self {
        Self::new("200 OK", &[], body)
    }

    pub(crate) fn range(body: &[u8], start: usize) -> Self {
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

    pub(crate) fn status(status: &str) -> Self {
        Self::new(status, &["Content-Length: 4".to_owned()], b"oops")
    }

    pub(crate) fn hanging(mut self) -> Self {
        self.hangs = true;
        self
    }
}

/// A web server for one test. It answers each request as a function of its path, its headers and its number.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn start(
        answer: impl Fn(&str, Option<usize>, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
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

    pub(crate) fn uri(&self, path: &str) -> Source {
        Source::Uri(format!("{}/{path}", self.address))
    }

    pub(crate) fn heads(&self) -> Vec<String> {
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
pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) options: FetchOptions,
    pub(crate) request: Request,
    pub(crate) events: Vec<Event>,
}

pub(crate) const FILE: &str = "foo-1.tar.gz";

pub(crate) fn content() -> Vec<u8> {
    (0..5000u32).map(|number| (number % 251) as u8).collect()
}

pub(crate) fn entry(content: &[u8]) -> Expected {
    Expected::new(
        content.len() as u64,
        [
            ("BLAKE2B", HashName::Blake2b.hex(content)),
            ("SHA512", HashName::Sha512.hex(content)),
        ],
    )
}

impl World {
    pub(crate) fn new(sources: Vec<Source>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut options = FetchOptions::new(directory.path().join("distfiles"));
        options.backoff = Duration::from_millis(5);
        options.longest_pause = Duration::from_millis(20);
        options.resume_min_size = 1;
        options.stall_timeout = Duration::from_secs(20);
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

    pub(crate) fn distdir(&self) -> PathBuf {
        self.options.distdir.clone()
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.distdir().join(FILE)
    }

    pub(crate) fn partial(&self) -> PathBuf {
        self.distdir().join(format!("{FILE}.partial"))
    }

    /// Puts a file into DISTDIR.
    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        fs::create_dir_all(self.distdir()).unwrap();
        fs::write(self.distdir().join(name), content).unwrap();
    }

    pub(crate) async fn fetch(&mut self) -> Result<Fetched, FetchError> {
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
    pub(crate) async fn fetch_well(&mut self) -> Fetched {
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
    pub(crate) fn names(&self) -> Vec<String> {
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

    pub(crate) fn from(&self) -> Vec<u64> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Trying { from, .. } => Some(*from),
                _ => None,
            })
            .collect()
    }
}

pub(crate) fn failures(error: FetchError) -> Vec<SourceFailure> {
    match error {
        FetchError::AllFailed { failures, .. } | FetchError::Restricted { failures, .. } => {
            failures
        }
        other => panic!("{other}"),
    }
}
