//! A directory of cache entries (PMS 14.1).

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::format::Stored;
use super::{CacheFormat, Entry, MetadataError};
use crate::pms::cpv::Cpv;
use crate::repo::Repository;
use crate::util::atomic::AtomicFile;

/// A cache: a directory with a directory for each category, in which is a file for each ebuild.
/// Files with names that no ebuild has are neither read nor touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    directory: PathBuf,
    format: CacheFormat,
}

impl Cache {
    /// The cache in `directory`, which need not exist yet.
    pub fn open(directory: impl Into<PathBuf>, format: CacheFormat) -> Self {
        Self {
            directory: directory.into(),
            format,
        }
    }

    /// The cache in `directory`, whose format is told from its entries; none when there are no
    /// entries that tell.
    ///
    /// # Errors
    /// A directory or entry cannot be read.
    pub fn detect(directory: impl Into<PathBuf>) -> Result<Option<Self>, MetadataError> {
        let mut cache = Self::open(directory, CacheFormat::Md5Dict);
        let mut likely = None;
        for cpv in cache.names()? {
            let path = cache.path(&cpv);
            let bytes = fs::read(&path).map_err(|source| MetadataError::Read { path, source })?;
            match CacheFormat::of(&String::from_utf8_lossy(&bytes)) {
                Some((format, true)) => {
                    cache.format = format;
                    return Ok(Some(cache));
                }
                Some((format, false)) => likely = likely.or(Some(format)),
                None => {}
            }
        }
        Ok(likely.map(|format| Self { format, ..cache }))
    }

    /// The cache that is shipped with a repository: the first of its formats that is known and
    /// of which there are entries.
    ///
    /// # Errors
    /// A directory or entry cannot be read.
    pub fn shipped(repository: &Repository) -> Result<Option<Self>, MetadataError> {
        for name in repository.cache_formats() {
            let Some(directory) = CacheFormat::from_name(&name)
                .and_then(CacheFormat::directory_in_repository)
                .map(|directory| repository.location().join(directory))
            else {
                continue;
            };
            if let Some(cache) = Self::detect(directory)? {
                return Ok(Some(cache));
            }
        }
        Ok(None)
    }

    /// The cache to write into a repository: of `format` or, without one, the first of
    /// [`all_to_ship`](Self::all_to_ship).
    ///
    /// # Errors
    /// The format has no place in a repository, or what is there cannot be read.
    pub fn to_ship(
        repository: &Repository,
        format: Option<CacheFormat>,
    ) -> Result<Self, MetadataError> {
        match format {
            Some(format) => Self::in_repository(repository, format),
            None => match Self::all_to_ship(repository)?.into_iter().next() {
                Some(cache) => Ok(cache),
                None => Self::in_repository(repository, CacheFormat::Md5Dict),
            },
        }
    }

    /// The caches that a repository is to have: of each of its formats that is known and has a
    /// place in repositories, or else md5-dict. Where there are flat lists in Portage's order
    /// already, they stay so.
    ///
    /// # Errors
    /// What is there cannot be read.
    pub fn all_to_ship(repository: &Repository) -> Result<Vec<Self>, MetadataError> {
        let mut caches: Vec<Self> = Vec::new();
        for name in repository.cache_formats() {
            let place = CacheFormat::from_name(&name)
                .map(|format| Self::in_repository(repository, format))
                .and_then(Result::ok);
            let Some(mut cache) = place.filter(|cache| !caches.contains(cache)) else {
                continue;
            };
            if cache.format == CacheFormat::FlatList
                && let Some(found) = Self::detect(&cache.directory)?
                && found.format.lines().is_some()
            {
                cache = found;
            }
            caches.push(cache);
        }
        if caches.is_empty() {
            caches.push(Self::in_repository(repository, CacheFormat::Md5Dict)?);
        }
        Ok(caches)
    }

    /// The cache of a format in a repository.
    fn in_repository(repository: &Repository, format: CacheFormat) -> Result<Self, MetadataError> {
        match format.directory_in_repository() {
            Some(directory) => Ok(Self::open(repository.location().join(directory), format)),
            None => Err(MetadataError::NoPlace {
                format,
                path: repository.location().to_owned(),
            }),
        }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The format.
    pub fn format(&self) -> CacheFormat {
        self.format
    }

    /// The file of an entry.
    pub fn path(&self, cpv: &Cpv) -> PathBuf {
        self.directory.join(cpv.as_str())
    }

    /// The packages that have an entry, sorted by name. No directory has none.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn names(&self) -> Result<Vec<Cpv>, MetadataError> {
        let mut found = Vec::new();
        for category in names_in(&self.directory)? {
            for pf in names_in(&self.directory.join(&category))? {
                if let Ok(cpv) = Cpv::from_parts(&category, &pf)
                    && self.path(&cpv).is_file()
                {
                    found.push(cpv);
                }
            }
        }
        found.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        Ok(found)
    }

