//! Reads messages from lines of JSON: `{"topic": "dt/…", "payload": …}`, from standard input or a file.
//!
//! A text payload is taken as it is; any other JSON value becomes its own JSON text, byte for byte. A line that is not a
//! message is counted and reported by its number, never with its content.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::value::RawValue;
use service_runtime::Stop;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};
use tracing::{info, warn};

use super::{AcceptError, Door, Taken, WhenFull};

/// Longest line: room for the largest message with its escapes; what is longer is skipped.
const LINE_MAX: u64 = 16 << 20;
/// Lines that share one sync, if they are there at once.
const BATCH_MAX: usize = 256;

/// Why a line is not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a message: expected {{\"topic\": …, \"payload\": …}}")]
pub(crate) struct LineError;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// Parses one message.
pub(crate) fn parse_line(line: &[u8]) -> Result<Taken, LineError> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|_| LineError)?;
    let raw = line.payload.get();
    let payload = match raw.starts_with('"') {
        true => serde_json::from_str::<String>(raw).map_err(|_| LineError)?.into_bytes(),
        false => raw.as_bytes().to_vec(),
    };
    Ok(Taken::new(line.topic.into_owned(), payload))
}

/// Reads until the end of the input or `stop`; waits while the spool is full. The agent goes on when it ends.
pub(crate) async fn run(path: PathBuf, door: Door, stop: Stop) -> anyhow::Result<()> {
    if path == Path::new("-") {
        return read(BufReader::new(tokio::io::stdin()), door, stop).await;
    }
    let file = tokio::fs::File::open(&path)
        .await
        .map_err(|error| anyhow::anyhow!("cannot open {}: {error}", path.display()))?;
    read(BufReader::new(file), door, stop).await
}

async fn read(mut input: impl AsyncBufRead + Unpin, door: Door, stop: Stop) -> anyhow::Result<()> {
    let (mut number, mut accepted, mut batch, mut line) = (0_u64, 0_u64, Vec::new(), Vec::new());
    loop {
        line.clear();
        let mut limited = (&mut input).take(LINE_MAX);
        let got = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            got = limited.read_until(b'\n', &mut line) => got?,
        };
        if got > 0 {
            number += 1;
            let whole = line.ends_with(b"\n") || (got as u64) < LINE_MAX;
            match parse_line(&line) {
                _ if line.trim_ascii().is_empty() => {}
                Ok(message) if whole => batch.push(message),
                _ => {
                    warn!(line = number, "skipped: not a message, or longer than {LINE_MAX} bytes");
                }
            }
        }
        // More lines that are there already share the sync.
        let more = got > 0 && batch.len() < BATCH_MAX && input_has_line(&mut input).await?;
        if !more && !batch.is_empty() {
            accepted += accept(&door, &mut batch, number).await;
        }
        if got == 0 {
            break;
        }
    }
    info!(lines = number, accepted, "input has ended");
    Ok(())
}

async fn accept(door: &Door, batch: &mut Vec<Taken>, line: u64) -> u64 {
    let mut accepted = 0;
    while !batch.is_empty() {
        match door.accept(batch, WhenFull::Wait).await {
            Ok(offsets) => {
                accepted += offsets.len() as u64;
                batch.clear();
            }
            Err(AcceptError::Topic { index, problem }) => {
                warn!(up_to_line = line, %problem, "skipped a message");
                batch.remove(index);
            }
            Err(AcceptError::Refused { index, problem }) => {
                warn!(up_to_line = line, %problem, "skipped a message");
                accepted += index as u64;
                batch.drain(..=index);
            }
            Err(AcceptError::Stopping) => batch.clear(),
        }
    }
    accepted
}

/// Tells whether a whole line is buffered, so that taking it cannot wait.
async fn input_has_line(input: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<bool> {
    let buffered = std::future::poll_fn(|context| {
        // Only what is there: a pending read counts as nothing.
        match std::pin::Pin::new(&mut *input).poll_fill_buf(context) {
            std::task::Poll::Ready(Ok(bytes)) => std::task::Poll::Ready(Ok(bytes.contains(&b'\n'))),
            std::task::Poll::Ready(Err(error)) => std::task::Poll::Ready(Err(error)),
            std::task::Poll::Pending => std::task::Poll::Ready(Ok(false)),
        }
    });
    buffered.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_payloads_are_taken_as_they_are_and_others_byte_for_byte() {
        let text = parse_line(br#"{"topic":"a/b","payload":"x\ny"}"#).unwrap();
        assert_eq!((text.topic.as_str(), &text.payload[..]), ("a/b", &b"x\ny"[..]));
        let object = parse_line(br#"{"topic":"a/b","payload":{"v": 1.50}}"#).unwrap();
        assert_eq!(object.payload, br#"{"v": 1.50}"#);
        for bad in ["", "{}", r#"{"topic":1,"payload":2}"#, r#"{"topic":"a"}"#] {
            assert_eq!(parse_line(bad.as_bytes()), Err(LineError), "{bad}");
        }
    }
}
