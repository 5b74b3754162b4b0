//! Gentoo's configuration files, read into one immutable [`Config`].
//!
//! A value can come from nine places; from the lowest rank to the highest: /etc/profile.env, the
//! make.defaults of a package's repository, FEATURES, an ebuild's IUSE, the built-in defaults,
//! the profile, make.conf, package.env, and the caller's environment. Everything is read once,
//! when the configuration is loaded. What holds for one package is computed on request and
//! touches no file but to see whether a bashrc exists, so that many packages can be asked about
//! side by side.
//!
//! Results equal those of Portage, quirks included where ebuilds or users can see them. What
//! Portage would skip with a message is in [`Config::warnings`]; what it would misread is an
//! error.

mod answer;
mod binrepos;
mod builtin;
mod compute;
pub mod environment;
mod error;
mod features;
mod files;
#[cfg(test)]
mod fixture;
mod ini;
mod keywords;
mod license;
mod load;
mod locations;
mod make_globals;
mod mask;
mod options;
mod package;
mod package_env;
mod package_files;
mod profile;
mod profile_files;
mod read_profile;
mod read_variables;
mod repositories;
mod repository_facts;
mod sandbox_conf;
pub mod shell_vars;
mod stack;
mod start;
mod state;
mod table;
mod toml_file;
mod trail;
mod updates;
mod use_expand;
mod use_files;
mod user_files;
mod word;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use self::keywords::KeywordFiles;
use self::license::LicenseFiles;
use self::mask::MaskFiles;
use self::package_env::PackageEnv;
use self::repository_facts::RepositoryFacts;
use self::shell_vars::Variables;
use self::stack::Layers;
use self::table::Table;
use self::updates::UpdateOptions;
use self::use_files::UseFiles;
use self::user_files::UserFiles;
use self::word::Word;
use crate::pms::cpv::Cpv;
use crate::repo::RepoSet;

pub use self::binrepos::{BinaryRepositories, BinaryRepository, Signatures};
pub use self::error::ConfigError;
pub use self::options::Options;
pub use self::package::{MaskReason, PackageConfig, PackageQuery};
pub use self::profile::ProfileNode;
pub use self::sandbox_conf::SandboxConf;
pub use self::shell_vars::{Origin, Setting};
pub use self::start::repositories;
pub use self::state::{cache_directory, has_own_configuration, own_directory};
pub use self::trail::{Effect, Step, Steps, Subject};

/// The bashrc files of one profile directory: its profile.bashrc if there is one, and its
/// package.bashrc with the directory that the names in it are relative to.
type ProfileBashrcs = (Option<PathBuf>, Option<(Table, PathBuf)>);

/// Everything that is configured, read once by [`Config::load`].
pub struct Config {
    repositories: RepoSet,
    facts: Vec<RepositoryFacts>,
    config_root: PathBuf,
    user_directory: PathBuf,
    user_files: UserFiles,
    updates: BTreeMap<String, UpdateOptions>,
    root: PathBuf,
    eroot: PathBuf,
    esysroot: PathBuf,
    profile: Option<PathBuf>,
    nodes: Vec<ProfileNode>,

    env_d: Variables,
    globals: Variables,
    defaults: Variables,
    conf: Variables,
    env: Variables,
    empty: Variables,
    /// The stacked values that hold without a package, above all layers.
    computed: BTreeMap<String, String>,
    features: BTreeSet<String>,

    /// USE of each profile directory, USE_EXPAND included.
    profile_use: Vec<Vec<Word>>,
    repo_defaults: BTreeMap<String, Variables>,
    iuse_effective: BTreeSet<String>,
    implicit_before_5: BTreeSet<String>,
    implicit_prefixes: Vec<String>,

    use_files: UseFiles,
    keywords: KeywordFiles,
    licenses: LicenseFiles,
    masks: MaskFiles,
    properties: Table,
    restricts: Table,
    package_env: PackageEnv,
    expand_map: HashMap<String, String>,
    profile_bashrcs: Vec<ProfileBashrcs>,
    user_mirrors: BTreeMap<String, Vec<String>>,
    provided: Vec<Cpv>,

    warnings: Vec<String>,
    assumptions: Vec<String>,
}

impl Config {
    /// The repositories, in the order of their priority.
    pub fn repositories(&self) -> &RepoSet {
        &self.repositories
    }

    /// Whether anything sets such a variable, be it for some packages only.
    pub fn sets(&self, name: &str) -> bool {
        let mut for_some = self.package_env.assignments();
        let mut of_repositories = self.repo_defaults.values();
        self.get(name).is_some()
            || for_some.any(|one| one.name == name)
            || of_repositories.any(|variables| variables.contains_key(name))
    }

    /// The value of a variable that holds without a package. `USE` is unfiltered: it may hold
    /// flags that a package does not have.
    pub fn get(&self, name: &str) -> Option<&str> {
        if let Some(value) = self.computed.get(name) {
            return Some(value);
        }
        if let Some(setting) = self.layers().get(name) {
            return Some(&setting.value);
        }
        // Older names of the same setting.
        match name {
            "PORTAGE_LOGDIR" => self.get("PORT_LOGDIR"),
            "PORTAGE_LOGDIR_CLEAN" => self.get("PORT_LOGDIR_CLEAN"),
            _ => None,
        }
    }

