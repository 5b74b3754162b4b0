//! Metadata cache entries and their formats on disk.
//!
//! An [`Entry`] is what sourcing an ebuild gave, with the checksums that tell whether it would
//! still give the same. Written, it is byte for byte what Portage's `egencache` writes.

mod entry;
mod lookup;
mod stale;
mod view;

pub use entry::{Entry, KNOWN_KEYS};
pub use lookup::{Lookup, cache_path, lookup, store};
pub use stale::StaleReason;
pub use view::{DependencyClass, InvalidMetadata, Metadata};

use std::path::PathBuf;

/// Metadata that cannot be used, read or stored.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// A line of a cache entry holds no key and value.
    #[error("cache entry, line {line}: expected KEY=value")]
    Line {
        /// The line, counted from 1.
        line: usize,
    },
    /// The list of eclasses is not made of names and MD5 sums.
    #[error("cache entry: _eclasses_ is no list of names and MD5 sums")]
    Eclasses,
    /// Sourcing gave a variable that no cache entry has.
    #[error("metadata: unknown key {key}")]
    UnknownKey {
        /// The variable.
        key: String,
    },
    /// Sourcing gave no EAPI.
    #[error("metadata: no EAPI")]
    NoEapi,
    /// A value cannot stand on one line.
    #[error(
        "metadata: {key} holds the character U+{:04X}, which breaks lines (write the ebuild with \
         plain line ends)",
        u32::from(*character)
    )]
    LineBreak {
        /// The variable.
        key: String,
        /// The character.
        character: char,
    },
    /// A file could not be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A directory for cache entries could not be made.
    #[error("{}: cannot be created", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A cache entry could not be written.
    #[error(transparent)]
    Write(#[from] crate::util::atomic::AtomicError),
    /// The repository is not as it should be.
    #[error(transparent)]
    Repo(#[from] crate::repo::RepoError),
}
