//! What the folders of repositories say about updates: which ebuilds are none of what is installed, as the
//! multiple-repository draft of 2005 has it.

use std::collections::{BTreeMap, BTreeSet};

use super::Config;
use super::error::ConfigError;
use super::package::MaskReason;
use super::shell_vars::Setting;

/// How a repository takes part in updates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct UpdateOptions {
    /// Its ebuilds are no updates of packages that are installed from other repositories.
    pub(super) exclude_update: bool,
    /// Only its own ebuilds are updates of packages that are installed from it.
    pub(super) exclusive_update: bool,
}

impl Config {
    /// Whether any repository has such options, so that it matters what is installed.
    pub fn has_update_options(&self) -> bool {
        let usual = UpdateOptions::default();
        self.updates.values().any(|options| *options != usual)
    }

    /// Why an ebuild of `repository` is no update of a package that is installed from these repositories, if it is
    /// none. It does not hold for who names the repository.
    pub fn update_obstacle(
        &self,
        repository: &str,
        installed_from: &BTreeSet<String>,
    ) -> Option<MaskReason> {
        let set = self.repositories();
        // What is installed may know a repository by the name that it had then.
        let now = |name: &str| {
            set.repository(name)
                .map_or(name.to_owned(), |it| it.name().to_owned())
        };
        let from: BTreeSet<String> = installed_from.iter().map(|name| now(name)).collect();
        if from.is_empty() || from.contains(repository) {
            return None;
        }
        let options = |name: &str| self.updates.get(name).copied().unwrap_or_default();
        let only = match options(repository).exclude_update {
            true => None,
            false => Some(
                from.iter()
                    .find(|name| options(name).exclusive_update)?
                    .clone(),
            ),
        };
        Some(MaskReason::NoUpdate {
            repository: repository.to_owned(),
            installed_from: from,
            only,
        })
    }
}

/// Reads the words of OPTIONS in a repository.conf. What cannot be done yet is told.
pub(super) fn update_options(
    words: &Setting,
    repository: &str,
    options: &mut BTreeMap<String, UpdateOptions>,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let own = options.entry(repository.to_owned()).or_default();
    for (word, origin) in words.words() {
        let plain: String = word
            .to_lowercase()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        match plain.as_str() {
            "excludeupdate" => own.exclude_update = true,
            "exclusiveupdate" => own.exclusive_update = true,
            "excludesync" => warnings.push(format!(
                "{origin}: {word} has no effect yet: ebd syncs no repositories"
            )),
            _ => {
                return Err(ConfigError::syntax(
                    origin.file.to_path_buf(),
                    origin.line,
                    format!("OPTIONS: `{word}` is no option of a repository"),
                    "there are EXCLUDESYNC, EXCLUDEUPDATE and EXCLUSIVEUPDATE",
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::fixture::Root;

    #[test]
    fn who_is_installed_from_where_decides() {
        let mut root = Root::new()
            .file("mine/profiles/repo_name", "mine\n")
            .file(
                "mine/metadata/layout.conf",
                "masters = gentoo\naliases = old\n",
            )
            .file("other/profiles/repo_name", "other\n")
            .file("other/metadata/layout.conf", "masters = gentoo\n")
            .file(
                "etc/portage/mine/repository.conf",
                "OPTIONS=\"EXCLUSIVEUPDATE\"\n",
            )
            .file(
                "etc/portage/other/repository.conf",
                "OPTIONS=\"EXCLUDEUPDATE\"\n",
            );
        root.options.extra_repos = vec![root.path("mine"), root.path("other")];
        let config = root.load();
        assert!(config.has_update_options());
        let told = |own: &str, from: &[&str]| {
            let from: BTreeSet<String> = from.iter().map(|name| (*name).to_owned()).collect();
            config.update_obstacle(own, &from).map(|it| it.to_string())
        };
        for from in ["mine", "old"] {
            let text = told("gentoo", &[from]).unwrap();
            assert!(
                text.contains("from mine, which alone has its updates"),
                "{text}"
            );
            assert_eq!(told("mine", &[from]), None);
        }
        let text = told("other", &["gentoo"]).unwrap();
        assert!(text.contains("other is excluded from updates"), "{text}");
        assert_eq!(told("other", &["other", "gentoo"]), None);
        assert_eq!(told("other", &[]), None);
        assert_eq!(told("mine", &["gentoo"]), None);
    }
}
