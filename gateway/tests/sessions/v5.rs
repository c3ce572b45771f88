//! MQTT 5 sessions: what the server announces, receipts for devices, reason codes.

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, Packet, PubAckReason};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use tokio::time::timeout;

use crate::harness::{PATIENCE, TestGateway};

fn options(gateway: &TestGateway, id: &str) -> MqttOptions {
    let mut options = MqttOptions::new(id, "127.0.0.1", gateway.address.port());
    options.set_keep_alive(Duration::from_secs(30));
    options
}

async fn wait<T>(events: &mut EventLoop, mut pick: impl FnMut(Packet) -> Option<T>) -> T {
    let search = async {
        loop {
            if let Event::Incoming(packet) = events.poll().await.expect("connection is open")
                && let Some(found) = pick(packet)
            {
                return found;
            }
        }
    };
    timeout(PATIENCE, search).await.expect("the packet comes in time")
}

/// Connects, publishes one message and returns what the gateway says to it.
pub(crate) async fn publish_once(
    gateway: &TestGateway,
    topic: &str,
    payload: &str,
) -> PubAckReason {
    let (client, mut events) = AsyncClient::new(options(gateway, ""), 10);
    client.publish(topic, QoS::AtLeastOnce, false, payload.to_owned()).await.unwrap();
    wait(&mut events, |packet| match packet {
        Packet::PubAck(ack) => Some(ack.reason),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connack_says_what_the_server_does() {
    let gateway = TestGateway::start().await;
    let (_client, mut events) = AsyncClient::new(options(&gateway, "a"), 10);
    let properties = wait(&mut events, |packet| match packet {
        Packet::ConnAck(ack) => Some(ack.properties.unwrap()),
        _ => None,
    })
    .await;
    // Absent is yes: QoS 2, retained messages, wildcards, identifiers and shared subscriptions.
    assert_eq!((properties.max_qos, properties.retain_available), (None, None));
    assert_eq!(properties.shared_subscription_available.unwrap_or(1), 1);
    assert_eq!((properties.receive_max, properties.topic_alias_max), (None, Some(32)));
    assert!(properties.max_packet_size.unwrap() > 2 << 20);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_asks_gets_the_position_of_each_message() {
    let gateway = TestGateway::start().await;
    let mut options = options(&gateway, "mon-1");
    let mut properties = ConnectProperties::new();
    properties.user_properties.push(("tidemark-receipts".into(), "1".into()));
    options.set_connect_properties(properties);
    let (client, mut events) = AsyncClient::new(options, 10);
    for offset in ["0", "1"] {
        client.publish("dt/w/mon-1/readings", QoS::AtLeastOnce, false, "{}").await.unwrap();
        let properties = wait(&mut events, |packet| match packet {
            Packet::PubAck(ack) => Some(ack.properties.unwrap().user_properties),
            _ => None,
        })
        .await;
        let epoch = gateway.spool.epoch().to_string();
        let expected = [("source", "gateway"), ("epoch", &epoch), ("offset", offset)];
        assert_eq!(properties, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv3_a_full_spool_says_quota_exceeded() {
    let gateway = TestGateway::with(|config| {
        config.spool.segment_bytes = 64 << 10;
        config.spool.bytes_max = 1280 << 10;
    })
    .await;
    let mut options = options(&gateway, "mon-1");
    options.set_max_packet_size(Some(1 << 20));
    let (client, mut events) = AsyncClient::new(options, 100);
    let mut reasons = Vec::new();
    for _ in 0..10 {
        client
            .publish("dt/w/mon-1/readings", QoS::AtLeastOnce, false, "x".repeat(200_000))
            .await
            .unwrap();
        reasons.push(
            wait(&mut events, |packet| match packet {
                Packet::PubAck(ack) => Some(ack.reason),
                _ => None,
            })
            .await,
        );
    }
    assert_eq!(reasons.first(), Some(&PubAckReason::Success));
    assert_eq!(reasons.last(), Some(&PubAckReason::QuotaExceeded));
    let accepted = reasons.iter().filter(|reason| **reason == PubAckReason::Success).count();
    assert_eq!(gateway.spool.status().appended, accepted as u64);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_travel_from_publisher_to_subscriber() {
    let gateway = TestGateway::start().await;
    let (subscriber, mut received) = AsyncClient::new(options(&gateway, "subscriber"), 10);
    subscriber.subscribe("cmd/#", QoS::AtLeastOnce).await.unwrap();
    wait(&mut received, |packet| matches!(packet, Packet::SubAck(_)).then_some(())).await;
    let (publisher, mut sent) = AsyncClient::new(options(&gateway, "publisher"), 10);
    let properties = rumqttc::v5::mqttbytes::v5::PublishProperties {
        content_type: Some("text/plain".into()),
        user_properties: vec![("k".into(), "v".into())],
        ..Default::default()
    };
    publisher
        .publish_with_properties("cmd/w/x/y", QoS::AtLeastOnce, false, "5", properties)
        .await
        .unwrap();
    wait(&mut sent, |packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
    let message = wait(&mut received, |packet| match packet {
        Packet::Publish(p) => Some(p),
        _ => None,
    })
    .await;
    let properties = message.properties.unwrap();
    assert_eq!(properties.content_type.as_deref(), Some("text/plain"));
    assert_eq!(properties.user_properties, [("k".to_owned(), "v".to_owned())]);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn best_effort_messages_do_not_count_against_the_receive_maximum() {
    let gateway = TestGateway::with(|config| config.limits.receive_max = 10).await;
    let (client, mut events) = AsyncClient::new(options(&gateway, "mon-1"), 5000);
    for _ in 0..3000 {
        client.try_publish("dt/w/mon-1/readings", QoS::AtMostOnce, false, "{}").unwrap();
    }
    client.try_publish("dt/w/mon-1/readings", QoS::AtLeastOnce, false, "{}").unwrap();
    wait(&mut events, |packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
    assert_eq!(gateway.spool.status().appended, 3001);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_message_that_no_subscriber_could_take_is_refused_at_the_door() {
    let gateway = TestGateway::start().await;
    let mut options = options(&gateway, "rogue");
    options.set_max_packet_size(Some(16 << 20));
    let (client, mut events) = AsyncClient::new(options, 10);
    client.publish("tm/v1/receipt/a/b", QoS::AtLeastOnce, true, vec![0; 8_450_000]).await.unwrap();
    let ended = async { while events.poll().await.is_ok() {} };
    timeout(PATIENCE, ended).await.expect("the publisher is disconnected");
    gateway.stop().await;
}
