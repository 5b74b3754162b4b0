//! What programs looked at, and what they found.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

/// How many different accesses are kept, beyond which a trace is not complete.
const KEPT: usize = 4_000_000;

/// What was done with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Opened for reading, or only held.
    Open,
    /// The names in the directory were read.
    List,
    /// Run as a program.
    Execute,
    /// Its metadata were asked for.
    Stat,
    /// Whether it may be used was asked.
    Access,
    /// Where the link leads was asked.
    Readlink,
    /// Extended attributes were read.
    Xattr,
    /// It became the working directory.
    Chdir,
    /// Its file system was asked for, or it was watched.
    Other,
    /// Opened for writing, made, removed, renamed, or given other attributes.
    Change,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Open,
        Self::List,
        Self::Execute,
        Self::Stat,
        Self::Access,
        Self::Readlink,
        Self::Xattr,
        Self::Chdir,
        Self::Other,
        Self::Change,
    ];

    /// The word for it in files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::List => "list",
            Self::Execute => "execute",
            Self::Stat => "stat",
            Self::Access => "access",
            Self::Readlink => "readlink",
            Self::Xattr => "xattr",
            Self::Chdir => "chdir",
            Self::Other => "other",
            Self::Change => "change",
        }
    }
}

/// The words for what stands beside accesses in files: the length of a path is the number.
const LISTED_BY: &str = "listed-by";
const LEADS: &str = "leads";
const MADE: &str = "made";

fn pairs(all: &BTreeMap<OsString, BTreeSet<OsString>>) -> impl Iterator<Item = (&Path, &Path)> {
    all.iter().flat_map(|(path, others)| {
        let others = others.iter().map(Path::new);
        others.map(move |other| (Path::new(path), other))
    })
}

/// What came of it: none if it was done, else why not (`ENOENT` if nothing was there).
pub type Outcome = Option<Errno>;

/// Every access to a path, once for each kind and outcome.
///
/// Paths are absolute and as the programs gave them, behind the working directory of the moment:
/// links are not resolved, as whether there is one is part of what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// By the bytes of the path: a slash at the end makes another question of it.
    accesses: BTreeMap<OsString, Vec<(Kind, Outcome)>>,
    count: usize,
    /// The programs that listed a directory.
    listers: BTreeMap<OsString, BTreeSet<OsString>>,
    /// Where links lead that were made.
    links: BTreeMap<OsString, BTreeSet<OsString>>,
    /// Where nothing was until something was made there.
    made: BTreeSet<OsString>,
    escapes: BTreeSet<String>,
}

impl Trace {
    pub(crate) fn add(&mut self, path: &Path, kind: Kind, outcome: Outcome) {
        // Mostly it is there already, so no key is made before that is known.
        if let Some(known) = self.accesses.get_mut(path.as_os_str()) {
            if !known.contains(&(kind, outcome)) {
                known.push((kind, outcome));
                self.count += 1;
            }
            return;
        }
        if self.count >= KEPT {
            self.escape(format!("more than {KEPT} different accesses"));
            return;
        }
        self.count += 1;
        self.accesses.insert(path.into(), vec![(kind, outcome)]);
    }

    /// Notes that something is made where nothing is; to be noted before the change itself is.
    pub(crate) fn makes(&mut self, path: &Path) {
        // What was removed there before may have been there from the begin.
        if !self.has_changed(path) {
            self.made.insert(path.into());
        }
    }

    fn has_changed(&self, path: &Path) -> bool {
        let known = self.accesses.get(path.as_os_str());
        known.is_some_and(|known| known.contains(&(Kind::Change, None)))
    }

    /// Notes which program listed a directory.
    pub(crate) fn listed_by(&mut self, directory: &Path, program: &OsStr) {
        let known = self.listers.entry(directory.into()).or_default();
        known.insert(program.to_owned());
    }

