//! The folder with the entries.
//!
//! `runs/KK/KEY/NAME.run` are the entries of the key KEY (KK its first two digits): several, where the
//! same call found different things. `answers/NAME.answers` are answers to checks (`answers`), those of builds are apart
//! for each package: `packages/CATEGORY/PN/NAME.answers`. `asked/NAME.json` tells what became of the checks of the last
//! run in a directory. `journal` tells what became of calls. Every file appears whole
//! or not at all, under a name that nobody else uses, so any number of processes may share the folder.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::answers;
use super::asking::Asked;
use super::call::{Call, DIRECTORY, Difference, differences, key};
use super::entry::{Damaged, Entry};
use super::facts::{Broken, sum};
use super::journal::{self, Outcome, Record};
use super::rules::Rules;
use crate::util::atomic::{self, AtomicError};
use crate::util::printable::printable;
use crate::util::token;

/// How many entries and records of one build are taken over.
const TAKEN: usize = 200;

/// The largest file that is taken over, in bytes.
const LARGE: u64 = 256 << 20;

/// Among how many entries one that comes near is looked for.
const NEAR: usize = 50;

/// How many entries of one key are kept.
const VARIANTS: usize = 4;

/// How many files with answers are kept of the builds of one package.
const OF_PACKAGE: usize = 12;

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder cannot be read, written or removed.
    #[error("{}: cannot be {what}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// An entry cannot be written.
    #[error(transparent)]
    Write(#[from] AtomicError),
    /// It is too large.
    #[error("what it made is too large to be kept")]
    TooLarge,
}

/// What there is for a call.
#[derive(Debug)]
pub enum Found {
    /// An entry whose facts all hold.
    Valid(Box<Entry>),
    /// None. For the entries that come nearest, in what they differ.
    Nothing {
        /// Facts that do not hold, of entries of the same key.
        broken: Vec<Broken>,
        /// Parts of the key that differ from that of an entry of the same script or directory.
        different: Vec<Difference>,
        /// Entries that are damaged.
        damaged: Vec<PathBuf>,
    },
}

/// What is to go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Entries that were not used for so long.
    pub unused: Option<Duration>,
    /// The oldest, until no more bytes than this are left.
    pub size: Option<u64>,
}

/// What the folder holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many entries.
    pub entries: usize,
    /// How many files with answers to checks, one for each run that taught some.
    pub answers: usize,
    /// The bytes of both.
    pub bytes: u64,
}

