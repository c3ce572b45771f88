//! Finds the message that a worker dies of, or that cannot be encoded, so that what is behind it lands. Pure.
//!
//! A worker notes in the lake that it runs, and takes the note back when it stops. Two lives (or batches) in a row that
//! ended badly, without a landing between them, make the next one careful: it lands a few messages at a time, and notes
//! which before it decodes them. Each further end makes the slice that it died of sixteen times smaller, until one message
//! is alone. What ends two attempts alone becomes a dead letter without being looked at.

use serde::{Deserialize, Serialize};
use telemetry_core::id::Offset;

use crate::sequencer::Key;

/// Bad ends in a row after which a worker is careful.
const ENDS_MAX: u32 = 2;
/// Messages of the first careful slices.
const FIRST_SLICE: u64 = 1024;
/// By how much a slice gets smaller.
const NARROWER: u64 = 16;
/// Messages that have to land in first slices before the worker trusts what comes.
const TRUST_AFTER: u64 = 64 * FIRST_SLICE;
/// Attempts that a message may end alone.
const ALONE_MAX: u32 = 2;
/// The version of [`Note`].
const VERSION: u8 = 1;

/// What is written down: how often in a row it ended badly, should it end now, and what was being tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    v: u8,
    ends: u32,
    trying: Option<Slice>,
}

/// Messages of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Slice {
    source_id: String,
    epoch: u64,
    from: Offset,
    to: Offset,
    /// How often in a row this slice was tried.
    times: u32,
}

