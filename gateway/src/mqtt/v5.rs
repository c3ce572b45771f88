//! MQTT 5 packets.

use bytes::{Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5::{
    self, ConnAck, ConnAckProperties, ConnectReturnCode, Disconnect, DisconnectReasonCode,
    LastWill, Packet, PubAck, PubAckProperties, PubAckReason, PublishProperties, RetainForwardRule,
    SubAck, SubscribeReasonCode, UnsubAck, UnsubAckReason,
};
use rumqttc::v5::mqttbytes::{Error, QoS};

use super::{
    AckReason, Connect, Connecting, Delivery, Incoming, Offer, Position, Properties, Publish,
    Reason, Subscription, Version, Will,
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
        has_login: login.is_some(),
        enhanced_auth: properties.authentication_method.is_some(),
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
        return Ok(Some(Incoming::Disconnect { publish_will: false }));
    }
    // Nor does it know one with a reason and no properties, which is as normal.
    if let [0xe0, 1, code, ..] = **bytes {
        drop(bytes.split_to(3));
        return Ok(Some(Incoming::Disconnect { publish_will: code != 0 }));
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
        Packet::PubAck(ack) => Incoming::PubAck { pkid: ack.pkid },
        Packet::Subscribe(subscribe) => Incoming::Subscribe {
            pkid: subscribe.pkid,
            subscriptions: subscribe.filters.into_iter().map(read_subscription).collect(),
        },
        Packet::Unsubscribe(unsubscribe) => {
            Incoming::Unsubscribe { pkid: unsubscribe.pkid, filters: unsubscribe.filters }
        }
        Packet::PingReq(_) => Incoming::PingReq,
        Packet::Disconnect(disconnect) => Incoming::Disconnect {
            publish_will: disconnect.reason_code != DisconnectReasonCode::NormalDisconnection,
        },
        Packet::Connect(..) => Incoming::Unexpected("second CONNECT"),
        Packet::ConnAck(_) => Incoming::Unexpected("CONNACK"),
        Packet::Auth(_) => Incoming::Unexpected("AUTH"),
        Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_) => {
            Incoming::Unexpected("QoS 2 packet")
        }
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
    Subscription { filter: filter.path, qos: filter.qos as u8, retain_handling }
}

fn reason(error: &Error) -> Reason {
    match error {
        Error::PayloadSizeLimitExceeded { .. } => Reason::PacketTooLarge,
        _ => Reason::Malformed,
    }
}

/// Our own packets are well-formed, so that the codec's checks cannot fail.
fn written(result: Result<usize, Error>) -> usize {
    result.expect("packets of the server are well-formed")
}

fn connack(code: ConnectReturnCode, properties: Option<ConnAckProperties>, out: &mut BytesMut) {
    written(ConnAck { session_present: false, code, properties }.write(out));
}

pub(super) fn write_accepted(offer: &Offer<'_>, out: &mut BytesMut) {
    let properties = ConnAckProperties {
        session_expiry_interval: Some(0),
        receive_max: Some(offer.receive_max),
        max_qos: Some(1),
        retain_available: Some(1),
        max_packet_size: Some(offer.packet_bytes_max),
        assigned_client_identifier: offer.assigned_client_id.map(str::to_owned),
        topic_alias_max: Some(0),
        reason_string: None,
        user_properties: Vec::new(),
        wildcard_subscription_available: Some(1),
        subscription_identifiers_available: Some(0),
        shared_subscription_available: Some(0),
        server_keep_alive: None,
        response_information: None,
        server_reference: None,
        authentication_method: None,
        authentication_data: None,
    };
    connack(ConnectReturnCode::Success, Some(properties), out);
}

pub(super) fn write_refused(reason: Reason, out: &mut BytesMut) {
    let code = match reason {
        Reason::Malformed => ConnectReturnCode::MalformedPacket,
        Reason::Protocol => ConnectReturnCode::ProtocolError,
        Reason::NotAuthorized => ConnectReturnCode::NotAuthorized,
        Reason::BadLogin => ConnectReturnCode::BadUserNamePassword,
        Reason::BadClientId => ConnectReturnCode::ClientIdentifierNotValid,
        Reason::BadAuthMethod => ConnectReturnCode::BadAuthenticationMethod,
        Reason::TopicInvalid => ConnectReturnCode::TopicNameInvalid,
        Reason::PacketTooLarge => ConnectReturnCode::PacketTooLarge,
        Reason::QuotaExceeded => ConnectReturnCode::QuotaExceeded,
        Reason::QosNotSupported => ConnectReturnCode::QoSNotSupported,
        Reason::Unavailable | Reason::ShuttingDown => ConnectReturnCode::ServerUnavailable,
        _ => ConnectReturnCode::ServerBusy,
    };
    connack(code, None, out);
}

