//! `PKG_INSTALL_MASK`: what stays out of the binary package though it is in the image.
//!
//! `INSTALL_MASK`, and with it FEATURES nodoc, noinfo and noman, is a matter of merging: a binary
//! package holds what they keep out.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Image, ImageError, glob, walk};

/// A parsed mask: patterns in order, of which the last that matches decides.
#[derive(Debug, Clone, Default)]
pub struct InstallMask(Vec<Pattern>);

#[derive(Debug, Clone)]
struct Pattern {
    /// Whether it masks, or makes an exception.
    masks: bool,
    /// Without the `-` of an exception.
    text: String,
}

impl InstallMask {
    /// Parses words: a pattern with a leading `/` is about paths and what is below them, any other
    /// about file names; `-` makes an exception.
    pub fn new(value: &str) -> Self {
        Self(
            value
                .split_whitespace()
                .map(|word| match word.strip_prefix('-') {
                    Some(text) => Pattern {
                        masks: false,
                        text: text.to_owned(),
                    },
                    None => Pattern {
                        masks: true,
                        text: word.to_owned(),
                    },
                })
                .collect(),
        )
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a path relative to `ED` is masked; a directory's ends with `/`.
    pub fn masks(&self, path: &[u8]) -> bool {
        self.0
            .iter()
            .rfind(|pattern| pattern.matches(path))
            .is_some_and(|pattern| pattern.masks)
    }
}

impl Pattern {
    fn matches(&self, path: &[u8]) -> bool {
        let Some(anchored) = self.text.strip_prefix('/') else {
            let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            return glob::matches(self.text.as_bytes(), name);
        };
        // Only `*` makes a component a pattern here; up to the first such the names must be equal.
        let mut parts = path
            .split(|&byte| byte == b'/')
            .filter(|part| !part.is_empty());
        for fixed in anchored.split('/').filter(|part| !part.is_empty()) {
            if fixed.contains('*') {
                break;
            }
            if parts.next() != Some(fixed.as_bytes()) {
                return false;
            }
        }
        let bare = anchored.trim_end_matches('/');
        let exact = if path.ends_with(b"/") {
            format!("{bare}/")
        } else {
            anchored.to_owned()
        };
        glob::matches(exact.as_bytes(), path) || glob::matches(format!("{bare}/*").as_bytes(), path)
    }
}

/// Removes what is masked below `top`: files, links and the like, then masked directories that
/// are empty.
///
/// # Errors
///
/// When a file cannot be removed.
pub fn apply(top: &Path, mask: &InstallMask) -> Result<(), ImageError> {
    let entries = walk::walk(top)?;
    let relative = |path: &Path| {
        path.strip_prefix(top)
            .unwrap_or(path)
            .as_os_str()
            .as_bytes()
            .to_vec()
    };
    for entry in entries.iter().filter(|entry| !entry.metadata.is_dir()) {
        if mask.masks(&relative(&entry.path)) {
            fs::remove_file(&entry.path).map_err(ImageError::io("remove", &entry.path))?;
        }
    }
    for entry in entries.iter().rev().filter(|entry| entry.metadata.is_dir()) {
        let mut path = relative(&entry.path);
        path.push(b'/');
        if mask.masks(&path) {
            // One that still holds an exception stays.
            let _ = fs::remove_dir(&entry.path);
        }
    }
    Ok(())
}

/// The directory to pack: the image itself, or, when `mask` holds anything, a tree of hard links
/// in `T/packaging` without what is masked. Remove the latter when the package is written.
///
/// # Errors
///
/// When the tree cannot be made.
pub fn packaging_tree(image: &Image, mask: &InstallMask) -> Result<PathBuf, ImageError> {
    if mask.is_empty() {
        return Ok(image.d.clone());
    }
    let tree = image.temp.join("packaging");
    match fs::remove_dir_all(&tree) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(ImageError::io("remove", &tree)(error));
        }
        _ => {}
    }
    let copy_directory = |from: &Path, to: &Path| -> Result<(), ImageError> {
        let metadata = fs::symlink_metadata(from).map_err(ImageError::io("look at it", from))?;
        fs::create_dir(to).map_err(ImageError::io("create", to))?;
        let now = fs::symlink_metadata(to).map_err(ImageError::io("look at it", to))?;
        if (now.uid(), now.gid()) != (metadata.uid(), metadata.gid()) {
            std::os::unix::fs::chown(to, Some(metadata.uid()), Some(metadata.gid()))
                .map_err(ImageError::io("change the owner of", to))?;
        }
        fs::set_permissions(to, fs::Permissions::from_mode(metadata.mode() & 0o7777))
            .map_err(ImageError::io("set the mode of", to))
    };
    copy_directory(&image.d, &tree)?;
    let entries = walk::walk(&image.d)?;
    let target = |path: &Path| tree.join(path.strip_prefix(&image.d).unwrap_or(path));
    for entry in &entries {
        let to = target(&entry.path);
        if entry.metadata.is_dir() {
            copy_directory(&entry.path, &to)?;
        } else {
            fs::hard_link(&entry.path, &to).map_err(ImageError::io("link", &entry.path))?;
        }
    }
    let directories = entries.iter().rev().filter(|entry| entry.metadata.is_dir());
    for entry in directories {
        copy_times(&entry.path, &target(&entry.path))?;
    }
    copy_times(&image.d, &tree)?;
    apply(&tree.join(image.eprefix.trim_start_matches('/')), mask)?;
    Ok(tree)
}

