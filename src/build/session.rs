//! What all builds of one call share.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sandbox::launch::{SandboxError, Settings};
use sandbox::{Feature, Policy};

use super::ahead::Ahead;
use super::event::{Event, Events};
use super::host::Host;
use crate::config::Config;
use crate::fetch::Fetcher;
use crate::pms::eapi::Eapi;
use crate::processor::{
    Interactive, InteractiveSetup, Pool, Processor, ProcessorError, ShellError,
};

/// The configuration, the processors and the rest that builds share.
#[derive(Debug)]
pub struct Session {
    /// What the user has configured.
    pub config: Config,
    /// The processors.
    pub pool: Pool,
    /// The `ebd` program, which becomes wardens and helpers.
    pub program: PathBuf,
    /// Where to tell what happens.
    pub events: Events,
    /// Gets distfiles.
    pub fetcher: Fetcher,
    /// What is fetched for builds that are still to come.
    pub ahead: Ahead,
    /// The packages that are installed.
    pub installed: Arc<Host>,
    /// What builds may do without if it cannot be had.
    pub degrade: Vec<Feature>,
    /// What was found missing.
    pub missing: Mutex<BTreeSet<Feature>>,
    /// A folder for metadata that repositories do not ship.
    pub metadata_cache: PathBuf,
    /// A folder for the indexes of hosts of binary packages.
    pub binhost_cache: PathBuf,
    /// The folder of the confcache; none if there is no place for one.
    pub confcache: Option<PathBuf>,
}

impl Session {
    /// A processor for ebuilds of that EAPI in such a sandbox, or in one without what cannot be had here, as far as the
    /// configuration allows that; it is then told once.
    ///
    /// # Errors
    /// A processor cannot be started, or not so.
    pub async fn processor(
        &self,
        wanted: &Settings,
        eapi: Eapi,
    ) -> Result<Processor, ProcessorError> {
        let mut settings = self.without_missing(wanted);
        loop {
            match self.pool.take(&settings, eapi).await {
                Err(ProcessorError::Sandbox(error)) => {
                    settings = self.do_without(error, settings)?;
                }
                result => return result,
            }
        }
    }

    /// A shell for a person as `setup` has it, but in a sandbox without what cannot be had here, as
    /// far as the configuration allows that. What it may do is `policy` from the start.
    ///
    /// # Errors
    /// It cannot be started, or not so.
    pub async fn interactive(
        &self,
        mut setup: InteractiveSetup,
        policy: &Policy,
        token: &str,
    ) -> Result<Interactive, ShellError> {
        setup.sandbox = self.without_missing(&setup.sandbox);
        loop {
            match Interactive::start(&setup, policy.clone(), token).await {
                Err(ShellError::Processor(ProcessorError::Sandbox(error))) => {
                    setup.sandbox = self.do_without(error, setup.sandbox)?;
                }
                result => return result,
            }
        }
    }

    fn missing(&self) -> MutexGuard<'_, BTreeSet<Feature>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings without what was found missing already.
    fn without_missing(&self, wanted: &Settings) -> Settings {
        let missing = self.missing();
        let wanted = wanted.clone();
        missing
            .iter()
            .fold(wanted, |settings, feature| settings.without(*feature))
    }

    /// The settings without what the error says is missing, if builds may do without that; it is then
    /// told once.
    fn do_without(
        &self,
        error: SandboxError,
        settings: Settings,
    ) -> Result<Settings, ProcessorError> {
        let allowed = |feature: &Feature| self.degrade.contains(feature);
        let Some(feature) = error.feature().filter(allowed) else {
            return Err(error.into());
        };
        if self.missing().insert(feature) {
            self.events.tell(Event::Notice {
                text: format!("{feature} cannot be had here: {}", feature.consequence()),
            });
        }
        Ok(settings.without(feature))
    }
}
