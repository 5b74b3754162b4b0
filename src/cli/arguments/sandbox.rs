//! The command line of `ebd sandbox`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{degrade_help, features};

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
pub(in crate::cli) struct Sandbox {
    /// What may be changed: a path and all that is below it (repeatable)
    #[arg(short, long, value_name = "PATH")]
    pub(in crate::cli) write: Vec<PathBuf>,

    /// What the command is known to try to change: refused, but not reported (repeatable)
    #[arg(short, long, value_name = "PATH")]
    pub(in crate::cli) predict: Vec<PathBuf>,

    /// What may be neither read nor changed, whatever else is said (repeatable)
    #[arg(short, long, value_name = "PATH")]
    pub(in crate::cli) deny: Vec<PathBuf>,

    /// What may be read, if not everything: the program and its libraries too (repeatable)
    #[arg(short, long, value_name = "PATH")]
    pub(in crate::cli) read: Vec<PathBuf>,

    /// The network: none, one that only leads to itself, or the machine's
    #[arg(short, long, value_enum, value_name = "WHICH", default_value_t = Net::Loopback)]
    pub(in crate::cli) net: Net,

    /// Write every path that was looked at, and what was found, to this file, as JSON
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) trace: Option<PathBuf>,

    /// Write what was refused to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) report: Option<PathBuf>,

    /// Do without this if it cannot be had here (repeatable); --help tells the consequences
    #[arg(long, value_name = "FEATURE", value_parser = features(), long_help = degrade_help())]
    pub(in crate::cli) degrade: Vec<sandbox::Feature>,

    /// The command and its arguments
    #[arg(required = true, value_name = "CMD", trailing_var_arg = true)]
    pub(in crate::cli) command: Vec<OsString>,
}

/// Networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Net {
    /// None at all, not even to itself
    None,
    /// One that only leads to itself
    Loopback,
    /// The machine's
    Host,
}
