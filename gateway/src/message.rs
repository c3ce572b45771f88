//! A message on its way to subscribers, and its form on disk.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::mqtt::{Properties, Publish};

/// A message that somebody published, shared by everybody who gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    /// As it was published: a delivery has the lower one of this and the subscription's.
    pub(crate) qos: u8,
    /// As it was published, for subscriptions that want it so (MQTT 5 Retain As Published).
    pub(crate) retain: bool,
    pub(crate) properties: Option<Box<Properties>>,
    /// Microseconds since 1970 after which nobody gets it any more.
    pub(crate) expires_us: Option<i64>,
    /// The client id, for subscriptions that want nothing of their own (MQTT 5 No Local).
    pub(crate) publisher: Arc<str>,
}

impl Message {
    /// Takes what a client published. The payload is copied: it is a slice of a large receive buffer, which a message that waits
    /// would keep alive.
    pub(crate) fn published(publish: Publish, publisher: &Arc<str>, now_us: i64) -> Self {
        let lifetime = publish.properties.as_ref().and_then(|own| own.expiry_seconds);
        Self {
            topic: publish.topic,
            payload: Bytes::copy_from_slice(&publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            properties: publish.properties,
            expires_us: lifetime
                .map(|seconds| now_us.saturating_add(i64::from(seconds) * 1_000_000)),
            publisher: publisher.clone(),
        }
    }

    /// A message of the gateway itself.
    pub(crate) fn own(topic: String, payload: impl Into<Bytes>, qos: u8, retain: bool) -> Self {
        let (payload, publisher) = (payload.into(), Arc::from(""));
        Self { topic, payload, qos, retain, properties: None, expires_us: None, publisher }
    }

    /// Returns the seconds that it still lives, rounded up; the inner `None` is for ever, the outer one no longer. Nobody looks at the
    /// clock for what never expires, which is nearly everything.
    pub(crate) fn remaining(&self, now_us: impl FnOnce() -> i64) -> Option<Option<u32>> {
        let Some(expires_us) = self.expires_us else { return Some(None) };
        let left_us =
            u64::try_from(expires_us.saturating_sub(now_us())).ok().filter(|left| *left > 0)?;
        Some(Some(u32::try_from(left_us.div_ceil(1_000_000)).unwrap_or(u32::MAX)))
    }

    /// Returns what it counts in limits of bytes.
    pub(crate) fn size(&self) -> usize {
        let properties = self.properties.as_ref().map_or(0, |own| own.bytes());
        self.topic.len() + self.payload.len() + properties + size_of::<Self>()
    }

    /// Writes it as `version u8 | qos u8 | retain u8 | expires_us i64 (0: never) | topic_len u16 | topic | publisher_len u16 |
    /// publisher | properties_len u32 | properties as JSON | payload`, big endian.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let properties = self.properties.as_ref().map(serde_json::to_vec);
        let properties = properties.and_then(Result::ok).unwrap_or_default();
        let texts = self.topic.len() + self.publisher.len() + properties.len();
        let mut out = BytesMut::with_capacity(32 + texts + self.payload.len());
        out.put_slice(&[1, self.qos, u8::from(self.retain)]);
        out.put_i64(self.expires_us.unwrap_or_default());
        for text in [self.topic.as_str(), &self.publisher] {
            out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
            out.put_slice(text.as_bytes());
        }
        out.put_u32(u32::try_from(properties.len()).unwrap_or(u32::MAX));
        out.put_slice(&properties);
        out.put_slice(&self.payload);
        out.into()
    }

    /// Reads what [`Self::encode`] wrote; `None` for anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[1, qos @ 0..=2, retain], rest) = bytes.split_first_chunk()? else { return None };
        let (expires_us, rest) = rest.split_first_chunk()?;
        let (topic, rest) = text(rest)?;
        let (publisher, rest) = text(rest)?;
        let (length, rest) = rest.split_first_chunk()?;
        let (properties, payload) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let expires_us = Some(i64::from_be_bytes(*expires_us)).filter(|at| *at != 0);
        Some(Self {
            topic: topic.to_owned(),
            payload: Bytes::copy_from_slice(payload),
            qos,
            retain: retain == 1,
            properties: match properties {
                [] => None,
                json => Some(serde_json::from_slice(json).ok()?),
            },
            expires_us,
            publisher: publisher.into(),
        })
    }
}

fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let user = vec![("k".to_owned(), "v".to_owned())];
        Message {
            properties: Some(Box::new(Properties { user, ..Properties::default() })),
            expires_us: Some(2_500_000),
            publisher: "mon-1".into(),
            ..Message::own("cmd/icu/pump-1/rate".into(), "5", 2, true)
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_less() {
        let bytes = message().encode();
        assert_eq!(Message::decode(&bytes), Some(message()));
        let head = bytes.len() - 1;
        for end in 0..head {
            assert_eq!(Message::decode(&bytes[..end]), None, "cut at {end}");
        }
        let plain = Message::own("a".into(), "x", 0, false);
        assert_eq!(Message::decode(&plain.encode()), Some(plain));
    }

    #[test]
    fn the_form_on_disk_stays() {
        let golden = b"\x01\x01\x00\0\0\0\0\0\0\0\x07\0\x03a/b\0\x01c\0\0\0\0hi";
        let message = Message {
            expires_us: Some(7),
            publisher: "c".into(),
            ..Message::own("a/b".into(), "hi", 1, false)
        };
        assert_eq!(message.encode(), golden);
        assert_eq!(Message::decode(golden), Some(message));
    }

    #[test]
    fn a_message_lives_as_long_as_it_says() {
        let message = message();
        assert_eq!(message.remaining(|| 0), Some(Some(3)));
        assert_eq!(message.remaining(|| 2_499_999), Some(Some(1)));
        assert_eq!(message.remaining(|| 2_500_000), None);
        assert_eq!(Message::own("a".into(), "", 0, false).remaining(|| i64::MAX), Some(None));
    }
}