    /// Notes that a link was made, or got this name.
    pub(crate) fn leads(&mut self, link: &Path, target: &OsStr) {
        let known = self.links.entry(link.into()).or_default();
        known.insert(target.to_owned());
    }

    /// Notes why something may be missing.
    pub(crate) fn escape(&mut self, reason: String) {
        self.escapes.insert(reason);
    }

    /// Adds what another trace has.
    pub fn extend(&mut self, other: &Self) {
        for path in other.made() {
            self.makes(path);
        }
        for (path, kind, outcome) in other.accesses() {
            self.add(path, kind, outcome);
        }
        for (directory, program) in other.listers() {
            self.listed_by(directory, program.as_os_str());
        }
        for (link, target) in other.links() {
            self.leads(link, target.as_os_str());
        }
        for reason in other.escapes() {
            self.escape(reason.to_owned());
        }
    }

    /// All accesses, by path.
    pub fn accesses(&self) -> impl Iterator<Item = (&Path, Kind, Outcome)> {
        self.accesses.iter().flat_map(|(path, all)| {
            all.iter()
                .map(move |&(kind, outcome)| (Path::new(path), kind, outcome))
        })
    }

    /// The programs that were run.
    pub fn programs(&self) -> impl Iterator<Item = &Path> {
        self.accesses()
            .filter(|&(_, kind, outcome)| kind == Kind::Execute && outcome.is_none())
            .map(|(path, ..)| path)
    }

    /// The paths at which nothing was until something was made there, by the programs themselves.
    pub fn made(&self) -> impl Iterator<Item = &Path> {
        self.made.iter().map(Path::new)
    }

    /// Whether nothing was at the path until something was made there.
    #[must_use]
    pub fn has_made(&self, path: &Path) -> bool {
        self.made.contains(path.as_os_str())
    }

    /// The directories that were listed, with the programs that did, each by its executable file.
    pub fn listers(&self) -> impl Iterator<Item = (&Path, &Path)> {
        pairs(&self.listers)
    }

    /// The links that were made or got other names, each with the text that says where it leads. What one
    /// path was at different times is there once for each.
    pub fn links(&self) -> impl Iterator<Item = (&Path, &Path)> {
        pairs(&self.links)
    }

    /// Why the trace may lack something; if there is any reason, nothing may be concluded from what
    /// is not in it.
    pub fn escapes(&self) -> impl Iterator<Item = &str> {
        self.escapes.iter().map(String::as_str)
    }

