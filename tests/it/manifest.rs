//! `ebd manifest`.

use std::fs;

use ebd::util::digest::HashName;

use crate::fetch::{NO_MIRRORS, Server};
use crate::support::{Trial, dist, ebuild};

fn server() -> Server {
    Server::start(vec![
        ("/foo-1.tar".into(), b"one".to_vec()),
        ("/foo-2.tar".into(), b"two".to_vec()),
        ("/doc.tar".into(), b"doc".to_vec()),
        ("/page.tar".into(), b"<!DOCTYPE html>sorry".to_vec()),
    ])
}

fn body(server: &Server) -> String {
    format!(
        "IUSE=\"doc\"\nSRC_URI=\"{0}/${{P}}.tar doc? ( {0}/doc.tar -> foo-doc.tar )\"",
        server.address
    )
}

fn manifest(trial: &Trial) -> String {
    fs::read_to_string(trial.path("repo/app-misc/foo/Manifest")).unwrap()
}

#[test]
fn a_thin_manifest_is_written_and_kept_up_to_date() {
    let server = server();
    let body = body(&server);
    let trial = Trial::new()
        .make_conf(NO_MIRRORS)
        .package("app-misc/foo-1", &body);
    trial.run(&["manifest", "repo/app-misc/foo/"]).succeeds();
    let one = dist("foo-1.tar", b"one");
    let doc = dist("foo-doc.tar", b"doc");
    assert_eq!(manifest(&trial), format!("{one}{doc}"));
    assert_eq!(server.asked().len(), 2);
    let outcome = trial.run(&["manifest", "app-misc/foo"]);
    assert!(
        outcome.succeeds().stderr.contains("is as it should be"),
        "{outcome}"
    );
    // A further version: only its own file is fetched, even where the others are not there any more.
    for name in ["foo-1.tar", "foo-doc.tar"] {
        fs::remove_file(trial.path(&format!("distfiles/{name}"))).unwrap();
    }
    let trial = trial.package("app-misc/foo-2", &body);
    let outcome = trial.run(&["manifest", "--json", "foo"]);
    let events = outcome.succeeds().events();
    let made = events
        .iter()
        .find(|event| event["event"] == "manifest")
        .unwrap();
    assert_eq!(
        (&made["how"], &made["package"]),
        (&"written".into(), &"app-misc/foo".into())
    );
    let two = dist("foo-2.tar", b"two");
    assert_eq!(manifest(&trial), format!("{one}{two}{doc}"));
    assert_eq!(server.asked().len(), 3);
    // What it has made is good enough to fetch and build with.
    trial.run(&["fetch", "foo"]).succeeds();
    // Entries go with the last ebuild that wants them, and the Manifest with the last entry.
    fs::remove_file(trial.ebuild_path("app-misc/foo-1")).unwrap();
    trial.run(&["manifest", "foo"]).succeeds();
    assert_eq!(manifest(&trial), format!("{two}{doc}"));
    let trial = trial.package("app-misc/foo-2", "");
    trial.run(&["manifest", "foo"]).succeeds();
    assert!(!trial.path("repo/app-misc/foo/Manifest").exists());
}

#[test]
fn a_thick_manifest_lists_all_files() {
    let server = server();
    let trial = Trial::new()
        .make_conf(&format!("{NO_MIRRORS}FEATURES=\"strict\"\n"))
        .file("repo/metadata/layout.conf", "masters =\n")
        .package(
            "app-misc/foo-1",
            &format!("{}\nsrc_unpack() {{ :; }}", body(&server)),
        )
        .file("repo/app-misc/foo/files/sub/a.patch", "patch")
        .file("repo/app-misc/foo/metadata.xml", "<xml/>");
    trial.run(&["manifest", "foo"]).succeeds();
    let text = manifest(&trial);
    let kinds: Vec<String> = text
        .lines()
        .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        kinds,
        [
            "AUX sub/a.patch",
            "DIST foo-1.tar",
            "DIST foo-doc.tar",
            "EBUILD foo-1.ebuild",
            "MISC metadata.xml"
        ]
    );
    trial.run(&["build", "foo"]).succeeds();
    // An ebuild that changed is no longer what the Manifest says.
    let path = trial.ebuild_path("app-misc/foo-1");
    let changed = format!("{}\n# more\n", fs::read_to_string(&path).unwrap());
    fs::write(path, changed).unwrap();
    assert_eq!(trial.run(&["build", "foo"]).code(), 1);
    trial.run(&["manifest", "foo"]).succeeds();
    assert_ne!(manifest(&trial), text);
    trial.run(&["build", "foo"]).succeeds();
}

/// A Manifest as gpg signs it.
fn signed(text: &str) -> String {
    format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{text}-----BEGIN PGP SIGNATURE-----\n\n\
         iHUEARYIAB0=\n-----END PGP SIGNATURE-----\n"
    )
}

