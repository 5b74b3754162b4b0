//! Metadata cache entries and their formats on disk.
//!
//! An [`Entry`] is what sourcing an ebuild gave, with the checksums that tell whether it would
//! still give the same. Written, it is byte for byte what Portage's `egencache` writes. A
//! [`Cache`] is a directory of entries in one of several formats; [`transfer`](transfer::transfer)
//! moves them from one into another.

mod cache;
mod convert;
mod entry;
mod format;
mod generated;
mod lookup;
mod packages;
mod pkg_desc_index;
mod record;
mod sourced;
mod stale;
mod timestamp;
pub mod transfer;
mod use_local_desc;
mod view;

pub use cache::Cache;
pub use convert::{Converted, Tree, convert};
pub use entry::{Entry, KNOWN_KEYS};
pub use format::{CacheFormat, Stored};
pub use generated::write_if_changed;
pub use lookup::{Lookup, cache_path, lookup, store};
pub use pkg_desc_index::{PkgDescIndex, pkg_desc_index};
pub use sourced::from_values;
pub use stale::StaleReason;
pub use timestamp::timestamp_chk;
pub use use_local_desc::{MetadataXmlError, UseLocalDesc, use_local_desc};
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
    /// Sourcing gave a value that is no text.
    #[error("metadata: the value of {key} is not valid UTF-8")]
    ValueEncoding {
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
    /// A file is no cache entry, or an entry does not suit the cache's format.
    #[error("{}: no usable cache entry", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<MetadataError>,
    },
    /// A cache entry is not UTF-8.
    #[error("cache entry: not UTF-8")]
    Encoding,
    /// A cache entry has no checksum of its ebuild, or one that can be none.
    #[error("cache entry: {key} is missing or damaged")]
    Checksum {
        /// The key of the checksum.
        key: &'static str,
    },
    /// A flat list ends before the line of the EAPI.
    #[error("cache entry: {lines} lines, expected 22")]
    Short {
        /// How many lines there are.
        lines: usize,
    },
    /// A format has times, checksums or directories that only a repository tells.
    #[error(
        "cache entry: {format} needs what only the ebuild and its eclasses tell (give their \
         repository with --repo)"
    )]
    NeedsRepository {
        /// The format.
        format: CacheFormat,
    },
    /// An entry is not what sourcing its ebuild would give now.
    #[error("cache entry: {0}, so it cannot be converted (regenerate it)")]
    Outdated(StaleReason),
    /// The directory of an eclass cannot be written into an entry.
    #[error("{}: the directory's name has a tab, a line feed or is not UTF-8", path.display())]
    Directory {
        /// The eclass.
        path: PathBuf,
    },
    /// A format has no directory in repositories.
    #[error("{}: a repository has no place for {format} (give a folder)", path.display())]
    NoPlace {
        /// The format.
        format: CacheFormat,
        /// The repository.
        path: PathBuf,
    },
    /// A cache to take entries from has none.
    #[error("{}: no cache entries are there", path.display())]
    NoEntries {
        /// The directory.
        path: PathBuf,
    },
    /// None of a cache's entries is in a known format.
    #[error("{}: no cache entry in a known format", path.display())]
    NoFormat {
        /// The first entry.
        path: PathBuf,
    },
    /// Source and target of a transfer are one directory.
    #[error("{}: both source and target of the transfer", path.display())]
    SamePlace {
        /// The directory.
        path: PathBuf,
    },
    /// A file could not be written.
    #[error("{}: cannot be written", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or directory could not be removed.
    #[error("{}: cannot be removed", path.display())]
    Remove {
        /// The file or directory.
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
