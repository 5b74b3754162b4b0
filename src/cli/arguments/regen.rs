//! The command line of `ebd regen`.

use std::path::PathBuf;

use clap::Args;

use super::{Display, Places};

const REGEN_EXAMPLES: &str = "Examples:
  ebd regen
      All configured repositories.
  ebd regen --repo ./my-overlay my-overlay
      A repository that is not configured anywhere.
  ebd regen gentoo dev-libs/openssl
      Only one package.
  ebd regen --check
      Change nothing; exit status 1 if an entry is stale (for CI).
  ebd regen --verify gentoo
      Source everything and compare it with the cache; change nothing.
  ebd regen --use-local-desc --pkg-desc-index --timestamp gentoo
      What an rsync mirror serves, too.
  ebd regen --cache /var/cache/metadata gentoo
      Leave the repository as it is; entries go to /var/cache/metadata/gentoo.";

/// Bring the metadata caches of repositories up to date.
#[derive(Debug, Args)]
#[command(after_help = REGEN_EXAMPLES)]
pub(in crate::cli) struct Regen {
    /// Repositories by name, and packages (category/name) to confine the work to
    #[arg(value_name = "REPO|PACKAGE")]
    pub(in crate::cli) names: Vec<String>,

    /// How many processors to use; the number of cores if not given
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(in crate::cli) jobs: Option<u16>,

    /// Keep entries in DIR/REPOSITORY instead of the repository
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) cache: Option<PathBuf>,

    /// Keep in DIR what entries depend on, so that an ebuild need not be sourced again when an
    /// eclass changes in a place that it does not use [default: regen in ebd's cache folder]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) memory: Option<PathBuf>,

    /// Change nothing; exit with 1 if anything is stale
    #[arg(long, conflicts_with = "all")]
    pub(in crate::cli) check: bool,

    /// Change nothing; source every ebuild, and exit with 1 if an entry is not what that gives
    #[arg(long, conflicts_with_all = ["check", "all"])]
    pub(in crate::cli) verify: bool,

    /// Source every ebuild, even those whose entry is right
    #[arg(long)]
    pub(in crate::cli) all: bool,

    /// Make profiles/use.local.desc, or FILE, of the packages' metadata.xml
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub(in crate::cli) use_local_desc: Option<Option<PathBuf>>,

    /// Make metadata/pkg_desc_index, or FILE, of the cache
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub(in crate::cli) pkg_desc_index: Option<Option<PathBuf>>,

    /// Write the time into metadata/timestamp.chk when all is done
    #[arg(long)]
    pub(in crate::cli) timestamp: bool,

    /// Parse every eclass whole for every ebuild (slower; to see whether it makes a difference)
    #[arg(long)]
    pub(in crate::cli) whole_eclasses: bool,

    /// Let ebuilds write files, run programs and use the network while they are sourced
    #[arg(long)]
    pub(in crate::cli) unconfined: bool,

    /// End an ebuild that takes longer than this many seconds to source
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) timeout: u64,

    /// Where things are.
    #[command(flatten)]
    pub(in crate::cli) places: Places,

    /// What is shown.
    #[command(flatten)]
    pub(in crate::cli) display: Display,
}
