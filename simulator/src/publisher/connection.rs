//! The life of one connection: connect, resend, publish, settle answers, reconnect with jittered back-off.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use telemetry_core::backoff::Backoff;
use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;
use tracing::{debug, info};

use super::link::{Link, LinkError};
use super::mqtt::{Answer, Hello, Incoming, Place};
use super::poison::{Advice, Poison};
use super::session::Session;
use super::shared::Shared;
use crate::disorder::{Outgoing, Sending};
use crate::fingerprint::MessageKey;
use crate::journal::Entry;
use crate::progress::packet_bytes;
use crate::seeded::Stream;

/// Bytes staged for one write; beyond it the socket goes first.
const STAGE_MAX: usize = 256 << 10;
/// MQTT 5's reason for what is too large, also in the journal.
const PACKET_TOO_LARGE: u8 = 0x95;
/// Wait before a message that was turned away is offered again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// A message for a connection.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) outgoing: Outgoing,
    /// When its latency counts from, if that is not the moment of publishing: an open loop counts from when it was due.
    pub(crate) since: Option<Duration>,
}

/// One connection.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    client_id: String,
    queue: Receiver<Queued>,
    queue_ended: bool,
    session: Session,
    random: Stream,
    until_cut: Option<u64>,
    poison: Poison,
    /// Journal entries that must be written before `out` leaves.
    entries: Vec<Entry>,
}

impl Connection {
    pub(crate) fn new(
        shared: Arc<Shared>,
        client_id: String,
        queue: Receiver<Queued>,
        window: u16,
        seed: u64,
    ) -> Self {
        let random = Stream::new(seed, "connection", &client_id, "network");
        let session = Session::new(usize::from(window));
        let mut connection = Self {
            shared,
            client_id,
            queue,
            queue_ended: false,
            session,
            random,
            until_cut: None,
            poison: Poison::default(),
            entries: Vec::new(),
        };
        connection.plan_cut();
        connection
    }

    fn plan_cut(&mut self) {
        let every = self.shared.cut_every;
        self.until_cut = (every > 0).then(|| 1 + every / 2 + self.random.below(every));
    }

