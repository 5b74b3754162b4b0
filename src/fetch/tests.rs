//! Whole fetches, from servers on this machine.

mod bad_servers;
mod commands;
mod distdir;
mod mirrors;
mod servers;
pub(crate) mod world;
