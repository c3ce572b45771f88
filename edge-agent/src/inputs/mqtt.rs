//! Takes messages from a broker nearby, acknowledging each one only after its sync.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS};
use service_runtime::Stop;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{AcceptError, Door, Taken, WhenFull};
use crate::config::MqttInput;
use crate::uplink_mqtt::reconnect_delays;

/// Messages that share a sync at most.
const BATCH_MAX: usize = 512;
/// Largest packet taken: all that MQTT can carry. A message too large for the spool is skipped by name; refusing its packet
/// would make the broker send it again for ever, and nothing behind it.
const PACKET_MAX: usize = 268_435_460;
/// Only acknowledgements and subscriptions go out.
const OUTGOING_MAX: usize = 64 << 10;

/// Subscribes and stores until `stop`; reconnects for ever.
pub(crate) async fn run(config: MqttInput, door: Door, stop: Stop) -> anyhow::Result<()> {
    let source = door.spool.source_id().clone();
    // A session that the broker keeps: what comes while we are away is waiting when we are back.
    let mut options = MqttOptions::new(format!("tidemark-{source}"), &config.host, config.port);
    options.set_clean_session(false).set_manual_acks(true).set_keep_alive(Duration::from_secs(15));
    options.set_max_packet_size(PACKET_MAX, OUTGOING_MAX);
    // Room for every acknowledgement that can be owed (MQTT has 65,535 packet ids), so that acknowledging never waits for
    // the loop that polls.
    let owed_max = usize::from(u16::MAX) + config.filters.len() + 1;
    let (client, events) = AsyncClient::new(options, owed_max);
    let (sender, receiver) = mpsc::channel(BATCH_MAX);
    let connections = AtomicU64::new(0);
    let polled = poll(events, client.clone(), config, sender, &connections, stop.clone());
    let stored = store(receiver, client, door, &connections, stop);
    let ((), ()) = tokio::join!(polled, stored);
    Ok(())
}

async fn poll(
    mut events: EventLoop,
    client: AsyncClient,
    config: MqttInput,
    sender: mpsc::Sender<(u64, Publish)>,
    connections: &AtomicU64,
    stop: Stop,
) {
    let mut delays = reconnect_delays();
    loop {
        let event = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            event = events.poll() => event,
        };
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                delays.reset();
                connections.fetch_add(1, Ordering::Relaxed);
                info!(host = config.host, port = config.port, "input is connected");
                for filter in &config.filters {
                    if client.try_subscribe(filter, QoS::AtLeastOnce).is_err() {
                        warn!(
                            filter,
                            "cannot subscribe now: trying again with the next connection"
                        );
                    }
                }
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    sent = sender.send((connections.load(Ordering::Relaxed), publish)) => if sent.is_err() { return },
                }
            }
            Ok(_) => {}
            Err(error) => {
                events.state.collision = None;
                warn!(host = config.host, port = config.port, %error, "input is not connected");
                // One input of one agent: there is no fleet here to spread.
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(delays.delay(0)) => {}
                }
            }
        }
    }
}

/// Stores what has arrived, all that is there with one sync, then acknowledges it in order.
async fn store(
    mut receiver: mpsc::Receiver<(u64, Publish)>,
    client: AsyncClient,
    door: Door,
    connections: &AtomicU64,
    stop: Stop,
) {
    let mut arrived = Vec::with_capacity(BATCH_MAX);
    loop {
        let count = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            count = receiver.recv_many(&mut arrived, BATCH_MAX) => count,
        };
        if count == 0 {
            return;
        }
        let messages: Vec<Taken> = arrived
            .iter()
            .map(|(_, p)| Taken { topic: p.topic.clone(), payload: p.payload.to_vec() })
            .collect();
        let mut rest = messages.as_slice();
        while !rest.is_empty() {
            match door.accept(rest, WhenFull::Wait).await {
                Ok(_) => break,
                Err(AcceptError::Stopping) => return,
                // No spool takes such a message, so that sending it again cannot help: acknowledged and reported.
                Err(AcceptError::Refused { index, problem }) => {
                    warn!(%problem, "skipped a message");
                    rest = rest.get(index + 1..).unwrap_or_default();
                }
                Err(AcceptError::Topic { index, problem }) => {
                    warn!(%problem, "skipped a message");
                    let (before, after) = rest.split_at(index);
                    if !before.is_empty() && door.accept(before, WhenFull::Wait).await.is_err() {
                        return;
                    }
                    rest = after.get(1..).unwrap_or_default();
                }
            }
        }
        for (connection, publish) in arrived.drain(..) {
            // The packet ids of an earlier connection may belong to other messages by now; the broker sends these again.
            let current = connection == connections.load(Ordering::Relaxed);
            if current && publish.qos != QoS::AtMostOnce && client.ack(&publish).await.is_err() {
                return;
            }
        }
    }
}
