//! MQTT 3.1.1 packets.

use bytes::BytesMut;
use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v4::{self, Packet};

use super::{Connect, Connecting, Incoming, Publish, Reason, Subscription, Version, Will};

pub(super) fn read_connect(bytes: &mut BytesMut, packet_bytes_max: usize) -> Connecting {
    match Packet::read(bytes, packet_bytes_max) {
        Ok(Packet::Connect(connect)) => Connecting::Connect(Box::new(Connect {
            version: Version::V311,
            client_id: connect.client_id,
            clean: connect.clean_session,
            keep_alive_seconds: connect.keep_alive,
            will: connect.last_will.map(|will| Will {
                topic: will.topic,
                payload: will.message,
                qos: will.qos as u8,
                retain: will.retain,
                delay_seconds: 0,
                properties: None,
            }),
            username: connect.login.as_ref().map(|l| l.username.clone()),
            password: connect.login.map(|l| l.password.into()),
            auth_method: None,
            topic_alias_max: 0,
            session_expiry_seconds: if connect.clean_session { 0 } else { u32::MAX },
            problem_info: true,
            receive_max: u16::MAX,
            packet_bytes_max: None,
            wants_receipts: false,
        })),
        Ok(_) => Connecting::Refused(None, Reason::Protocol),
        Err(Error::InsufficientBytes(_)) => Connecting::Incomplete,
        Err(error) => Connecting::Refused(None, reason(&error)),
    }
}

pub(super) fn read(
    bytes: &mut BytesMut,
    packet_bytes_max: usize,
) -> Result<Option<Incoming>, Reason> {
    let packet = match Packet::read(bytes, packet_bytes_max) {
        Ok(packet) => packet,
        Err(Error::InsufficientBytes(_)) => return Ok(None),
        Err(error) => return Err(reason(&error)),
    };
    Ok(Some(match packet {
        Packet::Publish(publish) => Incoming::Publish(Publish {
            topic: publish.topic,
            payload: publish.payload,
            qos: publish.qos as u8,
            retain: publish.retain,
            pkid: publish.pkid,
            alias: None,
            dup: publish.dup,
            properties: None,
        }),
        Packet::PubAck(ack) => Incoming::PubAck { pkid: ack.pkid, reason: 0 },
        Packet::PubRec(ack) => Incoming::PubRec { pkid: ack.pkid, reason: 0 },
        Packet::PubRel(ack) => Incoming::PubRel { pkid: ack.pkid, reason: 0 },
        Packet::PubComp(ack) => Incoming::PubComp { pkid: ack.pkid, reason: 0 },
        Packet::Subscribe(subscribe) => Incoming::Subscribe {
            pkid: subscribe.pkid,
            id: None,
            subscriptions: subscribe
                .filters
                .into_iter()
                .map(|filter| Subscription {
                    filter: filter.path,
                    qos: filter.qos as u8,
                    no_local: false,
                    retain_as_published: false,
                    retain_handling: 0,
                })
                .collect(),
        },
        Packet::Unsubscribe(unsubscribe) => {
            Incoming::Unsubscribe { pkid: unsubscribe.pkid, filters: unsubscribe.topics }
        }
        Packet::PingReq => Incoming::PingReq,
        Packet::Disconnect => {
            Incoming::Disconnect { publish_will: false, session_expiry_seconds: None }
        }
        Packet::Connect(_) => Incoming::Unexpected("second CONNECT"),
        Packet::ConnAck(_) => Incoming::Unexpected("CONNACK"),
        Packet::SubAck(_) | Packet::UnsubAck(_) => {
            Incoming::Unexpected("acknowledgement of a server")
        }
        Packet::PingResp => Incoming::Unexpected("PINGRESP"),
    }))
}

fn reason(error: &Error) -> Reason {
    match error {
        Error::PayloadSizeLimitExceeded(_) => Reason::PacketTooLarge,
        _ => Reason::Malformed,
    }
}
