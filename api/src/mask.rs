//! A payload for those who may not see patients: its shape, without its values.

use serde_json::{Map, Value, json};

/// Payloads that are longer are cut off, bytes.
const SHOWN_MAX: usize = 16 << 10;
/// Levels of a payload that are shown.
const DEPTH_MAX: usize = 32;
/// Digits of a member's name from which on it may be somebody's number.
const DIGITS_MAX: usize = 2;
/// Longest name of a member that is shown.
const NAME_MAX: usize = 64;

/// The shape of a JSON payload; none of anything else.
pub(crate) fn masked(payload: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(payload).ok()?;
    (value.is_object() || value.is_array()).then(|| shape(value, 0))
}

fn shape(value: Value, depth: usize) -> Value {
    if depth >= DEPTH_MAX {
        return Value::Null;
    }
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => json!(false),
        Value::Number(_) => json!(0),
        Value::String(_) => json!("***"),
        Value::Array(values) => values.into_iter().map(|value| shape(value, depth + 1)).collect(),
        Value::Object(members) => {
            let shown = members.into_iter().map(|(name, value)| {
                (if is_word(&name) { name } else { "***".to_owned() }, shape(value, depth + 1))
            });
            Value::Object(shown.collect::<Map<_, _>>())
        }
    }
}

/// Whether a member's name is one of the device's making, and not somebody's name or number.
fn is_word(name: &str) -> bool {
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'$' | b':' | b'@');
    name.len() <= NAME_MAX && digits <= DIGITS_MAX && name.bytes().all(plain)
}

/// A payload as text, if it is text; the beginning of a long one.
pub(crate) fn shown_text(payload: &[u8]) -> Option<String> {
    let shown = cut(payload);
    match std::str::from_utf8(shown) {
        Ok(text) => Some(text.to_owned()),
        // Only its last character is cut off.
        Err(error) if error.error_len().is_none() && shown.len() < payload.len() => {
            std::str::from_utf8(&shown[..error.valid_up_to()]).ok().map(str::to_owned)
        }
        Err(_) => None,
    }
}

/// As much of a payload as is shown.
pub(crate) fn cut(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(SHOWN_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_has_the_members_and_none_of_the_values() {
        let payload = br#"{"patient":{"name":"Anna Novak","born":1950,"mrn":"123"},"MRN0012345":{"a b":[true,null,72.5]},"spo2":97}"#;
        let shown = masked(payload).unwrap();
        let expected = json!({
            "patient": {"name": "***", "born": 0, "mrn": "***"},
            "***": {"***": [false, null, 0]},
            "spo2": 0,
        });
        assert_eq!(shown, expected);
        for secret in ["Anna", "1950", "12345", "72.5", "97"] {
            assert!(!shown.to_string().contains(secret), "{secret}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_shape() {
        for payload in [&b"Anna Novak"[..], b"72.5", b"\"Anna\"", b"{", b"\xff"] {
            assert_eq!(masked(payload), None);
        }
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert!(masked(deep.as_bytes()).unwrap().to_string().len() <= 2 * DEPTH_MAX + 4);
    }

    #[test]
    fn text_is_cut_between_characters() {
        let long = "ü".repeat(SHOWN_MAX);
        let shown = shown_text(format!("x{long}").as_bytes()).unwrap();
        assert_eq!(shown.len(), SHOWN_MAX - 1);
        assert_eq!(shown_text(b"\xff\xfe"), None);
    }
}
