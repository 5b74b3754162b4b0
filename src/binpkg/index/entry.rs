//! One package in the index.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::lines::Lines;
use super::{Index, IndexError, Inherited, default_value, known, one_line};
use crate::binpkg::pkgdir::Written;
use crate::binpkg::xpak::Metadata;
use crate::pms::cpv::Cpv;
use crate::pms::dependency::DepSpec;
use crate::pms::eapi::Eapi;

/// What Portage takes over from build-info into the index.
const TAKEN: [&str; 21] = [
    "BDEPEND",
    "BUILD_ID",
    "BUILD_TIME",
    "CHOST",
    "DEFINED_PHASES",
    "DEPEND",
    "EAPI",
    "IDEPEND",
    "IUSE",
    "KEYWORDS",
    "LICENSE",
    "PDEPEND",
    "PROPERTIES",
    "PROVIDES",
    "RDEPEND",
    "REPO_REVISIONS",
    "REQUIRES",
    "RESTRICT",
    "SLOT",
    "USE",
    "USER_PATCHES",
];

/// One package in the index: keys and values under the names that the file has for them.
#[derive(Clone, Default)]
pub struct Entry {
    /// What the index said.
    lines: Lines,
    /// Values that were set since, or removed; they count before what the index said.
    changed: Vec<(Cow<'static, str>, Option<String>)>,
    /// What counts where neither says anything.
    inherited: Arc<Inherited>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        let sorted = |entry: &Self| -> Vec<(String, String)> {
            let pairs = entry.iter();
            let mut pairs: Vec<_> = pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            pairs.sort_unstable();
            pairs
        };
        sorted(self) == sorted(other)
    }
}

impl Eq for Entry {}

/// What an entry says about the file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// The path below PKGDIR.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
    /// The time of modification in seconds since 1970.
    pub mtime: i64,
    /// The MD5 checksum in hexadecimal.
    pub md5: String,
    /// The SHA1 checksum in hexadecimal.
    pub sha1: String,
}

impl TryFrom<&Written> for FileFacts {
    type Error = IndexError;

    /// # Errors
    /// The path is not UTF-8.
    fn try_from(written: &Written) -> Result<Self, IndexError> {
        let path = written.relative_path.to_str();
        Ok(Self {
            path: path
                .ok_or_else(|| IndexError::Path {
                    path: written.relative_path.clone(),
                })?
                .to_owned(),
            size: written.size,
            mtime: written.mtime,
            md5: written.md5.clone(),
            sha1: written.sha1.clone(),
        })
    }
}

impl Entry {
    /// An entry that was read.
    pub(super) fn of_lines(lines: Lines, inherited: Arc<Inherited>) -> Self {
        Self {
            lines,
            changed: Vec::new(),
            inherited,
        }
    }

    /// Makes the entry of a package from its metadata, as Portage does: white space becomes single spaces, and USE
    /// conditionals are decided by the flags in `USE`.
    ///
    /// # Errors
    /// `SLOT` is missing or a dependency cannot be understood; Portage refuses such packages.
    pub fn from_metadata(
        cpv: &Cpv,
        metadata: &Metadata,
        file: &FileFacts,
    ) -> Result<Self, IndexError> {
        let mut entry = Self::default();
        let value = |key: &str| {
            let text = String::from_utf8_lossy(metadata.get(key).map_or(&[], Vec::as_slice));
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let flags = value("USE");
        let flags: Vec<&str> = flags.split(' ').collect();
        // What a package of an EAPI from the future says is read as far as it is known.
        let eapi = Eapi::parse(&value("EAPI")).unwrap_or(Eapi::LATEST);
        let on = |flag: &str| flags.contains(&flag);
        for key in TAKEN {
            let text = value(key);
            let evaluated = match key {
                "BDEPEND" | "DEPEND" | "IDEPEND" | "PDEPEND" | "RDEPEND" => {
                    DepSpec::parse_recorded_dependencies(&text, eapi)
                        .map(|spec| spec.evaluate(on).to_string())
                }
                "LICENSE" => {
                    DepSpec::parse_license(&text, eapi).map(|s| s.evaluate(on).to_string())
                }
                "PROPERTIES" => {
                    DepSpec::parse_properties(&text, eapi).map(|s| s.evaluate(on).to_string())
                }
                "RESTRICT" => {
                    DepSpec::parse_restrict(&text, eapi).map(|s| s.evaluate(on).to_string())
                }
                _ => Ok(text),
            };
            let value = evaluated.map_err(|source| IndexError::Dependency {
                cpv: cpv.to_string(),
                key,
                source: Box::new(source),
            })?;
            entry.set(key, &value);
        }
        if entry.stored("SLOT").is_none() {
            return Err(IndexError::Missing {
                cpv: cpv.to_string(),
                key: "SLOT",
            });
        }
        entry.set("REPO", &value("repository"));
        entry.set("CPV", cpv.as_str());
        entry.set("PATH", &file.path);
        entry.set("SIZE", &file.size.to_string());
        entry.set("MTIME", &file.mtime.to_string());
        entry.set("MD5", &file.md5);
        entry.set("SHA1", &file.sha1);
        Ok(entry)
    }

    /// A value, the default where there is one and the entry says nothing.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.stored(key).or_else(|| default_value(key))
    }

