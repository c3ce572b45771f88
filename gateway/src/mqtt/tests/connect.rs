//! CONNECT: both versions are told apart, every field arrives, every cut is awaited or refused.

use super::*;

/// A 3.1.1 CONNECT with everything in it.
fn full_311() -> BytesMut {
    bytes(&[
        b"\x10\x1b\x00\x04MQTT\x04\xee\x00\x3c",
        b"\x00\x02d1",
        b"\x00\x01w\x00\x02by",
        b"\x00\x01u\x00\x01p",
    ])
}

const PROPERTIES: &[&[u8]] = &[
    b"\x33",
    b"\x11\x00\x00\x00\x0a",
    b"\x21\x00\x05",
    b"\x27\x00\x00\x10\x00",
    b"\x22\x00\x07",
    b"\x17\x00",
    b"\x19\x01",
    b"\x26\x00\x11tidemark-receipts\x00\x011",
    b"\x15\x00\x01m",
    b"\x16\x00\x01\xff",
];

const WILL_PROPERTIES: &[&[u8]] = &[
    b"\x1f",
    b"\x18\x00\x00\x00\x05",
    b"\x01\x01",
    b"\x02\x00\x00\x00\x1e",
    b"\x03\x00\x01t",
    b"\x08\x00\x01r",
    b"\x09\x00\x01\x00",
    b"\x26\x00\x01a\x00\x01b",
];

/// A CONNECT of MQTT 5 with everything in it.
fn full_5() -> BytesMut {
    bytes(&[
        b"\x10\x6f\x00\x04MQTT\x05\xee\x00\x3c",
        &PROPERTIES.concat(),
        b"\x00\x02d1",
        &WILL_PROPERTIES.concat(),
        b"\x00\x01w\x00\x02by",
        b"\x00\x01u\x00\x01p",
    ])
}

fn plain(level: u8) -> BytesMut {
    let properties: &[u8] = if level == 5 { &[0] } else { &[] };
    packet(0x10, &[b"\x00\x04MQTT", &[level], b"\x02\x00\x1e", properties, b"\x00\x01x"])
}

#[test]
fn every_field_of_a_connect_of_3_1_1_arrives() {
    let connect = connecting(full_311()).unwrap();
    let expected = Connect {
        version: Version::V311,
        bridge: false,
        client_id: "d1".into(),
        clean: true,
        keep_alive_seconds: 60,
        will: Some(Will {
            topic: "w".into(),
            payload: Bytes::from_static(b"by"),
            qos: 1,
            retain: true,
            delay_seconds: 0,
            properties: None,
        }),
        username: Some("u".into()),
        password: Some(Bytes::from_static(b"p")),
        auth_method: None,
        receive_max: u16::MAX,
        packet_bytes_max: None,
        topic_alias_max: 0,
        session_expiry_seconds: 0,
        problem_info: true,
        wants_receipts: false,
    };
    assert_eq!(connect, expected);
}

#[test]
fn a_bridge_says_so_by_the_highest_bit_of_its_level() {
    let connect = connecting(plain(0x84)).unwrap();
    assert_eq!((connect.version, connect.bridge), (Version::V311, true));
    assert!(!connecting(plain(4)).unwrap().bridge);
}

#[test]
fn every_field_of_a_connect_of_mqtt5_arrives() {
    let connect = connecting(full_5()).unwrap();
    let will = connect.will.as_ref().unwrap();
    let properties = Properties {
        payload_format: Some(1),
        expiry_seconds: Some(30),
        response_topic: Some("r".into()),
        correlation: Some(vec![0]),
        user: vec![("a".into(), "b".into())],
        content_type: Some("t".into()),
    };
    assert_eq!(will.properties.as_deref(), Some(&properties));
    assert_eq!((will.delay_seconds, will.qos, will.retain), (5, 1, true));
    assert_eq!((&will.topic[..], &will.payload[..]), ("w", &b"by"[..]));
    assert_eq!(
        (connect.version, connect.clean, connect.keep_alive_seconds),
        (Version::V5, true, 60)
    );
    assert_eq!((connect.session_expiry_seconds, connect.receive_max), (10, 5));
    assert_eq!((connect.packet_bytes_max, connect.topic_alias_max), (Some(4096), 7));
    assert!(!connect.problem_info && connect.wants_receipts);
    assert_eq!(
        (connect.username.as_deref(), connect.auth_method.as_deref()),
        (Some("u"), Some("m"))
    );
    assert_eq!(connect.password.as_deref(), Some(&b"p"[..]));
}

#[test]
fn what_a_client_leaves_out_is_as_the_protocol_says() {
    let connect = connecting(plain(5)).unwrap();
    assert_eq!((connect.session_expiry_seconds, connect.receive_max), (0, u16::MAX));
    assert_eq!((connect.packet_bytes_max, connect.topic_alias_max), (None, 0));
    assert!(connect.problem_info && !connect.wants_receipts && connect.will.is_none());
    // Without clean session, a session of 3.1.1 never ends.
    let kept = packet(0x10, &[b"\x00\x04MQTT\x04\x00\x00\x1e\x00\x01x"]);
    assert_eq!(connecting(kept).unwrap().session_expiry_seconds, u32::MAX);
    let unnamed = packet(0x10, &[b"\x00\x04MQTT\x04\x02\x00\x00\x00\x00"]);
    let unnamed = connecting(unnamed).unwrap();
    assert_eq!((&unnamed.client_id[..], unnamed.keep_alive_seconds), ("", 0));
    // MQTT 5 allows a password without a user name.
    let token = packet(0x10, &[b"\x00\x04MQTT\x05\x42\x00\x1e\x00\x00\x01x\x00\x01p"]);
    let token = connecting(token).unwrap();
    assert_eq!((token.username, token.password), (None, Some(Bytes::from_static(b"p"))));
}

