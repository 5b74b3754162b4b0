//! The options of `ebd build` about binary packages.

use clap::{Args, ValueEnum};

/// Which binary packages to use instead of building.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Binary packages")]
pub(in crate::cli) struct Binaries {
    /// Use a binary package of PKGDIR instead of building, where one is as the build would be
    #[arg(short = 'k', long, conflicts_with_all = ["resume", "stop_after"])]
    pub(in crate::cli) usepkg: bool,

    /// Use binary packages only, whatever ebuilds there are; build nothing
    #[arg(short = 'K', long, conflicts_with_all = ["resume", "stop_after"])]
    pub(in crate::cli) usepkgonly: bool,

    /// Use binary packages of hosts too (PORTAGE_BINHOST, binrepos.conf), as FEATURES=getbinpkg does
    #[arg(short = 'g', long, value_name = "y|n", num_args = 0..=1, require_equals = true, default_missing_value = "y", value_parser = yes_or_no, conflicts_with_all = ["resume", "stop_after"])]
    pub(in crate::cli) getbinpkg: Option<bool>,

    /// The same, and build nothing
    #[arg(short = 'G', long, conflicts_with_all = ["resume", "stop_after"])]
    pub(in crate::cli) getbinpkgonly: bool,

    /// Whether the USE flags must be those wanted now [default: y, but n with -K and -G]
    #[arg(long, value_name = "y|n", num_args = 0..=1, require_equals = true, default_missing_value = "y", value_parser = yes_or_no)]
    pub(in crate::cli) binpkg_respect_use: Option<bool>,

    /// Whether packages are passed over whose dependencies are not the ebuild's any more [default: y, but n with -K and -G]
    #[arg(long, value_name = "y|n", num_args = 0..=1, require_equals = true, default_missing_value = "y", value_parser = yes_or_no)]
    pub(in crate::cli) binpkg_changed_deps: Option<bool>,

    /// How much of what a package was made of must be as it is now, where an ebuild is there
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = Compared::Sources)]
    pub(in crate::cli) binpkg_input: Compared,
}

pub(super) fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "true" => Ok(true),
        "n" | "no" | "false" => Ok(false),
        _ => Err("y or n is wanted".to_owned()),
    }
}

/// How much of what a package was made of must be as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Compared {
    /// Nothing, as in Portage
    Ignore,
    /// Ebuild, eclasses, files, sources and patches, where the package says what they were
    Sources,
    /// Also the flags for compilers and the builds of its dependencies; and the package must say so
    All,
}
