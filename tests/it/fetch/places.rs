//! Where distfiles are put: as whom, on a full disk, where nobody may write, and several at once.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;
use std::sync::{Arc, Barrier};

use super::{NO_MIRRORS, Server};
use crate::support::{Outcome, Trial, dist, is_root, text};

/// `nobody`, who is on every system.
const NOBODY: u32 = 65534;

fn trial(server: &str, files: &[(&str, &[u8])], conf: &str) -> Trial {
    let uris: Vec<String> = files
        .iter()
        .map(|(name, _)| format!("{server}/{name}"))
        .collect();
    let manifest: String = files
        .iter()
        .map(|(name, content)| dist(name, content))
        .collect();
    Trial::new()
        .make_conf(&format!("{NO_MIRRORS}{conf}"))
        .package("app-misc/foo-1", &format!("SRC_URI=\"{}\"", uris.join(" ")))
        .manifest("app-misc/foo", &manifest)
}

/// Puts `words` before the command.
fn below(command: &Command, words: &[&str]) -> Command {
    let (program, arguments) = words.split_first().unwrap();
    let mut outer = Command::new(program);
    outer
        .args(arguments)
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (name, value) in command.get_envs() {
        outer.env(name, value.unwrap_or_default());
    }
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    outer
}

#[test]
fn files_are_made_as_the_fetch_user() {
    let server = Server::start(vec![("/a".into(), b"a".to_vec())]);
    let conf = "FEATURES=\"userfetch\"\nPORTAGE_USERNAME=\"nobody\"\n";
    let trial = trial(&server.address, &[("a", b"a")], conf);
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(trial.path(""), open).unwrap();
    let distdir = trial.path("distfiles");
    let own = fs::metadata(&distdir).unwrap().uid();
    if !is_root() {
        // Nobody but root fetches as somebody else.
        trial.run(&["fetch", "foo"]).succeeds();
        assert_eq!(fs::metadata(distdir.join("a")).unwrap().uid(), own);
        return;
    }
    // A folder that root, without the power to go everywhere, cannot write to: as where root is squashed.
    chown(&distdir, Some(NOBODY), None).unwrap();
    fs::set_permissions(&distdir, fs::Permissions::from_mode(0o700)).unwrap();
    let squashed = [
        "setpriv",
        "--bounding-set=-dac_override,-dac_read_search",
        "--inh-caps=-dac_override,-dac_read_search",
        "--",
    ];
    let run = |trial: &Trial| Outcome::of(&mut below(&trial.command(&["fetch", "foo"]), &squashed));
    run(&trial).succeeds();
    assert_eq!(fs::metadata(distdir.join("a")).unwrap().uid(), NOBODY);
    let names: Vec<_> = fs::read_dir(&distdir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["a"]);
    // It is found there, too.
    assert!(run(&trial).succeeds().stderr.contains("1 there already"));
    // As root it does not go.
    fs::remove_file(distdir.join("a")).unwrap();
    let trial = trial.make_conf(&format!("{NO_MIRRORS}FEATURES=\"-userfetch\"\n"));
    run(&trial).fails(&[&text(&distdir)]);
    // Where the user may not write but root may, root does.
    let trial = trial.make_conf(&format!("{NO_MIRRORS}{conf}"));
    chown(&distdir, Some(0), None).unwrap();
    trial.run(&["fetch", "foo"]).succeeds();
    assert_eq!(fs::metadata(distdir.join("a")).unwrap().uid(), 0);
}