/// A folder with entries.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in this folder, which is made when something is kept.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn runs(&self) -> PathBuf {
        self.folder.join("runs")
    }

    /// Where the answers are that any run may use.
    #[must_use]
    pub fn answers(&self) -> PathBuf {
        self.folder.join("answers")
    }

    /// Where the answers are that only builds of this package use: nobody else believes what a build has left.
    #[must_use]
    pub fn answers_of(&self, category: &str, pn: &str) -> PathBuf {
        self.packages().join(category).join(pn)
    }

    fn packages(&self) -> PathBuf {
        self.folder.join("packages")
    }

    fn of_key(&self, key: &str) -> PathBuf {
        self.runs().join(key.get(..2).unwrap_or(key)).join(key)
    }

    /// Looks for an entry of this call whose facts all hold. That it was of use is noted, if the cache
    /// is `ours` to write to.
    #[must_use]
    pub fn find(&self, call: &Call, rules: &Rules, ours: bool) -> Found {
        let (mut broken, mut damaged) = (Vec::new(), Vec::new());
        let paths = newest_first(files_in(&self.of_key(&call.key())));
        let any = !paths.is_empty();
        for path in paths {
            let mut entry = match read(&path) {
                Ok(Some(entry)) => entry,
                Ok(None) => continue,
                Err(_) => {
                    damaged.push(path);
                    continue;
                }
            };
            match hold(&mut entry, rules) {
                Ok(fresh) => {
                    // The next look is cheaper, or the file is at least known to be of use.
                    let renewed = ours && fresh && self.write(&path, &entry).is_ok();
                    if ours && !renewed {
                        use_now(&path);
                    }
                    return Found::Valid(Box::new(entry));
                }
                Err(one) => broken.push(one),
            }
        }
        let different = match any {
            true => Vec::new(),
            false => self.nearest(call),
        };
        Found::Nothing {
            broken,
            different,
            damaged,
        }
    }

    /// All facts of the entries of this call that do not hold; none if there is no entry.
    #[must_use]
    pub fn broken(&self, call: &Call, rules: &Rules) -> Option<Vec<Broken>> {
        let path = newest_first(files_in(&self.of_key(&call.key())))
            .into_iter()
            .next()?;
        let entry = read(&path).ok().flatten()?;
        let facts = entry.head.facts.iter();
        Some(facts.filter_map(|fact| fact.check(rules).err()).collect())
    }

    /// In what the call differs from the newest entry of the same script in the same directory, or
    /// of either.
    fn nearest(&self, call: &Call) -> Vec<Difference> {
        let alike = |entry: &Entry| {
            usize::from(entry.script() == call.script())
                + usize::from(entry.directory() == call.directory())
        };
        let newest = newest_first(self.files()).into_iter().take(NEAR);
        let entries = newest.filter_map(|path| read(&path).ok().flatten());
        let near = entries
            .filter(|entry| alike(entry) > 0)
            .max_by_key(|entry| (alike(entry), entry.at()));
        near.map_or_else(Vec::new, |entry| {
            differences(call.parts(), &entry.head.parts)
        })
    }

    /// Keeps an entry of this key.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn keep(&self, key: &str, entry: &Entry) -> Result<(), StoreError> {
        let folder = self.of_key(key);
        fs::create_dir_all(&folder).map_err(|source| StoreError::Io {
            path: folder.clone(),
            what: "made",
            source,
        })?;
        self.write(&folder.join(format!("{}.run", token::fresh())), entry)?;
        for path in newest_first(files_in(&folder)).into_iter().skip(VARIANTS) {
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    /// Takes over what a build has left in a folder of its own, where everything may be a trap: only
    /// entries of runs in `below` count, and answers are put into `answers`.
    ///
    /// # Errors
    /// An entry or record cannot be written.
    pub fn take_over(&self, left: &Path, below: &Path, answers: &Path) -> Result<(), StoreError> {
        let below = below.canonicalize().map_err(|source| StoreError::Io {
            path: below.to_owned(),
            what: "found",
            source,
        })?;
        let left = Self::at(left);
        for path in left.files().into_iter().take(TAKEN) {
            let Some(entry) = read_suspiciously(&path).and_then(|file| Entry::unpack(&file).ok())
            else {
                continue;
            };
            if is_of_its_folder(&entry) && entry.directory().starts_with(&below) {
                self.keep(&key(&entry.head.parts), &entry)?;
                let asked = read_suspiciously(&left.asked(entry.directory()));
                let asked = asked.and_then(|text| serde_json::from_slice::<Vec<Asked>>(&text).ok());
                if let Some(asked) = asked {
                    self.keep_asked(entry.directory(), &asked)?;
                }
            }
        }
        for path in answers::files(&left.answers()).into_iter().take(TAKEN) {
            let Some(bytes) = read_suspiciously(&path).filter(|bytes| answers::is_good(bytes))
            else {
                continue;
            };
            fs::create_dir_all(answers).map_err(|source| StoreError::Io {
                path: answers.to_owned(),
                what: "made",
                source,
            })?;
            let name = format!("{}.answers", token::fresh());
            atomic::write_unsynced(&answers.join(name), &bytes, 0o644)?;
        }
        for path in answers::files(answers).into_iter().rev().skip(OF_PACKAGE) {
            let _ = fs::remove_file(path);
        }
        let journal = read_suspiciously(&left.journal()).unwrap_or_default();
        for record in journal::parse(&journal).take(TAKEN) {
            let is_key =
                record.key.len() == 64 && record.key.bytes().all(|b| b.is_ascii_hexdigit());
            if let (Outcome::Hit { .. }, true) = (&record.outcome, is_key) {
                for path in files_in(&self.of_key(&record.key)) {
                    use_now(&path);
                }
            }
            self.add_record(&record)?;
        }
        Ok(())
    }

    fn journal(&self) -> PathBuf {
        self.folder.join("journal")
    }

    fn write(&self, path: &Path, entry: &Entry) -> Result<(), StoreError> {
        let bytes = entry.pack().map_err(|_| StoreError::TooLarge)?;
        // A crash of the machine loses it, or leaves a file that is known to be damaged.
        Ok(atomic::write_unsynced(path, &bytes, 0o644)?)
    }

    /// Removes what is damaged.
    pub fn discard(&self, damaged: &[PathBuf]) {
        for path in damaged {
            let _ = fs::remove_file(path);
        }
    }

    /// All entries with the files that they are in, and none for files that are damaged.
    pub fn entries(&self) -> impl Iterator<Item = (PathBuf, Option<Entry>)> + use<> {
        self.files()
            .into_iter()
            .filter_map(|path| match read(&path) {
                Ok(Some(entry)) => Some((path, Some(entry))),
                Ok(None) => None,
                Err(_) => Some((path, None)),
            })
    }

    fn files(&self) -> Vec<PathBuf> {
        let folders = files_in(&self.runs()).into_iter();
        let keys = folders.flat_map(|folder| files_in(&folder));
        keys.flat_map(|key| files_in(&key)).collect()
    }

    fn all_answers(&self) -> Vec<PathBuf> {
        let categories = files_in(&self.packages()).into_iter();
        let packages = categories.flat_map(|category| files_in(&category));
        let folders = std::iter::once(self.answers()).chain(packages);
        folders.flat_map(|folder| answers::files(&folder)).collect()
    }

    /// Files with answers that are damaged, and how many are not.
    #[must_use]
    pub fn check_answers(&self) -> (Vec<PathBuf>, usize) {
        let (whole, damaged): (Vec<_>, Vec<_>) = self
            .all_answers()
            .into_iter()
            .partition(|path| answers::is_whole(path));
        (damaged, whole.len())
    }

    /// How much there is.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for metadata in self.files().iter().filter_map(|path| path.metadata().ok()) {
            summary.entries += 1;
            summary.bytes += metadata.len();
        }
        for metadata in self
            .all_answers()
            .iter()
            .filter_map(|path| path.metadata().ok())
        {
            summary.answers += 1;
            summary.bytes += metadata.len();
        }
        summary
    }

    /// Removes what the limits say, or only tells it. Gives what is gone.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn prune(&self, limits: Limits, pretend: bool) -> Result<Summary, StoreError> {
        let mut all: Vec<(SystemTime, u64, bool, PathBuf)> = Vec::new();
        let runs = self.files().into_iter().map(|path| (false, path));
        let answers = self.all_answers().into_iter().map(|path| (true, path));
        for (is_answers, path) in runs.chain(answers) {
            if let Ok(metadata) = path.metadata() {
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                all.push((used, metadata.len(), is_answers, path));
            }
        }
        all.sort();
        let mut left: u64 = all.iter().map(|(_, bytes, ..)| bytes).sum();
        let now = SystemTime::now();
        let mut gone = Summary::default();
        for (used, bytes, is_answers, path) in all {
            let unused = now.duration_since(used).unwrap_or_default();
            let old = limits.unused.is_some_and(|limit| unused > limit);
            let large = limits.size.is_some_and(|limit| left > limit);
            if !old && !large {
                continue;
            }
            if !pretend {
                remove(&path)?;
            }
            left -= bytes;
            match is_answers {
                true => gone.answers += 1,
                false => gone.entries += 1,
            }
            gone.bytes += bytes;
        }
        Ok(gone)
    }

    /// Removes everything.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn clear(&self) -> Result<Summary, StoreError> {
        let summary = self.summary();
        for folder in [
            self.runs(),
            self.answers(),
            self.packages(),
            self.folder.join("asked"),
        ] {
            match fs::remove_dir_all(&folder) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::Io {
                        path: folder,
                        what: "removed",
                        source,
                    });
                }
                _ => {}
            }
        }
        for name in ["journal", "journal.old"] {
            let path = self.folder.join(name);
            if path.exists() {
                remove(&path)?;
            }
        }
        Ok(summary)
    }

    /// Writes down what became of a call.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn record(
        &self,
        call: &Call,
        took: Duration,
        outcome: Outcome,
    ) -> Result<(), StoreError> {
        self.add_record(&Record {
            at: journal::now(),
            key: call.key(),
            directory: printable(call.directory().as_os_str()),
            script: printable(call.script().as_os_str()),
            took: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            outcome,
        })
    }

    fn asked(&self, directory: &Path) -> PathBuf {
        let name = sum(directory.as_os_str().as_encoded_bytes());
        let name: String = name
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.folder.join("asked").join(format!("{name}.json"))
    }

    /// Writes down what became of the checks of the last run in a directory.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn keep_asked(&self, directory: &Path, asked: &[Asked]) -> Result<(), StoreError> {
        let path = self.asked(directory);
        let folder = self.folder.join("asked");
        fs::create_dir_all(&folder).map_err(|source| StoreError::Io {
            path: folder,
            what: "made",
            source,
        })?;
        let text = serde_json::to_vec(asked).unwrap_or_default();
        Ok(atomic::write_unsynced(&path, &text, 0o644)?)
    }

    /// What became of the checks of the last run in a directory that asked for answers; none if there was none.
    #[must_use]
    pub fn asked_in(&self, directory: &Path) -> Option<Vec<Asked>> {
        let text = fs::read(self.asked(directory)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn add_record(&self, record: &Record) -> Result<(), StoreError> {
        let path = self.journal();
        fs::create_dir_all(&self.folder)
            .and_then(|()| journal::add(&path, record))
            .map_err(|source| StoreError::Io {
                path,
                what: "written",
                source,
            })
    }

    /// What became of the last calls, the oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        journal::read(&self.journal())
    }
}

