//! The configuration of one package: its USE flags, its environment, whether it is masked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::Config;
use super::environment;
use super::license;
use super::shell_vars::{Origin, Setting, Variables};
use super::stack::{self, Layers};
use crate::pms::atom::{FlagState, PackageFacts};
use crate::pms::cpv::Cpv;
use crate::pms::dependency::{DepSpec, DependencyError};
use crate::pms::eapi::Eapi;

/// What the configuration must know of an ebuild to answer for it. The texts are those of its
/// metadata.
#[derive(Debug, Clone, Copy)]
pub struct PackageQuery<'a> {
    /// Category, name and version.
    pub cpv: &'a Cpv,
    /// SLOT without sub-slot.
    pub slot: &'a str,
    /// The sub-slot; the slot again if there is none.
    pub subslot: &'a str,
    /// The name of its repository.
    pub repository: Option<&'a str>,
    /// Its EAPI.
    pub eapi: Eapi,
    /// IUSE, with the signs of defaults.
    pub iuse: &'a str,
    /// KEYWORDS.
    pub keywords: &'a str,
    /// LICENSE.
    pub license: &'a str,
    /// RESTRICT.
    pub restrict: &'a str,
    /// PROPERTIES.
    pub properties: &'a str,
}

impl PackageFacts for PackageQuery<'_> {
    fn cpv(&self) -> &Cpv {
        self.cpv
    }

    fn slot(&self) -> &str {
        self.slot
    }

    fn subslot(&self) -> &str {
        self.subslot
    }

    fn repository(&self) -> Option<&str> {
        self.repository
    }

    fn use_flag(&self, _flag: &str) -> FlagState {
        // Configuration decides about flags and so cannot depend on them: atoms that name
        // flags have lost them when they were read.
        FlagState::Missing
    }
}

/// What the configuration says about one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageConfig {
    /// The enabled flags of IUSE_EFFECTIVE: `USE` as the ebuild sees it and as it is recorded.
    pub use_flags: BTreeSet<String>,
    /// IUSE_EFFECTIVE (PMS 11.1.1). Before EAPI 5 the flags that can be told one by one.
    pub iuse_effective: BTreeSet<String>,
    /// Before EAPI 5: what begins so belongs to IUSE_EFFECTIVE too. Empty since EAPI 5.
    pub iuse_prefixes: Vec<String>,
    /// The flags that can never be enabled for this package.
    pub use_mask: BTreeSet<String>,
    /// The flags that cannot be disabled, unless masked.
    pub use_force: BTreeSet<String>,
    /// The environment that the configuration gives to the ebuild, package.env applied and
    /// USE_EXPAND variables reduced to what the package knows. `USE` is among it; the variables
    /// of the build itself (`PN`, `D`, `T`, …) are not.
    pub variables: BTreeMap<String, String>,
    /// Why the package must not be installed; empty if it may.
    pub masks: Vec<MaskReason>,
    /// The bashrc files to source before the phases, in this order.
    pub bashrcs: Vec<PathBuf>,
    /// FEATURES for this package.
    pub features: BTreeSet<String>,
    /// Whether the package is there by a stable keyword (PMS 5.2.11).
    pub stable: bool,
}

