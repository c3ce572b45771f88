//! The gateway's own uplink: frames go over the bus, receipts come from it.

use std::sync::Arc;

use bytes::Bytes;
use store_forward::Spool;
use store_forward::uplink::{Transport, TransportEvent};
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::presence::{Presence, State};
use telemetry_core::topic::ControlTopics;
use tokio::sync::watch;
use tracing::warn;

use crate::bus::{Bus, BusMessage, SubscribeError, Subscriber};
use crate::message::Message;
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
    subscribed: watch::Receiver<u64>,
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
            subscribed: bus.subscribed(),
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
        let birth = Presence::new(State::Online, epoch).to_json();
        let birth = Message::own(self.topics.status(&self.source), birth, 1, true);
        self.retained.set(&Arc::new(birth));
        self.receipts = self.topics.receipt(&self.source, epoch);
        self.subscriber.subscribe(&self.receipts).await?;
        let retained = self.retained.matching(&self.receipts, 0).into_iter();
        // In front, because they are taken from the back.
        let receipts = retained.map(|message| TransportEvent::Receipt(message.payload.clone()));
        self.events.splice(0..0, receipts);
        Ok(())
    }
}

impl Transport for BusTransport {
    async fn event(&mut self) -> Option<TransportEvent> {
        match self.events.pop() {
            Some(event) => Some(event),
            None => tokio::select! {
                message = self.subscriber.recv() => Some(TransportEvent::Receipt(message.payload)),
                // Ingest may be there now and have missed what was sent before: as after a connection of its own.
                Ok(()) = self.subscribed.changed() => Some(TransportEvent::Connected),
            },
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
