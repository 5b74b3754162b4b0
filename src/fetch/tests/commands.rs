//! Programs that fetch.

use std::fs;
use std::time::Duration;

use tokio::sync::mpsc;

use super::world::*;
use crate::fetch::*;

/// A world in which these are set; `@` stands for a folder that has the file under the name `source`.
fn world(sources: &[&str], set: &[(&str, &str)]) -> World {
    let sources = sources
        .iter()
        .map(|source| Source::Uri((*source).to_owned()))
        .collect();
    let mut world = World::new(sources);
    let folder = world.directory.path().join("with space");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("source"), content()).unwrap();
    fs::write(folder.join("wrong"), [b'x'; 5000]).unwrap();
    let place = folder.display().to_string();
    let set: Vec<(&str, String)> = set
        .iter()
        .map(|(name, value)| (*name, value.replace('@', &place)))
        .collect();
    world.options.commands =
        FetchCommands::from_variables(set.iter().map(|(name, value)| (*name, value.as_str())));
    world
}

const COPY: &str = r#"cp "@/source" "${DISTDIR}/${FILE}""#;

#[tokio::test]
async fn a_program_fetches_where_nobody_else_can() {
    let mut world = world(&["gopher://host/a"], &[("FETCHCOMMAND_GOPHER", COPY)]);
    let fetched = world.fetch_well().await;
    assert_eq!(fetched.how, How::Fetched("gopher://host/a".to_owned()));
    assert_eq!(world.names(), [FILE]);
}

#[tokio::test]
async fn what_the_user_has_set_is_used_for_everything() {
    let server = Server::start(|_, _, _| Reply::ok(&content()));
    let mut world = world(&[], &[("FETCHCOMMAND", COPY)]);
    world.request.plan.sources = vec![server.uri("a")];
    world.fetch_well().await;
    assert_eq!(server.heads().len(), 0);
}

#[tokio::test]
async fn a_program_that_fails_is_told_with_its_last_words() {
    let mut world = world(
        &["gopher://host/a", "finger://host/b", "sip://host/c"],
        &[
            (
                "FETCHCOMMAND_GOPHER",
                "sh -c 'echo one >&2; echo two words >&2; echo >&2; exit 7'",
            ),
            ("FETCHCOMMAND_FINGER", "/nonexistent/program"),
            ("FETCHCOMMAND_SIP", "true"),
        ],
    );
    let text = world.fetch().await.unwrap_err().to_string();
    assert!(
        text.contains("gopher://host/a: FETCHCOMMAND_GOPHER ended with exit status: 7: two words"),
        "{text}"
    );
    assert!(
        text.contains("FETCHCOMMAND_FINGER: `/nonexistent/program` cannot be run"),
        "{text}"
    );
    assert!(
        text.contains("sip://host/c: wrong content: size is 0"),
        "{text}"
    );
    assert_eq!(world.names(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_program_brings_is_verified() {
    let mut world = world(
        &["gopher://host/a", "finger://host/b"],
        &[
            (
                "FETCHCOMMAND_GOPHER",
                r#"cp "@/wrong" "${DISTDIR}/${FILE}""#,
            ),
            // It brings the file and says that it has failed.
            (
                "FETCHCOMMAND_FINGER",
                r#"sh -c 'cp "$1" "$2"; exit 1' sh "@/source" "${DISTDIR}/${FILE}""#,
            ),
        ],
    );
    let fetched = world.fetch_well().await;
    assert_eq!(fetched.set_aside.len(), 1);
    assert_eq!(fs::read(&fetched.set_aside[0]).unwrap(), [b'x'; 5000]);
}

#[tokio::test]
async fn a_program_is_told_the_checksums() {
    let mut world = world(
        &["gopher://host/a"],
        &[(
            "FETCHCOMMAND_GOPHER",
            r#"sh -c 'cp "$1" "$2"; echo "$3+$4+$5+$6" >told' sh "@/source" "${DISTDIR}/${FILE}" "${DIGESTS}" ${DIGESTS}"#,
        )],
    );
    let expected = world.request.expected.clone().unwrap();
    world.fetch_well().await;
    let told = fs::read_to_string(world.options.distdir.join("told")).unwrap();
    let digests = expected.digests();
    let words = digests.replace(' ', "+");
    assert!(words.contains('+'), "{words}");
    assert_eq!(told, format!("{digests}+{words}+\n"));
}

#[tokio::test]
async fn an_unfinished_file_is_taken_up() {
    let mut world = world(
        &["gopher://host/a"],
        &[
            ("FETCHCOMMAND_GOPHER", "false"),
            (
                "RESUMECOMMAND_GOPHER",
                r#"sh -c 'tail -c +1001 "$1" >> "$2"' sh "@/source" "${DISTDIR}/${FILE}""#,
            ),
        ],
    );
    world.put(&format!("{FILE}.partial"), &content()[..1000]);
    world.fetch_well().await;
    assert_eq!(world.from(), [1000]);
}

#[tokio::test]
async fn mirrors_are_asked_for_their_layout_by_the_same_program() {
    let mut world = world(
        &[],
        &[(
            "FETCHCOMMAND_GOPHER",
            r#"sh -c 'cp "$1/${2#gopher://host/}" "$3"' sh "@" "${URI}" "${DISTDIR}/${FILE}""#,
        )],
    );
    let folder = world.directory.path().join("with space/distfiles/by");
    fs::create_dir_all(&folder).unwrap();
    let digest = crate::util::digest::HashName::Sha1.hex(FILE.as_bytes());
    let place = folder.parent().unwrap().join(&digest[..2]);
    fs::create_dir(&place).unwrap();
    fs::write(place.join(FILE), content()).unwrap();
    let layout = folder.parent().unwrap().join("layout.conf");
    fs::write(layout, "[structure]\n0=filename-hash SHA1 8\n").unwrap();
    world.request.plan.sources = vec![Source::Mirror("gopher://host".to_owned())];
    world.fetch_well().await;
}

#[tokio::test]
async fn a_program_ends_with_the_fetch() {
    let world = world(
        &["gopher://host/a"],
        &[(
            "FETCHCOMMAND_GOPHER",
            "sh -c 'sleep 600 & echo $! > \"$1/pid\"; wait' sh \"@\"",
        )],
    );
    let fetcher = Fetcher::new(world.options.clone());
    let (events, _) = mpsc::unbounded_channel();
    let file = world.directory.path().join("with space/pid");
    let started = async {
        loop {
            match fs::read_to_string(&file) {
                Ok(text) if text.ends_with('\n') => break text.trim().parse::<i32>().unwrap(),
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let sleeper = tokio::select! {
        _ = fetcher.fetch(&world.request, &events) => panic!("it should wait"),
        pid = started => nix::unistd::Pid::from_raw(pid),
    };
    for _ in 0..500 {
        if !sandbox::process::is_alive(sleeper) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{sleeper} is still there");
}
