//! An ebuild repository on disk, and the database of installed packages.
//!
//! Everything here only reads files. A [`Repository`] knows its own files; a [`RepoSet`] knows how
//! repositories refer to one another: masters, aliases, priorities and the eclasses in force.

mod eclasses;
mod error;
pub mod installed;
mod layout;
mod left_out;
pub mod manifest;
mod manifest_check;
pub mod manifest_text;
mod names;
mod repository;
pub mod revision;
mod set;
mod text;
mod updates;

pub use eclasses::Eclasses;
pub use error::RepoError;
pub use layout::{Layout, ManifestPolicy};
pub use left_out::LeftOut;
pub use manifest_check::{ManifestMismatch, ManifestProblem};
pub use names::{RepositoryNames, TakenAlias};
pub use repository::{Ebuild, InvalidEbuild, Package, Repository};
pub use set::{EclassFile, PackageName, RepoSet, RepoSettings};
pub use updates::{Update, Updates};
