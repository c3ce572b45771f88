//! The limits of the state, and what was counted at them.

/// How much is kept. Whatever is beyond is not watched, and counted in [`Counts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Devices. At the limit a quarter goes: those without an open alert that were not heard for longest.
    pub devices: usize,
    /// Metrics of one device.
    pub metrics_per_device: usize,
    /// Different names of metrics and units, of all devices.
    pub names: usize,
    /// Sources.
    pub sources: usize,
    /// Maintenance windows that are not over.
    pub maintenance: usize,
    /// A device that no rule of silence is for is shown as silent after so long, microseconds.
    pub shown_silent_us: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            devices: 100_000,
            metrics_per_device: 64,
            names: 10_000,
            sources: 10_000,
            maintenance: 256,
            shown_silent_us: 300_000_000,
        }
    }
}

/// Names longer than this are not watched, bytes.
pub(crate) const NAME_BYTES_MAX: usize = 512;
/// Of a text no more is kept, bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 64;
/// Rows that an alert names as its evidence.
pub(crate) const EVIDENCE_MAX: usize = 8;
/// How often an alert is repeated.
pub(crate) const REPEATS_MAX: u16 = 100;
/// A row's time may be so far ahead of its receipt; one further ahead is judged at its receipt.
pub(crate) const AHEAD_MAX_US: i64 = 300_000_000;
/// When a series had only late rows for so long (by receipt), its device's clock was set back: it starts anew. Likewise a source
/// whose receipts are so far behind its time, for so long.
pub(crate) const LATE_MAX_US: i64 = 900_000_000;

/// What was counted since the state was made or loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Rows.
    pub rows: u64,
    /// Rows that were not after the newest of their series.
    pub late: u64,
    /// Rows whose time was too far ahead of their receipt.
    pub ahead: u64,
    /// Series that started anew because their device's clock was set back, and sources whose own was.
    pub clocks_set_back: u64,
    /// Rows of devices, metrics or sources beyond a limit, or with a name that is too long.
    pub beyond_limits: u64,
    /// Devices that were forgotten to make room.
    pub forgotten: u64,
    /// Windows that were thinned out because more rows fell into them than they hold.
    pub thinned: u64,
    /// Rows for which an expression had no answer, such as a comparison with a value that is not there.
    pub undecided: u64,
}
