//! The metadata of whole repositories: what is stale is sourced, everything else is left alone.
//!
//! One pass over a repository: [`survey`] walks, reads and hashes in threads and decides which
//! entries of the cache are still right; only if some are not, [`run`] starts processors and sources
//! their ebuilds. Entries that have no ebuild any more are removed in the same pass. The result does
//! not depend on the number of processors.

mod entries;
pub mod event;
mod formats;
mod generate;
mod inherits;
pub mod lists;
pub mod memory;
mod readable;
pub mod run;
pub mod survey;
mod unaffected;
mod worker;
