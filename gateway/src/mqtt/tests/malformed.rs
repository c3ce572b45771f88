//! What the specifications forbid, each as bytes with the reason that the client is told.

use proptest::prelude::*;

use super::*;
use crate::mqtt::properties::USER_PROPERTIES_MAX;

const M: Reason = Reason::Malformed;
const P: Reason = Reason::Protocol;
const BOTH: &[Version] = &[Version::V311, Version::V5];
const OLD: &[Version] = &[Version::V311];
const NEW: &[Version] = &[Version::V5];

fn check(cases: &[(&str, &[Version], &[u8], Reason)]) {
    for (what, versions, packet, reason) in cases {
        for version in *versions {
            let outcome = read(*version, bytes(&[packet]));
            assert_eq!(outcome, Err(*reason), "{version:?}: {what}");
        }
    }
}

#[test]
fn fixed_headers() {
    check(&[
        ("packet type 0", BOTH, b"\x00\x00", M),
        ("packet type 15 in 3.1.1", OLD, b"\xf0\x00", M),
        ("QoS 3, before anything else is there", BOTH, b"\x36", M),
        ("DUP with QoS 0", BOTH, b"\x38", M),
        ("PUBACK with flags", BOTH, b"\x42\x02\x00\x01", M),
        ("PUBREC with flags", BOTH, b"\x51\x02\x00\x01", M),
        ("PUBREL without its flag", BOTH, b"\x60\x02\x00\x01", M),
        ("PUBREL with another flag", BOTH, b"\x63\x02\x00\x01", M),
        ("PUBCOMP with flags", BOTH, b"\x78\x02\x00\x01", M),
        ("SUBSCRIBE without its flag", BOTH, b"\x80", M),
        ("UNSUBSCRIBE without its flag", BOTH, b"\xa0", M),
        ("PINGREQ with flags", BOTH, b"\xc1\x00", M),
        ("DISCONNECT with flags", BOTH, b"\xe8\x00", M),
        ("AUTH with flags", NEW, b"\xf1\x00", M),
        ("CONNECT with flags", BOTH, b"\x11\x00", M),
        ("a length of five bytes", BOTH, b"\x30\xff\xff\xff\xff\x01", M),
        ("a length of five bytes, four of them here", BOTH, b"\x30\x80\x80\x80\x80", M),
        ("a padded length", NEW, b"\xc0\x80\x00", M),
        ("PINGREQ with a body", BOTH, b"\xc0\x01\x00", M),
        ("DISCONNECT with a body in 3.1.1", OLD, b"\xe0\x01\x00", M),
    ]);
    assert_eq!(read(Version::V311, bytes(&[b"\xc0\x80\x00"])), Ok(Some(Incoming::PingReq)));
}

#[test]
fn packets_of_servers() {
    let cases: [(&[u8], _); 6] = [
        (b"\x10\x00", "second CONNECT"),
        (b"\x20\x02\x00\x00", "CONNACK"),
        (b"\x90\x03\x00\x01\x00", "SUBACK"),
        (b"\xb0\x02\x00\x01", "UNSUBACK"),
        (b"\xd0\x00", "PINGRESP"),
        (b"\xf0\x00", "AUTH"),
    ];
    for (packet, name) in cases {
        let outcome = read(Version::V5, bytes(&[packet]));
        assert_eq!(outcome, Ok(Some(Incoming::Unexpected(name))));
    }
}

