//! One package, from ebuild to binary package.

pub mod directories;
pub mod driver;
pub mod event;
pub mod state;
pub mod variables;
