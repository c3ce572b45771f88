//! What is known last of devices: pure.

use std::collections::BTreeMap;

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
    pub(crate) n: i64,
    pub(crate) n_good: i64,
}

/// One device.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Device {
    pub(crate) seen_us: i64,
    /// What it said of itself, when, and when that was accepted.
    pub(crate) status: Option<(i64, i64, String)>,
    pub(crate) metrics: BTreeMap<String, Last>,
}

impl Device {
    /// Takes note that a message came.
    pub(crate) fn seen(&mut self, received_us: i64) {
        self.seen_us = self.seen_us.max(received_us);
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

    /// Adds up the values of a metric: `n` of them, `n_good` of those good, the last measured and accepted at `at`. What it is, is
    /// asked only if it may be the last of all.
    pub(crate) fn value(
        &mut self,
        metric: &str,
        at: (i64, i64),
        (n, n_good): (i64, i64),
        came: impl FnOnce() -> Last,
    ) {
        let Some(last) = self.metrics.get_mut(metric) else {
            self.metrics.insert(metric.to_owned(), Last { n, n_good, ..came() });
            return;
        };
        let (n, n_good) = (last.n + n, last.n_good + n_good);
        if at >= (last.when.event_us, last.when.received_us) {
            let came = came();
            if came.when > last.when {
                *last = came;
            }
        }
        (last.n, last.n_good) = (n, n_good);
    }
}
