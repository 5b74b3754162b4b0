//! The variables a package manager defines for an ebuild, by EAPI (PMS 11.1).

use super::Eapi;
use crate::pms::phase::Phase;

/// A variable of the ebuild environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// What it is called.
    pub name: &'static str,
    /// The phases in which it means something.
    pub phases: &'static [Phase],
    /// Whether it means something in global scope.
    pub global: bool,
    /// Whether it keeps its value from one phase to a later one.
    pub consistent: bool,
    /// Whether it is exported in every EAPI.
    always_exported: bool,
    first: u8,
    last: u8,
}

/// The variables that must not be set in any EAPI, whatever the caller's environment has
/// (PMS 11.1).
pub const ALWAYS_UNSET: &[&str] = &[
    "GZIP",
    "BZIP",
    "BZIP2",
    "CDPATH",
    "GREP_OPTIONS",
    "GREP_COLOR",
    "GLOBIGNORE",
];

/// The variables of a profile's `make.defaults` that have a meaning of their own, apart from those
/// that are named in USE_EXPAND and USE_EXPAND_UNPREFIXED and those that [`PROFILE_PREFIX`] begins
/// (PMS 5.3.2). Where the variables of PMS 11.1 are not exported, these are not either.
pub const PROFILE_VARIABLES: &[&str] = &[
    "ARCH",
    "CONFIG_PROTECT",
    "CONFIG_PROTECT_MASK",
    "USE",
    "USE_EXPAND",
    "USE_EXPAND_UNPREFIXED",
    "USE_EXPAND_HIDDEN",
    "USE_EXPAND_IMPLICIT",
    "IUSE_IMPLICIT",
    "ENV_UNSET",
];

/// What the names of the variables with all values of a USE_EXPAND variable begin with.
pub const PROFILE_PREFIX: &str = "USE_EXPAND_VALUES_";

use Phase::{
    Compile, Configure, Install, Nofetch, Postinst, Postrm, Preinst, Prepare, Prerm, Pretend,
    Setup, Test, Unpack,
};

const SRC_NOFETCH: &[Phase] = &[Unpack, Prepare, Configure, Compile, Test, Install, Nofetch];
const SRC_SETUP: &[Phase] = &[Setup, Unpack, Prepare, Configure, Compile, Test, Install];
const SRC_PREINST: &[Phase] = &[Unpack, Prepare, Configure, Compile, Test, Install, Preinst];
const SRC_SETUP_MERGE: &[Phase] = &[
    Setup, Unpack, Prepare, Configure, Compile, Test, Install, Preinst, Postinst, Prerm, Postrm,
];
const PKG: &[Phase] = &[
    Pretend,
    Setup,
    Preinst,
    Postinst,
    Prerm,
    Postrm,
    Phase::Config,
    Phase::Info,
    Nofetch,
];

const fn variable(name: &'static str, phases: &'static [Phase]) -> Variable {
    Variable {
        name,
        phases,
        global: false,
        consistent: true,
        always_exported: false,
        first: 0,
        last: u8::MAX,
    }
}

impl Variable {
    const fn global(self) -> Self {
        Variable {
            global: true,
            ..self
        }
    }

    const fn inconsistent(self) -> Self {
        Variable {
            consistent: false,
            ..self
        }
    }

    const fn always_exported(self) -> Self {
        Variable {
            always_exported: true,
            ..self
        }
    }

    const fn since(self, first: u8) -> Self {
        Variable { first, ..self }
    }

    const fn until(self, last: u8) -> Self {
        Variable { last, ..self }
    }

    /// Whether the variable means something in that phase.
    pub fn is_legal_in(&self, phase: Phase) -> bool {
        self.phases.contains(&phase)
    }

    /// Whether the variable reaches the programs an ebuild of that EAPI runs.
    pub fn is_exported(&self, eapi: Eapi) -> bool {
        self.always_exported || eapi.exports_variables()
    }
}

