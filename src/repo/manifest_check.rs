//! The check of a package's own files against a thick Manifest.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::manifest::{FileKind, Manifest, ManifestEntry};
use super::text::is_absent;
use crate::util::digest::{HashFileError, HashName, UnknownHash, hash_file};
use crate::util::printable::printable;

/// One file that is not as the Manifest has it.
#[derive(Debug, thiserror::Error)]
pub enum ManifestProblem {
    /// The file is listed but not there.
    #[error("{}: listed in the Manifest, but missing", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file is there but not listed.
    #[error("{}: not listed in the Manifest (run `ebd manifest`)", path.display())]
    Unlisted {
        /// The file.
        path: PathBuf,
    },
    /// A Manifest has no way to write the name.
    #[error(
        "{}: a name {what} cannot stand in a Manifest; rename or remove the file",
        printable(path.as_os_str())
    )]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file's size or a checksum is another.
    #[error("{}: {mismatch}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What differs.
        mismatch: ManifestMismatch,
    },
    /// None of the entry's hash functions is known.
    #[error("{}: no known hash function in its Manifest entry", path.display())]
    UnknownHashes {
        /// The file.
        path: PathBuf,
        /// The first of them.
        source: UnknownHash,
    },
    /// The file could not be read.
    #[error(transparent)]
    Read(#[from] HashFileError),
    /// A directory could not be read.
    #[error("{}: cannot be read", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What differs between a file and its entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestMismatch {
    /// The size in bytes.
    #[error("{found} bytes, but {expected} in the Manifest")]
    Size {
        /// In the Manifest.
        expected: u64,
        /// Of the file.
        found: u64,
    },
    /// A checksum.
    #[error("{function} is {found}, but {expected} in the Manifest")]
    Hash {
        /// The hash function.
        function: HashName,
        /// In the Manifest.
        expected: String,
        /// Of the file.
        found: String,
    },
}

impl Manifest {
    /// Checks the files of the package in `directory` as a repository with thick Manifests and
    /// `use-manifests = strict` demands: ebuilds and files below `files/` must all be listed,
    /// and what is listed must be there and be the same. Other files in the directory may be
    /// missing, and need not be listed. Gives every problem found, in order of path.
    pub fn check_package(&self, directory: &Path) -> Vec<ManifestProblem> {
        let mut problems = Vec::new();
        let mut present = BTreeSet::new();
        if let Err(problem) = present_files(directory, &mut present) {
            problems.push(problem);
        }
        for (kind, name) in &present {
            if self.entry(*kind, name).is_none() {
                problems.push(ManifestProblem::Unlisted {
                    path: place(directory, *kind, name),
                });
            }
        }
        let mut entries: Vec<_> = self
            .entries()
            .iter()
            .filter(|entry| entry.kind != FileKind::Dist)
            .collect();
        entries.sort_by_key(|entry| (entry.kind, &entry.name));
        for entry in entries {
            let path = place(directory, entry.kind, &entry.name);
            if !path.exists() {
                if entry.kind != FileKind::Misc {
                    problems.push(ManifestProblem::Missing { path });
                }
            } else if let Err(problem) = check_file(&path, entry) {
                problems.push(problem);
            }
        }
        problems
    }
}

pub(super) fn place(directory: &Path, kind: FileKind, name: &str) -> PathBuf {
    match kind {
        FileKind::Aux => directory.join("files").join(name),
        _ => directory.join(name),
    }
}

fn check_file(path: &Path, entry: &ManifestEntry) -> Result<(), ManifestProblem> {
    let mismatch = |mismatch| ManifestProblem::Mismatch {
        path: path.to_owned(),
        mismatch,
    };
    let mut functions: Vec<HashName> = Vec::new();
    let mut unknown = None;
    for (name, _) in &entry.hashes {
        match name.parse() {
            Ok(function) => functions.push(function),
            Err(error) => unknown = unknown.or(Some(error)),
        }
    }
    if let (true, Some(source)) = (functions.is_empty(), unknown) {
        return Err(ManifestProblem::UnknownHashes {
            path: path.to_owned(),
            source,
        });
    }
    let digests = hash_file(path, &functions)?;
    if digests.size() != entry.size {
        return Err(mismatch(ManifestMismatch::Size {
            expected: entry.size,
            found: digests.size(),
        }));
    }
    for function in functions {
        let expected = entry.hash(function.name()).unwrap_or_default();
        let found = digests.get(function).unwrap_or_default();
        if expected != found {
            return Err(mismatch(ManifestMismatch::Hash {
                function,
                expected: expected.to_owned(),
                found: found.to_owned(),
            }));
        }
    }
    Ok(())
}

