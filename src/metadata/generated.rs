//! Writing the files that are made of a whole repository.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::MetadataError;
use crate::util::atomic::AtomicFile;

/// Writes a generated file, such as `profiles/use.local.desc`, and its directory; tells whether
/// it did. A file that holds the text already is not touched, and one that is written gets a time
/// of whole seconds, so that synchronizing by time and size finds what changed and no more.
///
/// # Errors
/// The directory cannot be made or the file cannot be written.
pub fn write_if_changed(path: &Path, text: &str) -> Result<bool, MetadataError> {
    if fs::read(path).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(false);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|source| MetadataError::Create {
            path: parent.to_owned(),
            source,
        })?;
    }
    let mut file = AtomicFile::create(path, 0o644)?;
    file.write_all(text.as_bytes())
        .map_err(|source| MetadataError::Store {
            path: path.to_owned(),
            source,
        })?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    file.set_modified(UNIX_EPOCH + Duration::from_secs(now.map_or(0, |now| now.as_secs())))?;
    file.commit()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_same_text_is_not_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("profiles/use.local.desc");
        assert!(write_if_changed(&path, "a").unwrap());
        let before = fs::metadata(&path).unwrap();
        assert_eq!(before.mtime_nsec(), 0);
        assert!(!write_if_changed(&path, "a").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().ino(), before.ino());
        assert!(write_if_changed(&path, "b").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"b");
    }
}
