//! The command line of `ebd shell`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::{Degrade, Surroundings};
use crate::build::package;
use crate::pms::phase::Phase;

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
pub(in crate::cli) struct Shell {
    /// The package: a name, category/name, or an atom such as '=app-misc/foo-1.2'
    #[arg(value_name = "ATOM", required_unless_present_any = ["failed", "no_package"])]
    pub(in crate::cli) atom: Option<String>,

    /// Run what comes before this phase, and stop there
    #[arg(long, value_name = "PHASE", value_parser = any_phase(), conflicts_with = "failed")]
    pub(in crate::cli) phase: Option<Phase>,

    /// Stop before the phase of --phase, as without this
    #[arg(long, requires = "phase", conflicts_with = "after")]
    pub(in crate::cli) before: bool,

    /// Stop behind the phase of --phase
    #[arg(long, requires = "phase")]
    pub(in crate::cli) after: bool,

    /// Come in at the line that failed, of the build that failed last or of this package's
    #[arg(long)]
    pub(in crate::cli) failed: bool,

    /// Begin anew; what an earlier build has left there is lost
    #[arg(long, conflicts_with = "failed")]
    pub(in crate::cli) fresh: bool,

    /// Only the functions, of no package
    #[arg(long, conflicts_with_all = ["atom", "failed", "fresh"])]
    pub(in crate::cli) no_package: bool,

    /// Run these commands instead of reading any
    #[arg(short, long, value_name = "COMMANDS")]
    pub(in crate::cli) command: Option<OsString>,

    /// Source this file too; nothing of it gets into the build
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) rcfile: Option<PathBuf>,

    /// What may be done without.
    #[command(flatten)]
    pub(in crate::cli) degrade: Degrade,

    /// Keep the build's directory when resume comes to the package
    #[arg(long)]
    pub(in crate::cli) keep: bool,

    /// Places, what is kept there, and what is shown.
    #[command(flatten)]
    pub(in crate::cli) around: Surroundings,
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
