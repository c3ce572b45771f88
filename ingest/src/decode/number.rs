//! What a text says where a number is meant: a number, a bound of one, that there is none, or only a text.

use super::json::Given;
use super::read::Read;
use crate::batch::flags::Flags;
use crate::batch::judging::Comparator;

/// Whether texts such as `21,5` are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comma {
    /// No.
    Never,
    /// Unless it may be a thousand, as `1,234`.
    Careful,
    /// Yes.
    Always,
}

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Told {
    /// A number, and how it is written.
    Number(f64, Flags),
    /// The true value is only known to be so against the number.
    Bound(Comparator, f64),
    /// There is no value.
    Nothing,
    /// Only the text.
    Text,
}

/// Reads a text.
pub(crate) fn of_text(text: &str, comma: Comma) -> Told {
    let trimmed = text.trim();
    if is_nothing(trimmed) {
        return Told::Nothing;
    }
    if let Some((number, flags)) = number(trimmed, comma) {
        return Told::Number(number, flags);
    }
    match Comparator::split(trimmed) {
        Some((comparator, rest)) => match number(rest.trim_start(), comma) {
            Some((number, _)) => Told::Bound(comparator, number),
            None => Told::Text,
        },
        None => Told::Text,
    }
}

/// Texts that stand for no value whatever is measured. Words that may be a state (`none`, `unknown`, `off`) are not among them.
fn is_nothing(text: &str) -> bool {
    const WORDS: [&str; 14] = [
        "nan",
        "+nan",
        "-nan",
        "inf",
        "+inf",
        "-inf",
        "infinity",
        "+infinity",
        "-infinity",
        "null",
        "na",
        "n/a",
        "#n/a",
        "nil",
    ];
    // Empty, or nothing but dashes, as a display shows it.
    let dashes =
        |text: &str| text.chars().all(|char| matches!(char, '-' | '–' | '—' | '.' | '?' | ' '));
    let blank = text.is_empty() || (dashes(text) && text.contains(['-', '–', '—']));
    blank || WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// The number that a text plainly is.
fn number(text: &str, comma: Comma) -> Option<(f64, Flags)> {
    let unsigned = text.strip_prefix('+').filter(|rest| !rest.starts_with(['+', '-']));
    let digits = unsigned.unwrap_or(text);
    if !digits.ends_with(|last: char| last.is_ascii_digit()) {
        return None;
    }
    if let Some(number) = plain(digits) {
        return Some((number, Flags::TEXT_NUMBER));
    }
    let (whole, part) = digits.split_once(',')?;
    // `1,234` may be a thousand.
    let thousands = part.len() == 3 && !matches!(whole, "0" | "-0");
    let fits = match comma {
        Comma::Never => false,
        Comma::Careful => !thousands,
        Comma::Always => true,
    };
    if !fits || part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((plain(&format!("{whole}.{part}"))?, Flags::DECIMAL_COMMA))
}

/// A number as JSON writes it.
pub(super) fn plain(text: &str) -> Option<f64> {
    match Read::of(text).given() {
        // A text keeps what a double does not.
        given @ (Given::Int(_) | Given::Float(_)) => given.number(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_wholly_a_number_is_that_number() {
        for (text, number) in [
            ("72", 72.0),
            (" -999 ", -999.0),
            ("+3.5", 3.5),
            ("1e3", 1000.0),
            ("-0", -0.0),
            ("0.50", 0.5),
        ] {
            assert_eq!(
                of_text(text, Comma::Never),
                Told::Number(number, Flags::TEXT_NUMBER),
                "{text}"
            );
        }
        for text in
            ["72 bpm", "1 2", "0x1f", "007", "1.", "--5", "+-5", "12:30", "1,5", "1,234,567"]
        {
            assert_eq!(of_text(text, Comma::Never), Told::Text, "{text}");
        }
        assert_eq!(of_text("21,5", Comma::Always), Told::Number(21.5, Flags::DECIMAL_COMMA));
        assert_eq!(of_text("1,234", Comma::Careful), Told::Text);
    }

    #[test]
    fn a_bound_is_no_number() {
        for (text, comparator, number) in [
            ("<70", Comparator::Less, 70.0),
            ("< 70", Comparator::Less, 70.0),
            ("<=5", Comparator::AtMost, 5.0),
            ("≤ 5", Comparator::AtMost, 5.0),
            (">600", Comparator::More, 600.0),
            (">=0.5", Comparator::AtLeast, 0.5),
            ("≥-1", Comparator::AtLeast, -1.0),
        ] {
            assert_eq!(of_text(text, Comma::Never), Told::Bound(comparator, number), "{text}");
        }
        for text in ["<", "<>5", "<<5", "< x", "=5", "<5>"] {
            assert_eq!(of_text(text, Comma::Never), Told::Text, "{text}");
        }
    }

    #[test]
    fn words_for_no_value_are_no_text() {
        for text in [
            "", " ", "-", "--", "---", "-?-", "--.-", "nan", "NaN", "NAN", "Infinity", "-inf",
            "null", "NULL", "NA", "n/a", "#N/A", "nil", "–",
        ] {
            assert_eq!(of_text(text, Comma::Never), Told::Nothing, "{text:?}");
        }
        for text in ["none", "off", "unknown", "Nancy", "info", "...", "?", "no", "nap"] {
            assert_eq!(of_text(text, Comma::Never), Told::Text, "{text:?}");
        }
    }
}
