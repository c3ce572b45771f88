//! What a record says of its message beside topic and payload: how it came, or why it did not come whole.
//!
//! `kind u8 | len u16 | bytes`, one after the other, little-endian. Kinds that a program does not know are passed over.

use crate::wire::Fields;

/// Most bytes of all attributes of a message.
pub const ATTRIBUTES_MAX: usize = u16::MAX as usize;

const EXCHANGE: u8 = 1;
const TOO_LARGE: u8 = 2;

/// One attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute<'a> {
    /// The QoS 2 exchange that brought the message: with the same packet id the client sends the same message again, until the
    /// exchange has ended (MQTT 5 section 4.3.3). Kind 1: `pkid u16 | client id`.
    Exchange {
        /// The packet id.
        pkid: u16,
        /// Whose.
        client_id: &'a str,
    },
    /// The message was larger than anything that can be kept: its payload is not here. Kind 2: `bytes u64 | sha256 [u8; 32]`.
    TooLarge {
        /// The bytes of its payload.
        bytes: u64,
        /// What the payload hashes to, so that the sender's copy can be told from others.
        sha256: [u8; 32],
    },
}

impl Attribute<'_> {
    /// Appends it to others; left out when it is longer than any attribute may be.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (kind, len) = match self {
            Self::Exchange { client_id, .. } => (EXCHANGE, 2 + client_id.len()),
            Self::TooLarge { .. } => (TOO_LARGE, 40),
        };
        let Ok(len) = u16::try_from(len) else { return };
        out.push(kind);
        out.extend_from_slice(&len.to_le_bytes());
        match self {
            Self::Exchange { pkid, client_id } => {
                out.extend_from_slice(&pkid.to_le_bytes());
                out.extend_from_slice(client_id.as_bytes());
            }
            Self::TooLarge { bytes, sha256 } => {
                out.extend_from_slice(&bytes.to_le_bytes());
                out.extend_from_slice(sha256);
            }
        }
    }
}

/// Reads a record's attributes, as far as they make sense.
pub fn read(bytes: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    let mut fields = Fields(bytes);
    std::iter::from_fn(move || {
        let (kind, len) = (fields.u8()?, fields.u16()?);
        fields.bytes(len.into()).map(|value| one(kind, value))
    })
    .flatten()
}

fn one(kind: u8, value: &[u8]) -> Option<Attribute<'_>> {
    let mut fields = Fields(value);
    match kind {
        EXCHANGE => {
            let pkid = fields.u16()?;
            let client_id = std::str::from_utf8(fields.0).ok()?;
            Some(Attribute::Exchange { pkid, client_id })
        }
        TOO_LARGE => {
            let bytes = fields.u64()?;
            Some(Attribute::TooLarge { bytes, sha256: fields.0.try_into().ok()? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn golden_bytes() {
        let mut bytes = Vec::new();
        Attribute::Exchange { pkid: 0x0102, client_id: "mon-1" }.write(&mut bytes);
        Attribute::TooLarge { bytes: 3, sha256: [7; 32] }.write(&mut bytes);
        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        let hash = "07".repeat(32);
        assert_eq!(hex, format!("01070002016d6f6e2d310228000300000000000000{hash}"));
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        let known = Attribute::Exchange { pkid: 5, client_id: "c" };
        let mut bytes = vec![200, 3, 0, 1, 2, 3];
        known.write(&mut bytes);
        bytes.extend([1, 1, 0, 9]);
        assert_eq!(read(&bytes).collect::<Vec<_>>(), [known]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes: Vec<u8>) {
            prop_assert!(read(&bytes).count() <= bytes.len() / 3);
        }
    }
}
