//! The command line of `ebd binpkg`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::binaries::yes_or_no;

const EXAMPLES: &str = "Examples:
  ebd binpkg list
  ebd binpkg check --pkgdir /srv/binpkgs && ebd binpkg verify --pkgdir /srv/binpkgs
  ebd binpkg prune --keep 3 --per-use --older-than 90d --pretend

Packages are named as in Gentoo's configuration: app-misc/foo, foo,
'>=app-misc/foo-1.2', '=app-misc/foo-1.2-3' for build 3, 'app-misc/*'. Each
command has more examples in its own --help.

Exit status: 0 done, 1 something is wrong or could not be done, 2 wrong usage.";

/// Look at, repair, prune and serve binary packages.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Binpkg {
    /// What to do.
    #[command(subcommand)]
    pub(in crate::cli) command: BinpkgCommand,
}

/// The subcommands of `ebd binpkg`.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BinpkgCommand {
    /// List packages, and how the builds of one version differ in USE
    #[command(after_help = LIST_EXAMPLES)]
    List(List),
    /// Show everything that is known of packages
    #[command(after_help = SHOW_EXAMPLES)]
    Show(Show),
    /// Unpack the image or the metadata of a package
    #[command(after_help = EXTRACT_EXAMPLES)]
    Extract(Extract),
    /// Tell what is wrong with the index (as emaint --check binhost does), and what killed builders have left
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Store),
    /// Make the index true again (as emaint --fix binhost does), and remove what killed builders have left
    #[command(after_help = FIX_EXAMPLES)]
    Fix(Store),
    /// Hold packages against the index, their own checksums and their signatures
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Verify),
    /// Sign packages anew with your gpg
    #[command(after_help = SIGN_EXAMPLES)]
    Sign(Named),
    /// Remove packages that nobody needs any more, and what killed builders have left
    #[command(after_help = PRUNE_EXAMPLES)]
    Prune(Prune),
    /// Take packages over from files or another PKGDIR
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(Import),
    /// Apply package moves of repositories (profiles/updates) to packages
    #[command(after_help = MOVE_EXAMPLES)]
    Move(Move),
    /// Make packages of installed ones
    #[command(after_help = QUICKPKG_EXAMPLES)]
    Quickpkg(Quickpkg),
    /// Serve packages over HTTP, with a page to look at them
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Serve),
}

const LIST_EXAMPLES: &str = "Examples:
  ebd binpkg list
      Everything in PKGDIR.
  ebd binpkg list 'dev-libs/*'
      A category.
  ebd binpkg list --json | jq -r 'select(.size > 1e8).path'
      One object per build, for scripts.
  ebd binpkg list --remote app-misc/foo
      What the hosts of PORTAGE_BINHOST and binrepos.conf have of it.

The first build of a version shows its own flags, those that are off with a
minus; the others what differs from the one above.";

const SHOW_EXAMPLES: &str = "Examples:
  ebd binpkg show =app-misc/foo-1.2-3
      The entry of build 3, and what metadata the package has.
  ebd binpkg show --file RDEPEND ./foo-1.2-3.gpkg.tar
      One file of the metadata of a package, as it is.";

const EXTRACT_EXAMPLES: &str = "Examples:
  ebd binpkg extract =app-misc/foo-1.2-3 ./image
      What the package installs, into a new folder.
  ebd binpkg extract --metadata ./foo-1.2-3.xpak ./build-info
      Its metadata, a file each.
  ebd binpkg extract --preserve app-misc/foo /mnt/image
      With owners, setuid bits and extended attributes, as root.

Nothing is written outside of the folder, whatever the package says.";

const CHECK_EXAMPLES: &str = "Examples:
  ebd binpkg check
  ebd binpkg check --json --pkgdir /srv/binpkgs

Exit status: 0 all is well, 1 something is wrong.";

const FIX_EXAMPLES: &str = "Examples:
  ebd binpkg fix
      Packages without an entry get one, entries without a package go.

What is wrong is looked at again with the index locked, so that builders can go
on meanwhile. Files that are no packages are told, but not removed.";

const VERIFY_EXAMPLES: &str = "Examples:
  ebd binpkg verify
      Everything in PKGDIR.
  ebd binpkg verify ./foo-1.2-3.gpkg.tar
      A file by itself.
  ebd binpkg verify --require-signature app-misc/foo
      It must be signed by somebody whom your keyring trusts.

Signatures are verified as BINPKG_GPG_VERIFY_BASE_COMMAND, _GPG_HOME and
FEATURES (binpkg-request-signature, binpkg-ignore-signature) say.";

const SIGN_EXAMPLES: &str = "Examples:
  ebd binpkg sign app-misc/foo
      With the key of BINPKG_GPG_SIGNING_KEY.

The package keeps its name and build id; old signatures are replaced. An xpak
cannot be signed.";

const PRUNE_EXAMPLES: &str = "Examples:
  ebd binpkg prune --keep 2
      Keep the newest two builds of each version.
  ebd binpkg prune --keep 1 --per-use --pretend
      Show what goes if one of each set of USE flags is kept.
  ebd binpkg prune --profile default/linux/amd64/23.0 --profile /srv/clients/laptop
      Remove what neither can use.
  ebd binpkg prune --older-than 180d 'dev-*/*'
      Remove what is older in some categories.
  ebd binpkg prune --max-size 50G
      Remove the oldest until the rest fits.

