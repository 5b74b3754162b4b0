//! The values that hold without a package.

use std::collections::{BTreeMap, BTreeSet};

use super::Config;
use super::environment;
use super::features;
use super::options::Options;
use super::shell_vars::{Setting, Variables};
use super::stack::{self, ExpandNames, Layers};
use super::trail::{Steps, Trail};

impl Config {
    /// Variables that follow from others.
    pub(super) fn set_defaults(&mut self, options: &Options) {
        let place = "<configuration>";
        if self.layers().get("CBUILD").is_none()
            && let Some(chost) = self
                .layers()
                .get("CHOST")
                .map(|setting| setting.value.clone())
        {
            self.env
                .insert("CBUILD".to_owned(), Setting::at(place, chost));
        }
        let privileged = options.uid == 0;
        let user = if privileged {
            "portage".to_owned()
        } else {
            options.user.clone()
        };
        let group = if privileged {
            "portage".to_owned()
        } else {
            options.group.clone()
        };
        for (name, value) in [
            ("USERLAND", "GNU".to_owned()),
            (
                "USE_ORDER",
                "env:pkg:conf:defaults:pkginternal:features:repo:env.d".to_owned(),
            ),
            ("PORTAGE_USERNAME", user),
            ("PORTAGE_GRPNAME", group),
            ("PORTAGE_INST_UID", options.uid.to_string()),
            ("PORTAGE_INST_GID", options.gid.to_string()),
        ] {
            if self.layers().get(name).is_none() {
                self.env.insert(name.to_owned(), Setting::at(place, value));
            }
        }
        for name in ["AUTOCLEAN", "NOCOLOR", "NO_COLOR"] {
            if let Some(known) = self.layers().get(name).cloned() {
                let value = known.value.to_lowercase();
                let setting = Setting::new(value, known.origin);
                self.env.insert(name.to_owned(), setting);
            }
        }
    }

    /// Computes the values that hold without a package, and what packages have in common.
    pub(super) fn compute(&mut self, defaults_list: &[Variables]) {
        let trail = &mut Trail::Off;
        let incrementals = self.layers().incrementals(trail);
        let names = ExpandNames::new(&incrementals);
        self.profile_use = defaults_list
            .iter()
            .map(|variables| names.profile_use(variables))
            .collect();
        let words = self.profile_use.iter().flatten();
        let words = Setting::of_words(words.map(|word| (&**word, &word.origin)));
        let words = words.unwrap_or_else(|| Setting::at("make.defaults", ""));
        self.defaults.insert("USE".to_owned(), words);

        self.features = self.feature_set(&incrementals);
        let known = features::unknown(incrementals.get("FEATURES").map_or("", String::as_str));
        if !known.is_empty() && self.features.contains("unknown-features-warn") {
            self.warnings
                .push(format!("FEATURES: unknown words: {}", known.join(", ")));
        }
        let signs = self.misplaced_signs(&names);
        self.warnings.extend(signs);
        let accepted = self.layers().accept("ACCEPT_LICENSE");
        self.licenses.tell_undefined(&accepted, &mut self.warnings);
        self.computed = self.stacked(trail);

        self.iuse_effective = self.implicit_flags(&names);
        self.implicit_before_5 = self
            .arch_flags()
            .chain(self.use_files.global_mask(trail))
            .chain(self.use_files.global_force(trail))
            .chain(["build".to_owned(), "bootstrap".to_owned()])
            .collect();
        // PMS 11.1.1 says USE_EXPAND; Portage takes what is in USE_EXPAND_HIDDEN only.
        self.implicit_prefixes = names
            .prefixed
            .iter()
            .map(|name| stack::prefix(name))
            .collect();
    }

    /// Tells of the words of USE_EXPAND variables that have no effect, since they begin with a sign as those of USE do:
    /// such a variable replaces what was set before it, but for those of make.defaults, which add to one another.
    fn misplaced_signs(&self, expanded: &ExpandNames) -> BTreeSet<String> {
        let names = || {
            let names = expanded.prefixed.iter().map(String::as_str);
            names.filter(|name| !environment::is_incremental(name))
        };
        let layers = [&self.env_d, &self.conf, &self.env].into_iter();
        let settings = layers
            .chain(self.repo_defaults.values())
            .flat_map(|layer| names().filter_map(move |name| Some((name, layer.get(name)?))));
        let of_packages = self.package_env.assignments();
        let of_packages = of_packages.map(|one| (one.name.as_str(), &one.setting));
        let settings =
            settings.chain(of_packages.filter(|(name, _)| names().any(|it| it == *name)));
        let words = settings.flat_map(|(name, setting)| setting.words().map(move |it| (name, it)));
        words
            .filter(|(_, (word, _))| word.starts_with(['-', '+']))
            .map(|(name, (word, origin))| {
                format!(
                    "{origin}: `{word}` in {name} is left out: {name} replaces what was set before, so its words have \
                     no sign; write those that are wanted"
                )
            })
            .collect()
    }

    /// What led to the values that hold without a package.
    pub fn explain(&self) -> Steps {
        let mut steps = Steps::default();
        self.stacked(&mut Trail::On(&mut steps));
        steps
    }

