//! Signatures of packages, made and checked by the user's `gpg` with the settings of make.conf(5).
//!
//! The commands are those of `BINPKG_GPG_SIGNING_BASE_COMMAND` and `BINPKG_GPG_VERIFY_BASE_COMMAND`, in which
//! `[PORTAGE_CONFIG]` and `[SIGNATURE]` stand for what is added. A signed package has a detached signature for the
//! metadata and one for the image, and a signed Manifest; one without the others is an error.

mod run;
mod sign;
mod verify;

use std::io;

pub use sign::{SignError, Signer};
pub use verify::{Fault, Policy, Verifier, VerifyError};

/// Running gpg failed before it said anything about a signature.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The setting is empty.
    #[error("{0} is not set, so nothing can be signed or verified")]
    Unset(&'static str),
    /// The setting is no command.
    #[error("{setting}: {command:?} has a quote that is not closed, or no words")]
    Words {
        /// The setting.
        setting: &'static str,
        /// Its value.
        command: String,
    },
    /// The program cannot be run.
    #[error("{program}: cannot be run")]
    Run {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A user or group that is to verify does not exist.
    #[error("{setting}: there is no {name:?}")]
    Drop {
        /// The setting.
        setting: &'static str,
        /// The user or group.
        name: String,
    },
}
