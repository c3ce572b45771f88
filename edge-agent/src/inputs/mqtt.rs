//! Takes messages from a broker nearby, acknowledging each one only after its sync.

use std::sync::atomic::{AtomicU64, Ordering};

use mqtt_link::{Standing, Trouble};
use rumqttc::{AsyncClient, Event, EventLoop, Packet, Publish, QoS, SubscribeFilter};
use service_runtime::Stop;
use telemetry_core::id::SourceId;
use telemetry_core::spool::attributes::Attribute;
use tokio::sync::mpsc;
use tracing::warn;

use super::{AcceptError, Door, Taken, WhenFull};
use crate::config::MqttInput;
use crate::uplink_mqtt::{ASK_AGAIN, reconnect_delays};

/// Messages that share a sync at most.
const BATCH_MAX: usize = 512;
/// Largest packet taken: all that MQTT can carry. A message too large for the spool is skipped by name; refusing its packet
/// would make the broker send it again for ever, and nothing behind it.
const PACKET_MAX: usize = 268_435_460;
/// Only acknowledgements and subscriptions go out.
const OUTGOING_MAX: usize = 64 << 10;

/// Subscribes and stores until `stop`; reconnects for ever.
pub(crate) async fn run(
    config: MqttInput,
    door: Door,
    standing: Standing,
    stop: Stop,
) -> anyhow::Result<()> {
    let mut options = config.broker.options(&client_id(&config, door.spool.source_id()))?;
    // A session that the broker keeps: what comes while we are away is waiting when we are back.
    options.set_clean_session(false).set_manual_acks(true);
    options.set_max_packet_size(PACKET_MAX, OUTGOING_MAX);
    // Room for every acknowledgement that can be owed (MQTT has 65,535 packet ids), so that acknowledging never waits for
    // the loop that polls.
    let owed_max = usize::from(u16::MAX) + 1;
    let (client, events) = AsyncClient::new(options, owed_max);
    let (sender, receiver) = mpsc::channel(BATCH_MAX);
    let connections = AtomicU64::new(0);
    let input = Input {
        events,
        client: client.clone(),
        filters: config.filters,
        sender,
        connections: &connections,
        standing,
    };
    let polled = input.poll(stop.clone());
    let stored = store(receiver, client, door, &connections, stop);
    let ((), ()) = tokio::join!(polled, stored);
    Ok(())
}

/// Brokers that know their clients often want a client id that begins with the user name.
fn client_id(config: &MqttInput, source: &SourceId) -> String {
    match &config.broker.username {
        Some(username) => format!("{username}@tidemark-{source}"),
        None => format!("tidemark-{source}"),
    }
}

/// The end that listens to the broker.
struct Input<'a> {
    events: EventLoop,
    client: AsyncClient,
    filters: Vec<String>,
    sender: mpsc::Sender<(u64, Publish)>,
    connections: &'a AtomicU64,
    standing: Standing,
}

impl Input<'_> {
    async fn poll(mut self, stop: Stop) {
        let (mut delays, mut again) = (reconnect_delays(), tokio::time::interval(ASK_AGAIN));
        // Granted once: from then on the broker has a session for us.
        let (mut granted, mut refused) = (false, false);
        loop {
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                // Rights may have been given meanwhile.
                _ = again.tick(), if refused => {
                    self.subscribe();
                    continue;
                }
                event = self.events.poll() => event,
            };
            match event {
                Ok(Event::Incoming(Packet::ConnAck(answer))) => {
                    delays.reset();
                    self.connections.fetch_add(1, Ordering::Relaxed);
                    if granted && !answer.session_present {
                        self.standing.note(Trouble::Session);
                    }
                    self.subscribe();
                }
                Ok(Event::Incoming(Packet::SubAck(answer))) => {
                    match Trouble::refused(&self.filters, &answer) {
                        None => {
                            self.standing.works();
                            (granted, refused) = (true, false);
                        }
                        Some(trouble) => {
                            self.standing.trouble(trouble);
                            refused = true;
                            again.reset();
                        }
                    }
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    let arrived = (self.connections.load(Ordering::Relaxed), publish);
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        sent = self.sender.send(arrived) => if sent.is_err() { return },
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    mqtt_link::forget_connection(&mut self.events);
                    self.standing.trouble(Trouble::of(&error));
                    refused = false;
                    // One input of one agent: there is no fleet here to spread.
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(delays.delay(0)) => {}
                    }
                }
            }
        }
    }

    /// Asks for all filters in one packet, so that one answer tells of them all.
    fn subscribe(&self) {
        let filters = self
            .filters
            .iter()
            .map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
        if self.client.try_subscribe_many(filters).is_err() {
            warn!(
                "too much waits to be acknowledged to subscribe now: trying again with the next connection"
            );
        }
    }
}

/// MQTT 3.1.1, which is what is spoken here, says no more of a message than this.
fn taken(publish: &Publish) -> Taken {
    let Publish { topic, payload, qos, retain, .. } = publish;
    let delivery = Attribute::unusual(*qos as u8, *retain);
    Taken { delivery, ..Taken::new(topic.clone(), payload.to_vec()) }
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
        let messages: Vec<Taken> = arrived.iter().map(|(_, publish)| taken(publish)).collect();
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
