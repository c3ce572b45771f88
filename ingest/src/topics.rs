//! The topics that messages came on: when, how much, by which rule, and the last message of each. Bounded, and nothing of a topic
//! that is known is allocated anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::intern::Seeded;

/// Topics that are known at most; further ones are not listed until others were silent for an hour.
pub const TOPICS_MAX: usize = 10_000;
/// Longer topics are not listed, bytes.
const TOPIC_BYTES_MAX: usize = 512;
/// Of the last message so much is kept, bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1024;
/// A topic that was silent for so long gives its place away.
const SILENT_US: i64 = 3_600_000_000;
/// How often it is looked for such ones, at most.
const SWEEP_EVERY_US: i64 = 60_000_000;
const MINUTE_US: i64 = 60_000_000;

/// See the module. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Topics {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    topics: HashMap<Box<str>, Entry, Seeded>,
    left_out: u64,
    swept_us: i64,
}

#[derive(Debug, Default)]
struct Entry {
    rule: Option<String>,
    device: Option<(String, String)>,
    minute: i64,
    rows: u32,
    rows_before: u32,
    last_us: i64,
    bytes: u64,
    dead_letters: u64,
    payload: Vec<u8>,
    whole: bool,
}

/// What is known of a new topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct About {
    /// The rule that takes it.
    pub(crate) rule: Option<String>,
    /// Site and device, if the topic says them.
    pub(crate) device: Option<(String, String)>,
}

/// Messages that came on a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Came<'a> {
    pub(crate) topic: &'a str,
    /// Of the last one.
    pub(crate) payload: &'a [u8],
    /// Of all payloads.
    pub(crate) bytes: u64,
    pub(crate) messages: u64,
    pub(crate) rows: usize,
    pub(crate) dead: u64,
    pub(crate) at_us: i64,
    /// One of its readings in the batch, if it has any there.
    pub(crate) reading: Option<usize>,
}

impl<'a> Came<'a> {
    /// One message.
    pub(crate) fn one(topic: &'a str, payload: &'a [u8], at_us: i64) -> Self {
        let bytes = payload.len() as u64;
        Self { topic, payload, bytes, messages: 1, rows: 0, dead: 0, at_us, reading: None }
    }

    fn and(&mut self, next: &Self) {
        (self.payload, self.at_us) = (next.payload, next.at_us);
        self.bytes = self.bytes.saturating_add(next.bytes);
        self.messages += next.messages;
        self.rows += next.rows;
        self.dead += next.dead;
        self.reading = next.reading.or(self.reading);
    }
}

/// What comes with one frame, by topic: so that a topic is looked up once a frame, not for each of its messages.
#[derive(Debug)]
pub(crate) struct OfFrame<'a> {
    came: Vec<Came<'a>>,
}

/// Where the topics of a frame are in it, by their numbers in the batch.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    frame: u64,
    /// The frame that had it last, and where it was in that.
    of: Vec<(u64, usize)>,
}

impl<'a> OfFrame<'a> {
    /// Of a new frame.
    pub(crate) fn new(marks: &mut Marks) -> Self {
        marks.frame += 1;
        Self { came: Vec::new() }
    }

    /// Adds a message whose topic has that number in the batch.
    pub(crate) fn add(&mut self, marks: &mut Marks, number: Option<u32>, message: &Came<'a>) {
        let Some(number) = number.map(|number| number as usize) else {
            return self.came.push(*message);
        };
        if marks.of.len() <= number {
            marks.of.resize(number + 1, (0, 0));
        }
        let mark = &mut marks.of[number];
        match self.came.get_mut(mark.1).filter(|_| mark.0 == marks.frame) {
            Some(came) => came.and(message),
            None => {
                *mark = (marks.frame, self.came.len());
                self.came.push(*message);
            }
        }
    }

    /// What came on each topic, in the order of the first message of each.
    pub(crate) fn came(&self) -> &[Came<'a>] {
        &self.came
    }
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSeen {
    /// The topic.
    pub topic: String,
    /// The rule that takes it.
    pub rule: Option<String>,
    /// Rows in the last full minute.
    pub rows_per_minute: u32,
    /// When a message came last, by ingest's clock, Unix microseconds.
    pub last_us: i64,
    /// Bytes of all payloads since the start.
    pub bytes: u64,
    /// Messages that became dead letters, wholly or partly, since the start.
    pub dead_letters: u64,
}

/// The last message on a topic of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastMessage {
    /// Its topic.
    pub topic: String,
    /// The rule that takes it.
    pub rule: Option<String>,
    /// Its payload, the beginning of a long one.
    pub payload: Vec<u8>,
    /// Whether that is all of it.
    pub whole: bool,
    /// When it came, Unix microseconds.
    pub at_us: i64,
}

