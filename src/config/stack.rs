//! How settings of many places become one value, and many USE settings one set of flags.

use std::collections::{BTreeMap, BTreeSet};

use super::environment::{self, INCREMENTAL};
use super::license;
use super::shell_vars::{Setting, Variables};

/// The places of settings, lowest rank first. The names are those of USE_ORDER.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layers<'a> {
    pub(super) env_d: &'a Variables,
    pub(super) repo: &'a Variables,
    pub(super) features: &'a Variables,
    pub(super) pkginternal: &'a Variables,
    pub(super) globals: &'a Variables,
    pub(super) defaults: &'a Variables,
    pub(super) conf: &'a Variables,
    pub(super) pkg: &'a Variables,
    pub(super) env: &'a Variables,
}

impl<'a> Layers<'a> {
    fn all(&self) -> [&'a Variables; 9] {
        [
            self.env_d,
            self.repo,
            self.features,
            self.pkginternal,
            self.globals,
            self.defaults,
            self.conf,
            self.pkg,
            self.env,
        ]
    }

    fn named(&self, name: &str) -> Option<&'a Variables> {
        Some(match name {
            "env.d" => self.env_d,
            "repo" => self.repo,
            "features" => self.features,
            "pkginternal" => self.pkginternal,
            "globals" => self.globals,
            "defaults" => self.defaults,
            "conf" => self.conf,
            "pkg" => self.pkg,
            "env" => self.env,
            _ => return None,
        })
    }

    /// The setting of highest rank.
    pub(super) fn get(&self, name: &str) -> Option<&'a Setting> {
        self.all()
            .into_iter()
            .rev()
            .find_map(|layer| layer.get(name))
    }

    /// The value of highest rank, empty if there is none.
    pub(super) fn value(&self, name: &str) -> &'a str {
        self.get(name).map_or("", |setting| setting.value.as_str())
    }

    /// All names that have a setting.
    pub(super) fn names(&self) -> BTreeSet<&'a str> {
        self.all()
            .into_iter()
            .flat_map(|layer| layer.keys().map(String::as_str))
            .collect()
    }

    fn words(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.all()
            .into_iter()
            .filter_map(move |layer| layer.get(name))
            .flat_map(|s| s.value.split_whitespace())
    }

    /// The values of all incremental variables but USE, and of the ACCEPT_ variables.
    pub(super) fn incrementals(&self) -> BTreeMap<String, String> {
        let mut result = BTreeMap::new();
        for name in INCREMENTAL.iter().filter(|name| **name != "USE") {
            let mut words = BTreeSet::new();
            for word in self.words(name) {
                // A plus sign is a common mistake; it means nothing.
                let word = word.strip_prefix('+').unwrap_or(word);
                match word.strip_prefix('-') {
                    Some("*") => words.clear(),
                    Some(gone) => {
                        words.remove(gone);
                    }
                    None if word.is_empty() => {}
                    None => {
                        words.insert(word);
                    }
                }
            }
            if !words.is_empty() || self.get(name).is_some() {
                result.insert(
                    (*name).to_owned(),
                    words.into_iter().collect::<Vec<_>>().join(" "),
                );
            }
        }
        for name in ["ACCEPT_LICENSE", "ACCEPT_PROPERTIES", "ACCEPT_RESTRICT"] {
            let mut tokens: Vec<String> = self.words(name).map(str::to_owned).collect();
            license::prune(&mut tokens);
            let mut value = tokens.join(" ");
            if value.is_empty() && name == "ACCEPT_LICENSE" {
                value = "* -@EULA".to_owned();
            }
            result.insert(name.to_owned(), value);
        }
        result
    }

    /// The enabled flags before forces, masks and IUSE, from all places of USE_ORDER.
    pub(super) fn use_flags(&self, names: &ExpandNames, iuse: Option<&[&str]>) -> BTreeSet<String> {
        let order = self.value("USE_ORDER");
        let mut flags: BTreeSet<String> = BTreeSet::new();
        for place in order.split(':').rev() {
            let Some(layer) = self.named(place) else {
                continue;
            };
            for name in &names.unprefixed {
                for word in layer
                    .get(name)
                    .into_iter()
                    .flat_map(|s| s.value.split_whitespace())
                {
                    match word.strip_prefix('-') {
                        Some(gone) => {
                            flags.remove(gone);
                        }
                        None => {
                            flags.insert(word.to_owned());
                        }
                    }
                }
            }
            let words = layer
                .get("USE")
                .map_or("", |setting| setting.value.as_str());
            for word in words.split_whitespace() {
                add_use_word(word, iuse, &mut flags);
            }
            if place == "defaults" {
                // Those of make.defaults are already part of its USE, profile by profile.
                continue;
            }
            for name in &names.prefixed {
                let Some(setting) = layer.get(name) else {
                    continue;
                };
                let prefix = prefix(name);
                flags.retain(|flag| !flag.starts_with(&prefix));
                for word in setting.value.split_whitespace() {
                    if !word.starts_with(['-', '+']) {
                        flags.insert(format!("{prefix}{word}"));
                    }
                }
            }
        }
        flags
    }
}

