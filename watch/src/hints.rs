//! Numbers that rows bring along for their names: a guess where these are, which is checked before it counts.

/// More of them are not remembered.
const REMEMBERED_MAX: usize = 1 << 17;

/// Numbers that whoever hands on rows has for a row's device (site and name) and metric: the same for the same names, mostly. Right
/// or wrong, they change nothing but the time that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// Of the device.
    pub device: u32,
    /// Of the metric.
    pub metric: u32,
}

/// What was found by the last rows that had a number.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    pub(crate) devices: Found,
    pub(crate) metrics: Found,
}

/// By the number that rows brought: the own one.
#[derive(Debug, Default)]
pub(crate) struct Found(Vec<u32>);

impl Found {
    pub(crate) fn get(&self, hint: u32) -> Option<u32> {
        self.0.get(hint as usize).copied()
    }

    pub(crate) fn keep(&mut self, hint: u32, number: u32) {
        let hint = hint as usize;
        if hint >= REMEMBERED_MAX {
            return;
        }
        if self.0.len() <= hint {
            self.0.resize(hint + 1, u32::MAX);
        }
        self.0[hint] = number;
    }
}
