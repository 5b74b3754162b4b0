//! What is read first: where things are, and which repositories there are.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::files::{self, Directories, Line};
use super::locations::{self, Locations};
use super::options::Options;
use super::repositories::{self, Repositories, Sources};
use super::shell_vars::{self, Dialect, Variables};
use super::toml_file::TomlFile;
use crate::repo::RepoSet;

/// Everything that does not need a profile.
pub(super) struct Start {
    /// The files that make.conf is read from.
    pub(super) conf_paths: Vec<PathBuf>,
    /// Whether there is one.
    pub(super) has_make_conf: bool,
    pub(super) locations: Locations,
    pub(super) repositories: Repositories,
    /// ebd.toml.
    pub(super) toml: TomlFile,
}

impl Start {
    /// Reads make.conf as far as it decides where things are, and repos.conf.
    ///
    /// # Errors
    /// A file cannot be read or is malformed, or a repository cannot be used.
    pub(super) fn read(options: &Options, warnings: &mut Vec<String>) -> Result<Self, ConfigError> {
        let conf_paths = make_conf_paths(&locations::config_root(options)?);
        let early = read_make_conf(&conf_paths, &mut HashMap::new())?;
        let early_value = |name: &str| {
            early
                .as_ref()
                .and_then(|conf| conf.get(name))
                .map(|s| s.value.clone())
        };
        let locations = Locations::new(options, early_value("ROOT").as_deref())?;
        let of_user = |name: &str| {
            options
                .variable(name)
                .map(str::to_owned)
                .or_else(|| early_value(name))
        };
        let named = options
            .config_file
            .clone()
            .or_else(|| options.variable("EBD_CONFIG").map(PathBuf::from));
        let toml = match &named {
            Some(path) => TomlFile::read(path, true)?,
            None => TomlFile::read(&locations.user.join("ebd.toml"), false)?,
        };
        let mut repositories = repositories::load(
            &Sources {
                config_root: &locations.config_root,
                names: locations.variables(),
                text: options.variable("PORTAGE_REPOSITORIES"),
                portdir: of_user("PORTDIR").as_deref(),
                overlays: &of_user("PORTDIR_OVERLAY").unwrap_or_default(),
                extra: &options.extra_repos,
                options: toml.repository_options(),
            },
            warnings,
        )?;
        let categories = files::lines(&locations.user.join("categories"), Directories::Forbidden)?;
        let categories = categories.iter().map(Line::text);
        repositories.set.add_categories(categories);
        Ok(Self {
            conf_paths,
            has_make_conf: early.is_some(),
            locations,
            repositories,
            toml,
        })
    }
}

/// The repositories that `options` and repos.conf give, for what needs no more of the
/// configuration, and warnings about them.
///
/// # Errors
/// A file cannot be read or is malformed, or a repository cannot be used.
pub fn repositories(options: &Options) -> Result<(RepoSet, Vec<String>), ConfigError> {
    let mut warnings = Vec::new();
    let start = Start::read(options, &mut warnings)?;
    Ok((start.repositories.set, warnings))
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
pub(super) fn read_make_conf(
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

#[cfg(test)]
mod tests {
    use super::super::fixture::Root;

    #[test]
    fn both_make_conf_are_read_unless_they_are_one() {
        let root = Root::new()
            .file("etc/make.conf", "X=1\nB=1\n")
            .file("etc/portage/make.conf", "B=2\n");
        assert_eq!(
            (root.load().get("X"), root.load().get("B")),
            (Some("1"), Some("2"))
        );
        std::fs::remove_file(root.path("etc/portage/make.conf")).unwrap();
        let root = root.file("etc/portage/make.conf/10", "C=3\nB=\"${B}3\"\n");
        assert_eq!(
            (root.load().get("C"), root.load().get("B")),
            (Some("3"), Some("13"))
        );
    }
}