#[test]
fn publish() {
    check(&[
        ("no topic at all", BOTH, b"\x30\x00", M),
        ("an empty topic", OLD, b"\x30\x02\x00\x00", P),
        ("an empty topic without an alias", NEW, b"\x30\x03\x00\x00\x00", P),
        ("a topic that is longer than the packet", BOTH, b"\x30\x04\x00\x05ab", M),
        ("U+0000", BOTH, b"\x30\x06\x00\x03a\x00b\x00", M),
        ("a byte that is no UTF-8", BOTH, b"\x30\x04\x00\x01\xff\x00", M),
        ("an overlong form", BOTH, b"\x30\x05\x00\x02\xc0\xaf\x00", M),
        ("half of a surrogate pair", BOTH, b"\x30\x06\x00\x03\xed\xa0\x80\x00", M),
        ("above U+10FFFF", BOTH, b"\x30\x07\x00\x04\xf4\x90\x80\x80\x00", M),
        ("a character that is cut off", BOTH, b"\x30\x05\x00\x02\xe2\x82\x00", M),
        ("packet id 0, QoS 1", BOTH, b"\x32\x06\x00\x01t\x00\x00\x00", P),
        ("packet id 0, QoS 2", BOTH, b"\x34\x06\x00\x01t\x00\x00\x00", P),
        ("no packet id", BOTH, b"\x32\x03\x00\x01t", M),
        ("no properties", NEW, b"\x30\x03\x00\x01t", M),
        ("properties longer than the packet", NEW, b"\x30\x06\x00\x01t\x05\x01\x00", M),
        ("a property length without an end", NEW, b"\x30\x05\x00\x01t\x80\x80", M),
        ("a padded property length", NEW, b"\x30\x05\x00\x01t\x80\x00", M),
        ("a property length of five bytes", NEW, b"\x30\x08\x00\x01t\x80\x80\x80\x80\x00", M),
        ("a property that reaches beyond the others", NEW, b"\x30\x06\x00\x01t\x01\x01\x01", M),
        ("a subscription identifier", NEW, b"\x30\x06\x00\x01t\x02\x0b\x01", P),
        ("topic alias 0", NEW, b"\x30\x07\x00\x01t\x03\x23\x00\x00", Reason::TopicAlias),
        ("two topic aliases", NEW, b"\x30\x0a\x00\x01t\x06\x23\x00\x01\x23\x00\x01", P),
        ("payload format 2", NEW, b"\x30\x06\x00\x01t\x02\x01\x02", P),
        ("two payload formats", NEW, b"\x30\x08\x00\x01t\x04\x01\x01\x01\x01", P),
        ("a response topic with +", NEW, b"\x30\x08\x00\x01t\x04\x08\x00\x01+", P),
        ("a response topic with #", NEW, b"\x30\x08\x00\x01t\x04\x08\x00\x01#", P),
        ("an empty response topic", NEW, b"\x30\x07\x00\x01t\x03\x08\x00\x00", P),
        ("U+0000 in a content type", NEW, b"\x30\x08\x00\x01t\x04\x03\x00\x01\x00", M),
        ("no UTF-8 in a user property", NEW, b"\x30\x0a\x00\x01t\x06\x26\x00\x01\xff\x00\x00", M),
        ("half a user property", NEW, b"\x30\x08\x00\x01t\x04\x26\x00\x01a", M),
        ("a property of CONNECT", NEW, b"\x30\x07\x00\x01t\x03\x21\x00\x01", M),
        ("an unknown property", NEW, b"\x30\x06\x00\x01t\x02\x04\x00", M),
        ("a property id of two bytes", NEW, b"\x30\x07\x00\x01t\x03\x81\x00\x00", M),
        ("property id 64", NEW, b"\x30\x06\x00\x01t\x02\x40\x00", M),
    ]);
}

#[test]
fn acknowledgements() {
    check(&[
        ("packet id 0 in PUBACK", BOTH, b"\x40\x02\x00\x00", P),
        ("packet id 0 in PUBREC", BOTH, b"\x50\x02\x00\x00", P),
        ("packet id 0 in PUBREL", BOTH, b"\x62\x02\x00\x00", P),
        ("packet id 0 in PUBCOMP", BOTH, b"\x70\x02\x00\x00", P),
        ("half a packet id", BOTH, b"\x40\x01\x00", M),
        ("a reason in 3.1.1", OLD, b"\x40\x03\x00\x01\x00", M),
        ("a reason that PUBACK has not", NEW, b"\x40\x03\x00\x01\x92", P),
        ("a reason that PUBREC has not", NEW, b"\x50\x03\x00\x01\x01", P),
        ("a reason that PUBREL has not", NEW, b"\x62\x03\x00\x01\x80", P),
        ("a reason that PUBCOMP has not", NEW, b"\x70\x03\x00\x01\x10", P),
        ("bytes behind the properties", NEW, b"\x40\x05\x00\x01\x00\x00\x00", M),
        ("two reason strings", NEW, b"\x40\x0a\x00\x01\x00\x06\x1f\x00\x00\x1f\x00\x00", P),
        ("a property of PUBLISH", NEW, b"\x40\x06\x00\x01\x00\x02\x01\x00", M),
    ]);
}

