//! What a record says of its message beside topic and payload: how it came, or why it did not come whole.
//!
//! `kind u8 | len u16 | bytes`, one after the other, little-endian. Kinds that a program does not know are passed over.

use crate::wire::Fields;

/// Most bytes of all attributes of a message.
pub const ATTRIBUTES_MAX: usize = u16::MAX as usize;

/// Most bytes that the user properties of a message take in its record; the pairs behind are left out, and it is said that they were.
pub const USER_PROPERTIES_BYTES_MAX: usize = 4096;
/// Most bytes of a content type in a record; what is behind them is left out, and it is said that it was.
pub const CONTENT_TYPE_BYTES_MAX: usize = 256;

const EXCHANGE: u8 = 1;
const TOO_LARGE: u8 = 2;
const CONTENT_TYPE: u8 = 3;
const USER_PROPERTY: u8 = 4;
const DELIVERY: u8 = 5;
const TRUNCATED: u8 = 6;
/// Bytes of an attribute before its value.
const HEAD_LEN: usize = 3;

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
    /// What the publisher says the payload is (MQTT 5 section 3.3.2.3.9). Kind 3: the text.
    ContentType(&'a str),
    /// A user property of MQTT 5: each is an attribute of its own, in the order in which they came. Kind 4:
    /// `name_len u16 | name | value`.
    UserProperty {
        /// Its name; several may have the same.
        name: &'a str,
        /// Its value.
        value: &'a str,
    },
    /// How the message was published, where that was not with QoS 1 and without the retain flag. Kind 5: `qos u8 | retain u8`.
    Delivery {
        /// The QoS, 0 to 2.
        qos: u8,
        /// Whether it was to be retained.
        retain: bool,
    },
    /// Something was said that is too long for a record. Kind 6: `user_properties u16 | content_type_bytes u16`.
    Truncated {
        /// User properties that are not here: the last ones.
        user_properties: u16,
        /// Bytes of the content type that are not here.
        content_type_bytes: u16,
    },
}

impl Attribute<'static> {
    /// The delivery, if there is something to say of it.
    pub fn unusual(qos: u8, retain: bool) -> Option<Self> {
        (qos != 1 || retain).then_some(Self::Delivery { qos, retain })
    }
}

impl Attribute<'_> {
    /// Appends it to others; left out when it is longer than any attribute may be.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (kind, len) = match self {
            Self::Exchange { client_id, .. } => (EXCHANGE, 2 + client_id.len()),
            Self::TooLarge { .. } => (TOO_LARGE, 40),
            Self::ContentType(text) => (CONTENT_TYPE, text.len()),
            Self::UserProperty { name, value } => (USER_PROPERTY, 2 + name.len() + value.len()),
            Self::Delivery { .. } => (DELIVERY, 2),
            Self::Truncated { .. } => (TRUNCATED, 4),
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
            Self::ContentType(text) => out.extend_from_slice(text.as_bytes()),
            Self::UserProperty { name, value } => {
                // The whole fits into 16 bits.
                let name_len = u16::try_from(name.len()).unwrap_or_default();
                out.extend_from_slice(&name_len.to_le_bytes());
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(value.as_bytes());
            }
            Self::Delivery { qos, retain } => out.extend_from_slice(&[*qos, u8::from(*retain)]),
            Self::Truncated { user_properties, content_type_bytes } => {
                out.extend_from_slice(&user_properties.to_le_bytes());
                out.extend_from_slice(&content_type_bytes.to_le_bytes());
            }
        }
    }
}

