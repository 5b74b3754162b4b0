//! The command line of `ebd confcache`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

const EXAMPLES: &str = "Examples:
  ebd confcache -- ./configure --prefix=/usr
      The first time it is run and everything that it looks at is noted. When it is to be
      run again, and script, arguments, environment and all of that are unchanged, what it
      made and printed is put back instead.
  ebd confcache --verify -- ./configure --prefix=/usr
      Run it anyway and compare; 1 if anything is different that is not always so.
  ebd confcache why -- ./configure --prefix=/usr
      Tell why it would be run.
  ebd confcache why 'ac_cv_func_*'
      Tell what became of these checks in the last run in this folder: a run that is new takes
      the answers to its checks from other runs, of other versions or arguments too, where all
      that a check can see is the same.
  ebd confcache stats
  ebd confcache prune --unused 30 --size 500

What is left out of account is a table: files that are never the same twice, and variables
of sessions. Lines in CONFIG/ebd/confcache.conf (CONFIG is XDG_CONFIG_HOME or ~/.config) add
to it:
  path GLOB ignore            nothing of these files counts
  path GLOB exists            that they are there
  path GLOB without REGEX     the lines that do not match
  variable GLOB ignore
  variable GLOB unnamed       they count only where the script names them
and for --verify, what no two runs make or print alike:
  made GLOB ignore            these files in the folder that is configured
  printed without REGEX       the lines that match

Exit status: that of the command, 128 + n if signal n ended it; 1 if --verify found a
difference; 125 if the command line or the table is wrong, 126 and 127 if the command could
not be run or found.";

/// Run a configure script, or put back what it made.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct Confcache {
    /// What to do with the cache, if nothing is to be run
    #[command(subcommand)]
    pub(in crate::cli) what: Option<ConfcacheWork>,

    /// The cache
    #[command(flatten)]
    pub(in crate::cli) cache: ConfcachePlace,

    /// Run the script even if all is known, and compare
    #[arg(long)]
    pub(in crate::cli) verify: bool,

    /// Run the script even if all is known, but use the answers to its checks that are
    #[arg(long)]
    pub(in crate::cli) no_replay: bool,

    /// Let the script make all of its checks itself
    #[arg(long)]
    pub(in crate::cli) no_answers: bool,

    /// Tell at the end what became of it
    #[arg(short, long)]
    pub(in crate::cli) verbose: bool,

    /// The configure script and its arguments
    #[arg(value_name = "CMD", last = true)]
    pub(in crate::cli) command: Vec<OsString>,
}

/// Where the cache is.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct ConfcachePlace {
    /// The folder with the cache [default: confcache below ebd's own folder for caches]
    #[arg(long, value_name = "DIR", env = "EBD_CONFCACHE")]
    pub(in crate::cli) dir: Option<PathBuf>,
}

/// What can be done with the cache.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConfcacheWork {
    /// Tell how much is kept, and what became of the last calls
    Stats {
        #[command(flatten)]
        cache: ConfcachePlace,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List what is kept
    List {
        #[command(flatten)]
        cache: ConfcachePlace,
        /// As JSON, one entry a line
        #[arg(long)]
        json: bool,
    },
    /// Tell why a command would be run, why those of this folder were, or what became of one of their checks
    Why {
        #[command(flatten)]
        cache: ConfcachePlace,
        /// A variable with the answer to a check, such as ac_cv_func_mmap; a * stands for anything
        #[arg(value_name = "VAR", conflicts_with = "command")]
        variable: Option<String>,
        /// The configure script and its arguments
        #[arg(value_name = "CMD", last = true)]
        command: Vec<OsString>,
    },
    /// Remove what is old
    Prune {
        #[command(flatten)]
        cache: ConfcachePlace,
        /// What was not used for so many days
        #[arg(long, value_name = "DAYS")]
        unused: Option<u64>,
        /// The oldest, until so many megabytes are left
        #[arg(long, value_name = "MB")]
        size: Option<u64>,
        /// Only tell what would go
        #[arg(short, long)]
        pretend: bool,
    },
    /// Remove everything
    Clear {
        #[command(flatten)]
        cache: ConfcachePlace,
    },
    /// Look for damage, and remove what is damaged
    Check {
        #[command(flatten)]
        cache: ConfcachePlace,
    },
}
