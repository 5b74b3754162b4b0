//! The profile that is in force, with its variables.

use std::collections::HashMap;
use std::path::PathBuf;

use super::builtin;
use super::error::ConfigError;
use super::locations::Locations;
use super::options::Options;
use super::profile::{self, ProfileNode};
use super::profile_files;
use super::read_variables::values;
use super::repository_facts::RepositoryFacts;
use super::shell_vars::Variables;
use super::stack;
use super::toml_file::TomlFile;

/// The directories of the profile and of the user's on top, and what their make.defaults say.
pub(super) struct ReadProfile {
    /// The profile's directory; none if the built-in defaults stand in for one.
    pub(super) path: Option<PathBuf>,
    pub(super) nodes: Vec<ProfileNode>,
    /// The variables of each.
    pub(super) each: Vec<Variables>,
    /// All of them stacked.
    pub(super) all: Variables,
}

impl ReadProfile {
    /// Reads the profile that ebd.toml names or that make.profile is. `known` has what `${…}` stands for, and gets more.
    ///
    /// # Errors
    /// The profile is broken, or a file cannot be read or is malformed.
    pub(super) fn read(
        options: &Options,
        locations: &Locations,
        toml: &TomlFile,
        repositories: &[RepositoryFacts],
        known: &mut HashMap<String, String>,
        assumptions: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let path = match toml.profile() {
            Some(setting) => Some(profile::named(setting, repositories)?),
            None => profile::find(&locations.config_root)?,
        };
        let mut nodes = match &path {
            Some(path) => profile::nodes(path, repositories)?,
            None => Vec::new(),
        };
        nodes.extend(profile::user_node(&locations.config_root, repositories)?);
        if path.is_some() {
            let (each, all) = profile_files::make_defaults(&nodes, known)?;
            return Ok(Self {
                path,
                nodes,
                each,
                all,
            });
        }
        let (built_in, notice) = builtin::profile(&options.machine)?;
        assumptions.push(notice);
        known.extend(values(&built_in));
        let (mut each, more) = profile_files::make_defaults(&nodes, known)?;
        let mut all = built_in.clone();
        stack::stack_variables(&mut all, &more);
        each.insert(0, built_in);
        nodes.insert(0, ProfileNode::built_in());
        Ok(Self {
            path,
            nodes,
            each,
            all,
        })
    }
}
