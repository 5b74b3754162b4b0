//! Finding and storing entries: the cache shipped with a repository, and a writable one.

use std::fs;
use std::path::{Path, PathBuf};

use super::cache::is_absent;
use super::{Cache, CacheFormat, Entry, MetadataError, StaleReason};
use crate::repo::{Ebuild, RepoSet};
use crate::util::digest::{HashName, hash_file};

/// What the caches hold for an ebuild.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// An entry that is right.
    Valid(Entry),
    /// An entry, but one that does not count any more. Of several, the first one's reason.
    Stale(StaleReason),
    /// No entry.
    Missing,
}

/// Looks for a valid entry of `ebuild`, first in the cache shipped with its repository, then
/// below `writable_cache`, see [`cache_path`].
///
/// # Errors
/// The ebuild, an entry or an eclass cannot be read, or the repository is unknown.
pub fn lookup(
    repositories: &RepoSet,
    ebuild: &Ebuild,
    writable_cache: Option<&Path>,
) -> Result<Lookup, MetadataError> {
    let repository = ebuild.repository_in(repositories)?;
    let mut places = vec![repository.md5_cache_dir().join(ebuild.cpv.as_str())];
    places.extend(writable_cache.map(|directory| cache_path(directory, ebuild)));
    let mut md5: Option<String> = None;
    let mut stale = None;
    for place in places {
        let bytes = match fs::read(&place) {
            Ok(bytes) => bytes,
            Err(error) if is_absent(&error) => continue,
            Err(source) => {
                return Err(MetadataError::Read {
                    path: place,
                    source,
                });
            }
        };
        let reason = match Entry::parse(&String::from_utf8_lossy(&bytes)) {
            Err(error) => Some(StaleReason::Damaged(error.to_string())),
            Ok(entry) => {
                if md5.is_none() {
                    let digests = hash_file(&ebuild.path, &[HashName::Md5]).map_err(|error| {
                        MetadataError::Read {
                            path: error.path,
                            source: error.source,
                        }
                    })?;
                    md5 = digests.get(HashName::Md5).map(str::to_owned);
                }
                let md5 = md5.as_deref().unwrap_or_default();
                match entry.stale_against(repositories, ebuild, md5)? {
                    None => return Ok(Lookup::Valid(entry)),
                    reason => reason,
                }
            }
        };
        stale = stale.or(reason);
    }
    Ok(stale.map_or(Lookup::Missing, Lookup::Stale))
}

/// Where the entry of `ebuild` is in a writable cache:
/// `<directory>/<repository>/<category>/<PF>`.
pub fn cache_path(directory: &Path, ebuild: &Ebuild) -> PathBuf {
    directory
        .join(&*ebuild.repository)
        .join(ebuild.cpv.as_str())
}

