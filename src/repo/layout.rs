//! `metadata/layout.conf`.

use std::collections::HashMap;
use std::path::Path;

use super::RepoError;
use super::text::read_optional;

/// Whether a repository has Manifests, and must: the `use-manifests` key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ManifestPolicy {
    /// Every file must be listed.
    #[default]
    Strict,
    /// Manifests are made and checked, but an entry may be missing.
    Lenient,
    /// There are none.
    Absent,
}

/// What a repository says of itself in `metadata/layout.conf`. Keys that are not here are
/// ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// `repo-name`, which overrides `profiles/repo_name`.
    pub repo_name: Option<String>,
    /// `masters`; none when the key is absent, which means the main repository.
    pub masters: Option<Vec<String>>,
    /// `aliases`: further names of the repository.
    pub aliases: Vec<String>,
    /// The line that has them, counted from 1; 0 without any.
    pub aliases_line: usize,
    /// `thin-manifests`: Manifests list distfiles only.
    pub thin_manifests: bool,
    /// `use-manifests`.
    pub use_manifests: ManifestPolicy,
    /// `sign-commits`.
    pub sign_commits: bool,
    /// `sign-manifests`, on unless switched off.
    pub sign_manifests: bool,
    /// `cache-formats`, in lower case; empty when the key is absent.
    pub cache_formats: Vec<String>,
    /// `manifest-hashes`, in upper case. When only the required ones are given, these.
    pub manifest_hashes: Option<Vec<String>>,
    /// `manifest-required-hashes`, in upper case. When only the others are given, all of them.
    pub manifest_required_hashes: Option<Vec<String>>,
    /// `profile-formats`.
    pub profile_formats: Option<Vec<String>>,
    /// `profile_eapi_when_unspecified`, of use with the profile format `profile-default-eapi`.
    pub profile_eapi_when_unspecified: Option<String>,
    /// `eapis-banned`.
    pub eapis_banned: Vec<String>,
    /// `eapis-deprecated`.
    pub eapis_deprecated: Vec<String>,
    /// `eapis-testing`.
    pub eapis_testing: Vec<String>,
    /// `properties-allowed`; none allows all.
    pub properties_allowed: Option<Vec<String>>,
    /// `restrict-allowed`; none allows all.
    pub restrict_allowed: Option<Vec<String>>,
    /// `update-changelog`.
    pub update_changelog: bool,
}

impl Layout {
    /// Reads the `layout.conf` of the repository at `location`; an absent file gives defaults.
    ///
    /// # Errors
    /// The file cannot be read or decoded, a line has no `=`, or a value means nothing.
    pub fn read(location: &Path) -> Result<Self, RepoError> {
        let path = location.join("metadata/layout.conf");
        let text = read_optional(&path)?.unwrap_or_default();
        Self::parse(&text, &path)
    }

