//! The files that are made of a whole repository beside its cache: `profiles/use.local.desc`,
//! `metadata/pkg_desc_index` and `metadata/timestamp.chk`, as `egencache` makes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::event::Event;
use super::run::{Mode, RegenError, Shared, Summary};
use crate::metadata::{
    Cache, CacheFormat, pkg_desc_index, timestamp_chk, use_local_desc, write_if_changed,
};
use crate::util::causes::located;
use crate::util::output::Output;

/// Which of the files are to be made, and where. `Some(None)` is the repository's own place.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    /// The descriptions of USE flags that are in the packages' `metadata.xml`.
    pub use_local_desc: Option<Option<PathBuf>>,
    /// Names, versions and descriptions of all packages.
    pub pkg_desc_index: Option<Option<PathBuf>>,
    /// When the repository was brought up to date; always written.
    pub timestamp: bool,
}

/// Makes the files that are wanted, of a cache that is up to date.
pub(super) fn make(shared: &Shared, summary: &mut Summary) -> Result<(), RegenError> {
    let lists = &shared.options.lists;
    let repositories = &shared.repositories;
    let name = &shared.repository;
    let own = |place: &str| {
        let repository = repositories.repository(name);
        repository.map_or_else(PathBuf::new, |it| it.location().join(place))
    };
    if let Some(place) = &lists.use_local_desc {
        let own = own("profiles/use.local.desc");
        let made = use_local_desc(repositories, name, None)?;
        for (path, error) in made.faults {
            summary.failed += 1;
            let why = located(&path, &error);
            shared.tell(Event::Failed {
                package: package(&path),
                ebuild: path,
                causes: why,
            });
        }
        list(shared, place.as_deref(), &own, &made.text, summary)?;
    }
    if let Some(place) = &lists.pkg_desc_index {
        let own = own("metadata/pkg_desc_index");
        let path = place.as_deref().unwrap_or(&own);
        let cache = Cache::open(&shared.cache, CacheFormat::Md5Dict);
        let made = pkg_desc_index(repositories, name, &cache)?;
        for cpv in made.missing {
            shared.tell(Event::Notice {
                text: format!("{cpv} has no entry and is left out of {}", path.display()),
            });
        }
        list(shared, place.as_deref(), &own, &made.text, summary)?;
    }
    if lists.timestamp && shared.options.mode == Mode::Write {
        let text = timestamp_chk(SystemTime::now());
        write_if_changed(&own("metadata/timestamp.chk"), &text)?;
    }
    Ok(())
}

/// Writes one of the files, at the place that was named or at the repository's own, if it is not what it should be.
/// Only the links of one that was named are followed: those in a repository may be anybody's.
fn list(
    shared: &Shared,
    named: Option<&Path>,
    own: &Path,
    text: &str,
    summary: &mut Summary,
) -> Result<(), RegenError> {
    let output = named.map(Output::find).transpose()?;
    let file = match &output {
        Some(output) => output.file(),
        None => Some(own),
    };
    let changed = match (shared.options.mode, file, &output) {
        (Mode::Write, Some(file), _) => write_if_changed(file, text)?,
        (Mode::Write, None, Some(output)) => {
            output.write(text.as_bytes())?;
            true
        }
        (_, Some(file), _) => {
            let same = fs::read(file).is_ok_and(|known| known == text.as_bytes());
            summary.stale += usize::from(!same);
            !same
        }
        // Nothing can be compared with a device.
        (_, None, _) => false,
    };
    shared.tell(Event::Listed {
        path: named.unwrap_or(own).to_owned(),
        changed,
    });
    Ok(())
}

/// The package whose directory has the file.
fn package(path: &Path) -> String {
    let parts: Vec<_> = path.iter().rev().skip(1).take(2).collect();
    match parts[..] {
        [name, category] => format!("{}/{}", category.display(), name.display()),
        _ => String::new(),
    }
}
