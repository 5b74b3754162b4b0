//! The packages of one repository, in the order of the files that list them.

use std::fs;
use std::path::PathBuf;

use super::MetadataError;
use crate::pms::names::NameKind;
use crate::repo::RepoSet;

/// The directories that have the name of a package, as `category/package` and path, sorted. There
/// need not be an ebuild in them.
pub(super) fn directories(
    repositories: &RepoSet,
    repository: &str,
) -> Result<Vec<(String, PathBuf)>, MetadataError> {
    let location = repositories.named(repository)?.location();
    let mut found = Vec::new();
    for category in repositories.categories()? {
        let directory = location.join(&category);
        let fail = |source| MetadataError::Read {
            path: directory.clone(),
            source,
        };
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if super::cache::is_absent(&error) => continue,
            Err(error) => return Err(fail(error)),
        };
        for entry in entries {
            let entry = entry.map_err(fail)?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let ours = NameKind::Package.is_valid(&name) && name != "CVS";
            if ours && entry.path().is_dir() {
                found.push((format!("{category}/{name}"), entry.path()));
            }
        }
    }
    found.sort();
    Ok(found)
}
