//! The command line as it is typed.

mod binaries;
pub(super) mod binpkg;
mod build;
mod confcache;
mod config;
mod env;
mod fetch;
mod query;
mod regen;
mod sandbox;
mod shell;
mod transfer;

use std::path::PathBuf;

use ::sandbox::Feature;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use self::binaries::{Binaries, Compared};
pub(super) use self::build::{Build, Format};
pub(super) use self::confcache::{Confcache, ConfcachePlace, ConfcacheWork};
pub(super) use self::config::Config;
pub(super) use self::env::Env;
pub(super) use self::fetch::{Fetch, Manifest};
pub(super) use self::query::{Query, Search};
pub(super) use self::regen::Regen;
pub(super) use self::sandbox::{Net, Sandbox};
pub(super) use self::shell::Shell;
pub(super) use self::transfer::Transfer;

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
    /// Work inside a build: its functions, helpers and variables, in its sandbox
    Shell(Box<Shell>),
    /// Show or compare the environments of a build
    Env(Box<Env>),
    /// Show the configuration, of everything or of one package, and what set each value
    Config(Box<Config>),
    /// List the ebuilds that are as a query wants them
    Query(Box<Query>),
    /// Search names and descriptions of packages
    Search(Box<Search>),
    /// Bring the distfiles of packages, verified
    Fetch(Box<Fetch>),
    /// Write the Manifests of packages, fetching what is missing
    Manifest(Box<Manifest>),
    /// Look at, repair, prune and serve binary packages
    Binpkg(binpkg::Binpkg),
    /// Bring the metadata caches of repositories up to date
    Regen(Box<Regen>),
    /// Copy a metadata cache, also into another format
    Transfer(Transfer),
    /// Run a command that can change nothing but what it may, or see what it looks at
    Sandbox(Sandbox),
    /// Run a configure script, or put back what it made if nothing that it depends on has changed
    Confcache(Confcache),
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

/// Reads the name of a feature of sandboxes.
fn features() -> impl TypedValueParser<Value = Feature> {
    PossibleValuesParser::new(Feature::ALL.map(Feature::name))
        .try_map(|name| Feature::named(&name).ok_or("no such feature"))
}

/// What it means to do without each of them.
fn degrade_help() -> String {
    let mut text = String::from(
        "Do without this if it cannot be had here (repeatable). What it means to be without:",
    );
    for feature in Feature::ALL {
        text.push_str(&format!("\n  {feature}: {}", feature.consequence()));
    }
    text
}

/// What all commands have that work on packages of builds.
#[derive(Debug, Clone, Args)]
pub(super) struct Surroundings {
    /// Where things are.
    #[command(flatten)]
    pub(super) places: Places,

    /// Where the build keeps things.
    #[command(flatten)]
    pub(super) stores: Stores,

    /// What is shown.
    #[command(flatten)]
    pub(super) display: Display,
}

/// What may be done without.
#[derive(Debug, Clone, Args)]
pub(super) struct Degrade {
    /// Do without this if it cannot be had here (repeatable), as EBD_DEGRADE in make.conf does;
    /// --help tells the consequences
    #[arg(long = "degrade", value_name = "FEATURE", value_parser = features(), long_help = degrade_help())]
    pub(super) features: Vec<Feature>,
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

    /// Read this file instead of etc/portage/ebd.toml
    #[arg(long, value_name = "FILE", env = "EBD_CONFIG")]
    pub(super) config: Option<PathBuf>,

    /// The root that packages are for (ROOT)
    #[arg(long, value_name = "PATH")]
    pub(super) root: Option<PathBuf>,

    /// The bash to run ebuilds with. One of 5.3 or newer runs only those of EAPI 9, which needs it,
    /// if the system's own will do for the others; without this, it is looked for in PATH
    #[arg(long, value_name = "PATH", env = "EBD_BASH")]
    pub(super) bash: Option<PathBuf>,
}

/// Where a build keeps what it takes and makes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Places")]
pub(super) struct Stores {
    /// Where binary packages go (PKGDIR)
    #[arg(long, value_name = "PATH")]
    pub(super) pkgdir: Option<PathBuf>,

    /// Where distfiles are kept (DISTDIR)
    #[arg(long, value_name = "PATH")]
    pub(super) distdir: Option<PathBuf>,

    /// Where builds take place (PORTAGE_TMPDIR)
    #[arg(long, value_name = "PATH")]
    pub(super) tmpdir: Option<PathBuf>,
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

impl Display {
    /// As it is for what happens beside what is printed, which is the result itself, in JSON too.
    pub(super) fn aside(&self) -> Self {
        Self {
            json: false,
            quiet: self.quiet || self.json,
            ..self.clone()
        }
    }
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
