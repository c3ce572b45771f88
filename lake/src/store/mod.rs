//! The object store below the lake: one root store, and paths relative to the lake or to one of its tables.

mod counted;
mod disk;
mod local;
#[cfg(test)]
mod power_loss;
mod s3;
mod selftest;
mod unfinished;
mod upload;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::{Path, PathPart};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use service_runtime::files::Readers;
use url::Url;

use crate::error::LakeError;
use crate::location::Location;

use counted::Counted;
pub use counted::StoreCounts;
pub(crate) use local::FsyncLocal;
pub(crate) use upload::{PART_BYTES, Upload};

/// What a put-if-absent found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// The object did not exist and now holds our bytes.
    New,
    /// Somebody's object is there (it can be ours, from an attempt whose answer was lost).
    Exists,
}

/// An object as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Relative to the [`Store`] that listed it.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Unix milliseconds.
    pub modified_ms: i64,
}

/// A folder in an object store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    root: Arc<dyn ObjectStore>,
    base: Path,
    url: Url,
    counts: StoreCounts,
}

impl Store {
    /// Opens the store that `url` names. `env` supplies the usual `AWS_*` variables for `s3://`; nothing is read from
    /// the process environment.
    ///
    /// # Errors
    /// [`LakeError::Location`] for an unusable URL, [`LakeError::Store`] if the client can't be built.
    pub fn open(url: &str, env: &HashMap<String, String>) -> Result<Self, LakeError> {
        Self::open_for(url, env, None)
    }

    /// As [`Store::open`]; what it writes into a folder is for `readers`, or for whom the folder was made.
    pub(crate) fn open_for(
        url: &str,
        env: &HashMap<String, String>,
        readers: Option<Readers>,
    ) -> Result<Self, LakeError> {
        let location: Location = url.parse()?;
        let root: Arc<dyn ObjectStore> = match &location {
            Location::Folder(folder) => {
                let readers = readers.unwrap_or_else(|| Readers::of(folder));
                Arc::new(FsyncLocal::for_readers(readers))
            }
            Location::Bucket { bucket, .. } => Arc::new(s3::bucket(bucket, env)?),
        };
        Self::on(root, location.url())
    }

    /// Looks whether the store that `url` names is there and lets us in. A folder always is.
    ///
    /// # Errors
    /// [`LakeError::Location`], [`LakeError::Unreachable`] with what to check, within ten seconds.
    pub async fn look(url: &str, env: &HashMap<String, String>) -> Result<(), LakeError> {
        let location: Location = url.parse()?;
        let Location::Bucket { bucket, .. } = &location else { return Ok(()) };
        let store = Self::open(url, env)?;
        s3::look(bucket, store.base(), env).await
    }

    /// A store over `root`, whose paths are those of `url` (for a file URL: from `/`; for a bucket: from its root).
    ///
    /// # Errors
    /// [`LakeError::Location`] if the URL's path is not a valid object path.
    pub fn on(root: Arc<dyn ObjectStore>, mut url: Url) -> Result<Self, LakeError> {
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        let base = Path::from_url_path(url.path()).map_err(|error| LakeError::Location {
            url: url.to_string(),
            reason: error.to_string(),
        })?;
        let counts = StoreCounts::default();
        Ok(Self { root: Arc::new(Counted::new(root, counts.clone())), base, url, counts })
    }

