//! Binary packages, of PKGDIR and of hosts, in the place of builds.

use std::fs;

use serde_json::Value;

use super::serve::Serving;
use crate::support::{Outcome, Trial};

pub(super) const BODY: &str = "IUSE=\"fast slow\"\nRDEPEND=\"fast? ( app-misc/bar )\"\nS=${WORKDIR}\n\
    src_install() { use fast && echo yes >fast; echo no >file; insinto /usr/share/foo; doins *; }";

/// A trial with a package whose flags `uses` sets.
pub(super) fn trial(uses: &str) -> Trial {
    Trial::new()
        .gentoo()
        .package("app-misc/foo-1", BODY)
        .make_conf(&format!("GENTOO_MIRRORS=\"\"\nUSE=\"{uses}\"\n"))
}

/// A host that has builds of the package with these flags, one after the other.
fn host(all_uses: &[&str]) -> (Trial, Serving) {
    let trial = trial("");
    for uses in all_uses {
        trial.put("conf/etc/portage/make.conf", format!("USE=\"{uses}\"\n"));
        trial.run(&["build", "app-misc/foo"]).succeeds();
    }
    let serving = Serving::of(&trial);
    (trial, serving)
}

/// Names hosts, the one with the highest priority first.
pub(super) fn ask(trial: &Trial, uses: &str, hosts: &[&Serving]) {
    let all: Vec<String> = hosts
        .iter()
        .map(|serving| format!("http://{}/", serving.host))
        .collect();
    trial.put(
        "conf/etc/portage/make.conf",
        format!(
            "GENTOO_MIRRORS=\"\"\nUSE=\"{uses}\"\nPORTAGE_BINHOST=\"{}\"\n",
            all.join(" ")
        ),
    );
}

pub(super) fn events(outcome: &Outcome, name: &str) -> Vec<Value> {
    let all = outcome.events();
    all.into_iter()
        .filter(|event| event["event"] == name)
        .collect()
}

/// The one package that was used, below PKGDIR.
fn used(trial: &Trial, outcome: &Outcome) -> String {
    outcome.succeeds();
    assert!(events(outcome, "finished").is_empty(), "{}", outcome.stdout);
    let [used] = &events(outcome, "binary-used")[..] else {
        panic!("{}", outcome.stdout)
    };
    let path = used["path"].as_str().unwrap();
    let path = path.strip_prefix(trial.packages().to_str().unwrap());
    path.unwrap().trim_start_matches('/').to_owned()
}

#[test]
fn a_package_with_the_wanted_flags_is_used_and_without_one_it_is_built() {
    let trial = trial("");
    for uses in ["", "fast", "fast slow"] {
        trial.put("conf/etc/portage/make.conf", format!("USE=\"{uses}\"\n"));
        trial.run(&["build", "app-misc/foo"]).succeeds();
    }
    for (uses, expected) in [("fast", "2"), ("", "1"), ("slow fast", "3")] {
        trial.put("conf/etc/portage/make.conf", format!("USE=\"{uses}\"\n"));
        let outcome = trial.run(&["build", "--json", "-k", "app-misc/foo"]);
        let expected = format!("app-misc/foo/foo-1-{expected}.gpkg.tar");
        assert_eq!(used(&trial, &outcome), expected);
    }
    trial.put("conf/etc/portage/make.conf", "USE=\"slow\"\n");
    let outcome = trial.run(&["build", "--json", "-k", "app-misc/foo"]);
    outcome.succeeds();
    let unfit = &events(&outcome, "binary-unfit")[0]["unfit"];
    assert_eq!(unfit.as_array().unwrap().len(), 3, "{unfit}");
    assert_eq!(unfit[0]["reason"], "its USE flags differ: -fast", "{unfit}");
    assert_eq!(events(&outcome, "finished")[0]["build_id"], 4);
    // Whatever the flags: the newest.
    trial.put("conf/etc/portage/make.conf", "USE=\"fast\"\n");
    let outcome = trial.run(&[
        "build",
        "--json",
        "-k",
        "--binpkg-respect-use=n",
        "app-misc/foo",
    ]);
    assert_eq!(used(&trial, &outcome), "app-misc/foo/foo-1-4.gpkg.tar");
}

