//! Signatures of packages, by real keys.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ebd::binpkg::package::Package;

use super::{ALL, filled};
use crate::support::Trial;

/// A keyring in a folder of its own; its agent is ended with the value.
struct Keyring {
    home: PathBuf,
}

impl Keyring {
    fn new(trial: &Trial, name: &str) -> Self {
        let home = trial.path(name);
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        Self { home }
    }

    fn gpg(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("gpg")
            .arg("--homedir")
            .arg(&self.home)
            .args(["--batch", "--no-tty", "--quiet", "--passphrase", ""])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("gpg is installed");
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    /// Makes a key that is somebody's.
    fn key(&self, name: &str, more: &[&str], expires: &str) {
        let user = format!("{name} <{name}@example.org>");
        let mut arguments = more.to_vec();
        arguments.extend(["--quick-generate-key", &user, "ed25519", "sign", expires]);
        self.gpg(&arguments, b"");
        self.gpg(&["--check-trustdb"], b"");
    }

    /// Imports the keys of another keyring, and trusts them if that is wanted.
    fn import(&self, other: &Keyring, trusted: bool) {
        let keys = other.gpg(&["--export"], b"");
        self.gpg(&["--import"], &keys);
        let list = String::from_utf8(other.gpg(&["--list-keys", "--with-colons"], b"")).unwrap();
        let fingerprint = list
            .lines()
            .find_map(|line| line.strip_prefix("fpr:"))
            .unwrap()
            .trim_matches(':');
        if trusted {
            let trust = format!("{fingerprint}:6:\n");
            self.gpg(&["--import-ownertrust"], trust.as_bytes());
            // Verifying does not do it.
            self.gpg(&["--check-trustdb"], b"");
        }
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(&self.home)
            .args(["--kill", "all"])
            .status();
    }
}

/// Sets the keyrings to sign with and to verify with.
fn configure(trial: &Trial, signing: &Keyring, verifying: &Keyring, more: &str) {
    trial.put(
        "conf/etc/portage/make.conf",
        format!(
            "FEATURES=\"-compress-index\"\n\
             BINPKG_GPG_SIGNING_BASE_COMMAND=\"gpg --sign --armor {more} [PORTAGE_CONFIG]\"\n\
             BINPKG_GPG_SIGNING_GPG_HOME=\"{}\"\n\
             BINPKG_GPG_VERIFY_BASE_COMMAND=\"gpg --verify --batch --no-tty --no-auto-check-trustdb --status-fd 2 [PORTAGE_CONFIG] [SIGNATURE]\"\n\
             BINPKG_GPG_VERIFY_GPG_HOME=\"{}\"\n\
             GPG_VERIFY_USER_DROP=\"\"\nGPG_VERIFY_GROUP_DROP=\"\"\n",
            signing.home.display(),
            verifying.home.display()
        ),
    );
}

const FIRST: &str = "=app-misc/foo-1-1";

fn verify(trial: &Trial) -> crate::support::Outcome {
    trial.run(&["binpkg", "verify", "--require-signature", FIRST])
}

/// The members of a package: their names without the folder, and their contents.
type Members = Vec<(String, Vec<u8>)>;

fn members(path: &Path) -> Members {
    let mut archive = tar::Archive::new(fs::File::open(path).unwrap());
    archive
        .entries()
        .unwrap()
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().file_name().unwrap().to_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (name.into_string().unwrap(), content)
        })
        .collect()
}

fn write(path: &Path, members: &Members) {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        builder
            .append_data(&mut header, format!("foo-1-1/{name}"), &content[..])
            .unwrap();
    }
    fs::write(path, builder.into_inner().unwrap()).unwrap();
}

fn content<'a>(members: &'a mut Members, name: &str) -> &'a mut Vec<u8> {
    let found = members.iter_mut().find(|(known, _)| known == name);
    &mut found.unwrap().1
}

/// Makes the records of the Manifest true, inside of its signature too, which is not made anew.
fn record(members: &mut Members) {
    use ebd::util::digest::HashName::{Blake2b, Sha512};
    let mut text = String::new();
    for (name, content) in members.iter().filter(|(name, _)| name != "Manifest") {
        text.push_str(&format!(
            "DATA {name} {} BLAKE2B {} SHA512 {}\n",
            content.len(),
            Blake2b.hex(content),
            Sha512.hex(content)
        ));
    }
    let manifest = content(members, "Manifest");
    let old = String::from_utf8(manifest.clone()).unwrap();
    let kept: Vec<&str> = old
        .lines()
        .filter(|line| !line.starts_with("DATA "))
        .collect();
    let whole = match kept
        .iter()
        .position(|line| line.contains("BEGIN PGP SIGNATURE"))
    {
        Some(at) => format!(
            "{}\n{text}{}\n",
            kept[..at].join("\n"),
            kept[at..].join("\n")
        ),
        None => text,
    };
    *manifest = whole.into_bytes();
}

