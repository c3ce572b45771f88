//! Decides what a source sends, when it sends it again and what it may forget: TCP's cumulative acknowledgement for a spool.
//!
//! Positions only make sense in this order: `landed <= sent <= synced <= appended`. A receipt moves `landed`, sending
//! moves `sent`, the disk moves the other two. Only synced messages are sent; only landed ones are forgotten (INV-3).
//!
//! Nothing but a receipt whose chain value equals our own frees anything. A receipt that contradicts what we hold means that
//! somebody else used our identity (a cloned disk, a restored snapshot): a *fork*. Then nothing is freed and nothing is
//! sent until the spool has been moved to a new epoch.

use std::collections::VecDeque;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::frame::{FRAME_BYTES, FRAME_MAX};
use crate::id::{Epoch, Offset};
use crate::receipt::Receipt;
use crate::spool::record::CHAIN_START;

/// Most frames in flight; a source with more to send waits for a receipt.
pub const IN_FLIGHT_MAX: usize = 1024;
/// However often a source is asked to say that it has nothing more.
const WORD_LEAST: Duration = Duration::from_secs(1);
/// A frame smaller than this is not worth sending while others are in flight and the window is nearly used up.
const WORTH_SENDING: u64 = 64 << 10;

/// How patient a source is. Durations are measured from the last progress.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// After this long without progress, ask for a receipt with an empty frame; doubles up to `probe_max`.
    pub probe_first: Duration,
    /// Longest time between two such questions.
    pub probe_max: Duration,
    /// After this long without progress, send everything from `landed` again; doubles up to `rewind_max`.
    pub rewind_first: Duration,
    /// Longest time between two such rewinds.
    pub rewind_max: Duration,
    /// Who has nothing to send says so, by a probe, once in so long: an hour is over only for a source that is heard.
    pub word_every: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            probe_first: Duration::from_secs(5),
            probe_max: Duration::from_secs(60),
            rewind_first: Duration::from_secs(60),
            rewind_max: Duration::from_secs(600),
            word_every: Duration::from_secs(30),
        }
    }
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send a frame that starts at `from` with at most `raw_max` bytes of records below `limit` (one record at least).
    Frame {
        /// First offset.
        from: Offset,
        /// Offsets at or above this one may not be sent yet.
        limit: Offset,
        /// Most raw bytes.
        raw_max: usize,
    },
    /// Send an empty frame at `from` to ask for a receipt.
    Probe {
        /// The offset that would be sent next.
        from: Offset,
    },
    /// Nothing until this uptime, or until something happens.
    Wait {
        /// When to ask again; `None` for not until something happens.
        until: Option<Duration>,
    },
}

/// Why a receipt changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is about another epoch of ours.
    OtherEpoch,
    /// It comes from another lake than the one that we are bound to.
    WrongLake {
        /// The lake we are bound to.
        bound: String,
        /// The lake that answered.
        heard: String,
    },
    /// It would move `landed` back. If it asks for more than we still have, all that we have is sent again.
    Stale,
}

/// What a receipt meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything below `landed` may be forgotten.
    Landed {
        /// The new position.
        landed: Offset,
    },
    /// Nothing new landed (the window or the resend position may have changed).
    Unchanged,
    /// Ignored.
    Refused(Refusal),
    /// The spool was forked: the lake holds other messages of ours than we do.
    Fork(Fork),
}

/// How a fork showed itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// What the receipt said is landed.
    pub claimed: Offset,
    /// The last offset on which lake and spool agree.
    pub common: Offset,
}

/// The positions of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Positions {
    /// Everything below is readable in the lake.
    pub landed: Offset,
    /// Everything below was sent at least once since the last rewind.
    pub sent: Offset,
    /// Everything below is on stable storage.
    pub synced: Offset,
    /// Everything below is accepted, or about to be.
    pub appended: Offset,
}

/// One frame that is not landed yet.
#[derive(Debug, Clone, Copy)]
struct InFlight {
    end: Offset,
    raw_bytes: u64,
    chain_end: u64,
}

/// The delivery state of one source and epoch.
#[derive(Debug)]
pub struct Delivery {
    epoch: Epoch,
    lake: Option<String>,
    at: Positions,
    in_flight: VecDeque<InFlight>,
    in_flight_bytes: u64,
    window: Option<u64>,
    fork: Option<Fork>,
    last_rewind: Option<(Offset, Duration)>,
    probe_at: Duration,
    rewind_at: Duration,
    probes: Backoff,
    rewinds: Backoff,
    word_at: Duration,
    word_every: Duration,
    /// As the last receipt asked.
    word_asked: Option<Duration>,
}

