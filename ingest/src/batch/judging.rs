//! What a measured value is worth: its unit made the catalogue's, its number held against the metric's range, and what speaks
//! against it said in flags.

use std::collections::HashMap;

use telemetry_core::catalog::{self, Metric, Verdict};

use super::flags::Flags;
use super::intern::{Interner, NONE, Seeded};
use crate::units::{self, Linear};

/// The values of the column `comparator`.
pub(crate) const COMPARATORS: [&str; 5] = ["<", "<=", ">", ">=", "ad"];

/// How the true value is to the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparator {
    Less,
    AtMost,
    More,
    AtLeast,
    /// So much that the number is reached (FHIR R5, `ad`).
    Enough,
}

impl Comparator {
    const ALL: [(&str, Self); 6] = [
        ("<=", Self::AtMost),
        ("≤", Self::AtMost),
        (">=", Self::AtLeast),
        ("≥", Self::AtLeast),
        ("<", Self::Less),
        (">", Self::More),
    ];

    /// Reads it at the beginning of a text; with what is behind it.
    pub(crate) fn split(text: &str) -> Option<(Self, &str)> {
        Self::ALL
            .iter()
            .find_map(|(sign, comparator)| Some((*comparator, text.strip_prefix(sign)?)))
    }

    /// Of FHIR's code.
    pub(crate) fn of_code(code: &str) -> Option<Self> {
        match code {
            "ad" => Some(Self::Enough),
            code => Self::split(code).filter(|(_, rest)| rest.is_empty()).map(|(found, _)| found),
        }
    }

