//! Reading the whole configuration, in the order in which one file needs another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::Config;
use super::environment::{GLOBAL_ONLY, INTERNAL};
use super::error::ConfigError;
use super::keywords::KeywordFiles;
use super::mask::MaskFiles;
use super::options::Options;
use super::package_files::PackageFiles;
use super::profile_files;
use super::read_profile::ReadProfile;
use super::read_variables::ReadVariables;
use super::shell_vars::{Setting, Variables};
use super::start::Start;
use super::state;
use super::user_files::UserFiles;

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
        let facts = &found.facts;

        let mut variables = ReadVariables::below_profile(&locations, &found)?;
        let known = &mut variables.known;
        let toml = &start.toml;
        let profile = ReadProfile::read(options, &locations, toml, facts, known, &mut assumptions)?;
        let nodes = profile.nodes;
        variables.defaults = profile.all;
        let profile_only =
            variables.read_above_profile(options, &start.conf_paths, toml, &locations, &found)?;

        let profile_only = profile_only.iter().map(String::as_str);
        let never = INTERNAL.iter().chain(GLOBAL_ONLY).copied();
        let forbidden: BTreeSet<&str> = profile_only.chain(never).collect();
        let repo_defaults = variables.of_repositories(facts, &forbidden)?;

        let user = UserFiles::read(&locations.user, facts, start.toml, &mut warnings)?;
        let packages = PackageFiles::read(
            facts,
            &nodes,
            &user,
            &forbidden,
            &mut variables,
            &mut warnings,
        )?;
        let profile_bashrcs = profile_files::bashrcs(&nodes, &mut warnings)?;
        let arch_list = profile_files::arch_list(facts, &locations.user)?.join(" ");
        let arch_list = Setting::at("arch.list", arch_list);
        variables
            .conf
            .insert("PORTAGE_ARCHLIST".to_owned(), arch_list);
        let provided = profile_files::provided(&nodes, &mut warnings)?;
        let accepted = variables.defaults.get("ACCEPT_KEYWORDS");
        let accepted = accepted.map_or("", |setting| setting.value.as_str());
        let keywords = KeywordFiles::read(&nodes, &user, accepted, &mut warnings)?;
        let masks = MaskFiles::read(facts, &nodes, &user, &mut warnings)?;
        let user_mirrors = profile_files::mirrors(&locations.user)?;

        let gentoo = profile.path.is_some()
            || start.has_make_conf
            || found.configured
            || user.toml().exists();
        let ReadVariables {
            env_d,
            mut globals,
            defaults,
            conf,
            mut env,
            known,
        } = variables;
        state::apply(options, gentoo, &mut globals, &mut env, &mut assumptions)?;

        let mut config = Config {
            repositories: found.set,
            facts: found.facts,
            config_root: locations.config_root,
            user_directory: locations.user,
            user_files: user,
            updates: packages.updates,
            root: PathBuf::from(&locations.root),
            eroot: PathBuf::from(&locations.eroot),
            esysroot: PathBuf::from(&locations.esysroot),
            profile: profile.path,
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
            use_files: packages.use_files,
            keywords,
            licenses: packages.licenses,
            masks,
            properties: packages.properties,
            restricts: packages.restricts,
            package_env: packages.package_env,
            expand_map: known,
            profile_bashrcs,
            user_mirrors,
            provided,
            warnings,
            assumptions,
        };
        config.set_defaults(options);
        config.compute(&profile.each);
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::fixture::Root;
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