pub(super) fn write_puback(
    pkid: u16,
    reason: AckReason,
    position: Option<Position<'_>>,
    out: &mut BytesMut,
) {
    if reason == AckReason::Success && position.is_none() {
        let [high, low] = pkid.to_be_bytes();
        out.extend_from_slice(&[0x40, 2, high, low]);
        return;
    }
    let reason = match reason {
        AckReason::Success => PubAckReason::Success,
        AckReason::QuotaExceeded => PubAckReason::QuotaExceeded,
    };
    let properties = position.map(|at| PubAckProperties {
        reason_string: None,
        user_properties: vec![
            ("source".into(), at.source.into()),
            ("epoch".into(), at.epoch.into()),
            ("offset".into(), at.offset.to_string()),
        ],
    });
    written(PubAck { pkid, reason, properties }.write(out));
}

pub(super) fn write_suback(pkid: u16, granted: &[Option<u8>], out: &mut BytesMut) {
    let codes = granted.iter().map(|granted| match granted {
        Some(0) => SubscribeReasonCode::Success(QoS::AtMostOnce),
        Some(_) => SubscribeReasonCode::Success(QoS::AtLeastOnce),
        None => SubscribeReasonCode::TopicFilterInvalid,
    });
    written(SubAck { pkid, return_codes: codes.collect(), properties: None }.write(out));
}

pub(super) fn write_unsuback(pkid: u16, existed: &[bool], out: &mut BytesMut) {
    let reasons =
        existed
            .iter()
            .map(|existed| {
                if *existed {
                    UnsubAckReason::Success
                } else {
                    UnsubAckReason::NoSubscriptionExisted
                }
            })
            .collect();
    written(UnsubAck { pkid, reasons, properties: None }.write(out));
}

pub(super) fn write_publish(delivery: &Delivery<'_>, out: &mut BytesMut) -> usize {
    let properties = delivery.properties.map(|own| PublishProperties {
        payload_format_indicator: own.payload_format,
        message_expiry_interval: own.expiry_seconds,
        topic_alias: None,
        response_topic: own.response_topic.clone(),
        correlation_data: own.correlation.clone().map(Bytes::from),
        user_properties: own.user.clone(),
        subscription_identifiers: Vec::new(),
        content_type: own.content_type.clone(),
    });
    let publish = v5::Publish {
        dup: false,
        qos: if delivery.qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce },
        retain: delivery.retain,
        topic: Bytes::copy_from_slice(delivery.topic.as_bytes()),
        pkid: delivery.pkid,
        payload: delivery.payload.clone(),
        properties,
    };
    written(publish.write(out))
}

pub(super) fn write_disconnect(reason: Reason, out: &mut BytesMut) {
    let code = match reason {
        Reason::Malformed => DisconnectReasonCode::MalformedPacket,
        Reason::Protocol | Reason::BadAuthMethod => DisconnectReasonCode::ProtocolError,
        Reason::NotAuthorized | Reason::BadLogin | Reason::BadClientId => {
            DisconnectReasonCode::NotAuthorized
        }
        Reason::ServerBusy | Reason::Unavailable => DisconnectReasonCode::ServerBusy,
        Reason::ShuttingDown => DisconnectReasonCode::ServerShuttingDown,
        Reason::KeepAlive => DisconnectReasonCode::KeepAliveTimeout,
        Reason::TakenOver => DisconnectReasonCode::SessionTakenOver,
        Reason::TopicInvalid => DisconnectReasonCode::TopicNameInvalid,
        Reason::ReceiveMaximum => DisconnectReasonCode::ReceiveMaximumExceeded,
        Reason::TopicAlias => DisconnectReasonCode::TopicAliasInvalid,
        Reason::PacketTooLarge => DisconnectReasonCode::PacketTooLarge,
        Reason::QuotaExceeded => DisconnectReasonCode::QuotaExceeded,
        Reason::QosNotSupported => DisconnectReasonCode::QoSNotSupported,
    };
    written(Disconnect::new(code).write(out));
}