    /// Sets a value; an empty one removes the key.
    pub fn set(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            self.remove(key);
        } else {
            self.put(known(key), one_line(value));
        }
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) {
        if let Some((_, value)) = self.changed.iter_mut().find(|(name, _)| name == key) {
            *value = None;
        } else if self.stored(key).is_some() {
            self.changed.push((known(key), None));
        }
    }

    /// The keys and values that are stored.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for (key, value) in self.lines.iter().filter(|(key, _)| !self.is_changed(key)) {
            match pairs.iter_mut().find(|(known, _)| *known == key) {
                Some((_, old)) => *old = value,
                None => pairs.push((key, value)),
            }
        }
        let changed = self.changed.iter();
        pairs.extend(changed.filter_map(|(key, value)| Some((key.as_ref(), value.as_deref()?))));
        for (key, value) in self.inherited.iter() {
            if !self.is_changed(key) && pairs.iter().all(|(known, _)| known != key) {
                pairs.push((key, value));
            }
        }
        pairs.into_iter()
    }

    /// `CATEGORY/PF`.
    pub fn cpv(&self) -> &str {
        match self.changed.is_empty() {
            true => self.lines.cpv(),
            false => self.stored("CPV").unwrap_or_default(),
        }
    }

    /// The path below PKGDIR. Entries without one are of the old layout.
    pub fn path(&self) -> Cow<'_, str> {
        match self.stored("PATH") {
            Some(path) if !path.is_empty() => Cow::Borrowed(path),
            _ => Cow::Owned(format!("{}.tbz2", self.cpv())),
        }
    }

    /// The build id.
    pub fn build_id(&self) -> Option<u64> {
        self.number("BUILD_ID")
    }

    /// When it was built, in seconds since 1970.
    pub fn build_time(&self) -> Option<i64> {
        self.number("BUILD_TIME")
    }

    /// The size in bytes.
    pub fn size(&self) -> Option<u64> {
        self.number("SIZE")
    }

    /// The time of modification in seconds since 1970.
    pub fn mtime(&self) -> Option<i64> {
        self.number("MTIME")
    }

    /// Takes over what the header of its index says.
    pub(super) fn inherit(&mut self, header: &Arc<Inherited>) {
        if !Arc::ptr_eq(&self.inherited, header) {
            let before = std::mem::replace(&mut self.inherited, Arc::clone(header));
            for (key, value) in before.iter() {
                if !self.is_changed(key) && self.lines.get(key).is_none() {
                    self.changed
                        .push((Cow::Borrowed(key), Some(value.to_owned())));
                }
            }
        }
    }

    /// The lines that `index` has for the entry, if it was read as they are written; of values only such as are
    /// `wanted` are written.
    pub(super) fn as_written(
        &self,
        index: &Index,
        wanted: impl Fn(&str, &str) -> bool,
    ) -> Option<&str> {
        let same = Arc::ptr_eq(&self.inherited, &index.inherited);
        (same && self.changed.is_empty())
            .then(|| self.lines.as_written(wanted))
            .flatten()
    }

    /// About how many bytes it is written with.
    pub(super) fn length(&self) -> usize {
        let changed = self.changed.iter();
        let changed =
            changed.map(|(key, value)| key.len() + value.as_deref().map_or(0, str::len) + 3);
        self.lines.length() + changed.sum::<usize>() + 1
    }

    fn put(&mut self, key: Cow<'static, str>, value: String) {
        match self.changed.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = Some(value),
            None => self.changed.push((key, Some(value))),
        }
    }

    fn is_changed(&self, key: &str) -> bool {
        self.changed.iter().any(|(name, _)| name == key)
    }

    fn stored(&self, key: &str) -> Option<&str> {
        if let Some((_, value)) = self.changed.iter().find(|(name, _)| name == key) {
            return value.as_deref();
        }
        self.lines.get(key).or_else(|| {
            let inherited = self.inherited.iter().find(|(name, _)| *name == key)?;
            Some(inherited.1.as_str())
        })
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.stored(key)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> FileFacts {
        FileFacts {
            path: "a/b/b-1-3.xpak".into(),
            size: 5,
            mtime: 6,
            md5: "m".into(),
            sha1: "s".into(),
        }
    }

    fn metadata(files: &[(&str, &str)]) -> Metadata {
        files
            .iter()
            .map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn takes_from_build_info_what_portage_takes() {
        let metadata = metadata(&[
            ("BUILD_ID", "3"),
            ("CATEGORY", "a\n"),
            ("CHOST", "x86_64-pc-linux-gnu\n"),
            ("DESCRIPTION", "not taken\n"),
            ("EAPI", "8\n"),
            ("IUSE", "+on off\n"),
            ("LICENSE", "on? ( MIT )  off? ( BSD )\n"),
            ("PF", "b-1\n"),
            ("RDEPEND", ">=c/d-1[on?,off?]\n\t|| ( ( e/f ) g/h )\n"),
            ("SLOT", "0\n"),
            ("USE", "amd64 on\n"),
            ("environment.bz2", "\u{0}"),
            ("repository", "gentoo\n"),
        ]);
        let entry =
            Entry::from_metadata(&Cpv::parse("a/b-1").unwrap(), &metadata, &facts()).unwrap();
        let mut fields: Vec<_> = entry.iter().collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                ("BUILD_ID", "3"),
                ("CHOST", "x86_64-pc-linux-gnu"),
                ("CPV", "a/b-1"),
                ("EAPI", "8"),
                ("IUSE", "+on off"),
                ("LICENSE", "MIT"),
                ("MD5", "m"),
                ("MTIME", "6"),
                ("PATH", "a/b/b-1-3.xpak"),
                ("RDEPEND", ">=c/d-1[on] || ( e/f g/h )"),
                ("REPO", "gentoo"),
                ("SHA1", "s"),
                ("SIZE", "5"),
                ("SLOT", "0"),
                ("USE", "amd64 on"),
            ]
        );
    }

    #[test]
    fn what_is_nested_deeply_or_is_huge_is_an_error() {
        let cpv = Cpv::parse("a/b-1").unwrap();
        let deep = format!("{}a/b{}", "( ".repeat(100_000), " )".repeat(100_000));
        let open = "|| ( ".repeat(200_000);
        let huge = "x".repeat(1 << 20);
        for value in [&deep, &open, &huge] {
            for key in ["RDEPEND", "BDEPEND", "LICENSE", "RESTRICT"] {
                let result =
                    Entry::from_metadata(&cpv, &metadata(&[("SLOT", "0"), (key, value)]), &facts());
                // A licence or a restriction may have any length.
                let word = value == &huge && matches!(key, "LICENSE" | "RESTRICT");
                assert_eq!(result.is_ok(), word, "{key}");
            }
        }
    }

    #[test]
    fn refuses_what_portage_refuses() {
        let cpv = Cpv::parse("a/b-1").unwrap();
        let error = Entry::from_metadata(&cpv, &metadata(&[("EAPI", "8")]), &facts()).unwrap_err();
        assert_eq!(error.to_string(), "a/b-1: the metadata has no SLOT");
        let broken = metadata(&[("SLOT", "0"), ("RDEPEND", "|| ( a/b")]);
        let error = Entry::from_metadata(&cpv, &broken, &facts()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a/b-1: RDEPEND of the metadata is invalid"
        );
    }
}
