//! The writing side of the journal.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use service_runtime::files::Readers;

use super::format::{Entry, MAGIC, write_device, write_entry};
use crate::message::DeviceName;

/// A file is closed when it is longer than this, in bytes.
const FILE_MAX: u64 = 64 << 20;

/// It names devices, and whether a message of theirs was taken.
const READERS: Readers = Readers::Owner;

/// Why the journal cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder or a file in it cannot be used.
    #[error("cannot {action} journal {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl JournalError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// The open journal of one run. Shared by all connections; every call is one write.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    run: u64,
    devices: Vec<DeviceName>,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    part: u64,
    written: u64,
    announced: HashSet<u32>,
    buffer: Vec<u8>,
}

impl Journal {
    /// The run number that the next journal of `folder` would get: 1 for a new folder.
    ///
    /// # Errors
    /// When the folder exists and cannot be listed.
    pub fn next_run(folder: &Path) -> Result<u64, JournalError> {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(1),
            Err(error) => return Err(JournalError::io("list", folder)(error)),
        };
        let mut last = 0;
        for entry in entries {
            let entry = entry.map_err(JournalError::io("list", folder))?;
            if let Some((run, _)) = entry.file_name().to_str().and_then(place_of) {
                last = last.max(run);
            }
        }
        Ok(last + 1)
    }

    /// Tells when the newest file of `folder` was last written.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be looked at.
    pub fn last_written(folder: &Path) -> Result<Option<std::time::SystemTime>, JournalError> {
        let look = || {
            let mut last = None;
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_name().to_str().and_then(place_of).is_some() {
                    last = last.max(Some(entry.metadata()?.modified()?));
                }
            }
            Ok(last)
        };
        look().map_err(JournalError::io("look at", folder))
    }

    /// Opens the journal of a new run. `devices` are those that intents name by their index.
    ///
    /// # Errors
    /// When the folder cannot be made or written, or when another process takes the same run at this moment.
    pub fn create(folder: &Path, run: u64, devices: Vec<DeviceName>) -> Result<Self, JournalError> {
        READERS.make_folders(folder).map_err(JournalError::io("create", folder))?;
        READERS.warn_about("journal", folder);
        let open = Open::create(folder, run, 0)?;
        Ok(Self { folder: folder.to_owned(), run, devices, open: Mutex::new(open) })
    }

    /// Appends `entries`, all with one write.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing more should be sent.
    pub fn write(&self, entries: &[Entry]) -> Result<(), JournalError> {
        if entries.is_empty() {
            return Ok(());
        }
        // A panic while the lock was held leaves at worst a torn record, which readers expect.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.written > FILE_MAX {
            let part = open.part + 1;
            *open = Open::create(&self.folder, self.run, part)?;
        }
        open.append(entries, &self.devices)
    }

    /// Syncs the journal's file to the disk: for the end of a run.
    ///
    /// # Errors
    /// When the operating system says so.
    pub fn sync(&self) -> Result<(), JournalError> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.file.sync_data().map_err(JournalError::io("sync", &open.path))
    }
}

impl Open {
    fn create(folder: &Path, run: u64, part: u64) -> Result<Self, JournalError> {
        let path = folder.join(file_name(run, part));
        let mut file = READERS
            .options()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(JournalError::io("create", &path))?;
        file.write_all(&MAGIC).map_err(JournalError::io("write", &path))?;
        let written = MAGIC.len() as u64;
        Ok(Self { file, path, part, written, announced: HashSet::new(), buffer: Vec::new() })
    }

    fn append(&mut self, entries: &[Entry], devices: &[DeviceName]) -> Result<(), JournalError> {
        self.buffer.clear();
        for entry in entries {
            if let Entry::Send(intent) = entry
                && self.announced.insert(intent.device)
                && let Some(name) = devices.get(intent.device as usize)
            {
                write_device(&mut self.buffer, intent.device, name);
            }
            write_entry(&mut self.buffer, entry);
        }
        self.file.write_all(&self.buffer).map_err(JournalError::io("write", &self.path))?;
        self.written += self.buffer.len() as u64;
        Ok(())
    }
}

/// The run and the part in a file's name, if it is a journal.
pub(super) fn place_of(name: &str) -> Option<(u64, u64)> {
    let (run, part) = name.strip_prefix("run-")?.strip_suffix(".journal")?.split_once('-')?;
    Some((run.parse().ok()?, part.parse().ok()?))
}

pub(super) fn file_name(run: u64, part: u64) -> String {
    format!("run-{run:06}-{part:06}.journal")
}