Several rules are applied one after the other, in this order.";

const IMPORT_EXAMPLES: &str = "Examples:
  ebd binpkg import /mnt/other/binpkgs
  ebd binpkg import ./foo-1.2-3.gpkg.tar --pkgdir /srv/binpkgs

Packages keep their build ids and times; one whose id is another build's here
gets the next free one. The very same package is not taken twice.";

const MOVE_EXAMPLES: &str = "Examples:
  ebd binpkg move --pretend
      Show which packages have another name, slot or dependencies now.
  ebd binpkg move && ebd binpkg prune --keep 1
      Apply that.

Packages that have another name are copied under it; the old ones stay until they
are pruned. Signed packages stay as they are, and are told.";

const QUICKPKG_EXAMPLES: &str = "Examples:
  ebd binpkg quickpkg sys-apps/foo
      Without the files that CONFIG_PROTECT protects: a note stands for each.
  ebd binpkg quickpkg --include-unmodified-config '*/*'
      Everything that is installed, with configuration that nobody changed.
  ebd binpkg quickpkg --root /mnt/system --format xpak app-misc/bar
      Of another system.

Packages keep the build id that they were installed with. Files that are missing
or changed are told.";

const SERVE_EXAMPLES: &str = "Examples:
  ebd binpkg serve
      On http://127.0.0.1:8080/, for this machine.
  ebd binpkg serve --listen '[::]:80' --pkgdir /srv/binpkgs
      For everybody; clients set PORTAGE_BINHOST=\"http://HOST/\".

The address is printed to standard output as soon as it can be reached.";

/// Which PKGDIR.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Places")]
pub(in crate::cli) struct Store {
    /// Where the packages are (PKGDIR)
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) pkgdir: Option<PathBuf>,

    /// The folder that has etc/portage
    #[arg(long, value_name = "PATH")]
    pub(in crate::cli) config_root: Option<PathBuf>,

    /// Print JSON, one object per line
    #[arg(long, help_heading = "Display")]
    pub(in crate::cli) json: bool,
}

/// Packages of PKGDIR.
#[derive(Debug, Args)]
pub(in crate::cli) struct Named {
    /// Packages; '*/*' is all of them
    #[arg(value_name = "ATOM", required = true)]
    pub(in crate::cli) atoms: Vec<String>,

    /// Which PKGDIR.
    #[command(flatten)]
    pub(in crate::cli) store: Store,
}

/// `ebd binpkg list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Packages [default: all]
    #[arg(value_name = "ATOM")]
    pub(in crate::cli) atoms: Vec<String>,

    /// Those of the hosts that are configured (PORTAGE_BINHOST, binrepos.conf), not of PKGDIR
    #[arg(long, conflicts_with = "pkgdir")]
    pub(in crate::cli) remote: bool,

    /// Those of this host, whatever is configured
    #[arg(long, value_name = "URL", conflicts_with_all = ["pkgdir", "remote"])]
    pub(in crate::cli) host: Option<String>,

    /// Which PKGDIR.
    #[command(flatten)]
    pub(in crate::cli) store: Store,
}

/// `ebd binpkg show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// Packages, or files
    #[arg(required = true, value_name = "ATOM|FILE")]
    pub(in crate::cli) packages: Vec<String>,

    /// Print only this file of the metadata, as it is
    #[arg(long, value_name = "NAME", conflicts_with = "json")]
    pub(in crate::cli) file: Option<String>,

    /// Which PKGDIR.
    #[command(flatten)]
    pub(in crate::cli) store: Store,
}

/// `ebd binpkg extract`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Extract {
    /// A package, of which the newest build is meant, or a file
    #[arg(value_name = "ATOM|FILE")]
    pub(in crate::cli) package: String,

    /// A folder that is empty or not there
    #[arg(value_name = "FOLDER")]
    pub(in crate::cli) folder: PathBuf,

    /// Unpack the metadata instead of the image
    #[arg(long)]
    pub(in crate::cli) metadata: bool,

    /// Keep owners, setuid bits and extended attributes
    #[arg(long, conflicts_with = "metadata")]
    pub(in crate::cli) preserve: bool,

    /// Which PKGDIR.
    #[command(flatten)]
    pub(in crate::cli) store: Store,
}

/// `ebd binpkg verify`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    /// Packages, or files [default: all in PKGDIR]
    #[arg(value_name = "ATOM|FILE")]
    pub(in crate::cli) packages: Vec<String>,

    /// Packages must be signed
    #[arg(long, conflicts_with = "ignore_signature")]
    pub(in crate::cli) require_signature: bool,

    /// Do not look at signatures
    #[arg(long)]
    pub(in crate::cli) ignore_signature: bool,

    /// Which PKGDIR.
    #[command(flatten)]
    pub(in crate::cli) store: Store,
}

