//! The file operations that a durable write is made of, behind a trait so that a test can cut the power after any of them.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use service_runtime::files::Readers;

/// A disk. What is not synced may be lost: contents without [`Disk::sync_file`], names without [`Disk::sync_folder`].
pub(crate) trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Makes a file that must not exist.
    fn create(&self, path: &Path) -> io::Result<File>;
    /// Writes all bytes at that position.
    fn write_at(&self, path: &Path, file: &File, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Makes the contents durable.
    fn sync_file(&self, path: &Path, file: &File) -> io::Result<()>;
    /// Gives the file another name, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives the file a second name, which must be free.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Makes a folder in one that exists.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// Takes a file's name away.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The operating system's. What it makes is for these readers.
#[derive(Debug, Default)]
pub(crate) struct Real(pub(crate) Readers);

impl Disk for Real {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.0.options().write(true).create_new(true).open(path)
    }

    fn write_at(&self, _path: &Path, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    fn sync_file(&self, _path: &Path, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.0.make_folder(folder)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}
