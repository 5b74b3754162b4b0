//! `ebd fetch`, and what builds fetch ahead of them.

mod kills;
mod places;
mod secure;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use ebd::util::digest::HashName;

use crate::support::{Trial, dist, text};

/// A server on this machine that has some files.
pub(crate) struct Server {
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves `files` by their paths, everything else is not found.
    pub(crate) fn start(files: Vec<(String, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let files = Arc::new(files);
        let noted = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (files, noted) = (Arc::clone(&files), Arc::clone(&noted));
                std::thread::spawn(move || serve(stream.unwrap(), &files, &noted));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Answers requests on one connection until it is closed.
fn serve(mut stream: TcpStream, files: &[(String, Vec<u8>)], noted: &Mutex<Vec<String>>) {
    let mut text = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|read| read == 1) {
        text.push(byte[0]);
        if !text.ends_with(b"\r\n\r\n") {
            continue;
        }
        let head = String::from_utf8_lossy(&text).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        text.clear();
        let found = files.iter().find(|(name, _)| *name == path);
        noted.lock().unwrap().push(path);
        let (status, body) = match found {
            Some((_, body)) => ("200 OK", &body[..]),
            None => ("404 Not Found", &b"no"[..]),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body))
            .is_err()
        {
            return;
        }
    }
}

/// Gentoo's own mirrors are not asked.
pub(crate) const NO_MIRRORS: &str = "GENTOO_MIRRORS=\"\"\n";

/// `count` packages `app-misc/pN-1` with a distfile each, from a server that has the files but for
/// those named as missing.
fn trial(count: usize, missing: &[usize], body: &str) -> (Trial, Server) {
    let content = |at: usize| format!("content {at}\n").repeat(1000).into_bytes();
    let files = (0..count)
        .filter(|at| !missing.contains(at))
        .map(|at| (format!("/p{at}.bin"), content(at)))
        .collect();
    let server = Server::start(files);
    let mut trial = Trial::new().make_conf(NO_MIRRORS);
    for at in 0..count {
        let uri = format!("SRC_URI=\"{}/p{at}.bin\"\n", server.address);
        trial = trial
            .package(&format!("app-misc/p{at}-1"), &format!("{uri}{body}"))
            .manifest(
                &format!("app-misc/p{at}"),
                &dist(&format!("p{at}.bin"), &content(at)),
            );
    }
    (trial, server)
}

/// The packages p0 and p1 that call a distfile the same, each with the path of its own and what its Manifest has.
fn of_one_name(server: &Server, all: [(&str, &[u8]); 2]) -> Trial {
    let mut trial = Trial::new().make_conf(NO_MIRRORS);
    for (at, (path, content)) in all.into_iter().enumerate() {
        let uri = format!("SRC_URI=\"{}/{path} -> a.bin\"\n", server.address);
        trial = trial
            .package(&format!("app-misc/p{at}-1"), &uri)
            .manifest(&format!("app-misc/p{at}"), &dist("a.bin", content));
    }
    trial
}

#[test]
fn who_wants_the_same_file_gives_its_sources() {
    let server = Server::start(vec![("/there".into(), b"content".to_vec())]);
    let trial = of_one_name(&server, [("gone", b"content"), ("there", b"content")]);
    let outcome = trial.run(&["fetch", "p0", "p1"]);
    outcome.succeeds();
    assert!(outcome.stderr.contains("1 fetched"), "{outcome}");
    let there = fs::read(trial.path("distfiles/a.bin")).unwrap();
    assert_eq!(there, b"content");
}

#[test]
fn two_files_of_one_name_are_told_with_both_packages() {
    let server = Server::start(vec![
        ("/one".into(), b"first".to_vec()),
        ("/two".into(), b"second".to_vec()),
    ]);
    let trial = of_one_name(&server, [("one", b"first"), ("two", b"second")]);
    let outcome = trial.run(&["fetch", "p0", "p1"]);
    let manifest = |at: usize| text(&trial.path(&format!("repo/app-misc/p{at}/Manifest")));
    outcome.fails(&[
        "a.bin of app-misc/p1-1::trial is another file than that of app-misc/p0-1::trial",
        &format!("its size is 6 by {}, and 5 by {}", manifest(1), manifest(0)),
        "1 fetched",
    ]);
    let there = fs::read(trial.path("distfiles/a.bin")).unwrap();
    assert_eq!(there, b"first");
}

#[test]
fn files_are_brought_once_and_summed_up() {
    let (trial, server) = trial(3, &[], "");
    let names = ["app-misc/p0", "app-misc/p1", "p2", "app-misc/p0"];
    let mut arguments = vec!["fetch"];
    arguments.extend(names);
    let outcome = trial.run(&arguments);
    outcome.succeeds();
    assert!(
        outcome.stderr.contains("3 fetched (29.30 KiB in"),
        "{outcome}"
    );
    assert!(
        outcome
            .stderr
            .contains(&format!("from {}\n", server.address)),
        "{outcome}"
    );
    for at in 0..3 {
        assert!(
            outcome
                .stderr
                .contains(&format!("p{at}.bin: 9.77 KiB from")),
            "{outcome}"
        );
        let path = trial.path(&format!("distfiles/p{at}.bin"));
        assert_eq!(fs::metadata(path).unwrap().len(), 10_000);
    }
    let outcome = trial.run(&arguments);
    assert!(
        outcome.succeeds().stderr.contains("0 fetched (0 B in"),
        "{outcome}"
    );
    assert!(
        outcome.stderr.contains("3 there already, 0 failed"),
        "{outcome}"
    );
    assert_eq!(server.asked().len(), 3, "{:?}", server.asked());
}

#[test]
fn what_would_be_brought_is_listed() {
    let (trial, server) = trial(1, &[], "");
    let outcome = trial.run(&["fetch", "--pretend", "p0"]);
    assert_eq!(
        outcome.succeeds().stdout,
        format!(
            "app-misc/p0-1: p0.bin (9.77 KiB)\n  {}/p0.bin\n",
            server.address
        )
    );
    let outcome = trial.run(&["fetch", "--pretend", "--json", "p0"]);
    let events = outcome.succeeds().events();
    let planned = events
        .iter()
        .find(|event| event["event"] == "planned")
        .unwrap();
    assert_eq!(planned["size"], 10_000);
    assert_eq!(planned["present"], false);
    assert!(server.asked().is_empty());
    trial.assert_nothing_written();
}

#[test]
fn scripts_get_events() {
    let (trial, server) = trial(2, &[1], "");
    let outcome = trial.run(&["fetch", "--json", "p0", "p1"]);
    assert_eq!(outcome.code(), 1, "{outcome}");
    assert_eq!(outcome.stderr, "");
    let events = outcome.events();
    let of = |kind: &str| {
        events
            .iter()
            .filter(|event| event["event"] == kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("done")[0]["file"], "p0.bin");
    assert_eq!(
        of("done")[0]["source"],
        format!("{}/p0.bin", server.address)
    );
    assert_eq!(of("source-failed")[0]["file"], "p1.bin");
    let summary = of("summary")[0];
    assert_eq!(
        (&summary["fetched"], &summary["failed"]),
        (&1.into(), &1.into())
    );
    assert_eq!(summary["bytes"], 10_000);
    assert!(
        of("error")[0]["causes"]
            .to_string()
            .contains("app-misc/p1-1: p1.bin")
    );
}

#[test]
fn what_cannot_be_had_is_named_with_every_source() {
    let (trial, server) = trial(1, &[0], "");
    let trial = trial.make_conf("GENTOO_MIRRORS=\"http://127.0.0.1:1\"\n");
    trial.run(&["fetch", "p0"]).fails(&[
        "app-misc/p0-1: p0.bin: all 2 sources failed",
        "http://127.0.0.1:1: ",
        &format!("{}/p0.bin: ", server.address),
        "404",
        "0 fetched",
        "1 failed",
    ]);
    trial.assert_nothing_written();
    let none = Trial::new().package("app-misc/foo-1", "SRC_URI=\"http://127.0.0.1:1/a\"");
    none.run(&["fetch", "foo"]).fails(&["Manifest: is missing"]);
    none.run(&["fetch", "nosuch"])
        .fails(&["nosuch: no such package"]);
    none.run(&["fetch"]).ends(2, &["ATOM"]);
}

#[test]
fn who_must_fetch_by_hand_is_told_how() {
    let body = "SRC_URI=\"https://example.org/foo.tar\"\nRESTRICT=\"fetch\"\n\
         pkg_nofetch() {\n\teinfo \"Buy ${A} from the shop\"\n\teinfo \"for ${P}.\"\n}";
    let trial = Trial::new()
        .make_conf(NO_MIRRORS)
        .package("app-misc/foo-1", body)
        .manifest("app-misc/foo", &dist("foo.tar", b"foo"));
    // A build that is there is left alone.
    trial.put("tmp/portage/app-misc/foo-1/work/mine", "");
    trial.run(&["fetch", "foo"]).fails(&[
        "Buy foo.tar from the shop",
        "for foo-1.",
        "foo.tar: fetch restricted; get it by hand",
    ]);
    let events = trial.run(&["fetch", "--json", "foo"]).events();
    let told = |event: &&serde_json::Value| {
        event["event"] == "nofetch" && event["text"][0] == "Buy foo.tar from the shop"
    };
    assert_eq!(events.iter().filter(told).count(), 1, "{events:#?}");
    assert!(trial.path("tmp/portage/app-misc/foo-1/work/mine").exists());
    assert_eq!(fs::read_dir(trial.path("tmp")).unwrap().count(), 1);
    trial.put("distfiles/foo.tar", "foo");
    let outcome = trial.run(&["fetch", "foo"]);
    assert!(!outcome.succeeds().stderr.contains("shop"), "{outcome}");
}

#[test]
fn what_is_fetched_need_not_be_built_here() {
    let server = Server::start(vec![("/a".into(), b"a".to_vec())]);
    let text = crate::support::ebuild(&format!("SRC_URI=\"{}/a\"", server.address));
    let trial = Trial::new()
        .make_conf(NO_MIRRORS)
        .ebuild("app-misc/foo-1", text + "IUSE=x\nREQUIRED_USE=x\n")
        .manifest("app-misc/foo", &dist("a", b"a"));
    trial.run(&["fetch", "foo"]).succeeds();
    trial.run(&["build", "foo"]).fails(&["REQUIRED_USE"]);
}

#[test]
fn what_an_eclass_fetches_itself_goes_on_as_ever() {
    let server = Server::start(vec![("/live".into(), b"alive".to_vec())]);
    let port = server.address.rsplit(':').next().unwrap();
    // As git-r3 does: a store beside the distfiles, and the network in src_unpack.
    let body = format!(
        r#"PROPERTIES="live"
src_unpack() {{
	local store=${{PORTAGE_ACTUAL_DISTDIR}}/live-src line
	addwrite "${{PORTAGE_ACTUAL_DISTDIR}}"
	mkdir -p "${{store}}" || die
	exec 3<>/dev/tcp/127.0.0.1/{port} || die
	printf 'GET /live HTTP/1.1\r\n\r\n' >&3 || die
	while read -r line <&3 && [[ ${{line}} != $'\r' ]]; do :; done
	read -r -N 5 line <&3 || die
	exec 3>&-
	echo "${{line}}" > "${{store}}"/got || die
}}"#
    );
    let trial = Trial::new()
        .make_conf(&format!(
            "{NO_MIRRORS}FEATURES=\"sandbox network-sandbox\"\n"
        ))
        .package("app-misc/foo-9999", &body);
    trial.run(&["build", "foo"]).succeeds();
    let got = fs::read_to_string(trial.path("distfiles/live-src/got")).unwrap();
    assert_eq!(got, "alive\n");
}

#[test]
fn a_mirror_says_its_layout_once_a_day() {
    let digest = HashName::Blake2b.hex(b"foo.tar");
    let server = Server::start(vec![
        (
            "/distfiles/layout.conf".into(),
            b"[structure]\n0=filename-hash BLAKE2B 8\n".to_vec(),
        ),
        (
            format!("/distfiles/{}/foo.tar", &digest[..2]),
            b"foo".to_vec(),
        ),
    ]);
    let trial = Trial::new()
        .make_conf(&format!("GENTOO_MIRRORS=\"{}\"\n", server.address))
        .package("app-misc/foo-1", "SRC_URI=\"http://127.0.0.1:1/foo.tar\"")
        .manifest("app-misc/foo", &dist("foo.tar", b"foo"));
    for _ in 0..2 {
        trial.run(&["fetch", "foo"]).succeeds();
        fs::remove_file(trial.path("distfiles/foo.tar")).unwrap();
    }
    let asked = server.asked();
    let layouts = asked.iter().filter(|path| path.ends_with("layout.conf"));
    assert_eq!((layouts.count(), asked.len()), (1, 3), "{asked:?}");
}

#[test]
fn a_mirror_takes_what_any_flags_could_ask_for() {
    let server = Server::start(vec![
        ("/a".into(), b"a".to_vec()),
        ("/b".into(), b"b".to_vec()),
    ]);
    let body = format!(
        "IUSE=\"two\"\nSRC_URI=\"{0}/a two? ( {0}/b )\"",
        server.address
    );
    let manifest = format!("{}{}", dist("a", b"a"), dist("b", b"b"));
    let trial = Trial::new()
        .make_conf(NO_MIRRORS)
        .package("app-misc/foo-1", &body)
        .manifest("app-misc/foo", &manifest);
    trial.run(&["fetch", "foo"]).succeeds();
    assert!(!trial.path("distfiles/b").exists());
    trial.run(&["fetch", "--all-files", "foo"]).succeeds();
    assert_eq!(fs::read_to_string(trial.path("distfiles/b")).unwrap(), "b");
}

/// Waits in src_compile until the distfile of the next package is there.
const WAITING: &str = "src_unpack() { :; }
src_compile() {
	[[ ${PN} == p0 ]] || return 0
	local i
	for (( i = 0; i < ${TURNS}; i++ )); do
		[[ ! -e ${DISTFILES}/p1.bin ]] || return 0
		sleep 0.05
	done
	die \"nobody fetched ahead\"
}";

#[test]
fn builds_find_what_was_fetched_ahead_of_them() {
    let (trial, server) = trial(2, &[], WAITING);
    let folder = text(&trial.path("distfiles"));
    let trial = trial
        .variable("DISTFILES", &folder)
        .variable("TURNS", "400");
    trial.run(&["build", "--nodeps", "p0", "p1"]).succeeds();
    assert_eq!(server.asked().len(), 2, "{:?}", server.asked());
    // It can fail: where nobody is to fetch ahead, nobody does.
    let (trial, _) = self::trial(2, &[], WAITING);
    let folder = text(&trial.path("distfiles"));
    let trial = trial
        .variable("DISTFILES", &folder)
        .variable("TURNS", "20")
        .make_conf(&format!("{NO_MIRRORS}FEATURES=\"-parallel-fetch\"\n"));
    trial
        .run(&["build", "--nodeps", "p0", "p1"])
        .fails(&["nobody fetched ahead"]);
}

#[test]
fn what_could_not_be_fetched_ahead_fails_its_own_build() {
    let (trial, _server) = trial(3, &[1], "src_unpack() { :; }");
    let outcome = trial.run(&["build", "--nodeps", "--jobs", "2", "p0", "p1", "p2"]);
    outcome.fails(&[
        "app-misc/p1-1: could not be built in the fetch phase",
        "p1.bin",
    ]);
    assert_eq!(trial.assert_pkgdir_valid(), [1, 1]);
}

#[test]
fn a_build_that_failed_does_not_wait_for_what_others_wanted() {
    // A server that takes its time.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let all: Vec<_> = listener.incoming().collect();
        drop(all);
    });
    let slow = format!(
        "SRC_URI=\"{address}/slow.bin\"\nRDEPEND=\"app-misc/first\"\nDEPEND=\"app-misc/first\""
    );
    let trial = Trial::new()
        .make_conf(NO_MIRRORS)
        .package("app-misc/first-1", "src_compile() { die early; }")
        .package("app-misc/second-1", &slow)
        .manifest("app-misc/second", &dist("slow.bin", &[0; 100_000]));
    let outcome = trial.run(&["build", "--nodeps", "first", "second"]);
    outcome.fails(&["early", "skipped"]);
    // Who had waited would have been told of the server's silence.
    assert!(!outcome.stderr.contains("slow.bin"), "{outcome}");
}