/// Notes that a file was of use.
fn use_now(path: &Path) {
    let _ = filetime::set_file_mtime(path, filetime::FileTime::now());
}

/// A file that somebody else may have put there, none if it is anything but a file of usual size.
fn read_suspiciously(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    let file = fs::File::options()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(path)
        .ok()?;
    let metadata = file.metadata().ok()?;
    let mut bytes = Vec::new();
    let fits = metadata.is_file() && metadata.len() <= LARGE;
    file.take(LARGE)
        .read_to_end(&mut bytes)
        .ok()
        .filter(|_| fits)?;
    Some(bytes)
}

/// Whether all facts of an entry hold; and if so, whether stamps of it were renewed.
fn hold(entry: &mut Entry, rules: &Rules) -> Result<bool, Broken> {
    let mut renewed = false;
    for fact in &mut entry.head.facts {
        if let Some(stamp) = fact.check(rules)? {
            fact.stamp = Some(stamp);
            renewed = true;
        }
    }
    Ok(renewed)
}

/// The entry in a file; none if it has just been removed.
fn read(path: &Path) -> Result<Option<Entry>, Damaged> {
    match fs::read(path) {
        Ok(bytes) => Entry::unpack(&bytes).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(_) => Err(Damaged),
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::Io {
            path: path.to_owned(),
            what: "removed",
            source,
        }),
        _ => Ok(()),
    }
}

/// What is in a folder, but for hidden files: those are being written.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let visible = entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    let mut paths: Vec<PathBuf> = visible.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn newest_first(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let time = |path: &PathBuf| {
        let modified = path.metadata().and_then(|metadata| metadata.modified());
        modified.unwrap_or(SystemTime::UNIX_EPOCH)
    };
    paths.sort_by_cached_key(|path| std::cmp::Reverse(time(path)));
    paths
}

/// Whether the folder that an entry says it is of is the one that its key has.
fn is_of_its_folder(entry: &Entry) -> bool {
    let directory = entry.directory();
    let mut parts = entry
        .head
        .parts
        .iter()
        .filter(|part| part.name == DIRECTORY);
    let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    let named = sum(printable(directory.as_os_str()).as_bytes());
    directory.components().all(is_plain)
        && parts.next().is_some_and(|part| part.sum == named)
        && parts.next().is_none()
}

#[cfg(test)]
mod tests;
