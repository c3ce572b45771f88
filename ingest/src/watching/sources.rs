//! What is known of sources: there, behind or away. Pure.
//!
//! A source is heard by its frames: those with messages, and the empty ones by which an idle one says that it has nothing. Who is
//! not heard for longer than that takes is away. Who keeps sending what is old is behind: it has more than came here.

use std::collections::HashMap;
use std::time::Duration;

use telemetry_core::id::SourceId;
use watch::SourceState;

/// An idle source says so at least every 30 s; who is not heard for so long is away.
const AWAY_AFTER: Duration = Duration::from_secs(45);
/// Messages that were received longer ago are a backlog, microseconds.
const BACKLOG_US: i64 = 10_000_000;
/// A source is behind when for so long all that it sent was a backlog, with more to come.
const BEHIND_AFTER: Duration = Duration::from_secs(3);

/// How the source stood when it was heard last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It has nothing more, or what it sends is new.
    CaughtUp,
    /// It has more, and what it sends is old; or it could not be taken.
    Backlog,
}

impl Heard {
    /// By the last message of a frame: when it was received, and whether the source has more.
    pub(super) fn of(received_us: Option<i64>, more: bool, now_us: i64) -> Self {
        let old = received_us.is_none_or(|at| now_us.saturating_sub(at) > BACKLOG_US);
        if more && old { Self::Backlog } else { Self::CaughtUp }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Here,
    Behind,
    Away,
}

#[derive(Debug, Clone)]
struct Known {
    is: Is,
    heard: Duration,
    heard_us: i64,
    /// When it was last caught up.
    caught_up: Duration,
}

/// See the module. Bounded by the sources that ingest serves.
#[derive(Debug)]
pub(super) struct Sources {
    known: HashMap<SourceId, Known>,
    sources_max: usize,
}

impl Sources {
    pub(super) fn new(sources_max: usize) -> Self {
        Self { known: HashMap::new(), sources_max }
    }

    /// A source of which something is known from before: it has its time to be heard from `now` on. `is_unknown`: it was away or
    /// behind.
    pub(super) fn expect(&mut self, id: SourceId, is_unknown: bool, now: Duration, now_us: i64) {
        if self.known.len() < self.sources_max {
            let is = if is_unknown { Is::Away } else { Is::Here };
            self.known.insert(id, Known { is, heard: now, heard_us: now_us, caught_up: now });
        }
    }

    /// Frames may have been lost: every source has its time to be heard anew.
    pub(super) fn connected(&mut self, now: Duration) {
        for known in self.known.values_mut() {
            known.heard = now;
        }
    }

    /// A source is heard. Returns what it is now, if that has changed.
    pub(super) fn hear(
        &mut self,
        id: &SourceId,
        heard: Heard,
        now: Duration,
        now_us: i64,
    ) -> Option<SourceState> {
        if !self.known.contains_key(id) {
            self.expect(id.clone(), true, now, now_us);
        }
        let known = self.known.get_mut(id)?;
        (known.heard, known.heard_us) = (now, now_us);
        let is = match heard {
            Heard::CaughtUp => {
                known.caught_up = now;
                Is::Here
            }
            Heard::Backlog if known.is == Is::Here && now < known.caught_up + BEHIND_AFTER => {
                Is::Here
            }
            Heard::Backlog => Is::Behind,
        };
        if std::mem::replace(&mut known.is, is) == is {
            return None;
        }
        Some(match is {
            Is::Here => SourceState::Here { heard_us: now_us },
            _ => SourceState::Behind { heard_us: now_us },
        })
    }

    /// Sources that are not heard any more, with what they are now.
    pub(super) fn gone(&mut self, now: Duration) -> Vec<(SourceId, SourceState)> {
        let silent = |known: &Known| known.is != Is::Away && now >= known.heard + AWAY_AFTER;
        let gone = self.known.iter_mut().filter(|(_, known)| silent(known));
        gone.map(|(id, known)| {
            known.is = Is::Away;
            (id.clone(), SourceState::Away { since_us: known.heard_us })
        })
        .collect()
    }

    /// Sources that are away.
    pub(super) fn away(&self) -> impl Iterator<Item = &SourceId> {
        self.known.iter().filter(|(_, known)| known.is == Is::Away).map(|(id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn hear(sources: &mut Sources, heard: Heard, at: u64) -> Option<SourceState> {
        sources.hear(&"gw".parse().unwrap(), heard, s(at), i64::try_from(at).unwrap() * S)
    }

    #[test]
    fn who_is_not_heard_is_away_and_who_is_heard_is_there() {
        let mut sources = Sources::new(10);
        let here = SourceState::Here { heard_us: 0 };
        assert_eq!(hear(&mut sources, Heard::CaughtUp, 0), Some(here));
        assert_eq!(hear(&mut sources, Heard::CaughtUp, 30), None);
        assert_eq!(sources.gone(s(74)), []);
        let away = SourceState::Away { since_us: 30 * S };
        assert_eq!(sources.gone(s(75)), [("gw".parse().unwrap(), away)]);
        assert_eq!(sources.gone(s(200)), [], "told once");
        assert_eq!(sources.away().count(), 1);
        assert!(hear(&mut sources, Heard::CaughtUp, 300).is_some());
        // A connection of ours that was lost says nothing of the source.
        sources.connected(s(600));
        assert_eq!(sources.gone(s(644)), []);
    }

    #[test]
    fn who_sends_what_is_old_for_a_while_is_behind_until_it_has_caught_up() {
        let mut sources = Sources::new(10);
        hear(&mut sources, Heard::CaughtUp, 0);
        assert_eq!(hear(&mut sources, Heard::Backlog, 1), None, "a short one is none");
        let behind = SourceState::Behind { heard_us: 3 * S };
        assert_eq!(hear(&mut sources, Heard::Backlog, 3), Some(behind));
        assert_eq!(hear(&mut sources, Heard::Backlog, 9), None);
        assert!(hear(&mut sources, Heard::CaughtUp, 10).is_some());
        // Who comes back with a backlog is behind at once.
        sources.gone(s(100));
        let behind = SourceState::Behind { heard_us: 101 * S };
        assert_eq!(hear(&mut sources, Heard::Backlog, 101), Some(behind));
    }

    #[test]
    fn old_messages_are_a_backlog_if_there_are_more() {
        assert_eq!(Heard::of(Some(0), true, 11 * S), Heard::Backlog);
        assert_eq!(Heard::of(Some(0), false, 11 * S), Heard::CaughtUp);
        assert_eq!(Heard::of(Some(5 * S), true, 11 * S), Heard::CaughtUp);
        assert_eq!(Heard::of(None, true, 0), Heard::Backlog);
    }

    #[test]
    fn there_are_no_more_than_may_be() {
        let mut sources = Sources::new(1);
        hear(&mut sources, Heard::CaughtUp, 0);
        let other = "other".parse().unwrap();
        assert_eq!(sources.hear(&other, Heard::CaughtUp, s(0), 0), None);
        assert_eq!(sources.known.len(), 1);
    }
}
