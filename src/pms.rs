//! What the Package Manager Specification defines, as data and pure functions.
//!
//! Nothing here reads a file, runs a program or knows of a configuration: texts go in, values
//! come out, and every parser says where a text goes wrong.

pub mod atom;
pub mod cpv;
pub mod dependency;
pub mod eapi;
pub mod keyword;
pub mod names;
pub mod phase;
pub mod required_use;
pub mod src_uri;
pub mod suggest;
pub(crate) mod syntax;
pub mod use_flag;
pub mod version;