/// Why a package is masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaskReason {
    /// A line of package.mask.
    PackageMask {
        /// The atom as the line has it.
        atom: String,
        /// The file and line.
        origin: Origin,
        /// The comment above it, line by line, with the `#`.
        comment: Vec<String>,
    },
    /// None of its keywords is accepted.
    Keyword {
        /// Its keywords, or `**` if it has none.
        keywords: Vec<String>,
        /// The keyword to accept in package.accept_keywords.
        needed: String,
    },
    /// Licenses that are not accepted.
    License {
        /// The licenses. Of `|| ( )` all are named, though one of them would do.
        missing: Vec<String>,
    },
    /// PROPERTIES that are not accepted.
    Properties {
        /// The words.
        missing: Vec<String>,
    },
    /// RESTRICT words that are not accepted.
    Restrict {
        /// The words.
        missing: Vec<String>,
    },
    /// A variable of the metadata that cannot be understood.
    Invalid {
        /// The variable.
        variable: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl fmt::Display for MaskReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaskReason::PackageMask { atom, origin, .. } => {
                write!(
                    f,
                    "package.mask: `{atom}` in {}:{}",
                    origin.file.display(),
                    origin.line
                )
            }
            MaskReason::Keyword { needed, .. } => {
                write!(
                    f,
                    "keyword: {needed} is not accepted; add it to package.accept_keywords"
                )
            }
            MaskReason::License { missing } => {
                write!(
                    f,
                    "license: {} not accepted; add to package.license",
                    missing.join(" ")
                )
            }
            MaskReason::Properties { missing } => {
                write!(
                    f,
                    "properties: {} not accepted; add to package.properties",
                    missing.join(" ")
                )
            }
            MaskReason::Restrict { missing } => {
                write!(
                    f,
                    "restrict: {} not accepted; add to package.accept_restrict",
                    missing.join(" ")
                )
            }
            MaskReason::Invalid { variable, problem } => write!(f, "invalid {variable}: {problem}"),
        }
    }
}

/// The metadata's expressions; what cannot be parsed is empty and a reason for a mask.
struct Expressions {
    license: Option<DepSpec<String>>,
    restrict: Option<DepSpec<String>>,
    properties: Option<DepSpec<String>>,
    invalid: Vec<MaskReason>,
}

impl Expressions {
    fn new(query: &PackageQuery<'_>) -> Self {
        let mut invalid = Vec::new();
        let mut take = |variable, parsed: Result<DepSpec<String>, DependencyError>| match parsed {
            Ok(spec) => Some(spec),
            Err(error) => {
                invalid.push(MaskReason::Invalid {
                    variable,
                    problem: error.to_string(),
                });
                None
            }
        };
        let eapi = query.eapi;
        let license = take("LICENSE", DepSpec::parse_license(query.license, eapi));
        let restrict = take("RESTRICT", DepSpec::parse_restrict(query.restrict, eapi));
        let properties = take(
            "PROPERTIES",
            DepSpec::parse_properties(query.properties, eapi),
        );
        Expressions {
            license,
            restrict,
            properties,
            invalid,
        }
    }
}

type Expression = Option<DepSpec<String>>;

fn evaluate(spec: &Expression, enabled: impl Fn(&str) -> bool) -> Expression {
    spec.as_ref().map(|spec| spec.evaluate(enabled))
}

fn words(spec: &Expression) -> BTreeSet<&str> {
    spec.iter()
        .flat_map(DepSpec::leaves)
        .map(String::as_str)
        .collect()
}

fn join<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(" ")
}

/// The flags of one IUSE.
struct Iuse<'a> {
    names: Vec<&'a str>,
    defaults: Vec<String>,
}

impl<'a> Iuse<'a> {
    fn new(text: &'a str) -> Self {
        let mut iuse = Iuse {
            names: Vec::new(),
            defaults: Vec::new(),
        };
        for word in text.split_whitespace() {
            if let Some(flag) = word.strip_prefix('+') {
                iuse.defaults.push(flag.to_owned());
            } else if word.starts_with('-') {
                iuse.defaults.push(word.to_owned());
            }
            iuse.names.push(word.trim_start_matches(['+', '-']));
        }
        iuse
    }
}

fn single(name: &str, value: String, place: &str) -> Variables {
    let origin = Origin {
        file: Arc::from(Path::new(place)),
        line: 0,
    };
    Variables::from([(name.to_owned(), Setting { value, origin })])
}