#[test]
fn subscribe_and_unsubscribe() {
    check(&[
        ("no filter", OLD, b"\x82\x02\x00\x01", P),
        ("no filter", NEW, b"\x82\x03\x00\x01\x00", P),
        ("packet id 0", OLD, b"\x82\x06\x00\x00\x00\x01a\x00", P),
        ("packet id 0", NEW, b"\x82\x07\x00\x00\x00\x00\x01a\x00", P),
        ("a filter without options", OLD, b"\x82\x05\x00\x01\x00\x01a", M),
        ("a filter without options", NEW, b"\x82\x06\x00\x01\x00\x00\x01a", M),
        ("QoS 3", OLD, b"\x82\x06\x00\x01\x00\x01a\x03", P),
        ("QoS 3", NEW, b"\x82\x07\x00\x01\x00\x00\x01a\x03", P),
        ("options of MQTT 5 in 3.1.1", OLD, b"\x82\x06\x00\x01\x00\x01a\x04", M),
        ("reserved bit 6", NEW, b"\x82\x07\x00\x01\x00\x00\x01a\x40", M),
        ("reserved bit 7", NEW, b"\x82\x07\x00\x01\x00\x00\x01a\x80", M),
        ("retain handling 3", NEW, b"\x82\x07\x00\x01\x00\x00\x01a\x30", P),
        ("No Local with a share", NEW, b"\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x04", P),
        ("subscription identifier 0", NEW, b"\x82\x09\x00\x01\x02\x0b\x00\x00\x01a\x00", P),
        (
            "two subscription identifiers",
            NEW,
            b"\x82\x0b\x00\x01\x04\x0b\x01\x0b\x01\x00\x01a\x00",
            P,
        ),
        (
            "a subscription identifier of five bytes",
            NEW,
            b"\x82\x0d\x00\x01\x06\x0b\xff\xff\xff\xff\x01\x00\x01a\x00",
            M,
        ),
        ("U+0000 in a filter", OLD, b"\x82\x06\x00\x01\x00\x01\x00\x00", M),
        ("nothing to unsubscribe", OLD, b"\xa2\x02\x00\x01", P),
        ("nothing to unsubscribe", NEW, b"\xa2\x03\x00\x01\x00", P),
        ("packet id 0", OLD, b"\xa2\x05\x00\x00\x00\x01a", P),
        ("a subscription identifier", NEW, b"\xa2\x08\x00\x01\x02\x0b\x01\x00\x01a", M),
        ("a filter that is cut off", BOTH, b"\xa2\x05\x00\x01\x00\x04a", M),
    ]);
}

#[test]
fn disconnect() {
    check(&[
        ("a reason of servers", NEW, b"\xe0\x01\x8b", P),
        ("an unknown reason", NEW, b"\xe0\x01\x01", P),
        ("bytes behind the properties", NEW, b"\xe0\x03\x00\x00\x00", M),
        (
            "two session expiries",
            NEW,
            b"\xe0\x0c\x00\x0a\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01",
            P,
        ),
        ("a property of CONNECT", NEW, b"\xe0\x05\x00\x03\x21\x00\x01", M),
    ]);
}

