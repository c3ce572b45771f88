//! Conditions: what a row makes true of its device, and what must be remembered for it.
//!
//! A condition sees the usable rows of its series in the order of their time, each once; late rows never get here.

mod change;
mod count;
mod kinetic;
mod share;
mod stuck;

use std::fmt;

pub(crate) use change::Change;
pub(crate) use count::{COUNT_MAX, Count};
pub(crate) use kinetic::Kinetic;
pub(crate) use share::Share;
pub(crate) use stuck::Stuck;

use crate::news2::{Bedside, Parameter, Scale, Settings};
use crate::reading::Quality;
use crate::span;
use crate::wire::{Broken, Reader, Writer};

/// What a row says of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    /// It is true.
    Met,
    /// Neither: between the threshold and where it is cleared.
    Between,
    /// It is false.
    Cleared,
}

impl Truth {
    pub(crate) fn of(met: bool) -> Self {
        if met { Self::Met } else { Self::Cleared }
    }
}

/// A row as a condition sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) at_us: i64,
    pub(crate) value: Option<f64>,
    pub(crate) text: Option<&'a str>,
    pub(crate) quality: Quality,
    /// What the metric is to NEWS2.
    pub(crate) parameter: Option<Parameter>,
    /// Whether the rule's device is on scale 2.
    pub(crate) scale: Scale,
}

/// What must be true.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    /// A number above; cleared at or below `clear`.
    Above {
        limit: f64,
        clear: f64,
    },
    /// A number below; cleared at or above `clear`.
    Below {
        limit: f64,
        clear: f64,
    },
    /// A number outside; cleared when it is inside by `margin`.
    Outside {
        low: f64,
        high: f64,
        margin: f64,
    },
    /// A text.
    Equals(String),
    /// The rule's expression.
    When,
    Change(Change),
    Stuck(Stuck),
    Count(Count),
    Share(Share),
    Kinetic(Kinetic),
    News2 {
        settings: Settings,
        asks: Asks,
    },
    /// Nothing is heard for so long; of its source if `of_source`, else of the device, or of its metric.
    Silent {
        after_us: i64,
        of_source: bool,
    },
}

/// What is asked of a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asks {
    /// So many points; cleared when it is at most `clear`.
    AtLeast {
        points: u8,
        clear: u8,
    },
    SingleRed,
    Rise(u8),
}

/// What a condition remembers between rows. What is small is held in place: each row of a device needs it.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Memory {
    #[default]
    Nothing,
    Change(change::Window),
    Stuck(stuck::Held),
    Count(Box<count::Times>),
    Share(Box<share::Slots>),
    Kinetic(Box<kinetic::Slots>),
    News2(Box<Bedside>),
}

/// What came of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) truth: Truth,
    /// More rows fell into a window than it holds.
    pub(crate) thinned: bool,
}

impl From<Truth> for Judged {
    fn from(truth: Truth) -> Self {
        Self { truth, thinned: false }
    }
}

impl Condition {
    /// Whether rows of any quality are shown to it.
    pub(crate) fn wants_all(&self) -> bool {
        matches!(self, Self::Share(_))
    }

    /// Takes a row; none: it says nothing about the condition.
    pub(crate) fn judge(&self, memory: &mut Memory, row: &Row<'_>) -> Option<Judged> {
        match self {
            Self::Above { limit, clear } => row.value.map(|v| threshold(v > *limit, v <= *clear)),
            Self::Below { limit, clear } => row.value.map(|v| threshold(v < *limit, v >= *clear)),
            Self::Outside { low, high, margin } => row
                .value
                .map(|v| threshold(v < *low || v > *high, v >= low + margin && v <= high - margin)),
            Self::Equals(word) => {
                row.text.map(|text| Truth::of(text.trim().eq_ignore_ascii_case(word)).into())
            }
            Self::When => Some(Truth::Met.into()),
            Self::Change(change) => change.judge(change::Window::of(memory), row.at_us, row.value?),
            Self::Stuck(stuck) => {
                Some(stuck.judge(stuck::Held::of(memory), row.at_us, row.value?).into())
            }
            Self::Count(count) => Some(count.judge(count::Times::of(memory), row.at_us).into()),
            Self::Share(share) => {
                share.judge(share::Slots::of(memory), row.at_us, row.quality).map(Into::into)
            }
            Self::Kinetic(kinetic) => {
                kinetic.judge(kinetic::Slots::of(memory), row.at_us, row.value?).map(Into::into)
            }
            Self::News2 { settings, asks } => news2(bedside(memory), settings, *asks, row),
            Self::Silent { .. } => None,
        }
    }

