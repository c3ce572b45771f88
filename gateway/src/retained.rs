//! Retained messages: the last one of each topic, within limits, on disk unless the topic is control traffic.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use telemetry_core::topic::ControlTopics;

use crate::access::identity::JOIN;
use crate::limits::Limits;
use crate::message::Message;
use crate::metrics::GatewayMetrics;
use crate::notices::{Event, Who};
use crate::shares::{Share, Shares};
use crate::store::{Op, Store};

/// All retained messages of the gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Retained {
    kept: Arc<RwLock<Kept>>,
    topics: ControlTopics,
    store: Option<Store>,
    metrics: GatewayMetrics,
}

#[derive(Debug)]
struct Kept {
    messages: HashMap<String, Entry>,
    /// Places, and bytes. The gateway's own messages take neither: they are a fixed few.
    places: Shares,
    bytes: Shares,
}

#[derive(Debug)]
struct Entry {
    message: Arc<Message>,
    /// What it takes of places and bytes.
    _taken: Option<(Share, Share)>,
}

impl Retained {
    pub(crate) fn new(
        limits: &Limits,
        topics: ControlTopics,
        store: Option<Store>,
        metrics: GatewayMetrics,
    ) -> Self {
        let places = limits.share(limits.retained_max);
        let bytes = limits.share(limits.retained_bytes_max);
        let kept = Kept { messages: HashMap::new(), places, bytes };
        Self { kept: Arc::new(RwLock::new(kept)), topics, store, metrics }
    }

    fn kept(&self) -> RwLockWriteGuard<'_, Kept> {
        self.kept.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a message as its topic's last one until the process ends; an empty payload forgets the topic (MQTT 3.1.1 section
    /// 3.3.1.3). `false` when it is not kept because of a limit: of all, or of `identity`, whose message it is.
    pub(crate) fn set(&self, message: &Arc<Message>, identity: &str) -> bool {
        self.keep(message, identity).1
    }

    /// As [`Self::set`], and beyond the end of the process.
    pub(crate) fn set_on_disk(&self, message: &Arc<Message>, identity: &str) -> bool {
        let (known, kept) = self.keep(message, identity);
        let Some(store) = &self.store else { return kept };
        if kept && !message.payload.is_empty() {
            store.push(Op::Retain { message: message.clone() });
        } else if known {
            store.push(Op::Forget { topic: message.topic.clone() });
        }
        kept
    }

    /// Takes back what the disk had.
    pub(crate) fn restore(&self, messages: Vec<Message>, now_us: i64) {
        for message in messages {
            if message.remaining(|| now_us).is_some() {
                // Whose it was does not stand with it; most client ids begin with the name.
                let client_id = message.publisher.clone();
                let identity = client_id.split(JOIN).next().unwrap_or_default();
                self.keep(&Arc::new(message), identity);
            }
        }
    }

    /// Tells whether the topic had a message before, and whether it has this one now.
    fn keep(&self, message: &Arc<Message>, identity: &str) -> (bool, bool) {
        let mut kept = self.kept();
        let (known, taken) = kept.set(message, identity);
        let count = kept.messages.len();
        drop(kept);
        if !taken {
            self.metrics.retained_refused.inc();
            let (client, topic) = (message.publisher.clone(), Some(message.topic.clone()));
            self.metrics.notices.tell(Event::RetainedFull, Who { client, topic, ..Who::default() });
        }
        self.metrics.retained.set(i64::try_from(count).unwrap_or(i64::MAX));
        (known, taken)
    }

