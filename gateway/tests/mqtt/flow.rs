//! Limits that one side tells the other: receive maximum, packet size, topic aliases.

use crate::wire::build::ack;
use crate::wire::{
    BOTH, Client, Connect, Packet, Publish, Subscribe, TestGateway, Version, property,
};

async fn commands(gateway: &TestGateway, qos: u8, numbers: std::ops::RangeInclusive<u16>) {
    let mut nurse = Client::connect(gateway, Connect::v5("nurse")).await;
    for n in numbers {
        let publish = Publish::new("cmd/a", n.to_string());
        let publish = match qos {
            0 => publish,
            1 => publish.qos1(n),
            _ => publish.qos2(n),
        };
        nurse.publish(publish).await;
    }
    nurse.hears_nothing().await;
}

fn receiver(name: &str, most: u16) -> Connect {
    Connect::v5(name).property(property::short(property::RECEIVE_MAX, most))
}

#[tokio::test]
async fn a_client_gets_no_more_unacknowledged_messages_than_it_takes() {
    let gateway = TestGateway::start().await;
    for qos in [1, 2] {
        let mut client = Client::connect(&gateway, receiver("a", 2)).await;
        client.subscribe("cmd/a", qos).await;
        commands(&gateway, qos, 1..=5).await;
        let (one, two) = (client.message().await, client.message().await);
        client.hears_nothing().await;
        let order = [one.payload, two.payload];
        assert_eq!(order, ["1", "2"]);
        if qos == 1 {
            client.send(&ack(0x40, one.pkid)).await;
        } else {
            client.send(&ack(0x50, one.pkid)).await;
            assert_eq!(client.packet().await, Packet::PubRel { pkid: one.pkid, code: 0 });
            client.hears_nothing().await;
            client.send(&ack(0x70, one.pkid)).await;
        }
        assert_eq!(client.message().await.payload, "3");
        client.hears_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn best_effort_messages_do_not_wait_for_acknowledgements_of_others() {
    let gateway = TestGateway::start().await;
    let mut client = Client::connect(&gateway, receiver("a", 1)).await;
    client.subscribe("cmd/a", 1).await;
    commands(&gateway, 1, 1..=1).await;
    let first = client.message().await;
    commands(&gateway, 0, 2..=4).await;
    for expected in ["2", "3", "4"] {
        assert_eq!(client.message().await.payload, expected);
    }
    client.send(&ack(0x40, first.pkid)).await;
    client.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_smaller_receive_maximum_on_return_counts_for_what_is_sent_again() {
    let gateway = TestGateway::start().await;
    let mut client = Client::connect(&gateway, Connect::durable(Version::V5, "a")).await;
    client.subscribe("cmd/a", 1).await;
    commands(&gateway, 1, 1..=5).await;
    for _ in 0..4 {
        client.message().await;
    }
    client.vanish();
    let mut client = Client::connect(&gateway, receiver("a", 1).resume().expiry(60)).await;
    for expected in ["1", "2", "3", "4", "5"] {
        let message = client.message().await;
        assert_eq!(message.payload, expected);
        client.hears_nothing().await;
        client.send(&ack(0x40, message.pkid)).await;
    }
    client.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_more_unacknowledged_messages_than_announced_is_told_and_closed() {
    let gateway = TestGateway::with(|config| config.limits.receive_max = 3).await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    assert_eq!(client.offer.number(property::RECEIVE_MAX), Some(3));
    for n in 1..=3 {
        client.post(&Publish::new("cmd/a", "x").qos2(n)).await;
        assert!(matches!(client.packet().await, Packet::PubRec { .. }));
    }
    // One is released: there is room for one.
    client.send(&ack(0x62, 2)).await;
    client.packet().await;
    client.post(&Publish::new("cmd/a", "x").qos2(2)).await;
    assert!(matches!(client.packet().await, Packet::PubRec { .. }));
    client.post(&Publish::new("cmd/a", "repeat").qos2(2).dup()).await;
    assert!(matches!(client.packet().await, Packet::PubRec { .. }));
    client.post(&Publish::new("cmd/a", "best effort")).await;
    client.hears_nothing().await;
    client.post(&Publish::new("cmd/a", "x").qos1(9)).await;
    assert_eq!(client.ended().await, Some(0x93));
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_larger_than_the_client_takes_counts_as_delivered() {
    let gateway = TestGateway::start().await;
    let most = property::long(property::PACKET_BYTES_MAX, 100);
    let connect = Connect::durable(Version::V5, "a").property(most);
    let mut client = Client::connect(&gateway, connect.clone()).await;
    client.subscribe("cmd/#", 2).await;
    let mut nurse = Client::connect(&gateway, Connect::v5("nurse")).await;
    for (n, length) in [(1, 88), (2, 87), (3, 1000), (4, 1)] {
        nurse.publish(Publish::new("cmd/a", "x".repeat(length)).qos1(n)).await;
    }
    // Two bytes of header, topic 7, packet id 2, property length 1.
    let message = client.accept().await;
    assert_eq!((message.size, message.payload.len()), (100, 88));
    assert_eq!(client.accept().await.payload.len(), 87);
    assert_eq!(client.accept().await.payload.len(), 1);
    client.disconnect().await;
    let mut client = Client::connect(&gateway, connect).await;
    client.hears_nothing().await;
    gateway.counted("gateway_deliveries_too_large_total 1").await;
    gateway.stop().await;
}

#[tokio::test]
async fn an_alias_does_not_make_a_packet_too_large_that_fits_without_it() {
    let gateway = TestGateway::start().await;
    let connect = Connect::v5("a")
        .property(property::long(property::PACKET_BYTES_MAX, 100))
        .property(property::short(property::TOPIC_ALIAS_MAX, 5));
    let mut client = Client::connect(&gateway, connect).await;
    client.subscribe("cmd/#", 0).await;
    let mut nurse = Client::connect(&gateway, Connect::v5("nurse")).await;
    // Two bytes of header, topic 7, property length 1: 100 without an alias.
    nurse.publish(Publish::new("cmd/a", "x".repeat(90)).qos1(1)).await;
    nurse.publish(Publish::new("cmd/a", "y").qos1(2)).await;
    let first = client.message().await;
    assert_eq!((first.size, first.topic.as_str()), (100, "cmd/a"));
    let second = client.message().await;
    assert_eq!((second.payload.as_str(), second.topic.as_str()), ("y", "cmd/a"));
    gateway.stop().await;
}

#[tokio::test]
async fn no_answer_is_larger_than_the_client_takes() {
    let gateway = TestGateway::start().await;
    let small = |most| {
        Connect::v5("a")
            .property(property::long(property::PACKET_BYTES_MAX, most))
            .property(property::pair("tidemark-receipts", "1"))
    };
    // The CONNACK does not fit: all that is left is to close.
    let mut client = Client::open(gateway.address, Version::V5).await;
    client.send(&small(10).bytes()).await;
    assert_eq!(client.next().await, None);
    let mut client = Client::connect(&gateway, small(40)).await;
    client.post(&Publish::new("dt/w/a/readings", "x").qos1(1)).await;
    let Packet::PubAck { properties, .. } = client.packet().await else { panic!() };
    assert_eq!(properties.user(), [], "its position would not fit");
    let many = (0..50).fold(Subscribe::new("cmd/x", 0), |all, n| all.and(&format!("cmd/{n}"), 0));
    client.send(&many.bytes(Version::V5)).await;
    assert_eq!(client.ended().await, Some(0x95));
    gateway.stop().await;
}

#[tokio::test]
async fn a_packet_larger_than_announced_ends_the_connection() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
        // Its header is enough to know.
        client.send(&[0x30, 0xff, 0xff, 0xff, 0x7f]).await;
        assert_eq!(client.ended().await, (version == Version::V5).then_some(0x95));
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_may_put_an_alias_in_place_of_a_topic_as_far_as_announced() {
    let gateway = TestGateway::with(|config| config.limits.topic_alias_max = 2).await;
    let mut watcher = Client::connect(&gateway, Connect::v311("watcher")).await;
    watcher.subscribe("cmd/#", 0).await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    for (topic, alias) in [("cmd/1", 1), ("cmd/2", 2), ("", 1), ("", 2), ("cmd/3", 1), ("", 1)] {
        client.publish(Publish::new(topic, "x").alias(alias).qos1(1)).await;
    }
    for expected in ["cmd/1", "cmd/2", "cmd/1", "cmd/2", "cmd/3", "cmd/3"] {
        assert_eq!(watcher.message().await.topic, expected);
    }
    client.disconnect().await;
    // An alias ends with its connection.
    for (alias, reason) in [(1, 0x82), (0, 0x94), (3, 0x94)] {
        let mut client = Client::connect(&gateway, Connect::v5("a")).await;
        client.post(&Publish::new("", "x").alias(alias)).await;
        assert_eq!(client.ended().await, Some(reason), "{alias}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_client_gets_aliases_as_far_as_it_takes_them() {
    let gateway = TestGateway::start().await;
    let connect = Connect::v5("a").property(property::short(property::TOPIC_ALIAS_MAX, 2));
    let mut client = Client::connect(&gateway, connect).await;
    client.subscribe("cmd/#", 0).await;
    let mut nurse = Client::connect(&gateway, Connect::v5("nurse")).await;
    for topic in ["cmd/1", "cmd/2", "cmd/3", "cmd/1", "cmd/2", "cmd/3"] {
        nurse.publish(Publish::new(topic, topic).qos1(1)).await;
    }
    let mut known = std::collections::HashMap::new();
    let mut spared = 0;
    for _ in 0..6 {
        let message = client.message().await;
        let alias = message.properties.number(property::TOPIC_ALIAS);
        assert!(alias.is_none_or(|alias| (1..=2).contains(&alias)));
        if message.topic.is_empty() {
            spared += 1;
            assert_eq!(known[&alias.unwrap()], message.payload);
        } else {
            assert_eq!(message.topic, message.payload);
            alias.map(|alias| known.insert(alias, message.topic));
        }
    }
    assert_eq!(spared, 2);
    let mut plain = Client::connect(&gateway, Connect::v5("plain")).await;
    plain.subscribe("cmd/#", 0).await;
    nurse.publish(Publish::new("cmd/1", "x").alias(1).qos1(1)).await;
    let message = plain.message().await;
    assert_eq!(
        message.properties.number(property::TOPIC_ALIAS),
        None,
        "the publisher's is its own"
    );
    gateway.stop().await;
}