impl Config {
    /// What the configuration says about one package.
    pub fn package(&self, query: &PackageQuery<'_>) -> PackageConfig {
        let iuse = Iuse::new(query.iuse);
        let expressions = Expressions::new(query);
        let keywords: Vec<&str> = query.keywords.split_whitespace().collect();
        let environment_keywords = self
            .env
            .get("ACCEPT_KEYWORDS")
            .map_or("", |s| s.value.as_str());
        let accepted = self.get("ACCEPT_KEYWORDS").unwrap_or_default();
        let verdict = self
            .keywords
            .judge(query, &keywords, accepted, environment_keywords);
        let stable = verdict.stable;

        let lineage = self.lineage(query.repository);
        let use_mask = self.use_files.mask(query, &lineage, stable);
        let use_force = self.use_files.force(query, &lineage, stable);

        let repo = self.repository_layer(query, &lineage, stable);
        let mut defaults = self.defaults.clone();
        defaults.insert("USE".to_owned(), self.profile_use_setting(query, stable));
        let pkg = self.package_layer(query);
        let mut pkginternal = single("USE", iuse.defaults.join(" "), "<IUSE>");
        let mut features_layer = Variables::new();
        let mut layers = Layers {
            repo: &repo,
            defaults: &defaults,
            pkg: &pkg,
            ..self.layers()
        };
        let incrementals = layers.incrementals();
        let features = self.feature_set(&incrementals);
        if features.contains("test") {
            features_layer = single("USE", "test".to_owned(), "<FEATURES>");
        }
        layers.features = &features_layer;
        layers.pkginternal = &pkginternal;

        let names = stack::ExpandNames::new(&incrementals);
        let in_iuse = |flag: &str| iuse.names.contains(&flag) || self.is_implicit(query.eapi, flag);
        let arch = self
            .defaults
            .get("ARCH")
            .map(|setting| setting.value.clone());
        let flags_of = |layers: &Layers<'_>| {
            let mut flags = layers.use_flags(&names, Some(&iuse.names));
            flags.extend(use_force.iter().cloned());
            flags.extend(arch.clone());
            flags.retain(|flag| !use_mask.contains(flag));
            flags
        };
        let mut flags = flags_of(&layers);
        if features.contains("test")
            && self.tests_restricted(&expressions, &layers, |flag| {
                flags.contains(flag) && in_iuse(flag)
            })
        {
            // As if IUSE had `-test`: FEATURES=test is the weaker wish.
            let mut words = iuse.defaults.clone();
            words.push("-test".to_owned());
            pkginternal = single("USE", words.join(" "), "<IUSE>");
            layers = Layers {
                repo: &repo,
                defaults: &defaults,
                pkg: &pkg,
                features: &features_layer,
                pkginternal: &pkginternal,
                ..self.layers()
            };
            flags = flags_of(&layers);
        }

        let (iuse_effective, iuse_prefixes) =
            self.effective_iuse(query.eapi, &iuse.names, &use_mask, &use_force);
        flags.retain(|flag| flag.ends_with("_*") || in_iuse(flag));
        let expanded = expand_variables(&names, &layers, &mut flags, &iuse_effective, &use_mask);
        let mut overlay = incrementals;
        overlay.extend(expanded);
        let use_flags: BTreeSet<String> = flags
            .into_iter()
            .filter(|flag| !flag.ends_with("_*"))
            .collect();
        overlay.insert("USE".to_owned(), join(use_flags.iter().map(String::as_str)));
        let value = join(features.iter().map(String::as_str));
        overlay.insert("PORTAGE_FEATURES".to_owned(), value.clone());
        overlay.insert("FEATURES".to_owned(), value);
        if query.eapi.iuse_effective() {
            overlay.insert(
                "IUSE_EFFECTIVE".to_owned(),
                join(iuse_effective.iter().map(String::as_str)),
            );
        }

        let enabled = |flag: &str| use_flags.contains(flag);
        let license_here = evaluate(&expressions.license, enabled);
        let accept_license = overlay
            .get("ACCEPT_LICENSE")
            .map(String::as_str)
            .unwrap_or_default();
        let tokens = self.licenses.accepted(query, accept_license);
        let occurring = words(&license_here);
        let accepted_licenses = license::acceptable(&tokens, &occurring);
        let pruned = join(accepted_licenses.intersection(&occurring).copied());

