//! How records are framed in a segment and checked: version 1 by a checksum that anybody can compute, version 2 by a secret.
//!
//! ```text
//! version 1: body_len u32 | crc32c u32 of the body | body
//! version 2: body_len u32 | head u32 | crc32c u32 of the body | body
//! ```
//!
//! In version 2 the checksum starts from the spool's secret, and `head` says by the secret that a record of this length begins here.
//! So nothing in a payload passes for a record, whatever a device writes into it; and damage within a record is stepped over by
//! the record's length, without a look inside.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::record::{FIXED_LEN, Item, MESSAGE_MAX, Record, chain_after, parse_body, push_body};
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
    /// The caller has checked that [`super::record::encoded_len`] is at most [`MESSAGE_MAX`], and that publisher, topic and attributes
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
