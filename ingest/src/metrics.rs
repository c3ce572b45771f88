//! The metrics of ingest. Names live here and nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use service_runtime::{Clock, Counts, Group, Metrics};

use crate::config::Config;

/// What becomes of a landing, and of a receipt.
const LANDINGS: [&str; 6] =
    ["landed", "found_landed", "lost", "unknown", "encode_failed", "not_stored"];
const RECEIPTS: [&str; 2] = ["sent", "held_back"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Told {
    channel: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Channel {
    channel: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// Counts what ingest does. Cheap to clone.
#[derive(Debug, Clone)]
pub struct IngestMetrics {
    frames: Family<Outcome, Counter>,
    frame_bytes: Counter,
    messages: Counter,
    rows: Counter,
    dead_letters: Family<Reason, Counter>,
    gap_offsets: Counter,
    landings: Family<Outcome, Counter>,
    landing_seconds: Histogram,
    receipts: Family<Outcome, Counter>,
    pending_bytes: Gauge,
    sources: Gauge,
    inbox: Gauge,
    bad_ends: Gauge,
    /// When a landing was last there to read, Unix microseconds; 0: none since the start.
    landed_us: Arc<AtomicI64>,
    alerts: Family<State, Counter>,
    watch_bytes: Gauge,
    watch_rows: Family<Outcome, Gauge>,
    notifications: Family<Told, Counter>,
    notifications_waiting: Family<Channel, Gauge>,
    dropped: Arc<AtomicBool>,
    counts: Counts,
}

impl IngestMetrics {
    /// Registers the metrics.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let own = Self {
            frames: Family::default(),
            frame_bytes: Counter::default(),
            messages: Counter::default(),
            rows: Counter::default(),
            dead_letters: Family::default(),
            gap_offsets: Counter::default(),
            landings: Family::default(),
            landing_seconds: Histogram::new(exponential_buckets(0.01, 2.0, 14)),
            receipts: Family::default(),
            pending_bytes: Gauge::default(),
            sources: Gauge::default(),
            inbox: Gauge::default(),
            bad_ends: Gauge::default(),
            landed_us: Arc::default(),
            alerts: Family::default(),
            watch_bytes: Gauge::default(),
            watch_rows: Family::default(),
            notifications: Family::default(),
            notifications_waiting: Family::default(),
            dropped: Arc::default(),
            counts: metrics.counts(),
        };
        metrics.register("ingest", |registry| {
            registry.register(
                "frames",
                "Frames received, by what became of them",
                own.frames.clone(),
            );
            registry.register(
                "frame_bytes",
                "Raw bytes of the frames that were taken",
                own.frame_bytes.clone(),
            );
            registry.register(
                "messages",
                "Messages decoded; those of a lost landing count again",
                own.messages.clone(),
            );
            registry.register("rows", "Rows landed", own.rows.clone());
            registry.register(
                "dead_letters",
                "Messages that became dead letters, by reason",
                own.dead_letters.clone(),
            );
            registry.register(
                "gap_offsets",
                "Offsets that sources could not deliver",
                own.gap_offsets.clone(),
            );
            registry.register("landings", "Landings, by outcome", own.landings.clone());
            registry.register(
                "landing_seconds",
                "From the first file to readable in every table",
                own.landing_seconds.clone(),
            );
            registry.register("receipts", "Receipts, by outcome", own.receipts.clone());
            registry.register(
                "pending_bytes",
                "Memory of what is received and not landed, of memory_bytes",
                own.pending_bytes.clone(),
            );
            own.register_standing(registry);
            own.register_watching(registry);
        });
        own.begin_at_zero();
        own
    }

    /// What happens for the first time is a growth, too: its counter is there before.
    fn begin_at_zero(&self) {
        for outcome in LANDINGS {
            drop(self.landings.get_or_create(&Outcome { outcome }));
        }
        for state in ["pending", "firing", "acknowledged", "silenced", "resolved"] {
            drop(self.alerts.get_or_create(&State { state }));
        }
        for outcome in RECEIPTS {
            drop(self.receipts.get_or_create(&Outcome { outcome }));
        }
    }

    fn register_standing(&self, registry: &mut Registry) {
        let help = "Sources that were heard of late, of sources_max";
        registry.register("sources_active", help, self.sources.clone());
        let help = "Frames that have come and wait to be decoded, of 8";
        registry.register("inbox_frames", help, self.inbox.clone());
        let help = "How often in a row this worker ended badly without landing anything; from 2 on it lands little at a time";
        registry.register("bad_ends", help, self.bad_ends.clone());
    }

    /// Adds limits as the settings have them, and when a landing was last there.
    pub(crate) fn limits(&self, metrics: &Metrics, config: &Config) {
        let (memory, sources) = (config.memory_bytes, config.sources_max as u64);
        let landed_us = self.landed_us.clone();
        metrics.observe("ingest", move |facts| {
            let help = "Most memory for what is received and not landed (memory_bytes)";
            facts.gauge("memory_limit_bytes", help, memory)?;
            facts.gauge("sources_limit", "Most sources that are served (sources_max)", sources)?;
            let landed_us = landed_us.load(Ordering::Relaxed);
            #[expect(clippy::cast_precision_loss, reason = "seconds to look at")]
            let landed_s = landed_us as f64 / 1e6;
            let help = "When a landing was last there to read, seconds since the Unix epoch; 0: none since the start";
            facts.gauge("last_landing_timestamp_seconds", help, landed_s)
        });
    }

    /// How the pipeline stands.
    pub(crate) fn standing(&self, sources: usize, inbox: usize, bad_ends: u32) {
        self.sources.set(i64::try_from(sources).unwrap_or(i64::MAX));
        self.inbox.set(i64::try_from(inbox).unwrap_or(i64::MAX));
        self.bad_ends.set(i64::from(bad_ends));
    }

    fn register_watching(&self, registry: &mut Registry) {
        registry.register(
            "notifications",
            "Steps of alerts that were told, by channel and outcome",
            self.notifications.clone(),
        );
        registry.register(
            "notifications_waiting",
            "Steps of alerts that are not told yet, by channel",
            self.notifications_waiting.clone(),
        );
        registry.register(
            "alert_steps",
            "Steps of alerts, by the state that they led to; those of a lost landing count again",
            self.alerts.clone(),
        );
        registry.register(
            "watch_bytes",
            "Memory of what is known of devices and alerts, about",
            self.watch_bytes.clone(),
        );
        registry.register(
                "watch_rows",
                "Rows that were watched since the start, and those that were not as they should be, by what became of them",
                self.watch_rows.clone(),
            );
    }

    pub(crate) fn frame(&self, outcome: &'static str) {
        self.frames.get_or_create(&Outcome { outcome }).inc();
        match outcome {
            "unreadable" | "impersonated" | "forked" => self.counts.add(Group::Refused, outcome, 1),
            "too_many_sources" => self.counts.add(Group::Limits, "sources_max", 1),
            "no_memory" => self.counts.add(Group::Limits, "memory_bytes", 1),
            _ => {}
        }
    }

    pub(crate) fn taken(&self, raw_bytes: u64, messages: u64) {
        self.frame("taken");
        self.frame_bytes.inc_by(raw_bytes);
        self.messages.inc_by(messages);
    }

    pub(crate) fn dead_letter(&self, reason: &'static str) {
        self.dead_letters.get_or_create(&Reason { reason }).inc();
        self.counts.add(Group::DeadLetters, reason, 1);
    }

    pub(crate) fn alert(&self, state: &'static str) {
        self.alerts.get_or_create(&State { state }).inc();
    }

    pub(crate) fn notified(&self, channel: &str, outcome: &'static str) {
        let told = Told { channel: channel.to_owned(), outcome };
        self.notifications.get_or_create(&told).inc();
        if outcome != "told" {
            self.counts.add(Group::Dropped, "notifications", 1);
        }
    }

    /// Whether notifications are dropped for the first time.
    pub(crate) fn is_first_drop(&self) -> bool {
        !self.dropped.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn waiting(&self, channel: &str, count: usize) {
        let channel = Channel { channel: channel.to_owned() };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.notifications_waiting.get_or_create(&channel).set(count);
    }

    pub(crate) fn watch_bytes(&self, bytes: usize) {
        self.watch_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn watching(&self, counts: &watch::Counts) {
        for (outcome, count) in [
            ("watched", counts.rows),
            ("late", counts.late),
            ("ahead", counts.ahead),
            ("beyond_limits", counts.beyond_limits),
            ("undecided", counts.undecided),
        ] {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.watch_rows.get_or_create(&Outcome { outcome }).set(count);
        }
    }

    pub(crate) fn gap(&self, offsets: u64) {
        self.gap_offsets.inc_by(offsets);
    }

    pub(crate) fn landed(&self, rows: u64, took: Duration) {
        self.landing("landed");
        self.rows.inc_by(rows);
        self.landing_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn landing(&self, outcome: &'static str) {
        if matches!(outcome, "landed" | "found_landed") {
            self.landed_us.store(Clock::default().now_us(), Ordering::Relaxed);
        }
        self.landings.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn receipt(&self, outcome: &'static str) {
        self.receipts.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn pending(&self, bytes: u64) {
        self.pending_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