        let mut masks = Vec::new();
        if let Some(line) = self.masks.mask(query) {
            masks.push(MaskReason::PackageMask {
                atom: line.text.clone(),
                origin: line.origin.clone(),
                comment: line.comment.clone(),
            });
        }
        if !verdict.missing.is_empty() {
            let needed = self.needed_keyword(&verdict.missing);
            masks.push(MaskReason::Keyword {
                keywords: verdict.missing,
                needed,
            });
        }
        let all_licenses = words(&expressions.license);
        let acceptable = license::acceptable(&tokens, &all_licenses);
        let missing = license_here
            .as_ref()
            .map(|spec| license::missing(spec, &acceptable))
            .unwrap_or_default();
        if !missing.is_empty() {
            masks.push(MaskReason::License { missing });
        }
        let properties = evaluate(&expressions.properties, enabled);
        let missing = self.missing_words(
            query,
            "ACCEPT_PROPERTIES",
            &self.properties,
            &expressions.properties,
            &properties,
        );
        if !missing.is_empty() {
            masks.push(MaskReason::Properties { missing });
        }
        let restrict = evaluate(&expressions.restrict, enabled);
        let missing = self.missing_words(
            query,
            "ACCEPT_RESTRICT",
            &self.restricts,
            &expressions.restrict,
            &restrict,
        );
        if !missing.is_empty() {
            masks.push(MaskReason::Restrict { missing });
        }
        overlay.insert("ACCEPT_LICENSE".to_owned(), pruned);
        overlay.insert("PORTAGE_PROPERTIES".to_owned(), join(words(&properties)));
        overlay.insert("PORTAGE_RESTRICT".to_owned(), join(words(&restrict)));
        masks.extend(expressions.invalid);

        let mut variables: BTreeMap<String, String> = layers
            .names()
            .into_iter()
            .map(|name| (name.to_owned(), layers.value(name).to_owned()))
            .collect();
        variables.extend(overlay);
        variables.retain(|name, _| !environment::is_filtered(name));

