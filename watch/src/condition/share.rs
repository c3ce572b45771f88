//! Falling quality: the share of good rows in a window, in sixteen slots.

use std::collections::VecDeque;
use std::fmt;

use super::{Memory, Truth};
use crate::reading::Quality;
use crate::span;
use crate::wire::{Broken, Reader, Writer};

const SLOTS: i64 = 16;
const SLOTS_MAX: usize = 17;

/// Below which share, within how long, of how many rows at least.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share {
    pub(crate) below: f64,
    pub(crate) within_us: i64,
    pub(crate) rows_min: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    number: i64,
    good: u32,
    all: u32,
}

/// The rows of the window, counted by slot, and all together.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Slots {
    slots: VecDeque<Slot>,
    good: u64,
    all: u64,
}

impl Share {
    pub(super) fn judge(&self, slots: &mut Slots, at_us: i64, quality: Quality) -> Option<Truth> {
        let number = at_us.div_euclid((self.within_us / SLOTS).max(1));
        let Slots { slots, good, all } = slots;
        while let Some(old) = slots.pop_front_if(|slot| slot.number <= number - SLOTS) {
            *good -= u64::from(old.good);
            *all -= u64::from(old.all);
        }
        if slots.back().is_none_or(|slot| slot.number < number) {
            slots.push_back(Slot { number, good: 0, all: 0 });
        }
        let slot = slots.back_mut()?;
        // A slot that is full counts no more of its rows.
        if slot.all < u32::MAX {
            let is_good = u32::from(quality == Quality::Good);
            slot.all += 1;
            slot.good += is_good;
            *all += 1;
            *good += u64::from(is_good);
        }
        let (good, all) = (*good, *all);
        if all < u64::from(self.rows_min) {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
        Some(Truth::of((good as f64) < self.below * all as f64))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "good share below {} within {}", self.below, span::show(self.within_us))
    }
}

impl Slots {
    pub(super) fn of(memory: &mut Memory) -> &mut Self {
        if !matches!(memory, Memory::Share(_)) {
            *memory = Memory::Share(Box::default());
        }
        let Memory::Share(slots) = memory else { unreachable!("it was made above") };
        slots
    }

    pub(super) fn glance(&self) -> i64 {
        let ends = [self.slots.front(), self.slots.back()];
        ends.into_iter().flatten().fold(0, |sum, slot| sum ^ slot.number)
    }

    pub(super) fn good(&self) -> u64 {
        self.good
    }

    pub(super) fn all(&self) -> u64 {
        self.all
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.count(self.slots.len());
        for slot in &self.slots {
            out.signed(slot.number);
            out.unsigned(slot.good.into());
            out.unsigned(slot.all.into());
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        let count = from.count()?;
        if count > SLOTS_MAX {
            return Err(Broken);
        }
        let slot =
            |_| Ok(Slot { number: from.signed()?, good: from.number()?, all: from.number()? });
        let slots: VecDeque<Slot> = (0..count).map(slot).collect::<Result<_, _>>()?;
        let sum = |of: fn(&Slot) -> u32| slots.iter().map(|slot| u64::from(of(slot))).sum();
        let (good, all) = (sum(|slot| slot.good), sum(|slot| slot.all));
        Ok(Self { slots, good, all })
    }
}
