//! Exit codes.

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Everything asked for was done.
    Done,
    /// The work failed.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// With the status of what was run.
    Status(u8),
    /// Ended by this signal.
    Signal(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Usage => Self::from(2),
            Exit::Status(status) => Self::from(status),
            Exit::Signal(number) => Self::from(128_u8.saturating_add(number)),
        }
    }
}
