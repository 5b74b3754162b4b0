//! The command line as it is typed.

mod binaries;
pub(super) mod binpkg;
mod confcache;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use self::binaries::{Binaries, Compared};
pub(super) use self::confcache::{Confcache, ConfcachePlace, ConfcacheWork};
use crate::build::package;
use crate::metadata::CacheFormat;
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
    /// Work inside a build: its functions, helpers and variables, in its sandbox
    Shell(Box<Shell>),
    /// Show or compare the environments of a build
    Env(Box<Env>),
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

    /// Which binary packages to use instead of building.
    #[command(flatten)]
    pub(super) binaries: Binaries,

    /// Build without this if it cannot be had here (repeatable), as EBD_DEGRADE in make.conf does;
    /// --help tells the consequences
    #[arg(long, value_name = "FEATURE", value_parser = features(), long_help = degrade_help())]
    pub(super) degrade: Vec<sandbox::Feature>,

    /// Put back what configure scripts made before, where nothing that they depend on has changed,
    /// as FEATURES=confcache does
    #[arg(long)]
    pub(super) confcache: bool,

    /// How many packages to build at once
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) jobs: u16,

    /// Format of the packages [default: BINPKG_FORMAT, which is gpkg unless it is set]
    #[arg(long, value_enum)]
    pub(super) format: Option<Format>,

    /// Keep the build's directory when it succeeds
    #[arg(long)]
    pub(super) keep: bool,

    /// When a phase fails, open a shell in it, as ebd shell --failed does; resume goes on
    #[arg(long, conflicts_with_all = ["json", "pretend"])]
    pub(super) shell_on_failure: bool,

    /// End a phase that takes longer than this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) phase_timeout: Option<u64>,

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

/// Reads the name of a phase of a build.
fn phases() -> impl TypedValueParser<Value = Phase> {
    let names = package::PHASES.iter().map(|phase| phase.name());
    PossibleValuesParser::new(names).try_map(|name| Phase::from_name(&name).ok_or("no such phase"))
}

const SHELL_EXAMPLES: &str = "Examples:
  ebd shell app-arch/gzip
      Come into the build there as it stands, or into a new one before src_unpack.
  ebd shell app-arch/gzip --phase compile
      Run everything that comes before src_compile, and stop there.
  ebd shell app-arch/gzip --phase src_install --after
      The same with src_install run too.
  ebd shell --failed
      Come into the build that failed last, at the line that failed.
  ebd shell --failed gzip -c 'emake V=1'
      Run commands there, without a terminal; the exit status is the last one's.
  ebd shell app-misc/foo --phase prepare < try-patches.sh
      The same with a script.
  ebd shell --no-package -c 'ver_cut 1-2 1.2.3'
      The functions alone.

In the shell: phase NAME, phases, reload, diff-env, image, resume, help.

Exit status: that of the shell's last command, or 1 if that is 0 but the sandbox
refused something to commands of -c or a script; after resume 0 if the package
was built, 1 if not; 1 if there could be no shell, 2 wrong usage.";

/// Work inside a build.
///
/// An interactive bash that is the build: the ebuild and its eclasses loaded, every function and helper
/// of its EAPI callable, the variables set, with the user, network and sandbox of the phase. Nothing
/// that is done there changes what the build has kept, but for files, unless it is told to.
#[derive(Debug, Clone, Args)]
#[command(after_help = SHELL_EXAMPLES)]
pub(super) struct Shell {
    /// The package: a name, category/name, or an atom such as '=app-misc/foo-1.2'
    #[arg(value_name = "ATOM", required_unless_present_any = ["failed", "no_package"])]
    pub(super) atom: Option<String>,

    /// Run what comes before this phase, and stop there
    #[arg(long, value_name = "PHASE", value_parser = any_phase(), conflicts_with = "failed")]
    pub(super) phase: Option<Phase>,

    /// Stop before the phase of --phase, as without this
    #[arg(long, requires = "phase", conflicts_with = "after")]
    pub(super) before: bool,

    /// Stop behind the phase of --phase
    #[arg(long, requires = "phase")]
    pub(super) after: bool,

    /// Come in at the line that failed, of the build that failed last or of this package's
    #[arg(long)]
    pub(super) failed: bool,

