//! What programs may do to which paths: the four lists of Gentoo's sandbox.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// One of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum List {
    /// What may be read (`SANDBOX_READ`, `addread`).
    Read,
    /// What may be changed (`SANDBOX_WRITE`, `addwrite`).
    Write,
    /// What programs are known to try to change: refused, but nothing to talk about
    /// (`SANDBOX_PREDICT`, `addpredict`).
    Predict,
    /// What may be neither read nor changed, whatever the other lists say (`SANDBOX_DENY`,
    /// `adddeny`).
    Deny,
}

impl List {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Predict, Self::Deny];

    /// Its name, as the commands of ebuilds have it behind `add`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Predict => "predict",
            Self::Deny => "deny",
        }
    }

    /// Its name at the end of its variable's.
    fn variable_end(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::Predict => "PREDICT",
            Self::Deny => "DENY",
        }
    }

    /// The variable that holds it.
    #[must_use]
    pub fn variable(self) -> String {
        format!("SANDBOX_{}", self.variable_end())
    }
}

/// A path as it stands in a list's variable.
#[must_use]
pub fn escape(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte == b':' {
            text.push(b'\\');
        }
        text.push(byte);
    }
    text
}

/// The paths in the value of a list's variable: between colons, where a colon that belongs to a path
/// has a backslash before it.
pub fn split(value: &[u8]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut path = Vec::new();
    let mut bytes = value.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if bytes.peek() == Some(&b':') => path.extend(bytes.next()),
            b':' => paths.push(std::mem::take(&mut path)),
            byte => path.push(byte),
        }
    }
    paths.push(path);
    paths
        .into_iter()
        .filter(|path| !path.is_empty())
        .map(|path| PathBuf::from(OsString::from_vec(path)))
        .collect()
}

/// Where every program may write, as in Gentoo's sandbox.
pub const DEVICES: [&str; 12] = [
    "/dev/zero",
    "/dev/null",
    "/dev/full",
    "/dev/console",
    "/dev/tty",
    "/dev/vc",
    "/dev/pty",
    "/dev/tts",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/fd",
    "/dev/shm",
];

/// What a program wants of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// To see what is in it, or to run it.
    Read,
    /// To change it, or what is in it.
    Write,
}

impl Access {
    /// The word for it in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// What is said to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may be done.
    Allowed,
    /// It is refused, as was foreseen.
    Predicted,
    /// It is refused, and a violation.
    Denied,
}

/// Paths, each with all that is below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Paths(Vec<PathBuf>);

impl Paths {
    /// Adds a path, and where it leads if that is elsewhere.
    fn add(&mut self, path: &Path) {
        for path in [path.to_owned(), resolved(path)] {
            if !self.0.contains(&path) {
                self.0.push(path);
            }
        }
    }

    fn hold(&self, path: &Path) -> bool {
        self.0.iter().any(|prefix| path.starts_with(prefix))
    }
}

/// Where a path leads, as far as it exists.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    let mut head = path;
    loop {
        if let Ok(mut found) = head.canonicalize() {
            found.extend(rest.iter().rev());
            return found;
        }
        match (head.parent(), head.file_name()) {
            (Some(parent), Some(name)) => {
                rest.push(name);
                head = parent;
            }
            _ => return path.to_owned(),
        }
    }
}

/// What may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    free: bool,
    minds_environment: bool,
    read: Paths,
    write: Paths,
    predict: Paths,
    deny: Paths,
}

impl Policy {
    /// Everything may be done.
    #[must_use]
    pub fn free() -> Self {
        Self {
            free: true,
            ..Self::confined()
        }
    }

    /// Nothing may be done but what is added.
    #[must_use]
    pub fn confined() -> Self {
        Self {
            free: false,
            minds_environment: false,
            read: Paths::default(),
            write: Paths::default(),
            predict: Paths::default(),
            deny: Paths::default(),
        }
    }

    /// The same where a program's own variables count, as ebuilds know it of Gentoo's sandbox: one
    /// started with `SANDBOX_ON=0` is free, and `SANDBOX_WRITE` and the others add to the lists.
    #[must_use]
    pub fn minding_environment(mut self) -> Self {
        self.minds_environment = true;
        self
    }

    /// Whether a program's own variables count.
    pub(crate) fn minds_environment(&self) -> bool {
        self.minds_environment && !self.free
    }

