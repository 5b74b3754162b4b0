//! Reading the whole configuration, in the order in which one file needs another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::IndexMap;

use super::builtin;
use super::config::{Config, ProfileBashrcs};
use super::environment::{GLOBAL_ONLY, INTERNAL};
use super::error::ConfigError;
use super::features;
use super::files::{self, Directories};
use super::keywords::KeywordFiles;
use super::license::LicenseFiles;
use super::make_globals;
use super::mask::MaskFiles;
use super::options::Options;
use super::profile::{self, ProfileNode, normalize};
use super::repositories::{self, Repositories, RepositoryFacts, Sources};
use super::shell_vars::{self, Assignment, Dialect, Origin, Setting, Variables};
use super::stack::{self, ExpandNames, Layers};
use super::state;
use super::table::{Reading, Table};
use super::use_files::UseFiles;
use crate::pms::cpv::Cpv;

/// The paths that everything else is relative to, with the slash at the end that Portage gives
/// their variables.
struct Locations {
    config_root: PathBuf,
    user: PathBuf,
    eprefix: String,
    root: String,
    eroot: String,
    sysroot: String,
    esysroot: String,
    broot: String,
}

impl Locations {
    fn new(options: &Options, make_conf_root: Option<&str>) -> Result<Self, ConfigError> {
        let config_root = config_root(options)?;
        let eprefix = match options.variable("EPREFIX") {
            Some(prefix) => with_slash(prefix).trim_end_matches('/').to_owned(),
            None => String::new(),
        };
        let root = match (&options.root, options.variable("ROOT"), make_conf_root) {
            (Some(root), _, _) => with_slash(&root.to_string_lossy()),
            (None, Some(root), _) => with_slash(root),
            (None, None, Some(root)) if !root.trim().is_empty() => with_slash(root),
            _ => "/".to_owned(),
        };
        if Path::new(&root).exists() && !Path::new(&root).is_dir() {
            return Err(ConfigError::NotADirectory {
                setting: "ROOT".to_owned(),
                path: PathBuf::from(root),
            });
        }
        let sysroot = options
            .variable("SYSROOT")
            .map_or_else(|| "/".to_owned(), with_slash);
        if sysroot != "/" && root == "/" {
            return Err(ConfigError::Setting {
                setting: "SYSROOT".to_owned(),
                problem: format!("is {sysroot} while ROOT is /"),
                cure: "unset SYSROOT or set ROOT".to_owned(),
            });
        }
        let broot = eprefix.clone();
        let eroot = format!("{}{eprefix}/", root.trim_end_matches('/'));
        let esysroot = if sysroot == root {
            eroot.clone()
        } else if sysroot == "/" {
            format!("{broot}/")
        } else {
            sysroot.clone()
        };
        let user = config_root.join("etc/portage");
        Ok(Locations {
            config_root,
            user,
            eprefix,
            root,
            eroot,
            sysroot,
            esysroot,
            broot,
        })
    }

    fn config_root_text(&self) -> String {
        with_slash(&self.config_root.to_string_lossy())
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PORTAGE_CONFIGROOT", self.config_root_text()),
            ("ROOT", self.root.clone()),
            ("SYSROOT", self.sysroot.clone()),
            ("EPREFIX", self.eprefix.clone()),
            ("EROOT", self.eroot.clone()),
            ("ESYSROOT", self.esysroot.clone()),
            ("BROOT", self.broot.clone()),
        ]
    }
}

fn config_root(options: &Options) -> Result<PathBuf, ConfigError> {
    let path = match (
        &options.config_root,
        options.variable("PORTAGE_CONFIGROOT"),
        options.variable("EPREFIX"),
    ) {
        (Some(path), _, _) => path.clone(),
        (None, Some(path), _) | (None, None, Some(path)) => PathBuf::from(path),
        _ => PathBuf::from("/"),
    };
    let path =
        normalize(&std::path::absolute(&path).map_err(|error| ConfigError::read(&path, error))?);
    if !path.is_dir() {
        return Err(ConfigError::NotADirectory {
            setting: "PORTAGE_CONFIGROOT".to_owned(),
            path,
        });
    }
    Ok(path)
}

