//! From an image and its metadata to a package in PKGDIR.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::compression::{Compression, CompressionError};
use super::gpkg::{self, GpkgError};
use super::image_tar::{self, Contents, ImageError, Packed};
use super::pkgdir::{Format, PkgdirError, Reservation, Sealed, Written};
use super::signature::{SignError, Signer};
use super::xpak::{self, Metadata, XpakError};
use crate::util::atomic::{self, AtomicError};

/// A package could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A package that is to be copied is damaged.
    #[error("{}: the package is damaged", path.display())]
    Source {
        /// The package.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<GpkgError>,
    },
    /// Signing failed.
    #[error(transparent)]
    Sign(#[from] SignError),
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

impl BuildError {
    /// What went wrong while the image was packed into the package at `path`.
    pub(super) fn of_image(path: &Path, error: ImageError) -> Self {
        match error {
            ImageError::Write(source) => Self::Write {
                path: path.to_owned(),
                source,
            },
            error => Self::Image(error),
        }
    }
}

/// How a package is made.
#[derive(Debug, Clone, Default)]
pub struct PackageOptions {
    /// How the image is compressed.
    pub compression: Compression,
    /// How the image is packed.
    pub image: image_tar::Options,
    /// Who signs, which only a gpkg can be.
    pub signer: Option<Signer>,
    /// The metadata keeps the build id that it has, whatever the name of the package says.
    pub keep_build_id: bool,
}

/// A package that was made.
#[derive(Debug)]
pub struct Package {
    /// Its file, which is not in its place yet.
    pub file: Sealed,
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
/// `BUILD_ID` of the metadata becomes that of the reservation, unless it is to be kept.
///
/// # Errors
/// The format is not supported, the image cannot be read, or the package cannot be written; then nothing is left.
pub fn write_package<'a>(
    image: impl Into<Contents<'a>>,
    metadata: Metadata,
    reservation: Reservation,
    options: &PackageOptions,
) -> Result<Package, BuildError> {
    let image = image.into();
    match reservation.format() {
        Format::Xpak => write_xpak(image, metadata, reservation, options),
        Format::Gpkg => write_gpkg(image, metadata, reservation, options),
    }
}

/// Packs `image` and `metadata` into the place that is reserved, in the gpkg format.
///
/// # Errors
/// As for [`write_package`]; besides, the image has what no gpkg can have, or signing fails.
fn write_gpkg(
    image: Contents<'_>,
    mut metadata: Metadata,
    mut reservation: Reservation,
    options: &PackageOptions,
) -> Result<Package, BuildError> {
    if !options.keep_build_id {
        record_build_id(&mut metadata, reservation.build_id());
    }
    let folder = reservation.stem();
    let image = gpkg::write_gpkg(
        image,
        &metadata,
        &folder,
        &mut reservation,
        &options.compression,
        options.image,
        options.signer.as_ref(),
    )?;
    Ok(Package {
        file: reservation.seal()?,
        image,
        metadata,
    })
}

/// Puts the id of the reservation into the metadata.
fn record_build_id(metadata: &mut Metadata, build_id: Option<u64>) {
    if let Some(build_id) = build_id {
        metadata.insert("BUILD_ID".to_owned(), build_id.to_string().into_bytes());
    }
}

/// Packs `image` and `metadata` into the place that is reserved, in the xpak format.
///
/// # Errors
/// As for [`write_package`].
fn write_xpak(
    image: Contents<'_>,
    mut metadata: Metadata,
    reservation: Reservation,
    options: &PackageOptions,
) -> Result<Package, BuildError> {
    if !options.keep_build_id {
        record_build_id(&mut metadata, reservation.build_id());
    }
    let trailer = xpak::write_trailer(&metadata)?;

    let path = reservation.path().to_owned();
    let fail = |source| BuildError::Write {
        path: path.clone(),
        source,
    };
    let mut compressor = options
        .compression
        .compress(BufWriter::with_capacity(1 << 20, reservation))?;
    let packed = image_tar::write_image(image, options.image, &mut compressor)
        .map_err(|error| BuildError::of_image(&path, error))?;
    let mut output = compressor.finish().map_err(fail)?;
    output.write_all(&trailer).map_err(fail)?;
    let reservation = output
        .into_inner()
        .map_err(|error| fail(error.into_error()))?;
    let file = reservation.seal()?;
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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::binpkg::compression::{Algorithm, decompress};
    use crate::binpkg::gpkg::GpkgFile;
    use crate::binpkg::pkgdir::{Pkgdir, PkgdirOptions};
    use crate::binpkg::xpak::XpakFile;
    use crate::pms::cpv::Cpv;
    use crate::util::digest::HashName;

    struct Place {
        directory: tempfile::TempDir,
        pkgdir: Pkgdir,
    }

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let image = directory.path().join("image");
            fs::create_dir_all(image.join("usr/bin")).unwrap();
            fs::write(image.join("usr/bin/foo"), "#!/bin/sh\n").unwrap();
            let info = directory.path().join("build-info");
            fs::create_dir(&info).unwrap();
            for (name, content) in [
                ("SLOT", "0\n"),
                ("EAPI", "8\n"),
                ("CONTENTS", "dir /usr\n"),
                ("BUILD_ID", "77"),
            ] {
                fs::write(info.join(name), content).unwrap();
            }
            let pkgdir =
                Pkgdir::open(&directory.path().join("pkgdir"), PkgdirOptions::default()).unwrap();
            Self { directory, pkgdir }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        fn reserve(&self, format: Format) -> Reservation {
            self.pkgdir
                .reserve(&Cpv::parse("app-misc/foo-1").unwrap(), format)
                .unwrap()
        }

        fn files(&self) -> usize {
            fs::read_dir(self.pkgdir.path().join("app-misc/foo"))
                .unwrap()
                .count()
        }
    }

    #[test]
    fn a_package_has_image_metadata_and_build_id() {
        let place = Place::new();
        let metadata = read_build_info(&place.path("build-info")).unwrap();
        for (id, algorithm) in [
            (1, Algorithm::Zstd),
            (2, Algorithm::None),
            (3, Algorithm::Xz),
        ] {
            let options = PackageOptions {
                compression: Compression::with_default_level(algorithm, 2),
                ..PackageOptions::default()
            };
            let made = write_package(
                &place.path("image"),
                metadata.clone(),
                place.reserve(Format::Xpak),
                &options,
            )
            .unwrap();
            let file = made.file.commit().unwrap();
            assert_eq!((file.build_id, made.image.entries), (Some(id), 4));
            assert_eq!(file.size, fs::metadata(&file.path).unwrap().len());

            let mut package = XpakFile::open(&file.path).unwrap();
            let read = package.metadata().unwrap();
            assert_eq!(read, made.metadata);
            assert_eq!(
                read.keys().collect::<Vec<_>>(),
                ["BUILD_ID", "EAPI", "SLOT"]
            );
            assert_eq!(read["BUILD_ID"], id.to_string().as_bytes());
            let mut image = Vec::new();
            decompress(package.image().unwrap())
                .unwrap()
                .read_to_end(&mut image)
                .unwrap();
            let mut expected = Vec::new();
            image_tar::write_image(&place.path("image"), options.image, &mut expected).unwrap();
            assert!(image == expected);
        }
    }

    #[test]
    fn records_what_the_installed_package_keeps() {
        let place = Place::new();
        let info = place.path("build-info");
        let metadata = read_build_info(&info).unwrap();
        let made = write_package(
            &place.path("image"),
            metadata,
            place.reserve(Format::Xpak),
            &PackageOptions::default(),
        )
        .unwrap();
        record_in_build_info(&info, made.file.written()).unwrap();
        assert_eq!(fs::read_to_string(info.join("BUILD_ID")).unwrap(), "1\n");
        assert_eq!(
            fs::read_to_string(info.join("BINPKGMD5")).unwrap(),
            format!("{}\n", made.file.written().md5)
        );
    }

    #[test]
    fn a_gpkg_reads_back_in_every_compression() {
        let place = Place::new();
        let metadata = read_build_info(&place.path("build-info")).unwrap();
        for (id, name) in ["zstd", "none", "xz", "bzip2", "gzip", "lz4"]
            .into_iter()
            .zip(1..)
            .map(|(name, id)| (id, name))
        {
            let options = PackageOptions {
                compression: Compression::from_settings(name, "", 2).unwrap(),
                ..PackageOptions::default()
            };
            let made = write_package(
                &place.path("image"),
                metadata.clone(),
                place.reserve(Format::Gpkg),
                &options,
            )
            .unwrap();
            let file = made.file.commit().unwrap();
            let bytes = fs::read(&file.path).unwrap();
            assert_eq!(file.size, bytes.len() as u64);
            assert_eq!(file.md5, HashName::Md5.hex(&bytes), "{name}");
            assert_eq!(file.sha1, HashName::Sha1.hex(&bytes), "{name}");
            let package = GpkgFile::open(&file.path).unwrap();
            assert_eq!(package.folder(), format!("foo-1-{id}"));
            assert_eq!(package.metadata().unwrap(), made.metadata);
            assert_eq!(made.metadata["BUILD_ID"], id.to_string().as_bytes());
            let mut image = Vec::new();
            decompress(package.image().unwrap())
                .unwrap()
                .read_to_end(&mut image)
                .unwrap();
            let mut expected = Vec::new();
            let layout = image_tar::Options {
                layout: image_tar::Layout::Gpkg,
                ..options.image
            };
            image_tar::write_image(&place.path("image"), layout, &mut expected).unwrap();
            assert!(image == expected, "{name}");
        }
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let place = Place::new();
        for format in [Format::Xpak, Format::Gpkg] {
            let reservation = place.reserve(format);
            write_package(
                &place.path("none"),
                Metadata::new(),
                reservation,
                &PackageOptions::default(),
            )
            .unwrap_err();
            assert_eq!(place.files(), 0);
        }
    }

    #[test]
    fn only_regular_files_are_metadata() {
        let place = Place::new();
        symlink("/etc/shadow", place.path("build-info").join("LINK")).unwrap();
        let error = read_build_info(&place.path("build-info"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("build-info/LINK: is no regular file"),
            "{error}"
        );
    }
}