    /// The policy for a program with these variables, each `NAME=VALUE`.
    pub(crate) fn in_environment<'a>(&self, variables: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut policy = self.clone();
        for variable in variables {
            let Some(rest) = variable.strip_prefix(b"SANDBOX_") else {
                continue;
            };
            if rest == b"ON=0" {
                policy.free = true;
            }
            for list in List::ALL {
                let value = rest
                    .strip_prefix(list.variable_end().as_bytes())
                    .and_then(|rest| rest.strip_prefix(b"="));
                for path in value.into_iter().flat_map(split) {
                    if path.is_absolute() {
                        policy.add(list, &path);
                    }
                }
            }
        }
        policy
    }

    /// The same with a path, and all below it, in one of the lists.
    #[must_use]
    pub fn with<P: AsRef<Path>>(mut self, list: List, path: P) -> Self {
        self.add(list, path.as_ref());
        self
    }

    /// Puts a path, and all below it, into one of the lists.
    pub fn add(&mut self, list: List, path: &Path) {
        match list {
            List::Read => self.read.add(path),
            List::Write => self.write.add(path),
            List::Predict => self.predict.add(path),
            List::Deny => self.deny.add(path),
        }
    }

    /// Whether everything may be done.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.free
    }

    /// Whether anything is denied.
    pub(crate) fn denies(&self) -> bool {
        !self.free && !self.deny.0.is_empty()
    }

    /// Whether some reading is refused.
    #[must_use]
    pub fn restricts_reading(&self) -> bool {
        !self.free && (!self.deny.0.is_empty() || !self.read.hold(Path::new("/")))
    }

    /// Whether what lies below `path` may all be done: nothing there is denied.
    pub(crate) fn is_whole_below(&self, path: &Path) -> bool {
        self.free || !self.deny.0.iter().any(|denied| denied.starts_with(path))
    }

    /// What is said to an access to a path, which must be absolute and free of links.
    #[must_use]
    pub fn decide(&self, access: Access, path: &Path) -> Verdict {
        if self.free {
            return Verdict::Allowed;
        }
        if self.deny.hold(path) {
            return Verdict::Denied;
        }
        match access {
            // What may be changed may be read.
            Access::Read if self.read.hold(path) || self.write.hold(path) => Verdict::Allowed,
            Access::Write if self.write.hold(path) => Verdict::Allowed,
            _ if self.predict.hold(path) => Verdict::Predicted,
            _ => Verdict::Denied,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_looked_at_in_order() {
        let policy = Policy::confined()
            .with(List::Read, "/")
            .with(List::Write, "/build")
            .with(List::Predict, "/usr/lib/python")
            .with(List::Deny, "/build/secret");
        let write = |path: &str| policy.decide(Access::Write, Path::new(path));
        assert_eq!(write("/build"), Verdict::Allowed);
        assert_eq!(write("/build/a:b/c"), Verdict::Allowed);
        assert_eq!(write("/builder"), Verdict::Denied);
        assert_eq!(write("/build/secret/x"), Verdict::Denied);
        assert_eq!(write("/usr/lib/python/x.pyc"), Verdict::Predicted);
        assert_eq!(write("/usr"), Verdict::Denied);
        let read = |path: &str| policy.decide(Access::Read, Path::new(path));
        assert_eq!(read("/usr"), Verdict::Allowed);
        assert_eq!(read("/build/secret"), Verdict::Denied);
        assert!(policy.restricts_reading());
        assert_eq!(
            Policy::free().decide(Access::Write, Path::new("/")),
            Verdict::Allowed
        );
        assert!(!Policy::confined().with(List::Read, "/").restricts_reading());
    }

    #[test]
    fn lists_in_variables_are_read() {
        let paths = |value: &[u8]| split(value);
        assert_eq!(paths(b"/a:/b"), [Path::new("/a"), Path::new("/b")]);
        assert_eq!(paths(b":/a::"), [Path::new("/a")]);
        assert_eq!(
            paths(b"/a\\:b:/c\\d"),
            [Path::new("/a:b"), Path::new("/c\\d")]
        );
        assert_eq!(escape(Path::new("/a:b")), b"/a\\:b");
        let policy = Policy::confined().minding_environment();
        let variables: [&[u8]; 2] = [b"SANDBOX_WRITE=/x:/y", b"SANDBOX_ONE=0"];
        let seen = policy.in_environment(variables.into_iter());
        assert_eq!(
            seen.decide(Access::Write, Path::new("/y")),
            Verdict::Allowed
        );
        assert_eq!(seen.decide(Access::Write, Path::new("/z")), Verdict::Denied);
        let off: [&[u8]; 1] = [b"SANDBOX_ON=0"];
        assert!(policy.in_environment(off.into_iter()).is_free());
    }

    #[test]
    fn a_path_counts_with_where_it_leads() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        std::os::unix::fs::symlink("real", top.join("link")).unwrap();
        std::fs::create_dir(top.join("real")).unwrap();
        let policy = Policy::confined().with(List::Write, top.join("link/new"));
        let decide = |path: &str| policy.decide(Access::Write, &top.join(path));
        assert_eq!(decide("real/new/file"), Verdict::Allowed);
        assert_eq!(decide("real"), Verdict::Denied);
    }
}
