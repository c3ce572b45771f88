//! The agent's way to the gateway: frames and receipts over MQTT, by TLS if the settings say so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mqtt_link::{Broker, BrokerError, Cuts, Standing, Trouble, forget_connection};
use rumqttc::{AsyncClient, ClientError, Event, EventLoop, LastWill, Outgoing, Packet, QoS};
use service_runtime::Stop;
use store_forward::uplink::{Transport, TransportEvent};
use telemetry_core::backoff::Backoff;
use telemetry_core::frame::{FRAME_MAX, FRAME_OVERHEAD};
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::presence::{Presence, State};
use telemetry_core::topic::{ControlTopics, TOPIC_BYTES_MAX};
use tokio::sync::{mpsc, watch};
use tracing::warn;

/// Frames handed to the client and not yet written: keeps memory flat while the network is slow.
const QUEUE_MAX: usize = 2;
/// Frames that the gateway has not acknowledged yet.
const IN_FLIGHT_MAX: u16 = 8;
/// How long one frame may take to leave; also the limit for connecting.
const FLUSH_SECONDS_MAX: u64 = 120;
/// How often a subscription that was refused is asked for again.
pub(crate) const ASK_AGAIN: Duration = Duration::from_secs(30);
const PACKET_MAX: usize = FRAME_MAX + FRAME_OVERHEAD + TOPIC_BYTES_MAX + 64;

/// Returns the delays between attempts to connect.
pub(crate) fn reconnect_delays() -> Backoff {
    Backoff::new(Duration::from_millis(500), Duration::from_secs(30))
}

/// The uplink's side of the connection.
#[derive(Debug)]
pub(crate) struct MqttTransport {
    client: AsyncClient,
    events: mpsc::Receiver<TransportEvent>,
    epoch: watch::Sender<Epoch>,
    frame_bytes: Arc<AtomicUsize>,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How far a connection's birth is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Birth {
    Unasked,
    /// The subscription has gone out, and the birth is what follows it.
    Next,
    /// Sent with this packet id.
    Sent(u16),
    Acknowledged,
}

/// The connection's own loop: run it as a task.
pub(crate) struct Connection {
    client: AsyncClient,
    events: EventLoop,
    sender: mpsc::Sender<TransportEvent>,
    topics: ControlTopics,
    source: SourceId,
    epoch: watch::Receiver<Epoch>,
    standing: Standing,
    cuts: Cuts,
    /// Bytes of the last frame that was handed over.
    frame_bytes: Arc<AtomicUsize>,
    /// This connection's birth; its acknowledgement says nothing of frames.
    birth: Birth,
    random: u64,
}

/// The uplink has ended, so its connection is not needed.
struct UplinkEnded;

/// Prepares a connection of a source to the gateway.
pub(crate) fn connect(
    gateway: &Broker,
    topics: &ControlTopics,
    source: &SourceId,
    epoch: Epoch,
    standing: Standing,
    random: u64,
) -> Result<(MqttTransport, Connection), BrokerError> {
    // A gateway takes only client ids that begin with the client's name, and an agent's name is its source's.
    // A ping waits behind a frame that a slow network takes long to carry: keep_alive_s is not short.
    let mut options = gateway.options(&format!("{source}@uplink"))?;
    options.set_max_packet_size(PACKET_MAX, PACKET_MAX);
    options.set_inflight(IN_FLIGHT_MAX).set_clean_session(true);
    options.set_last_will(will(topics, source, epoch));
    // Room for the subscription and the birth beside the frames.
    let (client, mut events) = AsyncClient::new(options, QUEUE_MAX + 2);
    let mut network = events.network_options();
    network.set_connection_timeout(FLUSH_SECONDS_MAX).set_tcp_nodelay(true);
    events.set_network_options(network);
    let (sender, receiver) = mpsc::channel(64);
    let (epoch, followed) = watch::channel(epoch);
    let frame_bytes = Arc::new(AtomicUsize::new(0));
    let connection = Connection {
        client: client.clone(),
        events,
        sender,
        topics: topics.clone(),
        source: source.clone(),
        epoch: followed,
        standing,
        cuts: Cuts::default(),
        frame_bytes: frame_bytes.clone(),
        birth: Birth::Unasked,
        random,
    };
    Ok((MqttTransport { client, events: receiver, epoch, frame_bytes }, connection))
}

fn will(topics: &ControlTopics, source: &SourceId, epoch: Epoch) -> LastWill {
    let gone = Presence::new(State::Offline, epoch, VERSION).to_json();
    LastWill::new(topics.status(source), gone, QoS::AtLeastOnce, true)
}

impl Transport for MqttTransport {
    async fn event(&mut self) -> Option<TransportEvent> {
        self.events.recv().await
    }

