//! One spool record, on disk and in frames.
//!
//! Little-endian, version 1 (the version stands in the segment header and in the frame header):
//!
//! ```text
//! body_len u32 | crc32c u32 of the body | body
//! body = chain u64 | offset u64 | received_us i64 | flags u8 | publisher_len u16 | topic_len u16
//!        | publisher | topic | payload
//! ```
//!
//! `chain` is the chain value *before* the record; the value after it mixes in the record's checksum and length, so two
//! spools with the same value at an offset hold the same records below it (up to a chance of 2^-32 a record).
//! `received_us` is microseconds since the Unix epoch, by the clock of whoever accepted the message.
//!
//! A record with the flag [`GAP`] stands for offsets that cannot be delivered; its payload is
//! `count u64 | chain_end u64 | reason u8` and it covers `offset .. offset + count`.

use crate::id::Offset;
use crate::wire::{Fields, mix64};

/// Largest whole record in bytes, header included: health records come in Bundles of several megabytes. A larger message is refused
/// before it is accepted.
pub const MESSAGE_MAX: usize = 8 << 20;
/// Bytes before the body.
pub const PREFIX_LEN: usize = 8;
/// Bytes of the body before the publisher.
pub const FIXED_LEN: usize = 29;
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

/// What stands at the start of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole item, the bytes it takes and the chain value after it.
    Item {
        /// The item.
        item: Item<'a>,
        /// Its length in bytes.
        len: usize,
        /// Chain value after it.
        chain_end: u64,
    },
    /// The bytes end before the record does.
    Torn,
    /// Not a record: an impossible length or a wrong checksum.
    Corrupt,
}

/// Returns the bytes that a message takes as a record.
pub fn encoded_len(publisher: &str, topic: &str, payload: &[u8]) -> usize {
    PREFIX_LEN + FIXED_LEN + publisher.len() + topic.len() + payload.len()
}

/// Returns the chain value after a record.
pub fn chain_after(chain: u64, crc: u32, body_len: u32) -> u64 {
    mix64(chain.rotate_left(17) ^ (u64::from(body_len) << 32 | u64::from(crc)))
}

/// Appends a record to `out` and returns the chain value after it.
///
/// The caller has checked that [`encoded_len`] is at most [`MESSAGE_MAX`] and that publisher and topic are shorter than
/// 64 KiB (MQTT cannot carry longer ones).
pub fn encode(record: &Record<'_>, out: &mut Vec<u8>) -> u64 {
    let start = out.len();
    let len16 =
        |text: &str| u16::try_from(text.len()).expect("MQTT strings are shorter than 64 KiB");
    out.extend_from_slice(&[0; PREFIX_LEN]);
    out.extend_from_slice(&record.chain.to_le_bytes());
    out.extend_from_slice(&record.offset.to_le_bytes());
    out.extend_from_slice(&record.received_us.to_le_bytes());
    out.push(record.flags);
    out.extend_from_slice(&len16(record.publisher).to_le_bytes());
    out.extend_from_slice(&len16(record.topic).to_le_bytes());
    out.extend_from_slice(record.publisher.as_bytes());
    out.extend_from_slice(record.topic.as_bytes());
    out.extend_from_slice(record.payload);
    let (body_len, crc) =
        match out.get_mut(start..).and_then(|all| all.split_first_chunk_mut::<PREFIX_LEN>()) {
            Some((prefix, body)) => {
                let body_len = u32::try_from(body.len()).expect("a record is at most MESSAGE_MAX");
                let crc = crc32c::crc32c(body);
                *prefix = (u64::from(crc) << 32 | u64::from(body_len)).to_le_bytes();
                (body_len, crc)
            }
            None => unreachable!("the prefix was pushed above"),
        };
    chain_after(record.chain, crc, body_len)
}

/// Appends a gap record to `out`. `chain_end` is the chain value after the gap, which the next record carries.
pub fn encode_gap(
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
        payload: &payload,
    };
    encode(&record, out);
}

