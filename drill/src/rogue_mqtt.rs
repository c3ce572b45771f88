//! Clients that the simulator does not play: they flood, or publish by QoS 2 and repeat what was not answered, over any number of kills.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use rumqttc::{AsyncClient, Event, EventLoop, Incoming, MqttOptions, QoS};
use service_runtime::Stop;

/// Before a client that was cut connects again.
const PAUSE: Duration = Duration::from_millis(50);
/// Exchanges that a client has under way.
const IN_FLIGHT: u16 = 50;
/// Requests that wait for the event loop.
const CHANNEL: usize = 64;
/// Largest packet, with room for a flooder's.
const PACKET_BYTES: usize = 2 << 20;

/// What the clients have done so far, all together.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Messages that were handed to a client.
    pub(crate) published: AtomicU64,
    /// Exchanges that were completed.
    pub(crate) completed: AtomicU64,
}

fn client(gateway: SocketAddr, name: &str, clean: bool) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(name, gateway.ip().to_string(), gateway.port());
    options.set_clean_session(clean).set_inflight(IN_FLIGHT).set_keep_alive(Duration::from_secs(5));
    options.set_max_packet_size(PACKET_BYTES, PACKET_BYTES);
    AsyncClient::new(options, CHANNEL)
}

/// Publishes one message by QoS 1, and waits until it is acknowledged.
pub(crate) async fn say(gateway: SocketAddr, topic: &str, payload: &[u8]) -> anyhow::Result<()> {
    let (client, mut events) = client(gateway, "says-one", true);
    client.try_publish(topic, QoS::AtLeastOnce, false, payload).context("client's queue")?;
    loop {
        if let Event::Incoming(Incoming::PubAck(_)) = events.poll().await? {
            return Ok(());
        }
    }
}

/// Publishes by QoS 2, as fast as it goes, until `enough`; then until every exchange is complete, or `stop`.
pub(crate) async fn exactly_once(
    gateway: SocketAddr,
    name: String,
    done: Arc<Done>,
    (enough, stop): (Stop, Stop),
) -> anyhow::Result<()> {
    let (client, mut events) = client(gateway, &name, false);
    let (mut sent, mut complete) = (0_u64, 0_u64);
    let topic = format!("dt/exact/{name}/readings");
    loop {
        let over = enough.is_cancelled();
        if over && complete == sent {
            return Ok(());
        }
        let room = !over && sent - complete < u64::from(IN_FLIGHT) / 2;
        if room {
            let payload = format!(r#"{{"metric":"steps","value":{sent},"seq":{sent}}}"#);
            client
                .try_publish(&topic, QoS::ExactlyOnce, false, payload)
                .context("client's queue")?;
            done.published.fetch_add(1, Ordering::Relaxed);
            sent += 1;
            continue;
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = enough.cancelled(), if !over => {}
            event = events.poll() => match event {
                Ok(Event::Incoming(Incoming::PubComp(_))) => {
                    done.completed.fetch_add(1, Ordering::Relaxed);
                    complete += 1;
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
        }
    }
}

/// Publishes one payload by QoS 0, again and again, until `enough`.
pub(crate) async fn flood(
    gateway: SocketAddr,
    name: String,
    payload: Vec<u8>,
    done: Arc<Done>,
    enough: Stop,
) -> anyhow::Result<()> {
    let (client, mut events) = client(gateway, &name, true);
    let topic = format!("dt/flood/{name}/readings");
    loop {
        if client.try_publish(&topic, QoS::AtMostOnce, false, payload.clone()).is_ok() {
            done.published.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        tokio::select! {
            () = enough.cancelled() => return Ok(()),
            event = events.poll() => if event.is_err() {
                tokio::time::sleep(PAUSE).await;
            },
        }
    }
}
