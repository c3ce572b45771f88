//! gzip and zstd, up to a limit.

use std::io::Read;

use super::writer::BYTES_MAX;
use crate::decode::reject::{Code, Reject};

/// How it was compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Gzip,
    Zstd,
}

/// What a frame of zstd may want to look back at, as a power of two: no more than it may become.
const WINDOW_LOG_MAX: u32 = 24;

/// What the first bytes say. No text, CBOR or MessagePack that is one value begins like that.
pub(super) fn method(bytes: &[u8]) -> Option<Method> {
    match bytes {
        [0x1f, 0x8b, 0x08, ..] => Some(Method::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Method::Zstd),
        _ => None,
    }
}

pub(super) fn inflate(bytes: &[u8], method: Method) -> Result<Vec<u8>, Reject> {
    match method {
        Method::Gzip => limited(flate2::read::MultiGzDecoder::new(bytes), "gzip"),
        Method::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(bytes).map_err(|_| corrupt("zstd"))?;
            decoder.window_log_max(WINDOW_LOG_MAX).map_err(|_| corrupt("zstd"))?;
            limited(decoder, "zstd")
        }
    }
}

fn limited(source: impl Read, name: &'static str) -> Result<Vec<u8>, Reject> {
    let mut inflated = Vec::new();
    let limit = BYTES_MAX as u64 + 1;
    source.take(limit).read_to_end(&mut inflated).map_err(|_| corrupt(name))?;
    if inflated.len() > BYTES_MAX {
        let reason = format!("the {name} unpacks to more than {} MiB", BYTES_MAX >> 20);
        return Err(Reject::new(Code::UnpackTooLarge, reason));
    }
    Ok(inflated)
}

fn corrupt(name: &'static str) -> Reject {
    Reject::new(Code::CompressionCorrupt, format!("not sound {name}"))
}
