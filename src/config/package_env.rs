//! package.env and the files of env/.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::error::ConfigError;
use super::files::Directories;
use super::shell_vars::{self, Assignment, Dialect, Setting, Variables};
use super::stack;
use super::table::{Reading, Table};
use super::updates::{UpdateOptions, update_options};
use super::user_files::UserFiles;
use super::word::Word;
use crate::pms::atom::PackageFacts;

/// Which files of env/ hold for which package, and what they say.
#[derive(Debug, Clone, Default)]
pub(super) struct PackageEnv {
    table: Table,
    files: HashMap<String, Vec<Assignment>>,
    /// What holds for single repositories.
    repositories: HashMap<String, Vec<Assignment>>,
    /// Variables that cannot be set for single packages.
    forbidden: BTreeSet<String>,
}

impl PackageEnv {
    /// Reads package.env of `user`, the files that it names, and what holds for single repositories. `known` gives
    /// values for expansion; `updates` takes how repositories take part in updates.
    ///
    /// # Errors
    /// A file cannot be read or is malformed.
    pub(super) fn read(
        user: &UserFiles,
        forbidden: &BTreeSet<&str>,
        known: &HashMap<String, String>,
        updates: &mut BTreeMap<String, UpdateOptions>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut reading = Reading::user(user, Directories::Recursive);
        reading.use_deps = true;
        let mut table = Table::read_user(user, &["package.env"], reading, warnings)?;
        let mut files: HashMap<String, Vec<Assignment>> = HashMap::new();
        for (name, list) in user.toml().environments(known)? {
            warn_of_forbidden(&list, forbidden, warnings);
            files.insert(name.to_owned(), list);
        }
        for entry in table.entries_mut() {
            for word in &entry.words {
                let name = &word.text;
                if files.contains_key(name) {
                    continue;
                }
                let path = user.directory().join("env").join(name);
                let found =
                    shell_vars::assignments(&path, Dialect::USER, false, &mut known.clone())?;
                let Some(list) = found else {
                    let (origin, path) = (&word.origin, path.display());
                    warnings.push(format!("{origin}: names {path}, which is not there"));
                    continue;
                };
                warn_of_forbidden(&list, forbidden, warnings);
                files.insert(name.clone(), list);
            }
        }
        let mut repositories: HashMap<String, Vec<Assignment>> = HashMap::new();
        for (path, repository) in user.repository_confs() {
            let list = shell_vars::assignments(&path, Dialect::USER, false, &mut known.clone())?;
            for assignment in list.unwrap_or_default() {
                if assignment.name == "OPTIONS" {
                    update_options(&assignment.setting, repository, updates, warnings)?;
                    continue;
                }
                warn_of_forbidden(std::slice::from_ref(&assignment), forbidden, warnings);
                repositories
                    .entry(repository.to_string())
                    .or_default()
                    .push(assignment);
            }
        }
        for (repository, list) in user.toml().repository_variables(known)? {
            warn_of_forbidden(&list, forbidden, warnings);
            repositories
                .entry(user.name_of(repository).to_owned())
                .or_default()
                .extend(list);
        }
        let forbidden = forbidden.iter().map(|name| (*name).to_owned()).collect();
        Ok(PackageEnv {
            table,
            files,
            repositories,
            forbidden,
        })
    }

    /// All that is said for some packages only, in no order.
    pub(super) fn assignments(&self) -> impl Iterator<Item = &Assignment> {
        self.files
            .values()
            .chain(self.repositories.values())
            .flatten()
    }

    /// Takes out what is said for `*/*`: it counts as make.conf.
    pub(super) fn take_global(&mut self, known: &HashMap<String, String>) -> Variables {
        let names = self.table.take_global().unwrap_or_default();
        self.stack(&names, &mut known.clone())
    }

    /// The variables for one package.
    pub(super) fn variables(
        &self,
        package: &impl PackageFacts,
        known: &HashMap<String, String>,
    ) -> Variables {
        let entries = self.table.matching(package);
        let own = package
            .repository()
            .and_then(|name| self.repositories.get(name));
        if entries.is_empty() && own.is_none() {
            return Variables::new();
        }
        let names: Vec<Word> = entries
            .into_iter()
            .flat_map(|entry| entry.words.iter().cloned())
            .collect();
        let mut known = known.clone();
        let mut result = self.values(own.into_iter().flatten(), &mut known);
        stack::stack_variables(&mut result, &self.stack(&names, &mut known));
        result
    }

    fn stack(&self, names: &[Word], known: &mut HashMap<String, String>) -> Variables {
        let mut result = Variables::new();
        for name in names {
            let one = self.values(self.files.get(&**name).into_iter().flatten(), known);
            stack::stack_variables(&mut result, &one);
        }
        result
    }

    fn values<'a>(
        &self,
        assignments: impl Iterator<Item = &'a Assignment>,
        known: &mut HashMap<String, String>,
    ) -> Variables {
        let mut result = Variables::new();
        for assignment in assignments {
            let value = assignment.expand(known);
            if !self.forbidden.contains(&assignment.name) {
                let origin = assignment.setting.origin.clone();
                result.insert(assignment.name.clone(), Setting::new(value, origin));
            }
        }
        result
    }
}

/// Tells of variables that cannot be set for single packages.
fn warn_of_forbidden(list: &[Assignment], forbidden: &BTreeSet<&str>, warnings: &mut Vec<String>) {
    for one in list
        .iter()
        .filter(|one| forbidden.contains(one.name.as_str()))
    {
        let (origin, name) = (&one.setting.origin, &one.name);
        warnings.push(format!(
            "{origin}: {name} cannot be set for single packages"
        ));
    }
}
