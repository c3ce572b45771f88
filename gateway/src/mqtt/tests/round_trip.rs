//! What is written is read as it was, whatever it says.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;

prop_compose! {
    fn text()(text in "[^\u{0}]{0,40}") -> String { text }
}

prop_compose! {
    pub(super) fn properties()(
        payload_format in option::of(0_u8..2),
        expiry_seconds in option::of(any::<u32>()),
        response_topic in option::of("[^\u{0}+#]{1,20}"),
        correlation in option::of(vec(any::<u8>(), 0..20)),
        user in vec((text(), text()), 0..5),
        content_type in option::of(text()),
    ) -> Properties {
        Properties { payload_format, expiry_seconds, response_topic, correlation, user, content_type }
    }
}

prop_compose! {
    /// A message as a client would send it: what stands in no packet is at its default.
    pub(super) fn message()(
        topic in "[^\u{0}]{1,40}",
        payload in vec(any::<u8>(), 0..300),
        qos in 0_u8..3,
        flags in any::<(bool, bool)>(),
        pkid in 1_u16..,
        alias in option::of(1_u16..),
        properties in properties(),
    ) -> Publish {
        let none = properties == Properties::default();
        Publish {
            topic,
            alias,
            payload: payload.into(),
            qos,
            retain: flags.0,
            dup: flags.1 && qos > 0,
            pkid: if qos == 0 { 0 } else { pkid },
            properties: (!none).then(|| Box::new(properties)),
        }
    }
}

/// The server's PUBLISH has the form of a client's, but for subscription identifiers.
fn write(version: Version, publish: &Publish, out: &mut BytesMut) -> usize {
    let delivery = Delivery {
        topic: &publish.topic,
        payload: &publish.payload,
        qos: publish.qos,
        retain: publish.retain,
        dup: publish.dup,
        pkid: publish.pkid,
        alias: publish.alias.map(|id| Alias { id, known: false }),
        properties: publish.properties.as_deref(),
        expiry_seconds: publish.properties.as_ref().and_then(|own| own.expiry_seconds),
        subscription_ids: &[],
    };
    version.write_publish(&delivery, out)
}

proptest! {
    #[test]
    fn messages(messages in vec(message(), 1..5)) {
        for version in [Version::V311, Version::V5] {
            let mut stream = BytesMut::new();
            for message in &messages {
                let before = stream.len();
                let size = write(version, message, &mut stream);
                prop_assert_eq!(stream.len() - before, size);
            }
            for message in &messages {
                let mut expected = message.clone();
                if version == Version::V311 {
                    (expected.alias, expected.properties) = (None, None);
                }
                let read = version.read(&mut stream, MAX);
                prop_assert_eq!(read, Ok(Some(Incoming::Publish(expected))));
            }
            prop_assert!(stream.is_empty());
        }
    }

    #[test]
    fn messages_cut_anywhere_are_awaited(message in message()) {
        for version in [Version::V311, Version::V5] {
            let mut whole = BytesMut::new();
            write(version, &message, &mut whole);
            for cut in 0..whole.len() {
                let mut part = BytesMut::from(&whole[..cut]);
                prop_assert_eq!(version.read(&mut part, MAX), Ok(None));
            }
        }
    }

    #[test]
    fn releases(pkid in 1_u16.., lost: bool) {
        let ack = if lost { Ack::PacketIdNotFound } else { Ack::Success };
        let mut stream = BytesMut::new();
        Version::V5.write_puback(pkid, Ack::QuotaExceeded, None, &mut stream);
        Version::V5.write_pubrec(pkid, Ack::Success, None, &mut stream);
        Version::V5.write_pubrel(pkid, ack, &mut stream);
        Version::V5.write_pubcomp(pkid, ack, &mut stream);
        let reason = ack.code();
        for expected in [
            Incoming::PubAck { pkid, reason: 0x97 },
            Incoming::PubRec { pkid, reason: 0 },
            Incoming::PubRel { pkid, reason },
            Incoming::PubComp { pkid, reason },
        ] {
            prop_assert_eq!(Version::V5.read(&mut stream, MAX), Ok(Some(expected)));
        }
    }
}

#[test]
fn large_messages_keep_their_length() {
    // Around every number of bytes that a length may take.
    for len in
        [100, 117, 118, 119, 120, 121, 122, 16_370, 16_379, 16_380, 16_381, 2_097_144, 2_097_150]
    {
        let payload = Bytes::from(vec![7; len]);
        for version in [Version::V311, Version::V5] {
            let mut out = BytesMut::new();
            let size = version.write_publish(&delivery("a/b", &payload), &mut out);
            assert_eq!(size, out.len());
            let Ok(Some(Incoming::Publish(read))) = version.read(&mut out, size) else {
                panic!("no PUBLISH of {len} bytes");
            };
            assert_eq!((read.topic.as_str(), &read.payload), ("a/b", &payload));
        }
    }
}
