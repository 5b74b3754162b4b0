//! EAPIs: which there are, what holds in them, and how an ebuild says which one it is written for.
//!
//! Every difference between EAPIs stands in the tables of the modules below this one and nowhere
//! else: `facts` has a row per EAPI, built from the row before; `commands` and `variables` have a
//! row per command and variable with the EAPIs it belongs to. What the bash side needs to know is
//! generated from them by [`Eapi::to_bash`].

mod commands;
mod facts;
mod scan;
mod variables;

pub use commands::{Command, CommandForm, CommandStatus};
pub use scan::scan;
pub use variables::{ALWAYS_UNSET, PROFILE_PREFIX, PROFILE_VARIABLES, Variable};

use std::fmt;
use std::str::FromStr;

use super::names::{NameError, NameKind};
use super::phase::{DefaultPhase, Phase};

/// An EAPI that cannot be worked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedEapi {
    /// The text cannot be the name of an EAPI.
    #[error("EAPI `{name}`: not a valid name for an EAPI")]
    Invalid {
        /// The name that was given.
        name: String,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// The specification has no such EAPI.
    #[error("EAPI `{name}`: unknown, the known ones are {}", known())]
    Unknown {
        /// The name that was given.
        name: String,
    },
    /// Every bash at hand is older than the EAPI demands.
    #[error(
        "EAPI {eapi}: needs bash {needed} or newer, which was not found: name one with --bash or \
         EBD_BASH, or put its folder into PATH"
    )]
    BashTooOld {
        /// The EAPI in question.
        eapi: Eapi,
        /// The oldest bash that will do.
        needed: BashVersion,
    },
}

/// The names of all EAPIs, for a message.
fn known() -> String {
    let names: Vec<_> = Eapi::all().map(Eapi::name).collect();
    names.join(", ")
}

/// A version of bash, without its patch level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BashVersion {
    /// The first number, as in `BASH_VERSINFO[0]`.
    pub major: u32,
    /// The second number, as in `BASH_VERSINFO[1]`.
    pub minor: u32,
}

impl BashVersion {
    /// The oldest bash that runs the processor, whatever the EAPI.
    pub const OLDEST: BashVersion = BashVersion::new(5, 2);

    /// Reads `5.2`; nothing for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(BashVersion::new(major.parse().ok()?, minor.parse().ok()?))
    }

    /// A version from its two numbers.
    pub const fn new(major: u32, minor: u32) -> Self {
        BashVersion { major, minor }
    }
}

impl fmt::Display for BashVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// An EAPI of the specification, 0 to 9.
///
/// The order is the one in which they came; what holds in an EAPI is asked by its facts, never
/// by comparing numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Eapi(u8);

impl Eapi {
    /// The EAPI of an ebuild or profile that names none.
    pub const DEFAULT: Eapi = Eapi(0);
    /// The newest EAPI.
    pub const LATEST: Eapi = Eapi(9);

    /// Every EAPI, oldest first.
    pub fn all() -> impl Iterator<Item = Eapi> {
        (0..=Eapi::LATEST.0).map(Eapi)
    }

    /// The EAPI of that name. The empty name stands for 0 (PMS 7.3.1).
    ///
    /// # Errors
    /// When the name breaks PMS 3.1.9 or no such EAPI is known.
    pub fn parse(name: &str) -> Result<Self, UnsupportedEapi> {
        if name.is_empty() {
            return Ok(Eapi::DEFAULT);
        }
        if let Some(eapi) = Eapi::all().find(|eapi| eapi.name() == name) {
            return Ok(eapi);
        }
        match NameKind::Eapi.check(name) {
            Ok(()) => Err(UnsupportedEapi::Unknown {
                name: name.to_owned(),
            }),
            Err(source) => Err(UnsupportedEapi::Invalid {
                name: name.to_owned(),
                source,
            }),
        }
    }

    /// What runs for `phase` when the ebuild does not define it.
    pub fn default_phase(self, phase: Phase) -> DefaultPhase {
        match phase {
            Phase::Pretend => self.pkg_pretend(),
            Phase::Unpack => self.src_unpack(),
            Phase::Prepare => self.src_prepare(),
            Phase::Configure => self.src_configure(),
            Phase::Compile => self.src_compile(),
            Phase::Test => self.src_test(),
            Phase::Install => self.src_install(),
            Phase::Nofetch => self.pkg_nofetch(),
            Phase::Setup
            | Phase::Preinst
            | Phase::Postinst
            | Phase::Prerm
            | Phase::Postrm
            | Phase::Config
            | Phase::Info => DefaultPhase::NoOp,
        }
    }

    /// Whether the EAPI has this phase.
    pub fn has_phase(self, phase: Phase) -> bool {
        self.default_phase(phase) != DefaultPhase::Absent
    }

    /// The phases of this EAPI.
    pub fn phases(self) -> impl Iterator<Item = Phase> {
        Phase::ALL
            .iter()
            .copied()
            .filter(move |phase| self.has_phase(*phase))
    }

