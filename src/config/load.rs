//! Reading the whole configuration, in the order in which one file needs another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use super::builtin;
use super::environment::{GLOBAL_ONLY, INTERNAL};
use super::error::ConfigError;
use super::files::Directories;
use super::keywords::KeywordFiles;
use super::license::LicenseFiles;
use super::locations::Locations;
use super::make_globals;
use super::mask::MaskFiles;
use super::options::Options;
use super::package_env::PackageEnv;
use super::profile::{self, ProfileNode};
use super::profile_files;
use super::shell_vars::{self, Dialect, Origin, Setting, Variables};
use super::stack;
use super::start::{Start, read_make_conf};
use super::state;
use super::table::{Reading, Table};
use super::use_files::UseFiles;
use super::user_files::UserFiles;
use super::word::Word;

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

/// Puts more words behind a variable.
fn append(variables: &mut Variables, name: &str, words: &[Word], place: &str) {
    let words = words.iter().filter(|word| word.text != "\n");
    let more = Setting::of_words(words.map(|word| (&**word, &word.origin)));
    let more = more.unwrap_or_else(|| Setting::at(place, ""));
    match variables.get_mut(name) {
        Some(known) if !known.value.is_empty() => known.stack(&more),
        _ => {
            variables.insert(name.to_owned(), more);
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

        let start = Start::read(options, &mut warnings)?;
        let (locations, found) = (start.locations, start.repositories);

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

        let facts = &found.facts;
        let portdir = found.main_location();
        let overlays = found.overlay_list();
        known.insert("PORTDIR".to_owned(), portdir.clone());
        known.insert("PORTDIR_OVERLAY".to_owned(), overlays.clone());

        let profile_path = match start.toml.profile() {
            Some(setting) => Some(profile::named(setting, facts)?),
            None => profile::find(&locations.config_root)?,
        };
        let mut nodes = match &profile_path {
            Some(path) => profile::nodes(path, facts)?,
            None => Vec::new(),
        };
        nodes.extend(profile::user_node(&locations.config_root, facts)?);

        let (defaults_list, mut defaults) = if profile_path.is_some() {
            profile_files::make_defaults(&nodes, &mut known)?
        } else {
            let (variables, notice) = builtin::profile(&options.machine)?;
            assumptions.push(notice);
            known.extend(
                variables
                    .iter()
                    .map(|(name, setting)| (name.clone(), setting.value.clone())),
            );
            let (mut list, more) = profile_files::make_defaults(&nodes, &mut known)?;
            let mut all = variables.clone();
            stack::stack_variables(&mut all, &more);
            list.insert(0, variables);
            nodes.insert(0, ProfileNode::built_in());
            (list, all)
        };

        let has_make_conf = start.has_make_conf;
        let mut conf = read_make_conf(&start.conf_paths, &mut known)?.unwrap_or_default();
        for assignment in start.toml.variables(&mut known)? {
            let one = Variables::from([(assignment.name, assignment.setting)]);
            stack::stack_variables(&mut conf, &one);
        }
        let user = UserFiles::read(&locations.user, facts, start.toml, &mut warnings)?;

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
                (name.clone(), Setting::new(value, origin))
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
            env.insert(name.to_owned(), Setting::at("<configuration>", value));
        }
        env.insert(
            "PORTAGE_OVERRIDE_EPREFIX".to_owned(),
            Setting::at("<configuration>", locations.broot.clone()),
        );
        env.insert("PORTDIR".to_owned(), Setting::at("repos.conf", portdir));
        env.insert(
            "PORTDIR_OVERLAY".to_owned(),
            Setting::at("repos.conf", overlays),
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

        let mut use_files = UseFiles::read(facts, &nodes, &user, &mut warnings)?;
        if let Some(words) = use_files.take_global() {
            append(&mut conf, "USE", &words, "package.use");
        }
        let mut licenses = LicenseFiles::read(facts, &nodes, &user, &mut warnings)?;
        if let Some(words) = licenses.take_global() {
            append(&mut conf, "ACCEPT_LICENSE", &words, "package.license");
        }
        let mut simple = |name: &str, variable: &str, conf: &mut Variables| {
            let mut reading = Reading::user(&user, Directories::Recursive);
            reading.use_deps = true;
            let mut table = Table::read_user(&user, &[name], reading, &mut warnings)?;
            if let Some(words) = table.take_global() {
                append(conf, variable, &words, name);
            }
            Ok::<Table, ConfigError>(table)
        };
        let properties = simple("package.properties", "ACCEPT_PROPERTIES", &mut conf)?;
        let restricts = simple("package.accept_restrict", "ACCEPT_RESTRICT", &mut conf)?;
        let mut updates = user.updates();
        let mut package_env =
            PackageEnv::read(&user, &forbidden, &known, &mut updates, &mut warnings)?;
        for (name, setting) in package_env.take_global(&known) {
            known.insert(name.clone(), setting.value.clone());
            stack::stack_variables(&mut conf, &Variables::from([(name, setting)]));
        }
        let profile_bashrcs = profile_files::bashrcs(&nodes, &mut warnings)?;

        let arch_list = profile_files::arch_list(facts, &locations.user)?;
        conf.insert(
            "PORTAGE_ARCHLIST".to_owned(),
            Setting::at("arch.list", arch_list.join(" ")),
        );
        let provided = profile_files::provided(&nodes, &mut warnings)?;
        let keywords = KeywordFiles::read(
            &nodes,
            &user,
            defaults
                .get("ACCEPT_KEYWORDS")
                .map_or("", |setting| setting.value.as_str()),
            &mut warnings,
        )?;
        let masks = MaskFiles::read(facts, &nodes, &user, &mut warnings)?;

        let gentoo =
            profile_path.is_some() || has_make_conf || found.configured || user.toml().exists();
        state::apply(options, gentoo, &mut globals, &mut env, &mut assumptions)?;

        let root = PathBuf::from(&locations.root);
        let mut config = Config {
            repositories: found.set,
            facts: found.facts,
            config_root: locations.config_root,
            user_directory: locations.user,
            user_files: user,
            updates,
            root,
            eroot: PathBuf::from(&locations.eroot),
            esysroot: PathBuf::from(&locations.esysroot),
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
            expand_map: known,
            profile_bashrcs,
            user_mirrors: BTreeMap::new(),
            provided,
            warnings,
            assumptions,
        };
        config.user_mirrors = profile_files::mirrors(&config.user_directory)?;
        config.set_defaults(options);
        config.compute(&defaults_list);
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Root;
    use super::*;
    use crate::claim::rows;

    #[test]
    fn each_place_overrides_the_one_before() {
        let _rows = rows(&[209]);
        let root = Root::new();
        assert_eq!(root.load().get("PKGDIR"), Some("/var/cache/binpkgs"));
        let root = root.file(
            "repo/profiles/base/make.defaults",
            "ARCH=amd64\nPKGDIR=/profile\nA=\"${PKGDIR}/x\"\n",
        );
        assert_eq!(root.load().get("PKGDIR"), Some("/profile"));
        let root = root.file(
            "etc/portage/make.conf",
            "PKGDIR=\"${A}/conf\"\n__local=1\nB=\"${__local}\"\n",
        );
        assert_eq!(root.load().get("PKGDIR"), Some("/profile/x/conf"));
        assert_eq!(
            (root.load().get("__local"), root.load().get("B")),
            (None, Some("1"))
        );
        let mut root = root.env("PKGDIR", "/env");
        assert_eq!(root.load().get("PKGDIR"), Some("/env"));
        root.options.pkgdir = Some("/option".into());
        let config = root.load();
        assert_eq!(config.pkgdir(), Path::new("/option"));
        assert_eq!(
            &*config.origin("PKGDIR").unwrap().file,
            Path::new("<command line>")
        );
        assert_eq!(config.origin("B").unwrap().line, 3);
        assert_eq!(config.origin("NOTHING"), None);
    }

    #[test]
    fn incremental_variables_stack() {
        let _rows = rows(&[209]);
        let root = Root::new()
            .file(
                "repo/profiles/default/make.defaults",
                "CONFIG_PROTECT=\"/opt -/etc\"\nFEATURES=\"-strict\"\nENV_UNSET=\"A B\"\n",
            )
            .file(
                "etc/portage/make.conf",
                "CONFIG_PROTECT=\"/srv\"\nFEATURES=\"ccache -sandbox\"\n",
            )
            .env("FEATURES", "-ccache noman");
        let config = root.load();
        assert_eq!(config.get("CONFIG_PROTECT"), Some("/opt /srv"));
        assert_eq!(config.get("ENV_UNSET"), Some("A B"));
        let features = config.features();
        assert!(features.contains("noman") && features.contains("userpriv"));
        assert!(
            ["strict", "sandbox", "ccache"]
                .iter()
                .all(|word| !features.contains(*word))
        );
        assert_eq!(
            root.env("FEATURES", "-* test").load().get("FEATURES"),
            Some("test")
        );
    }

    #[test]
    fn profile_env_is_the_lowest_place() {
        let root = Root::new().file(
            "root/etc/profile.env",
            "export CONFIG_PROTECT='/usr/share/config'\nexport EDITOR='vi'\n",
        );
        let mut root = root.env("EDITOR", "vi");
        root.options.root = Some(root.path("root"));
        let config = root.load();
        assert_eq!(config.get("CONFIG_PROTECT"), Some("/etc /usr/share/config"));
        assert!(
            config
                .origin("EDITOR")
                .unwrap()
                .file
                .ends_with("root/etc/profile.env")
        );
    }
}
