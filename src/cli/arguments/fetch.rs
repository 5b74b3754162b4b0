//! The command line of `ebd fetch` and `ebd manifest`.

use clap::Args;

use super::Surroundings;

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
pub(in crate::cli) struct Fetch {
    /// Packages: a name, category/name, or an atom such as '=app-misc/foo-1.2'
    #[arg(required = true, value_name = "ATOM")]
    pub(in crate::cli) atoms: Vec<String>,

    /// List the files, their sizes, and where each would come from; fetch nothing
    #[arg(short, long)]
    pub(in crate::cli) pretend: bool,

    /// Bring the files that any USE flags could ask for
    #[arg(long)]
    pub(in crate::cli) all_files: bool,

    /// Places, what is kept there, and what is shown.
    #[command(flatten)]
    pub(in crate::cli) around: Surroundings,
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
pub(in crate::cli) struct Manifest {
    /// Packages: folders, or names [default: .]
    #[arg(value_name = "FOLDER|PACKAGE")]
    pub(in crate::cli) packages: Vec<String>,

    /// What the Manifest says of distfiles does not count: hash what is there, fetch what is not
    #[arg(long)]
    pub(in crate::cli) force: bool,

    /// Places, what is kept there, and what is shown.
    #[command(flatten)]
    pub(in crate::cli) around: Surroundings,
}
