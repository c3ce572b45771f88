//! JSON values as the decoders see them, and the careful way to read a payload.

use serde_json::{Map, Value};

use super::DEPTH_MAX;
use super::reject::{Code, Reject};

/// A member of an object, if it is there.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) enum Given<'a> {
    #[default]
    Absent,
    Null,
    Bool,
    /// A number written without fraction and exponent that fits 64 bits.
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// An array or an object.
    Nested,
}

impl<'a> Given<'a> {
    /// What serde_json read.
    pub(super) fn of(value: Option<&'a Value>) -> Self {
        match value {
            None => Self::Absent,
            Some(Value::Null) => Self::Null,
            Some(Value::Bool(_)) => Self::Bool,
            Some(Value::Number(number)) => match number.as_i64() {
                Some(int) => Self::Int(int),
                // A parsed number is finite: `1e999` is an error of the parser.
                None => Self::Float(number.as_f64().unwrap_or_default()),
            },
            Some(Value::String(text)) => Self::Text(text),
            Some(Value::Array(_) | Value::Object(_)) => Self::Nested,
        }
    }

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

    /// The number of an optional member.
    pub(super) fn optional_number(self, name: &'static str) -> Result<Option<f64>, Reject> {
        match self {
            Self::Absent | Self::Null => Ok(None),
            Self::Int(int) => Ok(Some(as_double(int))),
            Self::Float(number) => Ok(Some(number)),
            _ => Err(wrong_type(name, "a number")),
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

/// Reads any JSON up to [`DEPTH_MAX`] levels.
pub(super) fn parse(text: &str) -> Result<Value, Reject> {
    if too_deep(text) {
        return Err(Reject::new(Code::NestingTooDeep, format!("more than {DEPTH_MAX} levels")));
    }
    serde_json::from_str(text).map_err(|error| Reject::json(text.as_bytes(), &error))
}

/// Reads a JSON object.
pub(super) fn parse_object(text: &str) -> Result<Map<String, Value>, Reject> {
    match parse(text)? {
        Value::Object(object) => Ok(object),
        _ => Err(Reject::new(Code::WrongType, "the payload is not an object")),
    }
}

/// Whether brackets nest deeper than [`DEPTH_MAX`], before anything recurses.
fn too_deep(text: &str) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
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
}
