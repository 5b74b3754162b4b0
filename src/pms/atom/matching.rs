//! Whether an atom matches a package.

use super::{Atom, Operator, SlotDep, UseDep, UseRequirement, VersionDep};
use crate::pms::cpv::Cpv;

/// The state of a flag in a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlagState {
    /// Part of IUSE_REFERENCEABLE and enabled.
    On,
    /// Part of IUSE_REFERENCEABLE and disabled.
    Off,
    /// Not part of IUSE_REFERENCEABLE.
    Missing,
}

/// What an atom asks of a package.
pub trait PackageFacts {
    /// The package's full name.
    fn cpv(&self) -> &Cpv;
    /// Its slot, without the sub-slot.
    fn slot(&self) -> &str;
    /// Its sub-slot, which is the slot unless the package says otherwise.
    fn subslot(&self) -> &str;
    /// The repository it comes from; unknown ones match every `::repository`.
    fn repository(&self) -> Option<&str>;
    /// The state of one of its flags.
    fn use_flag(&self, flag: &str) -> FlagState;
    /// The build id of a binary package.
    fn build_id(&self) -> Option<u64> {
        None
    }
}

impl Atom {
    /// Whether the package is one of those this atom names; a blocker names what it blocks.
    ///
    /// Conditional flags should be resolved first, see [`Atom::evaluate_use`]. As long as they
    /// are not, all they demand is that the package has the flag or that there is a default.
    pub fn matches(&self, package: &impl PackageFacts) -> bool {
        self.names(package.cpv())
            && self.matches_build_id(package.build_id())
            && self.matches_slot(package.slot(), package.subslot())
            && match (self.repository(), package.repository()) {
                (Some(wanted), Some(found)) => wanted == found,
                _ => true,
            }
            && self
                .use_deps
                .iter()
                .all(|dep| dep.is_met_by(package.use_flag(&dep.flag)))
    }

    /// Whether name and version fit, whatever slot, repository and flags are asked for.
    pub fn names(&self, cpv: &Cpv) -> bool {
        let named = match self.is_wildcard() {
            false => self.cp() == cpv.cp(),
            true => {
                fits_pattern(self.category(), cpv.category()) && fits_pattern(self.pn(), cpv.pn())
            }
        };
        named && self.matches_version(cpv)
    }

    fn matches_version(&self, cpv: &Cpv) -> bool {
        match &self.version {
            None => true,
            Some(VersionDep::Contains(text)) => cpv.pvr().contains(text.as_str()),
            Some(VersionDep::Compared {
                operator, version, ..
            }) => {
                let found = cpv.version();
                match operator {
                    Operator::Less => found < version,
                    Operator::LessOrEqual => found <= version,
                    Operator::Equal => found == version,
                    Operator::EqualPrefix => version.is_prefix_of(found),
                    Operator::Approximate => found.without_revision() == version.without_revision(),
                    Operator::GreaterOrEqual => found >= version,
                    Operator::Greater => found > version,
                }
            }
        }
    }

    fn matches_build_id(&self, found: Option<u64>) -> bool {
        self.build_id().is_none_or(|wanted| found == Some(wanted))
    }

    fn matches_slot(&self, found: &str, found_subslot: &str) -> bool {
        match &self.slot {
            None | Some(SlotDep::Any | SlotDep::Rebuild) => true,
            Some(SlotDep::Named { slot, subslot, .. }) => {
                slot == found
                    && subslot
                        .as_deref()
                        .is_none_or(|subslot| subslot == found_subslot)
            }
        }
    }
}

impl UseDep {
    fn is_met_by(&self, state: FlagState) -> bool {
        let enabled = match (state, self.default) {
            (FlagState::On, _) | (FlagState::Missing, Some(true)) => true,
            (FlagState::Off, _) | (FlagState::Missing, Some(false)) => false,
            (FlagState::Missing, None) => return false,
        };
        match self.requirement {
            UseRequirement::Enabled => enabled,
            UseRequirement::Disabled => !enabled,
            _ => true,
        }
    }
}