        PackageConfig {
            use_flags,
            iuse_effective,
            iuse_prefixes,
            use_mask,
            use_force,
            variables,
            masks,
            bashrcs: self.bashrcs(query),
            features,
            stable,
        }
    }

    /// A repository's masters and itself, in the order in which their files apply.
    fn lineage<'a>(&'a self, repository: Option<&'a str>) -> Vec<&'a str> {
        let Some(name) = repository else {
            return Vec::new();
        };
        let masters = self
            .facts
            .iter()
            .find(|facts| facts.name == name)
            .map(|facts| &facts.masters);
        masters
            .into_iter()
            .flatten()
            .map(String::as_str)
            .chain([name])
            .collect()
    }

    /// make.defaults and package.use of the repository and its masters.
    fn repository_layer(
        &self,
        query: &PackageQuery<'_>,
        lineage: &[&str],
        stable: bool,
    ) -> Variables {
        let mut layer = Variables::new();
        for name in lineage {
            let mut variables = self.repo_defaults.get(*name).cloned().unwrap_or_default();
            let words = self.use_files.repository_words(name, query, stable);
            if !words.is_empty() {
                let before = variables.get("USE").map_or("", |s| s.value.as_str());
                let value = format!("{before} {}", words.join(" "));
                variables.extend(single("USE", value, "package.use"));
            }
            stack::stack_variables(&mut layer, &variables);
        }
        layer
    }

    /// USE of all profiles for one package, in the order of the profiles.
    fn profile_use_setting(&self, query: &PackageQuery<'_>, stable: bool) -> Setting {
        let mut parts: Vec<String> = Vec::new();
        for (index, global) in self.profile_use.iter().enumerate() {
            if !global.is_empty() {
                parts.push(global.clone());
            }
            let words = self.use_files.profile_words(index, query, stable);
            if !words.is_empty() {
                parts.push(words.join(" "));
            }
        }
        let origin = self.defaults.get("USE").map_or_else(
            || Origin {
                file: Arc::from(Path::new("make.defaults")),
                line: 0,
            },
            |s| s.origin.clone(),
        );
        Setting {
            value: parts.join(" "),
            origin,
        }
    }

    /// What package.env and package.use say.
    fn package_layer(&self, query: &PackageQuery<'_>) -> Variables {
        let mut layer = Variables::new();
        let mut known = self.expand_map.clone();
        for entry in self.package_env.matching(query) {
            for name in &entry.words {
                for assignment in self.env_files.get(name).into_iter().flatten() {
                    let value = assignment.expand(&mut known);
                    let setting = Setting {
                        value,
                        origin: assignment.setting.origin.clone(),
                    };
                    stack::stack_variables(
                        &mut layer,
                        &Variables::from([(assignment.name.clone(), setting)]),
                    );
                }
            }
        }
        let words = self.use_files.user_words(query).join(" ");
        if !words.is_empty() {
            stack::stack_variables(&mut layer, &single("USE", words.clone(), "package.use"));
        }
        layer.extend(single("PKGUSE", words, "package.use"));
        layer
    }

    fn tests_restricted(
        &self,
        expressions: &Expressions,
        layers: &Layers<'_>,
        enabled: impl Fn(&str) -> bool,
    ) -> bool {
        let restrict = evaluate(&expressions.restrict, &enabled);
        let properties = evaluate(&expressions.properties, &enabled);
        let (restrict, properties) = (words(&restrict), words(&properties));
        let allowed: BTreeSet<&str> = layers.value("ALLOW_TEST").split_whitespace().collect();
        restrict.contains("test")
            && !allowed.contains("all")
            && !(properties.contains("test_network") && allowed.contains("network"))
            && !(properties.contains("test_privileged") && allowed.contains("privileged"))
    }

    fn missing_words(
        &self,
        query: &PackageQuery<'_>,
        variable: &str,
        table: &super::table::Table,
        all: &Expression,
        here: &Expression,
    ) -> Vec<String> {
        let mut tokens: Vec<String> = self
            .get(variable)
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        for entry in table.matching(query) {
            tokens.extend(entry.words.iter().cloned());
        }
        let accepted = license::acceptable(&tokens, &words(all))
            .into_iter()
            .map(str::to_owned)
            .collect::<BTreeSet<_>>();
        words(here)
            .into_iter()
            .filter(|word| !accepted.contains(*word))
            .map(str::to_owned)
            .collect()
    }

    /// The keyword that package.accept_keywords would have to name.
    fn needed_keyword(&self, keywords: &[String]) -> String {
        let arch = self.arch();
        let testing = format!("~{arch}");
        for wanted in [arch, testing.as_str()] {
            if keywords.iter().any(|keyword| keyword == wanted) {
                return wanted.to_owned();
            }
        }
        "**".to_owned()
    }

    /// profile.bashrc and package.bashrc of the profiles, then those of /etc/portage.
    fn bashrcs(&self, query: &PackageQuery<'_>) -> Vec<PathBuf> {
        let mut result = Vec::new();
        for (profile, table) in &self.profile_bashrcs {
            result.extend(profile.iter().cloned());
            for (entry, directory) in table.iter().flat_map(|(table, directory)| {
                table
                    .matching(query)
                    .into_iter()
                    .map(move |entry| (entry, directory))
            }) {
                result.extend(entry.words.iter().map(|name| directory.join(name)));
            }
        }
        result.push(self.user_directory.join("bashrc"));
        let directory = self.user_directory.join("env").join(query.cpv.category());
        let pn = query.cpv.pn();
        for name in [
            pn.to_owned(),
            format!("{pn}:{}", query.slot),
            query.cpv.p().to_owned(),
            query.cpv.pf().to_owned(),
        ] {
            result.push(directory.join(name));
        }
        result.retain(|path| path.is_file());
        result
    }

    /// Whether a flag is in IUSE_EFFECTIVE without standing in IUSE.
    fn is_implicit(&self, eapi: Eapi, flag: &str) -> bool {
        if eapi.iuse_effective() {
            return self.iuse_effective.contains(flag);
        }
        self.implicit_before_5.contains(flag)
            || self
                .implicit_prefixes
                .iter()
                .any(|prefix| flag.starts_with(prefix))
    }

    /// IUSE_EFFECTIVE of a package, and before EAPI 5 the prefixes of further members.
    fn effective_iuse(
        &self,
        eapi: Eapi,
        iuse: &[&str],
        use_mask: &BTreeSet<String>,
        use_force: &BTreeSet<String>,
    ) -> (BTreeSet<String>, Vec<String>) {
        let mut result: BTreeSet<String> = iuse.iter().map(|flag| (*flag).to_owned()).collect();
        if eapi.iuse_effective() {
            result.extend(self.iuse_effective.iter().cloned());
            return (result, Vec::new());
        }
        result.extend(self.arch_flags());
        result.extend(use_mask.iter().chain(use_force).cloned());
        result.extend(["bootstrap".to_owned(), "build".to_owned()]);
        (result, self.implicit_prefixes.clone())
    }
}

