//! The supervised bash processors.

pub mod environment;
