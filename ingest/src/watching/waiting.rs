//! Rows of the batch that is filling which were not looked at: they gather while ingest is busy, so that those of one device come
//! together.

use std::ops::Range;
use std::time::Duration;

use crate::batch::{Batch, Packed, Watchable};

/// Rows that wait at most, and for how long: so many of each device at once that its state comes from memory once for them, and
/// nobody is told late. What is written down of them takes about 90 bytes a row: few rows wait where there is little memory.
const ROWS_MAX: usize = 65_536;
const MEMORY_PER_ROW: u64 = 1536;
const WAITING: Duration = Duration::from_millis(250);
/// So few are looked at as soon as nothing else is to be done.
const FEW: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Waiting {
    rows_max: usize,
    /// Each batch has its own numbers for names.
    numbering: u64,
    /// The first row that waits.
    from: usize,
    since: Option<Duration>,
    /// Those that are of a device.
    rows: Vec<Packed>,
}

impl Waiting {
    /// None wait yet; `memory_bytes`: what ingest may take for its batches.
    pub(super) fn new(memory_bytes: u64) -> Self {
        let rows_max = usize::try_from(memory_bytes / MEMORY_PER_ROW).unwrap_or(ROWS_MAX);
        let rows_max = rows_max.clamp(1, ROWS_MAX);
        Self { rows_max, numbering: 0, from: 0, since: None, rows: Vec::new() }
    }

    /// A batch goes on.
    pub(super) fn begin(&mut self, batch: &Batch) {
        (self.numbering, self.from) = (self.numbering + 1, batch.readings.len());
        self.since = None;
    }

    /// Whether it is time to look at the rows; `is_idle`: nothing else is to be done.
    pub(super) fn is_time(&mut self, batch: &Batch, is_idle: bool, now: Duration) -> bool {
        let rows = batch.readings.len() - self.from;
        if rows == 0 {
            return false;
        }
        let since = *self.since.get_or_insert(now);
        rows >= self.rows_max || now >= since + WAITING || (is_idle && rows <= FEW)
    }

    /// When they have waited long.
    pub(super) fn until(&self) -> Option<Duration> {
        self.since.map(|since| since + WAITING)
    }

    /// Takes the first that wait, as many as are looked at at once: the rows of the batch, and what watching sees of them by which
    /// numbering. Those that it leaves are to be taken as well.
    pub(super) fn take<'a>(&'a mut self, batch: &'a Batch) -> (Range<usize>, u64, Watchable<'a>) {
        let rows = self.from..batch.readings.len().min(self.from + self.rows_max);
        (self.from, self.since) = (rows.end, None);
        self.rows.clear();
        self.rows.reserve_exact(rows.len());
        let of_devices = rows.clone().filter(|row| batch.is_watchable(*row));
        self.rows.extend(of_devices.map(|row| batch.packed(row)));
        (rows, self.numbering, Watchable { batch, rows: &self.rows })
    }
}
