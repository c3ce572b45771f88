//! What ingest workers remember of devices between landings: an object a worker, `_tidemark/memory/{worker}`. Nothing of the lake's
//! rows depends on it; who deletes it loses an estimate.

use bytes::Bytes;

use crate::error::LakeError;
use crate::lake::Lake;

const FOLDER: &str = "_tidemark/memory";
/// Workers whose memories are read, at most.
const WORKERS_MAX: usize = 64;

impl Lake {
    /// Keeps what `worker` remembers; what it kept before is gone.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn keep_memory(&self, worker: &str, bytes: Bytes) -> Result<(), LakeError> {
        self.store().put(&format!("{FOLDER}/{worker}"), bytes).await
    }

    /// What workers kept, of at most [`WORKERS_MAX`].
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn memories(&self) -> Result<Vec<Bytes>, LakeError> {
        let mut memories = Vec::new();
        for object in self.store().list(FOLDER).await?.into_iter().take(WORKERS_MAX) {
            memories.extend(self.store().get(&object.path).await?);
        }
        Ok(memories)
    }
}
