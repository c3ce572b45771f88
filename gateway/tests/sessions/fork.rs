//! A gateway whose spool was cloned: it moves on to a new epoch while its clients publish.

use rumqttc::{Packet, QoS};
use telemetry_core::frame::Frame;
use telemetry_core::receipt::{self, Receipt};
use tokio::time::timeout;

use crate::harness::{Client, PATIENCE, TestGateway};

fn receipt(frame: &Frame, landed: u64, chain: u64) -> Vec<u8> {
    let receipt = Receipt {
        v: receipt::VERSION,
        lake_id: "lake".into(),
        source_id: "gateway".parse().unwrap(),
        epoch: frame.header.epoch,
        landed,
        chain,
        resend_from: None,
        window: 1 << 20,
        word_ms: None,
        worker: "w".into(),
        at: 0,
    };
    receipt.to_json()
}

/// Answers a frame as ingest does, on its topic.
async fn answer(ingest: &Client, frame: &Frame, landed: u64, chain: u64) {
    let topic = format!("tm/v1/receipt/gateway/{}", frame.header.epoch);
    let receipt = receipt(frame, landed, chain);
    ingest.mqtt.publish(topic, QoS::AtLeastOnce, true, receipt).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn inv3_a_cloned_gateway_goes_on_in_a_new_epoch_and_its_clients_notice_nothing() {
    let gateway = TestGateway::start().await;
    let old = gateway.spool.epoch();
    let mut ingest = Client::connect(&gateway, "ingest").await;
    ingest.subscribe("tm/v1/up/#").await;
    let mut device = Client::connect(&gateway, "mon-1").await;
    for n in 0..5 {
        device.publish("dt/w/mon-1/readings", &n.to_string()).await;
    }
    let first = Frame::decode(&ingest.message().await.payload).unwrap();
    // The clone was faster: the lake has five messages of this source, and they are not ours.
    answer(&ingest, &first, 5, 12345).await;
    let mut payloads = Vec::new();
    let mut next = 5;
    while payloads.len() < 10 {
        if next < 10 {
            device.publish("dt/w/mon-1/readings", &next.to_string()).await;
            next += 1;
        }
        let frame = Frame::decode(&ingest.message().await.payload).unwrap();
        if frame.header.epoch == old {
            continue;
        }
        let mut at = (0, 0);
        for (item, chain) in frame.items() {
            let telemetry_core::spool::record::Item::Record(record) = item else {
                panic!("nothing was lost")
            };
            if record.offset == payloads.len() as u64 {
                payloads.push(String::from_utf8(record.payload.to_vec()).unwrap());
            }
            at = (item.end(), chain);
        }
        answer(&ingest, &frame, at.0, at.1).await;
    }
    assert_eq!(payloads, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    let mut uplink = gateway.uplink.clone();
    let landed = uplink.wait_for(|status| status.positions.landed == 10);
    timeout(PATIENCE, landed).await.expect("receipts of the new epoch are heard").unwrap();
    let mut operator = Client::connect(&gateway, "operator").await;
    operator.mqtt.subscribe("tm/v1/status/gateway", QoS::AtLeastOnce).await.unwrap();
    let birth = operator
        .wait(|packet| match packet {
            Packet::Publish(publish) => Some(publish.payload.clone()),
            _ => None,
        })
        .await;
    let new = gateway.spool.epoch();
    assert_ne!(new, old);
    assert!(String::from_utf8_lossy(&birth).contains(&new.to_string()), "{birth:?}");
    gateway.stop().await;
}
