//! The codec: golden bytes, cuts, malformed packets, round trips, and agreement with another codec.

mod connect;
mod differential;
mod incoming;
mod malformed;
mod outgoing;
mod round_trip;

use bytes::{BufMut, Bytes, BytesMut};

use super::*;

/// Large enough for every packet of the tests.
const MAX: usize = 1 << 20;

fn bytes(parts: &[&[u8]]) -> BytesMut {
    BytesMut::from(&parts.concat()[..])
}

/// Puts the length in front of a body, in as many bytes as it takes.
fn packet(first: u8, parts: &[&[u8]]) -> BytesMut {
    let body = parts.concat();
    let (mut packet, mut rest) = (BytesMut::from(&[first][..]), body.len());
    while rest > 0x7f {
        packet.put_u8(0x80 | rest.to_le_bytes()[0]);
        rest >>= 7;
    }
    packet.put_u8(rest.to_le_bytes()[0]);
    packet.extend_from_slice(&body);
    packet
}

/// Reads the one packet that `bytes` holds.
fn read(version: Version, mut bytes: BytesMut) -> Result<Option<Incoming>, Reason> {
    let packet = version.read(&mut bytes, MAX);
    assert!(!matches!(packet, Ok(Some(_))) || bytes.is_empty(), "nothing is left of {packet:?}");
    packet
}

fn connecting(mut bytes: BytesMut) -> Result<Connect, Option<(Option<Version>, Reason)>> {
    match read_connect(&mut bytes, MAX) {
        Connecting::Connect(connect) => {
            assert!(bytes.is_empty(), "nothing is left of a CONNECT");
            Ok(*connect)
        }
        Connecting::Incomplete => Err(None),
        Connecting::Refused(version, reason) => Err(Some((version, reason))),
    }
}

/// A PUBLISH with what every version has; the tests change what they are about.
fn publish(topic: &str, payload: &'static [u8]) -> Publish {
    Publish {
        topic: topic.into(),
        alias: None,
        payload: Bytes::from_static(payload),
        qos: 0,
        retain: false,
        dup: false,
        pkid: 0,
        properties: None,
    }
}

fn delivery<'a>(topic: &'a str, payload: &'a Bytes) -> Delivery<'a> {
    Delivery {
        topic,
        payload,
        qos: 0,
        retain: false,
        dup: false,
        pkid: 0,
        alias: None,
        properties: None,
        expiry_seconds: None,
        subscription_ids: &[],
    }
}

fn subscription(filter: &str, qos: u8) -> Subscription {
    Subscription {
        filter: filter.into(),
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: 0,
    }
}
