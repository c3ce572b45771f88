//! Canonical JSON: object keys sorted, no white space, shortest round-trip numbers.
//!
//! The EHR writes its resources in this form, and the audit compares a resource of the lake in it, so that a
//! decoder may reorder keys or change white space, and nothing else.

use serde_json::Value;

/// Appends `value` in canonical form.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Object(map) => {
            // serde_json keeps keys sorted or in order of appearance, as some crate of the build asked for.
            let mut members: Vec<_> = map.iter().collect();
            members.sort_unstable_by_key(|(key, _)| key.as_str());
            out.push(b'{');
            for (i, (key, member)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_scalar(key, out);
                out.push(b':');
                write(member, out);
            }
            out.push(b'}');
        }
        scalar => write_scalar(scalar, out),
    }
}

/// Appends a string, number, boolean or null as JSON.
pub(crate) fn write_scalar<T: serde::Serialize + ?Sized>(scalar: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, scalar).expect("writing a scalar to memory cannot fail");
}

/// The canonical form of a JSON text; the bytes as they are when they are not JSON.
#[must_use]
pub fn of_text(text: &[u8]) -> Vec<u8> {
    match serde_json::from_slice::<Value>(text) {
        Ok(value) => {
            let mut out = Vec::with_capacity(text.len());
            write(&value, &mut out);
            out
        }
        Err(_) => text.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, canonical: &str) {
        assert_eq!(String::from_utf8(of_text(text.as_bytes())).unwrap(), canonical);
    }

    #[test]
    fn keys_are_sorted_and_white_space_goes() {
        check(
            r#"{ "b" : [1, 2.50, {"d":null,"c":true}], "a":"x\u00e9\n" }"#,
            "{\"a\":\"xé\\n\",\"b\":[1,2.5,{\"c\":true,\"d\":null}]}",
        );
    }

    #[test]
    fn canonical_text_stays_as_it_is() {
        let text = r#"{"a":36.6,"b":{"c":[]}}"#;
        check(text, text);
    }

    #[test]
    fn what_is_not_json_stays_as_it_is() {
        check("{not json", "{not json");
        check("", "");
    }
}
