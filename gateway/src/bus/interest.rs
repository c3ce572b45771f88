//! Remembers which topics anybody subscribed to, so that most messages need no look at all filters.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use telemetry_core::topic::filter_matches;

use super::{Shared, locked};

/// Topics that a session remembers.
const INTEREST_MAX: usize = 1024;

/// Which topics somebody subscribed to, remembered until a subscription changes.
pub(crate) struct Interest {
    shared: Arc<Shared>,
    generation: u64,
    topics: HashMap<String, bool>,
}

impl Interest {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, generation: 0, topics: HashMap::new() }
    }

    /// Tells whether anybody would get a message of this topic.
    pub(crate) fn in_topic(&mut self, topic: &str) -> bool {
        let generation = self.shared.subscribed.load(Ordering::Acquire);
        if generation != self.generation || self.topics.len() > INTEREST_MAX {
            self.topics.clear();
            self.generation = generation;
        }
        if let Some(wanted) = self.topics.get(topic) {
            return *wanted;
        }
        let wanted = locked(&self.shared.wanted).keys().any(|filter| filter_matches(filter, topic));
        self.topics.insert(topic.to_owned(), wanted);
        wanted
    }
}
