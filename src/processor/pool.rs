//! The idle processors.

use std::sync::{Mutex, PoisonError};

use super::process::{Processor, ProcessorError, Settings};

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

    /// An idle processor, or a new one.
    ///
    /// # Errors
    /// As [`Processor::start`].
    pub async fn take(&self) -> Result<Processor, ProcessorError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        match idle {
            Some(processor) => Ok(processor),
            None => Processor::start(&self.settings).await,
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
