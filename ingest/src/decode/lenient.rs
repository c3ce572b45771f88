//! JSON with numbers that JSON does not have: `NaN` and `Infinity` as Python writes them, `nan` and `inf` as C does. They become
//! texts, so that the other members of their message are not lost for them.

/// Words that stand where a value must be.
const WORDS: [&str; 9] =
    ["NaN", "nan", "NAN", "Infinity", "infinity", "inf", "Inf", "INF", "undefined"];

/// The text with each such word in quotes; `None` if there is none, or if it is not UTF-8.
pub(crate) fn repaired(payload: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(payload).ok()?;
    let mut repaired = String::new();
    let (mut rest, mut any) = (text, false);
    while let Some(at) = rest.find(['"', ':', ',', '[']) {
        let (before, found) = rest.split_at(at);
        repaired.push_str(before);
        if found.starts_with('"') {
            let end = string_end(found)?;
            repaired.push_str(found.get(..end)?);
            rest = found.get(end..)?;
            continue;
        }
        let value = found.get(1..)?.trim_start();
        let blank = found.len() - value.len();
        repaired.push_str(found.get(..blank)?);
        rest = value;
        if let Some(word) = word(value) {
            any = true;
            repaired.push('"');
            repaired.push_str(word);
            repaired.push('"');
            rest = value.get(word.len()..)?;
        }
    }
    repaired.push_str(rest);
    any.then_some(repaired)
}

/// The word at the beginning, with its sign.
fn word(value: &str) -> Option<&str> {
    let end = value.find([',', '}', ']', ' ', '\n', '\r', '\t']).unwrap_or(value.len());
    let word = value.get(..end)?;
    let plain = word.strip_prefix(['-', '+']).unwrap_or(word);
    WORDS.contains(&plain).then_some(word)
}

/// Length of the text in quotes at the beginning.
fn string_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bare_words_for_no_number_become_texts_and_nothing_else_changes() {
        for (given, expected) in [
            (r#"{"a":NaN,"b":1}"#, r#"{"a":"NaN","b":1}"#),
            (r#"{"a": -Infinity }"#, r#"{"a": "-Infinity" }"#),
            (r#"[nan, inf,-inf,1]"#, r#"["nan", "inf","-inf",1]"#),
            (r#"{"a":"x: NaN","b":nan}"#, r#"{"a":"x: NaN","b":"nan"}"#),
            (r#"{"a\":NaN":[Infinity]}"#, r#"{"a\":NaN":["Infinity"]}"#),
            ("{\"é\":\n\tnan\n}", "{\"é\":\n\t\"nan\"\n}"),
        ] {
            assert_eq!(repaired(given.as_bytes()).as_deref(), Some(expected), "{given}");
        }
        for same in [
            r#"{"a":1}"#,
            r#"{"a":"NaN"}"#,
            r#"{"a":nano}"#,
            "NaN",
            r#"{"a":"open"#,
            r#"{"NaN":1}"#,
            "",
        ] {
            assert_eq!(repaired(same.as_bytes()), None, "{same}");
        }
        assert_eq!(repaired(b"{\"a\":nan,\"b\":\"\xff\"}"), None);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in r#"[\[\]{}:,"\\aNn é-]{0,30}"#) {
            let _any = repaired(text.as_bytes());
        }
    }
}
