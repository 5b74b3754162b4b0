//! What mirrors have said of their layout, kept for a day, so that not every run has to ask.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::fetch::layouts::FRESH;
use crate::util::atomic;

/// The most that is read of the file.
const LIMIT: u64 = 1 << 20;

/// The text of a mirror's `layout.conf`, empty if it has none.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// When it was asked for, in seconds since 1970.
    time: u64,
    text: String,
}

impl Kept {
    fn is_fresh(&self, now: u64) -> bool {
        // What comes from the future is not believed.
        now.checked_sub(self.time)
            .is_some_and(|age| age < FRESH.as_secs())
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

/// All that is kept; nothing if the file cannot be understood.
fn read(file: &Path) -> BTreeMap<String, Kept> {
    let small = std::fs::metadata(file).is_ok_and(|it| it.is_file() && it.len() <= LIMIT);
    if !small {
        return BTreeMap::new();
    }
    std::fs::read(file)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

/// What the mirror at `base` has said within the last day.
pub(super) fn find(file: &Path, base: &str) -> Option<String> {
    let kept = read(file).remove(base)?;
    kept.is_fresh(now()).then_some(kept.text)
}

/// Keeps what the mirror at `base` has said, and forgets what is too old. It is no failure when that cannot be.
pub(super) fn keep(file: &Path, base: &str, text: &str) {
    // Whoever has a password in the address of a mirror does not want it here.
    if crate::fetch::plan::without_password(base) != base {
        return;
    }
    let now = now();
    let mut all = read(file);
    all.retain(|_, kept| kept.is_fresh(now));
    let kept = Kept {
        time: now,
        text: text.to_owned(),
    };
    all.insert(base.to_owned(), kept);
    if let Some(folder) = file.parent() {
        let _ = std::fs::create_dir_all(folder);
    }
    let result = serde_json::to_vec(&all)
        .map_err(std::io::Error::from)
        .and_then(|bytes| {
            atomic::write_unsynced(file, &bytes, 0o644).map_err(std::io::Error::other)
        });
    if let Err(error) = result {
        tracing::debug!("{}: {error}", file.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_for_a_day() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cache/layouts.json");
        assert_eq!(find(&file, "http://a"), None);
        keep(&file, "http://a", "[structure]\n0=flat\n");
        keep(&file, "http://b", "");
        keep(&file, "http://me:secret@c", "x");
        assert_eq!(find(&file, "http://a").unwrap(), "[structure]\n0=flat\n");
        assert_eq!(find(&file, "http://b").unwrap(), "");
        assert!(!std::fs::read_to_string(&file).unwrap().contains("secret"));
        let old = now() - FRESH.as_secs() - 1;
        let text = format!(
            r#"{{"http://old":{{"time":{old},"text":"x"}},"http://new":{{"time":{},"text":"y"}},
                "http://future":{{"time":{},"text":"z"}}}}"#,
            now() - 5,
            now() + 1000
        );
        std::fs::write(&file, text).unwrap();
        assert_eq!(find(&file, "http://old"), None);
        assert_eq!(find(&file, "http://future"), None);
        assert_eq!(find(&file, "http://new").unwrap(), "y");
        keep(&file, "http://a", "x");
        assert!(!std::fs::read_to_string(&file).unwrap().contains("old"));
        std::fs::write(&file, "nonsense").unwrap();
        assert_eq!(find(&file, "http://a"), None);
        keep(&file, "http://a", "again");
        assert_eq!(find(&file, "http://a").unwrap(), "again");
    }
}
