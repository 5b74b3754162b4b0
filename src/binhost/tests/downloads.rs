//! Packages of a host, brought into PKGDIR.

use super::*;

/// A host with packages, and a PKGDIR with another one.
struct World {
    _directory: tempfile::TempDir,
    theirs: Pkgdir,
    own: Pkgdir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let theirs = pkgdir(&directory.path().join("theirs"));
        let own = pkgdir(&directory.path().join("own"));
        put(&own, "a/other-1", 1, Format::Xpak);
        Self {
            _directory: directory,
            theirs,
            own,
        }
    }

    fn content(&self, entry: &Entry) -> Vec<u8> {
        fs::read(self.theirs.path().join(entry.path().as_ref())).unwrap()
    }

    fn index(&self) -> Vec<u8> {
        fs::read(self.own.index_path()).unwrap()
    }

    /// Brings the package of an entry from `address`.
    async fn bring(&self, entry: &Entry, address: &str) -> Result<PathBuf, String> {
        let wanted = Wanted {
            accept: &(std::sync::Arc::new(|_: &Metadata| Ok(())) as Accept),
            judge: &|_| Ok(()),
        };
        self.bring_as(entry, address, wanted).await
    }

    /// The same, if it is as it is wanted.
    async fn bring_as(
        &self,
        entry: &Entry,
        address: &str,
        wanted: Wanted<'_>,
    ) -> Result<PathBuf, String> {
        let mut index = Index::default();
        index.replace_entries(vec![entry.clone()]);
        let found = HostIndex {
            index,
            base: address.to_owned(),
            freshness: Freshness::Fetched,
        };
        let host = host(address, &folder(self.own.path()));
        let instances = Instances::new(None, vec![(host, found)]);
        let instance = instances.all()[0].clone();
        let (events, _told) = tokio::sync::mpsc::unbounded_channel();
        bring(&instances, &instance, &desk(&self.own), wanted, &events)
            .await
            .map_err(|error| causes(&error).join(": "))
    }
}

fn serving(content: Vec<u8>) -> Server {
    Server::start(move |_, range, _| match range {
        Some(start) => Reply::range(&content, start),
        None => Reply::ok(&content),
    })
}

#[tokio::test]
async fn a_package_comes_as_it_is_with_its_id_and_time() {
    for format in [Format::Xpak, Format::Gpkg] {
        let world = World::new();
        put(&world.theirs, "a/b-1", 5, format);
        let entry = put(&world.theirs, "a/b-1", 6, format);
        let server = serving(world.content(&entry));
        let path = world.bring(&entry, &server.address).await.unwrap();
        assert!(path.ends_with(entry.path().as_ref()), "{}", path.display());
        assert_eq!(fs::read(&path).unwrap(), world.content(&entry));
        let index = Index::read(&world.own.index_path()).unwrap();
        let fields = |entry: &Entry| {
            let mut fields: Vec<(String, String)> = entry
                .iter()
                .filter(|field| *field != ("SLOT", "0"))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            fields.sort();
            fields
        };
        assert_eq!(fields(&index.entries()[0]), fields(&entry));
        assert!(!folder(world.own.path()).exists());
        assert!(server.heads()[0].starts_with(&format!("GET /{} ", entry.path())));
        // The second time it is there.
        let before = world.index();
        assert_eq!(world.bring(&entry, &server.address).await.unwrap(), path);
        assert_eq!(world.index(), before);
    }
}