    /// The value as a person would want to read it.
    pub(crate) fn measured(&self, memory: &Memory, row: &Row<'_>, unit: &str) -> String {
        match (self, memory) {
            (Self::News2 { settings, .. }, Memory::News2(bed)) => said(bed, settings, row.scale),
            (Self::Kinetic(_), Memory::Kinetic(slots)) => slots
                .mean()
                .map_or_else(String::new, |mean| format!("mean kinetic {mean:.2} {unit}")),
            (Self::Share(_), Memory::Share(slots)) => {
                format!("{} of {} rows good", slots.good(), slots.all())
            }
            (Self::Count(_), Memory::Count(times)) => format!("{} rows", times.len()),
            (Self::Change(_), Memory::Change(window)) => {
                let from = window.extreme().map_or_else(String::new, |from| format!("{from} to "));
                format!("{from}{}", number(row.value, unit))
            }
            _ => row
                .text
                .filter(|_| row.value.is_none())
                .map_or_else(|| number(row.value, unit), str::to_owned),
        }
    }

    /// Whether what it remembers can be of this condition.
    pub(crate) fn fits(&self, memory: &Memory) -> bool {
        match memory {
            Memory::Nothing => true,
            Memory::Change(_) => matches!(self, Self::Change(_)),
            Memory::Stuck(_) => matches!(self, Self::Stuck(_)),
            Memory::Count(_) => matches!(self, Self::Count(_)),
            Memory::Share(_) => matches!(self, Self::Share(_)),
            Memory::Kinetic(_) => matches!(self, Self::Kinetic(_)),
            Memory::News2(_) => matches!(self, Self::News2 { .. }),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above { limit, .. } => write!(f, "above {limit}"),
            Self::Below { limit, .. } => write!(f, "below {limit}"),
            Self::Outside { low, high, .. } => write!(f, "outside {low} to {high}"),
            Self::Equals(word) => write!(f, "is {word}"),
            Self::When => write!(f, "the rule's expression"),
            Self::Change(change) => change.fmt(f),
            Self::Stuck(stuck) => stuck.fmt(f),
            Self::Count(count) => count.fmt(f),
            Self::Share(share) => share.fmt(f),
            Self::Kinetic(kinetic) => kinetic.fmt(f),
            Self::News2 { asks: Asks::AtLeast { points, .. }, .. } => {
                write!(f, "NEWS2 at least {points}")
            }
            Self::News2 { asks: Asks::SingleRed, .. } => write!(f, "a parameter of NEWS2 is 3"),
            Self::News2 { asks: Asks::Rise(points), settings } => {
                write!(f, "NEWS2 rises by {points} within {}", span::show(settings.past_us))
            }
            Self::Silent { after_us, .. } => {
                write!(f, "nothing heard for {}", span::show(*after_us))
            }
        }
    }
}

fn number(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(String::new, |value| format!("{value} {unit}").trim_end().to_owned())
}

fn threshold(met: bool, cleared: bool) -> Judged {
    match (met, cleared) {
        (true, _) => Truth::Met.into(),
        (false, true) => Truth::Cleared.into(),
        (false, false) => Truth::Between.into(),
    }
}

