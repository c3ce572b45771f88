//! Units: what a device calls one, in UCUM, and how a number in it becomes one in the catalogue's.

mod spellings;
mod ucum;

use std::borrow::Cow;

use telemetry_core::catalog::Metric;

/// `value × factor + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Linear {
    pub(crate) factor: f64,
    pub(crate) offset: f64,
}

/// Decimal digits that a converted number keeps: more than any sensor has, fewer than arithmetic blurs.
const DIGITS: i32 = 12;

impl Linear {
    /// Leaves numbers as they are.
    pub(crate) const SAME: Self = Self { factor: 1.0, offset: 0.0 };

    /// The number in the other unit, to [`DIGITS`] digits.
    pub(crate) fn apply(self, value: f64) -> f64 {
        if self == Self::SAME {
            return value;
        }
        let scaled = value * self.factor;
        let converted = scaled + self.offset;
        // 98.6 °F is 37 °C, not 36.99999999999999.
        let size = scaled.abs().max(self.offset.abs());
        if !(1e-200..1e200).contains(&size) {
            return converted;
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked to be within ±200")]
        let places = DIGITS - 1 - size.log10().floor() as i32;
        let ten = 10_f64.powi(places.abs());
        if places >= 0 { (converted * ten).round() / ten } else { (converted / ten).round() * ten }
    }
}

/// The UCUM code of a unit, where it is known how it is meant; else the unit as it is.
pub(crate) fn code(given: &str) -> Cow<'_, str> {
    spellings::ucum(given, ucum::is_code)
}

/// How a number of `metric` in the unit `code` becomes one in the catalogue's; `None` if the units do not measure the same.
pub(crate) fn to_catalogue(metric: &Metric, code: &str) -> Option<Linear> {
    let own = metric.unit?;
    if code == own {
        return Some(Linear::SAME);
    }
    // UCUM has no level of a milliwatt: 0 dBm is -30 dB over a watt.
    if code == "dBm" {
        return (own == "dB[W]").then_some(Linear { factor: 1.0, offset: -30.0 });
    }
    match ucum::linear(code, own) {
        // Scores and steps have no parts: a percentage is none of them, although both are without dimension.
        Some(linear) if own.starts_with('{') => (linear == Linear::SAME).then_some(linear),
        Some(linear) if counts_something_else(code, own) => {
            by_amount(metric, code, own).or(Some(linear))
        }
        Some(linear) => Some(linear),
        None => by_amount(metric, code, own),
    }
}

/// In UCUM a mole is a number, so that it stands for cells, too.
fn counts_something_else(code: &str, own: &str) -> bool {
    code.contains("mol") != own.contains("mol")
}

/// From amount of substance to mass or back, by the metric's molar mass.
fn by_amount(metric: &Metric, code: &str, own: &str) -> Option<Linear> {
    let grams_per_mole = metric.molar_mass?;
    let from_amount = ucum::linear(code, "mol/L");
    let (from, per, to) = match from_amount {
        Some(from) if code.contains("mol") || code.contains("eq") => {
            (from, grams_per_mole, ucum::linear("g/L", own)?)
        }
        _ => (ucum::linear(code, "g/L")?, 1.0 / grams_per_mole, ucum::linear("mol/L", own)?),
    };
    Some(Linear { factor: from.factor * per * to.factor, offset: 0.0 })
}

#[cfg(test)]
mod tests;
