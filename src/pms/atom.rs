//! Package dependency specifications, called atoms (PMS 8.3).

mod error;
mod grammar;
mod matching;
mod parse;
mod use_dep;

pub use error::AtomError;
pub use matching::{FlagState, PackageFacts};
pub use use_dep::{UseDep, UseRequirement};

use std::fmt;

use super::eapi::Eapi;
use super::version::Version;

/// How strongly an atom forbids what it names (PMS 8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blocker {
    /// `!`: the blocked package may stay until the end of the operation.
    Weak,
    /// `!!`: the blocked package must be gone before.
    Strong,
}

/// How an atom's version is compared (PMS 8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `=`
    Equal,
    /// `=` with an asterisk behind the version.
    EqualPrefix,
    /// `~`, any revision of the version.
    Approximate,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
}

impl Operator {
    /// The sign before the category; the asterisk of [`Operator::EqualPrefix`] is not part of it.
    pub fn sign(self) -> &'static str {
        match self {
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Equal | Operator::EqualPrefix => "=",
            Operator::Approximate => "~",
            Operator::GreaterOrEqual => ">=",
            Operator::Greater => ">",
        }
    }
}

/// What an atom says about the version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VersionDep {
    /// An operator and a version.
    Compared {
        /// How to compare.
        operator: Operator,
        /// With what to compare.
        version: Version,
        /// The instance of a binary package, the number behind a further hyphen.
        build_id: Option<u64>,
    },
    /// `=cat/pkg-*text*` of configuration files: the text occurs anywhere in the version.
    Contains(String),
}

/// What an atom says about the slot (PMS 8.3.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SlotDep {
    /// `:*`, any slot, and it may change.
    Any,
    /// `:=`, any slot, and rebuild when it changes.
    Rebuild,
    /// `:slot`, `:slot/subslot`, `:slot=`, and `:slot/subslot=` in the metadata of built packages.
    Named {
        /// The slot demanded.
        slot: String,
        /// The sub-slot demanded.
        subslot: Option<String>,
        /// Whether `=` follows.
        rebuild: bool,
    },
}

impl fmt::Display for SlotDep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SlotDep::Any => f.write_str("*"),
            SlotDep::Rebuild => f.write_str("="),
            SlotDep::Named {
                slot,
                subslot,
                rebuild,
            } => {
                f.write_str(slot)?;
                if let Some(subslot) = subslot {
                    write!(f, "/{subslot}")?;
                }
                f.write_str(if *rebuild { "=" } else { "" })
            }
        }
    }
}

/// A package dependency specification.
///
/// [`fmt::Display`] prints back exactly what was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Atom {
    blocker: Option<Blocker>,
    name: Box<str>,
    /// Where the slash stands in the name.
    slash: usize,
    version: Option<VersionDep>,
    slot: Option<SlotDep>,
    repository: Option<String>,
    use_deps: Vec<UseDep>,
}

impl Atom {
    /// Reads an atom as an ebuild or a repository's profile of that EAPI may write it.
    ///
    /// # Errors
    /// Points at the first character that does not fit, or names the EAPI that lacks the feature.
    pub fn parse(text: &str, eapi: Eapi) -> Result<Self, AtomError> {
        parse::parse(text, parse::Dialect::Ebuild(eapi))
    }

    /// Reads an atom from the metadata of a built package, where `:slot/subslot=` records what a
    /// `:=` was built against.
    ///
    /// # Errors
    /// As for [`Atom::parse`].
    pub fn parse_recorded(text: &str, eapi: Eapi) -> Result<Self, AtomError> {
        parse::parse(text, parse::Dialect::Recorded(eapi))
    }

    /// Reads an atom of the user's configuration, which is what Portage accepts in
    /// `/etc/portage`: the features of every EAPI; `::repository`; `*` in categories and package
    /// names (`*/*`, `cat/*`, `dev-*/foo*`), then without a version to compare or flags;
    /// `=cat/pkg-*text*` for versions containing a text; and build ids, a number behind one more
    /// hyphen (`=cat/pkg-1.0-r1-2`).
    ///
    /// Like Portage this refuses `=*/*-1.0`. Other than Portage it refuses a build id with any
    /// operator but `=`, where Portage takes and then ignores it, and names that no package can
    /// have, such as `*/foo-1`.
    ///
    /// # Errors
    /// Points at the first character that does not fit.
    pub fn parse_config(text: &str) -> Result<Self, AtomError> {
        parse::parse(text, parse::Dialect::Config)
    }

