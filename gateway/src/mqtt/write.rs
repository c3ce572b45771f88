//! Packets that the server writes.

use bytes::{BufMut, BytesMut};

use super::properties::id;
use super::{Ack, Delivery, Offer, Position, Properties, Reason, SubReason, UnsubReason, Version};

/// Largest value of a variable byte integer: four bytes.
const VARIABLE_MAX: usize = 268_435_455;

impl Version {
    /// Writes a CONNACK that accepts. What it does not mention is as the protocol's defaults say: QoS 2, retained messages,
    /// wildcards, subscription identifiers and shared subscriptions are there.
    pub(crate) fn write_accepted(self, offer: &Offer<'_>, out: &mut BytesMut) {
        packet(0x20, out, |out| {
            out.put_slice(&[u8::from(offer.session_present), 0]);
            if self == Self::V5 {
                prefixed(out, |out| put_offer(offer, out));
            }
        });
    }

    /// Writes a CONNACK that refuses. `why` is for people; 3.1.1 cannot carry it.
    pub(crate) fn write_refused(self, reason: Reason, why: Option<&str>, out: &mut BytesMut) {
        packet(0x20, out, |out| match self {
            Self::V311 => out.put_slice(&[0, reason.return_code()]),
            Self::V5 => {
                out.put_slice(&[0, reason.connack_code()]);
                prefixed(out, |out| put_why(why, out));
            }
        });
    }

    /// Writes a PUBACK; a position makes it a device's receipt (MQTT 5 only).
    pub(crate) fn write_puback(
        self,
        pkid: u16,
        ack: Ack,
        position: Option<Position<'_>>,
        out: &mut BytesMut,
    ) {
        self.write_ack(0x40, pkid, ack, position, out);
    }

    /// Writes a PUBREC; a position makes it a device's receipt (MQTT 5 only).
    pub(crate) fn write_pubrec(
        self,
        pkid: u16,
        ack: Ack,
        position: Option<Position<'_>>,
        out: &mut BytesMut,
    ) {
        self.write_ack(0x50, pkid, ack, position, out);
    }

    /// Writes a PUBREL.
    pub(crate) fn write_pubrel(self, pkid: u16, ack: Ack, out: &mut BytesMut) {
        self.write_ack(0x62, pkid, ack, None, out);
    }

    /// Writes a PUBCOMP.
    pub(crate) fn write_pubcomp(self, pkid: u16, ack: Ack, out: &mut BytesMut) {
        self.write_ack(0x70, pkid, ack, None, out);
    }

    fn write_ack(
        self,
        first: u8,
        pkid: u16,
        ack: Ack,
        position: Option<Position<'_>>,
        out: &mut BytesMut,
    ) {
        let [high, low] = pkid.to_be_bytes();
        if self == Self::V311 || (ack == Ack::Success && position.is_none()) {
            out.put_slice(&[first, 2, high, low]);
            return;
        }
        let Some(at) = position else {
            out.put_slice(&[first, 3, high, low, ack.code()]);
            return;
        };
        packet(first, out, |out| {
            out.put_slice(&[high, low, ack.code()]);
            prefixed(out, |out| {
                put_user("source", at.source, out);
                put_user("epoch", at.epoch, out);
                put_user("offset", &at.offset.to_string(), out);
            });
        });
    }

    /// Writes a SUBACK, with one reason for each filter in order.
    pub(crate) fn write_suback(self, pkid: u16, reasons: &[SubReason], out: &mut BytesMut) {
        packet(0x90, out, |out| {
            out.put_u16(pkid);
            match self {
                Self::V311 => out.extend(reasons.iter().map(|reason| reason.return_code())),
                Self::V5 => {
                    out.put_u8(0);
                    out.extend(reasons.iter().map(|reason| reason.code()));
                }
            }
        });
    }

    /// Writes an UNSUBACK, with one reason for each filter in order (MQTT 5 only).
    pub(crate) fn write_unsuback(self, pkid: u16, reasons: &[UnsubReason], out: &mut BytesMut) {
        packet(0xb0, out, |out| {
            out.put_u16(pkid);
            if self == Self::V5 {
                out.put_u8(0);
                out.extend(reasons.iter().map(|reason| reason.code()));
            }
        });
    }

    /// Writes a PUBLISH to a subscriber and returns its size.
    pub(crate) fn write_publish(self, delivery: &Delivery<'_>, out: &mut BytesMut) -> usize {
        let start = out.len();
        let Delivery { topic, payload, qos, .. } = *delivery;
        out.reserve(topic.len() + payload.len() + 16);
        let flags = u8::from(delivery.dup) << 3 | qos << 1 | u8::from(delivery.retain);
        out.put_slice(&[0x30 | flags, 0]);
        let known = self == Self::V5 && delivery.alias.is_some_and(|alias| alias.known);
        put_text(if known { "" } else { topic }, out);
        if qos > 0 {
            out.put_u16(delivery.pkid);
        }
        if self == Self::V5 {
            prefixed(out, |out| put_message(delivery, out));
        }
        let len = out.len() - start - 2 + payload.len();
        set_length(start + 1, len, out);
        out.put_slice(payload);
        out.len() - start
    }

