//! The installed packages, where packages are for and where they are built.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use super::build_info::{self, InstalledPackages};
use super::image::soname;
use crate::pms::atom::{Atom, PackageFacts};
use crate::pms::cpv::Cpv;
use crate::repo::installed::{Installed, InstalledError, InstalledPackage};

/// Multilib categories and sonames.
pub type Sonames = BTreeSet<(String, String)>;

/// Where a dependency must be installed for a build (PMS 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The system that builds, for which programs are.
    Running,
    /// SYSROOT, for headers and libraries.
    Sysroot,
}

/// What is installed below ROOT, below SYSROOT and on the running system. Each may have no database
/// of installed packages, as a system that is not Gentoo.
#[derive(Debug)]
pub struct Host {
    target: Option<Installed>,
    sysroot: Option<Installed>,
    running: Option<Installed>,
    provided: Vec<Cpv>,
    sonames: OnceLock<Sonames>,
}

impl Host {
    /// Opens the databases below `root`, below `sysroot` and on the running system; `provided` is
    /// what package.provided claims to be installed.
    ///
    /// # Errors
    /// A database is there but cannot be read.
    pub fn open(root: &Path, sysroot: &Path, provided: &[Cpv]) -> Result<Self, InstalledError> {
        Ok(Self {
            target: Installed::open(root)?,
            sysroot: Installed::open(sysroot)?,
            running: Installed::open(Path::new("/"))?,
            provided: provided.to_vec(),
            sonames: OnceLock::new(),
        })
    }

    /// The sonames that the packages below ROOT provide, which is found out once; none if nobody knows what is there.
    #[must_use]
    pub fn sonames(&self) -> Option<&Sonames> {
        let database = self.target.as_ref()?;
        Some(self.sonames.get_or_init(|| {
            // What cannot be read provides nothing that is known.
            let packages = database.all().unwrap_or_default();
            let texts = packages.iter().filter_map(|it| it.field("PROVIDES").ok());
            let mut found = Sonames::new();
            for text in texts {
                let listed = soname::listed(&text);
                found.extend(listed.map(|(category, name)| (category.to_owned(), name.to_owned())));
            }
            found
        }))
    }

    fn database(&self, place: Place) -> Option<&Installed> {
        match place {
            Place::Running => self.running.as_ref(),
            Place::Sysroot => self.sysroot.as_ref(),
        }
    }

    /// The packages on the running system.
    #[must_use]
    pub fn running(&self) -> Running<'_> {
        Running(self)
    }

    /// Whether it is known what is installed there.
    #[must_use]
    pub fn knows(&self, place: Place) -> bool {
        self.database(place).is_some()
    }

    /// The repositories that the installed versions of a package, `category/name`, came from, below ROOT.
    ///
    /// # Errors
    /// An entry of the database cannot be read.
    pub fn repositories_of(&self, cp: &str) -> Result<BTreeSet<String>, InstalledError> {
        let Some(database) = &self.target else {
            return Ok(BTreeSet::new());
        };
        database.repositories_of(cp)
    }

    /// The best package that matches and is installed there, with when it was built.
    #[must_use]
    pub fn instance(&self, place: Place, atom: &Atom) -> Option<String> {
        let package = self.database(place)?.best(atom).ok().flatten()?;
        let field = |name: &str| package.field(name).unwrap_or_default();
        Some(format!(
            "{} {} {}",
            package.cpv(),
            field("BUILD_ID"),
            field("BUILD_TIME")
        ))
    }

    /// Whether a package that matches is installed there.
    ///
    /// # Errors
    /// An entry of the database cannot be read.
    pub fn has(&self, place: Place, atom: &Atom) -> Result<bool, InstalledError> {
        if self.is_provided(atom) {
            return Ok(true);
        }
        match self.database(place) {
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

/// The matching packages of a database, as recording dependencies wants them.
fn matching(database: Option<&Installed>, atom: &Atom) -> Vec<build_info::InstalledPackage> {
    // What cannot be read was told when dependencies were looked at.
    let Some(Ok(packages)) = database.map(|database| database.matching(atom)) else {
        return Vec::new();
    };
    packages.iter().map(|package| recorded(package)).collect()
}

/// Those below ROOT.
impl InstalledPackages for Host {
    fn matches(&self, atom: &Atom) -> Vec<build_info::InstalledPackage> {
        matching(self.target.as_ref(), atom)
    }

    fn is_provided(&self, atom: &Atom) -> bool {
        self.provided.iter().any(|cpv| atom.names(cpv))
    }
}

/// A view of a [`Host`]: the packages on the running system.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a>(&'a Host);

impl InstalledPackages for Running<'_> {
    fn matches(&self, atom: &Atom) -> Vec<build_info::InstalledPackage> {
        matching(self.0.running.as_ref(), atom)
    }

    fn is_provided(&self, atom: &Atom) -> bool {
        self.0.is_provided(atom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_has_its_own_packages() {
        let system = |version: &str| {
            let root = tempfile::tempdir().unwrap();
            let folder = root.path().join(format!("var/db/pkg/a/b-{version}"));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("SLOT"), format!("0/{version}\n")).unwrap();
            std::fs::write(folder.join("EAPI"), "8\n").unwrap();
            let provides = "x86_32: libb.so.1 x86_64: liba.so libb.so.1\n";
            std::fs::write(folder.join("PROVIDES"), provides).unwrap();
            root
        };
        let (target, running) = (system("1"), system("2"));
        let host = Host {
            target: Installed::open(target.path()).unwrap(),
            sysroot: None,
            running: Installed::open(running.path()).unwrap(),
            provided: vec![Cpv::parse("a/c-1").unwrap()],
            sonames: OnceLock::new(),
        };
        let atom = |cp| Atom::for_package(cp).unwrap();
        let subslots = |installed: &dyn InstalledPackages| -> Vec<String> {
            let found = installed.matches(&atom("a/b"));
            found.into_iter().map(|package| package.subslot).collect()
        };
        assert_eq!(subslots(&host), ["1"]);
        assert_eq!(subslots(&host.running()), ["2"]);
        assert!(host.running().is_provided(&atom("a/c")));
        let pair = |category: &str, soname: &str| (category.to_owned(), soname.to_owned());
        assert_eq!(
            host.sonames(),
            Some(&Sonames::from([
                pair("x86_32", "libb.so.1"),
                pair("x86_64", "liba.so"),
                pair("x86_64", "libb.so.1")
            ]))
        );
    }
}