    /// Begin anew; what an earlier build has left there is lost
    #[arg(long, conflicts_with = "failed")]
    pub(super) fresh: bool,

    /// Only the functions, of no package
    #[arg(long, conflicts_with_all = ["atom", "failed", "fresh"])]
    pub(super) no_package: bool,

    /// Run these commands instead of reading any
    #[arg(short, long, value_name = "COMMANDS")]
    pub(super) command: Option<OsString>,

    /// Source this file too; nothing of it gets into the build
    #[arg(long, value_name = "FILE")]
    pub(super) rcfile: Option<PathBuf>,

    /// Do without this if it cannot be had here (repeatable), as EBD_DEGRADE in make.conf does;
    /// --help tells the consequences
    #[arg(long, value_name = "FEATURE", value_parser = features(), long_help = degrade_help())]
    pub(super) degrade: Vec<sandbox::Feature>,

    /// Keep the build's directory when resume comes to the package
    #[arg(long)]
    pub(super) keep: bool,

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

/// Reads the name of a phase, or of its function; those of builds are shown.
fn any_phase() -> impl TypedValueParser<Value = Phase> {
    let shown = |phase: &Phase| *phase == Phase::Pretend || package::PHASES.contains(phase);
    let names = Phase::ALL.iter().flat_map(move |phase| {
        [
            PossibleValue::new(phase.name()).hide(!shown(phase)),
            PossibleValue::new(phase.function()).hide(!shown(phase)),
        ]
    });
    PossibleValuesParser::new(names).try_map(|name| {
        Phase::from_name(&name)
            .or_else(|| Phase::from_function(&name))
            .ok_or("no such phase")
    })
}

const ENV_EXAMPLES: &str = "Examples:
  ebd env app-arch/gzip
      Every variable and function as the build there has kept them last, with the
      line of the ebuild or eclass, or the phase, that set them.
  ebd env app-arch/gzip --phase configure
      The same as it was after src_configure.
  ebd env app-arch/gzip --phase compile --diff configure
      What src_compile has changed.
  ebd env app-arch/gzip --phase failed --diff sourced
      What all phases have changed up to the line that failed.
  ebd env app-arch/gzip --diff /var/db/pkg/app-arch/gzip-1.14/environment.bz2
      What differs from the installed one.
  ebd env app-arch/gzip --json | jq '.variables[] | select(.name == \"CFLAGS\")'
      The same for scripts.

Where there is no build, the environment is what sourcing the ebuild gives.";

/// Show or compare the environments of a build.
#[derive(Debug, Args)]
#[command(after_help = ENV_EXAMPLES)]
pub(super) struct Env {
    /// The package: a name, category/name, or an atom such as '=app-misc/foo-1.2'
    #[arg(value_name = "ATOM")]
    pub(super) atom: String,

    /// The environment after this phase; or `sourced`, what sourcing the ebuild gives, or `failed`,
    /// that of the line that failed [default: the last that was kept]
    #[arg(long, value_name = "PHASE")]
    pub(super) phase: Option<String>,

    /// Show what differs from this one: named as with --phase, or a file such as environment.bz2
    #[arg(long, value_name = "OTHER")]
    pub(super) diff: Option<String>,

    /// Do without this if it cannot be had here (repeatable), as EBD_DEGRADE in make.conf does;
    /// --help tells the consequences
    #[arg(long, value_name = "FEATURE", value_parser = features(), long_help = degrade_help())]
    pub(super) degrade: Vec<sandbox::Feature>,

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

const FETCH_EXAMPLES: &str = "Examples:
  ebd fetch app-arch/gzip dev-libs/libyaml
      Bring what their USE flags ask for into DISTDIR.
  ebd fetch --pretend app-arch/gzip
      List the files, their sizes, and where each would come from.
  ebd fetch --all-files sys-apps/bustd
      What any USE flags could ask for, as a mirror wants it.
  ebd fetch --json app-arch/gzip | jq -c 'select(.event == \"done\")'
      The same for scripts: one event per line.

Files are resumed where an earlier fetch was broken off, and have their names only
when all checksums of the Manifest were found right.

Exit status: 0 all files are there, 1 some are not, 2 wrong usage.";

/// Bring the distfiles of packages.
#[derive(Debug, Args)]
#[command(after_help = FETCH_EXAMPLES)]
pub(super) struct Fetch {
    /// Packages: a name, category/name, or an atom such as '=app-misc/foo-1.2'
    #[arg(required = true, value_name = "ATOM")]
    pub(super) atoms: Vec<String>,

