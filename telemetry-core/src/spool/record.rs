//! One spool record, on disk and in frames.
//!
//! Little-endian, version 2 (the version stands in the segment header and in the frame header):
//!
//! ```text
//! body = chain u64 | offset u64 | received_us i64 | flags u8 | publisher_len u16 | topic_len u16 | attributes_len u16
//!        | publisher | topic | attributes | payload
//! ```
//!
//! [`super::format`] has what stands before a body, [`super::attributes`] what the attributes are. Version 1 had none, nor their length.
//!
//! `chain` is the chain value *before* the record; the value after it mixes in the record's checksum and length, so two
//! spools with the same value at an offset hold the same records below it (up to a chance of 2^-32 a record).
//! `received_us` is microseconds since the Unix epoch, by the clock of whoever accepted the message.
//!
//! A record with the flag [`GAP`] stands for offsets that cannot be delivered; its payload is
//! `count u64 | chain_end u64 | reason u8` and it covers `offset .. offset + count`.

use super::format::{Format, PREFIX_LEN};
use crate::id::Offset;
use crate::wire::{Fields, mix64};

/// Largest whole record in bytes, header included: health records come in Bundles of several megabytes. A larger message is refused
/// before it is accepted.
pub const MESSAGE_MAX: usize = 8 << 20;
/// Bytes of the body before the publisher.
pub const FIXED_LEN: usize = 31;
/// Flag: the record is a gap, not a message.
pub const GAP: u8 = 1;
/// Flag: the message may be in the lake already under another epoch (it was moved from a forked spool).
pub const MAYBE_REPEAT: u8 = 2;

/// The chain value of an empty source.
pub const CHAIN_START: u64 = 0;

/// One message as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Position in the source.
    pub offset: Offset,
    /// Chain value before this record.
    pub chain: u64,
    /// When it was accepted, microseconds since the Unix epoch.
    pub received_us: i64,
    /// [`MAYBE_REPEAT`] or 0.
    pub flags: u8,
    /// The authenticated identity that published it; empty for anonymous.
    pub publisher: &'a str,
    /// The MQTT topic.
    pub topic: &'a str,
    /// What else there is to say, as [`super::attributes`] writes it.
    pub attributes: &'a [u8],
    /// The payload as it came.
    pub payload: &'a [u8],
}

/// Why offsets cannot be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GapReason {
    /// The spool was full and the operator chose `drop_oldest`.
    Dropped = 1,
    /// The bytes on disk are damaged.
    Corrupt = 2,
    /// The lake was replaced: nobody has these offsets any more.
    Replaced = 3,
}

impl GapReason {
    /// Returns the reason as it stands in the ledger and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Corrupt => "corrupt",
            Self::Replaced => "replaced",
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Dropped),
            2 => Some(Self::Corrupt),
            3 => Some(Self::Replaced),
            _ => None,
        }
    }
}

/// What one record turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A message.
    Record(Record<'a>),
    /// `count` offsets from `first` that cannot be delivered.
    Gap {
        /// First offset of the gap.
        first: Offset,
        /// Number of offsets, at least 1.
        count: u64,
        /// Why.
        reason: GapReason,
        /// Chain value at the gap's end.
        chain_end: u64,
    },
    /// Bytes that are whole but make no sense; they cover `count` offsets.
    Unparsable {
        /// First offset covered.
        first: Offset,
        /// Number of offsets, at least 1.
        count: u64,
        /// The bytes, for the dead letter.
        bytes: &'a [u8],
    },
}

impl Item<'_> {
    /// Returns the offset after this item.
    pub fn end(&self) -> Offset {
        match *self {
            Self::Record(record) => record.offset + 1,
            Self::Gap { first, count, .. } | Self::Unparsable { first, count, .. } => {
                first.saturating_add(count)
            }
        }
    }

    /// Returns the first offset of this item.
    pub fn first(&self) -> Offset {
        match *self {
            Self::Record(record) => record.offset,
            Self::Gap { first, .. } | Self::Unparsable { first, .. } => first,
        }
    }
}

/// Returns the bytes that a message takes as a record of the newest version.
pub fn encoded_len(publisher: &str, topic: &str, attributes: &[u8], payload: &[u8]) -> usize {
    PREFIX_LEN + FIXED_LEN + publisher.len() + topic.len() + attributes.len() + payload.len()
}

