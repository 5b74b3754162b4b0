//! One package, from ebuild to binary package.

pub mod ahead;
pub mod build_info;
pub mod candidate;
pub mod console;
pub mod dependencies;
pub mod directories;
pub mod driver;
pub mod event;
pub mod failure;
pub mod fetching;
pub mod helper;
pub mod host;
pub mod image;
pub mod isolation;
pub mod kept_sources;
pub mod log;
pub mod origins;
pub mod package;
pub mod packaging;
pub mod plan;
pub mod run;
pub mod runtime;
pub mod session;
pub mod state;
pub mod unsupported;
pub mod variables;