    /// Parses the text of a `layout.conf`; `path` is for messages.
    ///
    /// # Errors
    /// A line has no `=`, or a value means nothing.
    pub fn parse(text: &str, path: &Path) -> Result<Self, RepoError> {
        let mut values = HashMap::new();
        let mut aliases_line = 0;
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line
                .split_once('=')
                .map(|(key, value)| (key.trim(), value.trim()))
            {
                Some((key, value)) if !key.is_empty() => {
                    values.insert(key, value);
                    if key == "aliases" {
                        aliases_line = at + 1;
                    }
                }
                _ => {
                    return Err(RepoError::Layout {
                        path: path.to_owned(),
                        line: at + 1,
                    });
                }
            }
        }
        let list = |key: &str| -> Option<Vec<String>> {
            let value = values.get(key)?;
            Some(value.split_whitespace().map(str::to_owned).collect())
        };
        let hashes = |key: &str| -> Option<Vec<String>> {
            Some(
                list(key)?
                    .iter()
                    .map(|name| name.to_ascii_uppercase())
                    .collect(),
            )
        };
        let flag = |key: &'static str, default: bool| -> Result<bool, RepoError> {
            match values.get(key) {
                None => Ok(default),
                Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
                Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
                Some(value) => Err(RepoError::LayoutValue {
                    path: path.to_owned(),
                    key,
                    value: (*value).to_owned(),
                    expected: "true or false",
                }),
            }
        };
        let use_manifests = match values.get("use-manifests").map(|v| v.to_ascii_lowercase()) {
            None => ManifestPolicy::Strict,
            Some(value) => match value.as_str() {
                "strict" => ManifestPolicy::Strict,
                "true" => ManifestPolicy::Lenient,
                "false" => ManifestPolicy::Absent,
                _ => {
                    return Err(RepoError::LayoutValue {
                        path: path.to_owned(),
                        key: "use-manifests",
                        value,
                        expected: "strict, true or false",
                    });
                }
            },
        };
        let manifest_hashes = hashes("manifest-hashes");
        let required = hashes("manifest-required-hashes");
        Ok(Self {
            repo_name: values
                .get("repo-name")
                .and_then(|name| super::repository::tidy_name(name)),
            masters: list("masters"),
            aliases: list("aliases").unwrap_or_default(),
            aliases_line,
            thin_manifests: flag("thin-manifests", false)?,
            use_manifests,
            sign_commits: flag("sign-commits", false)?,
            sign_manifests: flag("sign-manifests", true)?,
            cache_formats: values
                .get("cache-formats")
                .map(|v| {
                    v.to_ascii_lowercase()
                        .split_whitespace()
                        .map(str::to_owned)
                        .collect()
                })
                .unwrap_or_default(),
            manifest_hashes: manifest_hashes.clone().or_else(|| required.clone()),
            manifest_required_hashes: required.or(manifest_hashes),
            profile_formats: list("profile-formats"),
            profile_eapi_when_unspecified: values
                .get("profile_eapi_when_unspecified")
                .map(|v| (*v).to_owned()),
            eapis_banned: list("eapis-banned").unwrap_or_default(),
            eapis_deprecated: list("eapis-deprecated").unwrap_or_default(),
            eapis_testing: list("eapis-testing").unwrap_or_default(),
            properties_allowed: list("properties-allowed"),
            restrict_allowed: list("restrict-allowed"),
            update_changelog: flag("update-changelog", false)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Layout, RepoError> {
        Layout::parse(text, Path::new("layout.conf"))
    }

    #[test]
    fn keys_are_read_and_unknown_ones_ignored() {
        let layout = parse(
            "# comment\nmasters = gentoo  other\nrepo-name=mine\nthin-manifests = True\n\
             use-manifests = false\nmanifest-hashes = blake2b SHA512\n\
             manifest-required-hashes = BLAKE2B\ncache-formats = MD5-dict\nfuture-key = 1\n",
        )
        .unwrap();
        assert_eq!(layout.masters.unwrap(), ["gentoo", "other"]);
        assert_eq!(layout.repo_name.unwrap(), "mine");
        assert!(layout.thin_manifests && layout.sign_manifests && !layout.sign_commits);
        assert_eq!(layout.use_manifests, ManifestPolicy::Absent);
        assert_eq!(layout.manifest_hashes.unwrap(), ["BLAKE2B", "SHA512"]);
        assert_eq!(layout.manifest_required_hashes.unwrap(), ["BLAKE2B"]);
        assert_eq!(layout.cache_formats, ["md5-dict"]);
    }

    #[test]
    fn empty_masters_differ_from_none() {
        assert_eq!(parse("masters =\n").unwrap().masters, Some(Vec::new()));
        assert_eq!(parse("").unwrap().masters, None);
    }

    #[test]
    fn one_hash_key_stands_for_both() {
        let layout = parse("manifest-hashes = A B\n").unwrap();
        assert_eq!(layout.manifest_required_hashes.unwrap(), ["A", "B"]);
        let layout = parse("manifest-required-hashes = A\n").unwrap();
        assert_eq!(layout.manifest_hashes.unwrap(), ["A"]);
    }

    #[test]
    fn nonsense_is_named() {
        let error = parse("masters = a\nwhat\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "layout.conf, line 2: expected `key = value`"
        );
        let error = parse("thin-manifests = yes\n").unwrap_err();
        assert!(error.to_string().contains("thin-manifests is `yes`"));
        assert!(parse("use-manifests = maybe\n").is_err());
    }
}
