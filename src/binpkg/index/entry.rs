//! One package in the index.

use std::borrow::Cow;

use super::{IndexError, default_value, known, one_line};
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    fields: Vec<(Cow<'static, str>, String)>,
}

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
        self.fields.retain(|(name, _)| name != key);
    }

    /// The keys and values that are stored.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(key, value)| (key.as_ref(), value.as_str()))
    }

    /// `CATEGORY/PF`.
    pub fn cpv(&self) -> &str {
        self.stored("CPV").unwrap_or_default()
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

    pub(super) fn put(&mut self, key: Cow<'static, str>, value: String) {
        match self.fields.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => self.fields.push((key, value)),
        }
    }

    fn stored(&self, key: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
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
