//! Gathers what happens again and again into few log lines with counts, so that a flood tells what is wrong and hides nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often one thing is spoken of while it goes on.
pub const PERIOD: Duration = Duration::from_secs(30);
/// Most things that are followed at once; what comes beyond them is gathered as one.
const KEYS_MAX: usize = 256;

/// Which line to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It happened for the first time, or again after a quiet period.
    Begun,
    /// It goes on: so many times since the last line.
    Again(u64),
    /// It has not happened for a period: so many times in all, the first included.
    Over(u64),
}

/// A line to write about something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<T> {
    /// First, again or over.
    pub said: Said,
    /// The latest of them, as an example.
    pub about: T,
}

/// What goes on, by key. Cheap to clone; clones share it. Call [`Self::due`] every few seconds.
#[derive(Debug, Clone)]
pub struct Repeats<T> {
    period: Duration,
    hasher: RandomState,
    going_on: Arc<Mutex<HashMap<u64, Ongoing<T>>>>,
}

#[derive(Debug)]
struct Ongoing<T> {
    total: u64,
    held: u64,
    said_at: Duration,
    last: Duration,
    about: T,
}

impl<T> Default for Repeats<T> {
    fn default() -> Self {
        Self::new(PERIOD)
    }
}

impl<T> Repeats<T> {
    /// Speaks of one thing once a `period` at most.
    pub fn new(period: Duration) -> Self {
        Self { period, hasher: RandomState::new(), going_on: Arc::default() }
    }

    /// Counts something that happened at `now` (uptime). Things with the same key are the same. Returns the line to write now;
    /// `None` when it is held back for [`Self::due`].
    pub fn note(&self, key: impl Hash, now: Duration, about: T) -> Option<Line<T>>
    where
        T: Clone,
    {
        let mut going_on = self.going_on.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = self.hasher.hash_one(key);
        if going_on.len() >= KEYS_MAX && !going_on.contains_key(&key) {
            key = 0;
        }
        if let Some(known) = going_on.get_mut(&key) {
            known.total += 1;
            known.held += 1;
            known.last = now;
            known.about = about;
            return known.again(self.period, now);
        }
        going_on.insert(
            key,
            Ongoing { total: 1, held: 0, said_at: now, last: now, about: about.clone() },
        );
        Some(Line { said: Said::Begun, about })
    }

    /// Returns the lines that have become due by `now`: counts of what was held back, and the end of what stopped.
    pub fn due(&self, now: Duration) -> Vec<Line<T>>
    where
        T: Clone,
    {
        let mut going_on = self.going_on.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines: Vec<Line<T>> =
            going_on.values_mut().filter_map(|known| known.again(self.period, now)).collect();
        let quiet = |known: &Ongoing<T>| now.saturating_sub(known.last) >= self.period;
        for (_, over) in going_on.extract_if(|_, known| quiet(known)) {
            lines.push(Line { said: Said::Over(over.total), about: over.about });
        }
        lines
    }
}

impl<T: Clone> Ongoing<T> {
    fn again(&mut self, period: Duration, now: Duration) -> Option<Line<T>> {
        if self.held == 0 || now.saturating_sub(self.said_at) < period {
            return None;
        }
        self.said_at = now;
        let count = std::mem::take(&mut self.held);
        Some(Line { said: Said::Again(count), about: self.about.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn line(said: Said, about: &'static str) -> Line<&'static str> {
        Line { said, about }
    }

    #[test]
    fn a_flood_is_a_line_at_once_one_a_period_and_one_when_it_is_over() {
        let repeats = Repeats::new(at(30));
        assert_eq!(repeats.note("a", at(0), "first"), Some(line(Said::Begun, "first")));
        for second in 1..=20 {
            assert_eq!(repeats.note("a", at(second), "more"), None);
        }
        assert_eq!(repeats.due(at(29)), []);
        assert_eq!(repeats.due(at(30)), [line(Said::Again(20), "more")]);
        assert_eq!(repeats.note("a", at(40), "late"), None, "spoken of ten seconds ago");
        assert_eq!(repeats.due(at(60)), [line(Said::Again(1), "late")]);
        assert_eq!(repeats.due(at(69)), []);
        assert_eq!(repeats.due(at(70)), [line(Said::Over(22), "late")]);
        assert_eq!(repeats.note("a", at(71), "new"), Some(line(Said::Begun, "new")));
    }

    #[test]
    fn one_flood_does_not_hide_another() {
        let repeats = Repeats::new(at(30));
        assert!(repeats.note("a", at(0), "a").is_some());
        assert!(repeats.note("b", at(0), "b").is_some());
    }

    #[test]
    fn inv8_what_is_followed_is_limited_and_what_comes_beyond_is_counted_together() {
        let repeats = Repeats::new(at(30));
        let said = (0..1000).filter(|key| repeats.note(key, at(0), "x").is_some()).count();
        assert_eq!(said, KEYS_MAX + 1);
        let held: u64 = repeats
            .due(at(30))
            .iter()
            .map(|line| match line.said {
                Said::Again(count) => count,
                _ => 0,
            })
            .sum();
        assert_eq!(held, 1000 - said as u64);
        assert_eq!(
            repeats.note(5000, at(31), "x").map(|line| line.said),
            Some(Said::Begun),
            "the old ones are forgotten"
        );
    }
}
