//! `ebd`, an ebuild-daemon build orchestrator.
//!
//! The modules are floors: each may use the ones listed above it, never one below.
//! ARCHITECTURE.md draws the house.

pub mod util;

pub mod pms;

pub mod config;
pub mod repo;

pub mod binpkg;
pub mod confcache;
pub mod fetch;
pub mod metadata;
pub mod processor;

pub mod binhost;
pub mod query;

pub mod build;
pub mod regen;

pub mod cli;

#[cfg(test)]
#[path = "../tests/rows/claim.rs"]
#[allow(clippy::unwrap_used)]
mod claim;
