//! CBOR (RFC 8949) to JSON.
//!
//! Whole numbers are written as they are, also those of tags 2 and 3; byte strings become base64url text, `undefined` null, and
//! what is no finite number its name. A tag says how its value is meant: times stay the text or number that they are.

use ciborium_ll::{Decoder, Error, Header};

use super::writer::{Writer, deeper};
use crate::decode::reject::{Code, Reject};

/// Longest whole number of tags 2 and 3 that is written as one, in bytes.
const BIG_BYTES_MAX: usize = 16;
/// Bytes of a text that are looked at in one go.
const CHUNK: usize = 4096;

/// The JSON of one value.
pub(super) fn to_json(bytes: &[u8]) -> Result<String, Reject> {
    let mut reader = Reader { decoder: Decoder::from(bytes) };
    let mut writer = Writer::new();
    reader.value(&mut writer, 0)?;
    let end = reader.decoder.offset();
    if end != bytes.len() {
        return Err(syntax(format!("there is more behind the value, which ends at byte {end}")));
    }
    Ok(writer.finish())
}

struct Reader<'a> {
    decoder: Decoder<&'a [u8]>,
}

impl Reader<'_> {
    /// The next header, and how long it is.
    fn pull(&mut self) -> Result<(Header, usize), Reject> {
        let start = self.decoder.offset();
        let header = self.decoder.pull().map_err(|error| wrong(&error))?;
        Ok((header, self.decoder.offset() - start))
    }

    fn value(&mut self, writer: &mut Writer, depth: usize) -> Result<(), Reject> {
        let next = self.pull()?;
        self.of(next, writer, depth)
    }

    fn of(
        &mut self,
        (header, length): (Header, usize),
        writer: &mut Writer,
        depth: usize,
    ) -> Result<(), Reject> {
        match header {
            Header::Positive(number) => writer.raw(&number.to_string()),
            Header::Negative(number) => writer.raw(&(!i128::from(number)).to_string()),
            // Of 16 bits each is one of 32.
            #[expect(clippy::cast_possible_truncation, reason = "it came as one of 32 bits")]
            Header::Float(number) if length < 9 => writer.single(number as f32),
            Header::Float(number) => writer.float(number),
            Header::Simple(20) => writer.raw("false"),
            Header::Simple(21) => writer.raw("true"),
            Header::Simple(22 | 23) => writer.raw("null"),
            Header::Simple(other) => writer.raw(&format!("\"simple({other})\"")),
            Header::Bytes(length) => {
                let bytes = self.bytes(length)?;
                writer.bytes(&bytes)
            }
            Header::Text(length) => self.text(length, writer),
            Header::Array(length) => self.array(length, writer, deeper(depth)?),
            Header::Map(length) => self.map(length, writer, deeper(depth)?),
            Header::Tag(tag) => self.tagged(tag, writer, deeper(depth)?),
            Header::Break => Err(syntax("something ends that has not begun")),
        }
    }

    fn tagged(&mut self, tag: u64, writer: &mut Writer, depth: usize) -> Result<(), Reject> {
        let next = self.pull()?;
        let (2 | 3, Header::Bytes(length)) = (tag, next.0) else {
            return self.of(next, writer, depth);
        };
        let bytes = self.bytes(length)?;
        if bytes.len() > BIG_BYTES_MAX {
            return writer.bytes(&bytes);
        }
        let number = bytes.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        match number.checked_add(1) {
            Some(next) if tag == 3 => writer.raw(&format!("-{next}")),
            None if tag == 3 => writer.bytes(&bytes),
            _ => writer.raw(&number.to_string()),
        }
    }

    fn bytes(&mut self, length: Option<usize>) -> Result<Vec<u8>, Reject> {
        let mut bytes = Vec::new();
        let mut chunk = [0; CHUNK];
        let mut segments = self.decoder.bytes(length);
        while let Some(mut segment) = segments.pull().map_err(|error| wrong(&error))? {
            while let Some(part) = segment.pull(&mut chunk).map_err(|error| wrong(&error))? {
                bytes.extend_from_slice(part);
            }
        }
        Ok(bytes)
    }

    fn text(&mut self, length: Option<usize>, writer: &mut Writer) -> Result<(), Reject> {
        let mut chunk = [0; CHUNK];
        writer.raw("\"")?;
        let mut segments = self.decoder.text(length);
        while let Some(mut segment) = segments.pull().map_err(|error| wrong(&error))? {
            while let Some(part) = segment.pull(&mut chunk).map_err(|error| wrong(&error))? {
                writer.piece(part)?;
            }
        }
        writer.raw("\"")
    }

    fn array(
        &mut self,
        length: Option<usize>,
        writer: &mut Writer,
        depth: usize,
    ) -> Result<(), Reject> {
        let mut count = 0;
        writer.raw("[")?;
        while length.is_none_or(|length| count < length) {
            let next = self.pull()?;
            if next.0 == Header::Break && length.is_none() {
                break;
            }
            if count > 0 {
                writer.raw(",")?;
            }
            self.of(next, writer, depth)?;
            count += 1;
        }
        writer.raw("]")
    }

    fn map(
        &mut self,
        length: Option<usize>,
        writer: &mut Writer,
        depth: usize,
    ) -> Result<(), Reject> {
        let mut count = 0;
        writer.raw("{")?;
        while length.is_none_or(|length| count < length) {
            let next = self.pull()?;
            if next.0 == Header::Break && length.is_none() {
                break;
            }
            if count > 0 {
                writer.raw(",")?;
            }
            if let Header::Text(length) = next.0 {
                self.text(length, writer)?;
            } else {
                let mut key = Writer::for_key();
                self.of(next, &mut key, depth)?;
                writer.text(&key.finish())?;
            }
            writer.raw(":")?;
            self.value(writer, depth)?;
            count += 1;
        }
        writer.raw("}")
    }
}

