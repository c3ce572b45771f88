//! The agent's way to the gateway: frames and receipts over MQTT, by TLS if the settings say so.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use rumqttc::{
    AsyncClient, Event, EventLoop, LastWill, MqttOptions, Packet, QoS, TlsConfiguration,
    Transport as Wire,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use service_runtime::Stop;
use store_forward::uplink::{Transport, TransportEvent};
use telemetry_core::backoff::Backoff;
use telemetry_core::frame::{FRAME_MAX, FRAME_OVERHEAD};
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::presence::{Presence, State};
use telemetry_core::topic::{ControlTopics, TOPIC_BYTES_MAX};
use tokio::sync::mpsc;
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
}

/// The connection's own loop: run it as a task.
pub(crate) struct Connection {
    client: AsyncClient,
    events: EventLoop,
    sender: mpsc::Sender<TransportEvent>,
    receipts: String,
    status: String,
    birth: Vec<u8>,
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
    let (receipts, status) = (topics.receipt(source, epoch), topics.status(source));
    let will = Presence::new(State::Offline, epoch).to_json();
    let mut options =
        MqttOptions::new(format!("tidemark-uplink-{source}"), &gateway.host, gateway.port);
    // A ping waits behind a frame that a slow network takes long to carry.
    options
        .set_keep_alive(Duration::from_secs(u64::from(gateway.keep_alive_s)))
        .set_max_packet_size(PACKET_MAX, PACKET_MAX);
    options.set_inflight(IN_FLIGHT_MAX).set_clean_session(true);
    options.set_last_will(LastWill::new(&status, will, QoS::AtLeastOnce, true));
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
    let birth = Presence::new(State::Online, epoch).to_json();
    let connection = Connection {
        client: client.clone(),
        events,
        sender,
        receipts,
        status,
        birth,
        address,
        random,
    };
    Ok((MqttTransport { client, events: receiver }, connection))
}

fn tls(gateway: &GatewayAddress) -> anyhow::Result<ClientConfig> {
    let path = gateway.ca_file.as_ref().context("gateway.tls needs gateway.ca_file")?;
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    for certificate in certificates {
        let certificate =
            certificate.with_context(|| format!("{} is not a PEM file", path.display()))?;
        roots
            .add(certificate)
            .with_context(|| format!("{} has a certificate that cannot be used", path.display()))?;
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

impl Transport for MqttTransport {
    async fn event(&mut self) -> Option<TransportEvent> {
        self.events.recv().await
    }

    async fn send(&mut self, topic: &str, frame: Bytes) {
        // A client whose loop has ended loses the frame; the uplink ends with the same stop.
        drop(self.client.publish_bytes(topic, QoS::AtLeastOnce, false, frame).await);
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
                event = self.events.poll() => event,
            };
            let report = match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    delays.reset();
                    info!(gateway = self.address, "connected");
                    connected = true;
                    // The loop that would make room is this one, so never wait here.
                    let (client, qos) = (&self.client, QoS::AtLeastOnce);
                    let asked = client.try_subscribe(&self.receipts, qos).and_then(|()| {
                        client.try_publish(&self.status, qos, true, self.birth.clone())
                    });
                    if asked.is_err() {
                        warn!("cannot subscribe to receipts: connecting again");
                        self.events.clean();
                        self.events.pending.clear();
                    }
                    Some(TransportEvent::Connected)
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    Some(TransportEvent::Receipt(publish.payload))
                }
                Ok(_) => None,
                Err(error) => {
                    warn!(gateway = self.address, %error, "not connected: messages are kept");
                    // Frames of the lost connection must not be replayed: the uplink decides what is sent again.
                    self.events.clean();
                    self.events.pending.clear();
                    // The client keeps a publish that waited for a packet id, and with it would send nothing any more.
                    self.events.state.collision = None;
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
}