fn add_use_word(word: &str, iuse: Option<&[&str]>, flags: &mut BTreeSet<String>) {
    let word = word.strip_prefix('+').unwrap_or(word);
    if word.is_empty() {
        return;
    }
    if let Some(gone) = word.strip_prefix('-') {
        if gone == "*" {
            flags.clear();
        } else {
            if let Some(prefix) = gone
                .strip_suffix('*')
                .filter(|prefix| prefix.ends_with('_'))
            {
                flags.retain(|flag| !flag.starts_with(prefix));
            }
            flags.remove(gone);
        }
        return;
    }
    if let Some(iuse) = iuse
        && let Some(prefix) = word
            .strip_suffix('*')
            .filter(|prefix| prefix.ends_with('_'))
    {
        let matching: Vec<&&str> = iuse
            .iter()
            .filter(|flag| flag.starts_with(prefix))
            .collect();
        flags.extend(matching.iter().map(|flag| (**flag).to_owned()));
        // Without a matching flag the wildcard stays: LINGUAS must then be unset.
        if matching.is_empty() {
            flags.insert(word.to_owned());
        }
        return;
    }
    flags.insert(word.to_owned());
}

/// The names in USE_EXPAND and USE_EXPAND_UNPREFIXED.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ExpandNames {
    pub(super) prefixed: Vec<String>,
    pub(super) unprefixed: Vec<String>,
}

impl ExpandNames {
    /// From the stacked values.
    pub(super) fn new(incrementals: &BTreeMap<String, String>) -> Self {
        let names = |name: &str| {
            incrementals
                .get(name)
                .map(|value| value.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default()
        };
        ExpandNames {
            prefixed: names("USE_EXPAND"),
            unprefixed: names("USE_EXPAND_UNPREFIXED"),
        }
    }

    /// The USE words of one make.defaults, its USE_EXPAND variables turned into flags.
    pub(super) fn profile_use(&self, variables: &Variables) -> String {
        let mut words: Vec<String> = Vec::new();
        for name in &self.unprefixed {
            if let Some(setting) = variables.get(name) {
                words.extend(setting.value.split_whitespace().map(str::to_owned));
            }
        }
        for name in &self.prefixed {
            let Some(setting) = variables.get(name) else {
                continue;
            };
            let prefix = prefix(name);
            words.extend(setting.value.split_whitespace().map(
                |word| match word.strip_prefix('-') {
                    Some(gone) => format!("-{prefix}{gone}"),
                    None => format!("{prefix}{word}"),
                },
            ));
        }
        if let Some(setting) = variables.get("USE") {
            words.extend(setting.value.split_whitespace().map(str::to_owned));
        }
        words.join(" ")
    }
}

/// What the flags of a USE_EXPAND variable begin with.
pub(super) fn prefix(name: &str) -> String {
    format!("{}_", name.to_lowercase())
}

/// Puts one file's variables over others: incremental ones are appended, others replaced.
pub(super) fn stack_variables(target: &mut Variables, over: &Variables) {
    for (name, setting) in over {
        match target.get_mut(name) {
            Some(known) if environment::is_incremental(name) => {
                known.value = format!("{} {}", known.value, setting.value);
                known.origin = setting.origin.clone();
            }
            _ => {
                target.insert(name.clone(), setting.clone());
            }
        }
    }
}
