//! By how much a device's clock is wrong, from its own messages: a pure state machine.
//!
//! What a device says and when that was received differ by its clock's error and by how long the message was on its way, which is
//! never less than nothing. So a message from the future proves a clock that is ahead. A clock that is behind looks like a backlog,
//! but a backlog is read out faster than it was written: only live messages are as far apart when received as the device says. Of
//! a run of those the smallest difference is the error, and what the device sends of the time before is corrected by it, too.
//!
//! A clock that is set ends this: the device's time jumps, against the order of its own numbers or beyond the present.

use crate::decode::eras::YEAR_2000_US;

/// What is less wrong is not corrected.
const TOLERANCE_US: i64 = 60_000_000;
/// How far behind a clock may be that is corrected: a wrong zone, a wrong date. What is further back is more likely an old series
/// that somebody plays again; and a clock that was never set (before 2000) can't be mistaken for one.
const BEHIND_MAX_US: i64 = 26 * 3600 * 1_000_000;
/// How far ahead a time may be that proves something by itself.
const AHEAD_MAX_US: i64 = 24 * 3600 * 1_000_000;
/// How much the distance of two live messages may differ from what the device says.
const STEADY_US: i64 = 2_000_000;
/// A run of live messages proves something from this length on: time, and messages.
const RUN_US: i64 = 20_000_000;
const RUN_MESSAGES: u16 = 5;
/// After this time a run begins anew, so that a drift is followed.
const WINDOW_US: i64 = 600_000_000;
/// A corrected time may be ahead of the receipt by so much: the estimate is as good as that.
const SLACK_US: i64 = 5_000_000;

/// A message of a device, as far as it tells about its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The device's restarts and its own number of the message, if it says them.
    pub(crate) boot: Option<i64>,
    pub(crate) seq: Option<i64>,
    pub(crate) device_us: i64,
    pub(crate) received_us: i64,
}

/// The estimate of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DeviceClock {
    boot: Option<i64>,
    seq: Option<i64>,
    device_us: i64,
    received_us: i64,
    /// Messages of the run, when the first was received, and the smallest difference in it.
    run: u16,
    run_from_us: i64,
    run_least_us: i64,
    /// What is to be added to the device's time.
    offset_us: Option<i64>,
}

impl DeviceClock {
    /// Takes a message. Returns when it was made, if the device's own time is wrong and it is known by how much.
    pub(crate) fn hear(&mut self, heard: &Heard) -> Option<i64> {
        if self.received_us == 0 || (self.boot != heard.boot && self.boot.is_some()) {
            *self = Self { boot: heard.boot, ..Self::default() };
        }
        let late_us = heard.received_us.saturating_sub(heard.device_us);
        if self.was_set(heard) {
            self.offset_us = None;
            self.run = 0;
        }
        self.lengthen(heard, late_us);
        self.conclude(heard, late_us);
        let corrected = self.offset_us.map(|offset| heard.device_us.saturating_add(offset));
        corrected
            .filter(|us| *us >= YEAR_2000_US && *us <= heard.received_us.saturating_add(SLACK_US))
            .map(|us| us.min(heard.received_us))
    }

    /// Whether the clock was set since it was estimated.
    fn was_set(&self, heard: &Heard) -> bool {
        let Some(offset) = self.offset_us else { return false };
        // Forward: by the old error it would be in the future.
        let beyond =
            heard.device_us.saturating_add(offset) > heard.received_us.saturating_add(TOLERANCE_US);
        // Back, although the device counts on.
        let later = match (self.seq, heard.seq) {
            (Some(before), Some(now)) => now > before,
            _ => true,
        };
        beyond || (later && heard.device_us < self.device_us.saturating_sub(TOLERANCE_US))
    }

    /// Adds the message to the run of live ones, or begins another.
    fn lengthen(&mut self, heard: &Heard, late_us: i64) {
        let received = heard.received_us.saturating_sub(self.received_us);
        let device = heard.device_us.saturating_sub(self.device_us);
        if (received, device) == (0, 0) && self.run > 0 {
            // Another part of the same message.
            return;
        }
        let steady =
            received > 0 && device >= 0 && received.abs_diff(device) <= STEADY_US.unsigned_abs();
        let old = heard.received_us.saturating_sub(self.run_from_us) > WINDOW_US;
        if self.run == 0 || !steady || old {
            (self.run, self.run_from_us, self.run_least_us) = (1, heard.received_us, late_us);
        } else {
            self.run = self.run.saturating_add(1);
            self.run_least_us = self.run_least_us.min(late_us);
        }
        // A backlog does not count back what was heard last.
        let behind = matches!((self.seq, heard.seq), (Some(before), Some(now)) if now < before);
        if !behind {
            (self.seq, self.device_us, self.received_us) =
                (heard.seq, heard.device_us, heard.received_us);
        }
    }

    fn conclude(&mut self, heard: &Heard, late_us: i64) {
        if (-AHEAD_MAX_US..-TOLERANCE_US).contains(&late_us) {
            // Nothing is received before it was made. One message from a far future is more likely broken than its clock.
            self.offset_us = Some(self.offset_us.map_or(late_us, |offset| offset.min(late_us)));
        }
        let proven = self.run >= RUN_MESSAGES
            && heard.received_us.saturating_sub(self.run_from_us) >= RUN_US;
        if !proven {
            return;
        }
        let least = self.run_least_us;
        let believable = least <= BEHIND_MAX_US || heard.device_us < YEAR_2000_US;
        let wrong = least.unsigned_abs() > TOLERANCE_US.unsigned_abs() && believable;
        self.offset_us = wrong.then_some(least);
    }
}

#[cfg(test)]
mod tests;
