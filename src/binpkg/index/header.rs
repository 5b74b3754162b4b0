//! The header of the index: the settings of the builder that its clients may want to know.

use std::collections::BTreeMap;

use super::{Index, VERSION};

/// Variables that are copied into the header.
const COPIED: [&str; 16] = [
    "ACCEPT_KEYWORDS",
    "ACCEPT_LICENSE",
    "ACCEPT_PROPERTIES",
    "ACCEPT_RESTRICT",
    "CBUILD",
    "CONFIG_PROTECT",
    "CONFIG_PROTECT_MASK",
    "FEATURES",
    "GENTOO_MIRRORS",
    "INSTALL_MASK",
    "IUSE_IMPLICIT",
    "USE",
    "USE_EXPAND",
    "USE_EXPAND_HIDDEN",
    "USE_EXPAND_IMPLICIT",
    "USE_EXPAND_UNPREFIXED",
];

/// The settings of the builder, as far as the header tells of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderSettings {
    /// The profile, below `profiles/` of its repository; the absolute path where it lies elsewhere.
    pub profile: Option<String>,
    /// The variables of the configuration that the header tells of, by name.
    pub variables: BTreeMap<String, String>,
}

impl HeaderSettings {
    /// The settings that the header wants, as `variable` gives them.
    pub fn collect(profile: Option<String>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut variables = BTreeMap::new();
        let mut take = |name: &str| -> String {
            let value = variable(name);
            if let Some(value) = &value {
                variables.insert(name.to_owned(), value.clone());
            }
            value.unwrap_or_default()
        };
        for name in ["CHOST", "PORTAGE_BINHOST_HEADER_URI", "PORTAGE_BINHOST_TTL"] {
            take(name);
        }
        for name in COPIED {
            take(name);
        }
        for group in take("USE_EXPAND_IMPLICIT").split_whitespace() {
            take(group);
            take(&format!("USE_EXPAND_VALUES_{group}"));
        }
        for group in take("USE_EXPAND_UNPREFIXED").split_whitespace() {
            take(group);
        }
        Self { profile, variables }
    }
}

impl Index {
    /// Brings the header up to date with the settings, as Portage does before it writes.
    ///
    /// Without a profile, or with one that has no `IUSE_IMPLICIT`, what the header says stays.
    pub fn update_header(&mut self, settings: &HeaderSettings) {
        let variable = |name: &str| settings.variables.get(name).map_or("", String::as_str);
        if self.header("CHOST").is_none() {
            self.set_header("CHOST", variable("CHOST"));
        }
        let version = VERSION.to_string();
        let Some(profile) = settings
            .profile
            .as_deref()
            .filter(|_| settings.variables.contains_key("IUSE_IMPLICIT"))
        else {
            if self.header("VERSION").is_none() {
                self.set_header("VERSION", &version);
            }
            return;
        };
        self.set_header("PROFILE", profile);
        self.set_header("VERSION", &version);
        self.set_header("URI", variable("PORTAGE_BINHOST_HEADER_URI"));
        self.set_header("TTL", variable("PORTAGE_BINHOST_TTL"));
        let implicit = variable("USE_EXPAND_IMPLICIT");
        let groups = implicit
            .split_whitespace()
            .chain(variable("USE_EXPAND_UNPREFIXED").split_whitespace());
        for key in COPIED.into_iter().chain(groups) {
            self.set_header(key, variable(key));
        }
        for group in implicit.split_whitespace() {
            let key = format!("USE_EXPAND_VALUES_{group}");
            self.set_header(&key, variable(&key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(profile: Option<&str>, variables: &[(&str, &str)]) -> HeaderSettings {
        HeaderSettings {
            profile: profile.map(str::to_owned),
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn tells_what_portage_tells() {
        let mut index = Index::default();
        index.set_header("TTL", "60");
        index.set_header("KEPT", "because it is not ours");
        index.update_header(&settings(
            Some("default/linux/amd64/23.0"),
            &[
                ("ARCH", "amd64"),
                ("CHOST", "x86_64-pc-linux-gnu"),
                ("CFLAGS", "-O2"),
                ("ELIBC", "glibc"),
                ("FEATURES", "strict"),
                ("INSTALL_MASK", ""),
                ("IUSE_IMPLICIT", "prefix"),
                ("USE_EXPAND_IMPLICIT", "ARCH ELIBC"),
                ("USE_EXPAND_UNPREFIXED", "ARCH"),
                ("USE_EXPAND_VALUES_ELIBC", "glibc musl"),
            ],
        ));
        let expected = "\
ARCH: amd64
CHOST: x86_64-pc-linux-gnu
ELIBC: glibc
FEATURES: strict
IUSE_IMPLICIT: prefix
KEPT: because it is not ours
PACKAGES: 0
PROFILE: default/linux/amd64/23.0
TIMESTAMP: 9
USE_EXPAND_IMPLICIT: ARCH ELIBC
USE_EXPAND_UNPREFIXED: ARCH
USE_EXPAND_VALUES_ELIBC: glibc musl
VERSION: 0

";
        assert_eq!(String::from_utf8(index.write(9)).unwrap(), expected);
    }

    #[test]
    fn takes_what_the_header_wants_and_no_more() {
        let all = [
            ("USE_EXPAND_IMPLICIT", "ARCH ELIBC"),
            ("USE_EXPAND_VALUES_ELIBC", "glibc"),
            ("ELIBC", "glibc"),
            ("CHOST", "x"),
            ("SECRET", "y"),
        ];
        let collected = HeaderSettings::collect(None, |name| {
            let found = all.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let names: Vec<&str> = collected.variables.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "CHOST",
                "ELIBC",
                "USE_EXPAND_IMPLICIT",
                "USE_EXPAND_VALUES_ELIBC"
            ]
        );
    }

    #[test]
    fn says_little_without_a_profile() {
        for settings in [
            settings(None, &[("IUSE_IMPLICIT", ""), ("ARCH", "x")]),
            settings(Some("p"), &[("FEATURES", "y")]),
        ] {
            let mut index = Index::default();
            index.update_header(&settings);
            assert_eq!(index.write(1), b"PACKAGES: 0\nTIMESTAMP: 1\nVERSION: 0\n\n");
        }
    }
}
