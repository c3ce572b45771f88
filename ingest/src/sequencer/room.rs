//! How many sources are served: those that are alive count, not every epoch that ever landed, and who has sent nothing but probes
//! makes room for who comes.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use telemetry_core::id::SourceId;

use super::{Key, Sequencer, Source};

/// A source that has sent nothing for this long is not alive.
const ALIVE_FOR: Duration = Duration::from_secs(600);
/// Epochs of one source that are served at a time. A spool has one; another one for each time that it was cloned or restored.
const EPOCHS_MAX: usize = 16;

impl Source {
    fn is_alive(&self, now: Duration) -> bool {
        let heard = self.last_frame.is_some_and(|at| now < at + ALIVE_FOR);
        heard || self.next > self.landed
    }

    /// Nothing of it is in the lake or on its way there: it can be forgotten, and begins anew if it comes again.
    fn is_empty(&self) -> bool {
        self.next == 0 && self.landed == 0
    }
}

impl Sequencer {
    /// Makes room for a source in an epoch that is not known yet. False: there is none.
    pub(super) fn make_room(&mut self, now: Duration, key: &Key) -> bool {
        self.sources.retain(|_, source| source.is_alive(now) || !source.is_empty());
        let own = |other: &Key| other.0 == key.0;
        let alive = self.sources.iter().filter(|(_, source)| source.is_alive(now));
        let alive: Vec<&Key> = alive.map(|(key, _)| key).collect();
        if alive.iter().filter(|other| own(other)).count() >= EPOCHS_MAX {
            return self.forget_epoch(own);
        }
        let ids: HashSet<&SourceId> = alive.iter().map(|other| &other.0).collect();
        ids.contains(&key.0) || ids.len() < self.sources_max || self.forget_source()
    }

    /// Forgets the epoch that was silent longest of those of which nothing is known.
    fn forget_epoch(&mut self, of: impl Fn(&Key) -> bool) -> bool {
        let candidates = self.sources.iter().filter(|(key, source)| source.is_empty() && of(key));
        let oldest = candidates.min_by_key(|(_, source)| source.last_frame);
        let oldest = oldest.map(|(key, _)| key.clone());
        oldest.is_some_and(|key| self.sources.remove(&key).is_some())
    }

    /// Forgets the source that was silent longest of those of which nothing is known in any epoch.
    fn forget_source(&mut self) -> bool {
        let mut heard: HashMap<&SourceId, Option<Duration>> = HashMap::new();
        let mut known: HashSet<&SourceId> = HashSet::new();
        for ((id, _), source) in &self.sources {
            let last = heard.entry(id).or_default();
            *last = (*last).max(source.last_frame);
            if !source.is_empty() {
                known.insert(id);
            }
        }
        let unknown = heard.into_iter().filter(|(id, _)| !known.contains(id));
        let oldest = unknown.min_by_key(|(_, last)| *last).map(|(id, _)| id.clone());
        let Some(oldest) = oldest else { return false };
        self.sources.retain(|(id, _), _| *id != oldest);
        true
    }
}
