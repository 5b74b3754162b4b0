//! One cache entry and its text in the md5-dict format (PMS 14.3).

use indexmap::IndexMap;

use super::MetadataError;

/// The variables that a cache entry holds, sorted. `INHERITED` is not one: `_eclasses_` says it.
pub const KNOWN_KEYS: &[&str] = &[
    "BDEPEND",
    "DEFINED_PHASES",
    "DEPEND",
    "DESCRIPTION",
    "EAPI",
    "HOMEPAGE",
    "IDEPEND",
    "INHERIT",
    "IUSE",
    "KEYWORDS",
    "LICENSE",
    "PDEPEND",
    "PROPERTIES",
    "RDEPEND",
    "REQUIRED_USE",
    "RESTRICT",
    "SLOT",
    "SRC_URI",
];

const ECLASSES: &str = "_eclasses_";
const MD5: &str = "_md5_";

/// Keys and values in the order in which they were read. A key without value is one that is
/// not there.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    values: IndexMap<String, String>,
}

impl Entry {
    /// Reads the text of an entry in any order of keys, unknown ones included. Of a key that
    /// comes twice the last value counts.
    ///
    /// # Errors
    /// [`MetadataError::Line`] for a line without `=`.
    pub fn parse(text: &str) -> Result<Self, MetadataError> {
        Self::parse_keys(text, |_| true)
    }

    /// The same with only what tells whether the entry is right: its EAPI and its checksums.
    ///
    /// # Errors
    /// As those of [`parse`](Self::parse).
    pub fn parse_checks(text: &str) -> Result<Self, MetadataError> {
        Self::parse_keys(text, |key| matches!(key, "EAPI" | MD5 | ECLASSES))
    }

    fn parse_keys(text: &str, wanted: impl Fn(&str) -> bool) -> Result<Self, MetadataError> {
        let mut values = IndexMap::new();
        let text = text.strip_suffix('\n').unwrap_or(text);
        for (at, line) in text.split('\n').enumerate() {
            if line.is_empty() && text.is_empty() {
                break;
            }
            let (key, value) = line
                .split_once('=')
                .ok_or(MetadataError::Line { line: at + 1 })?;
            if wanted(key) {
                values.insert(key.to_owned(), value.to_owned());
            }
        }
        Ok(Self { values })
    }

    /// Makes an entry of what sourcing an ebuild gave: pairs of a variable and its value, the
    /// MD5 sum of the ebuild, and the inherited eclasses with theirs. Values become one line in
    /// which single spaces stand between words, as the shell splits them. `INHERITED` is left
    /// out.
    ///
    /// # Errors
    /// An unknown variable, no `EAPI`, or a value with a character that would end the line for
    /// some reader.
    pub fn from_sourced<K, V>(
        pairs: impl IntoIterator<Item = (K, V)>,
        ebuild_md5: &str,
        eclasses: &[(String, String)],
    ) -> Result<Self, MetadataError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut entry = Self::default();
        for (key, value) in pairs {
            let key = key.as_ref();
            if key == "INHERITED" {
                continue;
            }
            if !KNOWN_KEYS.contains(&key) {
                return Err(MetadataError::UnknownKey {
                    key: key.to_owned(),
                });
            }
            let value = one_line(value.as_ref());
            if let Some(character) = value.chars().find(|c| breaks_lines(*c)) {
                return Err(MetadataError::LineBreak {
                    key: key.to_owned(),
                    character,
                });
            }
            entry.set(key, value);
        }
        if entry.get("EAPI").is_none() {
            return Err(MetadataError::NoEapi);
        }
        entry.set_eclasses(eclasses);
        entry.set(MD5, ebuild_md5.to_owned());
        Ok(entry)
    }

    /// The value of a key; none when it is missing or empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Sets the value of a key, or removes the key with an empty one.
    pub fn set(&mut self, key: &str, value: String) {
        if value.is_empty() {
            self.values.shift_remove(key);
        } else {
            self.values.insert(key.to_owned(), value);
        }
    }

    /// Keys and values, in the order in which they were read.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .filter(|(_, value)| !value.is_empty())
    }

    /// The MD5 sum of the ebuild that was sourced.
    pub fn ebuild_md5(&self) -> Option<&str> {
        self.get(MD5)
    }

    /// Replaces the MD5 sum of the ebuild.
    pub fn set_ebuild_md5(&mut self, md5: &str) {
        self.set(MD5, md5.to_owned());
    }

    /// The inherited eclasses and their MD5 sums.
    ///
    /// # Errors
    /// [`MetadataError::Eclasses`] when the text is no list of such pairs.
    pub fn eclasses(&self) -> Result<Vec<(&str, &str)>, MetadataError> {
        let Some(text) = self.get(ECLASSES) else {
            return Ok(Vec::new());
        };
        let fields: Vec<&str> = text.trim().split('\t').collect();
        let mut pairs = Vec::with_capacity(fields.len() / 2);
        for pair in fields.chunks(2) {
            match pair {
                [name, md5] if !name.is_empty() && md5.len() == 32 => pairs.push((*name, *md5)),
                _ => return Err(MetadataError::Eclasses),
            }
        }
        Ok(pairs)
    }

    /// Replaces the list of eclasses, sorted by name, each once.
    pub fn set_eclasses(&mut self, eclasses: &[(String, String)]) {
        let mut sorted: Vec<_> = eclasses.iter().collect();
        sorted.sort();
        sorted.dedup_by(|a, b| a.0 == b.0);
        let fields: Vec<_> = sorted
            .iter()
            .flat_map(|(name, md5)| [name.as_str(), md5.as_str()])
            .collect();
        self.set(ECLASSES, fields.join("\t"));
    }

    /// The entry's text: keys sorted, each on a line, those without value left out.
    pub fn to_md5_dict(&self) -> String {
        let mut pairs: Vec<_> = self.iter().collect();
        pairs.sort_unstable();
        let mut text = String::new();
        for (key, value) in pairs {
            text.push_str(key);
            text.push('=');
            text.push_str(value);
            text.push('\n');
        }
        text
    }
}

