//! Shared subscriptions: each message to one member of a group.

use crate::wire::build::{NO_LOCAL, ack, ack_with, unsubscribe};
use crate::wire::{
    BOTH, Client, Connect, Packet, Publish, Subscribe, TestGateway, Version, property,
};

const SHARED: &str = "$share/workers/cmd/#";

async fn member(gateway: &TestGateway, name: &str, qos: u8) -> Client {
    let mut client = Client::connect(gateway, Connect::v5(name)).await;
    client.subscribe(SHARED, qos).await;
    client
}

async fn publish(gateway: &TestGateway, qos: u8, count: u16) {
    let mut publisher = Client::connect(gateway, Connect::v5("publisher")).await;
    for n in 1..=count {
        let publish = Publish::new("cmd/a", n.to_string());
        publisher.publish(if qos == 2 { publish.qos2(n) } else { publish.qos1(n) }).await;
    }
}

fn messages(packets: Vec<Packet>) -> Vec<String> {
    let payload = |packet| match packet {
        Packet::Publish(message) => message.payload,
        other => panic!("{other:?}"),
    };
    packets.into_iter().map(payload).collect()
}

#[tokio::test]
async fn each_message_goes_to_one_member_and_members_share_the_load() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let (mut one, mut two) =
            (member(&gateway, "one", 0).await, member(&gateway, "two", 0).await);
        let mut old = Client::connect(&gateway, Connect::new(version, "three")).await;
        old.subscribe(SHARED, 0).await;
        let mut alone = Client::connect(&gateway, Connect::v5("alone")).await;
        alone.subscribe("cmd/#", 0).await;
        publish(&gateway, 1, 30).await;
        let mut all = Vec::new();
        for client in [&mut one, &mut two, &mut old] {
            let own = messages(client.until_ping().await);
            assert!(own.len() >= 5, "{own:?}");
            all.extend(own);
        }
        all.sort_by_key(|payload| payload.parse::<u16>().unwrap());
        let expected: Vec<String> = (1..=30).map(|n: u16| n.to_string()).collect();
        assert_eq!(all, expected);
        assert_eq!(messages(alone.until_ping().await), expected, "who shares nothing gets all");
        for client in [one, two, old, alone] {
            client.disconnect().await;
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn groups_are_told_apart_by_name_and_filter() {
    let gateway = TestGateway::start().await;
    let mut clients = Vec::new();
    for (n, filter) in ["$share/g/cmd/#", "$share/h/cmd/#", "$share/g/cmd/+"].iter().enumerate() {
        let mut client = Client::connect(&gateway, Connect::v5(&n.to_string())).await;
        client.subscribe(filter, 0).await;
        clients.push(client);
    }
    publish(&gateway, 1, 3).await;
    for client in &mut clients {
        assert_eq!(messages(client.until_ping().await), ["1", "2", "3"]);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn each_member_gets_the_qos_that_it_asked_for_and_its_identifier() {
    let gateway = TestGateway::start().await;
    let mut clients = Vec::new();
    for (name, qos) in [("one", 1), ("two", 0)] {
        let mut client = Client::connect(&gateway, Connect::v5(name)).await;
        client.subscribe_with(Subscribe::new(SHARED, qos).id(7)).await;
        clients.push((client, qos));
    }
    publish(&gateway, 2, 2).await;
    for (client, qos) in &mut clients {
        let message = client.accept().await;
        assert_eq!(message.qos, *qos);
        assert_eq!(message.properties.numbers(property::SUBSCRIPTION_ID), [7]);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_group_without_a_name_or_with_wildcards_in_it_is_refused() {
    let gateway = TestGateway::start().await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    for filter in [
        "$share",
        "$share/",
        "$share/g",
        "$share/g/",
        "$share//cmd",
        "$share/+/cmd",
        "$share/g#/cmd",
    ] {
        let codes = client.subscribe_with(Subscribe::new(filter, 1)).await;
        assert_eq!(codes, [0x8f], "{filter}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn no_local_with_a_shared_subscription_is_an_error() {
    let gateway = TestGateway::start().await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    client.send(&Subscribe::new(SHARED, NO_LOCAL).bytes(Version::V5)).await;
    assert_eq!(client.ended().await, Some(0x82));
    gateway.stop().await;
}

#[tokio::test]
async fn a_member_that_leaves_gets_nothing_and_the_others_get_it() {
    let gateway = TestGateway::start().await;
    let (mut one, mut two) = (member(&gateway, "one", 1).await, member(&gateway, "two", 1).await);
    one.send(&unsubscribe(Version::V5, 3, &[SHARED])).await;
    assert_eq!(one.packet().await, Packet::UnsubAck { pkid: 3, codes: vec![0] });
    publish(&gateway, 1, 3).await;
    assert_eq!(messages(two.until_ping().await), ["1", "2", "3"]);
    one.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_a_member_did_not_acknowledge_when_its_session_ended_goes_to_another() {
    let gateway = TestGateway::start().await;
    let mut one = member(&gateway, "one", 1).await;
    publish(&gateway, 1, 3).await;
    let done = one.message().await;
    one.send(&ack(0x40, done.pkid)).await;
    one.until_ping().await;
    let mut two = member(&gateway, "two", 1).await;
    one.vanish();
    assert_eq!([two.accept().await.payload, two.accept().await.payload], ["2", "3"]);
    two.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_qos_2_message_that_was_sent_to_a_member_never_goes_to_another() {
    let gateway = TestGateway::start().await;
    let mut one = Client::connect(&gateway, Connect::durable(Version::V5, "one")).await;
    one.subscribe(SHARED, 2).await;
    publish(&gateway, 2, 1).await;
    let before = one.message().await;
    one.vanish();
    let mut two = member(&gateway, "two", 2).await;
    two.hears_nothing().await;
    let mut one = Client::connect(&gateway, Connect::durable(Version::V5, "one")).await;
    assert_eq!(one.message().await.pkid, before.pkid, "it is for the one that had it");
    one.disconnect().await;
    // Not even when that one's session ends.
    Client::connect(&gateway, Connect::v5("one")).await;
    two.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_that_a_member_refuses_goes_to_nobody_else() {
    let gateway = TestGateway::start().await;
    let mut one = member(&gateway, "one", 1).await;
    publish(&gateway, 1, 1).await;
    let pkid = one.message().await.pkid;
    let mut two = member(&gateway, "two", 1).await;
    one.send(&ack_with(0x40, pkid, 0x80)).await;
    one.hears_nothing().await;
    one.disconnect().await;
    two.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn control_topics_are_not_shared_and_whoever_asks_is_told() {
    let gateway = TestGateway::start().await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    for filter in ["$share/g/tm/v1/up/+/+", "$share/g/tm/v1/#"] {
        assert_eq!(client.subscribe_with(Subscribe::new(filter, 1)).await, [0x8f], "{filter}");
    }
    client.subscribe("$share/g/#", 1).await;
    gateway.stop().await;
}
