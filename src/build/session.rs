//! What all builds of one call share.

use std::path::PathBuf;
use std::sync::Arc;

use super::event::Events;
use super::host::Host;
use crate::config::Config;
use crate::fetch::Fetcher;
use crate::pms::eapi::BashVersion;
use crate::processor::{Pool, ProcessorError};

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
    /// A folder for metadata that repositories do not ship.
    pub metadata_cache: PathBuf,
}

impl Session {
    /// The version of the bash that processors run.
    ///
    /// # Errors
    /// A processor cannot be started.
    pub async fn bash_version(&self) -> Result<BashVersion, ProcessorError> {
        let processor = self.pool.take().await?;
        let version = processor.version();
        self.pool.put_back(processor);
        Ok(version)
    }
}
