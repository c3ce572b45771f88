//! Moments that times are held against.

/// Microseconds in a day.
pub(crate) const DAY_US: i64 = 86_400_000_000;
/// 2000-01-01T00:00:00Z: a device that says it is earlier has lost its clock.
pub(crate) const YEAR_2000_US: i64 = 946_684_800_000_000;
/// 1900-01-01T00:00:00Z: earlier than anything in a living patient's record.
pub(crate) const YEAR_1900_US: i64 = -2_208_988_800_000_000;