impl Delivery {
    /// Starts with what the spool found on disk: `landed` from its state file (or its first record), the lake that it is
    /// bound to, and `synced`. Everything not landed is sent again.
    pub fn new(
        now: Duration,
        epoch: Epoch,
        lake: Option<String>,
        landed: Offset,
        synced: Offset,
        patience: Patience,
    ) -> Self {
        let mut probes = Backoff::new(patience.probe_first, patience.probe_max);
        let mut rewinds = Backoff::new(patience.rewind_first, patience.rewind_max);
        Self {
            epoch,
            lake,
            at: Positions { landed, sent: landed, synced, appended: synced },
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            window: None,
            fork: None,
            last_rewind: None,
            probe_at: now + probes.delay(0),
            rewind_at: now + rewinds.delay(0),
            probes,
            rewinds,
            word_at: now,
            word_every: patience.word_every,
            word_asked: None,
        }
    }

    /// Returns the positions.
    pub fn positions(&self) -> Positions {
        self.at
    }

    /// Returns the lake that this source is bound to.
    pub fn lake(&self) -> Option<&str> {
        self.lake.as_deref()
    }

    /// Returns the credit from the last receipt; `None` before the first.
    pub fn window(&self) -> Option<u64> {
        self.window
    }

    /// Returns the fork, if there is one.
    pub fn fork(&self) -> Option<Fork> {
        self.fork
    }

    /// Takes note of what is on stable storage.
    pub fn on_synced(&mut self, now: Duration, appended: Offset, synced: Offset) {
        let was_idle = self.at.landed == self.at.synced;
        self.at.synced = self.at.synced.max(synced);
        self.at.appended = self.at.appended.max(appended).max(self.at.synced);
        if was_idle && self.at.synced > self.at.landed {
            // Patience counts from the moment that there is something to be patient about.
            self.progress(now);
        }
    }

    /// Decides what to send.
    pub fn next(&self, now: Duration) -> Next {
        if self.fork.is_some() {
            return Next::Wait { until: None };
        }
        if self.at.landed == self.at.synced {
            return match now >= self.word_at {
                true => Next::Probe { from: self.at.sent },
                false => Next::Wait { until: Some(self.word_at) },
            };
        }
        // Who watches for silence wants to know what is sent, not only what is landed.
        let word = self.word_asked.filter(|_| self.at.sent == self.at.synced);
        let word_at = word.map_or(Duration::MAX, |_| self.word_at);
        if now >= self.probe_at.min(word_at) {
            return Next::Probe { from: self.at.sent };
        }
        // Without anything in flight there is nothing to rewind, and that time may have passed long ago.
        let rewindable = self.at.sent > self.at.landed;
        let until = if rewindable { self.probe_at.min(self.rewind_at) } else { self.probe_at };
        let until = Some(until.min(word_at));
        let unsent = self.at.synced > self.at.sent && self.in_flight.len() < IN_FLIGHT_MAX;
        let room = match self.window {
            None if self.in_flight.is_empty() => FRAME_BYTES as u64,
            None | Some(0) => 0,
            // One frame may always be in flight while the window is open, however small the window.
            Some(window) if self.in_flight.is_empty() => window.max(1),
            Some(window) => window.saturating_sub(self.in_flight_bytes),
        };
        if !unsent || room == 0 || (room < WORTH_SENDING && !self.in_flight.is_empty()) {
            return Next::Wait { until };
        }
        let raw_max = usize::try_from(room).unwrap_or(usize::MAX).min(FRAME_MAX);
        Next::Frame { from: self.at.sent, limit: self.at.synced, raw_max }
    }

    /// Takes note of a frame that was handed to the transport: it ends at `end`, with chain value `chain_end` there. Of one that does
    /// not move on, or says more than is on stable storage, nothing is noted: it is sent again from where it began.
    pub fn on_sent(&mut self, end: Offset, raw_bytes: u64, chain_end: u64) {
        if end <= self.at.sent || end > self.at.synced {
            return;
        }
        self.in_flight.push_back(InFlight { end, raw_bytes, chain_end });
        self.in_flight_bytes += raw_bytes;
        self.at.sent = end;
    }

    /// Takes note of a probe that was handed to the transport.
    pub fn on_probed(&mut self, now: Duration, random: u64) {
        self.probe_at = now + self.probes.delay(random);
        self.word_at = now + self.word_asked.unwrap_or(self.word_every);
    }

    /// Rewinds to `landed` when nothing moved for a long while; tells whether it did.
    pub fn on_time(&mut self, now: Duration, random: u64) -> bool {
        if now < self.rewind_at || self.at.sent == self.at.landed {
            return false;
        }
        self.rewind_at = now + self.rewinds.delay(random);
        self.rewind_to(self.at.landed);
        true
    }

