//! MQTT 3.1.1 and 5 on the wire: the only file that knows rumqttc's codec.

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{self, v4};
use rumqttc::v5::mqttbytes::{self as mqttbytes5, v5};

use crate::config::MqttVersion;
use crate::message::Message;

/// The longest packet that is read, in bytes.
pub(crate) const PACKET_MAX: u32 = 2 << 20;
/// The longest packet that MQTT has: what a gateway takes that does not say less.
const PACKET_UNTOLD: u32 = 268_435_460;
/// Asks the gateway for receipts: it then says source, epoch and offset in each PUBACK.
const ASK_FOR_RECEIPTS: (&str, &str) = ("tidemark-receipts", "1");

/// Why bytes could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
#[error("MQTT: {0}")]
pub(crate) struct MqttError(String);

/// What the gateway said about the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) receive_max: u16,
    /// Most bytes of a packet, if the gateway said.
    pub(crate) packet_told: Option<u32>,
    pub(crate) keep_alive_s: Option<u16>,
}

impl Accepted {
    pub(crate) fn packet_max(&self) -> usize {
        self.packet_told.unwrap_or(PACKET_UNTOLD) as usize
    }
}

/// Where a message is, for a client that asked for receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) source: String,
    pub(crate) epoch: String,
    pub(crate) offset: u64,
}

/// The gateway's answer to a PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    /// Not now: quota exceeded, or an unspecified error.
    TryLater(u8),
    /// Never: this message will not be accepted.
    Refused(u8),
}

/// A packet from the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    Connected(Accepted),
    /// `fatal`: trying again will not help.
    NotConnected {
        fatal: bool,
        reason: String,
    },
    Acknowledged {
        pkid: u16,
        answer: Answer,
        place: Option<Place>,
    },
    Published {
        payload: Bytes,
    },
    Closed {
        reason: String,
    },
    Other,
}

/// User name and password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) username: String,
    /// Empty when a certificate proves who it is.
    pub(crate) password: String,
}

// The password stays out of logs.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What a client says of itself when it connects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hello<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) login: Option<&'a Login>,
    pub(crate) keep_alive_s: u16,
    /// Ask for receipts.
    pub(crate) receipts: bool,
}

/// Speaks one version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codec {
    pub(crate) version: MqttVersion,
}

impl Codec {
    pub(crate) fn connect(self, out: &mut BytesMut, hello: &Hello<'_>) -> Result<(), MqttError> {
        let Hello { client_id, login, keep_alive_s, receipts } = *hello;
        match self.version {
            MqttVersion::V311 => {
                let mut connect = v4::Connect::new(client_id);
                connect.keep_alive = keep_alive_s;
                connect.clean_session = true;
                if let Some(Login { username, password }) = login {
                    connect.set_login(username, password);
                }
                v4::Packet::Connect(connect).write(out, PACKET_MAX as usize).map_err(error4)?;
            }
            MqttVersion::V5 => {
                let mut properties = v5::ConnectProperties::new();
                properties.max_packet_size = Some(PACKET_MAX);
                if receipts {
                    let (name, value) = ASK_FOR_RECEIPTS;
                    properties.user_properties.push((name.to_owned(), value.to_owned()));
                }
                let connect = v5::Connect {
                    keep_alive: keep_alive_s,
                    client_id: client_id.to_owned(),
                    clean_start: true,
                    properties: Some(properties),
                };
                let login =
                    login.map(|Login { username, password }| v5::Login::new(username, password));
                v5::Packet::Connect(connect, None, login).write(out, None).map_err(error5)?;
            }
        }
        Ok(())
    }

    /// A QoS 1 PUBLISH.
    pub(crate) fn publish(
        self,
        out: &mut BytesMut,
        pkid: u16,
        dup: bool,
        message: &Message,
    ) -> Result<(), MqttError> {
        match self.version {
            MqttVersion::V311 => {
                let topic = message.topic.to_string();
                let mut publish = v4::Publish::from_bytes(
                    topic,
                    mqttbytes::QoS::AtLeastOnce,
                    message.payload.clone(),
                );
                (publish.pkid, publish.dup) = (pkid, dup);
                publish.write(out).map_err(error4)?;
            }
            MqttVersion::V5 => {
                let publish = v5::Publish {
                    dup,
                    qos: mqttbytes5::QoS::AtLeastOnce,
                    retain: false,
                    topic: Bytes::copy_from_slice(message.topic.as_bytes()),
                    pkid,
                    payload: message.payload.clone(),
                    properties: None,
                };
                publish.write(out).map_err(error5)?;
            }
        }
        Ok(())
    }

    /// A QoS 0 subscription.
    pub(crate) fn subscribe(self, out: &mut BytesMut, filter: &str) -> Result<(), MqttError> {
        match self.version {
            MqttVersion::V311 => {
                let mut subscribe = v4::Subscribe::new(filter, mqttbytes::QoS::AtMostOnce);
                subscribe.pkid = 1;
                subscribe.write(out).map_err(error4)?;
            }
            MqttVersion::V5 => {
                let filter = v5::Filter::new(filter, mqttbytes5::QoS::AtMostOnce);
                let mut subscribe = v5::Subscribe::new(filter, None);
                subscribe.pkid = 1;
                subscribe.write(out).map_err(error5)?;
            }
        }
        Ok(())
    }

