//! JSON values as the decoders see them, and the careful way to read a payload.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::DEPTH_MAX;
use super::reject::{Code, Reject};

/// A member of an object, if it is there.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) enum Given<'a> {
    #[default]
    Absent,
    Null,
    Bool(bool),
    /// A number written without fraction and exponent that fits 64 bits.
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// An array or an object.
    Nested,
    /// A number that a double can't hold, or a text with half of a character.
    Beyond,
}

impl<'a> Given<'a> {
    /// The text of an optional member.
    pub(super) fn optional_text(self, name: &'static str) -> Result<Option<&'a str>, Reject> {
        match self {
            Self::Absent | Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            _ => Err(wrong_type(name, "a text")),
        }
    }

    /// The whole number of an optional member.
    pub(super) fn optional_int(self, name: &'static str) -> Result<Option<i64>, Reject> {
        match self {
            Self::Absent | Self::Null => Ok(None),
            // The least number stands for "absent" in the rows.
            Self::Int(int) if int > i64::MIN => Ok(Some(int)),
            _ => Err(wrong_type(name, "a whole number")),
        }
    }

    /// The number that it is.
    pub(super) fn number(self) -> Option<f64> {
        match self {
            Self::Int(int) => Some(as_double(int)),
            Self::Float(number) => Some(number),
            _ => None,
        }
    }
}

pub(super) fn wrong_type(name: &'static str, wanted: &'static str) -> Reject {
    Reject::new(Code::WrongType, format!("`{name}` is not {wanted}"))
}

/// The nearest double.
#[expect(
    clippy::cast_precision_loss,
    reason = "that is what a JSON number means in a column of doubles"
)]
pub(super) fn as_double(int: i64) -> f64 {
    int as f64
}

/// Most that the values of one payload may take in memory while they are looked at. A FHIR Bundle of 8 MB takes about 80 MB.
const TREE_BYTES_MAX: usize = 128 << 20;
/// What serde_json takes for an object, whose members come by eleven, beside their texts.
const OBJECT_BYTES: usize = 640;
/// What it takes for a value, in a list that grows by doubling.
const VALUE_BYTES: usize = 64;

/// Reads any JSON up to [`DEPTH_MAX`] levels and [`TREE_BYTES_MAX`].
pub(super) fn parse(text: &str) -> Result<Value, Reject> {
    bounded(text)?;
    serde_json::from_str(text).map_err(|error| Reject::json(text.as_bytes(), &error))
}

/// Refuses what has more levels than [`DEPTH_MAX`], or would take more than [`TREE_BYTES_MAX`].
fn bounded(text: &str) -> Result<(), Reject> {
    let (depth, bytes) = extent(text);
    if depth > DEPTH_MAX {
        return Err(Reject::new(Code::NestingTooDeep, format!("more than {DEPTH_MAX} levels")));
    }
    if bytes > TREE_BYTES_MAX {
        let reason = format!("the values would take more than {} MiB", TREE_BYTES_MAX >> 20);
        return Err(Reject::new(Code::TooManyValues, reason));
    }
    Ok(())
}

/// Refuses what is not sound JSON, too deep or too large. A number may be more than a double holds.
pub(super) fn sound(text: &str) -> Result<(), Reject> {
    bounded(text)?;
    let read = serde_json::from_str::<&RawValue>(text);
    read.map(drop).map_err(|error| Reject::json(text.as_bytes(), &error))
}

/// Hands out the members of an object as they came, in order, of one name also several.
///
/// # Errors
/// What is not sound, too deep or too large, or no object; members before it were handed out.
pub(super) fn members<'a>(
    text: &'a str,
    member: impl FnMut(Cow<'a, str>, &'a str),
) -> Result<(), Reject> {
    bounded(text)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = reader.deserialize_map(Members(member)).and_then(|()| reader.end());
    read.map_err(|error| Reject::json(text.as_bytes(), &error))
}

