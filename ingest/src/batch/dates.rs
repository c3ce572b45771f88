//! The partition dates of one table in one batch. Each becomes a file, so a batch has few of them.

use lake::date::date_of;

/// Dates of a table from which a batch is full: what brings yet another one waits for the next landing.
pub(crate) const DATES_FULL: usize = 64;
/// Dates of a table that a batch may have. Rows of one message beyond them land under the date of the landing, and are
/// flagged.
const DATES_MAX: usize = 256;

/// Dates in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Dates(Vec<i32>);

impl Dates {
    /// Makes room for the date of `time_us` if there is any; false: its rows land under the date of the landing.
    pub(crate) fn admit(&mut self, time_us: i64) -> bool {
        let date = date_of(time_us);
        // Rows of one date come together.
        if self.0.last() == Some(&date) || self.0.contains(&date) {
            return true;
        }
        let room = self.0.len() < DATES_MAX;
        if room {
            self.0.push(date);
        }
        room
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes back those that came after there were `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_US: i64 = 86_400_000_000;

    #[test]
    fn inv8_dates_beyond_the_limit_are_refused_and_known_ones_are_not() {
        let mut dates = Dates::default();
        for day in 0..1000 {
            assert_eq!(dates.admit(day * DAY_US), day < 256, "{day}");
        }
        assert!(dates.admit(7 * DAY_US + 5) && dates.admit(255 * DAY_US));
        assert_eq!(dates.len(), 256);
        dates.truncate(10);
        assert!(dates.admit(999 * DAY_US));
        assert_eq!(dates.len(), 11);
    }
}
