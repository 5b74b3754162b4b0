//! One package, from ebuild to binary package.

pub mod directories;
pub mod driver;
pub mod event;
pub mod helper;
pub mod runtime;
pub mod state;
pub mod variables;