/// The ebuilds and the files below `files/`, leaving out hidden ones and `CVS`.
pub(super) fn present_files(
    directory: &Path,
    found: &mut BTreeSet<(FileKind, String)>,
) -> Result<(), ManifestProblem> {
    for name in names(directory)? {
        if name.ends_with(".ebuild") {
            found.insert((FileKind::Ebuild, name));
        }
    }
    let files = directory.join("files");
    let mut waiting = vec![String::new()];
    while let Some(below) = waiting.pop() {
        for name in names(&files.join(&below))? {
            let path = if below.is_empty() {
                name.clone()
            } else {
                format!("{below}/{name}")
            };
            let is_dir = files
                .join(&path)
                .symlink_metadata()
                .is_ok_and(|m| m.is_dir());
            if name.starts_with('.') || (is_dir && name == "CVS") {
                continue;
            }
            if is_dir {
                waiting.push(path);
            } else if !path.starts_with("digest-") {
                found.insert((FileKind::Aux, path));
            }
        }
    }
    Ok(())
}

/// The names in a directory; none if it is not there. Hidden ones that are no text, which no Manifest has, are left
/// out.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, ManifestProblem> {
    let error = |source| ManifestProblem::Directory {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(source) if is_absent(&source) => return Ok(Vec::new()),
        Err(source) => return Err(error(source)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(error)?;
        match entry.file_name().into_string() {
            Ok(name) => found.push(name),
            Err(name) if name.as_encoded_bytes().starts_with(b".") => {}
            Err(_) => {
                return Err(ManifestProblem::Name {
                    path: entry.path(),
                    what: "that is not UTF-8",
                });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("files/sub")).unwrap();
        fs::write(directory.path().join("foo-1.ebuild"), "a").unwrap();
        fs::write(directory.path().join("files/sub/x.patch"), "b").unwrap();
        fs::write(directory.path().join("files/.hidden"), "b").unwrap();
        fs::write(directory.path().join("metadata.xml"), "c").unwrap();
        directory
    }

    const GOOD: &str = "AUX sub/x.patch 1 MD5 92eb5ffee6ae2fec3ad71c777531578f\n\
        EBUILD foo-1.ebuild 1 MD5 0cc175b9c0f1b6a831c399e269772661 FUTURE 00\n\
        MISC ChangeLog 1 MD5 00\n";

    fn check(text: &str) -> Vec<String> {
        let directory = package();
        let manifest = Manifest::parse(text.as_bytes(), Path::new("Manifest")).unwrap();
        let prefix = format!("{}/", directory.path().display());
        manifest
            .check_package(directory.path())
            .iter()
            .map(|problem| problem.to_string().replace(&prefix, ""))
            .collect()
    }

    #[test]
    fn good_files_pass() {
        assert!(check(GOOD).is_empty());
    }

    #[test]
    fn every_problem_is_found() {
        let problems = check(
            "AUX gone 1 MD5 00\nEBUILD foo-1.ebuild 2 MD5 00\nMISC metadata.xml 1 MD5 00\n\
             EBUILD foo-2.ebuild 1 MD5 00\n",
        );
        assert_eq!(problems.len(), 5, "{problems:#?}");
        assert!(problems[0].starts_with("files/sub/x.patch: not listed"));
        assert_eq!(
            problems[1],
            "files/gone: listed in the Manifest, but missing"
        );
        assert_eq!(problems[2], "foo-1.ebuild: 1 bytes, but 2 in the Manifest");
        assert_eq!(
            problems[3],
            "foo-2.ebuild: listed in the Manifest, but missing"
        );
        assert!(problems[4].starts_with("metadata.xml: MD5 is 4a8a08f0"));
    }

    #[test]
    fn unknown_functions_alone_are_no_proof() {
        let problems = check(&GOOD.replace("MD5 0cc175b9c0f1b6a831c399e269772661 ", ""));
        assert_eq!(
            problems,
            ["foo-1.ebuild: no known hash function in its Manifest entry"]
        );
    }
}
