//! The registry of a process's metrics, handed down as a value.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::Counts;
use crate::facts::{Facts, Reader};

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

    /// Adds metrics below a prefix whose values are read whenever somebody asks.
    pub fn observe(
        &self,
        prefix: &str,
        read: impl Fn(&mut Facts<'_>) -> fmt::Result + Send + Sync + 'static,
    ) {
        self.register(prefix, |registry| registry.register_collector(Box::new(Reader(read))));
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

    #[test]
    fn what_is_known_elsewhere_is_read_when_somebody_asks() {
        let (metrics, counts) = (Metrics::default(), Counts::default());
        let read = counts.clone();
        metrics.observe("x", move |facts| {
            let logins = read.read().get("refused").map_or(0, |of| of["bad_login"]);
            facts.counters("refused", "Refused", [([("reason", "bad_login")], logins)])?;
            facts.gauges("free", "Free", [([("disk", "a")], 0.5), ([("disk", "b")], 1.5)])?;
            facts.counter("plain", "Plain", 7_u64)?;
            facts.gauge("level", "Level", -1_i64)
        });
        counts.add(crate::Group::Refused, "bad_login", 2);
        let text = metrics.render();
        for line in [
            "# TYPE x_refused counter\nx_refused_total{reason=\"bad_login\"} 2\n",
            "# TYPE x_free gauge\nx_free{disk=\"a\"} 0.5\nx_free{disk=\"b\"} 1.5\n",
            "x_plain_total 7\n",
            "x_level -1\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
