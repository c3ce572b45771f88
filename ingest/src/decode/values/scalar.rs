//! What one scalar says: a number, a word that is one, a text, a truth value.

use std::borrow::Cow;

use super::Said;
use crate::batch::flags::Flags;
use crate::decode::json::Given;
use crate::decode::number::{self, Comma, Told};
use crate::decode::read::Read;

/// Whole numbers up to here are exact in a double.
const EXACT_MAX: u64 = 1 << 53;
/// Longest unit behind a number, in bytes.
const UNIT_BYTES_MAX: usize = 16;

/// A scalar of sound JSON. `word` knows the words of its path.
pub(super) fn of_json<'a>(
    raw: &'a str,
    comma: Comma,
    word: impl Fn(&str) -> Option<f64>,
) -> (Said<'a>, Flags) {
    let read = Read::of(raw);
    match read.given() {
        Given::Null | Given::Absent => (Said::Null, Flags::default()),
        Given::Bool(truth) => (Said::Bool(truth), Flags::BOOLEAN),
        Given::Int(int) if int.unsigned_abs() > EXACT_MAX => beyond_double(raw),
        Given::Int(int) => (Said::Number(crate::decode::json::as_double(int)), Flags::default()),
        // Without a fraction it is a whole number of more than 64 bits.
        Given::Float(_) if !raw.contains(['.', 'e', 'E']) && raw != "-0" => beyond_double(raw),
        Given::Float(number) => (Said::Number(number), Flags::default()),
        Given::Nested | Given::Beyond => (Said::Nested, Flags::VALUE_IN_EXTRA),
        Given::Text(_) => of_text(read.into_text(), comma, word),
    }
}

/// The number is the nearest, its text is exact.
fn beyond_double(raw: &str) -> (Said<'_>, Flags) {
    match raw.parse::<f64>() {
        Ok(number) if number.is_finite() => {
            (Said::Word { number, text: Cow::Borrowed(raw) }, Flags::INTEGER_BEYOND_DOUBLE)
        }
        _ => (Said::Nested, Flags::VALUE_IN_EXTRA),
    }
}

/// A text, without quotes.
pub(super) fn of_text(
    text: Cow<'_, str>,
    comma: Comma,
    word: impl Fn(&str) -> Option<f64>,
) -> (Said<'_>, Flags) {
    if let Some(number) = word(&text) {
        return (Said::Word { number, text }, Flags::WORD);
    }
    match number::of_text(&text, comma) {
        Told::Number(number, flag) => (Said::Word { number, text }, flag),
        Told::Bound(comparator, number) => {
            (Said::Bound { comparator, number, text }, Flags::default())
        }
        Told::Nothing => (Said::Nothing(text), Flags::default()),
        Told::Text => (Said::Text(text), Flags::default()),
    }
}

/// The words of a bare payload.
fn bare_word(text: &str) -> Option<f64> {
    let is = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["on", "true", "yes"]) {
        Some(1.0)
    } else if is(["off", "false", "no"]) {
        Some(0.0)
    } else {
        None
    }
}

/// A payload that is nothing but a scalar, and the unit behind it.
pub(super) fn of_bare<'a>(
    text: &'a str,
    comma: Comma,
    word: impl Fn(&str) -> Option<f64>,
) -> (Said<'a>, Flags, Option<&'a str>) {
    let words = |text: &str| word(text).or_else(|| bare_word(text));
    if matches!(text, "null" | "true" | "false") || (text.starts_with('"') && text.len() > 1) {
        let (said, flags) = of_json(text, comma, words);
        return (said, flags, None);
    }
    if let Some(number) = word(text) {
        return (Said::Word { number, text: Cow::Borrowed(text) }, Flags::WORD, None);
    }
    if serde_json::from_str::<serde_json::Number>(text).is_ok() || is_beyond(text) {
        let (said, flags) = of_json(text, comma, words);
        return (said, flags, None);
    }
    if let Some((number_text, unit)) = with_unit(text) {
        let none = |_: &str| None;
        let (said, flags) = match number::plain(number_text) {
            Some(number) => (Said::Number(number), Flags::default()),
            None => of_text(Cow::Borrowed(number_text), comma, none),
        };
        if !matches!(said, Said::Text(_)) {
            return (said, flags, Some(unit));
        }
    }
    // What devices write by hand has a comma where their language has one.
    let (said, flags) = of_text(Cow::Borrowed(text), comma, words);
    (said, flags, None)
}

/// A number that no double holds.
fn is_beyond(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let sound = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
    sound && digits.starts_with(|first: char| first.is_ascii_digit())
}

