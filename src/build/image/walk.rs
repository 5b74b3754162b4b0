//! Walks over an image that never follow a symbolic link.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use super::ImageError;

/// One file, directory or link found by [`walk`].
pub(crate) struct Entry {
    /// The whole path.
    pub(crate) path: PathBuf,
    /// What `lstat` says about it.
    pub(crate) metadata: Metadata,
}

/// Everything below `top`, `top` itself left out, a directory before what it holds.
///
/// The order within a directory is the one the file system gives, and a directory's content
/// follows at once: the order in which scanelf and Portage meet the files. Gives `top` alone when
/// it is a regular file, nothing when it does not exist.
pub(crate) fn walk(top: &Path) -> Result<Vec<Entry>, ImageError> {
    let mut found = Vec::new();
    let metadata = match fs::symlink_metadata(top) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(ImageError::io("look at it", top)(error)),
    };
    if metadata.is_file() {
        found.push(Entry {
            path: top.to_path_buf(),
            metadata,
        });
        return Ok(found);
    }
    if !metadata.is_dir() {
        return Ok(found);
    }
    let mut open = vec![read_dir(top)?];
    while let Some(directory) = open.last_mut() {
        let Some(path) = directory.next() else {
            open.pop();
            continue;
        };
        let metadata = fs::symlink_metadata(&path).map_err(ImageError::io("look at it", &path))?;
        if metadata.is_dir() {
            open.push(read_dir(&path)?);
        }
        found.push(Entry { path, metadata });
    }
    Ok(found)
}

/// The paths in one directory, in the file system's order. They are read at once, so that however
/// deep the tree is no descriptors pile up.
fn read_dir(path: &Path) -> Result<std::vec::IntoIter<PathBuf>, ImageError> {
    fs::read_dir(path)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map(Vec::into_iter)
        .map_err(ImageError::io("list the directory", path))
}

/// The paths in one directory sorted by name; nothing when there is no such directory.
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>, ImageError> {
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let mut found: Vec<_> = read_dir(path)?.collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_listed_but_not_entered() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("link")).unwrap();
        let mut found: Vec<_> = walk(dir.path())
            .unwrap()
            .into_iter()
            .map(|e| e.path.strip_prefix(dir.path()).unwrap().to_path_buf())
            .collect();
        let at = |name: &str| found.iter().position(|p| p == Path::new(name)).unwrap();
        assert!(at("a") < at("a/b") && at("a/b") < at("a/b/file"));
        found.sort();
        assert_eq!(
            found,
            ["a", "a/b", "a/b/file", "link"].map(PathBuf::from).to_vec()
        );
        assert!(walk(&dir.path().join("none")).unwrap().is_empty());
        assert!(walk(&dir.path().join("link")).unwrap().is_empty());
    }
}
