//! A segment file's header: whose records follow and with which offset and chain value they start.

use super::format::{Format, Key};
use crate::id::{Epoch, Offset, SourceId};
use crate::wire::Fields;

/// Bytes of the header that new segments get.
pub const HEADER_LEN: usize = 52;
/// The version this module writes; it reads every version from 1 to this one.
pub const VERSION: u8 = 2;
const MAGIC: &[u8; 7] = b"TMSPOOL";
const HEADER_LEN_V1: usize = 40;

/// What a segment file starts with. Layout in [`super`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The spool's epoch.
    pub epoch: Epoch,
    /// Offset of the first record.
    pub first: Offset,
    /// Chain value before the first record.
    pub chain: u64,
    /// How the records are written.
    pub format: Format,
    /// Tells sources apart: see [`tag`]; 0 in version 1, which does not say.
    pub source: u32,
}

/// Returns what a header says of its source: the crc32c of its name.
pub fn tag(source: &SourceId) -> u32 {
    crc32c::crc32c(source.as_str().as_bytes())
}

/// Why bytes are not a segment header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// Fewer bytes than a header has.
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
    /// Returns the bytes that the header takes.
    pub fn bytes(&self) -> usize {
        match self.format {
            Format::V1 => HEADER_LEN_V1,
            Format::V2(_) => HEADER_LEN,
        }
    }

    /// Encodes the header.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend_from_slice(MAGIC);
        bytes.push(self.format.version());
        bytes.extend_from_slice(&self.epoch.get().to_le_bytes());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.chain.to_le_bytes());
        if let Format::V2(key) = self.format {
            bytes.extend_from_slice(&key.bits().to_le_bytes());
            bytes.extend_from_slice(&self.source.to_le_bytes());
        }
        bytes.extend_from_slice(&0u32.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Decodes the header at the start of a file.
    ///
    /// # Errors
    /// When the bytes are cut off, of another kind or version, or corrupt.
    pub fn decode(bytes: &[u8]) -> Result<Self, SegmentError> {
        let mut fields = Fields(bytes);
        let magic = fields.bytes(MAGIC.len()).ok_or(SegmentError::Torn)?;
        let version = fields.u8().ok_or(SegmentError::Torn)?;
        let len = if version == 1 { HEADER_LEN_V1 } else { HEADER_LEN };
        let whole = bytes.get(..len).ok_or(SegmentError::Torn)?;
        if magic != MAGIC {
            return Err(SegmentError::Magic);
        }
        if version == 0 || version > VERSION {
            return Err(SegmentError::Version(version));
        }
        let mut read = || {
            let (epoch, first, chain) = (fields.u64()?, fields.u64()?, fields.u64()?);
            let (format, source) = match version {
                1 => (Format::V1, 0),
                _ => (Format::V2(Key::from_random(fields.u64()?)), fields.u32()?),
            };
            let (_, crc) = (fields.u32()?, fields.u32()?);
            Some((epoch, first, chain, format, source, crc))
        };
        let (epoch, first, chain, format, source, crc) = read().ok_or(SegmentError::Torn)?;
        if whole.get(..len - 4).map(crc32c::crc32c) != Some(crc) {
            return Err(SegmentError::Corrupt);
        }
        let epoch = Epoch::try_from(epoch).map_err(|_| SegmentError::Corrupt)?;
        Ok(Self { epoch, first, chain, format, source })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(header: &SegmentHeader) -> String {
        header.encode().iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn golden_bytes_of_version_1() {
        let (epoch, format) = (Epoch::from_random(1), Format::V1);
        let header = SegmentHeader { epoch, first: 2, chain: 3, format, source: 0 };
        assert_eq!(
            hex(&header),
            "544d53504f4f4c010100000000000000020000000000000003000000000000000000000089ed36eb"
        );
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn golden_bytes_of_version_2() {
        let (epoch, format) = (Epoch::from_random(1), Format::V2(Key::from_random(4)));
        let source = tag(&"gateway".parse().unwrap());
        let header = SegmentHeader { epoch, first: 2, chain: 3, format, source };
        assert_eq!(
            hex(&header),
            "544d53504f4f4c0201000000000000000200000000000000030000000000000004000000000000007ff8eaa4\
             000000001777cefb"
        );
    }

    proptest! {
        #[test]
        fn a_header_round_trips_and_any_cut_or_flip_is_noticed(epoch: u64, first: u64, chain: u64, key: u64, source: u32, at in 0usize..HEADER_LEN, bit in 0u8..8) {
            let format = Format::V2(Key::from_random(key));
            let header = SegmentHeader { epoch: Epoch::from_random(epoch), first, chain, format, source };
            let mut bytes = header.encode();
            prop_assert_eq!(bytes.len(), header.bytes());
            prop_assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
            prop_assert_eq!(SegmentHeader::decode(&bytes[..at]), Err(SegmentError::Torn));
            bytes[at] ^= 1 << bit;
            prop_assert!(SegmentHeader::decode(&bytes).is_err());
        }
    }
}
