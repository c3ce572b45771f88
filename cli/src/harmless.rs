//! Makes text from outside harmless: nothing in it drives a terminal, breaks a line or turns its direction round.

use std::borrow::Cow;

/// The text with every character that does something, instead of being something, written out: `\n`, `\x1b`, `\u{202e}`.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if !acts(character) {
            shown.push(character);
            continue;
        }
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ if character.is_ascii() => shown += &format!("\\x{:02x}", u32::from(character)),
            _ => shown += &format!("\\u{{{:x}}}", u32::from(character)),
        }
    }
    Cow::Owned(shown)
}

/// JSON text with the same characters escaped as JSON has it: what is read from it is the same.
pub(crate) fn harmless_json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match acts(character) {
            // All of them are below U+10000.
            true => shown += &format!("\\u{:04x}", u32::from(character)),
            false => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// Control characters of both ranges, and those of Unicode that are not seen and move what is.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_written_out() {
        for plain in ["", "dt/ward-3/mon-1", "21,5 °C", "体温", "👩‍⚕️", "a\\nb"] {
            assert!(matches!(harmless(plain), Cow::Borrowed(same) if same == plain));
        }
        assert_eq!(harmless("a\x1b[2Jb\nc\td\r"), "a\\x1b[2Jb\\nc\\td\\r");
        assert_eq!(harmless("\u{9b}31m\u{7f}\0"), "\\u{9b}31m\\x7f\\x00");
        assert_eq!(harmless("abc\u{202e}fed\u{2066}"), "abc\\u{202e}fed\\u{2066}");
    }

    #[test]
    fn json_says_the_same_afterwards() {
        let said = serde_json::json!({"topic": "a\u{9b}b\u{7f}\u{202e}\x1b\n", "n": 1});
        let text = said.to_string();
        let shown = harmless_json(&text);
        assert!(!shown.chars().any(acts), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), said);
    }
}
