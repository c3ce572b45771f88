//! What travels with a message: properties, and the time that it has left.

use std::time::Duration;

use crate::wire::build::ack;
use crate::wire::{BOTH, Client, Connect, Packet, Publish, TestGateway, Version, property};

#[tokio::test]
async fn the_properties_of_a_message_reach_subscribers_unaltered_and_in_order() {
    let gateway = TestGateway::start().await;
    let mut watcher = Client::connect(&gateway, Connect::v5("watcher")).await;
    watcher.subscribe("+/a", 1).await;
    watcher.subscribe("dt/#", 1).await;
    let mut old = Client::connect(&gateway, Connect::v311("old")).await;
    old.subscribe("+/a", 1).await;
    old.subscribe("dt/#", 1).await;
    let properties = [
        property::byte(property::PAYLOAD_FORMAT, 1),
        property::text(property::CONTENT_TYPE, "application/json"),
        property::text(property::RESPONSE_TOPIC, "cmd/answers/1"),
        [&[property::CORRELATION, 0, 3][..], &[0, 0xff, 7]].concat(),
        property::pair("b", "1"),
        property::pair("a", "2"),
        property::pair("b", "1"),
        property::pair("", ""),
    ];
    let mut sender = Client::connect(&gateway, Connect::v5("sender")).await;
    for topic in ["cmd/a", "dt/w/a/readings"] {
        let publish = Publish::new(topic, "{}").qos1(1);
        sender.publish(properties.iter().cloned().fold(publish, Publish::property)).await;
        let message = watcher.accept().await;
        let mut heard: Vec<Vec<u8>> =
            message.properties.0.iter().map(|(id, value)| [&[*id][..], value].concat()).collect();
        let user = heard.split_off(4);
        heard.sort();
        let mut sent = properties[..4].to_vec();
        sent.sort();
        assert_eq!(heard, sent);
        assert_eq!(user, properties[4..]);
        assert_eq!(old.accept().await.payload, "{}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_says_how_long_it_still_lives_and_is_not_delivered_after_that() {
    let gateway = TestGateway::start().await;
    let connect = Connect::durable(Version::V5, "pump");
    let mut pump = Client::connect(&gateway, connect.clone()).await;
    pump.subscribe("cmd/#", 1).await;
    pump.disconnect().await;
    let mut nurse = Client::connect(&gateway, Connect::v5("nurse")).await;
    for (n, seconds) in [(1, Some(600)), (2, Some(1000)), (3, None), (4, Some(0))] {
        let publish = Publish::new("cmd/a", n.to_string()).qos1(n);
        let publish = match seconds {
            Some(seconds) => publish.property(property::long(property::EXPIRY, seconds)),
            None => publish,
        };
        nurse.publish(publish).await;
    }
    gateway.after(Duration::from_secs(600));
    let mut pump = Client::connect(&gateway, connect.clone()).await;
    let lasting = pump.accept().await;
    let left = lasting.properties.number(property::EXPIRY);
    assert!(lasting.payload == "2" && matches!(left, Some(1..=400)), "{left:?}");
    let eternal = pump.accept().await;
    assert_eq!(
        (eternal.payload.as_str(), eternal.properties.number(property::EXPIRY)),
        ("3", None)
    );
    pump.hears_nothing().await;
    gateway.counted("gateway_deliveries_expired_total 2").await;
    pump.disconnect().await;
    let mut pump = Client::connect(&gateway, connect).await;
    pump.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_was_sent_once_does_not_expire_any_more() {
    let gateway = TestGateway::start().await;
    let connect = Connect::durable(Version::V5, "pump");
    let mut pump = Client::connect(&gateway, connect.clone()).await;
    pump.subscribe("cmd/#", 2).await;
    let mut nurse = Client::connect(&gateway, Connect::v5("nurse")).await;
    let soon = property::long(property::EXPIRY, 600);
    nurse.publish(Publish::new("cmd/a", "1").qos2(1).property(soon.clone())).await;
    nurse.publish(Publish::new("cmd/a", "2").qos2(2).property(soon)).await;
    let (one, two) = (pump.message().await, pump.message().await);
    gateway.after(Duration::from_secs(600));
    pump.send(&ack(0x50, one.pkid)).await;
    assert_eq!(pump.packet().await, Packet::PubRel { pkid: one.pkid, code: 0 });
    pump.vanish();
    let mut pump = Client::connect(&gateway, connect).await;
    assert_eq!(pump.packet().await, Packet::PubRel { pkid: one.pkid, code: 0 });
    let again = pump.message().await;
    assert_eq!((again.pkid, again.payload), (two.pkid, two.payload));
    gateway.stop().await;
}

#[tokio::test]
async fn a_topic_that_cannot_be_published_to_ends_the_connection() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let long = "x".repeat(1_025);
        for topic in ["cmd/+", "cmd/#", "#", "cmd/a\u{1}", &long] {
            let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
            client.post(&Publish::new(topic, "x").qos1(1)).await;
            assert_eq!(client.ended().await, (version == Version::V5).then_some(0x90), "{topic}");
        }
        let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
        client.post(&Publish::new("", "x")).await;
        assert_eq!(client.ended().await, (version == Version::V5).then_some(0x82));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_receipt_asked_for_comes_unless_the_client_takes_no_problem_information() {
    let gateway = TestGateway::start().await;
    let receipts = || Connect::v5("a").property(property::pair("tidemark-receipts", "1"));
    let silent = receipts().property(property::byte(property::PROBLEM_INFO, 0));
    for (connect, count) in [(receipts(), 3), (silent, 0), (Connect::v5("a"), 0)] {
        let mut client = Client::connect(&gateway, connect).await;
        client.post(&Publish::new("dt/w/a/readings", "{}").qos1(1)).await;
        let Packet::PubAck { code: 0, properties, .. } = client.packet().await else { panic!() };
        assert_eq!(properties.user().len(), count);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn payloads_may_be_anything_up_to_the_limit() {
    let gateway = TestGateway::start().await;
    let mut watcher = Client::connect(&gateway, Connect::v311("watcher")).await;
    watcher.subscribe("cmd/#", 1).await;
    let mut sender = Client::connect(&gateway, Connect::v5("sender")).await;
    for (n, length) in [(1, 0), (2, 1), (3, 127), (4, 16_384), (5, 5_000_000)] {
        sender.publish(Publish::new("cmd/a", "x".repeat(length)).qos1(n)).await;
        assert_eq!(watcher.accept().await.payload.len(), length);
    }
    sender.post(&Publish::new("cmd/a", "x".repeat(8_000_001)).qos1(6)).await;
    assert_eq!(sender.ended().await, Some(0x95));
    gateway.stop().await;
}
