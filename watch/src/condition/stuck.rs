//! A stuck sensor: the same value for longer than what it measures stands still.

use std::fmt;

use super::{Memory, Truth};
use crate::span;
use crate::wire::{Broken, Reader, Writer};

/// For how long, and how many rows must have said so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stuck {
    pub(crate) for_us: i64,
    pub(crate) rows_min: u32,
}

/// The value that it stands at.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Held {
    value: f64,
    since_us: i64,
    rows: u32,
}

impl Stuck {
    #[expect(clippy::float_cmp, reason = "stuck is exactly the same")]
    pub(super) fn judge(&self, held: &mut Held, at_us: i64, value: f64) -> Truth {
        if held.rows == 0 || held.value != value {
            *held = Held { value, since_us: at_us, rows: 1 };
            return Truth::Cleared;
        }
        held.rows = held.rows.saturating_add(1);
        let long = at_us.saturating_sub(held.since_us) >= self.for_us;
        if long && held.rows >= self.rows_min { Truth::Met } else { Truth::Between }
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the same for {}", span::show(self.for_us))
    }
}

impl Held {
    pub(super) fn of(memory: &mut Memory) -> &mut Self {
        if !matches!(memory, Memory::Stuck(_)) {
            *memory = Memory::Stuck(Self::default());
        }
        let Memory::Stuck(held) = memory else { unreachable!("it was made above") };
        held
    }

    pub(super) fn glance(&self) -> i64 {
        self.since_us
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.double(self.value);
        out.time(self.since_us);
        out.unsigned(self.rows.into());
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        Ok(Self { value: from.double()?, since_us: from.time()?, rows: from.number()? })
    }
}