fn wrong<E>(error: &Error<E>) -> Reject {
    match error {
        Error::Io(_) => syntax("it ends too early"),
        Error::Syntax(at) => syntax(format!("not CBOR at byte {at}")),
    }
}

fn syntax(reason: impl Into<std::borrow::Cow<'static, str>>) -> Reject {
    Reject::new(Code::CborSyntax, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let two = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
        digits.chunks(2).map(two).collect()
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        // RFC 8949, appendix A.
        for (bytes, json) in [
            ("00", "0"),
            ("1bffffffffffffffff", "18446744073709551615"),
            ("3bffffffffffffffff", "-18446744073709551616"),
            ("c249010000000000000000", "18446744073709551616"),
            ("c349010000000000000000", "-18446744073709551617"),
            ("f93e00", "1.5"),
            ("fa47c35000", "100000.0"),
            ("fa41aa6666", "21.3"),
            ("fb3ff199999999999a", "1.1"),
            ("f97e00", "\"NaN\""),
            ("f9fc00", "\"-Infinity\""),
            ("f4", "false"),
            ("f6", "null"),
            ("f7", "null"),
            ("f8ff", "\"simple(255)\""),
            ("c074323031332d30332d32315432303a30343a30305a", "\"2013-03-21T20:04:00Z\""),
            ("c11a514b67b0", "1363896240"),
            ("c1fb41d452d9ec200000", "1363896240.5"),
            ("d74401020304", "\"AQIDBA\""),
            ("4401020304", "\"AQIDBA\""),
            ("62225c", "\"\\\"\\\\\""),
            ("64f0908591", "\"\u{10151}\""),
            ("83010203", "[1,2,3]"),
            ("a201020304", r#"{"1":2,"3":4}"#),
            ("a26161016162820203", r#"{"a":1,"b":[2,3]}"#),
            ("a18201f402", r#"{"[1,false]":2}"#),
            ("5f42010243030405ff", "\"AQIDBAU\""),
            ("7f657374726561646d696e67ff", "\"streaming\""),
            ("9f018202039f0405ffff", "[1,[2,3],[4,5]]"),
            ("bf6346756ef563416d7421ff", r#"{"Fun":true,"Amt":-2}"#),
            ("a26161016161 02", r#"{"a":1,"a":2}"#),
            ("d9d9f7a0", "{}"),
        ] {
            assert_eq!(to_json(&hex(bytes)).unwrap(), json, "{bytes}");
        }
    }

    #[test]
    fn what_is_not_sound_is_refused() {
        for bytes in [
            "", "18", "61", "62c328", "ff", "0000", "1c", "81", "a101", "82ff", "9f", "bf01ff",
            "7f4101ff", "ff00",
        ] {
            let code = to_json(&hex(bytes)).unwrap_err().code;
            assert_eq!(code, Code::CborSyntax, "{bytes}");
        }
    }

    #[test]
    fn inv8_depth_and_keys_have_limits_and_lengths_are_not_believed() {
        let deep = |open: u8, levels: usize| [vec![open; levels], vec![0]].concat();
        assert!(to_json(&deep(0x81, 64)).is_ok());
        for open in [0x81, 0xc1] {
            assert_eq!(to_json(&deep(open, 65)).unwrap_err().code, Code::NestingTooDeep);
        }
        for huge in
            ["9bffffffffffffffff", "bbffffffffffffffff", "5bffffffffffffffff", "7b7fffffffffffffff"]
        {
            assert_eq!(to_json(&hex(huge)).unwrap_err().code, Code::CborSyntax, "{huge}");
        }
        // A key in a key in a key is escaped again and again.
        let keys = [vec![0xa1; 40], vec![0x61, b'"'], vec![0; 40]].concat();
        assert_eq!(to_json(&keys).unwrap_err().code, Code::UnpackTooLarge);
    }

    proptest! {
        #[test]
        fn whatever_comes_out_is_json(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(json) = to_json(&bytes) {
                prop_assert!(serde_json::from_str::<&RawValue>(&json).is_ok(), "{}", json);
            }
        }
    }
}
