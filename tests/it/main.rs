//! Integration tests: the real program, real bash, real processes and files.

mod processors;
