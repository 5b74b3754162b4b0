//! Whole fetches, from servers on this machine.

mod bad_servers;
mod commands;
mod distdir;
mod mirrors;
mod servers;
mod world;
