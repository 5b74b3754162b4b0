//! The Manifest of a package: a line for each member before it.

use super::GpkgError;
use crate::util::digest::{Digests, HashName, MultiDigest};

/// The checksums that are written, as in Portage.
pub(super) const WRITTEN: [HashName; 2] = [HashName::Blake2b, HashName::Sha512];

const SIGNED: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const SIGNATURE_END: &str = "-----END PGP SIGNATURE-----";

/// What the Manifest says of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The name of the member, without the folder.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its checksums that are known here, in lower-case hexadecimal digits.
    pub hashes: Vec<(HashName, String)>,
}

impl Record {
    /// What is to be written of a member.
    pub(super) fn of(name: &str, digests: &Digests) -> Self {
        Self {
            name: name.to_owned(),
            size: digests.size(),
            hashes: digests
                .iter()
                .map(|(hash, value)| (hash, value.to_owned()))
                .collect(),
        }
    }

    /// Starts the checksums of this record, for [`Record::check`].
    pub(super) fn digest(&self) -> MultiDigest {
        let names: Vec<HashName> = self.hashes.iter().map(|(name, _)| *name).collect();
        MultiDigest::new(&names)
    }

    /// Holds the checksums of a member against the record's.
    pub(super) fn check(&self, digests: &Digests) -> Result<(), GpkgError> {
        if digests.size() != self.size {
            return Err(GpkgError::Size {
                name: self.name.clone(),
                found: digests.size(),
                expected: self.size,
            });
        }
        match self
            .hashes
            .iter()
            .find(|(hash, value)| digests.get(*hash) != Some(value))
        {
            Some((hash, _)) => Err(GpkgError::Digest {
                name: self.name.clone(),
                hash: hash.name(),
            }),
            None => Ok(()),
        }
    }
}

/// The records of a package, in the order of the members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The records.
    pub records: Vec<Record>,
    /// Whether it was signed; whether the signature is good is another question.
    pub signed: bool,
}

impl Manifest {
    /// Reads a Manifest, signed or not. Checksums of unknown names are passed over where there is a known one.
    ///
    /// # Errors
    /// Anything that Portage would not have written: other lines than `DATA`, a name twice, no BLAKE2B or SHA512.
    pub fn parse(bytes: &[u8]) -> Result<Self, GpkgError> {
        let text =
            std::str::from_utf8(bytes).map_err(|_| GpkgError::ManifestText("is not in UTF-8"))?;
        let (lines, signed) = message(text)?;
        let mut manifest = Self {
            records: Vec::new(),
            signed,
        };
        for (number, line) in lines {
            let wrong = |what| GpkgError::Manifest { line: number, what };
            if line.is_empty() {
                continue;
            }
            let record = parse_line(line).map_err(wrong)?;
            if manifest.get(&record.name).is_some() {
                return Err(wrong("has the name of another"));
            }
            manifest.records.push(record);
        }
        Ok(manifest)
    }

    /// The record of a member.
    pub fn get(&self, name: &str) -> Option<&Record> {
        self.records.iter().find(|record| record.name == name)
    }

    /// The text, unsigned.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for record in &self.records {
            text.push_str(&format!("DATA {} {}", record.name, record.size));
            for (hash, value) in &record.hashes {
                text.push_str(&format!(" {hash} {value}"));
            }
            text.push('\n');
        }
        text
    }
}

/// A line with its number, from 1.
type Numbered<'a> = (usize, &'a str);

/// The lines of the text, or of the text that is signed, with their numbers.
fn message(text: &str) -> Result<(Vec<Numbered<'_>>, bool), GpkgError> {
    let mut lines = text.lines().zip(1..).map(|(line, number)| (number, line));
    if !text.starts_with(SIGNED) {
        if text.contains("-----BEGIN PGP") {
            return Err(GpkgError::ManifestText(
                "has something before what is signed",
            ));
        }
        return Ok((lines.collect(), false));
    }
    // Headers of the armour, up to an empty line.
    for (_, line) in lines.by_ref().skip(1) {
        if line.is_empty() {
            break;
        }
        if !line.starts_with("Hash: ") {
            return Err(GpkgError::ManifestText("has a signature in another form"));
        }
    }
    let mut message = Vec::new();
    let mut rest = lines.skip_while(|(number, line)| {
        let more = *line != SIGNATURE;
        if more {
            message.push((*number, line.strip_prefix("- ").unwrap_or(line)));
        }
        more
    });
    if rest.next().is_none() || !rest.any(|(_, line)| line == SIGNATURE_END) {
        return Err(GpkgError::ManifestText("has a signature that is cut off"));
    }
    if rest.any(|(_, line)| !line.is_empty()) {
        return Err(GpkgError::ManifestText(
            "has something behind its signature",
        ));
    }
    Ok((message, true))
}

