//! MQTT 3.1.1 packets.

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{self, ConnAck, ConnectReturnCode, Packet, SubscribeReasonCode};
use rumqttc::mqttbytes::{Error, QoS};

use super::{
    Connect, Connecting, Delivery, Incoming, Publish, Reason, Subscription, Version, Will,
};

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
            }),
            has_login: connect.login.is_some(),
            enhanced_auth: false,
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
            properties: None,
        }),
        Packet::PubAck(ack) => Incoming::PubAck { pkid: ack.pkid },
        Packet::Subscribe(subscribe) => Incoming::Subscribe {
            pkid: subscribe.pkid,
            subscriptions: subscribe
                .filters
                .into_iter()
                .map(|filter| Subscription {
                    filter: filter.path,
                    qos: filter.qos as u8,
                    retain_handling: 0,
                })
                .collect(),
        },
        Packet::Unsubscribe(unsubscribe) => {
            Incoming::Unsubscribe { pkid: unsubscribe.pkid, filters: unsubscribe.topics }
        }
        Packet::PingReq => Incoming::PingReq,
        Packet::Disconnect => Incoming::Disconnect { publish_will: false },
        Packet::Connect(_) => Incoming::Unexpected("second CONNECT"),
        Packet::ConnAck(_) => Incoming::Unexpected("CONNACK"),
        Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_) => {
            Incoming::Unexpected("QoS 2 packet")
        }
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

/// Our own packets are well-formed, so that the codec's checks cannot fail.
fn written(result: Result<usize, Error>) -> usize {
    result.expect("packets of the server are well-formed")
}

pub(super) fn write_accepted(out: &mut BytesMut) {
    written(ConnAck::new(ConnectReturnCode::Success, false).write(out));
}

pub(super) fn write_refused(reason: Reason, out: &mut BytesMut) {
    let code = match reason {
        Reason::BadClientId => ConnectReturnCode::BadClientId,
        Reason::NotAuthorized => ConnectReturnCode::NotAuthorized,
        Reason::BadLogin => ConnectReturnCode::BadUserNamePassword,
        Reason::Unavailable => ConnectReturnCode::RefusedProtocolVersion,
        _ => ConnectReturnCode::ServiceUnavailable,
    };
    written(ConnAck::new(code, false).write(out));
}

pub(super) fn write_puback(pkid: u16, out: &mut BytesMut) {
    let [high, low] = pkid.to_be_bytes();
    out.extend_from_slice(&[0x40, 2, high, low]);
}

pub(super) fn write_suback(pkid: u16, granted: &[Option<u8>], out: &mut BytesMut) {
    let codes = granted.iter().map(|granted| match granted {
        Some(0) => SubscribeReasonCode::Success(QoS::AtMostOnce),
        Some(_) => SubscribeReasonCode::Success(QoS::AtLeastOnce),
        None => SubscribeReasonCode::Failure,
    });
    written(v4::SubAck::new(pkid, codes.collect()).write(out));
}

pub(super) fn write_unsuback(pkid: u16, out: &mut BytesMut) {
    written(v4::UnsubAck::new(pkid).write(out));
}

pub(super) fn write_publish(delivery: &Delivery<'_>, out: &mut BytesMut) -> usize {
    let qos = if delivery.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
    let mut publish = v4::Publish::from_bytes(delivery.topic, qos, delivery.payload.clone());
    publish.retain = delivery.retain;
    publish.pkid = delivery.pkid;
    written(publish.write(out))
}
