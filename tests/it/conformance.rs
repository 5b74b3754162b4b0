//! Whether ebuilds find what the specification promises: `tests/conformance`, through the command
//! line, in one go and with the build ended and taken up again behind each phase.
//!
//! `EBD_CASES=text` in the environment runs only the cases that have the text in their names.

mod case;
mod packages;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ebd::util::digest::{HashName, MultiDigest};

use case::{Case, Expected};

use crate::claim::note;

/// The phases that a build is ended behind.
const PHASES: &[&str] = &[
    "setup",
    "unpack",
    "prepare",
    "configure",
    "compile",
    "test",
    "install",
];

/// The suite's files.
fn suite() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// The cases to run.
fn cases() -> Vec<Case> {
    let filter = std::env::var("EBD_CASES").unwrap_or_default();
    Case::all(&suite().join("cases"), &filter)
}

/// Whether there is a bash for EAPI 9: named by `EBD_BASH`, or in `PATH`.
pub(crate) fn has_newer_bash() -> bool {
    let named = std::env::var_os("EBD_BASH").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("bash"));
    named.into_iter().chain(found).any(|bash| {
        let asked = Command::new(bash)
            .args([
                "-c",
                "(( BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 503 ))",
            ])
            .status();
        asked.is_ok_and(|status| status.success())
    })
}

