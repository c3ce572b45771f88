//! How much of a processor upkeep takes beside others, and when it is to stop.

use std::time::Duration;

use service_runtime::{Clock, Stop};

use crate::error::LakeError;

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
}

impl Pace {
    /// Works `percent` (1 to 100) of the time, until `stop`.
    #[must_use]
    pub fn new(clock: Clock, percent: u32, stop: Stop) -> Self {
        Self { clock, percent: percent.clamp(1, 100), stop, since: clock.uptime() }
    }

    /// Without pauses, to its end.
    #[must_use]
    pub fn unhurt() -> Self {
        Self::new(Clock::default(), 100, Stop::new())
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
