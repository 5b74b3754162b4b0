//! The phases of an ebuild and their functions (PMS 9).

use std::fmt;

/// A phase, in the order of PMS 9.2 with the ones outside of the sequence behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// `pkg_pretend`
    Pretend,
    /// `pkg_setup`
    Setup,
    /// `src_unpack`
    Unpack,
    /// `src_prepare`
    Prepare,
    /// `src_configure`
    Configure,
    /// `src_compile`
    Compile,
    /// `src_test`
    Test,
    /// `src_install`
    Install,
    /// `pkg_preinst`
    Preinst,
    /// `pkg_postinst`
    Postinst,
    /// `pkg_prerm`
    Prerm,
    /// `pkg_postrm`
    Postrm,
    /// `pkg_config`
    Config,
    /// `pkg_info`
    Info,
    /// `pkg_nofetch`
    Nofetch,
}

impl Phase {
    /// Every phase of any EAPI.
    pub const ALL: &'static [Phase] = &[
        Phase::Pretend,
        Phase::Setup,
        Phase::Unpack,
        Phase::Prepare,
        Phase::Configure,
        Phase::Compile,
        Phase::Test,
        Phase::Install,
        Phase::Preinst,
        Phase::Postinst,
        Phase::Prerm,
        Phase::Postrm,
        Phase::Config,
        Phase::Info,
        Phase::Nofetch,
    ];

    /// The phases of a source build, all the `src_*` ones.
    pub const SRC: &'static [Phase] = &[
        Phase::Unpack,
        Phase::Prepare,
        Phase::Configure,
        Phase::Compile,
        Phase::Test,
        Phase::Install,
    ];

    /// The phase's short name, the value of `EBUILD_PHASE`.
    pub fn name(self) -> &'static str {
        let function = self.function();
        function.split_once('_').map_or(function, |(_, name)| name)
    }

    /// The phase's function, the value of `EBUILD_PHASE_FUNC`.
    pub fn function(self) -> &'static str {
        match self {
            Phase::Pretend => "pkg_pretend",
            Phase::Setup => "pkg_setup",
            Phase::Unpack => "src_unpack",
            Phase::Prepare => "src_prepare",
            Phase::Configure => "src_configure",
            Phase::Compile => "src_compile",
            Phase::Test => "src_test",
            Phase::Install => "src_install",
            Phase::Preinst => "pkg_preinst",
            Phase::Postinst => "pkg_postinst",
            Phase::Prerm => "pkg_prerm",
            Phase::Postrm => "pkg_postrm",
            Phase::Config => "pkg_config",
            Phase::Info => "pkg_info",
            Phase::Nofetch => "pkg_nofetch",
        }
    }

    /// The phase of that short name.
    pub fn from_name(name: &str) -> Option<Phase> {
        Phase::ALL
            .iter()
            .copied()
            .find(|phase| phase.name() == name)
    }

    /// The phase of that function name.
    pub fn from_function(function: &str) -> Option<Phase> {
        Phase::ALL
            .iter()
            .copied()
            .find(|phase| phase.function() == function)
    }

    /// Whether this is one of the `src_*` phases.
    pub fn is_src(self) -> bool {
        Phase::SRC.contains(&self)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.function())
    }
}

/// What runs for a phase that the ebuild does not define.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DefaultPhase {
    /// The phase does not exist in that EAPI.
    Absent,
    /// Nothing.
    NoOp,
    /// The implementation the specification lists under that number, which is the EAPI that
    /// brought it.
    Format(u8),
}

impl fmt::Display for DefaultPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DefaultPhase::Absent => f.write_str("absent"),
            DefaultPhase::NoOp => f.write_str("noop"),
            DefaultPhase::Format(number) => write!(f, "{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for phase in Phase::ALL {
            assert_eq!(Phase::from_name(phase.name()), Some(*phase));
            assert_eq!(Phase::from_function(phase.function()), Some(*phase));
        }
        assert_eq!(Phase::Nofetch.name(), "nofetch");
        assert_eq!(Phase::from_name("src_unpack"), None);
    }
}