impl Topics {
    /// Notes messages; `about` is asked of a new topic only.
    /// `device`: whose rows it became, asked where the topic does not say it.
    pub(crate) fn note(
        &self,
        came: Came<'_>,
        about: impl FnOnce() -> About,
        device: impl FnOnce() -> Option<(String, String)>,
    ) {
        let mut seen = self.seen();
        if let Some(entry) = seen.topics.get_mut(came.topic) {
            return entry.note(&came, device);
        }
        if came.topic.len() > TOPIC_BYTES_MAX || !seen.has_room(came.at_us) {
            seen.left_out += came.messages;
            return;
        }
        let About { rule, device: said } = about();
        let mut entry = Entry { rule, device: said, ..Entry::default() };
        entry.note(&came, device);
        seen.topics.insert(came.topic.into(), entry);
    }

    /// The topics after one, in order, at most `limit`; and whether there are more.
    #[must_use]
    pub fn list(&self, after: Option<&str>, limit: usize, now_us: i64) -> (Vec<TopicSeen>, bool) {
        let seen = self.seen();
        let fit = seen.topics.iter().filter(|(topic, _)| after.is_none_or(|it| &***topic > it));
        let mut fit: Vec<_> = fit.collect();
        fit.sort_unstable_by_key(|(topic, _)| *topic);
        let more = fit.len() > limit;
        fit.truncate(limit);
        let shown = fit.into_iter().map(|(topic, entry)| TopicSeen {
            topic: topic.to_string(),
            rule: entry.rule.clone(),
            rows_per_minute: entry.rate(now_us),
            last_us: entry.last_us,
            bytes: entry.bytes,
            dead_letters: entry.dead_letters,
        });
        (shown.collect(), more)
    }

    /// The last message on any topic of a device.
    #[must_use]
    pub fn last_of(&self, site: &str, device: &str) -> Option<LastMessage> {
        let seen = self.seen();
        let is_its = |entry: &Entry| {
            entry.device.as_ref().is_some_and(|(own, name)| own == site && name == device)
        };
        let its = seen.topics.iter().filter(|(_, entry)| is_its(entry));
        its.max_by_key(|(_, entry)| entry.last_us).map(|(topic, entry)| LastMessage {
            topic: topic.to_string(),
            rule: entry.rule.clone(),
            payload: entry.payload.clone(),
            whole: entry.whole,
            at_us: entry.last_us,
        })
    }

    /// Topics that are listed, and messages on others that had no place.
    #[must_use]
    pub fn size(&self) -> (usize, u64) {
        let seen = self.seen();
        (seen.topics.len(), seen.left_out)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn has_room(&mut self, now_us: i64) -> bool {
        if self.topics.len() >= TOPICS_MAX && now_us.saturating_sub(self.swept_us) >= SWEEP_EVERY_US
        {
            self.swept_us = now_us;
            self.topics.retain(|_, entry| now_us.saturating_sub(entry.last_us) < SILENT_US);
        }
        self.topics.len() < TOPICS_MAX
    }
}

impl Entry {
    fn note(&mut self, came: &Came<'_>, device: impl FnOnce() -> Option<(String, String)>) {
        if self.device.is_none() && came.rows > 0 {
            self.device = device();
        }
        let minute = came.at_us.div_euclid(MINUTE_US);
        if minute != self.minute {
            self.rows_before = if minute == self.minute + 1 { self.rows } else { 0 };
            (self.minute, self.rows) = (minute, 0);
        }
        self.rows = self.rows.saturating_add(u32::try_from(came.rows).unwrap_or(u32::MAX));
        self.last_us = came.at_us;
        self.bytes = self.bytes.saturating_add(came.bytes);
        self.dead_letters += came.dead;
        let kept = &came.payload[..came.payload.len().min(PAYLOAD_BYTES_MAX)];
        self.payload.clear();
        self.payload.extend_from_slice(kept);
        self.whole = kept.len() == came.payload.len();
    }

