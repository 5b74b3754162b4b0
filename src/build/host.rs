//! The installed packages, where packages are for and where they are built.

use std::path::Path;

use super::build_info::{self, InstalledPackages};
use crate::pms::atom::{Atom, PackageFacts};
use crate::pms::cpv::Cpv;
use crate::repo::installed::{Installed, InstalledError, InstalledPackage};

/// What is installed below ROOT and on the running system. Either may have no database of
/// installed packages, as a system that is not Gentoo.
#[derive(Debug)]
pub struct Host {
    target: Option<Installed>,
    running: Option<Installed>,
    provided: Vec<Cpv>,
}

impl Host {
    /// Opens the databases below `root` and on the running system; `provided` is what
    /// package.provided claims to be installed.
    ///
    /// # Errors
    /// A database is there but cannot be read.
    pub fn open(root: &Path, provided: &[Cpv]) -> Result<Self, InstalledError> {
        Ok(Self {
            target: Installed::open(root)?,
            running: Installed::open(Path::new("/"))?,
            provided: provided.to_vec(),
        })
    }

    /// Whether the running system knows what is installed on it.
    #[must_use]
    pub fn knows_itself(&self) -> bool {
        self.running.is_some()
    }

    /// Whether the running system has a package that matches.
    ///
    /// # Errors
    /// An entry of the database cannot be read.
    pub fn has(&self, atom: &Atom) -> Result<bool, InstalledError> {
        if self.is_provided(atom) {
            return Ok(true);
        }
        match &self.running {
            Some(database) => Ok(database.best(atom)?.is_some()),
            None => Ok(false),
        }
    }
}

/// As recording dependencies wants it.
fn recorded(package: &InstalledPackage) -> build_info::InstalledPackage {
    let field = |name: &str| package.field(name).unwrap_or_default();
    build_info::InstalledPackage {
        cpv: package.cpv().clone(),
        slot: package.slot().to_owned(),
        subslot: package.subslot().to_owned(),
        eapi: field("EAPI"),
        rdepend: field("RDEPEND"),
        enabled: package.enabled_flags().map(str::to_owned).collect(),
    }
}

impl InstalledPackages for Host {
    fn matches(&self, atom: &Atom) -> Vec<build_info::InstalledPackage> {
        // What cannot be read was told when dependencies were looked at.
        let Some(Ok(packages)) = self.target.as_ref().map(|database| database.matching(atom))
        else {
            return Vec::new();
        };
        packages.iter().map(|package| recorded(package)).collect()
    }

    fn is_provided(&self, atom: &Atom) -> bool {
        self.provided.iter().any(|cpv| atom.names(cpv))
    }
}
