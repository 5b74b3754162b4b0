//! How tests say which rows of the specification's checklist they show: what passed is written down
//! below the target folder, where `tests/rows.rs` counts it.

use std::fs;
use std::panic::Location;
use std::path::PathBuf;

/// Says that the test which calls this shows these rows (`tests/conformance/rows.tsv`). They count
/// when what is returned is dropped without a panic, so it must live as long as the test:
/// `let _rows = rows(&[12, 13]);`. The numbers are read from the source too, so they must stand
/// there.
#[track_caller]
pub(crate) fn rows(_: &[u16]) -> Claim {
    let place = Location::caller();
    let claim = Claim(format!("{}:{}", place.file(), place.line()));
    note(&claim.0, "began");
    claim
}

/// Rows that count once it is dropped.
pub(crate) struct Claim(String);

impl Drop for Claim {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            note(&self.0, "passed");
        }
    }
}

/// Writes down what became of a test.
pub(crate) fn note(what: &str, result: &str) {
    let program = std::env::current_exe().unwrap();
    // target/debug/deps/it-0123
    let folder: PathBuf = program.ancestors().nth(2).unwrap().join("rows");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(what.replace('/', "+")), result).unwrap();
}
