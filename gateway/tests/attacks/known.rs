//! T1 to T31: what brought down, or misled, a broker that others use.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::neighbour::Neighbour;
use crate::wire::build::{ack, unsubscribe};
use crate::wire::{
    BOTH, Client, Connect, Packet, Publish, Subscribe, TestGateway, Version, Will, property,
};

async fn started() -> (TestGateway, Neighbour) {
    let gateway = TestGateway::start().await;
    let neighbour = Neighbour::of(gateway.address).await;
    (gateway, neighbour)
}

#[tokio::test]
async fn t1_t21_t22_a_topic_that_begins_with_no_ascii_letter_is_a_topic() {
    let (gateway, mut neighbour) = started().await;
    for version in BOTH {
        let mut watcher = Client::connect(&gateway, Connect::new(version, "watcher")).await;
        let topic = |name: &str| format!("é{version:?}/{name}");
        watcher.subscribe(&topic("#"), 1).await;
        let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
        client.publish(Publish::new(&topic("temp"), "1").qos1(1)).await;
        assert_eq!(watcher.accept().await.payload, "1");
        let will = Will::new(&topic("gone"), "2").qos(1);
        Client::connect(&gateway, Connect::new(version, "b").will(will)).await.vanish();
        assert_eq!(watcher.accept().await.payload, "2");
        client.publish(Publish::new(&topic("kept"), "3").qos1(1).retain()).await;
        assert_eq!(watcher.accept().await.payload, "3");
        client.subscribe("+/kept", 1).await;
        assert_eq!(client.accept().await.payload, "3");
        watcher.disconnect().await;
        neighbour.is_served().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn t2_client_ids_with_characters_of_filters_may_come_twice() {
    let (gateway, mut neighbour) = started().await;
    for id in ["a+b", "$SYS", "a/b", "#", "$share/g/#", "../..", "t/x", "é"] {
        for version in BOTH {
            for _ in 0..2 {
                Client::connect(&gateway, Connect::new(version, id)).await.vanish();
            }
            Client::connect(&gateway, Connect::durable(version, id)).await.disconnect().await;
            Client::connect(&gateway, Connect::new(version, id)).await.disconnect().await;
        }
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn t2b_a_full_house_is_open_again_when_somebody_leaves() {
    let gateway = TestGateway::with(|config| config.limits.connections_max = 4).await;
    let mut neighbour = Neighbour::of(gateway.address).await;
    let mut inside = Vec::new();
    for n in 0..3 {
        inside.push(Client::connect(&gateway, Connect::v5(&n.to_string())).await);
    }
    for _ in 0..20 {
        let mut outside = Client::open(gateway.address, Version::V5).await;
        outside.send(&Connect::v5("outside").bytes()).await;
        assert_eq!(outside.next().await, None);
    }
    inside.clear();
    gateway.counted("gateway_connections 1").await;
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn t4_properties_of_a_message_do_not_disturb_subscribers_of_3_1_1() {
    let (gateway, mut neighbour) = started().await;
    for _ in 0..2 {
        let mut old = Client::connect(&gateway, Connect::v311("old")).await;
        old.subscribe("cmd/#", 1).await;
        let mut new = Client::connect(&gateway, Connect::v5("new")).await;
        let publish = Publish::new("cmd/a", "x").qos1(1).property(property::pair("k", "v"));
        new.publish(publish.property(property::long(property::EXPIRY, 60))).await;
        assert_eq!(old.accept().await.payload, "x");
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn t5_the_only_member_of_a_group_may_leave_with_messages_unacknowledged() {
    let (gateway, mut neighbour) = started().await;
    for version in BOTH {
        for polite in [true, false] {
            let connect = Connect::durable(version, "member");
            let mut member = Client::connect(&gateway, connect.clone()).await;
            member.subscribe("$share/g/cmd/t5", 1).await;
            let mut client = Client::connect(&gateway, Connect::v5("a")).await;
            client.publish(Publish::new("cmd/t5", "x").qos1(1)).await;
            member.message().await;
            if polite {
                member.disconnect().await;
            } else {
                member.vanish();
            }
            let mut member = Client::connect(&gateway, connect).await;
            let again = member.accept().await;
            assert!(again.dup && again.payload == "x", "{again:?}");
            member.disconnect().await;
            neighbour.is_served().await;
        }
        Client::connect(&gateway, Connect::new(version, "member")).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn t6b_a_subscriber_with_a_backlog_may_be_taken_over_by_one_that_leaves() {
    let (gateway, mut neighbour) = started().await;
    let mut slow = Client::connect(&gateway, Connect::v311("slow")).await;
    slow.subscribe("cmd/#", 0).await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    for _ in 0..12 {
        client.publish(Publish::new("cmd/a", "x".repeat(900_000))).await;
    }
    client.hears_nothing().await;
    Client::connect(&gateway, Connect::v311("slow")).await.disconnect().await;
    while slow.next().await.is_some() {}
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn t7_connections_that_come_and_go_do_not_end_each_other() {
    let (gateway, mut neighbour) = started().await;
    for round in 0..200 {
        let stays = Connect::v5(&format!("stays-{round}"));
        let leaves = Client::connect(&gateway, Connect::v5(&format!("leaves-{round}"))).await;
        leaves.vanish();
        let mut stays = Client::connect(&gateway, stays).await;
        stays.hears_nothing().await;
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn t8_an_alias_stands_for_a_topic_and_not_for_a_filter() {
    let (gateway, mut neighbour) = started().await;
    let connect = Connect::v5("a").property(property::short(property::TOPIC_ALIAS_MAX, 2));
    let mut watcher = Client::connect(&gateway, connect).await;
    watcher.subscribe("cmd/+", 1).await;
    let mut client = Client::connect(&gateway, Connect::v5("b")).await;
    let mut known = std::collections::HashMap::<Option<u32>, String>::new();
    for n in 0..20_u16 {
        let topic = format!("cmd/{}", n % 5);
        client.publish(Publish::new(&topic, topic.clone()).qos1(n + 1)).await;
        let message = watcher.accept().await;
        let alias = message.properties.number(property::TOPIC_ALIAS);
        let heard = if message.topic.is_empty() { known[&alias].clone() } else { message.topic };
        assert_eq!(heard, message.payload);
        known.insert(alias, heard);
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn t9_every_retained_message_is_delivered_and_again_to_who_subscribes_again() {
    let (gateway, mut neighbour) = started().await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    let all: Vec<u8> = (1..=500)
        .flat_map(|n| Publish::new(&format!("cmd/{n}"), "x").qos1(n).retain().bytes(Version::V5))
        .collect();
    client.send(&all).await;
    for _ in 0..500 {
        assert!(matches!(client.packet().await, Packet::PubAck { .. }));
    }
    for qos in [0, 1] {
        let mut watcher = Client::connect(&gateway, Connect::v311("watcher")).await;
        for _ in 0..2 {
            watcher.subscribe("cmd/+", qos).await;
            let mut topics = std::collections::HashSet::new();
            for _ in 0..500 {
                topics.insert(watcher.accept().await.topic);
            }
            assert_eq!(topics.len(), 500);
        }
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn t10_t13_unknown_filters_wrong_topics_and_the_servers_own_are_answered_as_such() {
    let (gateway, mut neighbour) = started().await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    client.send(&unsubscribe(Version::V5, 1, &["never/there"])).await;
    assert_eq!(client.packet().await, Packet::UnsubAck { pkid: 1, codes: vec![0x11] });
    assert_eq!(client.subscribe_with(Subscribe::new("a/#/b", 1)).await, [0x8f]);
    client.post(&Publish::new("$SYS/broker/uptime", "0").qos1(2)).await;
    assert!(matches!(client.packet().await, Packet::PubAck { pkid: 2, code: 0x87, .. }));
    client.post(&Publish::new("a/#", "x").qos1(3)).await;
    assert_eq!(client.ended().await, Some(0x90));
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn t11_an_empty_message_that_is_not_retained_removes_nothing() {
    let (gateway, mut neighbour) = started().await;
    let mut client = Client::connect(&gateway, Connect::v311("a")).await;
    client.publish(Publish::new("cmd/a", "kept").qos1(1).retain()).await;
    client.publish(Publish::new("cmd/a", "").qos1(2)).await;
    client.subscribe("cmd/a", 1).await;
    assert_eq!(client.accept().await.payload, "kept");
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn t15_a_delivery_has_the_lower_qos_of_both() {
    let (gateway, mut neighbour) = started().await;
    let mut watcher = Client::connect(&gateway, Connect::v311("watcher")).await;
    watcher.subscribe("cmd/#", 1).await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    client.publish(Publish::new("cmd/a", "x")).await;
    assert_eq!(watcher.message().await.qos, 0);
    client.publish(Publish::new("cmd/a", "x").qos2(1)).await;
    assert_eq!(watcher.message().await.qos, 1);
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn t19_who_sends_packets_of_servers_is_closed_and_may_come_back() {
    let (gateway, mut neighbour) = started().await;
    for version in BOTH {
        for packet in [&[0x20, 3, 0, 0, 0][..], &[0x20, 2, 0, 0], &[0xb0, 4, 0, 1, 0, 0]] {
            let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
            client.send(packet).await;
            client.ended().await;
            neighbour.is_served().await;
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn t23_an_exchange_of_qos_2_goes_on_after_a_reconnect() {
    let (gateway, mut neighbour) = started().await;
    for version in BOTH {
        let connect = Connect::durable(version, &format!("a-{version:?}"));
        let mut client = Client::connect(&gateway, connect.clone()).await;
        client.post(&Publish::new("dt/w/a/readings", "{}").qos2(7)).await;
        assert_eq!(client.packet().await, Packet::PubRec { pkid: 7, code: 0 });
        client.vanish();
        let mut client = Client::connect(&gateway, connect).await;
        client.send(&ack(0x62, 7)).await;
        assert_eq!(client.packet().await, Packet::PubComp { pkid: 7, code: 0 });
        client.hears_nothing().await;
    }
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn t24_acknowledgements_out_of_order_are_taken() {
    let (gateway, mut neighbour) = started().await;
    let mut watcher = Client::connect(&gateway, Connect::v311("watcher")).await;
    watcher.subscribe("cmd/#", 1).await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    for n in 1..=3 {
        client.publish(Publish::new("cmd/a", "x").qos1(n)).await;
    }
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(watcher.message().await.pkid);
    }
    for id in ids.into_iter().rev() {
        watcher.send(&ack(0x40, id)).await;
    }
    watcher.hears_nothing().await;
    neighbour.is_served().await;
    gateway.stop().await;
}

#[tokio::test]
async fn t27_no_client_id_belongs_to_the_gateway_itself() {
    let (gateway, mut neighbour) = started().await;
    let mut ingest = Client::connect(&gateway, Connect::v5("ingest")).await;
    ingest.subscribe("tm/v1/up/+/+", 1).await;
    for id in ["gateway", "uplink", "publisher", "subscriber-1", "canary", "bus", "sys"] {
        let mut thief = Client::connect(&gateway, Connect::v5(id)).await;
        thief.subscribe("#", 1).await;
        thief.vanish();
    }
    neighbour.is_served().await;
    let frame = ingest.message().await;
    assert_eq!(frame.topic.split('/').next_back(), Some("gateway"), "frames still arrive");
    gateway.stop().await;
}

#[tokio::test]
async fn t31_a_connection_that_is_reset_before_its_connack_may_come_back() {
    let (gateway, mut neighbour) = started().await;
    for version in BOTH {
        for connect in [Connect::new(version, "a"), Connect::durable(version, "b")] {
            for _ in 0..20 {
                let mut socket = TcpStream::connect(gateway.address).await.unwrap();
                socket.write_all(&connect.bytes()).await.unwrap();
                // Closing with no time to linger resets.
                socket.set_zero_linger().unwrap();
                drop(socket);
            }
            Client::connect(&gateway, connect).await.hears_nothing().await;
        }
        neighbour.is_served().await;
    }
    gateway.stop().await;
}
