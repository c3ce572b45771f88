//! Listens to a source's receipts on the broker.

use std::time::Duration;

use anyhow::Context;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use telemetry_core::receipt::Receipt;
use uuid::Uuid;

/// A subscription to receipts; the retained one comes first.
pub(crate) struct Receipts {
    client: AsyncClient,
    events: EventLoop,
    topic: String,
}

impl Receipts {
    /// Prepares a subscription at a broker, `host:port`.
    pub(crate) fn new(broker: &str, topic: String) -> anyhow::Result<Self> {
        let (host, port) =
            broker.rsplit_once(':').with_context(|| format!("{broker} is not host:port"))?;
        let port = port.parse().with_context(|| format!("{broker} is not host:port"))?;
        let mut options =
            MqttOptions::new(format!("tidemark-wait-{}", Uuid::new_v4().simple()), host, port);
        options.set_keep_alive(Duration::from_secs(15));
        let (client, events) = AsyncClient::new(options, 4);
        Ok(Self { client, events, topic })
    }

    /// Waits for the next receipt.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Receipt> {
        loop {
            match self.events.poll().await.context("the broker is not reachable")? {
                Event::Incoming(Packet::ConnAck(_)) => {
                    self.client
                        .try_subscribe(&self.topic, QoS::AtLeastOnce)
                        .context("cannot subscribe")?;
                }
                Event::Incoming(Packet::Publish(publish)) => {
                    return Ok(Receipt::from_json(&publish.payload)?);
                }
                _ => {}
            }
        }
    }
}
