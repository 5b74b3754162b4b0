//! The command line of `ebd transfer`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::metadata::CacheFormat;

const TRANSFER_EXAMPLES: &str = "Examples:
  ebd transfer /var/db/repos/gentoo ~/cache/gentoo
      Copy the cache that a repository ships; done again, it writes what changed.
  ebd transfer --format flat_list /var/db/repos/gentoo /var/db/repos/gentoo
      Make metadata/cache from metadata/md5-cache.
  ebd transfer --format flat_hash --repo ./overlay ./md5-cache ./times
      Take the modification times that flat_hash has from the overlay's files.
  ebd transfer --keep-extra ./part ./whole
      Remove nothing.

Formats:
  md5-dict           metadata/md5-cache: keys and values, MD5 sums
  flat_hash          keys and values, modification times, eclass directories
  flat_hash-md5      the same with MD5 sums, as in /var/cache/edb/dep
  flat_list, pms     metadata/cache: a value a line in the order of the
                     specification; the file has the time of its ebuild
  flat_list-portage  the same in the order of Portage since it knows EAPI 8

The source's format is found out. flat_list has no place for INHERIT, unknown
keys and checksums of eclasses: what is lost is reported. Checksums and times
that the source does not have are taken from the repository, if the entry is
valid there. Entries of unknown EAPIs are carried as they are.

Exit status: 0 if all entries were transferred, 1 if one could not be, 2 wrong
usage.";

/// Copy a metadata cache, also into another format.
///
/// Only entries that differ are written, and those that the source does not have are removed.
#[derive(Debug, Args)]
#[command(after_help = TRANSFER_EXAMPLES)]
pub(in crate::cli) struct Transfer {
    /// A repository that ships a cache, or a folder with one
    #[arg(value_name = "SRC")]
    pub(in crate::cli) source: PathBuf,

    /// A repository or a folder; a folder is made if it does not exist
    #[arg(value_name = "DST")]
    pub(in crate::cli) target: PathBuf,

    /// Format to write; without, that of DST, else md5-dict in a repository, else that of SRC
    #[arg(long, value_name = "FORMAT", value_parser = cache_formats())]
    pub(in crate::cli) format: Option<CacheFormat>,

    /// Keep entries that SRC does not have
    #[arg(long)]
    pub(in crate::cli) keep_extra: bool,

    /// Add a repository by path (repeatable): the first is that of the entries if neither SRC
    /// nor DST is one, others may be its masters
    #[arg(long = "repo", value_name = "PATH")]
    pub(in crate::cli) repos: Vec<PathBuf>,

    /// The folder that has etc/portage, which tells where a repository's masters are
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) config_root: Option<PathBuf>,

    /// Read this file instead of etc/portage/ebd.toml
    #[arg(long, value_name = "FILE", env = "EBD_CONFIG")]
    pub(in crate::cli) config: Option<PathBuf>,

    /// Print the summary, and errors, as JSON, one object per line
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

/// Reads the name of a format of caches.
fn cache_formats() -> impl TypedValueParser<Value = CacheFormat> {
    let names = CacheFormat::ALL.iter().map(|format| format.name());
    PossibleValuesParser::new(names.chain(["pms"]))
        .try_map(|name| CacheFormat::from_name(&name).ok_or("no such format"))
}