    /// An atom that matches every version of `category/package`.
    ///
    /// # Errors
    /// When one of the names is not valid.
    pub fn for_package(cp: &str) -> Result<Self, AtomError> {
        Atom::parse(cp, Eapi::LATEST)
    }

    /// The blocker's strength, if this is one.
    pub fn blocker(&self) -> Option<Blocker> {
        self.blocker
    }

    /// The category; of a configuration's atom it may be a pattern with `*`.
    pub fn category(&self) -> &str {
        self.name.get(..self.slash).unwrap_or_default()
    }

    /// The package name; of a configuration's atom it may be a pattern with `*`.
    pub fn pn(&self) -> &str {
        self.name.get(self.slash + 1..).unwrap_or_default()
    }

    /// Category and package name.
    pub fn cp(&self) -> &str {
        &self.name
    }

    /// Whether category or package name is a pattern.
    pub fn is_wildcard(&self) -> bool {
        self.name.contains('*')
    }

    /// What the atom says about the version.
    pub fn version_dep(&self) -> Option<&VersionDep> {
        self.version.as_ref()
    }

    /// The operator before the atom.
    pub fn operator(&self) -> Option<Operator> {
        match &self.version {
            Some(VersionDep::Compared { operator, .. }) => Some(*operator),
            _ => None,
        }
    }

    /// The version to compare with.
    pub fn version(&self) -> Option<&Version> {
        match &self.version {
            Some(VersionDep::Compared { version, .. }) => Some(version),
            _ => None,
        }
    }

    /// The build id, of a configuration's atom.
    pub fn build_id(&self) -> Option<u64> {
        match &self.version {
            Some(VersionDep::Compared { build_id, .. }) => *build_id,
            _ => None,
        }
    }

    /// What the atom says about the slot.
    pub fn slot(&self) -> Option<&SlotDep> {
        self.slot.as_ref()
    }

    /// The repository behind `::`, of a configuration's atom.
    pub fn repository(&self) -> Option<&str> {
        self.repository.as_deref()
    }

    /// The same atom for packages of one repository.
    #[must_use]
    pub fn in_repository(mut self, repository: &str) -> Self {
        self.repository = Some(repository.to_owned());
        self
    }

    /// The flags between the brackets.
    pub fn use_deps(&self) -> &[UseDep] {
        &self.use_deps
    }

    /// Whether the package must be rebuilt when the slot of what matched changes: `:=`, `:slot=`.
    pub fn wants_rebuild(&self) -> bool {
        match &self.slot {
            Some(SlotDep::Rebuild) => true,
            Some(SlotDep::Named { rebuild, .. }) => *rebuild,
            _ => false,
        }
    }

    /// The atom as it is recorded when built against a package of that slot and sub-slot:
    /// `:=` and `:slot=` become `:slot/subslot=`, other atoms stay as they are (PMS 8.3.3).
    pub fn record_slot(&self, slot: &str, subslot: &str) -> Atom {
        let mut atom = self.clone();
        if self.wants_rebuild() {
            atom.slot = Some(SlotDep::Named {
                slot: slot.to_owned(),
                subslot: Some(subslot.to_owned()),
                rebuild: true,
            });
        }
        atom
    }

    /// The atom with another slot dependency, or none.
    pub fn with_slot(&self, slot: Option<SlotDep>) -> Atom {
        Atom {
            slot,
            ..self.clone()
        }
    }

    /// The atom without its exclamation marks.
    pub fn without_blocker(&self) -> Atom {
        Atom {
            blocker: None,
            ..self.clone()
        }
    }

    /// The atom without its flags.
    pub fn without_use(&self) -> Atom {
        Atom {
            use_deps: Vec::new(),
            ..self.clone()
        }
    }

