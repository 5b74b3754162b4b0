//! The dependency on the installed C library that every package with ELF files gets.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use super::BuildInfoError;
use crate::build::image::Image;
use crate::pms::atom::Atom;
use crate::pms::cpv::Cpv;
use crate::pms::dependency::{DepSpec, Node};
use crate::pms::eapi::Eapi;

/// What is asked about an installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledPackage {
    /// Its name and version.
    pub cpv: Cpv,
    /// Its slot.
    pub slot: String,
    /// Its sub-slot, the slot when it has none of its own.
    pub subslot: String,
    /// Its `EAPI`.
    pub eapi: String,
    /// Its `RDEPEND` as recorded.
    pub rdepend: String,
    /// Its enabled USE flags.
    pub enabled: BTreeSet<String>,
}

/// The database of installed packages, as far as recording dependencies needs it.
pub trait InstalledPackages {
    /// The installed packages that match, by rising version.
    fn matches(&self, atom: &Atom) -> Vec<InstalledPackage>;

    /// Whether `package.provided` of the profile or the user has a package that matches. Nothing
    /// depends on such a C library.
    fn is_provided(&self, atom: &Atom) -> bool {
        let _ = atom;
        false
    }
}

/// Adds the installed C library to `RDEPEND`, at the version installed or a later one. To be
/// called for packages with ELF files only. The installed version of the library itself gets
/// nothing (another version does, as in Portage), nor does anything on a system where no provider
/// of `virtual/libc` is installed.
///
/// # Errors
///
/// When `RDEPEND` cannot be read or written.
pub fn inject_libc_dependency(
    image: &Image,
    target: &dyn InstalledPackages,
) -> Result<(), BuildInfoError> {
    let own = format!("{}/{}", image.category, image.pf);
    let libraries = libc_packages(target);
    if libraries.is_empty() || libraries.iter().any(|libc| libc.as_str() == own) {
        return Ok(());
    }
    let injected: Vec<_> = libraries
        .iter()
        .map(|libc| format!(">={}", libc.as_str()))
        .collect();
    let path = image.build_info.join("RDEPEND");
    let old = match fs::read_to_string(&path) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(BuildInfoError::io("read", &path)(error)),
    };
    let new = match old.trim() {
        "" => injected.join(" "),
        old => format!("{old} {}", injected.join(" ")),
    };
    fs::write(&path, format!("{new}\n")).map_err(BuildInfoError::io("write", &path))
}

/// The packages that provide `virtual/libc`, found by following the installed virtual.
#[must_use]
pub fn libc_packages(target: &dyn InstalledPackages) -> BTreeSet<Cpv> {
    let mut found = BTreeSet::new();
    let mut followed = BTreeSet::new();
    let mut todo: Vec<Atom> = Atom::for_package("virtual/libc").into_iter().collect();
    while let Some(atom) = todo.pop() {
        if atom.blocker().is_some() {
            continue;
        }
        let matches = target.matches(&atom);
        let Some(best) = matches.last() else {
            continue;
        };
        if atom.category() != "virtual" || best.cpv.category() != "virtual" {
            // The oldest of several.
            found.extend(matches.first().map(|libc| libc.cpv.clone()));
        } else if followed.insert(best.cpv.clone()) {
            todo.extend(providers(best, target));
        }
    }
    found
}

/// What an installed virtual stands for, of alternatives the first that is installed.
fn providers(virt: &InstalledPackage, target: &dyn InstalledPackages) -> Vec<Atom> {
    let Ok(eapi) = Eapi::parse(&virt.eapi) else {
        return Vec::new();
    };
    let Ok(spec) = DepSpec::parse_recorded_dependencies(&virt.rdepend, eapi) else {
        return Vec::new();
    };
    let spec = spec.evaluate(|flag| virt.enabled.contains(flag));
    let mut atoms = Vec::new();
    spec.nodes
        .iter()
        .for_each(|node| choose(node, target, &mut atoms));
    atoms.retain(|atom| !target.is_provided(atom));
    atoms
}

fn choose(node: &Node<Atom>, target: &dyn InstalledPackages, atoms: &mut Vec<Atom>) {
    match node {
        Node::Leaf(atom) => atoms.push(atom.clone()),
        Node::AnyOf(children) => {
            let installed = children.iter().find(|child| is_installed(child, target));
            if let Some(child) = installed {
                choose(child, target, atoms);
            }
        }
        _ => node
            .children()
            .iter()
            .for_each(|child| choose(child, target, atoms)),
    }
}

