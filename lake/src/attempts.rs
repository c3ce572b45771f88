//! What a worker writes down of its own attempts, beside the ledger: a small object of its name, which it alone reads.
//!
//! The lake does not look into it. It is no part of the protocol: without it nothing is lost but the memory of a worker that
//! was killed by what it was about to land.

use bytes::Bytes;

use crate::error::LakeError;
use crate::lake::Lake;

impl Lake {
    /// What `worker` wrote down last, if anything.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn attempts(&self, worker: &str) -> Result<Option<Bytes>, LakeError> {
        self.store().get(&path(worker)).await
    }

    /// Replaces what `worker` wrote down; `None` removes it. Durable when it returns.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn set_attempts(&self, worker: &str, note: Option<Vec<u8>>) -> Result<(), LakeError> {
        match note {
            Some(note) => self.store().put(&path(worker), note.into()).await,
            None => self.store().delete(&path(worker)).await,
        }
    }
}

fn path(worker: &str) -> String {
    format!("_tidemark/attempts/{worker}.json")
}
