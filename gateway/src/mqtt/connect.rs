//! CONNECT (section 3.1 of both versions): the packet that carries the version of those that follow.

use bytes::{Buf, Bytes, BytesMut};

use super::properties::{Allowed, Fields};
use super::read::{Header, Reader};
use super::{Connect, Connecting, Reason, Version, Will};

/// The CONNECT user property by which a device asks for its receipts.
const WANTS_RECEIPTS: &str = "tidemark-receipts";
/// Protocol names as they stand in the packet: of 3.1.1 and 5, and of 3.1, which is refused by name.
const NAME: &[u8] = b"\x00\x04MQTT";
const NAME_OF_3_1: &[u8] = b"\x00\x06MQIsdp";
/// Protocol level of 3.1.1 as mosquitto's bridges send it: with the highest bit, which says that the client is a broker. Not in the
/// standard; brokers that know it understand the subscriptions of such a client as No Local and Retain As Published.
const BRIDGE_OF_3_1_1: u8 = 0x84;

/// Reads the first packet of a connection. Its version is taken from the packet itself.
pub(crate) fn read_connect(bytes: &mut BytesMut, packet_bytes_max: usize) -> Connecting {
    match bytes.first() {
        None => return Connecting::Incomplete,
        Some(first) if first >> 4 != 1 => return Connecting::Refused(None, Reason::Protocol),
        Some(_) => {}
    }
    let header = match Header::read(bytes, None) {
        Ok(Some(header)) => header,
        Ok(None) => return Connecting::Incomplete,
        Err(reason) => return Connecting::Refused(None, reason),
    };
    let here = &bytes[header.len..header.total.min(bytes.len())];
    let version = match version(here, header.total <= bytes.len()) {
        Ok(Some(version)) => version,
        Ok(None) => return Connecting::Incomplete,
        Err((answer, reason)) => return Connecting::Refused(answer, reason),
    };
    // 3.1.1 has no code for a packet that is wrong: the connection closes.
    let refused = |reason| Connecting::Refused((version == Version::V5).then_some(version), reason);
    if version == Version::V5 && !header.is_shortest() {
        return refused(Reason::Malformed);
    }
    if header.total > packet_bytes_max {
        return refused(Reason::PacketTooLarge);
    }
    if bytes.len() < header.total {
        return Connecting::Incomplete;
    }
    let level_at = header.len + NAME.len();
    match read_body(version, &bytes[level_at + 1..header.total]) {
        Ok(connect) => {
            let bridge = bytes[level_at] == BRIDGE_OF_3_1_1;
            bytes.advance(header.total);
            Connecting::Connect(Box::new(Connect { bridge, ..connect }))
        }
        Err(reason) => refused(reason),
    }
}

/// Reads protocol name and level, as soon as they are there. The error says in which version to answer, if at all.
fn version(body: &[u8], complete: bool) -> Result<Option<Version>, (Option<Version>, Reason)> {
    match (body.strip_prefix(NAME), body.starts_with(NAME_OF_3_1)) {
        (Some([4 | BRIDGE_OF_3_1_1, ..]), _) => Ok(Some(Version::V311)),
        (Some([5, ..]), _) => Ok(Some(Version::V5)),
        // The answer of 3.1.1 is the one that other versions understand.
        (Some([_, ..]), _) | (_, true) => Err((Some(Version::V311), Reason::UnsupportedVersion)),
        _ if !NAME.starts_with(body) && !NAME_OF_3_1.starts_with(body) => {
            Err((None, Reason::Protocol))
        }
        _ if complete => Err((None, Reason::Malformed)),
        _ => Ok(None),
    }
}

/// The connect flags (section 3.1.2).
struct Flags {
    clean: bool,
    will: bool,
    will_qos: u8,
    will_retain: bool,
    username: bool,
    password: bool,
}

impl Flags {
    fn read(bits: u8, version: Version) -> Result<Self, Reason> {
        let flags = Self {
            clean: bits & 0x02 != 0,
            will: bits & 0x04 != 0,
            will_qos: bits >> 3 & 3,
            will_retain: bits & 0x20 != 0,
            username: bits & 0x80 != 0,
            password: bits & 0x40 != 0,
        };
        let sound = bits & 0x01 == 0
            && flags.will_qos < 3
            && (flags.will || (flags.will_qos == 0 && !flags.will_retain))
            && (version == Version::V5 || flags.username || !flags.password);
        if sound { Ok(flags) } else { Err(Reason::Malformed) }
    }
}

/// Reads what stands behind the protocol level.
fn read_body(version: Version, body: &[u8]) -> Result<Connect, Reason> {
    let mut reader = Reader::new(body);
    let flags = Flags::read(reader.u8()?, version)?;
    let keep_alive_seconds = reader.u16()?;
    let fields = match version {
        Version::V311 => Fields::default(),
        Version::V5 => Fields::read(&mut reader, Allowed::CONNECT)?,
    };
    if fields.has_auth_data && fields.auth_method.is_none() {
        return Err(Reason::Protocol);
    }
    let client_id = reader.text()?.to_owned();
    let will = flags.will.then(|| read_will(version, &flags, &mut reader)).transpose()?;
    let username = flags.username.then(|| reader.text().map(str::to_owned)).transpose()?;
    let password =
        flags.password.then(|| reader.binary().map(Bytes::copy_from_slice)).transpose()?;
    reader.end()?;
    let session_expiry_seconds = match version {
        Version::V311 if flags.clean => 0,
        Version::V311 => u32::MAX,
        Version::V5 => fields.session_expiry_seconds.unwrap_or(0),
    };
    Ok(Connect {
        version,
        bridge: false,
        client_id,
        clean: flags.clean,
        keep_alive_seconds,
        will,
        username,
        password,
        auth_method: fields.auth_method.map(str::to_owned),
        receive_max: fields.receive_max.unwrap_or(u16::MAX),
        packet_bytes_max: fields.packet_bytes_max,
        topic_alias_max: fields.topic_alias_max.unwrap_or(0),
        session_expiry_seconds,
        problem_info: fields.problem_info.unwrap_or(true),
        wants_receipts: fields.user.contains(&(WANTS_RECEIPTS, "1")),
    })
}

/// Copies what it keeps: a will outlives the buffer in which it came by far.
fn read_will(version: Version, flags: &Flags, reader: &mut Reader<'_>) -> Result<Will, Reason> {
    let fields = match version {
        Version::V311 => Fields::default(),
        Version::V5 => Fields::read(reader, Allowed::WILL)?,
    };
    Ok(Will {
        topic: reader.text()?.to_owned(),
        payload: Bytes::copy_from_slice(reader.binary()?),
        qos: flags.will_qos,
        retain: flags.will_retain,
        delay_seconds: fields.will_delay_seconds.unwrap_or(0),
        properties: fields.message(),
    })
}