    /// List the files, their sizes, and where each would come from; fetch nothing
    #[arg(short, long)]
    pub(super) pretend: bool,

    /// Bring the files that any USE flags could ask for
    #[arg(long)]
    pub(super) all_files: bool,

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

const MANIFEST_EXAMPLES: &str = "Examples:
  ebd manifest
      Of the package in this folder.
  ebd manifest ./my-overlay/app-misc/foo app-misc/bar
      Of a package in a folder, and of one in a repository that is configured.
  ebd manifest --force
      Hash the distfiles anew, whatever the Manifest says of them now.

Entries that are complete stay as they are. Files without an entry are fetched from
where the ebuilds say, not from mirrors: nothing tells yet what is in them. So look at
what came before others rely on it.

Exit status: 0 all Manifests are as they should be, 1 one could not be made, 2 wrong
usage.";

/// Write the Manifests of packages.
#[derive(Debug, Args)]
#[command(after_help = MANIFEST_EXAMPLES)]
pub(super) struct Manifest {
    /// Packages: folders, or names [default: .]
    #[arg(value_name = "FOLDER|PACKAGE")]
    pub(super) packages: Vec<String>,

    /// What the Manifest says of distfiles does not count: hash what is there, fetch what is not
    #[arg(long)]
    pub(super) force: bool,

    /// Where things are.
    #[command(flatten)]
    pub(super) places: Places,

    /// Where distfiles are kept.
    #[command(flatten)]
    pub(super) stores: Stores,

    /// What is shown.
    #[command(flatten)]
    pub(super) display: Display,
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
  ebd regen --verify gentoo
      Source everything and compare it with the cache; change nothing.
  ebd regen --use-local-desc --pkg-desc-index --timestamp gentoo
      What an rsync mirror serves, too.
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

    /// Keep in DIR what entries depend on, so that an ebuild need not be sourced again when an
    /// eclass changes in a place that it does not use [default: regen in ebd's cache folder]
    #[arg(long, value_name = "DIR")]
    pub(super) memory: Option<PathBuf>,

    /// Change nothing; exit with 1 if anything is stale
    #[arg(long)]
    pub(super) check: bool,

    /// Change nothing; source every ebuild, and exit with 1 if an entry is not what that gives
    #[arg(long, conflicts_with_all = ["check", "all"])]
    pub(super) verify: bool,

    /// Source every ebuild, even those whose entry is right
    #[arg(long)]
    pub(super) all: bool,

    /// Make profiles/use.local.desc, or FILE, of the packages' metadata.xml
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub(super) use_local_desc: Option<Option<PathBuf>>,

    /// Make metadata/pkg_desc_index, or FILE, of the cache
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub(super) pkg_desc_index: Option<Option<PathBuf>>,

    /// Write the time into metadata/timestamp.chk when all is done
    #[arg(long)]
    pub(super) timestamp: bool,

    /// Parse every eclass whole for every ebuild (slower; to see whether it makes a difference)
    #[arg(long)]
    pub(super) whole_eclasses: bool,

    /// Let ebuilds write files, run programs and use the network while they are sourced
    #[arg(long)]
    pub(super) unconfined: bool,

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
pub(super) struct Transfer {
    /// A repository that ships a cache, or a folder with one
    #[arg(value_name = "SRC")]
    pub(super) source: PathBuf,

    /// A repository or a folder; a folder is made if it does not exist
    #[arg(value_name = "DST")]
    pub(super) target: PathBuf,

    /// Format to write; without, that of DST, else md5-dict in a repository, else that of SRC
    #[arg(long, value_name = "FORMAT", value_parser = cache_formats())]
    pub(super) format: Option<CacheFormat>,

    /// Keep entries that SRC does not have
    #[arg(long)]
    pub(super) keep_extra: bool,

    /// Add a repository by path (repeatable): the first is that of the entries if neither SRC
    /// nor DST is one, others may be its masters
    #[arg(long = "repo", value_name = "PATH")]
    pub(super) repos: Vec<PathBuf>,

    /// The folder that has etc/portage, which tells where a repository's masters are
    #[arg(long, value_name = "PATH")]
    pub(super) config_root: Option<PathBuf>,

