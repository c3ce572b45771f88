//! Retained messages: the last one of each topic, within limits. The bus knows nothing of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use telemetry_core::topic::filter_matches;

use crate::bus::BusMessage;
use crate::config::Limits;
use crate::metrics::GatewayMetrics;

/// All retained messages of the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Retained {
    store: Arc<Mutex<Store>>,
    metrics: GatewayMetrics,
}

#[derive(Debug)]
struct Store {
    messages: HashMap<String, BusMessage>,
    bytes: usize,
    count_max: usize,
    bytes_max: usize,
}

impl Retained {
    pub(crate) fn new(limits: &Limits, metrics: GatewayMetrics) -> Self {
        let (count_max, bytes_max) = (limits.retained_max, limits.retained_bytes_max);
        let store = Store { messages: HashMap::new(), bytes: 0, count_max, bytes_max };
        Self { store: Arc::new(Mutex::new(store)), metrics }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a message as its topic's last one; an empty payload forgets the topic (MQTT 3.1.1 section 3.3.1.3).
    pub(crate) fn set(&self, message: &BusMessage) {
        let kept = self.store().set(message);
        if !kept {
            self.metrics.retained_refused.inc();
        }
        self.metrics.retained.set(i64::try_from(self.store().messages.len()).unwrap_or(i64::MAX));
    }

    /// Returns every retained message that a filter selects.
    pub(crate) fn matching(&self, filter: &str) -> Vec<BusMessage> {
        let store = self.store();
        if !filter.contains(['+', '#']) {
            return store.messages.get(filter).cloned().into_iter().collect();
        }
        store
            .messages
            .values()
            .filter(|message| filter_matches(filter, &message.topic))
            .cloned()
            .collect()
    }
}

impl Store {
    fn set(&mut self, message: &BusMessage) -> bool {
        if let Some(old) = self.messages.remove(&message.topic) {
            self.bytes -= size(&old);
        }
        if message.payload.is_empty() {
            return true;
        }
        if self.messages.len() >= self.count_max || self.bytes + size(message) > self.bytes_max {
            return false;
        }
        self.bytes += size(message);
        // A copy: the payload may be a slice of a large receive buffer that would be kept alive.
        let message =
            BusMessage { payload: Bytes::copy_from_slice(&message.payload), ..message.clone() };
        self.messages.insert(message.topic.clone(), message);
        true
    }
}

fn size(message: &BusMessage) -> usize {
    message.topic.len() + message.payload.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, payload: &'static [u8]) -> BusMessage {
        BusMessage {
            topic: topic.into(),
            payload: Bytes::from_static(payload),
            qos: 1,
            properties: None,
        }
    }

    #[test]
    fn the_last_message_of_each_topic_is_kept_within_limits() {
        let limits = Limits { retained_max: 2, ..Limits::default() };
        let retained = Retained::new(&limits, GatewayMetrics::default());
        for (topic, payload) in
            [("a/1", &b"x"[..]), ("a/2", b"y"), ("a/1", b"z"), ("a/3", b"too many")]
        {
            retained.set(&BusMessage {
                payload: Bytes::copy_from_slice(payload),
                ..message(topic, b"")
            });
        }
        assert_eq!(retained.matching("a/+").len(), 2);
        assert_eq!(retained.matching("a/1"), [message("a/1", b"z")]);
        retained.set(&message("a/1", b""));
        assert_eq!(retained.matching("#").len(), 1);
    }

    #[test]
    fn inv8_the_bytes_of_retained_messages_are_limited_and_given_back() {
        let limits = Limits { retained_bytes_max: 10, ..Limits::default() };
        let retained = Retained::new(&limits, GatewayMetrics::default());
        retained.set(&message("a/1", b"1234567"));
        retained.set(&message("a/2", b"x"));
        assert_eq!(retained.matching("#"), [message("a/1", b"1234567")], "ten bytes, no more");
        for _ in 0..3 {
            retained.set(&message("a/1", b"1"));
        }
        retained.set(&message("a/2", b"123"));
        assert_eq!(retained.matching("a/2"), [message("a/2", b"123")]);
    }
}
