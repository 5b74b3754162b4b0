//! What is in DISTDIR already, who else is there, and what is refused.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;

use super::world::*;
use crate::fetch::*;
use crate::util::digest::HashName;
use crate::util::lock::{Lock, portage_lockfile};

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
async fn read_only_directories_are_shared() {
    let mut world = World::new(Vec::new());
    let read_only = world.directory.path().join("ro");
    fs::create_dir(&read_only).unwrap();
    let file = read_only.join(FILE);
    fs::write(&file, "wrong").unwrap();
    world.options.ro_distdirs = vec![PathBuf::from("/nonexistent"), read_only];
    world.fetch().await.unwrap_err();
    fs::write(&file, content()).unwrap();
    assert_eq!(world.fetch_well().await.how, How::Linked(file.clone()));
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&world.target()), inode(&file));
    assert!(!fs::symlink_metadata(world.target()).unwrap().is_symlink());
    // What the two share is not changed.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(world.fetch_well().await.how, How::Present);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o444);
}

#[tokio::test]
async fn what_cannot_be_linked_is_copied() {
    // Another file system.
    let read_only = tempfile::tempdir_in("/dev/shm").unwrap();
    let file = read_only.path().join(FILE);
    fs::write(&file, content()).unwrap();
    let mut world = World::new(Vec::new());
    world.options.ro_distdirs = vec![read_only.path().to_owned()];
    world.put(&format!("{FILE}.partial"), b"of another time");
    let on = |path: &Path| fs::metadata(path).unwrap().dev();
    assert_ne!(on(read_only.path()), on(&world.distdir()));
    assert_eq!(world.fetch_well().await.how, How::Copied(file.clone()));
    assert!(!fs::symlink_metadata(world.target()).unwrap().is_symlink());
    assert_eq!(world.names(), [FILE]);
    assert_eq!(fs::read(&file).unwrap(), content());
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
         (run `ebd manifest` in the package's directory)"
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
