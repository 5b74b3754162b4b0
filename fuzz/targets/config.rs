//! A whole configuration: the input is files, each behind a line `%NUMBER` that says which of them it is.
#![no_main]

use std::cell::OnceCell;
use std::fs;
use std::path::PathBuf;

use ebd::config::{Config, Options, PackageQuery};
use ebd::pms::cpv::Cpv;
use ebd::pms::eapi::Eapi;
use ebd_fuzz::Place;
use libfuzzer_sys::fuzz_target;

/// What a fuzzer may write.
const FILES: [&str; 35] = [
    "etc/portage/binrepos.conf",
    "etc/portage/make.conf",
    "etc/portage/mirrors",
    "etc/portage/package.accept_keywords",
    "etc/portage/package.env",
    "etc/portage/package.license",
    "etc/portage/package.mask",
    "etc/portage/package.properties",
    "etc/portage/package.unmask",
    "etc/portage/package.use",
    "etc/portage/profile/package.provided",
    "etc/portage/profile/use.mask",
    "repo/metadata/layout.conf",
    "repo/profiles/arch.list",
    "repo/profiles/base/deprecated",
    "repo/profiles/base/eapi",
    "repo/profiles/base/make.defaults",
    "repo/profiles/base/package.bashrc",
    "repo/profiles/base/package.keywords",
    "repo/profiles/base/package.mask",
    "repo/profiles/base/package.provided",
    "repo/profiles/base/package.use",
    "repo/profiles/base/package.use.force",
    "repo/profiles/base/package.use.mask",
    "repo/profiles/base/package.use.stable.mask",
    "repo/profiles/base/packages",
    "repo/profiles/base/use.force",
    "repo/profiles/base/use.mask",
    "repo/profiles/base/use.stable.force",
    "repo/profiles/categories",
    "repo/profiles/license_groups",
    "repo/profiles/package.mask",
    "repo/profiles/repo_name",
    "repo/profiles/updates/1Q-2026",
    "repo/profiles/use.desc",
];

struct Root {
    place: Place,
    options: Options,
}

impl Root {
    fn new() -> Self {
        let place = Place::new();
        let repository = place.path("repo");
        let link = place.path("etc/portage/make.profile");
        place.put(
            "etc/portage/repos.conf",
            format!("[gentoo]\nlocation = {}\n", repository.display()).as_bytes(),
        );
        place.put("repo/profiles/updates/readme", b"");
        place.put("repo/profiles/base/keep", b"");
        place.put("repo/metadata/keep", b"");
        place.put("etc/portage/profile/keep", b"");
        std::os::unix::fs::symlink(place.path("repo/profiles/base"), link).expect("a link");
        let options = Options {
            config_root: Some(place.path("")),
            root: Some(place.path("root")),
            machine: "x86_64".to_owned(),
            ..Options::default()
        };
        Self { place, options }
    }
}

thread_local! {
    static ROOT: OnceCell<Root> = const { OnceCell::new() };
}

fn files(data: &[u8]) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        let number = line
            .strip_prefix(b"%")
            .and_then(|rest| std::str::from_utf8(rest).ok()?.trim().parse::<usize>().ok());
        if let Some(number) = number {
            found.push((PathBuf::from(FILES[number % FILES.len()]), Vec::new()));
        } else if let Some((_, content)) = found.last_mut() {
            content.extend_from_slice(line);
        }
    }
    found
}

fuzz_target!(|data: &[u8]| {
    // A file of the user's own may source any other, devices among them.
    if data.windows(6).any(|part| part == b"source") || data.windows(2).any(|part| part == b". ") {
        return;
    }
    ROOT.with(|root| {
        let root = root.get_or_init(Root::new);
        let files = files(data);
        for (name, content) in &files {
            root.place.put(&name.to_string_lossy(), content);
        }
        ask(root);
        for (name, _) in &files {
            let _ = fs::remove_file(root.place.path(&name.to_string_lossy()));
        }
    });
});

fn ask(root: &Root) {
    let Ok(config) = Config::load(&root.options) else {
        return;
    };
    let _ = config.binary_repositories();
    for repository in config.repositories().repositories() {
        let _ = repository.updates();
    }
    for (cpv, slot, keywords) in [
        ("app-misc/foo-1.2", "0", "amd64 ~x86"),
        ("dev-libs/bar-3_rc1-r2", "2", "~amd64"),
    ] {
        let cpv = Cpv::parse(cpv).expect("a version");
        let _ = config.package(&PackageQuery {
            cpv: &cpv,
            slot,
            subslot: slot,
            repository: Some("gentoo"),
            eapi: Eapi::LATEST,
            iuse: "+ssl -gtk doc python_targets_py12",
            keywords,
            license: "|| ( GPL-2 MIT ) doc? ( BSD )",
            restrict: "doc? ( test )",
            properties: "live",
        });
    }
}
