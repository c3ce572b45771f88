//! The quality that a row must have, by what the device meant and not by what ingest made of it.

use telemetry_core::catalog;

use super::Given;
use crate::fingerprint::EventTime;

/// Words that a device sends for "no value" (`tidemark`'s docs/tables.md, flag `no_value_word`).
const NOTHING: [&str; 6] = ["", "-", "na", "n/a", "nan", "null"];

/// The quality of a value of `metric` at `event`.
pub(crate) fn quality(metric: &str, given: Given<'_>, event: EventTime) -> &'static str {
    let known = catalog::metric(metric);
    let unchecked = match known {
        None => "unchecked",
        Some(_) => "good",
    };
    let of_value = match given {
        Given::Sentinel(_) | Given::Null => "bad",
        Given::Text(text) if NOTHING.iter().any(|word| text.eq_ignore_ascii_case(word)) => "bad",
        Given::Text(text) => match known {
            Some(metric) if metric.unit.is_some() => "bad",
            Some(metric) if metric.takes(text) => "good",
            _ => "unchecked",
        },
        Given::Suspect(_) => "suspect",
        Given::Number(_) => unchecked,
    };
    match (of_value, event) {
        // The device said when it was, and that could not be.
        ("good" | "unchecked", EventTime::Received) => "suspect",
        (of_value, _) => of_value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_good() {
        let at = EventTime::At(0);
        for (metric, given, event, expected) in [
            ("heart_rate", Given::Number(72.0), at, "good"),
            ("heart_rate", Given::Number(72.0), EventTime::Received, "suspect"),
            ("heart_rate", Given::Sentinel(0.0), at, "bad"),
            ("heart_rate", Given::Text("high"), at, "bad"),
            ("oven", Given::Number(72.0), at, "unchecked"),
            ("oven", Given::Number(72.0), EventTime::Received, "suspect"),
            ("consciousness", Given::Text("A"), at, "good"),
            ("consciousness", Given::Text("asleep"), at, "unchecked"),
            ("oven", Given::Text("hot"), at, "unchecked"),
            ("oven", Given::Text("NaN"), at, "bad"),
            ("oven", Given::Null, EventTime::Received, "bad"),
        ] {
            assert_eq!(quality(metric, given, event), expected, "{metric} {given:?}");
        }
    }
}
