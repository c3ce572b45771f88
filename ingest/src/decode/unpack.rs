//! A payload as text: JSON as it came, CBOR and MessagePack as JSON, and whatever is compressed around them.
//!
//! What it unpacks to has a limit, and so has how deep it nests; the work is in proportion to what comes in and goes out.

mod cbor;
mod inflate;
mod message_pack;
mod writer;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::reject::{Code, Reject};

/// How the payloads of a rule are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Encoding {
    /// As the content type says; else text.
    #[default]
    Auto,
    /// JSON or plain text.
    Json,
    /// CBOR (RFC 8949).
    Cbor,
    /// MessagePack.
    MessagePack,
}

/// The text of a payload; around each encoding may be gzip or zstd.
///
/// # Errors
/// What cannot be read, or would be too large.
pub(crate) fn unpack<'a>(
    bytes: &'a [u8],
    content_type: Option<&str>,
    encoding: Encoding,
) -> Result<Cow<'a, str>, Reject> {
    let said = content_type.map(Said::of).unwrap_or_default();
    let encoding = if encoding == Encoding::Auto { said.encoding } else { encoding };
    let Some(method) = inflate::method(bytes).or(said.compressed) else {
        return decoded(bytes, encoding);
    };
    let inflated = inflate::inflate(bytes, method)?;
    match encoding {
        // Not copied again.
        Encoding::Auto | Encoding::Json => match String::from_utf8(inflated) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(error) if encoding == Encoding::Auto => looked_at(error.as_bytes())
                .map(Cow::Owned)
                .ok_or_else(|| not_utf8(error.utf8_error())),
            Err(error) => Err(not_utf8(error.utf8_error())),
        },
        _ => decoded(&inflated, encoding).map(|text| Cow::Owned(text.into_owned())),
    }
}

fn decoded(bytes: &[u8], encoding: Encoding) -> Result<Cow<'_, str>, Reject> {
    match encoding {
        Encoding::Auto => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(error) => looked_at(bytes).map(Cow::Owned).ok_or_else(|| not_utf8(error)),
        },
        Encoding::Json => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(not_utf8),
        Encoding::Cbor => cbor::to_json(bytes).map(Cow::Owned),
        Encoding::MessagePack => message_pack::to_json(bytes).map(Cow::Owned),
    }
}

/// What begins as no text does, and is one whole map of CBOR or MessagePack to its last byte.
fn looked_at(bytes: &[u8]) -> Option<String> {
    match bytes.first()? {
        // RFC 8949, major type 5.
        0xa1..=0xbf => cbor::to_json(bytes).ok(),
        // fixmap, map 16, map 32
        0x81..=0x8f | 0xde | 0xdf => message_pack::to_json(bytes).ok(),
        _ => None,
    }
}

fn not_utf8(error: std::str::Utf8Error) -> Reject {
    Reject::new(Code::NotUtf8, format!("not UTF-8 after byte {}", error.valid_up_to()))
}

/// What a content type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Said {
    encoding: Encoding,
    compressed: Option<inflate::Method>,
}

impl Said {
    fn of(content_type: &str) -> Self {
        let name = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let kind = name.rsplit_once('/').map_or(name.as_str(), |(_, kind)| kind);
        let mut said = Self::default();
        // `senml+cbor`, `json+gzip`, `x-msgpack`, `vnd.msgpack`.
        for word in kind.split(['+', '.']) {
            match word.strip_prefix("x-").unwrap_or(word) {
                "json" => said.encoding = Encoding::Json,
                "cbor" => said.encoding = Encoding::Cbor,
                "msgpack" | "messagepack" => said.encoding = Encoding::MessagePack,
                "gzip" => said.compressed = Some(inflate::Method::Gzip),
                "zstd" => said.compressed = Some(inflate::Method::Zstd),
                _ => {}
            }
        }
        said
    }
}

#[cfg(test)]
mod tests;
