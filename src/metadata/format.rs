//! The formats of a cache's files (PMS 14.2, 14.3, and those of Portage's own caches).

use std::fmt;

use super::record::{Checksum, EclassRecord};
use super::{Entry, MetadataError};
use crate::pms::eapi::Eapi;

/// How many lines a flat_list file has at least.
const FLAT_LIST_LINES: usize = 22;

/// What the lines of flat_list mean, from the first on (PMS 14.2).
const FLAT_LIST: &[&str] = &[
    "DEPEND",
    "RDEPEND",
    "SLOT",
    "SRC_URI",
    "RESTRICT",
    "HOMEPAGE",
    "LICENSE",
    "DESCRIPTION",
    "KEYWORDS",
    INHERITED,
    "IUSE",
    "REQUIRED_USE",
    "PDEPEND",
    "BDEPEND",
    "EAPI",
    "PROPERTIES",
    "DEFINED_PHASES",
    "IDEPEND",
];

/// The same as Portage has it since it knows EAPI 8: IDEPEND stands before INHERITED, and all
/// behind it one line later than the specification says.
const FLAT_LIST_PORTAGE: &[&str] = &[
    "DEPEND",
    "RDEPEND",
    "SLOT",
    "SRC_URI",
    "RESTRICT",
    "HOMEPAGE",
    "LICENSE",
    "DESCRIPTION",
    "KEYWORDS",
    "IDEPEND",
    INHERITED,
    "IUSE",
    "REQUIRED_USE",
    "PDEPEND",
    "BDEPEND",
    "EAPI",
    "PROPERTIES",
    "DEFINED_PHASES",
];

/// The line of the EAPI in flat_list, counted from 0. In Portage's order it is the next one.
const EAPI_LINE: usize = 14;

/// The names of all inherited eclasses. Only flat_list has it, the others have their checksums.
pub(super) const INHERITED: &str = "INHERITED";

/// A format of cache entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheFormat {
    /// `metadata/md5-cache`: keys and values, validated by MD5 sums.
    Md5Dict,
    /// Keys and values, validated by modification times; eclasses with their directories. This
    /// is Portage's `flat_hash.database`.
    FlatHash,
    /// Keys and values, validated by MD5 sums; eclasses with their directories. This is what
    /// Portage has in `/var/cache/edb/dep`.
    FlatHashMd5,
    /// `metadata/cache`: a value a line in the order of the specification. The file has the
    /// modification time of its ebuild, and of eclasses only the names are known.
    FlatList,
    /// The same in the order in which Portage writes and reads it since it knows EAPI 8.
    FlatListPortage,
}

