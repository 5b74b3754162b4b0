//! Binary packages: the xpak format, PKGDIR and its index.

pub mod compression;
pub mod image_tar;
pub mod xpak;
