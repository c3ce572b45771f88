//! What the server writes: golden bytes of every packet.

use super::*;

fn written(write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    // What is there already stays in front.
    let mut out = BytesMut::from(&b"before"[..]);
    write(&mut out);
    assert_eq!(out[..6], b"before"[..]);
    out[6..].to_vec()
}

const OFFER: Offer<'static> = Offer {
    session_present: false,
    session_expiry_seconds: None,
    server_keep_alive: None,
    receive_max: u16::MAX,
    packet_bytes_max: 0x0010_0000,
    topic_alias_max: 0,
    assigned_client_id: None,
};

#[test]
fn connack() {
    let accepted =
        |version: Version, offer: &Offer<'_>| written(|out| version.write_accepted(offer, out));
    assert_eq!(accepted(Version::V311, &OFFER), b"\x20\x02\x00\x00");
    let kept = Offer { session_present: true, ..OFFER };
    assert_eq!(accepted(Version::V311, &kept), b"\x20\x02\x01\x00");
    assert_eq!(accepted(Version::V5, &kept), b"\x20\x08\x01\x00\x05\x27\x00\x10\x00\x00");
    let full = Offer {
        session_present: false,
        session_expiry_seconds: Some(60),
        server_keep_alive: Some(30),
        receive_max: 100,
        packet_bytes_max: 1,
        topic_alias_max: 8,
        assigned_client_id: Some("auto-1"),
    };
    let golden = [
        &b"\x20\x1f\x00\x00\x1c\x11\x00\x00\x00\x3c\x21\x00\x64\x27\x00\x00\x00\x01"[..],
        b"\x12\x00\x06auto-1\x22\x00\x08\x13\x00\x1e",
    ];
    assert_eq!(accepted(Version::V5, &full), golden.concat());
}

#[test]
fn refusals() {
    let refused =
        |version: Version, reason, why| written(|out| version.write_refused(reason, why, out));
    assert_eq!(refused(Version::V5, Reason::NotAuthorized, None), b"\x20\x03\x00\x87\x00");
    let why = refused(Version::V5, Reason::BadLogin, Some("no"));
    assert_eq!(why, b"\x20\x08\x00\x86\x05\x1f\x00\x02no");
    let codes = [
        (Reason::UnsupportedVersion, 1, 0x84),
        (Reason::BadClientId, 2, 0x85),
        (Reason::Unavailable, 3, 0x88),
        (Reason::ShuttingDown, 3, 0x88),
        (Reason::ServerBusy, 3, 0x89),
        (Reason::BadLogin, 4, 0x86),
        (Reason::NotAuthorized, 5, 0x87),
        (Reason::Revoked, 5, 0x8a),
        (Reason::BadAuthMethod, 3, 0x8c),
        (Reason::KeepAlive, 3, 0x80),
        (Reason::PacketTooLarge, 3, 0x95),
    ];
    for (reason, old, new) in codes {
        assert_eq!(refused(Version::V311, reason, Some("x")), [0x20, 2, 0, old], "{reason:?}");
        assert_eq!(refused(Version::V5, reason, None), [0x20, 3, 0, new, 0], "{reason:?}");
    }
}

#[test]
fn acknowledgements() {
    let position = Position { source: "gw", epoch: "e1", offset: 42 };
    for (version, ack, at, golden) in [
        (Version::V311, Ack::Success, None, &b"\x40\x02\x12\x34"[..]),
        (Version::V311, Ack::QuotaExceeded, Some(position), b"\x40\x02\x12\x34"),
        (Version::V5, Ack::Success, None, b"\x40\x02\x12\x34"),
        (Version::V5, Ack::QuotaExceeded, None, b"\x40\x03\x12\x34\x97"),
        (
            Version::V5,
            Ack::Success,
            Some(position),
            b"\x40\x2a\x12\x34\x00\x26\x26\x00\x06source\x00\x02gw\x26\x00\x05epoch\x00\x02e1\x26\x00\x06offset\x00\x0242",
        ),
    ] {
        let puback = written(|out| version.write_puback(0x1234, ack, at, out));
        assert_eq!(puback, golden, "{version:?} {ack:?}");
        let pubrec = written(|out| version.write_pubrec(0x1234, ack, at, out));
        assert_eq!((pubrec[0], &pubrec[1..]), (0x50, &golden[1..]));
    }
    for version in [Version::V311, Version::V5] {
        let pubrel = written(|out| version.write_pubrel(1, Ack::Success, out));
        assert_eq!(pubrel, b"\x62\x02\x00\x01");
        let pubcomp = written(|out| version.write_pubcomp(1, Ack::Success, out));
        assert_eq!(pubcomp, b"\x70\x02\x00\x01");
    }
    let lost = written(|out| Version::V5.write_pubrel(1, Ack::PacketIdNotFound, out));
    assert_eq!(lost, b"\x62\x03\x00\x01\x92");
    let lost = written(|out| Version::V5.write_pubcomp(1, Ack::PacketIdNotFound, out));
    assert_eq!(lost, b"\x70\x03\x00\x01\x92");
    let codes = [Ack::NoSubscribers, Ack::NotAuthorized, Ack::TopicInvalid];
    assert_eq!(codes.map(Ack::code), [0x10, 0x87, 0x90]);
    assert!(Ack::NotAuthorized.is_refusal() && !Ack::NoSubscribers.is_refusal());
}