/// An absolute path without `.` and `..` and with one slash at the end.
fn with_slash(path: &str) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    let text = normalize(&absolute).to_string_lossy().into_owned();
    format!("{}/", text.trim_end_matches('/'))
}

/// The make.conf files of a configuration root, the older place first.
fn make_conf_paths(config_root: &Path) -> Vec<PathBuf> {
    let mut paths = vec![
        config_root.join("etc/make.conf"),
        config_root.join("etc/portage/make.conf"),
    ];
    let identity = |path: &PathBuf| std::fs::canonicalize(path).ok();
    if let [old, new] = paths.as_slice()
        && identity(old).is_some()
        && identity(old) == identity(new)
    {
        paths.pop();
    }
    paths
}

/// The variables of all make.conf files; `None` if there is none.
fn read_make_conf(
    paths: &[PathBuf],
    known: &mut HashMap<String, String>,
) -> Result<Option<Variables>, ConfigError> {
    let mut result: Option<Variables> = None;
    for path in paths {
        if let Some(variables) = shell_vars::read(path, Dialect::USER, true, known)? {
            result.get_or_insert_default().extend(variables);
        }
    }
    if let Some(variables) = &mut result {
        // Names with two underscores are local to make.conf.
        variables.retain(|name, _| !name.starts_with("__"));
    }
    Ok(result)
}

/// /etc/profile.env of the build host and of ROOT, each for the variables that it decides.
fn read_env_d(locations: &Locations) -> Result<Variables, ConfigError> {
    let read = |root: &str| {
        let path = Path::new(root).join("etc/profile.env");
        shell_vars::read(&path, Dialect::ENV_D, false, &mut HashMap::new())
            .map(Option::unwrap_or_default)
    };
    let host = if locations.broot.is_empty() {
        "/"
    } else {
        &locations.broot
    };
    let mut result = read(host)?;
    let target = read(&locations.eroot)?;
    let of_target = |name: &str| {
        matches!(
            name,
            "CONFIG_PROTECT" | "CONFIG_PROTECT_MASK" | "INFODIR" | "INFOPATH" | "MANPATH"
        ) || name.starts_with("PKG_CONFIG_")
    };
    let of_host = |name: &str| matches!(name, "PATH" | "PREROOTPATH" | "ROOTPATH");
    result.retain(|name, _| !of_target(name));
    result.extend(target.into_iter().filter(|(name, _)| !of_host(name)));
    Ok(result)
}

fn setting(value: impl Into<String>, place: &str) -> Setting {
    Setting {
        value: value.into(),
        origin: Origin {
            file: Arc::from(Path::new(place)),
            line: 0,
        },
    }
}

/// Puts more words behind a variable.
fn append(variables: &mut Variables, name: &str, words: &[String], place: &str) {
    let words = words
        .iter()
        .filter(|word| *word != "\n")
        .cloned()
        .collect::<Vec<_>>()
        .join(" ");
    match variables.get_mut(name) {
        Some(known) if !known.value.is_empty() => known.value = format!("{} {words}", known.value),
        _ => {
            variables.insert(name.to_owned(), setting(words, place));
        }
    }
}