fn is_installed(node: &Node<Atom>, target: &dyn InstalledPackages) -> bool {
    match node {
        Node::Leaf(atom) => {
            atom.blocker().is_some() || target.is_provided(atom) || !target.matches(atom).is_empty()
        }
        Node::AnyOf(children) => children.iter().any(|child| is_installed(child, target)),
        _ => node
            .children()
            .iter()
            .all(|child| is_installed(child, target)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::build::image::testing::TestImage;
    use crate::pms::atom::{FlagState, PackageFacts};

    /// Packages in memory.
    #[derive(Default)]
    pub(in super::super) struct Installed(Vec<InstalledPackage>);

    struct Facts<'a>(&'a InstalledPackage);

    impl PackageFacts for Facts<'_> {
        fn cpv(&self) -> &Cpv {
            &self.0.cpv
        }
        fn slot(&self) -> &str {
            &self.0.slot
        }
        fn subslot(&self) -> &str {
            &self.0.subslot
        }
        fn repository(&self) -> Option<&str> {
            None
        }
        fn use_flag(&self, flag: &str) -> FlagState {
            match self.0.enabled.contains(flag) {
                true => FlagState::On,
                false => FlagState::Missing,
            }
        }
    }

    impl Installed {
        pub(in super::super) fn add(&mut self, cpv: &str, slot: &str, rdepend: &str) {
            let (slot, subslot) = slot.split_once('/').unwrap_or((slot, slot));
            self.0.push(InstalledPackage {
                cpv: Cpv::parse(cpv).unwrap(),
                slot: slot.into(),
                subslot: subslot.into(),
                eapi: "8".into(),
                rdepend: rdepend.into(),
                enabled: ["elibc_glibc".to_owned()].into(),
            });
            self.0.sort_by(|a, b| a.cpv.cmp(&b.cpv));
        }
    }

    impl InstalledPackages for Installed {
        fn matches(&self, atom: &Atom) -> Vec<InstalledPackage> {
            self.0
                .iter()
                .filter(|package| atom.matches(&Facts(package)))
                .cloned()
                .collect()
        }
    }

    fn system() -> Installed {
        let mut installed = Installed::default();
        installed.add("sys-libs/glibc-2.41-r5", "2.2", "");
        installed.add(
            "virtual/libc-1-r1",
            "0",
            "elibc_glibc? ( sys-libs/glibc:2.2 ) elibc_musl? ( sys-libs/musl )",
        );
        installed
    }

    fn injected(image: &TestImage, installed: &Installed, rdepend: Option<&str>) -> Option<String> {
        let path = image.image.build_info.join("RDEPEND");
        if let Some(text) = rdepend {
            fs::write(&path, text).unwrap();
        }
        inject_libc_dependency(&image.image, installed).unwrap();
        fs::read_to_string(path).ok()
    }

    #[test]
    fn the_installed_library_is_added() {
        let test = TestImage::new();
        assert_eq!(
            injected(&test, &system(), None).unwrap(),
            ">=sys-libs/glibc-2.41-r5\n"
        );
        assert_eq!(
            injected(&test, &system(), Some("a/b c/d\n")).unwrap(),
            "a/b c/d >=sys-libs/glibc-2.41-r5\n"
        );
    }

    #[test]
    fn the_library_itself_and_bare_systems_get_nothing() {
        let mut test = TestImage::new();
        assert_eq!(injected(&test, &Installed::default(), None), None);
        test.image.category = "sys-libs".into();
        test.image.pf = "glibc-2.41-r5".into();
        assert_eq!(injected(&test, &system(), None), None);
        test.image.pf = "glibc-2.42".into();
        assert_eq!(
            injected(&test, &system(), None).unwrap(),
            ">=sys-libs/glibc-2.41-r5\n"
        );
    }

    #[test]
    fn a_provided_library_is_no_dependency() {
        struct Provided(Installed);
        impl InstalledPackages for Provided {
            fn matches(&self, atom: &Atom) -> Vec<InstalledPackage> {
                self.0.matches(atom)
            }
            fn is_provided(&self, atom: &Atom) -> bool {
                atom.cp() == "sys-libs/glibc"
            }
        }
        let test = TestImage::new();
        inject_libc_dependency(&test.image, &Provided(system())).unwrap();
        assert!(!test.image.build_info.join("RDEPEND").exists());
    }

    #[test]
    fn alternatives_and_nested_virtuals() {
        let mut installed = Installed::default();
        installed.add(
            "virtual/libc-1",
            "0",
            "|| ( sys-libs/musl virtual/other ) !x/y",
        );
        installed.add("virtual/other-1", "0", "sys-libs/newlib virtual/libc");
        installed.add("sys-libs/newlib-4.5", "0", "");
        assert_eq!(
            injected(&TestImage::new(), &installed, None).unwrap(),
            ">=sys-libs/newlib-4.5\n"
        );
    }
}