/// Stores the entry of `ebuild` in the writable cache in `directory`, whole or not at all. Does
/// not touch an entry that holds the same already; tells whether it wrote.
///
/// # Errors
/// A directory cannot be made, or the file cannot be written.
pub fn store(directory: &Path, ebuild: &Ebuild, entry: &Entry) -> Result<bool, MetadataError> {
    Cache::open(directory.join(&*ebuild.repository), CacheFormat::Md5Dict).put(&ebuild.cpv, entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;
    use crate::repo::RepoSettings;

    struct Trees {
        directory: tempfile::TempDir,
        set: RepoSet,
    }

    impl Trees {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let write = |name: &str, text: &str| put(directory.path(), name, text);
            write("gentoo/profiles/repo_name", "gentoo\n");
            write("gentoo/metadata/layout.conf", "masters =\n");
            write("gentoo/eclass/a.eclass", "gentoo\n");
            write("over/profiles/repo_name", "over\n");
            write("over/metadata/layout.conf", "masters = gentoo\n");
            write("over/app-misc/foo/foo-1-r0.ebuild", "EAPI=8\ninherit a\n");
            let settings = ["gentoo", "over"].map(|name| RepoSettings {
                name: name.to_owned(),
                location: directory.path().join(name),
                ..RepoSettings::default()
            });
            let set = RepoSet::new(&settings, Some("gentoo")).unwrap();
            Self { directory, set }
        }

        fn put(&self, name: &str, text: &str) {
            put(self.directory.path(), name, text);
        }

        fn ebuild(&self) -> Ebuild {
            self.set.ebuilds("app-misc/foo").unwrap().remove(0)
        }

        fn entry(&self) -> Entry {
            let ebuild = self.ebuild();
            let md5 = HashName::Md5.hex(&fs::read(&ebuild.path).unwrap());
            let eclass = self.set.eclass("over", "a").unwrap();
            Entry::from_sourced(
                [("EAPI", "8"), ("SLOT", "0")],
                &md5,
                &[("a".to_owned(), eclass.md5)],
            )
            .unwrap()
        }
    }

    fn put(directory: &Path, name: &str, text: &str) {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_shipped_cache_goes_first() {
        let trees = Trees::new();
        let (ebuild, entry) = (trees.ebuild(), trees.entry());
        assert_eq!(lookup(&trees.set, &ebuild, None).unwrap(), Lookup::Missing);
        let cache = trees.directory.path().join("cache");
        assert!(store(&cache, &ebuild, &entry).unwrap());
        assert!(!store(&cache, &ebuild, &entry).unwrap());
        assert!(cache.join("over/app-misc/foo-1-r0").is_file());
        assert_eq!(lookup(&trees.set, &ebuild, None).unwrap(), Lookup::Missing);
        let found = lookup(&trees.set, &ebuild, Some(&cache)).unwrap();
        assert_eq!(found, Lookup::Valid(entry.clone()));

        let shipped = "over/metadata/md5-cache/app-misc/foo-1-r0";
        trees.put(
            shipped,
            &format!("{}DESCRIPTION=shipped\n", entry.to_md5_dict()),
        );
        let Lookup::Valid(found) = lookup(&trees.set, &ebuild, Some(&cache)).unwrap() else {
            panic!("not valid");
        };
        assert_eq!(found.get("DESCRIPTION"), Some("shipped"));

        trees.put(shipped, "nonsense\n");
        let found = lookup(&trees.set, &ebuild, Some(&cache)).unwrap();
        assert_eq!(found, Lookup::Valid(entry));
        assert!(matches!(
            lookup(&trees.set, &ebuild, None).unwrap(),
            Lookup::Stale(StaleReason::Damaged(_))
        ));
    }

    #[test]
    fn every_change_is_noticed() {
        let _rows = rows(&[37]);
        let trees = Trees::new();
        let (ebuild, entry) = (trees.ebuild(), trees.entry());
        assert_eq!(entry.stale(&trees.set, &ebuild).unwrap(), None);
        // An overlay's eclass of the same name now goes before.
        trees.put("over/eclass/a.eclass", "other\n");
        let changed = Some(StaleReason::EclassChanged("a".to_owned()));
        assert_eq!(entry.stale(&trees.set, &ebuild).unwrap(), changed);
        // The same text from another place is the same eclass.
        trees.put("over/eclass/a.eclass", "gentoo\n");
        assert_eq!(entry.stale(&trees.set, &ebuild).unwrap(), None);
        fs::remove_file(trees.directory.path().join("over/eclass/a.eclass")).unwrap();
        fs::remove_file(trees.directory.path().join("gentoo/eclass/a.eclass")).unwrap();
        let gone = Some(StaleReason::EclassMissing("a".to_owned()));
        assert_eq!(entry.stale(&trees.set, &ebuild).unwrap(), gone);
        trees.put("over/app-misc/foo/foo-1-r0.ebuild", "EAPI=8\n");
        let changed = Some(StaleReason::EbuildChanged);
        assert_eq!(entry.stale(&trees.set, &ebuild).unwrap(), changed);
    }

    #[test]
    fn a_touched_ebuild_stays_valid() {
        let _rows = rows(&[36]);
        let trees = Trees::new();
        let (ebuild, entry) = (trees.ebuild(), trees.entry());
        let file = fs::File::options().append(true).open(&ebuild.path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        assert_eq!(entry.stale(&trees.set, &ebuild).unwrap(), None);
    }

    #[test]
    fn other_entries_do_not_count() {
        let trees = Trees::new();
        let ebuild = trees.ebuild();
        for (text, reason) in [
            ("EAPI=99\n_md5_=x\n", StaleReason::Eapi("99".to_owned())),
            ("EAPI=8\n", StaleReason::NoChecksum),
        ] {
            let entry = Entry::parse(text).unwrap();
            assert_eq!(entry.stale(&trees.set, &ebuild).unwrap(), Some(reason));
        }
    }
}