impl Config {
    /// Reads the configuration. A missing file is no error: what it would say takes its default,
    /// and what had to be guessed is told by [`Config::assumptions`].
    ///
    /// # Errors
    /// A file cannot be read or is malformed, make.profile is broken, or a repository named on
    /// the command line is not there.
    pub fn load(options: &Options) -> Result<Config, ConfigError> {
        let mut warnings = Vec::new();
        let mut assumptions = Vec::new();

        let conf_paths = make_conf_paths(&config_root(options)?);
        let early = read_make_conf(&conf_paths, &mut HashMap::new())?;
        let early_value = |name: &str| {
            early
                .as_ref()
                .and_then(|conf| conf.get(name))
                .map(|s| s.value.clone())
        };
        let locations = Locations::new(options, early_value("ROOT").as_deref())?;

        let mut env_d = read_env_d(&locations)?;
        let mut known: HashMap<String, String> = env_d
            .iter()
            .map(|(name, setting)| (name.clone(), setting.value.clone()))
            .collect();
        known.extend(
            locations
                .variables()
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value)),
        );
        let mut globals = make_globals::variables(&mut known);

        let of_user = |name: &str| {
            options
                .variable(name)
                .map(str::to_owned)
                .or_else(|| early_value(name))
        };
        let found = repositories::load(
            &Sources {
                config_root: &locations.config_root,
                names: locations.variables(),
                text: options.variable("PORTAGE_REPOSITORIES"),
                portdir: of_user("PORTDIR").as_deref(),
                overlays: &of_user("PORTDIR_OVERLAY").unwrap_or_default(),
                extra: &options.extra_repos,
            },
            &mut warnings,
        )?;
        let facts = &found.facts;
        let portdir = main_location(&found);
        let overlays = overlay_list(&found);
        known.insert("PORTDIR".to_owned(), portdir.clone());
        known.insert("PORTDIR_OVERLAY".to_owned(), overlays.clone());

        let profile_path = profile::find(&locations.config_root)?;
        let mut nodes = match &profile_path {
            Some(path) => profile::nodes(path, facts)?,
            None => Vec::new(),
        };
        nodes.extend(profile::user_node(&locations.config_root)?);

        let (defaults_list, mut defaults) = if profile_path.is_some() {
            read_make_defaults(&nodes, &mut known)?
        } else {
            let (variables, notice) = builtin::profile(&options.machine)?;
            assumptions.push(notice);
            known.extend(
                variables
                    .iter()
                    .map(|(name, setting)| (name.clone(), setting.value.clone())),
            );
            let (mut list, more) = read_make_defaults(&nodes, &mut known)?;
            let mut all = variables.clone();
            stack::stack_variables(&mut all, &more);
            list.insert(0, variables);
            nodes.insert(0, ProfileNode::built_in());
            (list, all)
        };

        let has_make_conf = early.is_some();
        let mut conf = read_make_conf(&conf_paths, &mut known)?.unwrap_or_default();

        let profile_only: BTreeSet<String> = defaults
            .get("PROFILE_ONLY_VARIABLES")
            .map(|setting| setting.value.split_whitespace())
            .into_iter()
            .flatten()
            .filter(|word| !word.starts_with('-'))
            .map(str::to_owned)
            .collect();
        let place: Arc<Path> = Arc::from(Path::new("<environment>"));
        let mut env: Variables = options
            .env
            .iter()
            // Values that only repeat profile.env must not hide a later change of it.
            .filter(|(name, value)| env_d.get(*name).is_none_or(|known| known.value != **value))
            .map(|(name, value)| {
                let origin = Origin {
                    file: Arc::clone(&place),
                    line: 0,
                };
                (
                    name.clone(),
                    Setting {
                        value: value.clone(),
                        origin,
                    },
                )
            })
            .collect();
        for name in &profile_only {
            env_d.remove(name);
            conf.remove(name);
            env.remove(name);
        }
        for name in INTERNAL {
            for layer in [&mut env_d, &mut globals, &mut defaults, &mut conf, &mut env] {
                layer.remove(*name);
            }
        }
        for (name, value) in locations.variables() {
            env.insert(name.to_owned(), setting(value, "<configuration>"));
        }
        env.insert(
            "PORTAGE_OVERRIDE_EPREFIX".to_owned(),
            setting(locations.broot.clone(), "<configuration>"),
        );
        env.insert("PORTDIR".to_owned(), setting(portdir, "repos.conf"));
        env.insert(
            "PORTDIR_OVERLAY".to_owned(),
            setting(overlays, "repos.conf"),
        );

        let forbidden: BTreeSet<&str> = profile_only
            .iter()
            .map(String::as_str)
            .chain(INTERNAL.iter().copied())
            .chain(GLOBAL_ONLY.iter().copied())
            .collect();
        let global_values: HashMap<String, String> = globals
            .iter()
            .map(|(name, setting)| (name.clone(), setting.value.clone()))
            .collect();
        let mut repo_defaults = BTreeMap::new();
        for repository in facts {
            let path = repository.location.join("profiles/make.defaults");
            let recursive = repository.directories != Directories::Forbidden;
            let mut variables = shell_vars::read(
                &path,
                Dialect::PROFILE,
                recursive,
                &mut global_values.clone(),
            )?
            .unwrap_or_default();
            variables.retain(|name, _| !forbidden.contains(name.as_str()));
            repo_defaults.insert(repository.name.clone(), variables);
        }

        let mut use_files = UseFiles::read(facts, &nodes, &locations.user, &mut warnings)?;
        if let Some(words) = use_files.take_global() {
            append(&mut conf, "USE", &words, "package.use");
        }
        let mut licenses = LicenseFiles::read(facts, &nodes, &locations.user, &mut warnings)?;
        if let Some(words) = licenses.take_global() {
            append(&mut conf, "ACCEPT_LICENSE", &words, "package.license");
        }
        let mut simple = |name: &str, variable: &str, conf: &mut Variables| {
            let mut reading = Reading::user(Directories::Recursive);
            reading.use_deps = true;
            let mut table = Table::read(&locations.user.join(name), reading, &mut warnings)?;
            if let Some(words) = table.take_global() {
                append(conf, variable, &words, name);
            }
            Ok::<Table, ConfigError>(table)
        };
        let properties = simple("package.properties", "ACCEPT_PROPERTIES", &mut conf)?;
        let restricts = simple("package.accept_restrict", "ACCEPT_RESTRICT", &mut conf)?;
        let (package_env, env_files) = read_package_env(
            &locations.user,
            &forbidden,
            &mut conf,
            &mut known,
            &mut warnings,
        )?;
        let profile_bashrcs = read_bashrcs(&nodes, &mut warnings)?;

        let arch_list = arch_list(facts, &locations.user)?;
        conf.insert(
            "PORTAGE_ARCHLIST".to_owned(),
            setting(arch_list.join(" "), "arch.list"),
        );
        let provided = read_provided(&nodes, &mut warnings)?;
        let keywords = KeywordFiles::read(
            &nodes,
            &locations.user,
            defaults
                .get("ACCEPT_KEYWORDS")
                .map_or("", |setting| setting.value.as_str()),
            &mut warnings,
        )?;
        let masks = MaskFiles::read(facts, &nodes, &locations.user, &mut warnings)?;

        let gentoo = profile_path.is_some() || has_make_conf || found.configured;
        state::apply(options, gentoo, &mut globals, &mut env, &mut assumptions)?;

        let root = PathBuf::from(&locations.root);
        let mut config = Config {
            repositories: found.set,
            facts: found.facts,
            config_root: locations.config_root,
            user_directory: locations.user,
            root,
            eroot: PathBuf::from(&locations.eroot),
            profile: profile_path,
            nodes,
            env_d,
            globals,
            defaults,
            conf,
            env,
            empty: Variables::new(),
            computed: BTreeMap::new(),
            features: BTreeSet::new(),
            profile_use: Vec::new(),
            repo_defaults,
            iuse_effective: BTreeSet::new(),
            implicit_before_5: BTreeSet::new(),
            implicit_prefixes: Vec::new(),
            use_files,
            keywords,
            licenses,
            masks,
            properties,
            restricts,
            package_env,
            env_files,
            expand_map: known,
            profile_bashrcs,
            user_mirrors: BTreeMap::new(),
            provided,
            warnings,
            assumptions,
        };
        config.user_mirrors = read_mirrors(&config.user_directory)?;
        config.set_defaults(options);
        config.compute(&defaults_list);
        Ok(config)
    }

    /// Variables that follow from others.
    fn set_defaults(&mut self, options: &Options) {
        let place = "<configuration>";
        if self.layers().get("CBUILD").is_none()
            && let Some(chost) = self
                .layers()
                .get("CHOST")
                .map(|setting| setting.value.clone())
        {
            self.env.insert("CBUILD".to_owned(), setting(chost, place));
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
                self.env.insert(name.to_owned(), setting(value, place));
            }
        }
        for name in ["AUTOCLEAN", "NOCOLOR", "NO_COLOR"] {
            if let Some(known) = self.layers().get(name).cloned() {
                let value = known.value.to_lowercase();
                self.env.insert(
                    name.to_owned(),
                    Setting {
                        value,
                        origin: known.origin,
                    },
                );
            }
        }
    }

    /// The stacked values that hold without a package.
    fn compute(&mut self, defaults_list: &[Variables]) {
        let incrementals = self.layers().incrementals();
        let names = ExpandNames::new(&incrementals);
        self.profile_use = defaults_list
            .iter()
            .map(|variables| names.profile_use(variables))
            .collect();
        let parts: Vec<&str> = self
            .profile_use
            .iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        let value = parts.join(" ");
        let origin = self
            .defaults
            .get("USE")
            .map(|setting| setting.origin.clone());
        let mut defaults_use = setting(value, "make.defaults");
        if let Some(origin) = origin {
            defaults_use.origin = origin;
        }
        self.defaults.insert("USE".to_owned(), defaults_use);

        self.features = self.feature_set(&incrementals);
        let known = features::unknown(incrementals.get("FEATURES").map_or("", String::as_str));
        if !known.is_empty() && self.features.contains("unknown-features-warn") {
            self.warnings
                .push(format!("FEATURES: unknown words: {}", known.join(", ")));
        }
        let mut test = Variables::new();
        if self.features.contains("test") {
            test.insert("USE".to_owned(), setting("test", "<FEATURES>"));
        }
        let layers = Layers {
            features: &test,
            ..self.layers()
        };
        let mut flags = layers.use_flags(&names, None);
        let (mask, force) = (self.use_files.global_mask(), self.use_files.global_force());
        flags.extend(force.iter().cloned());
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
        self.computed = computed;

        self.iuse_effective = self.implicit_flags(&names);
        self.implicit_before_5 = self
            .arch_flags()
            .chain(mask)
            .chain(force)
            .chain(["build".to_owned(), "bootstrap".to_owned()])
            .collect();
        self.implicit_prefixes = self
            .get("USE_EXPAND_HIDDEN")
            .unwrap_or_default()
            .split_whitespace()
            .map(stack::prefix)
            .collect();
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

/// The main repository's path.
fn main_location(found: &Repositories) -> String {
    found
        .set
        .main()
        .map(|main| main.location().to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The paths of all repositories but the first if that is the main one, quoted for a shell.
fn overlay_list(found: &Repositories) -> String {
    let main = main_location(found);
    let skip = found
        .facts
        .first()
        .is_some_and(|first| first.location.to_string_lossy() == main);
    let quote = |facts: &RepositoryFacts| {
        let path = facts.location.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
        if path.chars().all(plain) {
            path.into_owned()
        } else {
            format!("'{}'", path.replace('\'', "'\"'\"'"))
        }
    };
    found
        .facts
        .iter()
        .skip(usize::from(skip))
        .map(quote)
        .collect::<Vec<_>>()
        .join(" ")
}

/// make.defaults of each profile directory, and all of them stacked.
fn read_make_defaults(
    nodes: &[ProfileNode],
    known: &mut HashMap<String, String>,
) -> Result<(Vec<Variables>, Variables), ConfigError> {
    let mut list = Vec::new();
    let mut all = Variables::new();
    for node in nodes {
        // `USE="${USE} …"` in a make.defaults must not repeat the parents' flags.
        known.remove("USE");
        let recursive = node.directories != Directories::Forbidden;
        let path = node.path.join("make.defaults");
        let variables =
            shell_vars::read(&path, Dialect::PROFILE, recursive, known)?.unwrap_or_default();
        stack::stack_variables(&mut all, &variables);
        list.push(variables);
    }
    Ok((list, all))
}

type PackageEnv = (Table, HashMap<String, Vec<Assignment>>);

/// package.env and the files of env/ that it names.
fn read_package_env(
    user: &Path,
    forbidden: &BTreeSet<&str>,
    conf: &mut Variables,
    known: &mut HashMap<String, String>,
    warnings: &mut Vec<String>,
) -> Result<PackageEnv, ConfigError> {
    let mut reading = Reading::user(Directories::Recursive);
    reading.use_deps = true;
    let mut table = Table::read(&user.join("package.env"), reading, warnings)?;
    let mut env_files: HashMap<String, Vec<Assignment>> = HashMap::new();
    for entry in table.entries_mut() {
        for name in &entry.words {
            if env_files.contains_key(name) {
                continue;
            }
            let path = user.join("env").join(name);
            let Some(mut list) =
                shell_vars::assignments(&path, Dialect::USER, false, &mut known.clone())?
            else {
                warnings.push(format!(
                    "{}:{}: names {}, which is not there",
                    entry.origin.file.display(),
                    entry.origin.line,
                    path.display()
                ));
                continue;
            };
            list.retain(|assignment| {
                let good = !forbidden.contains(assignment.name.as_str());
                if !good {
                    let Origin { file, line } = &assignment.setting.origin;
                    let name = &assignment.name;
                    warnings.push(format!(
                        "{}:{line}: {name} cannot be set for single packages",
                        file.display()
                    ));
                }
                good
            });
            env_files.insert(name.clone(), list);
        }
    }
    // What is said for all packages counts as make.conf.
    let mut global: IndexMap<String, Setting> = IndexMap::new();
    let mut local = known.clone();
    for name in table.take_global().unwrap_or_default() {
        for assignment in env_files.get(&name).into_iter().flatten() {
            let value = assignment.expand(&mut local);
            let new = Setting {
                value,
                origin: assignment.setting.origin.clone(),
            };
            let mut one = Variables::new();
            one.extend(
                global
                    .get(&assignment.name)
                    .map(|s| (assignment.name.clone(), s.clone())),
            );
            stack::stack_variables(&mut one, &Variables::from([(assignment.name.clone(), new)]));
            global.extend(one);
        }
    }
    for (name, setting) in global {
        known.insert(name.clone(), setting.value.clone());
        stack::stack_variables(conf, &Variables::from([(name, setting)]));
    }
    Ok((table, env_files))
}

fn read_bashrcs(
    nodes: &[ProfileNode],
    warnings: &mut Vec<String>,
) -> Result<Vec<ProfileBashrcs>, ConfigError> {
    let mut result = Vec::new();
    for node in nodes {
        let file = node.path.join("profile.bashrc");
        let table = if node.has_format("profile-bashrcs") {
            let mut reading = Reading::profile(node);
            reading.directories = Directories::Recursive;
            reading.use_deps = true;
            Some((
                Table::read(&node.path.join("package.bashrc"), reading, warnings)?,
                node.path.join("bashrc"),
            ))
        } else {
            None
        };
        result.push((file.is_file().then_some(file), table));
    }
    Ok(result)
}

fn arch_list(repositories: &[RepositoryFacts], user: &Path) -> Result<Vec<String>, ConfigError> {
    let mut arches = BTreeSet::new();
    let places = repositories
        .iter()
        .map(|facts| facts.location.join("profiles"));
    for place in places.chain([user.to_path_buf()]) {
        for line in files::lines(&place.join("arch.list"), Directories::Forbidden)? {
            let text = line.text();
            match text.strip_prefix('-') {
                Some("*") => arches.clear(),
                Some(gone) => {
                    arches.remove(gone);
                }
                None => {
                    arches.insert(text);
                }
            }
        }
    }
    arches.remove("");
    Ok(arches.into_iter().collect())
}

fn read_provided(
    nodes: &[ProfileNode],
    warnings: &mut Vec<String>,
) -> Result<Vec<Cpv>, ConfigError> {
    let mut provided: IndexMap<String, Cpv> = IndexMap::new();
    for node in nodes {
        let path = node.path.join("package.provided");
        let lines = files::lines(&path, node.directories)?;
        if node.eapi.is_some_and(|eapi| !eapi.package_provided()) {
            if !lines.is_empty() {
                warnings.push(format!(
                    "{}: is not allowed in this profile's EAPI and has no effect",
                    path.display()
                ));
            }
            continue;
        }
        for line in lines {
            let text = line.text();
            if let Some(gone) = text.strip_prefix('-') {
                if gone == "*" {
                    provided.clear();
                } else {
                    provided.shift_remove(gone);
                }
                continue;
            }
            match Cpv::parse(&text) {
                Ok(cpv) => {
                    provided.insert(text, cpv);
                }
                Err(error) => {
                    let (file, line) = (line.origin.file.display(), line.origin.line);
                    warnings.push(format!("{file}:{line}: `{text}` is left out: {error}"));
                }
            }
        }
    }
    Ok(provided.into_values().collect())
}

/// /etc/portage/mirrors: names of mirrors and their addresses.
fn read_mirrors(user: &Path) -> Result<BTreeMap<String, Vec<String>>, ConfigError> {
    let mut mirrors: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in files::lines(&user.join("mirrors"), Directories::Recursive)? {
        if let Some((name, addresses)) = line.words.split_first() {
            mirrors
                .entry(name.clone())
                .or_default()
                .extend_from_slice(addresses);
        }
    }
    Ok(mirrors)
}
