//! `Packages`, the index of PKGDIR that Portage and its clients read.
//!
//! A header and one entry per package, separated by blank lines; each is lines of `KEY: value`. Entries leave out what
//! is the default or the same as in the header. Keys stand in the order of the names that Portage uses inside, under
//! which `MTIME` and `REPO` come last and `DESC` sorts as `DESCRIPTION`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod entry;
mod header;
mod lines;
mod locked;
mod revisions;

pub use entry::{Entry, FileFacts};
pub use header::HeaderSettings;
pub use locked::LockedIndex;
pub use revisions::print as print_revisions;

use self::lines::Lines;
use super::pkgdir::PkgdirError;
use crate::pms::dependency::DependencyError;
use crate::util::atomic::AtomicError;

/// The version of the format, in the header.
const VERSION: u32 = 0;

/// Keys of which an entry takes the header's value if it has none.
const INHERITED: [&str; 2] = ["CHOST", "REPO"];

/// What is wrong with the index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The index cannot be read.
    #[error("{}: the package index cannot be read", path.display())]
    Read {
        /// The index.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The index is of a later version of the format.
    #[error("{}: version {version:?} of the package index is not supported, only {VERSION} is", path.display())]
    Version {
        /// The index.
        path: PathBuf,
        /// The version it has.
        version: String,
    },
    /// The metadata of a package lacks something without which there is no entry.
    #[error("{cpv}: the metadata has no {key}")]
    Missing {
        /// The package.
        cpv: String,
        /// The file of build-info.
        key: &'static str,
    },
    /// A dependency in the metadata of a package cannot be understood.
    #[error("{cpv}: {key} of the metadata is invalid")]
    Dependency {
        /// The package.
        cpv: String,
        /// The file of build-info.
        key: &'static str,
        /// Why.
        source: Box<DependencyError>,
    },
    /// What a package or the index says of the revisions of repositories is no JSON object of texts.
    #[error("REPO_REVISIONS of the {place} is invalid")]
    Revisions {
        /// `package` or `index`.
        place: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The path of a package is not UTF-8.
    #[error("{}: the path is not UTF-8, which the package index requires", path.display())]
    Path {
        /// The path below PKGDIR.
        path: PathBuf,
    },
    /// The index cannot be written.
    #[error("the package index cannot be written")]
    Write(#[from] AtomicError),
    /// `Packages.gz` cannot be compressed or removed.
    #[error("{}: the compressed package index cannot be {step}", path.display())]
    Compressed {
        /// The compressed index.
        path: PathBuf,
        /// What was tried.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Locking, or looking at the files of the packages.
    #[error(transparent)]
    Pkgdir(Box<PkgdirError>),
}

impl From<PkgdirError> for IndexError {
    fn from(error: PkgdirError) -> Self {
        Self::Pkgdir(Box::new(error))
    }
}

/// The index in memory.
#[derive(Debug, Clone, Default)]
pub struct Index {
    header: BTreeMap<Cow<'static, str>, String>,
    entries: Vec<Entry>,
    /// What entries take over from the header as it is now.
    inherited: Arc<Inherited>,
}

/// Keys and values that entries take over from the header.
type Inherited = Vec<(&'static str, String)>;

impl PartialEq for Index {
    fn eq(&self, other: &Self) -> bool {
        self.header == other.header && self.entries == other.entries
    }
}

impl Eq for Index {}

impl Index {
    /// Reads the index at `path`; a missing one is empty.
    ///
    /// # Errors
    /// The file cannot be read, or is of a later version of the format.
    pub fn read(path: &Path) -> Result<Self, IndexError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => {
                return Err(IndexError::Read {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let index = match String::from_utf8(bytes) {
            Ok(text) => Self::of_text(text),
            Err(error) => Self::parse(error.as_bytes()),
        };
        match index.is_supported() {
            true => Ok(index),
            false => Err(IndexError::Version {
                path: path.to_owned(),
                version: index.header("VERSION").unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Whether the index is of a version of the format that is known; one that does not say is.
    pub fn is_supported(&self) -> bool {
        self.header("VERSION")
            .is_none_or(|version| version.parse() == Ok(VERSION))
    }

    /// Reads the text of an index, keeping keys that are not known. As in Portage, lines without a colon and entries
    /// without `CPV` are passed over, bytes that are not UTF-8 are replaced, and a carriage return ends a line too.
    pub fn parse(bytes: &[u8]) -> Self {
        Self::of_text(String::from_utf8_lossy(bytes).into_owned())
    }

    fn of_text(mut text: String) -> Self {
        if text.contains('\r') {
            text = text.replace("\r\n", "\n").replace('\r', "\n");
        }
        let mut index = Self::default();
        let mut end = 0;
        for line in text.split_inclusive('\n') {
            end += line.len();
            let line = line.strip_suffix('\n').unwrap_or(line);
            if line.is_empty() {
                break;
            }
            if let Some((key, value)) = lines::split(line) {
                index.header.insert(known(key), value.to_owned());
            }
        }
        index.note_inherited();
        index.entries = Lines::split(text, end)
            .into_iter()
            .map(|lines| Entry::of_lines(lines, Arc::clone(&index.inherited)))
            .collect();
        index
    }

    /// The text of the index, as Portage writes it. `timestamp` is in seconds since 1970.
    pub fn write(&self, timestamp: u64) -> Vec<u8> {
        let mut header: Vec<(&str, String)> = self
            .header
            .iter()
            .filter(|(key, _)| !matches!(key.as_ref(), "TIMESTAMP" | "PACKAGES"))
            .map(|(key, value)| (key.as_ref(), value.clone()))
            .collect();
        header.push(("TIMESTAMP", timestamp.to_string()));
        header.push(("PACKAGES", self.entries.len().to_string()));
        header.sort_by(|one, other| sort_name(one.0).cmp(sort_name(other.0)));

        // What was read was mostly what will be written.
        let length: usize = self.entries.iter().map(Entry::length).sum();
        let mut text = Vec::with_capacity(length + 4096);
        write_lines(
            &mut text,
            header.iter().map(|(key, value)| (*key, value.as_str())),
        );
        let wanted =
            |key: &str, value: &str| !INHERITED.contains(&key) || self.header(key) != Some(value);
        let mut write = |entry: &Entry| {
            if let Some(lines) = entry.as_written(self, wanted) {
                text.extend_from_slice(lines.as_bytes());
                text.push(b'\n');
                return;
            }
            let mut lines: Vec<(&str, &str)> = entry
                .iter()
                .filter(|(key, value)| default_value(key) != Some(value) && wanted(key, value))
                .collect();
            lines.sort_by(|one, other| sort_name(one.0).cmp(sort_name(other.0)));
            write_lines(&mut text, lines.into_iter());
        };
        if self.entries.is_sorted_by_key(Entry::cpv) {
            self.entries.iter().for_each(write);
        } else {
            let mut entries: Vec<&Entry> = self.entries.iter().collect();
            entries.sort_by_key(|entry| entry.cpv());
            entries.into_iter().for_each(&mut write);
        }
        text
    }

    /// A value of the header.
    pub fn header(&self, key: &str) -> Option<&str> {
        self.header.get(key).map(String::as_str)
    }

    /// Sets a value of the header; an empty one removes the key. `PACKAGES` and `TIMESTAMP` are made when writing.
    pub fn set_header(&mut self, key: &str, value: &str) {
        let value = one_line(value);
        if value.is_empty() {
            self.header.remove(key);
        } else {
            self.header.insert(known(key), value);
        }
        if INHERITED.contains(&file_name(key)) {
            self.note_inherited();
        }
    }

    /// The entries, in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds an entry; one of the same path makes room for it.
    pub fn insert(&mut self, mut entry: Entry) {
        entry.inherit(&self.inherited);
        let path = entry.path().into_owned();
        self.entries.retain(|other| other.path() != path);
        self.entries.push(entry);
    }

    /// Puts these entries in the place of all others.
    pub fn replace_entries(&mut self, mut entries: Vec<Entry>) {
        for entry in &mut entries {
            entry.inherit(&self.inherited);
        }
        self.entries = entries;
    }

    /// Keeps the entries for which `keep` says so.
    pub fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) {
        self.entries.retain(keep);
    }

    /// The highest build id that is remembered for `cpv` (`category/package-version`).
    pub fn highest_build_id(&self, cpv: &str) -> Option<u64> {
        self.entries
            .iter()
            .filter(|entry| entry.cpv() == cpv)
            .filter_map(Entry::build_id)
            .max()
    }

    /// Takes away what Portage does not carry over from one writing of the index to the next.
    pub(super) fn forget_revisions(&mut self) {
        for entry in &mut self.entries {
            entry.remove("REPO_REVISIONS");
        }
    }

    fn note_inherited(&mut self) {
        let of_header = |key| Some((key, self.header(key)?.to_owned()));
        self.inherited = Arc::new(INHERITED.into_iter().filter_map(of_header).collect());
    }
}

fn write_lines<'a>(text: &mut Vec<u8>, lines: impl Iterator<Item = (&'a str, &'a str)>) {
    for (key, value) in lines.filter(|(_, value)| !value.is_empty()) {
        for part in [key, ": ", value, "\n"] {
            text.extend(part.as_bytes());
        }
    }
    text.push(b'\n');
}

/// A value that cannot break out of its line.
fn one_line(value: &str) -> String {
    if value.contains(['\n', '\r']) {
        value.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        value.to_owned()
    }
}

/// The name that the file has for a key.
fn file_name(key: &str) -> &str {
    match key {
        "DESCRIPTION" => "DESC",
        "_mtime_" => "MTIME",
        "repository" => "REPO",
        other => other,
    }
}

/// The name under which Portage sorts a key.
fn sort_name(key: &str) -> &str {
    match key {
        "DESC" => "DESCRIPTION",
        "MTIME" => "_mtime_",
        "REPO" => "repository",
        other => other,
    }
}

/// The value that an entry has when it does not say; such values are not written.
fn default_value(key: &str) -> Option<&'static str> {
    match key {
        "EAPI" | "SLOT" => Some("0"),
        _ => None,
    }
}

/// The key under the name it has in the file, without memory of its own where it is a usual one.
fn known(key: &str) -> Cow<'static, str> {
    const USUAL: [&str; 34] = [
        "BASE_URI",
        "BDEPEND",
        "BUILD_ID",
        "BUILD_TIME",
        "CHOST",
        "CPV",
        "DEFINED_PHASES",
        "DEPEND",
        "DESC",
        "EAPI",
        "FETCHCOMMAND",
        "IDEPEND",
        "IUSE",
        "KEYWORDS",
        "LICENSE",
        "MD5",
        "MTIME",
        "PATH",
        "PDEPEND",
        "PKGINDEX_URI",
        "PROPERTIES",
        "PROVIDES",
        "RDEPEND",
        "REPO",
        "REPO_REVISIONS",
        "REQUIRES",
        "RESTRICT",
        "RESUMECOMMAND",
        "SHA1",
        "SIZE",
        "SLOT",
        "USE",
        "TIMESTAMP",
        "VERSION",
    ];
    let key = file_name(key);
    match USUAL.iter().find(|usual| **usual == key) {
        Some(usual) => Cow::Borrowed(usual),
        None => Cow::Owned(key.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Made of what Portage writes.
    const TEXT: &str = "\
ACCEPT_KEYWORDS: amd64 ~amd64
ARCH: amd64
CHOST: x86_64-pc-linux-gnu
PACKAGES: 3
PROFILE: default/linux/amd64/23.0
TIMESTAMP: 1795169347
VERSION: 0

BUILD_ID: 1
BUILD_TIME: 1795169346
CPV: app-arch/ncompress-5.0-r2
DEFINED_PHASES: configure install prepare
EAPI: 8
MD5: 296d5f563a89b4dd709ca77bb9c2bc90
PATH: app-arch/ncompress/ncompress-5.0-r2-1.xpak
SIZE: 33434
UNHEARD_OF: kept
USE: abi_x86_64 amd64
MTIME: 1795169347
REPO: gentoo

CHOST: aarch64-unknown-linux-gnu
CPV: app-arch/old-1
DESC: sorts as DESCRIPTION
EAPI: 7
SIZE: 1
MTIME: 2

BUILD_ID: 1
CPV: virtual/pkgconfig-3
EAPI: 8
PATH: virtual/pkgconfig/pkgconfig-3-1.xpak
RDEPEND: dev-util/pkgconf[native-symlinks(+)]
REPO: gentoo

";

    fn entry(cpv: &str, path: &str, build_id: u64) -> Entry {
        let mut entry = Entry::default();
        entry.set("CPV", cpv);
        entry.set("PATH", path);
        entry.set("BUILD_ID", &build_id.to_string());
        entry
    }

    #[test]
    fn writes_what_it_read() {
        let index = Index::parse(TEXT.as_bytes());
        assert_eq!(String::from_utf8(index.write(1_795_169_347)).unwrap(), TEXT);
    }

    #[test]
    fn entries_answer_with_inherited_and_default_values() {
        let index = Index::parse(TEXT.as_bytes());
        let [first, second, third] = index.entries() else {
            panic!("{:?}", index.entries())
        };
        assert_eq!(first.get("CHOST"), Some("x86_64-pc-linux-gnu"));
        assert_eq!(first.get("UNHEARD_OF"), Some("kept"));
        assert_eq!(
            (first.build_id(), first.size(), first.mtime()),
            (Some(1), Some(33434), Some(1_795_169_347))
        );
        assert_eq!(second.get("CHOST"), Some("aarch64-unknown-linux-gnu"));
        assert_eq!(second.path(), "app-arch/old-1.tbz2");
        assert_eq!(second.build_id(), None);
        assert_eq!(third.get("SLOT"), Some("0"));
        assert_eq!(third.get("DEPEND"), None);
    }

    #[test]
    fn sorts_by_the_text_of_cpv_and_keeps_the_order_of_equals() {
        let mut index = Index::default();
        for (cpv, path) in [
            ("b/b-1", "3"),
            ("a/a-10", "1"),
            ("a/a-9", "2"),
            ("b/b-1", "0"),
            ("a+b/a-1", "x"),
        ] {
            index.insert(entry(cpv, path, 1));
        }
        let text = String::from_utf8(index.write(0)).unwrap();
        let paths: Vec<_> = text
            .lines()
            .filter_map(|line| line.strip_prefix("PATH: "))
            .collect();
        assert_eq!(paths, ["x", "1", "2", "3", "0"]);
        assert!(text.starts_with("PACKAGES: 5\nTIMESTAMP: 0\n\n"), "{text}");
    }

    #[test]
    fn an_entry_replaces_that_of_its_path() {
        let mut index = Index::parse(TEXT.as_bytes());
        index.insert(entry("app-arch/old-1", "app-arch/old-1.tbz2", 7));
        assert_eq!(index.entries().len(), 3);
        index.insert(entry("app-arch/old-1", "app-arch/old/old-1-9.xpak", 9));
        assert_eq!(index.entries().len(), 4);
        assert_eq!(index.highest_build_id("app-arch/old-1"), Some(9));
        assert_eq!(index.highest_build_id("app-arch/old-2"), None);
    }

    #[test]
    fn default_and_empty_values_are_not_written() {
        let mut index = Index::default();
        let mut entry = entry("a/a-1", "p", 1);
        for (key, value) in [("EAPI", "0"), ("SLOT", "0"), ("DEPEND", ""), ("USE", "x")] {
            entry.set(key, value);
        }
        index.insert(entry);
        let text = String::from_utf8(index.write(0)).unwrap();
        assert!(
            text.ends_with("\n\nBUILD_ID: 1\nCPV: a/a-1\nPATH: p\nUSE: x\n\n"),
            "{text}"
        );
    }

    #[test]
    fn a_value_cannot_forge_lines() {
        let mut index = Index::default();
        let mut entry = entry("a/a-1", "p", 1);
        entry.set("USE", "x\nCPV: b/b-1\n\nCPV: c/c-1");
        index.insert(entry);
        index.set_header("GENTOO_MIRRORS", " one\n two ");
        let again = Index::parse(&index.write(0));
        assert_eq!(again.entries().len(), 1);
        assert_eq!(again.entries()[0].cpv(), "a/a-1");
        assert_eq!(again.header("GENTOO_MIRRORS"), Some("one two"));
    }

    #[test]
    fn survives_odd_texts() {
        assert_eq!(Index::parse(b"").entries().len(), 0);
        let index = Index::parse(b"VERSION: 0\nno colon\n\n\n\nKEY: without cpv\n\nCPV: a/a-1\nUSE:\nPATH:xy\n\n\nCPV: a/b-1");
        let cpvs: Vec<_> = index.entries().iter().map(Entry::cpv).collect();
        assert_eq!(cpvs, ["a/a-1", "a/b-1"]);
        assert_eq!(index.entries()[0].path(), "y");
    }

    #[test]
    fn of_a_key_that_comes_twice_the_last_value_counts() {
        let text = b"CHOST: h\n\nCPV: a/a-1\nUSE: x\nDESCRIPTION: d\nCPV: a/a-2\nUSE:\nDESC: e\n";
        let mut index = Index::parse(text);
        let entry = &index.entries()[0];
        assert_eq!(entry.cpv(), "a/a-2");
        assert_eq!(entry.get("USE"), Some(""));
        let fields: Vec<_> = entry.iter().collect();
        assert_eq!(
            fields,
            [("CPV", "a/a-2"), ("USE", ""), ("DESC", "e"), ("CHOST", "h")]
        );
        let mut changed = entry.clone();
        changed.set("CPV", "a/a-3");
        changed.remove("DESC");
        changed.remove("CHOST");
        assert_eq!((changed.cpv(), changed.get("CHOST")), ("a/a-3", None));
        assert_ne!(changed, *entry);
        index.insert(changed);
        let text = String::from_utf8(index.write(1)).unwrap();
        let entries = "CPV: a/a-2\nDESC: e\n\nCPV: a/a-3\n\n";
        assert!(text.ends_with(entries), "{text}");
    }

    #[test]
    fn entries_keep_what_the_header_said_when_they_were_read() {
        let mut index = Index::parse(b"CHOST: one\n\nCPV: a/a-1\n\nCPV: a/b-1\nCHOST: two\n");
        index.set_header("CHOST", "two");
        index.insert(entry("a/c-1", "c", 1));
        let hosts: Vec<_> = index.entries().iter().map(|e| e.get("CHOST")).collect();
        assert_eq!(hosts, [Some("one"), Some("two"), Some("two")]);
        let text = String::from_utf8(index.write(1)).unwrap();
        let first = "CHOST: one\nCPV: a/a-1\n\nCPV: a/b-1\n\n";
        assert!(text.contains(first), "{text}");
        let mut other = Index::default();
        for entry in index.entries() {
            other.insert(entry.clone());
        }
        assert_eq!(other.entries()[0].get("CHOST"), Some("one"));
    }

    #[test]
    fn carriage_returns_end_lines() {
        let index = Index::parse(
            b"VERSION: 0\r\n\r\nCPV: a/a-1\r\nUSE: x\rSLOT: 1\r\n\r\nCPV: a/b-1\r\n\r\n",
        );
        let fields: Vec<_> = index.entries().iter().flat_map(Entry::iter).collect();
        assert_eq!(
            fields,
            [
                ("CPV", "a/a-1"),
                ("USE", "x"),
                ("SLOT", "1"),
                ("CPV", "a/b-1")
            ]
        );
    }

    #[test]
    fn refuses_a_later_version() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("Packages");
        assert_eq!(Index::read(&path).unwrap(), Index::default());
        std::fs::write(&path, "VERSION: 1\n\n").unwrap();
        let error = Index::read(&path).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "Packages: version \"1\" of the package index is not supported, only 0 is"
            ),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_writing_settles(bytes: Vec<u8>) {
            let once = Index::parse(&bytes).write(1);
            prop_assert_eq!(Index::parse(&once).write(1), once);
        }

        #[test]
        fn lines_that_are_kept_are_those_that_would_be_made(
            text in "((CHOST|REPO): ?[a-z]{0,1}\n){0,2}\n((CPV|PATH|EAPI|SLOT|REPO|repository|DESC|CHOST|X|):? ?[a-b0]{0,2}\n|\n){0,30}",
            header in "[a-z]{0,1}",
        ) {
            let mut kept = Index::parse(text.as_bytes());
            kept.set_header("CHOST", &header);
            let mut made = kept.clone();
            made.entries = kept
                .entries()
                .iter()
                .map(|entry| {
                    let mut anew = Entry::default();
                    for (key, value) in entry.iter() {
                        anew.set(key, value);
                    }
                    anew
                })
                .collect();
            prop_assert_eq!(kept.write(1), made.write(1));
        }

        #[test]
        fn any_lines_settle(text in "((CPV|PATH|USE|SLOT|REPO|DESC|CHOST|X|): ?[a-z0]{0,3}\n|\n){0,30}") {
            let once = Index::parse(text.as_bytes()).write(1);
            prop_assert_eq!(Index::parse(&once).write(1), once);
        }
    }
}
