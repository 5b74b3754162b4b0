//! package.env and the files of env/.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::error::ConfigError;
use super::files::Directories;
use super::shell_vars::{self, Assignment, Dialect, Origin, Setting, Variables};
use super::stack;
use super::table::{Reading, Table};
use super::word::Word;
use crate::pms::atom::PackageFacts;

/// Which files of env/ hold for which package, and what they say.
#[derive(Debug, Clone, Default)]
pub(super) struct PackageEnv {
    table: Table,
    files: HashMap<String, Vec<Assignment>>,
    /// Variables that cannot be set for single packages.
    forbidden: BTreeSet<String>,
}

impl PackageEnv {
    /// Reads package.env of `user`, /etc/portage, and the files that it names. `known` gives
    /// values for expansion.
    ///
    /// # Errors
    /// A file cannot be read or is malformed.
    pub(super) fn read(
        user: &Path,
        forbidden: &BTreeSet<&str>,
        known: &HashMap<String, String>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ConfigError> {
        let mut reading = Reading::user(Directories::Recursive);
        reading.use_deps = true;
        let mut table = Table::read(&user.join("package.env"), reading, warnings)?;
        let mut files: HashMap<String, Vec<Assignment>> = HashMap::new();
        for entry in table.entries_mut() {
            for word in &entry.words {
                let name = &word.text;
                if files.contains_key(name) {
                    continue;
                }
                let path = user.join("env").join(name);
                let found =
                    shell_vars::assignments(&path, Dialect::USER, false, &mut known.clone())?;
                let Some(list) = found else {
                    let (origin, path) = (&word.origin, path.display());
                    warnings.push(format!("{origin}: names {path}, which is not there"));
                    continue;
                };
                for assignment in list
                    .iter()
                    .filter(|one| forbidden.contains(one.name.as_str()))
                {
                    let Origin { file, line } = &assignment.setting.origin;
                    let name = &assignment.name;
                    let file = file.display();
                    warnings.push(format!(
                        "{file}:{line}: {name} cannot be set for single packages"
                    ));
                }
                files.insert(name.clone(), list);
            }
        }
        let forbidden = forbidden.iter().map(|name| (*name).to_owned()).collect();
        Ok(PackageEnv {
            table,
            files,
            forbidden,
        })
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
        if entries.is_empty() {
            return Variables::new();
        }
        let names: Vec<Word> = entries
            .into_iter()
            .flat_map(|entry| entry.words.iter().cloned())
            .collect();
        self.stack(&names, &mut known.clone())
    }

    fn stack(&self, names: &[Word], known: &mut HashMap<String, String>) -> Variables {
        let mut result = Variables::new();
        for name in names {
            let mut one = Variables::new();
            for assignment in self.files.get(&**name).into_iter().flatten() {
                let value = assignment.expand(known);
                if !self.forbidden.contains(&assignment.name) {
                    let origin = assignment.setting.origin.clone();
                    one.insert(assignment.name.clone(), Setting::new(value, origin));
                }
            }
            stack::stack_variables(&mut result, &one);
        }
        result
    }
}
