//! From an image and its metadata to a package in PKGDIR.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::compression::{Compression, CompressionError};
use super::image_tar::{self, ImageError, Packed};
use super::pkgdir::{Format, PkgdirError, Reservation, Written};
use super::xpak::{self, Metadata, XpakError};
use crate::util::atomic::{self, AtomicError};

/// A package could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A format that is known and not written.
    #[error("{0} is not written yet; use --format xpak")]
    Format(Format),
    /// A file of build-info cannot be read.
    #[error("{}: cannot be read for the metadata", path.display())]
    BuildInfo {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in build-info is no metadata.
    #[error("{}: is no regular file with a name in UTF-8, so it cannot go into the metadata", path.display())]
    NoMetadata {
        /// The file.
        path: PathBuf,
    },
    /// Packing the image failed.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Compressing failed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The metadata cannot be written as an XPAK segment.
    #[error("the metadata cannot be packed")]
    Xpak(#[from] XpakError),
    /// Writing the package failed.
    #[error("{}: the package cannot be written", path.display())]
    Write {
        /// The package.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The package cannot be put in its place.
    #[error(transparent)]
    Pkgdir(#[from] PkgdirError),
    /// `BINPKGMD5` or `BUILD_ID` cannot be written to build-info.
    #[error("the package cannot be recorded in build-info")]
    Record(#[from] AtomicError),
}

/// How a package is made.
#[derive(Debug, Clone, Default)]
pub struct PackageOptions {
    /// How the image is compressed.
    pub compression: Compression,
    /// How the image is packed.
    pub image: image_tar::Options,
}

/// A package that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its file.
    pub file: Written,
    /// What it contains.
    pub image: Packed,
    /// Its metadata, with `BUILD_ID`.
    pub metadata: Metadata,
}

/// Reads the files of a build-info directory. `CONTENTS`, which Portage makes when it installs, is passed over.
///
/// # Errors
/// The directory cannot be read, or has something in it that is no regular file.
pub fn read_build_info(directory: &Path) -> Result<Metadata, BuildError> {
    let fail = |path: &Path, source| BuildError::BuildInfo {
        path: path.to_owned(),
        source,
    };
    let mut metadata = Metadata::new();
    for entry in fs::read_dir(directory).map_err(|source| fail(directory, source))? {
        let entry = entry.map_err(|source| fail(directory, source))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(|source| fail(&path, source))?;
        let Some(name) = entry
            .file_name()
            .to_str()
            .filter(|_| kind.is_file())
            .map(str::to_owned)
        else {
            return Err(BuildError::NoMetadata { path });
        };
        if name != "CONTENTS" {
            metadata.insert(name, fs::read(&path).map_err(|source| fail(&path, source))?);
        }
    }
    Ok(metadata)
}

/// Packs `image` and `metadata` into the place that is reserved, in the format that it was reserved for.
///
/// `BUILD_ID` of the metadata becomes that of the reservation.
///
/// # Errors
/// The format is not supported, the image cannot be read, or the package cannot be written; then nothing is left.
pub fn write_package(
    image: &Path,
    metadata: Metadata,
    reservation: Reservation,
    options: &PackageOptions,
) -> Result<Package, BuildError> {
    match reservation.format() {
        Format::Xpak => write_xpak(image, metadata, reservation, options),
        Format::Gpkg => Err(BuildError::Format(Format::Gpkg)),
    }
}

/// Packs `image` and `metadata` into the place that is reserved, in the xpak format.
///
/// # Errors
/// As for [`write_package`].
pub fn write_xpak(
    image: &Path,
    mut metadata: Metadata,
    reservation: Reservation,
    options: &PackageOptions,
) -> Result<Package, BuildError> {
    if let Some(build_id) = reservation.build_id() {
        metadata.insert("BUILD_ID".to_owned(), build_id.to_string().into_bytes());
    }
    let trailer = xpak::write_trailer(&metadata)?;

    let path = reservation.path().to_owned();
    let fail = |source| BuildError::Write {
        path: path.clone(),
        source,
    };
    let mut compressor = options
        .compression
        .compress(BufWriter::with_capacity(1 << 17, reservation))?;
    let packed = image_tar::write_image(image, options.image, &mut compressor)?;
    let mut output = compressor.finish().map_err(fail)?;
    output.write_all(&trailer).map_err(fail)?;
    let reservation = output
        .into_inner()
        .map_err(|error| fail(error.into_error()))?;
    let file = reservation.commit()?;
    Ok(Package {
        file,
        image: packed,
        metadata,
    })
}

/// Writes to build-info what the database of installed packages keeps of a package: `BINPKGMD5` and `BUILD_ID`.
///
/// # Errors
/// A file cannot be written.
pub fn record_in_build_info(directory: &Path, package: &Written) -> Result<(), BuildError> {
    atomic::write_unsynced(
        &directory.join("BINPKGMD5"),
        format!("{}\n", package.md5).as_bytes(),
        0o644,
    )?;
    if let Some(build_id) = package.build_id {
        atomic::write_unsynced(
            &directory.join("BUILD_ID"),
            format!("{build_id}\n").as_bytes(),
            0o644,
        )?;
    }
    Ok(())
}