    /// Runs until the queue has ended and everything is answered, or until told to abort.
    ///
    /// # Errors
    /// When the gateway refuses this client for good, or the journal cannot be written.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let abort = self.shared.abort.clone();
        let ended = tokio::select! {
            ended = self.connect_and_serve() => ended,
            () = abort.cancelled() => Ok(()),
        };
        self.shared.progress.not_sent.add(self.queue.len() as u64);
        let left = self.session.len();
        if left > 0 {
            info!(
                client = self.client_id,
                unacknowledged = left,
                "ended without every acknowledgement"
            );
        }
        ended
    }

    async fn connect_and_serve(&mut self) -> anyhow::Result<()> {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        while !self.done() {
            let Shared { dial, codec, keep_alive_s, login, progress, tracker, .. } = &*self.shared;
            let hello = Hello {
                client_id: &self.client_id,
                login: login.as_ref(),
                keep_alive_s: *keep_alive_s,
                receipts: tracker.is_some(),
            };
            let opened = Link::open(&**dial, *codec, &hello).await;
            let connected = opened.is_ok();
            let ended = match opened {
                Ok(mut link) => {
                    if self.poison == Poison::default() {
                        backoff.reset();
                    }
                    progress.connects.add(1);
                    progress.connected.up();
                    let served = self.serve(&mut link).await;
                    self.shared.progress.connected.down();
                    if matches!(served, Ok(Ok(()))) {
                        link.close().await;
                    }
                    served?
                }
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) => return Ok(()),
                Err(LinkError::Refused { fatal: true, reason }) => {
                    anyhow::bail!("the gateway refuses client {}: {reason}", self.client_id)
                }
                Err(error) => {
                    if connected && error.is_from_outside() {
                        self.on_cut()?;
                    }
                    self.shared.progress.trouble(in_full(&error));
                    let delay = backoff.delay(self.random.bits());
                    debug!(client = self.client_id, error = %error, ?delay, "connecting again");
                    tokio::time::sleep(delay).await;
                }
            }
        }
        Ok(())
    }

    /// The gateway ended the connection. If it does so whenever one message is sent, that one is left out.
    fn on_cut(&mut self) -> anyhow::Result<()> {
        if self.poison.cut(self.session.len()) == Advice::Retry {
            return Ok(());
        }
        let Some(pkid) = self.session.oldest().map(|sent| sent.pkid) else { return Ok(()) };
        if let Some(sent) = self.session.settle(pkid) {
            self.entries.push(Entry::Refused(sent.message.key, PACKET_TOO_LARGE));
            self.shared.progress.set_aside(&sent.message, None, "connection_cut");
        }
        self.flush_journal()
    }

    fn done(&mut self) -> bool {
        if self.session.len() == 0
            && !self.queue_ended
            && self.queue.is_closed()
            && self.queue.is_empty()
        {
            self.queue_ended = true;
        }
        self.queue_ended && self.session.len() == 0
    }

    /// Serves one connection. The outer error is final, the inner one means "connect again".
    async fn serve(&mut self, link: &mut Link) -> anyhow::Result<Result<(), LinkError>> {
        let keep_alive = Duration::from_secs(u64::from(
            link.accepted.keep_alive_s.unwrap_or(self.shared.keep_alive_s),
        ));
        let mut heard = self.shared.clock.uptime();
        let mut pinged = false;
        if let Err(error) = self.resend(link) {
            return Ok(Err(error));
        }
        loop {
            if let Err(error) = self.stage(link) {
                self.flush_journal()?;
                return Ok(Err(error));
            }
            self.flush_journal()?;
            if self.done() && link.out.is_empty() {
                return Ok(Ok(()));
            }
            let now = self.shared.clock.uptime();
            let quiet = if pinged { keep_alive * 3 / 2 } else { keep_alive / 2 };
            let wake = self
                .session
                .next_retry()
                .unwrap_or(Duration::MAX)
                .min(heard + quiet)
                .saturating_sub(now);
            let room = !self.queue_ended
                && !self.poison.one_by_one()
                && self.session.room(link.accepted.receive_max) > 0
                && link.out.len() < STAGE_MAX;
            tokio::select! {
                arrived = link.turn() => match arrived {
                    Ok(true) => {
                        (heard, pinged) = (self.shared.clock.uptime(), false);
                        if let Err(error) = self.answers(link, heard) {
                            self.flush_journal()?;
                            return Ok(Err(error));
                        }
                        self.flush_journal()?;
                    }
                    Ok(false) => {}
                    Err(error) => return Ok(Err(error)),
                },
                queued = self.queue.recv(), if room => match queued {
                    Some(queued) => {
                        if let Err(error) = self.publish(link, queued) {
                            self.flush_journal()?;
                            return Ok(Err(error));
                        }
                    }
                    None => self.queue_ended = true,
                },
                () = tokio::time::sleep(wake) => {
                    let now = self.shared.clock.uptime();
                    if now >= heard + quiet {
                        if pinged {
                            return Ok(Err(LinkError::Silent));
                        }
                        link.codec.ping(&mut link.out);
                        pinged = true;
                    }
                }
            }
        }
    }

    /// Encodes what is due for another try and what is queued, as far as the window and the buffer have room.
    fn stage(&mut self, link: &mut Link) -> Result<(), LinkError> {
        let now = self.shared.clock.uptime();
        if self.session.next_retry().is_some_and(|at| at <= now) {
            for sent in self.session.retries(now) {
                self.entries.push(Entry::SendAgain(sent.message.key));
                link.codec.publish(&mut link.out, sent.pkid, false, &sent.message)?;
            }
        }
        while !self.queue_ended
            && !self.poison.one_by_one()
            && link.out.len() < STAGE_MAX
            && self.session.room(link.accepted.receive_max) > 0
        {
            match self.queue.try_recv() {
                Ok(queued) => self.publish(link, queued)?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.queue_ended = true,
            }
        }
        Ok(())
    }

    fn publish(&mut self, link: &mut Link, queued: Queued) -> Result<(), LinkError> {
        let Queued { outgoing: Outgoing { message, copy, .. }, since } = queued;
        let since = since.unwrap_or_else(|| self.shared.clock.uptime());
        let progress = &self.shared.progress;
        match copy {
            Sending::First | Sending::Malformed => {
                self.entries.push(Entry::Send((&message).into()));
            }
            Sending::Repeat => self.entries.push(Entry::SendAgain(message.key)),
        }
        if packet_bytes(&message) > link.accepted.packet_max() {
            // Sending it would only end the connection, again and again.
            self.entries.push(Entry::Refused(message.key, PACKET_TOO_LARGE));
            progress.set_aside(&message, link.accepted.packet_told, "too_large");
            return Ok(());
        }
        progress.published(copy);
        let key_for_publish = self.session.admit(message.clone(), since);
        link.codec.publish(&mut link.out, key_for_publish, false, &message)?;
        if let Some(left) = &mut self.until_cut {
            *left -= 1;
            if *left == 0 {
                self.plan_cut();
                self.shared.progress.cuts.add(1);
                return Err(LinkError::Cut);
            }
        }
        Ok(())
    }

    /// Everything unanswered goes out again, first of all.
    fn resend(&mut self, link: &mut Link) -> Result<(), LinkError> {
        if self.poison.one_by_one() {
            return self.resend_one(link);
        }
        let before = self.entries.len();
        for sent in self.session.resend() {
            self.entries.push(Entry::SendAgain(sent.message.key));
            link.codec.publish(&mut link.out, sent.pkid, true, &sent.message)?;
        }
        self.shared.progress.resent.add((self.entries.len() - before) as u64);
        Ok(())
    }

    fn resend_one(&mut self, link: &mut Link) -> Result<(), LinkError> {
        if let Some(sent) = self.session.oldest() {
            self.entries.push(Entry::SendAgain(sent.message.key));
            link.codec.publish(&mut link.out, sent.pkid, true, &sent.message)?;
            self.shared.progress.resent.add(1);
        }
        Ok(())
    }

    fn answers(&mut self, link: &mut Link, now: Duration) -> Result<(), LinkError> {
        while let Some(incoming) = link.next()? {
            if let Incoming::Acknowledged { pkid, answer, place } = incoming {
                self.answer(pkid, answer, place, now);
                self.poison.answered(self.session.len());
                if self.poison.one_by_one() {
                    self.resend_one(link)?;
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, pkid: u16, answer: Answer, place: Option<Place>, now: Duration) {
        let progress = &self.shared.progress;
        match answer {
            Answer::TryLater(reason) => {
                if let Some(sent) = self.session.defer(pkid, now + RETRY_AFTER) {
                    self.entries.push(Entry::Refused(sent.message.key, reason));
                    progress.deferred.add(1);
                }
            }
            Answer::Refused(reason) => {
                if let Some(sent) = self.session.settle(pkid) {
                    self.entries.push(Entry::Refused(sent.message.key, reason));
                    progress.set_aside(&sent.message, None, "refused");
                }
            }
            Answer::Accepted => {
                let Some(sent) = self.session.settle(pkid) else { return };
                let key: MessageKey = sent.message.key;
                self.entries.push(Entry::Acknowledged(key));
                progress.acknowledged.add(1);
                progress.puback.record(now.saturating_sub(sent.since));
                if let (Some(tracker), Some(place)) = (&self.shared.tracker, place) {
                    tracker.accepted(&place, sent.since, now);
                }
            }
        }
    }

    /// One write for all entries of this turn. It goes to the page cache, which is quick enough for an async task.
    fn flush_journal(&mut self) -> anyhow::Result<()> {
        if let Some(journal) = &self.shared.journal {
            journal.write(&self.entries).context("the journal must know every send")?;
        }
        self.entries.clear();
        Ok(())
    }
}

/// An error with what caused it.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}
