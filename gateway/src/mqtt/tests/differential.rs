//! Agreement with the codec of `rumqttc`: what it writes we read, what we write it reads.

use proptest::prelude::*;
use rumqttc::mqttbytes::{self as old, v4};
use rumqttc::v5::mqttbytes::{self as new, v5};

use super::round_trip::{message, properties};
use super::*;

mod answers;

fn old_qos(qos: u8) -> old::QoS {
    [old::QoS::AtMostOnce, old::QoS::AtLeastOnce, old::QoS::ExactlyOnce][usize::from(qos)]
}

fn new_qos(qos: u8) -> new::QoS {
    [new::QoS::AtMostOnce, new::QoS::AtLeastOnce, new::QoS::ExactlyOnce][usize::from(qos)]
}

/// A packet as `rumqttc` writes it.
fn theirs_311(packet: v4::Packet) -> BytesMut {
    let mut out = BytesMut::new();
    packet.write(&mut out, MAX).unwrap();
    out
}

fn theirs_5(packet: v5::Packet) -> BytesMut {
    let mut out = BytesMut::new();
    packet.write(&mut out, None).unwrap();
    out
}

fn their_properties(own: &Properties, topic_alias: Option<u16>) -> v5::PublishProperties {
    v5::PublishProperties {
        payload_format_indicator: own.payload_format,
        message_expiry_interval: own.expiry_seconds,
        topic_alias,
        response_topic: own.response_topic.clone(),
        correlation_data: own.correlation.clone().map(Bytes::from),
        user_properties: own.user.clone(),
        subscription_identifiers: Vec::new(),
        content_type: own.content_type.clone(),
    }
}

fn their_publish(own: &Publish) -> v5::Publish {
    let properties = own.properties.as_deref().cloned().unwrap_or_default();
    let bare = own.alias.is_none() && own.properties.is_none();
    v5::Publish {
        dup: own.dup,
        qos: new_qos(own.qos),
        retain: own.retain,
        topic: Bytes::copy_from_slice(own.topic.as_bytes()),
        pkid: own.pkid,
        payload: own.payload.clone(),
        properties: (!bare).then(|| their_properties(&properties, own.alias)),
    }
}

fn their_will(own: &Will) -> v5::LastWill {
    let properties = own.properties.as_deref().cloned().unwrap_or_default();
    v5::LastWill {
        topic: Bytes::copy_from_slice(own.topic.as_bytes()),
        message: own.payload.clone(),
        qos: new_qos(own.qos),
        retain: own.retain,
        properties: Some(v5::LastWillProperties {
            delay_interval: Some(own.delay_seconds),
            payload_format_indicator: properties.payload_format,
            message_expiry_interval: properties.expiry_seconds,
            content_type: properties.content_type,
            response_topic: properties.response_topic,
            correlation_data: properties.correlation.map(Bytes::from),
            user_properties: properties.user,
        }),
    }
}

prop_compose! {
    fn will()(message in message(), own in properties(), delay_seconds: u32) -> Will {
        let none = own == Properties::default();
        Will {
            topic: message.topic,
            payload: message.payload,
            qos: message.qos,
            retain: message.retain,
            delay_seconds,
            properties: (!none).then(|| Box::new(own)),
        }
    }
}

prop_compose! {
    fn filters()(filters in proptest::collection::vec(
        ("[a-z/+#]{1,20}", 0_u8..3, any::<(bool, bool)>(), 0_u8..3), 1..5,
    )) -> Vec<Subscription> {
        let one = |(filter, qos, (no_local, retain_as_published), retain_handling)| Subscription {
            filter, qos, no_local, retain_as_published, retain_handling,
        };
        filters.into_iter().map(one).collect()
    }
}

