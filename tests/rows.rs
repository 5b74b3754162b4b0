//! Counts which rows of the specification's checklist hold: a test without the usual harness, the last
//! one by name, so that `cargo test` ends with its line.
//!
//! A row holds if all tests that claim it have passed with the program as it is built now, but for
//! those that this host cannot run; if there are none but such, it is skipped. So is one for which `rows.tsv` has a reason. Cases claim rows by
//! their head, other tests by calling `rows(&[…])`.

// A test says what it expects by failing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "it/conformance/texts.rs"]
mod texts;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

/// What became of a test that claims a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Skipped,
    Failed,
    NotRun,
}

/// The notes that tests have left.
struct Notes {
    folder: PathBuf,
    built: SystemTime,
}

impl Notes {
    fn open() -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_ebd"));
        Self {
            folder: program.with_file_name("rows"),
            built: fs::metadata(program).unwrap().modified().unwrap(),
        }
    }

    /// What became of the test; a note that is older than the program counts for nothing.
    fn of(&self, what: &str) -> Outcome {
        let path = self.folder.join(what.replace('/', "+"));
        let fresh = fs::metadata(&path).is_ok_and(|found| found.modified().unwrap() > self.built);
        match fs::read_to_string(&path).as_deref() {
            _ if !fresh => Outcome::NotRun,
            Ok("passed") => Outcome::Passed,
            Ok("skipped") => Outcome::Skipped,
            _ => Outcome::Failed,
        }
    }
}

/// The claims: for each row the tests' names.
type Claims = BTreeMap<u16, Vec<String>>;

/// Adds the claims of the cases: each is run in several ways.
fn add_cases(folder: &Path, claims: &mut Claims) {
    for (_, name, text) in texts::texts(folder) {
        let text = String::from_utf8_lossy(&text).into_owned();
        let head = |key: &str| {
            let line = text.lines().take_while(|line| line.starts_with("# "));
            let mut found = line.filter_map(|line| line.strip_prefix(&format!("# {key}: ")));
            found.next().unwrap_or_default().to_owned()
        };
        let ways: &[&str] = match head("result").as_str() {
            "refused" => &["refused"],
            _ => &["straight", "resumed"],
        };
        for row in head("rows").split(' ').filter(|row| !row.is_empty()) {
            let row = row.parse().unwrap_or_else(|_| panic!("{name}: row {row}"));
            let names = ways.iter().map(|way| format!("case-{way}-{name}"));
            claims.entry(row).or_default().extend(names);
        }
    }
}

/// Adds the claims of the sources below a folder, named as `Location` names their places.
fn add_sources(root: &Path, below: &str, claims: &mut Claims) {
    for entry in fs::read_dir(root.join(below)).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{below}/{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            add_sources(root, &name, claims);
        } else if name.ends_with(".rs") && name != "tests/rows.rs" && name != "tests/rows/claim.rs"
        {
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                let Some(rest) = line.trim().strip_prefix("let _rows = rows(&[") else {
                    continue;
                };
                let place = format!("{name}:{}", number + 1);
                let list = rest.split(']').next().unwrap();
                for row in list.split(',') {
                    let row = row.trim().parse();
                    let row = row.unwrap_or_else(|_| panic!("{place}: {line}"));
                    claims.entry(row).or_default().push(place.clone());
                }
            }
        }
    }
}

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let suite = root.join("tests/conformance");
    let rows = fs::read_to_string(suite.join("rows.tsv")).unwrap();
    // Behind the title may stand why there can be no test yet.
    let rows: BTreeMap<u16, (&str, Option<&str>)> = rows
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(number, text)| match text.split_once('\t') {
            Some((title, reason)) => (number.parse().unwrap(), (title, Some(reason))),
            None => (number.parse().unwrap(), (text, None)),
        })
        .collect();
    let mut claims = Claims::new();
    add_cases(&suite.join("cases"), &mut claims);
    add_sources(root, "src", &mut claims);
    add_sources(root, "tests", &mut claims);
    for row in claims.keys() {
        assert!(
            rows.contains_key(row),
            "row {row} is claimed, but there is none"
        );
    }
    let notes = Notes::open();
    let mut passed = 0;
    let mut failed = false;
    for (row, (title, reason)) in &rows {
        let tests = claims.get(row).map(Vec::as_slice).unwrap_or_default();
        let results: Vec<Outcome> = tests.iter().map(|test| notes.of(test)).collect();
        let those = |wanted: Outcome| {
            let found = tests
                .iter()
                .zip(&results)
                .filter(|(_, result)| **result == wanted);
            let names: Vec<&str> = found.map(|(test, _)| test.as_str()).collect();
            names.join(", ")
        };
        if let Some(reason) = reason {
            assert!(
                tests.is_empty(),
                "row {row} has tests, and a reason why it has none"
            );
            println!("row {row} is skipped, as it {reason}: {title}");
        } else if results.is_empty() {
            println!("row {row} has no test: {title}");
        } else if results.contains(&Outcome::Failed) {
            println!(
                "row {row} does not hold: {title} ({})",
                those(Outcome::Failed)
            );
            failed = true;
        } else if results.contains(&Outcome::NotRun) {
            println!(
                "row {row} was not tested: {title} (not run: {})",
                those(Outcome::NotRun)
            );
        } else if results.contains(&Outcome::Passed) {
            passed += 1;
        } else {
            println!("row {row} is skipped, as there is no bash 5.3: {title}");
        }
    }
    println!("passed {passed} of {}", rows.len());
    ExitCode::from(u8::from(failed))
}
