//! Hosts of binary packages: their indexes, which package of all hosts and PKGDIR is the best, and how it comes here.
//!
//! Everything a host says is hostile. Its index is kept apart from that of PKGDIR; what it says of a package counts
//! only when the package that came is so; and a package enters PKGDIR, and its index, when size, checksums, its own
//! Manifest and what is asked of its signature were found right.

pub mod bring;
pub mod choice;
pub mod index;
pub mod instances;

#[cfg(test)]
mod tests;

use crate::binpkg::pkgdir::Format;
use crate::binpkg::signature::Policy;
use crate::config::{BinaryRepository, Signatures};
use crate::fetch::{FetchCommands, FetchOptions, Fetcher, without_password};

/// A host that can be asked.
#[derive(Debug)]
pub struct Host {
    /// What the configuration says of it.
    pub repository: BinaryRepository,
    /// What is asked of the signatures of its packages.
    pub policy: Policy,
    fetcher: Fetcher,
}

impl Host {
    /// A host as it is configured. `options` say how files are fetched, and into which folder; `usual` is what is asked
    /// of signatures where the host's own configuration does not say.
    #[must_use]
    pub fn new(repository: BinaryRepository, mut options: FetchOptions, usual: Policy) -> Self {
        if let Some(fetch) = &repository.fetch_command {
            let resume = repository.resume_command.as_deref().unwrap_or_default();
            options.commands = FetchCommands::from_variables([
                ("FETCHCOMMAND", fetch.as_str()),
                ("RESUMECOMMAND", resume),
            ]);
        }
        options.ro_distdirs.clear();
        options.allow_missing = false;
        let policy = match (repository.signatures, repository.verify_signature) {
            (Some(Signatures::Require), _) | (None, Some(true)) => Policy::Require,
            (Some(Signatures::Warn), _) => Policy::Warn,
            (Some(Signatures::Ignore), _) | (None, Some(false)) => Policy::Ignore,
            (None, None) => usual,
        };
        Self {
            fetcher: Fetcher::new(options),
            policy,
            repository,
        }
    }

    /// What people call it: the name of its section, or its address without a password.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.repository.name {
            Some(name) => name.clone(),
            None => without_password(&self.repository.sync_uri),
        }
    }

    /// Whether packages of this format can be trusted as is asked.
    #[must_use]
    pub fn accepts(&self, format: Format) -> bool {
        format == Format::Gpkg || self.policy != Policy::Require
    }
}
