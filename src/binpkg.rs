//! Binary packages: the xpak format, PKGDIR and its index.
//!
//! A builder takes a build id with [`pkgdir::Pkgdir::reserve`], writes the package with [`build::write_package`] and
//! adds an [`index::Entry`] under [`pkgdir::Pkgdir::lock_index`]. Any number of builders, Portage among them, may do
//! so in one PKGDIR at a time.

pub mod build;
pub mod compression;
pub mod image_tar;
pub mod index;
pub mod pkgdir;
pub mod xpak;
