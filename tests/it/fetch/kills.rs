//! `ebd fetch` killed at any moment: what was verified is not fetched again, and nothing wrong is left.

use std::collections::HashSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::NO_MIRRORS;
use crate::support::{Trial, dist};

const FILES: usize = 50;
const KILLS: u64 = 30;

/// How much is sent at a time, and what all connections together may send in a second.
const PIECE: usize = 8 << 10;
const RATE: f64 = 1.8e6;

fn content(at: usize) -> Vec<u8> {
    let length = 20_000 + (at * 37_987) % 280_000;
    (0..length)
        .map(|byte| (byte * (at + 3) / 7) as u8)
        .collect()
}

/// What was asked of the server, and what it has sent.
#[derive(Default)]
struct Seen {
    /// The file and where it was to begin.
    requests: Vec<(usize, usize)>,
    sent: usize,
    free_at: Option<Instant>,
}

fn serve(mut stream: TcpStream, seen: &Mutex<Seen>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
        let at: usize = text
            .split(' ')
            .nth(1)
            .and_then(|path| path.strip_prefix("/f"))
            .unwrap()
            .parse()
            .unwrap();
        let range = text
            .lines()
            .find_map(|line| line.strip_prefix("range: bytes="))
            .map(|range| range.trim_end_matches('-').parse::<usize>().unwrap());
        let from = range.unwrap_or(0);
        seen.lock().unwrap().requests.push((at, from));
        let body = content(at);
        let (status, extra) = match range {
            None => ("200 OK", String::new()),
            Some(_) => (
                "206 Partial Content",
                format!(
                    "Content-Range: bytes {from}-{}/{}\r\n",
                    body.len() - 1,
                    body.len()
                ),
            ),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nETag: \"{at}\"\r\n{extra}Content-Length: {}\r\n\r\n",
            body.len() - from
        );
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
        for piece in body[from..].chunks(PIECE) {
            let until = {
                let mut seen = seen.lock().unwrap();
                let now = Instant::now();
                let free = seen.free_at.filter(|free| *free > now).unwrap_or(now);
                let until = free + Duration::from_secs_f64(piece.len() as f64 / RATE);
                seen.free_at = Some(until);
                seen.sent += piece.len();
                until
            };
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            if stream.write_all(piece).is_err() {
                return;
            }
        }
    }
}

#[test]
fn what_was_verified_is_not_fetched_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let seen = Arc::clone(&shared);
            std::thread::spawn(move || serve(stream.unwrap(), &seen));
        }
    });
    let uris: Vec<String> = (0..FILES).map(|at| format!("{address}/f{at}")).collect();
    let manifest: String = (0..FILES)
        .map(|at| dist(&format!("f{at}"), &content(at)))
        .collect();
    let trial = Trial::new()
        .make_conf(&format!(
            "{NO_MIRRORS}PORTAGE_FETCH_RESUME_MIN_SIZE=\"1\"\n"
        ))
        .package("app-misc/foo-1", &format!("SRC_URI=\"{}\"", uris.join(" ")))
        .manifest("app-misc/foo", &manifest);
    let requests = || seen.lock().unwrap().requests.clone();
    let mut verified: HashSet<usize> = HashSet::new();
    let random = RandomState::new();
    for kill in 0..KILLS {
        let before = requests().len();
        let mut child = trial.start(&["fetch", "foo"]);
        // A moment after its first request, which is when the fetch begins.
        let deadline = Instant::now() + Duration::from_secs(30);
        while requests().len() == before {
            assert!(child.try_wait().unwrap().is_none(), "ended by itself");
            assert!(Instant::now() < deadline, "nothing was asked for");
            std::thread::sleep(Duration::from_millis(1));
        }
        let moment = random.hash_one(kill) % 200;
        std::thread::sleep(Duration::from_millis(moment));
        child.kill().unwrap();
        child.wait().unwrap();
        for (at, _) in requests().split_off(before) {
            assert!(!verified.contains(&at), "kill {kill}: f{at} once more");
        }
        // Nothing that has its name is wrong.
        for at in 0..FILES {
            if let Ok(found) = fs::read(trial.path(&format!("distfiles/f{at}"))) {
                assert!(found == content(at), "kill {kill}: f{at} is wrong");
                verified.insert(at);
            }
        }
    }
    assert!(
        !verified.is_empty() && verified.len() < FILES,
        "{}",
        verified.len()
    );
    let before = requests().len();
    trial.run(&["fetch", "foo"]).succeeds();
    let last = requests().split_off(before);
    let again: Vec<_> = last
        .iter()
        .filter(|(at, _)| verified.contains(at))
        .collect();
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(last.len(), FILES - verified.len());
    let mut names: Vec<String> = fs::read_dir(trial.path("distfiles"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        // A kill between a file's last name and the end of its lock leaves the lock's file, which excludes nobody;
        // nobody needs it again, as the file is there.
        .filter(|name| !(name.starts_with(".f") && name.ends_with(".portage_lockfile")))
        .collect();
    names.sort();
    let mut expected: Vec<String> = (0..FILES).map(|at| format!("f{at}")).collect();
    expected.sort();
    assert_eq!(names, expected);
    for at in 0..FILES {
        let found = fs::read(trial.path(&format!("distfiles/f{at}"))).unwrap();
        assert!(found == content(at), "f{at} is wrong");
    }
    // What was unfinished was taken up where it ended, but for what was on its way.
    let resumed = requests().iter().filter(|(_, from)| *from > 0).count();
    assert!(resumed > 0);
}
