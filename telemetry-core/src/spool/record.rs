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

    pub(super) fn from_byte(byte: u8) -> Option<Self> {
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
