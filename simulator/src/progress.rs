//! Counters that can be read while the simulation runs.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::disorder::Sending;
use crate::latency::{Histogram, Percentiles};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How far a simulation is. All counters are exact; reading several of them is not one instant.
#[derive(Debug, Default)]
pub struct Progress {
    /// Different messages published for the first time, malformed ones included.
    pub published: Counter,
    /// Deliberate duplicates published.
    pub duplicates: Counter,
    /// Malformed messages published, a part of `published`.
    pub malformed: Counter,
    /// Messages published again after a reconnect.
    pub resent: Counter,
    /// Acknowledgements; a deliberate duplicate has its own.
    pub acknowledged: Counter,
    /// Messages turned away for good.
    pub refused: Counter,
    /// Times a message was turned away for now.
    pub deferred: Counter,
    /// Connections up.
    pub connected: Gauge,
    /// Connections lost or not made.
    pub reconnects: Counter,
    /// Connections cut on purpose, a part of `reconnects`.
    pub cuts: Counter,
    /// Accepted messages whose receipt has not come (only with `receipts`).
    pub awaiting_receipt: Gauge,
    /// Simulated microseconds since the start.
    pub simulated_us: Counter,
    /// Publish to PUBACK.
    pub puback: Histogram,
    /// Publish to receipt (only with `receipts`).
    pub landed: Histogram,
}

impl Progress {
    pub(crate) fn published(&self, sending: Sending) {
        match sending {
            Sending::First => self.published.add(1),
            Sending::Repeat => self.duplicates.add(1),
            Sending::Malformed => {
                self.published.add(1);
                self.malformed.add(1);
            }
        }
    }

    pub(crate) fn landed(&self, latency: std::time::Duration) {
        self.landed.record(latency);
    }

    /// Everything that was counted, at the end or on the way.
    #[must_use]
    pub fn summary(&self, seconds: f64) -> Summary {
        let published = self.published.get();
        let acknowledged = self.acknowledged.get();
        let sends = published + self.duplicates.get();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = if seconds > 0.0 { acknowledged as f64 / seconds } else { 0.0 };
        Summary {
            seconds,
            published,
            duplicates: self.duplicates.get(),
            malformed: self.malformed.get(),
            resent: self.resent.get(),
            acknowledged,
            refused: self.refused.get(),
            deferred: self.deferred.get(),
            unacknowledged: sends.saturating_sub(acknowledged + self.refused.get()),
            reconnects: self.reconnects.get(),
            cuts: self.cuts.get(),
            acknowledged_per_second: rate,
            publish_to_puback: self.puback.percentiles(),
            publish_to_receipt: self.landed.percentiles(),
            awaiting_receipt: self.awaiting_receipt.get(),
        }
    }
}

/// What a simulation did. See [`Progress`] for the counters.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in `Progress`")]
pub struct Summary {
    pub seconds: f64,
    pub published: u64,
    pub duplicates: u64,
    pub malformed: u64,
    pub resent: u64,
    pub acknowledged: u64,
    pub refused: u64,
    pub deferred: u64,
    /// Sends that were neither acknowledged nor refused when the simulation ended.
    pub unacknowledged: u64,
    pub reconnects: u64,
    pub cuts: u64,
    pub acknowledged_per_second: f64,
    pub publish_to_puback: Percentiles,
    pub publish_to_receipt: Percentiles,
    pub awaiting_receipt: u64,
}
