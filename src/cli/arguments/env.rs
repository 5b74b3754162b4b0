//! The command line of `ebd env`.

use clap::Args;

use super::{Degrade, Surroundings};

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
pub(in crate::cli) struct Env {
    /// The package: a name, category/name, or an atom such as '=app-misc/foo-1.2'
    #[arg(value_name = "ATOM")]
    pub(in crate::cli) atom: String,

    /// The environment after this phase; or `sourced`, what sourcing the ebuild gives, or `failed`,
    /// that of the line that failed [default: the last that was kept]
    #[arg(long, value_name = "PHASE")]
    pub(in crate::cli) phase: Option<String>,

    /// Show what differs from this one: named as with --phase, or a file such as environment.bz2
    #[arg(long, value_name = "OTHER")]
    pub(in crate::cli) diff: Option<String>,

    /// What may be done without.
    #[command(flatten)]
    pub(in crate::cli) degrade: Degrade,

    /// Places, what is kept there, and what is shown.
    #[command(flatten)]
    pub(in crate::cli) around: Surroundings,
}
