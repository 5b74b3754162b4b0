//! The smaller files of profiles and /etc/portage.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use indexmap::IndexMap;

use super::ProfileBashrcs;
use super::error::ConfigError;
use super::files::{self, Directories};
use super::profile::ProfileNode;
use super::repository_facts::RepositoryFacts;
use super::shell_vars::{self, Dialect, Variables};
use super::stack;
use super::table::{Reading, Table};
use crate::pms::cpv::Cpv;

/// make.defaults of each profile directory, and all of them stacked.
pub(super) fn make_defaults(
    nodes: &[ProfileNode],
    known: &mut HashMap<String, String>,
) -> Result<(Vec<Variables>, Variables), ConfigError> {
    let mut list = Vec::new();
    let mut all = Variables::new();
    for node in nodes {
        // `USE="${USE} …"` in a make.defaults must not repeat the parents' flags.
        known.remove("USE");
        let recursive = node.directories != Directories::Forbidden;
        let path = node.path.join("make.defaults");
        let variables =
            shell_vars::read(&path, Dialect::PROFILE, recursive, known)?.unwrap_or_default();
        stack::stack_variables(&mut all, &variables);
        list.push(variables);
    }
    Ok((list, all))
}

/// profile.bashrc and package.bashrc of each profile directory.
pub(super) fn bashrcs(
    nodes: &[ProfileNode],
    warnings: &mut Vec<String>,
) -> Result<Vec<ProfileBashrcs>, ConfigError> {
    let mut result = Vec::new();
    for node in nodes {
        let file = node.path.join("profile.bashrc");
        let table = if node.has_format("profile-bashrcs") {
            let mut reading = Reading::profile(node);
            reading.directories = Directories::Recursive;
            reading.syntax.wildcards = true;
            reading.use_deps = true;
            Some((
                Table::read(&node.path.join("package.bashrc"), reading, warnings)?,
                node.path.join("bashrc"),
            ))
        } else {
            None
        };
        result.push((file.is_file().then_some(file), table));
    }
    Ok(result)
}

/// The architectures of arch.list, sorted.
pub(super) fn arch_list(
    repositories: &[RepositoryFacts],
    user: &Path,
) -> Result<Vec<String>, ConfigError> {
    let mut arches = BTreeSet::new();
    let places = repositories
        .iter()
        .map(|facts| facts.location.join("profiles"));
    for place in places.chain([user.to_path_buf()]) {
        for line in files::lines(&place.join("arch.list"), Directories::Forbidden)? {
            let text = line.text();
            match text.strip_prefix('-') {
                Some("*") => arches.clear(),
                Some(gone) => {
                    arches.remove(gone);
                }
                None => {
                    arches.insert(text);
                }
            }
        }
    }
    arches.remove("");
    Ok(arches.into_iter().collect())
}

/// The packages of package.provided.
pub(super) fn provided(
    nodes: &[ProfileNode],
    warnings: &mut Vec<String>,
) -> Result<Vec<Cpv>, ConfigError> {
    let mut provided: IndexMap<String, Cpv> = IndexMap::new();
    for node in nodes {
        let path = node.path.join("package.provided");
        let lines = files::lines(&path, node.directories)?;
        if node.eapi.is_some_and(|eapi| !eapi.package_provided()) {
            if !lines.is_empty() {
                warnings.push(format!(
                    "{}: is not allowed in this profile's EAPI and has no effect",
                    path.display()
                ));
            }
            continue;
        }
        for line in lines {
            let text = line.text();
            if let Some(gone) = text.strip_prefix('-') {
                if gone == "*" {
                    provided.clear();
                } else {
                    provided.shift_remove(gone);
                }
                continue;
            }
            match Cpv::parse(&text) {
                Ok(cpv) => {
                    provided.insert(text, cpv);
                }
                Err(error) => {
                    let (file, line) = (line.origin.file.display(), line.origin.line);
                    warnings.push(format!("{file}:{line}: `{text}` is left out: {error}"));
                }
            }
        }
    }
    Ok(provided.into_values().collect())
}

/// /etc/portage/mirrors: names of mirrors and their addresses.
pub(super) fn mirrors(user: &Path) -> Result<BTreeMap<String, Vec<String>>, ConfigError> {
    let mut mirrors: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in files::lines(&user.join("mirrors"), Directories::Recursive)? {
        if let Some((name, addresses)) = line.words.split_first() {
            mirrors
                .entry(name.clone())
                .or_default()
                .extend_from_slice(addresses);
        }
    }
    Ok(mirrors)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Root;
    use crate::claim::rows;

    #[test]
    fn mirrors_and_provided_packages() {
        let _rows = rows(&[214]);
        let root = Root::new()
            .file(
                "etc/portage/make.conf",
                "GENTOO_MIRRORS=\"https://one https://two\"\n",
            )
            .file(
                "etc/portage/mirrors",
                "local file:///a\ngnu https://gnu/x https://gnu/y\n",
            )
            .file(
                "etc/portage/profile/package.provided",
                "a/b-1.2\n# note\na/c-1\n-a/c-1\nnonsense\n",
            );
        let config = root.load();
        assert_eq!(config.mirrors(), ["https://one", "https://two"]);
        assert_eq!(
            config.user_mirrors("gnu"),
            ["https://gnu/x", "https://gnu/y"]
        );
        assert_eq!(config.user_mirrors("other"), [""; 0]);
        assert_eq!(
            config
                .provided()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["a/b-1.2"]
        );
        assert!(config.warnings()[0].contains("package.provided:5: `nonsense` is left out"));
        let root = root.file("repo/profiles/default/package.provided", "a/d-1\n");
        assert!(
            root.load()
                .warnings()
                .iter()
                .any(|w| w.contains("not allowed in this profile's EAPI"))
        );
    }
}
