//! What is kept of a run, and its form on disk.
//!
//! A file is a magic line, the SHA-256 of all behind it, the length of the head (8 bytes, little
//! endian), and head and body, each packed with postcard and compressed with zstd. The head tells
//! what the run was and what it found; the body what it made. Damage anywhere is seen.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::call::Part;
use super::facts::{Fact, sum};
use super::output::Change;

const MAGIC: &[u8] = b"ebd configure run 2\n";

/// How much an entry may hold, unpacked.
const LIMIT: u64 = 1 << 30;

/// zstd's level: entries are written often and read often.
const LEVEL: i32 = 3;

/// Where something was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Something that was printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Where.
    pub stream: Stream,
    /// What.
    pub bytes: Vec<u8>,
}

/// What the run was, and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) parts: Vec<Part>,
    pub(super) script: Vec<u8>,
    pub(super) directory: Vec<u8>,
    pub(super) facts: Vec<Fact>,
    /// When it was run, in seconds since 1970.
    pub(super) at: u64,
    /// How long it took, in milliseconds.
    pub(super) took: u64,
}

/// What the run made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Body {
    pub(super) printed: Vec<Chunk>,
    pub(super) changes: Vec<Change>,
}

/// A run that was learned from. It ended with 0: others teach nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub(super) head: Head,
    pub(super) body: Body,
}

impl Entry {
    /// The script that was run.
    #[must_use]
    pub fn script(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.head.script))
    }

    /// Where it was run.
    #[must_use]
    pub fn directory(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.head.directory))
    }

    /// What it found.
    #[must_use]
    pub fn facts(&self) -> &[Fact] {
        &self.head.facts
    }

    /// What it printed.
    #[must_use]
    pub fn printed(&self) -> &[Chunk] {
        &self.body.printed
    }

    /// When it was run, in seconds since 1970.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.head.at
    }

    /// How long it took, in milliseconds.
    #[must_use]
    pub fn took(&self) -> u64 {
        self.head.took
    }

    /// How many files, links and directories it made, changed or removed.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.body.changes.len()
    }

    /// As a file.
    ///
    /// # Errors
    /// It is larger than entries may be.
    pub(super) fn pack(&self) -> Result<Vec<u8>, Unfit> {
        let (head, body) = (packed(&self.head)?, packed(&self.body)?);
        let mut rest = (head.len() as u64).to_le_bytes().to_vec();
        rest.extend(head);
        rest.extend(body);
        let mut file = MAGIC.to_vec();
        file.extend(sum(&rest));
        file.extend(rest);
        Ok(file)
    }

    /// From a file.
    pub(super) fn unpack(file: &[u8]) -> Result<Self, Damaged> {
        let rest = file.strip_prefix(MAGIC).ok_or(Damaged)?;
        let (kept, rest) = rest.split_at_checked(32).ok_or(Damaged)?;
        if sum(rest) != *kept {
            return Err(Damaged);
        }
        let (length, rest) = rest.split_at_checked(8).ok_or(Damaged)?;
        let length = u64::from_le_bytes(length.try_into().map_err(|_| Damaged)?);
        let length = usize::try_from(length).map_err(|_| Damaged)?;
        let (head, body) = rest.split_at_checked(length).ok_or(Damaged)?;
        Ok(Self {
            head: unpacked(head)?,
            body: unpacked(body)?,
        })
    }
}

/// The file is no entry, or not as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is damaged")]
pub(super) struct Damaged;

/// It cannot be an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what it made is too large to be kept")]
pub(super) struct Unfit;

pub(super) fn packed<T: Serialize>(value: &T) -> Result<Vec<u8>, Unfit> {
    let bytes = postcard::to_stdvec(value).map_err(|_| Unfit)?;
    if bytes.len() as u64 > LIMIT {
        return Err(Unfit);
    }
    zstd::encode_all(bytes.as_slice(), LEVEL).map_err(|_| Unfit)
}

pub(super) fn unpacked<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Damaged> {
    let decoder = zstd::Decoder::new(bytes).map_err(|_| Damaged)?;
    let mut plain = Vec::new();
    decoder
        .take(LIMIT + 1)
        .read_to_end(&mut plain)
        .map_err(|_| Damaged)?;
    postcard::from_bytes(&plain).map_err(|_| Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            head: Head {
                parts: Vec::new(),
                script: b"/src/configure".to_vec(),
                directory: b"/src/b\xff".to_vec(),
                facts: Vec::new(),
                at: 1,
                took: 2,
            },
            body: Body {
                printed: vec![Chunk {
                    stream: Stream::Output,
                    bytes: b"checking...\n".to_vec(),
                }],
                changes: Vec::new(),
            },
        }
    }

    #[test]
    fn an_entry_comes_back_and_any_damage_is_seen() {
        let file = entry().pack().unwrap();
        assert_eq!(Entry::unpack(&file), Ok(entry()));
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 1;
            assert_eq!(Entry::unpack(&damaged), Err(Damaged), "{at}");
            assert_eq!(Entry::unpack(&file[..at]), Err(Damaged), "{at}");
        }
    }
}
