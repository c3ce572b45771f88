//! Publishes to an edge agent's HTTP input: `POST /v1/messages`, some messages at a time, until the agent has them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use serde::Serialize;
use service_runtime::http::{self, Method, StatusCode};
use telemetry_core::backoff::Backoff;
use telemetry_core::spool::format::encoded_len;
use telemetry_core::spool::record::MESSAGE_MAX;
use tokio::sync::mpsc::Receiver;
use tracing::debug;

use super::connection::Queued;
use super::shared::Shared;
use crate::disorder::Sending;
use crate::journal::Entry;
use crate::seeded::Stream;

/// Payload bytes of one request; the agent takes 4 MiB.
const BODY_MAX: usize = 1 << 20;
/// Time for one request.
const PATIENCE: Duration = Duration::from_secs(20);
/// In the journal, the reason why a message was not sent: bytes that JSON cannot carry (MQTT's "payload format invalid").
const NOT_TEXT: u8 = 0x99;
/// In the journal, the reason why a message was refused for its size (MQTT's "packet too large").
const TOO_LARGE: u8 = 0x95;

#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    payload: &'a str,
}

/// A sender with one request under way at a time.
pub(crate) struct HttpConnection {
    shared: Arc<Shared>,
    agent: SocketAddr,
    queue: Receiver<Queued>,
    batch_max: usize,
    random: Stream,
}

impl HttpConnection {
    pub(crate) fn new(
        shared: Arc<Shared>,
        agent: SocketAddr,
        id: &str,
        queue: Receiver<Queued>,
        batch_max: u16,
        seed: u64,
    ) -> Self {
        let random = Stream::new(seed, "connection", id, "network");
        Self { shared, agent, queue, batch_max: usize::from(batch_max.max(1)), random }
    }

    /// Runs until the queue has ended and everything is answered, or until told to abort.
    ///
    /// # Errors
    /// When the agent does not understand us, or the journal cannot be written.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let abort = self.shared.abort.clone();
        tokio::select! {
            ended = self.serve() => ended,
            () = abort.cancelled() => {
                self.shared.progress.not_sent.add(self.queue.len() as u64);
                Ok(())
            }
        }
    }

    async fn serve(&mut self) -> anyhow::Result<()> {
        let mut batch = Vec::with_capacity(self.batch_max);
        while self.queue.recv_many(&mut batch, self.batch_max).await > 0 {
            for part in parts(&batch) {
                self.post(part, false).await?;
            }
            batch.clear();
        }
        Ok(())
    }

    /// Sends `messages` until the agent has stored them.
    async fn post(&mut self, messages: &[Queued], again: bool) -> anyhow::Result<()> {
        let (body, sendable) = self.encode(messages, again)?;
        if sendable.is_empty() {
            return Ok(());
        }
        let since = self.shared.clock.uptime();
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        loop {
            let answer =
                http::call(self.agent, Method::POST, "/v1/messages", body.clone(), PATIENCE).await;
            match answer {
                Ok((StatusCode::OK, _)) => {
                    self.shared.progress.connects.add(1);
                    return self.acknowledged(&sendable, since);
                }
                Ok((StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND, text)) => {
                    let text = String::from_utf8_lossy(&text);
                    anyhow::bail!("the agent at {} refuses messages: {}", self.agent, text.trim())
                }
                // One of them is too large for the agent, however often it is sent; which one shows when each goes alone.
                Ok((StatusCode::PAYLOAD_TOO_LARGE, _)) => return self.each_alone(messages).await,
                // Full or stopping: part of it may be accepted already, as with an answer that was lost.
                Ok((status, _)) => {
                    debug!(%status, "the agent turned messages away for now");
                    self.shared.progress.deferred.add(sendable.len() as u64);
                }
                Err(error) => {
                    debug!(error = format!("{error:#}"), "no answer from the agent");
                    self.shared.progress.trouble(format!("{error:#}"));
                }
            }
            tokio::time::sleep(backoff.delay(self.random.bits())).await;
            self.shared.progress.resent.add(sendable.len() as u64);
            let again = sendable.iter().map(|queued| Entry::SendAgain(queued.outgoing.message.key));
            self.journal(&again.collect::<Vec<_>>())?;
        }
    }

    async fn each_alone(&mut self, messages: &[Queued]) -> anyhow::Result<()> {
        if let [queued] = messages {
            let message = &queued.outgoing.message;
            self.shared.progress.set_aside(message, None, "too_large");
            return self.journal(&[Entry::Refused(message.key, TOO_LARGE)]);
        }
        for one in messages.chunks(1) {
            self.shared.progress.resent.add(1);
            Box::pin(self.post(one, true)).await?;
        }
        Ok(())
    }

    /// The request's body and the messages in it; the journal knows them when this returns.
    fn encode<'a>(
        &self,
        messages: &'a [Queued],
        again: bool,
    ) -> anyhow::Result<(Bytes, Vec<&'a Queued>)> {
        let (mut body, mut entries, mut sendable) = (Vec::new(), Vec::new(), Vec::new());
        for queued in messages {
            let message = &queued.outgoing.message;
            entries.push(match queued.outgoing.copy {
                Sending::First | Sending::Malformed if !again => Entry::Send(message.into()),
                _ => Entry::SendAgain(message.key),
            });
            if encoded_len("http", &message.topic, &[], &message.payload) > MESSAGE_MAX {
                // The agent would split it if it is FHIR, and the audit knows whole messages.
                entries.push(Entry::Refused(message.key, TOO_LARGE));
                if !again {
                    self.shared.progress.set_aside(message, None, "too_large");
                }
                continue;
            }
            let Ok(payload) = std::str::from_utf8(&message.payload) else {
                entries.push(Entry::Refused(message.key, NOT_TEXT));
                if !again {
                    self.shared.progress.refused.add(1);
                }
                continue;
            };
            serde_json::to_writer(&mut body, &Line { topic: &message.topic, payload })?;
            body.push(b'\n');
            if !again {
                self.shared.progress.published(queued.outgoing.copy);
            }
            sendable.push(queued);
        }
        self.journal(&entries)?;
        Ok((body.into(), sendable))
    }

    fn acknowledged(&self, messages: &[&Queued], since: Duration) -> anyhow::Result<()> {
        let (now, progress) = (self.shared.clock.uptime(), &self.shared.progress);
        for queued in messages {
            progress.puback.record(now.saturating_sub(queued.since.unwrap_or(since)));
        }
        progress.acknowledged.add(messages.len() as u64);
        let known = messages.iter().map(|queued| Entry::Acknowledged(queued.outgoing.message.key));
        self.journal(&known.collect::<Vec<_>>())
    }

    fn journal(&self, entries: &[Entry]) -> anyhow::Result<()> {
        match &self.shared.journal {
            Some(journal) => journal.write(entries).context("the journal must know every send"),
            None => Ok(()),
        }
    }
}

/// Splits messages so that each part fits a request.
fn parts(messages: &[Queued]) -> impl Iterator<Item = &[Queued]> {
    let mut bytes = 0;
    messages.chunk_by(move |before, _| {
        bytes += before.outgoing.message.payload.len();
        if bytes >= BODY_MAX {
            bytes = 0;
            return false;
        }
        true
    })
}