#[test]
fn versions_are_told_apart() {
    assert_eq!(connecting(plain(4)).unwrap().version, Version::V311);
    assert_eq!(connecting(plain(5)).unwrap().version, Version::V5);
    let other = Some((Some(Version::V311), Reason::UnsupportedVersion));
    for level in [0, 3, 6, 0x83, 0x85, 255] {
        assert_eq!(connecting(plain(level)), Err(other), "level {level}");
    }
    let old = packet(0x10, &[b"\x00\x06MQIsdp\x03\x02\x00\x1e\x00\x01x"]);
    assert_eq!(connecting(old), Err(other));
}

#[test]
fn what_is_no_connect_is_refused_at_its_first_wrong_byte() {
    let (protocol, malformed) = (Some((None, Reason::Protocol)), Some((None, Reason::Malformed)));
    let cases: [(&[u8], _); 12] = [
        (b"GET / HTTP/1.1", protocol),
        (b"\x16\x03\x01", malformed),
        (b"\xc0\x00", protocol),
        (b"\x00", protocol),
        (b"\x11", malformed),
        (b"\x10\x00", malformed),
        (b"\x10\x06\x00\x04MQTT", malformed),
        (b"\x10\x80\x80\x80\x80", malformed),
        (b"\x10\xff\xff\xff\xff\x01", malformed),
        (b"\x10\x20\x01", protocol),
        (b"\x10\x20\x00\x04MQTt", protocol),
        (b"\x10\x20\x00\x04HTTP", protocol),
    ];
    for (start, refusal) in cases {
        assert_eq!(connecting(bytes(&[start])), Err(refusal), "{start:x?}");
    }
}

#[test]
fn a_connect_cut_anywhere_is_awaited() {
    for whole in [full_311(), full_5(), plain(4), plain(5)] {
        for cut in 0..whole.len() {
            assert_eq!(connecting(bytes(&[&whole[..cut]])), Err(None), "cut at {cut}");
        }
    }
}

#[test]
fn a_connect_that_is_cut_inside_or_too_long_is_refused() {
    for (whole, version) in [(full_311(), None), (full_5(), Some(Version::V5))] {
        let body = &whole[2..];
        let refusal = Err(Some((version, Reason::Malformed)));
        for cut in 7..body.len() {
            assert_eq!(connecting(packet(0x10, &[&body[..cut]])), refusal, "cut at {cut}");
        }
        assert_eq!(connecting(packet(0x10, &[body, &[0]])), refusal);
    }
}

#[test]
fn a_connect_above_the_limit_is_refused_before_it_has_arrived() {
    let mut big = bytes(&[b"\x10\xff\xff\x7f\x00\x04MQTT\x05"]);
    let refused = read_connect(&mut big, 1000);
    assert!(matches!(refused, Connecting::Refused(Some(Version::V5), Reason::PacketTooLarge)));
    let mut big = bytes(&[b"\x10\xff\xff\x7f\x00\x04MQTT\x04"]);
    let refused = read_connect(&mut big, 1000);
    assert!(matches!(refused, Connecting::Refused(None, Reason::PacketTooLarge)));
    let whole = plain(5);
    assert!(matches!(read_connect(&mut whole.clone(), whole.len()), Connecting::Connect(_)));
    let refused = read_connect(&mut whole.clone(), whole.len() - 1);
    assert!(matches!(refused, Connecting::Refused(_, Reason::PacketTooLarge)));
}

#[test]
fn a_length_may_be_padded_in_3_1_1_and_not_in_5() {
    let padded = |level| {
        let whole = plain(level);
        bytes(&[&[0x10, 0x80 | whole[1], 0x80, 0], &whole[2..]])
    };
    assert!(connecting(padded(4)).is_ok());
    assert_eq!(connecting(padded(5)), Err(Some((Some(Version::V5), Reason::Malformed))));
}

#[test]
fn what_follows_a_connect_stays() {
    let mut both = bytes(&[&plain(5), b"\xc0\x00"]);
    assert!(matches!(read_connect(&mut both, MAX), Connecting::Connect(_)));
    assert_eq!(both[..], b"\xc0\x00"[..]);
}

#[test]
fn a_connect_in_a_log_shows_neither_password_nor_will() {
    let mut connect = connecting(full_5()).unwrap();
    connect.password = Some(Bytes::from_static(b"hunter2"));
    connect.will.as_mut().unwrap().payload = Bytes::from_static(b"hunter3");
    let shown = format!("{connect:?} {:?}", Connecting::Connect(Box::new(connect.clone())));
    assert!(shown.contains("d1") && !shown.contains("hunter"), "{shown}");
    // As bytes, too.
    assert!(!shown.contains("104, 117"), "{shown}");
}
