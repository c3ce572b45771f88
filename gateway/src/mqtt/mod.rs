//! MQTT packets of both versions as one vocabulary, over the codec of `rumqttc`.
//!
//! 3.1.1 and 5 share a port: CONNECT carries the version. Everything that is version-specific stays in this folder.

mod v4;
mod v5;

use bytes::{Bytes, BytesMut};

/// The protocol version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.0.
    V5,
}

/// Properties of a PUBLISH that travel with it to MQTT 5 subscribers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Properties {
    pub(crate) payload_format: Option<u8>,
    pub(crate) expiry_seconds: Option<u32>,
    pub(crate) response_topic: Option<String>,
    pub(crate) correlation: Option<Vec<u8>>,
    pub(crate) user: Vec<(String, String)>,
    pub(crate) content_type: Option<String>,
}

/// A PUBLISH as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) pkid: u16,
    pub(crate) properties: Option<Box<Properties>>,
}

/// The message that a client leaves for the case that it vanishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

/// A CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    pub(crate) client_id: String,
    pub(crate) clean: bool,
    pub(crate) keep_alive_seconds: u16,
    pub(crate) will: Option<Will>,
    /// The client offered a user name or password.
    pub(crate) has_login: bool,
    /// The client asked for enhanced authentication (MQTT 5 section 4.12).
    pub(crate) enhanced_auth: bool,
    /// Unacknowledged QoS 1 messages that the client takes at once.
    pub(crate) receive_max: u16,
    /// Largest packet that the client takes.
    pub(crate) packet_bytes_max: Option<u32>,
    /// The client wants source, epoch and offset with each PUBACK.
    pub(crate) wants_receipts: bool,
}

/// One filter of a SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) filter: String,
    pub(crate) qos: u8,
    /// 0: send retained messages, 1: only for a new subscription, 2: never.
    pub(crate) retain_handling: u8,
}

/// What a connected client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    Publish(Publish),
    PubAck {
        pkid: u16,
    },
    Subscribe {
        pkid: u16,
        subscriptions: Vec<Subscription>,
    },
    Unsubscribe {
        pkid: u16,
        filters: Vec<String>,
    },
    PingReq,
    Disconnect {
        publish_will: bool,
    },
    /// A packet that this server does not expect from a client (any more).
    Unexpected(&'static str),
}

/// Why a connection ends or a packet is refused: the codes of MQTT 5; 3.1.1 clients see the connection close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    Malformed,
    Protocol,
    NotAuthorized,
    BadLogin,
    BadClientId,
    BadAuthMethod,
    ServerBusy,
    ShuttingDown,
    KeepAlive,
    TakenOver,
    TopicInvalid,
    ReceiveMaximum,
    TopicAlias,
    PacketTooLarge,
    QuotaExceeded,
    QosNotSupported,
    Unavailable,
}

impl Reason {
    /// Returns the reason as it stands in metrics and logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_packet",
            Self::Protocol => "protocol_error",
            Self::NotAuthorized => "not_authorized",
            Self::BadLogin => "bad_login",
            Self::BadClientId => "bad_client_id",
            Self::BadAuthMethod => "bad_authentication_method",
            Self::ServerBusy => "server_busy",
            Self::ShuttingDown => "shutting_down",
            Self::KeepAlive => "keep_alive_timeout",
            Self::TakenOver => "taken_over",
            Self::TopicInvalid => "topic_invalid",
            Self::ReceiveMaximum => "receive_maximum_exceeded",
            Self::TopicAlias => "topic_alias_invalid",
            Self::PacketTooLarge => "packet_too_large",
            Self::QuotaExceeded => "quota_exceeded",
            Self::QosNotSupported => "qos_not_supported",
            Self::Unavailable => "server_unavailable",
        }
    }
}

/// What a PUBACK says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AckReason {
    Success,
    QuotaExceeded,
}

/// What a CONNACK tells an MQTT 5 client about this server.
#[derive(Debug, Clone)]
pub(crate) struct Offer<'a> {
    pub(crate) receive_max: u16,
    pub(crate) packet_bytes_max: u32,
    pub(crate) assigned_client_id: Option<&'a str>,
}

/// The identity of an accepted message, for a PUBACK's user properties.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position<'a> {
    pub(crate) source: &'a str,
    pub(crate) epoch: &'a str,
    pub(crate) offset: u64,
}

/// A message on its way to a subscriber.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a Bytes,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) pkid: u16,
    pub(crate) properties: Option<&'a Properties>,
}

/// What a CONNECT attempt turned out to be.
pub(crate) enum Connecting {
    /// More bytes are needed.
    Incomplete,
    /// A CONNECT of a version that we speak.
    Connect(Box<Connect>),
    /// A refusal, with the version to answer in, if the client gets an answer.
    Refused(Option<Version>, Reason),
}

