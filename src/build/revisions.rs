//! Which states the repositories are in that a package is made of (`REPO_REVISIONS` of build-info).

use std::collections::BTreeMap;

use super::candidate::Candidate;
use crate::binpkg::index::print_revisions;
use crate::repo::{RepoSet, Repository, revision};
use crate::util::causes::causes;

/// The revisions, and what could not be found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revisions {
    /// A JSON object of texts by the repositories' names, `{}` if none is known.
    pub text: String,
    /// Sentences that tell why a revision is missing.
    pub problems: Vec<String>,
}

impl Revisions {
    /// Those of the candidate's repository, and of those that its eclasses are from, as far as they are synced.
    #[must_use]
    pub fn of(repositories: &RepoSet, candidate: &Candidate) -> Self {
        let mut found = BTreeMap::new();
        let mut problems = Vec::new();
        for repository in sources(repositories, candidate) {
            let name = repository.name();
            let Some(sync_type) = repositories.sync_type(name) else {
                continue;
            };
            match revision::revision(repository.location(), sync_type) {
                Ok(Some(revision)) => {
                    found.insert(name.to_owned(), revision);
                }
                Ok(None) => {}
                Err(error) => problems.push(format!(
                    "the package will not tell the revision of repository {name}: {}",
                    causes(&error).join(": ")
                )),
            }
        }
        let text = print_revisions(&found).unwrap_or_else(|_| "{}".to_owned());
        Self { text, problems }
    }
}

/// The repositories that the ebuild and its eclasses are from, each once.
fn sources<'a>(repositories: &'a RepoSet, candidate: &Candidate) -> Vec<&'a Repository> {
    let own = &candidate.ebuild.repository;
    let mut found: Vec<&Repository> = repositories.repository(own).into_iter().collect();
    let order = repositories.eclass_order(own).unwrap_or_default();
    for (eclass, _) in candidate.entry.eclasses().unwrap_or_default() {
        let file = format!("{eclass}.eclass");
        let source = order
            .iter()
            .copied()
            .find(|repository| repository.eclass_dir().join(&file).is_file());
        if let Some(source) = source
            && found.iter().all(|known| known.name() != source.name())
        {
            found.push(source);
        }
    }
    found
}
