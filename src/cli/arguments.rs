//! The command line as it is typed.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::build::package;
use crate::pms::phase::Phase;

/// Builds binary packages from ebuilds, with long-lived bash processors.
#[derive(Debug, Parser)]
#[command(
    name = "ebd",
    version,
    about,
    arg_required_else_help = true,
    after_help = "Exit status: 0 done, 1 the work failed, 2 wrong usage, 128 + n ended by signal n."
)]
pub(super) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Build packages from source into binary packages
    Build(Box<Build>),
    /// Bring the metadata caches of repositories up to date
    Regen(Box<Regen>),
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  ebd completions bash >/usr/share/bash-completion/completions/ebd"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    #[command(after_help = "Example:\n  ebd manual /usr/share/man/man1")]
    Manual {
        /// The folder; it is made if it does not exist.
        folder: PathBuf,
    },
}

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
  ebd build --json app-misc/foo | jq -r 'select(.event == \"finished\").path'
      The same for scripts: one event per line.

The path of each package is printed to standard output, everything else to
standard error.";

/// Build packages from source into binary packages.
#[derive(Debug, Args)]
#[command(after_help = BUILD_EXAMPLES)]
pub(super) struct Build {
    /// Packages: a name, category/name, or an atom such as '>=app-misc/foo-1.2:0'
    #[arg(required = true, value_name = "ATOM")]
    pub(super) atoms: Vec<String>,

    /// Show the plan with USE flags, build nothing
    #[arg(short, long)]
    pub(super) pretend: bool,

    /// Take up each build behind the last phase that it finished
    #[arg(long)]
    pub(super) resume: bool,

    /// End each build behind this phase and print its directory; --resume goes on
    #[arg(long, value_name = "PHASE", value_parser = phases(), conflicts_with = "pretend")]
    pub stop_after: Option<Phase>,

    /// Do not look at dependencies
    #[arg(long)]
    pub(super) nodeps: bool,

    /// How many packages to build at once
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: u16,

    /// Format of the packages
    #[arg(long, value_enum)]
    pub(super) format: Option<Format>,

    /// Keep the build's directory when it succeeds
    #[arg(long)]
    pub(super) keep: bool,

    /// End a phase that takes longer than this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) phase_timeout: Option<u64>,

    /// Where things are.
    #[command(flatten)]
    pub(super) places: Places,

    /// What is shown.
    #[command(flatten)]
    pub(super) display: Display,
}

/// Reads the name of a phase of a build.
fn phases() -> impl TypedValueParser<Value = Phase> {
    let names = package::PHASES.iter().map(|phase| phase.name());
    PossibleValuesParser::new(names).try_map(|name| Phase::from_name(&name).ok_or("no such phase"))
}

const REGEN_EXAMPLES: &str = "Examples:
  ebd regen
      All configured repositories.
  ebd regen --repo ./my-overlay my-overlay
      A repository that is not configured anywhere.
  ebd regen gentoo dev-libs/openssl
      Only one package.
  ebd regen --check
      Change nothing; exit status 1 if an entry is stale (for CI).
  ebd regen --cache /var/cache/metadata gentoo
      Leave the repository as it is; entries go to /var/cache/metadata/gentoo.";

/// Bring the metadata caches of repositories up to date.
#[derive(Debug, Args)]
#[command(after_help = REGEN_EXAMPLES)]
pub(super) struct Regen {
    /// Repositories by name, and packages (category/name) to confine the work to
    #[arg(value_name = "REPO|PACKAGE")]
    pub(super) names: Vec<String>,

    /// How many processors to use; the number of cores if not given
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: Option<u16>,

    /// Keep entries in DIR/REPOSITORY instead of the repository
    #[arg(long, value_name = "DIR")]
    pub(super) cache: Option<PathBuf>,

    /// Change nothing; exit with 1 if anything is stale
    #[arg(long)]
    pub(super) check: bool,

    /// Source every ebuild, even those whose entry is right
    #[arg(long)]
    pub(super) all: bool,

    /// Parse every eclass whole for every ebuild (slower; to see whether it makes a difference)
    #[arg(long)]
    pub(super) whole_eclasses: bool,

    /// End an ebuild that takes longer than this many seconds to source
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) timeout: u64,

    /// Where things are.
    #[command(flatten)]
    pub(super) places: Places,

    /// What is shown.
    #[command(flatten)]
    pub(super) display: Display,
}

/// Formats of binary packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A compressed tar with the metadata appended
    Xpak,
    /// GLEP 78 (not written yet)
    Gpkg,
}

/// Where things are: each option overrides one setting.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Places")]
pub(super) struct Places {
    /// Add a repository by path (repeatable)
    #[arg(long = "repo", value_name = "PATH")]
    pub(super) repos: Vec<PathBuf>,

    /// The folder that has etc/portage
    #[arg(long, value_name = "PATH")]
    pub(super) config_root: Option<PathBuf>,

    /// The root that packages are for (ROOT)
    #[arg(long, value_name = "PATH")]
    pub(super) root: Option<PathBuf>,

    /// Where binary packages go (PKGDIR)
    #[arg(long, value_name = "PATH")]
    pub(super) pkgdir: Option<PathBuf>,

    /// Where distfiles are kept (DISTDIR)
    #[arg(long, value_name = "PATH")]
    pub(super) distdir: Option<PathBuf>,

    /// Where builds take place (PORTAGE_TMPDIR)
    #[arg(long, value_name = "PATH")]
    pub(super) tmpdir: Option<PathBuf>,

    /// The bash to run processors with
    #[arg(long, value_name = "PATH", env = "EBD_BASH", default_value = "bash")]
    pub(super) bash: PathBuf,
}

/// What is shown, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Display")]
pub(super) struct Display {
    /// Show everything that the phases print
    #[arg(short, long, conflicts_with = "quiet")]
    pub(super) verbose: bool,

    /// Show errors only (and the packages' paths)
    #[arg(short, long)]
    pub(super) quiet: bool,

    /// Print one event per line as JSON
    #[arg(long)]
    pub(super) json: bool,

    /// Use colours
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    pub(super) color: When,
}

/// When to do something that depends on the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}
