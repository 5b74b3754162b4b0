//! What is remembered of how entries were made, so that an eclass that changed does not mean that
//! every ebuild that inherits it must be sourced again.
//!
//! For each entry: which version of each of its eclasses was used, and which functions of it were
//! called. An entry is still right when an eclass's top level and the functions that were called
//! are the same in the new version: nothing else of it was executed. The memory is a file outside
//! of the cache; without it, or when it is damaged or of another version of ebd, everything is
//! sourced as if there never had been one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::processor::library;
use crate::processor::sourcer::{KeptEclass, KeptUse};
use crate::util::atomic::{self, AtomicError};
use crate::util::digest::HashName;

/// The version of the file's format, and of how eclasses are taken apart.
const FORMAT: u32 = 2;

/// What is remembered of the entries of one cache.
#[derive(Debug, Default)]
pub struct Memory {
    /// Without a file it lasts as long as it is in use.
    path: Option<PathBuf>,
    entries: HashMap<String, Remembered>,
    changed: bool,
}

/// What is remembered of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The MD5 sum of the entry's text: of another text nothing is known.
    pub entry: String,
    /// Its eclasses, as far as they were kept; of others all text counts.
    pub kept: Vec<KeptUse>,
}

/// An eclass by its name and position, and the functions of it that were called.
type StoredUse = (String, usize, Vec<usize>);

/// The file: eclasses stand once, entries refer to them by position.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    version: String,
    eclasses: Vec<Arc<KeptEclass>>,
    entries: BTreeMap<String, (String, Vec<StoredUse>)>,
}

impl Remembered {
    /// What is remembered of an entry with this text.
    #[must_use]
    pub fn of(text: &[u8], kept: Vec<KeptUse>) -> Self {
        Self {
            entry: HashName::Md5.hex(text),
            kept,
        }
    }

    /// Whether an ebuild that was sourced with the eclass called `name`, whose MD5 sum was `old`,
    /// would be sourced to the same with `new`.
    #[must_use]
    pub fn is_unaffected(&self, name: &str, old: &str, new: &KeptEclass) -> bool {
        let mut uses = self.uses(name, old);
        let same = |used: &KeptUse| {
            let before = &used.eclass.fingerprint;
            let after = &new.fingerprint;
            before.top_level == after.top_level
                && used.entered.iter().all(|&function| {
                    let body = before.functions.get(function);
                    body.is_some() && body == after.functions.get(function)
                })
        };
        uses.next().is_some_and(same) && uses.all(same)
    }
}

impl Remembered {
    /// How the eclass of that name and MD5 sum was used. Eclasses of the same text need not be used
    /// alike.
    pub fn uses(&self, name: &str, md5: &str) -> impl Iterator<Item = &KeptUse> {
        let uses = self.kept.iter();
        uses.filter(move |used| used.name == name && used.eclass.md5 == md5)
    }
}

impl Memory {
    /// The file, in `folder`, of the memory of a repository's `cache`.
    #[must_use]
    pub fn path(folder: &Path, repository: &str, cache: &Path) -> PathBuf {
        let place = std::path::absolute(cache).unwrap_or_else(|_| cache.to_owned());
        let place = HashName::Md5.hex(place.as_os_str().as_encoded_bytes());
        folder.join(format!("{repository}-{}.json", &place[..12]))
    }

    /// Reads the memory. What cannot be used is none.
    #[must_use]
    pub fn load(path: PathBuf) -> Self {
        let read = || -> Option<HashMap<String, Remembered>> {
            let file: File = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
            if file.version != version() {
                return None;
            }
            let mut entries = HashMap::with_capacity(file.entries.len());
            for (cpv, (entry, uses)) in file.entries {
                let mut kept = Vec::with_capacity(uses.len());
                for (name, eclass, entered) in uses {
                    let eclass = file.eclasses.get(eclass)?.clone();
                    kept.push(KeptUse {
                        name,
                        eclass,
                        entered,
                    });
                }
                entries.insert(cpv, Remembered { entry, kept });
            }
            Some(entries)
        };
        Self {
            entries: read().unwrap_or_default(),
            path: Some(path),
            changed: false,
        }
    }

    /// What is remembered of the entry of `cpv`, if its text is this.
    #[must_use]
    pub fn get(&self, cpv: &str, text: &[u8]) -> Option<&Remembered> {
        let remembered = self.entries.get(cpv)?;
        (remembered.entry == HashName::Md5.hex(text)).then_some(remembered)
    }

    /// Remembers.
    pub fn set(&mut self, cpv: &str, remembered: Remembered) {
        if self.entries.get(cpv) != Some(&remembered) {
            self.entries.insert(cpv.to_owned(), remembered);
            self.changed = true;
        }
    }

    /// Forgets an entry.
    pub fn remove(&mut self, cpv: &str) {
        self.changed |= self.entries.remove(cpv).is_some();
    }

