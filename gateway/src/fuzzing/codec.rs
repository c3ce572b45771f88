//! The codec: no bytes make it panic, how they arrive makes no difference, and what it reads of a message it writes again.

use bytes::BytesMut;

use super::Input;
use crate::mqtt::{Alias, Connecting, Delivery, Incoming, Publish, Reason, Version, read_connect};

/// Largest packet; small, so that inputs reach the limit.
const PACKET_BYTES_MAX: usize = 4096;

/// What a stream was read as, and why it ended early, if it did.
type Outcome = (Vec<Incoming>, Option<Reason>);

/// The first byte says which version, or that a CONNECT comes first, and in which pieces the rest arrives.
pub fn codec(data: &[u8]) {
    let mut input = Input(data);
    let choice = input.byte();
    let piece = usize::from(choice >> 2) + 1;
    let mut bytes = input.0;
    let mut version = if choice & 1 == 0 { Version::V311 } else { Version::V5 };
    if choice & 2 != 0 {
        let Some((found, rest)) = connect(bytes, piece) else { return };
        (version, bytes) = (found, rest);
    }
    let whole = read(version, bytes, bytes.len());
    let pieces = read(version, bytes, piece);
    assert_eq!(whole.0, pieces.0, "packets do not depend on how they arrive");
    assert_eq!(whole.1, pieces.1, "nor do errors");
    for packet in whole.0 {
        if let Incoming::Publish(publish) = packet {
            again(version, &publish);
        }
    }
}

/// Reads a CONNECT in pieces; returns its version and what is behind it.
fn connect(bytes: &[u8], piece: usize) -> Option<(Version, &[u8])> {
    let mut all = BytesMut::from(bytes);
    let mut some = BytesMut::new();
    let at_once = read_connect(&mut all, PACKET_BYTES_MAX);
    let mut arriving = bytes.chunks(piece);
    let piecemeal = loop {
        match read_connect(&mut some, PACKET_BYTES_MAX) {
            Connecting::Incomplete => match arriving.next() {
                Some(next) => some.extend_from_slice(next),
                None => break Connecting::Incomplete,
            },
            other => break other,
        }
    };
    match (at_once, piecemeal) {
        (Connecting::Connect(one), Connecting::Connect(other)) => {
            assert_eq!(one, other);
            Some((one.version, &bytes[bytes.len() - all.len()..]))
        }
        (Connecting::Incomplete, Connecting::Incomplete) => None,
        // What is wrong may be seen before everything has arrived, and then it may be something else.
        (Connecting::Refused(..), Connecting::Refused(..)) => None,
        (one, other) => panic!("{one:?} at once, {other:?} in pieces"),
    }
}

fn read(version: Version, bytes: &[u8], piece: usize) -> Outcome {
    let (mut buffer, mut packets) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match version.read(&mut buffer, PACKET_BYTES_MAX) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(reason) => return (packets, Some(reason)),
            }
        }
    }
    (packets, None)
}

/// A message that was read is the same when it is written and read again.
fn again(version: Version, publish: &Publish) {
    let mut out = BytesMut::new();
    let delivery = Delivery {
        topic: &publish.topic,
        payload: &publish.payload,
        qos: publish.qos,
        retain: publish.retain,
        dup: publish.dup,
        pkid: publish.pkid,
        alias: publish.alias.map(|id| Alias { id, known: publish.topic.is_empty() }),
        properties: publish.properties.as_deref(),
        expiry_seconds: publish.properties.as_ref().and_then(|own| own.expiry_seconds),
        subscription_ids: &[],
    };
    let size = version.write_publish(&delivery, &mut out);
    assert_eq!(size, out.len());
    let read = version.read(&mut out, usize::MAX);
    assert_eq!(read, Ok(Some(Incoming::Publish(publish.clone()))));
    assert!(out.is_empty());
}
