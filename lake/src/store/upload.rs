//! An object that is written in parts: it is there once it is finished, and then all of it.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt as _};

use super::{Store, failed};
use crate::error::LakeError;

/// Bytes of a part: stores want 5 MiB at least, and all but the last alike.
pub(crate) const PART_BYTES: usize = 8 << 20;

/// See the module. Small objects are written at once.
#[derive(Debug)]
pub(crate) struct Upload {
    store: Store,
    path: Path,
    begun: Option<Box<dyn MultipartUpload>>,
    kept: Vec<u8>,
    size: u64,
}

impl Upload {
    /// Begins the object `relative` of `store`.
    pub(crate) fn new(store: &Store, relative: &str) -> Self {
        let path = store.path(relative);
        Self { store: store.clone(), path, begun: None, kept: Vec::new(), size: 0 }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), LakeError> {
        self.kept.extend_from_slice(bytes);
        self.size += bytes.len() as u64;
        while self.kept.len() >= PART_BYTES {
            let rest = self.kept.split_off(PART_BYTES);
            let part = std::mem::replace(&mut self.kept, rest);
            self.part(part.into()).await?;
        }
        Ok(())
    }

    async fn part(&mut self, part: Bytes) -> Result<(), LakeError> {
        let begun = match &mut self.begun {
            Some(begun) => begun,
            none => {
                let begun = self.store.root().put_multipart(&self.path).await;
                none.insert(begun.map_err(|error| failed("write", &self.path, error))?)
            }
        };
        begun.put_part(part.into()).await.map_err(|error| failed("write", &self.path, error))
    }

    /// Writes what is left; the object is there and durable when it returns. Returns its size.
    ///
    /// # Errors
    /// [`LakeError::Store`]; the object may be there all the same.
    pub(crate) async fn finish(mut self) -> Result<u64, LakeError> {
        let rest = Bytes::from(std::mem::take(&mut self.kept));
        if self.begun.is_none() {
            let put = self.store.root().put(&self.path, rest.into()).await;
            return put.map(|_| self.size).map_err(|error| failed("write", &self.path, error));
        }
        if !rest.is_empty() {
            self.part(rest).await?;
        }
        if let Some(begun) = &mut self.begun {
            begun.complete().await.map_err(|error| failed("write", &self.path, error))?;
        }
        Ok(self.size)
    }

    /// Drops what was written. A store that can't, removes parts by age if its lifecycle rules say so.
    pub(crate) async fn abort(mut self) {
        if let Some(mut begun) = self.begun.take() {
            drop(begun.abort().await);
        }
    }
}
