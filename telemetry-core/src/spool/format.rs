//! How records are framed in a segment and checked: version 1 by a checksum that anybody can compute, version 2 by a secret.
//!
//! ```text
//! version 1: body_len u32 | crc32c u32 of the body | body
//! version 2: body_len u32 | head u32 | crc32c u32 of the body | body
//! ```
//!
//! In version 2 the checksum starts from the spool's secret, and `head` says by the secret that a record of this length begins here.
//! So nothing in a payload passes for a record, whatever a device writes into it; and damage within a record is stepped over by
//! the record's length, without a look inside, where the next record begins there ([`super::recovery`]).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::record::{
    FIXED_LEN, GAP, GapReason, Item, MESSAGE_MAX, Record, chain_after, parse_body, push_body,
};
use crate::id::Offset;
use crate::wire::{Fields, mix64};

/// Bytes before a body of version 1.
const PREFIX_V1: usize = 8;
/// Bytes before a body of version 2.
pub const PREFIX_LEN: usize = 12;

/// A spool's secret: 64 random bits that no device gets to know.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(u64);

impl Key {
    /// Takes random bits.
    pub const fn from_random(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the bits, for headers that only the source and ingest read.
    pub fn bits(self) -> u64 {
        self.0
    }

    fn head(self, body_len: u32) -> u32 {
        let mixed = mix64(self.0 ^ u64::from(body_len).rotate_left(40)) >> 32;
        u32::try_from(mixed).unwrap_or_default()
    }

    fn crc(self, body: &[u8]) -> u32 {
        let seed = mix64(self.0.wrapping_add(1)) >> 32;
        crc32c::crc32c_append(u32::try_from(seed).unwrap_or_default(), body)
    }
}

/// It does not say what it is: debug output ends up in logs.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(secret)")
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        format!("{:016x}", key.0)
    }
}

impl TryFrom<String> for Key {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bits = u64::from_str_radix(&text, 16);
        bits.map(Self).map_err(|_| "a spool's key is 16 hexadecimal digits")
    }
}

/// How the records of a segment or frame are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// What the first releases wrote: read, and no longer written to disk.
    V1,
    /// By the spool's secret.
    V2(Key),
}

/// Returns the bytes that a message takes as a record of the newest version.
pub fn encoded_len(publisher: &str, topic: &str, attributes: &[u8], payload: &[u8]) -> usize {
    PREFIX_LEN + FIXED_LEN + publisher.len() + topic.len() + attributes.len() + payload.len()
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
    /// A record begins here, or may do so, and the bytes end before it does.
    Torn,
    /// Not a record, or a damaged one.
    Corrupt {
        /// Where the next record begins, if the damage is within a record whose length is certain.
        len: Option<usize>,
    },
}

impl Format {
    /// Returns the version's number in headers.
    pub fn version(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2(_) => 2,
        }
    }

    /// Returns the bytes of the smallest record.
    pub fn smallest(self) -> usize {
        match self {
            Self::V1 => PREFIX_V1 + FIXED_LEN - 2,
            Self::V2(_) => PREFIX_LEN + FIXED_LEN,
        }
    }

    /// Appends a record to `out` and returns the chain value after it. Version 1 has no room for attributes.
    ///
    /// The caller has checked that [`encoded_len`] is at most [`MESSAGE_MAX`], and that publisher, topic and attributes
    /// are shorter than 64 KiB each.
    pub fn encode(self, record: &Record<'_>, out: &mut Vec<u8>) -> u64 {
        let start = out.len();
        match self {
            Self::V1 => out.extend_from_slice(&[0; PREFIX_V1]),
            Self::V2(_) => out.extend_from_slice(&[0; PREFIX_LEN]),
        }
        let begin = out.len();
        push_body(record, self != Self::V1, out);
        let body = out.get(begin..).unwrap_or_default();
        let body_len = u32::try_from(body.len()).expect("a record is at most MESSAGE_MAX");
        let crc = self.crc(body);
        let mut prefix = out.get_mut(start..begin).unwrap_or_default().chunks_exact_mut(4);
        let mut put = |field: u32| {
            if let Some(place) = prefix.next() {
                place.copy_from_slice(&field.to_le_bytes());
            }
        };
        put(body_len);
        if let Self::V2(key) = self {
            put(key.head(body_len));
        }
        put(crc);
        chain_after(record.chain, crc, body_len)
    }

    /// Appends a gap record to `out`. `chain_end` is the chain value after the gap, which the next record carries.
    pub fn encode_gap(
        self,
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
        self.encode(&record, out);
    }

    fn crc(self, body: &[u8]) -> u32 {
        match self {
            Self::V1 => crc32c::crc32c(body),
            Self::V2(key) => key.crc(body),
        }
    }

    /// Reads the record at the start of `bytes`.
    pub fn parse(self, bytes: &[u8]) -> Parsed<'_> {
        let mut fields = Fields(bytes);
        let Some(body_len) = fields.u32() else { return Parsed::Torn };
        let len = body_len as usize;
        let prefix = match self {
            Self::V1 => PREFIX_V1,
            Self::V2(key) => {
                let Some(head) = fields.u32() else { return Parsed::Torn };
                if head != key.head(body_len) {
                    return Parsed::Corrupt { len: None };
                }
                PREFIX_LEN
            }
        };
        if !(self.smallest() - prefix..=MESSAGE_MAX - prefix).contains(&len) {
            return Parsed::Corrupt { len: None };
        }
        let Some(crc) = fields.u32() else { return Parsed::Torn };
        let Some(body) = fields.bytes(len) else { return Parsed::Torn };
        let certain = (self != Self::V1).then_some(prefix + len);
        if self.crc(body) != crc {
            return Parsed::Corrupt { len: certain };
        }
        let Some((item, chain)) = parse_body(body, self != Self::V1) else {
            return Parsed::Corrupt { len: certain };
        };
        let chain_end = match item {
            Item::Gap { chain_end, .. } => chain_end,
            _ => chain_after(chain, crc, body_len),
        };
        Parsed::Item { item, len: prefix + len, chain_end }
    }

    /// Returns how long the record at the start of `bytes` says it is, if that is possible. In version 1 nothing vouches for it.
    pub(super) fn claimed_len(bytes: &[u8]) -> Option<usize> {
        let len = Fields(bytes).u32()? as usize;
        (FIXED_LEN - 2..=MESSAGE_MAX - PREFIX_V1).contains(&len).then_some(PREFIX_V1 + len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
            format.encode_gap(10, 4, GapReason::Dropped, 77, 0, &mut bytes);
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