    /// Print the summary, and errors, as JSON, one object per line
    #[arg(long)]
    pub(super) json: bool,
}

const SANDBOX_EXAMPLES: &str = "Examples:
  ebd sandbox --write . -- make -j2
      Let make change what is in this folder and nothing else.
  ebd sandbox --write . --write /tmp --net host -- pip install -e .
      The same with a folder for temporary files and the machine's network.
  ebd sandbox --write . --trace looked-at.json -- ./configure
      Write down every path that configure opened, tested or looked for in vain.
  ebd sandbox --report refused.json -- ./untrusted-script
      Write what was refused to a file, for another program.

Devices such as /dev/null and the terminal can always be written to. What is
refused fails with EACCES.

Exit status: that of the command, 128 + n if signal n ended it; 1 if it ended
well but something was refused; 125 if there could be no sandbox, 126 and 127
if the command could not be run or found.";

/// Run a command in a sandbox.
#[derive(Debug, Args)]
#[command(after_help = SANDBOX_EXAMPLES)]
pub(super) struct Sandbox {
    /// What may be changed: a path and all that is below it (repeatable)
    #[arg(short, long, value_name = "PATH")]
    pub(super) write: Vec<PathBuf>,

    /// What the command is known to try to change: refused, but not reported (repeatable)
    #[arg(short, long, value_name = "PATH")]
    pub(super) predict: Vec<PathBuf>,

    /// What may be neither read nor changed, whatever else is said (repeatable)
    #[arg(short, long, value_name = "PATH")]
    pub(super) deny: Vec<PathBuf>,

    /// What may be read, if not everything: the program and its libraries too (repeatable)
    #[arg(short, long, value_name = "PATH")]
    pub(super) read: Vec<PathBuf>,

    /// The network: none, one that only leads to itself, or the machine's
    #[arg(short, long, value_enum, value_name = "WHICH", default_value_t = Net::Loopback)]
    pub(super) net: Net,

    /// Write every path that was looked at, and what was found, to this file, as JSON
    #[arg(short, long, value_name = "FILE")]
    pub(super) trace: Option<PathBuf>,

    /// Write what was refused to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,

    /// Do without this if it cannot be had here (repeatable); --help tells the consequences
    #[arg(long, value_name = "FEATURE", value_parser = features(), long_help = degrade_help())]
    pub(super) degrade: Vec<sandbox::Feature>,

    /// The command and its arguments
    #[arg(required = true, value_name = "CMD", trailing_var_arg = true)]
    pub(super) command: Vec<OsString>,
}

/// Networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Net {
    /// None at all, not even to itself
    None,
    /// One that only leads to itself
    Loopback,
    /// The machine's
    Host,
}

/// Reads the name of a feature of sandboxes.
fn features() -> impl TypedValueParser<Value = sandbox::Feature> {
    PossibleValuesParser::new(sandbox::Feature::ALL.map(sandbox::Feature::name))
        .try_map(|name| sandbox::Feature::named(&name).ok_or("no such feature"))
}

/// What it means to do without each of them.
fn degrade_help() -> String {
    let mut text = String::from(
        "Do without this if it cannot be had here (repeatable). What it means to be without:",
    );
    for feature in sandbox::Feature::ALL {
        text.push_str(&format!("\n  {feature}: {}", feature.consequence()));
    }
    text
}

/// Reads the name of a format of caches.
fn cache_formats() -> impl TypedValueParser<Value = CacheFormat> {
    let names = CacheFormat::ALL.iter().map(|format| format.name());
    PossibleValuesParser::new(names.chain(["pms"]))
        .try_map(|name| CacheFormat::from_name(&name).ok_or("no such format"))
}

/// Formats of binary packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// GLEP 78: a tar with the compressed image and metadata in it, and their checksums
    Gpkg,
    /// A compressed tar with the metadata appended
    Xpak,
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

    /// The bash to run ebuilds with. One of 5.3 or newer runs only those of EAPI 9, which needs it,
    /// if the system's own will do for the others; without this, it is looked for in PATH
    #[arg(long, value_name = "PATH", env = "EBD_BASH")]
    pub(super) bash: Option<PathBuf>,
}

/// Where a build keeps what it takes and makes.
#[derive(Debug, Clone, Args)]
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
