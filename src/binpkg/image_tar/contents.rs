//! What is packed: a whole folder, or some files of a system.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{ImageError, Layout, read_error};

/// What is packed.
#[derive(Debug, Clone, Copy)]
pub enum Contents<'a> {
    /// Everything below a folder, with the folder itself.
    Tree(&'a Path),
    /// Some of what is below a folder.
    Listed {
        /// The folder.
        root: &'a Path,
        /// What is packed of it, in this order.
        entries: &'a [Listed],
    },
}

/// Something that is packed.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its path below the folder.
    pub relative: PathBuf,
    /// Where it is.
    pub path: PathBuf,
    /// What is packed as the content of the file instead of its own.
    pub content: Option<Vec<u8>>,
}

impl<'a> From<&'a Path> for Contents<'a> {
    fn from(path: &'a Path) -> Self {
        Self::Tree(path)
    }
}

impl<'a> From<&'a PathBuf> for Contents<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::Tree(path)
    }
}

/// Something that was found.
pub(super) struct Found<'a> {
    /// Its path below the image.
    pub(super) relative: &'a Path,
    /// Where it is.
    pub(super) path: &'a Path,
    /// What it is.
    pub(super) metadata: &'a Metadata,
    /// What stands for the content of the file.
    pub(super) content: Option<&'a [u8]>,
}

impl Found<'_> {
    /// The bytes of the file.
    pub(super) fn size(&self) -> u64 {
        match self.content {
            Some(content) => content.len() as u64,
            None => self.metadata.size(),
        }
    }
}

/// Calls `each` for everything, in the order of an archive.
pub(super) fn walk(
    contents: Contents<'_>,
    layout: Layout,
    mut each: impl FnMut(Found<'_>) -> Result<(), ImageError>,
) -> Result<(), ImageError> {
    match contents {
        Contents::Tree(image) => tree(image, each),
        // The archive of a gpkg is never empty.
        Contents::Listed { root, entries: [] } if layout == Layout::Gpkg => {
            let metadata = fs::metadata(root).map_err(|source| read_error(root, source))?;
            each(Found {
                relative: Path::new(""),
                path: root,
                metadata: &metadata,
                content: None,
            })
        }
        Contents::Listed { entries, .. } => entries.iter().try_for_each(|entry| {
            let path = &entry.path;
            let metadata = fs::symlink_metadata(path).map_err(|source| read_error(path, source))?;
            each(Found {
                relative: &entry.relative,
                path,
                metadata: &metadata,
                content: entry.content.as_deref().filter(|_| metadata.is_file()),
            })
        }),
    }
}

fn tree(
    image: &Path,
    mut each: impl FnMut(Found<'_>) -> Result<(), ImageError>,
) -> Result<(), ImageError> {
    let mut waiting = vec![PathBuf::new()];
    while let Some(relative) = waiting.pop() {
        let top = relative.as_os_str().is_empty();
        let path = if top {
            image.to_owned()
        } else {
            image.join(&relative)
        };
        let metadata = fs::symlink_metadata(&path).map_err(|source| read_error(&path, source))?;
        if top && !metadata.is_dir() {
            return Err(read_error(&path, io::ErrorKind::NotADirectory.into()));
        }
        each(Found {
            relative: &relative,
            path: &path,
            metadata: &metadata,
            content: None,
        })?;
        if metadata.is_dir() {
            let mut names = names_in(&path)?;
            names.sort_unstable_by(|one, other| other.cmp(one));
            waiting.extend(names.into_iter().map(|name| relative.join(name)));
        }
    }
    Ok(())
}

fn names_in(directory: &Path) -> Result<Vec<OsString>, ImageError> {
    fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect())
        .map_err(|source| read_error(directory, source))
}
