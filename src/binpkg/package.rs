//! A package of either format.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::compression::{CompressionError, decompress};
use super::gpkg::{GpkgError, GpkgFile};
use super::pkgdir::Format;
use super::tar_reader::{TarError, TarReader};
use super::xpak::{Metadata, XpakError, XpakFile};

/// A package cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: the package cannot be read", path.display())]
pub struct PackageError {
    /// The package.
    pub path: PathBuf,
    /// Why.
    pub source: PackageFault,
}

/// Why a package cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PackageFault {
    /// A package in the gpkg format is damaged.
    #[error(transparent)]
    Gpkg(#[from] GpkgError),
    /// A package in the xpak format is damaged.
    #[error(transparent)]
    Xpak(#[from] XpakError),
    /// The image cannot be decompressed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The image is no whole archive.
    #[error("the image is damaged")]
    Image(#[source] TarError),
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// The file is of the other format than its name says.
    #[error("the name says {named}, but the content is {found}")]
    Misnamed {
        /// The format by the name.
        named: Format,
        /// The format by the content.
        found: Format,
    },
}

/// A package of either format, opened, with a frame that is sound.
#[derive(Debug)]
pub enum Package {
    /// In the format of GLEP 78.
    Gpkg(Box<GpkgFile>),
    /// With an XPAK segment at the end.
    Xpak(XpakFile),
}

impl Package {
    /// Opens the package at `path`, whose format is that of its content. If the name says another, it is an error:
    /// Portage would believe the name.
    ///
    /// # Errors
    /// The file cannot be read, or is no package.
    pub fn open(path: &Path) -> Result<Self, PackageError> {
        let open = || -> Result<Self, PackageFault> {
            let named = Format::of_name(path);
            let misnamed = |named, found| Err(PackageFault::Misnamed { named, found });
            match (named, begins_as_gpkg(path)?) {
                (Some(Format::Xpak), true) => misnamed(Format::Xpak, Format::Gpkg),
                (Some(Format::Gpkg), false) if XpakFile::open(path).is_ok() => {
                    misnamed(Format::Gpkg, Format::Xpak)
                }
                (Some(Format::Gpkg), _) | (None, true) => {
                    Ok(Self::Gpkg(Box::new(GpkgFile::open(path)?)))
                }
                (Some(Format::Xpak) | None, false) => Ok(Self::Xpak(XpakFile::open(path)?)),
            }
        };
        open().map_err(|source| PackageError {
            path: path.to_owned(),
            source,
        })
    }

    /// The path it was opened under.
    pub fn path(&self) -> &Path {
        match self {
            Self::Gpkg(file) => file.path(),
            Self::Xpak(file) => file.path(),
        }
    }

    /// Its format.
    pub fn format(&self) -> Format {
        match self {
            Self::Gpkg(_) => Format::Gpkg,
            Self::Xpak(_) => Format::Xpak,
        }
    }

    /// Whether it is signed.
    pub fn is_signed(&self) -> bool {
        match self {
            Self::Gpkg(file) => file.is_signed(),
            Self::Xpak(_) => false,
        }
    }

    /// Reads all metadata; in a gpkg after its checksums.
    ///
    /// # Errors
    /// The metadata is damaged.
    pub fn metadata(&mut self) -> Result<Metadata, PackageError> {
        let path = self.path().to_owned();
        match self {
            Self::Gpkg(file) => file.metadata().map_err(PackageFault::from),
            Self::Xpak(file) => file.metadata().map_err(PackageFault::from),
        }
        .map_err(|source| PackageError { path, source })
    }

    /// The image as a tar archive, decompressed; in a gpkg after all checksums.
    ///
    /// # Errors
    /// The package is damaged, or its compression is not supported. Damage further on is an error of the reader.
    pub fn image(&mut self) -> Result<Box<dyn Read + '_>, PackageError> {
        let path = self.path().to_owned();
        match self {
            Self::Gpkg(file) => file.image().map_err(PackageFault::from),
            Self::Xpak(file) => file.image().map_err(PackageFault::from),
        }
        .and_then(|packed| Ok(decompress(packed)?))
        .map_err(|source| PackageError { path, source })
    }

    /// Holds the package against itself: a gpkg against its Manifest, and whether the image is a whole archive.
    ///
    /// # Errors
    /// The package is damaged.
    pub fn verify(&mut self) -> Result<(), PackageError> {
        self.metadata()?;
        let path = self.path().to_owned();
        let mut reader = TarReader::new(self.image()?);
        let mut read_all = || -> Result<(), TarError> {
            while reader.next_member()?.is_some() {}
            Ok(())
        };
        read_all().map_err(|source| PackageError {
            path,
            source: PackageFault::Image(source),
        })
    }

    /// What names in the archive of the image begin with.
    pub fn image_prefix(&self) -> &'static [u8] {
        match self {
            Self::Gpkg(_) => b"image",
            Self::Xpak(_) => b".",
        }
    }
}

/// Whether a file begins with the first member of a gpkg. The image of an xpak, which may be uncompressed, does not.
fn begins_as_gpkg(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(512).read_to_end(&mut head)?;
    let name = head.iter().take(100).copied();
    let name: Vec<u8> = name.take_while(|byte| *byte != 0).collect();
    Ok(head.get(257..262) == Some(b"ustar")
        && (name.ends_with(b"gpkg-1") || name == b"././@LongLink"))
}