fn parse_line(line: &str) -> Result<Record, &'static str> {
    let mut words = line.split_ascii_whitespace();
    if words.next() != Some("DATA") {
        return Err("is not of the kind DATA");
    }
    let (Some(name), Some(size)) = (words.next(), words.next()) else {
        return Err("has no name or no size");
    };
    // No sign, no underscore, nothing else that numbers may have elsewhere.
    if !size.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("has a size that is no number");
    }
    let size = size.parse().map_err(|_| "has a size that is no number")?;
    let mut hashes: Vec<(HashName, String)> = Vec::new();
    while let Some(hash) = words.next() {
        let Some(value) = words.next() else {
            return Err("has a checksum without a value");
        };
        let Ok(hash) = hash.parse::<HashName>() else {
            continue;
        };
        if value.len() != hash.hex_len() || !value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("has a checksum that is none");
        }
        if hashes.iter().any(|(known, _)| *known == hash) {
            return Err("has a checksum twice");
        }
        hashes.push((hash, value.to_ascii_lowercase()));
    }
    if !hashes.iter().any(|(hash, _)| WRITTEN.contains(hash)) {
        return Err("has neither BLAKE2B nor SHA512");
    }
    Ok(Record {
        name: name.to_owned(),
        size,
        hashes,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(name: &str, content: &[u8]) -> String {
        let (one, other) = (
            HashName::Blake2b.hex(content),
            HashName::Sha512.hex(content),
        );
        format!(
            "DATA {name} {} BLAKE2B {one} SHA512 {other}\n",
            content.len()
        )
    }

    #[test]
    fn reads_what_it_writes() {
        let text = line("gpkg-1", b"") + &line("metadata.tar.zst", b"x");
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(manifest.text(), text);
        assert!(!manifest.signed);
        assert_eq!(manifest.get("metadata.tar.zst").unwrap().size, 1);
    }

    #[test]
    fn reads_what_is_signed_and_nothing_around_it() {
        let signed = format!(
            "{SIGNED}\nHash: SHA512\n\n{}{SIGNATURE}\n\nabc\n{SIGNATURE_END}\n",
            line("gpkg-1", b"")
        );
        let manifest = Manifest::parse(signed.as_bytes()).unwrap();
        assert!(manifest.signed);
        assert_eq!(manifest.text(), line("gpkg-1", b""));
        for (text, part) in [
            (line("x", b"") + &signed, "before what is signed"),
            (signed.clone() + &line("x", b""), "behind its signature"),
            (signed.replace(SIGNATURE_END, ""), "cut off"),
            (signed.replace(SIGNATURE, ""), "cut off"),
            (signed.replace("Hash:", "Comment:"), "another form"),
        ] {
            let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn refuses_lines_that_portage_would_not_write() {
        let good = line("a", b"x");
        let blake = HashName::Blake2b.hex(b"x");
        for (text, part) in [
            (
                good.replace("DATA", "DIST"),
                "line 1 of the Manifest is not of the kind DATA",
            ),
            (
                good.clone() + &good,
                "line 2 of the Manifest has the name of another",
            ),
            ("DATA a\n".to_owned(), "no size"),
            (format!("DATA a +1 BLAKE2B {blake}\n"), "no number"),
            (format!("DATA a -1 BLAKE2B {blake}\n"), "no number"),
            (
                format!("DATA a 99999999999999999999 BLAKE2B {blake}\n"),
                "no number",
            ),
            (
                format!("DATA a 1 MD5 {}\n", HashName::Md5.hex(b"x")),
                "neither",
            ),
            ("DATA a 1\n".to_owned(), "neither"),
            ("DATA a 1 BLAKE2B abc\n".to_owned(), "that is none"),
            (
                format!("DATA a 1 BLAKE2B {blake} BLAKE2B {blake}\n"),
                "twice",
            ),
            (
                format!("DATA a 1 BLAKE2B {blake} SHA512\n"),
                "without a value",
            ),
        ] {
            let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{part}: {error}");
        }
        let unknown = format!(
            "DATA a 1 NEWHASH 77 SHA512 {}\n",
            HashName::Sha512.hex(b"x")
        );
        assert_eq!(
            Manifest::parse(unknown.as_bytes()).unwrap().records[0]
                .hashes
                .len(),
            1
        );
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, text: String) {
            let _ = Manifest::parse(&bytes);
            let _ = Manifest::parse(text.as_bytes());
            let _ = Manifest::parse(format!("{SIGNED}\n{text}").as_bytes());
        }
    }
}
