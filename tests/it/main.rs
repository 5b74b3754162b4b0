//! Integration tests: the real program, real bash, real processes and files.

// A test says what it expects by failing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../rows/claim.rs"]
mod claim;

mod bad_input;
mod bad_phases;
mod binpkg;
mod confcache;
mod config;
mod conformance;
mod crash;
mod env;
mod environment_exchange;
mod fetch;
mod hooks;
mod instances;
mod isolation;
mod manifest;
mod processors;
mod query;
mod regen;
mod resume;
mod sandbox;
mod settings;
mod shell;
mod stdout;
mod stopping;
mod support;
mod transfer;