    /// Forgets all entries but these.
    pub fn retain(&mut self, names: &HashSet<String>) {
        let before = self.entries.len();
        self.entries.retain(|cpv, _| names.contains(cpv));
        self.changed |= self.entries.len() != before;
    }

    /// Writes the memory, if it is not what the file says.
    ///
    /// # Errors
    /// The file or its folder cannot be written.
    pub fn store(self) -> Result<(), AtomicError> {
        let Some(path) = self.path.filter(|_| self.changed) else {
            return Ok(());
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|source| AtomicError {
                path: folder.to_owned(),
                step: "created",
                source,
            })?;
        }
        let mut eclasses: Vec<Arc<KeptEclass>> = Vec::new();
        let mut positions: HashMap<(String, String), usize> = HashMap::new();
        let mut entries = BTreeMap::new();
        for (cpv, remembered) in self.entries.into_iter().collect::<BTreeMap<_, _>>() {
            let mut uses = Vec::with_capacity(remembered.kept.len());
            for used in remembered.kept {
                let key = (
                    used.eclass.md5.clone(),
                    used.eclass.fingerprint.top_level.clone(),
                );
                let position = *positions.entry(key).or_insert_with(|| {
                    eclasses.push(used.eclass.clone());
                    eclasses.len() - 1
                });
                uses.push((used.name, position, used.entered));
            }
            entries.insert(cpv, (remembered.entry, uses));
        }
        let file = File {
            version: version(),
            eclasses,
            entries,
        };
        let text = serde_json::to_vec(&file).unwrap_or_default();
        atomic::write_unsynced(&path, &text, 0o644)
    }
}

/// What a memory must be of to be used.
fn version() -> String {
    let program = env!("CARGO_PKG_VERSION");
    format!("{FORMAT} {program} {}", library::version())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processor::eclass::Fingerprint;

    fn eclass(md5: &str, top_level: &str, functions: &[&str]) -> Arc<KeptEclass> {
        Arc::new(KeptEclass {
            md5: md5.to_owned(),
            fingerprint: Fingerprint {
                top_level: top_level.to_owned(),
                functions: functions.iter().map(|&f| f.to_owned()).collect(),
            },
        })
    }

    fn used(eclass: &Arc<KeptEclass>, entered: &[usize]) -> KeptUse {
        KeptUse {
            name: "x".to_owned(),
            eclass: eclass.clone(),
            entered: entered.to_vec(),
        }
    }

    #[test]
    fn only_what_was_executed_counts() {
        let old = eclass("1", "t", &["a", "b", "c"]);
        let remembered = Remembered::of(b"", vec![used(&old, &[0, 2])]);
        for (new, unaffected) in [
            (eclass("2", "t", &["a", "b", "c"]), true),
            (eclass("2", "t", &["a", "x", "c"]), true),
            (eclass("2", "u", &["a", "b", "c"]), false),
            (eclass("2", "t", &["x", "b", "c"]), false),
            (eclass("2", "t", &["a", "b", "x"]), false),
            (eclass("2", "t", &["a", "b"]), false),
        ] {
            assert_eq!(
                remembered.is_unaffected("x", "1", &new),
                unaffected,
                "{new:?}"
            );
        }
        // What was sourced whole may depend on all of it.
        let new = eclass("2", "t", &["a", "b", "c"]);
        assert!(!remembered.is_unaffected("x", "0", &new));
        // Another eclass may have the same text.
        assert!(!remembered.is_unaffected("y", "1", &new));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = Memory::path(&directory.path().join("a/b"), "repo", Path::new("/cache"));
        let mut memory = Memory::load(path.clone());
        memory.set("a-a/x-1", Remembered::of(b"one", Vec::new()));
        let shared = eclass("1", "t", &["a", "b"]);
        let second = Remembered::of(
            b"two",
            vec![used(&shared, &[1]), used(&eclass("2", "u", &[]), &[])],
        );
        memory.set("a-a/x-2", second.clone());
        memory.set("a-a/x-3", Remembered::of(b"3", vec![used(&shared, &[])]));
        memory.store().unwrap();

        let mut memory = Memory::load(path.clone());
        assert_eq!(memory.get("a-a/x-2", b"two"), Some(&second));
        assert_eq!(memory.get("a-a/x-2", b"other"), None);
        memory.remove("a-a/x-1");
        memory.retain(&HashSet::from(["a-a/x-2".to_owned()]));
        memory.store().unwrap();
        let memory = Memory::load(path.clone());
        assert_eq!(memory.entries.len(), 1);
        memory.store().unwrap();

        let text = fs::read_to_string(&path).unwrap();
        for damaged in [
            String::new(),
            text.replace(&format!("\"{FORMAT} "), "\"0 "),
            text.replace("[[\"x\",0,", "[[\"x\",7,"),
            text[..text.len() / 2].to_owned(),
        ] {
            assert_ne!(damaged, text);
            fs::write(&path, damaged).unwrap();
            assert!(Memory::load(path.clone()).entries.is_empty());
        }
    }
}
