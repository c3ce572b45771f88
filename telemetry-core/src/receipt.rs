//! The receipt: "everything of this source and epoch below `landed` is readable in the lake".
//!
//! A small JSON object, retained on `{prefix}/receipt/{source_id}/{epoch}`:
//!
//! ```text
//! {"v":2,"lake_id":"…","source_id":"gateway","epoch":"16 hex digits","landed":1200,"chain":"16 hex digits",
//!  "resend_from":900,"window":8388608,"worker":"…","at":1790000000000,"crc":"8 hex digits"}
//! ```
//!
//! `crc`, always last, is the CRC-32C of all bytes before `,"crc"`. Without it a bit that a network flipped in `landed` or
//! `chain` would look like a forked spool. Version 1 had none.
//!
//! `word_ms` is there while somebody watches for silence: a source that has sent all it has then says so that often.
//! `resend_from` is absent unless the source must send again from there. Unknown fields are ignored, so that a newer
//! ingest can add some. Numbers that do not fit 53 bits travel as hexadecimal text.

use serde::{Deserialize, Serialize};

use crate::id::{Epoch, Offset, SourceId};

/// The version this module writes; it reads every version from 1 to this one.
pub const VERSION: u8 = 2;

/// Longest receipt in bytes; a longer one is refused unread.
pub const RECEIPT_MAX: usize = 4096;

/// What stands between the other members and the eight digits of the checksum.
const CRC_MEMBER: &[u8] = b",\"crc\":\"";
/// What ends a receipt with a checksum.
const CRC_END: &[u8] = b"\"}";

/// What ingest tells a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Format version.
    pub v: u8,
    /// The ledger table's id: which lake this is.
    pub lake_id: String,
    /// Whose messages.
    pub source_id: SourceId,
    /// In which life of the spool.
    pub epoch: Epoch,
    /// Everything below this offset is landed (INV-2).
    pub landed: Offset,
    /// The source's chain value at `landed`, as ingest computed it.
    #[serde(with = "hex")]
    pub chain: u64,
    /// The first offset that the source should send again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resend_from: Option<Offset>,
    /// Raw bytes beyond `landed` that the source may have in flight; 0 closes.
    pub window: u64,
    /// Milliseconds after which a source that has sent all it has is to say so; absent: it is not asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word_ms: Option<u32>,
    /// Which ingest process wrote this.
    pub worker: String,
    /// When, in milliseconds since the Unix epoch. For people; nothing is decided by it.
    pub at: i64,
}

/// Why bytes are not a receipt.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// More than [`RECEIPT_MAX`] bytes.
    #[error("receipt has {0} bytes: at most {RECEIPT_MAX} are read")]
    TooLong(usize),
    /// Not the JSON that this module documents.
    #[error("receipt is not valid")]
    Json(#[source] serde_json::Error),
    /// Written by a newer version.
    #[error("receipt has version {0}, this program reads up to {VERSION}: update it")]
    Version(u8),
    /// Its checksum is missing or wrong.
    #[error("receipt was damaged on its way: its checksum does not fit")]
    Damaged,
}

impl Receipt {
    /// Encodes the receipt as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec(self)
            .expect("a receipt has no map keys or floats that JSON cannot carry");
        if self.v >= 2 {
            json.pop();
            let crc = crc32c::crc32c(&json);
            json.extend_from_slice(CRC_MEMBER);
            json.extend_from_slice(format!("{crc:08x}").as_bytes());
            json.extend_from_slice(CRC_END);
        }
        json
    }

    /// Decodes a receipt.
    ///
    /// # Errors
    /// When the bytes are too long, not a receipt, of a newer version, or damaged.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > RECEIPT_MAX {
            return Err(ReceiptError::TooLong(bytes.len()));
        }
        let receipt: Self = serde_json::from_slice(bytes).map_err(ReceiptError::Json)?;
        if receipt.v == 0 || receipt.v > VERSION {
            return Err(ReceiptError::Version(receipt.v));
        }
        if receipt.v >= 2 && !crc_fits(bytes) {
            return Err(ReceiptError::Damaged);
        }
        Ok(receipt)
    }
}

fn crc_fits(json: &[u8]) -> bool {
    let parts = json
        .strip_suffix(CRC_END)
        .and_then(|json| json.split_last_chunk::<8>())
        .and_then(|(json, digits)| Some((json.strip_suffix(CRC_MEMBER)?, digits)));
    parts.is_some_and(|(json, digits)| {
        format!("{:08x}", crc32c::crc32c(json)).as_bytes() == digits.as_slice()
    })
}

/// Sixteen hexadecimal digits in JSON.
mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOLDEN_V1: &str = r#"{"v":1,"lake_id":"5e0c","source_id":"gateway","epoch":"00000000000000ff","landed":1200,"chain":"00000000deadbeef","resend_from":900,"window":8388608,"worker":"w1","at":1790000000000}"#;

    const GOLDEN_V2: &str = r#"{"v":2,"lake_id":"5e0c","source_id":"gateway","epoch":"00000000000000ff","landed":1200,"chain":"00000000deadbeef","resend_from":900,"window":8388608,"worker":"w1","at":1790000000000,"crc":"b84783b4"}"#;

    fn golden() -> Receipt {
        Receipt {
            v: 2,
            lake_id: "5e0c".into(),
            source_id: "gateway".parse().unwrap(),
            epoch: Epoch::from_random(255),
            landed: 1200,
            chain: 0xdead_beef,
            resend_from: Some(900),
            window: 8 << 20,
            word_ms: None,
            worker: "w1".into(),
            at: 1_790_000_000_000,
        }
    }

    #[test]
    fn golden_bytes_of_version_1() {
        let golden = Receipt { v: 1, ..golden() };
        assert_eq!(String::from_utf8(golden.to_json()).unwrap(), GOLDEN_V1);
        assert_eq!(Receipt::from_json(GOLDEN_V1.as_bytes()).unwrap(), golden);
    }

    #[test]
    fn golden_bytes_of_version_2() {
        assert_eq!(String::from_utf8(golden().to_json()).unwrap(), GOLDEN_V2);
        assert_eq!(Receipt::from_json(GOLDEN_V2.as_bytes()).unwrap(), golden());
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let bytes = golden().to_json();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Receipt::from_json(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_version_and_garbage_are_refused() {
        let newer = GOLDEN_V2.replace("\"v\":2", "\"v\":3");
        assert!(matches!(Receipt::from_json(newer.as_bytes()), Err(ReceiptError::Version(3))));
        assert!(matches!(Receipt::from_json(b"{"), Err(ReceiptError::Json(_))));
        assert!(matches!(Receipt::from_json(&[b' '; 5000]), Err(ReceiptError::TooLong(5000))));
    }

    proptest! {
        #[test]
        fn a_receipt_round_trips_and_a_cut_one_is_refused(landed in 0u64..1 << 63, chain: u64, window: u64, cut in 0usize..100) {
            let receipt = Receipt { landed, chain, window, resend_from: None, ..golden() };
            let bytes = receipt.to_json();
            prop_assert_eq!(Receipt::from_json(&bytes).unwrap(), receipt);
            prop_assert!(Receipt::from_json(&bytes[..cut]).is_err());
        }
    }
}
