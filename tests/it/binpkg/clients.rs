//! PKGDIRs without several instances, and pruning by what clients can use.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::{FOO, Made, put};
use crate::support::Trial;
use ebd::binpkg::pkgdir::Format;

const BODY: &str = "IUSE=\"fast\"\nS=${WORKDIR}\n\
    src_install() { use fast && echo yes >fast; echo no >file; insinto /usr/share/foo; doins *; }";

#[test]
fn without_instances_a_build_takes_the_place_of_the_one_before() {
    for (format, name) in [("gpkg", "foo-1.gpkg.tar"), ("xpak", "foo-1.tbz2")] {
        let trial = Trial::new().gentoo().package("app-misc/foo-1", BODY);
        let conf = |uses: &str| {
            format!(
                "GENTOO_MIRRORS=\"\"\nFEATURES=\"-binpkg-multi-instance\"\nBINPKG_FORMAT=\"{format}\"\nUSE=\"{uses}\"\n"
            )
        };
        for uses in ["fast", ""] {
            trial.put("conf/etc/portage/make.conf", conf(uses));
            trial.run(&["build", "app-misc/foo"]).succeeds();
            let index = trial.index();
            assert_eq!(index.len(), 1, "{index:?}");
            assert_eq!(index[0].path(), format!("app-misc/{name}"));
            assert_eq!(index[0].build_id(), None);
            let flags = index[0].get("USE").unwrap_or_default();
            assert_eq!(flags.contains("fast"), uses == "fast");
        }
        for what in ["check", "verify", "fix"] {
            trial.run(&["binpkg", what]).succeeds();
        }
        let outcome = trial.run(&["build", "-k", "app-misc/foo"]);
        outcome.succeeds();
        assert!(
            outcome.stdout.ends_with(&format!("app-misc/{name}\n")),
            "{}",
            outcome.stdout
        );
        // What is there of the other layout stays readable, and gets company.
        trial.put(
            "conf/etc/portage/make.conf",
            conf("fast").replace("-binpkg", "binpkg"),
        );
        trial.run(&["build", "app-misc/foo"]).succeeds();
        let paths: Vec<String> = trial
            .index()
            .iter()
            .map(|entry| entry.path().into_owned())
            .collect();
        assert_eq!(paths.len(), 2, "{paths:?}");
        assert!(
            paths
                .iter()
                .any(|path| path.starts_with("app-misc/foo/foo-1-1.")),
            "{paths:?}"
        );
        trial.run(&["binpkg", "check"]).succeeds();
    }
}

#[test]
fn without_instances_packages_are_taken_over_as_they_are() {
    for (format, name) in [
        (Format::Gpkg, "foo-1.gpkg.tar"),
        (Format::Xpak, "foo-1.tbz2"),
    ] {
        let trial = Trial::new();
        let source = put(&trial.packages(), Made { format, ..FOO });
        let target = Trial::new().make_conf("FEATURES=\"-binpkg-multi-instance\"\n");
        for expected in ["imported", "already there"] {
            let outcome = target.run(&["binpkg", "import", source.to_str().unwrap()]);
            let expected = format!("{expected}: app-misc/{name}\n");
            assert_eq!(outcome.succeeds().stdout, expected);
        }
        let taken = target.packages().join("app-misc").join(name);
        assert!(fs::read(&taken).unwrap() == fs::read(&source).unwrap());
        let modified = |path: &Path| {
            let time = fs::metadata(path).unwrap().modified().unwrap();
            time.duration_since(UNIX_EPOCH).unwrap().as_secs()
        };
        assert_eq!(modified(&taken), modified(&source));
        target.run(&["binpkg", "check"]).succeeds();
    }
}

/// Three builds of one version and one of another, with keywords and flags.
fn builds() -> Trial {
    let trial = Trial::new()
        .gentoo()
        .package("app-misc/foo-1", BODY)
        .make_conf("FEATURES=\"-compress-index\"\n");
    for (uses, built) in [("fast", 0), ("fast slow", 60), ("", 120)] {
        put(
            &trial.packages(),
            Made {
                uses,
                built: FOO.built + built,
                ..FOO
            },
        );
    }
    put(
        &trial.packages(),
        Made {
            cpv: "app-misc/masked-1",
            ..FOO
        },
    );
    // The packages of the helper have no keywords.
    trial.put("conf/etc/portage/package.accept_keywords", "*/* **\n");
    trial
}

fn left(trial: &Trial) -> Vec<String> {
    let index = trial.index();
    index
        .iter()
        .map(|entry| entry.path().into_owned())
        .collect()
}

#[test]
fn what_no_client_can_use_goes() {
    let trial = builds();
    for (client, conf) in [("one", "USE=\"fast slow\"\n"), ("two", "USE=\"-fast\"\n")] {
        trial.put(&format!("{client}/etc/portage/make.conf"), conf);
        let repos = std::fs::read(trial.path("conf/etc/portage/repos.conf")).unwrap();
        trial.put(&format!("{client}/etc/portage/repos.conf"), repos);
        trial.put(
            &format!("{client}/etc/portage/package.mask"),
            "app-misc/masked\n",
        );
        trial.put(
            &format!("{client}/etc/portage/package.accept_keywords"),
            "*/* **\n",
        );
        let profile = trial.path(&format!("{client}/etc/portage/make.profile"));
        std::os::unix::fs::symlink(trial.path("repo/profiles/default"), profile).unwrap();
    }
    let one = trial.path("one").display().to_string();
    let two = trial.path("two").display().to_string();
    let all = left(&trial);
    let rules = ["--profile", one.as_str(), "--profile", two.as_str()];
    let run = |more: &[&str]| {
        let mut arguments = vec!["binpkg", "prune"];
        arguments.extend(more);
        trial.run(&arguments)
    };
    let outcome = run(&[&rules[..], &["--pretend"]].concat());
    outcome.succeeds();
    assert!(
        outcome.stdout.contains("--profile would free"),
        "{}",
        outcome.stdout
    );
    assert_eq!(left(&trial), all);
    run(&rules).succeeds();
    assert_eq!(
        left(&trial),
        [
            "app-misc/foo/foo-1-2.gpkg.tar",
            "app-misc/foo/foo-1-3.gpkg.tar"
        ]
    );
    run(&["--profile", &one]).succeeds();
    assert_eq!(left(&trial), ["app-misc/foo/foo-1-2.gpkg.tar"]);
    run(&["--profile", "/none/such"]).fails(&["/none/such: is neither a profile"]);
}

#[test]
fn a_profile_is_tried_with_the_configuration_of_this_machine() {
    let trial = builds()
        .file("repo/profiles/quick/eapi", "8\n")
        .file("repo/profiles/quick/parent", "../default\n")
        .file("repo/profiles/quick/make.defaults", "USE=\"fast\"\n");
    // What the machine says itself counts for each profile.
    trial.put("conf/etc/portage/package.use", "app-misc/foo slow\n");
    trial
        .run(&["binpkg", "prune", "--profile", "quick"])
        .succeeds();
    assert_eq!(
        left(&trial),
        [
            "app-misc/foo/foo-1-2.gpkg.tar",
            "app-misc/masked-1-1.gpkg.tar"
        ]
        .map(|path| path.replace("masked-1-1", "masked/masked-1-1"))
    );
}
