//! The connection to the broker: frames in, receipts out. The only file that knows the MQTT client.

use std::time::Duration;

use anyhow::Context as _;
use crash_point::Point;
use mqtt_link::{Standing, Trouble};
use rumqttc::{
    AsyncClient, Event, EventLoop, Incoming, MqttOptions, Outgoing, QoS, SubscribeFilter,
};
use service_runtime::Stop;
use telemetry_core::backoff::Backoff;
use telemetry_core::frame::{FRAME_MAX, FRAME_OVERHEAD};
use telemetry_core::topic::{ControlTopics, TOPIC_BYTES_MAX};
use tokio::sync::mpsc;
use tracing::warn;

use crate::config::Config;
use crate::notify::{Flights, LinkEnd, Message};
use crate::pipeline::{Inbound, Outbound};

/// Requests that wait for the connection; receipts beyond are held back.
const REQUESTS_MAX: usize = 512;
/// Largest packet that comes in: a frame and its topic.
const PACKET_MAX: usize = FRAME_MAX + FRAME_OVERHEAD + TOPIC_BYTES_MAX + 16;
/// Receipts are far smaller.
const OUTGOING_MAX: usize = 64 << 10;
/// How often a subscription that was refused is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How long the last receipts of a shutdown may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Connects, subscribes to the lanes, and moves messages both ways until `outbox` closes. A lost connection is made again
/// under back-off.
pub(crate) async fn run(
    config: Config,
    topics: ControlTopics,
    (inbox, mut outbox, mut alerts): (mpsc::Sender<Inbound>, mpsc::Receiver<Outbound>, LinkEnd),
    mut standing: Standing,
    stop: Stop,
) -> anyhow::Result<()> {
    let (client, mut events) = AsyncClient::new(options(&config)?, REQUESTS_MAX);
    let filters = topics.up_filters(&config.own_lanes());
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
    let mut again = tokio::time::interval(ASK_AGAIN);
    let (mut connected, mut refused, mut flights) = (false, false, Flights::default());
    loop {
        let event = tokio::select! {
            biased;
            // Without a connection receipts stay with the pipeline, which sends the newest ones later.
            outbound = outbox.recv(), if connected || outbox.is_closed() => match outbound {
                Some(outbound) => {
                    if publish(&client, outbound) {
                        flights.asked(None);
                    }
                    continue;
                }
                None => break,
            },
            Some(message) = alerts.messages.recv(), if connected => {
                tell(&client, message, &mut flights);
                continue;
            }
            // Rights may have been given meanwhile.
            _ = again.tick(), if refused => {
                subscribe(&client, &filters)?;
                continue;
            }
            event = events.poll() => event,
        };
        match event {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => subscribe(&client, &filters)?,
            // Only now do receipts lead to frames that reach us.
            Ok(Event::Incoming(Incoming::SubAck(answer))) => {
                backoff.reset();
                (connected, refused) = (true, false);
                match Trouble::refused(&filters, &answer) {
                    None => standing.works(),
                    Some(trouble) => {
                        standing.trouble(trouble);
                        refused = true;
                        again.reset();
                    }
                }
                alerts.connected();
                deliver(&inbox, Inbound::Connected).await;
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => {
                deliver(&inbox, Inbound::Frame { topic: publish.topic, payload: publish.payload })
                    .await;
            }
            Ok(Event::Outgoing(Outgoing::Publish(id))) => flights.sent(id),
            Ok(Event::Incoming(Incoming::PubAck(ack))) => flights.acknowledged(ack.pkid),
            Ok(_) => {}
            Err(error) => {
                flights.lost();
                (connected, refused) = (false, false);
                // Receipts of the lost connection are old by now.
                mqtt_link::forget_connection(&mut events);
                if stop.is_cancelled() {
                    break;
                }
                let delay = backoff.delay(uuid::Uuid::new_v4().as_u64_pair().0);
                tokio::select! {
                    // A broker that ends with us is nobody's trouble.
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(delay) => standing.trouble(Trouble::of(&error)),
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

/// Whether the client takes it.
fn publish(client: &AsyncClient, outbound: Outbound) -> bool {
    // A receipt that is lost heals: the source asks again.
    match client.try_publish(outbound.topic, QoS::AtLeastOnce, true, outbound.payload) {
        Ok(()) => {
            crash_point::reach(Point::ReceiptSent);
            true
        }
        Err(error) => {
            warn!(%error, "dropped a receipt");
            false
        }
    }
}

/// Publishes a step of an alert. Who waits for one that is not taken hears that it is lost, and tries again.
fn tell(client: &AsyncClient, message: Message, flights: &mut Flights) {
    let Message { topic, payload, retain, done } = message;
    if client.try_publish(topic, QoS::AtLeastOnce, retain, payload).is_ok() {
        flights.asked(Some(done));
    }
}

/// Lets the last receipts reach the broker, then says goodbye.
async fn last_words(client: &AsyncClient, events: &mut EventLoop) {
    drop(client.try_disconnect());
    let goodbye = async {
        while let Ok(event) = events.poll().await {
            if matches!(event, Event::Outgoing(Outgoing::Disconnect)) {
                break;
            }
        }
    };
    if tokio::time::timeout(LAST_WORDS, goodbye).await.is_err() {
        warn!("the broker did not take the last receipts; the sources will ask for them");
    }
}

fn subscribe(client: &AsyncClient, filters: &[String]) -> anyhow::Result<()> {
    let filters = filters.iter().cloned();
    let subscriptions = filters.map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce));
    client.try_subscribe_many(subscriptions).context("too many requests are waiting")
}

fn options(config: &Config) -> anyhow::Result<MqttOptions> {
    // Somebody may have installed a provider before; one is as good as another.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let mut options = config.link()?.options(&config.client_id).context("[ingest]")?;
    options.set_clean_session(true).set_inflight(100).set_max_packet_size(PACKET_MAX, OUTGOING_MAX);
    Ok(options)
}
