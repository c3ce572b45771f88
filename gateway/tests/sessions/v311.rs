//! MQTT 3.1.1 sessions: subscriptions, retained messages, wills, take-over, refusals.

use std::time::Duration;

use rumqttc::{LastWill, Packet, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Client, TestGateway};

#[tokio::test(flavor = "multi_thread")]
async fn messages_reach_matching_subscribers_with_the_lower_qos() {
    let gateway = TestGateway::start().await;
    let mut wild = Client::connect(&gateway, "wild").await;
    let mut exact = Client::connect(&gateway, "exact").await;
    let mut device = Client::connect(&gateway, "mon-1").await;
    wild.subscribe("dt/+/mon-1/#").await;
    exact.subscribe("dt/w/mon-1/readings").await;
    device.mqtt.publish("dt/w/mon-1/readings", QoS::AtMostOnce, false, "zero").await.unwrap();
    device.publish("dt/w/mon-1/readings", "one").await;
    for subscriber in [&mut wild, &mut exact] {
        let first = subscriber.message().await;
        assert_eq!((&first.payload[..], first.qos), (&b"zero"[..], QoS::AtMostOnce));
        let second = subscriber.message().await;
        assert_eq!((&second.payload[..], second.qos), (&b"one"[..], QoS::AtLeastOnce));
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_kills_the_router_reaches_its_subscribers() {
    let gateway = TestGateway::start().await;
    let mut subscriber = Client::connect(&gateway, "subscriber").await;
    let mut device = Client::connect(&gateway, "device").await;
    subscriber.subscribe("#").await;
    device.publish("é/temp", "1").await;
    assert_eq!(subscriber.message().await.topic, "é/temp");
    device.publish("dt/w/a/readings", "2").await;
    assert_eq!(&subscriber.message().await.payload[..], b"2");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_matching_retained_message_is_delivered_on_subscribe() {
    let gateway = TestGateway::start().await;
    let mut publisher = Client::connect(&gateway, "publisher").await;
    for n in 0..250 {
        publisher
            .mqtt
            .publish(format!("cmd/w/pump-{n}/rate"), QoS::AtLeastOnce, true, "5")
            .await
            .unwrap();
    }
    for _ in 0..250 {
        publisher.wait(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
    }
    let mut subscriber = Client::connect(&gateway, "subscriber").await;
    subscriber.subscribe("cmd/w/+/rate").await;
    let mut topics = std::collections::HashSet::new();
    for _ in 0..250 {
        let message = subscriber.message().await;
        assert!(message.retain);
        topics.insert(message.topic);
    }
    assert_eq!(topics.len(), 250);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_is_published_when_its_client_vanishes_and_not_when_it_says_goodbye() {
    let gateway = TestGateway::start().await;
    let mut watcher = Client::connect(&gateway, "watcher").await;
    watcher.subscribe("dt/w/+/status").await;
    let will =
        |id: &str| LastWill::new(format!("dt/w/{id}/status"), "offline", QoS::AtLeastOnce, false);
    let polite = Client::with(&gateway, "polite", |o| {
        o.set_last_will(will("polite"));
    })
    .await;
    polite.mqtt.disconnect().await.unwrap();
    let rude = Client::with(&gateway, "rude", |o| {
        o.set_last_will(will("rude"));
    })
    .await;
    rude.vanish();
    assert_eq!(watcher.message().await.topic, "dt/w/rude/status");
    assert_eq!(gateway.spool.status().appended, 1, "a will on a telemetry topic is telemetry");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_with_the_same_id_takes_over() {
    let gateway = TestGateway::start().await;
    let mut first = Client::connect(&gateway, "mon-1").await;
    let mut second = Client::connect(&gateway, "mon-1").await;
    first.ended().await;
    second.publish("dt/w/mon-1/readings", "{}").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_beyond_the_keep_alive_ends_the_connection() {
    let gateway = TestGateway::start().await;
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    socket
        .write_all(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 1, 0, 1, b'x'])
        .await
        .unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(crate::harness::PATIENCE, socket.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wildcards_in_a_topic_end_the_connection() {
    let gateway = TestGateway::start().await;
    let client = Client::connect(&gateway, "a").await;
    assert!(
        client.mqtt.try_publish("dt/w/+/readings", QoS::AtMostOnce, false, "{}").is_err(),
        "rumqttc checks"
    );
    drop(client);
    let mut raw = TcpStream::connect(gateway.address).await.unwrap();
    raw.write_all(b"\x10\x0d\0\x04MQTT\x04\x02\0\x1e\0\x01a\x30\x05\0\x03a/+").await.unwrap();
    let mut heard = Vec::new();
    raw.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, [0x20, 2, 0, 0], "accepted, then closed");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qos_2_message_is_received_released_and_completed_and_reaches_subscribers_as_such() {
    let gateway = TestGateway::start().await;
    let mut watcher = Client::connect(&gateway, "watcher").await;
    watcher.mqtt.subscribe("dt/#", QoS::ExactlyOnce).await.unwrap();
    let granted = watcher
        .wait(|packet| match packet {
            Packet::SubAck(ack) => Some(ack.return_codes.clone()),
            _ => None,
        })
        .await;
    assert_eq!(granted, [rumqttc::SubscribeReasonCode::Success(QoS::ExactlyOnce)]);
    let mut device = Client::connect(&gateway, "a").await;
    device.mqtt.publish("dt/w/a/readings", QoS::ExactlyOnce, false, "{}").await.unwrap();
    device.wait(|packet| matches!(packet, Packet::PubRec(_)).then_some(())).await;
    device.wait(|packet| matches!(packet, Packet::PubComp(_)).then_some(())).await;
    let message = watcher.message().await;
    assert_eq!(
        (message.qos, message.retain, &message.payload[..]),
        (QoS::ExactlyOnce, false, &b"{}"[..])
    );
    watcher.wait(|packet| matches!(packet, Packet::PubRel(_)).then_some(())).await;
    assert_eq!(gateway.spool.status().appended, 1);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_for_retained_messages_and_takes_none_costs_only_itself() {
    let gateway = TestGateway::start().await;
    let mut publisher = Client::connect(&gateway, "publisher").await;
    for n in 0..150 {
        publisher
            .mqtt
            .publish(format!("cmd/w/p-{n}/rate"), QoS::AtLeastOnce, true, "5")
            .await
            .unwrap();
    }
    for _ in 0..150 {
        publisher.wait(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
    }
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    let connect = [0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 1, b'g'];
    socket.write_all(&connect).await.unwrap();
    // Two thousand SUBSCRIBEs to cmd/# with QoS 1, and not one PUBACK.
    for _ in 0..2000 {
        let subscribe = [0x82, 10, 0, 1, 0, 5, b'c', b'm', b'd', b'/', b'#', 1];
        if socket.write_all(&subscribe).await.is_err() {
            break;
        }
    }
    let mut drained = vec![0; 1 << 16];
    drop(tokio::time::timeout(Duration::from_millis(200), socket.read(&mut drained)).await);
    publisher.publish("cmd/w/still/served", "1").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv9_a_client_that_takes_no_frames_cannot_publish_receipts() {
    let gateway = TestGateway::start().await;
    let mut watcher = Client::connect(&gateway, "watcher").await;
    watcher.subscribe("tm/v1/receipt/+/+").await;
    let mut rogue = Client::connect(&gateway, "rogue").await;
    let topic = format!("tm/v1/receipt/gateway/{}", gateway.spool.epoch());
    rogue.mqtt.publish(topic.clone(), QoS::AtLeastOnce, true, "{}").await.unwrap();
    rogue.ended().await;
    let mut ingest = Client::connect(&gateway, "ingest").await;
    ingest.subscribe("tm/v1/up/+/+").await;
    ingest.publish(&topic, "receipt").await;
    assert_eq!(&watcher.message().await.payload[..], b"receipt");
    gateway.stop().await;
}
