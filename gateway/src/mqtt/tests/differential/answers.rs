//! What the server answers, as `rumqttc` reads it.

use super::*;

#[test]
fn they_read_our_answers_in_3_1_1() {
    let mut out = BytesMut::new();
    let offer = Offer {
        session_present: true,
        session_expiry_seconds: None,
        server_keep_alive: None,
        receive_max: 1,
        packet_bytes_max: 1,
        topic_alias_max: 1,
        assigned_client_id: None,
    };
    Version::V311.write_accepted(&offer, &mut out);
    Version::V311.write_refused(Reason::BadLogin, None, &mut out);
    Version::V311.write_suback(7, &[SubReason::Granted(2), SubReason::NotAuthorized], &mut out);
    Version::V311.write_unsuback(8, &[UnsubReason::Success], &mut out);
    Version::V311.write_puback(9, Ack::Success, None, &mut out);
    Version::V311.write_pubrec(10, Ack::Success, None, &mut out);
    Version::V311.write_pubrel(11, Ack::Success, &mut out);
    Version::V311.write_pubcomp(12, Ack::Success, &mut out);
    Version::V311.write_pingresp(&mut out);
    let granted = v4::SubscribeReasonCode::Success(old::QoS::ExactlyOnce);
    let expected = [
        v4::Packet::ConnAck(v4::ConnAck::new(v4::ConnectReturnCode::Success, true)),
        v4::Packet::ConnAck(v4::ConnAck::new(v4::ConnectReturnCode::BadUserNamePassword, false)),
        v4::Packet::SubAck(v4::SubAck::new(7, vec![granted, v4::SubscribeReasonCode::Failure])),
        v4::Packet::UnsubAck(v4::UnsubAck::new(8)),
        v4::Packet::PubAck(v4::PubAck::new(9)),
        v4::Packet::PubRec(v4::PubRec::new(10)),
        v4::Packet::PubRel(v4::PubRel::new(11)),
        v4::Packet::PubComp(v4::PubComp::new(12)),
        v4::Packet::PingResp,
    ];
    for packet in expected {
        assert_eq!(v4::Packet::read(&mut out, MAX).unwrap(), packet);
    }
    assert!(out.is_empty());
}

/// Reads our packets with their codec.
fn their_reading(out: &mut BytesMut) -> v5::Packet {
    v5::Packet::read(out, None).unwrap()
}

#[test]
fn they_read_our_answers_in_mqtt5() {
    let mut out = BytesMut::new();
    let offer = Offer {
        session_present: true,
        session_expiry_seconds: Some(60),
        server_keep_alive: Some(30),
        receive_max: 100,
        packet_bytes_max: 1000,
        topic_alias_max: 8,
        assigned_client_id: Some("auto-1"),
    };
    Version::V5.write_accepted(&offer, &mut out);
    let v5::Packet::ConnAck(accepted) = their_reading(&mut out) else { panic!("no CONNACK") };
    assert!(accepted.session_present && accepted.code == v5::ConnectReturnCode::Success);
    let told = accepted.properties.unwrap();
    assert_eq!((told.session_expiry_interval, told.server_keep_alive), (Some(60), Some(30)));
    assert_eq!((told.receive_max, told.max_packet_size), (Some(100), Some(1000)));
    assert_eq!((told.topic_alias_max, told.max_qos), (Some(8), None));
    assert_eq!(told.assigned_client_identifier.as_deref(), Some("auto-1"));

    Version::V5.write_refused(Reason::Revoked, Some("why"), &mut out);
    let v5::Packet::ConnAck(refused) = their_reading(&mut out) else { panic!("no CONNACK") };
    assert_eq!(refused.code, v5::ConnectReturnCode::Banned);
    assert_eq!(refused.properties.unwrap().reason_string.as_deref(), Some("why"));

    let at = Position { source: "gw", epoch: "e1", offset: 42 };
    Version::V5.write_puback(7, Ack::Success, Some(at), &mut out);
    let v5::Packet::PubAck(puback) = their_reading(&mut out) else { panic!("no PUBACK") };
    let told = puback.properties.unwrap().user_properties;
    assert_eq!(told.iter().map(|(_, value)| &value[..]).collect::<Vec<_>>(), ["gw", "e1", "42"]);
    Version::V5.write_pubrec(8, Ack::QuotaExceeded, Some(at), &mut out);
    let v5::Packet::PubRec(pubrec) = their_reading(&mut out) else { panic!("no PUBREC") };
    assert_eq!((pubrec.pkid, pubrec.reason), (8, v5::PubRecReason::QuotaExceeded));
    Version::V5.write_pubrel(9, Ack::PacketIdNotFound, &mut out);
    let v5::Packet::PubRel(pubrel) = their_reading(&mut out) else { panic!("no PUBREL") };
    assert_eq!(pubrel.reason, v5::PubRelReason::PacketIdentifierNotFound);
    Version::V5.write_pubcomp(10, Ack::Success, &mut out);
    let v5::Packet::PubComp(pubcomp) = their_reading(&mut out) else { panic!("no PUBCOMP") };
    assert_eq!((pubcomp.pkid, pubcomp.reason), (10, v5::PubCompReason::Success));

    Version::V5.write_suback(11, &[SubReason::Granted(2), SubReason::QuotaExceeded], &mut out);
    let v5::Packet::SubAck(suback) = their_reading(&mut out) else { panic!("no SUBACK") };
    let granted = v5::SubscribeReasonCode::Success(new::QoS::ExactlyOnce);
    assert_eq!(suback.return_codes, [granted, v5::SubscribeReasonCode::QuotaExceeded]);
    Version::V5.write_unsuback(12, &[UnsubReason::NoSubscription], &mut out);
    let v5::Packet::UnsubAck(unsuback) = their_reading(&mut out) else { panic!("no UNSUBACK") };
    assert_eq!(unsuback.reasons, [v5::UnsubAckReason::NoSubscriptionExisted]);
    Version::V5.write_pingresp(&mut out);
    assert!(matches!(their_reading(&mut out), v5::Packet::PingResp(_)));
    for why in [None, Some("why")] {
        Version::V5.write_disconnect(Reason::TakenOver, why, &mut out);
        let v5::Packet::Disconnect(left) = their_reading(&mut out) else { panic!("no DISCONNECT") };
        assert_eq!(left.reason_code, v5::DisconnectReasonCode::SessionTakenOver);
        let told = left.properties.and_then(|told| told.reason_string);
        assert_eq!(told.as_deref(), why);
    }
    assert!(out.is_empty());
}

#[test]
fn they_read_our_aliases_and_subscription_identifiers() {
    let payload = Bytes::from_static(b"hi");
    let known = Delivery {
        alias: Some(Alias { id: 3, known: true }),
        subscription_ids: &[1, 268_435_455],
        ..delivery("a/b", &payload)
    };
    let mut out = BytesMut::new();
    Version::V5.write_publish(&known, &mut out);
    let v5::Packet::Publish(publish) = their_reading(&mut out) else { panic!("no PUBLISH") };
    let told = publish.properties.unwrap();
    assert_eq!((&publish.topic[..], told.topic_alias), (&b""[..], Some(3)));
    assert_eq!(told.subscription_identifiers, [1, 268_435_455]);
}