#[test]
fn suback_and_unsuback() {
    let reasons = [
        SubReason::Granted(0),
        SubReason::Granted(2),
        SubReason::NotAuthorized,
        SubReason::FilterInvalid,
        SubReason::QuotaExceeded,
    ];
    let old = written(|out| Version::V311.write_suback(7, &reasons, out));
    assert_eq!(old, b"\x90\x07\x00\x07\x00\x02\x80\x80\x80");
    let new = written(|out| Version::V5.write_suback(7, &reasons, out));
    assert_eq!(new, b"\x90\x08\x00\x07\x00\x00\x02\x87\x8f\x97");
    let reasons = [UnsubReason::Success, UnsubReason::NoSubscription];
    let old = written(|out| Version::V311.write_unsuback(7, &reasons, out));
    assert_eq!(old, b"\xb0\x02\x00\x07");
    let new = written(|out| Version::V5.write_unsuback(7, &reasons, out));
    assert_eq!(new, b"\xb0\x05\x00\x07\x00\x00\x11");
    // Longer than one byte tells.
    let many = written(|out| Version::V5.write_suback(1, &[SubReason::Granted(1); 200], out));
    assert_eq!(many[..6], b"\x90\xcb\x01\x00\x01\x00"[..]);
    assert_eq!(many.len(), 206);
}

#[test]
fn publish_to_3_1_1() {
    let payload = Bytes::from_static(b"hi");
    let properties = Properties { payload_format: Some(1), ..Properties::default() };
    // What 3.1.1 does not know is left out, and the topic is never.
    let plain = Delivery {
        alias: Some(Alias { id: 1, known: true }),
        properties: Some(&properties),
        expiry_seconds: Some(1),
        subscription_ids: &[1],
        ..delivery("a/b", &payload)
    };
    let out = written(|out| assert_eq!(Version::V311.write_publish(&plain, out), 9));
    assert_eq!(out, b"\x30\x07\x00\x03a/bhi");
    let again = Delivery { qos: 2, dup: true, retain: true, pkid: 9, ..plain };
    let out = written(|out| assert_eq!(Version::V311.write_publish(&again, out), 11));
    assert_eq!(out, b"\x3d\x09\x00\x03a/b\x00\x09hi");
}

#[test]
fn publish_to_mqtt5() {
    let payload = Bytes::from_static(b"hi");
    let plain = delivery("a/b", &payload);
    let out = written(|out| assert_eq!(Version::V5.write_publish(&plain, out), 10));
    assert_eq!(out, b"\x30\x08\x00\x03a/b\x00hi");
    let first = Delivery { alias: Some(Alias { id: 3, known: false }), ..plain };
    let out = written(|out| assert_eq!(Version::V5.write_publish(&first, out), 13));
    assert_eq!(out, b"\x30\x0b\x00\x03a/b\x03\x23\x00\x03hi");
    let next = Delivery { alias: Some(Alias { id: 3, known: true }), ..plain };
    let out = written(|out| assert_eq!(Version::V5.write_publish(&next, out), 10));
    assert_eq!(out, b"\x30\x08\x00\x00\x03\x23\x00\x03hi");
    let properties = Properties {
        payload_format: Some(1),
        // Another time remains.
        expiry_seconds: Some(100),
        response_topic: Some("r".into()),
        correlation: Some(vec![0xff]),
        user: vec![("k".into(), "v".into())],
        content_type: Some("c".into()),
    };
    let full = Delivery {
        qos: 1,
        pkid: 0x1234,
        properties: Some(&properties),
        expiry_seconds: Some(99),
        subscription_ids: &[1, 300, 268_435_455],
        ..plain
    };
    let golden = [
        &b"\x32\x2e\x00\x03a/b\x12\x34\x24"[..],
        b"\x02\x00\x00\x00\x63",
        b"\x0b\x01\x0b\xac\x02\x0b\xff\xff\xff\x7f",
        b"\x01\x01\x03\x00\x01c\x08\x00\x01r\x09\x00\x01\xff\x26\x00\x01k\x00\x01v",
        b"hi",
    ];
    let out = written(|out| assert_eq!(Version::V5.write_publish(&full, out), 48));
    assert_eq!(out, golden.concat());
}

#[test]
fn pingresp_and_disconnect() {
    let mut out = BytesMut::new();
    Version::V311.write_disconnect(Reason::Protocol, Some("why"), &mut out);
    assert!(out.is_empty(), "3.1.1 has no DISCONNECT of the server");
    for version in [Version::V311, Version::V5] {
        assert_eq!(written(|out| version.write_pingresp(out)), b"\xd0\x00");
    }
    let out = written(|out| Version::V5.write_disconnect(Reason::Protocol, Some("why"), out));
    assert_eq!(out, b"\xe0\x08\x82\x06\x1f\x00\x03why");
    let codes = [
        (Reason::WriteTimeout, 0x80),
        (Reason::Malformed, 0x81),
        (Reason::Protocol, 0x82),
        (Reason::BadAuthMethod, 0x82),
        (Reason::NotAuthorized, 0x87),
        (Reason::BadLogin, 0x87),
        (Reason::Revoked, 0x87),
        (Reason::ServerBusy, 0x89),
        (Reason::Unavailable, 0x89),
        (Reason::ShuttingDown, 0x8b),
        (Reason::KeepAlive, 0x8d),
        (Reason::TakenOver, 0x8e),
        (Reason::TopicInvalid, 0x90),
        (Reason::ReceiveMaximum, 0x93),
        (Reason::TopicAlias, 0x94),
        (Reason::PacketTooLarge, 0x95),
        (Reason::QuotaExceeded, 0x97),
    ];
    for (reason, code) in codes {
        let out = written(|out| Version::V5.write_disconnect(reason, None, out));
        assert_eq!(out, [0xe0, 2, code, 0], "{reason:?}");
    }
}
