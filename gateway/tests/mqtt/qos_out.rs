//! What is sent to subscribers: again until it is acknowledged, with the same packet ids, and QoS 2 exactly once.

use std::collections::BTreeSet;

use crate::wire::build::{ack, ack_with};
use crate::wire::{BOTH, Client, Connect, Message, Packet, Publish, TestGateway, Version};

async fn commands(gateway: &TestGateway, qos: u8, count: u16) {
    let mut nurse = Client::connect(gateway, Connect::v5("nurse")).await;
    for n in 1..=count {
        let publish = Publish::new("cmd/w/pump", n.to_string());
        nurse.publish(if qos == 1 { publish.qos1(n) } else { publish.qos2(n) }).await;
    }
}

async fn pump(gateway: &TestGateway, version: Version, qos: u8) -> (Client, Connect) {
    let connect = Connect::durable(version, &format!("pump-{version:?}-{qos}"));
    let mut pump = Client::connect(gateway, connect.clone()).await;
    pump.subscribe("cmd/w/pump", qos).await;
    (pump, connect)
}

/// Nobody is to queue up what the next round sends.
async fn end(gateway: &TestGateway, pump: Client, version: Version, qos: u8) {
    pump.disconnect().await;
    let clean = Connect::new(version, &format!("pump-{version:?}-{qos}"));
    Client::connect(gateway, clean).await.disconnect().await;
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_first_with_dup_and_the_same_packet_id() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        for qos in [1, 2] {
            let (mut pump, connect) = pump(&gateway, version, qos).await;
            commands(&gateway, qos, 3).await;
            let mut first = Vec::new();
            for _ in 0..3 {
                first.push(pump.message().await);
            }
            let ids: BTreeSet<u16> = first.iter().map(|message| message.pkid).collect();
            assert_eq!(ids.len(), 3, "ids are unique");
            pump.vanish();
            commands(&gateway, qos, 1).await;
            let mut pump = Client::connect(&gateway, connect).await;
            for before in first {
                assert!(!before.dup);
                let again = pump.message().await;
                assert_eq!(again, Message { dup: true, size: again.size, ..before });
            }
            let new = pump.message().await;
            assert_eq!((new.dup, new.payload.as_str()), (false, "1"));
            assert!(!ids.contains(&new.pkid));
            end(&gateway, pump, version, qos).await;
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_again_while_the_connection_lasts() {
    let gateway = TestGateway::start().await;
    let (mut pump, _) = pump(&gateway, Version::V5, 1).await;
    commands(&gateway, 1, 1).await;
    pump.message().await;
    pump.is_silent_for(std::time::Duration::from_millis(300)).await;
    pump.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn after_a_pubrec_only_the_pubrel_is_sent_again() {
    let gateway = TestGateway::start().await;
    for version in BOTH {
        let (mut pump, connect) = pump(&gateway, version, 2).await;
        commands(&gateway, 2, 1).await;
        let pkid = pump.message().await.pkid;
        pump.send(&ack(0x50, pkid)).await;
        assert_eq!(pump.packet().await, Packet::PubRel { pkid, code: 0 });
        // The PUBREL was lost, or the PUBCOMP; twice.
        for _ in 0..2 {
            pump.vanish();
            pump = Client::connect(&gateway, connect.clone()).await;
            assert_eq!(pump.packet().await, Packet::PubRel { pkid, code: 0 });
        }
        pump.send(&ack(0x70, pkid)).await;
        pump.hears_nothing().await;
        pump.vanish();
        let mut pump = Client::connect(&gateway, connect).await;
        pump.hears_nothing().await;
        end(&gateway, pump, version, 2).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_restart_sends_again_what_was_under_way_with_the_same_packet_ids() {
    let gateway = TestGateway::start().await;
    let (mut pump, connect) = pump(&gateway, Version::V5, 2).await;
    commands(&gateway, 2, 3).await;
    let (one, two, three) = (pump.message().await, pump.message().await, pump.message().await);
    pump.send(&ack(0x50, two.pkid)).await;
    assert_eq!(pump.packet().await, Packet::PubRel { pkid: two.pkid, code: 0 });
    pump.vanish();
    let gateway = gateway.restart().await;
    let mut pump = Client::connect(&gateway, connect).await;
    assert!(pump.present);
    let again = pump.message().await;
    assert_eq!((again.pkid, again.payload, again.dup), (one.pkid, "1".into(), true));
    assert_eq!(pump.packet().await, Packet::PubRel { pkid: two.pkid, code: 0 });
    assert_eq!(pump.message().await.pkid, three.pkid);
    gateway.stop().await;
}

#[tokio::test]
async fn a_pubrec_that_comes_again_is_answered_again() {
    let gateway = TestGateway::start().await;
    let (mut pump, _) = pump(&gateway, Version::V5, 2).await;
    commands(&gateway, 2, 1).await;
    let pkid = pump.message().await.pkid;
    for _ in 0..3 {
        pump.send(&ack(0x50, pkid)).await;
        assert_eq!(pump.packet().await, Packet::PubRel { pkid, code: 0 });
    }
    pump.send(&ack(0x70, pkid)).await;
    pump.hears_nothing().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_message_that_the_client_refuses_is_done() {
    let gateway = TestGateway::start().await;
    for (qos, first) in [(1, 0x40), (2, 0x50)] {
        let (mut pump, connect) = pump(&gateway, Version::V5, qos).await;
        commands(&gateway, qos, 1).await;
        let pkid = pump.message().await.pkid;
        pump.send(&ack_with(first, pkid, 0x97)).await;
        pump.hears_nothing().await;
        pump.vanish();
        let mut pump = Client::connect(&gateway, connect).await;
        pump.hears_nothing().await;
        end(&gateway, pump, Version::V5, qos).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn acknowledgements_in_any_order_are_taken() {
    let gateway = TestGateway::start().await;
    let (mut pump, connect) = pump(&gateway, Version::V311, 1).await;
    commands(&gateway, 1, 5).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(pump.message().await.pkid);
    }
    for at in [4, 0, 2, 1] {
        pump.send(&ack(0x40, ids[at])).await;
    }
    pump.hears_nothing().await;
    pump.vanish();
    let mut pump = Client::connect(&gateway, connect).await;
    assert_eq!(pump.message().await.payload, "4");
    pump.hears_nothing().await;
    gateway.stop().await;
}
