//! One package, from ebuild to binary package.

pub mod build_info;
pub mod image;
