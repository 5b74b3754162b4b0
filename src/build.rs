//! One package, from ebuild to binary package.

pub mod image;