impl Slice {
    fn messages(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    fn is_of(&self, key: &Key) -> bool {
        (self.source_id.as_str(), self.epoch) == (key.0.as_str(), key.1.get())
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Caution {
    /// Bad ends in a row.
    ends: u32,
    /// Messages that a batch may have; `None`: not careful.
    slice: Option<u64>,
    /// The slice that it died of. Only its source is served carefully then, until it has landed.
    suspect: Option<Slice>,
    /// Without a suspect: messages that have to land before it trusts what comes.
    left: u64,
    /// The slice that was taken and has not landed.
    trying: Option<Slice>,
}

impl Caution {
    /// Begins a life after one that left `note`.
    pub(crate) fn begin(note: Option<Note>) -> Self {
        let mut caution = Self::default();
        if let Some(note) = note.filter(|note| note.v == VERSION) {
            (caution.ends, caution.trying) = (note.ends, note.trying);
            caution.look();
        }
        caution
    }

    /// Of several bad ends in a row: what may be tried next?
    fn look(&mut self) {
        if self.ends < ENDS_MAX {
            return;
        }
        self.suspect.clone_from(&self.trying);
        let narrower = |slice: &Slice| (slice.messages() / NARROWER).max(1);
        self.slice = Some(self.suspect.as_ref().map_or(FIRST_SLICE, narrower));
        self.left = TRUST_AFTER;
    }

    /// What to write down while it goes on like this.
    pub(crate) fn note(&self) -> Note {
        Note { v: VERSION, ends: self.ends.saturating_add(1), trying: self.trying.clone() }
    }

    /// What to leave behind at a stop; nothing if all is well.
    pub(crate) fn farewell(&self) -> Option<Note> {
        let trying = self.suspect.clone();
        self.slice.map(|_| Note { v: VERSION, ends: self.ends, trying })
    }

    /// How often in a row it ended badly.
    pub(crate) fn bad_ends(&self) -> u32 {
        self.ends
    }

    /// Messages that a batch may have of a source, and nothing beside them, if that is limited.
    pub(crate) fn slice(&self, key: &Key) -> Option<u64> {
        self.slice.filter(|_| self.suspect.as_ref().is_none_or(|suspect| suspect.is_of(key)))
    }

    /// These messages are about to be decoded: write that down first.
    pub(crate) fn tries(&mut self, key: &Key, from: Offset, to: Offset) -> Note {
        let same = |last: &&Slice| last.is_of(key) && (last.from, last.to) == (from, to);
        let times = self.suspect.as_ref().filter(same).map_or(0, |last| last.times) + 1;
        let (source_id, epoch) = (key.0.as_str().to_owned(), key.1.get());
        self.trying = Some(Slice { source_id, epoch, from, to, times });
        self.note()
    }

    /// So many messages landed, and sources are there now. Returns what to write down, if that changes anything.
    pub(crate) fn landed(&mut self, messages: u64, now: &[(Key, Offset, u64)]) -> Option<Note> {
        let beyond =
            |slice: &Slice| now.iter().any(|(key, at, _)| slice.is_of(key) && *at >= slice.to);
        self.trying.take_if(|trying| beyond(trying));
        self.left = self.left.saturating_sub(messages);
        let trusts = match &self.suspect {
            Some(suspect) => beyond(suspect),
            None => self.left == 0 && self.ends > 0,
        };
        if trusts {
            *self = Self::default();
        }
        trusts.then(|| self.note())
    }

    /// A batch could not be encoded, and would not be a second time.
    pub(crate) fn failed(&mut self) -> Note {
        self.ends = self.ends.saturating_add(1);
        self.look();
        self.note()
    }

    /// If it is careful: the messages of a slice, and the source that it is about (empty: any).
    pub(crate) fn told(&self) -> Option<(u64, &str)> {
        let source = self.suspect.as_ref().map_or("", |suspect| &suspect.source_id);
        Some((self.slice?, source))
    }

    /// Whether the message has ended enough.
    pub(crate) fn is_poison(&self, key: &Key, offset: Offset) -> bool {
        self.suspect.as_ref().is_some_and(|suspect| {
            let alone = suspect.messages() == 1 && suspect.times >= ALONE_MAX;
            alone && suspect.is_of(key) && suspect.from == offset
        })
    }
}

#[cfg(test)]
mod tests {
    use telemetry_core::id::Epoch;

    use super::*;

    fn key() -> Key {
        ("gw".parse().unwrap(), Epoch::from_random(42))
    }

    fn at(offset: Offset) -> [(Key, Offset, u64); 1] {
        [(key(), offset, 0)]
    }

    /// Lives one after the other, each with everything from `landed` on before it, that die of the message at `deadly`.
    /// Returns how many it took until all are landed, and which was set aside.
    fn lives(messages: u64, deadly: u64) -> (u32, Vec<u64>) {
        let (mut note, mut landed, mut aside) = (None, 0, Vec::new());
        for life in 1..100 {
            let mut caution = Caution::begin(note);
            note = Some(caution.note());
            let died = loop {
                if landed == messages {
                    return (life, aside);
                }
                let slice = caution.slice(&key());
                let to = slice.map_or(messages, |slice| messages.min(landed + slice));
                if slice.is_some() {
                    note = Some(caution.tries(&key(), landed, to));
                }
                let poison = caution.is_poison(&key(), deadly);
                if (landed..to).contains(&deadly) && !poison {
                    break true;
                }
                aside.extend((landed..to).filter(|offset| poison && *offset == deadly));
                note = caution.landed(to - landed, &at(to)).or(note);
                landed = to;
            };
            assert!(died);
        }
        panic!("never landed");
    }

    #[test]
    fn the_message_that_kills_is_found_within_few_lives_and_nobody_else_is_blamed() {
        for messages in [1, 2, 100, 5000, 60_000] {
            for deadly in [0, messages / 3, messages - 1] {
                let (took, aside) = lives(messages, deadly);
                assert_eq!(aside, [deadly], "of {messages}");
                assert!(took <= 10, "{took} lives for {deadly} of {messages}");
            }
        }
    }

    #[test]
    fn a_worker_that_lands_between_its_deaths_is_not_careful() {
        let mut note = None;
        for _ in 0..10 {
            let mut caution = Caution::begin(note);
            assert_eq!(caution.slice(&key()), None);
            note = Some(caution.note());
            note = caution.landed(5, &at(5)).or(note);
        }
        let stopped = Caution::begin(None);
        assert_eq!(stopped.farewell(), None, "a stop leaves nothing behind");
    }

    #[test]
    fn batches_that_cannot_be_encoded_count_as_lives_do() {
        let mut caution = Caution::begin(None);
        caution.failed();
        assert_eq!(caution.slice(&key()), None, "once may be bad luck");
        caution.failed();
        assert_eq!(caution.slice(&key()), Some(FIRST_SLICE));
        caution.tries(&key(), 10, 20);
        caution.failed();
        assert_eq!(caution.slice(&key()), Some(1));
        for _ in 0..2 {
            assert!(!caution.is_poison(&key(), 13));
            caution.tries(&key(), 13, 14);
            caution.failed();
        }
        assert!(caution.is_poison(&key(), 13) && !caution.is_poison(&key(), 12));
        let other: Key = ("other".parse().unwrap(), key().1);
        assert_eq!(caution.slice(&other), None, "nobody else waits for it");
        assert_eq!(caution.landed(9, &[(other, 9, 0)]), None);
        assert!(caution.landed(4, &at(14)).is_some());
        assert_eq!(caution.slice(&key()), None, "all is well again");
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_one_of_another_version_is_no_note() {
        let text =
            r#"{"v":1,"ends":3,"trying":{"source_id":"gw","epoch":42,"from":5,"to":6,"times":2}}"#;
        let note: Note = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&note).unwrap(), text, "golden");
        assert!(Caution::begin(Some(note.clone())).is_poison(&key(), 5));
        assert_eq!(Caution::begin(Some(Note { v: 2, ..note })).slice(&key()), None);
    }
}
