//! Mean kinetic temperature over a window: the one constant temperature that would have done the same harm.
//!
//! ```text
//! T_K = (ΔH/R) / -ln( Σ w_i e^(-ΔH/(R T_i)) / Σ w_i ),   ΔH = 83.144 kJ/mol,  R = 8.3144 J/(mol K)
//! ```
//!
//! USP <1079.2> and ICH Q1A(R2) (after Haynes, 1971), whose ΔH makes ΔH/R 10,000 K. The weights w are the times between rows, each
//! with the mean of its two ends; a gap longer than an hour says nothing about what was in it, and weighs nothing.

use std::collections::VecDeque;
use std::fmt;

use super::{Memory, Truth};
use crate::span;
use crate::wire::{Broken, Reader, Writer};

/// ΔH/R, kelvin.
const ACTIVATION: f64 = 10_000.0;
const ZERO_CELSIUS: f64 = 273.15;
const SLOTS: i64 = 48;
const SLOTS_MAX: usize = 49;
const HOUR_US: i64 = 3_600_000_000;

/// Above which mean, over how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Kinetic {
    pub(crate) above: f64,
    pub(crate) within_us: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Slot {
    number: i64,
    weight_us: i64,
    sum: f64,
}

/// The window's sums, by slot, and the last row.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Slots {
    slots: VecDeque<Slot>,
    last: Option<(i64, f64)>,
}

impl Kinetic {
    /// None as long as too little of the window is covered.
    pub(super) fn judge(&self, slots: &mut Slots, at_us: i64, celsius: f64) -> Option<Truth> {
        if !(celsius > -ZERO_CELSIUS && celsius.is_finite()) {
            return None;
        }
        let number = at_us.div_euclid((self.within_us / SLOTS).max(1));
        let Slots { slots: held, last } = slots;
        while held.front().is_some_and(|slot| slot.number <= number - SLOTS) {
            held.pop_front();
        }
        let harm = libm::exp(-ACTIVATION / (celsius + ZERO_CELSIUS));
        if let Some((before_us, before)) = last.replace((at_us, harm)) {
            let weight_us = at_us.saturating_sub(before_us);
            if (1..=HOUR_US).contains(&weight_us) {
                if held.back().is_none_or(|slot| slot.number < number) {
                    held.push_back(Slot { number, weight_us: 0, sum: 0.0 });
                }
                let slot = held.back_mut()?;
                slot.weight_us += weight_us;
                #[expect(clippy::cast_precision_loss, reason = "at most an hour")]
                let weight = weight_us as f64;
                slot.sum += weight * f64::midpoint(before, harm);
            }
        }
        let covered: i64 = held.iter().map(|slot| slot.weight_us).sum();
        if covered < HOUR_US.min(self.within_us / 2) {
            return None;
        }
        slots.mean().map(|mean| Truth::of(mean > self.above))
    }
}

impl fmt::Display for Kinetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "mean kinetic temperature above {} over {}",
            self.above,
            span::show(self.within_us)
        )
    }
}

impl Slots {
    pub(super) fn of(memory: &mut Memory) -> &mut Self {
        if !matches!(memory, Memory::Kinetic(_)) {
            *memory = Memory::Kinetic(Box::default());
        }
        let Memory::Kinetic(slots) = memory else { unreachable!("it was made above") };
        slots
    }

    pub(super) fn glance(&self) -> i64 {
        self.last.map_or(0, |(at_us, _)| at_us)
    }

    /// °C; none if nothing is covered.
    pub(super) fn mean(&self) -> Option<f64> {
        let weight: i64 = self.slots.iter().map(|slot| slot.weight_us).sum();
        if weight <= 0 {
            return None;
        }
        let sum: f64 = self.slots.iter().map(|slot| slot.sum).sum();
        #[expect(clippy::cast_precision_loss, reason = "a window is at most a year")]
        let mean = sum / weight as f64;
        Some(ACTIVATION / -libm::log(mean) - ZERO_CELSIUS)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    pub(super) fn write(&self, out: &mut Writer) {
        out.count(self.slots.len());
        for slot in &self.slots {
            out.signed(slot.number);
            out.signed(slot.weight_us);
            out.double(slot.sum);
        }
        out.byte(u8::from(self.last.is_some()));
        if let Some((at_us, harm)) = self.last {
            out.time(at_us);
            out.double(harm);
        }
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        let count = from.count()?;
        if count > SLOTS_MAX {
            return Err(Broken);
        }
        let slot = |from: &mut Reader<'_>| {
            Ok(Slot { number: from.signed()?, weight_us: from.signed()?, sum: from.double()? })
        };
        let slots = (0..count).map(|_| slot(from)).collect::<Result<_, _>>()?;
        let last = match from.byte()? {
            0 => None,
            1 => Some((from.time()?, from.double()?)),
            _ => return Err(Broken),
        };
        Ok(Self { slots, last })
    }
}