    /// The stacked values that hold without a package.
    fn stacked(&self, trail: &mut Trail<'_>) -> BTreeMap<String, String> {
        let incrementals = self.layers().incrementals(trail);
        let names = ExpandNames::new(&incrementals);
        let mut test = Variables::new();
        if self.features.contains("test") {
            test.insert("USE".to_owned(), Setting::at("<FEATURES>", "test"));
        }
        let layers = Layers {
            features: &test,
            ..self.layers()
        };
        layers.note_values(trail);
        let mut flags = layers.use_flags(&names, None, trail);
        let (mask, force) = (
            self.use_files.global_mask(trail),
            self.use_files.global_force(trail),
        );
        flags.extend(force);
        flags.extend(
            self.defaults
                .get("ARCH")
                .map(|setting| setting.value.clone()),
        );
        flags.retain(|flag| !mask.contains(flag));

        let mut computed = incrementals;
        computed.insert(
            "FEATURES".to_owned(),
            self.features
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(" "),
        );
        for name in &names.prefixed {
            let prefix = stack::prefix(name);
            let enabled: BTreeSet<&str> = flags
                .iter()
                .filter_map(|flag| flag.strip_prefix(&prefix))
                .collect();
            let mut values: Vec<&str> = layers
                .value(name)
                .split_whitespace()
                .filter(|value| enabled.contains(value))
                .collect();
            let rest: Vec<&str> = enabled
                .iter()
                .copied()
                .filter(|value| !values.contains(value))
                .collect();
            values.extend(rest);
            if !values.is_empty() || layers.get(name).is_some() {
                computed.insert(name.clone(), values.join(" "));
            }
        }
        for name in &names.unprefixed {
            if let Some(known) = layers.get(name) {
                let values: Vec<&str> = known
                    .value
                    .split_whitespace()
                    .filter(|word| flags.contains(*word))
                    .collect();
                computed.insert(name.clone(), values.join(" "));
            }
        }
        computed.insert(
            "USE".to_owned(),
            flags
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(" "),
        );
        computed
    }

    /// What the profile adds to every IUSE since EAPI 5 (PMS 11.1.1).
    fn implicit_flags(&self, names: &ExpandNames) -> BTreeSet<String> {
        let words = |name: &str| self.get(name).unwrap_or_default().split_whitespace();
        let mut flags: BTreeSet<String> = words("IUSE_IMPLICIT").map(str::to_owned).collect();
        let implicit: BTreeSet<&str> = words("USE_EXPAND_IMPLICIT").collect();
        for name in names
            .unprefixed
            .iter()
            .filter(|name| implicit.contains(name.as_str()))
        {
            flags.extend(words(&format!("USE_EXPAND_VALUES_{name}")).map(str::to_owned));
        }
        for name in names
            .prefixed
            .iter()
            .filter(|name| implicit.contains(name.as_str()))
        {
            let prefix = stack::prefix(name);
            flags.extend(
                words(&format!("USE_EXPAND_VALUES_{name}")).map(|value| format!("{prefix}{value}")),
            );
        }
        flags
    }

    /// FEATURES as a set, without unknown words if FEATURES itself asks for that.
    pub(super) fn feature_set(&self, incrementals: &BTreeMap<String, String>) -> BTreeSet<String> {
        let value = incrementals.get("FEATURES").map_or("", String::as_str);
        let mut set: BTreeSet<String> = value.split_whitespace().map(str::to_owned).collect();
        if set.contains("unknown-features-filter") {
            for word in features::unknown(value) {
                set.remove(word);
            }
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Root;

    #[test]
    fn signs_in_variables_that_replace_are_told() {
        let root = Root::new()
            .file(
                "repo/profiles/default/make.defaults",
                "PYTHON_TARGETS=\"-py12 py13\"\n",
            )
            .file(
                "etc/portage/make.conf",
                "USE=\"-acl\"\nPYTHON_TARGETS=\"py14 -py13\"\nFEATURES=\"-test\"\n",
            )
            .file("etc/portage/package.env", "*/* one\na/b one two\n")
            .file("etc/portage/env/one", "L10N=\"+de\"\n")
            .file("etc/portage/env/two", "\nL10N=\"-* en\"\nCFLAGS=\"-O3\"\n")
            .file("etc/portage/package.use", "a/b L10N: -* de\n")
            .env("L10N", "-fr");
        let told = |place: &str, word: &str, name: &str| {
            format!(
                "{place}: `{word}` in {name} is left out: {name} replaces what was set before, so its words have no \
                 sign; write those that are wanted"
            )
        };
        let conf = root.path("etc/portage");
        let conf = conf.display();
        assert_eq!(
            root.load().warnings(),
            [
                told(&format!("{conf}/env/one:1"), "+de", "L10N"),
                told(&format!("{conf}/env/two:2"), "-*", "L10N"),
                told(&format!("{conf}/make.conf:2"), "-py13", "PYTHON_TARGETS"),
                told("<environment>", "-fr", "L10N"),
            ]
        );
    }
}
