//! Mirrors and local directories.

use std::fs;

use tokio::sync::mpsc;

use super::world::*;
use crate::fetch::*;
use crate::pms::dependency::DepSpec;
use crate::pms::eapi::Eapi;
use crate::pms::src_uri::SrcUri;
use crate::repo::manifest::Manifest;
use crate::util::digest::HashName;

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
