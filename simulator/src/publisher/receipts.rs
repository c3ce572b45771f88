//! The latency from publish to receipt: which accepted messages are landed, by the sources' receipts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use telemetry_core::receipt::Receipt;

use super::mqtt::Place;
use crate::progress::Progress;

/// Messages waiting for their receipt; beyond it the rest is not measured.
const PENDING_MAX: usize = 1 << 20;
/// Sources heard of; beyond it the rest is ignored.
const SOURCES_MAX: usize = 1 << 12;

/// Accepted messages by source.
#[derive(Debug)]
pub(crate) struct Tracker {
    progress: Arc<Progress>,
    sources: Mutex<Sources>,
}

#[derive(Debug, Default)]
struct Sources {
    list: Vec<Source>,
    pending: usize,
}

#[derive(Debug)]
struct Source {
    source: String,
    epoch: String,
    landed: u64,
    /// (offset, when it was published), lowest offset first.
    waiting: BinaryHeap<Reverse<(u64, Duration)>>,
}

impl Tracker {
    pub(crate) fn new(progress: Arc<Progress>) -> Self {
        Self { progress, sources: Mutex::default() }
    }

    /// A message published at `since` was accepted at `place`.
    pub(crate) fn accepted(&self, place: &Place, since: Duration, now: Duration) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = sources.pending;
        let Some(source) = sources.find(&place.source, &place.epoch) else { return };
        if place.offset < source.landed {
            self.progress.landed(now.saturating_sub(since));
        } else if pending < PENDING_MAX {
            source.waiting.push(Reverse((place.offset, since)));
            sources.pending += 1;
            self.progress.awaiting_receipt.up();
        }
    }

    /// Everything of the source below `landed` is readable.
    pub(crate) fn receipt(&self, receipt: &Receipt, now: Duration) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(source) = sources.find(receipt.source_id.as_str(), &receipt.epoch.to_string())
        else {
            return;
        };
        source.landed = source.landed.max(receipt.landed);
        let mut done = 0;
        while let Some(Reverse((offset, since))) = source.waiting.peek().copied()
            && offset < source.landed
        {
            source.waiting.pop();
            done += 1;
            self.progress.landed(now.saturating_sub(since));
            self.progress.awaiting_receipt.down();
        }
        sources.pending -= done;
    }
}

impl Sources {
    fn find(&mut self, source: &str, epoch: &str) -> Option<&mut Source> {
        let at = match self.list.iter().position(|s| s.source == source && s.epoch == epoch) {
            Some(at) => at,
            None if self.list.len() < SOURCES_MAX => {
                let (source, epoch) = (source.to_owned(), epoch.to_owned());
                self.list.push(Source { source, epoch, landed: 0, waiting: BinaryHeap::new() });
                self.list.len() - 1
            }
            None => return None,
        };
        self.list.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(landed: u64) -> Receipt {
        Receipt {
            v: 1,
            lake_id: "l".into(),
            source_id: "gw".parse().unwrap(),
            epoch: "00000000000000ff".parse().unwrap(),
            landed,
            chain: 0,
            resend_from: None,
            window: 0,
            word_ms: None,
            worker: "w".into(),
            at: 0,
        }
    }

    fn place(offset: u64) -> Place {
        Place { source: "gw".into(), epoch: "00000000000000ff".into(), offset }
    }

    #[test]
    fn a_receipt_settles_everything_below_it_in_whatever_order_it_was_accepted() {
        let progress = Arc::new(Progress::default());
        let tracker = Tracker::new(progress.clone());
        for offset in [4, 2, 3, 9] {
            tracker.accepted(&place(offset), Duration::from_secs(1), Duration::from_secs(1));
        }
        assert_eq!(progress.awaiting_receipt.get(), 4);
        tracker.receipt(&receipt(5), Duration::from_secs(3));
        assert_eq!((progress.landed.percentiles().count, progress.awaiting_receipt.get()), (3, 1));
        assert!((progress.landed.percentiles().max_ms - 2_000.0).abs() < 1.0);
    }

    #[test]
    fn a_receipt_that_comes_before_the_acknowledgement_counts_too() {
        let progress = Arc::new(Progress::default());
        let tracker = Tracker::new(progress.clone());
        tracker.receipt(&receipt(5), Duration::from_secs(1));
        tracker.receipt(&receipt(3), Duration::from_secs(1));
        tracker.accepted(&place(4), Duration::ZERO, Duration::from_secs(2));
        assert_eq!((progress.landed.percentiles().count, progress.awaiting_receipt.get()), (1, 0));
    }
}