/// Reads the record at the start of `bytes`.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let mut fields = Fields(bytes);
    let (Some(body_len), Some(crc)) = (fields.u32(), fields.u32()) else {
        return Parsed::Torn;
    };
    let len = body_len as usize;
    if !(FIXED_LEN..=MESSAGE_MAX - PREFIX_LEN).contains(&len) {
        return Parsed::Corrupt;
    }
    let Some(body) = fields.bytes(len) else {
        return Parsed::Torn;
    };
    if crc32c::crc32c(body) != crc {
        return Parsed::Corrupt;
    }
    let Some((item, chain)) = parse_body(body) else {
        return Parsed::Corrupt;
    };
    let chain_end = match item {
        Item::Gap { chain_end, .. } => chain_end,
        _ => chain_after(chain, crc, body_len),
    };
    Parsed::Item { item, len: PREFIX_LEN + len, chain_end }
}

/// Reads a body whose checksum is right; returns the item and the chain value before it.
fn parse_body(body: &[u8]) -> Option<(Item<'_>, u64)> {
    let mut fields = Fields(body);
    let (chain, offset, received_us, flags) =
        (fields.u64()?, fields.u64()?, fields.i64()?, fields.u8()?);
    let (publisher_len, topic_len) = (fields.u16()?, fields.u16()?);
    let unparsable = Item::Unparsable { first: offset, count: 1, bytes: body };
    let mut texts = || {
        let publisher = std::str::from_utf8(fields.bytes(publisher_len.into())?).ok()?;
        let topic = std::str::from_utf8(fields.bytes(topic_len.into())?).ok()?;
        Some((publisher, topic, fields.0))
    };
    let Some((publisher, topic, payload)) = texts() else {
        return Some((unparsable, chain));
    };
    if flags & GAP == 0 {
        return Some((
            Item::Record(Record { offset, chain, received_us, flags, publisher, topic, payload }),
            chain,
        ));
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

    use super::*;

    fn sample() -> Record<'static> {
        Record {
            offset: 5,
            chain: 9,
            received_us: 1_790_000_000_000_000,
            flags: 0,
            publisher: "mon-1",
            topic: "dt/w/mon-1/readings",
            payload: b"{}",
        }
    }

    #[test]
    fn golden_bytes_of_version_1() {
        let mut bytes = Vec::new();
        let chain = encode(&sample(), &mut bytes);
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "370000002d2ade4b0900000000000000050000000000000000e025dafe5b060000050013006d6f6e2d31\
             64742f772f6d6f6e2d312f72656164696e67737b7d"
        );
        assert_eq!(chain, 6_021_507_415_205_246_522);
    }

    #[test]
    fn a_gap_says_what_it_covers() {
        let mut bytes = Vec::new();
        encode_gap(10, 4, GapReason::Dropped, 77, 0, &mut bytes);
        let expected = Item::Gap { first: 10, count: 4, reason: GapReason::Dropped, chain_end: 77 };
        assert_eq!(parse(&bytes), Parsed::Item { item: expected, len: bytes.len(), chain_end: 77 });
        assert_eq!(expected.end(), 14);
    }

    #[test]
    fn sound_bytes_that_make_no_sense_are_unparsable_not_lost() {
        let mut bytes = Vec::new();
        encode(&Record { topic: "ok", ..sample() }, &mut bytes);
        let body_start = PREFIX_LEN;
        bytes[body_start + 27] = 0xff; // a topic length beyond the record
        let crc = crc32c::crc32c(&bytes[body_start..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(
            parse(&bytes),
            Parsed::Item { item: Item::Unparsable { first: 5, count: 1, .. }, .. }
        ));
    }

    proptest! {
        #[test]
        fn a_whole_record_round_trips_a_cut_one_is_torn_and_a_flipped_one_is_noticed(
            offset in 0u64..1 << 63, chain: u64, received_us: i64,
            publisher in "[a-z]{0,8}", topic in "[a-z/]{1,20}", payload: Vec<u8>,
            cut: prop::sample::Index, bit in 0u8..8,
        ) {
            let record = Record { offset, chain, received_us, flags: 0, publisher: &publisher, topic: &topic, payload: &payload };
            let mut bytes = Vec::new();
            let after = encode(&record, &mut bytes);
            prop_assert_eq!(bytes.len(), encoded_len(&publisher, &topic, &payload));
            prop_assert_eq!(parse(&bytes), Parsed::Item { item: Item::Record(record), len: bytes.len(), chain_end: after });
            let at = cut.index(bytes.len());
            prop_assert_eq!(parse(&bytes[..at]), Parsed::Torn);
            bytes[at] ^= 1 << bit;
            let flipped_is_data = matches!(parse(&bytes), Parsed::Item { .. });
            prop_assert!(!flipped_is_data);
        }
    }
}
