//! A package once more, with other metadata.

use std::io::{self, Write};
use std::path::PathBuf;

use super::build::BuildError;
use super::gpkg::copy_gpkg;
use super::package::Package;
use super::pkgdir::Reservation;
use super::signature::Signer;
use super::xpak::{self, Metadata, XpakError};

/// A package cannot be packed anew.
#[derive(Debug, thiserror::Error)]
pub enum RepackError {
    /// A gpkg is damaged or cannot be written.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// An xpak is damaged, or its metadata cannot be packed.
    #[error("{}: the metadata cannot be packed", path.display())]
    Xpak {
        /// The package.
        path: PathBuf,
        /// Why.
        source: XpakError,
    },
    /// It cannot be copied.
    #[error("{}: cannot be copied", path.display())]
    Copy {
        /// The package.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes a package with `metadata` instead of its own into a place that is reserved. Its signatures are lost; those of
/// `signer` take their place, which no xpak has.
pub(super) fn with_metadata(
    package: &mut Package,
    metadata: &Metadata,
    place: &mut Reservation,
    signer: Option<&Signer>,
) -> Result<(), RepackError> {
    let path = package.path().to_owned();
    match package {
        Package::Gpkg(package) => Ok(copy_gpkg(package, Some(metadata), place, signer)?),
        Package::Xpak(package) => {
            let damaged = |source| RepackError::Xpak {
                path: path.clone(),
                source,
            };
            let fail = |source| RepackError::Copy {
                path: path.clone(),
                source,
            };
            let trailer = xpak::write_trailer(metadata).map_err(damaged)?;
            let mut image = package.image().map_err(damaged)?;
            io::copy(&mut image, place).map_err(fail)?;
            place.write_all(&trailer).map_err(fail)
        }
    }
}
