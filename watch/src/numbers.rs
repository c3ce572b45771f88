//! Numbers that rows bring along for their names: a name is looked for once, and not with each row.

use crate::reading::Reading;

/// More of them are not remembered.
const REMEMBERED_MAX: usize = 1 << 17;

/// Numbers that whoever hands on rows has for a row's names. Of one numbering, the same number is the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// Of the source.
    pub source: u32,
    /// Of the device (site and name).
    pub device: u32,
    /// Of the metric.
    pub metric: u32,
    /// Of the unit, if there is one.
    pub unit: Option<u32>,
}

/// Rows in the order of arrival.
pub trait Rows {
    /// How many there are.
    fn count(&self) -> usize;
    /// The numbers of a row's names.
    fn numbers(&self, row: usize) -> Numbers;
    /// When a row's source received it, Unix microseconds.
    fn received_us(&self, row: usize) -> i64;
    /// The row.
    fn reading(&self, row: usize) -> Reading<'_>;
}

/// Own numbers by those that rows brought, of one numbering.
#[derive(Debug, Default)]
pub(crate) struct Known {
    numbering: u64,
    pub(crate) sources: Found,
    pub(crate) devices: Found,
    pub(crate) metrics: Found,
    pub(crate) units: Found,
}

impl Known {
    /// What was found by other numbers is forgotten.
    pub(crate) fn are_of(&mut self, numbering: u64) {
        if self.numbering != numbering {
            *self = Self { numbering, ..Self::default() };
        }
    }
}

/// By the number that rows brought: the own one.
#[derive(Debug, Default)]
pub(crate) struct Found(Vec<u32>);

impl Found {
    pub(crate) fn get(&self, theirs: u32) -> Option<u32> {
        self.0.get(theirs as usize).copied().filter(|number| *number != u32::MAX)
    }

    pub(crate) fn keep(&mut self, theirs: u32, number: u32) {
        let theirs = theirs as usize;
        if theirs >= REMEMBERED_MAX {
            return;
        }
        if self.0.len() <= theirs {
            self.0.resize(theirs + 1, u32::MAX);
        }
        self.0[theirs] = number;
    }

    /// The own numbers have changed.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}
