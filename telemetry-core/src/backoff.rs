//! Delays that grow while something keeps failing, with jitter so that a fleet does not retry in step.

use std::time::Duration;

/// Exponential back-off with full jitter over the upper half: each delay lies in `[d/2, d)`, `d` doubles up to a limit.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `first` and never exceeds `limit`.
    pub fn new(first: Duration, limit: Duration) -> Self {
        Self { first, limit, next: first }
    }

    /// Returns the next delay; `random` is any uniformly random number.
    pub fn delay(&mut self, random: u64) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.limit);
        let half = whole / 2;
        let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_micros(random % spread)
    }

    /// Goes back to the first delay: call it when something succeeded.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_to_the_limit_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        let bounds: Vec<_> = (0..4).map(|_| backoff.delay(u64::MAX - 1)).collect();
        for (delay, limit) in bounds.iter().zip([100, 200, 350, 350]) {
            assert!(*delay >= Duration::from_millis(limit / 2), "{delay:?}");
            assert!(*delay < Duration::from_millis(limit), "{delay:?}");
        }
        backoff.reset();
        assert!(backoff.delay(0) == Duration::from_millis(50));
    }
}
