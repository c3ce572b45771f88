//! How often something happened within a time: rows that the rule's filters let through.

use std::collections::VecDeque;
use std::fmt;

use super::{Memory, Truth};
use crate::span;
use crate::wire::{Broken, Reader, Writer};

/// A rule can count to this.
pub(crate) const COUNT_MAX: u32 = 1_000;

/// How often, and within how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Count {
    pub(crate) times: u32,
    pub(crate) within_us: i64,
}

/// When it happened; as many as the rule counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Times(VecDeque<i64>);

impl Count {
    pub(super) fn judge(&self, times: &mut Times, at_us: i64) -> Truth {
        let from = at_us.saturating_sub(self.within_us);
        while times.0.front().is_some_and(|at| *at <= from) {
            times.0.pop_front();
        }
        if times.0.len() >= self.times as usize {
            times.0.pop_front();
        }
        times.0.push_back(at_us);
        Truth::of(times.0.len() >= self.times as usize)
    }

    /// A row that the filters held back: it only tells the time.
    pub(crate) fn pass(&self, memory: &mut Memory, at_us: i64) -> Truth {
        let times = Times::of(memory);
        let from = at_us.saturating_sub(self.within_us);
        while times.0.front().is_some_and(|at| *at <= from) {
            times.0.pop_front();
        }
        Truth::of(times.0.len() >= self.times as usize)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} times within {}", self.times, span::show(self.within_us))
    }
}

impl Times {
    pub(super) fn of(memory: &mut Memory) -> &mut Self {
        if !matches!(memory, Memory::Count(_)) {
            *memory = Memory::Count(Box::default());
        }
        let Memory::Count(times) = memory else { unreachable!("it was made above") };
        times
    }

    pub(super) fn glance(&self) -> i64 {
        [self.0.front(), self.0.back()].into_iter().flatten().fold(0, |sum, at_us| sum ^ at_us)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.0.capacity() * 8
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.count(self.0.len());
        for at_us in &self.0 {
            out.time(*at_us);
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        let count = from.count()?;
        if count > COUNT_MAX as usize {
            return Err(Broken);
        }
        (0..count).map(|_| from.time()).collect::<Result<_, _>>().map(Self)
    }
}