/// A text without its quotes and escapes; `None` if it is none.
pub(super) fn text(raw: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str(raw).ok().map(|Text(text)| text)
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct Members<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de str)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some((Text(name), value)) = members.next_entry::<Text<'de>, &'de RawValue>()? {
            (self.0)(name, value.get());
        }
        Ok(())
    }
}

/// Hands out the elements of an array as they came, one at a time.
///
/// # Errors
/// What is not sound, or too large, in any of them; elements before it were handed out.
pub(super) fn each<'a>(text: &'a str, mut element: impl FnMut(&'a str)) -> Result<(), Reject> {
    let mut refused = None;
    let mut reader = serde_json::Deserializer::from_str(text);
    // Elements are counted from inside their array.
    let one = |raw: &'a RawValue| match bounded(raw.get()) {
        _ if refused.is_some() => {}
        Ok(()) => element(raw.get()),
        Err(reject) => refused = Some(reject),
    };
    let read = reader.deserialize_seq(Elements(one)).and_then(|()| reader.end());
    match (refused, read) {
        (Some(reject), _) => Err(reject),
        (None, Err(error)) => Err(Reject::json(text.as_bytes(), &error)),
        (None, Ok(())) => Ok(()),
    }
}

struct Elements<F>(F);

impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element()? {
            (self.0)(element);
        }
        Ok(())
    }
}

/// Reads a JSON object.
pub(super) fn parse_object(text: &str) -> Result<Map<String, Value>, Reject> {
    match parse(text)? {
        Value::Object(object) => Ok(object),
        _ => Err(Reject::new(Code::WrongType, "the payload is not an object")),
    }
}

/// How deep brackets nest, up to one beyond [`DEPTH_MAX`], and what the values take as a tree; before anything recurses.
fn extent(text: &str) -> (usize, usize) {
    let (mut depth, mut deepest, mut bytes) = (0_usize, 0, VALUE_BYTES);
    let (mut in_text, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
                bytes += if byte == b'{' { OBJECT_BYTES } else { VALUE_BYTES };
            }
            b',' if !in_text => bytes += VALUE_BYTES,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (deepest, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_levels_are_refused_and_brackets_in_texts_are_no_levels() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(200), close.repeat(200));
            assert_eq!(parse(&deep).unwrap_err().code, Code::NestingTooDeep);
            let fine = format!("{}1{}", open.repeat(DEPTH_MAX), close.repeat(DEPTH_MAX));
            parse(&fine).unwrap();
        }
        parse(&format!("\"{}\\\"{}\"", "[".repeat(300), "{".repeat(300))).unwrap();
    }

    #[test]
    fn inv8_values_that_would_take_a_hundred_times_their_bytes_are_refused() {
        let one = "{\"a\":0}";
        let refused = parse(&format!("[{}]", vec![one; 200_000].join(","))).unwrap_err();
        assert_eq!(refused.code, Code::TooManyValues);
        // One at a time they take nothing.
        let mut seen = 0;
        each(&format!("[{}]", vec![one; 200_000].join(",")), |_| seen += 1).unwrap();
        assert_eq!(seen, 200_000);
        let bundle = format!(
            "[{}]",
            vec![r#"{"system":"http://loinc.org","code":"8867-4"}"#; 9000].join(",")
        );
        parse(&bundle).unwrap();
    }

    #[test]
    fn an_array_is_sound_only_as_a_whole() {
        let code = |text: &str| each(text, |_| {}).err().map(|reject| reject.code);
        assert_eq!(code("[1, {\"a\":[2]}, \"x\"] "), None);
        assert_eq!(code("[]"), None);
        assert_eq!(code("[1,"), Some(Code::JsonTruncated));
        assert_eq!(code("[1] 2"), Some(Code::JsonSyntax));
        assert_eq!(code("[1 2]"), Some(Code::JsonSyntax));
        assert_eq!(code("[1, 1e999]"), None, "its neighbours can be read");
        assert_eq!(code("[NaN]"), Some(Code::NotFinite));
        let deep = format!("[1,{}1{}]", "[".repeat(200), "]".repeat(200));
        assert_eq!(code(&deep), Some(Code::NestingTooDeep));
    }
}
