//! Whole fetches, from servers on this machine.

mod distdir;
mod mirrors;
mod servers;
mod world;
