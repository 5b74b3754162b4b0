//! What a regeneration tells while it runs.

use std::path::PathBuf;

use serde::Serialize;

/// One thing that happened. As JSON: an object whose `event` names the kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A repository was looked through.
    Surveyed {
        /// The repository.
        repository: String,
        /// How many ebuilds it has.
        ebuilds: usize,
        /// How many must be sourced.
        stale: usize,
    },
    /// An ebuild was sourced.
    Generated {
        /// `category/pf`.
        package: String,
        /// Whether its entry had to be written.
        written: bool,
    },
    /// An entry is right although an eclass changed: nothing of it that the ebuild executed did.
    Kept {
        /// `category/pf`.
        package: String,
    },
    /// An entry that counts as right is not what sourcing gives (`--verify`).
    Different {
        /// `category/pf`.
        package: String,
        /// The key; empty if all values are the same and only the bytes of the file are not.
        key: String,
        /// What the entry says.
        cached: String,
        /// What sourcing gives.
        sourced: String,
    },
    /// A cache of another format is up to date.
    Copied {
        /// Its folder.
        path: PathBuf,
        /// Its format.
        format: String,
        /// Entries that were written.
        written: usize,
        /// Entries that were the same already.
        unchanged: usize,
        /// Entries that were removed.
        removed: usize,
    },
    /// A file that is made of the whole repository, such as `use.local.desc`.
    Listed {
        /// The file.
        path: PathBuf,
        /// Whether it had to be written, or would have to be (`--check`, `--verify`).
        changed: bool,
    },
    /// An eclass changed while ebuilds were sourced. Entries that have it tell its former checksum,
    /// so that the next run makes them again.
    Changed {
        /// The eclass as it was found at first.
        path: PathBuf,
    },
    /// Something that does no harm to the entries.
    Notice {
        /// What.
        text: String,
    },
    /// An ebuild printed something in global scope.
    Printed {
        /// `category/pf`.
        package: String,
        /// The lines.
        lines: Vec<String>,
    },
    /// An ebuild has no entry, because it could not be sourced.
    Failed {
        /// `category/pf`.
        package: String,
        /// The ebuild.
        ebuild: PathBuf,
        /// What went wrong, with its causes, the outermost first.
        causes: Vec<String>,
    },
    /// An entry is out of date (`--check`, `--verify`).
    Stale {
        /// `category/pf`.
        package: String,
        /// Why.
        reason: String,
    },
    /// An entry was removed, or would be (`--check`), because it has no ebuild.
    Removed {
        /// The file.
        path: PathBuf,
    },
    /// A repository is done.
    Finished {
        /// The repository.
        repository: String,
        /// Entries whose ebuild was sourced.
        generated: usize,
        /// Of these, entries whose file had to be written.
        written: usize,
        /// Entries that were still right.
        valid: usize,
        /// Entries that were kept because nothing that they depend on changed.
        kept: usize,
        /// Entries that were removed.
        removed: usize,
        /// Ebuilds without an entry.
        failed: usize,
        /// Entries that are stale (`--check`, `--verify`).
        stale: usize,
        /// Entries that count as right but are not (`--verify`).
        different: usize,
        /// Seconds that it took.
        seconds: f64,
    },
}
