//! What is special about images in a gpkg: the choice of the format, and what cannot be in one.

use std::fs::{self, FileType};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::contents::{Contents, Found, walk};
use super::header::{Fields, HeaderFormat};
use super::{ImageError, Layout, entry_type, name_in_archive, read_error};

/// Lengths and sizes from which Portage takes GNU's format, each in bytes.
const LONG_DIRECTORY: usize = 155;
const LONG_NAME: usize = 100;
const LARGE_FILE: u64 = 8_000_000_000;

/// The format that Portage takes for the image: the POSIX one unless something would not fit.
pub(super) fn format(image: Contents<'_>) -> Result<HeaderFormat, ImageError> {
    let mut format = HeaderFormat::Ustar;
    walk(image, Layout::Gpkg, |found| {
        let Found {
            relative,
            path,
            metadata,
            ..
        } = found;
        let kind = metadata.file_type();
        let length = "image/".len() + relative.as_os_str().len();
        let link_name = if kind.is_symlink() {
            let target = fs::read_link(path).map_err(|source| read_error(path, source))?;
            target.as_os_str().as_bytes().to_vec()
        } else {
            Vec::new()
        };
        // A file with several names may be told of by any of them.
        let link_length = match kind.is_file() && metadata.nlink() > 1 {
            true => length,
            false => link_name.len(),
        };
        let name_length = match kind.is_dir() {
            true => 0,
            false => relative.file_name().map_or(0, |name| name.len()),
        };
        let Some(entry) = entry_type(kind) else {
            return Ok(());
        };
        let fields = Fields {
            name: name_in_archive(relative, kind, Layout::Gpkg),
            link_name,
            kind: entry,
            mode: 0,
            uid: metadata.uid(),
            gid: metadata.gid(),
            user: Vec::new(),
            group: Vec::new(),
            size: found.size(),
            seconds: metadata.mtime(),
            nanoseconds: 0,
            device: None,
            xattrs: Vec::new(),
        };
        if (kind.is_dir() && length >= LONG_DIRECTORY)
            || name_length >= LONG_NAME
            || link_length >= LONG_NAME
            || (kind.is_file() && found.size() >= LARGE_FILE)
            || !fields.fits_ustar()
        {
            format = HeaderFormat::GnuBare;
        }
        Ok(())
    })?;
    Ok(format)
}

/// Refuses what Portage does not unpack from a gpkg.
pub(super) fn check(path: &Path, relative: &Path, kind: FileType) -> Result<(), ImageError> {
    let what = if kind.is_fifo() {
        "pipe"
    } else if kind.is_char_device() || kind.is_block_device() {
        "device"
    } else if relative.to_str().is_none() {
        "file whose name is not UTF-8"
    } else {
        return Ok(());
    };
    Err(ImageError::NotInGpkg {
        path: path.to_owned(),
        kind: what,
    })
}
