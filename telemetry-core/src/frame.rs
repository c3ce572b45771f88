//! A frame: a run of one source's records on the wire.
//!
//! Little-endian:
//!
//! ```text
//! magic "TMFR" | version u8 | codec u8 | source_len u8 | source_id | epoch u64 | oldest u64 | first_offset u64
//! | count u64 | appended u64 | key u64 | raw_len u32 | crc32c u32 | stored bytes
//! ```
//!
//! `key` is the secret that the records are written with ([`crate::spool::format`]); version 1 has none, nor have its records.
//!
//! `crc32c` covers everything before it and the stored bytes. The stored bytes, decompressed by `codec` (0 none, 1 zstd,
//! 2 lz4 block), are `raw_len` bytes of spool records (see [`crate::spool::record`]) that cover
//! `first_offset .. first_offset + count`. `oldest` is the first undropped offset at or after what is landed, `appended` the
//! source's end when the frame was made, so that a lake alone can say how far a source lags "as of the last frame".
//! A frame with `count` 0 is a probe: it asks for a receipt. Its raw bytes are the time of it, by the source's clock: microseconds
//! since the Unix epoch, i64. (Older sources' probes have none; older readers do not look.)
//!
//! Raw and stored bytes are at most [`FRAME_MAX`] each.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::id::{Epoch, Offset, SourceId};
use crate::spool::format::{Format, Key, Parsed};
use crate::spool::record::{Item, MESSAGE_MAX};
use crate::wire::Fields;

/// Most raw bytes, and most stored bytes, in a frame: one record of any size fits.
pub const FRAME_MAX: usize = MESSAGE_MAX;
/// Raw bytes at which a source ends a frame of several records.
pub const FRAME_BYTES: usize = 2 << 20;
/// Most bytes that a frame has around its stored bytes.
pub const FRAME_OVERHEAD: usize = 128;
/// The version this module writes; it reads every version from 1 to this one.
pub const VERSION: u8 = 2;
const MAGIC: &[u8; 4] = b"TMFR";

/// How the records in a frame are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Not at all.
    None,
    /// zstd level 1: smallest.
    Zstd,
    /// lz4 block: fastest.
    #[default]
    Lz4,
}

/// What a frame says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whose messages.
    pub source_id: SourceId,
    /// In which life of its spool.
    pub epoch: Epoch,
    /// First undropped offset at or after the source's `landed`.
    pub oldest: Offset,
    /// First offset covered.
    pub first_offset: Offset,
    /// Number of offsets covered; 0 for a probe.
    pub count: u64,
    /// The source's end when the frame was made.
    pub appended: Offset,
    /// How the records are written. A probe has none: in version 1 it is understood by every reader.
    pub format: Format,
}

impl FrameHeader {
    /// Returns the offset after the last one covered.
    pub fn end(&self) -> Offset {
        self.first_offset + self.count
    }
}

/// A frame, checked and decompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it says about itself.
    pub header: FrameHeader,
    /// The raw records.
    pub records: Bytes,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Cut off, or with bytes after its end.
    #[error("frame is cut off")]
    Torn,
    /// Something else.
    #[error("not a frame")]
    Magic,
    /// Written by a newer version.
    #[error("frame has version {0}, this program reads up to {VERSION}: update it")]
    Version(u8),
    /// The checksum does not match.
    #[error("frame is corrupt")]
    Corrupt,
    /// A field that no source may write.
    #[error("frame has an impossible {0}")]
    Field(&'static str),
}

/// Encodes a frame. Bytes that do not shrink are stored as they are.
pub fn encode(header: &FrameHeader, records: &[u8], codec: Codec) -> Vec<u8> {
    debug_assert!(records.len() <= FRAME_MAX, "the sender cuts at FRAME_MAX");
    let packed = match codec {
        Codec::None => None,
        Codec::Lz4 => Some((2, lz4_flex::block::compress(records))),
        // A compressor that fails costs bytes on the wire, never the message.
        Codec::Zstd => zstd::bulk::compress(records, 1).ok().map(|bytes| (1, bytes)),
    };
    let (code, stored) = match &packed {
        Some((code, bytes)) if bytes.len() < records.len() => (*code, bytes.as_slice()),
        _ => (0, records),
    };
    let source = header.source_id.as_str();
    let mut out = Vec::with_capacity(stored.len() + FRAME_OVERHEAD);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[
        header.format.version(),
        code,
        u8::try_from(source.len()).expect("names have at most 64 bytes"),
    ]);
    out.extend_from_slice(source.as_bytes());
    for field in
        [header.epoch.get(), header.oldest, header.first_offset, header.count, header.appended]
    {
        out.extend_from_slice(&field.to_le_bytes());
    }
    if let Format::V2(key) = header.format {
        out.extend_from_slice(&key.bits().to_le_bytes());
    }
    out.extend_from_slice(&u32::try_from(records.len()).expect("at most FRAME_MAX").to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&out), stored);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(stored);
    out
}