#[test]
fn a_signed_manifest_that_is_right_keeps_its_signature() {
    let server = server();
    let trial = Trial::new()
        .make_conf(&format!("{NO_MIRRORS}FEATURES=\"sign\"\n"))
        .package("app-misc/foo-1", &body(&server));
    let noted = "FEATURES=sign: ebd signs no Manifests";
    trial.run(&["manifest", "foo"]).ends(0, &[noted]);
    let text = signed(&manifest(&trial));
    trial.put("repo/app-misc/foo/Manifest", &text);
    trial
        .run(&["manifest", "foo"])
        .ends(0, &["Manifest: is as it should be"]);
    assert_eq!(manifest(&trial), text);
    // Another order of checksums says the same, another order of entries does not.
    let one = dist("foo-1.tar", b"one");
    let doc = dist("foo-doc.tar", b"doc");
    let words: Vec<&str> = one.split_whitespace().collect();
    let turned = format!(
        "{} {} {}\n{doc}",
        words[..3].join(" "),
        words[5..].join(" "),
        words[3..5].join(" ")
    );
    trial.put("repo/app-misc/foo/Manifest", &turned);
    trial.run(&["manifest", "foo"]).succeeds();
    assert_eq!(manifest(&trial), turned);
    trial.put("repo/app-misc/foo/Manifest", signed(&format!("{doc}{one}")));
    trial
        .run(&["manifest", "foo"])
        .ends(0, &["the signature of what was there is gone", noted]);
    assert_eq!(manifest(&trial), format!("{one}{doc}"));
}

#[test]
fn the_repository_says_which_hashes() {
    let server = server();
    let layout = "masters =\nthin-manifests = true\nmanifest-hashes = SHA256 SHA512\n\
                  manifest-required-hashes = SHA512\n";
    let body = format!("SRC_URI=\"{}/foo-1.tar\"", server.address);
    let trial = Trial::new()
        .make_conf(NO_MIRRORS)
        .file("repo/metadata/layout.conf", layout)
        .package("app-misc/foo-1", &body);
    trial.run(&["manifest", "foo"]).succeeds();
    let expected = format!(
        "DIST foo-1.tar 3 SHA256 {} SHA512 {}\n",
        HashName::Sha256.hex(b"one"),
        HashName::Sha512.hex(b"one")
    );
    assert_eq!(manifest(&trial), expected);
    // An entry with too little is made anew, once its file is found to be what it says.
    let old = format!("DIST foo-1.tar 3 SHA256 {}\n", HashName::Sha256.hex(b"one"));
    let trial = trial.manifest("app-misc/foo", &old);
    trial.put("distfiles/foo-1.tar", "bad");
    trial.run(&["manifest", "foo"]).succeeds();
    assert_eq!(manifest(&trial), expected);
    assert_eq!(server.asked().len(), 2);
    let wrong = format!("DIST foo-1.tar 3 SHA256 {}\n", HashName::Sha256.hex(b"two"));
    let trial = trial.manifest("app-misc/foo", &wrong);
    trial
        .run(&["manifest", "foo"])
        .fails(&["SHA256 is", "stays as it is"]);
    assert_eq!(manifest(&trial), wrong);
    // Unless it is said not to count.
    trial.run(&["manifest", "--force", "foo"]).succeeds();
    assert_eq!(manifest(&trial), expected);
    let trial = trial.file(
        "repo/metadata/layout.conf",
        "masters =\nmanifest-hashes = STREEBOG512\n",
    );
    trial
        .run(&["manifest", "foo"])
        .fails(&["trial: its layout.conf", "STREEBOG512"]);
}

#[test]
fn what_cannot_be_had_leaves_the_manifest_alone() {
    let server = server();
    let text = format!("SRC_URI=\"{0}/gone.tar {0}/page.tar\"", server.address);
    let trial = Trial::new()
        .make_conf(NO_MIRRORS)
        .package("app-misc/foo-1", &text)
        .manifest("app-misc/foo", &dist("old.tar", b"old"));
    trial.run(&["manifest", "foo"]).fails(&[
        "app-misc/foo: gone.tar",
        "404",
        "page.tar",
        "a web page instead of the file",
        "app-misc/foo: its Manifest stays as it is",
    ]);
    assert_eq!(manifest(&trial), dist("old.tar", b"old"));
}

#[test]
fn what_is_no_package_is_named() {
    let trial = Trial::new()
        .make_conf(NO_MIRRORS)
        .package("app-misc/foo-1", "")
        .ebuild("app-misc/bar-1", ebuild("").replace("EAPI=8", "EAPI=99"));
    trial
        .run(&["manifest", "nosuch"])
        .fails(&["nosuch: no such package"]);
    trial
        .run(&["manifest", "./home"])
        .fails(&["is not the folder of a package"]);
    trial.run(&["manifest", "bar"]).fails(&["EAPI"]);
    let trial = trial.file("repo/app-misc/foo/other-1.ebuild", ebuild(""));
    trial
        .run(&["manifest", "foo"])
        .fails(&["other-1.ebuild", "package name"]);
    let trial = trial.file(
        "repo/metadata/layout.conf",
        "masters =\nuse-manifests = false\n",
    );
    trial
        .run(&["manifest", "foo"])
        .fails(&["app-misc/foo: trial has no Manifests"]);
}

#[test]
fn names_that_no_manifest_can_have_are_refused() {
    let trial = Trial::new()
        .file("repo/metadata/layout.conf", "masters =\n")
        .package("app-misc/foo-1", "")
        .file("repo/app-misc/foo/files/a.patch", "patch");
    trial.run(&["manifest", "foo"]).succeeds();
    let before = manifest(&trial);
    let trial = trial.file("repo/app-misc/foo/files/a b.patch", "patch");
    trial.run(&["manifest", "foo"]).fails(&[
        "files/a b.patch: a name with a space in it cannot stand in a Manifest; rename or remove",
    ]);
    assert_eq!(manifest(&trial), before);
    fs::remove_file(trial.path("repo/app-misc/foo/files/a b.patch")).unwrap();
    trial.run(&["manifest", "foo"]).succeeds();
}