/// Entries are equal when they would be written the same.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.iter().count() == other.iter().count()
            && self
                .iter()
                .all(|(key, value)| other.get(key) == Some(value))
    }
}

impl Eq for Entry {}

/// Joins the words of a value with single spaces; words are what the shell's default IFS gives.
fn one_line(value: &str) -> String {
    let words: Vec<&str> = value
        .split([' ', '\t', '\n'])
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

/// Characters at which readers of cache entries end a line, line feeds aside.
fn breaks_lines(character: char) -> bool {
    matches!(
        character,
        '\r' | '\x0b' | '\x0c' | '\x1c' | '\x1d' | '\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;

    const MD5_A: &str = "0cc175b9c0f1b6a831c399e269772661";

    fn sourced(pairs: &[(&str, &str)]) -> Result<Entry, MetadataError> {
        let eclasses = [
            ("b".to_owned(), MD5_A.to_owned()),
            ("a".to_owned(), MD5_A.to_owned()),
        ];
        Entry::from_sourced(pairs.iter().copied(), MD5_A, &eclasses)
    }

    #[test]
    fn any_order_is_read_and_sorted_when_written() {
        let _rows = rows(&[33, 35]);
        let text = "SLOT=0\n_md5_=x\nEAPI=8\nFUTURE=a=b \"q\" $x \\ ü\nDEPEND=\n";
        let entry = Entry::parse(text).unwrap();
        assert_eq!(entry.get("FUTURE"), Some("a=b \"q\" $x \\ ü"));
        assert_eq!(entry.get("DEPEND"), None);
        let written = entry.to_md5_dict();
        assert_eq!(
            written,
            "EAPI=8\nFUTURE=a=b \"q\" $x \\ ü\nSLOT=0\n_md5_=x\n"
        );
        assert_eq!(Entry::parse(&written).unwrap(), entry);
        assert!(matches!(
            Entry::parse("A=1\nx\n"),
            Err(MetadataError::Line { line: 2 })
        ));
        assert_eq!(Entry::parse("").unwrap().to_md5_dict(), "");
    }

    #[test]
    fn sourced_values_become_one_line() {
        let _rows = rows(&[33, 34]);
        let entry = sourced(&[
            ("EAPI", "8"),
            ("DEPEND", "\n\ta/b\n\t\t|| ( c/d\te/f )  \n"),
            ("IUSE", "  "),
            ("INHERITED", " b a"),
            ("INHERIT", "b"),
        ])
        .unwrap();
        assert_eq!(
            entry.to_md5_dict(),
            format!(
                "DEPEND=a/b || ( c/d e/f )\nEAPI=8\nINHERIT=b\n\
                 _eclasses_=a\t{MD5_A}\tb\t{MD5_A}\n_md5_={MD5_A}\n"
            )
        );
        assert_eq!(entry.eclasses().unwrap(), [("a", MD5_A), ("b", MD5_A)]);
    }

    #[test]
    fn sourced_values_are_checked() {
        let _rows = rows(&[34]);
        let error = sourced(&[("EAPI", "8"), ("DEPEND", "a\r\nb")]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("DEPEND holds the character U+000D")
        );
        assert!(matches!(sourced(&[]), Err(MetadataError::NoEapi)));
        assert!(matches!(
            sourced(&[("EAPI", "8"), ("PATH", "x")]),
            Err(MetadataError::UnknownKey { .. })
        ));
    }

    #[test]
    fn eclass_lists_are_checked() {
        for text in ["a", "a\tb", "a\t0cc175b9c0f1b6a831c399e269772661\tb"] {
            let entry = Entry::parse(&format!("_eclasses_={text}\n")).unwrap();
            assert!(
                matches!(entry.eclasses(), Err(MetadataError::Eclasses)),
                "{text}"
            );
        }
        assert!(
            Entry::parse("EAPI=8\n")
                .unwrap()
                .eclasses()
                .unwrap()
                .is_empty()
        );
    }
}