impl Frame {
    /// Checks and decompresses a frame.
    ///
    /// # Errors
    /// When the bytes are not a frame, corrupt, of a newer version, or claim impossible sizes.
    pub fn decode(bytes: &Bytes) -> Result<Self, FrameError> {
        let mut fields = Fields(bytes);
        if fields.bytes(MAGIC.len()) != Some(MAGIC) {
            return Err(FrameError::Magic);
        }
        let version = fields.u8().ok_or(FrameError::Torn)?;
        if version == 0 || version > VERSION {
            return Err(FrameError::Version(version));
        }
        let mut read = || {
            let (codec, source_len) = (fields.u8()?, fields.u8()?);
            let source = fields.bytes(source_len.into())?;
            let numbers =
                [fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?, fields.u64()?];
            let format = match version {
                1 => Format::V1,
                _ => Format::V2(Key::from_random(fields.u64()?)),
            };
            Some((codec, source, numbers, format, fields.u32()?, fields.u32()?, fields.0))
        };
        let (codec, source, numbers, format, raw_len, crc, stored) =
            read().ok_or(FrameError::Torn)?;
        let [epoch, oldest, first_offset, count, appended] = numbers;
        let head = bytes.len() - stored.len();
        let covered = bytes.get(..head - 4).ok_or(FrameError::Torn)?;
        if crc32c::crc32c_append(crc32c::crc32c(covered), stored) != crc {
            return Err(FrameError::Corrupt);
        }
        let source_id = std::str::from_utf8(source).ok().and_then(|text| text.parse().ok());
        let source_id = source_id.ok_or(FrameError::Field("source id"))?;
        let epoch = Epoch::try_from(epoch).map_err(|_| FrameError::Field("epoch"))?;
        let end = first_offset.checked_add(count).filter(|end| end >> 63 == 0);
        if end.is_none_or(|end| end > appended || appended >> 63 != 0 || oldest > appended) {
            return Err(FrameError::Field("offset"));
        }
        let records = unpack(codec, bytes.slice(head..), raw_len as usize)?;
        let header =
            FrameHeader { source_id, epoch, oldest, first_offset, count, appended, format };
        Ok(Self { header, records })
    }

    /// Returns when a probe was made, by its source's clock: microseconds since the Unix epoch. `None`: it is no probe, or an older
    /// source's.
    pub fn probe_time(&self) -> Option<i64> {
        let bytes = self.records.as_ref().try_into().ok().filter(|_| self.header.count == 0);
        bytes.map(i64::from_le_bytes)
    }

    /// Returns the items of the frame in offset order. They always cover exactly `first_offset .. end`.
    pub fn items(&self) -> Items<'_> {
        let FrameHeader { format, first_offset, .. } = self.header;
        Items { rest: &self.records, format, next: first_offset, end: self.header.end() }
    }
}

fn unpack(codec: u8, stored: Bytes, raw_len: usize) -> Result<Bytes, FrameError> {
    if raw_len > FRAME_MAX || stored.len() > FRAME_MAX {
        return Err(FrameError::Field("length"));
    }
    let records = match codec {
        0 => stored,
        1 => zstd::bulk::decompress(&stored, raw_len)
            .map_err(|_| FrameError::Field("zstd stream"))?
            .into(),
        2 => lz4_flex::block::decompress(&stored, raw_len)
            .map_err(|_| FrameError::Field("lz4 block"))?
            .into(),
        _ => return Err(FrameError::Field("codec")),
    };
    if records.len() == raw_len { Ok(records) } else { Err(FrameError::Field("length")) }
}

/// Iterates over a frame's items with the chain value after each.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    rest: &'a [u8],
    format: Format,
    next: Offset,
    end: Offset,
}

impl<'a> Iterator for Items<'a> {
    /// An item and the chain value after it, 0 when it cannot be known.
    type Item = (Item<'a>, u64);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let (item, len, chain) = match self.format.parse(self.rest) {
            Parsed::Item { item, len, chain_end }
                if item.first() == self.next && item.end() <= self.end =>
            {
                (item, len, chain_end)
            }
            // The frame is sound, so the source wrote nonsense: hand it over as one, covering what is left.
            _ => {
                let item = Item::Unparsable {
                    first: self.next,
                    count: self.end - self.next,
                    bytes: self.rest,
                };
                (item, self.rest.len(), 0)
            }
        };
        self.rest = self.rest.get(len..).unwrap_or_default();
        self.next = item.end();
        Some((item, chain))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spool::record::{GapReason, Record};

