//! What packages were made of, held against what they would be made of.

use std::fs;

use serde_json::Value;

use crate::support::{Outcome, Trial};

const BODY: &str = "inherit own\nSRC_URI=\"mirror://gentoo/a.txt\"\nS=${WORKDIR}\nsrc_unpack() { :; }\n\
    src_prepare() { eapply_user; }\nsrc_install() { insinto /usr/share/foo; doins \"${FILESDIR}\"/one; }";

fn trial() -> Trial {
    Trial::new()
        .gentoo()
        .package("app-misc/foo-1", BODY)
        .eclass("own", "# The first\n")
        .file("repo/app-misc/foo/files/one", "one\n")
        .distfile("a.txt", b"first\n")
        .manifest("app-misc/foo", &crate::support::dist("a.txt", b"first\n"))
        .make_conf("GENTOO_MIRRORS=\"\"\n")
}

fn build(trial: &Trial, more: &[&str]) -> Outcome {
    let mut arguments = vec!["build", "--json", "-k", "app-misc/foo"];
    arguments.extend(more);
    trial.run(&arguments)
}

/// Why the package was not used, or nothing if it was.
fn reason(outcome: &Outcome) -> Option<String> {
    outcome.succeeds();
    let events = outcome.events();
    let named = |name: &str| events.iter().find(|event| event["event"] == name);
    match named("binary-used") {
        Some(_) => None,
        None => {
            named("finished").expect("built anew");
            let unfit = &named("binary-unfit").expect("a reason")["unfit"];
            // The newest was looked at first.
            Some(unfit[0]["reason"].as_str().unwrap().to_owned())
        }
    }
}

#[test]
fn a_package_of_something_else_does_not_hide_what_was_edited() {
    let trial = trial();
    trial.run(&["build", "app-misc/foo"]).succeeds();
    assert_eq!(reason(&build(&trial, &[])), None);
    type Edit<'a> = Box<dyn Fn() + 'a>;
    let edits: [(&str, Edit<'_>); 7] = [
        (
            "ebuild",
            Box::new(|| {
                let path = trial.ebuild_path("app-misc/foo-1");
                let text = fs::read_to_string(&path).unwrap();
                fs::write(path, format!("{text}\n# Edited\n")).unwrap();
            }),
        ),
        (
            "eclasses",
            Box::new(|| trial.put("repo/eclass/own.eclass", "# The second\n")),
        ),
        (
            "files",
            Box::new(|| trial.put("repo/app-misc/foo/files/one", "two\n")),
        ),
        (
            "files",
            Box::new(|| trial.put("repo/app-misc/foo/files/new/two", "two\n")),
        ),
        (
            "sources",
            Box::new(|| {
                trial.put("distfiles/a.txt", "second\n");
                let line = crate::support::dist("a.txt", b"second\n");
                trial.put("repo/app-misc/foo/Manifest", line);
            }),
        ),
        (
            "patches",
            Box::new(|| trial.put("conf/etc/portage/patches/app-misc/foo/a.patch", "")),
        ),
        (
            "patches",
            Box::new(|| trial.put("conf/etc/portage/patches/app-misc/foo-1-r0/b.patch", "")),
        ),
    ];
    for (part, edit) in edits {
        edit();
        let expected = format!("it was made of something else; not as it was: {part}");
        // A plan says so too.
        let plan = trial.run(&["build", "--json", "--pretend", "-k", "app-misc/foo"]);
        assert!(plan.stdout.contains(&expected), "{part}: {}", plan.stdout);
        assert_eq!(
            reason(&build(&trial, &["--binpkg-input=ignore"])),
            None,
            "{part}"
        );
        assert_eq!(reason(&build(&trial, &[])), Some(expected), "{part}");
        assert_eq!(reason(&build(&trial, &[])), None, "{part}");
    }
}

#[test]
fn flags_and_dependencies_count_if_all_is_to_be_the_same() {
    let trial = trial();
    trial.run(&["build", "app-misc/foo"]).succeeds();
    trial.put(
        "conf/etc/portage/make.conf",
        "GENTOO_MIRRORS=\"\"\nCFLAGS=\"-O3\"\n",
    );
    assert_eq!(reason(&build(&trial, &[])), None);
    let reason_for_all = reason(&build(&trial, &["--binpkg-input=all"])).unwrap();
    assert!(
        reason_for_all.ends_with("not as it was: flags"),
        "{reason_for_all}"
    );
    assert_eq!(reason(&build(&trial, &["--binpkg-input=all"])), None);
}

#[test]
fn a_package_keeps_what_it_was_made_of() {
    let trial = trial();
    trial.run(&["build", "app-misc/foo"]).succeeds();
    let show = |id: u64| {
        let atom = format!("=app-misc/foo-1-{id}");
        let outcome = trial.run(&["binpkg", "show", "--file", "EBD_INPUT", &atom]);
        outcome.succeeds();
        outcome.stdout
    };
    let text = show(1);
    let parts: Vec<&str> = text
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        parts,
        [
            "1",
            "CHOST",
            "USE",
            "dependencies",
            "ebuild",
            "eclasses",
            "files",
            "flags",
            "patches",
            "sources"
        ]
    );
    // The same once more, also from a build that was taken up, is of the same.
    trial
        .run(&["build", "--stop-after", "unpack", "app-misc/foo"])
        .succeeds();
    trial.run(&["build", "--resume", "app-misc/foo"]).succeeds();
    assert_eq!(show(2), text);
    // Who begins with one state and ends with another has not made the other.
    trial
        .run(&["build", "--stop-after", "unpack", "app-misc/foo"])
        .succeeds();
    trial.put("repo/app-misc/foo/files/one", "edited meanwhile\n");
    trial.run(&["build", "--resume", "app-misc/foo"]).succeeds();
    assert_eq!(show(3), text);
    let reason = reason(&build(&trial, &[])).unwrap();
    assert!(reason.ends_with(": files"), "{reason}");
}

#[test]
fn a_package_of_a_host_is_not_taken_either() {
    let host = trial();
    host.run(&["build", "app-misc/foo"]).succeeds();
    let serving = super::serve::Serving::of(&host);
    let trial = trial();
    let conf = format!(
        "GENTOO_MIRRORS=\"\"\nPORTAGE_BINHOST=\"http://{}\"\n",
        serving.host
    );
    trial.put("conf/etc/portage/make.conf", conf);
    trial.put("repo/eclass/own.eclass", "# Another\n");
    let outcome = trial.run(&["build", "--json", "-g", "app-misc/foo"]);
    let reason = reason(&outcome).unwrap();
    assert!(reason.ends_with(": eclasses"), "{reason}");
    let own: Vec<Value> = outcome.events();
    assert_eq!(
        own.iter()
            .filter(|event| event["event"] == "finished")
            .count(),
        1
    );
    assert_eq!(trial.index().len(), 1);
}