proptest! {
    #[test]
    fn we_read_their_connect_of_3_1_1(
        client_id in "[a-z0-9]{0,23}", clean: bool, keep_alive: u16, will in proptest::option::of(will()), login: bool,
    ) {
        let mut theirs = v4::Connect::new(client_id.clone());
        theirs.clean_session = clean;
        theirs.keep_alive = keep_alive;
        theirs.last_will = will.as_ref().map(|will| v4::LastWill {
            topic: will.topic.clone(),
            message: will.payload.clone(),
            qos: old_qos(will.qos),
            retain: will.retain,
        });
        theirs.login = login.then(|| v4::Login::new("user", "secret"));
        let ours = connecting(theirs_311(v4::Packet::Connect(theirs))).unwrap();
        prop_assert_eq!((ours.client_id, ours.clean, ours.keep_alive_seconds), (client_id, clean, keep_alive));
        prop_assert_eq!(ours.will, will.map(|will| Will { delay_seconds: 0, properties: None, ..will }));
        prop_assert_eq!(ours.username, login.then(|| "user".to_owned()));
        prop_assert_eq!(ours.password, login.then(|| Bytes::from_static(b"secret")));
    }

    #[test]
    fn we_read_their_connect_of_mqtt5(
        client_id in "[a-z0-9]{0,23}", clean: bool, will in proptest::option::of(will()), login: bool,
        numbers: (u32, u16, u16), expiry: Option<u32>, problem_info: bool,
    ) {
        let mut properties = v5::ConnectProperties::new();
        properties.session_expiry_interval = expiry;
        properties.max_packet_size = Some(numbers.0.max(1));
        properties.receive_maximum = Some(numbers.1.max(1));
        properties.topic_alias_max = Some(numbers.2);
        properties.request_problem_info = Some(problem_info.into());
        properties.user_properties = vec![("tidemark-receipts".into(), "1".into())];
        let theirs = v5::Connect {
            keep_alive: numbers.2,
            client_id: client_id.clone(),
            clean_start: clean,
            properties: Some(properties),
        };
        let login = login.then(|| v5::Login::new("user", "secret"));
        let packet = v5::Packet::Connect(theirs, will.as_ref().map(their_will), login.clone());
        let ours = connecting(theirs_5(packet)).unwrap();
        prop_assert_eq!((ours.client_id, ours.clean, ours.will), (client_id, clean, will));
        prop_assert_eq!(ours.packet_bytes_max, Some(numbers.0.max(1)));
        prop_assert_eq!((ours.receive_max, ours.topic_alias_max), (numbers.1.max(1), numbers.2));
        prop_assert_eq!((ours.keep_alive_seconds, ours.problem_info), (numbers.2, problem_info));
        prop_assert_eq!(ours.session_expiry_seconds, expiry.unwrap_or(0));
        prop_assert_eq!(ours.username, login.map(|login| login.username));
        prop_assert!(ours.wants_receipts);
    }

    #[test]
    fn we_read_their_messages_and_they_read_ours(message in message()) {
        let theirs = theirs_5(v5::Packet::Publish(their_publish(&message)));
        let ours = read(Version::V5, theirs);
        prop_assert_eq!(ours, Ok(Some(Incoming::Publish(message.clone()))));

        let properties = message.properties.as_deref();
        let delivery = Delivery {
            qos: message.qos,
            retain: message.retain,
            dup: message.dup,
            pkid: message.pkid,
            alias: message.alias.map(|id| Alias { id, known: false }),
            properties,
            expiry_seconds: properties.and_then(|own| own.expiry_seconds),
            ..delivery(&message.topic, &message.payload)
        };
        let mut out = BytesMut::new();
        Version::V5.write_publish(&delivery, &mut out);
        let read = v5::Packet::read(&mut out, None).unwrap();
        prop_assert_eq!(read, v5::Packet::Publish(their_publish(&message)));

        let theirs = v4::Publish {
            dup: message.dup,
            qos: old_qos(message.qos),
            retain: message.retain,
            topic: message.topic.clone(),
            pkid: message.pkid,
            payload: message.payload.clone(),
        };
        Version::V311.write_publish(&delivery, &mut out);
        prop_assert_eq!(&out, &theirs_311(v4::Packet::Publish(theirs.clone())), "byte for byte");
        prop_assert_eq!(v4::Packet::read(&mut out, MAX).unwrap(), v4::Packet::Publish(theirs));
    }

    #[test]
    fn we_read_their_subscriptions(pkid in 1_u16.., id in proptest::option::of(1_usize..268_435_456), filters in filters()) {
        let theirs = v4::Subscribe {
            pkid,
            filters: filters
                .iter()
                .map(|own| v4::SubscribeFilter::new(own.filter.clone(), old_qos(own.qos)))
                .collect(),
        };
        let plain = filters.iter().map(|own| subscription(&own.filter, own.qos)).collect();
        let ours = read(Version::V311, theirs_311(v4::Packet::Subscribe(theirs)));
        prop_assert_eq!(ours, Ok(Some(Incoming::Subscribe { pkid, id: None, subscriptions: plain })));

        let rules = [
            v5::RetainForwardRule::OnEverySubscribe,
            v5::RetainForwardRule::OnNewSubscribe,
            v5::RetainForwardRule::Never,
        ];
        let theirs = v5::Subscribe {
            pkid,
            filters: filters
                .iter()
                .map(|own| v5::Filter {
                    path: own.filter.clone(),
                    qos: new_qos(own.qos),
                    nolocal: own.no_local,
                    preserve_retain: own.retain_as_published,
                    retain_forward_rule: rules[usize::from(own.retain_handling)].clone(),
                })
                .collect(),
            properties: Some(v5::SubscribeProperties { id, user_properties: Vec::new() }),
        };
        let ours = read(Version::V5, theirs_5(v5::Packet::Subscribe(theirs)));
        let id = id.map(|id| u32::try_from(id).unwrap());
        let names: Vec<_> = filters.iter().map(|own| own.filter.clone()).collect();
        prop_assert_eq!(ours, Ok(Some(Incoming::Subscribe { pkid, id, subscriptions: filters })));

        let theirs = v4::Unsubscribe { pkid, topics: names.clone() };
        let ours = read(Version::V311, theirs_311(v4::Packet::Unsubscribe(theirs)));
        prop_assert_eq!(ours, Ok(Some(Incoming::Unsubscribe { pkid, filters: names.clone() })));
        let theirs = v5::Unsubscribe { pkid, filters: names.clone(), properties: None };
        let ours = read(Version::V5, theirs_5(v5::Packet::Unsubscribe(theirs)));
        prop_assert_eq!(ours, Ok(Some(Incoming::Unsubscribe { pkid, filters: names })));
    }
}

