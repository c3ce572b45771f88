//! What clients publish: QoS 1 and 2 into the spool and on to subscribers, exactly once where that is promised.

use crate::wire::build::{ack, ack_with};
use crate::wire::{BOTH, Client, Connect, Packet, Publish, TestGateway, Version};

const TOPIC: &str = "dt/w/mon-1/readings";

fn reading(n: u16) -> Publish {
    Publish::new(TOPIC, n.to_string()).qos2(n)
}

#[tokio::test]
async fn a_message_whose_pubrec_was_lost_is_stored_once_when_it_comes_again() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let before = gateway.spool.status().appended;
        let connect = Connect::durable(version, "mon-1");
        let mut device = Client::connect(&gateway, connect.clone()).await;
        device.post(&reading(7)).await;
        assert_eq!(device.packet().await, Packet::PubRec { pkid: 7, code: 0 });
        device.vanish();
        // It never saw the PUBREC.
        let mut device = Client::connect(&gateway, connect.clone()).await;
        assert!(device.present);
        device.publish(reading(7).dup()).await;
        assert_eq!(gateway.spool.status().appended, before + 1);
        // The packet id is free now: the same one is another message.
        device.publish(reading(7)).await;
        assert_eq!(gateway.spool.status().appended, before + 2);
        device.disconnect().await;
        drop(Client::connect(&gateway, Connect::new(version, "mon-1")).await);
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_repeat_on_the_same_connection_is_the_same_message_with_or_without_dup() {
    let gateway = TestGateway::start().await;
    let mut watcher = Client::connect(&gateway, Connect::v5("watcher")).await;
    watcher.subscribe("dt/#", 2).await;
    for version in BOTH {
        let before = gateway.spool.status().appended;
        let mut device = Client::connect(&gateway, Connect::new(version, "mon-1")).await;
        for message in [reading(3), reading(3), reading(3).dup()] {
            device.post(&message).await;
            assert_eq!(device.packet().await, Packet::PubRec { pkid: 3, code: 0 });
        }
        for _ in 0..2 {
            device.send(&ack(0x62, 3)).await;
            assert!(matches!(device.packet().await, Packet::PubComp { pkid: 3, .. }));
        }
        assert_eq!(gateway.spool.status().appended, before + 1);
        assert_eq!(watcher.accept().await.payload, "3");
        watcher.hears_nothing().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_pubrel_whose_pubcomp_was_lost_is_answered_again() {
    let gateway = TestGateway::start().await;
    for (version, code) in [(Version::V311, 0), (Version::V5, 0x92)] {
        let connect = Connect::durable(version, &format!("mon-{version:?}"));
        let mut device = Client::connect(&gateway, connect.clone()).await;
        device.publish(reading(7)).await;
        device.vanish();
        let mut device = Client::connect(&gateway, connect).await;
        device.send(&ack(0x62, 7)).await;
        assert_eq!(device.packet().await, Packet::PubComp { pkid: 7, code });
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_that_was_not_released_is_known_after_a_restart() {
    let gateway = TestGateway::start().await;
    let connect = Connect::durable(Version::V5, "mon-1");
    let mut device = Client::connect(&gateway, connect.clone()).await;
    for n in [7, 8] {
        device.post(&reading(n)).await;
        assert_eq!(device.packet().await, Packet::PubRec { pkid: n, code: 0 });
    }
    device.vanish();
    let gateway = gateway.restart().await;
    let mut device = Client::connect(&gateway, connect).await;
    assert!(device.present);
    device.publish(reading(7).dup()).await;
    device.send(&ack(0x62, 8)).await;
    assert_eq!(device.packet().await, Packet::PubComp { pkid: 8, code: 0 });
    assert_eq!(gateway.spool.status().appended, 2);
    gateway.stop().await;
}

#[tokio::test]
async fn acknowledgements_come_in_the_order_of_the_messages() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let mut device = Client::connect(&gateway, Connect::new(version, "mon-1")).await;
        let mut sent = Vec::new();
        for n in 1..=60 {
            let topic = if n % 3 == 0 { "cmd/w/a" } else { TOPIC };
            let publish = Publish::new(topic, "x");
            let publish = if n % 2 == 0 { publish.qos2(n) } else { publish.qos1(n) };
            sent.extend(publish.bytes(version));
        }
        device.send(&sent).await;
        for n in 1..=60 {
            match device.packet().await {
                Packet::PubAck { pkid, .. } => assert_eq!((n % 2, pkid), (1, n)),
                Packet::PubRec { pkid, .. } => assert_eq!((n % 2, pkid), (0, n)),
                other => panic!("{other:?}"),
            }
        }
        let releases: Vec<u8> = (1..=30).flat_map(|n| ack(0x62, 2 * n)).collect();
        device.send(&releases).await;
        for n in 1..=30 {
            assert_eq!(device.packet().await, Packet::PubComp { pkid: 2 * n, code: 0 });
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn messages_of_a_publisher_reach_a_subscriber_in_the_order_in_which_they_were_sent() {
    let gateway = TestGateway::start().await;
    for qos in 0..=2_u8 {
        let mut watcher = Client::connect(&gateway, Connect::v311("watcher")).await;
        watcher.subscribe("+/w/#", 2).await;
        let mut device = Client::connect(&gateway, Connect::v5("mon-1")).await;
        let mut all = Vec::new();
        for n in 1..=300_u16 {
            let topic = if n % 2 == 0 { TOPIC } else { "cmd/w/a" };
            let publish = Publish::new(topic, n.to_string());
            all.extend(match qos {
                0 => publish.bytes(Version::V5),
                1 => publish.qos1(n).bytes(Version::V5),
                _ => publish.qos2(n).bytes(Version::V5),
            });
        }
        device.send(&all).await;
        for n in 1..=300 {
            let message = watcher.accept().await;
            assert_eq!((message.payload, message.qos), (n.to_string(), qos));
        }
        watcher.disconnect().await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_refused_message_is_told_by_name_and_its_packet_id_is_free() {
    let gateway = TestGateway::start().await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    for publish in [Publish::new("$SYS/x", "x").qos2(5), Publish::new("$other/x", "x").qos2(5)] {
        client.post(&publish).await;
        assert_eq!(client.packet().await, Packet::PubRec { pkid: 5, code: 0x87 });
    }
    client.send(&ack(0x62, 5)).await;
    assert_eq!(client.packet().await, Packet::PubComp { pkid: 5, code: 0x92 });
    client.post(&Publish::new("$SYS/x", "x").qos1(6)).await;
    assert!(matches!(client.packet().await, Packet::PubAck { pkid: 6, code: 0x87, .. }));
    client.post(&Publish::new("$SYS/x", "x")).await;
    client.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn what_a_3_1_1_client_publishes_below_dollar_is_acknowledged_and_discarded() {
    let gateway = TestGateway::start().await;
    let mut watcher = Client::connect(&gateway, Connect::v5("watcher")).await;
    watcher.subscribe("$SYS/x", 2).await;
    let mut old = Client::connect(&gateway, Connect::v311("b")).await;
    old.post(&Publish::new("$SYS/x", "x").qos1(6)).await;
    assert!(matches!(old.packet().await, Packet::PubAck { pkid: 6, .. }));
    old.post(&Publish::new("$SYS/x", "x").qos2(7)).await;
    assert!(matches!(old.packet().await, Packet::PubRec { pkid: 7, .. }));
    old.send(&ack(0x62, 7)).await;
    assert!(matches!(old.packet().await, Packet::PubComp { pkid: 7, .. }));
    old.post(&Publish::new("$SYS/x", "x")).await;
    old.publish(Publish::new("dt/w/b/readings", "{}").qos1(8)).await;
    watcher.hears_nothing().await;
    assert_eq!(gateway.spool.status().appended, 1);
    gateway.counted("gateway_publishes_reserved_total 3").await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_command_that_nobody_subscribed_to_is_acknowledged_as_such() {
    let gateway = TestGateway::start().await;
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    client.post(&Publish::new("cmd/w/a", "x").qos1(1)).await;
    assert!(matches!(client.packet().await, Packet::PubAck { pkid: 1, code: 0x10, .. }));
    client.post(&Publish::new("cmd/w/a", "x").qos2(2)).await;
    assert_eq!(client.packet().await, Packet::PubRec { pkid: 2, code: 0x10 });
    client.send(&ack(0x62, 2)).await;
    assert_eq!(client.packet().await, Packet::PubComp { pkid: 2, code: 0 });
    client.post(&Publish::new("dt/w/a/readings", "x").qos1(3)).await;
    assert!(matches!(client.packet().await, Packet::PubAck { pkid: 3, code: 0, .. }), "it is kept");
    gateway.stop().await;
}

#[tokio::test]
async fn acknowledgements_of_packet_ids_that_are_not_in_use_are_answered_or_passed_over() {
    let gateway = TestGateway::start().await;
    for (version, code) in [(Version::V311, 0), (Version::V5, 0x92)] {
        let mut client = Client::connect(&gateway, Connect::new(version, "a")).await;
        client.send(&ack(0x40, 9)).await;
        client.send(&ack(0x70, 9)).await;
        client.hears_nothing().await;
        client.send(&ack(0x62, 9)).await;
        assert_eq!(client.packet().await, Packet::PubComp { pkid: 9, code });
        client.send(&ack(0x50, 9)).await;
        assert_eq!(client.packet().await, Packet::PubRel { pkid: 9, code });
    }
    let mut client = Client::connect(&gateway, Connect::v5("a")).await;
    client.send(&ack_with(0x50, 9, 0x80)).await;
    client.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn telemetry_reaches_its_subscribers_with_the_lower_of_both_qos() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        for granted in 0..=2 {
            let mut watcher = Client::connect(&gateway, Connect::new(version, "watcher")).await;
            watcher.subscribe("dt/#", granted).await;
            let mut device = Client::connect(&gateway, Connect::v5("mon-1")).await;
            device.publish(Publish::new(TOPIC, "0")).await;
            device.publish(Publish::new(TOPIC, "1").qos1(1)).await;
            device.publish(Publish::new(TOPIC, "2").qos2(2)).await;
            for published in 0..=2 {
                let message = watcher.accept().await;
                assert_eq!(message.payload, published.to_string());
                assert_eq!(message.qos, granted.min(published));
            }
        }
    }
    gateway.stop().await;
}