/// Reads the first packet of a connection. Its version is taken from the packet itself.
pub(crate) fn read_connect(bytes: &mut BytesMut, packet_bytes_max: usize) -> Connecting {
    let Some(&first) = bytes.first() else { return Connecting::Incomplete };
    if first != 0x10 {
        return Connecting::Refused(None, Reason::Protocol);
    }
    let Some(header_len) = fixed_header_len(bytes) else {
        // At most four length bytes: a fifth cannot make it valid.
        return if bytes.len() > 4 {
            Connecting::Refused(None, Reason::Malformed)
        } else {
            Connecting::Incomplete
        };
    };
    // Protocol name and level: 00 04 'M' 'Q' 'T' 'T' level.
    let Some(name) = bytes.get(header_len..header_len + 7) else { return Connecting::Incomplete };
    match name {
        [0, 4, b'M', b'Q', b'T', b'T', 4] => v4::read_connect(bytes, packet_bytes_max),
        [0, 4, b'M', b'Q', b'T', b'T', 5] => v5::read_connect(bytes, packet_bytes_max),
        [0, 4, b'M', b'Q', b'T', b'T', _] | [0, 6, b'M', b'Q', b'I', b's', b'd'] => {
            Connecting::Refused(Some(Version::V311), Reason::Unavailable)
        }
        _ => Connecting::Refused(None, Reason::Protocol),
    }
}

fn fixed_header_len(bytes: &[u8]) -> Option<usize> {
    bytes.iter().skip(1).take(4).position(|byte| byte & 0x80 == 0).map(|at| at + 2)
}

impl Version {
    /// Takes the next packet off the front of `bytes`; `None` when it is not complete yet.
    pub(crate) fn read(
        self,
        bytes: &mut BytesMut,
        packet_bytes_max: usize,
    ) -> Result<Option<Incoming>, Reason> {
        match self {
            Self::V311 => v4::read(bytes, packet_bytes_max),
            Self::V5 => v5::read(bytes, packet_bytes_max),
        }
    }

    /// Writes a CONNACK that accepts.
    pub(crate) fn write_accepted(self, offer: &Offer<'_>, out: &mut BytesMut) {
        match self {
            Self::V311 => v4::write_accepted(out),
            Self::V5 => v5::write_accepted(offer, out),
        }
    }

    /// Writes a CONNACK that refuses.
    pub(crate) fn write_refused(self, reason: Reason, out: &mut BytesMut) {
        match self {
            Self::V311 => v4::write_refused(reason, out),
            Self::V5 => v5::write_refused(reason, out),
        }
    }

    /// Writes a PUBACK; a position makes it a device's receipt (MQTT 5 only).
    pub(crate) fn write_puback(
        self,
        pkid: u16,
        reason: AckReason,
        position: Option<Position<'_>>,
        out: &mut BytesMut,
    ) {
        match self {
            Self::V311 => v4::write_puback(pkid, out),
            Self::V5 => v5::write_puback(pkid, reason, position, out),
        }
    }

    /// Writes a SUBACK; `None` stands for a refused filter.
    pub(crate) fn write_suback(self, pkid: u16, granted: &[Option<u8>], out: &mut BytesMut) {
        match self {
            Self::V311 => v4::write_suback(pkid, granted, out),
            Self::V5 => v5::write_suback(pkid, granted, out),
        }
    }

    /// Writes an UNSUBACK; each flag tells whether there was such a subscription.
    pub(crate) fn write_unsuback(self, pkid: u16, existed: &[bool], out: &mut BytesMut) {
        match self {
            Self::V311 => v4::write_unsuback(pkid, out),
            Self::V5 => v5::write_unsuback(pkid, existed, out),
        }
    }

    /// Writes a PUBLISH to a subscriber and returns its size.
    pub(crate) fn write_publish(self, delivery: &Delivery<'_>, out: &mut BytesMut) -> usize {
        match self {
            Self::V311 => v4::write_publish(delivery, out),
            Self::V5 => v5::write_publish(delivery, out),
        }
    }

    /// Writes a PINGRESP.
    pub(crate) fn write_pingresp(self, out: &mut BytesMut) {
        out.extend_from_slice(&[0xd0, 0]);
    }

    /// Writes a DISCONNECT that says why; 3.1.1 has none from the server.
    pub(crate) fn write_disconnect(self, reason: Reason, out: &mut BytesMut) {
        if self == Self::V5 {
            v5::write_disconnect(reason, out);
        }
    }
}

#[cfg(test)]
mod tests;
