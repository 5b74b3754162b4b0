//! Distfiles: where they come from, how they are verified.
//!
//! [`plan()`] turns an evaluated `SRC_URI` into the sources of each distfile, [`Fetcher`] gets them into DISTDIR.
//!
//! Everything a server sends is hostile. The name of a file comes from `SRC_URI` and never from a server; how much
//! it may send is known from the Manifest before the first byte; nothing is unpacked; and a file has its name in
//! DISTDIR only after every known hash of its Manifest entry was found right. Until then it is called
//! `<name>.partial`.
//!
//! DISTDIR is shared with Portage. Both lock `.<name>.portage_lockfile` while they fetch, and both rename what turns
//! out wrong to `<name>._checksum_failure_.*` instead of deleting it, because somebody may want to see why.

mod client;
mod command;
mod distdir;
mod document;
mod error;
mod event;
mod expected;
mod fetcher;
mod held_lock;
mod hosts;
mod identity;
mod kept_layouts;
mod layout;
mod layouts;
mod mirrors;
mod options;
mod origin;
mod partial;
mod plan;
mod transfer;

#[cfg(test)]
pub(crate) mod tests;

pub use command::FetchCommands;
pub use document::{Document, DocumentState};
pub use error::{FetchError, SourceError, SourceFailure};
pub use event::{Event, Events, How};
pub use expected::{Contradiction, Expected, Mismatch};
pub use fetcher::{Fetched, Fetcher, Request};
pub use identity::FetchUser;
pub use layout::{Layout, Layouts, UnknownLayout};
pub use mirrors::{MirrorFileError, MirrorMap, Mirrors};
pub use options::{FetchOptions, Proxies, parse_resume_size};
pub use plan::{MirrorOrder, Plan, Restriction, Source, plan, without_password};
