//! Copying packages member by member: with other metadata, or signed anew.

use std::io;

use super::GpkgError;
use super::archive_name;
use super::container;
use super::reader::GpkgFile;
use super::writer::Container;
use crate::binpkg::build::BuildError;
use crate::binpkg::compression::Compression;
use crate::binpkg::image_tar::header::HeaderFormat;
use crate::binpkg::pkgdir::Reservation;
use crate::binpkg::signature::Signer;
use crate::binpkg::xpak::Metadata;

/// Copies a package into a place that is reserved, in a folder that is named for it.
///
/// With `metadata` that takes the place of the package's own; with `signer` everything is signed, without it nothing.
///
/// # Errors
/// The package is damaged, or cannot be written or signed.
pub fn copy_gpkg(
    package: &GpkgFile,
    metadata: Option<&Metadata>,
    reservation: &mut Reservation,
    signer: Option<&Signer>,
) -> Result<(), BuildError> {
    let read = |source: GpkgError| BuildError::Source {
        path: package.path().to_owned(),
        source: Box::new(source),
    };
    package.verify().map_err(read)?;
    let members = package.members();
    let folder = reservation.stem();
    let format = match members.gnu {
        true => HeaderFormat::GnuBare,
        false => container::format(&folder, 0),
    };
    let mut container = Container::new(reservation, &folder, format);
    container.small(super::VERSION_FILE, b"")?;
    for (place, algorithm, stem) in [
        (&members.metadata, members.metadata_algorithm, "metadata"),
        (&members.image, members.image_algorithm, "image"),
    ] {
        if let Some(metadata) = metadata.filter(|_| stem == "metadata") {
            let compression = Compression::with_default_level(algorithm, 1);
            container.metadata(metadata, &compression, signer)?;
            continue;
        }
        let name = archive_name(stem, algorithm);
        let mut content = package.content(place).map_err(read)?;
        let path = package.path();
        let (start, ()) = container.streamed(&name, |mut output| {
            io::copy(&mut content, &mut output).map_err(|source| BuildError::Write {
                path: path.to_owned(),
                source,
            })?;
            Ok(((), output))
        })?;
        container.sign(&name, start, signer)?;
    }
    container.finish(signer)
}