#[test]
fn a_signed_package_is_good_and_what_was_done_to_it_is_not() {
    let trial = filled();
    let (signing, verifying, stranger) = (
        Keyring::new(&trial, "s"),
        Keyring::new(&trial, "v"),
        Keyring::new(&trial, "x"),
    );
    signing.key("builder", &[], "never");
    stranger.key("stranger", &[], "never");
    verifying.import(&signing, true);
    configure(&trial, &signing, &verifying, "");

    verify(&trial).fails(&["is not signed", "binpkg-request-signature"]);
    trial.run(&["binpkg", "verify", FIRST]).succeeds();
    trial.run(&["binpkg", "sign", FIRST]).succeeds();
    let verified = verify(&trial);
    assert!(
        verified.succeeds().stdout.contains("good, and signed"),
        "{verified}"
    );
    trial.run(&["binpkg", "check"]).succeeds();
    trial
        .run(&["binpkg", "sign", "=app-misc/foo-1-3"])
        .fails(&["an xpak cannot be signed"]);
    trial
        .run(&[
            "binpkg",
            "verify",
            "--require-signature",
            "=app-misc/foo-1-3",
        ])
        .fails(&["an xpak cannot be signed"]);

    let path = trial.packages().join(ALL[0]);
    let file = path.to_str().unwrap();
    let good = members(&path);
    let names: Vec<&str> = good.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "gpkg-1",
            "metadata.tar.zst",
            "metadata.tar.zst.sig",
            "image.tar.zst",
            "image.tar.zst.sig",
            "Manifest"
        ]
    );
    let image = || {
        let other = members(&trial.packages().join(ALL[3]));
        let image = other.into_iter().find(|(name, _)| name == "image.tar.zst");
        image.unwrap().1
    };
    let resigned = |arguments: &[&str], text: &[u8]| stranger.gpg(arguments, text);
    type Change<'a> = &'a dyn Fn(&mut Members);
    let tampered: [(&str, Change<'_>, &str); 8] = [
        (
            "another image",
            &|all| *content(all, "image.tar.zst") = image(),
            "image.tar.zst",
        ),
        (
            "another image, and a Manifest that says so",
            &|all| {
                *content(all, "image.tar.zst") = image();
                record(all);
            },
            "what was signed by builder <builder@example.org> was changed",
        ),
        (
            "no signature of the image",
            &|all| {
                all.retain(|(name, _)| name != "image.tar.zst.sig");
                record(all);
            },
            "was changed",
        ),
        (
            "signatures of one another",
            &|all| {
                let one = content(all, "metadata.tar.zst.sig").clone();
                *content(all, "image.tar.zst.sig") = one;
                record(all);
            },
            "was changed",
        ),
        (
            "no signatures at all",
            &|all| {
                all.retain(|(name, _)| !name.ends_with(".sig"));
                *content(all, "Manifest") = Vec::new();
                record(all);
            },
            "is not signed",
        ),
        (
            "signatures, but a Manifest without",
            &|all| {
                *content(all, "Manifest") = Vec::new();
                record(all);
            },
            "there is no signature",
        ),
        (
            "a stranger's Manifest around a stranger's image",
            &|all| {
                *content(all, "image.tar.zst") = image();
                let signature = resigned(&["--armor", "--detach-sign"], &image());
                *content(all, "image.tar.zst.sig") = signature;
                *content(all, "Manifest") = Vec::new();
                record(all);
                let text = content(all, "Manifest").clone();
                *content(all, "Manifest") = resigned(&["--clear-sign"], &text);
            },
            "is not known",
        ),
        (
            "something in front of the signed Manifest",
            &|all| {
                let text = content(all, "Manifest").clone();
                *content(all, "Manifest") = [&b"DATA x 0\n"[..], &text].concat();
            },
            "before what is signed",
        ),
    ];
    for (what, change, part) in tampered {
        let mut all = good.clone();
        change(&mut all);
        write(&path, &all);
        let outcome = trial.run(&["binpkg", "verify", "--require-signature", file]);
        assert_eq!(outcome.code(), 1, "{what}: {outcome}");
        assert!(outcome.stderr.contains(part), "{what}: {part} in {outcome}");
    }
    // It is what is in the members that counts.
    write(&path, &good);
    trial
        .run(&["binpkg", "verify", "--require-signature", file])
        .succeeds();
}

