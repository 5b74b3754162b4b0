//! Binary packages: the formats xpak and gpkg, PKGDIR and its index.
//!
//! A builder takes a build id with [`pkgdir::Pkgdir::reserve`], writes the package with [`build::write_package`] and
//! gives it its place and its entry with [`pkgdir::Pkgdir::publish`]. Any number of builders, Portage among them, may do
//! so in one PKGDIR at a time.

pub mod adopt;
pub mod audit;
pub mod build;
pub mod compression;
pub mod gpkg;
pub mod image_tar;
pub mod import;
pub mod index;
pub mod moves;
pub mod package;
pub mod pkgdir;
pub mod prune;
pub mod quickpkg;
mod repack;
pub mod repair;
pub mod selection;
pub mod serve;
pub mod signature;
pub mod survey;
pub mod tar_reader;
pub mod unpack;
pub mod xpak;
