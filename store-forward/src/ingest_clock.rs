//! How far the clock of whoever lands is ahead of ours, judged by the receipts. Pure.
//!
//! A receipt says when it was written and comes a little later: the difference of the two clocks is what it seems to be, or a little
//! more. So of those that came lately the largest difference is the nearest.

use std::time::Duration;

/// For so long a difference counts, and twice as long at most.
const WINDOW: Duration = Duration::from_secs(300);

/// See the module. Milliseconds; below 0 our clock is ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IngestClock {
    /// The receipt that a broker has kept says nothing: it may be of any age.
    skips: bool,
    since: Duration,
    /// The largest difference of this window, and of the one before.
    now: Option<i64>,
    before: Option<i64>,
}

impl IngestClock {
    /// A new connection: the first receipt on it is the one that was kept.
    pub(crate) fn connected(&mut self) {
        self.skips = true;
    }

    /// A receipt that says `at_ms` came when our clock said `now_ms`.
    pub(crate) fn hear(&mut self, uptime: Duration, at_ms: i64, now_ms: i64) {
        if std::mem::take(&mut self.skips) {
            return;
        }
        let ahead_ms = at_ms.saturating_sub(now_ms);
        let age = uptime.saturating_sub(self.since);
        if age >= WINDOW {
            self.before = self.now.take().filter(|_| age < 2 * WINDOW);
            self.since = uptime;
        }
        self.now = Some(self.now.map_or(ahead_ms, |now| now.max(ahead_ms)));
    }

    /// The difference, while it is known.
    #[must_use]
    pub fn ahead_ms(&self, uptime: Duration) -> Option<i64> {
        let known = uptime.saturating_sub(self.since) < 2 * WINDOW;
        self.now.max(self.before).filter(|_| known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_receipt_that_took_least_counts() {
        let mut clock = IngestClock::default();
        assert_eq!(clock.ahead_ms(s(1)), None);
        clock.hear(s(1), 100, 150);
        clock.hear(s(2), 200, 205);
        clock.hear(s(3), 300, 390);
        assert_eq!(clock.ahead_ms(s(4)), Some(-5));
    }

    #[test]
    fn what_a_broker_has_kept_for_days_says_nothing_of_clocks() {
        let mut clock = IngestClock::default();
        clock.connected();
        clock.hear(s(1), 0, 86_400_000);
        assert_eq!(clock.ahead_ms(s(1)), None);
        clock.hear(s(2), 7_000, 5_000);
        assert_eq!(clock.ahead_ms(s(2)), Some(2_000));
    }

    #[test]
    fn a_clock_that_was_set_right_is_right_after_two_windows_and_one_that_is_not_heard_is_not_known()
     {
        let mut clock = IngestClock::default();
        clock.hear(s(1), 60_000, 0);
        clock.hear(s(302), 0, 0);
        assert_eq!(clock.ahead_ms(s(303)), Some(60_000), "of the window before");
        clock.hear(s(603), 0, 0);
        assert_eq!(clock.ahead_ms(s(604)), Some(0));
        assert_eq!(clock.ahead_ms(s(603 + 600)), None);
        clock.hear(s(5_000), 9, 0);
        assert_eq!(clock.ahead_ms(s(5_000)), Some(9), "what was before is forgotten");
    }
}
