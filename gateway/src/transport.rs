//! The gateway's own uplink: frames go straight to whoever takes them, receipts come to a mailbox of its own.

use std::sync::Arc;

use bytes::Bytes;
use store_forward::Spool;
use store_forward::uplink::{Transport, TransportEvent};
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::presence::{Presence, State};
use telemetry_core::topic::ControlTopics;
use tokio::sync::watch;

use crate::fanout::{Audiences, Fanout, Mailbox, MailboxLimits};
use crate::letter::Options;
use crate::message::Message;
use crate::retained::Retained;
use crate::shares::Shares;

/// Connects the spool's uplink to the fan-out.
pub(crate) struct OwnTransport {
    fanout: Fanout,
    audiences: Audiences,
    mailbox: Arc<Mailbox>,
    events: Vec<TransportEvent>,
    retained: Retained,
    topics: ControlTopics,
    source: SourceId,
    receipts: String,
    takers: watch::Receiver<u64>,
}

impl OwnTransport {
    /// Says that the source is there, subscribes to its receipts and hears the retained one first.
    pub(crate) fn new(
        fanout: &Fanout,
        retained: &Retained,
        topics: &ControlTopics,
        spool: &Spool,
    ) -> Self {
        let source = spool.source_id().clone();
        // Receipts pass by: nothing is ever kept in it.
        let mailbox =
            Mailbox::new("".into(), MailboxLimits::sharing(0, 0, Shares::unlimited()), None);
        mailbox.set_present(true, false);
        let mut transport = Self {
            fanout: fanout.clone(),
            audiences: fanout.audiences(),
            mailbox: Arc::new(mailbox),
            events: vec![TransportEvent::Connected],
            retained: retained.clone(),
            topics: topics.clone(),
            source,
            receipts: String::new(),
            takers: fanout.takers(),
        };
        transport.enter(spool.epoch());
        transport
    }

    fn enter(&mut self, epoch: Epoch) {
        // Our own birth needs no will: when the gateway is gone, so is what it retained.
        let birth = Presence::new(State::Online, epoch, env!("CARGO_PKG_VERSION")).to_json();
        let birth = Message::own(self.topics.status(&self.source), birth, 1, true);
        self.retained.set(&Arc::new(birth), "");
        self.receipts = self.topics.receipt(&self.source, epoch);
        let options = Options { qos: 1, ..Options::default() };
        self.fanout.subscribe(&self.receipts, &self.mailbox, options);
        let retained = self.retained.matching(&self.receipts, 0).into_iter();
        // In front, because they are taken from the back.
        let receipts = retained.map(|message| TransportEvent::Receipt(message.payload.clone()));
        self.events.splice(0..0, receipts);
    }
}

impl Transport for OwnTransport {
    async fn event(&mut self) -> Option<TransportEvent> {
        if let Some(event) = self.events.pop() {
            return Some(event);
        }
        loop {
            if let Some(letter) = self.mailbox.take_if(|_| true) {
                return Some(TransportEvent::Receipt(letter.message.payload.clone()));
            }
            tokio::select! {
                () = self.mailbox.news() => {}
                // Ingest may be there now and have missed what was sent before: as after a connection of its own.
                Ok(()) = self.takers.changed() => return Some(TransportEvent::Connected),
            }
        }
    }

    async fn send(&mut self, topic: &str, frame: Bytes) {
        self.audiences.publish(&Arc::new(Message::own(topic.to_owned(), frame, 1, false)));
    }

    async fn follow(&mut self, epoch: Epoch) {
        self.fanout.unsubscribe(&self.receipts, &self.mailbox);
        self.enter(epoch);
    }
}
