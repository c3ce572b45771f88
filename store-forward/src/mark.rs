//! How far a spool was on stable storage, kept apart from its segments: what is missing behind it is noticed.
//!
//! `spool.mark` has two slots of 32 bytes that are written in turn, little-endian:
//!
//! ```text
//! epoch u64 | offset u64 | chain u64 | reserved u32 | crc32c u32 of what precedes
//! ```
//!
//! A slot is written after each sync of the segments, without a sync of its own: after a power cut it may lag behind, never be ahead.

use std::path::Path;

use telemetry_core::id::{Epoch, Offset};

use crate::disk::{DiskError, FixedFile};

const FILE: &str = "spool.mark";
const SLOT: usize = 32;

/// A position that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) epoch: Epoch,
    /// Everything below was on stable storage.
    pub(crate) offset: Offset,
    /// Chain value there.
    pub(crate) chain: u64,
}

/// The file, open for writing.
#[derive(Debug)]
pub(crate) struct MarkFile {
    file: FixedFile,
    slot: u64,
}

impl MarkFile {
    /// Opens or makes the file; returns how far the epoch had come, if it says so.
    pub(crate) fn open(spool: &Path, epoch: Epoch) -> Result<(Self, Option<Mark>), DiskError> {
        let (file, bytes) = FixedFile::open(spool.join(FILE))?;
        let slots = bytes.chunks(SLOT).map(decode);
        let found = (0_u64..).zip(slots).filter_map(|(slot, mark)| mark.map(|mark| (slot, mark)));
        let of_epoch = found.filter(|(_, mark)| mark.epoch == epoch);
        let last = of_epoch.max_by_key(|(_, mark)| mark.offset);
        // The newest one is written over last.
        let slot = last.map_or(0, |(slot, _)| 1 - slot.min(1));
        Ok((Self { file, slot }, last.map(|(_, mark)| mark)))
    }

    /// Notes how far it is.
    pub(crate) fn set(&mut self, mark: Mark) -> Result<(), DiskError> {
        self.file.write_at(self.slot * SLOT as u64, &encode(mark))?;
        self.slot = 1 - self.slot;
        Ok(())
    }

    /// Makes what was noted durable.
    pub(crate) fn sync(&self) -> Result<(), DiskError> {
        self.file.sync()
    }
}

fn encode(mark: Mark) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    let (fields, crc) = bytes.split_at_mut(SLOT - 4);
    let values = [mark.epoch.get(), mark.offset, mark.chain];
    for (field, value) in fields.chunks_exact_mut(8).zip(values) {
        field.copy_from_slice(&value.to_le_bytes());
    }
    crc.copy_from_slice(&crc32c::crc32c(fields).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Mark> {
    let (fields, crc) = bytes.split_at_checked(SLOT - 4)?;
    if crc != crc32c::crc32c(fields).to_le_bytes() {
        return None;
    }
    let mut values = fields.as_chunks::<8>().0.iter().map(|field| u64::from_le_bytes(*field));
    let (epoch, offset, chain) = (values.next()?, values.next()?, values.next()?);
    Some(Mark { epoch: Epoch::try_from(epoch).ok()?, offset, chain })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(epoch: u64, offset: Offset) -> Mark {
        Mark { epoch: Epoch::from_random(epoch), offset, chain: offset * 3 }
    }

    #[test]
    fn golden_bytes() {
        let hex: String = encode(mark(1, 2)).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "01000000000000000200000000000000060000000000000000000000875b7f9c");
    }

    #[test]
    fn the_furthest_mark_of_the_epoch_holds_and_a_torn_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let epoch = Epoch::from_random(1);
        let (mut file, found) = MarkFile::open(folder.path(), epoch).unwrap();
        assert_eq!(found, None);
        for offset in [5, 9, 12] {
            file.set(mark(1, offset)).unwrap();
            assert_eq!(MarkFile::open(folder.path(), epoch).unwrap().1, Some(mark(1, offset)));
        }
        let path = folder.path().join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[3] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let (mut file, found) = MarkFile::open(folder.path(), epoch).unwrap();
        assert_eq!(found, Some(mark(1, 9)), "the one before");
        file.set(mark(2, 1)).unwrap();
        assert_eq!(MarkFile::open(folder.path(), epoch).unwrap().1, Some(mark(1, 9)));
        assert_eq!(
            MarkFile::open(folder.path(), Epoch::from_random(2)).unwrap().1,
            Some(mark(2, 1))
        );
    }
}