impl CacheFormat {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Md5Dict,
        Self::FlatHash,
        Self::FlatHashMd5,
        Self::FlatList,
        Self::FlatListPortage,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5Dict => "md5-dict",
            Self::FlatHash => "flat_hash",
            Self::FlatHashMd5 => "flat_hash-md5",
            Self::FlatList => "flat_list",
            Self::FlatListPortage => "flat_list-portage",
        }
    }

    /// The format with this name; flat_list is also called `pms`, as in `layout.conf`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "pms" => Some(Self::FlatList),
            _ => Self::ALL.into_iter().find(|format| format.name() == name),
        }
    }

    /// The directory, within a repository, of the cache that is shipped with it in this format.
    pub fn directory_in_repository(self) -> Option<&'static str> {
        match self {
            Self::Md5Dict => Some("metadata/md5-cache"),
            Self::FlatList | Self::FlatListPortage => Some("metadata/cache"),
            Self::FlatHash | Self::FlatHashMd5 => None,
        }
    }

    /// True when an entry of `source` cannot become one of this format without a look at its
    /// ebuild and eclasses, because this one has something that `source` does not have.
    pub fn needs_repository(self, source: Self) -> bool {
        match self {
            Self::Md5Dict => !source.is_md5(),
            Self::FlatHashMd5 => source != Self::FlatHashMd5,
            Self::FlatHash => source != Self::FlatHash,
            Self::FlatList | Self::FlatListPortage => source.is_md5(),
        }
    }

    /// True when MD5 sums tell whether an entry is valid, false when modification times do.
    pub fn is_md5(self) -> bool {
        matches!(self, Self::Md5Dict | Self::FlatHashMd5)
    }

    /// Which kind of checksum it has: by its key.
    pub(super) fn checksum_key(self) -> &'static str {
        if self.is_md5() { "_md5_" } else { "_mtime_" }
    }

    /// Whether it has the directories of eclasses.
    pub(super) fn has_directories(self) -> bool {
        matches!(self, Self::FlatHash | Self::FlatHashMd5)
    }

    /// What the lines mean, of a format that has them.
    pub(super) fn lines(self) -> Option<&'static [&'static str]> {
        match self {
            Self::FlatList => Some(FLAT_LIST),
            Self::FlatListPortage => Some(FLAT_LIST_PORTAGE),
            _ => None,
        }
    }

    /// Tells the format of a file from what is in it. The second value is false when the file
    /// could as well be of another format, and this is the likelier one.
    pub(super) fn of(text: &str) -> Option<(Self, bool)> {
        if has_keys(text) {
            let entry = Entry::parse(text).ok()?;
            let records = EclassRecord::parse_all(entry.get("_eclasses_").unwrap_or_default());
            let records = records.unwrap_or_default();
            let Some(record) = records.first() else {
                return Some(match (entry.get("_md5_"), entry.get("_mtime_")) {
                    (Some(_), _) => (Self::Md5Dict, false),
                    _ => (Self::FlatHash, true),
                });
            };
            let format = match (&record.checksum, &record.directory) {
                (Checksum::Md5(_), None) => Self::Md5Dict,
                (Checksum::Md5(_), Some(_)) => Self::FlatHashMd5,
                (Checksum::Mtime(_), _) => Self::FlatHash,
            };
            return Some((format, true));
        }
        let lines: Vec<&str> = text.split('\n').collect();
        let eapi = lines.get(EAPI_LINE)?;
        let shifted = lines.get(EAPI_LINE + 1).copied().unwrap_or_default();
        if !eapi.is_empty() && Eapi::parse(eapi).is_ok() {
            return Some((Self::FlatList, true));
        }
        // The names of EAPIs begin with digits, those of properties do not.
        if shifted.starts_with(|c: char| c.is_ascii_digit()) {
            return Some((Self::FlatListPortage, true));
        }
        Some((Self::FlatList, false))
    }

    /// Reads an entry. `mtime` is that of the file, in seconds.
    pub(super) fn decode(self, text: &str, mtime: i64) -> Result<Stored, MetadataError> {
        let mut lost = Vec::new();
        let mut entry = if has_keys(text) {
            // Also in metadata/cache, as Portage reads it.
            let mut entry = Entry::parse(text)?;
            if entry.get("_md5_").is_none() && entry.get("_mtime_").is_none() {
                entry.set("_mtime_", mtime.to_string());
            }
            entry
        } else if self.lines().is_some() {
            let lines: Vec<&str> = text.split('\n').collect();
            let format = match Self::of(text) {
                Some((format, true)) => format,
                Some((_, false)) => self,
                None => {
                    return Err(MetadataError::Short {
                        lines: text.lines().count(),
                    });
                }
            };
            let keys = format.lines().unwrap_or(FLAT_LIST);
            let mut entry = Entry::default();
            for (key, line) in keys.iter().zip(&lines) {
                entry.set(key, (*line).to_owned());
            }
            for (at, line) in lines.iter().enumerate().skip(keys.len()) {
                if !line.is_empty() {
                    lost.push(format!("line {}", at + 1));
                }
            }
            entry.set("_mtime_", mtime.to_string());
            entry
        } else {
            Entry::parse(text)?
        };
        if let Some(md5) = entry.get("_md5_")
            && !matches!(Checksum::parse(md5), Some(Checksum::Md5(_)))
        {
            return Err(MetadataError::Checksum { key: "_md5_" });
        }
        if let Some(time) = entry.get("_mtime_") {
            match time.trim().parse::<i64>() {
                Ok(time) => entry.set("_mtime_", time.to_string()),
                Err(_) => return Err(MetadataError::Checksum { key: "_mtime_" }),
            }
        }
        if self == Self::Md5Dict && entry.get("_md5_").is_none() {
            return Err(MetadataError::Checksum { key: "_md5_" });
        }
        EclassRecord::parse_all(entry.get("_eclasses_").unwrap_or_default())?;
        Ok(Stored { entry, lost })
    }

    /// The text of an entry that [`convert`](super::convert) made for this format, and the
    /// modification time that the file must have.
    pub(super) fn encode(self, entry: &Entry) -> Result<(String, Option<i64>), MetadataError> {
        let missing = || MetadataError::Checksum {
            key: self.checksum_key(),
        };
        let checksum = entry.get(self.checksum_key()).ok_or_else(missing)?;
        let Some(keys) = self.lines() else {
            return Ok((entry.to_md5_dict(), None));
        };
        let mtime = checksum.parse().map_err(|_| missing())?;
        let mut text = String::new();
        for key in keys {
            text.push_str(entry.get(key).unwrap_or_default());
            text.push('\n');
        }
        for _ in keys.len()..FLAT_LIST_LINES {
            text.push('\n');
        }
        Ok((text, Some(mtime)))
    }
}

