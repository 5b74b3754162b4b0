use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Why a helper command failed.
///
/// Displays as one line per failure, each starting with the helper's name.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The helper was removed from this EAPI (PMS 11.3.3.2).
    #[error("{helper}: banned in EAPI {eapi}")]
    Banned {
        /// The name the helper was called by.
        helper: String,
        /// The EAPI of the ebuild.
        eapi: String,
    },
    /// The helper does not exist yet in this EAPI.
    #[error("{helper}: not supported in EAPI {eapi}")]
    Unsupported {
        /// The name the helper was called by.
        helper: String,
        /// The EAPI of the ebuild.
        eapi: String,
    },
    /// An option of the helper does not exist in this EAPI.
    #[error("{helper}: option {option} is not supported in EAPI {eapi}")]
    UnsupportedOption {
        /// The name the helper was called by.
        helper: String,
        /// The option as given.
        option: String,
        /// The EAPI of the ebuild.
        eapi: String,
    },
    /// No command of that name exists.
    #[error("{name}: not a helper command")]
    Unknown {
        /// The name the program was called by.
        name: String,
    },
    /// The image directory may not be touched in this phase.
    #[error("{helper}: not allowed in {phase}, only in src_install and pkg_preinst")]
    WrongPhase {
        /// The name the helper was called by.
        helper: String,
        /// The phase, as the name of its function if that is known.
        phase: String,
    },
    /// `DESTTREE` or `INSDESTTREE` is set in an EAPI that took them away.
    #[error("{helper}: {variable} is banned in EAPI {eapi}; call {instead} instead")]
    BannedVariable {
        /// The name the helper was called by.
        helper: String,
        /// The variable that is set.
        variable: &'static str,
        /// The function that takes its place.
        instead: &'static str,
        /// The EAPI of the ebuild.
        eapi: String,
    },
    /// The helper was called with no file.
    #[error("{helper}: at least one argument needed")]
    NoArgument {
        /// The name the helper was called by.
        helper: String,
    },
    /// The arguments do not make sense.
    #[error("{helper}: {message}")]
    Usage {
        /// The name the helper was called by.
        helper: String,
        /// What is wrong with them.
        message: String,
    },
    /// The options set by `insopts`, `exeopts`, `diropts` or `libopts` cannot be used.
    #[error("{helper}: install options `{options}`: {message}")]
    InstallOptions {
        /// The name the helper was called by.
        helper: String,
        /// The options as set.
        options: String,
        /// What is wrong with them.
        message: String,
    },
    /// Some of the files could not be dealt with; the others were.
    #[error("{}", list(helper, failures))]
    Files {
        /// The name the helper was called by.
        helper: String,
        /// What went wrong, in the order of the arguments; never empty.
        failures: Vec<FileError>,
    },
    /// Only directories were given and the call was not recursive.
    #[error("{helper}: nothing to install: only directories given, without -r")]
    NothingInstalled {
        /// The name the helper was called by.
        helper: String,
    },
    /// A program the helper needs could not be started.
    #[error("{helper}: cannot run {program}: {source}")]
    Start {
        /// The name the helper was called by.
        helper: String,
        /// The program, as looked up in `PATH`.
        program: String,
        /// Why it did not start.
        source: io::Error,
    },
    /// A program the helper ran failed.
    #[error("{helper}: {program} failed with exit status {status}")]
    Program {
        /// The name the helper was called by.
        helper: String,
        /// The program that was run.
        program: String,
        /// Its exit status, 128 plus the number for a signal.
        status: u8,
    },
    /// A query without its one atom.
    #[error("{helper}: {message}")]
    Query {
        /// The name the helper was called by.
        helper: String,
        /// What is wrong with the arguments.
        message: String,
    },
    /// The package dependency specification of a query is not one.
    #[error("{helper}: invalid atom `{atom}`")]
    InvalidAtom {
        /// The name the helper was called by.
        helper: String,
        /// The text given.
        atom: String,
    },
    /// The database of installed packages could not be read.
    #[error("{helper}: cannot read the installed packages below {}: {source}", root.display())]
    Installed {
        /// The name the helper was called by.
        helper: String,
        /// The root asked about.
        root: PathBuf,
        /// What the database said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The ebuild called `die`.
    #[error("{message}")]
    Died {
        /// The message given, or a text saying there was none.
        message: String,
        /// Called as `die -n` where that is supported: respects `nonfatal`.
        respects_nonfatal: bool,
    },
    /// The helper was called outside of a build.
    #[error("__EBD_BUILD is not set: helper commands only work inside a phase of a build")]
    NoBuild,
    /// The state file of the build is unreadable.
    #[error("{}: cannot read the build state: {source}", path.display())]
    State {
        /// The state file.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// A variable the helper cannot do without is absent or empty.
    #[error("{variable}: not set in the build state")]
    Variable {
        /// The name of the variable.
        variable: &'static str,
    },
    /// The build's EAPI is not known.
    #[error("{}: EAPI `{eapi}` is not supported", path.display())]
    Eapi {
        /// The state file.
        path: PathBuf,
        /// The value of `EAPI`.
        eapi: String,
    },
    /// Something outside of the image failed: standard input or output, the temporary directory.
    #[error("{helper}: {what}: {source}")]
    Io {
        /// The name the helper was called by.
        helper: String,
        /// What was attempted, and on what.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl HelperError {
    /// Whether this ends the build in every EAPI, even below `nonfatal`.
    ///
    /// The other errors are ordinary failures, to which PMS 11.3.3.1 applies.
    #[must_use]
    pub fn always_aborts(&self) -> bool {
        match self {
            Self::Banned { .. }
            | Self::Unsupported { .. }
            | Self::UnsupportedOption { .. }
            | Self::WrongPhase { .. }
            | Self::BannedVariable { .. }
            | Self::Query { .. }
            | Self::InvalidAtom { .. }
            | Self::Installed { .. }
            | Self::NoBuild
            | Self::State { .. }
            | Self::Variable { .. }
            | Self::Eapi { .. } => true,
            Self::Died {
                respects_nonfatal, ..
            } => !respects_nonfatal,
            _ => false,
        }
    }

    /// The exit status of the helper process: 1, or the one of the program it ran.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Program { status, .. } => *status,
            Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Start { .. } => 126,
            _ => 1,
        }
    }
}

