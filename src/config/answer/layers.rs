//! What the places of settings say about one package.

use std::path::PathBuf;

use super::super::Config;
use super::super::package::PackageQuery;
use super::super::shell_vars::{Setting, Variables};
use super::super::stack;
use super::super::word::Word;

pub(super) fn single(name: &str, value: String, place: &str) -> Variables {
    Variables::from([(name.to_owned(), Setting::at(place, value))])
}

/// The words as one value; none without words.
fn of_words(words: &[&Word]) -> Option<Setting> {
    Setting::of_words(words.iter().map(|word| (&***word, &word.origin)))
}

impl Config {
    /// A repository's masters and itself, in the order in which their files apply.
    pub(super) fn lineage<'a>(&'a self, repository: Option<&'a str>) -> Vec<&'a str> {
        let Some(name) = repository else {
            return Vec::new();
        };
        let masters = self
            .facts
            .iter()
            .find(|facts| facts.name == name)
            .map(|facts| &facts.masters);
        masters
            .into_iter()
            .flatten()
            .map(String::as_str)
            .chain([name])
            .collect()
    }

    /// make.defaults and package.use of the repository and its masters.
    pub(super) fn repository_layer(
        &self,
        query: &PackageQuery<'_>,
        lineage: &[&str],
        stable: bool,
    ) -> Variables {
        let mut layer = Variables::new();
        for name in lineage {
            let mut variables = self.repo_defaults.get(*name).cloned().unwrap_or_default();
            let words = self.use_files.repository_words(name, query, stable);
            if let Some(more) = of_words(&words) {
                match variables.get_mut("USE") {
                    Some(known) => known.stack(&more),
                    None => {
                        variables.insert("USE".to_owned(), more);
                    }
                }
            }
            stack::stack_variables(&mut layer, &variables);
        }
        layer
    }

    /// USE of all profiles for one package, in the order of the profiles.
    pub(super) fn profile_use_setting(&self, query: &PackageQuery<'_>, stable: bool) -> Setting {
        let mut words: Vec<&Word> = Vec::new();
        for (index, global) in self.profile_use.iter().enumerate() {
            words.extend(global);
            words.extend(self.use_files.profile_words(index, query, stable));
        }
        of_words(&words).unwrap_or_else(|| Setting::at("make.defaults", ""))
    }

    /// What package.env and package.use say.
    pub(super) fn package_layer(&self, query: &PackageQuery<'_>) -> Variables {
        let mut layer = self.package_env.variables(query, &self.expand_map);
        let words = of_words(&self.use_files.user_words(query));
        if let Some(words) = &words {
            let own = Variables::from([("USE".to_owned(), words.clone())]);
            stack::stack_variables(&mut layer, &own);
        }
        let words = words.unwrap_or_else(|| Setting::at("package.use", ""));
        layer.insert("PKGUSE".to_owned(), words);
        layer
    }

    /// profile.bashrc and package.bashrc of the profiles, then those of /etc/portage.
    pub(super) fn bashrcs(&self, query: &PackageQuery<'_>) -> Vec<PathBuf> {
        let mut result = Vec::new();
        for (profile, table) in &self.profile_bashrcs {
            result.extend(profile.iter().cloned());
            for (entry, directory) in table.iter().flat_map(|(table, directory)| {
                table
                    .matching(query)
                    .into_iter()
                    .map(move |entry| (entry, directory))
            }) {
                result.extend(entry.words.iter().map(|name| directory.join(&**name)));
            }
        }
        result.push(self.user_directory.join("bashrc"));
        result.extend(
            query
                .repository
                .into_iter()
                .flat_map(|name| self.user_files.bashrcs(name)),
        );
        let directory = self.user_directory.join("env").join(query.cpv.category());
        let pn = query.cpv.pn();
        for name in [
            pn.to_owned(),
            format!("{pn}:{}", query.slot),
            query.cpv.p().to_owned(),
            query.cpv.pf().to_owned(),
        ] {
            result.push(directory.join(name));
        }
        result.retain(|path| path.is_file());
        result
    }
}
