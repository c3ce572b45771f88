//! Proves at start that the store's put-if-absent is atomic, which every commit rests on.
//!
//! Some S3 servers ignore `If-None-Match`, others check and then write: both lose commits silently. A race for one key
//! tells them apart in well under a second.

use bytes::Bytes;
use futures::future::try_join_all;
use uuid::Uuid;

use super::{Created, Store};
use crate::error::LakeError;

/// Concurrent creations per round.
const TRIES: usize = 8;
/// A store that checks and then writes may still have one winner by luck, above all while connections are being made; with
/// two rounds a busy machine let one pass, with eight none did in 200 tries.
const ROUNDS: usize = 8;

pub(super) async fn run(store: &Store) -> Result<(), LakeError> {
    for _ in 0..ROUNDS {
        let key = format!("_tidemark/selftest/{}", Uuid::new_v4());
        let result = race(store, &key).await;
        store.delete(&key).await?;
        result?;
    }
    Ok(())
}

async fn race(store: &Store, key: &str) -> Result<(), LakeError> {
    let unsafe_store =
        |winners| LakeError::UnsafeStore { url: store.url().to_string(), tries: TRIES, winners };
    let attempts = (0..TRIES).map(|n| store.create(key, Bytes::from(format!("attempt {n}"))));
    let outcomes = try_join_all(attempts).await?;
    let winners: Vec<usize> = outcomes
        .iter()
        .enumerate()
        .filter(|(_, outcome)| **outcome == Created::New)
        .map(|(n, _)| n)
        .collect();
    let [winner] = winners[..] else { return Err(unsafe_store(winners.len())) };
    // The bytes must be the winner's, also after a late attempt.
    let late = store.create(key, Bytes::from_static(b"late")).await?;
    let kept = store.get(key).await?;
    if late == Created::New || kept.as_deref() != Some(format!("attempt {winner}").as_bytes()) {
        return Err(unsafe_store(2));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::ops::Range;
    use std::sync::Arc;

    use async_trait::async_trait;
    use futures::stream::BoxStream;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
        PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    };
    use url::Url;

    use super::*;

    /// A store that ignores the condition, like s3rver.
    #[derive(Debug, Default)]
    struct Careless(InMemory);

    impl fmt::Display for Careless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("careless")
        }
    }

    #[async_trait]
    impl ObjectStore for Careless {
        async fn put_opts(
            &self,
            path: &Path,
            payload: PutPayload,
            mut options: PutOptions,
        ) -> Result<PutResult> {
            options.mode = PutMode::Overwrite;
            self.0.put_opts(path, payload, options).await
        }
        async fn put_multipart_opts(
            &self,
            path: &Path,
            options: PutMultipartOptions,
        ) -> Result<Box<dyn MultipartUpload>> {
            self.0.put_multipart_opts(path, options).await
        }
        async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
            self.0.get_opts(path, options).await
        }
        async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
            self.0.get_ranges(path, ranges).await
        }
        fn delete_stream(
            &self,
            paths: BoxStream<'static, Result<Path>>,
        ) -> BoxStream<'static, Result<Path>> {
            self.0.delete_stream(paths)
        }
        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
            self.0.list(prefix)
        }
        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
            self.0.list_with_delimiter(prefix).await
        }
        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
            self.0.copy_opts(from, to, options).await
        }
    }

    fn over(root: Arc<dyn ObjectStore>) -> Store {
        Store::on(root, Url::parse("memory:///lake").unwrap()).unwrap()
    }

    #[tokio::test]
    async fn an_atomic_store_passes_and_keeps_no_trace() {
        let store = over(Arc::new(InMemory::new()));
        store.selftest().await.unwrap();
        assert!(store.list("").await.unwrap().is_empty());
        let folder = tempfile::tempdir().unwrap();
        Store::open(folder.path().to_str().unwrap(), &[].into()).unwrap().selftest().await.unwrap();
    }

    #[tokio::test]
    async fn a_store_that_ignores_the_condition_is_refused_with_the_remedy() {
        let error = over(Arc::new(Careless::default())).selftest().await.unwrap_err().to_string();
        assert!(error.contains("memory:///lake") && error.contains("use a store"), "{error}");
    }
}
