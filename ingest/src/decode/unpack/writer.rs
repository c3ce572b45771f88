//! Writes JSON piece by piece, up to a limit.

use crate::decode::DEPTH_MAX;
use crate::decode::reject::{Code, Reject};

/// Most that a payload may become, in bytes.
pub(super) const BYTES_MAX: usize = 16 << 20;
/// Most that a key that is no text may become.
const KEY_BYTES_MAX: usize = 1024;

/// JSON that is being written.
#[derive(Debug)]
pub(super) struct Writer {
    text: String,
    max: usize,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { text: String::new(), max: BYTES_MAX }
    }

    /// For the key of a map: it becomes a text, whatever it is.
    pub(super) fn for_key() -> Self {
        Self { text: String::new(), max: KEY_BYTES_MAX }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// Adds what is JSON already.
    pub(super) fn raw(&mut self, json: &str) -> Result<(), Reject> {
        self.text.push_str(json);
        if self.text.len() > self.max { Err(too_large(self.max)) } else { Ok(()) }
    }

    /// Adds a piece of a text, without quotes.
    pub(super) fn piece(&mut self, piece: &str) -> Result<(), Reject> {
        let mut plain = 0;
        for (at, byte) in piece.bytes().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.raw(&piece[plain..at])?;
            plain = at + 1;
            match byte {
                b'"' => self.raw("\\\"")?,
                b'\\' => self.raw("\\\\")?,
                b'\n' => self.raw("\\n")?,
                b'\r' => self.raw("\\r")?,
                b'\t' => self.raw("\\t")?,
                other => self.raw(&format!("\\u{other:04x}"))?,
            }
        }
        self.raw(&piece[plain..])
    }

    /// Adds a text.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Reject> {
        self.raw("\"")?;
        self.piece(text)?;
        self.raw("\"")
    }

    /// Adds bytes as base64url text.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Reject> {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        if self.text.len() + bytes.len() > self.max {
            return Err(too_large(self.max));
        }
        self.raw("\"")?;
        for three in bytes.chunks(3) {
            let at = |place: usize| u32::from(three.get(place).copied().unwrap_or(0));
            let bits = at(0) << 16 | at(1) << 8 | at(2);
            for digit in 0..=three.len() {
                let index = bits >> (18 - 6 * digit) & 63;
                self.text.push(char::from(DIGITS[index as usize]));
            }
        }
        self.raw("\"")
    }

    /// Adds a number that is no whole number; what is none becomes a text.
    pub(super) fn float(&mut self, number: f64) -> Result<(), Reject> {
        match number {
            finite if finite.is_finite() => self.raw(&format!("{finite:?}")),
            nan if nan.is_nan() => self.raw("\"NaN\""),
            infinite if infinite > 0.0 => self.raw("\"Infinity\""),
            _ => self.raw("\"-Infinity\""),
        }
    }

    /// The same of 32 bits: 21.3 is not 21.299999237060547.
    pub(super) fn single(&mut self, number: f32) -> Result<(), Reject> {
        if number.is_finite() {
            self.raw(&format!("{number:?}"))
        } else {
            self.float(number.into())
        }
    }
}

fn too_large(max: usize) -> Reject {
    let reason = match max {
        KEY_BYTES_MAX => {
            format!("a key that is no text has more than {KEY_BYTES_MAX} bytes as JSON")
        }
        _ => format!("it unpacks to more than {} MiB", max >> 20),
    };
    Reject::new(Code::UnpackTooLarge, reason)
}

/// One level deeper.
pub(super) fn deeper(depth: usize) -> Result<usize, Reject> {
    if depth >= DEPTH_MAX {
        return Err(Reject::new(Code::NestingTooDeep, format!("more than {DEPTH_MAX} levels")));
    }
    Ok(depth + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_are_base64url_without_padding() {
        let of = |bytes: &[u8]| {
            let mut writer = Writer::new();
            writer.bytes(bytes).unwrap();
            writer.finish()
        };
        // RFC 4648 section 10, and the two digits that differ from base64.
        for (bytes, text) in [
            (&b""[..], "\"\""),
            (b"f", "\"Zg\""),
            (b"fo", "\"Zm8\""),
            (b"foo", "\"Zm9v\""),
            (b"foobar", "\"Zm9vYmFy\""),
            (&[0xfb, 0xff], "\"-_8\""),
        ] {
            assert_eq!(of(bytes), text);
        }
    }

    #[test]
    fn numbers_are_written_as_short_as_they_can_be() {
        let mut writer = Writer::new();
        writer.single(21.3).unwrap();
        writer.raw(",").unwrap();
        writer.float(21.3).unwrap();
        writer.raw(",").unwrap();
        writer.float(1e300).unwrap();
        writer.raw(",").unwrap();
        writer.single(f32::NAN).unwrap();
        assert_eq!(writer.finish(), "21.3,21.3,1e300,\"NaN\"");
    }

    proptest! {
        #[test]
        fn a_text_can_be_read_back(text in any::<String>()) {
            let mut writer = Writer::new();
            writer.text(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(&writer.finish()).unwrap(), text);
        }
    }
}