impl fmt::Display for CacheFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// An entry as a cache has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The entry. One of flat_list has `INHERITED` and `_mtime_`.
    pub entry: Entry,
    /// What is in the file but has no meaning that could be kept, such as `line 19`.
    pub lost: Vec<String>,
}

/// True when every line begins with a key and `=`.
fn has_keys(text: &str) -> bool {
    let text = text.strip_suffix('\n').unwrap_or(text);
    !text.is_empty()
        && text.split('\n').all(|line| {
            line.split_once('=').is_some_and(|(key, _)| {
                !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_')
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "0cc175b9c0f1b6a831c399e269772661";

    fn flat(format: CacheFormat) -> String {
        let mut entry = Entry::parse("EAPI=8\nSLOT=0/1\nIDEPEND=a/b\nDEPEND=c/d\n_mtime_=77\n");
        if let Ok(entry) = &mut entry {
            entry.set(INHERITED, "x y".to_owned());
        }
        format.encode(&entry.unwrap()).unwrap().0
    }

    #[test]
    fn names_are_read_back() {
        for format in CacheFormat::ALL {
            assert_eq!(CacheFormat::from_name(format.name()), Some(format));
        }
        assert_eq!(CacheFormat::from_name("pms"), Some(CacheFormat::FlatList));
        assert_eq!(CacheFormat::from_name("sqlite"), None);
    }

    #[test]
    fn formats_are_told_from_text() {
        for (text, format, sure) in [
            (
                format!("EAPI=8\n_md5_={MD5}\n"),
                CacheFormat::Md5Dict,
                false,
            ),
            (
                format!("EAPI=8\n_eclasses_=a\t{MD5}\n_md5_={MD5}\n"),
                CacheFormat::Md5Dict,
                true,
            ),
            (
                format!("_eclasses_=a\t/x\t{MD5}\n_md5_={MD5}\n"),
                CacheFormat::FlatHashMd5,
                true,
            ),
            (
                "_eclasses_=a\t12\tb\t13\n_mtime_=5\n".to_owned(),
                CacheFormat::FlatHash,
                true,
            ),
            (
                "EAPI=8\n_mtime_=5\n".to_owned(),
                CacheFormat::FlatHash,
                true,
            ),
            (flat(CacheFormat::FlatList), CacheFormat::FlatList, true),
            (
                flat(CacheFormat::FlatListPortage),
                CacheFormat::FlatListPortage,
                true,
            ),
            ("\n".repeat(22), CacheFormat::FlatList, false),
        ] {
            assert_eq!(CacheFormat::of(&text), Some((format, sure)), "{text}");
        }
        assert_eq!(CacheFormat::of("nonsense\n"), None);
    }

    #[test]
    fn lines_stand_where_the_specification_wants_them() {
        let text = flat(CacheFormat::FlatList);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), text.matches('\n').count()), (22, 22));
        assert_eq!((lines[9], lines[14], lines[17]), ("x y", "8", "a/b"));
        let text = flat(CacheFormat::FlatListPortage);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[9], lines[10], lines[15]), ("a/b", "x y", "8"));
    }

    #[test]
    fn flat_lists_are_read_in_either_order() {
        let here = CacheFormat::FlatList;
        let stored = here
            .decode(&flat(CacheFormat::FlatListPortage), 77)
            .unwrap();
        assert_eq!(stored, here.decode(&flat(here), 77).unwrap());
        assert_eq!(stored.entry.get("IDEPEND"), Some("a/b"));
        assert_eq!(stored.entry.get("_mtime_"), Some("77"));
        let more = format!("{}future\n", flat(here));
        assert_eq!(here.decode(&more, 77).unwrap().lost, ["line 23"]);
        assert!(matches!(
            here.decode("a/b\n\n0\n", 1),
            Err(MetadataError::Short { lines: 3 })
        ));
        // Keys and values in metadata/cache.
        let keyed = here.decode("EAPI=8\nSLOT=0\n", 5).unwrap();
        assert_eq!(keyed.entry.get("_mtime_"), Some("5"));
    }

    #[test]
    fn damage_is_named() {
        let format = CacheFormat::Md5Dict;
        for (text, what) in [
            ("EAPI=8\n".to_owned(), "_md5_ is missing or damaged"),
            ("_md5_=x\n".to_owned(), "_md5_ is missing or damaged"),
            (format!("EAPI\n_md5_={MD5}\n"), "line 1"),
            (String::new(), "_md5_ is missing"),
            (
                format!("_eclasses_=a\n_md5_={MD5}\n"),
                "_eclasses_ is no list",
            ),
        ] {
            let error = format.decode(&text, 1).unwrap_err().to_string();
            assert!(error.contains(what), "{text:?}: {error}");
        }
        let error = CacheFormat::FlatHash.decode("_mtime_=x\n", 1).unwrap_err();
        assert!(error.to_string().contains("_mtime_"));
    }
}
