//! One package, from ebuild to binary package.
