//! A local folder as an object store whose writes survive a power failure.
//!
//! `object_store` 0.13's own local store never syncs. Here every object is written to a staging file, synced, published
//! under its name in one step (rename, or hard link for put-if-absent), and then its folder is synced; a folder that had
//! to be made is synced into its parent too. Reads, lists and deletes are the inner store's.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use service_runtime::files::Readers;

use super::disk::{Disk, Real};

/// Files that are removed at once.
const DELETES_AT_ONCE: usize = 8;
/// Folders that are remembered; beyond, all are met for the first time again.
const FOLDERS_MAX: usize = 10_000;
/// Bytes that are copied at once.
const COPY_CHUNK: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct FsyncLocal {
    inner: LocalFileSystem,
    disk: Arc<dyn Disk>,
    folders: Arc<Folders>,
}

impl Default for FsyncLocal {
    fn default() -> Self {
        Self::for_readers(Readers::Owner)
    }
}

impl FsyncLocal {
    /// Makes files and folders that these may read.
    pub(crate) fn for_readers(readers: Readers) -> Self {
        Self::on(Arc::new(Real(readers)))
    }

    /// Writes by way of `disk`; reads are the operating system's.
    pub(crate) fn on(disk: Arc<dyn Disk>) -> Self {
        Self { inner: LocalFileSystem::new(), disk, folders: Arc::default() }
    }
}

impl fmt::Display for FsyncLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("local disk with fsync")
    }
}

