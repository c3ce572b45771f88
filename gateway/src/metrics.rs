//! Every metric of the gateway that is not the spool's.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use service_runtime::{Clock, Metrics};

use crate::mqtt::Reason;
use crate::notices::Notices;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Counters and gauges of listeners and sessions, and what the operator is told beside them.
#[derive(Debug, Clone, Default)]
pub(crate) struct GatewayMetrics {
    pub(crate) notices: Notices,
    pub(crate) connections: Gauge,
    pub(crate) connects: Counter,
    pub(crate) takeovers: Counter,
    pub(crate) delivered: Counter,
    pub(crate) best_effort_dropped: Counter,
    pub(crate) publishes_denied: Counter,
    pub(crate) publishes_reserved: Counter,
    pub(crate) queue_dropped: Counter,
    pub(crate) slowed: Counter,
    pub(crate) expired: Counter,
    pub(crate) too_large: Counter,
    pub(crate) sessions: Gauge,
    pub(crate) subscriptions: Gauge,
    pub(crate) received: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) control_dropped: Counter,
    pub(crate) retained: Gauge,
    pub(crate) retained_refused: Counter,
    refused: Family<ReasonLabel, Counter>,
    disconnected: Family<ReasonLabel, Counter>,
}

impl GatewayMetrics {
    pub(crate) fn register(metrics: &Metrics, clock: Clock) -> Self {
        let own = Self { notices: Notices::new(clock, metrics.counts()), ..Self::default() };
        metrics.register("gateway", |registry| {
            for (name, help, gauge) in own.gauges() {
                registry.register(name, help, gauge.clone());
            }
            for (name, help, counter) in own.counters() {
                registry.register(name, help, counter.clone());
            }
            let (refused, disconnected) = (own.refused.clone(), own.disconnected.clone());
            registry.register("connects_refused", "Connections refused, by reason", refused);
            registry.register(
                "disconnects",
                "Connections ended by the gateway, by reason",
                disconnected,
            );
        });
        own
    }

    fn gauges(&self) -> [(&'static str, &'static str, &Gauge); 4] {
        [
            ("connections", "Connected clients", &self.connections),
            ("sessions", "Sessions, connected or waiting for their client", &self.sessions),
            ("subscriptions", "Subscriptions", &self.subscriptions),
            ("retained_messages", "Retained messages kept", &self.retained),
        ]
    }

    #[rustfmt::skip] // A table.
    fn counters(&self) -> [(&'static str, &'static str, &Counter); 15] {
        [
            ("connects", "Clients that connected", &self.connects),
            ("takeovers", "Connections ended by a new one of the same client id", &self.takeovers),
            ("received", "Messages received", &self.received),
            ("bytes_received", "Bytes received from clients", &self.bytes_received),
            ("bytes_sent", "Bytes sent to clients", &self.bytes_sent),
            ("publishes_denied", "Messages refused because their publisher may not publish them", &self.publishes_denied),
            ("publishes_reserved", "Messages discarded because topics that start with $ are the server's own", &self.publishes_reserved),
            ("publishers_slowed", "Times that reading from a client stopped because its identity was too fast", &self.slowed),
            ("qos0_dropped", "QoS 0 messages dropped because the spool was full", &self.best_effort_dropped),
            ("deliveries", "Messages sent to subscribers", &self.delivered),
            ("deliveries_expired", "Messages that expired before their subscriber could have them", &self.expired),
            ("deliveries_too_large", "Messages larger than their subscriber takes", &self.too_large),
            ("queue_dropped", "Messages dropped for a subscriber whose queue was full", &self.queue_dropped),
            ("retained_refused", "Retained messages not kept because of a limit", &self.retained_refused),
            ("control_dropped", "Frames, receipts and status that a slow subscriber missed; their senders repeat them", &self.control_dropped),
        ]
    }

    pub(crate) fn refused(&self, reason: Reason) {
        self.refused.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
    }

    pub(crate) fn disconnected(&self, reason: &'static str) {
        self.disconnected.get_or_create(&ReasonLabel { reason }).inc();
    }
}
