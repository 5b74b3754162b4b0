//! What can go wrong with a distfile.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::fetch::expected::Mismatch;
use crate::fetch::layout::UnknownLayout;
use crate::util::lock::LockError;

/// A distfile could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The name would lead out of DISTDIR, or to a file that is kept there for another purpose.
    #[error("{file:?}: not a name for a distfile: {reason}")]
    BadName {
        /// The name.
        file: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The Manifest has no entry for the file.
    #[error(
        "{}: no DIST entry for `{file}`; it is not fetched without one (run `ebd manifest` in the package's directory)",
        manifest.display()
    )]
    NoEntry {
        /// The distfile.
        file: String,
        /// The Manifest.
        manifest: PathBuf,
    },
    /// The Manifest says that the file is empty, which no distfile is.
    #[error("{}: the DIST entry for `{file}` has size 0", manifest.display())]
    EmptyEntry {
        /// The distfile.
        file: String,
        /// The Manifest.
        manifest: PathBuf,
    },
    /// The Manifest has only hashes that are not known here.
    #[error(
        "{}: no hash in the DIST entry for `{file}` is known here (it has: {})",
        manifest.display(),
        if unknown.is_empty() { "none".to_owned() } else { unknown.join(", ") }
    )]
    NoKnownHash {
        /// The distfile.
        file: String,
        /// The Manifest.
        manifest: PathBuf,
        /// The names of the hash functions it has.
        unknown: Vec<String>,
    },
    /// DISTDIR cannot be created or written to.
    #[error("{}: DISTDIR cannot be written to", path.display())]
    Distdir {
        /// DISTDIR.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something that is no file has the name of the distfile.
    #[error("{}: in the way of a distfile and not a regular file; remove it", path.display())]
    InTheWay {
        /// Its path.
        path: PathBuf,
    },
    /// The file system of DISTDIR is full.
    #[error("{}: no space left for {missing} more bytes; set DISTDIR to a larger file system or remove old distfiles", path.display())]
    NoSpace {
        /// The distfile.
        path: PathBuf,
        /// How many bytes are still to be written.
        missing: u64,
    },
    /// The lock of the distfile cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file in DISTDIR cannot be worked with.
    #[error("{}: cannot be {step}", path.display())]
    Local {
        /// The file.
        path: PathBuf,
        /// What was tried: a participle.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// No source delivered the file.
    #[error("{file}: {}", list(failures, *given_up))]
    AllFailed {
        /// The distfile.
        file: String,
        /// What went wrong, in the order in which the sources were tried.
        failures: Vec<SourceFailure>,
        /// So many delivered wrong content that the others were not tried.
        given_up: bool,
    },
    /// `RESTRICT=fetch`: the user has to get the file, and `pkg_nofetch` says how.
    #[error(
        "{file}: fetch restricted; get it by hand and put it into {}{}",
        distdir.display(),
        if failures.is_empty() { String::new() } else { format!(" ({})", list(failures, false)) }
    )]
    Restricted {
        /// The distfile.
        file: String,
        /// Where the user has to put it.
        distdir: PathBuf,
        /// What went wrong with the sources that are allowed nevertheless.
        failures: Vec<SourceFailure>,
    },
}

impl FetchError {
    /// Whether another user might do it.
    pub(super) fn is_denied(&self) -> bool {
        matches!(self, Self::Local { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }

    /// Whether the package's `pkg_nofetch` has to be run (PMS: `pkg_nofetch`).
    pub fn wants_nofetch(&self) -> bool {
        matches!(self, Self::Restricted { .. })
    }
}

/// A source that did not deliver.
#[derive(Debug)]
pub struct SourceFailure {
    /// The address or the path, without a password.
    pub source: String,
    /// What went wrong.
    pub reason: SourceError,
    /// Where the wrong content was put that it delivered.
    pub kept: Option<PathBuf>,
}

impl fmt::Display for SourceFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.source, chain(&self.reason))?;
        if let Some(path) = &self.kept {
            write!(formatter, " (kept as {})", path.display())?;
        }
        Ok(())
    }
}

fn list(failures: &[SourceFailure], given_up: bool) -> String {
    let mut text = match (failures.len(), given_up) {
        (0, _) => "there is no source for it (no mirror, and no address in SRC_URI)".to_owned(),
        (1, false) => "the only source failed".to_owned(),
        (count, false) => format!("all {count} sources failed"),
        (count, true) => format!("given up after wrong content, {count} sources failed"),
    };
    for failure in failures {
        text.push_str("\n  ");
        text.push_str(&failure.to_string());
    }
    text
}

