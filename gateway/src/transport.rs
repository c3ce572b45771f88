//! The gateway's own uplink: frames go over the bus, receipts come from it.

use bytes::Bytes;
use store_forward::Spool;
use store_forward::uplink::{Transport, TransportEvent};
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::presence::{Presence, State};
use telemetry_core::topic::ControlTopics;
use tracing::warn;

use crate::bus::{Bus, BusMessage, SubscribeError, Subscriber};
use crate::retained::Retained;

/// Connects the spool's uplink to the bus.
pub(crate) struct BusTransport {
    bus: Bus,
    subscriber: Subscriber,
    events: Vec<TransportEvent>,
    retained: Retained,
    topics: ControlTopics,
    source: SourceId,
    receipts: String,
}

impl BusTransport {
    /// Says that the source is there, subscribes to its receipts and hears the retained one first.
    pub(crate) async fn new(
        bus: Bus,
        retained: Retained,
        topics: ControlTopics,
        spool: &Spool,
    ) -> Result<Self, SubscribeError> {
        let source = spool.source_id().clone();
        let mut transport = Self {
            subscriber: bus.subscriber(),
            bus,
            events: vec![TransportEvent::Connected],
            retained,
            topics,
            source,
            receipts: String::new(),
        };
        transport.enter(spool.epoch()).await?;
        Ok(transport)
    }

    async fn enter(&mut self, epoch: Epoch) -> Result<(), SubscribeError> {
        // Our own birth needs no will: when the gateway is gone, so is what it retained.
        self.retained.set(&BusMessage {
            topic: self.topics.status(&self.source),
            payload: Presence::new(State::Online, epoch).to_json().into(),
            qos: 1,
            properties: None,
        });
        self.receipts = self.topics.receipt(&self.source, epoch);
        self.subscriber.subscribe(&self.receipts).await?;
        let retained = self.retained.matching(&self.receipts).into_iter();
        // In front, because they are taken from the back.
        self.events.splice(0..0, retained.map(|message| TransportEvent::Receipt(message.payload)));
        Ok(())
    }
}

impl Transport for BusTransport {
    async fn event(&mut self) -> Option<TransportEvent> {
        match self.events.pop() {
            Some(event) => Some(event),
            None => Some(TransportEvent::Receipt(self.subscriber.recv().await.payload)),
        }
    }

    async fn send(&mut self, topic: &str, frame: Bytes) {
        self.bus
            .publish(BusMessage {
                topic: topic.to_owned(),
                payload: frame,
                qos: 1,
                properties: None,
            })
            .await;
    }

    async fn follow(&mut self, epoch: Epoch) {
        self.subscriber.unsubscribe(&self.receipts).await;
        if let Err(error) = self.enter(epoch).await {
            // A bus that is down is subscribed to again by itself.
            warn!(%error, "cannot subscribe to the receipts of the new epoch now");
        }
    }
}
