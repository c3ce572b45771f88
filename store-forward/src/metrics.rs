//! Every metric of spool and uplink.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use service_runtime::Metrics;

/// Counters and gauges, shared by the spool's writer and the uplink.
#[derive(Debug, Clone, Default)]
pub struct SpoolMetrics {
    /// Messages accepted into the spool by this process.
    pub accepted: Counter,
    /// Messages refused because the spool was full.
    pub refused: Counter,
    /// Messages evicted before they landed (`drop_oldest`).
    pub dropped: Counter,
    /// Syncs of a segment file.
    pub syncs: Counter,
    /// Bytes on disk.
    pub bytes: Gauge,
    /// The offset after the last accepted message.
    pub appended: Gauge,
    /// The offset below which everything is on stable storage.
    pub synced: Gauge,
    /// The offset below which everything was sent.
    pub sent: Gauge,
    /// The offset below which everything is readable in the lake.
    pub landed: Gauge,
    /// Frames sent.
    pub frames: Counter,
    /// Raw bytes sent in frames.
    pub frame_bytes: Counter,
    /// Empty frames sent to ask for a receipt.
    pub probes: Counter,
    /// Times that what had not landed was moved to a new epoch.
    pub forks: Counter,
    /// Times the uplink went back to send again.
    pub rewinds: Counter,
    /// Receipts that were refused or could not be read.
    pub receipts_refused: Counter,
}

impl SpoolMetrics {
    /// Registers the metrics below a service's prefix.
    pub fn register(metrics: &Metrics, service: &str) -> Self {
        let own = Self::default();
        metrics.register(service, |registry| {
            registry.register(
                "messages_accepted",
                "Messages accepted into the spool",
                own.accepted.clone(),
            );
            registry.register(
                "messages_refused",
                "Messages refused because the spool was full",
                own.refused.clone(),
            );
            registry.register(
                "messages_dropped",
                "Messages evicted before they landed",
                own.dropped.clone(),
            );
            registry.register("spool_syncs", "Syncs of a segment file", own.syncs.clone());
            registry.register("spool_bytes", "Bytes of the spool on disk", own.bytes.clone());
            registry.register(
                "spool_appended_offset",
                "Offset after the last accepted message",
                own.appended.clone(),
            );
            registry.register(
                "spool_synced_offset",
                "Offset below which all is on stable storage",
                own.synced.clone(),
            );
            registry.register(
                "spool_sent_offset",
                "Offset below which all was sent",
                own.sent.clone(),
            );
            registry.register(
                "spool_landed_offset",
                "Offset below which all is readable in the lake",
                own.landed.clone(),
            );
            registry.register("frames_sent", "Frames sent", own.frames.clone());
            registry.register(
                "frame_raw_bytes_sent",
                "Raw bytes sent in frames",
                own.frame_bytes.clone(),
            );
            registry.register(
                "probes_sent",
                "Empty frames sent to ask for a receipt",
                own.probes.clone(),
            );
            registry.register(
                "forks",
                "Times that what had not landed was moved to a new epoch",
                own.forks.clone(),
            );
            registry.register(
                "rewinds",
                "Times the uplink went back to send again",
                own.rewinds.clone(),
            );
            registry.register(
                "receipts_refused",
                "Receipts refused or unreadable",
                own.receipts_refused.clone(),
            );
        });
        own
    }
}

/// Turns an offset into a gauge's value.
pub(crate) fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