#[test]
fn connect() {
    let old = |rest: &[u8]| connecting(packet(0x10, &[b"\x00\x04MQTT\x04", rest]));
    let refused: Result<Connect, _> = Err(Some((None, M)));
    let name = b"\x00\x1e\x00\x01x";
    assert_eq!(old(&[b"\x03", &name[..]].concat()), refused, "reserved flag");
    assert_eq!(old(&[b"\x42", &name[..], b"\x00\x01p"].concat()), refused, "password alone");
    for (flags, what) in [(0x0a, "will QoS"), (0x22, "will retain"), (0x1e, "will QoS 3")] {
        let bytes = [&[flags], &name[..], b"\x00\x01w\x00\x00"].concat();
        assert_eq!(old(&bytes), refused, "{what}");
    }
    assert_eq!(old(b"\x02\x00\x1e\x00\x01\x00"), refused, "U+0000");
    assert_eq!(old(b"\x02\x00\x1e\x00\x01\xff"), refused, "no UTF-8");

    let new = |properties: &[u8]| {
        let len = [u8::try_from(properties.len()).unwrap()];
        let parts = [b"\x00\x04MQTT\x05\x02\x00\x1e", &len[..], properties, b"\x00\x01x"];
        match connecting(packet(0x10, &parts)) {
            Err(Some((Some(Version::V5), reason))) => reason,
            other => panic!("{properties:x?}: {other:?}"),
        }
    };
    let cases: [(&[u8], Reason); 12] = [
        (b"\x21\x00\x00", P),
        (b"\x27\x00\x00\x00\x00", P),
        (b"\x17\x02", P),
        (b"\x19\x02", P),
        (b"\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01", P),
        (b"\x22\x00\x01\x22\x00\x01", P),
        (b"\x15\x00\x01a\x15\x00\x01a", P),
        (b"\x16\x00\x01a", P),
        (b"\x18\x00\x00\x00\x01", M),
        (b"\x0b\x01", M),
        (b"\x11\x00", M),
        (b"\x15\x00\x02a", M),
    ];
    for (properties, reason) in cases {
        assert_eq!(new(properties), reason, "{properties:x?}");
    }
    let will = packet(
        0x10,
        &[b"\x00\x04MQTT\x05\x06\x00\x1e\x00\x00\x01x", b"\x03\x23\x00\x01\x00\x01w\x00\x00"],
    );
    let alias = connecting(will);
    assert_eq!(alias, Err(Some((Some(Version::V5), M))), "a will with a topic alias");
}

#[test]
fn user_properties_are_limited() {
    let publish = |count: usize| {
        let user = b"\x26\x00\x00\x00\x00".repeat(count);
        let length = packet(0x30, &[&user]);
        let whole = packet(0x30, &[b"\x00\x01t", &length[1..]]);
        read(Version::V5, whole)
    };
    let Ok(Some(Incoming::Publish(most))) = publish(USER_PROPERTIES_MAX) else {
        panic!("no PUBLISH");
    };
    let properties = most.properties.unwrap();
    assert_eq!(properties.user.len(), USER_PROPERTIES_MAX);
    assert!(properties.bytes() >= USER_PROPERTIES_MAX * size_of::<(String, String)>());
    assert_eq!(publish(USER_PROPERTIES_MAX + 1), Err(Reason::QuotaExceeded));
}

#[test]
fn packets_above_the_limit_are_refused_before_they_arrive() {
    for version in [Version::V311, Version::V5] {
        for first in [0x30, 0x82, 0x40, 0xe0] {
            let mut header = bytes(&[&[first, 0xff, 0xff, 0x7f]]);
            assert_eq!(version.read(&mut header, 1000), Err(Reason::PacketTooLarge));
        }
        let mut exact = bytes(&[b"\x30\x07\x00\x01t\x00abc"]);
        assert!(matches!(version.read(&mut exact.clone(), 9), Ok(Some(_))));
        assert_eq!(version.read(&mut exact, 8), Err(Reason::PacketTooLarge));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_codec_panic(first: u8, body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for version in [Version::V311, Version::V5] {
            let mut stream = packet(first, &[&body]);
            stream.extend_from_slice(&body);
            while let Ok(Some(_)) = version.read(&mut stream, MAX) {}
        }
        read_connect(&mut bytes(&[&body]), MAX);
        for level in [4, 5] {
            let mut start = packet(0x10, &[b"\x00\x04MQTT", &[level], &body]);
            read_connect(&mut start, MAX);
        }
    }

    /// Bytes near to those of a packet reach further than any bytes do.
    #[test]
    fn no_change_of_a_byte_makes_the_codec_panic(at in 0_usize..64, byte: u8, cut in 0_usize..64) {
        let properties: &[u8] = b"\x1c\x01\x00\x02\x00\x00\x01\x00\x03\x00\x01c\x08\x00\x01r\x09\x00\x00\x26\x00\x01k\x00\x01v\x23\x00\x01";
        let mut whole = packet(0x32, &[b"\x00\x03a/b\x00\x01", properties, b"payload"]);
        whole.truncate(whole.len() - cut.min(40));
        if let Some(old) = whole.get_mut(at) {
            *old = byte;
        }
        for version in [Version::V311, Version::V5] {
            let mut stream = whole.clone();
            while let Ok(Some(_)) = version.read(&mut stream, MAX) {}
        }
    }
}
