//! The gateway's own uplink: frames go over the bus, receipts come from it.

use bytes::Bytes;
use store_forward::uplink::{Transport, TransportEvent};

use crate::bus::{Bus, BusMessage, SubscribeError, Subscriber};
use crate::retained::Retained;

/// Connects the spool's uplink to the bus.
pub(crate) struct BusTransport {
    bus: Bus,
    subscriber: Subscriber,
    events: Vec<TransportEvent>,
}

impl BusTransport {
    /// Subscribes to the receipts and hears the retained one first.
    pub(crate) async fn new(
        bus: Bus,
        retained: &Retained,
        receipt_topic: &str,
    ) -> Result<Self, SubscribeError> {
        let mut subscriber = bus.subscriber();
        subscriber.subscribe(receipt_topic).await?;
        let mut events = vec![TransportEvent::Connected];
        events.extend(
            retained
                .matching(receipt_topic)
                .into_iter()
                .map(|m| TransportEvent::Receipt(m.payload)),
        );
        events.reverse();
        Ok(Self { bus, subscriber, events })
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
}
