//! What can be wrong with a configuration.

use std::io;
use std::path::PathBuf;

/// Why the configuration could not be read. Every message names the place and the cure.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or directory of the configuration exists but could not be read.
    #[error("{}: cannot be read; check its type and permissions", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A line that does not follow its file's format.
    #[error("{}:{line}: {problem}; {cure}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What was read, and why that is no good.
        problem: String,
        /// What to write instead.
        cure: String,
    },
    /// A line names a package in a way that is no package dependency specification.
    #[error("{}:{line}: `{text}` does not name a package; correct or remove the line", path.display())]
    Atom {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The text that was read.
        text: String,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// `make.profile` is a symlink to nothing, or no directory.
    #[error("{}: is a symlink to {}, which is not there; point it to a profile with `ln -sfn`", link.display(), target.display())]
    BrokenProfile {
        /// The symlink.
        link: PathBuf,
        /// What it points to.
        target: PathBuf,
    },
    /// Something about a profile that makes it unusable.
    #[error("{}: {problem}; {cure}", path.display())]
    Profile {
        /// The profile directory or the file in it.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// What to do about it.
        cure: String,
    },
    /// A directory that a setting names is missing or no directory.
    #[error("{setting}: {} is not a directory; create it or correct the setting", path.display())]
    NotADirectory {
        /// The name of the variable or option.
        setting: String,
        /// The path it has.
        path: PathBuf,
    },
    /// The repositories cannot be used as they are configured.
    #[error("{origin}: the repositories cannot be used")]
    Repository {
        /// The file, option or variable that names the repositories.
        origin: String,
        /// What is wrong with which of them.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A setting with a value it cannot have.
    #[error("{setting}: {problem}; {cure}")]
    Setting {
        /// The name of the variable or option, with its place when known.
        setting: String,
        /// What is wrong.
        problem: String,
        /// What to write instead.
        cure: String,
    },
    /// The machine is of a kind for which no default is known, and no profile says more.
    #[error(
        "make.profile: not there, and no default is known for the machine type `{machine}`; \
         select a profile with `eselect profile`"
    )]
    UnknownMachine {
        /// The machine as uname gives it.
        machine: String,
    },
}

impl ConfigError {
    pub(crate) fn read(path: impl Into<PathBuf>, source: io::Error) -> Self {
        ConfigError::Read {
            path: path.into(),
            source,
        }
    }

    pub(crate) fn syntax(
        path: impl Into<PathBuf>,
        line: usize,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        ConfigError::Syntax {
            path: path.into(),
            line,
            problem: problem.into(),
            cure: cure.into(),
        }
    }
}
