//! Records of fixed size in temporary files, partitioned by a hash.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Bytes buffered for each partition.
const BUFFER: usize = 8 << 10;

/// A spill: opened for appending, closed, then read partition by partition.
#[derive(Debug)]
pub(super) struct Spill<const N: usize> {
    folder: PathBuf,
    name: &'static str,
    partitions: usize,
    writers: Vec<BufWriter<File>>,
}

impl<const N: usize> Spill<N> {
    pub(super) fn new(folder: &Path, name: &'static str, partitions: usize) -> Self {
        Self { folder: folder.to_owned(), name, partitions, writers: Vec::new() }
    }

    fn path(&self, partition: usize) -> PathBuf {
        self.folder.join(format!("{}-{partition}", self.name))
    }

    /// Opens every partition for appending.
    pub(super) fn open(&mut self) -> io::Result<()> {
        let open = |partition| {
            let file = OpenOptions::new().append(true).create(true).open(self.path(partition))?;
            Ok(BufWriter::with_capacity(BUFFER, file))
        };
        self.writers = (0..self.partitions).map(open).collect::<io::Result<_>>()?;
        Ok(())
    }

    /// Appends a record; `hash` chooses the partition.
    pub(super) fn push(&mut self, hash: u64, record: &[u8; N]) -> io::Result<()> {
        let partition = usize::try_from(hash % self.partitions as u64).unwrap_or(0);
        match self.writers.get_mut(partition) {
            Some(writer) => writer.write_all(record),
            None => Err(io::Error::other("the spill is not open")),
        }
    }

    /// Writes everything out and closes the files.
    pub(super) fn close(&mut self) -> io::Result<()> {
        for writer in self.writers.drain(..) {
            writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        }
        Ok(())
    }

    /// All records of a partition.
    pub(super) fn read(&self, partition: usize) -> io::Result<Vec<[u8; N]>> {
        let bytes = match std::fs::read(self.path(partition)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let (records, rest) = bytes.as_chunks::<N>();
        if rest.is_empty() {
            Ok(records.to_vec())
        } else {
            Err(io::Error::other("a spilled record is torn"))
        }
    }
}

/// Cuts fixed-size fields off a record.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn of(record: &'a [u8]) -> Self {
        Self(record)
    }

    /// The next `M` bytes.
    pub(super) fn take<const M: usize>(&mut self) -> [u8; M] {
        let (field, rest) = self.0.split_first_chunk::<M>().expect("records have a fixed layout");
        self.0 = rest;
        *field
    }
}

/// Fills a record of fixed size with fields.
pub(super) struct Filler<const N: usize> {
    bytes: [u8; N],
    filled: usize,
}

impl<const N: usize> Filler<N> {
    pub(super) fn new() -> Self {
        Self { bytes: [0; N], filled: 0 }
    }

    pub(super) fn put(mut self, field: &[u8]) -> Self {
        let end = self.filled + field.len();
        self.bytes[self.filled..end].copy_from_slice(field);
        self.filled = end;
        self
    }

    pub(super) fn done(self) -> [u8; N] {
        debug_assert_eq!(self.filled, N);
        self.bytes
    }
}
