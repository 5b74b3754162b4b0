//! Variables while they are read: one place after the other, as `${…}` in each may name what those before have set.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment::INTERNAL;
use super::error::ConfigError;
use super::files::Directories;
use super::locations::Locations;
use super::make_globals;
use super::options::Options;
use super::repositories::Repositories;
use super::repository_facts::RepositoryFacts;
use super::shell_vars::{self, Dialect, Origin, Setting, Variables};
use super::stack;
use super::start::read_make_conf;
use super::toml_file::TomlFile;
use super::word::Word;

/// What each place says, named as in USE_ORDER.
pub(super) struct ReadVariables {
    pub(super) env_d: Variables,
    pub(super) globals: Variables,
    pub(super) defaults: Variables,
    pub(super) conf: Variables,
    pub(super) env: Variables,
    /// What `${…}` stands for in what is read next.
    pub(super) known: HashMap<String, String>,
}

impl ReadVariables {
    /// Begins with what is below the profile.
    ///
    /// # Errors
    /// profile.env cannot be read or is malformed.
    pub(super) fn below_profile(
        locations: &Locations,
        repositories: &Repositories,
    ) -> Result<Self, ConfigError> {
        let env_d = env_d(locations)?;
        let mut known = values(&env_d);
        let of_locations = locations.variables().into_iter();
        known.extend(of_locations.map(|(name, value)| (name.to_owned(), value)));
        let globals = make_globals::variables(&mut known);
        known.insert("PORTDIR".to_owned(), repositories.main_location());
        known.insert("PORTDIR_OVERLAY".to_owned(), repositories.overlay_list());
        Ok(Self {
            env_d,
            globals,
            defaults: Variables::new(),
            conf: Variables::new(),
            env: Variables::new(),
            known,
        })
    }

    /// Reads what is above the profile, which must be there: make.conf and ebd.toml, the environment, what follows from
    /// where things are. What only a profile may set goes from all other places, and its names are the result.
    ///
    /// # Errors
    /// A file cannot be read or is malformed.
    pub(super) fn read_above_profile(
        &mut self,
        options: &Options,
        conf_paths: &[PathBuf],
        toml: &TomlFile,
        locations: &Locations,
        repositories: &Repositories,
    ) -> Result<BTreeSet<String>, ConfigError> {
        self.conf = read_make_conf(conf_paths, &mut self.known)?.unwrap_or_default();
        for assignment in toml.variables(&mut self.known)? {
            let one = Variables::from([(assignment.name, assignment.setting)]);
            stack::stack_variables(&mut self.conf, &one);
        }
        let place: Arc<Path> = Arc::from(Path::new("<environment>"));
        let set = options.env.iter();
        // Values that only repeat profile.env must not hide a later change of it.
        let own = set.filter(|(name, value)| {
            let known = self.env_d.get(*name);
            known.is_none_or(|known| known.value != **value)
        });
        self.env = own
            .map(|(name, value)| {
                let file = Arc::clone(&place);
                (name.clone(), Setting::new(value, Origin { file, line: 0 }))
            })
            .collect();
        let profile_only = self.profile_only();
        for name in &profile_only {
            for layer in [&mut self.env_d, &mut self.conf, &mut self.env] {
                layer.remove(name);
            }
        }
        for name in INTERNAL {
            for layer in [
                &mut self.env_d,
                &mut self.globals,
                &mut self.defaults,
                &mut self.conf,
                &mut self.env,
            ] {
                layer.remove(*name);
            }
        }
        let mut fixed = |name: &str, place: &str, value: String| {
            self.env.insert(name.to_owned(), Setting::at(place, value));
        };
        for (name, value) in locations.variables() {
            fixed(name, "<configuration>", value);
        }
        let prefix = locations.broot.clone();
        fixed("PORTAGE_OVERRIDE_EPREFIX", "<configuration>", prefix);
        fixed("PORTDIR", "repos.conf", repositories.main_location());
        fixed("PORTDIR_OVERLAY", "repos.conf", repositories.overlay_list());
        Ok(profile_only)
    }

    /// The names in PROFILE_ONLY_VARIABLES.
    fn profile_only(&self) -> BTreeSet<String> {
        let setting = self.defaults.get("PROFILE_ONLY_VARIABLES");
        let words = setting.map_or("", |setting| setting.value.as_str());
        let words = words.split_whitespace();
        words
            .filter(|word| !word.starts_with('-'))
            .map(str::to_owned)
            .collect()
    }

    /// make.defaults in `profiles` of each repository, which hold for its packages, without the names that are
    /// `forbidden` there.
    ///
    /// # Errors
    /// A file cannot be read or is malformed.
    pub(super) fn of_repositories(
        &self,
        repositories: &[RepositoryFacts],
        forbidden: &BTreeSet<&str>,
    ) -> Result<BTreeMap<String, Variables>, ConfigError> {
        let mut found = BTreeMap::new();
        for repository in repositories {
            let path = repository.location.join("profiles/make.defaults");
            let recursive = repository.directories != Directories::Forbidden;
            let mut known = values(&self.globals);
            let read = shell_vars::read(&path, Dialect::PROFILE, recursive, &mut known)?;
            let mut variables = read.unwrap_or_default();
            variables.retain(|name, _| !forbidden.contains(name.as_str()));
            found.insert(repository.name.clone(), variables);
        }
        Ok(found)
    }

    /// Puts more words behind a variable of make.conf.
    pub(super) fn append(&mut self, name: &str, words: &[Word], place: &str) {
        let words = words.iter().filter(|word| word.text != "\n");
        let more = Setting::of_words(words.map(|word| (&**word, &word.origin)));
        let more = more.unwrap_or_else(|| Setting::at(place, ""));
        match self.conf.get_mut(name) {
            Some(known) if !known.value.is_empty() => known.stack(&more),
            _ => {
                self.conf.insert(name.to_owned(), more);
            }
        }
    }
}

/// /etc/profile.env of the build host and of ROOT, each for the variables that it decides.
fn env_d(locations: &Locations) -> Result<Variables, ConfigError> {
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

/// The values without their places.
pub(super) fn values(variables: &Variables) -> HashMap<String, String> {
    let each = variables.iter();
    each.map(|(name, setting)| (name.clone(), setting.value.clone()))
        .collect()
}
