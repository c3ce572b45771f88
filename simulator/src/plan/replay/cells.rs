//! Cells of a recorded series: which metric a column is, and what a cell says.

use telemetry_core::catalog::{self, Verdict, judge};

use crate::device::{Given, Sample};

/// The number that a cell is.
pub(super) fn number(cell: &str, decimal_comma: bool) -> Option<f64> {
    let cell = cell.trim();
    match (decimal_comma, cell.split_once(',')) {
        (true, Some((whole, part))) => format!("{whole}.{part}").parse().ok(),
        _ => cell.parse().ok(),
    }
}

/// The metric of a column: known names of monitor exports, else the name itself in snake case. A column called
/// `value` takes the file's name.
pub(super) fn metric_of(column: &str, stem: &str) -> String {
    let name = column.split(['[', '(']).next().unwrap_or_default().trim();
    let known = match name.to_ascii_lowercase().as_str() {
        "hr" => "heart_rate",
        "pulse" => "pulse_rate",
        "resp" | "rr" => "resp_rate",
        "spo2" => "spo2",
        "abpsys" => "abp_sys",
        "abpdias" => "abp_dia",
        "abpmean" => "abp_map",
        "nbpsys" => "nibp_sys",
        "nbpdias" => "nibp_dia",
        "nbpmean" => "nibp_map",
        "temp" => "temp_body",
        "value" => return snake(stem),
        _ => return snake(name),
    };
    known.to_owned()
}

fn snake(name: &str) -> String {
    let snake = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name: String = name.chars().take(64).map(snake).collect();
    if name.is_empty() { "value".to_owned() } else { name }
}

fn verdict(metric: &str, number: f64) -> Verdict {
    let known = catalog::metric(metric);
    known.map_or(Verdict::Plausible, |known| judge(known, Some(number), number))
}

pub(super) fn sample<'a>(
    metric: &'a str,
    cell: &'a str,
    decimal_comma: bool,
) -> Option<Sample<'a>> {
    let cell = cell.trim();
    let given = match number(cell, decimal_comma) {
        Some(number) if number.is_finite() => match verdict(metric, number) {
            Verdict::Plausible | Verdict::NoRange => Given::Number(number),
            Verdict::Sentinel => Given::Sentinel(number),
            Verdict::OutOfRange => Given::Suspect(number),
        },
        // "NaN" is how some exports write a gap.
        Some(_) => return None,
        None if cell.is_empty() => return None,
        None => Given::Text(cell),
    };
    Some(Sample { metric, given })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_of_heart_rate_are_expected_as_missing_and_of_breathing_as_suspect() {
        let given = |metric, cell| sample(metric, cell, false).map(|sample| sample.given);
        assert_eq!(given("heart_rate", "0.0"), Some(Given::Sentinel(0.0)));
        assert_eq!(given("resp_rate", "0"), Some(Given::Suspect(0.0)));
        assert_eq!(given("oven", "0"), Some(Given::Number(0.0)));
        assert!(given("oven", " nan ").is_none() && given("oven", "").is_none());
    }

    #[test]
    fn a_decimal_comma_counts_where_the_file_has_them() {
        assert_eq!((number("21,5", true), number("21,5", false)), (Some(21.5), None));
        assert_eq!((number(" -0,25 ", true), number("21.5", true)), (Some(-0.25), Some(21.5)));
        assert_eq!(number("1,234,5", true), None);
    }
}