/// Returns the chain value after a record.
pub fn chain_after(chain: u64, crc: u32, body_len: u32) -> u64 {
    mix64(chain.rotate_left(17) ^ (u64::from(body_len) << 32 | u64::from(crc)))
}

/// Appends a body to `out`.
pub(super) fn push_body(record: &Record<'_>, with_attributes: bool, out: &mut Vec<u8>) {
    let len16 = |bytes: &[u8]| u16::try_from(bytes.len()).expect("checked by who accepts messages");
    let attributes = if with_attributes { record.attributes } else { &[] };
    out.extend_from_slice(&record.chain.to_le_bytes());
    out.extend_from_slice(&record.offset.to_le_bytes());
    out.extend_from_slice(&record.received_us.to_le_bytes());
    out.push(record.flags);
    out.extend_from_slice(&len16(record.publisher.as_bytes()).to_le_bytes());
    out.extend_from_slice(&len16(record.topic.as_bytes()).to_le_bytes());
    if with_attributes {
        out.extend_from_slice(&len16(attributes).to_le_bytes());
    }
    out.extend_from_slice(record.publisher.as_bytes());
    out.extend_from_slice(record.topic.as_bytes());
    out.extend_from_slice(attributes);
    out.extend_from_slice(record.payload);
}

/// Appends a gap record to `out`. `chain_end` is the chain value after the gap, which the next record carries.
pub fn encode_gap(
    format: Format,
    first: Offset,
    count: u64,
    reason: GapReason,
    chain_end: u64,
    received_us: i64,
    out: &mut Vec<u8>,
) {
    let mut payload = [0; 17];
    let (count_bytes, rest) = payload.split_at_mut(8);
    count_bytes.copy_from_slice(&count.to_le_bytes());
    let (chain_bytes, reason_byte) = rest.split_at_mut(8);
    chain_bytes.copy_from_slice(&chain_end.to_le_bytes());
    reason_byte.copy_from_slice(&[reason as u8]);
    let record = Record {
        offset: first,
        chain: chain_end,
        received_us,
        flags: GAP,
        publisher: "",
        topic: "",
        attributes: &[],
        payload: &payload,
    };
    format.encode(&record, out);
}

