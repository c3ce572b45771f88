//! What a connected client sends: golden bytes, and every cut of them.

use super::*;

struct Sample {
    version: Version,
    bytes: BytesMut,
    packet: Incoming,
    /// Bodies that are packets of their own right when they are cut to this many bytes.
    sound: &'static [usize],
}

fn sample(version: Version, bytes: &[u8], packet: Incoming, sound: &'static [usize]) -> Sample {
    Sample { version, bytes: BytesMut::from(bytes), packet, sound }
}

fn samples_311() -> Vec<Sample> {
    let of = |bytes, packet, sound| sample(Version::V311, bytes, packet, sound);
    let disconnect = Incoming::Disconnect { publish_will: false, session_expiry_seconds: None };
    let subscriptions = vec![subscription("a/+", 1), subscription("#", 2)];
    vec![
        of(b"\x30\x06\x00\x03a/bh", Incoming::Publish(publish("a/b", b"h")), &[5]),
        of(
            b"\x3b\x09\x00\x03a/b\x00\x07hi",
            Incoming::Publish(Publish {
                qos: 1,
                dup: true,
                retain: true,
                pkid: 7,
                ..publish("a/b", b"hi")
            }),
            &[7, 8],
        ),
        of(
            b"\x34\x05\x00\x01t\xff\xff",
            Incoming::Publish(Publish { qos: 2, pkid: u16::MAX, ..publish("t", b"") }),
            &[],
        ),
        of(b"\x40\x02\x00\x01", Incoming::PubAck { pkid: 1, reason: 0 }, &[]),
        of(b"\x50\x02\x01\x00", Incoming::PubRec { pkid: 256, reason: 0 }, &[]),
        of(b"\x62\x02\x00\x02", Incoming::PubRel { pkid: 2, reason: 0 }, &[]),
        of(b"\x70\x02\x00\x03", Incoming::PubComp { pkid: 3, reason: 0 }, &[]),
        of(
            b"\x82\x0c\x00\x04\x00\x03a/+\x01\x00\x01#\x02",
            Incoming::Subscribe { pkid: 4, id: None, subscriptions },
            &[8],
        ),
        of(
            b"\xa2\x0a\x00\x05\x00\x03a/+\x00\x01#",
            Incoming::Unsubscribe { pkid: 5, filters: vec!["a/+".into(), "#".into()] },
            &[7],
        ),
        of(b"\xc0\x00", Incoming::PingReq, &[]),
        of(b"\xe0\x00", disconnect, &[]),
    ]
}

fn samples_5() -> Vec<Sample> {
    let of = |bytes, packet, sound| sample(Version::V5, bytes, packet, sound);
    let disconnect = |publish_will, session_expiry_seconds| Incoming::Disconnect {
        publish_will,
        session_expiry_seconds,
    };
    vec![
        of(b"\x30\x05\x00\x01t\x00x", Incoming::Publish(publish("t", b"x")), &[4]),
        of(
            b"\x35\x0a\x00\x00\x00\x09\x03\x23\x00\x05xy",
            Incoming::Publish(Publish {
                alias: Some(5),
                qos: 2,
                retain: true,
                pkid: 9,
                ..publish("", b"xy")
            }),
            &[8, 9],
        ),
        of(b"\x40\x02\x00\x01", Incoming::PubAck { pkid: 1, reason: 0 }, &[]),
        of(
            b"\x40\x11\x00\x01\x10\x0d\x1f\x00\x03why\x26\x00\x01a\x00\x01b",
            Incoming::PubAck { pkid: 1, reason: 0x10 },
            &[2, 3],
        ),
        of(b"\x50\x03\x00\x02\x97", Incoming::PubRec { pkid: 2, reason: 0x97 }, &[2]),
        of(b"\x62\x04\x00\x03\x92\x00", Incoming::PubRel { pkid: 3, reason: 0x92 }, &[2, 3]),
        of(b"\x70\x03\x00\x04\x00", Incoming::PubComp { pkid: 4, reason: 0 }, &[2]),
        of(
            b"\x82\x17\x00\x05\x0a\x0b\xff\x7f\x26\x00\x01a\x00\x01b\x00\x03a/+\x2e\x00\x01#\x11",
            Incoming::Subscribe {
                pkid: 5,
                id: Some(16_383),
                subscriptions: vec![
                    Subscription {
                        no_local: true,
                        retain_as_published: true,
                        retain_handling: 2,
                        ..subscription("a/+", 2)
                    },
                    Subscription { retain_handling: 1, ..subscription("#", 1) },
                ],
            },
            &[19],
        ),
        of(
            b"\xa2\x0d\x00\x06\x07\x26\x00\x01a\x00\x01b\x00\x01#",
            Incoming::Unsubscribe { pkid: 6, filters: vec!["#".into()] },
            &[],
        ),
        of(b"\xc0\x00", Incoming::PingReq, &[]),
        of(b"\xe0\x00", disconnect(false, None), &[]),
        of(b"\xe0\x01\x00", disconnect(false, None), &[0]),
        of(b"\xe0\x01\x04", disconnect(true, None), &[0]),
        of(b"\xe0\x02\x81\x00", disconnect(true, None), &[0, 1]),
        of(
            b"\xe0\x0d\x00\x0b\x11\x00\x00\x00\x3c\x1f\x00\x03bye",
            disconnect(false, Some(60)),
            &[0, 1],
        ),
    ]
}

fn samples() -> impl Iterator<Item = Sample> {
    samples_311().into_iter().chain(samples_5())
}

#[test]
fn golden_bytes_of_every_packet_of_a_client() {
    for Sample { version, bytes, packet, .. } in samples() {
        assert_eq!(read(version, bytes.clone()), Ok(Some(packet)), "{version:?} {bytes:x?}");
    }
}

