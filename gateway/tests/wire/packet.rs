//! Packets that a server sends, read strictly: what is not as the protocol says fails the test.

use super::Version;
use super::property::{Properties, read_text};

/// A PUBLISH from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    /// Frames are no text; tests look at nobody's but their own.
    pub(crate) payload: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) pkid: u16,
    pub(crate) properties: Properties,
    /// Bytes of the whole packet.
    pub(crate) size: usize,
}

/// Any packet from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    ConnAck { present: bool, code: u8, properties: Properties },
    Publish(Message),
    PubAck { pkid: u16, code: u8, properties: Properties },
    PubRec { pkid: u16, code: u8 },
    PubRel { pkid: u16, code: u8 },
    PubComp { pkid: u16, code: u8 },
    SubAck { pkid: u16, codes: Vec<u8> },
    UnsubAck { pkid: u16, codes: Vec<u8> },
    PingResp,
    Disconnect { code: u8 },
}

impl Packet {
    /// Takes a packet off the front of what was received, if it is complete.
    pub(crate) fn read(version: Version, input: &mut Vec<u8>) -> Option<Self> {
        let (mut length, mut at) = (0, 1);
        loop {
            let byte = *input.get(at)?;
            length |= usize::from(byte & 0x7f) << (7 * (at - 1));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        if input.len() < at + length {
            return None;
        }
        let packet: Vec<u8> = input.drain(..at + length).collect();
        Some(Self::parse(version, packet[0], &packet[at..], packet.len()))
    }

    fn parse(version: Version, first: u8, body: &[u8], size: usize) -> Self {
        match first {
            0x20 => {
                let (&[flags, code], mut rest) = body.split_first_chunk().unwrap();
                assert!(flags < 2, "reserved flags of CONNACK");
                let properties = read_properties(version, &mut rest);
                assert!(rest.is_empty());
                Self::ConnAck { present: flags == 1, code, properties }
            }
            0x30..=0x3f => Self::Publish(parse_publish(version, first, body, size)),
            0x40 | 0x50 | 0x62 | 0x70 => parse_ack(version, first, body),
            0x90 | 0xb0 => {
                let (pkid, mut rest) = body.split_first_chunk().unwrap();
                read_properties(version, &mut rest);
                let (pkid, codes) = (u16::from_be_bytes(*pkid), rest.to_vec());
                match first {
                    0x90 => Self::SubAck { pkid, codes },
                    _ => Self::UnsubAck { pkid, codes },
                }
            }
            0xd0 if body.is_empty() => Self::PingResp,
            0xe0 if version == Version::V5 => {
                Self::Disconnect { code: body.first().copied().unwrap_or(0) }
            }
            _ => panic!("a server does not send {first:#x} {body:x?}"),
        }
    }
}

fn read_properties(version: Version, body: &mut &[u8]) -> Properties {
    match version {
        Version::V311 => Properties::default(),
        Version::V5 => Properties::read(body),
    }
}

fn parse_publish(version: Version, first: u8, body: &[u8], size: usize) -> Message {
    let mut rest = body;
    let topic = read_text(&mut rest);
    let (qos, mut pkid) = (first >> 1 & 3, 0);
    assert!(qos < 3);
    if qos > 0 {
        pkid = u16::from_be_bytes([rest[0], rest[1]]);
        assert_ne!(pkid, 0);
        rest = &rest[2..];
    }
    let properties = read_properties(version, &mut rest);
    Message {
        topic,
        payload: String::from_utf8_lossy(rest).into_owned(),
        qos,
        retain: first & 1 != 0,
        dup: first & 8 != 0,
        pkid,
        properties,
        size,
    }
}

fn parse_ack(version: Version, first: u8, body: &[u8]) -> Packet {
    let (pkid, mut rest) = body.split_first_chunk().unwrap();
    let pkid = u16::from_be_bytes(*pkid);
    let mut code = 0;
    let mut properties = Properties::default();
    if version == Version::V5 && !rest.is_empty() {
        code = rest[0];
        rest = &rest[1..];
        if !rest.is_empty() {
            properties = Properties::read(&mut rest);
        }
    }
    assert!(rest.is_empty());
    match first {
        0x40 => Packet::PubAck { pkid, code, properties },
        0x50 => Packet::PubRec { pkid, code },
        0x62 => Packet::PubRel { pkid, code },
        _ => Packet::PubComp { pkid, code },
    }
}
