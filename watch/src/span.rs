//! Spans of time as they are written in rules: `90s`, `15m`, `2h`, `7d`.

const SECOND_US: i64 = 1_000_000;
const UNITS: [(&str, i64); 5] = [
    ("ms", 1_000),
    ("s", SECOND_US),
    ("m", 60 * SECOND_US),
    ("h", 3_600 * SECOND_US),
    ("d", 86_400 * SECOND_US),
];
/// No rule looks further back.
const MAX_US: i64 = 366 * 86_400 * SECOND_US;

/// Reads a span, in microseconds.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: i64 = text.get(..digits)?.parse().ok()?;
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == &text[digits..])?;
    number.checked_mul(*unit).filter(|us| *us <= MAX_US)
}

/// Writes a span in the largest unit that says it exactly.
pub(crate) fn show(us: i64) -> String {
    let unit = UNITS.iter().rev().find(|(_, unit)| us % unit == 0);
    match unit {
        Some((name, unit)) => format!("{}{name}", us / unit),
        None => format!("{us}us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, us) in [("90s", 90_000_000), ("15m", 900_000_000), ("0s", 0), ("250ms", 250_000)]
        {
            assert_eq!(parse(text), Some(us));
        }
        for wrong in
            ["", "s", "15", "15 m", "-1s", "1.5h", "1w", "99999999999999999999s", "367d", "1é"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        for text in ["1s", "90s", "15m", "2h", "7d", "250ms"] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
    }
}
