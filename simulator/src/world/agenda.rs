//! What happens next in the ward.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something that is due. The order of the variants decides between events of the same instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Admit { bed: usize },
    Discharge { bed: usize, stay: u32 },
    Rate { pump: usize, stay: u32 },
    Labs { bed: usize, stay: u32 },
    Chart { bed: usize, stay: u32 },
    Tablet { bed: usize, stay: u32 },
    Monitor { n: usize },
    MonitorStatus { n: usize },
    Pump { n: usize },
    PumpStatus { n: usize },
    Fridge { n: usize },
    Room { n: usize },
}

/// Events by time. Its size is bounded by the ward: every bed and device has a handful of events ahead.
#[derive(Debug, Default)]
pub(super) struct Agenda(BinaryHeap<Reverse<(i64, Event)>>);

impl Agenda {
    pub(super) fn add(&mut self, due_us: i64, event: Event) {
        self.0.push(Reverse((due_us, event)));
    }

    pub(super) fn pop(&mut self) -> Option<(i64, Event)> {
        self.0.pop().map(|Reverse(next)| next)
    }
}

/// Seconds as microseconds.
pub(super) fn seconds(s: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "waits of seconds to months; `as` saturates"
    )]
    let us = (s * 1e6) as i64;
    us.max(1)
}