/// An error and all its causes in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some libraries repeat their cause in their own message.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// Why a source did not deliver.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The address is in a protocol that is not spoken here.
    #[error("protocol `{protocol}` is not spoken here, and no FETCHCOMMAND_{} is set", protocol.to_ascii_uppercase())]
    Protocol {
        /// The protocol.
        protocol: String,
    },
    /// A program that fetches is set in a way that cannot be understood.
    #[error("{name} cannot be taken apart")]
    CommandWords {
        /// The variable.
        name: String,
        /// What is wrong with it.
        source: shell_words::ParseError,
    },
    /// A program that fetches cannot be run.
    #[error("{name}: `{program}` cannot be run (it is what fetches from there)")]
    CommandStart {
        /// The variable that names it, or the program if nobody has set one.
        name: String,
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program that fetches has failed.
    #[error("{name} ended with {status}{}", if said.is_empty() { String::new() } else { format!(": {said}") })]
    Command {
        /// The variable that names it, or the program if nobody has set one.
        name: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// The last that it said.
        said: String,
    },
    /// The host could not be reached a moment ago, and is not asked again for a while.
    #[error("{host} could not be reached ({reason}) and is left alone for a while")]
    Unreachable {
        /// The host.
        host: String,
        /// Why it could not be reached.
        reason: String,
    },
    /// A page for people came instead of a file of which nothing is known.
    #[error("the server sent a web page instead of the file")]
    Page,
    /// `mirror://name/path` with a name that nobody defines.
    #[error("no mirror has this name in thirdpartymirrors or /etc/portage/mirrors")]
    UnknownMirror,
    /// The address cannot be understood.
    #[error("not an address: {0}")]
    Address(String),
    /// The server answered, but not with the file.
    #[error("the server answered {status}")]
    Status {
        /// The answer, such as `404 Not Found`.
        status: reqwest::StatusCode,
        /// How long the server asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The HTTP client cannot be set up, for instance because the system has no certificates of authorities.
    #[error("the HTTP client cannot be set up (is app-misc/ca-certificates installed?)")]
    Client(#[source] reqwest::Error),
    /// The address of a proxy cannot be understood.
    #[error("{name} is `{address}`, which is no proxy")]
    Proxy {
        /// The variable.
        name: &'static str,
        /// Its value, without a password.
        address: String,
        /// What is wrong with it.
        source: reqwest::Error,
    },
    /// Connecting, asking, or receiving failed.
    #[error("{}", if .0.is_connect() { "connection failed" } else { "transfer failed" })]
    Http(#[source] reqwest::Error),
    /// Too little arrived for too long.
    #[error("stalled: less than {bytes} bytes in {} seconds", time.as_secs_f32())]
    Stalled {
        /// The time.
        time: Duration,
        /// The least that should have arrived in it.
        bytes: u64,
    },
    /// Nothing was answered at all.
    #[error("no answer within {} seconds", .0.as_secs_f32())]
    Silent(Duration),
    /// The connection ended early.
    #[error("the connection ended when {got} bytes were there")]
    Cut {
        /// How much of the file there is.
        got: u64,
        /// What the connection said, if it said anything.
        source: Option<reqwest::Error>,
    },
    /// The source sends more than the file has, or than is accepted of a file without Manifest entry.
    #[error("more than {limit} bytes were sent")]
    TooLong {
        /// The most that is accepted.
        limit: u64,
    },
    /// The source has a file of another size, as it says beforehand.
    #[error("offers a file of {offered} bytes, the Manifest says {expected}")]
    Offered {
        /// What the source says.
        offered: u64,
        /// What the Manifest says.
        expected: u64,
    },
    /// The content is not what the Manifest promises.
    #[error("wrong content: {0}")]
    Content(Mismatch),
    /// The file is empty, which no distfile is.
    #[error("the file is empty")]
    Empty,
    /// The local file cannot be read.
    #[error("{}: cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The layout of the mirror could not be asked for.
    #[error("the mirror's layout.conf cannot be had")]
    Layout(#[source] Arc<SourceError>),
    /// The layout of the mirror is not known here.
    #[error(transparent)]
    UnknownLayout(#[from] UnknownLayout),
}

impl SourceError {
    /// Whether the source delivered something else than the Manifest promises.
    pub fn is_wrong_content(&self) -> bool {
        matches!(
            self,
            Self::TooLong { .. } | Self::Offered { .. } | Self::Content(_) | Self::Page
        )
    }

    /// Whether wrong content has arrived. A file of another size that was only offered has not.
    pub(super) fn has_left_content(&self) -> bool {
        matches!(self, Self::TooLong { .. } | Self::Content(_) | Self::Page)
    }

    /// Whether nobody was there to be asked.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(self, Self::Http(error) if error.is_connect() || (error.is_timeout() && error.is_request()))
    }

    /// Whether the same source may well deliver a little later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(
                status.as_u16(),
                408 | 425 | 429 | 500 | 502 | 503 | 504 | 520..=599
            ),
            Self::Http(error) => !(error.is_connect() || error.is_redirect() || error.is_builder()),
            Self::Silent(_) | Self::Stalled { .. } | Self::Cut { .. } => true,
            _ => false,
        }
    }
}