#[tokio::test]
async fn a_package_whose_id_is_taken_keeps_it_under_another_name() {
    let world = World::new();
    let entry = put(&world.theirs, "a/b-1", 6, Format::Gpkg);
    put(&world.own, "a/b-1", 7, Format::Gpkg);
    let server = serving(world.content(&entry));
    let path = world.bring(&entry, &server.address).await.unwrap();
    assert!(path.ends_with("a/b/b-1-2.gpkg.tar"), "{}", path.display());
    assert_eq!(fs::read(&path).unwrap(), world.content(&entry));
    let index = Index::read(&world.own.index_path()).unwrap();
    let found: Vec<_> = index
        .entries()
        .iter()
        .filter(|entry| entry.cpv() == "a/b-1")
        .map(|entry| {
            (
                entry.build_id(),
                entry.build_time(),
                entry.path().into_owned(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (Some(1), Some(7), "a/b/b-1-1.gpkg.tar".to_owned()),
            (Some(1), Some(6), "a/b/b-1-2.gpkg.tar".to_owned()),
        ]
    );
    // Neither is taken for something else afterwards, and the next build has an id of its own.
    let survey = crate::binpkg::survey::survey(&world.own, &index, &Default::default()).unwrap();
    assert!(survey.standing.values().all(|it| it.fault.is_none()));
    assert!(survey.stale.is_empty() && survey.unusable.is_empty());
    let next = put(&world.own, "a/b-1", 8, Format::Gpkg);
    assert_eq!(next.build_id(), Some(3));
}

#[tokio::test]
async fn a_connection_that_drops_at_every_byte_is_gone_on_with() {
    let world = World::new();
    let entry = put(&world.theirs, "a/b-1", 6, Format::Xpak);
    let content = world.content(&entry);
    let whole = content.len();
    let server = Server::start(move |_, range, _| {
        let start = range.unwrap_or(0);
        let mut reply = match range {
            Some(start) => Reply::range(&content, start),
            None => Reply::ok(&content),
        };
        let head = reply.bytes.len() - (content.len() - start);
        reply.bytes.truncate(head + 1);
        reply
    });
    let before = world.index();
    for there in 1..whole {
        let error = world.bring(&entry, &server.address).await.unwrap_err();
        let expected = format!("the connection ended when {there} bytes were there");
        assert!(error.contains(&expected), "{there}: {error}");
        assert_eq!(world.index(), before);
    }
    let path = world.bring(&entry, &server.address).await.unwrap();
    assert_eq!(fs::read(path).unwrap(), world.content(&entry));
    assert_eq!(server.heads().len(), whole);
    assert!(!folder(world.own.path()).exists());
}

#[tokio::test]
async fn what_is_not_as_the_index_says_is_not_taken() {
    let world = World::new();
    let entry = put(&world.theirs, "a/b-1", 6, Format::Gpkg);
    let other = put(&world.theirs, "a/c-1", 6, Format::Gpkg);
    let xpak = put(&world.theirs, "a/b-1", 6, Format::Xpak);
    let content = world.content(&entry);
    let with = |key: &str, value: &str| {
        let mut entry = entry.clone();
        entry.set(key, value);
        entry
    };
    let file_of = |other: &Entry, path: &str| {
        let mut said = other.clone();
        said.set("CPV", entry.cpv());
        said.set("PATH", path);
        said
    };
    let mut flipped = content.clone();
    let half = flipped.len() / 2;
    flipped[half] ^= 1;
    let mut longer = content.clone();
    longer.push(0);
    let garbage = b"no package at all".to_vec();
    let mut of_garbage = with("SIZE", "17");
    of_garbage.set("MD5", &crate::util::digest::HashName::Md5.hex(&garbage));
    of_garbage.remove("SHA1");
    let path = entry.path().into_owned();
    let cases: Vec<(&str, Entry, Vec<u8>, &str)> = vec![
        ("a flipped bit", entry.clone(), flipped, "the index says"),
        ("a byte more", entry.clone(), longer, "the host has"),
        (
            "a byte less",
            entry.clone(),
            content[1..].to_vec(),
            "the host has",
        ),
        (
            "another SHA1",
            with("SHA1", &"0".repeat(40)),
            content.clone(),
            "its SHA1 is",
        ),
        (
            "other flags",
            with("USE", ""),
            content.clone(),
            "says that USE is \"\", but in the package it is \"x\"",
        ),
        (
            "another slot",
            with("SLOT", "1"),
            content.clone(),
            "says that SLOT",
        ),
        (
            "another time",
            with("BUILD_TIME", "9"),
            content.clone(),
            "says that BUILD_TIME",
        ),
        (
            "another id",
            with("BUILD_ID", "9"),
            content.clone(),
            "says that BUILD_ID",
        ),
        (
            "a repository that it does not name",
            with("REPO", "gentoo"),
            content.clone(),
            "says that REPO is \"gentoo\", but in the package it is \"\"",
        ),
        (
            "another package",
            file_of(&other, &path),
            world.content(&other),
            "says that CPV",
        ),
        (
            "another format",
            file_of(&xpak, &path),
            world.content(&xpak),
            "is gpkg, but it is xpak",
        ),
        ("no package", of_garbage, garbage, "cannot be read"),
    ];
    let before = everything(world.own.path());
    for (what, said, content, expected) in cases {
        let server = serving(content);
        let error = world.bring(&said, &server.address).await.expect_err(what);
        assert!(error.contains(expected), "{what}: {error}");
        assert_eq!(everything(world.own.path()), before, "{what}");
    }
}

#[tokio::test]
async fn a_package_is_judged_by_what_it_says_and_not_by_its_index() {
    let world = World::new();
    let said = [
        ("LICENSE", "their-own"),
        ("KEYWORDS", "~amd64"),
        ("RESTRICT", "bindist"),
        ("PROPERTIES", "interactive"),
        ("RDEPEND", "x/y"),
    ];
    let mut entry = put_with(&world.theirs, "a/b-1", 6, Format::Gpkg, &said);
    let server = serving(world.content(&entry));
    // The index says nothing of all that.
    for (key, _) in said {
        entry.remove(key);
    }
    let accept: Accept = std::sync::Arc::new(|_: &Metadata| Ok(()));
    let before = everything(world.own.path());
    for (key, value) in said {
        let judge = |package: &Instance| match package.entry.get(key) == Some(value) {
            true => Err(Unfit::Masked(key.to_owned())),
            false => Ok(()),
        };
        let wanted = Wanted {
            accept: &accept,
            judge: &judge,
        };
        let found = world.bring_as(&entry, &server.address, wanted).await;
        assert_eq!(found.unwrap_err(), format!("it is masked: {key}"));
        assert_eq!(everything(world.own.path()), before, "{key}");
    }
    world.bring(&entry, &server.address).await.unwrap();
}

#[tokio::test]
async fn what_is_in_pkgdir_already_is_looked_at_as_what_is_fetched() {
    let world = World::new();
    let entry = put(&world.theirs, "a/b-1", 6, Format::Gpkg);
    let server = serving(world.content(&entry));
    let path = world.bring(&entry, &server.address).await.unwrap();
    let before = everything(world.own.path());
    let accept: Accept = std::sync::Arc::new(|_: &Metadata| Ok(()));
    let refuse: Accept = std::sync::Arc::new(|_: &Metadata| Err(vec!["eclasses".to_owned()]));
    let masked = |_: &Instance| -> Result<(), Unfit> { Err(Unfit::Masked("so".to_owned())) };
    let mut other = entry.clone();
    other.set("USE", "");
    for (entry, wanted, expected) in [
        (
            &entry,
            Wanted {
                accept: &refuse,
                judge: &|_| Ok(()),
            },
            "it was made of something else: eclasses",
        ),
        (
            &entry,
            Wanted {
                accept: &accept,
                judge: &masked,
            },
            "it is masked: so",
        ),
        (
            &other,
            Wanted {
                accept: &accept,
                judge: &|_| Ok(()),
            },
            "says that USE is",
        ),
    ] {
        let error = world.bring_as(entry, &server.address, wanted).await;
        let error = error.unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert_eq!(everything(world.own.path()), before, "{expected}");
    }
    assert_eq!(server.heads().len(), 1);
    // One that is not any more what the index says is not it.
    let mut damaged = fs::read(&path).unwrap();
    let half = damaged.len() / 2;
    damaged[half] ^= 1;
    fs::write(&path, damaged).unwrap();
    let new = world.bring(&entry, &server.address).await.unwrap();
    assert_ne!(new, path);
    assert_eq!(fs::read(new).unwrap(), world.content(&entry));
}

#[tokio::test]
async fn silence_and_circles_are_one_error() {
    let world = World::new();
    let entry = put(&world.theirs, "a/b-1", 6, Format::Gpkg);
    let before = world.index();
    for (server, expected) in [
        (Server::start(|_, _, _| Reply::ok(b"").hanging()), "0 bytes"),
        (
            Server::start(|path, _, _| {
                Reply::new("302 Found", &[format!("Location: {path}")], b"")
            }),
            "redirect",
        ),
        (
            Server::start(|_, _, _| Reply::status("404 Not Found")),
            "404",
        ),
    ] {
        let error = world.bring(&entry, &server.address).await.unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert_eq!(world.index(), before);
    }
}