    /// PINGREQ: the same bytes in both versions.
    pub(crate) fn ping(self, out: &mut BytesMut) {
        out.extend_from_slice(&[0xc0, 0x00]);
    }

    /// DISCONNECT without a reason: the same bytes in both versions.
    pub(crate) fn disconnect(self, out: &mut BytesMut) {
        out.extend_from_slice(&[0xe0, 0x00]);
    }

    /// Takes the next whole packet out of `bytes`, if there is one.
    pub(crate) fn decode(self, bytes: &mut BytesMut) -> Result<Option<Incoming>, MqttError> {
        match self.version {
            MqttVersion::V311 => match v4::Packet::read(bytes, PACKET_MAX as usize) {
                Ok(packet) => Ok(Some(incoming4(packet))),
                Err(mqttbytes::Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(error4(error)),
            },
            MqttVersion::V5 => match v5::Packet::read(bytes, Some(PACKET_MAX)) {
                Ok(packet) => Ok(Some(incoming5(packet))),
                Err(mqttbytes5::Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(error5(error)),
            },
        }
    }
}

fn error4(error: mqttbytes::Error) -> MqttError {
    MqttError(error.to_string())
}

fn error5(error: mqttbytes5::Error) -> MqttError {
    MqttError(error.to_string())
}

fn incoming4(packet: v4::Packet) -> Incoming {
    use v4::ConnectReturnCode as Code;
    match packet {
        v4::Packet::ConnAck(ack) if ack.code == Code::Success => Incoming::Connected(Accepted {
            receive_max: u16::MAX,
            packet_told: None,
            keep_alive_s: None,
        }),
        v4::Packet::ConnAck(ack) => Incoming::NotConnected {
            fatal: ack.code != Code::ServiceUnavailable,
            reason: format!("{:?}", ack.code),
        },
        v4::Packet::PubAck(ack) => {
            Incoming::Acknowledged { pkid: ack.pkid, answer: Answer::Accepted, place: None }
        }
        v4::Packet::Publish(publish) => Incoming::Published { payload: publish.payload },
        v4::Packet::Disconnect => Incoming::Closed { reason: "DISCONNECT".into() },
        _ => Incoming::Other,
    }
}

fn incoming5(packet: v5::Packet) -> Incoming {
    match packet {
        v5::Packet::ConnAck(ack) => connack5(ack),
        v5::Packet::PubAck(ack) => {
            let answer = answer5(ack.reason);
            let place = ack.properties.and_then(|properties| place(&properties.user_properties));
            Incoming::Acknowledged { pkid: ack.pkid, answer, place }
        }
        v5::Packet::Publish(publish) => Incoming::Published { payload: publish.payload },
        v5::Packet::Disconnect(disconnect) => {
            Incoming::Closed { reason: format!("{:?}", disconnect.reason_code) }
        }
        _ => Incoming::Other,
    }
}

fn connack5(ack: v5::ConnAck) -> Incoming {
    use v5::ConnectReturnCode as Code;
    if ack.code != Code::Success {
        let later = matches!(
            ack.code,
            Code::ServerUnavailable
                | Code::ServiceUnavailable
                | Code::ServerBusy
                | Code::ConnectionRateExceeded
                | Code::QuotaExceeded
        );
        return Incoming::NotConnected { fatal: !later, reason: format!("{:?}", ack.code) };
    }
    let properties = ack.properties;
    let told = |get: fn(&v5::ConnAckProperties) -> Option<u32>| properties.as_ref().and_then(get);
    let narrow = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
    Incoming::Connected(Accepted {
        receive_max: told(|p| p.receive_max.map(u32::from)).map_or(u16::MAX, narrow).max(1),
        packet_told: told(|p| p.max_packet_size),
        keep_alive_s: told(|p| p.server_keep_alive.map(u32::from)).map(narrow),
    })
}

/// MQTT 5, table 3-4: codes below 0x80 are acceptance.
fn answer5(reason: v5::PubAckReason) -> Answer {
    use v5::PubAckReason as Reason;
    match reason {
        Reason::Success | Reason::NoMatchingSubscribers => Answer::Accepted,
        Reason::UnspecifiedError => Answer::TryLater(0x80),
        Reason::ImplementationSpecificError => Answer::TryLater(0x83),
        Reason::PacketIdentifierInUse => Answer::TryLater(0x91),
        Reason::QuotaExceeded => Answer::TryLater(0x97),
        Reason::NotAuthorized => Answer::Refused(0x87),
        Reason::TopicNameInvalid => Answer::Refused(0x90),
        Reason::PayloadFormatInvalid => Answer::Refused(0x99),
    }
}

fn place(properties: &[(String, String)]) -> Option<Place> {
    let get =
        |name: &str| properties.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    Some(Place {
        source: get("source")?,
        epoch: get("epoch")?,
        offset: get("offset")?.parse().ok()?,
    })
}

#[cfg(test)]
pub(crate) mod server {
    //! The gateway's side of the same codec, for a broker in tests.

    use super::*;

    /// A packet from a client.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) enum FromClient {
        Connect { client_id: String, receipts: bool },
        Publish { pkid: u16, dup: bool, topic: String, payload: Bytes },
        Subscribe { pkid: u16 },
        Ping,
        Disconnect,
    }

    pub(crate) fn decode(version: MqttVersion, bytes: &mut BytesMut) -> Option<FromClient> {
        // rumqttc's v5 codec does not read a DISCONNECT without a reason.
        if bytes.starts_with(&[0xe0, 0x00]) {
            return Some(FromClient::Disconnect);
        }
        match version {
            MqttVersion::V311 => match v4::Packet::read(bytes, PACKET_MAX as usize).ok()? {
                v4::Packet::Connect(c) => {
                    Some(FromClient::Connect { client_id: c.client_id, receipts: false })
                }
                v4::Packet::Publish(p) => Some(FromClient::Publish {
                    pkid: p.pkid,
                    dup: p.dup,
                    topic: p.topic,
                    payload: p.payload,
                }),
                v4::Packet::Subscribe(s) => Some(FromClient::Subscribe { pkid: s.pkid }),
                v4::Packet::PingReq => Some(FromClient::Ping),
                other => panic!("unexpected {other:?}"),
            },
            MqttVersion::V5 => match v5::Packet::read(bytes, Some(PACKET_MAX)).ok()? {
                v5::Packet::Connect(c, _, _) => {
                    let asked = c.properties.unwrap().user_properties;
                    let (name, value) = ASK_FOR_RECEIPTS;
                    let receipts = asked.contains(&(name.to_owned(), value.to_owned()));
                    Some(FromClient::Connect { client_id: c.client_id, receipts })
                }
                v5::Packet::Publish(p) => Some(FromClient::Publish {
                    pkid: p.pkid,
                    dup: p.dup,
                    topic: String::from_utf8(p.topic.to_vec()).unwrap(),
                    payload: p.payload,
                }),
                v5::Packet::Subscribe(s) => Some(FromClient::Subscribe { pkid: s.pkid }),
                v5::Packet::PingReq(_) => Some(FromClient::Ping),
                other => panic!("unexpected {other:?}"),
            },
        }
    }

    pub(crate) fn connack(version: MqttVersion, out: &mut BytesMut) {
        match version {
            MqttVersion::V311 => {
                v4::ConnAck::new(v4::ConnectReturnCode::Success, false).write(out).unwrap();
            }
            MqttVersion::V5 => {
                let ack = v5::ConnAck {
                    session_present: false,
                    code: v5::ConnectReturnCode::Success,
                    properties: None,
                };
                ack.write(out).unwrap();
            }
        }
    }

    /// A CONNACK that turns a 3.1.1 client away for good.
    pub(crate) fn not_authorized(out: &mut BytesMut) {
        v4::ConnAck::new(v4::ConnectReturnCode::NotAuthorized, false).write(out).unwrap();
    }

    /// A PUBACK; with a place or a refusal in version 5 only.
    pub(crate) fn puback(
        version: MqttVersion,
        out: &mut BytesMut,
        pkid: u16,
        place: Option<Place>,
        over_quota: bool,
    ) {
        match version {
            MqttVersion::V311 => {
                v4::PubAck::new(pkid).write(out).unwrap();
            }
            MqttVersion::V5 => {
                let properties = place.map(|place| v5::PubAckProperties {
                    reason_string: None,
                    user_properties: vec![
                        ("source".into(), place.source),
                        ("epoch".into(), place.epoch),
                        ("offset".into(), place.offset.to_string()),
                    ],
                });
                let mut ack = v5::PubAck::new(pkid, properties);
                if over_quota {
                    ack.reason = v5::PubAckReason::QuotaExceeded;
                }
                ack.write(out).unwrap();
            }
        }
    }

    pub(crate) fn suback(version: MqttVersion, out: &mut BytesMut, pkid: u16) {
        let [high, low] = pkid.to_be_bytes();
        match version {
            MqttVersion::V311 => out.extend_from_slice(&[0x90, 3, high, low, 0]),
            MqttVersion::V5 => out.extend_from_slice(&[0x90, 4, high, low, 0, 0]),
        }
    }

    pub(crate) fn pong(out: &mut BytesMut) {
        out.extend_from_slice(&[0xd0, 0x00]);
    }

    /// A QoS 0 PUBLISH.
    pub(crate) fn publish(version: MqttVersion, out: &mut BytesMut, topic: &str, payload: &[u8]) {
        match version {
            MqttVersion::V311 => {
                v4::Publish::new(topic, mqttbytes::QoS::AtMostOnce, payload).write(out).unwrap();
            }
            MqttVersion::V5 => {
                let payload = Bytes::copy_from_slice(payload);
                v5::Publish::new(topic, mqttbytes5::QoS::AtMostOnce, payload, None)
                    .write(out)
                    .unwrap();
            }
        }
    }
}
