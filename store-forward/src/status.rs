//! A source's books for people and machines: what `GET /status` answers, `tidemark status` prints and metrics say.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use serde::{Deserialize, Serialize};
use service_runtime::admin::Routes;
use service_runtime::counts::Groups;
use service_runtime::http::{Method, Response, StatusCode};
use service_runtime::{Clock, Counts, Metrics};
use tokio::sync::watch;

use crate::Spool;
use crate::standing;
use crate::uplink::UplinkStatus;

/// One source's books: `accepted = landed_messages + pending + dropped` (INV-4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// The source's name.
    pub source_id: String,
    /// Its epoch, 16 hexadecimal digits.
    pub epoch: String,
    /// Messages accepted in this epoch.
    pub accepted: u64,
    /// Of them: readable in the lake.
    pub landed_messages: u64,
    /// Of them: neither landed nor dropped yet.
    pub pending: u64,
    /// Of them: never to be delivered, because `drop_oldest` evicted them or the disk damaged them. Final for those below
    /// `landed`; the lake's ledger has the last word.
    pub dropped: u64,
    /// Offset after the last accepted message.
    pub appended: u64,
    /// Below: on stable storage.
    pub synced: u64,
    /// Below: sent.
    pub sent: u64,
    /// Below: readable in the lake, or a gap there.
    pub landed: u64,
    /// How many offsets the lake is behind.
    pub lag: u64,
    /// How long the oldest pending message has been waiting.
    pub lag_seconds: f64,
    /// When it was accepted, microseconds since the Unix epoch; absent when nothing is pending.
    pub oldest_pending_us: Option<i64>,
    /// Raw bytes that ingest lets the source have in flight; absent before the first receipt.
    pub window: Option<u64>,
    /// Bytes of the spool on disk.
    pub spool_bytes: u64,
    /// The lake that the source is bound to.
    pub lake_id: Option<String>,
    /// Another lake that answers, if one does.
    pub wrong_lake: Option<String>,
    /// Whether frames can be sent.
    pub connected: bool,
    /// What the process has refused, dropped or given up on since its start, by group (`dead_letters`, `dropped`, `refused`,
    /// `disconnected`, `limits`) and reason. In a process that also ingests, its dead letters too.
    #[serde(default, skip_serializing_if = "Groups::is_empty")]
    pub counts: Groups,
}

/// Reads the books of a spool and its uplink.
pub fn source_status(spool: &Spool, uplink: &UplinkStatus, clock: Clock) -> SourceStatus {
    let spool = spool.status();
    let landed_messages = spool.landed - spool.landed_gaps;
    let waited = spool.oldest_pending_us.map_or(0, |since| clock.now_us().saturating_sub(since));
    #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
    // A clock that was set back would make it negative.
    let lag_seconds = waited.max(0) as f64 / 1e6;
    SourceStatus {
        source_id: spool.source_id.to_string(),
        epoch: spool.epoch.to_string(),
        accepted: spool.appended,
        landed_messages,
        pending: spool.appended - landed_messages - spool.dropped,
        dropped: spool.dropped,
        appended: spool.appended,
        synced: spool.synced,
        sent: uplink.positions.sent,
        landed: spool.landed,
        lag: spool.appended - spool.landed,
        lag_seconds,
        oldest_pending_us: spool.oldest_pending_us,
        window: uplink.window,
        spool_bytes: spool.bytes,
        lake_id: spool.lake_id,
        wrong_lake: uplink.wrong_lake.clone(),
        connected: uplink.connected,
        counts: Groups::new(),
    }
}

/// Serves `/status`: a JSON array with one object per source.
pub fn routes(
    spool: Spool,
    uplink: watch::Receiver<UplinkStatus>,
    clock: Clock,
    counts: Counts,
) -> Routes {
    Arc::new(move |request| {
        let found = (request.method == Method::GET && request.path == "/status").then(|| {
            let books = source_status(&spool, &uplink.borrow(), clock);
            Response::json(StatusCode::OK, &[SourceStatus { counts: counts.read(), ..books }])
        });
        Box::pin(async move { found })
    })
}

/// Adds the books to a service's metrics, read whenever these are: `{service}_source_messages_accepted` and so on; and how spool and
/// uplink stand.
pub fn register(
    metrics: &Metrics,
    service: &str,
    spool: Spool,
    uplink: watch::Receiver<UplinkStatus>,
    clock: Clock,
) {
    standing::register(metrics, service, spool.clone(), uplink.clone(), clock);
    let books = Books { spool, uplink, clock };
    metrics.register(service, |registry| registry.register_collector(Box::new(books)));
}

#[derive(Debug)]
struct Books {
    spool: Spool,
    uplink: watch::Receiver<UplinkStatus>,
    clock: Clock,
}

impl Collector for Books {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let status = source_status(&self.spool, &self.uplink.borrow(), self.clock);
        let labels = [("source", status.source_id.as_str()), ("epoch", status.epoch.as_str())];
        let counts = [
            ("accepted", "Messages accepted in this epoch", status.accepted),
            ("landed", "Of these, messages readable in the lake", status.landed_messages),
            ("pending", "Of these, messages neither landed nor dropped", status.pending),
            ("dropped", "Of these, messages that can never be delivered", status.dropped),
        ];
        for (name, help, value) in counts {
            let name = format!("source_messages_{name}");
            let mut metric = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        let help = "How long the oldest pending message has been waiting";
        let name = "source_lag_seconds";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(status.lag_seconds).encode(metric.encode_family(&labels)?)
    }
}
