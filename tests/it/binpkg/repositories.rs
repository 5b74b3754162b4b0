//! Packages named with their repository.

use std::process::Command;

use super::serve::Serving;
use crate::support::{EBD, Outcome, Trial, ebuild};

/// Packages of a repository with an alias, of one that is called by that alias, and of one that is not configured.
fn trial() -> Trial {
    let trial = Trial::new().gentoo().package("app-misc/foo-1", "");
    trial.run(&["build", "app-misc/foo"]).succeeds();
    for (name, version) in [("elsewhere", 2), ("other", 3)] {
        let folder = trial.path(name);
        for (file, text) in [
            ("profiles/repo_name", format!("{name}\n")),
            ("profiles/categories", "app-misc\n".to_owned()),
            (
                "metadata/layout.conf",
                "masters =\nthin-manifests = true\n".to_owned(),
            ),
            (&format!("app-misc/foo/foo-{version}.ebuild"), ebuild("")),
        ] {
            trial.put(&format!("{name}/{file}"), text);
        }
        let atom = format!("app-misc/foo::{name}");
        let folder = folder.to_str().unwrap();
        trial.run(&["build", "--repo", folder, &atom]).succeeds();
    }
    trial.put(
        "repo/metadata/layout.conf",
        "masters =\nthin-manifests = true\naliases = other\n",
    );
    trial
}

/// The versions that are named at the beginning of lines.
fn versions(outcome: &Outcome) -> String {
    let lines = outcome.succeeds().stdout.lines();
    let found = lines.filter_map(|line| line.strip_prefix("app-misc/foo-"));
    let found: Vec<&str> = found.map(|rest| rest.get(..1).unwrap()).collect();
    found.join(" ")
}

/// Lists packages of a host, which cannot be asked for together with a PKGDIR.
fn list_of(host: &Serving, trial: &Trial, atom: &str) -> Outcome {
    let address = format!("http://{}", host.host);
    let mut command = Command::new(EBD);
    command
        .args(["binpkg", "list", "--host", &address, "--config-root"])
        .arg(trial.path("conf"))
        .arg(atom)
        .env("HOME", trial.path("home"))
        .env("XDG_CACHE_HOME", trial.path("home/cache"));
    Outcome::of(&mut command)
}

#[test]
fn an_alias_means_its_repository_and_an_unknown_one_is_told() {
    let trial = trial();
    let host = Serving::of(&trial);
    let folder = trial.path("image").display().to_string();
    for command in [
        &["binpkg", "list"][..],
        &["--host"],
        &["binpkg", "show"],
        &["binpkg", "verify"],
        &["binpkg", "prune", "--pretend", "--older-than", "0h"],
        &["binpkg", "extract"],
        &["build", "-K", "--pretend"],
    ] {
        let with = |atom: &str| {
            let mut all = command.to_vec();
            all.push(atom);
            match command.last() {
                Some(&"--host") => list_of(&host, &trial, atom),
                Some(&"extract") => trial.run(&[&all[..], &[&folder]].concat()),
                _ => trial.run(&all),
            }
        };
        let listed = matches!(command.last(), Some(&("list" | "--host")));
        for (name, expected) in [("trial", "1 3"), ("other", "1 3"), ("elsewhere", "2")] {
            if listed {
                assert_eq!(versions(&with(&format!("app-misc/foo::{name}"))), expected);
                assert_eq!(versions(&with(&format!("foo::{name}"))), expected);
            }
        }
        for (name, suggestion) in [
            ("othre", "did you mean other?"),
            ("elsewere", "did you mean elsewhere?"),
            ("nowhere-at-all", "there are elsewhere, other, trial"),
        ] {
            with(&format!("app-misc/foo::{name}")).fails(&[&format!(
                "app-misc/foo::{name}: no repository is called {name}, and no package is of such a one; {suggestion}"
            )]);
        }
    }
    let outcome = trial.run(&["binpkg", "prune", "--keep", "0", "app-misc/foo::other"]);
    outcome.succeeds();
    assert_eq!(versions(&trial.run(&["binpkg", "list"])), "2");
}

#[test]
fn installed_packages_are_named_so_too() {
    let trial = trial();
    for (name, content) in [
        ("CONTENTS", ""),
        ("SLOT", "0\n"),
        ("EAPI", "8\n"),
        ("repository", "trial\n"),
    ] {
        trial.put(&format!("root/var/db/pkg/app-misc/foo-1/{name}"), content);
    }
    let root = trial.path("root").display().to_string();
    let quickpkg = |atom: &str| trial.run(&["binpkg", "quickpkg", "--root", &root, atom]);
    quickpkg("app-misc/foo::other").succeeds();
    quickpkg("app-misc/foo::othre")
        .fails(&["no repository is called othre", "did you mean other?"]);
}
