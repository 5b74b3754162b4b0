//! What the sourcing of a repository's ebuilds may read.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc::UnboundedSender;

use super::event::Event;
use super::run::RegenError;
use super::survey::Stale;
use crate::processor::Settings;
use crate::repo::{RepoSet, Repository};

/// The files and folders that sourcing the repository's ebuilds may read: the repository, its
/// masters, and what links in them lead to. Nothing, which is said, if it cannot be confined to
/// these.
///
/// # Errors
/// The repository is unknown.
pub(super) async fn readable(
    processors: &Settings,
    repositories: &RepoSet,
    repository: &Repository,
    stale: &[Stale],
    events: &UnboundedSender<Event>,
) -> Result<Option<Vec<PathBuf>>, RegenError> {
    if let Some(why) = processors.unconfinable().await {
        let _ = events.send(Event::Notice {
            text: format!(
                "ebuilds are sourced unconfined: what they write, run or fetch in global scope is \
                 not stopped ({why})"
            ),
        });
        return Ok(None);
    }
    let others = repositories.eclass_order(repository.name())?;
    let masters = repositories.masters(repository.name())?;
    let all: Vec<_> = [repository]
        .into_iter()
        .chain(others)
        .chain(masters)
        .collect();
    let mut paths: Vec<PathBuf> = all
        .iter()
        .filter_map(|it| it.location().canonicalize().ok())
        .collect();
    paths.sort();
    paths.dedup();
    for folder in all.iter().map(|it| it.eclass_dir()) {
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        for file in files {
            add(&mut paths, &file.path(), false);
        }
    }
    for stale in stale {
        add(&mut paths, &stale.ebuild.path, true);
    }
    Ok(Some(paths))
}

/// Adds what a path leads to, or the folder of that, unless it is in there already.
fn add(paths: &mut Vec<PathBuf>, path: &Path, folder: bool) {
    let Ok(target) = path.canonicalize() else {
        return;
    };
    if paths.iter().any(|known| target.starts_with(known)) {
        return;
    }
    match target.parent() {
        Some(parent) if folder => paths.push(parent.to_owned()),
        _ => paths.push(target),
    }
}
