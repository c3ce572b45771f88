//! MessagePack to JSON.
//!
//! Whole numbers are written as they are, binary data becomes base64url text, timestamps seconds since 1970, and other
//! extensions an object with `type` and `data`.

use rmp::Marker;

use super::writer::{Writer, deeper};
use crate::decode::reject::{Code, Reject};

/// The type of a timestamp.
const TIMESTAMP: i8 = -1;

/// The JSON of one value.
pub(super) fn to_json(bytes: &[u8]) -> Result<String, Reject> {
    let mut reader = Reader { left: bytes };
    let mut writer = Writer::new();
    reader.value(&mut writer, 0)?;
    if !reader.left.is_empty() {
        let end = bytes.len() - reader.left.len();
        return Err(syntax(format!("there is more behind the value, which ends at byte {end}")));
    }
    Ok(writer.finish())
}

struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Reject> {
        let taken = self.left.split_at_checked(length);
        let (taken, left) = taken.ok_or_else(|| syntax("it ends too early"))?;
        self.left = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Reject> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| syntax("it ends too early"))
    }

    /// A length of so many bytes.
    fn length(&mut self, bytes: usize) -> Result<usize, Reject> {
        let digits = self.take(bytes)?;
        Ok(digits.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
    }

    fn value(&mut self, writer: &mut Writer, depth: usize) -> Result<(), Reject> {
        let [first] = self.array()?;
        let marker = Marker::from_u8(first);
        match marker {
            Marker::Null => writer.raw("null"),
            Marker::True => writer.raw("true"),
            Marker::False => writer.raw("false"),
            Marker::FixPos(number) => writer.raw(&number.to_string()),
            Marker::FixNeg(number) => writer.raw(&number.to_string()),
            Marker::U8 | Marker::U16 | Marker::U32 | Marker::U64 => {
                let number = u64::from_be_bytes(self.widened(marker, 0)?);
                writer.raw(&number.to_string())
            }
            Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64 => {
                let negative = self.left.first().is_some_and(|first| first >> 7 == 1);
                let fill = if negative { 0xff } else { 0 };
                let number = i64::from_be_bytes(self.widened(marker, fill)?);
                writer.raw(&number.to_string())
            }
            Marker::F32 => writer.single(f32::from_be_bytes(self.array()?)),
            Marker::F64 => writer.float(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(length) => self.text(length.into(), writer),
            Marker::Str8 => self.length(1).and_then(|length| self.text(length, writer)),
            Marker::Str16 => self.length(2).and_then(|length| self.text(length, writer)),
            Marker::Str32 => self.length(4).and_then(|length| self.text(length, writer)),
            Marker::Bin8 => self.length(1).and_then(|length| writer.bytes(self.take(length)?)),
            Marker::Bin16 => self.length(2).and_then(|length| writer.bytes(self.take(length)?)),
            Marker::Bin32 => self.length(4).and_then(|length| writer.bytes(self.take(length)?)),
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
                self.elements(marker, writer, deeper(depth)?)
            }
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
                self.members(marker, writer, deeper(depth)?)
            }
            Marker::FixExt1 => self.extension(1, writer),
            Marker::FixExt2 => self.extension(2, writer),
            Marker::FixExt4 => self.extension(4, writer),
            Marker::FixExt8 => self.extension(8, writer),
            Marker::FixExt16 => self.extension(16, writer),
            Marker::Ext8 => self.length(1).and_then(|length| self.extension(length, writer)),
            Marker::Ext16 => self.length(2).and_then(|length| self.extension(length, writer)),
            Marker::Ext32 => self.length(4).and_then(|length| self.extension(length, writer)),
            Marker::Reserved => Err(syntax("a byte that begins nothing")),
        }
    }

    /// A whole number with as many bytes as its marker says, as one of 64 bits.
    fn widened(&mut self, marker: Marker, fill: u8) -> Result<[u8; 8], Reject> {
        let length = match marker {
            Marker::U8 | Marker::I8 => 1,
            Marker::U16 | Marker::I16 => 2,
            Marker::U32 | Marker::I32 => 4,
            _ => 8,
        };
        let mut wide = [fill; 8];
        wide[8 - length..].copy_from_slice(self.take(length)?);
        Ok(wide)
    }

    /// A text; before there was binary data, that came as text.
    fn text(&mut self, length: usize, writer: &mut Writer) -> Result<(), Reject> {
        let bytes = self.take(length)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => writer.text(text),
            Err(_) => writer.bytes(bytes),
        }
    }

    fn count(&mut self, marker: Marker) -> Result<usize, Reject> {
        match marker {
            Marker::FixArray(count) | Marker::FixMap(count) => Ok(count.into()),
            Marker::Array16 | Marker::Map16 => self.length(2),
            _ => self.length(4),
        }
    }

    fn elements(
        &mut self,
        marker: Marker,
        writer: &mut Writer,
        depth: usize,
    ) -> Result<(), Reject> {
        writer.raw("[")?;
        for place in 0..self.count(marker)? {
            writer.raw(if place > 0 { "," } else { "" })?;
            self.value(writer, depth)?;
        }
        writer.raw("]")
    }

    fn members(&mut self, marker: Marker, writer: &mut Writer, depth: usize) -> Result<(), Reject> {
        writer.raw("{")?;
        for place in 0..self.count(marker)? {
            writer.raw(if place > 0 { "," } else { "" })?;
            let start = self.left;
            let mut key = Writer::for_key();
            match start.first().map(|first| Marker::from_u8(*first)) {
                Some(Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32) => {
                    self.value(writer, depth)?;
                }
                _ => {
                    self.value(&mut key, depth)?;
                    writer.text(&key.finish())?;
                }
            }
            writer.raw(":")?;
            self.value(writer, depth)?;
        }
        writer.raw("}")
    }

    fn extension(&mut self, length: usize, writer: &mut Writer) -> Result<(), Reject> {
        let kind = i8::from_be_bytes(self.array()?);
        let data = self.take(length)?;
        if let Some((seconds, nanos)) = timestamp(data).filter(|_| kind == TIMESTAMP) {
            let fraction = format!(".{nanos:09}");
            let fraction = if nanos == 0 { "" } else { fraction.trim_end_matches('0') };
            return match (seconds, nanos) {
                // Nanoseconds count up from the second before.
                (seconds, 1..) if seconds < 0 => {
                    let below = format!(".{:09}", 1_000_000_000 - nanos);
                    let whole =
                        if seconds == -1 { "-0".to_owned() } else { (seconds + 1).to_string() };
                    writer.raw(&format!("{whole}{}", below.trim_end_matches('0')))
                }
                _ => writer.raw(&format!("{seconds}{fraction}")),
            };
        }
        writer.raw(&format!("{{\"type\":{kind},\"data\":"))?;
        writer.bytes(data)?;
        writer.raw("}")
    }
}

