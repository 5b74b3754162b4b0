//! A cache entry with its values understood.

use super::Entry;
use crate::pms::atom::Atom;
use crate::pms::dependency::{DepSpec, DependencyError};
use crate::pms::eapi::{Eapi, UnsupportedEapi};
use crate::pms::keyword::Keywords;
use crate::pms::names::{NameError, NameKind};
use crate::pms::phase::Phase;
use crate::pms::required_use::UseCondition;
use crate::pms::src_uri::SrcUri;
use crate::pms::use_flag::{IuseError, IuseFlag};

/// Metadata that the specification does not allow.
#[derive(Debug, thiserror::Error)]
pub enum InvalidMetadata {
    /// The EAPI is not supported.
    #[error(transparent)]
    Eapi(#[from] UnsupportedEapi),
    /// `SLOT` is missing.
    #[error("SLOT: not set")]
    NoSlot,
    /// `SLOT` names no slot.
    #[error("SLOT: `{text}`")]
    Slot {
        /// The value.
        text: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// `SLOT` has a sub-slot, which the EAPI does not have.
    #[error("SLOT: `{text}` has a sub-slot, which EAPI {eapi} does not have")]
    Subslot {
        /// The value.
        text: String,
        /// The EAPI.
        eapi: &'static str,
    },
    /// `IUSE` holds what is no flag.
    #[error("IUSE")]
    Iuse(#[from] IuseError),
    /// `KEYWORDS` holds what is no keyword.
    #[error("KEYWORDS")]
    Keywords(#[source] NameError),
    /// `DEFINED_PHASES` names no phase.
    #[error("DEFINED_PHASES: `{name}` is no phase")]
    Phase {
        /// The word.
        name: String,
    },
    /// The list of eclasses is damaged.
    #[error(transparent)]
    Eclasses(#[from] super::MetadataError),
    /// A dependency-style value cannot be parsed.
    #[error("{key}")]
    Dependency {
        /// The variable.
        key: &'static str,
        /// What is wrong with it.
        source: Box<DependencyError>,
    },
}

/// Which dependencies (PMS 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DependencyClass {
    /// `BDEPEND`
    Bdepend,
    /// `DEPEND`
    Depend,
    /// `RDEPEND`
    Rdepend,
    /// `PDEPEND`
    Pdepend,
    /// `IDEPEND`
    Idepend,
}

impl DependencyClass {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Bdepend,
        Self::Depend,
        Self::Rdepend,
        Self::Pdepend,
        Self::Idepend,
    ];

    /// The variable.
    pub fn key(self) -> &'static str {
        match self {
            Self::Bdepend => "BDEPEND",
            Self::Depend => "DEPEND",
            Self::Rdepend => "RDEPEND",
            Self::Pdepend => "PDEPEND",
            Self::Idepend => "IDEPEND",
        }
    }
}

/// The values of an entry. What every use needs is parsed at once, dependencies when asked for.
#[derive(Debug, Clone)]
pub struct Metadata {
    entry: Entry,
    eapi: Eapi,
    slot: String,
    subslot: String,
    iuse: Vec<IuseFlag>,
    keywords: Keywords,
    defined_phases: Vec<Phase>,
    inherited: Vec<String>,
}

impl Metadata {
    /// Understands an entry.
    ///
    /// # Errors
    /// [`InvalidMetadata`] for the first of EAPI, SLOT, IUSE, KEYWORDS, DEFINED_PHASES and the
    /// list of eclasses that is not as it must be.
    pub fn new(entry: Entry) -> Result<Self, InvalidMetadata> {
        let eapi = Eapi::parse(entry.get("EAPI").unwrap_or("0"))?;
        let text = entry.get("SLOT").ok_or(InvalidMetadata::NoSlot)?;
        let (slot, subslot) = text.split_once('/').unwrap_or((text, text));
        if text.contains('/') && !eapi.subslots() {
            return Err(InvalidMetadata::Subslot {
                text: text.to_owned(),
                eapi: eapi.name(),
            });
        }
        for part in [slot, subslot] {
            NameKind::Slot
                .check(part)
                .map_err(|source| InvalidMetadata::Slot {
                    text: text.to_owned(),
                    source,
                })?;
        }
        let (slot, subslot) = (slot.to_owned(), subslot.to_owned());
        let iuse = IuseFlag::parse_all(entry.get("IUSE").unwrap_or_default(), eapi)?;
        let keywords = Keywords::parse(entry.get("KEYWORDS").unwrap_or_default())
            .map_err(InvalidMetadata::Keywords)?;
        let mut defined_phases = Vec::new();
        for name in entry
            .get("DEFINED_PHASES")
            .unwrap_or_default()
            .split_whitespace()
        {
            match Phase::from_name(name) {
                Some(phase) => defined_phases.push(phase),
                None if name == "-" => {}
                None => {
                    return Err(InvalidMetadata::Phase {
                        name: name.to_owned(),
                    });
                }
            }
        }
        let inherited = entry
            .eclasses()?
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        Ok(Self {
            entry,
            eapi,
            slot,
            subslot,
            iuse,
            keywords,
            defined_phases,
            inherited,
        })
    }

    /// The entry.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The EAPI.
    pub fn eapi(&self) -> Eapi {
        self.eapi
    }

    /// The slot, without the sub-slot.
    pub fn slot(&self) -> &str {
        &self.slot
    }

    /// The sub-slot; the slot where none is given.
    pub fn subslot(&self) -> &str {
        &self.subslot
    }

    /// The flags, with the state the ebuild suggests.
    pub fn iuse(&self) -> &[IuseFlag] {
        &self.iuse
    }

    /// The keywords.
    pub fn keywords(&self) -> &Keywords {
        &self.keywords
    }

    /// The phases that the ebuild or an eclass defines.
    pub fn defined_phases(&self) -> &[Phase] {
        &self.defined_phases
    }

    /// True when the ebuild or an eclass defines the phase.
    pub fn defines(&self, phase: Phase) -> bool {
        self.defined_phases.contains(&phase)
    }

    /// All inherited eclasses, sorted.
    pub fn inherited(&self) -> &[String] {
        &self.inherited
    }

    /// The eclasses that the ebuild itself inherits, in its order.
    pub fn inherit(&self) -> impl Iterator<Item = &str> {
        self.entry
            .get("INHERIT")
            .unwrap_or_default()
            .split_whitespace()
    }

    /// The description, empty when there is none.
    pub fn description(&self) -> &str {
        self.entry.get("DESCRIPTION").unwrap_or_default()
    }

    /// The home pages, empty when there are none.
    pub fn homepage(&self) -> &str {
        self.entry.get("HOMEPAGE").unwrap_or_default()
    }

    /// Dependencies of one class.
    ///
    /// # Errors
    /// The text is no dependency specification of the EAPI.
    pub fn dependencies(&self, class: DependencyClass) -> Result<DepSpec<Atom>, InvalidMetadata> {
        self.parse(class.key(), DepSpec::parse_dependencies)
    }

    /// `SRC_URI`.
    ///
    /// # Errors
    /// The text is no such specification of the EAPI.
    pub fn src_uri(&self) -> Result<DepSpec<SrcUri>, InvalidMetadata> {
        self.parse("SRC_URI", DepSpec::parse_src_uri)
    }

    /// `LICENSE`.
    ///
    /// # Errors
    /// The text is no such specification of the EAPI.
    pub fn license(&self) -> Result<DepSpec<String>, InvalidMetadata> {
        self.parse("LICENSE", DepSpec::parse_license)
    }

    /// `RESTRICT`.
    ///
    /// # Errors
    /// The text is no such specification of the EAPI.
    pub fn restrict(&self) -> Result<DepSpec<String>, InvalidMetadata> {
        self.parse("RESTRICT", DepSpec::parse_restrict)
    }

    /// `PROPERTIES`.
    ///
    /// # Errors
    /// The text is no such specification of the EAPI.
    pub fn properties(&self) -> Result<DepSpec<String>, InvalidMetadata> {
        self.parse("PROPERTIES", DepSpec::parse_properties)
    }

    /// `REQUIRED_USE`.
    ///
    /// # Errors
    /// The text is no such specification of the EAPI.
    pub fn required_use(&self) -> Result<DepSpec<UseCondition>, InvalidMetadata> {
        self.parse("REQUIRED_USE", DepSpec::parse_required_use)
    }

    fn parse<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str, Eapi) -> Result<DepSpec<T>, DependencyError>,
    ) -> Result<DepSpec<T>, InvalidMetadata> {
        parse(self.entry.get(key).unwrap_or_default(), self.eapi).map_err(|source| {
            InvalidMetadata::Dependency {
                key,
                source: Box::new(source),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(text: &str) -> Result<Metadata, InvalidMetadata> {
        Metadata::new(Entry::parse(text).unwrap())
    }

    #[test]
    fn values_are_understood() {
        let metadata = metadata(
            "EAPI=8\nSLOT=0/5\nIUSE=+a b\nKEYWORDS=amd64 ~x86\nDEFINED_PHASES=compile setup\n\
             INHERIT=z b\nRDEPEND=a? ( dev-libs/x:= )\nSRC_URI=https://x/y.tar -> z.tar\n\
             RESTRICT=!test? ( test )\nLICENSE=|| ( MIT BSD )\nREQUIRED_USE=|| ( a b )\n\
             _eclasses_=b\t0cc175b9c0f1b6a831c399e269772661\n",
        )
        .unwrap();
        assert_eq!((metadata.slot(), metadata.subslot()), ("0", "5"));
        assert_eq!(metadata.iuse()[0].default, Some(true));
        assert!(metadata.defines(Phase::Compile) && !metadata.defines(Phase::Install));
        assert_eq!(metadata.inherited(), ["b"]);
        assert_eq!(metadata.inherit().collect::<Vec<_>>(), ["z", "b"]);
        let rdepend = metadata.dependencies(DependencyClass::Rdepend).unwrap();
        assert_eq!(rdepend.to_string(), "a? ( dev-libs/x:= )");
        assert_eq!(
            metadata
                .dependencies(DependencyClass::Depend)
                .unwrap()
                .to_string(),
            ""
        );
        assert_eq!(
            metadata
                .src_uri()
                .unwrap()
                .leaves()
                .next()
                .unwrap()
                .filename(),
            "z.tar"
        );
        assert!(metadata.restrict().is_ok() && metadata.properties().is_ok());
        assert!(metadata.license().is_ok() && metadata.required_use().is_ok());
    }

    #[test]
    fn faults_are_named() {
        for (text, what) in [
            ("EAPI=8\n", "SLOT: not set"),
            (
                "EAPI=8\nSLOT=0\nDEFINED_PHASES=foo\n",
                "DEFINED_PHASES: `foo` is no phase",
            ),
            (
                "EAPI=4\nSLOT=0/1\n",
                "SLOT: `0/1` has a sub-slot, which EAPI 4 does not have",
            ),
            ("EAPI=8\nSLOT=0/\n", "SLOT: `0/`"),
        ] {
            assert_eq!(metadata(text).unwrap_err().to_string(), what);
        }
        assert!(metadata("EAPI=99\nSLOT=0\n").is_err());
        let metadata = metadata("EAPI=8\nSLOT=0\nDEPEND=(\nDEFINED_PHASES=-\n").unwrap();
        assert!(metadata.defined_phases().is_empty());
        let error = metadata.dependencies(DependencyClass::Depend).unwrap_err();
        assert_eq!(error.to_string(), "DEPEND");
    }
}
