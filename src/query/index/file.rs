//! The file that an index is kept in: a number, the length of the head (8 bytes, little endian), the head, packed with
//! postcard, and the texts of all entries.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::repo::Repository;
use crate::util::atomic::AtomicFile;

/// The first bytes of an index. What is written otherwise has another number.
const MAGIC: &[u8; 8] = b"ebdQix1\n";

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) location: PathBuf,
    pub(super) eclasses: u64,
    pub(super) categories: Vec<Category>,
    pub(super) texts: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Category {
    pub(super) name: String,
    pub(super) stamp: u64,
    pub(super) packages: Vec<Package>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) stamp: u64,
    pub(super) ebuilds: Vec<Record>,
    /// That of the best version.
    pub(super) description: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) pf: String,
    pub(super) stamp: u64,
    pub(super) start: u64,
    pub(super) length: u64,
}

impl Record {
    pub(super) fn text<'a>(&self, texts: &'a str) -> &'a str {
        let range = || -> Option<std::ops::Range<usize>> {
            let start = usize::try_from(self.start).ok()?;
            Some(start..start.checked_add(usize::try_from(self.length).ok()?)?)
        };
        range()
            .and_then(|range| texts.get(range))
            .unwrap_or_default()
    }
}

/// The file of a repository's index.
pub(super) fn place(folder: &Path, repository: &Repository) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    repository.location().hash(&mut hasher);
    folder.join(format!("{}-{:016x}", repository.name(), hasher.finish()))
}

/// The first part of an index; none if the file is no index, or a damaged one.
pub(super) fn read_head(mut file: File) -> Option<(File, Head)> {
    let mut start = [0_u8; 16];
    file.read_exact(&mut start).ok()?;
    let (magic, length) = start.split_at(8);
    let length = u64::from_le_bytes(length.try_into().ok()?);
    let size = file.metadata().ok()?.len();
    if magic != MAGIC || length > size {
        return None;
    }
    let mut bytes = Vec::new();
    (&mut file).take(length).read_to_end(&mut bytes).ok()?;
    let head: Head = postcard::from_bytes(&bytes).ok()?;
    let whole = length.checked_add(16)?.checked_add(head.texts)?;
    (size == whole).then_some((file, head))
}

/// The second part.
pub(super) fn read_texts(file: &mut File, head: &Head) -> Option<String> {
    let end = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(end.checked_sub(head.texts)?))
        .ok()?;
    let mut bytes = Vec::with_capacity(usize::try_from(head.texts).ok()?);
    file.read_to_end(&mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

pub(super) fn write(path: &Path, head: &Head, texts: &str) -> Option<()> {
    fs::create_dir_all(path.parent()?).ok()?;
    let bytes = postcard::to_stdvec(head).ok()?;
    let file = AtomicFile::create(path, 0o644).ok()?;
    let mut to = file.file();
    for part in [
        MAGIC,
        &(bytes.len() as u64).to_le_bytes()[..],
        &bytes,
        texts.as_bytes(),
    ] {
        io::Write::write_all(&mut to, part).ok()?;
    }
    file.commit_unsynced().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_comes_back_and_damage_is_no_index() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("index");
        let head = Head {
            location: "/repo".into(),
            texts: 5,
            ..Head::default()
        };
        write(&path, &head, "texts").unwrap();
        let read = || read_head(File::open(&path).unwrap());
        let (mut file, found) = read().unwrap();
        assert_eq!(found.location, head.location);
        assert_eq!(read_texts(&mut file, &found).unwrap(), "texts");
        let bytes = fs::read(&path).unwrap();
        for end in 0..bytes.len() {
            fs::write(&path, bytes.get(..end).unwrap()).unwrap();
            assert!(read().is_none(), "{end}");
        }
        // Lengths that no file has.
        for length in [u64::MAX, u64::MAX - 16, 1 << 40] {
            write(
                &path,
                &Head {
                    texts: length,
                    ..head.clone()
                },
                "texts",
            )
            .unwrap();
            assert!(read().is_none(), "{length}");
        }
    }
}
