//! The connection to the broker: frames in, receipts out. The only file that knows the MQTT client.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use crash_point::Point;
use rumqttc::{
    AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS, SubscribeFilter, TlsConfiguration,
    Transport,
};
use service_runtime::Stop;
use telemetry_core::backoff::Backoff;
use telemetry_core::frame::{FRAME_MAX, FRAME_OVERHEAD};
use telemetry_core::topic::{ControlTopics, TOPIC_BYTES_MAX};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::config::Config;
use crate::pipeline::{Inbound, Outbound};

/// Requests that wait for the connection; receipts beyond are held back.
const REQUESTS_MAX: usize = 512;
/// Largest packet that comes in: a frame and its topic.
const PACKET_MAX: usize = FRAME_MAX + FRAME_OVERHEAD + TOPIC_BYTES_MAX + 16;
/// Receipts are far smaller.
const OUTGOING_MAX: usize = 64 << 10;
/// How long the last receipts of a shutdown may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Connects, subscribes to the lanes, and moves messages both ways until `outbox` closes. A lost connection is made again
/// under back-off.
pub(crate) async fn run(
    config: Config,
    topics: ControlTopics,
    inbox: mpsc::Sender<Inbound>,
    mut outbox: mpsc::Receiver<Outbound>,
    stop: Stop,
) -> anyhow::Result<()> {
    let (client, mut events) = AsyncClient::new(options(&config)?, REQUESTS_MAX);
    let filters = topics.up_filters(&config.own_lanes());
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    let mut connected = false;
    loop {
        let event = tokio::select! {
            biased;
            // Without a connection receipts stay with the pipeline, which sends the newest ones later.
            outbound = outbox.recv(), if connected || outbox.is_closed() => match outbound {
                Some(outbound) => {
                    publish(&client, outbound);
                    continue;
                }
                None => break,
            },
            event = events.poll() => event,
        };
        match event {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                backoff.reset();
                info!(broker = config.broker, "connected");
                let filters = filters.iter().cloned();
                let subscriptions =
                    filters.map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce));
                client
                    .try_subscribe_many(subscriptions)
                    .context("too many requests are waiting")?;
            }
            // Only now do receipts lead to frames that reach us.
            Ok(Event::Incoming(Incoming::SubAck(_))) => {
                connected = true;
                deliver(&inbox, Inbound::Connected).await;
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => {
                deliver(&inbox, Inbound::Frame { topic: publish.topic, payload: publish.payload })
                    .await;
            }
            Ok(_) => {}
            Err(error) => {
                connected = false;
                // Receipts of the lost connection are old by now, and a publish that waited for a packet id would keep the
                // client from sending anything at all.
                events.clean();
                events.pending.clear();
                events.state.collision = None;
                if stop.is_cancelled() {
                    break;
                }
                let delay = backoff.delay(uuid::Uuid::new_v4().as_u64_pair().0);
                warn!(broker = config.broker, %error, ms = delay.as_millis(), "no connection; trying again");
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(delay) => {}
                }
            }
        }
    }
    last_words(&client, &mut events).await;
    Ok(())
}

/// The pipeline never waits for us, so waiting for it is short; when it has ended, nobody needs the message.
async fn deliver(inbox: &mpsc::Sender<Inbound>, inbound: Inbound) {
    drop(inbox.send(inbound).await);
}

fn publish(client: &AsyncClient, outbound: Outbound) {
    // A receipt that is lost heals: the source asks again.
    match client.try_publish(outbound.topic, QoS::AtLeastOnce, true, outbound.payload) {
        Ok(()) => crash_point::reach(Point::ReceiptSent),
        Err(error) => warn!(%error, "dropped a receipt"),
    }
}

/// Lets the last receipts reach the broker, then says goodbye.
async fn last_words(client: &AsyncClient, events: &mut EventLoop) {
    drop(client.try_disconnect());
    let goodbye = async {
        while let Ok(event) = events.poll().await {
            if matches!(event, Event::Outgoing(rumqttc::Outgoing::Disconnect)) {
                break;
            }
        }
    };
    if tokio::time::timeout(LAST_WORDS, goodbye).await.is_err() {
        warn!("the broker did not take the last receipts; the sources will ask for them");
    }
}

fn options(config: &Config) -> anyhow::Result<MqttOptions> {
    let (host, port) = config.address()?;
    let mut options = MqttOptions::new(&config.client_id, host, port);
    options
        .set_keep_alive(Duration::from_secs(u64::from(config.keep_alive_s)))
        .set_clean_session(true)
        .set_inflight(100)
        .set_max_packet_size(PACKET_MAX, OUTGOING_MAX);
    if let Some(username) = &config.username {
        let password = config.password_file.as_deref().map(read).transpose()?.unwrap_or_default();
        options.set_credentials(username, String::from_utf8(password)?.trim_end());
    }
    if let Some(ca_file) = &config.tls_ca_file {
        // Somebody may have installed a provider before; one is as good as another.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let client_auth = match (&config.tls_cert_file, &config.tls_key_file) {
            (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
            (None, None) => None,
            _ => anyhow::bail!(
                "[ingest] tls_cert_file and tls_key_file belong together: set both or none"
            ),
        };
        let tls = TlsConfiguration::Simple { ca: read(ca_file)?, alpn: None, client_auth };
        options.set_transport(Transport::tls_with_config(tls));
    }
    Ok(options)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