/// Whether a name fits a pattern in which `*` stands for any characters.
fn fits_pattern(pattern: &str, name: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut rest) = name.strip_prefix(head) else {
        return false;
    };
    let mut pieces = tail.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.split_once(piece) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;
    use crate::pms::eapi::Eapi;

    struct Package {
        cpv: Cpv,
        repository: Option<&'static str>,
        build_id: Option<u64>,
    }

    impl PackageFacts for Package {
        fn cpv(&self) -> &Cpv {
            &self.cpv
        }
        fn slot(&self) -> &str {
            "2"
        }
        fn subslot(&self) -> &str {
            "2.1"
        }
        fn repository(&self) -> Option<&str> {
            self.repository
        }
        fn use_flag(&self, flag: &str) -> FlagState {
            match flag {
                "on" => FlagState::On,
                "off" => FlagState::Off,
                _ => FlagState::Missing,
            }
        }
        fn build_id(&self) -> Option<u64> {
            self.build_id
        }
    }

    fn package(cpv: &str) -> Package {
        Package {
            cpv: Cpv::parse(cpv).unwrap(),
            repository: Some("gentoo"),
            build_id: Some(3),
        }
    }

    #[test]
    fn versions() {
        let _rows = rows(&[190, 191]);
        let found = package("dev-libs/foo-1.2-r3");
        for (text, matches) in [
            ("dev-libs/foo", true),
            ("dev-libs/fo", false),
            ("dev-libs/foo-bar", false),
            ("=dev-libs/foo-1.2-r3", true),
            ("=dev-libs/foo-1.2", false),
            ("=dev-libs/foo-1.2*", true),
            ("=dev-libs/foo-1*", true),
            ("=dev-libs/foo-1.20*", false),
            ("~dev-libs/foo-1.2", true),
            ("~dev-libs/foo-1.2-r9", true),
            ("~dev-libs/foo-1.2.0", false),
            (">dev-libs/foo-1.2", true),
            (">dev-libs/foo-1.2-r3", false),
            (">=dev-libs/foo-1.2-r03", true),
            ("<dev-libs/foo-1.3_alpha", true),
            ("<=dev-libs/foo-1.2-r2", false),
            ("!<dev-libs/foo-2", true),
        ] {
            let atom = Atom::parse(text, Eapi::LATEST).unwrap();
            assert_eq!(atom.matches(&found), matches, "{text}");
        }
    }

    #[test]
    fn slots_flags_and_repositories() {
        let _rows = rows(&[194, 197]);
        let found = package("dev-libs/foo-1");
        for (text, matches) in [
            ("dev-libs/foo:2", true),
            ("dev-libs/foo:3", false),
            ("dev-libs/foo:2/2.1", true),
            ("dev-libs/foo:2/2", false),
            ("dev-libs/foo:*", true),
            ("dev-libs/foo:=", true),
            ("dev-libs/foo:2=", true),
            ("dev-libs/foo:1=", false),
            ("dev-libs/foo:2/2.1=", true),
            ("dev-libs/foo:2/2.0=", false),
            ("dev-libs/foo[on]", true),
            ("dev-libs/foo[off]", false),
            ("dev-libs/foo[-off,on]", true),
            ("dev-libs/foo[-off,-on]", false),
            ("dev-libs/foo[gone]", false),
            ("dev-libs/foo[-gone]", false),
            ("dev-libs/foo[gone(+)]", true),
            ("dev-libs/foo[gone(-)]", false),
            ("dev-libs/foo[-gone(-)]", true),
            ("dev-libs/foo[-gone(+)]", false),
            ("dev-libs/foo[on(-)]", true),
            ("dev-libs/foo[off?]", true),
            ("dev-libs/foo[gone?]", false),
            ("dev-libs/foo::gentoo", true),
            ("dev-libs/foo::guru", false),
            ("=dev-libs/foo-1-3", true),
            ("=dev-libs/foo-1-4", false),
        ] {
            let atom = Atom::parse_config(text).unwrap();
            assert_eq!(atom.matches(&found), matches, "{text}");
        }
        let unknown = Package {
            repository: None,
            ..found
        };
        assert!(
            Atom::parse_config("dev-libs/foo::guru")
                .unwrap()
                .matches(&unknown)
        );
    }

    #[test]
    fn wildcards() {
        let found = package("dev-libs/foo-bar-9999-r1");
        for (text, matches) in [
            ("*/*", true),
            ("dev-*/*", true),
            ("*-libs/*", true),
            ("*/foo-bar", true),
            ("*/foo*", true),
            ("*/*o*a*", true),
            ("*/*bar", true),
            ("*/*foo", false),
            ("*/foo-bar-9999*", false),
            ("app-*/*", false),
            ("*/*::gentoo", true),
            ("*/*:3", false),
            ("=*/*-*9999*", true),
            ("=*/foo-bar-*99_r*", false),
            ("=dev-libs/foo-bar-*r1*", true),
            ("=dev-libs/foo-*99*", false),
        ] {
            let atom = Atom::parse_config(text).unwrap();
            assert_eq!(atom.matches(&found), matches, "{text}");
        }
        assert!(!fits_pattern("a*a", "a"));
        assert!(fits_pattern("a*b*c", "axbxbc"));
        assert!(!fits_pattern("a*b*c", "axcxb"));
    }
}
