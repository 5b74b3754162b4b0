//! What a Manifest promises of a distfile.

use crate::repo::manifest::ManifestEntry;
use crate::util::digest::{Digests, HashName};

/// Size and hashes of a distfile as its Manifest entry has them (GLEP 74, `DIST`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    size: u64,
    hashes: Vec<(HashName, String)>,
    unknown: Vec<String>,
}

/// The first thing in which a file differs from its Manifest entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The size in bytes.
    #[error("size is {got} bytes, the Manifest says {expected}")]
    Size {
        /// What the Manifest says.
        expected: u64,
        /// What the file has.
        got: u64,
    },
    /// A hash.
    #[error("{name} is {got}, the Manifest says {expected}")]
    Hash {
        /// The hash function.
        name: HashName,
        /// What the Manifest says.
        expected: String,
        /// What the file has.
        got: String,
    },
}

/// What two Manifest entries of one name say differently, so that they are of different files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// What: `size`, or the name of a hash.
    pub name: &'static str,
    /// What the one entry says.
    pub own: String,
    /// What the other says.
    pub other: String,
}

impl Expected {
    /// An entry with its size in bytes and its hashes: pairs of a name and a lower-case hexadecimal value.
    ///
    /// Names that are not known are remembered and not used. That none is left which is known shows only when the
    /// entry is used.
    pub fn new<N: AsRef<str>, V: Into<String>>(
        size: u64,
        hashes: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut expected = Self {
            size,
            hashes: Vec::new(),
            unknown: Vec::new(),
        };
        for (name, value) in hashes {
            match name.as_ref().parse() {
                Ok(hash) => expected.hashes.push((hash, value.into())),
                Err(_) => expected.unknown.push(name.as_ref().to_owned()),
            }
        }
        expected.hashes.sort_by_key(|(name, _)| *name);
        expected
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash functions that are known, sorted by name.
    pub fn names(&self) -> Vec<HashName> {
        self.hashes.iter().map(|(name, _)| *name).collect()
    }

    /// The names of hash functions that are not known here, in the order of the entry.
    pub fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// The promised value of one hash.
    pub fn get(&self, name: HashName) -> Option<&str> {
        self.hashes
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Takes up the hashes that another entry has of the same file.
    ///
    /// # Errors
    /// The size or a hash that both have differs; then nothing is taken up.
    pub fn join(&mut self, other: &Self) -> Result<(), Contradiction> {
        let differing = |name, own: String, other: String| Contradiction { name, own, other };
        if self.size != other.size {
            let (own, other) = (self.size.to_string(), other.size.to_string());
            return Err(differing("size", own, other));
        }
        for (name, value) in &other.hashes {
            if let Some(own) = self.get(*name)
                && own != value
            {
                return Err(differing(name.name(), own.to_owned(), value.clone()));
            }
        }
        for (name, value) in &other.hashes {
            if self.get(*name).is_none() {
                self.hashes.push((*name, value.clone()));
            }
        }
        self.hashes.sort_by_key(|(name, _)| *name);
        Ok(())
    }

    /// The hashes that are known, as Portage tells them to programs that fetch: names in lower case and values, such
    /// as `sha512:…`, with spaces between.
    #[must_use]
    pub fn digests(&self) -> String {
        let known = self.hashes.iter();
        // A program's words are made of it.
        let plain = known.filter(|(_, value)| value.bytes().all(|it| it.is_ascii_hexdigit()));
        let pairs = plain.map(|(name, value)| format!("{}:{value}", name.name().to_lowercase()));
        pairs.collect::<Vec<_>>().join(" ")
    }

    /// Compares a file with the entry: the size first, then every known hash in the order of the names.
    ///
    /// # Errors
    /// The first difference. A hash that was not computed counts as one.
    pub fn verify(&self, digests: &Digests) -> Result<(), Mismatch> {
        self.verify_size(digests.size())?;
        for (name, expected) in &self.hashes {
            let got = digests.get(*name).unwrap_or_default();
            if got != expected {
                return Err(Mismatch::Hash {
                    name: *name,
                    expected: expected.clone(),
                    got: got.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Compares the size alone.
    ///
    /// # Errors
    /// The size differs.
    pub fn verify_size(&self, got: u64) -> Result<(), Mismatch> {
        if got == self.size {
            Ok(())
        } else {
            Err(Mismatch::Size {
                expected: self.size,
                got,
            })
        }
    }
}

impl From<&ManifestEntry> for Expected {
    fn from(entry: &ManifestEntry) -> Self {
        Self::new(
            entry.size,
            entry
                .hashes
                .iter()
                .map(|(name, value)| (name, value.as_str())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::digest::MultiDigest;

    fn digests(data: &[u8], names: &[HashName]) -> Digests {
        let mut digest = MultiDigest::new(names);
        digest.update(data);
        digest.finish()
    }

    #[test]
    fn all_known_hashes_count() {
        let right = HashName::Sha512.hex(b"abc");
        let entry = Expected::new(
            3,
            [
                ("SHA512", right.clone()),
                ("STREEBOG512", "00".to_owned()),
                ("BLAKE2B", "00".to_owned()),
            ],
        );
        assert_eq!(entry.unknown(), ["STREEBOG512"]);
        assert_eq!(entry.names(), [HashName::Blake2b, HashName::Sha512]);
        let got = digests(b"abc", &entry.names());
        assert_eq!(
            entry.verify(&got),
            Err(Mismatch::Hash {
                name: HashName::Blake2b,
                expected: "00".to_owned(),
                got: HashName::Blake2b.hex(b"abc"),
            })
        );
        let entry = Expected::new(3, [("SHA512", right)]);
        assert_eq!(entry.verify(&got), Ok(()));
        assert!(entry.verify(&digests(b"abc", &[HashName::Md5])).is_err());
    }

    #[test]
    fn entries_of_one_file_are_joined_and_others_are_not() {
        let mut entry = Expected::new(4, [("SHA512", "0a"), ("MD5", "1")]);
        let before = entry.clone();
        let size = entry.join(&Expected::new(5, [("SHA512", "0a")]));
        assert_eq!(size.unwrap_err().name, "size");
        let hash = entry.join(&Expected::new(4, [("BLAKE2B", "3"), ("SHA512", "0b")]));
        let expected = Contradiction {
            name: "SHA512",
            own: "0a".to_owned(),
            other: "0b".to_owned(),
        };
        assert_eq!(hash, Err(expected));
        assert_eq!(entry, before);
        let same = Expected::new(4, [("BLAKE2B", "3"), ("SHA512", "0a")]);
        assert_eq!(entry.join(&same), Ok(()));
        assert_eq!(entry.digests(), "blake2b:3 md5:1 sha512:0a");
    }

    #[test]
    fn programs_are_told_what_is_known() {
        let hashes = [
            ("SHA512", "0a"),
            ("GOST", "1"),
            ("MD5", "$x"),
            ("SHA1", "2"),
        ];
        assert_eq!(Expected::new(4, hashes).digests(), "sha1:2 sha512:0a");
    }

    #[test]
    fn the_size_is_compared_first() {
        let entry = Expected::new(4, [("MD5", "x")]);
        assert_eq!(
            entry
                .verify(&digests(b"abc", &entry.names()))
                .unwrap_err()
                .to_string(),
            "size is 3 bytes, the Manifest says 4"
        );
    }
}