    fn header(first_offset: u64, count: u64) -> FrameHeader {
        let (source_id, epoch) = ("gw".parse().unwrap(), Epoch::from_random(3));
        FrameHeader {
            source_id,
            epoch,
            oldest: first_offset,
            first_offset,
            count,
            appended: first_offset + count,
            format: V2,
        }
    }

    const V2: Format = Format::V2(Key::from_random(0x5eed));

    fn records(format: Format, first: u64, payloads: &[Vec<u8>]) -> Vec<u8> {
        let (mut bytes, mut chain) = (Vec::new(), 1);
        for (offset, payload) in (first..).zip(payloads) {
            chain = format.encode(
                &Record {
                    offset,
                    chain,
                    received_us: 2,
                    flags: 0,
                    publisher: "",
                    topic: "a",
                    attributes: &[],
                    payload,
                },
                &mut bytes,
            );
        }
        bytes
    }

    #[test]
    fn golden_bytes_of_version_1() {
        let header = FrameHeader { format: Format::V1, ..header(5, 1) };
        let bytes = encode(&header, &records(Format::V1, 5, &[b"x".to_vec()]), Codec::None);
        let frame = Frame::decode(&bytes.clone().into()).unwrap();
        assert_eq!((&frame.header, frame.items().count()), (&header, 1));
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "544d46520100026777030000000000000005000000000000000500000000000000010000000000000006\
             00000000000000270000008eeba6531f000000e6bb23bb010000000000000005000000000000000200000000\
             00000000000001006178"
        );
    }

    #[test]
    fn golden_bytes_of_version_2() {
        let bytes = encode(&header(5, 1), &records(V2, 5, &[b"x".to_vec()]), Codec::None);
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "544d465202000267770300000000000000050000000000000005000000000000000100000000000000060000\
             0000000000ed5e0000000000002d00000066ea308e2100000089b058badc87cf810100000000000000050000\
             00000000000200000000000000000000010000006178"
        );
    }

    #[test]
    fn nonsense_in_a_sound_frame_covers_the_offsets_that_are_left() {
        let mut raw = records(V2, 0, &[b"x".to_vec()]);
        let first_len = raw.len();
        raw.extend_from_slice(b"garbage");
        let frame = Frame { header: header(0, 4), records: raw.into() };
        let items: Vec<_> = frame.items().map(|(item, _)| item).collect();
        assert_eq!(items.len(), 2);
        assert_eq!(
            items[1],
            Item::Unparsable { first: 1, count: 3, bytes: &frame.records[first_len..] }
        );
    }

    #[test]
    fn a_gap_record_covers_its_offsets() {
        let mut raw = Vec::new();
        V2.encode_gap(0, 9, GapReason::Corrupt, 4, 0, &mut raw);
        let frame = Frame { header: header(0, 9), records: raw.into() };
        let ends: Vec<_> = frame.items().map(|(item, chain)| (item.end(), chain)).collect();
        assert_eq!(ends, [(9, 4)]);
    }

    #[test]
    fn impossible_claims_are_refused() {
        let mut huge = header(0, 1);
        huge.appended = 1 << 63;
        let bytes: Bytes = encode(&huge, b"", Codec::None).into();
        assert_eq!(Frame::decode(&bytes), Err(FrameError::Field("offset")));
        assert_eq!(Frame::decode(&Bytes::from_static(b"nope")), Err(FrameError::Magic));
    }

    proptest! {
        #[test]
        fn a_frame_round_trips_and_any_cut_or_flip_is_noticed(
            old: bool, first in 0u64..1 << 40, payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
            codec in prop::sample::select(vec![Codec::None, Codec::Zstd, Codec::Lz4]), at: prop::sample::Index, bit in 0u8..8,
        ) {
            let format = if old { Format::V1 } else { V2 };
            let raw = records(format, first, &payloads);
            let header = FrameHeader { format, ..header(first, payloads.len() as u64) };
            let mut bytes = encode(&header, &raw, codec);
            let frame = Frame::decode(&bytes.clone().into()).unwrap();
            prop_assert_eq!(&frame.header, &header);
            prop_assert_eq!(&frame.records[..], &raw[..]);
            prop_assert_eq!(frame.items().count(), payloads.len());
            let at = at.index(bytes.len());
            prop_assert!(Frame::decode(&Bytes::copy_from_slice(&bytes[..at])).is_err());
            bytes[at] ^= 1 << bit;
            prop_assert!(Frame::decode(&bytes.into()).is_err());
        }
    }
}
