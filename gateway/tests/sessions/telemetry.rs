//! Telemetry is on stable storage before it is acknowledged, and refused when there is no room.

use rumqttc::{Packet, QoS};

use crate::harness::{Client, TestGateway};

#[tokio::test(flavor = "multi_thread")]
async fn inv1_a_puback_means_that_the_message_is_synced() {
    let gateway = TestGateway::start().await;
    let mut device = Client::connect(&gateway, "mon-1").await;
    for n in 0..100 {
        device
            .mqtt
            .publish("dt/w/mon-1/readings", QoS::AtLeastOnce, false, format!("{{\"n\":{n}}}"))
            .await
            .unwrap();
    }
    for acked in 1..=100 {
        device.wait(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
        let synced = gateway.spool.progress().borrow().synced;
        assert!(synced >= acked, "{acked} acknowledged, {synced} synced");
    }
    let status = gateway.spool.status();
    assert_eq!((status.appended, status.synced), (100, 100));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_receipts_when_nobody_takes_frames() {
    let gateway = TestGateway::with(|config| config.drain_seconds = 3600).await;
    let mut device = Client::connect(&gateway, "mon-1").await;
    device.publish("dt/w/mon-1/readings", "{}").await;
    let uplink = gateway.uplink.clone();
    gateway.stop().await;
    assert_eq!(uplink.borrow().positions.landed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_messages_are_not_stored() {
    let gateway = TestGateway::start().await;
    let mut client = Client::connect(&gateway, "operator").await;
    client.publish("cmd/w/pump-1/rate", "5").await;
    client.publish("tm/v1/status/agent-1", "{}").await;
    assert_eq!(gateway.spool.status().appended, 0);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv3_a_full_spool_withholds_acknowledgements_from_old_clients_but_answers_pings() {
    let gateway = TestGateway::with(|config| {
        config.spool.segment_bytes = 64 << 10;
        config.spool.bytes_max = 1280 << 10;
    })
    .await;
    let ping = |options: &mut rumqttc::MqttOptions| {
        options.set_keep_alive(std::time::Duration::from_secs(5));
    };
    let mut device = Client::with(&gateway, "mon-1", ping).await;
    let payload = "x".repeat(200_000);
    for _ in 0..10 {
        device
            .mqtt
            .publish("dt/w/mon-1/readings", QoS::AtLeastOnce, false, payload.clone())
            .await
            .unwrap();
    }
    gateway.fill(&mut device).await;
    let held = gateway.spool.status();
    assert!(held.bytes <= 1280 << 10 && held.appended < 10, "{held:?}");
    gateway.stop().await;
}

impl TestGateway {
    /// Waits until the gateway has refused a message, then checks that the device's pings are still answered.
    async fn fill(&self, device: &mut Client) {
        let mut progress = self.spool.progress();
        while self.metrics.render().contains("gateway_messages_refused_total 0") {
            drop(
                tokio::time::timeout(std::time::Duration::from_millis(20), progress.changed())
                    .await,
            );
        }
        device.wait(|packet| matches!(packet, Packet::PingResp).then_some(())).await;
        let mut other = Client::connect(self, "other").await;
        other.publish("cmd/w/x/y", "still served").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_at_the_limit_that_clients_are_told_is_accepted_and_one_above_is_refused() {
    let gateway = TestGateway::start().await;
    let larger = |options: &mut rumqttc::MqttOptions| {
        options.set_max_packet_size(16 << 20, 16 << 20);
    };
    let mut device = Client::with(&gateway, "mon-1", larger).await;
    // A fixed header of five bytes, a topic with its length, a packet id.
    let payload = |size: usize| "x".repeat(size - 5 - 2 - "dt/w/mon-1/readings".len() - 2);
    device.publish("dt/w/mon-1/readings", &payload(8_000_000)).await;
    device.publish("dt/w/mon-1/readings", "{}").await;
    device
        .mqtt
        .publish("dt/w/mon-1/readings", QoS::AtLeastOnce, false, payload(8_000_001))
        .await
        .unwrap();
    device.ended().await;
    assert_eq!(gateway.spool.status().appended, 2);
    assert!(
        gateway
            .metrics
            .render()
            .contains("gateway_disconnects_total{reason=\"packet_too_large\"} 1")
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("spool");
    for expected in [3, 6] {
        let gateway = TestGateway::with(|config| config.spool.dir = dir.clone()).await;
        let mut device = Client::connect(&gateway, "mon-1").await;
        for _ in 0..3 {
            device.publish("dt/w/mon-1/readings", "{}").await;
        }
        assert_eq!(gateway.spool.status().synced, expected);
        gateway.stop().await;
    }
}
