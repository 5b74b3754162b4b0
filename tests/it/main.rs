//! Integration tests: the real program, real bash, real processes and files.

mod conformance;
mod environment_exchange;
mod processors;
