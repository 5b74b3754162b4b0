//! The command line of `ebd build`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::{Binaries, Degrade, Surroundings};
use crate::build::package;
use crate::pms::phase::Phase;

const BUILD_EXAMPLES: &str = "Examples:
  ebd build app-arch/ncompress
      Build the best visible version with Gentoo's own configuration.
  ebd build --repo ./my-overlay app-misc/foo
      Build from a repository that is not configured anywhere.
  ebd build --pretend =dev-libs/libyaml-0.2.5
      Show what would be built and with which USE flags.
  ebd build --resume app-misc/foo
      Go on behind the last phase that was finished.
  ebd build --stop-after prepare app-misc/foo
      Only unpack and patch the sources, to look at them.
  ebd build -k app-misc/foo
      Only if no binary package in PKGDIR is what the build would give.
  ebd build -g app-misc/foo
      The same with those of package hosts, which are brought into PKGDIR.
  ebd build --json app-misc/foo | jq -r 'select(.event == \"finished\").path'
      The same for scripts: one event per line.

The path of each package is printed to standard output, everything else to
standard error.";

/// Build packages from source into binary packages.
#[derive(Debug, Args)]
#[command(after_help = BUILD_EXAMPLES)]
pub(in crate::cli) struct Build {
    /// Packages: a name, category/name, or an atom such as '>=app-misc/foo-1.2:0'
    #[arg(required = true, value_name = "ATOM")]
    pub(in crate::cli) atoms: Vec<String>,

    /// Show the plan with USE flags, build nothing
    #[arg(short, long)]
    pub(in crate::cli) pretend: bool,

    /// Take up each build behind the last phase that it finished
    #[arg(long)]
    pub(in crate::cli) resume: bool,

    /// End each build behind this phase and print its directory; --resume goes on
    #[arg(long, value_name = "PHASE", value_parser = phases(), conflicts_with = "pretend")]
    pub(in crate::cli) stop_after: Option<Phase>,

    /// Do not look at dependencies
    #[arg(long)]
    pub(in crate::cli) nodeps: bool,

    /// Which binary packages to use instead of building.
    #[command(flatten)]
    pub(in crate::cli) binaries: Binaries,

    /// What may be done without.
    #[command(flatten)]
    pub(in crate::cli) degrade: Degrade,

    /// Put back what configure scripts made before, where nothing that they depend on has changed,
    /// as FEATURES=confcache does
    #[arg(long)]
    pub(in crate::cli) confcache: bool,

    /// How many packages to build at once
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(in crate::cli) jobs: u16,

    /// Format of the packages [default: BINPKG_FORMAT, which is gpkg unless it is set]
    #[arg(long, value_enum)]
    pub(in crate::cli) format: Option<Format>,

    /// Keep the build's directory when it succeeds
    #[arg(long)]
    pub(in crate::cli) keep: bool,

    /// When a phase fails, open a shell in it, as ebd shell --failed does; resume goes on
    #[arg(long, conflicts_with_all = ["json", "pretend"])]
    pub(in crate::cli) shell_on_failure: bool,

    /// End a phase that takes longer than this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) phase_timeout: Option<u64>,

    /// Places, what is kept there, and what is shown.
    #[command(flatten)]
    pub(in crate::cli) around: Surroundings,
}

/// Reads the name of a phase of a build.
fn phases() -> impl TypedValueParser<Value = Phase> {
    let names = package::PHASES.iter().map(|phase| phase.name());
    PossibleValuesParser::new(names).try_map(|name| Phase::from_name(&name).ok_or("no such phase"))
}

/// Formats of binary packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// GLEP 78: a tar with the compressed image and metadata in it, and their checksums
    Gpkg,
    /// A compressed tar with the metadata appended
    Xpak,
}
