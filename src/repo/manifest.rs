//! Manifest files: sizes and checksums of distfiles and of a package's own files (GLEP 44).

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

pub use super::manifest_check::{ManifestMismatch, ManifestProblem};
use super::text::is_absent;
use crate::util::regular;

/// A Manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file could not be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line says nothing, or something that cannot be.
    #[error("{}, line {line}: {what} (`ebd manifest --force` makes it anew)", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

/// What kind of file an entry describes, and so where the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileKind {
    /// A file below `files/`.
    Aux,
    /// A distfile.
    Dist,
    /// An ebuild.
    Ebuild,
    /// Another file in the package's directory.
    Misc,
}

impl FileKind {
    /// The word in the Manifest.
    pub fn word(self) -> &'static str {
        match self {
            Self::Aux => "AUX",
            Self::Dist => "DIST",
            Self::Ebuild => "EBUILD",
            Self::Misc => "MISC",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Aux, Self::Dist, Self::Ebuild, Self::Misc]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestEntry {
    /// What it describes.
    pub kind: FileKind,
    /// The file's name; for [`FileKind::Aux`] its path below `files/`.
    pub name: String,
    /// The file's size in bytes.
    pub size: u64,
    /// Checksums in lower-case hexadecimal digits by the name of their function, as in the file.
    pub hashes: Vec<(String, String)>,
}

impl ManifestEntry {
    /// Whether both say the same of the same file, in whichever order their checksums are.
    #[must_use]
    pub fn says_as(&self, other: &Self) -> bool {
        let has = |(function, hash): &(String, String)| other.hash(function) == Some(hash.as_str());
        (self.kind, &self.name, self.size) == (other.kind, &other.name, other.size)
            && self.hashes.len() == other.hashes.len()
            && self.hashes.iter().all(has)
    }

    /// The checksum that the function of this name gives.
    pub fn hash(&self, function: &str) -> Option<&str> {
        self.hashes
            .iter()
            .find(|(name, _)| name == function)
            .map(|(_, hash)| hash.as_str())
    }
}

/// A parsed Manifest, thin or thick.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    path: PathBuf,
    entries: Vec<ManifestEntry>,
    index: HashMap<(FileKind, String), usize>,
}

impl Manifest {
    /// Reads the Manifest of the package in `directory`; none when there is no such file.
    ///
    /// # Errors
    /// The file cannot be read or parsed.
    pub fn read(directory: &Path) -> Result<Option<Self>, ManifestError> {
        let path = directory.join("Manifest");
        match regular::read(&path) {
            Ok(bytes) => Self::parse(&bytes, &path).map(Some),
            Err(error) if is_absent(&error) => Ok(None),
            Err(source) => Err(ManifestError::Read { path, source }),
        }
    }

    /// Parses the contents of a Manifest, clear-signed or not; `path` is for messages. A file
    /// that comes twice keeps the hashes of both entries, if they agree.
    ///
    /// # Errors
    /// [`ManifestError::Line`] for the first line that is no entry.
    pub fn parse(contents: &[u8], path: &Path) -> Result<Self, ManifestError> {
        let mut manifest = Self {
            path: path.to_owned(),
            ..Self::default()
        };
        let mut header = false;
        for (at, line) in contents.split(|b| *b == b'\n').enumerate() {
            let broken = |what: String| ManifestError::Line {
                path: path.to_owned(),
                line: at + 1,
                what,
            };
            let line = std::str::from_utf8(line).map_err(|_| broken("not UTF-8".to_owned()))?;
            let line = line.strip_suffix('\r').unwrap_or(line);
            if header {
                // Armour headers last to the first empty line.
                header = !line.trim().is_empty();
                continue;
            }
            match line {
                "-----BEGIN PGP SIGNED MESSAGE-----" => header = true,
                "-----BEGIN PGP SIGNATURE-----" => break,
                _ => {
                    let line = line.strip_prefix("- ").unwrap_or(line);
                    if !line.trim().is_empty()
                        && let Some(entry) = parse_line(line).map_err(broken)?
                    {
                        manifest.add(entry).map_err(broken)?;
                    }
                }
            }
        }
        Ok(manifest)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All entries, in the order of the file.
    pub fn entries(&self) -> &[ManifestEntry] {
        &self.entries
    }

    /// The entry of this kind and name.
    pub fn entry(&self, kind: FileKind, name: &str) -> Option<&ManifestEntry> {
        self.entries.get(*self.index.get(&(kind, name.to_owned()))?)
    }

    /// The entry of a distfile.
    pub fn distfile(&self, name: &str) -> Option<&ManifestEntry> {
        self.entry(FileKind::Dist, name)
    }

    fn add(&mut self, entry: ManifestEntry) -> Result<(), String> {
        let key = (entry.kind, entry.name.clone());
        let Some(known) = self
            .index
            .get(&key)
            .and_then(|at| self.entries.get_mut(*at))
        else {
            self.index.insert(key, self.entries.len());
            self.entries.push(entry);
            return Ok(());
        };
        if known.size != entry.size {
            return Err(format!(
                "{} has two sizes, {} and {}",
                key.1, known.size, entry.size
            ));
        }
        for (function, hash) in entry.hashes {
            match known.hash(&function) {
                None => known.hashes.push((function, hash)),
                Some(first) if first == hash => {}
                Some(_) => return Err(format!("{} has two {function} sums", key.1)),
            }
        }
        Ok(())
    }
}

/// Parses a line; none for the kinds of entry that concern only verification of whole trees.
fn parse_line(line: &str) -> Result<Option<ManifestEntry>, String> {
    let mut words = line.split_whitespace();
    let word = words.next().unwrap_or_default();
    let Some(kind) = FileKind::from_word(word) else {
        return match word {
            "DATA" | "IGNORE" | "MANIFEST" | "OPTIONAL" | "TIMESTAMP" => Ok(None),
            _ => Err(format!("unknown kind of entry `{}`", word.escape_debug())),
        };
    };
    let name = words.next().ok_or("no file name")?.to_owned();
    check_name(kind, &name)?;
    let size = words.next().ok_or("no size")?;
    let size: u64 = size.parse().map_err(|_| format!("`{size}` is no size"))?;
    let mut hashes: Vec<(String, String)> = Vec::new();
    while let Some(function) = words.next() {
        let hash = words
            .next()
            .ok_or_else(|| format!("{function} has no value"))?;
        if !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("{function} is no hexadecimal number"));
        }
        if hashes.iter().any(|(known, _)| known == function) {
            return Err(format!("{function} twice"));
        }
        hashes.push((function.to_owned(), hash.to_ascii_lowercase()));
    }
    if hashes.is_empty() {
        return Err(format!("no checksum for {name}"));
    }
    Ok(Some(ManifestEntry {
        kind,
        name,
        size,
        hashes,
    }))
}