#[async_trait]
impl ObjectStore for FsyncLocal {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let mode = match options.mode {
            PutMode::Overwrite => CopyMode::Overwrite,
            PutMode::Create => CopyMode::Create,
            PutMode::Update(_) => return Err(not_supported("conditional update")),
        };
        let (disk, folders) = (self.disk.clone(), self.folders.clone());
        let target = self.inner.path_to_filesystem(location)?;
        blocking(move || {
            let staging = Staging::new(disk, &folders, &target)?;
            staging.write_at(&payload, 0)?;
            staging.publish(mode)
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let (disk, folders) = (self.disk.clone(), self.folders.clone());
        let target = self.inner.path_to_filesystem(location)?;
        let staging = blocking(move || Staging::new(disk, &folders, &target)).await?;
        Ok(Box::new(Upload { staging: Some(Arc::new(staging)), end: 0 }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let disk = self.disk.clone();
        let remove = move |location: Result<Path>| {
            let disk = disk.clone();
            async move {
                let location = location?;
                let path = LocalFileSystem::new().path_to_filesystem(&location)?;
                blocking(move || disk.remove(&path)).await?;
                Ok(location)
            }
        };
        locations.map(remove).buffered(DELETES_AT_ONCE).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (from, to) = (self.inner.path_to_filesystem(from)?, self.inner.path_to_filesystem(to)?);
        let (disk, folders) = (self.disk.clone(), self.folders.clone());
        blocking(move || {
            let staging = Staging::new(disk, &folders, &to)?;
            let (mut from, mut at, mut chunk) = (File::open(&from)?, 0, vec![0; COPY_CHUNK]);
            loop {
                let count = from.read(&mut chunk)?;
                let bytes = &chunk[..count];
                if bytes.is_empty() {
                    return staging.publish(options.mode);
                }
                staging.disk.write_at(&staging.path, &staging.file, bytes, at)?;
                at += bytes.len() as u64;
            }
        })
        .await?;
        Ok(())
    }
}

/// A file being written beside its target. Its name ends in `#` and digits, which the inner store neither lists nor opens;
/// it is removed on drop unless it was renamed away.
#[derive(Debug)]
struct Staging {
    disk: Arc<dyn Disk>,
    file: File,
    path: PathBuf,
    target: PathBuf,
}

static STAGED: AtomicU64 = AtomicU64::new(0);

impl Staging {
    fn new(disk: Arc<dyn Disk>, folders: &Folders, target: &FsPath) -> io::Result<Self> {
        folders.create(&*disk, folder_of(target))?;
        loop {
            // The process id keeps two processes apart, the counter two threads.
            let unique = u64::from(std::process::id()) << 32
                | (STAGED.fetch_add(1, Ordering::Relaxed) & 0xffff_ffff);
            let mut name = target.as_os_str().to_owned();
            name.push(format!("#{unique}"));
            let path = PathBuf::from(name);
            match disk.create(&path) {
                Ok(file) => return Ok(Self { disk, file, path, target: target.to_owned() }),
                // Left by a process that was killed and had the same id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Somebody has removed the folder since we met it.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && folders.forget(folder_of(target)) =>
                {
                    folders.create(&*disk, folder_of(target))?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn write_at(&self, payload: &PutPayload, mut at: u64) -> io::Result<()> {
        for chunk in payload {
            self.disk.write_at(&self.path, &self.file, chunk, at)?;
            at += chunk.len() as u64;
        }
        Ok(())
    }

    fn publish(&self, mode: CopyMode) -> io::Result<PutResult> {
        self.disk.sync_file(&self.path, &self.file)?;
        match mode {
            CopyMode::Overwrite => self.disk.rename(&self.path, &self.target)?,
            CopyMode::Create => self.disk.hard_link(&self.path, &self.target)?,
        }
        self.disk.sync_folder(folder_of(&self.target))?;
        Ok(PutResult { e_tag: None, version: None })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Gone already after a rename; anything else is swept as an orphan.
        drop(self.disk.remove(&self.path));
    }
}

/// Whether a file of that name is one that is, or was, being written.
pub(super) fn is_staging(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.rsplit_once('#').is_some_and(|(_, number)| digits(number))
}

fn folder_of(path: &FsPath) -> &FsPath {
    path.parent().expect("an object's path has a folder")
}

/// The folders whose names this process has seen to be durable. One that merely exists may have been made by a process that
/// was killed, or by a thread that is about to sync it.
#[derive(Debug, Default)]
struct Folders(Mutex<HashSet<PathBuf>>);

impl Folders {
    /// `create_dir_all` that syncs each folder's name into its parent, the first time that it is met.
    fn create(&self, disk: &dyn Disk, folder: &FsPath) -> io::Result<()> {
        let Some(parent) = folder.parent().filter(|_| !self.known().contains(folder)) else {
            return Ok(());
        };
        self.create(disk, parent)?;
        match disk.create_folder(folder) {
            Ok(()) => disk.sync_folder(parent)?,
            Err(_) if folder.is_dir() => match disk.sync_folder(parent) {
                // Not ours, and older than the lake: the lake's parents need not be readable.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                synced => synced?,
            },
            Err(error) => return Err(error),
        }
        let mut known = self.known();
        if known.len() >= FOLDERS_MAX {
            known.clear();
        }
        known.insert(folder.to_owned());
        Ok(())
    }

    /// Takes back what was known of the folder and those above; false if that was nothing.
    fn forget(&self, folder: &FsPath) -> bool {
        let mut known = self.known();
        let before = known.len();
        known.retain(|path| !folder.starts_with(path));
        known.len() < before
    }

    fn known(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Upload {
    staging: Option<Arc<Staging>>,
    end: u64,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> BoxFuture<'static, Result<()>> {
        let start = self.end;
        self.end += u64::try_from(data.content_length()).expect("a part's length fits 64 bits");
        let staging = self.staging.clone();
        Box::pin(blocking(move || {
            let staging = staging.ok_or_else(finished)?;
            staging.write_at(&data, start)
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let staging = self.staging.take();
        blocking(move || staging.ok_or_else(finished)?.publish(CopyMode::Overwrite)).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.staging = None;
        Ok(())
    }
}

fn finished() -> io::Error {
    io::Error::other("the upload was already completed or aborted")
}

fn not_supported(what: &'static str) -> Error {
    Error::NotSupported { source: format!("{what} on a local disk").into() }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await? {
        Ok(done) => Ok(done),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::AlreadyExists { path: String::new(), source: Box::new(error) })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::NotFound { path: String::new(), source: Box::new(error) })
        }
        Err(error) => Err(Error::Generic { store: "local disk", source: Box::new(error) }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use futures::TryStreamExt;

    use object_store::ObjectStoreExt;

    use super::*;

    fn at(folder: &tempfile::TempDir, name: &str) -> Path {
        Path::from_absolute_path(folder.path().join(name)).unwrap()
    }

    #[tokio::test]
    async fn put_if_absent_has_one_winner_and_keeps_the_first_bytes() {
        let (folder, store) = (tempfile::tempdir().unwrap(), FsyncLocal::default());
        let path = at(&folder, "a/b/0.json");
        let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.put_opts(&path, "first".into(), create()).await.unwrap();
        let again = store.put_opts(&path, "second".into(), create()).await.unwrap_err();
        assert!(matches!(again, Error::AlreadyExists { .. }), "{again}");
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "first");
        store.put(&path, "third".into()).await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "third");
    }

    #[tokio::test]
    async fn a_folder_that_somebody_removed_is_made_again() {
        let (folder, store) = (tempfile::tempdir().unwrap(), FsyncLocal::default());
        let path = at(&folder, "a/b/0.json");
        store.put(&path, "first".into()).await.unwrap();
        fs::remove_dir_all(folder.path().join("a")).unwrap();
        store.put(&path, "second".into()).await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "second");
    }

    #[tokio::test]
    async fn staging_files_are_neither_listed_nor_left_behind() {
        let (folder, store) = (tempfile::tempdir().unwrap(), FsyncLocal::default());
        let unfinished = store.put_multipart(&at(&folder, "big")).await.unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a staging file");
        let listed: Vec<_> = store.list(Some(&at(&folder, ""))).try_collect().await.unwrap();
        assert!(listed.is_empty(), "{listed:?}");
        drop(unfinished);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_upload_in_parts_appears_whole_and_only_when_completed() {
        let (folder, store) = (tempfile::tempdir().unwrap(), FsyncLocal::default());
        let path = at(&folder, "big");
        let mut upload = store.put_multipart(&path).await.unwrap();
        let (one, two) = (upload.put_part("one".into()), upload.put_part("two".into()));
        // Parts may be written in any order.
        two.await.unwrap();
        one.await.unwrap();
        assert!(matches!(store.head(&path).await, Err(Error::NotFound { .. })));
        upload.complete().await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "onetwo");
        upload.complete().await.unwrap_err();
    }
}
