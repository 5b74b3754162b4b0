//! What all builds of one call share.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sandbox::Feature;

use super::event::{Event, Events};
use super::host::Host;
use crate::config::Config;
use crate::fetch::Fetcher;
use crate::pms::eapi::BashVersion;
use crate::processor::{Pool, Processor, ProcessorError};

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
    /// The packages that are installed.
    pub installed: Arc<Host>,
    /// What builds may do without if it cannot be had.
    pub degrade: Vec<Feature>,
    /// What was found missing.
    pub missing: Mutex<BTreeSet<Feature>>,
    /// A folder for metadata that repositories do not ship.
    pub metadata_cache: PathBuf,
}

impl Session {
    /// The version of the bash that processors run.
    ///
    /// # Errors
    /// A processor cannot be started.
    pub async fn bash_version(&self) -> Result<BashVersion, ProcessorError> {
        if let Some(version) = self.pool.known_version() {
            return Ok(version);
        }
        let processor = self
            .pool
            .take(&sandbox::launch::Settings::default())
            .await?;
        let version = processor.version();
        self.pool.put_back(processor);
        Ok(version)
    }

    /// A processor in such a sandbox, or in one without what cannot be had here, as far as the
    /// configuration allows that; it is then told once.
    ///
    /// # Errors
    /// A processor cannot be started, or not so.
    pub async fn processor(
        &self,
        wanted: &sandbox::launch::Settings,
    ) -> Result<Processor, ProcessorError> {
        let missing = || self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut settings = wanted.clone();
        for feature in missing().iter() {
            settings = settings.without(*feature);
        }
        loop {
            let error = match self.pool.take(&settings).await {
                Err(ProcessorError::Sandbox(error)) => error,
                result => return result,
            };
            match error.feature() {
                Some(feature) if self.degrade.contains(&feature) => {
                    settings = settings.without(feature);
                    if missing().insert(feature) {
                        self.events.tell(Event::Notice {
                            text: format!(
                                "{feature} cannot be had here: {}",
                                feature.consequence()
                            ),
                        });
                    }
                }
                _ => return Err(error.into()),
            }
        }
    }
}
