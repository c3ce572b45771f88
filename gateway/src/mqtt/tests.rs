//! The codec seam: versions are told apart, truncated and hostile bytes never panic.

use proptest::prelude::*;

use super::*;

fn connect(level: u8) -> BytesMut {
    let mut bytes = BytesMut::from(&[0x10, 0, 0, 4, b'M', b'Q', b'T', b'T', level, 2, 0, 30][..]);
    if level == 5 {
        bytes.extend_from_slice(&[0]);
    }
    bytes.extend_from_slice(&[0, 1, b'x']);
    bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
    bytes
}

fn version_of(mut bytes: BytesMut) -> Option<Version> {
    match read_connect(&mut bytes, 1 << 20) {
        Connecting::Connect(connect) => Some(connect.version),
        _ => None,
    }
}

#[test]
fn both_versions_are_told_apart_at_connect() {
    assert_eq!(version_of(connect(4)), Some(Version::V311));
    assert_eq!(version_of(connect(5)), Some(Version::V5));
    assert_eq!(version_of(connect(3)), None);
}

#[test]
fn a_connect_cut_anywhere_is_incomplete() {
    for level in [4, 5] {
        let whole = connect(level);
        for cut in 0..whole.len() {
            let outcome = read_connect(&mut BytesMut::from(&whole[..cut]), 1 << 20);
            assert!(matches!(outcome, Connecting::Incomplete), "version {level} cut at {cut}");
        }
    }
}

#[test]
fn a_bare_mqtt5_disconnect_is_a_disconnect() {
    let mut bytes = BytesMut::from(&[0xe0, 0][..]);
    assert_eq!(
        Version::V5.read(&mut bytes, 100),
        Ok(Some(Incoming::Disconnect { publish_will: false, session_expiry_seconds: None }))
    );
}

#[test]
fn a_disconnect_with_a_reason_and_no_properties_is_a_disconnect() {
    for (code, publish_will) in [(0, false), (4, true)] {
        let mut bytes = BytesMut::from(&[0xe0, 1, code][..]);
        assert_eq!(
            Version::V5.read(&mut bytes, 100),
            Ok(Some(Incoming::Disconnect { publish_will, session_expiry_seconds: None }))
        );
        assert!(bytes.is_empty());
    }
}

#[test]
fn a_whole_packet_that_is_cut_inside_is_malformed_not_awaited() {
    // PUBLISH, QoS 0, topic "a", and then no property length.
    let mut bytes = BytesMut::from(&[0x30, 3, 0, 1, b'a'][..]);
    assert_eq!(Version::V5.read(&mut bytes, 100), Err(Reason::Malformed));
}

#[test]
fn packets_above_the_limit_are_refused_before_they_are_read() {
    let mut bytes = BytesMut::from(&[0x30, 0xff, 0xff, 0x7f][..]);
    assert_eq!(Version::V311.read(&mut bytes.clone(), 1000), Err(Reason::PacketTooLarge));
    assert_eq!(Version::V5.read(&mut bytes, 1000), Err(Reason::PacketTooLarge));
}

proptest! {
    #[test]
    fn no_bytes_make_the_codec_panic(bytes: Vec<u8>, kind in 0u8..16, flags in 0u8..16) {
        for version in [Version::V311, Version::V5] {
            let mut packet = BytesMut::from(&[kind << 4 | flags, u8::try_from(bytes.len().min(127)).unwrap()][..]);
            packet.extend_from_slice(&bytes);
            while let Ok(Some(_)) = version.read(&mut packet, 1 << 16) {}
        }
        let mut first = BytesMut::from(&[0x10, u8::try_from(bytes.len().min(127)).unwrap(), 0, 4, b'M', b'Q', b'T', b'T', 4 + (flags & 1)][..]);
        first.extend_from_slice(&bytes);
        read_connect(&mut first, 1 << 16);
    }
}