#[test]
fn properties_of_a_message_arrive() {
    let bytes = packet(
        0x30,
        &[
            b"\x00\x01t\x1c",
            b"\x01\x00",
            b"\x02\x00\x00\x01\x00",
            b"\x03\x00\x01c",
            b"\x08\x00\x01r",
            b"\x09\x00\x00",
            b"\x26\x00\x01k\x00\x01v",
            b"\x23\x00\x01",
            b"payload",
        ],
    );
    let properties = Properties {
        payload_format: Some(0),
        expiry_seconds: Some(256),
        response_topic: Some("r".into()),
        correlation: Some(vec![]),
        user: vec![("k".into(), "v".into())],
        content_type: Some("c".into()),
    };
    let expected = Publish {
        alias: Some(1),
        properties: Some(Box::new(properties)),
        ..publish("t", b"payload")
    };
    assert_eq!(read(Version::V5, bytes), Ok(Some(Incoming::Publish(expected))));
}

#[test]
fn user_properties_keep_their_order_and_may_repeat() {
    let user: &[u8] = b"\x26\x00\x01b\x00\x011\x26\x00\x01a\x00\x012\x26\x00\x01b\x00\x011";
    let bytes = packet(0x30, &[b"\x00\x01t\x15", user]);
    let Ok(Some(Incoming::Publish(publish))) = read(Version::V5, bytes) else {
        panic!("no PUBLISH");
    };
    let user = publish.properties.unwrap().user;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(user, [pair("b", "1"), pair("a", "2"), pair("b", "1")]);
}

#[test]
fn text_of_any_script_arrives_as_it_was() {
    // U+FEFF is no mark here: it stays [MQTT-1.5.4-3].
    for topic in ["é/温度", "\u{feff}a", "\u{10ffff}", "\u{1}\u{7f}\u{fffe}"] {
        for version in [Version::V311, Version::V5] {
            let len = u8::try_from(topic.len()).unwrap();
            let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
            let bytes = packet(0x30, &[&[0, len], topic.as_bytes(), properties]);
            let Ok(Some(Incoming::Publish(publish))) = read(version, bytes) else {
                panic!("no PUBLISH");
            };
            assert_eq!(publish.topic, topic);
        }
    }
}

#[test]
fn a_packet_cut_anywhere_is_awaited_and_what_follows_stays() {
    for Sample { version, bytes, packet, .. } in samples() {
        for cut in 0..bytes.len() {
            let mut part = BytesMut::from(&bytes[..cut]);
            assert_eq!(version.read(&mut part, MAX), Ok(None), "{bytes:x?} cut at {cut}");
            assert_eq!(part.len(), cut, "nothing is taken");
            part.extend_from_slice(&bytes[cut..]);
            part.extend_from_slice(b"\xc0\x00");
            assert_eq!(version.read(&mut part, MAX), Ok(Some(packet.clone())));
            assert_eq!(version.read(&mut part, MAX), Ok(Some(Incoming::PingReq)));
        }
    }
}

#[test]
fn a_body_that_is_cut_short_is_refused_where_it_is_no_packet_of_its_own() {
    for Sample { version, bytes, sound, .. } in samples() {
        let body = &bytes[2..];
        for cut in 0..body.len() {
            let outcome = read(version, packet(bytes[0], &[&body[..cut]]));
            let is_sound = matches!(outcome, Ok(Some(_)));
            assert_eq!(is_sound, sound.contains(&cut), "{bytes:x?} cut at {cut}: {outcome:?}");
            assert!(outcome != Ok(None), "a whole packet is not awaited");
        }
    }
}

#[test]
fn a_body_that_is_too_long_is_refused_where_no_payload_ends_it() {
    for Sample { version, bytes, packet: sample, .. } in samples() {
        let outcome = read(version, packet(bytes[0], &[&bytes[2..], &[0]]));
        let bare_ack = bytes[1] == 2 && version == Version::V5;
        let bare_disconnect = bytes[1] < 2 && bytes[0] == 0xe0 && version == Version::V5;
        let with_reason = bytes[1] == 3 && version == Version::V5;
        match sample {
            Incoming::Publish(_) => assert!(matches!(outcome, Ok(Some(_)))),
            // A reason of 0, or no properties.
            _ if bare_ack && bytes[0] != 0xe0 || bare_disconnect || with_reason => {
                assert!(matches!(outcome, Ok(Some(_))), "{bytes:x?}: {outcome:?}");
            }
            _ => assert_eq!(outcome, Err(Reason::Malformed), "{bytes:x?}"),
        }
    }
}

#[test]
fn lengths_of_two_to_four_bytes_are_read() {
    for len in [127, 128, 16_383, 16_384, 200_000, 2_097_151, 2_097_152] {
        let payload = vec![b'x'; len - 4];
        let mut bytes = packet(0x30, &[b"\x00\x01t\x00", &payload]);
        let Ok(Some(Incoming::Publish(publish))) = Version::V5.read(&mut bytes, 1 << 22) else {
            panic!("no PUBLISH of {len} bytes");
        };
        assert_eq!(publish.payload, payload);
    }
}

#[test]
fn a_payload_is_a_slice_of_what_was_read() {
    let mut bytes = packet(0x30, &[b"\x00\x01t\x00", b"payload"]);
    let start = bytes.as_ptr() as usize + 6;
    let Ok(Some(Incoming::Publish(publish))) = Version::V5.read(&mut bytes, MAX) else {
        panic!("no PUBLISH");
    };
    assert_eq!(publish.payload.as_ptr() as usize, start);
}