    /// Takes note of a new connection: frames may have been lost with the old one, so ask at once.
    pub fn on_connected(&mut self, now: Duration) {
        self.word_at = now;
        if self.at.sent > self.at.landed {
            self.probe_at = now;
        }
    }

    /// Returns the chain value at `offset` if a frame in flight ends there.
    pub fn chain_in_flight(&self, offset: Offset) -> Option<u64> {
        let at = self.in_flight.partition_point(|frame| frame.end < offset);
        self.in_flight.get(at).filter(|frame| frame.end == offset).map(|frame| frame.chain_end)
    }

    /// Takes note of how often it is to say that it has nothing more: not less often than it would by itself.
    fn asked(&mut self, now: Duration, word_ms: Option<u32>) {
        let asked = word_ms.map(|ms| Duration::from_millis(ms.into()));
        self.word_asked = asked.map(|asked| asked.max(WORD_LEAST).min(self.word_every));
        if let Some(asked) = self.word_asked {
            self.word_at = self.word_at.min(now + asked);
        }
    }

    /// Takes a receipt. `own_chain` is our chain value at `receipt.landed`, `None` when we no longer hold it.
    pub fn on_receipt(
        &mut self,
        now: Duration,
        receipt: &Receipt,
        own_chain: Option<u64>,
    ) -> Verdict {
        if receipt.epoch != self.epoch {
            return Verdict::Refused(Refusal::OtherEpoch);
        }
        if let Some(bound) = self.lake.as_ref().filter(|bound| **bound != receipt.lake_id) {
            return Verdict::Refused(Refusal::WrongLake {
                bound: bound.clone(),
                heard: receipt.lake_id.clone(),
            });
        }
        if receipt.landed < self.at.landed {
            // Either it is old, or its worker read the ledger before another one landed, and waits for what it can still get.
            if receipt.resend_from.is_some_and(|from| from <= self.at.landed) {
                self.resend(now, self.at.landed);
            }
            return Verdict::Refused(Refusal::Stale);
        }
        // After damage whose end is not known the chain is unknown on one side: that proves neither a fork nor the opposite.
        let unknown =
            receipt.chain == CHAIN_START && receipt.landed > 0 && own_chain != Some(CHAIN_START);
        let contradicts = !unknown && own_chain.is_some_and(|own| own != receipt.chain);
        if receipt.landed > self.at.synced || contradicts {
            let fork = Fork { claimed: receipt.landed, common: self.at.landed };
            self.fork = Some(fork);
            return Verdict::Fork(fork);
        }
        self.lake.get_or_insert_with(|| receipt.lake_id.clone());
        self.asked(now, receipt.word_ms);
        let reopened = self.window == Some(0) && receipt.window > 0;
        self.window = Some(receipt.window);
        let advanced = receipt.landed > self.at.landed && !unknown;
        if advanced {
            self.land(receipt.landed);
        }
        if advanced || reopened {
            self.progress(now);
        }
        match receipt.resend_from {
            Some(from) => self.resend(now, from),
            // Ingest has all that was sent and only takes its time to land it: nothing needs to be sent again.
            None if self.at.sent == self.at.synced => {
                self.rewind_at = now + self.rewinds.delay(0) * 2;
            }
            None => {}
        }
        if advanced { Verdict::Landed { landed: self.at.landed } } else { Verdict::Unchanged }
    }

    fn land(&mut self, landed: Offset) {
        while let Some(frame) = self.in_flight.pop_front_if(|frame| frame.end <= landed) {
            self.in_flight_bytes -= frame.raw_bytes;
        }
        self.at.landed = landed;
        self.at.sent = self.at.sent.max(landed);
    }

    fn resend(&mut self, now: Duration, from: Offset) {
        if from < self.at.landed || from >= self.at.sent {
            return;
        }
        // Every frame behind a lost one is answered with the same `resend_from`: going back once is enough.
        let repeated = self
            .last_rewind
            .is_some_and(|(to, when)| to == from && now < when + Duration::from_secs(1));
        if !repeated {
            self.last_rewind = Some((from, now));
            self.rewind_to(from);
        }
    }

    fn rewind_to(&mut self, to: Offset) {
        while let Some(frame) = self.in_flight.pop_back_if(|frame| frame.end > to) {
            self.in_flight_bytes -= frame.raw_bytes;
        }
        // A receipt may ask for the middle of a frame: what is before it in that frame is in flight no longer, as far as
        // the window goes, but its offsets are not sent again.
        self.at.sent = to;
    }

    fn progress(&mut self, now: Duration) {
        self.probes.reset();
        self.rewinds.reset();
        self.probe_at = now + self.probes.delay(0) * 2;
        self.rewind_at = now + self.rewinds.delay(0) * 2;
    }
}

#[cfg(test)]
mod tests;