fn bedside(memory: &mut Memory) -> &mut Bedside {
    if !matches!(memory, Memory::News2(_)) {
        *memory = Memory::News2(Box::default());
    }
    let Memory::News2(bed) = memory else { unreachable!("it was made above") };
    bed
}

/// True by what is fresh; false only if it is so with what has grown old, too: that an observation is no longer fresh makes
/// nobody better.
fn news2(bed: &mut Bedside, settings: &Settings, asks: Asks, row: &Row<'_>) -> Option<Judged> {
    if !bed.observe(row.parameter?, row.value, row.text, row.at_us) {
        return None;
    }
    let (fresh, kept) = bed.scores(settings, row.scale);
    let (met, cleared, thinned) = match asks {
        Asks::AtLeast { points, clear } => (fresh.total() >= points, kept.total() <= clear, false),
        Asks::SingleRed => (fresh.red().next().is_some(), kept.red().next().is_none(), false),
        Asks::Rise(points) => {
            let (rise, thinned) = bed.rise(&fresh, settings.past_us);
            (rise >= points, rise < points, thinned)
        }
    };
    Some(Judged { thinned, ..threshold(met, cleared) })
}

/// The score with what it lacks: a sum of five parameters is not passed off as one of seven.
fn said(bed: &Bedside, settings: &Settings, scale: Scale) -> String {
    // It is said when an alert moves, which is rare.
    let (fresh, _) = bed.clone().scores(settings, scale);
    let mut text = format!("NEWS2 {}", fresh.total());
    let list = |what: &str, names: Vec<&str>| {
        if names.is_empty() { String::new() } else { format!("; {what}: {}", names.join(", ")) }
    };
    if !fresh.is_complete() {
        text.push_str(" or more");
        text.push_str(&list("not known", fresh.missing().collect()));
    }
    text.push_str(&list("at 3", fresh.red().collect()));
    text
}

impl Memory {
    /// What it takes in memory, roughly, beyond itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Change(window) => window.heap_bytes(),
            Self::Stuck(_) => 0,
            Self::Count(times) => size_of::<count::Times>() + times.heap_bytes(),
            Self::Share(slots) => size_of::<share::Slots>() + slots.heap_bytes(),
            Self::Kinetic(slots) => size_of::<kinetic::Slots>() + slots.heap_bytes(),
            Self::News2(bed) => size_of::<Bedside>() + bed.heap_bytes(),
        }
    }

    /// Reads what the next row needs first: see [`crate::ahead`].
    pub(crate) fn glance(&self) -> i64 {
        match self {
            Self::Nothing => 0,
            Self::Change(window) => window.glance(),
            Self::Stuck(held) => held.glance(),
            Self::Count(times) => times.glance(),
            Self::Share(slots) => slots.glance(),
            Self::Kinetic(slots) => slots.glance(),
            Self::News2(bed) => bed.glance(),
        }
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        match self {
            Self::Nothing => out.byte(0),
            Self::Change(window) => {
                out.byte(1);
                window.write(out);
            }
            Self::Stuck(held) => {
                out.byte(2);
                held.write(out);
            }
            Self::Count(times) => {
                out.byte(3);
                times.write(out);
            }
            Self::Share(slots) => {
                out.byte(4);
                slots.write(out);
            }
            Self::Kinetic(slots) => {
                out.byte(5);
                slots.write(out);
            }
            Self::News2(bed) => {
                out.byte(6);
                bed.write(out);
            }
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        Ok(match from.byte()? {
            0 => Self::Nothing,
            1 => Self::Change(change::Window::read(from)?),
            2 => Self::Stuck(stuck::Held::read(from)?),
            3 => Self::Count(Box::new(count::Times::read(from)?)),
            4 => Self::Share(Box::new(share::Slots::read(from)?)),
            5 => Self::Kinetic(Box::new(kinetic::Slots::read(from)?)),
            6 => Self::News2(Box::new(Bedside::read(from)?)),
            _ => return Err(Broken),
        })
    }
}

#[cfg(test)]
mod tests;
