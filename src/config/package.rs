//! What is asked about one package, and the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use super::shell_vars::Origin;
use crate::pms::atom::{FlagState, PackageFacts};
use crate::pms::cpv::Cpv;
use crate::pms::eapi::Eapi;

/// What the configuration must know of an ebuild to answer for it. The texts are those of its
/// metadata.
#[derive(Debug, Clone, Copy)]
pub struct PackageQuery<'a> {
    /// Category, name and version.
    pub cpv: &'a Cpv,
    /// SLOT without sub-slot.
    pub slot: &'a str,
    /// The sub-slot; the slot again if there is none.
    pub subslot: &'a str,
    /// The name of its repository.
    pub repository: Option<&'a str>,
    /// Its EAPI.
    pub eapi: Eapi,
    /// IUSE, with the signs of defaults.
    pub iuse: &'a str,
    /// KEYWORDS.
    pub keywords: &'a str,
    /// LICENSE.
    pub license: &'a str,
    /// RESTRICT.
    pub restrict: &'a str,
    /// PROPERTIES.
    pub properties: &'a str,
}

impl PackageFacts for PackageQuery<'_> {
    fn cpv(&self) -> &Cpv {
        self.cpv
    }

    fn slot(&self) -> &str {
        self.slot
    }

    fn subslot(&self) -> &str {
        self.subslot
    }

    fn repository(&self) -> Option<&str> {
        self.repository
    }

    fn use_flag(&self, _flag: &str) -> FlagState {
        // Configuration decides about flags and so cannot depend on them: atoms that name
        // flags have lost them when they were read.
        FlagState::Missing
    }
}

/// What the configuration says about one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageConfig {
    /// The enabled flags of IUSE_EFFECTIVE: `USE` as the ebuild sees it and as it is recorded.
    pub use_flags: BTreeSet<String>,
    /// IUSE_EFFECTIVE (PMS 11.1.1). Before EAPI 5 the flags that can be told one by one.
    pub iuse_effective: BTreeSet<String>,
    /// Before EAPI 5: what begins so belongs to IUSE_EFFECTIVE too. Empty since EAPI 5.
    pub iuse_prefixes: Vec<String>,
    /// The flags that can never be enabled for this package.
    pub use_mask: BTreeSet<String>,
    /// The flags that cannot be disabled, unless masked.
    pub use_force: BTreeSet<String>,
    /// The environment that the configuration gives to the ebuild, package.env applied and
    /// USE_EXPAND variables reduced to what the package knows. `USE` is among it; the variables
    /// of the build itself (`PN`, `D`, `T`, …) are not.
    pub variables: BTreeMap<String, String>,
    /// Why the package must not be installed; empty if it may.
    pub masks: Vec<MaskReason>,
    /// The bashrc files to source before the phases, in this order.
    pub bashrcs: Vec<PathBuf>,
    /// FEATURES for this package.
    pub features: BTreeSet<String>,
    /// Whether the package is there by a stable keyword (PMS 5.2.11).
    pub stable: bool,
    /// Whether RESTRICT forbids `src_test`: it has `test`, and ALLOW_TEST allows neither all tests nor what
    /// PROPERTIES say of this package's (PMS 7.3.3).
    pub tests_restricted: bool,
}

/// Why a package is masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaskReason {
    /// A line of package.mask.
    PackageMask {
        /// The atom as the line has it.
        atom: String,
        /// The file and line.
        origin: Origin,
        /// The comment above it, line by line, with the `#`.
        comment: Vec<String>,
    },
    /// None of its keywords is accepted.
    Keyword {
        /// Its keywords, or `**` if it has none.
        keywords: Vec<String>,
        /// The keyword to accept in package.accept_keywords.
        needed: String,
    },
    /// Licenses that are not accepted.
    License {
        /// The licenses. Of `|| ( )` all are named, though one of them would do.
        missing: Vec<String>,
    },
    /// PROPERTIES that are not accepted.
    Properties {
        /// The words.
        missing: Vec<String>,
    },
    /// RESTRICT words that are not accepted.
    Restrict {
        /// The words.
        missing: Vec<String>,
    },
    /// A variable of the metadata that cannot be understood.
    Invalid {
        /// The variable.
        variable: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// It is no update of what is installed.
    NoUpdate {
        /// Its repository.
        repository: String,
        /// The repositories that the package is installed from.
        installed_from: BTreeSet<String>,
        /// The one of these that alone has its updates; none if its own one is excluded from updates.
        only: Option<String>,
    },
}

impl fmt::Display for MaskReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaskReason::PackageMask {
                atom,
                origin,
                comment,
            } => {
                write!(
                    f,
                    "package.mask: `{atom}` in {}:{}; to build it nevertheless add it to package.unmask",
                    origin.file.display(),
                    origin.line
                )?;
                comment
                    .iter()
                    .try_for_each(|line| write!(f, "\n    {line}"))
            }
            MaskReason::Keyword { needed, .. } => {
                write!(
                    f,
                    "keyword: {needed} is not accepted; add it to package.accept_keywords"
                )
            }
            MaskReason::License { missing } => {
                write!(
                    f,
                    "license: {} not accepted; add to package.license",
                    missing.join(" ")
                )
            }
            MaskReason::Properties { missing } => {
                write!(
                    f,
                    "properties: {} not accepted; add to package.properties",
                    missing.join(" ")
                )
            }
            MaskReason::Restrict { missing } => {
                write!(
                    f,
                    "restrict: {} not accepted; add to package.accept_restrict",
                    missing.join(" ")
                )
            }
            MaskReason::Invalid { variable, problem } => write!(f, "invalid {variable}: {problem}"),
            MaskReason::NoUpdate {
                only: Some(only), ..
            } => write!(
                f,
                "the package is installed from {only}, which alone has its updates (EXCLUSIVEUPDATE)"
            ),
            MaskReason::NoUpdate {
                repository,
                installed_from,
                only: None,
            } => {
                let from: Vec<&str> = installed_from.iter().map(String::as_str).collect();
                write!(
                    f,
                    "{repository} is excluded from updates (EXCLUDEUPDATE), and the package is installed from {}",
                    from.join(", ")
                )
            }
        }
    }
}
