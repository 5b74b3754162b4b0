//! The idle processors.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use sandbox::launch;

use super::process::{Processor, ProcessorError, Settings};

use crate::pms::eapi::Eapi;

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

    /// An idle processor for ebuilds of that EAPI in such a sandbox, or a new one.
    ///
    /// # Errors
    /// There is no bash for the EAPI, or as [`Processor::start`].
    pub async fn take(
        &self,
        sandbox: &launch::Settings,
        eapi: Eapi,
    ) -> Result<Processor, ProcessorError> {
        let bash = self.settings.bashes.for_eapi(eapi)?;
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let fitting = |one: &Processor| one.sandbox() == sandbox && one.bash() == bash;
            let fitting = idle.iter().rposition(fitting);
            fitting.map(|at| idle.swap_remove(at))
        };
        match idle {
            Some(processor) => Ok(processor),
            None => {
                let settings = Settings {
                    sandbox: sandbox.clone(),
                    ..self.settings.for_eapi(eapi)?
                };
                Processor::start(&settings).await
            }
        }
    }

    /// Makes sure that there is a bash for ebuilds of that EAPI, and that it can be started.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn check(&self, eapi: Eapi) -> Result<(), ProcessorError> {
        let bash = self.settings.bashes.for_eapi(eapi)?;
        let known = {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.iter().any(|one| one.bash() == bash)
        };
        if !known {
            self.put_back(self.take(&launch::Settings::default(), eapi).await?);
        }
        Ok(())
    }

    /// The path of the bash for ebuilds of that EAPI; of the usual one if there is none for them.
    #[must_use]
    pub fn bash_path(&self, eapi: Eapi) -> PathBuf {
        match self.settings.for_eapi(eapi) {
            Ok(settings) => settings.bash_path(),
            Err(_) => self.settings.bash_path(),
        }
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