    /// The folder `name` below this one. `name` is one plain path segment.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{name}/", self.url.path()));
        let base = self.base.clone().join(PathPart::from(name));
        Self { root: self.root.clone(), base, url, counts: self.counts.clone() }
    }

    /// What was asked of the store, and how it failed.
    #[must_use]
    pub fn counts(&self) -> StoreCounts {
        self.counts.clone()
    }

    /// The folder, if it is one of this machine's.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        self.url.to_file_path().ok().filter(|_| self.url.scheme() == "file")
    }

    /// Absolute URL of this folder, ending in `/`.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The root store, for libraries that want one.
    #[must_use]
    pub fn root(&self) -> Arc<dyn ObjectStore> {
        self.root.clone()
    }

    /// Path of this folder in the root store.
    #[must_use]
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Path of `relative` in the root store.
    #[must_use]
    pub fn path(&self, relative: &str) -> Path {
        self.base.parts().chain(relative.split('/').map(PathPart::from)).collect()
    }

    /// Where a person or tool finds `relative`: a plain path for a local lake, else a URL.
    #[must_use]
    pub fn address(&self, relative: &str) -> String {
        match self.folder() {
            Some(folder) => folder.join(relative).display().to_string(),
            None => format!("{}{relative}", self.url),
        }
    }

    /// The object's bytes, or `None` if there is no such object.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn get(&self, relative: &str) -> Result<Option<Bytes>, LakeError> {
        let path = self.path(relative);
        let result = match self.root.get(&path).await {
            Ok(found) => found.bytes().await.map(Some),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        result.map_err(|error| failed("read", &path, error))
    }

    /// Writes the object, replacing what was there. Durable when it returns.
    ///
    /// # Errors
    /// [`LakeError::Store`]; the object may have been written all the same.
    pub async fn put(&self, relative: &str, bytes: Bytes) -> Result<(), LakeError> {
        let path = self.path(relative);
        self.root.put(&path, bytes.into()).await.map_err(|error| failed("write", &path, error))?;
        Ok(())
    }

    /// Writes the object only if there is none. Durable when it returns [`Created::New`].
    ///
    /// # Errors
    /// [`LakeError::Store`]; the object may have been written all the same.
    pub async fn create(&self, relative: &str, bytes: Bytes) -> Result<Created, LakeError> {
        let path = self.path(relative);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.root.put_opts(&path, PutPayload::from_bytes(bytes), options).await {
            Ok(_) => Ok(Created::New),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(Created::Exists),
            Err(error) => Err(failed("create", &path, error)),
        }
    }

    /// When the object was written by the store's own clock, Unix milliseconds.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub(crate) async fn written_ms(&self, relative: &str) -> Result<i64, LakeError> {
        let path = self.path(relative);
        let found = self.root.head(&path).await.map_err(|error| failed("read", &path, error))?;
        Ok(found.last_modified.timestamp_millis())
    }

    /// The bytes of the object, if there is one.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub(crate) async fn size(&self, relative: &str) -> Result<Option<u64>, LakeError> {
        let path = self.path(relative);
        match self.root.head(&path).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("read", &path, error)),
        }
    }

    /// Removes the object; one that isn't there is fine.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn delete(&self, relative: &str) -> Result<(), LakeError> {
        let path = self.path(relative);
        match self.root.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("delete", &path, error)),
        }
    }

    /// Everything below `folder`, in no particular order.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn list(&self, folder: &str) -> Result<Vec<Object>, LakeError> {
        self.listing(folder).try_collect().await
    }

    /// As [`Store::list`], as a stream.
    pub(crate) fn listing(&self, folder: &str) -> BoxStream<'static, Result<Object, LakeError>> {
        let path = self.path(folder);
        let skip = self.base.parts_count();
        let listed = self.root.list(Some(&path)).map_ok(move |meta| Object {
            path: meta.location.parts().skip(skip).collect::<Path>().to_string(),
            size: meta.size,
            modified_ms: meta.last_modified.timestamp_millis(),
        });
        listed.map_err(move |error| failed("list", &path, error)).boxed()
    }

    /// Removes what killed processes left half written before `before_ms` (Unix milliseconds) in this folder of a local lake.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub(crate) async fn sweep_unfinished(&self, before_ms: i64) -> Result<u64, LakeError> {
        let Some(folder) = self.folder() else { return Ok(0) };
        let swept = tokio::task::spawn_blocking(move || unfinished::sweep(&folder, before_ms));
        let swept = swept.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        swept.map_err(|error| LakeError::Store {
            action: "sweep",
            path: self.base.to_string(),
            source: Box::new(error),
        })
    }

    /// The refusal of a lake, below this folder, whose `table` does not belong to the others.
    pub(crate) fn not_whole(&self, table: &str, reason: impl ToString) -> LakeError {
        let url = self.child(table).url().to_string();
        LakeError::NotWhole { table: table.to_owned(), url, reason: reason.to_string() }
    }

    /// Proves that put-if-absent has exactly one winner here.
    ///
    /// # Errors
    /// [`LakeError::UnsafeStore`], or [`LakeError::Store`] if the probe object can't be written at all.
    pub async fn selftest(&self) -> Result<(), LakeError> {
        selftest::run(self).await
    }
}

fn failed(action: &'static str, path: &Path, error: object_store::Error) -> LakeError {
    LakeError::Store { action, path: path.to_string(), source: Box::new(error) }
}
