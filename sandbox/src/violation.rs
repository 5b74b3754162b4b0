//! What programs were refused and should not have tried.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::policy::Access;

/// How many different ones are kept; of the rest only the number is.
const KEPT: usize = 1000;

/// How many bytes of a command line are kept.
pub(crate) const COMMAND_LIMIT: u64 = 8192;

/// One refusal that is nobody's plan.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Violation {
    /// The program's file.
    pub program: PathBuf,
    /// The system call.
    pub call: &'static str,
    /// What it wanted.
    pub access: Access,
    /// The path, free of links.
    pub path: PathBuf,
    /// The words that the program was started with, perhaps cut.
    pub command: Vec<OsString>,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations {
    kept: Vec<Violation>,
    known: HashSet<Violation>,
    count: u64,
}

impl Violations {
    pub(crate) fn add(&mut self, violation: Violation) {
        self.count += 1;
        if self.kept.len() < KEPT && self.known.insert(violation.clone()) {
            self.kept.push(violation);
        }
    }

    /// The different ones, the first first.
    #[must_use]
    pub fn kept(&self) -> &[Violation] {
        &self.kept
    }

    /// How many there were, repetitions and those that were not kept included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
