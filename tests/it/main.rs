//! Integration tests: the real program, real bash, real processes and files.

// A test says what it expects by failing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;
mod environment_exchange;
mod processors;
mod stopping;
mod transfer;
