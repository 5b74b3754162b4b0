//! What a cache entry has to tell whether an eclass is still the same.

use super::MetadataError;

/// A checksum of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checksum {
    /// Its MD5 sum.
    Md5(String),
    /// Its modification time, in seconds.
    Mtime(i64),
}

impl Checksum {
    /// Reads 32 hexadecimal digits or a number of seconds.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Some(Self::Md5(text.to_owned()));
        }
        text.parse().ok().map(Self::Mtime)
    }

    /// The key under which an entry has this kind of checksum of its ebuild.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Self::Md5(_) => "_md5_",
            Self::Mtime(_) => "_mtime_",
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Md5(md5) => md5.clone(),
            Self::Mtime(time) => time.to_string(),
        }
    }
}

/// An inherited eclass as an entry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EclassRecord {
    /// Its name.
    pub(super) name: String,
    /// The directory that it was found in, in formats that tell.
    pub(super) directory: Option<String>,
    /// Its checksum.
    pub(super) checksum: Checksum,
}

impl EclassRecord {
    /// Reads the value of `_eclasses_`: names and checksums, or names, directories and
    /// checksums, with tabs between them. All checksums are of one kind.
    pub(super) fn parse_all(text: &str) -> Result<Vec<Self>, MetadataError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let fields: Vec<&str> = text.split('\t').collect();
        let pairs: Option<Vec<Self>> = fields.chunks(2).map(Self::parse).collect();
        let records = match pairs {
            Some(records) => records,
            None => fields
                .chunks(3)
                .map(Self::parse)
                .collect::<Option<_>>()
                .ok_or(MetadataError::Eclasses)?,
        };
        let kind = records.first().map(|record| record.checksum.key());
        let mixed = records.iter().any(|r| Some(r.checksum.key()) != kind);
        if mixed {
            return Err(MetadataError::Eclasses);
        }
        Ok(records)
    }

    fn parse(fields: &[&str]) -> Option<Self> {
        let (name, directory, checksum) = match fields {
            [name, checksum] => (name, None, checksum),
            [name, directory, checksum] => (name, Some((*directory).to_owned()), checksum),
            _ => return None,
        };
        if name.is_empty() || directory.as_deref() == Some("") {
            return None;
        }
        Some(Self {
            name: (*name).to_owned(),
            directory,
            checksum: Checksum::parse(checksum)?,
        })
    }

    /// The value of `_eclasses_`. The order, which Portage and pkgcore see differently, stays.
    pub(super) fn join(records: &[Self], directories: bool) -> String {
        let mut fields = Vec::new();
        for record in records {
            fields.push(record.name.clone());
            if directories {
                fields.push(record.directory.clone().unwrap_or_default());
            }
            fields.push(record.checksum.text());
        }
        fields.join("\t")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "0cc175b9c0f1b6a831c399e269772661";

    #[test]
    fn pairs_and_triples_are_told_apart() {
        for text in [
            format!("a\t{MD5}\tb\t{MD5}\tc\t{MD5}"),
            format!("a\t/x\t{MD5}\tb\t/y\t{MD5}"),
            "a\t12\tb\t13\tc\t14".to_owned(),
            "a\t/x y\t12".to_owned(),
        ] {
            let records = EclassRecord::parse_all(&text).unwrap();
            let triples = text.contains('/');
            assert_eq!(records[0].directory.is_some(), triples);
            assert_eq!(EclassRecord::join(&records, triples), text);
        }
        assert!(EclassRecord::parse_all(" ").unwrap().is_empty());
    }

    #[test]
    fn other_lists_are_refused() {
        for text in [
            "a".to_owned(),
            "a\tb".to_owned(),
            format!("a\t{MD5}\tb"),
            format!("a\t{MD5}\tb\t12"),
            format!("\t{MD5}"),
            format!("a\t{}", &MD5[1..]),
        ] {
            assert!(EclassRecord::parse_all(&text).is_err(), "{text}");
        }
    }
}
