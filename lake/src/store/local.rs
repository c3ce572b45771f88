//! A local folder as an object store whose writes survive a power failure.
//!
//! `object_store` 0.13's own local store never syncs. Here every object is written to a staging file, synced, published
//! under its name in one step (rename, or hard link for put-if-absent), and then its folder is synced; a folder that had
//! to be made is synced into its parent too. Reads, lists and deletes are the inner store's.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct FsyncLocal {
    inner: LocalFileSystem,
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
        let target = self.inner.path_to_filesystem(location)?;
        blocking(move || {
            let staging = Staging::new(&target)?;
            let mut file = &staging.file;
            payload.iter().try_for_each(|chunk| file.write_all(chunk))?;
            staging.publish(mode)
        })
        .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let target = self.inner.path_to_filesystem(location)?;
        let staging = blocking(move || Staging::new(&target)).await?;
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
        self.inner.delete_stream(locations)
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
        blocking(move || {
            let staging = Staging::new(&to)?;
            io::copy(&mut File::open(&from)?, &mut &staging.file)?;
            staging.publish(options.mode)
        })
        .await?;
        Ok(())
    }
}

/// A file being written beside its target. Its name ends in `#` and digits, which the inner store neither lists nor opens;
/// it is removed on drop unless it was renamed away.
#[derive(Debug)]
struct Staging {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

static STAGED: AtomicU64 = AtomicU64::new(0);

impl Staging {
    fn new(target: &FsPath) -> io::Result<Self> {
        let folder = folder_of(target);
        create_folders(folder)?;
        loop {
            // The process id keeps two processes apart, the counter two threads.
            let unique = u64::from(std::process::id()) << 32
                | (STAGED.fetch_add(1, Ordering::Relaxed) & 0xffff_ffff);
            let mut name = target.as_os_str().to_owned();
            name.push(format!("#{unique}"));
            let path = PathBuf::from(name);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { file, path, target: target.to_owned() }),
                // Left by a process that was killed and had the same id.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn publish(&self, mode: CopyMode) -> io::Result<PutResult> {
        self.file.sync_all()?;
        match mode {
            CopyMode::Overwrite => fs::rename(&self.path, &self.target)?,
            CopyMode::Create => fs::hard_link(&self.path, &self.target)?,
        }
        File::open(folder_of(&self.target))?.sync_all()?;
        Ok(PutResult { e_tag: None, version: None })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Gone already after a rename; anything else is swept as an orphan.
        drop(fs::remove_file(&self.path));
    }
}

fn folder_of(path: &FsPath) -> &FsPath {
    path.parent().expect("an object's path has a folder")
}

/// `create_dir_all` that also syncs each new folder's name into its parent.
fn create_folders(folder: &FsPath) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folders(parent)?;
        match fs::create_dir(folder) {
            Ok(()) => File::open(parent)?.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
            let mut at = start;
            for chunk in &data {
                staging.file.write_all_at(chunk, at)?;
                at += u64::try_from(chunk.len()).expect("a chunk's length fits 64 bits");
            }
            Ok(())
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