/// Seconds since 1970 and nanoseconds.
fn timestamp(data: &[u8]) -> Option<(i64, u32)> {
    let (seconds, nanos) = match data.len() {
        4 => (i64::from(u32::from_be_bytes(data.try_into().ok()?)), 0),
        8 => {
            let both = u64::from_be_bytes(data.try_into().ok()?);
            (i64::try_from(both & 0x3_ffff_ffff).ok()?, u32::try_from(both >> 34).ok()?)
        }
        12 => {
            let (nanos, seconds) = data.split_at(4);
            (
                i64::from_be_bytes(seconds.try_into().ok()?),
                u32::from_be_bytes(nanos.try_into().ok()?),
            )
        }
        _ => return None,
    };
    (nanos < 1_000_000_000).then_some((seconds, nanos))
}

fn syntax(reason: impl Into<std::borrow::Cow<'static, str>>) -> Reject {
    Reject::new(Code::MessagePackSyntax, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    #[test]
    fn every_kind_of_value_is_read() {
        for (bytes, json) in [
            (&[0x07][..], "7"),
            (&[0xe0], "-32"),
            (&[0xcc, 200], "200"),
            (&[0xcf, 255, 255, 255, 255, 255, 255, 255, 255], "18446744073709551615"),
            (&[0xd0, 0x80], "-128"),
            (&[0xd1, 0x01, 0x00], "256"),
            (&[0xd3, 128, 0, 0, 0, 0, 0, 0, 0], "-9223372036854775808"),
            (&[0xca, 0x41, 0xaa, 0x66, 0x66], "21.3"),
            (&[0xcb, 0x3f, 0xf1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a], "1.1"),
            (&[0xca, 0x7f, 0xc0, 0, 0], "\"NaN\""),
            (&[0xc0], "null"),
            (&[0xc3], "true"),
            (&[0xa2, b'a', b'"'], r#""a\"""#),
            (&[0xd9, 1, b'x'], "\"x\""),
            (&[0xa1, 0xff], "\"_w\""),
            (&[0xc4, 2, 1, 2], "\"AQI\""),
            (&[0x92, 0x01, 0x90], "[1,[]]"),
            (&[0xdc, 0, 1, 0xc2], "[false]"),
            (&[0x82, 0xa1, b'a', 0x01, 0x05, 0x80], r#"{"a":1,"5":{}}"#),
            (&[0xde, 0, 1, 0x91, 0xc0, 0x01], r#"{"[null]":1}"#),
            (&[0xd6, 0xff, 0x6b, 0x07, 0x37, 0x45], "1795635013"),
            (&[0xd7, 0xff, 0xee, 0x65, 0x0d, 0x80, 0x6b, 0x07, 0x37, 0x45], "1795635013.9999"),
            (
                &[0xc7, 12, 0xff, 0x1d, 0xcd, 0x65, 0, 255, 255, 255, 255, 255, 255, 255, 254],
                "-1.5",
            ),
            (
                &[0xc7, 12, 0xff, 0x1d, 0xcd, 0x65, 0, 255, 255, 255, 255, 255, 255, 255, 255],
                "-0.5",
            ),
            (&[0xd4, 0x05, 0xfb], r#"{"type":5,"data":"-w"}"#),
        ] {
            assert_eq!(to_json(bytes).unwrap(), json, "{bytes:x?}");
        }
    }

    #[test]
    fn inv8_what_is_not_sound_or_too_deep_is_refused() {
        for bytes in [
            &[][..],
            &[0xc1],
            &[0xcc],
            &[0xa2, b'a'],
            &[0x91],
            &[0xdd, 255, 255, 255, 255],
            &[0xdf, 255, 255, 255, 255, 0xc0],
            &[0x00, 0x00],
            &[0xc6, 255, 255, 255, 255],
        ] {
            assert_eq!(to_json(bytes).unwrap_err().code, Code::MessagePackSyntax, "{bytes:x?}");
        }
        let deep = |levels| [vec![0x91; levels], vec![0xc0]].concat();
        assert!(to_json(&deep(64)).is_ok());
        assert_eq!(to_json(&deep(65)).unwrap_err().code, Code::NestingTooDeep);
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
