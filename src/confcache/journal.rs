//! What became of the last calls, a line of JSON each.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// How large a journal may become before it is begun anew; the old one is kept beside it.
const LARGE: u64 = 1 << 20;

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// An entry was put back; how long the run that it is from took, in milliseconds.
    Hit {
        /// Milliseconds.
        saved: u64,
    },
    /// It was run and learned from.
    Learned {
        /// Why there was no entry.
        why: String,
    },
    /// It was run and nothing was learned.
    Untaught {
        /// Why there was no entry.
        why: String,
        /// Why nothing was learned.
        reason: String,
    },
    /// It was run to compare with an entry, and was the same.
    Verified,
    /// It was not.
    Differed {
        /// The differences.
        what: String,
    },
}

/// A call and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When, in seconds since 1970.
    pub at: u64,
    /// The call's key.
    pub key: String,
    /// Where.
    pub directory: String,
    /// The script.
    pub script: String,
    /// How long it took, in milliseconds.
    pub took: u64,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn old(path: &Path) -> PathBuf {
    path.with_extension("old")
}

/// Adds a record.
pub(super) fn add(path: &Path, record: &Record) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > LARGE) {
        fs::rename(path, old(path))?;
    }
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    // One write: lines of several processes do not mix.
    let mut file = File::options().create(true).append(true).open(path)?;
    file.write_all(&line)
}

/// All records, the oldest first. What is no record is passed over.
pub(super) fn read(path: &Path) -> Vec<Record> {
    let mut records = Vec::new();
    for path in [old(path), path.to_owned()] {
        let text = fs::read(path).unwrap_or_default();
        records.extend(parse(&text));
    }
    records
}

/// The records in a text.
pub(super) fn parse(text: &[u8]) -> impl Iterator<Item = Record> {
    let lines = text.split(|byte| *byte == b'\n');
    lines.filter_map(|line| serde_json::from_slice(line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_old_ones_go() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("journal");
        let record = |at| Record {
            at,
            key: "k".into(),
            directory: "/d".into(),
            script: "/s".into(),
            took: 3,
            outcome: Outcome::Learned { why: "new".into() },
        };
        assert_eq!(read(&path), []);
        add(&path, &record(1)).unwrap();
        fs::write(
            &path,
            [fs::read(&path).unwrap(), b"{torn\n\xff\n".to_vec()].concat(),
        )
        .unwrap();
        add(&path, &record(2)).unwrap();
        assert_eq!(read(&path), [record(1), record(2)]);
        for at in 0..20_000 {
            add(&path, &record(at)).unwrap();
        }
        assert!(fs::metadata(&path).unwrap().len() <= LARGE + 200);
        assert_eq!(read(&path).last(), Some(&record(19_999)));
    }
}