#[test]
fn each_key_that_is_not_good_enough_is_told() {
    let trial = filled();
    let (signing, empty, known, expired) = (
        Keyring::new(&trial, "s"),
        Keyring::new(&trial, "e"),
        Keyring::new(&trial, "k"),
        Keyring::new(&trial, "x"),
    );
    signing.key("builder", &[], "never");
    known.import(&signing, false);
    configure(&trial, &signing, &empty, "");
    trial.run(&["binpkg", "sign", FIRST]).succeeds();
    verify(&trial).fails(&["the signature of the Manifest is not good", "is not known"]);
    // Also where signatures are not asked for, but there is one.
    trial
        .run(&["binpkg", "verify", FIRST])
        .fails(&["is not known"]);
    trial
        .run(&["binpkg", "verify", "--ignore-signature", FIRST])
        .succeeds();
    configure(&trial, &signing, &known, "");
    verify(&trial).fails(&["builder@example.org> is known, but not trusted"]);

    let past = ["--faked-system-time", "20200101T000000!"];
    expired.key("old", &past, "1d");
    let ring = Keyring::new(&trial, "v");
    ring.import(&expired, true);
    configure(
        &trial,
        &expired,
        &ring,
        "--faked-system-time 20200101T010000!",
    );
    trial.run(&["binpkg", "sign", FIRST]).succeeds();
    verify(&trial).fails(&["the key of old <old@example.org> has expired"]);

    // gpg that is not there, or cannot sign, leaves the package as it is.
    let path = trial.packages().join(ALL[0]);
    let before = fs::read(&path).unwrap();
    configure(&trial, &empty, &ring, "");
    trial
        .run(&["binpkg", "sign", FIRST])
        .fails(&["the package cannot be signed", "gpg"]);
    trial.put(
        "conf/etc/portage/make.conf",
        "BINPKG_GPG_SIGNING_BASE_COMMAND=\"/none/gpg [PORTAGE_CONFIG]\"\n",
    );
    trial
        .run(&["binpkg", "sign", FIRST])
        .fails(&["/none/gpg: cannot be run"]);
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn builds_are_signed_where_features_ask_for_it() {
    let trial = Trial::new().package("app-misc/foo-1", "src_install() { dodir /usr; }");
    let ring = Keyring::new(&trial, "s");
    ring.key("builder", &[], "never");
    configure(&trial, &ring, &ring, "");
    let trial = trial.variable("FEATURES", "binpkg-signing");
    trial.run(&["build", "app-misc/foo"]).succeeds();
    let path = trial.packages().join("app-misc/foo/foo-1-1.gpkg.tar");
    match Package::open(&path).unwrap() {
        Package::Gpkg(package) => assert!(package.is_signed()),
        Package::Xpak(_) => panic!("{}", path.display()),
    }
    verify(&trial).succeeds();
    trial
        .run(&["build", "--format", "xpak", "app-misc/foo"])
        .fails(&["an xpak cannot be signed"]);
}

#[test]
fn signed_packages_are_taken_over_where_a_version_has_one_build() {
    let trial = filled();
    let ring = Keyring::new(&trial, "s");
    ring.key("builder", &[], "never");
    configure(&trial, &ring, &ring, "");
    trial.run(&["binpkg", "sign", FIRST]).succeeds();
    let signed = trial.packages().join(ALL[0]);
    let target = Trial::new().make_conf("FEATURES=\"-binpkg-multi-instance\"\n");
    let import = || {
        let done = target.run(&["binpkg", "import", signed.to_str().unwrap()]);
        done.succeeds().stdout.clone()
    };
    assert_eq!(import(), "imported: app-misc/foo-1.gpkg.tar\n");
    assert_eq!(import(), "already there: app-misc/foo-1.gpkg.tar\n");
    let taken = target.packages().join("app-misc/foo-1.gpkg.tar");
    assert!(fs::read(&taken).unwrap() == fs::read(&signed).unwrap());
    target.run(&["binpkg", "check"]).succeeds();
    let file = taken.to_str().unwrap();
    trial
        .run(&["binpkg", "verify", "--require-signature", file])
        .succeeds();
}

#[test]
fn signed_packages_are_moved_by_who_may_sign() {
    let trial = filled().gentoo().file(
        "repo/profiles/updates/1Q-2025",
        "slotmove app-misc/foo 0 5\n",
    );
    let (own, other) = (Keyring::new(&trial, "own"), Keyring::new(&trial, "other"));
    own.key("builder", &[], "never");
    other.key("stranger", &[], "never");
    configure(&trial, &own, &own, "");
    trial.run(&["binpkg", "sign", FIRST]).succeeds();
    let path = trial.packages().join(ALL[0]);
    let before = fs::read(&path).unwrap();

    // Nobody may sign, or it was signed by somebody whom nobody knows.
    for path in &ALL[1..] {
        fs::remove_file(trial.packages().join(path)).unwrap();
    }
    trial.run(&["binpkg", "fix"]).succeeds();
    trial.run(&["binpkg", "move"]).fails(&[
        ALL[0],
        "no key is configured",
        "BINPKG_GPG_SIGNING_KEY",
    ]);
    configure(&trial, &own, &other, "");
    let trial = trial.variable("BINPKG_GPG_SIGNING_KEY", "builder@example.org");
    trial
        .run(&["binpkg", "move"])
        .fails(&[ALL[0], "is not signed anew", "is not known"]);
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(trial.index()[0].get("SLOT"), Some("0"));

    configure(&trial, &own, &own, "");
    trial.run(&["binpkg", "move"]).succeeds();
    assert_eq!(trial.index()[0].get("SLOT"), Some("5"));
    verify(&trial).succeeds();
}