#[test]
fn dependencies_must_be_those_of_the_ebuild() {
    let trial = trial("fast");
    trial.run(&["build", "app-misc/foo"]).succeeds();
    let trial = trial.package("app-misc/foo-1", &BODY.replace("misc/bar", "misc/baz"));
    let arguments = ["build", "--json", "--nodeps", "-k", "app-misc/foo"];
    let outcome = trial.run(&arguments);
    let unfit = events(&outcome, "binary-unfit");
    let reason = unfit[0]["unfit"][0]["reason"].as_str().unwrap();
    assert_eq!(reason, "RDEPEND has changed since");
    assert_eq!(events(&outcome, "finished").len(), 1, "{}", outcome.stdout);
    // Without the flag it is not a dependency at all.
    trial.put("conf/etc/portage/make.conf", "USE=\"\"\n");
    trial.run(&["build", "--nodeps", "app-misc/foo"]).succeeds();
    let outcome = trial.run(&arguments);
    assert_eq!(used(&trial, &outcome), "app-misc/foo/foo-1-3.gpkg.tar");
}

#[test]
fn packages_come_from_the_best_host() {
    let (_one, first) = host(&["", "fast slow"]);
    // What is built in the same second, with the same size, is one package to Portage.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let (_two, second) = host(&["slow", "fast"]);
    let trial = trial("");
    for (uses, serving, id) in [("fast", &second, 2), ("slow", &second, 1), ("", &first, 1)] {
        ask(&trial, uses, &[&first, &second]);
        let outcome = trial.run(&["build", "--json", "--getbinpkg", "app-misc/foo"]);
        used(&trial, &outcome);
        let used = &events(&outcome, "binary-used")[0];
        assert_eq!(used["host"], format!("http://{}", serving.host), "{uses}");
        assert_eq!(used["build_id"], id);
    }
    // One that is here need not be fetched.
    let outcome = trial.run(&["build", "--json", "-g", "app-misc/foo"]);
    used(&trial, &outcome);
    assert_eq!(events(&outcome, "binary-used")[0]["host"], Value::Null);
    trial.run(&["binpkg", "check"]).succeeds();
    trial.run(&["binpkg", "verify"]).succeeds();
    // What no host has is built.
    ask(&trial, "fast slow", &[&second]);
    let outcome = trial.run(&["build", "--json", "-g", "app-misc/foo"]);
    assert_eq!(events(&outcome, "finished").len(), 1, "{}", outcome.stdout);
}

#[test]
fn without_ebuilds_the_newest_is_used() {
    let (_host, serving) = host(&["fast", ""]);
    let trial = Trial::new().gentoo();
    ask(&trial, "fast", &[&serving]);
    let outcome = trial.run(&["build", "--json", "-G", "foo"]);
    assert_eq!(used(&trial, &outcome), "app-misc/foo/foo-1-2.gpkg.tar");
    let outcome = trial.run(&[
        "build",
        "--json",
        "-G",
        "--binpkg-respect-use",
        "=app-misc/foo-1",
    ]);
    assert_eq!(used(&trial, &outcome), "app-misc/foo/foo-1-1.gpkg.tar");
    let outcome = trial.run(&["build", "-K", "=app-misc/foo-1-2"]);
    outcome.succeeds();
    assert!(
        outcome.stdout.ends_with("foo-1-2.gpkg.tar\n"),
        "{}",
        outcome.stdout
    );
    trial
        .run(&["build", "-K", "app-misc/bar"])
        .fails(&["app-misc/bar", "there is no binary package of it"]);
    trial
        .run(&["build", "-K", "app-misc/foo[slow]"])
        .fails(&["there is no binary package of it"]);
}

#[test]
fn features_ask_for_hosts_and_the_command_line_does_not() {
    let (_host, serving) = host(&["fast"]);
    let trial = trial("");
    let conf = format!(
        "USE=\"fast\"\nFEATURES=\"getbinpkg\"\nPORTAGE_BINHOST=\"http://{}\"\n",
        serving.host
    );
    trial.put("conf/etc/portage/make.conf", conf);
    let outcome = trial.run(&["build", "--json", "--getbinpkg=n", "app-misc/foo"]);
    assert_eq!(events(&outcome, "finished").len(), 1, "{}", outcome.stdout);
    fs::remove_dir_all(trial.packages()).unwrap();
    let outcome = trial.run(&["build", "--json", "app-misc/foo"]);
    assert_eq!(used(&trial, &outcome), "app-misc/foo/foo-1-1.gpkg.tar");
}

