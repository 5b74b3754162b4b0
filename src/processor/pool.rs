//! The idle processors.

use std::sync::{Mutex, PoisonError};

use sandbox::launch;

use super::process::{Processor, ProcessorError, Settings};

use crate::pms::eapi::BashVersion;

/// Keeps processors between jobs. A processor that took part in a failure is not put back.
#[derive(Debug)]
pub struct Pool {
    settings: Settings,
    idle: Mutex<Vec<Processor>>,
}

impl Pool {
    /// An empty pool; processors are started when they are first asked for.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// An idle processor in such a sandbox, or a new one.
    ///
    /// # Errors
    /// As [`Processor::start`].
    pub async fn take(&self, sandbox: &launch::Settings) -> Result<Processor, ProcessorError> {
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let fitting = idle.iter().rposition(|one| one.sandbox() == sandbox);
            fitting.map(|at| idle.swap_remove(at))
        };
        match idle {
            Some(processor) => Ok(processor),
            None => {
                let settings = Settings {
                    sandbox: sandbox.clone(),
                    ..self.settings.clone()
                };
                Processor::start(&settings).await
            }
        }
    }

    /// The version of the bash that an idle processor runs.
    #[must_use]
    pub fn known_version(&self) -> Option<BashVersion> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.first().map(Processor::version)
    }

    /// Takes back a processor whose last job ended well.
    pub fn put_back(&self, processor: Processor) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(processor);
    }

    /// Ends all idle processors.
    pub async fn end(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for processor in idle {
            processor.end().await;
        }
    }
}
