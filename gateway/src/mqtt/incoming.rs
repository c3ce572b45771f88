//! Packets that a connected client sends.

use bytes::{Buf, Bytes, BytesMut};

use super::properties::{Allowed, Fields};
use super::read::{Header, Reader};
use super::{Incoming, Publish, Reason, Subscription, Version};

/// Most filters of one packet: each may take ten times its bytes on the wire in memory.
pub(super) const FILTERS_MAX: usize = 1000;

impl Version {
    /// Takes the next packet off the front of `bytes`; `None` when it is not complete yet. What the header alone gives
    /// away is refused before the rest has come. After an error the connection is over.
    pub(crate) fn read(
        self,
        bytes: &mut BytesMut,
        packet_bytes_max: usize,
    ) -> Result<Option<Incoming>, Reason> {
        let Some(header) = Header::read(bytes, Some(self))? else { return Ok(None) };
        if header.total > packet_bytes_max {
            return Err(Reason::PacketTooLarge);
        }
        if bytes.len() < header.total {
            return Ok(None);
        }
        if header.kind() == 3 {
            let (mut publish, payload_at) = read_publish(self, header, &bytes[..header.total])?;
            let mut packet = bytes.split_to(header.total);
            packet.advance(payload_at);
            publish.payload = packet.freeze();
            return Ok(Some(Incoming::Publish(publish)));
        }
        let packet = read_body(self, header.kind(), &bytes[header.len..header.total])?;
        bytes.advance(header.total);
        Ok(Some(packet))
    }
}

/// Tells the size of a packet that is refused for it and, if it is a PUBLISH whose topic has come, the topic.
pub(crate) fn beginning(bytes: &[u8]) -> Option<(usize, Option<String>)> {
    let header = Header::read(bytes, None).ok().flatten()?;
    let topic = (header.kind() == 3).then(|| Reader::new(bytes.get(header.len..)?).text().ok());
    Some((header.total, topic.flatten().map(str::to_owned)))
}

fn read_body(version: Version, kind: u8, body: &[u8]) -> Result<Incoming, Reason> {
    let mut reader = Reader::new(body);
    Ok(match kind {
        4 => {
            let (pkid, reason) = read_ack(version, &mut reader, is_publish_reason)?;
            Incoming::PubAck { pkid, reason }
        }
        5 => {
            let (pkid, reason) = read_ack(version, &mut reader, is_publish_reason)?;
            Incoming::PubRec { pkid, reason }
        }
        6 => {
            let (pkid, reason) = read_ack(version, &mut reader, is_release_reason)?;
            Incoming::PubRel { pkid, reason }
        }
        7 => {
            let (pkid, reason) = read_ack(version, &mut reader, is_release_reason)?;
            Incoming::PubComp { pkid, reason }
        }
        8 => read_subscribe(version, &mut reader)?,
        10 => read_unsubscribe(version, &mut reader)?,
        12 => {
            reader.end()?;
            Incoming::PingReq
        }
        14 => read_disconnect(version, &mut reader)?,
        1 => Incoming::Unexpected("second CONNECT"),
        2 => Incoming::Unexpected("CONNACK"),
        9 => Incoming::Unexpected("SUBACK"),
        11 => Incoming::Unexpected("UNSUBACK"),
        13 => Incoming::Unexpected("PINGRESP"),
        15 => Incoming::Unexpected("AUTH"),
        _ => return Err(Reason::Malformed),
    })
}

/// Reads a PUBLISH up to its payload, and tells where that begins.
fn read_publish(
    version: Version,
    header: Header,
    packet: &[u8],
) -> Result<(Publish, usize), Reason> {
    let mut reader = Reader::new(&packet[header.len..]);
    let topic = reader.text()?;
    let qos = header.first >> 1 & 3;
    let pkid = if qos == 0 { 0 } else { reader.pkid()? };
    let (mut alias, mut properties) = (None, None);
    if version == Version::V5 && !reader.skip_zero() {
        let fields = Fields::read(&mut reader, Allowed::PUBLISH)?;
        if fields.subscription_id.is_some() {
            return Err(Reason::Protocol);
        }
        alias = fields.topic_alias;
        properties = fields.message();
    }
    if topic.is_empty() && alias.is_none() {
        return Err(Reason::Protocol);
    }
    let publish = Publish {
        topic: topic.to_owned(),
        alias,
        payload: Bytes::new(),
        qos,
        retain: header.first & 1 != 0,
        dup: header.first & 8 != 0,
        pkid,
        properties,
    };
    Ok((publish, packet.len() - reader.remaining()))
}

