//! Per-source order and recovery: what to do with a frame, and which receipts are owed. Pure, like TCP's receiver.
//!
//! `next` is one beyond the last offset taken, `landed` what the lake shows; `landed <= next`. A frame is taken where it
//! continues `next` (its head may repeat), and answered otherwise, so that a lost receipt or frame heals. Answers are
//! rate-limited per source, but an answer that was held back is owed and sent later.

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
    /// There are too many sources.
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
        if !self.sources.contains_key(&key) && self.sources.len() >= self.sources_max {
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
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn key() -> Key {
        ("gw".parse().unwrap(), Epoch::from_random(1))
    }

    fn frame(first_offset: u64, count: u64) -> FrameHeader {
        let (source_id, epoch) = key();
        FrameHeader {
            source_id,
            epoch,
            oldest: 0,
            first_offset,
            count,
            appended: first_offset + count,
            format: telemetry_core::spool::format::Format::V1,
        }
    }

    fn started() -> Sequencer {
        let mut sequencer = Sequencer::new(2, [(key(), 10, 77)]);
        assert_eq!(
            sequencer.answers(SECOND).len(),
            1,
            "a new process tells every known source where it is"
        );
        sequencer
    }

    #[test]
    fn a_frame_that_continues_is_taken_with_the_chain_it_must_carry() {
        let mut sequencer = started();
        assert_eq!(
            sequencer.offer(SECOND, &frame(10, 5), true),
            Verdict::Take { next: 10, chain: Some(77) }
        );
        sequencer.took(&key(), 15, 88);
        assert_eq!(
            sequencer.offer(SECOND, &frame(15, 5), true),
            Verdict::Take { next: 15, chain: Some(88) }
        );
        assert_eq!(sequencer.position(&key()), Some((10, 15)));
        assert!(
            sequencer.answers(SECOND * 9).is_empty(),
            "nothing landed, nothing is wrong, nothing to say"
        );
    }

    #[test]
    fn an_overlapping_frame_gives_its_tail_and_a_repeat_is_answered() {
        let mut sequencer = started();
        assert_eq!(
            sequencer.offer(SECOND, &frame(8, 5), true),
            Verdict::Take { next: 10, chain: Some(77) }
        );
        assert_eq!(sequencer.offer(SECOND, &frame(5, 5), true), Verdict::Repeat);
        let answers = sequencer.answers(SECOND * 2);
        assert_eq!(answers[0].resend_from, None);
        assert_eq!((answers[0].landed, answers[0].chain), (10, 77));
    }

    #[test]
    fn a_gap_is_answered_with_where_to_resend_from_and_not_too_often() {
        let mut sequencer = started();
        for n in 0..10 {
            assert_eq!(sequencer.offer(SECOND * 2, &frame(20 + n, 1), true), Verdict::Gap);
        }
        assert_eq!(sequencer.answers(SECOND * 2)[0].resend_from, Some(10));
        assert_eq!(sequencer.offer(SECOND * 2, &frame(30, 1), true), Verdict::Gap);
        assert!(sequencer.answers(SECOND * 2).is_empty(), "held back");
        assert_eq!(sequencer.answers(SECOND * 3).len(), 1, "but owed");
    }

    #[test]
    fn a_probe_of_a_new_source_opens_its_window() {
        let mut sequencer = Sequencer::new(2, []);
        assert_eq!(sequencer.offer(SECOND, &frame(0, 0), true), Verdict::Repeat);
        let answer = sequencer.answers(SECOND).remove(0);
        assert_eq!((answer.landed, answer.chain, answer.closed), (0, CHAIN_START, false));
    }

    #[test]
    fn inv8_sources_beyond_the_limit_are_refused() {
        let mut sequencer = started();
        let other = |name: &str| FrameHeader { source_id: name.parse().unwrap(), ..frame(0, 1) };
        assert!(matches!(sequencer.offer(SECOND, &other("a"), true), Verdict::Take { .. }));
        assert_eq!(sequencer.offer(SECOND, &other("b"), true), Verdict::TooMany);
        assert!(
            matches!(sequencer.offer(SECOND, &frame(10, 1), true), Verdict::Take { .. }),
            "known ones are served"
        );
    }

    #[test]
    fn inv8_without_memory_the_window_closes_and_opens_again_after_a_landing() {
        let mut sequencer = started();
        assert_eq!(sequencer.offer(SECOND * 2, &frame(10, 5), false), Verdict::Full);
        let answer = sequencer.answers(SECOND * 2).remove(0);
        assert_eq!((answer.closed, answer.resend_from), (true, Some(10)));
        sequencer.landed([]);
        let answer = sequencer.answers(SECOND * 3).remove(0);
        assert_eq!((answer.closed, answer.resend_from), (false, Some(10)));
    }

    #[test]
    fn inv7_only_a_landing_moves_what_receipts_say() {
        let mut sequencer = started();
        sequencer.took(&key(), 500, 5);
        sequencer.connected();
        assert_eq!(sequencer.answers(SECOND * 2)[0].landed, 10);
        sequencer.landed([(key(), 500, 5)]);
        assert_eq!(
            sequencer.answers(SECOND * 2)[0].landed,
            500,
            "at once, however recent the last answer"
        );
    }

    #[test]
    fn after_a_lost_landing_everything_since_is_asked_for_again() {
        let mut sequencer = started();
        sequencer.took(&key(), 500, 5);
        sequencer.reset([(key(), 30, 6)]);
        let answer = sequencer.answers(SECOND * 2).remove(0);
        assert_eq!((answer.landed, answer.resend_from), (30, Some(30)));
        assert_eq!(
            sequencer.offer(SECOND * 2, &frame(30, 1), true),
            Verdict::Take { next: 30, chain: Some(6) }
        );
    }

    #[test]
    fn what_a_source_no_longer_has_is_skipped_only_after_asking_the_ledger() {
        let mut sequencer = started();
        let header = FrameHeader { oldest: 100, ..frame(100, 5) };
        assert_eq!(sequencer.offer(SECOND, &header, true), Verdict::Gone { from: 10, oldest: 100 });
        sequencer.skip(&key(), 100);
        assert_eq!(
            sequencer.offer(SECOND, &header, true),
            Verdict::Take { next: 100, chain: None }
        );
    }

    #[test]
    fn who_asks_for_less_than_a_source_still_has_looks_at_the_ledger_but_not_all_the_time() {
        let mut sequencer = started();
        let ahead = FrameHeader { oldest: 100, ..frame(150, 5) };
        assert_eq!(sequencer.offer(SECOND, &ahead, true), Verdict::Behind);
        assert_eq!(
            sequencer.offer(SECOND, &ahead, true),
            Verdict::Gap,
            "the ledger knew no better"
        );
        sequencer.reset([(key(), 100, 8)]);
        assert_eq!(sequencer.answers(SECOND)[0].resend_from, Some(100));
        let ahead = FrameHeader { oldest: 120, ..ahead };
        assert_eq!(sequencer.offer(SECOND * 5, &ahead, true), Verdict::Gap);
        assert_eq!(sequencer.offer(SECOND * 6, &ahead, true), Verdict::Behind);
    }

    #[test]
    fn the_memory_is_shared_by_the_sources_that_send() {
        assert_eq!(window(192 << 20, 0), 192 << 20);
        assert_eq!(window(192 << 20, 3), 64 << 20);
        assert_eq!(window(1 << 20, 10_000), 128 << 10);
        let mut sequencer = started();
        assert_eq!(sequencer.active(SECOND), 0);
        let _taken = sequencer.offer(SECOND, &frame(10, 1), true);
        assert_eq!((sequencer.active(SECOND), sequencer.active(SECOND * 60)), (1, 0));
    }
}
