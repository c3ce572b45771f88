//! Keeps what is known of devices, after landings: now and then, and at the end.

use std::sync::Arc;
use std::time::Duration;

use lake::Lake;
use tracing::warn;

use crate::causes::chain;
use crate::memory::Memory;

/// A kill costs what was learned in this time, no row: a minute of a clock's estimate, and what could be known as a repeat.
const EVERY: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(crate) struct Keeper {
    lake: Lake,
    worker: String,
    /// What was landed and is not kept yet.
    unkept: Option<Arc<Memory>>,
    kept: Duration,
}

impl Keeper {
    /// Reads what this worker and others kept. Without it ingest goes on: it learns anew.
    pub(crate) async fn begin(lake: &Lake, worker: &str, now: Duration) -> (Self, Memory) {
        let mut memory = Memory::default();
        match lake.memories().await {
            Ok(all) => {
                for bytes in all {
                    if let Err(error) = memory.recall(&bytes) {
                        warn!(%error, "what a worker kept of devices can't be read, and is not used");
                    }
                }
            }
            Err(error) => {
                warn!(
                    error = chain(&error),
                    "what is kept of devices can't be read; it is learned anew"
                );
            }
        }
        (Self { lake: lake.clone(), worker: worker.to_owned(), unkept: None, kept: now }, memory)
    }

    /// Takes what is known as of a landing.
    pub(crate) fn landed(&mut self, memory: Arc<Memory>) {
        self.unkept = Some(memory);
    }

    /// Keeps it if that was not done for a while.
    pub(crate) async fn keep_if_due(&mut self, now: Duration) {
        if now.saturating_sub(self.kept) >= EVERY {
            self.kept = now;
            self.keep().await;
        }
    }

    /// Keeps it.
    pub(crate) async fn keep(&mut self) {
        let Some(memory) = self.unkept.take() else { return };
        let bytes = match memory.save() {
            Ok(bytes) => bytes,
            Err(error) => return warn!(%error, "what is known of devices can't be written down"),
        };
        if let Err(error) = self.lake.keep_memory(&self.worker, bytes.into()).await {
            warn!(error = chain(&error), "what is known of devices is not kept this time");
        }
    }
}
