//! A scanner for the JSON that devices send all day: flat objects, short texts without escapes, ordinary numbers.
//!
//! It borrows from the payload and allocates nothing. Whatever is out of the ordinary makes it give up (`None`), and the
//! payload goes the careful way; so it never has to explain an error, and it must never accept what is not JSON.

use super::json::Given;

/// A position in a payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// Powers of ten that a double holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];
/// Whole numbers up to here are exact in a double.
const EXACT_MAX: u64 = 1 << 53;
/// Digits that always fit 64 bits.
const DIGITS_MAX: usize = 18;

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is not white space, without taking it.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        self.byte()
    }

    /// Takes `byte` if it comes next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Nothing is left but white space.
    pub(super) fn ends(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Takes `literal` if exactly that comes next.
    pub(super) fn literal(&mut self, literal: &str) -> bool {
        self.peek();
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let found = rest.starts_with(literal.as_bytes());
        self.at += if found { literal.len() } else { 0 };
        found
    }

    /// A text without escapes.
    pub(super) fn string(&mut self) -> Option<&'a str> {
        if !self.take(b'"') {
            return None;
        }
        let start = self.at;
        let rest = self.text.as_bytes().get(start..)?;
        let len = plain_length(rest);
        if rest.get(len) != Some(&b'"') {
            return None;
        }
        self.at = start + len + 1;
        self.text.get(start..start + len)
    }

    /// A member's name and the colon.
    pub(super) fn key(&mut self) -> Option<&'a str> {
        let key = self.string()?;
        self.take(b':').then_some(key)
    }

    /// A text, number, boolean or null.
    pub(super) fn scalar(&mut self) -> Option<Given<'a>> {
        match self.peek()? {
            b'"' => self.string().map(Given::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b'n' => self.word("null", Given::Null),
            b't' => self.word("true", Given::Bool(true)),
            b'f' => self.word("false", Given::Bool(false)),
            _ => None,
        }
    }

    /// The same, with its text.
    pub(super) fn raw_scalar(&mut self) -> Option<(Given<'a>, &'a str)> {
        self.peek()?;
        let start = self.at;
        let given = self.scalar()?;
        Some((given, self.text.get(start..self.at)?))
    }

    fn word(&mut self, word: &str, given: Given<'a>) -> Option<Given<'a>> {
        let found = self.text.as_bytes().get(self.at..)?.starts_with(word.as_bytes());
        self.at += word.len();
        found.then_some(given)
    }

    /// Reads digits into `number`; returns how many.
    fn digits(&mut self, number: &mut u64) -> usize {
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.byte() {
            *number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        self.at - start
    }

    /// A number that can be converted exactly with one operation (Clinger's fast path).
    fn number(&mut self) -> Option<Given<'a>> {
        let negative = self.byte() == Some(b'-');
        self.at += usize::from(negative);
        let leading_zero = self.byte() == Some(b'0');
        let mut mantissa = 0;
        let whole = self.digits(&mut mantissa);
        if whole == 0 || (leading_zero && whole > 1) {
            return None;
        }
        let mut fraction = 0;
        if self.byte() == Some(b'.') {
            self.at += 1;
            fraction = self.digits(&mut mantissa);
            if fraction == 0 {
                return None;
            }
        }
        if whole + fraction > DIGITS_MAX || matches!(self.byte(), Some(b'e' | b'E')) {
            return None;
        }
        if fraction == 0 && (mantissa > 0 || !negative) {
            let int = mantissa.cast_signed();
            return Some(Given::Int(if negative { -int } else { int }));
        }
        if mantissa > EXACT_MAX {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "checked to be exact")]
        let value = mantissa as f64 / TENS[fraction];
        Some(Given::Float(if negative { -value } else { value }))
    }
}

/// How many bytes come before the first quote, backslash or control character; eight at a time.
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let mut len = 0;
    while let Some(word) = bytes.get(len..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*word);
        // The high bit of each byte that is below `limit`, for bytes and limits below 128; the lowest such bit is exact.
        let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGHS;
        let special = below(word, 0x20)
            | below(word ^ (ONES * u64::from(b'"')), 1)
            | below(word ^ (ONES * u64::from(b'\\')), 1);
        if special != 0 {
            return len + special.trailing_zeros() as usize / 8;
        }
        len += 8;
    }
    let rest = bytes.get(len..).unwrap_or_default();
    len + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::decode::read::Read;

    fn scalar(text: &str) -> Option<Given<'_>> {
        let mut scan = Scan::new(text);
        let given = scan.scalar()?;
        scan.ends().then_some(given)
    }

    #[test]
    fn ordinary_scalars_are_read() {
        assert_eq!(scalar(" 72 "), Some(Given::Int(72)));
        assert_eq!(scalar("-36.6"), Some(Given::Float(-36.6)));
        assert_eq!(scalar("\"é\""), Some(Given::Text("é")));
        assert_eq!(scalar("null"), Some(Given::Null));
        assert_eq!(scalar("false"), Some(Given::Bool(false)));
    }

    #[test]
    fn whatever_is_out_of_the_ordinary_is_left_to_the_careful_way() {
        for text in [
            "",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e3",
            "NaN",
            "nul",
            "truE",
            "\"a",
            "\"a\\n\"",
            "\"\u{1}\"",
            "[1]",
            "{}",
            "1 2",
            "1234567890123456789",
            "12345678901234567.5",
        ] {
            assert_eq!(scalar(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_it_reads_serde_json_reads_alike(text in r#"-?[0-9]{1,19}(\.[0-9]{1,12})?|"[a-z\\"é]{0,6}"|[a-z]{4,5}|-?0(\.0)?"#) {
            if let Some(given) = scalar(&text) {
                prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
                let careful = Read::of(&text);
                let careful = careful.given();
                prop_assert_eq!(given, careful);
                if let (Given::Float(fast), Given::Float(slow)) = (given, careful) {
                    prop_assert_eq!(fast.to_bits(), slow.to_bits());
                }
            }
        }

        #[test]
        fn eight_bytes_at_a_time_end_where_one_at_a_time_does(bytes in prop::collection::vec(any::<u8>(), 0..40), plain in 0_usize..40) {
            let mut bytes = bytes;
            for byte in bytes.iter_mut().take(plain) {
                // Nothing special, whatever it was.
                *byte |= 0x60;
                *byte &= 0xf3;
            }
            let one = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(bytes.len());
            prop_assert_eq!(plain_length(&bytes), one);
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,60}") {
            let mut scan = Scan::new(&text);
            let _any = (scan.scalar(), scan.key(), scan.take(b'{'), scan.ends());
        }
    }
}
