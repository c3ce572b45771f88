//! What is known last of devices: pure.

use std::collections::{BTreeMap, HashMap};

/// A device is silent once its source has brought newer messages of others for so long, at least, …
const SILENT_MS: i64 = 5 * 60 * 1000;
/// … and for so many of the intervals at which it speaks.
const SILENT_INTERVALS: i64 = 3;

/// Which row a value is from; also what decides between two of the same time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowId {
    pub(crate) source: String,
    pub(crate) epoch: i64,
    pub(crate) offset: i64,
    pub(crate) row: i32,
}

/// When a value was measured and accepted, and its row: the greatest is the last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct When {
    pub(crate) event_us: i64,
    pub(crate) received_us: i64,
    pub(crate) id: RowId,
}

/// The last value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Last {
    pub(crate) when: When,
    pub(crate) value: Option<f64>,
    pub(crate) text: Option<String>,
    pub(crate) unit: Option<String>,
    pub(crate) quality: String,
    pub(crate) counted: Counted,
}

/// Values of a metric: how many, how many of them good, and when the first of them was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) n: i64,
    pub(crate) n_good: i64,
    pub(crate) first_us: i64,
}

impl Counted {
    fn and(self, other: Self) -> Self {
        Self {
            n: self.n + other.n,
            n_good: self.n_good + other.n_good,
            first_us: self.first_us.min(other.first_us),
        }
    }
}

/// Source → when it accepted the newest of the last messages of the devices that were last heard through it, Unix microseconds.
#[derive(Debug, Default)]
pub(crate) struct Reached(HashMap<String, i64>);

impl Reached {
    /// Takes note of a device's last message.
    pub(crate) fn until(&mut self, source: &str, seen_us: i64) {
        match self.0.get_mut(source) {
            Some(until) => *until = seen_us.max(*until),
            None => {
                self.0.insert(source.to_owned(), seen_us);
            }
        }
    }

    /// How far a source is.
    pub(crate) fn of(&self, source: &str) -> Option<i64> {
        self.0.get(source).copied()
    }
}

/// Since when a device is silent that was last seen at `seen_us` and speaks every `interval_ms`, if its source is at `reached_us`.
/// Whoever has not spoken twice is not known to be expected.
pub(crate) fn silent_since(
    seen_us: i64,
    interval_ms: Option<i64>,
    reached_us: Option<i64>,
) -> Option<i64> {
    let waited_ms = reached_us?.saturating_sub(seen_us) / 1000;
    let patience_ms = interval_ms?.saturating_mul(SILENT_INTERVALS).max(SILENT_MS);
    (waited_ms > patience_ms).then_some(seen_us)
}

/// One device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Device {
    pub(crate) seen_us: i64,
    /// The source that the message came through that was accepted last.
    pub(crate) heard_through: String,
    /// What it said of itself, when, and when that was accepted.
    pub(crate) status: Option<(i64, i64, String)>,
    pub(crate) metrics: BTreeMap<String, Last>,
}

impl Device {
    /// Takes note that a message came.
    pub(crate) fn seen(&mut self, received_us: i64, source: &str) {
        if (received_us, source) > (self.seen_us, self.heard_through.as_str()) {
            self.seen_us = received_us;
            source.clone_into(&mut self.heard_through);
        }
    }

    /// How long it takes from one value to the next, on average, of the metric that has the most of them in its time.
    pub(crate) fn interval_ms(&self) -> Option<i64> {
        let metrics = self.metrics.values().filter(|last| last.counted.n > 1);
        let mean = |last: &Last| {
            let between_us = last.when.event_us.saturating_sub(last.counted.first_us);
            between_us / 1000 / (last.counted.n - 1)
        };
        metrics.map(mean).min()
    }

    /// Since when it is silent; see [`silent_since`].
    pub(crate) fn silent_since(&self, reached: &Reached) -> Option<i64> {
        silent_since(self.seen_us, self.interval_ms(), reached.of(&self.heard_through))
    }

    /// Takes note of what it said of itself.
    pub(crate) fn status(&mut self, event_us: i64, received_us: i64, status: &str) {
        let newer = self.status.as_ref().is_none_or(|(event, received, text)| {
            (event_us, received_us, status) > (*event, *received, text.as_str())
        });
        if newer {
            self.status = Some((event_us, received_us, status.to_owned()));
        }
    }

    /// Adds up the values of a metric, the last of them measured and accepted at `at`. What it is, is asked only if it may be the last
    /// of all.
    pub(crate) fn value(
        &mut self,
        metric: &str,
        at: (i64, i64),
        counted: Counted,
        came: impl FnOnce() -> Last,
    ) {
        let Some(last) = self.metrics.get_mut(metric) else {
            self.metrics.insert(metric.to_owned(), Last { counted, ..came() });
            return;
        };
        let counted = last.counted.and(counted);
        if at >= (last.when.event_us, last.when.received_us) {
            let came = came();
            if came.when > last.when {
                *last = came;
            }
        }
        last.counted = counted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    /// A device that said `metric` at these minutes, each heard at once.
    fn device(said: &[(&str, i64)]) -> Device {
        let mut device = Device::default();
        for (metric, minute) in said {
            let event_us = minute * MINUTE;
            let id = RowId { source: "gw".into(), epoch: 1, offset: *minute, row: 0 };
            let when = When { event_us, received_us: event_us, id };
            let last = || Last {
                when,
                value: None,
                text: None,
                unit: None,
                quality: "good".into(),
                counted: Counted::default(),
            };
            device.seen(event_us, "gw");
            let counted = Counted { n: 1, n_good: 1, first_us: event_us };
            device.value(metric, (event_us, event_us), counted, last);
        }
        device
    }

    fn silent(device: &Device, minute: i64) -> bool {
        let mut reached = Reached::default();
        reached.until("gw", minute * MINUTE);
        reached.until("gw", 0);
        device.silent_since(&reached) == Some(device.seen_us)
    }

    #[test]
    fn who_speaks_each_minute_is_silent_after_five_and_who_speaks_each_hour_after_three_hours() {
        let often = device(&[("hr", 0), ("hr", 1), ("weight", 0), ("hr", 2), ("weight", 2)]);
        assert_eq!(often.interval_ms(), Some(60_000));
        assert_eq!([7, 8].map(|minute| silent(&often, minute)), [false, true]);
        let seldom = device(&[("weight", 120), ("weight", 0), ("weight", 60)]);
        assert_eq!(seldom.interval_ms(), Some(3_600_000));
        assert_eq!([300, 301].map(|minute| silent(&seldom, minute)), [false, true]);
    }

    #[test]
    fn nobody_waits_for_who_has_not_spoken_twice_nor_for_a_source_that_nobody_heard() {
        assert!(!silent(&device(&[("hr", 0), ("spo2", 0)]), 10_000));
        assert!(!silent(&Device::default(), 10_000));
        let twice = device(&[("hr", 0), ("hr", 0)]);
        assert_eq!((twice.interval_ms(), silent(&twice, 6)), (Some(0), true));
        assert_eq!(twice.silent_since(&Reached::default()), None);
    }

    #[test]
    fn of_two_messages_of_one_moment_the_same_source_is_the_last_in_any_order() {
        let mut devices = [Device::default(), Device::default()];
        for (device, order) in devices.iter_mut().zip([["a", "b"], ["b", "a"]]) {
            for source in order {
                device.seen(MINUTE, source);
            }
        }
        assert!(devices.iter().all(|device| device.heard_through == "b"), "{devices:?}");
    }
}
