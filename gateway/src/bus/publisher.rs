//! The thread that feeds the router.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use bytes::Bytes;
use rumqttd::local::LinkTx;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{BusMessage, Shared, envelope, routed};

/// Feeds the router from the queue.
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<BusMessage>,
    seen_topics: HashSet<u64>,
}

impl Publisher {
    pub(super) fn new(shared: Arc<Shared>, queue: mpsc::Receiver<BusMessage>) -> Self {
        Self { shared, queue, seen_topics: HashSet::new() }
    }

    /// Runs until every [`Bus`] is gone. Blocks: the router's channel has no other way to push back.
    pub(crate) fn run(mut self) {
        let mut link: Option<(u64, LinkTx)> = None;
        while let Some(message) = self.queue.blocking_recv() {
            if !self.admit_topic(&message.topic) {
                self.shared.metrics.bus_topics_refused.inc();
                continue;
            }
            self.shared.metrics.bus_published.inc();
            let topic = Bytes::from(routed(&message.topic));
            let envelope = envelope::wrap(&message);
            // Twice: the first failure may only tell that the router died since the last message.
            for _ in 0..2 {
                let (generation, connect) = self.shared.router.borrow().clone();
                if link.as_ref().is_none_or(|(of, _)| *of != generation) {
                    link = connect(&format!("publisher-{}", Uuid::new_v4()))
                        .map(|(tx, _)| (generation, tx));
                }
                if link
                    .as_mut()
                    .is_some_and(|(_, tx)| tx.publish(topic.clone(), envelope.clone()).is_ok())
                {
                    break;
                }
                link = None;
                self.shared.replace(generation);
            }
        }
    }

    /// The router remembers every topic that it has seen, so that their number must be bounded here.
    fn admit_topic(&mut self, topic: &str) -> bool {
        let hash = self.shared.hasher.hash_one(topic);
        self.seen_topics.contains(&hash)
            || (self.seen_topics.len() < self.shared.limits.control_topics_max
                && self.seen_topics.insert(hash))
    }
}
