//! MQTT 5 packets.

use bytes::{Bytes, BytesMut};
use rumqttc::v5::mqttbytes::Error;
use rumqttc::v5::mqttbytes::v5::{self, DisconnectReasonCode, LastWill, Packet, RetainForwardRule};

use super::{
    Connect, Connecting, Incoming, Properties, Publish, Reason, Subscription, Version, Will,
};

/// The CONNECT user property by which a device asks for its receipts.
const WANTS_RECEIPTS: &str = "tidemark-receipts";

pub(super) fn read_connect(bytes: &mut BytesMut, packet_bytes_max: usize) -> Connecting {
    let before = bytes.len();
    let (connect, will, login) = match Packet::read(bytes, limit(packet_bytes_max)) {
        Ok(Packet::Connect(connect, will, login)) => (connect, will, login),
        Ok(_) => return Connecting::Refused(None, Reason::Protocol),
        Err(Error::InsufficientBytes(_)) if bytes.len() == before => return Connecting::Incomplete,
        Err(Error::InsufficientBytes(_)) => {
            return Connecting::Refused(Some(Version::V5), Reason::Malformed);
        }
        Err(error) => return Connecting::Refused(Some(Version::V5), reason(&error)),
    };
    let Ok(will) = will.map(read_will).transpose() else {
        return Connecting::Refused(Some(Version::V5), Reason::Malformed);
    };
    let properties = connect.properties.unwrap_or_default();
    if properties.receive_maximum == Some(0) || properties.max_packet_size == Some(0) {
        return Connecting::Refused(Some(Version::V5), Reason::Protocol);
    }
    Connecting::Connect(Box::new(Connect {
        version: Version::V5,
        client_id: connect.client_id,
        clean: connect.clean_start,
        keep_alive_seconds: connect.keep_alive,
        will,
        username: login.as_ref().map(|l| l.username.clone()),
        password: login.map(|l| l.password.into()),
        auth_method: properties.authentication_method,
        topic_alias_max: properties.topic_alias_max.unwrap_or(0),
        session_expiry_seconds: properties.session_expiry_interval.unwrap_or(0),
        problem_info: properties.request_problem_info != Some(0),
        receive_max: properties.receive_maximum.unwrap_or(u16::MAX),
        packet_bytes_max: properties.max_packet_size,
        wants_receipts: properties
            .user_properties
            .iter()
            .any(|(name, value)| name == WANTS_RECEIPTS && value == "1"),
    }))
}

fn read_will(will: LastWill) -> Result<Will, Reason> {
    Ok(Will {
        topic: text(&will.topic)?,
        payload: will.message,
        qos: will.qos as u8,
        retain: will.retain,
        delay_seconds: 0,
        properties: None,
    })
}

fn text(bytes: &Bytes) -> Result<String, Reason> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Reason::Malformed)
}

fn limit(packet_bytes_max: usize) -> Option<u32> {
    Some(u32::try_from(packet_bytes_max).unwrap_or(u32::MAX))
}

pub(super) fn read(
    bytes: &mut BytesMut,
    packet_bytes_max: usize,
) -> Result<Option<Incoming>, Reason> {
    // A DISCONNECT without a body is normal; the codec takes it for an error.
    if bytes.starts_with(&[0xe0, 0]) {
        drop(bytes.split_to(2));
        return Ok(Some(Incoming::Disconnect {
            publish_will: false,
            session_expiry_seconds: None,
        }));
    }
    // Nor does it know one with a reason and no properties, which is as normal.
    if let [0xe0, 1, code, ..] = **bytes {
        drop(bytes.split_to(3));
        return Ok(Some(Incoming::Disconnect {
            publish_will: code != 0,
            session_expiry_seconds: None,
        }));
    }
    let before = bytes.len();
    let packet = match Packet::read(bytes, limit(packet_bytes_max)) {
        Ok(packet) => packet,
        Err(Error::InsufficientBytes(_)) if bytes.len() == before => return Ok(None),
        // The packet is whole, but something inside it is cut off.
        Err(Error::InsufficientBytes(_)) => return Err(Reason::Malformed),
        Err(error) => return Err(reason(&error)),
    };
    Ok(Some(match packet {
        Packet::Publish(publish) => Incoming::Publish(read_publish(publish)?),
        Packet::PubAck(ack) => Incoming::PubAck { pkid: ack.pkid, reason: 0 },
        Packet::PubRec(ack) => Incoming::PubRec { pkid: ack.pkid, reason: 0 },
        Packet::PubRel(ack) => Incoming::PubRel { pkid: ack.pkid, reason: 0 },
        Packet::PubComp(ack) => Incoming::PubComp { pkid: ack.pkid, reason: 0 },
        Packet::Subscribe(subscribe) => Incoming::Subscribe {
            pkid: subscribe.pkid,
            id: None,
            subscriptions: subscribe.filters.into_iter().map(read_subscription).collect(),
        },
        Packet::Unsubscribe(unsubscribe) => {
            Incoming::Unsubscribe { pkid: unsubscribe.pkid, filters: unsubscribe.filters }
        }
        Packet::PingReq(_) => Incoming::PingReq,
        Packet::Disconnect(disconnect) => Incoming::Disconnect {
            publish_will: disconnect.reason_code != DisconnectReasonCode::NormalDisconnection,
            session_expiry_seconds: disconnect.properties.and_then(|p| p.session_expiry_interval),
        },
        Packet::Connect(..) => Incoming::Unexpected("second CONNECT"),
        Packet::ConnAck(_) => Incoming::Unexpected("CONNACK"),
        Packet::Auth(_) => Incoming::Unexpected("AUTH"),
        Packet::SubAck(_) | Packet::UnsubAck(_) => {
            Incoming::Unexpected("acknowledgement of a server")
        }
        Packet::PingResp(_) => Incoming::Unexpected("PINGRESP"),
    }))
}

fn read_publish(publish: v5::Publish) -> Result<Publish, Reason> {
    // We announce a topic alias maximum of 0, so every alias is one too many.
    if publish.properties.as_ref().is_some_and(|properties| properties.topic_alias.is_some()) {
        return Err(Reason::TopicAlias);
    }
    Ok(Publish {
        topic: text(&publish.topic)?,
        payload: publish.payload,
        qos: publish.qos as u8,
        retain: publish.retain,
        pkid: publish.pkid,
        alias: None,
        dup: publish.dup,
        properties: publish.properties.map(|properties| {
            Box::new(Properties {
                payload_format: properties.payload_format_indicator,
                expiry_seconds: properties.message_expiry_interval,
                response_topic: properties.response_topic,
                correlation: properties.correlation_data.map(|data| data.to_vec()),
                user: properties.user_properties,
                content_type: properties.content_type,
            })
        }),
    })
}

fn read_subscription(filter: v5::Filter) -> Subscription {
    let retain_handling = match filter.retain_forward_rule {
        RetainForwardRule::OnEverySubscribe => 0,
        RetainForwardRule::OnNewSubscribe => 1,
        RetainForwardRule::Never => 2,
    };
    Subscription {
        filter: filter.path,
        qos: filter.qos as u8,
        no_local: filter.nolocal,
        retain_as_published: filter.preserve_retain,
        retain_handling,
    }
}

fn reason(error: &Error) -> Reason {
    match error {
        Error::PayloadSizeLimitExceeded { .. } => Reason::PacketTooLarge,
        _ => Reason::Malformed,
    }
}
