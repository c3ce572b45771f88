//! Every metric of the gateway that is not the spool's.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use service_runtime::Metrics;

use crate::mqtt::Reason;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Counters and gauges of listeners, sessions and the bus.
#[derive(Debug, Clone, Default)]
pub(crate) struct GatewayMetrics {
    pub(crate) connections: Gauge,
    pub(crate) connects: Counter,
    pub(crate) takeovers: Counter,
    pub(crate) delivered: Counter,
    pub(crate) best_effort_dropped: Counter,
    pub(crate) publishes_denied: Counter,
    pub(crate) queue_dropped: Counter,
    pub(crate) slowed: Counter,
    pub(crate) expired: Counter,
    pub(crate) too_large: Counter,
    pub(crate) sessions: Gauge,
    pub(crate) subscriptions: Gauge,
    pub(crate) received: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) bus_published: Counter,
    pub(crate) bus_lost: Counter,
    pub(crate) bus_restarts: Counter,
    pub(crate) bus_topics_refused: Counter,
    pub(crate) retained: Gauge,
    pub(crate) retained_refused: Counter,
    refused: Family<ReasonLabel, Counter>,
    disconnected: Family<ReasonLabel, Counter>,
}

impl GatewayMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register("gateway", |registry| {
            registry.register("connections", "Connected clients", own.connections.clone());
            registry.register("connects", "Clients that connected", own.connects.clone());
            registry.register(
                "takeovers",
                "Sessions ended by a new connection of the same client id",
                own.takeovers.clone(),
            );
            registry.register(
                "connects_refused",
                "Connections refused, by reason",
                own.refused.clone(),
            );
            registry.register(
                "disconnects",
                "Connections ended by the gateway, by reason",
                own.disconnected.clone(),
            );
            registry.register("deliveries", "Messages sent to subscribers", own.delivered.clone());
            registry.register(
                "qos0_dropped",
                "QoS 0 messages dropped because the spool was full",
                own.best_effort_dropped.clone(),
            );
            registry.register(
                "publishes_denied",
                "Messages refused because their publisher may not publish them",
                own.publishes_denied.clone(),
            );
            registry.register(
                "queue_dropped",
                "Messages dropped for a subscriber whose queue was full",
                own.queue_dropped.clone(),
            );
            registry.register(
                "publishers_slowed",
                "Times that reading from a client stopped because its identity was too fast",
                own.slowed.clone(),
            );
            registry.register(
                "sessions",
                "Sessions, connected or waiting for their client",
                own.sessions.clone(),
            );
            registry.register(
                "deliveries_expired",
                "Messages that expired before their subscriber could have them",
                own.expired.clone(),
            );
            registry.register(
                "deliveries_too_large",
                "Messages larger than their subscriber takes",
                own.too_large.clone(),
            );
            registry.register("subscriptions", "Subscriptions", own.subscriptions.clone());
            registry.register("received", "Messages received", own.received.clone());
            registry.register(
                "bytes_received",
                "Bytes received from clients",
                own.bytes_received.clone(),
            );
            registry.register("bytes_sent", "Bytes sent to clients", own.bytes_sent.clone());
            registry.register(
                "bus_published",
                "Messages put on the bus",
                own.bus_published.clone(),
            );
            registry.register(
                "bus_lost",
                "Messages that a slow subscriber missed",
                own.bus_lost.clone(),
            );
            registry.register(
                "bus_restarts",
                "Restarts of the bus after its router died",
                own.bus_restarts.clone(),
            );
            registry.register(
                "bus_topics_refused",
                "Control messages not passed on because of control_topics_max",
                own.bus_topics_refused.clone(),
            );
            registry.register("retained_messages", "Retained messages kept", own.retained.clone());
            registry.register(
                "retained_refused",
                "Retained messages not kept because of a limit",
                own.retained_refused.clone(),
            );
        });
        own
    }

    pub(crate) fn refused(&self, reason: Reason) {
        self.refused.get_or_create(&ReasonLabel { reason: reason.as_str() }).inc();
    }

    pub(crate) fn disconnected(&self, reason: &'static str) {
        self.disconnected.get_or_create(&ReasonLabel { reason }).inc();
    }
}