    /// Rows in the last full minute.
    fn rate(&self, now_us: i64) -> u32 {
        match now_us.div_euclid(MINUTE_US) - self.minute {
            0 => self.rows_before,
            1 => self.rows,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(topic: &str, at_us: i64) -> Came<'_> {
        Came { rows: 2, ..Came::one(topic, b"{\"v\":1}", at_us) }
    }

    fn about() -> About {
        let device = Some(("icu".to_owned(), "mon-1".to_owned()));
        About { rule: Some("readings".to_owned()), device }
    }

    #[test]
    fn a_topic_has_the_rows_of_its_last_full_minute_and_its_last_message() {
        let topics = Topics::default();
        for at_us in [0, 1, MINUTE_US] {
            topics.note(came("dt/icu/mon-1/readings", at_us), about, || None);
        }
        let dead = Came { dead: 1, ..Came::one("x", b"?", 5) };
        topics.note(dead, About::default, || None);
        let (listed, more) = topics.list(None, 10, MINUTE_US + 1);
        assert!(!more);
        assert_eq!((listed[0].rows_per_minute, listed[0].bytes), (4, 21));
        assert_eq!((listed[1].dead_letters, listed[1].rule.as_deref()), (1, None));
        let rate = |now_us| topics.list(None, 1, now_us).0[0].rows_per_minute;
        assert_eq!((rate(2 * MINUTE_US), rate(3 * MINUTE_US)), (2, 0));
        let last = topics.last_of("icu", "mon-1").unwrap();
        assert_eq!((last.at_us, last.whole), (MINUTE_US, true));
        assert_eq!(last.rule.as_deref(), Some("readings"));
        // A topic that does not say its device has the one of its first rows.
        let of = || Some(("home".to_owned(), "cellar".to_owned()));
        topics.note(Came { rows: 0, ..came("y", 5) }, About::default, of);
        assert_eq!(topics.last_of("home", "cellar"), None);
        topics.note(came("y", 6), About::default, of);
        assert_eq!(topics.last_of("home", "cellar").unwrap().topic, "y");
        assert_eq!(topics.last_of("icu", "mon-2"), None);
        assert_eq!(topics.list(Some("dt/icu/mon-1/readings"), 10, 0).0[0].topic, "x");
        assert!(topics.list(None, 1, 0).1, "there are more");
    }

    #[test]
    fn messages_of_one_frame_are_noted_as_one_by_one() {
        let numbers = [Some(0), Some(1), Some(0), None, None, Some(3), Some(0)];
        let names = ["a", "b", "a", "c", "c", "d", "a"];
        let of = |topic: &str| About { device: Some(("icu".into(), topic.into())), ..about() };
        let (single, many) = (Topics::default(), Topics::default());
        let mut marks = Marks::default();
        for frame in 0..3 {
            let mut of_frame = OfFrame::new(&mut marks);
            for (n, (number, topic)) in (0_u8..).zip(numbers.into_iter().zip(names)) {
                let payload: &[u8] = [&b"0"[..], b"12", b"345"][usize::from(n) % 3];
                let dead = u64::from(n == 2);
                let came = Came { rows: n.into(), dead, ..Came::one(topic, payload, frame) };
                single.note(came, || of(topic), || None);
                of_frame.add(&mut marks, number, &came);
            }
            assert_eq!(of_frame.came().len(), 5, "what has no number stands for itself");
            of_frame.came().iter().for_each(|came| many.note(*came, || of(came.topic), || None));
        }
        assert_eq!(single.list(None, 10, 3), many.list(None, 10, 3));
        for topic in names {
            assert!(single.last_of("icu", topic).is_some());
            assert_eq!(single.last_of("icu", topic), many.last_of("icu", topic));
        }
    }

    #[test]
    fn inv8_topics_are_bounded_and_silent_ones_give_way() {
        let topics = Topics::default();
        for n in 0..TOPICS_MAX + 5 {
            topics.note(came(&format!("t/{n:06}"), SWEEP_EVERY_US), About::default, || None);
        }
        assert_eq!(topics.size(), (TOPICS_MAX, 5));
        topics.note(came(&"x".repeat(TOPIC_BYTES_MAX + 1), 0), About::default, || None);
        assert_eq!(topics.size(), (TOPICS_MAX, 6));
        let later = 2 * SILENT_US;
        topics.note(came("new", later), About::default, || None);
        assert_eq!(topics.size().0, 1);
        let long = vec![b'x'; 2 * PAYLOAD_BYTES_MAX];
        topics.note(Came { payload: &long, ..came("new", later) }, about, || None);
        let kept = topics.seen().topics["new"].payload.len();
        assert_eq!(kept, PAYLOAD_BYTES_MAX);
    }
}
