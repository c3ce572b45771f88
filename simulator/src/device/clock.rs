//! How devices tell the time, and what a pipeline can believe of it.

use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};

use crate::config::Disorder;
use crate::fingerprint::EventTime;
use crate::message::DeviceName;
use crate::seeded::Stream;

/// A time as the device writes it, and the event time that the row must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// JSON: a quoted text or a number.
    pub json: String,
    /// The row's event time.
    pub event: EventTime,
    /// The text, if nobody can read it.
    pub unread: Option<String>,
}

/// How a device writes times.
#[derive(Debug, Clone, Copy)]
enum Style {
    Utc,
    Zone(FixedOffset),
    Millis,
}

/// A device's clock. Offsets after the survey of some 1,700 hospital devices whose clocks were 24 minutes off on
/// average (Pennsylvania Patient Safety Authority): 60 % synchronised, 30 % set by hand, 10 % badly wrong.
#[derive(Debug, Clone)]
pub(super) struct DeviceClock {
    stream: Stream,
    style: Style,
    offset_us: f64,
    drift_ppm: f64,
    bad_time: f64,
}

impl DeviceClock {
    pub(super) fn new(seed: u64, name: &DeviceName, disorder: &Disorder) -> Self {
        let mut stream = Stream::new(seed, "clock", &name.device_id, &name.site);
        let style = match stream.below(4) {
            0 => Style::Millis,
            1 => Style::Zone(
                FixedOffset::west_opt(3 * 3600).expect("three hours are less than a day"),
            ),
            _ => Style::Utc,
        };
        let offset_s = match stream.unit() {
            kind if kind < 0.6 => stream.normal(0.0, 0.025),
            kind if kind < 0.9 => stream.normal(0.0, 240.0),
            _ => stream.normal(0.0, 1.0).signum() * stream.range(600.0, 5400.0),
        };
        let drift_ppm = stream.normal(0.0, 20.0);
        let wrong = if disorder.clock_offset { 1.0 } else { 0.0 };
        let (offset_us, drift_ppm) = (wrong * offset_s * 1e6, wrong * drift_ppm);
        Self { stream, style, offset_us, drift_ppm, bad_time: disorder.bad_time }
    }

    pub(super) fn stamp(&mut self, start_us: i64, due_us: i64) -> Stamp {
        if self.bad_time > 0.0 && self.stream.chance(self.bad_time) {
            let useless = [
                ("2099-12-31T23:59:59Z", true),
                ("1970-01-01T00:00:07Z", true),
                ("31/12 9h15", false),
                ("", false),
            ];
            let (text, readable) = self.stream.pick(&useless);
            let unread = (!readable).then(|| (*text).to_owned());
            return Stamp { json: format!("\"{text}\""), event: EventTime::Received, unread };
        }
        #[expect(clippy::cast_precision_loss, reason = "a simulation is shorter than 285 years")]
        let error_us = self.offset_us + due_us as f64 * self.drift_ppm / 1e6;
        #[expect(clippy::cast_possible_truncation, reason = "an offset of hours; `as` saturates")]
        let device_us = start_us + due_us + error_us as i64;
        at(device_us, self.style)
    }
}

/// A time in UTC with milliseconds, as a well-behaved device writes it.
#[must_use]
pub fn utc_stamp(us: i64) -> Stamp {
    at(us, Style::Utc)
}

fn at(us: i64, style: Style) -> Stamp {
    // Devices write milliseconds; what they cut off is no part of the row's time.
    let ms = us.div_euclid(1000);
    let time = DateTime::<Utc>::from_timestamp_millis(ms).unwrap_or_default();
    let json = match style {
        Style::Millis => ms.to_string(),
        Style::Utc => format!("\"{}\"", time.to_rfc3339_opts(SecondsFormat::Millis, true)),
        Style::Zone(zone) => format!(
            "\"{}\"",
            time.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Millis, true)
        ),
    };
    Stamp { json, event: EventTime::At(ms * 1000), unread: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::message::Run;

    #[test]
    fn without_disorder_every_clock_is_right() {
        for id in ["a", "b", "c", "d", "e", "f"] {
            let mut device =
                Device::new(0, DeviceName::new("s", id), Run::of_boot(1), 1, &Disorder::default());
            assert_eq!(device.stamp(1_000_000, 2_345_678).event, EventTime::At(3_345_000));
        }
    }

    #[test]
    fn a_time_of_the_far_future_is_expected_as_received() {
        let run = Run { boot: 1, horizon_us: 1_000 };
        let mut device = Device::new(0, DeviceName::new("s", "m"), run, 1, &Disorder::default());
        assert_eq!(device.stamp(0, 1_000).event, EventTime::At(1_000));
        assert_eq!(device.stamp(0, 2_000).event, EventTime::Received);
    }

    #[test]
    fn a_useless_time_is_expected_as_received() {
        let disorder = Disorder { bad_time: 1.0, ..Disorder::default() };
        let mut device = Device::new(0, DeviceName::new("s", "m"), Run::of_boot(1), 1, &disorder);
        assert_eq!(device.stamp(0, 0).event, EventTime::Received);
    }
}
