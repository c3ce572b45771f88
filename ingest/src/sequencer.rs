//! Per-source order and recovery: what to do with a frame, and which receipts are owed. Pure, like TCP's receiver.
//!
//! `next` is one beyond the last offset taken, `landed` what the lake shows; `landed <= next`. A frame is taken where it
//! continues `next` (its head may repeat), and answered otherwise, so that a lost receipt or frame heals. Answers are
//! rate-limited per source, but an answer that was held back is owed and sent later.

mod room;

use std::collections::HashMap;
use std::time::Duration;

use telemetry_core::frame::FrameHeader;
use telemetry_core::id::{Epoch, Offset, SourceId};
use telemetry_core::spool::record::CHAIN_START;

/// A source in one epoch.
pub type Key = (SourceId, Epoch);

/// Shortest time between two answers to the same source.
const ANSWER_EVERY: Duration = Duration::from_millis(250);
/// A source that has sent nothing for this long does not count when the memory is shared out.
const ACTIVE_FOR: Duration = Duration::from_secs(30);
/// Answers handed out at once; the rest waits for the next call.
const ANSWERS_MAX: usize = 256;
/// Shortest time between two looks at the ledger for one source's sake.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Take its items from `next` on. `chain` is the value that the record at `next` must carry, `None` if unknown.
    Take {
        /// First offset to take.
        next: Offset,
        /// Expected chain value before it.
        chain: Option<u64>,
    },
    /// Everything in it was taken before, or it is a probe.
    Repeat,
    /// Frames before it are missing.
    Gap,
    /// Frames before it are missing, and the source no longer has them: another worker may have landed them since we read the
    /// ledger. Read it again, then offer the frame again.
    Behind,
    /// The source no longer has what comes next: read the ledger again, then [`Sequencer::skip`].
    Gone {
        /// First offset that is gone.
        from: Offset,
        /// First offset that the source still has.
        oldest: Offset,
    },
    /// There is no memory for it; its window is closed.
    Full,
    /// There are too many sources that are alive, or too many epochs of this one.
    TooMany,
}

/// What a receipt must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// To whom.
    pub key: Key,
    /// Everything below is landed.
    pub landed: Offset,
    /// Chain value there.
    pub chain: u64,
    /// Send again from here.
    pub resend_from: Option<Offset>,
    /// Memory is used up: close the window.
    pub closed: bool,
}

#[derive(Debug, Clone)]
struct Source {
    next: Offset,
    chain: Option<u64>,
    landed: Offset,
    landed_chain: u64,
    last_frame: Option<Duration>,
    answered: Option<Duration>,
    looked: Option<Duration>,
    owed: bool,
    resend: bool,
    closed: bool,
}

impl Source {
    fn at(landed: Offset, chain: u64) -> Self {
        Self {
            next: landed,
            chain: known(landed, chain),
            landed,
            landed_chain: chain,
            last_frame: None,
            answered: None,
            looked: None,
            owed: false,
            resend: false,
            closed: false,
        }
    }
}

/// After bytes that made no sense a chain is 0 and means nothing; at offset 0 it is where every chain starts.
fn known(offset: Offset, chain: u64) -> Option<u64> {
    (offset == 0 || chain != CHAIN_START).then_some(chain)
}

/// The positions of all sources of this worker.
#[derive(Debug)]
pub struct Sequencer {
    sources: HashMap<Key, Source>,
    sources_max: usize,
}

impl Sequencer {
    /// Starts with what the ledger knows. Every source is owed a receipt and goes on from there.
    pub fn new(
        sources_max: usize,
        positions: impl IntoIterator<Item = (Key, Offset, u64)>,
    ) -> Self {
        let mut sequencer = Self { sources: HashMap::new(), sources_max };
        sequencer.reset(positions);
        sequencer
    }

    /// Forgets what was taken and not landed: what was received since is gone, and everybody is owed a receipt that says so.
    pub fn reset(&mut self, positions: impl IntoIterator<Item = (Key, Offset, u64)>) {
        for source in self.sources.values_mut() {
            (source.next, source.chain) =
                (source.landed, known(source.landed, source.landed_chain));
        }
        for (key, landed, chain) in positions {
            let fresh = Source::at(landed, chain);
            let source = self.sources.entry(key).or_insert_with(|| fresh.clone());
            *source = Source { last_frame: source.last_frame, looked: source.looked, ..fresh };
        }
        self.connected();
    }

    /// Frames may have been lost with the old connection: everybody is owed a receipt.
    pub fn connected(&mut self) {
        for source in self.sources.values_mut() {
            (source.owed, source.resend) = (true, true);
        }
    }

