//! What the Package Manager Specification defines, as data and pure functions.
//!
//! Nothing here reads a file, runs a program or knows of a configuration: texts go in, values
//! come out, and every parser says where a text goes wrong.

pub mod atom;
pub mod cpv;
pub mod eapi;
pub mod names;
pub mod phase;
pub mod version;
