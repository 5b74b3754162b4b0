//! Why binary packages cannot be looked at.

use crate::binpkg::index::IndexError;
use crate::binpkg::pkgdir::PkgdirError;
use crate::binpkg::selection::NameError;
use crate::binpkg::signature::CommandError;
use crate::config::ConfigError;
use crate::pms::atom::AtomError;

/// Binary packages cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    /// binrepos.conf cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// PKGDIR cannot be used.
    #[error(transparent)]
    Pkgdir(#[from] PkgdirError),
    /// Its index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Signatures cannot be verified as the configuration asks.
    #[error("the signatures of binary packages cannot be verified")]
    Signatures(#[from] CommandError),
    /// Hosts are to be asked, but there is none.
    #[error(
        "no host of binary packages is configured; set PORTAGE_BINHOST, or write binrepos.conf"
    )]
    NoHost,
    /// It is no atom and no name.
    #[error("{text}: is no package name and no atom")]
    NotAnAtom {
        /// What was typed.
        text: String,
        /// Why.
        source: AtomError,
    },
    /// It names a repository that nobody has.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Several categories have a package of that name.
    #[error("{name}: is in several categories; name one of {}", choices.join(", "))]
    Ambiguous {
        /// The name.
        name: String,
        /// The packages.
        choices: Vec<String>,
    },
}
