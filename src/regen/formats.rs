//! The formats of caches that a repository has beside md5-dict.
//!
//! A regeneration always works on a cache of md5-dict, which alone tells what is stale. A
//! repository whose `layout.conf` lists other formats gets these as copies; one that does not list
//! md5-dict has that cache where ebd keeps what it can make anew.

use std::path::PathBuf;

use super::event::Event;
use super::memory::Memory;
use super::run::{Mode, Options, RegenError, Shared, Summary};
use crate::metadata::transfer::{Extent, transfer};
use crate::metadata::{Cache, CacheFormat, Tree};
use crate::repo::Repository;
use crate::util::causes::located;

/// The folder of the md5-dict cache to work on, and the caches that are copies of it.
///
/// # Errors
/// [`RegenError::NoChecksums`] if there is nothing to check or nowhere to work.
pub(super) fn caches(
    repository: &Repository,
    options: &Options,
) -> Result<(PathBuf, Vec<Cache>), RegenError> {
    if let Some(folder) = &options.cache {
        return Ok((folder.join(repository.name()), Vec::new()));
    }
    let mut caches = Cache::all_to_ship(repository)?;
    let md5 = caches
        .iter()
        .position(|cache| cache.format() == CacheFormat::Md5Dict);
    if let Some(md5) = md5 {
        let md5 = caches.remove(md5);
        return Ok((md5.directory().to_owned(), caches));
    }
    match &options.memory {
        Some(folder) if options.mode == Mode::Write => {
            let place = Memory::path(folder, repository.name(), repository.location());
            Ok((place.with_extension("md5-cache"), caches))
        }
        _ => Err(RegenError::NoChecksums {
            path: repository.location().to_owned(),
        }),
    }
}

/// Brings the copies up to date, as far as the cache was.
pub(super) fn copy(
    shared: &Shared,
    copies: &[Cache],
    summary: &mut Summary,
) -> Result<(), RegenError> {
    let source = Cache::open(&shared.cache, CacheFormat::Md5Dict);
    if copies.is_empty() || shared.options.mode != Mode::Write || source.names()?.is_empty() {
        return Ok(());
    }
    let tree = Tree {
        repositories: &shared.repositories,
        name: &shared.repository,
    };
    let extent = match shared.options.packages.as_slice() {
        [] => Extent::Whole,
        packages => Extent::Packages(packages),
    };
    for target in copies {
        let done = transfer(&source, target, Some(tree), extent)?;
        for fault in &done.faults {
            summary.failed += 1;
            let place = fault.path.strip_prefix(&shared.cache);
            shared.tell(Event::Failed {
                package: place.unwrap_or(&fault.path).display().to_string(),
                ebuild: fault.path.clone(),
                causes: located(&fault.path, &fault.error),
            });
        }
        shared.tell(Event::Copied {
            path: target.directory().to_owned(),
            format: target.format().name().to_owned(),
            written: done.written,
            unchanged: done.unchanged,
            removed: done.removed,
        });
    }
    Ok(())
}
