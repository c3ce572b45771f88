//! Files and folders of a spool: open, append, sync, delete. Every error names its path.
//!
//! Every change goes past [`about_to`], where tests record it, or make it fail.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crash_point::Point;
use service_runtime::files::Readers;
use telemetry_core::id::{Epoch, Offset};
use tracing::debug;

/// A disk operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The operating system said no.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process has the spool.
    #[error("{} is in use by another process: every spool needs a folder of its own", path.display())]
    Locked {
        /// The spool's folder.
        path: PathBuf,
    },
}

impl DiskError {
    /// Tells whether the disk is full, which time or an operator can mend.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Locked { .. } => false,
        }
    }
}

pub(crate) fn at<T>(
    action: &'static str,
    path: &Path,
    result: io::Result<T>,
) -> Result<T, DiskError> {
    result.map_err(|source| DiskError::Io { action, path: path.to_owned(), source })
}

/// One change of the disk.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(test), expect(dead_code, reason = "only tests look at it"))]
pub(crate) enum Change<'a> {
    CreateFolder(&'a Path),
    /// Makes a file, or empties it.
    CreateFile(&'a Path),
    Write(&'a Path, u64, &'a [u8]),
    Cut(&'a Path, u64),
    SyncFile(&'a Path),
    SyncFolder(&'a Path),
    Rename(&'a Path, &'a Path),
    Delete(&'a Path),
    DeleteFolder(&'a Path),
    /// Of no consequence for what is on the disk.
    Uncache(&'a Path),
}

#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "a test's disk may refuse")]
fn about_to(_change: Change<'_>) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
fn about_to(change: Change<'_>) -> io::Result<()> {
    crate::tests::test_disk::about_to(change)
}

/// A spool holds what devices say about patients: it is its owner's alone.
const READERS: Readers = Readers::Owner;

/// The room that is kept for the state file on a disk that others fill.
const RESERVE_BYTES: usize = 64 << 10;

/// Makes a folder with those above it, all so that they survive a power cut.
pub(crate) fn make_folder(path: &Path) -> Result<(), DiskError> {
    let parent = match path.parent() {
        None => return Ok(()),
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    };
    if !parent.is_dir() {
        make_folder(parent)?;
    }
    match about_to(Change::CreateFolder(path)).and_then(|()| READERS.make_folder(path)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return at("create folder", path, Err(error));
        }
        _ => {}
    }
    // Also when it was there: whoever made it may have been killed before this.
    sync_folder(parent)
}

/// Warns when others may read a spool that was there already.
pub(crate) fn warn_about(spool: &Path) {
    READERS.warn_about("spool", spool);
}

/// Makes the entries of a folder (new, renamed, deleted files) durable.
pub(crate) fn sync_folder(path: &Path) -> Result<(), DiskError> {
    let synced = about_to(Change::SyncFolder(path))
        .and_then(|()| File::open(path).and_then(|folder| folder.sync_all()));
    at("sync folder", path, synced)
}

/// Takes some room, to be given up when the state must be saved and the disk is full: only then can segments be freed.
pub(crate) fn take_reserve(folder: &Path) -> Result<(), DiskError> {
    let path = folder.join("spool.reserve");
    if path.metadata().is_ok_and(|found| found.len() >= RESERVE_BYTES as u64) {
        return Ok(());
    }
    at("write", &path, write_synced(&path, &[0x5a; RESERVE_BYTES]))
}

/// Gives that room up; tells whether there was any.
pub(crate) fn give_up_reserve(folder: &Path) -> bool {
    let path = folder.join("spool.reserve");
    about_to(Change::Delete(&path)).and_then(|()| std::fs::remove_file(&path)).is_ok()
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    about_to(Change::CreateFile(path))?;
    let mut file = READERS.options().create(true).truncate(true).write(true).open(path)?;
    about_to(Change::Write(path, 0, bytes))?;
    file.write_all(bytes)?;
    about_to(Change::SyncFile(path))?;
    file.sync_all()
}

/// Holds a folder for this process until dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

pub(crate) fn lock(folder: &Path) -> Result<FolderLock, DiskError> {
    let path = folder.join("spool.lock");
    let opened = READERS.options().create(true).truncate(false).write(true).open(&path);
    let file = at("open", &path, opened)?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(DiskError::Locked { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => at("lock", &path, Err(source)),
    }
}

/// Tells whether a process holds a folder; makes no file.
pub(crate) fn is_locked(folder: &Path) -> Result<bool, DiskError> {
    let path = folder.join("spool.lock");
    let file = match OpenOptions::new().write(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => at("open", &path, opened)?,
    };
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => at("lock", &path, Err(source)),
    }
}

/// Replaces a small file so that after a crash either the old or the new content is there.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let draft = path.with_extension("new");
    at("write", &draft, write_synced(&draft, bytes))?;
    let renamed =
        about_to(Change::Rename(&draft, path)).and_then(|()| std::fs::rename(&draft, path));
    at("rename", path, renamed)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Reads a small file; `None` when there is none.
pub(crate) fn read_small(path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => at("read", path, Err(error)),
    }
}

/// Returns a segment's path.
pub(crate) fn segment_path(folder: &Path, first: Offset) -> PathBuf {
    folder.join(format!("{first:020}.seg"))
}

/// Lists segment files by their first offset, ascending, with their sizes.
pub(crate) fn list_segments(folder: &Path) -> Result<Vec<(Offset, u64)>, DiskError> {
    let mut found = Vec::new();
    for entry in at("list", folder, std::fs::read_dir(folder))? {
        let entry = at("list", folder, entry)?;
        let name = entry.file_name();
        let first = name
            .to_str()
            .and_then(|name| name.strip_suffix(".seg"))
            .and_then(|first| first.parse().ok());
        if let Some(first) = first {
            found.push((first, at("look at", &entry.path(), entry.metadata())?.len()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Deletes a segment; one that is gone already is fine.
pub(crate) fn delete_segment(folder: &Path, first: Offset) -> Result<(), DiskError> {
    let path = segment_path(folder, first);
    match about_to(Change::Delete(&path)).and_then(|()| std::fs::remove_file(&path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => at("delete", &path, Err(error)),
        _ => Ok(()),
    }
}

/// Tells the system that a segment is not about to be read: the memory that its pages take is for others, first of all for the next segments.
/// Only what is on stable storage goes. This is advice: where it is not taken, all is as it was.
pub(crate) fn uncache_segment(folder: &Path, first: Offset) {
    let path = segment_path(folder, first);
    // One that has landed is gone, and its pages with it.
    let opened = about_to(Change::Uncache(&path)).and_then(|()| File::open(&path));
    #[cfg(target_os = "linux")]
    let opened = opened.and_then(|file| {
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).map_err(io::Error::from)
    });
    match opened {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            debug!(path = %path.display(), %error, "cannot give back the memory of a segment");
        }
        _ => {}
    }
}

/// What a folder in a spool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Segments {
    /// An epoch's segments.
    Epoch(Epoch),
    /// A copy that was being made for this epoch.
    Copy(Epoch),
}

/// Ends the name of a folder that is not whole yet.
const COPY: &str = ".copy";

impl Segments {
    fn of_name(name: &str) -> Option<Self> {
        match name.strip_suffix(COPY) {
            Some(epoch) => epoch.parse().ok().map(Self::Copy),
            None => name.parse().ok().map(Self::Epoch),
        }
    }

    /// Returns its path.
    pub(crate) fn path(self, spool: &Path) -> PathBuf {
        match self {
            Self::Epoch(epoch) => spool.join(epoch.to_string()),
            Self::Copy(epoch) => spool.join(format!("{epoch}{COPY}")),
        }
    }
}

/// Lists the folders of segments in a spool, in the order of their names.
pub(crate) fn list_epochs(spool: &Path) -> Result<Vec<Segments>, DiskError> {
    let mut found = Vec::new();
    for entry in at("list", spool, std::fs::read_dir(spool))? {
        let name = at("list", spool, entry)?.file_name();
        found.extend(name.to_str().and_then(Segments::of_name).map(|of| (name, of)));
    }
    found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found.into_iter().map(|(_, of)| of).collect())
}

/// Deletes a folder with all that is in it; one that is gone already is fine.
pub(crate) fn delete_folder(path: &Path) -> Result<(), DiskError> {
    let deleted = about_to(Change::DeleteFolder(path)).and_then(|()| std::fs::remove_dir_all(path));
    match deleted {
        Err(error) if error.kind() != io::ErrorKind::NotFound => at("delete", path, Err(error)),
        _ => Ok(()),
    }
}

/// Gives a folder its final name, durably.
pub(crate) fn rename_folder(from: &Path, to: &Path) -> Result<(), DiskError> {
    let renamed = about_to(Change::Rename(from, to)).and_then(|()| std::fs::rename(from, to));
    at("rename", from, renamed)?;
    to.parent().map_or(Ok(()), sync_folder)
}

/// A segment file open for appending.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    path: PathBuf,
    file: File,
    len: u64,
}

impl SegmentWriter {
    /// Makes a segment file with its header; the header is durable when this returns.
    pub(crate) fn create(folder: &Path, first: Offset, header: &[u8]) -> Result<Self, DiskError> {
        let path = segment_path(folder, first);
        let file = about_to(Change::CreateFile(&path))
            .and_then(|()| READERS.options().create(true).truncate(true).write(true).open(&path));
        let file = at("create", &path, file)?;
        let mut writer = Self { path, file, len: 0 };
        writer.append(header)?;
        writer.sync()?;
        sync_folder(folder)?;
        Ok(writer)
    }

    /// The folder has got another name.
    pub(crate) fn moved_to(&mut self, folder: &Path) {
        if let Some(name) = self.path.file_name() {
            self.path = folder.join(name);
        }
    }

    /// Returns the file's length.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Opens a segment file, cutting everything from `len` on.
    pub(crate) fn open(folder: &Path, first: Offset, len: u64) -> Result<Self, DiskError> {
        let path = segment_path(folder, first);
        let file = at("open", &path, OpenOptions::new().write(true).open(&path))?;
        let mut writer = Self { path, file, len };
        writer.cut_to(len)?;
        Ok(writer)
    }

    fn cut_to(&mut self, len: u64) -> Result<(), DiskError> {
        let cut = about_to(Change::Cut(&self.path, len)).and_then(|()| self.file.set_len(len));
        at("cut", &self.path, cut)?;
        at("seek in", &self.path, self.file.seek(SeekFrom::Start(len)))?;
        self.len = len;
        let synced = about_to(Change::SyncFile(&self.path)).and_then(|()| self.file.sync_all());
        at("sync", &self.path, synced)
    }

    /// Appends bytes. After an error the file ends where it did before, so that the same bytes can be tried again.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let written = about_to(Change::Write(&self.path, self.len, bytes))
            .and_then(|()| self.file.write_all(bytes));
        match written {
            Ok(()) => {
                self.len += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.cut_to(self.len)?;
                at("write to", &self.path, Err(error))
            }
        }
    }

    /// Appends bytes and makes them durable, or leaves the file as it was. A sync that failed is never tried again by
    /// itself: the system may have dropped the pages and would report success the next time. They are written anew.
    pub(crate) fn append_synced(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let before = self.len;
        self.append(bytes)?;
        crash_point::reach(Point::SpoolWritten);
        let synced = self.sync();
        if synced.is_err() {
            self.cut_to(before)?;
        }
        synced
    }

    /// Makes everything appended durable.
    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        let synced = about_to(Change::SyncFile(&self.path)).and_then(|()| self.file.sync_data());
        at("sync", &self.path, synced)
    }
}

/// A small file whose content is written in place.
#[derive(Debug)]
pub(crate) struct FixedFile {
    path: PathBuf,
    file: File,
}

impl FixedFile {
    /// Opens the file, or makes it, empty; returns what is in it.
    pub(crate) fn open(path: PathBuf) -> Result<(Self, Vec<u8>), DiskError> {
        let found = read_small(&path)?;
        if found.is_none() {
            at("create", &path, about_to(Change::CreateFile(&path)))?;
        }
        let opened = READERS.options().create(true).truncate(false).write(true).open(&path);
        let file = at("open", &path, opened)?;
        Ok((Self { path, file }, found.unwrap_or_default()))
    }

    /// Writes bytes at a position.
    pub(crate) fn write_at(&self, position: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let written = about_to(Change::Write(&self.path, position, bytes))
            .and_then(|()| self.file.write_all_at(bytes, position));
        at("write to", &self.path, written)
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        let synced = about_to(Change::SyncFile(&self.path)).and_then(|()| self.file.sync_data());
        at("sync", &self.path, synced)
    }
}

/// A segment file open for reading.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    path: PathBuf,
    file: File,
}

impl SegmentReader {
    /// Opens a segment; `None` when the file is gone.
    pub(crate) fn open(folder: &Path, first: Offset) -> Result<Option<Self>, DiskError> {
        let path = segment_path(folder, first);
        match File::open(&path) {
            Ok(file) => Ok(Some(Self { path, file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => at("open", &path, Err(error)),
        }
    }

    /// Reads up to `max` bytes from `position` into `buffer`, replacing what was in it.
    pub(crate) fn read_at(
        &mut self,
        position: u64,
        max: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), DiskError> {
        buffer.clear();
        let read = self.file.seek(SeekFrom::Start(position)).and_then(|_| {
            let limit = u64::try_from(max).unwrap_or(u64::MAX);
            (&mut self.file).take(limit).read_to_end(buffer)
        });
        at("read", &self.path, read).map(|_| ())
    }
}