#[test]
fn features_without_a_host_are_told_and_what_is_here_is_used() {
    let trial = trial("");
    let conf = "USE=\"fast\"\nFEATURES=\"getbinpkg\"\n";
    trial.put("conf/etc/portage/make.conf", conf);
    let outcome = trial.run(&["build", "app-misc/foo"]);
    outcome.succeeds();
    let expected = "FEATURES=getbinpkg: no host of binary packages is configured";
    assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    let outcome = trial.run(&["build", "--json", "app-misc/foo"]);
    assert_eq!(used(&trial, &outcome), "app-misc/foo/foo-1-1.gpkg.tar");
}

#[test]
fn a_plan_shows_what_would_be_used_and_changes_nothing() {
    let (_host, serving) = host(&["fast"]);
    let trial = trial("");
    ask(&trial, "fast", &[&serving]);
    let outcome = trial.run(&["build", "--pretend", "-g", "app-misc/foo"]);
    outcome.succeeds();
    let expected = format!(
        "app-misc/foo-1-1::trial USE=\"fast -slow\" binary package app-misc/foo/foo-1-1.gpkg.tar of http://{}\n",
        serving.host
    );
    assert_eq!(outcome.stdout, expected);
    assert!(!trial.packages().exists());
}

#[test]
fn a_host_that_cannot_be_used_is_told_and_the_package_is_built() {
    let (host, serving) = host(&["fast"]);
    let trial = trial("");
    // One that lies, and one that is not there.
    let package = host.packages().join("app-misc/foo/foo-1-1.gpkg.tar");
    let mut bytes = fs::read(&package).unwrap();
    let half = bytes.len() / 2;
    bytes[half] ^= 1;
    fs::write(&package, bytes).unwrap();
    ask(&trial, "fast", &[&serving]);
    let conf = trial.path("conf/etc/portage/make.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(
        &conf,
        text.replace("http://1", "http://127.0.0.1:9/none http://1"),
    )
    .unwrap();
    let outcome = trial.run(&["build", "-g", "app-misc/foo"]);
    outcome.succeeds();
    for part in [
        "http://127.0.0.1:9/none: its package index cannot be used",
        "the index says",
        "built app-misc/foo-1",
    ] {
        assert!(outcome.stderr.contains(part), "{}", outcome.stderr);
    }
    assert!(
        trial
            .packages()
            .join("app-misc/foo/foo-1-1.gpkg.tar")
            .exists()
    );
    trial.run(&["binpkg", "verify"]).succeeds();
}

#[test]
fn policies_of_hosts_decide_what_is_taken() {
    let (_host, serving) = host(&["fast"]);
    let trial = trial("");
    for (policy, reason) in [
        ("verify-signature = yes", Some("is not signed")),
        ("getbinpkg-exclude = app-misc/foo", None),
        ("getbinpkg-include = app-misc/bar", None),
    ] {
        trial.put(
            "conf/etc/portage/binrepos.conf",
            format!("[mine]\nsync-uri = http://{}/\n{policy}\n", serving.host),
        );
        let outcome = trial.run(&["build", "-G", "app-misc/foo"]);
        outcome.fails(&["app-misc/foo"]);
        match reason {
            Some(reason) => assert!(outcome.stderr.contains(reason), "{}", outcome.stderr),
            None => assert!(
                outcome.stderr.contains("there is no binary package"),
                "{}",
                outcome.stderr
            ),
        }
        assert!(trial.index().is_empty());
    }
}

#[test]
fn a_host_may_be_warned_of_only() {
    let (_host, serving) = host(&["fast"]);
    let trial = trial("");
    trial.put(
        "conf/etc/portage/binrepos.conf",
        format!(
            "[mine]\nsync-uri = http://{}/\nebd-signatures = warn\nverify-signature = yes\n",
            serving.host
        ),
    );
    let outcome = trial.run(&["build", "-G", "app-misc/foo"]);
    outcome.ends(0, &["is used, although", "is not signed"]);
    assert_eq!(trial.index().len(), 1);
}

#[test]
fn keys_ask_for_signatures() {
    let (_host, serving) = host(&["fast"]);
    let trial = trial("");
    let keyring = trial.path("keyring");
    let configure = |more: &str| {
        trial.put(
            "conf/etc/portage/make.conf",
            format!(
                "GENTOO_MIRRORS=\"\"\nPORTAGE_BINHOST=\"http://{}/\"\n\
                 BINPKG_GPG_VERIFY_GPG_HOME=\"{}\"\n{more}",
                serving.host,
                keyring.display()
            ),
        );
    };
    configure("");
    trial.put("keyring/pubring.kbx", "x".repeat(33));
    trial
        .run(&["build", "-G", "app-misc/foo"])
        .fails(&["is not signed", "there are keys in"]);
    configure("FEATURES=\"binpkg-ignore-signature\"\n");
    trial.run(&["build", "-G", "app-misc/foo"]).succeeds();
    // What gpg makes when it is asked for anything.
    trial.put("keyring/pubring.kbx", "x".repeat(32));
    configure("");
    trial.run(&["build", "-G", "app-misc/foo"]).succeeds();
}