/// Appends what the publisher said beside topic and payload, as much as a record holds, and whether that is all.
pub fn write_properties<'a>(
    content_type: Option<&str>,
    user: impl IntoIterator<Item = (&'a str, &'a str)>,
    out: &mut Vec<u8>,
) {
    let mut content_type_bytes = 0;
    if let Some(whole) = content_type {
        let kept = whole.get(..whole.floor_char_boundary(CONTENT_TYPE_BYTES_MAX)).unwrap_or(whole);
        Attribute::ContentType(kept).write(out);
        content_type_bytes = whole.len() - kept.len();
    }
    let mut user = user.into_iter().peekable();
    let mut room = USER_PROPERTIES_BYTES_MAX;
    while let Some((name, value)) = user.peek() {
        let Some(left) = room.checked_sub(HEAD_LEN + 2 + name.len() + value.len()) else { break };
        Attribute::UserProperty { name, value }.write(out);
        room = left;
        user.next();
    }
    let user_properties = user.count();
    if user_properties > 0 || content_type_bytes > 0 {
        let count = |missing| u16::try_from(missing).unwrap_or(u16::MAX);
        let user_properties = count(user_properties);
        Attribute::Truncated { user_properties, content_type_bytes: count(content_type_bytes) }
            .write(out);
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
        CONTENT_TYPE => std::str::from_utf8(value).ok().map(Attribute::ContentType),
        USER_PROPERTY => {
            let len = fields.u16()?;
            let name = std::str::from_utf8(fields.bytes(len.into())?).ok()?;
            Some(Attribute::UserProperty { name, value: std::str::from_utf8(fields.0).ok()? })
        }
        DELIVERY => match value {
            &[qos @ 0..=2, retain @ 0..=1] => {
                Some(Attribute::Delivery { qos, retain: retain == 1 })
            }
            _ => None,
        },
        TRUNCATED => {
            let (user_properties, content_type_bytes) = (fields.u16()?, fields.u16()?);
            let all = Attribute::Truncated { user_properties, content_type_bytes };
            fields.0.is_empty().then_some(all)
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

    fn hex(attribute: Attribute<'_>) -> String {
        let mut bytes = Vec::new();
        attribute.write(&mut bytes);
        assert_eq!(read(&bytes).collect::<Vec<_>>(), [attribute]);
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn golden_bytes_of_what_the_publisher_said() {
        assert_eq!(hex(Attribute::ContentType("a/b")), "030300612f62");
        let pair = Attribute::UserProperty { name: "fw", value: "2.1" };
        assert_eq!(hex(pair), "04070002006677322e31");
        assert_eq!(hex(Attribute::UserProperty { name: "", value: "" }), "0402000000");
        assert_eq!(hex(Attribute::Delivery { qos: 2, retain: true }), "0502000201");
        assert_eq!(hex(Attribute::Delivery { qos: 0, retain: false }), "0502000000");
        let cut = Attribute::Truncated { user_properties: 0x0102, content_type_bytes: 3 };
        assert_eq!(hex(cut), "06040002010300");
    }

    #[test]
    fn the_usual_delivery_takes_no_byte() {
        assert_eq!(Attribute::unusual(1, false), None);
        let mut bytes = Vec::new();
        write_properties(None, [], &mut bytes);
        assert_eq!(bytes, b"");
        for (qos, retain) in [(0, false), (2, false), (1, true)] {
            let said = Some(Attribute::Delivery { qos, retain });
            assert_eq!(Attribute::unusual(qos, retain), said);
        }
    }

    #[test]
    fn properties_keep_their_order_and_their_repeats() {
        let pairs = [("b", "1"), ("a", "2"), ("b", "1"), ("", "")];
        let mut bytes = Vec::new();
        write_properties(Some("text/plain"), pairs, &mut bytes);
        let pairs = pairs.map(|(name, value)| Attribute::UserProperty { name, value });
        let expected = [&[Attribute::ContentType("text/plain")][..], &pairs].concat();
        assert_eq!(read(&bytes).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn inv8_what_is_too_long_is_cut_off_by_whole_pairs_and_that_is_said() {
        let (half, long) = ("v".repeat(2039), "ä".repeat(200));
        // Five bytes and a name of one byte each: 2 x 2045 leaves room for one more byte, not for a third pair.
        let pairs = [("a", half.as_str()), ("b", &half), ("c", "x"), ("", "")];
        let mut bytes = Vec::new();
        write_properties(Some(&format!("x{long}")), pairs, &mut bytes);
        let kept = format!("x{}", "ä".repeat(127));
        let expected = [
            Attribute::ContentType(&kept),
            Attribute::UserProperty { name: "a", value: &half },
            Attribute::UserProperty { name: "b", value: &half },
            Attribute::Truncated { user_properties: 2, content_type_bytes: 146 },
        ];
        assert_eq!(read(&bytes).collect::<Vec<_>>(), expected);
        let exact = "v".repeat(USER_PROPERTIES_BYTES_MAX - 5);
        for (value, whole) in [(exact.clone(), true), (format!("{exact}v"), false)] {
            let mut bytes = Vec::new();
            write_properties(None, [("", value.as_str())], &mut bytes);
            let cut = Attribute::Truncated { user_properties: 1, content_type_bytes: 0 };
            assert_eq!(read(&bytes).any(|attribute| attribute == cut), !whole);
        }
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        let known = Attribute::Exchange { pkid: 5, client_id: "c" };
        let mut bytes = vec![200, 3, 0, 1, 2, 3];
        known.write(&mut bytes);
        // Known kinds with values that no writer writes.
        bytes.extend([1, 1, 0, 9]);
        bytes.extend([3, 1, 0, 0xff, 4, 1, 0, 9, 4, 3, 0, 2, 0, b'x', 5, 2, 0, 3, 0, 6, 1, 0, 0]);
        assert_eq!(read(&bytes).collect::<Vec<_>>(), [known]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes: Vec<u8>) {
            prop_assert!(read(&bytes).count() <= bytes.len() / 3);
        }

        #[test]
        fn what_was_said_is_read_as_far_as_it_fits(
            content_type in prop::option::of(".{0,300}"),
            user in prop::collection::vec((".{0,400}", ".{0,400}"), 0..20),
        ) {
            let mut bytes = Vec::new();
            let pairs = user.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            write_properties(content_type.as_deref(), pairs, &mut bytes);
            let most = USER_PROPERTIES_BYTES_MAX + CONTENT_TYPE_BYTES_MAX + 2 * HEAD_LEN + 4;
            prop_assert!(bytes.len() <= most);
            let (mut kept, mut missing) = (0, 0);
            for attribute in read(&bytes) {
                match attribute {
                    Attribute::ContentType(text) => {
                        prop_assert!(content_type.as_deref().is_some_and(|all| all.starts_with(text)));
                    }
                    Attribute::UserProperty { name, value } => {
                        prop_assert_eq!((name, value), (&*user[kept].0, &*user[kept].1));
                        kept += 1;
                    }
                    Attribute::Truncated { user_properties, .. } => missing = user_properties.into(),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            prop_assert_eq!(kept + missing, user.len());
        }
    }
}