/// Gives a directory the times of another.
fn copy_times(from: &Path, to: &Path) -> Result<(), ImageError> {
    let metadata = fs::symlink_metadata(from).map_err(ImageError::io("look at it", from))?;
    filetime::set_file_times(
        to,
        filetime::FileTime::from_last_access_time(&metadata),
        filetime::FileTime::from_last_modification_time(&metadata),
    )
    .map_err(ImageError::io("set the times of", to))
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestImage;
    use super::*;

    fn masks(mask: &str, path: &str) -> bool {
        InstallMask::new(mask).masks(path.as_bytes())
    }

    #[test]
    fn anchored_patterns_take_what_is_below() {
        assert!(masks("/usr/share/doc", "usr/share/doc/foo/README"));
        assert!(masks("/usr/share/doc", "usr/share/doc/"));
        assert!(masks("/usr/share/doc/", "usr/share/doc/"));
        assert!(!masks("/usr/share/doc", "usr/share/docs/x"));
        assert!(masks("/usr/*/doc", "usr/share/doc/x"));
        assert!(masks("/usr/lib*/*.a", "usr/lib64/sub/libx.a"));
        // As in Portage, a component without a star is a name even with other signs in it.
        assert!(!masks("/usr/share/do?", "usr/share/doc"));
    }

    #[test]
    fn names_and_exceptions() {
        assert!(masks("*.la", "usr/lib/libx.la"));
        assert!(!masks("doc", "usr/share/doc/"));
        assert!(!masks("*.la -/usr/lib/keep.la", "usr/lib/keep.la"));
        assert!(masks("-/usr/lib/keep.la *.la", "usr/lib/keep.la"));
    }

    #[test]
    fn the_image_stays_and_the_tree_is_masked() {
        let test = TestImage::new();
        test.file("usr/share/doc/a/README", "x");
        test.file("usr/share/doc/b/COPYING", "x");
        test.file("usr/bin/foo", "x");
        let none = packaging_tree(&test.image, &InstallMask::default()).unwrap();
        assert_eq!(none, test.image.d);
        let mask = InstallMask::new("/usr/share/doc -COPYING");
        let tree = packaging_tree(&test.image, &mask).unwrap();
        assert!(!tree.join("usr/share/doc/a").exists());
        assert!(tree.join("usr/share/doc/b/COPYING").exists());
        assert!(tree.join("usr/bin/foo").exists());
        assert!(test.path("usr/share/doc/a/README").exists());
    }
}
