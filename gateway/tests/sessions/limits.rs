//! Every limit on clients, and what happens at it.

use std::collections::BTreeSet;

use gateway::GatewayConfig;
use rumqttc::{Packet, QoS, SubscribeReasonCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Client, PATIENCE, TestGateway};

/// CONNECT of a 3.1.1 client named `r`, keep-alive a minute.
const CONNECT: [u8; 15] = [0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 1, b'r'];
/// SUBSCRIBE to `cmd/#` with QoS 0.
const SUBSCRIBE: [u8; 12] = [0x82, 10, 0, 1, 0, 5, b'c', b'm', b'd', b'/', b'#', 0];

async fn limited(change: impl FnOnce(&mut gateway::Limits)) -> TestGateway {
    TestGateway::with(|config: &mut GatewayConfig| change(&mut config.limits)).await
}

/// Connects, sends bytes and returns what the gateway says until it closes the connection.
async fn answer(gateway: &TestGateway, bytes: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    // It may be closed before it is written to.
    drop(socket.write_all(bytes).await);
    let mut answer = Vec::new();
    let closed = timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
    // A reset is an end, too.
    drop(closed.expect("the connection is closed"));
    answer
}

async fn counted(gateway: &TestGateway, what: &str) {
    let seen = async {
        while !gateway.metrics.render().contains(what) {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("{what} is counted"));
}

async fn granted(client: &mut Client, filter: &str) -> bool {
    client.mqtt.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
    client
        .wait(|packet| match packet {
            Packet::SubAck(ack) => {
                Some(ack.return_codes == [SubscribeReasonCode::Success(QoS::AtLeastOnce)])
            }
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_a_connection_too_many_is_closed_at_once() {
    let gateway = limited(|limits| limits.connections_max = 1).await;
    let mut device = Client::connect(&gateway, "mon-1").await;
    assert!(answer(&gateway, &CONNECT).await.is_empty(), "no CONNACK");
    counted(&gateway, "gateway_disconnects_total{reason=\"connections_max\"} 1").await;
    device.publish("dt/w/mon-1/readings", "still served").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_who_never_says_connect_is_disconnected() {
    let gateway = limited(|limits| limits.connect_time_ms = 50).await;
    assert!(answer(&gateway, &CONNECT[..5]).await.is_empty());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_a_packet_above_the_limit_is_refused_by_its_first_bytes() {
    let gateway = limited(|limits| limits.connect_time_ms = 3_600_000).await;
    let mut connect = CONNECT.to_vec();
    // 256 MiB are announced.
    connect.splice(1..2, [0xff, 0xff, 0xff, 0x7f]);
    answer(&gateway, &connect).await;
    let mut publish = CONNECT.to_vec();
    publish.extend([0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, b'a']);
    assert_eq!(answer(&gateway, &publish).await, [0x20, 2, 0, 0], "accepted, then closed");
    counted(&gateway, "gateway_disconnects_total{reason=\"packet_too_large\"} 1").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_what_all_clients_send_at_a_time_is_limited() {
    let gateway = limited(|limits| {
        limits.receiving_bytes_max = 20 << 20;
        limits.packet_bytes_max = 8_000_000;
    })
    .await;
    // Each sends seven of eight megabytes and waits.
    let mut publish = CONNECT.to_vec();
    publish.extend([0x30, 0xe0, 0x96, 0xe2, 0x03, 0, 1, b'a']);
    publish.extend(vec![1; 7_000_000]);
    let mut waiting = Vec::new();
    for n in 0..5 {
        *publish.get_mut(14).unwrap() = b'a' + n;
        let mut socket = TcpStream::connect(gateway.address).await.unwrap();
        drop(socket.write_all(&publish).await);
        waiting.push(socket);
    }
    counted(&gateway, "gateway_disconnects_total{reason=\"server_busy\"}").await;
    let mut device = Client::connect(&gateway, "mon-1").await;
    device.publish("dt/w/mon-1/readings", "still served").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_subscriptions_of_a_client_are_limited() {
    let gateway = limited(|limits| limits.subscriptions_max = 2).await;
    let mut client = Client::connect(&gateway, "greedy").await;
    assert!(granted(&mut client, "cmd/w/a/#").await && granted(&mut client, "cmd/w/b/#").await);
    assert!(!granted(&mut client, "cmd/w/c/#").await);
    assert!(granted(&mut client, "cmd/w/a/#").await, "it has that one");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_a_client_that_subscribes_to_many_control_topics_takes_nothing_from_others() {
    let gateway = limited(|limits| limits.subscriptions_max = 2).await;
    let mut client = Client::connect(&gateway, "greedy").await;
    for n in 0..12_000 {
        client.mqtt.subscribe(format!("tm/v1/status/{n}"), QoS::AtLeastOnce).await.unwrap();
        client.mqtt.unsubscribe(format!("tm/v1/status/{n}")).await.unwrap();
    }
    client.mqtt.subscribe("tm/v1/status/last", QoS::AtLeastOnce).await.unwrap();
    let mut answered = 0;
    while answered <= 12_000 {
        let granted = client.wait(|packet| match packet {
            Packet::SubAck(ack) => {
                Some(ack.return_codes == [SubscribeReasonCode::Success(QoS::AtLeastOnce)])
            }
            _ => None,
        });
        assert!(granted.await);
        answered += 1;
    }
    let mut other = Client::connect(&gateway, "other").await;
    assert!(granted(&mut other, "tm/v1/status/12001").await);
    client.publish("tm/v1/status/12001", "1").await;
    assert_eq!(other.message().await.topic, "tm/v1/status/12001");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wildcards_are_for_the_topics_of_devices() {
    let gateway = TestGateway::start().await;
    let mut agent = Client::connect(&gateway, "agent").await;
    let retained = async |agent: &mut Client, topic: &str, payload: &str| {
        agent.mqtt.publish(topic, QoS::AtLeastOnce, true, payload).await.unwrap();
        agent.wait(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
    };
    retained(&mut agent, "tm/v1/status/agent", "{}").await;
    retained(&mut agent, "home/lamp", "on").await;
    for (n, filter) in ["#", "+/#", "+/+/status/agent", "tm/#", "+/v1/#"].into_iter().enumerate() {
        let mut person = Client::connect(&gateway, &format!("person-{n}")).await;
        person.subscribe(filter).await;
        person.subscribe("end").await;
        agent.publish("tm/v1/status/agent", "again").await;
        agent.publish("end", "").await;
        loop {
            let message = person.message().await;
            assert!(!message.topic.starts_with("tm/v1"), "{filter} shows {}", message.topic);
            if message.topic == "end" {
                break;
            }
        }
    }
    let mut ingest = Client::connect(&gateway, "ingest").await;
    ingest.subscribe("tm/v1/#").await;
    let mut topics = BTreeSet::new();
    while topics.len() < 2 {
        topics.insert(ingest.message().await.topic);
    }
    assert!(topics.contains("tm/v1/status/agent"), "{topics:?}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv9_an_empty_retained_message_clears_nothing_of_a_source() {
    let gateway = TestGateway::start().await;
    let mut agent = Client::connect(&gateway, "agent").await;
    agent.mqtt.publish("tm/v1/status/agent", QoS::AtLeastOnce, true, "{}").await.unwrap();
    agent.wait(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
    let mut prankster = Client::connect(&gateway, "prankster").await;
    prankster.mqtt.publish("tm/v1/status/agent", QoS::AtLeastOnce, true, "").await.unwrap();
    prankster.ended().await;
    let mut ingest = Client::connect(&gateway, "ingest").await;
    ingest.subscribe("tm/v1/status/agent").await;
    assert_eq!(&ingest.message().await.payload[..], b"{}");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_a_subscriber_that_takes_nothing_is_disconnected() {
    let gateway = limited(|limits| limits.write_time_ms = 100).await;
    let mut operator = Client::connect(&gateway, "operator").await;
    let large = vec![1; 1_000_000];
    operator.mqtt.publish("cmd/w/pump/rate", QoS::AtLeastOnce, true, large).await.unwrap();
    operator.wait(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    // Fifty megabytes of retained messages are more than any socket buffers.
    socket.write_all(&[&CONNECT[..], &SUBSCRIBE.repeat(50)].concat()).await.unwrap();
    counted(&gateway, "gateway_disconnects_total{reason=\"write_timeout\"} 1").await;
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_retained_messages_that_wait_for_a_subscriber_are_limited() {
    let gateway = limited(|limits| (limits.retained_max, limits.inflight_max) = (10, 1)).await;
    let mut operator = Client::connect(&gateway, "operator").await;
    for n in 0..6 {
        let topic = format!("cmd/w/pump-{n}/rate");
        operator.mqtt.publish(topic, QoS::AtLeastOnce, true, "5").await.unwrap();
        operator.wait(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
    }
    let mut subscribe = SUBSCRIBE;
    subscribe[11] = 1;
    // Four times everything, and not one PUBACK.
    answer(&gateway, &[&CONNECT[..], &subscribe.repeat(4)].concat()).await;
    counted(&gateway, "gateway_disconnects_total{reason=\"quota_exceeded\"} 1").await;
    gateway.stop().await;
}
