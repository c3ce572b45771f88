//! Packets that are right by themselves, in sequences that are not.

use crate::neighbour::Neighbour;
use crate::wire::build::{self, ack, ack_with, packet};
use crate::wire::{
    BOTH, Client, Connect, Packet, Publish, Subscribe, TestGateway, Version, property,
};

async fn started() -> (TestGateway, Neighbour) {
    let gateway = TestGateway::start().await;
    let neighbour = Neighbour::of(gateway.address).await;
    (gateway, neighbour)
}

/// How 5 says that something is wrong; 3.1.1 only closes.
fn told(version: Version, code: u8) -> Option<u8> {
    (version == Version::V5).then_some(code)
}

#[tokio::test]
async fn a_connect_in_the_middle_of_a_session_ends_it_whoever_it_names() {
    let (gateway, mut neighbour) = started().await;
    for version in BOTH {
        for name in ["a", "neighbour", ""] {
            let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
            client.subscribe("cmd/#", 1).await;
            client.send(&Connect::new(version, name).bytes()).await;
            assert_eq!(client.ended().await, told(version, 0x82));
        }
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn floods_of_acknowledgements_for_nothing_are_answered_or_passed_over() {
    let (gateway, mut neighbour) = started().await;
    for version in BOTH {
        for first in [0x40, 0x50, 0x62, 0x70] {
            let connect = Connect::durable(version, "a");
            let mut client = Client::connect(&gateway, connect).await;
            let flood: Vec<u8> = (1..=2_000_u16).flat_map(|pkid| ack(first, pkid)).collect();
            client.send(&flood).await;
            let answers = client.until_ping().await.len();
            assert_eq!(answers, if first == 0x40 || first == 0x70 { 0 } else { 2_000 });
            client.disconnect().await;
        }
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_flood_of_releases_and_receipts_of_one_packet_id_costs_nothing() {
    let (gateway, mut neighbour) = started().await;
    let mut client = Client::connect(&gateway, Connect::durable(Version::V5, "a")).await;
    client.subscribe("cmd/#", 2).await;
    client.post(&Publish::new("cmd/a", "x").qos2(1)).await;
    let mut delivered = 0;
    for _ in 0..2 {
        match client.packet().await {
            Packet::Publish(message) => delivered = message.pkid,
            other => assert_eq!(other, Packet::PubRec { pkid: 1, code: 0 }),
        }
    }
    let flood = [ack(0x62, 1), ack(0x50, delivered), ack_with(0x50, delivered, 0x80)].concat();
    client.send(&flood.repeat(500)).await;
    for _ in 0..1_500 {
        let answer = client.packet().await;
        assert!(matches!(answer, Packet::PubComp { pkid: 1, .. } | Packet::PubRel { code: 0, .. }));
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn acknowledgements_of_another_kind_end_the_connection_and_no_exchange() {
    let (gateway, mut neighbour) = started().await;
    let connect = Connect::durable(Version::V5, "a");
    let mut client = Client::connect(&gateway, connect.clone()).await;
    client.subscribe("cmd/#", 2).await;
    let mut nurse = Client::connect(&gateway, Connect::v5("nurse")).await;
    nurse.publish(Publish::new("cmd/a", "one").qos1(1)).await;
    nurse.publish(Publish::new("cmd/a", "two").qos2(2)).await;
    let (one, two) = (client.message().await.pkid, client.message().await.pkid);
    // A PUBCOMP and a PUBREC for QoS 1; a PUBACK and an early PUBCOMP for QoS 2.
    for bytes in [ack(0x70, one), ack(0x50, one), ack(0x40, two), ack(0x70, two)] {
        client.send(&bytes).await;
        assert_eq!(client.ended().await, Some(0x82));
        client = Client::connect(&gateway, connect.clone()).await;
        assert_eq!([client.message().await.pkid, client.message().await.pkid], [one, two]);
    }
    // Of a message that nobody knows any more.
    client.send(&[ack(0x40, 777), ack(0x70, 777)].concat()).await;
    client.hears_nothing().await;
    client.send(&ack(0x50, 777)).await;
    assert_eq!(client.packet().await, Packet::PubRel { pkid: 777, code: 0x92 });
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn every_packet_id_may_be_in_use_and_one_more_is_not_the_servers_problem() {
    let (gateway, mut neighbour) = started().await;
    // 3.1.1 knows no Receive Maximum.
    let mut client = Client::connect(&gateway, Connect::v311("a")).await;
    let all: Vec<u8> = (1..=u16::MAX)
        .flat_map(|pkid| Publish::new("cmd/a", "").qos2(pkid).bytes(Version::V311))
        .collect();
    let (mut received, mut sent) = (0_u32, 0);
    // In pieces: whoever sends and never reads is given up.
    for piece in all.chunks(1 << 16) {
        client.send(piece).await;
        sent += piece.len();
        while received < u32::try_from(sent / 11).unwrap().saturating_sub(2) {
            assert!(matches!(client.packet().await, Packet::PubRec { .. }));
            received += 1;
        }
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn aliases_that_stand_for_nothing_end_the_connection() {
    let (gateway, mut neighbour) = started().await;
    for (topic, alias, code) in
        [("", 0, 0x94), ("a", 0, 0x94), ("", 1, 0x82), ("a", 33, 0x94), ("", 65_535, 0x94)]
    {
        let mut client = Client::connect(&gateway, Connect::v5("a")).await;
        client.post(&Publish::new(topic, "x").alias(alias)).await;
        assert_eq!(client.ended().await, Some(code), "{topic} {alias}");
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn property_bombs_are_refused_or_carried() {
    let (gateway, mut neighbour) = started().await;
    let pair = property::pair("", "");
    for (count, refused) in [(1_000, false), (1_001, true), (20_000, true)] {
        let bomb = pair.repeat(count);
        let mut client = Client::connect(&gateway, Connect::v5("a")).await;
        client.post(&Publish::new("cmd/a", "x").property(bomb.clone())).await;
        if refused {
            assert_eq!(client.ended().await, Some(0x97), "{count}");
        } else {
            client.hears_nothing().await;
            client.disconnect().await;
        }
        let mut client = Client::open(gateway.address, Version::V5).await;
        client.send(&Connect::v5("a").property(bomb).bytes()).await;
        let Packet::ConnAck { code, .. } = client.packet().await else { panic!() };
        assert_eq!(code, if refused { 0x97 } else { 0 });
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_subscribe_with_very_many_filters_costs_what_the_limit_says() {
    let (gateway, mut neighbour) = started().await;
    for version in BOTH {
        let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
        let many = |count| {
            let first = Subscribe::new("cmd/x", 0);
            (1..count).fold(first, |all, n| all.and(&format!("cmd/{n}/+/#"), 0))
        };
        let codes = client.subscribe_with(many(1_000)).await;
        assert_eq!(codes.iter().filter(|code| **code == 0).count(), 256);
        client.send(&many(1_001).bytes(version)).await;
        assert_eq!(client.ended().await, told(version, 0x97));
        // One filter a thousand times is one.
        let mut client = Client::connect(&gateway, Connect::new(version, "b")).await;
        let same = (1..1_000).fold(Subscribe::new("cmd/x", 0), |all, _| all.and("cmd/x", 0));
        assert!(client.subscribe_with(same).await.iter().all(|code| *code == 0));
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_subscription_to_everything_does_not_make_a_loop() {
    let (gateway, mut neighbour) = started().await;
    let mut clients = Vec::new();
    for n in 0..5 {
        let mut client = Client::connect(&gateway, Connect::v5(&n.to_string())).await;
        client.subscribe("#", 2).await;
        client.subscribe("+/#", 2).await;
        clients.push(client);
    }
    neighbour.is_served().await;
    for mut client in clients {
        let packets = client.until_ping().await;
        let own = |p: &&Packet| matches!(p, Packet::Publish(m) if m.topic.starts_with("dt/"));
        assert_eq!(packets.iter().filter(own).count(), 1);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn auth_packets_come_to_nothing() {
    let (gateway, mut neighbour) = started().await;
    for body in [&[][..], &[0x18, 0], &[0x19, 0], &[0xff, 0xff]] {
        for version in BOTH {
            let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
            client.send(&packet(0xf0, body)).await;
            let code = client.ended().await;
            assert_eq!(code, told(version, 0x82), "{body:x?}");
        }
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn goodbyes_with_demands_are_taken_as_far_as_they_are_right() {
    let (gateway, mut neighbour) = started().await;
    let expiry = |seconds| property::long(property::SESSION_EXPIRY, seconds);
    for (reason, properties, code) in [
        (0x00, vec![expiry(1)], Some(0x82)),
        (0x01, vec![], Some(0x82)),
        (0x8b, vec![], Some(0x82)),
        (0x00, vec![expiry(0), expiry(0)], Some(0x82)),
        (0x00, vec![property::short(property::RECEIVE_MAX, 1)], Some(0x81)),
        (0x04, vec![property::pair("why", "tired")], None),
    ] {
        let mut client = Client::connect(&gateway, Connect::v5("a")).await;
        client.send(&build::disconnect(reason, &properties)).await;
        assert_eq!(client.ended().await, code, "{reason:#x} {properties:x?}");
    }
    neighbour.is_served().await;
    gateway.stop().await;
}
