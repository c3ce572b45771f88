//! The settings of a rule on NEWS2.

use super::super::raw::RawNews2;
use super::{HOUR_US, SECOND_US, Wrong, at_least, wrong};
use crate::condition::{Asks, Condition};
use crate::news2::{Ages, Assumed, Consciousness, Settings};

/// All parameters at their worst.
const TOTAL_MAX: u8 = 20;

pub(super) fn of(raw: Option<&RawNews2>) -> Result<Condition, Wrong> {
    let standard = RawNews2::default();
    let raw = raw.unwrap_or(&standard);
    let asks = match (raw.at_least, raw.single_red, raw.rise) {
        (Some(points), None, None) if (1..=TOTAL_MAX).contains(&points) => {
            let clear = raw.clear.unwrap_or(points - 1);
            if clear >= points {
                return wrong(
                    "news2.clear",
                    format!("is beyond `at_least`: it must be below {points}"),
                );
            }
            Asks::AtLeast { points, clear }
        }
        (Some(_), None, None) => {
            return wrong("news2.at_least", "must be 1 to 20: a score is nothing else");
        }
        (None, Some(true), None) => Asks::SingleRed,
        (None, None, Some(points)) if (1..=TOTAL_MAX).contains(&points) => Asks::Rise(points),
        (None, None, Some(_)) => return wrong("news2.rise", "must be 1 to 20"),
        _ => return wrong("news2", "must say one of at_least = 5, single_red = true, rise = 2"),
    };
    if raw.clear.is_some() && !matches!(asks, Asks::AtLeast { .. }) {
        return wrong("news2.clear", "does nothing here: it goes with at_least");
    }
    let past_us = match (asks, raw.within.as_deref()) {
        (Asks::Rise(_), Some(within)) => at_least("news2.within", within, SECOND_US)?,
        (Asks::Rise(_), None) => 4 * HOUR_US,
        (_, Some(_)) => return wrong("news2.within", "does nothing here: it goes with rise"),
        (_, None) => 0,
    };
    if raw.scale.is_some_and(|scale| !(1..=2).contains(&scale)) {
        return wrong("news2.scale", "must be 1 or 2");
    }
    if raw.scale_2_devices.iter().any(String::is_empty) {
        return wrong("news2.scale_2_devices", "has an empty name, which matches nothing");
    }
    let age = |key, text: Option<&str>, usual_us| {
        text.map_or(Ok(usual_us), |text| at_least(key, text, SECOND_US))
    };
    let ages = Ages {
        vitals_us: age("news2.vitals_age", raw.vitals_age.as_deref(), HOUR_US / 6)?,
        pressure_us: age("news2.pressure_age", raw.pressure_age.as_deref(), 2 * HOUR_US)?,
        temperature_us: age("news2.temperature_age", raw.temperature_age.as_deref(), 6 * HOUR_US)?,
        observed_us: age("news2.observed_age", raw.observed_age.as_deref(), 12 * HOUR_US)?,
    };
    let oxygen = match raw.assume_oxygen.as_deref() {
        None => None,
        Some("air") => Some(false),
        Some("oxygen") => Some(true),
        Some(_) => return wrong("news2.assume_oxygen", "must be \"air\" or \"oxygen\""),
    };
    let consciousness = match raw.assume_consciousness.as_deref() {
        None => None,
        Some(word) => match Consciousness::of_word(word) {
            Some(level) => Some(level),
            None => return wrong("news2.assume_consciousness", "must be one of A, C, V, P, U"),
        },
    };
    let assumed = Assumed { oxygen, consciousness };
    Ok(Condition::News2 { settings: Settings { ages, assumed, past_us }, asks })
}