fn check_name(kind: FileKind, name: &str) -> Result<(), String> {
    let outside = name.split('/').any(|part| matches!(part, "" | "." | ".."));
    if outside || (kind != FileKind::Aux && name.contains('/')) {
        return Err(format!(
            "`{name}` is no place for a file of kind {}",
            kind.word()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Manifest, ManifestError> {
        Manifest::parse(text.as_bytes(), Path::new("Manifest"))
    }

    #[test]
    fn entries_are_read() {
        let manifest = parse(
            "DIST foo-1.tar.gz 123 BLAKE2B AB12 SHA512 cd34\nAUX a/b.patch 1 SHA512 00\n\n\
             EBUILD foo-1.ebuild 2 SHA512 11\nMISC metadata.xml 3 SHA512 22\nTIMESTAMP x\n",
        )
        .unwrap();
        assert_eq!(manifest.entries().len(), 4);
        let entry = manifest.distfile("foo-1.tar.gz").unwrap();
        assert_eq!(entry.size, 123);
        assert_eq!(entry.hash("BLAKE2B"), Some("ab12"));
        assert_eq!(entry.hash("MD5"), None);
        assert!(manifest.entry(FileKind::Aux, "a/b.patch").is_some());
        assert!(manifest.distfile("metadata.xml").is_none());
    }

    #[test]
    fn signatures_are_stepped_over() {
        let manifest = parse(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nDIST a 1 MD5 00\n\
             -----BEGIN PGP SIGNATURE-----\n\nnonsense\n-----END PGP SIGNATURE-----\n",
        )
        .unwrap();
        assert_eq!(manifest.entries().len(), 1);
    }

    #[test]
    fn broken_lines_are_named() {
        for (text, what) in [
            (
                "DIST a 1 MD5 00\nDIST b x MD5 00\n",
                "Manifest, line 2: `x` is no size",
            ),
            ("DIST a 1\n", "Manifest, line 1: no checksum for a"),
            ("DIST a 1 MD5\n", "Manifest, line 1: MD5 has no value"),
            (
                "DIST a 1 MD5 xyz\n",
                "Manifest, line 1: MD5 is no hexadecimal number",
            ),
            (
                "FOO a 1 MD5 00\n",
                "Manifest, line 1: unknown kind of entry `FOO`",
            ),
            ("DIST a\n", "Manifest, line 1: no size"),
            ("DIST a 1 MD5 00 MD5 00\n", "Manifest, line 1: MD5 twice"),
            (
                "DIST a 1 MD5 00\nDIST a 2 MD5 00\n",
                "Manifest, line 2: a has two sizes, 1 and 2",
            ),
            (
                "DIST a 1 MD5 00\nDIST a 1 MD5 01\n",
                "Manifest, line 2: a has two MD5 sums",
            ),
            (
                "DIST ../a 1 MD5 00\n",
                "Manifest, line 1: `../a` is no place for a file of kind DIST",
            ),
            (
                "AUX ../../a 1 MD5 00\n",
                "Manifest, line 1: `../../a` is no place for a file of kind AUX",
            ),
        ] {
            let told = parse(text).unwrap_err().to_string();
            assert_eq!(
                told,
                format!("{what} (`ebd manifest --force` makes it anew)")
            );
        }
        assert!(parse("DIST a 1 MD5 00\nDIST a 1 MD5 00 SHA1 11\n").is_ok());
    }
}
