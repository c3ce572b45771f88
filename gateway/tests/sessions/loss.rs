//! Things get lost around a gateway: its bus drops frames, and devices that lost a connection send everything again.

use rumqttc::{Packet, QoS};
use telemetry_core::frame::Frame;
use telemetry_core::receipt::{self, Receipt};
use telemetry_core::spool::record::Item;

use crate::harness::{Client, TestGateway};

const TOPIC: &str = "dt/w/mon-1/readings";

/// What ingest has, offset by offset.
#[derive(Default)]
struct Lake {
    payloads: Vec<String>,
    chain: u64,
}

impl Lake {
    /// Takes what continues; returns where it must be sent again from if something is missing.
    fn take(&mut self, frame: &Frame) -> Option<u64> {
        let next = self.payloads.len() as u64;
        if frame.header.first_offset > next {
            return Some(next);
        }
        for (item, chain) in frame.items() {
            let Item::Record(record) = item else { panic!("nothing was dropped from the spool") };
            if record.offset >= next {
                self.payloads.push(String::from_utf8(record.payload.to_vec()).unwrap());
                self.chain = chain;
            }
        }
        None
    }

    async fn answer(&self, ingest: &Client, frame: &Frame, resend_from: Option<u64>) {
        let receipt = Receipt {
            v: receipt::VERSION,
            lake_id: "lake".into(),
            source_id: frame.header.source_id.clone(),
            epoch: frame.header.epoch,
            landed: self.payloads.len() as u64,
            chain: self.chain,
            resend_from,
            window: 1 << 20,
            word_ms: None,
            worker: "w".into(),
            at: 0,
        };
        let topic = format!("tm/v1/receipt/gateway/{}", frame.header.epoch);
        ingest.mqtt.publish(topic, QoS::AtLeastOnce, true, receipt.to_json()).await.unwrap();
    }
}

/// Lands until the lake has so many messages.
async fn land(ingest: &mut Client, lake: &mut Lake, count: usize) {
    while lake.payloads.len() < count {
        let frame = Frame::decode(&ingest.message().await.payload).unwrap();
        let resend_from = lake.take(&frame);
        lake.answer(ingest, &frame, resend_from).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv5_frames_that_the_bus_drops_are_sent_again() {
    let gateway = TestGateway::with(|config| config.uplink.linger_ms = 0).await;
    let mut ingest = Client::connect(&gateway, "ingest").await;
    ingest.subscribe("tm/v1/up/#").await;
    let mut device = Client::connect(&gateway, "mon-1").await;
    let mut lake = Lake::default();
    for n in 0..=101 {
        device.publish(TOPIC, &n.to_string()).await;
        if n % 3 == 1 {
            // Its frame never arrives; the next one tells ingest that something is missing.
            ingest.message().await;
        } else {
            land(&mut ingest, &mut lake, n + 1).await;
        }
    }
    assert_eq!(lake.payloads, (0..=101).map(|n| n.to_string()).collect::<Vec<_>>());
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_sends_everything_again_is_acknowledged_and_nothing_is_missing() {
    let gateway = TestGateway::start().await;
    let mut ingest = Client::connect(&gateway, "ingest").await;
    ingest.subscribe("tm/v1/up/#").await;
    // Three connections in a row break before the device has seen its acknowledgements.
    for _ in 0..3 {
        let device = Client::connect(&gateway, "mon-1").await;
        for n in 0..50 {
            let payload = n.to_string();
            device.mqtt.publish(TOPIC, QoS::AtLeastOnce, false, payload).await.unwrap();
        }
        device.vanish();
    }
    let mut device = Client::connect(&gateway, "mon-1").await;
    for n in 0..50 {
        device.mqtt.publish(TOPIC, QoS::AtLeastOnce, false, n.to_string()).await.unwrap();
    }
    for _ in 0..50 {
        device.wait(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
    }
    let accepted = usize::try_from(gateway.spool.status().appended).unwrap();
    assert!((50..=200).contains(&accepted), "{accepted}");
    let mut lake = Lake::default();
    land(&mut ingest, &mut lake, accepted).await;
    let last: Vec<_> = lake.payloads.iter().skip(accepted - 50).cloned().collect();
    assert_eq!(last, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    gateway.stop().await;
}