#[test]
fn what_portage_has_kept_is_not_fetched() {
    let (host, serving) = host(&["fast"]);
    let path = "app-misc/foo/foo-1-1.gpkg.tar";
    let trial = trial("");
    trial.put(
        "conf/etc/portage/binrepos.conf",
        format!(
            "[mine]\nsync-uri = http://{}/\nlocation = {}\n",
            serving.host,
            trial.path("kept").display()
        ),
    );
    let there = host.packages().join(path);
    let content = fs::read(&there).unwrap();
    let mut other = content.clone();
    other.reverse();
    trial.put(&format!("kept/{path}"), &other);
    trial.run(&["build", "-G", "app-misc/foo"]).succeeds();
    let own = trial.packages().join(path);
    assert!(fs::read(&own).unwrap() == content, "what was fetched");

    fs::remove_dir_all(trial.packages()).unwrap();
    fs::remove_file(&there).unwrap();
    trial
        .run(&["build", "-G", "app-misc/foo"])
        .fails(&["app-misc/foo"]);
    trial.put(&format!("kept/{path}"), &content);
    trial.run(&["build", "-G", "app-misc/foo"]).succeeds();
    assert!(fs::read(&own).unwrap() == content, "what was kept");
}

#[test]
fn what_hosts_have_is_listed() {
    let (_host, serving) = host(&["fast", ""]);
    let trial = Trial::new().gentoo();
    ask(&trial, "", &[&serving]);
    let list = |arguments: &[&str]| {
        let mut all = vec!["binpkg", "list"];
        all.extend(arguments);
        let mut command = std::process::Command::new(crate::support::EBD);
        command
            .args(all)
            .arg("--config-root")
            .arg(trial.path("conf"))
            .env("HOME", trial.path("home"))
            .env("XDG_CACHE_HOME", trial.path("home/cache"));
        Outcome::of(&mut command)
    };
    let outcome = list(&["--remote"]);
    outcome.succeeds();
    let address = format!("http://{}", serving.host);
    assert!(
        outcome
            .stdout
            .starts_with(&format!("# {address}\napp-misc/foo-1\n")),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains("-fast"), "{}", outcome.stdout);
    let outcome = list(&["--json", "--host", &address, "=app-misc/foo-1-1"]);
    let one: Value = serde_json::from_str(outcome.stdout.trim()).unwrap();
    assert_eq!(one["host"], address);
    assert_eq!(
        one["address"],
        format!("{address}/app-misc/foo/foo-1-1.gpkg.tar")
    );
    assert_eq!(one["use"]["fast"], true);
    list(&["--host", "http://127.0.0.1:9"]).fails(&["cannot be fetched"]);
}

#[test]
fn options_without_a_meaning_are_refused() {
    let trial = trial("");
    trial
        .run(&["build", "-g", "app-misc/foo"])
        .fails(&["no host of binary packages is configured"]);
    trial
        .run(&["build", "--binpkg-respect-use", "app-misc/foo"])
        .fails(&["are for --usepkg"]);
    trial
        .run(&["build", "-k", "--stop-after", "prepare", "app-misc/foo"])
        .ends(2, &["cannot be used with"]);
}

#[test]
fn many_may_bring_the_same_at_once() {
    let (_host, serving) = host(&["", "fast"]);
    let trial = trial("");
    ask(&trial, "fast", &[&serving]);
    let crowd: Vec<_> = (0..6)
        .map(|number| {
            let uses = ["fast", "-fast"][number % 2];
            let arguments = ["build", "-G", "--binpkg-respect-use", "app-misc/foo"];
            let mut command = trial.command(&arguments);
            command
                .env("USE", uses)
                .stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in crowd {
        let done = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{said}");
    }
    let mut paths: Vec<String> = trial
        .index()
        .iter()
        .map(|entry| entry.path().into_owned())
        .collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "app-misc/foo/foo-1-1.gpkg.tar",
            "app-misc/foo/foo-1-2.gpkg.tar"
        ]
    );
    assert!(!trial.packages().join(".fetching").exists());
    trial.run(&["binpkg", "check"]).succeeds();
    trial.run(&["binpkg", "verify"]).succeeds();
}
