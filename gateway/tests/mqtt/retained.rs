//! Retained messages.

use std::time::Duration;

use crate::wire::build::{RETAIN_AS_PUBLISHED, retain_handling};
use crate::wire::{
    BOTH, Client, Connect, Message, Packet, Publish, Subscribe, TestGateway, Version, property,
};

async fn keep(gateway: &TestGateway, publish: Publish) {
    let mut nurse = Client::connect(gateway, Connect::v5("nurse")).await;
    nurse.publish(publish.retain()).await;
    nurse.disconnect().await;
}

/// Subscribes and returns the codes and the messages that come at once.
async fn subscribed(client: &mut Client, subscribe: Subscribe) -> (Vec<u8>, Vec<Message>) {
    let codes = client.subscribe_with(subscribe).await;
    let message = |packet| match packet {
        Packet::Publish(message) => message,
        other => panic!("{other:?}"),
    };
    (codes, client.until_ping().await.into_iter().map(message).collect())
}

#[tokio::test]
async fn a_new_subscription_gets_the_last_message_of_every_topic_that_it_selects() {
    let gateway = TestGateway::start().await;
    for (topic, payload) in
        [("cmd/a/1", "old"), ("cmd/a/1", "x"), ("cmd/a/2", "y"), ("cmd/b/1", "z")]
    {
        keep(&gateway, Publish::new(topic, payload).qos1(1)).await;
    }
    for version in BOTH {
        let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
        for (filter, expected) in [
            ("cmd/a/1", "x"),
            ("cmd/a/+", "xy"),
            ("cmd/#", "xyz"),
            ("cmd/+/1", "xz"),
            ("cmd/c", ""),
        ] {
            let (codes, messages) = subscribed(&mut client, Subscribe::new(filter, 0)).await;
            assert_eq!(codes, [0]);
            assert!(messages.iter().all(|message| message.retain && message.qos == 0));
            let mut payloads: Vec<&str> = messages.iter().map(|m| m.payload.as_str()).collect();
            payloads.sort_unstable();
            assert_eq!(payloads.concat(), expected, "{filter}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_subscription_says_when_it_wants_retained_messages() {
    let gateway = TestGateway::start().await;
    keep(&gateway, Publish::new("cmd/a", "x").qos1(1)).await;
    for (handling, first, second) in [(0, 1, 1), (1, 1, 0), (2, 0, 0)] {
        let mut client = Client::connect(&gateway, Connect::v5("a")).await;
        for expected in [first, second] {
            let subscribe = Subscribe::new("cmd/a", 1 | retain_handling(handling));
            let messages = subscribed(&mut client, subscribe).await.1;
            assert_eq!(messages.len(), expected, "handling {handling}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn the_suback_comes_before_retained_messages() {
    let gateway = TestGateway::start().await;
    keep(&gateway, Publish::new("cmd/a", "x").qos1(1)).await;
    for connect in [Connect::durable(Version::V5, "a"), Connect::v311("b")] {
        let mut client = Client::connect(&gateway, connect).await;
        for _ in 0..3 {
            client.send(&Subscribe::new("cmd/a", 1).bytes(client.version)).await;
            assert_eq!(client.packet().await, Packet::SubAck { pkid: 10, codes: vec![1] });
            assert_eq!(client.accept().await.payload, "x");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_subscription_of_a_resumed_session_is_not_new() {
    let gateway = TestGateway::start().await;
    keep(&gateway, Publish::new("cmd/a", "x").qos1(1)).await;
    let subscribe = Subscribe::new("cmd/a", retain_handling(1));
    let mut client = Client::connect(&gateway, Connect::durable(Version::V5, "a")).await;
    assert_eq!(subscribed(&mut client, subscribe.clone()).await.1.len(), 1);
    client.disconnect().await;
    let mut client = Client::connect(&gateway, Connect::durable(Version::V5, "a")).await;
    assert_eq!(subscribed(&mut client, subscribe).await.1.len(), 0);
    gateway.stop().await;
}

#[tokio::test]
async fn the_retain_flag_of_a_live_message_is_as_the_subscription_wants_it() {
    let gateway = TestGateway::start().await;
    let mut plain = Client::connect(&gateway, Connect::v5("plain")).await;
    plain.subscribe("cmd/a", 0).await;
    let mut keeping = Client::connect(&gateway, Connect::v5("keeping")).await;
    let subscribe = Subscribe::new("cmd/a", RETAIN_AS_PUBLISHED);
    keeping.subscribe_with(subscribe).await;
    let mut old = Client::connect(&gateway, Connect::v311("old")).await;
    old.subscribe("cmd/a", 0).await;
    keep(&gateway, Publish::new("cmd/a", "kept")).await;
    let mut nurse = Client::connect(&gateway, Connect::v5("nurse")).await;
    nurse.publish(Publish::new("cmd/a", "live")).await;
    for (client, expected) in [(&mut plain, false), (&mut keeping, true), (&mut old, false)] {
        assert_eq!(client.message().await.retain, expected);
        assert!(!client.message().await.retain);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_retained_message_with_an_empty_payload_forgets_the_topic_and_is_delivered() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        keep(&gateway, Publish::new("cmd/a", "x").qos1(1)).await;
        let mut live = Client::connect(&gateway, Connect::new(version, "live")).await;
        assert_eq!(subscribed(&mut live, Subscribe::new("cmd/a", 0)).await.1.len(), 1);
        // One that is not retained forgets nothing.
        let mut nurse = Client::connect(&gateway, Connect::v5("nurse")).await;
        nurse.publish(Publish::new("cmd/a", "").qos1(1)).await;
        assert_eq!(live.message().await.payload, "");
        assert_eq!(subscribed(&mut live, Subscribe::new("cmd/a", 0)).await.1.len(), 1);
        keep(&gateway, Publish::new("cmd/a", "").qos1(1)).await;
        assert_eq!(live.message().await.payload, "");
        assert_eq!(subscribed(&mut live, Subscribe::new("cmd/a", 0)).await.1.len(), 0);
        live.disconnect().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_retained_message_comes_with_the_lower_qos_and_its_properties() {
    let gateway = TestGateway::start().await;
    let publish = Publish::new("cmd/a", "x").qos2(1).property(property::pair("k", "v"));
    keep(&gateway, publish).await;
    for granted in 0..=2 {
        let mut client = Client::connect(&gateway, Connect::v5("a")).await;
        let subscribe = Subscribe::new("cmd/#", granted).id(9);
        let messages = subscribed(&mut client, subscribe).await.1;
        assert_eq!(messages[0].qos, granted);
        assert_eq!(messages[0].properties.user(), [("k".to_owned(), "v".to_owned())]);
        assert_eq!(messages[0].properties.number(property::SUBSCRIPTION_ID), Some(9));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_retained_message_expires() {
    let gateway = TestGateway::start().await;
    let expiring =
        Publish::new("cmd/a", "x").qos1(1).property(property::long(property::EXPIRY, 600));
    keep(&gateway, expiring).await;
    let lasting =
        Publish::new("cmd/b", "y").qos1(1).property(property::long(property::EXPIRY, 1000));
    keep(&gateway, lasting).await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    assert_eq!(subscribed(&mut client, Subscribe::new("cmd/+", 0)).await.1.len(), 2);
    gateway.after(Duration::from_secs(600));
    let messages = subscribed(&mut client, Subscribe::new("cmd/+", 0)).await.1;
    let topics: Vec<&str> = messages.iter().map(|message| message.topic.as_str()).collect();
    assert_eq!(topics, ["cmd/b"]);
    assert!(matches!(messages[0].properties.number(property::EXPIRY), Some(1..=400)));
    gateway.stop().await;
}

#[tokio::test]
async fn retained_messages_are_there_after_a_restart() {
    let gateway = TestGateway::start().await;
    keep(&gateway, Publish::new("cmd/a", "x").qos1(1).property(property::pair("k", "v"))).await;
    keep(&gateway, Publish::new("cmd/b", "y").qos2(1)).await;
    keep(&gateway, Publish::new("cmd/b", "").qos2(1)).await;
    let gateway = gateway.restart().await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    let messages = subscribed(&mut client, Subscribe::new("cmd/#", 0)).await.1;
    assert_eq!(messages.len(), 1);
    assert_eq!((messages[0].payload.as_str(), messages[0].properties.user().len()), ("x", 1));
    gateway.stop().await;
}

#[tokio::test]
async fn shared_subscriptions_get_no_retained_messages() {
    let gateway = TestGateway::start().await;
    keep(&gateway, Publish::new("cmd/a", "x").qos1(1)).await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    let (codes, messages) = subscribed(&mut client, Subscribe::new("$share/g/cmd/#", 1)).await;
    assert_eq!((codes, messages), (vec![1], vec![]));
    gateway.stop().await;
}

#[tokio::test]
async fn the_server_says_how_it_is_to_those_who_ask() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
        client.subscribe("$SYS/broker/version", 0).await;
        assert!(client.message().await.payload.starts_with("tidemark "));
        let again = subscribed(&mut client, Subscribe::new("$SYS/broker/version", 0)).await.1;
        assert!(again.len() == 1 && again[0].retain);
        let own = ["uptime", "clients/connected", "messages/received", "subscriptions/count"];
        client.send(&Subscribe::new("$SYS/#", 0).bytes(version)).await;
        let packets = client.until_ping().await;
        for topic in own.map(|topic| format!("$SYS/broker/{topic}")) {
            let there = |packet: &Packet| matches!(packet, Packet::Publish(m) if m.topic == topic);
            assert!(packets.iter().any(there), "{topic}");
        }
        // Wildcards at the front do not reach it.
        let (_, messages) = subscribed(&mut client, Subscribe::new("#", 0)).await;
        assert!(messages.iter().all(|message| !message.topic.starts_with('$')), "{messages:?}");
        let (_, messages) = subscribed(&mut client, Subscribe::new("+/broker/version", 0)).await;
        assert_eq!(messages, []);
    }
    gateway.stop().await;
}
