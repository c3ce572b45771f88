//! What ingest workers know of devices and alerts as of their last landings: an object a landing, `_tidemark/watch/{worker}/{number}`.
//!
//! The lake does not look into them. One is written before its landing is decided, and removed once a later one has landed; so after a
//! kill there are two or three, of which the worker finds the one that the ledger has come to. Without them no row is lost: what is
//! known of devices is made of the rows.

use bytes::Bytes;

use crate::error::LakeError;
use crate::lake::Lake;

/// States of a worker that are looked at, at most.
const STATES_MAX: usize = 100;

impl Lake {
    /// Numbers of the states that `worker` has, in order.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn watched(&self, worker: &str) -> Result<Vec<u64>, LakeError> {
        let objects = self.store().list(&folder(worker)).await?;
        let name = |path: &str| path.rsplit('/').next().and_then(|name| name.parse().ok());
        let mut numbers: Vec<u64> =
            objects.iter().filter_map(|object| name(object.path.as_ref())).collect();
        numbers.sort_unstable();
        numbers.drain(..numbers.len().saturating_sub(STATES_MAX));
        Ok(numbers)
    }

    /// One state.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn watched_state(
        &self,
        worker: &str,
        number: u64,
    ) -> Result<Option<Bytes>, LakeError> {
        self.store().get(&path(worker, number)).await
    }

    /// Keeps a state; durable when it returns.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn keep_watched(
        &self,
        worker: &str,
        number: u64,
        state: Bytes,
    ) -> Result<(), LakeError> {
        self.store().put(&path(worker, number), state).await
    }

    /// Removes a state that a later one has taken the place of.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn drop_watched(&self, worker: &str, number: u64) -> Result<(), LakeError> {
        self.store().delete(&path(worker, number)).await
    }
}

fn folder(worker: &str) -> String {
    format!("_tidemark/watch/{worker}")
}

fn path(worker: &str, number: u64) -> String {
    format!("{}/{number:020}", folder(worker))
}
