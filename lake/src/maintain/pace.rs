//! How much of a processor upkeep takes beside others, and when it is to stop.

use std::time::Duration;

use service_runtime::{Clock, Stop};

use crate::error::LakeError;
use crate::landing::AGE_MAX_US;

/// A pause lasts no longer than this.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub struct Pace {
    clock: Clock,
    /// Parts of a hundred.
    percent: u32,
    stop: Stop,
    since: Duration,
    /// Microseconds.
    commit_within: i64,
}

impl Pace {
    /// Works `percent` (1 to 100) of the time, until `stop`.
    #[must_use]
    pub fn new(clock: Clock, percent: u32, stop: Stop) -> Self {
        let (percent, since) = (percent.clamp(1, 100), clock.uptime());
        Self { clock, percent, stop, since, commit_within: AGE_MAX_US }
    }

    /// Without pauses, to its end.
    #[must_use]
    pub fn unhurt() -> Self {
        Self::new(Clock::default(), 100, Stop::new())
    }

    /// As it is, but files that were written so many microseconds ago are not committed any more; an hour else, as of landings.
    #[must_use]
    pub fn commit_within(mut self, within_us: i64) -> Self {
        self.commit_within = within_us;
        self
    }

    /// The time, Unix microseconds.
    pub(crate) fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    /// Whether a file that was written then may be old enough for a sweep before it is committed: this process may have slept.
    pub(crate) fn is_stale(&self, written_us: i64) -> bool {
        let age = self.now_us().saturating_sub(written_us);
        age >= self.commit_within || age < -self.commit_within
    }

    /// Begins a piece of work.
    pub(crate) fn begin(&mut self) {
        self.since = self.clock.uptime();
    }

    /// After a little work: lets others go first.
    ///
    /// # Errors
    /// [`LakeError::Stopped`].
    pub(crate) async fn breathe(&mut self) -> Result<(), LakeError> {
        let worked = self.clock.uptime().saturating_sub(self.since);
        let pause = (worked * (100 - self.percent) / self.percent).min(PAUSE_MAX);
        if pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.since = self.clock.uptime();
        if self.stop.is_cancelled() { Err(LakeError::Stopped) } else { Ok(()) }
    }
}
