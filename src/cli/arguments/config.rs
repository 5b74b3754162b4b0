//! The command line of `ebd config`.

use clap::Args;

use super::{Display, Places};

const EXAMPLES: &str = "Examples:
  ebd config
      Every variable, with its value.
  ebd config DISTDIR
      The value of one.
  ebd config --why CFLAGS
      Every place that sets it, the one that counts last.
  ebd config app-arch/gzip
      What holds for a package: flags, masks, keywords, licenses, environment, bashrc.
  ebd config --why USE app-arch/gzip
      Flag by flag, the files and lines that turn it on or off, force or mask it.
  ebd config --why =sys-devel/gcc-15.1.0
      Also why it is masked, or what accepts its keywords and licenses.
  ebd config --json app-arch/gzip | jq -r '.use[]'
      The same for scripts: an object per package.

Of several versions that match, the one is shown that would be built, or the best
one if all are masked.

Exit status: 0 done, 1 there is no such variable or package, 2 wrong usage.";

/// Show the configuration, and what set each value.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Config {
    /// Variables; packages by name, category/name, or an atom such as '=app-misc/foo-1.2::gentoo'.
    /// A name without a slash is that of a variable if there is one. Of both, the variables are shown
    /// as they are for the packages
    #[arg(value_name = "VARIABLE|ATOM")]
    pub(in crate::cli) names: Vec<String>,

    /// Tell for each value the files and lines that set it
    #[arg(long)]
    pub(in crate::cli) why: bool,

    /// Where things are.
    #[command(flatten)]
    pub(in crate::cli) places: Places,

    /// What is shown.
    #[command(flatten)]
    pub(in crate::cli) display: Display,
}