    async fn send(&mut self, topic: &str, frame: Bytes) {
        self.frame_bytes.store(frame.len(), Ordering::Relaxed);
        // A client whose loop has ended loses the frame; the uplink ends with the same stop.
        drop(self.client.publish_bytes(topic, QoS::AtLeastOnce, false, frame).await);
    }

    async fn follow(&mut self, epoch: Epoch) {
        self.epoch.send_replace(epoch);
    }
}

impl Connection {
    /// Keeps the connection up until `stop`, for ever trying again.
    pub(crate) async fn run(mut self, stop: Stop) -> anyhow::Result<()> {
        // Both endings are in order.
        drop(self.serve(stop).await);
        Ok(())
    }

    async fn serve(&mut self, stop: Stop) -> Result<(), UplinkEnded> {
        let (mut delays, mut again) = (reconnect_delays(), tokio::time::interval(ASK_AGAIN));
        let (mut connected, mut refused) = (false, false);
        loop {
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Ok(()) = self.epoch.changed() => {
                    // Birth, will and receipts are another epoch's from here on: that takes a new connection.
                    forget_connection(&mut self.events);
                    let epoch = *self.epoch.borrow();
                    self.events.mqtt_options.set_last_will(will(&self.topics, &self.source, epoch));
                    (connected, refused) = (self.gone(connected).await?, false);
                    continue;
                }
                // Rights may have been given meanwhile.
                _ = again.tick(), if refused => {
                    drop(self.client.try_subscribe(self.receipts(), QoS::AtLeastOnce));
                    continue;
                }
                event = self.events.poll() => event,
            };
            match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    self.birth = Birth::Unasked;
                    // The loop that would make room is this one, so never wait here.
                    if self.introduce().is_err() {
                        warn!("cannot subscribe to receipts: connecting again");
                        forget_connection(&mut self.events);
                    }
                }
                // Without receipts nothing that is sent would ever be known to have landed.
                Ok(Event::Incoming(Packet::SubAck(answer))) => {
                    match Trouble::refused(&[self.receipts()], &answer) {
                        None => {
                            delays.reset();
                            self.standing.works();
                            (connected, refused) = (true, false);
                            self.tell(TransportEvent::Connected).await?;
                        }
                        Some(trouble) => {
                            self.standing.trouble(trouble);
                            (connected, refused) = (self.gone(connected).await?, true);
                            again.reset();
                        }
                    }
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    self.tell(TransportEvent::Receipt(publish.payload)).await?;
                }
                Ok(event) => self.note(&event),
                Err(error) => {
                    let cut = self.cuts.lost(self.frame_bytes.load(Ordering::Relaxed));
                    self.standing.trouble(cut.unwrap_or_else(|| Trouble::of(&error)));
                    forget_connection(&mut self.events);
                    (connected, refused) = (self.gone(connected).await?, false);
                    self.random =
                        self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(delays.delay(self.random >> 16)) => {}
                    }
                }
            }
        }
    }

    /// Takes note of what is on its way and what has arrived.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Outgoing(Outgoing::Subscribe(_)) if self.birth == Birth::Unasked => {
                self.birth = Birth::Next;
            }
            Event::Outgoing(Outgoing::Publish(id)) if self.birth == Birth::Next => {
                self.birth = Birth::Sent(*id);
            }
            // Frames that were handed over while the last connection was lost may go out before the birth.
            Event::Outgoing(Outgoing::Publish(_)) => self.cuts.sent(),
            Event::Incoming(Packet::PubAck(ack)) if self.birth == Birth::Sent(ack.pkid) => {
                // The id is free for a frame now.
                self.birth = Birth::Acknowledged;
            }
            Event::Incoming(Packet::PubAck(_)) => self.cuts.acknowledged(),
            _ => {}
        }
    }

    /// Tells the uplink that it cannot send, if it believes that it can.
    async fn gone(&mut self, connected: bool) -> Result<bool, UplinkEnded> {
        if connected {
            self.tell(TransportEvent::Disconnected).await?;
        }
        Ok(false)
    }

    async fn tell(&mut self, event: TransportEvent) -> Result<(), UplinkEnded> {
        self.sender.send(event).await.map_err(|_| UplinkEnded)
    }

    fn receipts(&self) -> String {
        self.topics.receipt(&self.source, *self.epoch.borrow())
    }

    /// Subscribes to receipts and says that the source is there.
    fn introduce(&self) -> Result<(), ClientError> {
        let (epoch, qos) = (*self.epoch.borrow(), QoS::AtLeastOnce);
        self.client.try_subscribe(self.receipts(), qos)?;
        let birth = Presence::new(State::Online, epoch, VERSION).to_json();
        self.client.try_publish(self.topics.status(&self.source), qos, true, birth)
    }
}