/// Reads a body whose checksum is right; returns the item and the chain value before it.
pub(super) fn parse_body(body: &[u8], with_attributes: bool) -> Option<(Item<'_>, u64)> {
    let mut fields = Fields(body);
    let (chain, offset, received_us, flags) =
        (fields.u64()?, fields.u64()?, fields.i64()?, fields.u8()?);
    let (publisher_len, topic_len) = (fields.u16()?, fields.u16()?);
    let attributes_len = if with_attributes { fields.u16()? } else { 0 };
    let unparsable = Item::Unparsable { first: offset, count: 1, bytes: body };
    let mut texts = || {
        let publisher = std::str::from_utf8(fields.bytes(publisher_len.into())?).ok()?;
        let topic = std::str::from_utf8(fields.bytes(topic_len.into())?).ok()?;
        Some((publisher, topic, fields.bytes(attributes_len.into())?, fields.0))
    };
    let Some((publisher, topic, attributes, payload)) = texts() else {
        return Some((unparsable, chain));
    };
    if flags & GAP == 0 {
        let record =
            Record { offset, chain, received_us, flags, publisher, topic, attributes, payload };
        return Some((Item::Record(record), chain));
    }
    let mut fields = Fields(payload);
    let mut gap = || Some((fields.u64()?, fields.u64()?, GapReason::from_byte(fields.u8()?)?));
    match gap() {
        Some((count, chain_end, reason))
            if count > 0 && offset.checked_add(count).is_some_and(|end| end >> 63 == 0) =>
        {
            Some((Item::Gap { first: offset, count, reason, chain_end }, chain))
        }
        _ => Some((unparsable, chain)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::format::{Key, Parsed};
    use super::*;

    const V2: Format = Format::V2(Key::from_random(0x0123_4567_89ab_cdef));

    fn sample() -> Record<'static> {
        Record {
            offset: 5,
            chain: 9,
            received_us: 1_790_000_000_000_000,
            flags: 0,
            publisher: "mon-1",
            topic: "dt/w/mon-1/readings",
            attributes: &[],
            payload: b"{}",
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn golden_bytes_of_version_1() {
        let mut bytes = Vec::new();
        let chain = Format::V1.encode(&sample(), &mut bytes);
        assert_eq!(
            hex(&bytes),
            "370000002d2ade4b0900000000000000050000000000000000e025dafe5b060000050013006d6f6e2d31\
             64742f772f6d6f6e2d312f72656164696e67737b7d"
        );
        assert_eq!(chain, 6_021_507_415_205_246_522);
        let expected =
            Parsed::Item { item: Item::Record(sample()), len: bytes.len(), chain_end: chain };
        assert_eq!(Format::V1.parse(&bytes), expected);
    }

    #[test]
    fn golden_bytes_of_version_2() {
        let mut bytes = Vec::new();
        let record = Record { attributes: &[9, 1, 0, 7], ..sample() };
        let chain = V2.encode(&record, &mut bytes);
        assert_eq!(
            hex(&bytes),
            "3d000000c4ed4ffd0db4a5cb0900000000000000050000000000000000e025dafe5b0600000500130004006d\
             6f6e2d3164742f772f6d6f6e2d312f72656164696e6773090100077b7d"
        );
        let expected =
            Parsed::Item { item: Item::Record(record), len: bytes.len(), chain_end: chain };
        assert_eq!(V2.parse(&bytes), expected);
    }

    #[test]
    fn a_gap_says_what_it_covers() {
        for format in [Format::V1, V2] {
            let mut bytes = Vec::new();
            encode_gap(format, 10, 4, GapReason::Dropped, 77, 0, &mut bytes);
            let item = Item::Gap { first: 10, count: 4, reason: GapReason::Dropped, chain_end: 77 };
            assert_eq!(
                format.parse(&bytes),
                Parsed::Item { item, len: bytes.len(), chain_end: 77 }
            );
            assert_eq!(item.end(), 14);
        }
    }

    #[test]
    fn sound_bytes_that_make_no_sense_are_unparsable_not_lost() {
        let mut bytes = Vec::new();
        Format::V1.encode(&Record { topic: "ok", ..sample() }, &mut bytes);
        let body_start = 8;
        bytes[body_start + 27] = 0xff; // a topic length beyond the record
        let crc = crc32c::crc32c(&bytes[body_start..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(
            Format::V1.parse(&bytes),
            Parsed::Item { item: Item::Unparsable { first: 5, count: 1, .. }, .. }
        ));
    }

    #[test]
    fn inv4_a_record_of_another_spool_is_not_one_of_ours() {
        let theirs = Format::V2(Key::from_random(1));
        let mut bytes = Vec::new();
        theirs.encode(&sample(), &mut bytes);
        assert_eq!(V2.parse(&bytes), Parsed::Corrupt { len: None });
        bytes.clear();
        Format::V1.encode(&sample(), &mut bytes);
        assert_eq!(V2.parse(&bytes), Parsed::Corrupt { len: None });
    }

    proptest! {
        #[test]
        fn a_whole_record_round_trips_a_cut_one_is_torn_and_a_flipped_one_is_noticed(
            offset in 0u64..1 << 63, chain: u64, received_us: i64, first: bool,
            publisher in "[a-z]{0,8}", topic in "[a-z/]{1,20}", attributes in prop::collection::vec(any::<u8>(), 0..20), payload: Vec<u8>,
            cut: prop::sample::Index, bit in 0u8..8,
        ) {
            let format = if first { Format::V1 } else { V2 };
            let attributes: &[u8] = if first { &[] } else { &attributes };
            let record = Record { offset, chain, received_us, flags: 0, publisher: &publisher, topic: &topic, attributes, payload: &payload };
            let mut bytes = Vec::new();
            let after = format.encode(&record, &mut bytes);
            let newer = if first { 6 } else { 0 };
            prop_assert_eq!(bytes.len() + newer, encoded_len(&publisher, &topic, attributes, &payload));
            prop_assert_eq!(format.parse(&bytes), Parsed::Item { item: Item::Record(record), len: bytes.len(), chain_end: after });
            let at = cut.index(bytes.len());
            prop_assert_eq!(format.parse(&bytes[..at]), Parsed::Torn);
            bytes[at] ^= 1 << bit;
            let flipped_is_data = matches!(format.parse(&bytes), Parsed::Item { .. });
            prop_assert!(!flipped_is_data);
            if !first && at >= 12 {
                // The length is certain: nobody looks for records within this one.
                prop_assert_eq!(format.parse(&bytes), Parsed::Corrupt { len: Some(bytes.len()) });
            }
        }
    }
}
