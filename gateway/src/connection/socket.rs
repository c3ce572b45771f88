//! The socket of a connection with its buffers.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use crash_point::Point;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::End;
use crate::listener::stream::Stream;
use crate::mqtt::Reason;
use crate::shared::Shared;

/// Room that is made in the receive buffer before a read; grows with what arrives, up to the second.
const READ_BYTES: usize = 2 << 10;
const READ_BYTES_MAX: usize = 128 << 10;

pub(super) struct Socket {
    shared: Arc<Shared>,
    stream: Stream,
    pub(super) input: BytesMut,
    pub(super) output: BytesMut,
    /// Acknowledgements are in `output`.
    pub(super) acknowledging: bool,
    read_bytes: usize,
    heard: Instant,
    /// Bytes of a large packet that is not complete, counted for all.
    receiving: Share,
}

/// What one connection has of what all together may receive at a time.
struct Share {
    own: usize,
    all: Arc<AtomicUsize>,
}

impl Share {
    /// Changes the share; tells whether all together have no more than `most`.
    fn set(&mut self, bytes: usize, most: usize) -> bool {
        let before = std::mem::replace(&mut self.own, bytes);
        if bytes == before {
            return true;
        }
        let all = self.all.fetch_add(bytes.wrapping_sub(before), Ordering::Relaxed);
        all.wrapping_add(bytes.wrapping_sub(before)) <= most
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0, 0);
    }
}

impl Socket {
    pub(super) fn new(stream: Stream, shared: &Arc<Shared>) -> Self {
        Self {
            shared: shared.clone(),
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            acknowledging: false,
            read_bytes: READ_BYTES,
            heard: Instant::now(),
            receiving: Share { own: 0, all: shared.receiving.clone() },
        }
    }

    /// Its client has proved who it is: limits for those who have not end.
    pub(super) fn trust(&mut self) {
        self.stream.trust();
    }

    /// Returns when the client was last heard of.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// Reads what there is. Cancel-safe.
    pub(super) async fn read(&mut self) -> Result<(), End> {
        let large = if self.input.len() > READ_BYTES_MAX { self.input.len() } else { 0 };
        if !self.receiving.set(large, self.shared.limits.receiving_bytes_max) {
            return Err(End::Reason(Reason::ServerBusy));
        }
        poll_fn(|cx| self.poll_ready(cx)).await;
        self.input.reserve(self.read_bytes);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) | Err(_) => Err(End::Lost),
            Ok(count) => {
                self.heard = Instant::now();
                self.shared.metrics.bytes_received.inc_by(count as u64);
                // Reads more at once from who sends much, less from who sends little.
                if count >= self.read_bytes {
                    self.read_bytes = (self.read_bytes * 4).min(READ_BYTES_MAX);
                } else if count < self.read_bytes / 16 {
                    self.read_bytes = (self.read_bytes / 2).max(READ_BYTES);
                }
                Ok(())
            }
        }
    }

    /// Waits until there is something to read. Who waits needs no buffers: most clients are silent most of the time.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ready = self.stream.poll_ready(cx);
        if ready.is_pending() {
            self.rest();
        }
        ready
    }

    /// Ends the peer's wait for what it has sent, when nothing is about to be sent that would.
    pub(super) fn acknowledge_now(&self) {
        if self.output.is_empty() {
            self.stream.acknowledge_now();
        }
    }

    /// Gives back the memory of a burst.
    pub(super) fn rest(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.is_empty() {
                *buffer = BytesMut::new();
            }
        }
    }

    /// Writes all output; a client that takes nothing for too long is given up.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        if self.output.is_empty() {
            return Ok(());
        }
        let patience = Duration::from_millis(self.shared.limits.write_time_ms);
        self.shared.metrics.bytes_sent.inc_by(self.output.len() as u64);
        while !self.output.is_empty() {
            match timeout(patience, self.stream.write_buf(&mut self.output)).await {
                Ok(Ok(count)) if count > 0 => {}
                Ok(_) => return Err(End::Lost),
                Err(_) => return Err(End::Reason(Reason::WriteTimeout)),
            }
        }
        // A stream with a buffer of its own, as TLS has, may hold some back.
        match timeout(patience, self.stream.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(End::Lost),
            Err(_) => return Err(End::Reason(Reason::WriteTimeout)),
        }
        if std::mem::take(&mut self.acknowledging) {
            crash_point::reach(Point::PubackSent);
        }
        Ok(())
    }

    /// Writes the last words, if the client takes them at once, and closes.
    pub(super) async fn close(&mut self) {
        let goodbye = async {
            if self.flush().await.is_ok() {
                // The client may be gone already: closing is all that is left to do.
                drop(self.stream.shutdown().await);
            }
        };
        drop(timeout(Duration::from_secs(1), goodbye).await);
    }
}
