//! The agent's way to the gateway: frames and receipts over MQTT, by TLS if the settings say so.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use rumqttc::{
    AsyncClient, ClientError, Event, EventLoop, LastWill, MqttOptions, Packet, QoS,
    TlsConfiguration, Transport as Wire,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use service_runtime::Stop;
use store_forward::uplink::{Transport, TransportEvent};
use telemetry_core::backoff::Backoff;
use telemetry_core::frame::{FRAME_MAX, FRAME_OVERHEAD};
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::presence::{Presence, State};
use telemetry_core::topic::{ControlTopics, TOPIC_BYTES_MAX};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::config::GatewayAddress;

/// Frames handed to the client and not yet written: keeps memory flat while the network is slow.
const QUEUE_MAX: usize = 2;
/// Frames that the gateway has not acknowledged yet.
const IN_FLIGHT_MAX: u16 = 8;
/// How long one frame may take to leave; also the limit for connecting.
const FLUSH_SECONDS_MAX: u64 = 120;
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
}

/// The connection's own loop: run it as a task.
pub(crate) struct Connection {
    client: AsyncClient,
    events: EventLoop,
    sender: mpsc::Sender<TransportEvent>,
    topics: ControlTopics,
    source: SourceId,
    epoch: watch::Receiver<Epoch>,
    address: String,
    random: u64,
}

/// Prepares a connection of a source to the gateway.
pub(crate) fn connect(
    gateway: &GatewayAddress,
    topics: &ControlTopics,
    source: &SourceId,
    epoch: Epoch,
    random: u64,
) -> anyhow::Result<(MqttTransport, Connection)> {
    // A gateway takes only client ids that begin with the client's name, and an agent's name is its source's.
    let mut options = MqttOptions::new(format!("{source}@uplink"), &gateway.host, gateway.port);
    // A ping waits behind a frame that a slow network takes long to carry.
    options
        .set_keep_alive(Duration::from_secs(u64::from(gateway.keep_alive_s)))
        .set_max_packet_size(PACKET_MAX, PACKET_MAX);
    options.set_inflight(IN_FLIGHT_MAX).set_clean_session(true);
    options.set_last_will(will(topics, source, epoch));
    if let Some(username) = &gateway.username {
        options.set_credentials(username, password(gateway)?);
    }
    if gateway.tls {
        let config = TlsConfiguration::Rustls(Arc::new(tls(gateway)?));
        options.set_transport(Wire::tls_with_config(config));
    }
    // Room for the subscription and the birth beside the frames.
    let (client, mut events) = AsyncClient::new(options, QUEUE_MAX + 2);
    let mut network = events.network_options();
    network.set_connection_timeout(FLUSH_SECONDS_MAX).set_tcp_nodelay(true);
    events.set_network_options(network);
    let (sender, receiver) = mpsc::channel(64);
    let address = format!("{}:{}", gateway.host, gateway.port);
    let (epoch, followed) = watch::channel(epoch);
    let connection = Connection {
        client: client.clone(),
        events,
        sender,
        topics: topics.clone(),
        source: source.clone(),
        epoch: followed,
        address,
        random,
    };
    Ok((MqttTransport { client, events: receiver, epoch }, connection))
}

fn will(topics: &ControlTopics, source: &SourceId, epoch: Epoch) -> LastWill {
    let gone = Presence::new(State::Offline, epoch).to_json();
    LastWill::new(topics.status(source), gone, QoS::AtLeastOnce, true)
}

fn tls(gateway: &GatewayAddress) -> anyhow::Result<ClientConfig> {
    let path = gateway.ca_file.as_ref().context("gateway.tls needs gateway.ca_file")?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .with_context(|| format!("{} has a certificate that cannot be used", path.display()))?;
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let (Some(cert), Some(key)) = (&gateway.cert_file, &gateway.key_file) else {
        return Ok(builder.with_no_client_auth());
    };
    let unfit = || format!("{} has no private key in PEM format", key.display());
    let key = PrivateKeyDer::from_pem_file(key).with_context(unfit)?;
    builder
        .with_client_auth_cert(certificates(cert)?, key)
        .with_context(|| format!("{} cannot be used with its key", cert.display()))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .collect::<Result<_, _>>()
        .with_context(|| format!("{} is not a PEM file", path.display()))
}

fn password(gateway: &GatewayAddress) -> anyhow::Result<String> {
    let Some(path) = &gateway.password_file else { return Ok(String::new()) };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim_end().to_owned())
}

impl Transport for MqttTransport {
    async fn event(&mut self) -> Option<TransportEvent> {
        self.events.recv().await
    }

    async fn send(&mut self, topic: &str, frame: Bytes) {
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
        let mut delays = reconnect_delays();
        let mut connected = false;
        loop {
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Ok(()) = self.epoch.changed() => {
                    // Birth, will and receipts are another epoch's from here on: that takes a new connection.
                    self.forget_connection();
                    let epoch = *self.epoch.borrow();
                    self.events.mqtt_options.set_last_will(will(&self.topics, &self.source, epoch));
                    if std::mem::take(&mut connected)
                        && self.sender.send(TransportEvent::Disconnected).await.is_err()
                    {
                        return Ok(());
                    }
                    continue;
                }
                event = self.events.poll() => event,
            };
            let report = match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    delays.reset();
                    info!(gateway = self.address, "connected");
                    connected = true;
                    // The loop that would make room is this one, so never wait here.
                    if self.introduce().is_err() {
                        warn!("cannot subscribe to receipts: connecting again");
                        self.forget_connection();
                    }
                    Some(TransportEvent::Connected)
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    Some(TransportEvent::Receipt(publish.payload))
                }
                Ok(_) => None,
                Err(error) => {
                    warn!(gateway = self.address, %error, "not connected: messages are kept");
                    self.forget_connection();
                    if std::mem::take(&mut connected)
                        && self.sender.send(TransportEvent::Disconnected).await.is_err()
                    {
                        return Ok(());
                    }
                    self.random =
                        self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(delays.delay(self.random >> 16)) => {}
                    }
                    None
                }
            };
            if let Some(report) = report
                && self.sender.send(report).await.is_err()
            {
                return Ok(());
            }
        }
    }

    /// Subscribes to receipts and says that the source is there.
    fn introduce(&self) -> Result<(), ClientError> {
        let (epoch, qos) = (*self.epoch.borrow(), QoS::AtLeastOnce);
        self.client.try_subscribe(self.topics.receipt(&self.source, epoch), qos)?;
        let birth = Presence::new(State::Online, epoch).to_json();
        self.client.try_publish(self.topics.status(&self.source), qos, true, birth)
    }

    /// Frames of a lost connection must not be replayed: the uplink decides what is sent again.
    fn forget_connection(&mut self) {
        self.events.clean();
        self.events.pending.clear();
        // The client keeps a publish that waited for a packet id, and with it would send nothing any more.
        self.events.state.collision = None;
    }
}
