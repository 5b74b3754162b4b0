//! Integration tests: the real program, real bash, real processes and files.

mod bad_input;
mod bad_phases;
mod crash;
mod instances;
mod processors;
mod resume;
mod support;
