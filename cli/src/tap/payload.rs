//! A payload as a person or a program can read it: JSON in one line, text as it is, bytes in hexadecimal; long ones cut.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::IgnoredAny;

use crate::harmless::harmless;

/// Bytes of text that are shown, unless all is asked for.
pub(crate) const TEXT_MAX: usize = 1024;
/// Bytes of what is no text: each takes two characters.
pub(crate) const BYTES_MAX: usize = 128;

/// A payload in one line, for people.
pub(crate) fn line(payload: &[u8], full: bool) -> String {
    if payload.is_empty() {
        return "(empty)".into();
    }
    let Some(text) = text_of(payload) else {
        let shown = &payload[..most(payload.len(), BYTES_MAX, full)];
        let mut line = String::from("binary ");
        for byte in shown {
            line += &format!("{byte:02x}");
        }
        return line + &left_out(payload.len() - shown.len());
    };
    let one_line = match text.trim_start().starts_with(['{', '[']) && is_json(text) {
        true => without_spaces(text),
        false => text.to_owned(),
    };
    let shown = cut(&one_line, most(one_line.len(), TEXT_MAX, full));
    harmless(shown).into_owned() + &left_out(one_line.len() - shown.len())
}

/// A payload for programs: text, or base64 of what is none, and the bytes that are left out.
pub(crate) enum Told<'a> {
    Text(&'a str, usize),
    Base64(String, usize),
}

/// The same payload for programs.
pub(crate) fn told(payload: &[u8], full: bool) -> Told<'_> {
    let shown = most(payload.len(), TEXT_MAX, full);
    match std::str::from_utf8(payload) {
        Ok(text) => {
            let shown = cut(text, shown);
            Told::Text(shown, text.len() - shown.len())
        }
        Err(_) => Told::Base64(BASE64_STANDARD.encode(&payload[..shown]), payload.len() - shown),
    }
}

fn most(length: usize, limit: usize, full: bool) -> usize {
    if full { length } else { length.min(limit) }
}

fn left_out(bytes: usize) -> String {
    match bytes {
        0 => String::new(),
        _ => format!(" … {} more bytes (--full shows all)", crate::print::grouped(bytes as u64)),
    }
}

/// The beginning of a text, of so many bytes at most.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Text that people wrote or could read; a NUL is in none.
fn text_of(payload: &[u8]) -> Option<&str> {
    std::str::from_utf8(payload).ok().filter(|text| !text.contains('\0'))
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// JSON without the spaces between its parts; numbers, names and their order stay as they were sent.
fn without_spaces(json: &str) -> String {
    let (mut out, mut inside, mut escaped) = (String::with_capacity(json.len()), false, false);
    for character in json.chars() {
        if !inside && matches!(character, ' ' | '\n' | '\r' | '\t') {
            continue;
        }
        match character {
            '"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = inside && character == '\\' && !escaped;
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(payload: &[u8]) -> String {
        line(payload, false)
    }

    #[test]
    fn each_kind_is_one_line() {
        assert_eq!(shown(b""), "(empty)");
        assert_eq!(shown(b"21.5"), "21.5");
        assert_eq!(shown("zwei\nZeilen °".as_bytes()), "zwei\\nZeilen °");
        let json = "{\n  \"a b\": [1.50, 2e3],\t\"c\": \"x \\\" y \\\\\" }\r\n";
        assert_eq!(shown(json.as_bytes()), r#"{"a b":[1.50,2e3],"c":"x \" y \\"}"#);
        assert_eq!(shown(b"{ not json"), "{ not json");
        assert_eq!(shown(&[0x1f, 0x8b, 0, 0xff]), "binary 1f8b00ff");
        assert_eq!(shown(b"a\0b"), "binary 610062");
        assert_eq!(shown(b"\x1b]0;owned\x07"), "\\x1b]0;owned\\x07");
    }

    #[test]
    fn what_is_cut_says_how_much() {
        let long = "é".repeat(1000);
        let line = shown(long.as_bytes());
        assert!(line.ends_with("é … 976 more bytes (--full shows all)"), "{line}");
        assert_eq!(super::line(long.as_bytes(), true), long);
        let bytes = vec![0xff; 5000];
        assert!(shown(&bytes).ends_with("ff … 4,872 more bytes (--full shows all)"));
        assert_eq!(super::line(&bytes, true).len(), "binary ".len() + 10_000);
    }

    #[test]
    fn programs_get_text_or_base64() {
        assert!(matches!(told(b"a\x1bb", false), Told::Text("a\x1bb", 0)));
        assert!(matches!(told(&[0xff, 0], false), Told::Base64(text, 0) if text == "/wA="));
        let long = "é".repeat(1000);
        assert!(
            matches!(told(long.as_bytes(), false), Told::Text(text, 976) if text.len() == 1024)
        );
        assert!(matches!(told(&[0xff; 2000], true), Told::Base64(_, 0)));
    }
}
