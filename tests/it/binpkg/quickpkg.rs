//! `ebd binpkg quickpkg`.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;

use ebd::binpkg::package::Package;
use ebd::binpkg::tar_reader::TarReader;
use ebd::util::digest::HashName;

use crate::support::{Outcome, Trial};

/// A system with one package, of which a file is missing, one is changed, and a folder has become a link.
fn installed() -> Trial {
    let trial = Trial::new().gentoo().make_conf("CONFIG_PROTECT=\"/etc\"\n");
    let md5 = |content: &str| HashName::Md5.hex(content.as_bytes());
    for (path, content) in [
        ("usr/bin/foo", "#!/bin/sh\n"),
        ("usr/share/a file", "changed\n"),
        ("etc/kept.conf", "as it was\n"),
        ("etc/edited.conf", "secret\n"),
        ("usr/lib/data", "x"),
        ("usr/other", "not of the package"),
    ] {
        trial.put(&format!("root/{path}"), content);
    }
    symlink("foo", trial.path("root/usr/bin/bar")).unwrap();
    symlink("lib", trial.path("root/usr/lib64")).unwrap();
    let contents = format!(
        "dir /usr\ndir /usr/bin\nobj /usr/bin/foo {} 1\nsym /usr/bin/bar -> foo 1\n\
         obj /usr/share/a file {} 1\nobj /etc/kept.conf {} 1\nobj /etc/edited.conf {} 1\n\
         dir /usr/lib64\nobj /usr/lib64/data {} 1\nobj /usr/gone {} 1\n",
        md5("#!/bin/sh\n"),
        md5("as installed\n"),
        md5("as it was\n"),
        md5("as installed\n"),
        md5("x"),
        md5("gone"),
    );
    for (name, content) in [
        ("CONTENTS", contents.as_str()),
        ("CATEGORY", "app-misc\n"),
        ("PF", "foo-1\n"),
        ("SLOT", "0\n"),
        ("EAPI", "8\n"),
        ("IUSE", "bindist x\n"),
        ("USE", "x\n"),
        ("BUILD_ID", "7\n"),
        ("BUILD_TIME", "5\n"),
        ("COUNTER", "12\n"),
        ("repository", "trial\n"),
    ] {
        trial.put(&format!("root/var/db/pkg/app-misc/foo-1/{name}"), content);
    }
    trial
}

fn quickpkg(trial: &Trial, more: &[&str]) -> Outcome {
    let root = trial.path("root");
    let mut arguments = vec!["binpkg", "quickpkg", "--root", root.to_str().unwrap()];
    arguments.extend(more);
    trial.run(&arguments)
}

/// The names in the image of a package, with the content of files.
fn image(path: &std::path::Path) -> Vec<(String, String)> {
    let mut package = Package::open(path).unwrap();
    let prefix = String::from_utf8(package.image_prefix().to_vec()).unwrap();
    let mut reader = TarReader::new(package.image().unwrap());
    let mut found = Vec::new();
    while let Some(member) = reader.next_member().unwrap() {
        let mut content = String::new();
        reader.read_to_string(&mut content).unwrap();
        let name = String::from_utf8(member.name).unwrap();
        let name = name.strip_prefix(&prefix).unwrap();
        found.push((name.trim_start_matches('/').to_owned(), content));
    }
    found
}

const NOTE: &str = "# empty file because --include-config=n when `quickpkg` was used\n";