/// Reads PUBACK, PUBREC, PUBREL or PUBCOMP: what stands behind the packet id may be left out.
fn read_ack(
    version: Version,
    reader: &mut Reader<'_>,
    is_reason: fn(u8) -> bool,
) -> Result<(u16, u8), Reason> {
    let pkid = reader.pkid()?;
    let mut reason = 0;
    if version == Version::V5 && !reader.is_empty() {
        reason = reader.u8()?;
        if !reader.is_empty() {
            Fields::read(reader, Allowed::ACK)?;
        }
    }
    reader.end()?;
    if is_reason(reason) { Ok((pkid, reason)) } else { Err(Reason::Protocol) }
}

/// The codes of PUBACK and PUBREC (tables 3-4 and 3-5).
fn is_publish_reason(code: u8) -> bool {
    matches!(code, 0 | 0x10 | 0x80 | 0x83 | 0x87 | 0x90 | 0x91 | 0x97 | 0x99)
}

/// The codes of PUBREL and PUBCOMP (tables 3-6 and 3-7).
fn is_release_reason(code: u8) -> bool {
    matches!(code, 0 | 0x92)
}

fn read_subscribe(version: Version, reader: &mut Reader<'_>) -> Result<Incoming, Reason> {
    let pkid = reader.pkid()?;
    let id = match version {
        Version::V311 => None,
        Version::V5 => Fields::read(reader, Allowed::SUBSCRIBE)?.subscription_id,
    };
    let mut subscriptions = Vec::new();
    while !reader.is_empty() {
        if subscriptions.len() == FILTERS_MAX {
            return Err(Reason::QuotaExceeded);
        }
        let filter = read_filter(reader)?;
        subscriptions.push(read_subscription(version, filter, reader.u8()?)?);
    }
    if subscriptions.is_empty() {
        return Err(Reason::Protocol);
    }
    Ok(Incoming::Subscribe { pkid, id, subscriptions })
}

/// Reads a filter, which has at least one character [MQTT-4.7.3-1].
fn read_filter<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Reason> {
    match reader.text()? {
        "" => Err(Reason::Malformed),
        filter => Ok(filter),
    }
}

/// Reads the subscription options (5: section 3.8.3.1; 3.1.1: the requested QoS).
fn read_subscription(version: Version, filter: &str, options: u8) -> Result<Subscription, Reason> {
    let reserved = match version {
        Version::V311 => 0xfc,
        Version::V5 => 0xc0,
    };
    if options & reserved != 0 {
        return Err(Reason::Malformed);
    }
    let (qos, retain_handling) = (options & 3, options >> 4 & 3);
    let no_local = options & 4 != 0;
    let shared = filter.starts_with("$share/");
    // No Local makes no sense where somebody else may get the message [MQTT-3.8.3-4].
    if qos == 3 || retain_handling == 3 || (shared && no_local) {
        return Err(Reason::Protocol);
    }
    let retain_as_published = options & 8 != 0;
    Ok(Subscription {
        filter: filter.to_owned(),
        qos,
        no_local,
        retain_as_published,
        retain_handling,
    })
}

fn read_unsubscribe(version: Version, reader: &mut Reader<'_>) -> Result<Incoming, Reason> {
    let pkid = reader.pkid()?;
    if version == Version::V5 {
        Fields::read(reader, Allowed::UNSUBSCRIBE)?;
    }
    let mut filters = Vec::new();
    while !reader.is_empty() {
        if filters.len() == FILTERS_MAX {
            return Err(Reason::QuotaExceeded);
        }
        filters.push(read_filter(reader)?.to_owned());
    }
    if filters.is_empty() {
        return Err(Reason::Protocol);
    }
    Ok(Incoming::Unsubscribe { pkid, filters })
}

fn read_disconnect(version: Version, reader: &mut Reader<'_>) -> Result<Incoming, Reason> {
    let (mut code, mut session_expiry_seconds) = (0, None);
    if version == Version::V5 && !reader.is_empty() {
        code = reader.u8()?;
        if !reader.is_empty() {
            let fields = Fields::read(reader, Allowed::DISCONNECT)?;
            session_expiry_seconds = fields.session_expiry_seconds;
        }
    }
    reader.end()?;
    // The codes that a client may send (table 3-10).
    if !matches!(code, 0 | 4 | 0x80..=0x83 | 0x90 | 0x93..=0x99) {
        return Err(Reason::Protocol);
    }
    Ok(Incoming::Disconnect { publish_will: code != 0, session_expiry_seconds })
}