    /// An entry, or none.
    ///
    /// # Errors
    /// The file cannot be read, or is no entry.
    pub fn get(&self, cpv: &Cpv) -> Result<Option<Stored>, MetadataError> {
        let path = self.path(cpv);
        let read = || -> io::Result<(Vec<u8>, i64)> {
            let mtime = fs::metadata(&path)?.mtime();
            Ok((fs::read(&path)?, mtime))
        };
        let (bytes, mtime) = match read() {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(source) => return Err(MetadataError::Read { path, source }),
        };
        let stored = match String::from_utf8(bytes) {
            Ok(text) => self.format.decode(&text, mtime),
            Err(_) => Err(MetadataError::Encoding),
        };
        stored.map(Some).map_err(|source| MetadataError::File {
            path,
            source: Box::new(source),
        })
    }

    /// Stores an entry, whole or not at all, unless the file holds exactly that already; tells
    /// whether it wrote. The entry must have the checksums of the format, see
    /// [`convert`](super::convert).
    ///
    /// # Errors
    /// The entry lacks a checksum, a directory cannot be made, or the file cannot be written.
    pub fn put(&self, cpv: &Cpv, entry: &Entry) -> Result<bool, MetadataError> {
        let path = self.path(cpv);
        let (text, mtime) = self
            .format
            .encode(entry)
            .map_err(|source| MetadataError::File {
                path: path.clone(),
                source: Box::new(source),
            })?;
        let same_time = |path| {
            mtime.is_none_or(|mtime| fs::metadata(path).is_ok_and(|found| found.mtime() == mtime))
        };
        if fs::read(&path).is_ok_and(|known| known == text.as_bytes()) && same_time(&path) {
            return Ok(false);
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|source| MetadataError::Create {
                path: parent.to_owned(),
                source,
            })?;
        }
        let mut file = AtomicFile::create(&path, 0o644)?;
        file.write_all(text.as_bytes())
            .map_err(|source| MetadataError::Store {
                path: path.clone(),
                source,
            })?;
        if let Some(mtime) = mtime {
            file.set_modified(time(mtime))?;
        }
        // An entry lost in a power failure is made again.
        file.commit_unsynced()?;
        Ok(true)
    }

    /// Removes an entry; tells whether there was one.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn remove(&self, cpv: &Cpv) -> Result<bool, MetadataError> {
        let path = self.path(cpv);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(source) => Err(MetadataError::Remove { path, source }),
        }
    }

    /// Removes the directories of categories that are empty, and gives their number.
    ///
    /// # Errors
    /// A directory cannot be read or removed.
    pub fn prune(&self) -> Result<usize, MetadataError> {
        let mut removed = 0;
        for category in names_in(&self.directory)? {
            let path = self.directory.join(category);
            if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_dir()) {
                continue;
            }
            match fs::remove_dir(&path) {
                Ok(()) => removed += 1,
                Err(error)
                    if is_absent(&error) || error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                Err(source) => return Err(MetadataError::Remove { path, source }),
            }
        }
        Ok(removed)
    }
}

/// A number of seconds, also one before 1970, as a point in time.
fn time(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        SystemTime::UNIX_EPOCH - distance
    } else {
        SystemTime::UNIX_EPOCH + distance
    }
}

