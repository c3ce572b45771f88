//! SUBSCRIBE and UNSUBSCRIBE: filters, options, identifiers, reason codes.

use crate::wire::build::{NO_LOCAL, packet, unsubscribe};
use crate::wire::{
    BOTH, Client, Connect, Packet, Publish, Subscribe, TestGateway, Version, property,
};

async fn publisher(gateway: &TestGateway) -> Client {
    Client::connect(gateway, Connect::v5("publisher")).await
}

#[tokio::test]
async fn filters_select_what_the_protocol_says() {
    let gateway = TestGateway::start().await;
    let mut publisher = publisher(&gateway).await;
    let cases = [
        ("cmd/a/b", "cmd/a/b", true),
        ("cmd/a/b", "cmd/a/B", false),
        ("cmd/a/+", "cmd/a/b", true),
        ("cmd/a/+", "cmd/a/", true),
        ("cmd/a/+", "cmd/a", false),
        ("cmd/+", "cmd/a/b", false),
        ("cmd/a/#", "cmd/a", true),
        ("cmd/a/#", "cmd/a/b/c", true),
        ("+/+", "/x", true),
        ("/+", "/x", true),
        ("+", "/x", false),
        ("#", "cmd/a", true),
        ("cmd//x", "cmd//x", true),
        ("cmd/é/\u{feff}", "cmd/é/\u{feff}", true),
        ("cmd/é/x", "cmd/e/x", false),
        ("cmd/a b", "cmd/a b", true),
    ];
    for version in BOTH {
        for (filter, topic, selected) in cases {
            let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
            client.subscribe(filter, 0).await;
            publisher.publish(Publish::new(topic, "x").qos1(1)).await;
            // A filter for everything selects what the gateway says by itself as well.
            let heard = client.until_ping().await;
            let own = |packet: &&Packet| matches!(packet, Packet::Publish(m) if m.payload == "x");
            assert_eq!(heard.iter().filter(own).count(), usize::from(selected), "{filter} {topic}");
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn each_filter_of_a_subscribe_has_a_code_of_its_own_in_order() {
    let gateway = TestGateway::start().await;
    for (version, refused) in [(Version::V311, 0x80), (Version::V5, 0x8f)] {
        let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
        let subscribe = Subscribe::new("cmd/a", 2)
            .and("cmd/#/b", 1)
            .and("cmd/b", 0)
            .and("cmd/b+", 1)
            .and("#b", 1)
            .and("cmd/c", 1);
        let codes = client.subscribe_with(subscribe).await;
        assert_eq!(codes, [2, refused, 0, refused, refused, 1]);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_filter_has_at_least_one_character() {
    let gateway = TestGateway::start().await;
    for (version, code) in [(Version::V311, None), (Version::V5, Some(0x81))] {
        for packet in [&b"\x82\x05\0\x01\0\0\x01"[..], b"\xa2\x04\0\x01\0\0"] {
            let mut bytes = packet.to_vec();
            if version == Version::V5 {
                bytes[1] += 1;
                bytes.insert(4, 0);
            }
            let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
            client.send(&bytes).await;
            assert_eq!(client.ended().await, code);
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn subscribing_again_replaces_the_subscription() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
        client.subscribe("cmd/a", 2).await;
        client.subscribe("cmd/a", 0).await;
        publisher(&gateway).await.publish(Publish::new("cmd/a", "x").qos1(1)).await;
        assert_eq!(client.message().await.qos, 0);
        client.hears_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn overlapping_subscriptions_give_one_message_with_the_highest_qos_and_all_identifiers() {
    let gateway = TestGateway::start().await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    client.subscribe_with(Subscribe::new("cmd/#", 0).id(1)).await;
    client.subscribe_with(Subscribe::new("cmd/+/rate", 2).id(268_435_455)).await;
    client.subscribe_with(Subscribe::new("cmd/pump/rate", 1)).await;
    client.subscribe_with(Subscribe::new("cmd/other", 1).id(3)).await;
    let mut publisher = publisher(&gateway).await;
    publisher.publish(Publish::new("cmd/pump/rate", "x").qos2(1)).await;
    let message = client.accept().await;
    let mut ids = message.properties.numbers(property::SUBSCRIPTION_ID);
    ids.sort_unstable();
    assert_eq!((message.qos, ids), (2, vec![1, 268_435_455]));
    client.hears_nothing().await;
    // A subscription that is replaced without one has none.
    client.subscribe_with(Subscribe::new("cmd/#", 0)).await;
    publisher.publish(Publish::new("cmd/pump/rate", "x")).await;
    let ids = client.message().await.properties.numbers(property::SUBSCRIPTION_ID);
    assert_eq!(ids, [268_435_455]);
    let mut old = Client::connect(&gateway, Connect::v311("old")).await;
    old.subscribe("cmd/#", 0).await;
    old.subscribe("cmd/+/rate", 1).await;
    publisher.publish(Publish::new("cmd/pump/rate", "x").qos1(1)).await;
    assert_eq!(old.accept().await.qos, 1);
    old.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn who_wants_nothing_of_its_own_gets_what_others_publish_there() {
    let gateway = TestGateway::start().await;
    let mut client = Client::connect(&gateway, Connect::v5("bridge")).await;
    client.subscribe_with(Subscribe::new("cmd/#", 1 | NO_LOCAL)).await;
    client.publish(Publish::new("cmd/a", "own").qos1(1)).await;
    client.publish(Publish::new("cmd/kept", "own").qos1(1).retain()).await;
    client.hears_nothing().await;
    publisher(&gateway).await.publish(Publish::new("cmd/a", "other's").qos1(1)).await;
    assert_eq!(client.accept().await.payload, "other's");
    // Another subscription of the same session may want its own.
    client.subscribe_with(Subscribe::new("cmd/a", 0).id(5)).await;
    client.post(&Publish::new("cmd/a", "own").qos1(2)).await;
    let packets = client.until_ping().await;
    let [Packet::Publish(message)] =
        packets.iter().filter(|p| matches!(p, Packet::Publish(_))).collect::<Vec<_>>()[..]
    else {
        panic!("{packets:?}")
    };
    assert_eq!(message.properties.numbers(property::SUBSCRIPTION_ID), [5]);
    gateway.stop().await;
}

#[tokio::test]
async fn unsubscribing_is_answered_for_each_filter_and_nothing_comes_after_it() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
        client.subscribe("cmd/a", 1).await;
        client.subscribe("cmd/+", 1).await;
        // Compared letter by letter: `cmd/+` is not `cmd/a`.
        client.send(&unsubscribe(version, 21, &["cmd/b", "cmd/+"])).await;
        let codes = if version == Version::V5 { vec![0x11, 0] } else { Vec::new() };
        assert_eq!(client.packet().await, Packet::UnsubAck { pkid: 21, codes });
        let mut publisher = publisher(&gateway).await;
        publisher.publish(Publish::new("cmd/a", "still").qos1(1)).await;
        publisher.publish(Publish::new("cmd/b", "no more").qos1(2)).await;
        assert_eq!(client.accept().await.payload, "still");
        client.hears_nothing().await;
        client.send(&unsubscribe(version, 22, &["cmd/a"])).await;
        let codes = if version == Version::V5 { vec![0] } else { Vec::new() };
        assert_eq!(client.packet().await, Packet::UnsubAck { pkid: 22, codes });
        publisher.publish(Publish::new("cmd/a", "no more").qos1(3)).await;
        client.hears_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_was_under_way_when_its_subscription_ended_is_delivered_to_the_end() {
    let gateway = TestGateway::start().await;
    let connect = Connect::durable(Version::V5, "a");
    let mut client = Client::connect(&gateway, connect.clone()).await;
    client.subscribe("cmd/a", 2).await;
    publisher(&gateway).await.publish(Publish::new("cmd/a", "x").qos2(1)).await;
    let before = client.message().await;
    client.send(&unsubscribe(Version::V5, 21, &["cmd/a"])).await;
    client.packet().await;
    client.vanish();
    let mut client = Client::connect(&gateway, connect).await;
    let again = client.accept().await;
    assert_eq!((again.pkid, again.dup), (before.pkid, true));
    gateway.stop().await;
}

#[tokio::test]
async fn a_subscribe_or_unsubscribe_without_filters_ends_the_connection() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
        for first in [0x82, 0xa2] {
            let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
            client.send(&packet(first, &[&[0, 1][..], properties].concat())).await;
            assert_eq!(client.ended().await, (version == Version::V5).then_some(0x82));
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn inv8_a_subscription_too_many_is_refused_by_name() {
    let gateway = TestGateway::with(|config| config.limits.subscriptions_max = 1).await;
    for (version, refused) in [(Version::V311, 0x80), (Version::V5, 0x97)] {
        let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
        let subscribe = Subscribe::new("cmd/a", 1).and("cmd/b", 1).and("cmd/a", 0);
        assert_eq!(client.subscribe_with(subscribe).await, [1, refused, 0]);
    }
    gateway.stop().await;
}