    /// In a form that [`from_bytes`](Self::from_bytes) reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (path, kind, outcome) in self.accesses() {
            let errno = outcome.map_or(0, |errno| errno as i32);
            bytes.extend_from_slice(format!("{} {errno} ", kind.word()).as_bytes());
            bytes.extend_from_slice(path.as_os_str().as_bytes());
            bytes.push(0);
        }
        for (word, pairs) in [(LISTED_BY, &self.listers), (LEADS, &self.links)] {
            for (path, other) in self::pairs(pairs) {
                let (path, other) = (path.as_os_str().as_bytes(), other.as_os_str().as_bytes());
                bytes.extend_from_slice(format!("{word} {} ", path.len()).as_bytes());
                bytes.extend_from_slice(path);
                bytes.extend_from_slice(other);
                bytes.push(0);
            }
        }
        for path in &self.made {
            bytes.extend_from_slice(format!("{MADE} 0 ").as_bytes());
            bytes.extend_from_slice(path.as_bytes());
            bytes.push(0);
        }
        for reason in self.escapes() {
            bytes.extend_from_slice(format!("escape 0 {}", reason.replace('\0', " ")).as_bytes());
            bytes.push(0);
        }
        // Without an end it is not whole.
        bytes.extend_from_slice(b"end\0");
        bytes
    }

    /// From what [`to_bytes`](Self::to_bytes) made; none if it is something else, or not whole.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut trace = Self::default();
        let rows = bytes.strip_suffix(b"end\0")?;
        for row in rows.split_inclusive(|byte| *byte == 0) {
            let row = row.strip_suffix(b"\0")?;
            let mut fields = row.splitn(3, |byte| *byte == b' ');
            let word = std::str::from_utf8(fields.next()?).ok()?;
            let errno: i32 = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
            let rest = fields.next()?;
            let path = OsStr::from_bytes(rest);
            if matches!(word, LISTED_BY | LEADS) {
                let (path, other) = rest.split_at_checked(usize::try_from(errno).ok()?)?;
                let (path, other) = (Path::new(OsStr::from_bytes(path)), OsStr::from_bytes(other));
                match word {
                    LEADS => trace.leads(path, other),
                    _ => trace.listed_by(path, other),
                }
                continue;
            }
            if word == MADE {
                trace.made.insert(path.to_owned());
                continue;
            }
            if word == "escape" {
                trace.escape(path.to_string_lossy().into_owned());
                continue;
            }
            let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word)?;
            let outcome = (errno != 0).then(|| Errno::from_raw(errno));
            trace.add(Path::new(path), kind, outcome);
        }
        Some(trace)
    }

    /// Whether everything is in it.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.escapes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_are_kept_once_and_by_the_bytes_of_their_paths() {
        let mut trace = Trace::default();
        for path in ["/a", "/a/", "/a/.", "/a"] {
            trace.add(Path::new(path), Kind::Stat, None);
        }
        trace.add(Path::new("/a"), Kind::Stat, Some(Errno::ENOENT));
        trace.add(Path::new("/bin/x"), Kind::Execute, None);
        trace.add(Path::new("/sbin/x"), Kind::Execute, Some(Errno::ENOENT));
        assert_eq!(trace.accesses().count(), 6);
        assert_eq!(trace.programs().collect::<Vec<_>>(), [Path::new("/bin/x")]);
        assert!(trace.is_complete());
        trace.escape("why".into());
        assert_eq!(trace.escapes().collect::<Vec<_>>(), ["why"]);
        trace.add(Path::new(OsStr::from_bytes(b"/a b\xff")), Kind::List, None);
        let mut both = Trace::default();
        both.add(Path::new("/a"), Kind::Open, None);
        both.extend(&trace);
        assert_eq!(both.accesses().count(), trace.accesses().count() + 1);
        assert!(!both.is_complete());
        trace.listed_by(Path::new("/a b"), OsStr::new("/bin/ls"));
        trace.leads(Path::new("/a\nb"), OsStr::from_bytes(b"../c d\xff"));
        trace.leads(Path::new("/a\nb"), OsStr::new("/"));
        trace.makes(Path::new("/new"));
        trace.add(Path::new("/new"), Kind::Change, None);
        trace.add(Path::new("/old"), Kind::Change, None);
        trace.makes(Path::new("/old"));
        assert_eq!(trace.made().collect::<Vec<_>>(), [Path::new("/new")]);
        let mut later = Trace::default();
        later.makes(Path::new("/old"));
        later.makes(Path::new("/later"));
        trace.extend(&later);
        assert_eq!(trace.made().count(), 2);
        both.extend(&trace);
        assert_eq!(
            both.listers().collect::<Vec<_>>(),
            [(Path::new("/a b"), Path::new("/bin/ls"))]
        );
        assert_eq!(both.links().count(), 2);
        let bytes = trace.to_bytes();
        assert_eq!(Trace::from_bytes(&bytes), Some(trace));
        assert_eq!(Trace::from_bytes(&bytes[..bytes.len() - 1]), None);
        for bytes in [
            &b""[..],
            b"stat\0end\0",
            b"what 0 /x\0end\0",
            b"stat x /x\0end\0",
            b"leads 9 /x\0end\0",
            b"leads -1 /x\0end\0",
        ] {
            assert_eq!(Trace::from_bytes(bytes), None);
        }
    }
}
