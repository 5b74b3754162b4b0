//! How settings of many places become one value, and many USE settings one set of flags.

use std::collections::{BTreeMap, BTreeSet};

use super::environment::{self, INCREMENTAL};
use super::license;
use super::shell_vars::{Origin, Setting, Variables};
use super::trail::{Effect, Subject, Trail};
use super::word::Word;

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

    /// All words of a variable, the lowest rank first, with their places.
    pub(super) fn words(&self, name: &str) -> impl Iterator<Item = (&'a str, &'a Origin)> {
        self.all()
            .into_iter()
            .filter_map(move |layer| layer.get(name))
            .flat_map(Setting::words)
    }

    /// Notes which values the other variables were given, the lowest rank first.
    pub(super) fn note_values(&self, trail: &mut Trail<'_>) {
        if matches!(trail, Trail::Off) {
            return;
        }
        for layer in self.all() {
            for (name, setting) in layer {
                if !environment::is_incremental(name) {
                    trail.note_value(name, setting);
                }
            }
        }
    }

    /// The tokens of ACCEPT_LICENSE and its kin, without those that a later one makes irrelevant.
    pub(super) fn accept(&self, name: &str) -> Vec<Word> {
        let words = self.words(name);
        let mut tokens: Vec<Word> = words
            .map(|(word, origin)| Word::new(word, origin))
            .collect();
        license::prune(&mut tokens);
        if tokens.is_empty() && name == "ACCEPT_LICENSE" {
            let origin = Origin::named("<built in>");
            tokens = ["*", "-@EULA"].map(|word| Word::new(word, &origin)).into();
        }
        tokens
    }

    /// The values of all incremental variables but USE, and of the ACCEPT_ variables.
    pub(super) fn incrementals(&self, trail: &mut Trail<'_>) -> BTreeMap<String, String> {
        let mut result = BTreeMap::new();
        for name in INCREMENTAL.iter().filter(|name| **name != "USE") {
            let mut words = BTreeSet::new();
            for (text, origin) in self.words(name) {
                // A plus sign is a common mistake; it means nothing.
                let word = text.strip_prefix('+').unwrap_or(text);
                let (part, effect) = match word.strip_prefix('-') {
                    Some("*") => {
                        words.clear();
                        ("*", Effect::Off)
                    }
                    Some(gone) => {
                        words.remove(gone);
                        (gone, Effect::Off)
                    }
                    None if word.is_empty() => continue,
                    None => {
                        words.insert(word);
                        (word, Effect::On)
                    }
                };
                let subject = || Subject::Variable((*name).to_owned());
                trail.note(subject, part, text, origin, effect);
            }
            if !words.is_empty() || self.get(name).is_some() {
                result.insert(
                    (*name).to_owned(),
                    words.into_iter().collect::<Vec<_>>().join(" "),
                );
            }
        }
        for name in ["ACCEPT_LICENSE", "ACCEPT_PROPERTIES", "ACCEPT_RESTRICT"] {
            let tokens = self.accept(name);
            license::note(&tokens, &Subject::Variable(name.to_owned()), trail);
            let words: Vec<&str> = tokens.iter().map(|word| &**word).collect();
            result.insert(name.to_owned(), words.join(" "));
        }
        result
    }

    /// The enabled flags before forces, masks and IUSE, from all places of USE_ORDER.
    pub(super) fn use_flags(
        &self,
        names: &ExpandNames,
        iuse: Option<&[&str]>,
        trail: &mut Trail<'_>,
    ) -> BTreeSet<String> {
        trail.forget(&Subject::Use);
        let order = self.value("USE_ORDER");
        let mut flags: BTreeSet<String> = BTreeSet::new();
        for place in order.split(':').rev() {
            let Some(layer) = self.named(place) else {
                continue;
            };
            for name in &names.unprefixed {
                for (word, origin) in layer.get(name).into_iter().flat_map(Setting::words) {
                    let (flag, effect) = match word.strip_prefix('-') {
                        Some(gone) => {
                            flags.remove(gone);
                            (gone, Effect::Off)
                        }
                        None => {
                            flags.insert(word.to_owned());
                            (word, Effect::On)
                        }
                    };
                    let text = || format!("{name}={word}");
                    note_use(trail, flag, text, origin, effect);
                }
            }
            for (word, origin) in layer.get("USE").into_iter().flat_map(Setting::words) {
                if let Some((flag, effect)) = add_use_word(word, iuse, &mut flags) {
                    note_use(trail, flag, || word.to_owned(), origin, effect);
                }
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
                let text = || format!("{name}=");
                let all = format!("{prefix}*");
                note_use(trail, &all, text, &setting.origin, Effect::Off);
                for (word, origin) in setting.words() {
                    if !word.starts_with(['-', '+']) {
                        let flag = format!("{prefix}{word}");
                        let text = || format!("{name}={word}");
                        note_use(trail, &flag, text, origin, Effect::On);
                        flags.insert(flag);
                    }
                }
            }
        }
        flags
    }
}

fn note_use(
    trail: &mut Trail<'_>,
    flag: &str,
    text: impl FnOnce() -> String,
    origin: &Origin,
    effect: Effect,
) {
    if matches!(trail, Trail::On(_)) {
        trail.note(|| Subject::Use, flag, &text(), origin, effect);
    }
}

/// Applies one word of USE; gives the flag, or the beginning of flags, and what became of it.
fn add_use_word<'w>(
    word: &'w str,
    iuse: Option<&[&str]>,
    flags: &mut BTreeSet<String>,
) -> Option<(&'w str, Effect)> {
    let word = word.strip_prefix('+').unwrap_or(word);
    if word.is_empty() {
        return None;
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
        return Some((gone, Effect::Off));
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
        return Some((word, Effect::On));
    }
    flags.insert(word.to_owned());
    Some((word, Effect::On))
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
    pub(super) fn profile_use(&self, variables: &Variables) -> Vec<Word> {
        let whole = |setting: &Setting| -> Vec<Word> {
            let words = setting.words();
            words
                .map(|(word, origin)| Word::new(word, origin))
                .collect()
        };
        let mut words: Vec<Word> = Vec::new();
        for name in &self.unprefixed {
            words.extend(variables.get(name).into_iter().flat_map(whole));
        }
        for name in &self.prefixed {
            let Some(setting) = variables.get(name) else {
                continue;
            };
            let prefix = prefix(name);
            words.extend(setting.words().map(|(word, origin)| {
                let text = match word.strip_prefix('-') {
                    Some(gone) => format!("-{prefix}{gone}"),
                    None => format!("{prefix}{word}"),
                };
                Word::new(text, origin)
            }));
        }
        words.extend(variables.get("USE").into_iter().flat_map(whole));
        words
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
            Some(known) if environment::is_incremental(name) => known.stack(setting),
            _ => {
                target.insert(name.clone(), setting.clone());
            }
        }
    }
}