    /// Decides about a frame. `room` is false when memory for it is used up; then it is not taken.
    pub fn offer(&mut self, now: Duration, header: &FrameHeader, room: bool) -> Verdict {
        let key = (header.source_id.clone(), header.epoch);
        if !self.sources.contains_key(&key) && !self.make_room(now, &key) {
            return Verdict::TooMany;
        }
        let source = self.sources.entry(key).or_insert_with(|| Source {
            // Its first receipt opens the window.
            owed: true,
            ..Source::at(0, CHAIN_START)
        });
        source.last_frame = Some(now);
        if header.first_offset > source.next {
            // Only a frame that goes on from there can tell the chain value there.
            let goes_on = header.first_offset <= header.oldest && header.end() > header.oldest;
            if source.next < header.oldest && goes_on {
                return Verdict::Gone { from: source.next, oldest: header.oldest };
            }
            if source.next < header.oldest && source.looked.is_none_or(|at| now >= at + LOOK_EVERY)
            {
                source.looked = Some(now);
                return Verdict::Behind;
            }
            (source.owed, source.resend) = (true, true);
            return Verdict::Gap;
        }
        if header.end() <= source.next {
            source.owed = true;
            return Verdict::Repeat;
        }
        if !room || source.closed {
            (source.owed, source.resend, source.closed) = (true, true, true);
            return Verdict::Full;
        }
        Verdict::Take { next: source.next, chain: source.chain }
    }

    /// Takes note that everything below `next` was taken.
    pub fn took(&mut self, key: &Key, next: Offset, chain: u64) {
        if let Some(source) = self.sources.get_mut(key) {
            (source.next, source.chain) = (next, known(next, chain));
            source.resend = false;
        }
    }

    /// The rest of a frame has to wait: the source sends it again after the next landing.
    pub fn stopped(&mut self, key: &Key) {
        if let Some(source) = self.sources.get_mut(key) {
            (source.owed, source.resend, source.closed) = (true, true, true);
        }
    }

    /// Offsets below `oldest` will never come: goes on from there. The chain is unknown until the next record.
    pub fn skip(&mut self, key: &Key, oldest: Offset) {
        if let Some(source) = self.sources.get_mut(key) {
            (source.next, source.chain) = (oldest.max(source.next), None);
        }
    }

    /// The source contradicts what was taken from it: it is answered, so that it can find out.
    pub fn forked(&mut self, key: &Key) {
        if let Some(source) = self.sources.get_mut(key) {
            source.owed = true;
        }
    }

    /// Everything below `landed` is readable: the source is owed a receipt, and so is everybody who was stopped for want of memory.
    pub fn landed(&mut self, positions: impl IntoIterator<Item = (Key, Offset, u64)>) {
        for (key, landed, chain) in positions {
            if let Some(source) = self.sources.get_mut(&key) {
                (source.landed, source.landed_chain) = (landed, chain);
                source.owed = true;
                // News may not be held back.
                source.answered = None;
            }
        }
        for source in self.sources.values_mut().filter(|source| source.closed) {
            (source.closed, source.owed, source.resend) = (false, true, true);
        }
    }

    /// The receipts to send now.
    pub fn answers(&mut self, now: Duration) -> Vec<Answer> {
        let due = |source: &Source| {
            source.owed && source.answered.is_none_or(|answered| now >= answered + ANSWER_EVERY)
        };
        let due = self.sources.iter_mut().filter(|(_, source)| due(source)).take(ANSWERS_MAX);
        due.map(|(key, source)| {
            source.owed = false;
            source.answered = Some(now);
            Answer {
                key: key.clone(),
                landed: source.landed,
                chain: source.landed_chain,
                resend_from: std::mem::take(&mut source.resend).then_some(source.next),
                closed: source.closed,
            }
        })
        .collect()
    }

    /// The answer to one source could not be sent: it stays owed.
    pub fn not_sent(&mut self, answer: &Answer) {
        if let Some(source) = self.sources.get_mut(&answer.key) {
            (source.owed, source.resend) = (true, answer.resend_from.is_some());
        }
    }

    /// Where a source is: (landed, next).
    #[must_use]
    pub fn position(&self, key: &Key) -> Option<(Offset, Offset)> {
        self.sources.get(key).map(|source| (source.landed, source.next))
    }

    /// How many sources share the memory.
    #[must_use]
    pub fn active(&self, now: Duration) -> usize {
        let active = |source: &&Source| source.last_frame.is_some_and(|at| now < at + ACTIVE_FOR);
        self.sources.values().filter(active).count()
    }
}

/// The raw bytes that one of `active` sources may have in flight, of `memory_bytes` in all.
#[must_use]
pub fn window(memory_bytes: u64, active: usize) -> u64 {
    /// Below this a source would send frames that are not worth it; the memory limit is then kept by dropping frames.
    const LEAST: u64 = 128 << 10;
    (memory_bytes / u64::try_from(active.max(1)).unwrap_or(u64::MAX)).max(LEAST)
}

#[cfg(test)]
mod tests;