    /// The dependency variables whose packages must be usable during `phase` (PMS 8.1).
    ///
    /// `from_source` says whether the phase is part of a source build, which matters to
    /// `pkg_setup`.
    pub fn dependencies_during(self, phase: Phase, from_source: bool) -> Vec<&'static str> {
        let variables: &[&str] = match phase {
            Phase::Setup if from_source => &["DEPEND", "BDEPEND"],
            Phase::Pretend | Phase::Info | Phase::Nofetch | Phase::Setup => &[],
            Phase::Preinst | Phase::Postinst | Phase::Prerm | Phase::Postrm => {
                &["RDEPEND", "IDEPEND"]
            }
            Phase::Config => &["RDEPEND", "PDEPEND"],
            Phase::Unpack
            | Phase::Prepare
            | Phase::Configure
            | Phase::Compile
            | Phase::Test
            | Phase::Install => &["DEPEND", "BDEPEND"],
        };
        self.dependency_variables()
            .iter()
            .copied()
            .filter(|variable| variables.contains(variable))
            .collect()
    }

    /// Whether `key` is a variable whose values add up over eclasses (PMS 10.2).
    pub fn accumulates(self, key: &str) -> bool {
        self.accumulated_variables().contains(&key)
    }

    /// What holds in this EAPI as one line of bash that fills the associative array
    /// `__EBD_EAPI`: `declare -gA __EBD_EAPI=([name]=value …)`.
    ///
    /// The keys are the names of the methods here. Booleans are `1` or empty, lists are separated
    /// by spaces; `phases` holds function names, `functions`, `global_functions` and
    /// `executables` the commands that exist, `absent_functions` those that come with a later EAPI,
    /// `banned_functions` and `banned_executables` those that must abort, `variables` and `exported` the variables of PMS 11.1.
    pub fn to_bash(self) -> String {
        let mut fields = vec![("name", self.name().to_owned())];
        fields.extend(self.fact_fields());
        // By name, which is the order of DEFINED_PHASES.
        let mut phases: Vec<_> = self.phases().collect();
        phases.sort_unstable_by_key(|phase| phase.name());
        fields.push(("phases", join(phases.into_iter().map(Phase::function))));
        fields.extend(self.command_fields());
        fields.push(("variables", join(self.variables().map(|v| v.name))));
        fields.push((
            "exported",
            join(
                self.variables()
                    .filter(|v| v.is_exported(self))
                    .map(|v| v.name),
            ),
        ));
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("[{name}]='{value}'"))
            .collect();
        format!("declare -gA __EBD_EAPI=({})", fields.join(" "))
    }
}

/// Words with one space between them.
fn join<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

impl FromStr for Eapi {
    type Err = UnsupportedEapi;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Eapi::parse(name)
    }
}

impl fmt::Display for Eapi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Eapi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Eapi({})", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;
    use std::process::Command as Process;

    fn eapi(name: &str) -> Eapi {
        Eapi::parse(name).unwrap()
    }

    #[test]
    fn knows_zero_to_nine() {
        assert_eq!(Eapi::all().count(), 10);
        assert_eq!(eapi("9"), Eapi::LATEST);
        assert_eq!(eapi(""), Eapi::DEFAULT);
        assert_eq!(
            Eapi::parse("10").unwrap_err().to_string(),
            "EAPI `10`: unknown, the known ones are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
        );
        assert_eq!(
            Eapi::parse("8;").unwrap_err().to_string(),
            "EAPI `8;`: not a valid name for an EAPI"
        );
    }

    #[test]
    fn phases_by_eapi() {
        let names = |name| eapi(name).phases().map(Phase::name).collect::<Vec<_>>();
        assert!(!names("0").contains(&"prepare") && names("2").contains(&"prepare"));
        assert!(!names("3").contains(&"pretend") && names("4").contains(&"pretend"));
        assert_eq!(names("8").len(), 15);
        assert_eq!(
            eapi("6").default_phase(Phase::Prepare),
            DefaultPhase::Format(6)
        );
        assert_eq!(
            eapi("9").default_phase(Phase::Prepare),
            DefaultPhase::Format(8)
        );
        assert_eq!(eapi("3").default_phase(Phase::Install), DefaultPhase::NoOp);
    }

    #[test]
    fn dependencies_by_phase() {
        let _rows = rows(&[184]);
        let during = |name, phase| eapi(name).dependencies_during(phase, true);
        assert_eq!(during("8", Phase::Compile), ["DEPEND", "BDEPEND"]);
        assert_eq!(during("6", Phase::Compile), ["DEPEND"]);
        assert_eq!(during("8", Phase::Postinst), ["RDEPEND", "IDEPEND"]);
        assert_eq!(during("7", Phase::Postinst), ["RDEPEND"]);
        assert_eq!(during("8", Phase::Setup), ["DEPEND", "BDEPEND"]);
        assert!(
            eapi("8")
                .dependencies_during(Phase::Setup, false)
                .is_empty()
        );
    }

    #[test]
    fn bash_reads_the_facts() {
        for eapi in Eapi::all() {
            let script = format!(
                r#"{}
                echo "${{__EBD_EAPI[name]}}|${{__EBD_EAPI[bdepend]}}|${{__EBD_EAPI[bash_version]}}|${{__EBD_EAPI[src_prepare]}}"
                declare -p __EBD_EAPI >/dev/null"#,
                eapi.to_bash()
            );
            let output = Process::new("bash").arg("-c").arg(script).output().unwrap();
            assert!(output.status.success());
            assert_eq!(
                String::from_utf8(output.stdout).unwrap().trim_end(),
                format!(
                    "{eapi}|{}|{}|{}",
                    if eapi.bdepend() { "1" } else { "" },
                    eapi.bash_version(),
                    eapi.src_prepare()
                )
            );
        }
        let bash = eapi("8").to_bash();
        assert!(bash.contains("[iuse_defaults]='1'"), "{bash}");
        assert!(bash.contains("[insopts_respected_by]='doins'"), "{bash}");
        assert!(bash.contains("[trailing_slash]=''"), "{bash}");
        assert!(
            bash.contains("[phases]='src_compile pkg_config src_configure"),
            "{bash}"
        );
        assert!(!bash.contains('\n'));
    }
}