    /// Number in [`COMPARATORS`].
    fn number(self) -> u8 {
        match self {
            Self::Less => 0,
            Self::AtMost => 1,
            Self::More => 2,
            Self::AtLeast => 3,
            Self::Enough => 4,
        }
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Measured<'a> {
    Number(f64),
    /// A number that came as a text.
    Word(f64, &'a str),
    /// The true value is only known to be so against the number (NaN: against one that nobody says); with the text that it came
    /// as, if it came as one.
    Bound(Comparator, f64, Option<&'a str>),
    Text(&'a str),
    /// A text that stands for no value.
    Nothing(&'a str),
    Absent,
    /// It is in `extra`.
    Elsewhere,
}

impl<'a> Measured<'a> {
    /// The text that the row keeps.
    pub(crate) fn text(self) -> Option<&'a str> {
        match self {
            Self::Word(_, text) | Self::Text(text) | Self::Nothing(text) => Some(text),
            Self::Bound(_, _, text) => text,
            Self::Number(_) | Self::Absent | Self::Elsewhere => None,
        }
    }
}

/// What a row shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged {
    /// NaN: none.
    pub(crate) value: f64,
    /// Number of the unit.
    pub(crate) unit: u32,
    /// The number as it came, if value or unit are not as they came.
    pub(crate) original: Option<(f64, u32)>,
    /// Number in [`COMPARATORS`].
    pub(crate) comparator: Option<u8>,
    pub(crate) flags: Flags,
}

/// A metric as the rows name it.
#[derive(Debug, Clone, Copy)]
struct Known {
    metric: Option<&'static Metric>,
    unit: u32,
}

/// A unit as it came, for a metric.
#[derive(Debug, Clone, Copy)]
struct Resolved {
    /// Number of the unit that the row has.
    unit: u32,
    /// Number of the unit as it came; [`NONE`] if the row has just that.
    original: u32,
    /// `None`: it can't be made the catalogue's.
    linear: Option<Linear>,
}

/// See the module. By the numbers that metrics and units have in the batch.
#[derive(Debug, Default)]
pub(crate) struct Judging {
    known: Vec<Known>,
    resolved: HashMap<(u32, u32), Resolved, Seeded>,
}

/// What a resolved unit takes in its map, with what that has in reserve.
const RESOLVED_BYTES: usize = 2 * (size_of::<Resolved>() + 16);

impl Judging {
    /// What it takes in memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Known>() * self.known.capacity() + RESOLVED_BYTES * self.resolved.len()
    }

    /// Judges a value of `metric`, whose number is `number`.
    pub(crate) fn judge(
        &mut self,
        (metric, number): (&str, u32),
        unit: Option<&str>,
        measured: Measured<'_>,
        units: &mut Interner,
    ) -> Judged {
        if number as usize == self.known.len() {
            let known = catalog::metric(metric);
            let unit = units.optional(known.and_then(|known| known.unit));
            self.known.push(Known { metric: known, unit });
        }
        let known = self.known[number as usize];
        let resolved = match unit {
            // Most devices name the unit that the catalogue names too.
            Some(unit) if known.metric.and_then(|known| known.unit) != Some(unit) => {
                self.resolve(known, (number, unit), units)
            }
            _ => Resolved { unit: known.unit, original: NONE, linear: Some(Linear::SAME) },
        };
        let mut flags = match known.metric {
            None => Flags::UNKNOWN_METRIC,
            Some(_) if resolved.linear.is_none() => Flags::UNIT_DIFFERS,
            Some(_) => Flags::default(),
        };
        let (given, comparator) = match measured {
            Measured::Number(given) | Measured::Word(given, _) => (Some(given), None),
            Measured::Bound(comparator, given, _) if given.is_nan() => {
                flags |= Flags::COMPARATOR | Flags::ABSENT;
                (None, Some(comparator.number()))
            }
            Measured::Bound(comparator, given, _) => {
                flags |= Flags::COMPARATOR;
                (Some(given), Some(comparator.number()))
            }
            Measured::Text(text) => {
                flags |= of_text(known.metric, text);
                (None, None)
            }
            Measured::Nothing(_) => {
                flags |= Flags::NO_VALUE_WORD;
                (None, None)
            }
            Measured::Absent => {
                flags |= Flags::ABSENT;
                (None, None)
            }
            Measured::Elsewhere => {
                flags |= Flags::VALUE_IN_EXTRA;
                (None, None)
            }
        };
        let value = given.map_or(f64::NAN, |given| of_number(&known, resolved, given, &mut flags));
        if given.is_some() && resolved.linear.is_some_and(|linear| linear != Linear::SAME) {
            flags |= Flags::UNIT_CONVERTED;
        }
        let original =
            (resolved.original != NONE).then(|| (given.unwrap_or(f64::NAN), resolved.original));
        Judged { value, unit: resolved.unit, original, comparator, flags }
    }

    fn resolve(
        &mut self,
        known: Known,
        (metric, unit): (u32, &str),
        units: &mut Interner,
    ) -> Resolved {
        let given = units.number(unit);
        if let Some(resolved) = self.resolved.get(&(metric, given)) {
            return *resolved;
        }
        let code = units::code(unit);
        let linear = match known.metric {
            // A word has no unit, whatever is said.
            Some(metric) if metric.unit.is_none() => None,
            Some(metric) => units::to_catalogue(metric, &code),
            None => Some(Linear::SAME),
        };
        let unit = match (known.metric, linear) {
            (Some(_), Some(_)) => known.unit,
            _ => units.number(&code),
        };
        let original = if unit == given { NONE } else { given };
        let resolved = Resolved { unit, original, linear };
        self.resolved.insert((metric, given), resolved);
        resolved
    }
}

/// The value that the row may show. A sentinel is none; a number outside the plausible range stays and is marked. The range
/// is in the catalogue's unit, so a value that can't be converted to it is not held against it.
fn of_number(known: &Known, resolved: Resolved, given: f64, flags: &mut Flags) -> f64 {
    let Some(metric) = known.metric else { return given };
    let value = resolved.linear.map(|linear| linear.apply(given));
    match catalog::judge(metric, value, given) {
        Verdict::Plausible => {}
        Verdict::OutOfRange => *flags |= Flags::OUT_OF_RANGE,
        Verdict::NoRange => *flags |= Flags::UNKNOWN_WORD,
        Verdict::Sentinel => {
            *flags |= Flags::SENTINEL;
            return f64::NAN;
        }
    }
    value.unwrap_or(given)
}

/// What there is to say of a text.
fn of_text(metric: Option<&Metric>, text: &str) -> Flags {
    /// They may be a state of something that nobody knows, but no number.
    const NOTHING: [&str; 6] = ["none", "unknown", "unavailable", "invalid", "off", "error"];
    let Some(metric) = metric else { return Flags::default() };
    if metric.unit.is_none() {
        return match metric.takes(text) {
            true => Flags::default(),
            false => Flags::UNKNOWN_WORD,
        };
    }
    match NOTHING.iter().any(|word| text.trim().eq_ignore_ascii_case(word)) {
        true => Flags::NO_VALUE_WORD,
        false => Flags::NOT_A_NUMBER,
    }
}
