//! What a fetch tells while it runs.

use std::path::PathBuf;
use std::time::Duration;

/// Where events go. It does not matter when nobody listens any more.
pub type Events = tokio::sync::mpsc::UnboundedSender<Event>;

/// Something that happened to a distfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody else holds the lock of the file.
    Waiting {
        /// The distfile.
        file: String,
        /// The lock file.
        lock: PathBuf,
    },
    /// The file is not there yet and will be fetched. Sent once.
    Started {
        /// The distfile.
        file: String,
        /// Its size in bytes, if the Manifest knows it.
        total: Option<u64>,
    },
    /// A source is tried.
    Trying {
        /// The distfile.
        file: String,
        /// The address or the path.
        source: String,
        /// How many bytes are there already, which the source may not have to send again.
        from: u64,
    },
    /// More has arrived. Sent a few times a second at most.
    Progress {
        /// The distfile.
        file: String,
        /// How many bytes there are.
        bytes: u64,
    },
    /// A source broke off and will be tried again.
    Retrying {
        /// The distfile.
        file: String,
        /// The address or the path.
        source: String,
        /// What went wrong.
        reason: String,
        /// How long to wait before.
        pause: Duration,
    },
    /// A source is given up.
    SourceFailed {
        /// The distfile.
        file: String,
        /// The address or the path.
        source: String,
        /// What went wrong.
        reason: String,
    },
    /// A file with wrong content was renamed.
    SetAside {
        /// The distfile.
        file: String,
        /// Its new path.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
    /// The file is there and verified.
    Done {
        /// The distfile.
        file: String,
        /// How it got there.
        how: How,
    },
}

/// How a distfile came to be in DISTDIR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// It was there.
    Present,
    /// An earlier fetch had got all of it, but not put it in its place.
    Completed,
    /// It is a hard link to a file in a read-only directory of distfiles.
    Linked(PathBuf),
    /// It is a copy of such a file; where the file system can, one that shares its blocks.
    Copied(PathBuf),
    /// It was fetched from this address or path.
    Fetched(String),
}
