//! Confinement, access tracing and process supervision for `ebd`: the only place for system-call
//! work.
//!
//! A program is started below a [`warden`], which ends everything below it when its supervisor is
//! gone. Behind a filter ([`Watch`]) its changing system calls come to a monitor, a thread of the
//! supervisor that decides by a [`Policy`]; a [`Wall`] of Landlock rules stands behind that, and
//! [`Namespaces`] keep network, semaphores, processes and mounts apart. [`launch`] puts these
//! together, [`Guard`] is what a supervisor has of them afterwards. With [`Watch::Everything`] every
//! path that a program names is written down in a [`Trace`].
//!
//! Beside it stand the view of a [`process`] tree, and the [`confinement`] of a program that needs
//! next to nothing, such as the shell that sources ebuilds for their metadata.

// System calls that no library wraps are made here, and nowhere else in the program.
#![allow(unsafe_code)]

pub mod attached;
mod caller;
mod calls;
pub mod confinement;
mod filter;
mod guard;
mod identity;
pub mod launch;
mod listener;
mod monitor;
mod namespaces;
mod policy;
pub mod process;
mod resolve;
pub mod signals;
pub mod terminal;
mod trace;
mod violation;
mod wall;
pub mod warden;

pub use filter::Watch;
pub use guard::{Guard, Recorder, Sandbox};
pub use identity::Identity;
pub use monitor::{CONTROL, TRACE};
pub use namespaces::{Feature, Namespaces, Network};
pub use policy::{Access, DEVICES, List, Policy, Verdict, escape, split};
pub use trace::{Kind, Outcome, Trace};
pub use violation::{Violation, Violations};
pub use wall::Wall;