    /// Writes a PINGRESP.
    pub(crate) fn write_pingresp(self, out: &mut BytesMut) {
        out.put_slice(&[0xd0, 0]);
    }

    /// Writes a DISCONNECT that says why; 3.1.1 has none from the server.
    pub(crate) fn write_disconnect(self, reason: Reason, why: Option<&str>, out: &mut BytesMut) {
        if self == Self::V311 {
            return;
        }
        packet(0xe0, out, |out| {
            out.put_u8(reason.disconnect_code());
            // The property length may be left out when it is 0; not every client reads that.
            prefixed(out, |out| put_why(why, out));
        });
    }
}

/// Writes a packet: its first byte, and its length in front of what `body` writes.
fn packet(first: u8, out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(first);
    prefixed(out, body);
}

/// Writes the length of what `body` writes in front of it.
fn prefixed(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u8(0);
    body(out);
    set_length(at, out.len() - at - 1, out);
}

/// Sets the one byte at `at` to a length, and makes room behind it when that takes more bytes. Most lengths take one.
fn set_length(at: usize, len: usize, out: &mut BytesMut) {
    assert!(len <= VARIABLE_MAX, "packets of the server are bounded");
    let (mut bytes, mut count, mut rest) = ([0; 4], 0, len);
    loop {
        let [low, ..] = rest.to_le_bytes();
        bytes[count] = if rest > 0x7f { low | 0x80 } else { low };
        rest >>= 7;
        count += 1;
        if rest == 0 {
            break;
        }
    }
    let end = out.len();
    out.resize(end + count - 1, 0);
    out.copy_within(at + 1..end, at + count);
    out[at..at + count].copy_from_slice(&bytes[..count]);
}

/// Strings and binary data of the server came in packets themselves, or are short.
fn put_binary(bytes: &[u8], out: &mut BytesMut) {
    out.put_u16(u16::try_from(bytes.len()).expect("no field is longer than 65,535 bytes"));
    out.put_slice(bytes);
}

fn put_text(text: &str, out: &mut BytesMut) {
    put_binary(text.as_bytes(), out);
}

fn put_user(name: &str, value: &str, out: &mut BytesMut) {
    out.put_u8(id::USER);
    put_text(name, out);
    put_text(value, out);
}

fn put_why(why: Option<&str>, out: &mut BytesMut) {
    if let Some(why) = why {
        out.put_u8(id::REASON_STRING);
        put_text(why, out);
    }
}

fn put_offer(offer: &Offer<'_>, out: &mut BytesMut) {
    if let Some(seconds) = offer.session_expiry_seconds {
        out.put_u8(id::SESSION_EXPIRY);
        out.put_u32(seconds);
    }
    if offer.receive_max != u16::MAX {
        out.put_u8(id::RECEIVE_MAX);
        out.put_u16(offer.receive_max);
    }
    out.put_u8(id::PACKET_BYTES_MAX);
    out.put_u32(offer.packet_bytes_max);
    if let Some(client_id) = offer.assigned_client_id {
        out.put_u8(id::ASSIGNED_CLIENT_ID);
        put_text(client_id, out);
    }
    if offer.topic_alias_max > 0 {
        out.put_u8(id::TOPIC_ALIAS_MAX);
        out.put_u16(offer.topic_alias_max);
    }
    if let Some(seconds) = offer.server_keep_alive {
        out.put_u8(id::SERVER_KEEP_ALIVE);
        out.put_u16(seconds);
    }
}

fn put_message(delivery: &Delivery<'_>, out: &mut BytesMut) {
    if let Some(alias) = delivery.alias {
        out.put_u8(id::TOPIC_ALIAS);
        out.put_u16(alias.id);
    }
    if let Some(seconds) = delivery.expiry_seconds {
        out.put_u8(id::EXPIRY);
        out.put_u32(seconds);
    }
    for subscription_id in delivery.subscription_ids {
        out.put_u8(id::SUBSCRIPTION_ID);
        let at = out.len();
        out.put_u8(0);
        set_length(at, *subscription_id as usize, out);
    }
    let Some(properties) = delivery.properties else { return };
    // The expiry is the one above.
    let Properties { payload_format, expiry_seconds: _, .. } = properties;
    if let Some(format) = payload_format {
        out.put_slice(&[id::PAYLOAD_FORMAT, *format]);
    }
    if let Some(content_type) = &properties.content_type {
        out.put_u8(id::CONTENT_TYPE);
        put_text(content_type, out);
    }
    if let Some(response_topic) = &properties.response_topic {
        out.put_u8(id::RESPONSE_TOPIC);
        put_text(response_topic, out);
    }
    if let Some(correlation) = &properties.correlation {
        out.put_u8(id::CORRELATION);
        put_binary(correlation, out);
    }
    for (name, value) in &properties.user {
        put_user(name, value, out);
    }
}