#[test]
fn programs_fetch_as_the_fetch_user() {
    let uid = if is_root() {
        NOBODY
    } else {
        nix::unistd::geteuid().as_raw()
    };
    let content = format!("{uid}\n");
    let conf = "FEATURES=\"userfetch\"\nPORTAGE_USERNAME=\"nobody\"\n\
         FETCHCOMMAND_GOPHER=\"sh ../who \\\"\\${DISTDIR}/\\${FILE}\\\"\"\n";
    let trial =
        trial("gopher://host", &[("a", content.as_bytes())], conf).file("who", "id -u > \"$1\"\n");
    fs::set_permissions(trial.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    if is_root() {
        chown(trial.path("distfiles"), Some(NOBODY), None).unwrap();
    }
    trial.run(&["fetch", "foo"]).succeeds();
}

#[test]
fn a_disk_gets_full() {
    // Three files of which two have room, each small enough by itself.
    let files: Vec<(String, Vec<u8>)> = (0..3)
        .map(|at| (format!("f{at}"), vec![at; 400 << 10]))
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let served = Arc::new(files.clone());
    std::thread::spawn(move || {
        // Nobody gets anything before everybody has asked.
        let all = Arc::new(Barrier::new(3));
        for stream in listener.incoming() {
            let (all, files) = (Arc::clone(&all), Arc::clone(&served));
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                let count = stream.read(&mut head).unwrap();
                let head = String::from_utf8_lossy(&head[..count]).into_owned();
                let path = head.split(' ').nth(1).unwrap().trim_start_matches('/');
                let (_, body) = files.iter().find(|(name, _)| name == path).unwrap();
                all.wait();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(body);
            });
        }
    });
    let borrowed: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_slice()))
        .collect();
    let trial = trial(&address, &borrowed, "");
    let script = "mount -t tmpfs -o size=1m none distfiles || exit 99
        \"$@\"
        status=$?
        cp -a distfiles/. kept/
        exit ${status}";
    let namespace = ["unshare", "--user", "--map-root-user", "--mount"];
    let mut words = namespace.to_vec();
    words.extend(["sh", "-c", script, "sh"]);
    fs::create_dir(trial.path("kept")).unwrap();
    let outcome = Outcome::of(&mut below(&trial.command(&["fetch", "foo"]), &words));
    if outcome.stderr.contains("unshare") || outcome.code() == 99 {
        eprintln!("left out: a full disk: no file system can be mounted here");
        return;
    }
    outcome.fails(&["no space left for", "DISTDIR to a larger file system"]);
    let mut right = 0;
    for entry in fs::read_dir(trial.path("kept")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        match files.iter().find(|(known, _)| *known == name) {
            Some((_, content)) => {
                assert!(fs::read(entry.path()).unwrap() == *content, "{name}");
                right += 1;
            }
            None => assert!(name.ends_with(".partial"), "{name}"),
        }
    }
    assert!(right < 3, "three do not fit");
}

#[test]
fn a_distdir_nobody_may_write_to() {
    let server = Server::start(vec![("/a".into(), b"a".to_vec())]);
    let trial = trial(&server.address, &[("a", b"a")], "");
    let distdir = trial.path("distfiles");
    fs::set_permissions(&distdir, fs::Permissions::from_mode(0o555)).unwrap();
    // Without root's power to write everywhere.
    let words = [
        "setpriv",
        "--bounding-set=-dac_override",
        "--inh-caps=-dac_override",
        "--",
    ];
    let run = || match is_root() {
        true => Outcome::of(&mut below(&trial.command(&["fetch", "foo"]), &words)),
        false => trial.run(&["fetch", "foo"]),
    };
    run().fails(&[&format!("{}: DISTDIR cannot be written to", text(&distdir))]);
    assert!(server.asked().is_empty());
    // What is there needs no writing.
    fs::set_permissions(&distdir, fs::Permissions::from_mode(0o755)).unwrap();
    trial.put("distfiles/a", "a");
    fs::set_permissions(&distdir, fs::Permissions::from_mode(0o555)).unwrap();
    run().succeeds();
    fs::set_permissions(&distdir, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn several_processes_fetch_a_file_once() {
    let files: Vec<(String, Vec<u8>)> = (0..10)
        .map(|at| (format!("f{at}"), vec![at; 50_000]))
        .collect();
    let served = files
        .iter()
        .map(|(name, content)| (format!("/{name}"), content.clone()))
        .collect();
    let server = Server::start(served);
    let borrowed: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_slice()))
        .collect();
    let trial = trial(&server.address, &borrowed, "");
    let mut running: Vec<_> = (0..4).map(|_| trial.start(&["fetch", "foo"])).collect();
    for child in &mut running {
        assert!(child.wait().unwrap().success());
    }
    let mut asked = server.asked();
    asked.sort();
    let expected: Vec<String> = (0..10).map(|at| format!("/f{at}")).collect();
    assert_eq!(asked, expected);
    assert_eq!(fs::read_dir(trial.path("distfiles")).unwrap().count(), 10);
}
