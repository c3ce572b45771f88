//! How fast an identity may publish: a token bucket that all its connections share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::limits::Limits;

/// A bucket holds what one second brings, so that short bursts pass.
const BURST: f64 = 1.0;

/// The buckets of all identities that are connected. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Rates {
    messages_per_second: f64,
    bytes_per_second: f64,
    buckets: Arc<Mutex<Buckets>>,
}

/// By identity; kept alive by its connections.
type Buckets = HashMap<Arc<str>, Weak<Mutex<Bucket>>>;

/// An identity's share of the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Rate {
    bucket: Option<Arc<Mutex<Bucket>>>,
}

#[derive(Debug)]
struct Bucket {
    messages: Tokens,
    bytes: Tokens,
}

/// Tokens may go below zero: a batch that was read is taken, and what follows waits for it.
#[derive(Debug, Clone, Copy)]
struct Tokens {
    per_second: f64,
    left: f64,
    at: Duration,
}

impl Tokens {
    fn new(per_second: f64, now: Duration) -> Self {
        Self { per_second, left: per_second * BURST, at: now }
    }

    /// Takes `count`; returns how long to wait until there would be some again.
    fn take(&mut self, count: f64, now: Duration) -> Duration {
        if self.per_second <= 0.0 {
            return Duration::ZERO;
        }
        let elapsed = now.saturating_sub(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + elapsed * self.per_second).min(self.per_second * BURST) - count;
        // A minute at most: whoever overdrew by more has sent one batch, and the socket's buffer holds the rest back.
        Duration::from_secs_f64((-self.left / self.per_second).clamp(0.0, 60.0))
    }
}

impl Rates {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            messages_per_second: limits.publish_rate_max.unwrap_or(0).into(),
            // Precise to a byte up to 2^53.
            bytes_per_second: limits.publish_bytes_rate_max as f64,
            buckets: Arc::default(),
        }
    }

    /// Returns the share of an identity.
    pub(crate) fn of(&self, identity: &Arc<str>, now: Duration) -> Rate {
        if self.messages_per_second <= 0.0 && self.bytes_per_second <= 0.0 {
            return Rate { bucket: None };
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let known = buckets.get(identity).and_then(Weak::upgrade);
        let bucket = known.unwrap_or_else(|| {
            // Identities without a connection take no memory.
            buckets.retain(|_, bucket| bucket.strong_count() > 0);
            let bucket = Bucket {
                messages: Tokens::new(self.messages_per_second, now),
                bytes: Tokens::new(self.bytes_per_second, now),
            };
            let bucket = Arc::new(Mutex::new(bucket));
            buckets.insert(identity.clone(), Arc::downgrade(&bucket));
            bucket
        });
        Rate { bucket: Some(bucket) }
    }
}

impl Rate {
    /// Counts what was read; returns how long to read nothing.
    pub(crate) fn spend(&self, messages: usize, bytes: usize, now: Duration) -> Duration {
        let Some(bucket) = &self.bucket else { return Duration::ZERO };
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = bucket.messages.take(messages as f64, now);
        wait.max(bucket.bytes.take(bytes as f64, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(messages: u32, bytes: u64) -> Rates {
        let limits = Limits {
            publish_rate_max: Some(messages),
            publish_bytes_rate_max: bytes,
            ..Limits::default()
        };
        Rates::new(&limits)
    }

    #[test]
    fn inv8_who_sends_faster_than_allowed_waits_and_others_do_not() {
        let rates = rates(10, 0);
        let (flood, calm) =
            (rates.of(&"flood".into(), Duration::ZERO), rates.of(&"calm".into(), Duration::ZERO));
        let second = Duration::from_secs(1);
        assert_eq!(
            flood.spend(10, 1 << 30, Duration::ZERO),
            Duration::ZERO,
            "a second's worth at once"
        );
        assert_eq!(flood.spend(20, 0, Duration::ZERO), 2 * second);
        assert_eq!(calm.spend(1, 0, Duration::ZERO), Duration::ZERO);
        assert_eq!(flood.spend(0, 0, 2 * second), Duration::ZERO);
        assert_eq!(
            flood.spend(10, 0, 9 * second),
            Duration::ZERO,
            "a long silence saves up one second"
        );
        assert_eq!(flood.spend(10, 0, 9 * second), second);
    }

    #[test]
    fn the_connections_of_an_identity_share_its_rate_and_it_is_forgotten_with_the_last() {
        let rates = rates(0, 1000);
        let now = Duration::ZERO;
        let (one, two) = (rates.of(&"a".into(), now), rates.of(&"a".into(), now));
        assert_eq!(one.spend(1, 1000, now), Duration::ZERO);
        assert_eq!(two.spend(1, 500, now), Duration::from_millis(500));
        drop((one, two));
        let _other = rates.of(&"b".into(), now);
        assert_eq!(rates.buckets.lock().unwrap().len(), 1);
    }
}