fn list(helper: &str, failures: &[FileError]) -> String {
    let lines: Vec<String> = failures.iter().map(|f| format!("{helper}: {f}")).collect();
    lines.join("\n")
}

/// What went wrong with one file of a call.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no such file; a symbolic link to nothing counts as none.
    #[error("{}: does not exist", .0.display())]
    Missing(PathBuf),
    /// A directory, where only files are taken.
    #[error("{}: is a directory", .0.display())]
    Directory(PathBuf),
    /// A directory is where a file should go.
    #[error("{}: a directory is in the way", .0.display())]
    Occupied(PathBuf),
    /// A fifo or a socket.
    #[error("{}: is not a file that can be copied", .0.display())]
    Special(PathBuf),
    /// Source and destination are one.
    #[error("{}: is the same file as {}", source_path.display(), target.display())]
    SameFile {
        /// The file to install.
        source_path: PathBuf,
        /// Where it would go.
        target: PathBuf,
    },
    /// The name says no manual section.
    #[error("{}: is probably not a man page", .0.display())]
    NotManPage(PathBuf),
    /// `install` failed; it has said why.
    #[error("{}: install failed with exit status {status}", path.display())]
    Install {
        /// The file or directory to install.
        path: PathBuf,
        /// The program's exit status.
        status: u8,
    },
    /// The system refused.
    #[error("{}: {what}: {source}", path.display())]
    Io {
        /// The file concerned.
        path: PathBuf,
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl FileError {
    pub(super) fn io(path: &Path, what: &'static str, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            what,
            source,
        }
    }
}

/// Gives the outcome of a call over many files: good if nothing failed.
pub(super) fn all_done(helper: &str, failures: Vec<FileError>) -> Result<(), HelperError> {
    if failures.is_empty() {
        return Ok(());
    }
    Err(HelperError::Files {
        helper: helper.to_owned(),
        failures,
    })
}

pub(super) fn usage(helper: &str, message: impl Into<String>) -> HelperError {
    HelperError::Usage {
        helper: helper.to_owned(),
        message: message.into(),
    }
}

pub(super) fn lossy(text: &OsString) -> String {
    text.to_string_lossy().into_owned()
}