/// A variable whose legal phases differ between EAPIs has a row for each.
const VARIABLES: &[Variable] = &[
    variable("P", Phase::ALL).global().inconsistent(),
    variable("PF", Phase::ALL).global().inconsistent(),
    variable("PN", Phase::ALL).global().inconsistent(),
    variable("CATEGORY", Phase::ALL).global().inconsistent(),
    variable("PV", Phase::ALL).global(),
    variable("PR", Phase::ALL).global(),
    variable("PVR", Phase::ALL).global(),
    variable("A", SRC_NOFETCH),
    variable("AA", SRC_NOFETCH).until(3),
    variable("FILESDIR", Phase::SRC).global(),
    variable("DISTDIR", Phase::SRC).global(),
    variable("WORKDIR", Phase::SRC).global(),
    variable("S", Phase::SRC),
    variable("PORTDIR", Phase::SRC).inconsistent().until(6),
    variable("ECLASSDIR", Phase::SRC).inconsistent().until(6),
    variable("ROOT", PKG).inconsistent(),
    variable("EROOT", PKG).inconsistent().since(3),
    // Compilers and pkg-config's wrappers read these three, so they stay exported in EAPI 9: the
    // specification's text of June 2026 says so, as Portage does; the older one did not.
    variable("SYSROOT", SRC_SETUP)
        .inconsistent()
        .since(7)
        .always_exported(),
    variable("ESYSROOT", SRC_SETUP)
        .inconsistent()
        .since(7)
        .always_exported(),
    variable("BROOT", SRC_SETUP)
        .inconsistent()
        .since(7)
        .until(7),
    variable("BROOT", SRC_SETUP_MERGE)
        .inconsistent()
        .since(8)
        .always_exported(),
    variable("T", Phase::ALL).global().inconsistent(),
    variable("TMPDIR", Phase::ALL)
        .global()
        .inconsistent()
        .always_exported(),
    variable("HOME", Phase::ALL)
        .global()
        .inconsistent()
        .always_exported(),
    variable("EPREFIX", Phase::ALL).global().since(3),
    variable("D", SRC_PREINST).inconsistent(),
    variable("ED", SRC_PREINST).inconsistent().since(3),
    variable("DESTTREE", &[Install]).inconsistent().until(6),
    variable("INSDESTTREE", &[Install]).inconsistent().until(6),
    variable("USE", Phase::ALL).global(),
    variable("EBUILD_PHASE", Phase::ALL).inconsistent(),
    variable("EBUILD_PHASE_FUNC", Phase::ALL)
        .inconsistent()
        .since(5),
    variable("KV", Phase::ALL).global().until(3),
    variable("MERGE_TYPE", PKG).inconsistent().since(4),
    variable("REPLACING_VERSIONS", &[Pretend, Setup, Preinst, Postinst]).since(4),
    variable("REPLACED_BY_VERSION", &[Prerm, Postrm]).since(4),
];

impl Eapi {
    /// The variables a package manager defines in this EAPI.
    pub fn variables(self) -> impl Iterator<Item = &'static Variable> {
        VARIABLES
            .iter()
            .filter(move |variable| (variable.first..=variable.last).contains(&self.0))
    }

    /// The variable of that name, if this EAPI has it.
    pub fn variable(self, name: &str) -> Option<&'static Variable> {
        self.variables().find(|variable| variable.name == name)
    }

    /// The names of variables that some EAPI defines and this one does not: they must not be set.
    pub fn absent_variables(self) -> impl Iterator<Item = &'static str> {
        VARIABLES
            .iter()
            .map(|variable| variable.name)
            .filter(move |name| self.variable(name).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(name: &str) -> String {
        Eapi::all()
            .filter(|eapi| eapi.variable(name).is_some())
            .map(Eapi::name)
            .collect()
    }

    #[test]
    fn presence() {
        for (name, eapis) in [
            ("P", "0123456789"),
            ("AA", "0123"),
            ("KV", "0123"),
            ("PORTDIR", "0123456"),
            ("INSDESTTREE", "0123456"),
            ("ED", "3456789"),
            ("MERGE_TYPE", "456789"),
            ("EBUILD_PHASE_FUNC", "56789"),
            ("BROOT", "789"),
            ("ESYSROOT", "789"),
        ] {
            assert_eq!(history(name), eapis, "{name}");
        }
        let names: Vec<_> = Eapi::LATEST.absent_variables().collect();
        assert_eq!(
            names,
            [
                "AA",
                "PORTDIR",
                "ECLASSDIR",
                "DESTTREE",
                "INSDESTTREE",
                "KV"
            ]
        );
    }

    #[test]
    fn one_row_per_eapi() {
        for eapi in Eapi::all() {
            let mut names: Vec<_> = eapi.variables().map(|variable| variable.name).collect();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "EAPI {eapi}");
        }
    }

    #[test]
    fn exported_and_legal() {
        let (eight, nine) = (Eapi::parse("8").unwrap(), Eapi::LATEST);
        let d = nine.variable("D").unwrap();
        assert!(d.is_exported(eight) && !d.is_exported(nine));
        for name in ["HOME", "TMPDIR", "SYSROOT", "ESYSROOT", "BROOT"] {
            assert!(nine.variable(name).unwrap().is_exported(nine), "{name}");
        }
        assert!(d.is_legal_in(Phase::Preinst) && !d.is_legal_in(Phase::Postinst));
        let broot = |name: &str| Eapi::parse(name).unwrap().variable("BROOT").unwrap();
        assert!(!broot("7").is_legal_in(Phase::Preinst) && broot("8").is_legal_in(Phase::Preinst));
    }
}