#[test]
fn a_package_is_made_of_what_is_installed() {
    for format in ["gpkg", "xpak"] {
        let trial = installed();
        let outcome = quickpkg(&trial, &["--json", "--format", format, "foo"]);
        outcome.succeeds();
        let events = outcome.events();
        let event = events
            .iter()
            .find(|event| event["event"] == "packed")
            .unwrap();
        let root = trial.path("root");
        let paths = |names: &[&str]| -> Vec<String> {
            let all = names
                .iter()
                .map(|name| root.join(name).display().to_string());
            all.collect()
        };
        assert_eq!(
            event["excluded"],
            serde_json::json!(paths(&["etc/edited.conf", "etc/kept.conf"]))
        );
        assert_eq!(event["missing"], serde_json::json!(paths(&["usr/gone"])));
        assert_eq!(
            event["changed"],
            serde_json::json!(paths(&["etc/edited.conf", "usr/share/a file"]))
        );
        assert!(
            outcome.stdout.contains("USE=-bindist"),
            "{}",
            outcome.stdout
        );
        let path = std::path::PathBuf::from(event["path"].as_str().unwrap());
        let extension = if format == "gpkg" { "gpkg.tar" } else { "xpak" };
        assert!(path.ends_with(format!("app-misc/foo/foo-1-7.{extension}")));
        let found = image(&path);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(name, content)| (name.as_str(), content.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("etc/edited.conf", NOTE),
                ("etc/kept.conf", NOTE),
                ("usr", ""),
                ("usr/bin", ""),
                ("usr/bin/bar", ""),
                ("usr/bin/foo", "#!/bin/sh\n"),
                ("usr/lib64", ""),
                ("usr/lib64/data", "x"),
                ("usr/share/a file", "changed\n"),
            ]
        );
        let mut package = Package::open(&path).unwrap();
        let metadata = package.metadata().unwrap();
        assert_eq!(metadata["BUILD_ID"], b"7\n");
        assert_eq!(metadata["COUNTER"], b"12\n");
        assert_eq!(metadata.contains_key("CONTENTS"), format == "gpkg");
        for what in ["check", "verify"] {
            trial.run(&["binpkg", what]).succeeds();
        }
        let folder = trial.path("extracted");
        let folder = folder.to_str().unwrap();
        trial
            .run(&["binpkg", "extract", path.to_str().unwrap(), folder])
            .succeeds();
        // The same once more: the same build under another name. Files of one second would be one to Portage.
        std::thread::sleep(std::time::Duration::from_millis(1100));
        quickpkg(&trial, &["--format", format, "foo"]).succeeds();
        let ids: Vec<_> = trial
            .index()
            .iter()
            .map(|entry| (entry.build_id(), entry.path().into_owned()))
            .collect();
        assert_eq!(ids.len(), 2);
        assert_eq!(
            ids[1],
            (Some(7), format!("app-misc/foo/foo-1-8.{extension}"))
        );
        trial.run(&["binpkg", "check"]).succeeds();
    }
}

#[test]
fn protected_files_are_packed_if_they_are_wanted() {
    for (option, edited, kept) in [
        ("--include-config", "secret\n", "as it was\n"),
        ("--include-config=y", "secret\n", "as it was\n"),
        ("--include-unmodified-config", NOTE, "as it was\n"),
        ("--include-config=n", NOTE, NOTE),
    ] {
        let trial = installed();
        quickpkg(&trial, &[option, "=app-misc/foo-1"]).succeeds();
        let found = image(&trial.packages().join("app-misc/foo/foo-1-7.gpkg.tar"));
        for (name, content) in [("etc/edited.conf", edited), ("etc/kept.conf", kept)] {
            let found = found.iter().find(|(found, _)| found == name).unwrap();
            assert_eq!(found.1, content, "{option} {name}");
        }
    }
}

#[test]
fn a_package_without_files_is_one_too() {
    for format in ["gpkg", "xpak"] {
        let trial = installed();
        fs::remove_file(trial.path("root/var/db/pkg/app-misc/foo-1/CONTENTS")).unwrap();
        quickpkg(&trial, &["--format", format, "app-misc/foo"]).succeeds();
        trial.run(&["binpkg", "verify"]).succeeds();
    }
}

#[test]
fn what_cannot_be_packed_is_told_and_nothing_is_left() {
    let trial = installed();
    quickpkg(&trial, &["app-misc/bar"]).fails(&["app-misc/bar: no such package is installed"]);
    trial.put(
        "root/var/db/pkg/app-misc/foo-1/CONTENTS",
        "dir /usr\nnonsense\n",
    );
    quickpkg(&trial, &["foo"]).fails(&["CONTENTS:2: is no line of a list of files"]);
    assert!(trial.index().is_empty());
    fs::remove_dir_all(trial.path("root/var")).unwrap();
    quickpkg(&trial, &["foo"]).fails(&["no database of installed packages"]);
}