/// A number and its unit: behind a blank, or a sign that begins a unit.
fn with_unit(text: &str) -> Option<(&str, &str)> {
    let ends =
        text.find(|char: char| !(char.is_ascii_digit() || matches!(char, '+' | '-' | '.' | ',')))?;
    let (number, rest) = text.split_at(ends);
    let unit = rest.trim_start();
    let apart = unit.len() < rest.len() || unit.starts_with(['%', '°', '℃', '℉']);
    let begins = unit.chars().next().is_some_and(|first| !first.is_ascii_digit());
    let fits = unit.len() <= UNIT_BYTES_MAX && !unit.contains(char::is_whitespace);
    let is_number = number.ends_with(|last: char| last.is_ascii_digit());
    (apart && begins && fits && is_number).then_some((number, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Comma = Comma::Careful;

    fn bare(text: &str) -> (Said<'_>, Option<String>, Option<&str>) {
        let (said, flags, unit) = of_bare(text, PLAIN, |_| None);
        (said, flags.text(), unit)
    }

    fn word(number: f64, text: &str) -> Said<'_> {
        Said::Word { number, text: Cow::Borrowed(text) }
    }

    #[test]
    fn a_bare_scalar_is_what_it_looks_like() {
        let flag = |name: &str| Some(name.to_owned());
        for (text, said, flags, unit) in [
            ("21.5", Said::Number(21.5), None, None),
            ("-0", Said::Number(-0.0), None, None),
            ("1.5e3", Said::Number(1500.0), None, None),
            ("true", Said::Bool(true), flag("boolean"), None),
            ("null", Said::Null, None, None),
            ("ON", word(1.0, "ON"), flag("word"), None),
            ("off", word(0.0, "off"), flag("word"), None),
            ("\"No\"", word(0.0, "No"), flag("word"), None),
            ("TRUE", word(1.0, "TRUE"), flag("word"), None),
            ("21,5", word(21.5, "21,5"), flag("decimal_comma"), None),
            ("0,125", word(0.125, "0,125"), flag("decimal_comma"), None),
            ("1,234", Said::Text("1,234".into()), None, None),
            ("1,2,3", Said::Text("1,2,3".into()), None, None),
            ("\"97\"", word(97.0, "97"), flag("text_number"), None),
            ("+21.5", word(21.5, "+21.5"), flag("text_number"), None),
            ("21.5 °C", Said::Number(21.5), None, Some("°C")),
            ("21,5 °C", word(21.5, "21,5"), flag("decimal_comma"), Some("°C")),
            ("55%", Said::Number(55.0), None, Some("%")),
            ("230 V", Said::Number(230.0), None, Some("V")),
            ("12 Downing Street", Said::Text("12 Downing Street".into()), None, None),
            ("2026-11-25 x", Said::Text("2026-11-25 x".into()), None, None),
            ("1 2", Said::Text("1 2".into()), None, None),
            (
                "5 kilowatt-hours-and-more",
                Said::Text("5 kilowatt-hours-and-more".into()),
                None,
                None,
            ),
            ("007", Said::Text("007".into()), None, None),
            ("open", Said::Text("open".into()), None, None),
            ("NaN", Said::Nothing("NaN".into()), None, None),
            ("inf", Said::Nothing("inf".into()), None, None),
            ("1e999", Said::Nested, flag("value_in_extra"), None),
            ("9007199254740992", Said::Number(9_007_199_254_740_992.0), None, None),
            (
                "9007199254740993",
                word(9_007_199_254_740_992.0, "9007199254740993"),
                flag("integer_beyond_double"),
                None,
            ),
            (
                "18446744073709551616",
                word(18_446_744_073_709_551_616.0, "18446744073709551616"),
                flag("integer_beyond_double"),
                None,
            ),
        ] {
            assert_eq!(bare(text), (said, flags, unit), "{text}");
        }
    }

    #[test]
    fn words_of_the_rule_come_first_and_a_comma_may_be_asked_for() {
        let word = |text: &str| (text == "ON").then_some(7.0);
        assert_eq!(of_bare("ON", PLAIN, word).0, Said::Word { number: 7.0, text: "ON".into() });
        let (said, flags) = of_json("\"1,234\"", Comma::Always, |_| None);
        assert_eq!(
            (said, flags),
            (Said::Word { number: 1.234, text: "1,234".into() }, Flags::DECIMAL_COMMA)
        );
        assert_eq!(of_json("\"2,5\"", Comma::Never, |_| None).0, Said::Text("2,5".into()));
        assert_eq!(of_json("\"\\ud800\"", PLAIN, |_| None), (Said::Nested, Flags::VALUE_IN_EXTRA));
        assert_eq!(
            of_json("\"ON\"", PLAIN, |_| None).0,
            Said::Text("ON".into()),
            "only a bare one"
        );
    }
}
