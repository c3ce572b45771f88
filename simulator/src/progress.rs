//! Counters that can be read while the simulation runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tracing::warn;

use crate::disorder::Sending;
use crate::latency::{Histogram, Percentiles};
use crate::left_out::{LeftOut, Unusable};
use crate::message::Message;

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

/// Messages that are named when they are set aside; those beyond are counted.
const SET_ASIDE_MAX: usize = 100;

/// A message that can never be taken, and was left out so that the others go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// The file that it comes from, else its topic.
    pub name: String,
    /// Bytes of its packet.
    pub bytes: usize,
    /// Most bytes of a packet, as the gateway said when we connected; absent if it did not.
    pub limit: Option<u32>,
    /// Why: `too_large`, `connection_cut` (each time it was sent), `refused`.
    pub reason: &'static str,
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
    /// Connections that were made.
    pub connects: Counter,
    /// Messages that were to be published and never were: no connection took them.
    pub not_sent: Counter,
    /// Lines of recorded files that can't be used.
    pub left_out: Arc<LeftOut>,
    /// The first that were set aside.
    set_aside: Mutex<Vec<SetAside>>,
    /// Why the last connection ended or was not made.
    trouble: Mutex<Option<String>>,
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

    /// A message is left out for good: it counts as refused.
    pub(crate) fn set_aside(&self, message: &Message, limit: Option<u32>, reason: &'static str) {
        self.refused.add(1);
        let name = message.file.as_ref().unwrap_or(&message.topic).to_string();
        let bytes = packet_bytes(message);
        let mut list = self.set_aside.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() < SET_ASIDE_MAX {
            warn!(name, bytes, limit, reason, "set aside: it can never be taken, the rest goes on");
            list.push(SetAside { name, bytes, limit, reason });
        }
    }

    /// A connection ended, or was not made; the first time it is told.
    pub(crate) fn trouble(&self, why: String) {
        self.reconnects.add(1);
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.is_none() {
            warn!(why, "no connection: trying again, and saying no more of it until the end");
        }
        *trouble = Some(why);
    }

    pub(crate) fn landed(&self, latency: std::time::Duration) {
        self.landed.record(latency);
    }

    /// Everything that was counted, at the end or on the way.
    #[must_use]
    pub fn summary(&self, seconds: f64) -> Summary {
        let (unusable, unusable_lines) = self.left_out.all();
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
            not_sent: self.not_sent.get(),
            trouble: self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            unusable,
            unusable_lines,
            set_aside: self.set_aside.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// Bytes of an MQTT 5 PUBLISH: topic, payload, and at most this beside them.
pub(crate) fn packet_bytes(message: &Message) -> usize {
    const BESIDE: usize = 16;
    message.topic.len() + message.payload.len() + BESIDE
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
    /// Messages that no connection took before the simulation ended.
    pub not_sent: u64,
    pub reconnects: u64,
    /// Why the last connection ended or was not made.
    pub trouble: Option<String>,
    pub cuts: u64,
    pub acknowledged_per_second: f64,
    pub publish_to_puback: Percentiles,
    pub publish_to_receipt: Percentiles,
    pub awaiting_receipt: u64,
    /// Messages that could never be taken, the first hundred; a part of `refused`.
    pub set_aside: Vec<SetAside>,
    /// Lines of recorded files that were left out.
    pub unusable: u64,
    /// The first hundred of them.
    pub unusable_lines: Vec<Unusable>,
}

/// A simulation that did nothing: whatever is audited after it proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NothingDone {
    /// The plan had no message, or was stopped before the first.
    #[error(
        "nothing was published: there was no message to publish; look at --seconds, --messages and the files"
    )]
    NoMessages,
    /// Nothing was taken.
    #[error(
        "nothing was published: {why}; is the gateway running, and is --gateway where it listens?"
    )]
    NotTaken {
        /// What came in between.
        why: String,
    },
}

impl Summary {
    /// Checks that something was published and acknowledged.
    ///
    /// # Errors
    /// Why nothing was.
    pub fn check(&self) -> Result<(), NothingDone> {
        if self.acknowledged > 0 {
            return Ok(());
        }
        if self.published + self.not_sent == 0 && self.trouble.is_none() {
            return Err(NothingDone::NoMessages);
        }
        let why = self.trouble.clone();
        let why = why.unwrap_or_else(|| "no message was acknowledged".to_owned());
        Err(NothingDone::NotTaken { why })
    }

    /// Tells whether everything was published and acknowledged.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unacknowledged == 0 && self.refused == 0 && self.not_sent == 0
    }
}
