//! The registry of a process's metrics, handed down as a value.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::Counts;

/// A shared metrics registry. Services register their own metrics in their `metrics.rs`.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    counts: Counts,
}

impl Metrics {
    /// Registers metrics below a prefix such as `gateway`.
    pub fn register<T>(&self, prefix: &str, add: impl FnOnce(&mut Registry) -> T) -> T {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        add(registry.sub_registry_with_prefix(prefix))
    }

    /// Returns what the process has refused, dropped or given up on, to add to and to read.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// Returns all metrics in the OpenMetrics text format.
    pub fn render(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        encode(&mut text, &registry).expect("writing to a string cannot fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn metrics_carry_their_service_as_a_prefix() {
        let metrics = Metrics::default();
        let counter = metrics.register("gateway", |registry| {
            let counter = Counter::<u64>::default();
            registry.register("messages_accepted", "Messages accepted", counter.clone());
            counter
        });
        counter.inc_by(3);
        assert!(metrics.render().contains("gateway_messages_accepted_total 3"));
    }
}