/// Copies a folder.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Writes a file and what is missing above it.
fn write(path: &Path, text: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A case in one EAPI, as a package of the world's repository.
#[derive(Debug, Clone)]
struct Package {
    case: Case,
    eapi: String,
}

impl Package {
    /// `category/pf`.
    fn name(&self) -> String {
        let Case { name, version, .. } = &self.case;
        format!("eapi-{}/{name}-{version}", self.eapi)
    }
}

/// What came of a package.
#[derive(Debug, Clone, Default)]
struct Told {
    /// The errors, if it failed.
    failure: Option<String>,
    /// Whether a package stands.
    finished: bool,
}

/// A repository of cases with a system around it.
struct World {
    tmp: tempfile::TempDir,
}

impl World {
    fn new(packages: &[Package]) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let world = Self { tmp };
        let repository = world.path("repository");
        copy(&suite().join("repository"), &repository);
        write(
            &repository.join("profiles/categories"),
            b"eapi-0\neapi-1\neapi-2\neapi-3\neapi-4\neapi-5\neapi-6\neapi-7\neapi-8\neapi-9\n",
        );
        for package in packages {
            let Package { case, eapi } = package;
            let folder = repository.join(format!("eapi-{eapi}")).join(&case.name);
            let file = format!("{}-{}.ebuild", case.name, case.version);
            write(&folder.join(file), &case.ebuild_for(eapi));
            if !case.configured.is_empty() {
                let portage = world.path("config/etc/portage");
                let line = format!("eapi-{eapi}/{0} {0}\n", case.name);
                let path = portage.join("package.env").join(package.name());
                write(&path, line.as_bytes());
                let text = case.configured.join("\n") + "\n";
                write(&portage.join("env").join(&case.name), text.as_bytes());
            }
            for (name, text) in &case.files {
                let path = match name.split_once('/') {
                    Some(("files", _)) => folder.join(name),
                    Some(("eclass", _)) => repository.join(name),
                    Some(("distfiles", _)) => world.path(name),
                    _ => panic!("{}: no place for {name}", case.name),
                };
                if path.exists() && fs::read(&path).unwrap() != *text {
                    panic!("{}: {name} is another case's", case.name);
                }
                write(&path, text);
                if let Some(name) = name.strip_prefix("distfiles/") {
                    let mut digest = MultiDigest::new(&[HashName::Sha512]);
                    digest.update(text);
                    let line = format!(
                        "DIST {name} {} SHA512 {}\n",
                        text.len(),
                        digest.finish().get(HashName::Sha512).unwrap()
                    );
                    let manifest = folder.join("Manifest");
                    let before = fs::read_to_string(&manifest).unwrap_or_default();
                    fs::write(&manifest, before + &line).unwrap();
                }
            }
        }
        world.configure(&repository);
        world
    }

    /// A system whose profile is the repository's, with a user whose environment is full of traps.
    fn configure(&self, repository: &Path) {
        let portage = self.path("config/etc/portage");
        fs::create_dir_all(&portage).unwrap();
        std::os::unix::fs::symlink(
            repository.join("profiles/base"),
            portage.join("make.profile"),
        )
        .unwrap();
        fs::write(
            portage.join("repos.conf"),
            format!(
                "[DEFAULT]\nmain-repo = conformance\n[conformance]\nlocation = {}\n",
                repository.display()
            ),
        )
        .unwrap();
        fs::write(
            portage.join("make.conf"),
            "FEATURES=\"test\"\nMAKEOPTS=\"-j2\"\nACCEPT_LICENSE=\"*\"\nACCEPT_KEYWORDS=\"**\"\n",
        )
        .unwrap();
        // Gentoo's own defaults for builds, but for /tmp, which the world may be in.
        fs::write(
            self.path("config/etc/sandbox.conf"),
            "SANDBOX_WRITE=\"/dev/null:/dev/zero:/dev/full:/dev/tty:/dev/pts:/dev/shm\"\n",
        )
        .unwrap();
        for dir in ["home", "distfiles", "root"] {
            fs::create_dir_all(self.path(dir)).unwrap();
        }
        for (version, slot) in [("1.2-r1", "3/4"), ("0.9", "0")] {
            let installed = self.path("root/var/db/pkg/cat");
            for (field, value) in [
                ("SLOT", slot),
                ("EAPI", "8"),
                ("USE", "on"),
                ("IUSE", "on off"),
                ("repository", "conformance"),
            ] {
                let path = installed.join(format!("installed-{version}/{field}"));
                write(&path, format!("{value}\n").as_bytes());
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    /// Runs `ebd build` on the packages.
    fn run(&self, packages: &[String], options: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ebd"));
        command
            .args(["build", "--json", "--nodeps", "--jobs", "2"])
            .args(options)
            .args(packages.iter().map(|name| format!("={name}")));
        for place in ["pkgdir", "tmpdir"] {
            command.arg(format!("--{place}")).arg(self.path(place));
        }
        command
            .args(["--distdir", self.path("distfiles").to_str().unwrap()])
            .arg("--repo")
            .arg(self.path("repository"))
            .arg("--config-root")
            .arg(self.path("config"))
            .arg("--root")
            .arg(self.path("root"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("home"));
        // Rows 6, 51 to 53: what a build must not get from its caller.
        for (name, value) in [
            ("EAPI", "42"),
            ("GZIP", "-1"),
            ("BZIP", "x"),
            ("BZIP2", "x"),
            ("CDPATH", "/"),
            ("GREP_OPTIONS", "-v"),
            ("GREP_COLOR", "1"),
            ("GLOBIGNORE", "*"),
            ("CONFORMANCE_UNSET", "1"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("BASH_ENV", "/nonexistent"),
            ("POSIXLY_CORRECT", "1"),
            ("SHELLOPTS", "noglob"),
            ("BASHOPTS", "nullglob"),
            ("BASH_FUNC_emake%%", "() {  die emake; }"),
            ("D", "/"),
            ("S", "/"),
            ("DEPEND", "="),
        ] {
            command.env(name, value);
        }
        if let Some(bash) = std::env::var_os("EBD_BASH") {
            command.arg("--bash").arg(bash);
        }
        command.stdin(std::process::Stdio::null()).output().unwrap()
    }

    fn build_directory(&self, package: &Package) -> PathBuf {
        self.path("tmpdir/portage").join(package.name())
    }

    /// What the errors and the log say.
    fn said(&self, package: &Package, told: &Told) -> String {
        let log = self.build_directory(package).join("temp/build.log");
        let log = fs::read(log).unwrap_or_default();
        let failure = told.failure.as_deref().unwrap_or_default();
        format!("{failure}\n{}", String::from_utf8_lossy(&log))
    }

    /// What is wrong with the outcome.
    fn judge(&self, package: &Package, told: &Told) -> Option<String> {
        let case = &package.case;
        let said = self.said(package, told);
        let mut wrong = String::new();
        match (case.expected, &told.failure, told.finished) {
            (Expected::Built, None, true) | (Expected::Failed, Some(_), false) => {}
            (expected, _, _) => writeln!(wrong, "should be {expected:?}, is {told:?}").unwrap(),
        }
        for text in case
            .says_in(&package.eapi)
            .filter(|text| !said.contains(text))
        {
            writeln!(wrong, "does not say '{text}'").unwrap();
        }
        for text in case.silent.iter().filter(|text| said.contains(*text)) {
            writeln!(wrong, "says '{text}'").unwrap();
        }
        if let Some(expected) = &case.image
            && wrong.is_empty()
        {
            let mut found = String::new();
            let image = self.build_directory(package).join("image");
            list(&image, "", &mut found);
            let expected = expected
                .replace("@EAPI@", &package.eapi)
                .replace("@D@", image.to_str().unwrap());
            if found != expected {
                writeln!(wrong, "the image is\n{found}").unwrap();
            }
        }
        if wrong.is_empty() {
            return None;
        }
        let tail: Vec<String> = said
            .lines()
            .rev()
            .take(15)
            .map(|line| line.chars().take(300).filter(|c| !c.is_control()).collect())
            .collect();
        for line in tail.iter().rev() {
            writeln!(wrong, "  | {line}").unwrap();
        }
        Some(format!("{}: {wrong}", package.name()))
    }
}

/// Lists a tree: mode, path, and where links lead.
fn list(folder: &Path, below: &str, text: &mut String) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let path = folder.join(&name);
        let shown = format!("{below}/{}", name.to_string_lossy());
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = metadata.permissions().mode() & 0o7777;
        if metadata.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            writeln!(text, "link {shown} -> {}", target.display()).unwrap();
        } else if metadata.is_dir() {
            writeln!(text, "dir {mode:o} {shown}").unwrap();
            list(&path, &shown, text);
        } else {
            assert_eq!(metadata.uid(), own_uid(), "{shown}");
            writeln!(text, "file {mode:o} {shown}").unwrap();
        }
    }
}

/// Who runs the tests.
fn own_uid() -> u32 {
    fs::metadata("/proc/self").unwrap().uid()
}

/// The packages that are expected to be planned, as far as this host can build them.
fn planned() -> Vec<Package> {
    let newer = has_newer_bash();
    cases()
        .into_iter()
        .filter(|case| case.expected != Expected::Refused)
        .map(|mut case| {
            case.eapis.retain(|eapi| newer || eapi != "9");
            case
        })
        .flat_map(|case| {
            let eapis = case.eapis.clone();
            eapis.into_iter().map(move |eapi| Package {
                case: case.clone(),
                eapi,
            })
        })
        .collect()
}

/// Adds what an output tells of each package.
fn listen(output: &Output, told: &mut BTreeMap<String, Told>) {
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let package = event["package"].as_str().unwrap_or_default().to_owned();
        match event["event"].as_str().unwrap_or_default() {
            "finished" => told.entry(package).or_default().finished = true,
            "failed" => {
                let causes = event["causes"].as_array().unwrap();
                let texts: Vec<&str> = causes.iter().filter_map(|c| c.as_str()).collect();
                told.entry(package).or_default().failure = Some(texts.join("\n"));
            }
            "error" => panic!("{line}"),
            _ => {}
        }
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.is_empty(), "{stderr}");
}

/// Notes what became of the cases in one of the ways in which they are run.
fn note_cases(way: &str, expected: impl Fn(Expected) -> bool, bad: &BTreeSet<String>) {
    let newer = has_newer_bash();
    for case in cases().into_iter().filter(|case| expected(case.expected)) {
        let result = match case.eapis.iter().all(|eapi| eapi == "9") && !newer {
            true => "skipped",
            false if bad.contains(&case.name) => "failed",
            false => "passed",
        };
        note(&format!("case-{way}-{}", case.name), result);
    }
}

/// Notes that the cases are being run: what they have passed before says nothing of now.
fn begin_cases(way: &str, expected: impl Fn(Expected) -> bool) {
    let all = cases().into_iter().map(|case| case.name).collect();
    note_cases(way, expected, &all);
}

/// Judges all packages and fails with everything that is wrong.
fn judge(world: &World, packages: &[Package], told: &BTreeMap<String, Told>, way: &str) {
    let nothing = Told::default();
    let mut bad = BTreeSet::new();
    let mut wrong = Vec::new();
    for package in packages {
        let judged = world.judge(package, told.get(&package.name()).unwrap_or(&nothing));
        if let Some(text) = judged {
            bad.insert(package.case.name.clone());
            wrong.push(text);
        }
    }
    note_cases(way, |expected| expected != Expected::Refused, &bad);
    assert!(
        wrong.is_empty(),
        "{} of {} packages are wrong\n{}",
        wrong.len(),
        packages.len(),
        wrong.join("\n")
    );
}

#[test]
fn in_one_go() {
    begin_cases("straight", |expected| expected != Expected::Refused);
    let packages = planned();
    if packages.is_empty() {
        return;
    }
    let world = World::new(&packages);
    let names: Vec<String> = packages.iter().map(Package::name).collect();
    let mut told = BTreeMap::new();
    listen(&world.run(&names, &["--keep"]), &mut told);
    judge(&world, &packages, &told, "straight");
}

#[test]
fn ended_and_taken_up_behind_each_phase() {
    begin_cases("resumed", |expected| expected != Expected::Refused);
    // Each case in the oldest and the newest of its EAPIs: what is saved and loaded hangs little on them.
    let mut packages = planned();
    let all = packages.clone();
    packages.retain(|package| {
        let of_case = || {
            all.iter()
                .filter(|other| other.case.name == package.case.name)
        };
        let ends = [of_case().next(), of_case().next_back()];
        ends.iter()
            .flatten()
            .any(|other| other.eapi == package.eapi)
    });
    if packages.is_empty() {
        return;
    }
    let world = World::new(&packages);
    let mut told: BTreeMap<String, Told> = BTreeMap::new();
    for (at, phase) in PHASES.iter().copied().map(Some).chain([None]).enumerate() {
        let names: Vec<String> = packages
            .iter()
            .map(Package::name)
            .filter(|name| told.get(name).is_none_or(|told| told.failure.is_none()))
            .collect();
        let mut options = vec!["--keep"];
        if at > 0 {
            options.push("--resume");
        }
        if let Some(phase) = phase {
            options.extend(["--stop-after", phase]);
        }
        if !names.is_empty() {
            listen(&world.run(&names, &options), &mut told);
        }
    }
    judge(&world, &packages, &told, "resumed");
}

#[test]
fn what_is_refused() {
    begin_cases("refused", |expected| expected == Expected::Refused);
    let mut wrong = Vec::new();
    let mut bad_cases = BTreeSet::new();
    for case in cases() {
        if case.expected != Expected::Refused {
            continue;
        }
        for eapi in case.eapis.clone() {
            let package = Package {
                case: case.clone(),
                eapi,
            };
            let world = World::new(std::slice::from_ref(&package));
            let output = world.run(&[package.name()], &[]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let bad = output.status.code() != Some(1)
                || said.contains("\"started\"")
                || case
                    .says_in(&package.eapi)
                    .any(|text| !said.contains(&text))
                || case.silent.iter().any(|text| said.contains(text.as_str()));
            if bad {
                bad_cases.insert(case.name.clone());
                wrong.push(format!(
                    "{}: {} {said}{}",
                    package.name(),
                    output.status,
                    String::from_utf8_lossy(&output.stderr)
                ));
            }
        }
    }
    note_cases(
        "refused",
        |expected| expected == Expected::Refused,
        &bad_cases,
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