/// The USE_EXPAND variables as the package sees them; flags that a wildcard stood for are added.
fn expand_variables(
    names: &stack::ExpandNames,
    layers: &Layers<'_>,
    flags: &mut BTreeSet<String>,
    iuse_effective: &BTreeSet<String>,
    use_mask: &BTreeSet<String>,
) -> BTreeMap<String, String> {
    let prefixes: BTreeSet<String> = names
        .prefixed
        .iter()
        .map(|name| name.to_lowercase())
        .collect();
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for flag in iuse_effective {
        // The shortest name counts where one is the beginning of another.
        let name = flag
            .match_indices('_')
            .map(|(at, _)| flag.get(..at).unwrap_or_default());
        if let Some(name) = name.into_iter().find(|name| prefixes.contains(*name)) {
            by_name.entry(name).or_default().push(flag);
        }
    }
    for (name, members) in &by_name {
        if flags.contains(&format!("{name}_*")) {
            flags.extend(
                members
                    .iter()
                    .filter(|flag| !use_mask.contains(**flag))
                    .map(|flag| (*flag).to_owned()),
            );
        }
    }
    let mut result = BTreeMap::new();
    for name in &names.prefixed {
        let prefix = stack::prefix(name);
        let enabled: BTreeSet<&str> = flags
            .iter()
            .filter_map(|flag| flag.strip_prefix(&prefix))
            .collect();
        let in_iuse: BTreeSet<&str> = iuse_effective
            .iter()
            .filter_map(|flag| flag.strip_prefix(&prefix))
            .collect();
        let wildcard = enabled.contains("*");
        // The order of the setting is kept, since it can matter (LINGUAS).
        let mut values: Vec<&str> = Vec::new();
        let set = layers
            .value(name)
            .split_whitespace()
            .filter(|value| enabled.contains(value));
        let mut add = |value: &'_ str| {
            if let Some(known) = in_iuse.get(value)
                && !values.contains(known)
            {
                values.push(known);
            }
        };
        set.for_each(&mut add);
        enabled.iter().for_each(|value| add(value));
        if wildcard {
            in_iuse
                .iter()
                .filter(|value| !use_mask.contains(&format!("{prefix}{value}")))
                .for_each(|value| add(value));
        }
        result.insert(name.to_uppercase(), values.join(" "));
    }
    for name in &names.unprefixed {
        let Some(setting) = layers.get(name) else {
            continue;
        };
        let values = setting
            .value
            .split_whitespace()
            .filter(|value| flags.contains(*value));
        result.insert(name.clone(), join(values));
    }
    result
}