    /// Returns every retained message that a filter selects and that has not expired.
    pub(crate) fn matching(&self, filter: &str, now_us: i64) -> Vec<Arc<Message>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let alive = |message: &&Arc<Message>| message.remaining(|| now_us).is_some();
        if !filter.contains(['+', '#']) {
            let found = kept.messages.get(filter).map(|entry| &entry.message);
            return found.filter(alive).cloned().into_iter().collect();
        }
        let selected = |message: &&Arc<Message>| self.topics.selects(filter, &message.topic);
        kept.messages
            .values()
            .map(|entry| &entry.message)
            .filter(selected)
            .filter(alive)
            .cloned()
            .collect()
    }

    /// Forgets what has expired.
    pub(crate) fn sweep(&self, now_us: i64) {
        let mut kept = self.kept();
        let expired: Vec<String> = kept
            .messages
            .values()
            .map(|entry| &entry.message)
            .filter(|message| message.remaining(|| now_us).is_none())
            .map(|message| message.topic.clone())
            .collect();
        for topic in expired {
            kept.forget(&topic);
            if let Some(store) = &self.store {
                store.push(Op::Forget { topic });
            }
        }
        self.metrics.retained.set(i64::try_from(kept.messages.len()).unwrap_or(i64::MAX));
    }

    /// Returns how many there are, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        let kept = self.kept();
        (kept.messages.len(), kept.bytes.taken())
    }
}

impl Kept {
    fn forget(&mut self, topic: &str) -> bool {
        self.messages.remove(topic).is_some()
    }

    fn set(&mut self, message: &Arc<Message>, identity: &str) -> (bool, bool) {
        let known = self.forget(&message.topic);
        if message.payload.is_empty() {
            return (known, true);
        }
        let (place, bytes) = (self.places.of(identity), self.bytes.of(identity));
        let (size, own) = (message.size(), is_own(message));
        if !own && (place.allows(1).is_err() || bytes.allows(size).is_err()) {
            return (known, false);
        }
        let _taken = (!own).then(|| (place.with(1), bytes.with(size)));
        self.messages.insert(message.topic.clone(), Entry { message: message.clone(), _taken });
        (known, true)
    }
}

/// Tells whether the gateway itself says it, and not a bridge.
fn is_own(message: &Message) -> bool {
    message.topic.starts_with('$') && message.publisher.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, payload: &'static [u8]) -> Arc<Message> {
        Arc::new(Message::own(topic.into(), payload, 1, true))
    }

    fn retained(limits: &Limits) -> Retained {
        Retained::new(limits, ControlTopics::default(), None, GatewayMetrics::default())
    }

    #[test]
    fn the_last_message_of_each_topic_is_kept_within_limits() {
        let retained = retained(&Limits { retained_max: 2, ..Limits::default() });
        for (topic, payload) in
            [("a/1", &b"x"[..]), ("a/2", b"y"), ("a/1", b"z"), ("a/3", b"too many")]
        {
            retained.set(&message(topic, payload), "a");
        }
        assert_eq!(retained.matching("a/+", 0).len(), 2);
        assert_eq!(retained.matching("a/1", 0), [message("a/1", b"z")]);
        retained.set(&message("a/1", b""), "a");
        assert_eq!(retained.matching("#", 0).len(), 1);
    }

    #[test]
    fn inv8_the_bytes_of_retained_messages_are_limited_and_given_back() {
        let size = message("a/1", b"1234567").size();
        let retained = retained(&Limits { retained_bytes_max: size, ..Limits::default() });
        assert!(retained.set(&message("a/1", b"1234567"), "a"));
        assert!(!retained.set(&message("a/2", b"x"), "a"));
        assert_eq!(retained.matching("#", 0), [message("a/1", b"1234567")], "no more than that");
        for _ in 0..3 {
            retained.set(&message("a/1", b"1"), "a");
        }
        retained.set(&message("a/1", b""), "a");
        retained.set(&message("a/2", b"123"), "a");
        assert_eq!(retained.matching("a/2", 0), [message("a/2", b"123")]);
    }

    #[test]
    fn what_has_expired_is_neither_delivered_nor_kept() {
        let retained = retained(&Limits::default());
        let expiring = Message { expires_us: Some(10), ..(*message("a/1", b"x")).clone() };
        retained.set(&Arc::new(expiring), "a");
        assert_eq!(retained.matching("a/#", 9).len(), 1);
        assert!(retained.matching("a/#", 10).is_empty() && retained.matching("a/1", 10).is_empty());
        retained.sweep(10);
        assert_eq!(retained.size(), (0, 0));
    }
}