#[test]
fn we_read_their_acknowledgements_and_farewells() {
    let pkid = 7;
    let ack = |reason| Ok(Some(Incoming::PubAck { pkid, reason }));
    assert_eq!(read(Version::V311, theirs_311(v4::Packet::PubAck(v4::PubAck::new(pkid)))), ack(0));
    let mut puback = v5::PubAck::new(pkid, None);
    assert_eq!(read(Version::V5, theirs_5(v5::Packet::PubAck(puback.clone()))), ack(0));
    puback.reason = v5::PubAckReason::NotAuthorized;
    puback.properties = Some(v5::PubAckProperties {
        reason_string: Some("no".into()),
        user_properties: vec![("a".into(), "b".into())],
    });
    assert_eq!(read(Version::V5, theirs_5(v5::Packet::PubAck(puback))), ack(0x87));

    let expected = |version| match version {
        Version::V311 => 0,
        Version::V5 => 0x92,
    };
    let mut pubrel = v5::PubRel::new(pkid, None);
    pubrel.reason = v5::PubRelReason::PacketIdentifierNotFound;
    let mut pubcomp = v5::PubComp::new(pkid, None);
    pubcomp.reason = v5::PubCompReason::PacketIdentifierNotFound;
    for (version, rec, rel, comp) in [
        (
            Version::V311,
            theirs_311(v4::Packet::PubRec(v4::PubRec::new(pkid))),
            theirs_311(v4::Packet::PubRel(v4::PubRel::new(pkid))),
            theirs_311(v4::Packet::PubComp(v4::PubComp::new(pkid))),
        ),
        (
            Version::V5,
            theirs_5(v5::Packet::PubRec(v5::PubRec::new(pkid, None))),
            theirs_5(v5::Packet::PubRel(pubrel)),
            theirs_5(v5::Packet::PubComp(pubcomp)),
        ),
    ] {
        let reason = expected(version);
        assert_eq!(read(version, rec), Ok(Some(Incoming::PubRec { pkid, reason: 0 })));
        assert_eq!(read(version, rel), Ok(Some(Incoming::PubRel { pkid, reason })));
        assert_eq!(read(version, comp), Ok(Some(Incoming::PubComp { pkid, reason })));
    }

    assert_eq!(read(Version::V311, theirs_311(v4::Packet::PingReq)), Ok(Some(Incoming::PingReq)));
    let farewell =
        |publish_will| Incoming::Disconnect { publish_will, session_expiry_seconds: None };
    let theirs = theirs_311(v4::Packet::Disconnect);
    assert_eq!(read(Version::V311, theirs), Ok(Some(farewell(false))));
    for (code, publish_will) in [
        (v5::DisconnectReasonCode::NormalDisconnection, false),
        (v5::DisconnectReasonCode::DisconnectWithWillMessage, true),
    ] {
        let mut theirs = v5::Disconnect::new(code);
        // Without properties it forgets to count their length.
        theirs.properties = publish_will.then(|| v5::DisconnectProperties {
            session_expiry_interval: None,
            reason_string: Some("bye".into()),
            user_properties: Vec::new(),
            server_reference: None,
        });
        let theirs = theirs_5(v5::Packet::Disconnect(theirs));
        assert_eq!(read(Version::V5, theirs), Ok(Some(farewell(publish_will))));
    }
}
