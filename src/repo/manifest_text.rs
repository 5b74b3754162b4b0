//! The writing of a Manifest (GLEP 44): its entries for a package's own files, and its text.

use std::collections::BTreeSet;
use std::path::Path;

use super::manifest::{FileKind, ManifestEntry};
use super::manifest_check::{ManifestProblem, names, place, present_files};
use crate::util::digest::{Digests, HashName, hash_file};

impl ManifestEntry {
    /// The entry of a file with these size and hashes.
    #[must_use]
    pub fn of(kind: FileKind, name: &str, digests: &Digests) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            size: digests.size(),
            hashes: digests
                .iter()
                .map(|(name, value)| (name.name().to_owned(), value.to_owned()))
                .collect(),
        }
    }
}

/// The entries of everything in a package's directory that a thick Manifest lists, with these hashes: ebuilds, what
/// is below `files/`, and other files.
///
/// # Errors
/// Something cannot be read, or has a name that no Manifest can have.
pub fn own_files(
    directory: &Path,
    hashes: &[HashName],
) -> Result<Vec<ManifestEntry>, ManifestProblem> {
    let mut files = BTreeSet::new();
    present_files(directory, &mut files)?;
    for name in names(directory)? {
        let is_other = !name.starts_with('.') && !name.ends_with(".ebuild") && name != "Manifest";
        if is_other && directory.join(&name).is_file() {
            files.insert((FileKind::Misc, name));
        }
    }
    let entry = |(kind, name): (FileKind, String)| {
        let path = place(directory, kind, &name);
        if name.contains(char::is_whitespace) {
            return Err(ManifestProblem::Name {
                path,
                what: "with a space in it",
            });
        }
        let digests = hash_file(&path, hashes)?;
        Ok(ManifestEntry::of(kind, &name, &digests))
    };
    files.into_iter().map(entry).collect()
}

/// The text of a Manifest with these entries: sorted by kind and name, the hashes of each by their names.
#[must_use]
pub fn manifest_text(entries: &[ManifestEntry]) -> String {
    let mut sorted: Vec<&ManifestEntry> = entries.iter().collect();
    sorted.sort_by_key(|entry| (entry.kind.word(), &entry.name));
    let mut text = String::new();
    for entry in sorted {
        text.push_str(&format!(
            "{} {} {}",
            entry.kind.word(),
            entry.name,
            entry.size
        ));
        let mut hashes: Vec<_> = entry.hashes.iter().collect();
        hashes.sort();
        for (name, value) in hashes {
            text.push_str(&format!(" {name} {value}"));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::repo::manifest::Manifest;

    #[test]
    fn a_thick_manifest_lists_everything() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        };
        for name in [
            "foo-1.ebuild",
            "foo-2.ebuild",
            "metadata.xml",
            "ChangeLog",
            "Manifest",
            ".hidden",
            "files/b/x.patch",
            "files/a.patch",
            "files/.hidden",
            "files/.hidden one",
            "files/ü(1)+~.patch",
            "files/digest-foo-1",
            "CVS/Root",
        ] {
            put(name);
        }
        let mut entries = own_files(directory.path(), &[HashName::Sha1, HashName::Md5]).unwrap();
        entries.push(ManifestEntry {
            kind: FileKind::Dist,
            name: "foo-1.tar".into(),
            size: 7,
            hashes: vec![
                ("SHA512".into(), "b".into()),
                ("BLAKE2B".into(), "a".into()),
            ],
        });
        let text = manifest_text(&entries);
        let begins: Vec<String> = text
            .lines()
            .map(|line| line.split(' ').take(4).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            begins,
            [
                "AUX a.patch 13 MD5",
                "AUX b/x.patch 15 MD5",
                "AUX ü(1)+~.patch 19 MD5",
                "DIST foo-1.tar 7 BLAKE2B",
                "EBUILD foo-1.ebuild 12 MD5",
                "EBUILD foo-2.ebuild 12 MD5",
                "MISC ChangeLog 9 MD5",
                "MISC metadata.xml 12 MD5",
            ]
        );
        let read = Manifest::parse(text.as_bytes(), Path::new("Manifest")).unwrap();
        assert_eq!(manifest_text(read.entries()), text);
        assert!(text.contains("DIST foo-1.tar 7 BLAKE2B a SHA512 b\n"));
        assert!(text.ends_with(&format!(" SHA1 {}\n", HashName::Sha1.hex(b"metadata.xml"))));
    }

    #[test]
    fn names_that_no_manifest_can_have_are_refused() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        for (name, told) in [
            (
                &b"files/a b.patch"[..],
                "files/a b.patch: a name with a space",
            ),
            (b"files/sub/a\tb", "files/sub/a\\tb: a name with a space"),
            ("files/a\u{a0}b".as_bytes(), "a name with a space"),
            (b"read me", "read me: a name with a space"),
            (b"foo 1.ebuild", "foo 1.ebuild: a name with a space"),
            (
                b"files/\xff.patch",
                "files/\\xff.patch: a name that is not UTF-8",
            ),
            (b"files/\xff/x", "files/\\xff: a name that is not UTF-8"),
            (b"\xff", "/\\xff: a name that is not UTF-8"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join(OsStr::from_bytes(name));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            let hidden = directory.path().join(OsStr::from_bytes(b"files/.\xff"));
            fs::create_dir_all(hidden.parent().unwrap()).unwrap();
            fs::write(hidden, "").unwrap();
            let error = own_files(directory.path(), &[HashName::Md5]).unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
            fs::remove_file(path).unwrap();
            let _ = fs::remove_dir(directory.path().join(OsStr::from_bytes(b"files/\xff")));
            assert!(
                own_files(directory.path(), &[HashName::Md5])
                    .unwrap()
                    .is_empty()
            );
        }
    }
}
