//! A cache of configure runs: one whose script, arguments, environment and every file that it looked
//! at are unchanged is not run again; what it made and printed is put back.
//!
//! A [`Call`] is a run that somebody wants. Its key is all that is known beforehand. What it looked at
//! is only known from a run, so the entry of a run holds **facts**: what was found at each path that
//! programs asked about, absence included, and an entry holds only while all its facts do. They come
//! from the sandbox's trace; what the trace cannot know teaches nothing. [`Cache`] keeps entries,
//! [`run`] has the call run and learns.

mod answers;
mod asking;
mod call;
mod checks;
mod claim;
mod comments;
mod defines;
mod entry;
mod facts;
mod journal;
mod learn;
mod links;
mod loader;
mod outline;
mod output;
mod places;
mod printed;
mod process;
mod questions;
mod rules;
mod run;
mod store;
mod tree;

pub use asking::{Asked, Compiled, Told};
pub use call::{Call, CallError, Difference, Part};
pub use entry::{Chunk, Entry, Stream};
pub use facts::{Broken, Fact};
pub use journal::{Outcome, Record};
pub use learn::Untaught;
pub use output::PutBackError;
pub use rules::{Rules, RulesError};
pub use run::{Mismatch, Print, ROLE, Ran, RunError, Session, Tracer};
pub use store::{Cache, Found, Limits, StoreError, Summary};
