//! What a source keeps its books with: which offsets can never be delivered, and when the pending ones were accepted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use telemetry_core::id::Offset;

/// Messages that were accepted within this time of each other need not be told apart.
const RESOLUTION_US: u64 = 100_000;
/// Most marks of a timeline; beyond it every second one goes, and times become coarser.
const MARKS_MAX: usize = 4096;

/// Offsets that were announced as gaps and have not landed, as disjoint ranges. In the state file: `[[first,end],…]`.
///
/// Each range was a frame in flight, so that there are never more than the uplink lets be in flight.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(Offset, Offset)>", into = "Vec<(Offset, Offset)>")]
pub(crate) struct Gaps {
    ends: BTreeMap<Offset, Offset>,
}

impl Gaps {
    /// Adds a range, which may overlap others; tells whether any of it is new.
    pub(crate) fn add(&mut self, first: Offset, end: Offset) -> bool {
        if first >= end || self.covers(first, end) {
            return false;
        }
        let (mut first, mut end) = (first, end);
        while let Some((&start, &stop)) = self.ends.range(..=end).next_back()
            && stop >= first
        {
            self.ends.remove(&start);
            (first, end) = (first.min(start), end.max(stop));
        }
        self.ends.insert(first, end);
        true
    }

    fn covers(&self, first: Offset, end: Offset) -> bool {
        self.ends.range(..=first).next_back().is_some_and(|(_, &stop)| stop >= end)
    }

    /// Counts the offsets from `first` on.
    pub(crate) fn count_from(&self, first: Offset) -> u64 {
        self.ends.iter().map(|(&start, &end)| end.saturating_sub(start.max(first))).sum()
    }

    /// Forgets the offsets below `end`; returns how many there were.
    pub(crate) fn take_below(&mut self, end: Offset) -> u64 {
        let above = self.ends.split_off(&end);
        let mut below = std::mem::replace(&mut self.ends, above);
        if let Some(mut last) = below.last_entry()
            && *last.get() > end
        {
            self.ends.insert(end, *last.get());
            last.insert(end);
        }
        below.into_iter().map(|(first, end)| end - first).sum()
    }
}

impl From<Vec<(Offset, Offset)>> for Gaps {
    fn from(ranges: Vec<(Offset, Offset)>) -> Self {
        let mut gaps = Self::default();
        for (first, end) in ranges {
            gaps.add(first, end);
        }
        gaps
    }
}

impl From<Gaps> for Vec<(Offset, Offset)> {
    fn from(gaps: Gaps) -> Self {
        gaps.ends.into_iter().collect()
    }
}

/// When pending messages were accepted: a mark wherever that is known and has changed.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    marks: BTreeMap<Offset, i64>,
}

impl Timeline {
    /// Notes that the message at `offset` was accepted then.
    pub(crate) fn note(&mut self, offset: Offset, received_us: i64) {
        self.marks.insert(offset, received_us);
        if self.marks.len() > MARKS_MAX {
            // The first one stays: it is the oldest message's.
            let mut drop_it = true;
            self.marks.retain(|_, _| {
                drop_it = !drop_it;
                !drop_it
            });
        }
    }

    /// Notes it if it differs from what is known of the message before.
    pub(crate) fn note_next(&mut self, offset: Offset, received_us: i64) {
        let known = self.marks.last_key_value();
        if known.is_none_or(|(_, last_us)| last_us.abs_diff(received_us) >= RESOLUTION_US) {
            self.note(offset, received_us);
        }
    }

    /// Forgets what lies before `offset`.
    pub(crate) fn trim(&mut self, offset: Offset) {
        if let Some((&first, _)) = self.marks.range(..=offset).next_back() {
            self.marks = self.marks.split_off(&first);
        }
    }

    /// Returns when the message at `offset` was accepted, or at the latest known time before it.
    pub(crate) fn at(&self, offset: Offset) -> Option<i64> {
        self.marks.range(..=offset).next_back().map(|(_, received_us)| *received_us)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn gaps_agree_with_a_set_of_offsets(ops in prop::collection::vec((any::<bool>(), 0u64..60, 0u64..12), 1..40)) {
            let (mut gaps, mut set) = (Gaps::default(), BTreeSet::new());
            for (add, first, len) in ops {
                if add {
                    let before = set.len();
                    set.extend(first..first + len);
                    prop_assert_eq!(gaps.add(first, first + len), set.len() > before);
                } else {
                    let above = set.split_off(&first);
                    prop_assert_eq!(gaps.take_below(first), set.len() as u64);
                    set = above;
                }
                prop_assert_eq!(gaps.count_from(first + 3), set.range(first + 3..).count() as u64);
                let saved: Vec<_> = gaps.clone().into();
                prop_assert!(saved.windows(2).all(|pair| pair[0].1 < pair[1].0), "disjoint and merged: {saved:?}");
                prop_assert_eq!(&Gaps::from(saved), &gaps);
            }
        }
    }

    #[test]
    fn a_timeline_knows_the_oldest_pending_message_whatever_was_forgotten() {
        let mut timeline = Timeline::default();
        for n in 0..20_000_i64 {
            timeline.note_next(u64::try_from(n).unwrap() * 10, n * 60_000);
        }
        assert!(timeline.marks.len() <= MARKS_MAX);
        for landed in [0_u64, 7, 99_995, 150_000] {
            timeline.trim(landed);
            let exact = i64::try_from(landed / 10).unwrap() * 60_000;
            let found = timeline.at(landed).unwrap();
            assert!(found <= exact && found > exact - 1_000_000, "{landed}: {found} for {exact}");
        }
    }
}
