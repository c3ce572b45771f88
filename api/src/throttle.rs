//! How often one caller may ask: a token bucket each, in a map that is bounded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::error::Error;

/// Callers that are told apart; beyond them those go whose bucket is full again.
const CALLERS_MAX: usize = 10_000;
/// A bucket holds what so many seconds bring.
const BURST_S: f64 = 10.0;

/// See the module.
#[derive(Debug)]
pub(crate) struct Throttle {
    per_second: f64,
    refused: AtomicU64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Duration,
}

impl Throttle {
    pub(crate) fn new(per_second: u32) -> Self {
        let refused = AtomicU64::new(0);
        Self { per_second: f64::from(per_second), refused, buckets: Mutex::default() }
    }

    /// Requests that were refused, since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn refuse(&self) -> Error {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Error::TooOften { wait_s: 1 }
    }

    /// Takes one request of a caller.
    ///
    /// # Errors
    /// 429 when there is none left.
    pub(crate) fn take(&self, caller: &str, now: Duration) -> Result<(), Error> {
        let full = self.per_second * BURST_S;
        let filled = |bucket: &Bucket| {
            let elapsed = now.saturating_sub(bucket.at).as_secs_f64();
            (bucket.left + elapsed * self.per_second).min(full)
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let left = buckets.get(caller).map_or(full, filled);
        if left < 1.0 {
            return Err(self.refuse());
        }
        if let Some(bucket) = buckets.get_mut(caller) {
            *bucket = Bucket { left: left - 1.0, at: now };
            return Ok(());
        }
        if buckets.len() >= CALLERS_MAX {
            buckets.retain(|_, bucket| filled(bucket) < full);
            if buckets.len() >= CALLERS_MAX {
                return Err(self.refuse());
            }
        }
        buckets.insert(caller.to_owned(), Bucket { left: left - 1.0, at: now });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_then_as_many_as_come_a_second() {
        let (throttle, at) = (Throttle::new(2), Duration::from_secs);
        let taken = |now| (0..100).filter(|_| throttle.take("a", now).is_ok()).count();
        assert_eq!((taken(at(0)), throttle.refused()), (20, 80));
        assert_eq!(taken(at(1)), 2);
        assert_eq!(taken(at(1_000)), 20);
        assert!(throttle.take("b", at(1)).is_ok(), "others are not held up");
    }

    #[test]
    fn inv8_callers_are_bounded() {
        let throttle = Throttle::new(1);
        for n in 0..CALLERS_MAX + 10 {
            let taken = throttle.take(&n.to_string(), Duration::ZERO);
            assert_eq!(taken.is_ok(), n < CALLERS_MAX, "{n}");
        }
        assert!(throttle.take("new", Duration::from_secs(60)).is_ok(), "the others are forgotten");
        assert_eq!(throttle.buckets.lock().unwrap().len(), 1);
    }
}
