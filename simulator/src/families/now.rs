//! What a device of a family knows at the moment in which it sends.

use chrono::{DateTime, SecondsFormat, Utc};

use super::telling::Said;
use super::unknown::Grown;
use crate::fingerprint::EventTime;

/// What a device knows when it sends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now<'a> {
    /// Its name, which no other device has.
    pub(super) own: &'a str,
    /// A number of its own.
    pub(super) id: u64,
    /// What its meter shows, in thousandths. It only grows, over all runs: so no message of a device is as another.
    pub(super) meter: u64,
    /// Milliseconds since 1970.
    pub(super) ms: i64,
    /// When that is to whoever receives it.
    pub(super) event: EventTime,
    /// The same a second before.
    pub(super) event_before: EventTime,
    /// °C.
    pub(super) temperature: f64,
    /// Percent.
    pub(super) humidity: f64,
    /// W.
    pub(super) power: f64,
    /// What its firmware says beside.
    pub(super) grown: Grown,
}

impl Now<'_> {
    pub(super) fn digits(&self) -> String {
        format!("{}.{:03}", self.meter / 1000, self.meter % 1000)
    }

    pub(super) fn meter(&self) -> Said {
        Said::Digits(self.digits())
    }

    pub(super) fn time(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.ms).unwrap_or_default()
    }

    pub(super) fn rfc3339(&self) -> String {
        format!("\"{}\"", self.time().to_rfc3339_opts(SecondsFormat::Millis, true))
    }

    /// The time without what is below a second.
    pub(super) fn whole_second(&self) -> EventTime {
        match self.event {
            EventTime::At(us) => EventTime::At(us.div_euclid(1_000_000) * 1_000_000),
            EventTime::Received => EventTime::Received,
        }
    }

    pub(super) fn degrees(&self) -> Said {
        Said::Number(self.temperature)
    }

    pub(super) fn percent(&self) -> Said {
        Said::Number(self.humidity)
    }
}

/// As of LoRaWAN.
pub(super) fn eui(id: u64) -> String {
    format!("{:016x}", id >> 8 | 0x24e1_0000_0000_0000)
}

/// As `rtl_433` has one.
pub(super) fn short(id: u64) -> String {
    // Never only digits: it is written as a text.
    format!("f{:07x}", id >> 36)
}

/// As of Bluetooth, without colons.
pub(super) fn mac(id: u64) -> String {
    format!("{:012X}", id >> 16)
}
