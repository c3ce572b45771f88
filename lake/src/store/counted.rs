//! Counts what is asked of a store, and what it fails at, by kind: so that an operator sees a store that refuses before a landing does.

use std::error::Error as _;
use std::fmt;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};

/// What was asked.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Read,
    Write,
    Create,
    List,
    Delete,
}

/// What was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Full,
    Denied,
    Unsupported,
    Unavailable,
}

const OPERATIONS: [&str; 5] = ["read", "write", "create", "list", "delete"];
const KINDS: [&str; 4] = ["full", "denied", "unsupported", "unavailable"];

impl Kind {
    /// `None`: an answer like any other, that something is there or is not.
    fn of(error: &Error) -> Option<Self> {
        match error {
            Error::NotFound { .. }
            | Error::AlreadyExists { .. }
            | Error::Precondition { .. }
            | Error::NotModified { .. } => return None,
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                return Some(Self::Denied);
            }
            Error::NotSupported { .. } | Error::NotImplemented { .. } => {
                return Some(Self::Unsupported);
            }
            _ => {}
        }
        let mut cause = error.source();
        while let Some(error) = cause {
            match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
                Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => return Some(Self::Full),
                Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
                    return Some(Self::Denied);
                }
                _ => cause = error.source(),
            }
        }
        Some(Self::Unavailable)
    }
}

/// What was asked of a store since it was opened, and how it failed. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct StoreCounts(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    asked: [AtomicU64; OPERATIONS.len()],
    failed: [[AtomicU64; KINDS.len()]; OPERATIONS.len()],
}

impl StoreCounts {
    /// Requests by operation.
    #[must_use]
    pub fn asked(&self) -> Vec<(&'static str, u64)> {
        let counts = OPERATIONS.iter().zip(&self.0.asked);
        counts.map(|(operation, count)| (*operation, count.load(Ordering::Relaxed))).collect()
    }

    /// Failures by operation and kind: `full`, `denied`, `unsupported`, `unavailable`. What the store's client tried again with
    /// success is none.
    #[must_use]
    pub fn failed(&self) -> Vec<(&'static str, &'static str, u64)> {
        let counts = OPERATIONS.iter().zip(&self.0.failed);
        let each = counts.flat_map(|(operation, of)| {
            let count = |(kind, count): (&&'static str, &AtomicU64)| {
                (*operation, *kind, count.load(Ordering::Relaxed))
            };
            KINDS.iter().zip(of).map(count)
        });
        each.collect()
    }

    fn note<T>(&self, operation: Operation, result: Result<T>) -> Result<T> {
        self.0.asked[operation as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(kind) = result.as_ref().err().and_then(Kind::of) {
            self.0.failed[operation as usize][kind as usize].fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// A stream counts once for each thing in it that failed.
    fn stream<T: Send + 'static>(
        &self,
        operation: Operation,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        self.0.asked[operation as usize].fetch_add(1, Ordering::Relaxed);
        let own = self.clone();
        let count = move |item: Result<T>| {
            if let Some(kind) = item.as_ref().err().and_then(Kind::of) {
                own.0.failed[operation as usize][kind as usize].fetch_add(1, Ordering::Relaxed);
            }
            item
        };
        stream.map(count).boxed()
    }
}

/// A store that is counted.
#[derive(Debug)]
pub(crate) struct Counted {
    inner: Arc<dyn ObjectStore>,
    counts: StoreCounts,
}

impl Counted {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, counts: StoreCounts) -> Self {
        Self { inner, counts }
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Counted {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let creates = matches!(options.mode, PutMode::Create);
        let operation = if creates { Operation::Create } else { Operation::Write };
        self.counts.note(operation, self.inner.put_opts(location, payload, options).await)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begun = self.inner.put_multipart_opts(location, options).await;
        let inner = self.counts.note(Operation::Write, begun)?;
        Ok(Box::new(CountedUpload { inner, counts: self.counts.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.counts.note(Operation::Read, self.inner.get_opts(location, options).await)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.counts.note(Operation::Read, self.inner.get_ranges(location, ranges).await)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.counts.stream(Operation::Delete, self.inner.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.counts.stream(Operation::List, self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.counts.stream(Operation::List, self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.counts.note(Operation::List, self.inner.list_with_delimiter(prefix).await)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.counts.note(Operation::Write, self.inner.copy_opts(from, to, options).await)
    }
}

/// An upload whose parts are counted.
#[derive(Debug)]
struct CountedUpload {
    inner: Box<dyn MultipartUpload>,
    counts: StoreCounts,
}

#[async_trait]
impl MultipartUpload for CountedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, counts) = (self.inner.put_part(data), self.counts.clone());
        Box::pin(async move { counts.note(Operation::Write, part.await) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.counts.note(Operation::Write, self.inner.complete().await)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    fn generic(kind: ErrorKind) -> Error {
        Error::Generic { store: "x", source: Box::new(std::io::Error::from(kind)) }
    }

    #[test]
    fn what_a_store_refuses_is_told_apart_from_what_is_not_there() {
        let boxed = || Box::new(std::io::Error::other("x"));
        let path = || "a".to_owned();
        assert_eq!(Kind::of(&Error::NotFound { path: path(), source: boxed() }), None);
        assert_eq!(Kind::of(&Error::Precondition { path: path(), source: boxed() }), None);
        let denied = Error::PermissionDenied { path: path(), source: boxed() };
        assert_eq!(Kind::of(&denied), Some(Kind::Denied));
        assert_eq!(Kind::of(&generic(ErrorKind::StorageFull)), Some(Kind::Full));
        assert_eq!(Kind::of(&generic(ErrorKind::ReadOnlyFilesystem)), Some(Kind::Denied));
        assert_eq!(Kind::of(&generic(ErrorKind::TimedOut)), Some(Kind::Unavailable));
    }

    #[tokio::test]
    async fn requests_and_failures_are_counted_by_operation() {
        let counts = StoreCounts::default();
        let store = Counted::new(Arc::new(InMemory::new()), counts.clone());
        let path = Path::from("a");
        store.put(&path, "x".into()).await.unwrap();
        store.get(&Path::from("b")).await.unwrap_err();
        store.list(None).collect::<Vec<_>>().await;
        counts.note::<()>(Operation::Create, Err(generic(ErrorKind::StorageFull))).unwrap_err();
        let asked = [("read", 1), ("write", 1), ("create", 1), ("list", 1), ("delete", 0)];
        assert_eq!(counts.asked(), asked);
        let failed: Vec<_> =
            counts.failed().into_iter().filter(|(_, _, count)| *count > 0).collect();
        assert_eq!(failed, [("create", "full", 1)]);
        assert_eq!(counts.failed().len(), OPERATIONS.len() * KINDS.len());
    }
}
