//! `metadata/pkg_desc_index`, which lets a search read one file instead of all entries.

use super::{Cache, MetadataError, packages};
use crate::pms::cpv::Cpv;
use crate::pms::eapi::{Eapi, scan};
use crate::repo::RepoSet;
use crate::util::regular;

/// The text of a `pkg_desc_index` and what is missing in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PkgDescIndex {
    /// The text: a line for each package.
    pub text: String,
    /// Packages left out because the cache has no entry of their best version.
    pub missing: Vec<Cpv>,
}

/// Makes the text of a repository's `pkg_desc_index`, byte for byte as `egencache
/// --update-pkg-desc-index` does: name, versions in ascending order and the description of the
/// best one. That is taken from `cache`, whose entries must be up to date. A version of an EAPI
/// that is not supported has an empty description, as with Portage.
///
/// # Errors
/// The repository is unknown, or a directory, ebuild or entry cannot be read.
pub fn pkg_desc_index(
    repositories: &RepoSet,
    repository: &str,
    cache: &Cache,
) -> Result<PkgDescIndex, MetadataError> {
    let mut index = PkgDescIndex {
        text: String::new(),
        missing: Vec::new(),
    };
    for (cp, _) in packages::directories(repositories, repository)? {
        let ebuilds = match repositories.repository(repository) {
            Some(repository) => repository.ebuilds(&cp)?.ebuilds,
            None => Vec::new(),
        };
        let Some(best) = ebuilds.last() else {
            continue;
        };
        let description = match cache.get(&best.cpv)? {
            Some(stored) => {
                let eapi = stored.entry.get("EAPI").unwrap_or("0");
                let supported = Eapi::parse(eapi).is_ok();
                let description = stored.entry.get("DESCRIPTION").filter(|_| supported);
                description.unwrap_or_default().to_owned()
            }
            None => {
                let bytes = regular::read(&best.path).map_err(|source| MetadataError::Read {
                    path: best.path.clone(),
                    source,
                })?;
                if Eapi::parse(scan(&bytes)).is_ok() {
                    index.missing.push(best.cpv.clone());
                    continue;
                }
                String::new()
            }
        };
        let versions: Vec<&str> = ebuilds.iter().map(|ebuild| ebuild.cpv.pvr()).collect();
        index
            .text
            .push_str(&format!("{cp} {}: {description}\n", versions.join(" ")));
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::metadata::{CacheFormat, Entry};
    use crate::repo::RepoSettings;

    #[test]
    fn a_line_for_each_package() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("profiles/repo_name", "x\n");
        put("profiles/categories", "b-b\na-a\n");
        put("metadata/layout.conf", "masters =\n");
        for name in [
            "b-b/y/y-10",
            "b-b/y/y-9-r1",
            "b-b/y/y-9",
            "a-a/none/x",
            "a-a/m/m-1",
        ] {
            put(&format!("{name}.ebuild"), "EAPI=8\n");
        }
        put("b-b/future/future-1.ebuild", "EAPI=9999\n");
        put("b-b/empty/metadata.xml", "");
        let settings = RepoSettings {
            name: "x".to_owned(),
            location: directory.path().to_owned(),
            ..RepoSettings::default()
        };
        let set = RepoSet::new(&[settings], None).unwrap();
        let cache = Cache::open(
            directory.path().join("metadata/md5-cache"),
            CacheFormat::Md5Dict,
        );
        let md5 = "_md5_=0cc175b9c0f1b6a831c399e269772661\n";
        let entry = Entry::parse(&format!("DESCRIPTION=The: y\nEAPI=8\n{md5}")).unwrap();
        cache.put(&Cpv::parse("b-b/y-10").unwrap(), &entry).unwrap();
        let index = pkg_desc_index(&set, "x", &cache).unwrap();
        assert_eq!(index.text, "b-b/future 1: \nb-b/y 9 9-r1 10: The: y\n");
        assert_eq!(index.missing, [Cpv::parse("a-a/m-1").unwrap()]);
        assert!(pkg_desc_index(&set, "z", &cache).is_err());
    }
}