/// `ebd binpkg prune`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("rules").required(true).multiple(true)))]
pub(in crate::cli) struct Prune {
    /// Packages that the rules are for [default: all]
    #[arg(value_name = "ATOM")]
    pub(in crate::cli) atoms: Vec<String>,

    /// Remove what no client can use: what is masked for all these (repeatable), or has other USE flags than each of
    /// them wants. A profile, with which all else is configured as here, or a folder that has a client's etc/portage
    #[arg(long = "profile", value_name = "PROFILE|FOLDER", group = "rules")]
    pub(in crate::cli) profiles: Vec<PathBuf>,

    /// Keep the newest N builds of each version
    #[arg(long, value_name = "N", group = "rules")]
    pub(in crate::cli) keep: Option<usize>,

    /// Count --keep for every set of USE flags on its own
    #[arg(long, requires = "keep")]
    pub(in crate::cli) per_use: bool,

    /// Remove what was built longer ago: 12h, 90d, 8w
    #[arg(long, value_name = "AGE", value_parser = parse_age, group = "rules")]
    pub(in crate::cli) older_than: Option<Duration>,

    /// Remove the oldest until the rest is no larger: 500M, 20G
    #[arg(long, value_name = "SIZE", value_parser = parse_size, group = "rules")]
    pub(in crate::cli) max_size: Option<u64>,

    /// Show what would be removed, remove nothing
    #[arg(short, long)]
    pub(in crate::cli) pretend: bool,

    /// Which PKGDIR.
    #[command(flatten)]
    pub(in crate::cli) store: Store,
}

/// `ebd binpkg move`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Move {
    /// A repository that is not configured anywhere (repeatable)
    #[arg(long = "repo", value_name = "PATH", help_heading = "Places")]
    pub(in crate::cli) repos: Vec<PathBuf>,

    /// Show what would be changed, change nothing
    #[arg(short, long)]
    pub(in crate::cli) pretend: bool,

    /// Which PKGDIR.
    #[command(flatten)]
    pub(in crate::cli) store: Store,
}

/// `ebd binpkg quickpkg`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Quickpkg {
    /// Installed packages
    #[arg(required = true, value_name = "ATOM")]
    pub(in crate::cli) atoms: Vec<String>,

    /// Pack all files that CONFIG_PROTECT protects
    #[arg(long, value_name = "y|n", num_args = 0..=1, require_equals = true, default_missing_value = "y", default_value = "n", value_parser = yes_or_no)]
    pub(in crate::cli) include_config: bool,

    /// Pack those of them that are as they were installed
    #[arg(long, value_name = "y|n", num_args = 0..=1, require_equals = true, default_missing_value = "y", default_value = "n", value_parser = yes_or_no)]
    pub(in crate::cli) include_unmodified_config: bool,

    /// Format of the packages [default: BINPKG_FORMAT, which is gpkg unless it is set]
    #[arg(long, value_enum)]
    pub(in crate::cli) format: Option<super::Format>,

    /// Where the packages are installed (ROOT)
    #[arg(long, value_name = "PATH", help_heading = "Places")]
    pub(in crate::cli) root: Option<PathBuf>,

    /// Which PKGDIR.
    #[command(flatten)]
    pub(in crate::cli) store: Store,
}

/// `ebd binpkg import`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// Package files, or PKGDIRs
    #[arg(required = true, value_name = "FILE|FOLDER")]
    pub(in crate::cli) sources: Vec<PathBuf>,

    /// Which PKGDIR.
    #[command(flatten)]
    pub(in crate::cli) store: Store,
}

/// `ebd binpkg serve`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Serve {
    /// Address and port; port 0 is any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(in crate::cli) listen: SocketAddr,

    /// Which PKGDIR.
    #[command(flatten)]
    pub(in crate::cli) store: Store,
}

fn parse_age(text: &str) -> Result<Duration, String> {
    scaled(text, &[('h', 3600), ('d', 86_400), ('w', 7 * 86_400)])
        .map(Duration::from_secs)
        .ok_or_else(|| "a number with h, d or w behind it is wanted, such as 90d".to_owned())
}

fn parse_size(text: &str) -> Result<u64, String> {
    let units = [
        ('K', 1 << 10),
        ('M', 1 << 20),
        ('G', 1 << 30),
        ('T', 1 << 40),
    ];
    text.parse()
        .ok()
        .or_else(|| scaled(text, &units))
        .ok_or_else(|| "a number of bytes, or with K, M, G or T behind it, is wanted".to_owned())
}

fn scaled(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let (unit, scale) = units.iter().find(|(unit, _)| text.ends_with(*unit))?;
    text.strip_suffix(*unit)?
        .parse::<u64>()
        .ok()?
        .checked_mul(*scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_have_units() {
        assert_eq!(parse_age("2d"), Ok(Duration::from_secs(172_800)));
        assert_eq!(parse_size("10"), Ok(10));
        assert_eq!(parse_size("3K"), Ok(3072));
        for bad in ["", "d", "5", "-1d", "1.5d", "99999999999999999w"] {
            assert!(parse_age(bad).is_err(), "{bad}");
        }
        assert!(parse_size("1X").is_err());
    }
}
