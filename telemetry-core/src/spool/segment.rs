//! A segment file's header: whose records follow and with which offset and chain value they start.

use crate::id::{Epoch, Offset};
use crate::wire::Fields;

/// Bytes of a segment header.
pub const HEADER_LEN: usize = 40;
/// The version this module writes.
pub const VERSION: u8 = 1;
const MAGIC: &[u8; 7] = b"TMSPOOL";

/// What a segment file starts with. Layout in [`super`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The spool's epoch.
    pub epoch: Epoch,
    /// Offset of the first record.
    pub first: Offset,
    /// Chain value before the first record.
    pub chain: u64,
}

/// Why bytes are not a segment header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// Fewer than [`HEADER_LEN`] bytes.
    #[error("segment header is cut off")]
    Torn,
    /// Another kind of file.
    #[error("not a spool segment")]
    Magic,
    /// Written by a newer version.
    #[error("segment has version {0}, this program reads up to {VERSION}: update it")]
    Version(u8),
    /// The checksum does not match.
    #[error("segment header is corrupt")]
    Corrupt,
}

impl SegmentHeader {
    /// Encodes the header.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend_from_slice(MAGIC);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.epoch.get().to_le_bytes());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.chain.to_le_bytes());
        bytes.extend_from_slice(&0u32.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes.try_into().expect("the fields add up to HEADER_LEN")
    }

    /// Decodes the header at the start of a file.
    ///
    /// # Errors
    /// When the bytes are cut off, of another kind or version, or corrupt.
    pub fn decode(bytes: &[u8]) -> Result<Self, SegmentError> {
        let (body, _) = bytes.split_at_checked(HEADER_LEN - 4).ok_or(SegmentError::Torn)?;
        let mut fields = Fields(bytes);
        let mut read = || {
            let magic = fields.bytes(MAGIC.len())?;
            Some((
                magic,
                fields.u8()?,
                fields.u64()?,
                fields.u64()?,
                fields.u64()?,
                fields.u32()?,
                fields.u32()?,
            ))
        };
        let (magic, version, epoch, first, chain, _, crc) = read().ok_or(SegmentError::Torn)?;
        if magic != MAGIC {
            return Err(SegmentError::Magic);
        }
        if version == 0 || version > VERSION {
            return Err(SegmentError::Version(version));
        }
        if crc32c::crc32c(body) != crc {
            return Err(SegmentError::Corrupt);
        }
        let epoch = Epoch::try_from(epoch).map_err(|_| SegmentError::Corrupt)?;
        Ok(Self { epoch, first, chain })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden_bytes_of_version_1() {
        let header = SegmentHeader { epoch: Epoch::from_random(1), first: 2, chain: 3 };
        let hex: String = header.encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "544d53504f4f4c010100000000000000020000000000000003000000000000000000000089ed36eb"
        );
    }

    proptest! {
        #[test]
        fn a_header_round_trips_and_any_cut_or_flip_is_noticed(epoch: u64, first: u64, chain: u64, at in 0usize..HEADER_LEN, bit in 0u8..8) {
            let header = SegmentHeader { epoch: Epoch::from_random(epoch), first, chain };
            let mut bytes = header.encode();
            prop_assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
            prop_assert_eq!(SegmentHeader::decode(&bytes[..at]), Err(SegmentError::Torn));
            bytes[at] ^= 1 << bit;
            prop_assert!(SegmentHeader::decode(&bytes).is_err());
        }
    }
}
