//! A latency histogram of fixed size that many tasks may fill at once.
//!
//! Buckets are log-linear: 32 per power of two, so a percentile is at most 3.2 % above the truth.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

const SUB_BITS: u32 = 5;
const SUB: u64 = 1 << SUB_BITS;
const SUB_COUNT: usize = 1 << SUB_BITS;
/// Microseconds up to 2^36 (19 hours); longer counts as that.
const BUCKETS: usize = ((36 - SUB_BITS as usize) + 1) * SUB_COUNT;

/// Counts of durations.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
    count: AtomicU64,
    max_us: AtomicU64,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Default)]
pub struct Percentiles {
    /// How many durations were recorded.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, count: AtomicU64::new(0), max_us: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = bucket_of(us).min(BUCKETS - 1);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.max_us.fetch_max(us, Ordering::Relaxed);
    }

    /// The percentiles of what was recorded so far; zeros when nothing was.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        let counts: Vec<u64> = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let max_us = self.max_us.load(Ordering::Relaxed);
        let at = |percent: u64| ms(quantile(&counts, count, percent).min(max_us));
        Percentiles { count, p50_ms: at(50), p90_ms: at(90), p99_ms: at(99), max_ms: ms(max_us) }
    }
}

fn quantile(counts: &[u64], count: u64, percent: u64) -> u64 {
    let rank = (count * percent).div_ceil(100);
    let mut below = 0;
    for (bucket, n) in counts.iter().enumerate() {
        below += n;
        if below >= rank && *n > 0 {
            return upper_end(bucket);
        }
    }
    0
}

fn bucket_of(us: u64) -> usize {
    let index = if us < SUB {
        us
    } else {
        let shift = us.ilog2() - SUB_BITS;
        (u64::from(shift) << SUB_BITS) + (us >> shift)
    };
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// The longest duration of a bucket, in microseconds.
fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * SUB {
        return bucket;
    }
    let shift = (bucket >> SUB_BITS) - 1;
    let mantissa = bucket - (shift << SUB_BITS);
    ((mantissa + 1) << shift) - 1
}

fn ms(us: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a display value")]
    let ms = us as f64 / 1000.0;
    ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_its_bucket() {
        for us in (0..5000).chain((1..36).flat_map(|p| [(1u64 << p) - 1, 1 << p, (1 << p) + 1])) {
            let bucket = bucket_of(us);
            assert!(upper_end(bucket) >= us, "{us}");
            assert!(upper_end(bucket) - us <= us / 32 + 1, "{us}");
            assert!(bucket == 0 || upper_end(bucket - 1) < us, "{us}");
        }
    }

    #[test]
    fn percentiles_are_close_to_the_truth() {
        let histogram = Histogram::default();
        for us in 1..=10_000u64 {
            histogram.record(Duration::from_micros(us));
        }
        let p = histogram.percentiles();
        assert_eq!(p.count, 10_000);
        assert!((5.0..5.2).contains(&p.p50_ms), "{p:?}");
        assert!((9.9..=10.0).contains(&p.p99_ms), "{p:?}");
        assert!((p.max_ms - 10.0).abs() < 1e-9, "{p:?}");
    }

    #[test]
    fn nothing_recorded_gives_zeros_and_the_absurd_is_capped() {
        let histogram = Histogram::default();
        assert_eq!(histogram.percentiles(), Percentiles::default());
        histogram.record(Duration::from_secs(u64::MAX / 2));
        assert_eq!(histogram.percentiles().count, 1);
    }
}
