//! What is kept, and what is not taken over.

use super::super::call::Part;
use super::super::entry::{Body, Head};
use super::*;

/// An entry of a folder whose key has these parts.
fn entry(directory: &str, parts: &[(&str, &str)]) -> Entry {
    let part = |(name, value): &(&str, &str)| Part {
        name: (*name).to_owned(),
        sum: sum(value.as_bytes()),
        text: None,
    };
    Entry {
        head: Head {
            parts: parts.iter().map(part).collect(),
            script: b"/s/configure".to_vec(),
            directory: directory.as_bytes().to_vec(),
            facts: Vec::new(),
            at: 1,
            took: 1,
        },
        body: Body::default(),
    }
}

#[test]
fn a_build_gives_entries_for_its_own_folder_only() {
    let tmp = tempfile::tempdir().unwrap();
    let below = tmp.path().canonicalize().unwrap().join("build");
    fs::create_dir(&below).unwrap();
    let own = below.join("work").display().to_string();
    let other = tmp.path().join("other").display().to_string();
    let above = below.join("../other").display().to_string();
    let taken = |directory: &str, parts: &[(&str, &str)]| {
        let (left, to) = (tmp.path().join("left"), tmp.path().join("to"));
        let _ = (fs::remove_dir_all(&left), fs::remove_dir_all(&to));
        let entry = entry(directory, parts);
        Cache::at(&left)
            .keep(&key(&entry.head.parts), &entry)
            .unwrap();
        Cache::at(&to)
            .take_over(&left, &below, &tmp.path().join("answers"))
            .unwrap();
        Cache::at(&to).files().len()
    };
    assert_eq!(taken(&own, &[("script", "x"), ("directory", &own)]), 1);
    // The key of another folder, of two, of none, and a name that leads out.
    assert_eq!(taken(&own, &[("script", "x"), ("directory", &other)]), 0);
    let both = [("directory", own.as_str()), ("directory", other.as_str())];
    assert_eq!(taken(&own, &both), 0);
    assert_eq!(taken(&own, &[("script", "x")]), 0);
    assert_eq!(taken(&above, &[("directory", &above)]), 0);
    assert_eq!(taken(&other, &[("directory", &other)]), 0);
}
