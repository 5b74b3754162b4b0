//! The gpkg format (GLEP 78): a tar archive with compressed tar archives in it.
//!
//! ```text
//! PF-BUILD_ID/gpkg-1             empty: the version of the format
//! PF-BUILD_ID/metadata.tar.zst   metadata/NAME, the files of build-info
//! PF-BUILD_ID/metadata.tar.zst.sig
//! PF-BUILD_ID/image.tar.zst      image/, what is installed
//! PF-BUILD_ID/image.tar.zst.sig
//! PF-BUILD_ID/Manifest           size, BLAKE2B and SHA512 of each member before it
//! ```
//!
//! The signatures are there in signed packages only, whose Manifest is then signed too. Written is what Portage writes,
//! in the POSIX format; read is that and nothing else: these members, in this order, each once, all in one folder,
//! with the sizes and checksums of the Manifest, and nothing behind them.

mod container;
mod copy;
mod manifest;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::io;

use super::compression::{Algorithm, CompressionError};
use super::tar_reader::TarError;

pub use copy::copy_gpkg;
pub use manifest::{Manifest, Record};
pub use reader::{GpkgFile, Part};
pub use writer::write_gpkg;

/// The member that names the version of the format.
const VERSION_FILE: &str = "gpkg-1";
/// The member with sizes and checksums.
const MANIFEST: &str = "Manifest";

/// What is wrong with a package in the gpkg format.
#[derive(Debug, thiserror::Error)]
pub enum GpkgError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// The container is no archive as packages have it.
    #[error("the container is damaged")]
    Container(#[source] TarError),
    /// A member that has no place in a package, or not in this one.
    #[error("the member {name:?} {what}")]
    Member {
        /// Its name.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A member is missing.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// A line of the Manifest is wrong.
    #[error("line {line} of the Manifest {what}")]
    Manifest {
        /// The number, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The Manifest is not text, or its signature is cut off.
    #[error("the Manifest {0}")]
    ManifestText(&'static str),
    /// A member is not of the size in the Manifest.
    #[error("{name} has {found} bytes, but {expected} in the Manifest")]
    Size {
        /// The member.
        name: String,
        /// Its size.
        found: u64,
        /// The size in the Manifest.
        expected: u64,
    },
    /// A member is not what the Manifest tells of.
    #[error("{name} is damaged: its {hash} is not that of the Manifest")]
    Digest {
        /// The member.
        name: String,
        /// The checksum that differs.
        hash: &'static str,
    },
    /// A member is not compressed as its name says.
    #[error("{name} is not compressed as its name says")]
    Compression {
        /// The member.
        name: String,
        /// What it is instead.
        source: Option<CompressionError>,
    },
    /// The archive with the metadata is damaged.
    #[error("the metadata cannot be read")]
    Metadata(#[source] TarError),
    /// Something in the archive with the metadata is none.
    #[error("{name:?} is not the name of a metadata file, or is there twice")]
    MetadataName {
        /// Its name.
        name: String,
    },
    /// Something is larger than it reasonably is.
    #[error("{what} is larger than {limit} bytes, which no package needs")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The largest that is read.
        limit: u64,
    },
}

/// The name of an archive in the container.
fn archive_name(stem: &str, algorithm: Algorithm) -> String {
    format!("{stem}.tar{}", algorithm.suffix())
}
