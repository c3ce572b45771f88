//! What can be said of the store below a lake: where it is, what it refused, and what its clock says.

use std::path::PathBuf;

use bytes::Bytes;
use service_runtime::Clock;

use crate::error::LakeError;
use crate::lake::Lake;
use crate::store::StoreCounts;

/// Stores say seconds, rounded down: half a second later is the nearest.
const ROUNDED_MS: i64 = 500;

impl Lake {
    /// What was asked of the store by this process, and how it failed.
    #[must_use]
    pub fn store_counts(&self) -> StoreCounts {
        self.store().counts()
    }

    /// The folder, if the lake is on a disk of this machine.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        self.store().folder()
    }

    /// How far the store's clock is ahead of this machine's, milliseconds; below 0 this one is ahead. To within a second, and the
    /// time that a write takes. `None` on a disk of this machine. Writes a small object of `worker`'s.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn clock_ahead_ms(
        &self,
        worker: &str,
        clock: Clock,
    ) -> Result<Option<i64>, LakeError> {
        if self.folder().is_some() {
            return Ok(None);
        }
        let path = format!("_tidemark/clock/{worker}");
        let before = clock.now_ms();
        self.store().put(&path, Bytes::new()).await?;
        let between = before.midpoint(clock.now_ms());
        let written = self.store().written_ms(&path).await?;
        Ok(Some(written.saturating_add(ROUNDED_MS).saturating_sub(between)))
    }
}