/// The names in a directory that could be a category's or an entry's; none without a directory.
fn names_in(directory: &Path) -> Result<Vec<String>, MetadataError> {
    let fail = |source| MetadataError::Read {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry.map_err(fail)?.file_name().into_string()
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    Ok(names)
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "0cc175b9c0f1b6a831c399e269772661";

    fn cpv(text: &str) -> Cpv {
        Cpv::parse(text).unwrap()
    }

    fn inode(path: &Path) -> (u64, i64, i64) {
        let found = fs::metadata(path).unwrap();
        (found.ino(), found.ctime(), found.ctime_nsec())
    }

    #[test]
    fn entries_are_stored_once() {
        let directory = tempfile::tempdir().unwrap();
        let entry = Entry::parse(&format!("EAPI=8\nX=y\n_md5_={MD5}\n_mtime_=12\n")).unwrap();
        for format in CacheFormat::ALL {
            let cache = Cache::open(directory.path().join(format.name()), format);
            let foo = cpv("app-misc/foo-1-r0");
            assert_eq!(cache.names().unwrap(), []);
            assert_eq!(cache.get(&foo).unwrap(), None);
            assert!(cache.put(&foo, &entry).unwrap());
            let before = inode(&cache.path(&foo));
            assert!(!cache.put(&foo, &entry).unwrap());
            assert_eq!(inode(&cache.path(&foo)), before);
            let stored = cache.get(&foo).unwrap().unwrap();
            assert_eq!(stored.entry.get("EAPI"), Some("8"));
            if format.lines().is_some() {
                assert_eq!(fs::metadata(cache.path(&foo)).unwrap().mtime(), 12);
                // The same text with another time is another entry.
                let mut later = entry.clone();
                later.set("_mtime_", "13".to_owned());
                assert!(cache.put(&foo, &later).unwrap());
            } else {
                assert_eq!(stored.entry, entry);
            }
            assert_eq!(cache.names().unwrap()[0].as_str(), "app-misc/foo-1-r0");
            assert!(Cache::detect(cache.directory()).unwrap().is_some());
            assert!(cache.remove(&foo).unwrap());
            assert!(!cache.remove(&foo).unwrap());
            assert_eq!(cache.prune().unwrap(), 1);
            assert!(cache.directory().is_dir());
        }
    }

    #[test]
    fn strangers_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("app-misc");
        fs::create_dir(&place).unwrap();
        for name in [".foo-1.abc", "Manifest.gz", "foo"] {
            fs::write(place.join(name), "x").unwrap();
        }
        fs::write(directory.path().join("Manifest"), "x").unwrap();
        fs::create_dir(place.join("bar-1")).unwrap();
        let cache = Cache::open(directory.path(), CacheFormat::Md5Dict);
        assert_eq!(cache.names().unwrap(), []);
        assert_eq!(cache.prune().unwrap(), 0);
        assert_eq!(Cache::detect(directory.path()).unwrap(), None);
    }

    #[test]
    fn faults_name_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::open(directory.path(), CacheFormat::Md5Dict);
        let foo = cpv("app-misc/foo-1");
        fs::create_dir(directory.path().join("app-misc")).unwrap();
        fs::write(cache.path(&foo), "EAPI=8\n").unwrap();
        let error = cache.get(&foo).unwrap_err().to_string();
        assert!(
            error.ends_with("app-misc/foo-1: no usable cache entry"),
            "{error}"
        );
        fs::write(cache.path(&foo), b"EAPI=8\nX=\xff\n").unwrap();
        assert!(cache.get(&foo).is_err());
        let error = cache.put(&foo, &Entry::default()).unwrap_err();
        assert!(matches!(error, MetadataError::File { .. }));
    }

    #[test]
    fn repositories_say_which_formats_they_have() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("profiles/repo_name", "x\n");
        let open = || Repository::open(root).unwrap();
        assert_eq!(Cache::shipped(&open()).unwrap(), None);
        let target = Cache::to_ship(&open(), None).unwrap();
        assert_eq!(target.format(), CacheFormat::Md5Dict);
        assert!(target.directory().ends_with("metadata/md5-cache"));
        write(
            "metadata/cache/app-misc/foo-1",
            &format!("{}\n8\n\n\n\n\n\n\n\n", "\n".repeat(13)),
        );
        let shipped = Cache::shipped(&open()).unwrap().unwrap();
        assert_eq!(shipped.format(), CacheFormat::FlatList);
        write(
            "metadata/cache/app-misc/foo-1",
            &format!("{}\n8\n\n\n\n\n\n\n", "\n".repeat(14)),
        );
        let target = Cache::to_ship(&open(), None).unwrap();
        assert_eq!(target.format(), CacheFormat::FlatListPortage);
        write(
            "metadata/layout.conf",
            "cache-formats = sqlite md5-dict pms\n",
        );
        let shipped = Cache::shipped(&open()).unwrap().unwrap();
        assert_eq!(shipped.format(), CacheFormat::FlatListPortage);
        let target = Cache::to_ship(&open(), None).unwrap();
        assert_eq!(target.format(), CacheFormat::Md5Dict);
        let error = Cache::to_ship(&open(), Some(CacheFormat::FlatHash)).unwrap_err();
        assert!(error.to_string().contains("no place for flat_hash"));
    }
}
