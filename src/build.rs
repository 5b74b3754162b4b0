//! One package, from ebuild to binary package.

pub mod candidate;
pub mod directories;
pub mod driver;
pub mod event;
pub mod helper;
pub mod image;
pub mod log;
pub mod plan;
pub mod runtime;
pub mod session;
pub mod sourcing;
pub mod state;
pub mod token;
pub mod variables;