    /// Where the value of a variable was set last. For a stacked variable other places may have
    /// a share in it.
    pub fn origin(&self, name: &str) -> Option<Origin> {
        self.layers()
            .get(name)
            .map(|setting| setting.origin.clone())
    }

    /// All variables that ebuilds may see, with the values that hold without a package. ROOT and
    /// its kin end with a slash, whatever the EAPI.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.all_settings().into_iter();
        all.filter(|(name, _)| !environment::is_filtered(name))
    }

    /// All settings that hold without a package, those included that ebuilds may not see.
    pub fn all_settings(&self) -> Vec<(&str, &str)> {
        let mut names = self.layers().names();
        // USE_EXPAND has names that only flags set.
        names.extend(self.computed.keys().map(String::as_str));
        names
            .into_iter()
            .filter_map(|name| Some((name, self.get(name)?)))
            .collect()
    }

    /// Whether a variable is one of USE_EXPAND.
    pub fn is_use_expand(&self, name: &str) -> bool {
        ["USE_EXPAND", "USE_EXPAND_UNPREFIXED"].iter().any(|list| {
            let words = self.get(list).unwrap_or_default();
            words.split_whitespace().any(|word| word == name)
        })
    }

    /// FEATURES.
    pub fn features(&self) -> &BTreeSet<String> {
        &self.features
    }

    /// ARCH.
    pub fn arch(&self) -> &str {
        self.get("ARCH").unwrap_or_default()
    }

    /// CHOST.
    pub fn chost(&self) -> &str {
        self.get("CHOST").unwrap_or_default()
    }

    /// ACCEPT_KEYWORDS.
    pub fn accept_keywords(&self) -> Vec<&str> {
        self.get("ACCEPT_KEYWORDS")
            .unwrap_or_default()
            .split_whitespace()
            .collect()
    }

    /// GENTOO_MIRRORS, in the order in which they are to be tried.
    pub fn mirrors(&self) -> Vec<&str> {
        self.get("GENTOO_MIRRORS")
            .unwrap_or_default()
            .split_whitespace()
            .collect()
    }

    /// The mirrors that /etc/portage/mirrors gives for a name. `local` has mirrors to be tried
    /// for everything, before all others.
    pub fn user_mirrors(&self, name: &str) -> &[String] {
        self.user_mirrors
            .get(name)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// PKGDIR: where binary packages are kept.
    pub fn pkgdir(&self) -> PathBuf {
        self.path("PKGDIR")
    }

    /// DISTDIR: where distfiles are kept.
    pub fn distdir(&self) -> PathBuf {
        self.path("DISTDIR")
    }

    /// PORTAGE_TMPDIR: packages are built in `portage` below it.
    pub fn tmpdir(&self) -> PathBuf {
        self.path("PORTAGE_TMPDIR")
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(self.get(name).unwrap_or_default())
    }

    /// The directory that `etc/portage` is in, PORTAGE_CONFIGROOT.
    pub fn config_root(&self) -> &Path {
        &self.config_root
    }

    /// ROOT: where packages are installed.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// EROOT: ROOT and the offset prefix.
    pub fn eroot(&self) -> &Path {
        &self.eroot
    }

    /// Where the headers and libraries are that packages are built with, with the offset prefix
    /// (`ESYSROOT`).
    #[must_use]
    pub fn esysroot(&self) -> &Path {
        &self.esysroot
    }

    /// The profile's directory; `None` if the built-in defaults stand in for a profile.
    pub fn profile(&self) -> Option<&Path> {
        self.profile.as_deref()
    }

    /// The directories that make up the profile, the most basic one first, the user's last.
    pub fn profile_nodes(&self) -> &[ProfileNode] {
        &self.nodes
    }

    /// What package.provided claims to be installed.
    pub fn provided(&self) -> &[Cpv] {
        &self.provided
    }

    /// What was left out of the configuration because it is not valid, with file and line.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What was assumed since no Gentoo configuration says it.
    pub fn assumptions(&self) -> &[String] {
        &self.assumptions
    }

    fn layers(&self) -> Layers<'_> {
        Layers {
            env_d: &self.env_d,
            repo: &self.empty,
            features: &self.empty,
            pkginternal: &self.empty,
            globals: &self.globals,
            defaults: &self.defaults,
            conf: &self.conf,
            pkg: &self.empty,
            env: &self.env,
        }
    }

    /// The names of all architectures, the own one among them.
    fn arch_flags(&self) -> impl Iterator<Item = String> {
        let own = self
            .defaults
            .get("ARCH")
            .map(|setting| setting.value.as_str());
        let all = self
            .conf
            .get("PORTAGE_ARCHLIST")
            .map_or("", |setting| setting.value.as_str());
        own.into_iter()
            .chain(all.split_whitespace())
            .filter(|arch| !arch.is_empty())
            .map(str::to_owned)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("config_root", &self.config_root)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}
