//! Sessions that outlive their connection: resuming, ending, what waits in them.

use std::time::Duration;

use crate::wire::build::{self, Publish};
use crate::wire::{BOTH, Client, Connect, Message, TestGateway, Version, property};

async fn commands(gateway: &TestGateway, payloads: impl Iterator<Item = u16>) {
    let mut nurse = Client::connect(gateway, Connect::v5("nurse")).await;
    for n in payloads {
        nurse.publish(Publish::new("cmd/w/pump/rate", n.to_string()).qos1(n + 1)).await;
    }
}

async fn payloads(client: &mut Client, count: usize) -> Vec<String> {
    let mut payloads = Vec::new();
    for _ in 0..count {
        payloads.push(client.accept().await.payload);
    }
    payloads
}

#[tokio::test]
async fn a_session_keeps_subscriptions_and_what_was_sent_while_its_client_was_away_in_order() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let connect = Connect::durable(version, &format!("pump-{version:?}"));
        let mut pump = Client::connect(&gateway, connect.clone()).await;
        assert!(!pump.present);
        pump.subscribe("cmd/w/pump/#", 1).await;
        pump.disconnect().await;
        commands(&gateway, 0..50).await;
        let mut pump = Client::connect(&gateway, connect).await;
        assert!(pump.present);
        let expected: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        assert_eq!(payloads(&mut pump, 50).await, expected);
        commands(&gateway, 50..52).await;
        assert_eq!(payloads(&mut pump, 2).await, ["50", "51"], "then what is new");
        pump.hears_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_session_and_its_queue_are_there_after_a_restart() {
    let gateway = TestGateway::start().await;
    let connect = Connect::durable(Version::V5, "pump");
    let mut pump = Client::connect(&gateway, connect.clone()).await;
    let subscribe = crate::wire::Subscribe::new("cmd/w/pump/#", 1).id(77);
    assert_eq!(pump.subscribe_with(subscribe).await, [1]);
    pump.disconnect().await;
    commands(&gateway, 0..3).await;
    let gateway = gateway.restart().await;
    commands(&gateway, 3..5).await;
    let mut pump = Client::connect(&gateway, connect).await;
    assert!(pump.present);
    for expected in ["0", "1", "2", "3", "4"] {
        let message = pump.accept().await;
        assert_eq!(message.payload, expected);
        assert_eq!(message.properties.number(property::SUBSCRIPTION_ID), Some(77));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn best_effort_messages_do_not_wait_for_who_is_away() {
    let gateway = TestGateway::start().await;
    let connect = Connect::durable(Version::V5, "pump");
    let mut pump = Client::connect(&gateway, connect.clone()).await;
    pump.subscribe("cmd/w/#", 2).await;
    pump.disconnect().await;
    let mut nurse = Client::connect(&gateway, Connect::v5("nurse")).await;
    nurse.publish(Publish::new("cmd/w/pump", "lost")).await;
    nurse.publish(Publish::new("cmd/w/pump", "kept").qos1(1)).await;
    let mut pump = Client::connect(&gateway, connect).await;
    assert_eq!(payloads(&mut pump, 1).await, ["kept"]);
    pump.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_clean_start_ends_the_session_that_was() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let connect = Connect::durable(version, &format!("pump-{version:?}"));
        let mut pump = Client::connect(&gateway, connect.clone()).await;
        pump.subscribe("cmd/w/pump/#", 1).await;
        pump.disconnect().await;
        commands(&gateway, 0..2).await;
        let clean = Connect::new(version, &format!("pump-{version:?}")).expiry(600);
        let mut pump = Client::connect(&gateway, clean).await;
        assert!(!pump.present);
        commands(&gateway, 2..3).await;
        pump.hears_nothing().await;
        pump.disconnect().await;
        // MQTT 5: a clean start begins a session that may last; 3.1.1: it ends with its connection.
        let present = Client::connect(&gateway, connect).await.present;
        assert_eq!(present, version == Version::V5);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_session_without_expiry_ends_with_its_connection() {
    let gateway = TestGateway::start().await;
    for connect in [Connect::v5("a").resume(), Connect::v5("a").resume().expiry(0)] {
        let mut client = Client::connect(&gateway, connect.clone()).await;
        assert!(!client.present);
        client.subscribe("cmd/#", 1).await;
        client.disconnect().await;
    }
    let mut client = Client::connect(&gateway, Connect::durable(Version::V5, "a")).await;
    assert!(!client.present);
    commands(&gateway, 0..1).await;
    client.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_session_expires_when_its_client_stays_away_for_too_long() {
    let gateway = TestGateway::start().await;
    let connect = Connect::v5("a").resume().expiry(600);
    let mut client = Client::connect(&gateway, connect.clone()).await;
    client.subscribe("cmd/#", 1).await;
    client.disconnect().await;
    assert!(Client::connect(&gateway, connect.clone()).await.present, "back in time");
    gateway.counted("gateway_connections 0").await;
    gateway.counted("gateway_sessions 1").await;
    gateway.after(Duration::from_secs(600));
    gateway.counted("gateway_sessions 0").await;
    assert!(!Client::connect(&gateway, connect).await.present);
    gateway.stop().await;
}

#[tokio::test]
async fn a_disconnect_may_change_how_long_the_session_lasts() {
    let gateway = TestGateway::start().await;
    let connect = Connect::durable(Version::V5, "a");
    for (expiry, kept) in [(Some(0), false), (Some(60), true), (None, true)] {
        let mut client = Client::connect(&gateway, connect.clone()).await;
        let expiry = expiry.map(|seconds| property::long(property::SESSION_EXPIRY, seconds));
        client.send(&build::disconnect(0, expiry.as_slice())).await;
        assert_eq!(client.next().await, None);
        assert_eq!(Client::connect(&gateway, connect.clone()).await.present, kept);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_promised_to_leave_no_session_cannot_change_its_mind() {
    let gateway = TestGateway::start().await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    client.send(&build::disconnect(0, &[property::long(property::SESSION_EXPIRY, 60)])).await;
    assert_eq!(client.ended().await, Some(0x82));
    assert!(!Client::connect(&gateway, Connect::v5("a").resume()).await.present);
    gateway.stop().await;
}

#[tokio::test]
async fn the_expiry_of_the_last_connection_counts() {
    let gateway = TestGateway::start().await;
    Client::connect(&gateway, Connect::durable(Version::V5, "a")).await.disconnect().await;
    let once_more = Client::connect(&gateway, Connect::v5("a").resume().expiry(0)).await;
    assert!(once_more.present);
    once_more.disconnect().await;
    assert!(!Client::connect(&gateway, Connect::v5("a").resume()).await.present);
    gateway.stop().await;
}

#[tokio::test]
async fn retained_messages_that_were_not_acknowledged_belong_to_the_session() {
    let gateway = TestGateway::start().await;
    let mut nurse = Client::connect(&gateway, Connect::v5("nurse")).await;
    for n in 1..=3 {
        nurse.publish(Publish::new(&format!("cmd/w/{n}"), "kept").qos1(n).retain()).await;
    }
    let connect =
        Connect::durable(Version::V5, "a").property(property::short(property::RECEIVE_MAX, 1));
    let mut client = Client::connect(&gateway, connect.clone()).await;
    client.subscribe("cmd/w/+", 1).await;
    client.disconnect().await;
    let mut client = Client::connect(&gateway, connect).await;
    let mut topics = Vec::new();
    for _ in 0..3 {
        let Message { topic, retain, .. } = client.accept().await;
        assert!(retain);
        topics.push(topic);
    }
    topics.sort();
    assert_eq!(topics, ["cmd/w/1", "cmd/w/2", "cmd/w/3"]);
    client.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn inv8_sessions_are_limited_and_whose_session_waits_gets_in_all_the_same() {
    let gateway = TestGateway::with(|config| config.limits.sessions_max = 1).await;
    let first = Connect::durable(Version::V5, "first");
    Client::connect(&gateway, first.clone()).await.disconnect().await;
    let second = Connect::durable(Version::V5, "second");
    assert_eq!(Client::refused(&gateway, second).await.0, 0x97);
    assert!(Client::connect(&gateway, first).await.present);
    Client::connect(&gateway, Connect::v5("leaves nothing behind")).await;
    gateway.stop().await;
}

#[tokio::test]
async fn unsubscribing_outlives_the_connection_as_well() {
    let gateway = TestGateway::start().await;
    let connect = Connect::durable(Version::V5, "a");
    let mut client = Client::connect(&gateway, connect.clone()).await;
    client.subscribe("cmd/w/pump/#", 1).await;
    client.send(&build::unsubscribe(Version::V5, 9, &["cmd/w/pump/#"])).await;
    client.until_ping().await;
    client.disconnect().await;
    let gateway = gateway.restart().await;
    commands(&gateway, 0..2).await;
    let mut client = Client::connect(&gateway, connect).await;
    assert!(client.present);
    client.hears_nothing().await;
    client.disconnect().await;
    gateway.stop().await;
}
