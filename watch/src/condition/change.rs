//! Rate of change: by how much a value rose or fell within a time.

use std::collections::VecDeque;
use std::fmt;

use super::{Judged, Memory, Truth};
use crate::span;
use crate::wire::{Broken, Reader, Writer};

/// Samples that a window holds; of more, every second one goes.
const SAMPLES_MAX: usize = 256;

/// A change that is too fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Change {
    pub(crate) by: f64,
    pub(crate) rising: bool,
    pub(crate) within_us: i64,
}

/// The samples that can be the lowest (or, if it is falling that counts, the highest) of the window, oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Window(VecDeque<(i64, f64)>);

impl Change {
    pub(super) fn judge(&self, window: &mut Window, at_us: i64, value: f64) -> Option<Judged> {
        if !value.is_finite() {
            return None;
        }
        let samples = &mut window.0;
        let from = at_us.saturating_sub(self.within_us);
        while samples.front().is_some_and(|(at, _)| *at < from) {
            samples.pop_front();
        }
        let hides = |earlier: f64| if self.rising { value <= earlier } else { value >= earlier };
        while samples.back().is_some_and(|(_, earlier)| hides(*earlier)) {
            samples.pop_back();
        }
        let thinned = samples.len() >= SAMPLES_MAX;
        if thinned {
            let mut nth = 0;
            samples.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
        }
        samples.push_back((at_us, value));
        let extreme = window.extreme().unwrap_or(value);
        let change = if self.rising { value - extreme } else { extreme - value };
        Some(Judged { truth: Truth::of(change >= self.by), thinned })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.rising { "rises" } else { "falls" };
        write!(f, "{how} by {} within {}", self.by, span::show(self.within_us))
    }
}

impl Window {
    pub(super) fn of(memory: &mut Memory) -> &mut Self {
        if !matches!(memory, Memory::Change(_)) {
            *memory = Memory::Change(Self::default());
        }
        let Memory::Change(window) = memory else { unreachable!("it was made above") };
        window
    }

    /// What the newest value is compared with.
    pub(super) fn extreme(&self) -> Option<f64> {
        self.0.front().map(|(_, value)| *value)
    }

    pub(super) fn glance(&self) -> i64 {
        let ends = [self.0.front(), self.0.back()];
        ends.into_iter().flatten().fold(0, |sum, (at_us, _)| sum ^ at_us)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.0.capacity() * 16
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.count(self.0.len());
        for (at_us, value) in &self.0 {
            out.time(*at_us);
            out.double(*value);
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        let count = from.count()?;
        if count > SAMPLES_MAX {
            return Err(Broken);
        }
        (0..count).map(|_| Ok((from.time()?, from.double()?))).collect::<Result<_, _>>().map(Self)
    }
}
