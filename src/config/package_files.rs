//! The files that name packages. What they say of all packages counts as if it stood in make.conf.

use std::collections::{BTreeMap, BTreeSet};

use super::error::ConfigError;
use super::files::Directories;
use super::license::LicenseFiles;
use super::package_env::PackageEnv;
use super::profile::ProfileNode;
use super::read_variables::ReadVariables;
use super::repository_facts::RepositoryFacts;
use super::shell_vars::Variables;
use super::stack;
use super::table::{Reading, Table};
use super::updates::UpdateOptions;
use super::use_files::UseFiles;
use super::user_files::UserFiles;

/// What those files say whose words can be for all packages.
pub(super) struct PackageFiles {
    pub(super) use_files: UseFiles,
    pub(super) licenses: LicenseFiles,
    pub(super) properties: Table,
    pub(super) restricts: Table,
    pub(super) package_env: PackageEnv,
    pub(super) updates: BTreeMap<String, UpdateOptions>,
}

impl PackageFiles {
    /// Reads them; `forbidden` are the variables that cannot be set for single packages.
    ///
    /// # Errors
    /// A file cannot be read or is malformed.
    pub(super) fn read(
        repositories: &[RepositoryFacts],
        nodes: &[ProfileNode],
        user: &UserFiles,
        forbidden: &BTreeSet<&str>,
        variables: &mut ReadVariables,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut use_files = UseFiles::read(repositories, nodes, user, warnings)?;
        if let Some(words) = use_files.take_global() {
            variables.append("USE", &words, "package.use");
        }
        let mut licenses = LicenseFiles::read(repositories, nodes, user, warnings)?;
        if let Some(words) = licenses.take_global() {
            variables.append("ACCEPT_LICENSE", &words, "package.license");
        }
        let mut accepted = |name: &str, variable: &str| {
            let mut reading = Reading::user(user, Directories::Recursive);
            reading.use_deps = true;
            let mut table = Table::read_user(user, &[name], reading, warnings)?;
            if let Some(words) = table.take_global() {
                variables.append(variable, &words, name);
            }
            Ok::<Table, ConfigError>(table)
        };
        let properties = accepted("package.properties", "ACCEPT_PROPERTIES")?;
        let restricts = accepted("package.accept_restrict", "ACCEPT_RESTRICT")?;
        let mut updates = user.updates();
        let mut package_env =
            PackageEnv::read(user, forbidden, &variables.known, &mut updates, warnings)?;
        for (name, setting) in package_env.take_global(&variables.known) {
            let value = setting.value.clone();
            variables.known.insert(name.clone(), value);
            let one = Variables::from([(name, setting)]);
            stack::stack_variables(&mut variables.conf, &one);
        }
        Ok(Self {
            use_files,
            licenses,
            properties,
            restricts,
            package_env,
            updates,
        })
    }
}