    /// Resolves the conditional flags, `[foo?]`, `[!foo?]`, `[foo=]` and `[!foo=]`, by the flags
    /// of the package that has the dependency (PMS 8.3.4).
    pub fn evaluate_use(&self, enabled: impl Fn(&str) -> bool) -> Atom {
        let use_deps = self
            .use_deps
            .iter()
            .filter_map(|dep| dep.evaluate(&enabled))
            .collect();
        Atom {
            use_deps,
            ..self.clone()
        }
    }

    /// Whether any flag's requirement depends on the flags of the package that has the
    /// dependency.
    pub fn has_conditional_use(&self) -> bool {
        self.use_deps.iter().any(UseDep::is_conditional)
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.blocker {
            None => "",
            Some(Blocker::Weak) => "!",
            Some(Blocker::Strong) => "!!",
        })?;
        match &self.version {
            None => f.write_str(&self.name)?,
            Some(VersionDep::Contains(text)) => write!(f, "={}-*{text}*", self.name)?,
            Some(VersionDep::Compared {
                operator,
                version,
                build_id,
            }) => {
                write!(f, "{}{}-{version}", operator.sign(), self.name)?;
                if *operator == Operator::EqualPrefix {
                    f.write_str("*")?;
                }
                if let Some(build_id) = build_id {
                    write!(f, "-{build_id}")?;
                }
            }
        }
        if let Some(slot) = &self.slot {
            write!(f, ":{slot}")?;
        }
        if let Some(repository) = &self.repository {
            write!(f, "::{repository}")?;
        }
        if let Some((first, rest)) = self.use_deps.split_first() {
            write!(f, "[{first}")?;
            for dep in rest {
                write!(f, ",{dep}")?;
            }
            f.write_str("]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::rows;

    fn atom(text: &str) -> Atom {
        Atom::parse(text, Eapi::LATEST).unwrap()
    }

    #[test]
    fn takes_an_atom_apart() {
        let atom = atom("!!>=dev-libs/foo-bar-1.2-r3:0/4[a,-b(+),c?]");
        assert_eq!(atom.blocker(), Some(Blocker::Strong));
        assert_eq!(atom.operator(), Some(Operator::GreaterOrEqual));
        assert_eq!((atom.category(), atom.pn()), ("dev-libs", "foo-bar"));
        assert_eq!(atom.cp(), "dev-libs/foo-bar");
        assert_eq!(atom.version().unwrap().as_str(), "1.2-r3");
        assert_eq!(
            atom.slot(),
            Some(&SlotDep::Named {
                slot: "0".to_owned(),
                subslot: Some("4".to_owned()),
                rebuild: false
            })
        );
        assert_eq!(atom.use_deps().len(), 3);
        assert!(atom.has_conditional_use() && !atom.wants_rebuild());
        assert_eq!(
            atom.without_use()
                .without_blocker()
                .with_slot(None)
                .to_string(),
            ">=dev-libs/foo-bar-1.2-r3"
        );
    }

    #[test]
    fn records_slots() {
        let _rows = rows(&[196]);
        for (text, recorded) in [
            ("a/b:=", "a/b:2/2.1="),
            (">=a/b-1:2=[x]", ">=a/b-1:2/2.1=[x]"),
            ("a/b:*", "a/b:*"),
            ("a/b:2", "a/b:2"),
            ("a/b", "a/b"),
        ] {
            assert_eq!(atom(text).record_slot("2", "2.1").to_string(), recorded);
        }
    }

    #[test]
    fn evaluates_flags() {
        let enabled = |flag: &str| flag == "on";
        for (text, evaluated) in [
            ("a/b[on?,off?]", "a/b[on]"),
            ("a/b[!on?,!off?]", "a/b[-off]"),
            ("a/b[on=,off=]", "a/b[on,-off]"),
            ("a/b[!on=,!off=]", "a/b[-on,off]"),
            ("a/b[on(+)=,off(-)=]", "a/b[on(+),-off(-)]"),
            ("a/b[off?,!on?]", "a/b"),
            ("=a/b-1*:0=[x,-y,off?]", "=a/b-1*:0=[x,-y]"),
        ] {
            assert_eq!(atom(text).evaluate_use(enabled).to_string(), evaluated);
        }
    }
}
