//! What a build tells while it runs.

use std::path::PathBuf;

use serde::Serialize;

/// One thing that happened. As JSON: an object whose `event` names the kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Something that was assumed, or is not as one might think.
    Notice {
        /// One or more sentences.
        text: String,
    },
    /// The work on a package begins.
    Started {
        /// `category/pf`.
        package: String,
        /// The repository it comes from.
        repository: String,
    },
    /// The build waits for a lock that somebody else holds.
    Waiting {
        /// `category/pf`.
        package: String,
        /// What is locked.
        path: PathBuf,
    },
    /// A distfile is being brought.
    Fetch {
        /// `category/pf`.
        package: String,
        /// The distfile's name.
        file: String,
        /// Bytes that are here.
        bytes: u64,
        /// Bytes that it has, if that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
    },
    /// A distfile could not be had from one of its sources; the next one is tried.
    FetchSourceFailed {
        /// `category/pf`.
        package: String,
        /// The distfile's name.
        file: String,
        /// Where it was asked for.
        source: String,
        /// Why it did not come.
        reason: String,
    },
    /// A phase begins.
    Phase {
        /// `category/pf`.
        package: String,
        /// The phase's short name, or `package` for packing and `fetch` for fetching.
        phase: String,
    },
    /// A line that the ebuild wants the user to see (`elog` and its kin), or a quality notice.
    Elog {
        /// `category/pf`.
        package: String,
        /// The phase it comes from.
        phase: String,
        /// `info`, `log`, `warn`, `error` or `qa`.
        level: String,
        /// The text.
        text: String,
    },
    /// The sandbox refused something, for which the phase fails.
    Violation {
        /// `category/pf`.
        package: String,
        /// The phase.
        phase: String,
        /// The system call.
        call: &'static str,
        /// `read` or `write`.
        access: &'static str,
        /// What it was for, free of links.
        path: PathBuf,
        /// The program that made it.
        program: PathBuf,
        /// The words that the program was started with.
        command: Vec<String>,
    },
    /// A line of the build's log; only if the caller wants the log.
    Output {
        /// `category/pf`.
        package: String,
        /// The line without its end.
        line: String,
    },
    /// A package stands.
    Finished {
        /// `category/pf`.
        package: String,
        /// The package file.
        path: PathBuf,
        /// Its build id.
        build_id: u64,
        /// Size of the package file in bytes.
        size: u64,
        /// Seconds that the work took.
        seconds: f64,
    },
    /// A binary package is being fetched.
    BinaryFetch {
        /// `category/pf`.
        package: String,
        /// Its path on the host.
        path: String,
        /// The host.
        host: String,
    },
    /// A binary package is used, so nothing was built.
    BinaryUsed {
        /// `category/pf`.
        package: String,
        /// The package file in PKGDIR.
        path: PathBuf,
        /// Its build id, that of the host if it comes from one.
        #[serde(skip_serializing_if = "Option::is_none")]
        build_id: Option<u64>,
        /// Size of the package file in bytes.
        size: u64,
        /// The host that it was fetched from; none if it was there.
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// Seconds that it took.
        seconds: f64,
    },
    /// Binary packages that might have been used were not.
    BinaryUnfit {
        /// `category/pf` of the first.
        package: String,
        /// The packages, the one that would have been taken first before the others.
        unfit: Vec<UnfitBinary>,
    },
    /// A build ended behind the phase that it was to stop after.
    Stopped {
        /// `category/pf`.
        package: String,
        /// The build's directory.
        directory: PathBuf,
        /// Seconds that the work took.
        seconds: f64,
    },
    /// A package could not be built.
    Failed {
        /// `category/pf`.
        package: String,
        /// The phase that failed, if one did.
        #[serde(skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
        /// What went wrong, with its causes, the outermost first.
        causes: Vec<String>,
        /// The ebuild or eclass and the line where the build was ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        place: Option<String>,
        /// The log, if one was written.
        #[serde(skip_serializing_if = "Option::is_none")]
        log: Option<PathBuf>,
        /// The last lines of the log.
        last_lines: Vec<String>,
        /// Whether `--resume` can take the build up.
        resumable: bool,
    },
    /// A package was not tried because one that it needs could not be built.
    Skipped {
        /// `category/pf`.
        package: String,
        /// The package that failed.
        because_of: String,
    },
}

/// A binary package that was not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnfitBinary {
    /// Its path below PKGDIR, or on the host.
    pub path: String,
    /// Its build id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_id: Option<u64>,
    /// The host that has it; none if it is in PKGDIR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Why it was not used.
    pub reason: String,
}

/// Where events go. Sending never waits; nobody listening is no failure.
#[derive(Debug, Clone)]
pub struct Events {
    sender: tokio::sync::mpsc::UnboundedSender<Event>,
}

impl Events {
    /// A sender and the receiver of what it is told.
    #[must_use]
    pub fn new() -> (Self, tokio::sync::mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        (Self { sender }, receiver)
    }

    /// Tells an event.
    pub fn tell(&self, event: Event) {
        let _ = self.sender.send(event);
    }
}
