//! Folders with ebuilds that are no packages of a repository: nobody looks into them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::{RepoError, Repository};
use crate::pms::names::NameKind;
use crate::util::printable::printable;

/// Folders of a repository that are no categories.
const OTHERS: [&str; 4] = ["eclass", "licenses", "metadata", "profiles"];

/// A folder whose ebuilds are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The folder.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = printable(self.path.as_os_str());
        write!(
            formatter,
            "{path}: {}; its ebuilds are left out",
            self.reason
        )
    }
}

impl Repository {
    /// The folders with ebuilds that are none of these categories, sorted.
    ///
    /// # Errors
    /// The repository's folder cannot be read.
    pub fn unlisted_categories(&self, categories: &[String]) -> Result<Vec<LeftOut>, RepoError> {
        let mut found = Vec::new();
        for path in folders(self.location())? {
            let name = path.file_name().and_then(OsStr::to_str);
            let is_other = name.is_some_and(|name| {
                OTHERS.contains(&name) || categories.iter().any(|category| category == name)
            });
            // What cannot be read tells nothing.
            let holds = || folders(&path).is_ok_and(|all| all.iter().any(|it| has_ebuilds(it)));
            if is_other || !holds() {
                continue;
            }
            let reason = fault(NameKind::Category, &path)
                .unwrap_or_else(|| "is not among the categories of profiles/categories".to_owned());
            found.push(LeftOut { path, reason });
        }
        Ok(found)
    }

    /// The folders with ebuilds in a category whose names no package can have, sorted.
    ///
    /// # Errors
    /// The category's folder cannot be read.
    pub fn misnamed_packages(&self, category: &str) -> Result<Vec<LeftOut>, RepoError> {
        let mut found = Vec::new();
        for path in folders(&self.location().join(category))? {
            if let Some(reason) = fault(NameKind::Package, &path)
                && has_ebuilds(&path)
            {
                found.push(LeftOut { path, reason });
            }
        }
        Ok(found)
    }
}

/// What is wrong with the name of a folder.
fn fault(kind: NameKind, folder: &Path) -> Option<String> {
    match folder.file_name().and_then(OsStr::to_str) {
        Some(name) => kind.check(name).err().map(|error| error.to_string()),
        None => Some("its name is not UTF-8".to_owned()),
    }
}

/// The folders in a folder that are not hidden, sorted.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, RepoError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if super::text::is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(RepoError::read(folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(RepoError::read(folder))?;
        let kind = entry.file_type();
        let may_be = kind.is_ok_and(|kind| kind.is_dir() || kind.is_symlink());
        if may_be && !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn has_ebuilds(folder: &Path) -> bool {
    let is_ebuild = |name: &[u8]| name.ends_with(b".ebuild") && !name.starts_with(b".");
    fs::read_dir(folder).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| is_ebuild(entry.file_name().as_encoded_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn folders_with_ebuilds_that_are_no_packages_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &[u8]| {
            let path = folder.path().join(OsStr::from_bytes(name));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        put(b"profiles/categories");
        for name in [
            &b"app-misc/foo/foo-1.ebuild"[..],
            b"app-misc/+plus/+plus-1.ebuild",
            b"app-misc/foo-1/foo-1-1.ebuild",
            b"app-misc/f\xff/f-1.ebuild",
            b"app-misc/none.1/metadata.xml",
            b"app-misc/.hidden/hidden-1.ebuild",
            b"other/foo/foo-1.ebuild",
            b"b@d/foo/foo-1.ebuild",
            b"scripts/x/y",
            b"metadata/x/x.ebuild",
        ] {
            put(name);
        }
        let opened = Repository::open(folder.path()).unwrap();
        let told = |found: Vec<LeftOut>| -> Vec<String> {
            let base = format!("{}/", opened.location().display());
            found
                .iter()
                .map(|one| one.to_string().replace(&base, ""))
                .collect()
        };
        let unlisted = told(
            opened
                .unlisted_categories(&["app-misc".to_owned()])
                .unwrap(),
        );
        assert_eq!(unlisted.len(), 2, "{unlisted:#?}");
        assert!(unlisted[0].starts_with("b@d: "));
        assert_eq!(
            unlisted[1],
            "other: is not among the categories of profiles/categories; its ebuilds are left out"
        );
        let misnamed = told(opened.misnamed_packages("app-misc").unwrap());
        assert_eq!(misnamed.len(), 3, "{misnamed:#?}");
        for (found, begin) in misnamed.iter().zip([
            "app-misc/+plus: ",
            "app-misc/foo-1: ",
            "app-misc/f\\xff: its name is not UTF-8",
        ]) {
            assert!(found.starts_with(begin), "{found}");
        }
        assert!(opened.misnamed_packages("none").unwrap().is_empty());
        let nowhere = Path::new("app-misc/foo/foo-1.ebuild");
        assert!(!has_ebuilds(&folder.path().join(nowhere)));
    }
}
