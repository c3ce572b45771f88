//! The one clock: wall time for people and data, uptime for decisions.
#![expect(
    clippy::disallowed_methods,
    reason = "this module is where the others get their time from"
)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time. Cheap to copy; copies agree on uptime.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock {
    /// Returns microseconds since the Unix epoch; may jump when the system's clock is set.
    pub fn now_us(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
        }
    }

    /// Returns milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.now_us().div_euclid(1000)
    }

    /// Returns the time since this clock was made; never jumps.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the instant of an uptime, for timers.
    pub fn instant(&self, uptime: Duration) -> Instant {
        self.started + uptime
    }
}
