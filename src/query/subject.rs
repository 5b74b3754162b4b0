//! A package that is asked about.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use crate::config::{Config, PackageConfig, PackageQuery};
use crate::pms::atom::{FlagState, PackageFacts};
use crate::pms::cpv::Cpv;
use crate::pms::eapi::Eapi;

/// An ebuild, with its metadata as the text of a cache entry (md5-dict), and the configuration if there is one.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Its name and version.
    pub cpv: &'a Cpv,
    /// Its repository.
    pub repository: &'a str,
    entry: &'a str,
    config: Option<&'a Config>,
    installed_from: Option<&'a BTreeSet<String>>,
    answer: OnceCell<Option<PackageConfig>>,
}

impl<'a> Subject<'a> {
    /// An ebuild; `entry` is the text of its cache entry.
    pub fn new(
        cpv: &'a Cpv,
        repository: &'a str,
        entry: &'a str,
        config: Option<&'a Config>,
    ) -> Self {
        Subject {
            cpv,
            repository,
            entry,
            config,
            installed_from: None,
            answer: OnceCell::new(),
        }
    }

    /// The same, with the repositories that the package is installed from.
    #[must_use]
    pub fn installed_from(self, repositories: Option<&'a BTreeSet<String>>) -> Self {
        Subject {
            installed_from: repositories,
            answer: OnceCell::new(),
            ..self
        }
    }

    /// A value of the metadata, empty if there is none.
    pub fn value(&self, key: &str) -> &'a str {
        self.entry
            .split('\n')
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .unwrap_or_default()
    }

    /// The slot and the sub-slot.
    pub fn slots(&self) -> (&'a str, &'a str) {
        let slot = self.value("SLOT");
        slot.split_once('/').unwrap_or((slot, slot))
    }

    /// What the configuration says; none without one, or for an EAPI that is not known.
    pub fn configured(&self) -> Option<&PackageConfig> {
        let ask = || {
            let eapi = match self.value("EAPI") {
                "" => "0",
                name => name,
            };
            let (slot, subslot) = self.slots();
            let config = self.config?;
            let mut found = config.package(&PackageQuery {
                cpv: self.cpv,
                slot,
                subslot,
                repository: Some(self.repository),
                eapi: Eapi::parse(eapi).ok()?,
                iuse: self.value("IUSE"),
                keywords: self.value("KEYWORDS"),
                license: self.value("LICENSE"),
                restrict: self.value("RESTRICT"),
                properties: self.value("PROPERTIES"),
            });
            if let Some(from) = self.installed_from {
                let obstacle = config.update_obstacle(self.repository, from);
                found.masks.extend(obstacle);
            }
            Some(found)
        };
        self.answer.get_or_init(ask).as_ref()
    }

    /// Whether nothing masks it.
    pub fn is_visible(&self) -> bool {
        self.configured().is_some_and(|it| it.masks.is_empty())
    }

    /// Whether its PROPERTIES say that it is live.
    pub fn is_live(&self) -> bool {
        self.value("PROPERTIES")
            .split_whitespace()
            .any(|word| word == "live")
    }

    /// The enabled flags.
    pub(super) fn enabled(&self) -> &BTreeSet<String> {
        const NONE: &BTreeSet<String> = &BTreeSet::new();
        self.configured().map_or(NONE, |it| &it.use_flags)
    }
}

impl PackageFacts for Subject<'_> {
    fn cpv(&self) -> &Cpv {
        self.cpv
    }

    fn slot(&self) -> &str {
        self.slots().0
    }

    fn subslot(&self) -> &str {
        self.slots().1
    }

    fn repository(&self) -> Option<&str> {
        Some(self.repository)
    }

    fn use_flag(&self, flag: &str) -> FlagState {
        match self.configured() {
            Some(it) if it.use_flags.contains(flag) => FlagState::On,
            Some(it) if it.iuse_effective.contains(flag) => FlagState::Off,
            _ => FlagState::Missing,
        }
    }
}
