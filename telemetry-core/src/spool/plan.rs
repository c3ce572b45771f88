//! Decides where the spool appends, when a segment rolls, what may be deleted and what happens when it is full.

use std::collections::VecDeque;

use super::segment::HEADER_LEN;
use crate::id::Offset;

/// What a full spool does with new messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// Refuse them: nothing accepted is ever lost.
    #[default]
    Refuse,
    /// Drop the oldest segment: the newest data matters more. Drops are counted and recorded in the ledger.
    DropOldest,
}

/// How large the spool may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A segment rolls when it has this many bytes.
    pub segment_bytes: u64,
    /// The spool is full at this many bytes; at least two segments.
    pub spool_bytes: u64,
    /// What happens then.
    pub when_full: WhenFull,
}

/// One segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its first offset, which is also its name.
    pub first: Offset,
    /// The offset after its last record.
    pub end: Offset,
    /// Its bytes, header included.
    pub bytes: u64,
}

/// Whether some records may be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// There is room.
    Accept,
    /// There is room once the oldest segment is gone: evict it and ask again.
    EvictFirst,
    /// The spool is full.
    Refuse,
}

/// The spool's segments, oldest first; the last one is appended to.
#[derive(Debug, Clone)]
pub struct Plan {
    limits: Limits,
    segments: VecDeque<Segment>,
    used: u64,
    landed: Offset,
}

impl Plan {
    /// Takes over segments found on disk, oldest first.
    pub fn new(limits: Limits, found: impl IntoIterator<Item = Segment>) -> Self {
        let segments: VecDeque<_> = found.into_iter().collect();
        let used = segments.iter().map(|s| s.bytes).sum();
        Self { limits, segments, used, landed: 0 }
    }

    /// Returns how large the spool may get.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Returns the bytes on disk.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Returns the segments, oldest first.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter()
    }

    /// Returns the first offset still on disk.
    pub fn oldest(&self) -> Option<Offset> {
        self.segments.front().map(|s| s.first)
    }

    /// Decides whether `bytes` more may be appended. A spool that refuses resumes as soon as a segment is freed.
    pub fn admit(&self, bytes: u64) -> Admission {
        // A last segment that is full and has landed makes way for the next one: it does not count any more.
        let leaving = self.segments.back().filter(|s| s.end <= self.landed && self.must_roll());
        let used = self.used - leaving.map_or(0, |s| s.bytes);
        if used.saturating_add(bytes) <= self.limits.spool_bytes {
            return Admission::Accept;
        }
        match self.limits.when_full {
            WhenFull::DropOldest if self.segments.len() > 1 => Admission::EvictFirst,
            _ => Admission::Refuse,
        }
    }

    /// Tells whether a new segment must be started before appending.
    pub fn must_roll(&self) -> bool {
        self.segments.back().is_none_or(|s| s.bytes >= self.limits.segment_bytes)
    }

    /// Starts a segment at `first`.
    pub fn roll(&mut self, first: Offset) {
        self.segments.push_back(Segment { first, end: first, bytes: HEADER_LEN as u64 });
        self.used += HEADER_LEN as u64;
    }

    /// Records that the last segment now ends at `end` and is `bytes` longer.
    pub fn appended(&mut self, end: Offset, bytes: u64) {
        let last = self.segments.back_mut().expect("a segment is rolled before the first append");
        last.end = end;
        last.bytes += bytes;
        self.used += bytes;
    }

    /// Takes the segments that are wholly below `landed` out of the plan: delete their files. The last one stays.
    pub fn trim(&mut self, landed: Offset) -> Vec<Segment> {
        self.landed = self.landed.max(landed);
        let mut freed = Vec::new();
        while self.segments.len() > 1
            && let Some(segment) = self.segments.pop_front_if(|s| s.end <= landed)
        {
            self.used -= segment.bytes;
            freed.push(segment);
        }
        freed
    }

    /// Takes the oldest segment out of the plan although it is not landed; the last one stays.
    pub fn evict(&mut self) -> Option<Segment> {
        if self.segments.len() < 2 {
            return None;
        }
        let segment = self.segments.pop_front()?;
        self.used -= segment.bytes;
        Some(segment)
    }

    /// Finds the segment that holds `offset`, or the next one after a hole.
    pub fn locate(&self, offset: Offset) -> Option<Segment> {
        let at = self.segments.partition_point(|s| s.end <= offset);
        self.segments.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(when_full: WhenFull) -> Plan {
        let limits = Limits { segment_bytes: 100, spool_bytes: 300, when_full };
        Plan::new(limits, [])
    }

    fn fill(plan: &mut Plan, segments: u64) {
        for n in 0..segments {
            assert!(plan.must_roll());
            plan.roll(n * 10);
            plan.appended(n * 10 + 10, 60);
        }
    }

    #[test]
    fn inv3_only_landed_segments_are_freed() {
        let mut plan = plan(WhenFull::Refuse);
        fill(&mut plan, 3);
        assert_eq!(plan.trim(9), []);
        assert_eq!(plan.trim(10).len(), 1);
        assert_eq!(plan.oldest(), Some(10));
        assert_eq!(plan.trim(1000).len(), 1, "the last segment stays");
    }

    #[test]
    fn inv3_a_full_spool_refuses_unless_told_to_drop() {
        let mut refusing = plan(WhenFull::Refuse);
        fill(&mut refusing, 3);
        assert_eq!(refusing.admit(1), Admission::Refuse);
        let mut dropping = plan(WhenFull::DropOldest);
        fill(&mut dropping, 3);
        assert_eq!(dropping.admit(1), Admission::EvictFirst);
        assert_eq!(dropping.evict().map(|s| (s.first, s.end)), Some((0, 10)));
        assert_eq!(dropping.admit(1), Admission::Accept);
    }

    #[test]
    fn a_last_segment_that_outgrew_the_spool_makes_way_once_it_has_landed() {
        let mut plan = plan(WhenFull::Refuse);
        plan.roll(0);
        plan.appended(10, 290);
        assert_eq!(plan.admit(1), Admission::Refuse);
        plan.trim(10);
        assert_eq!(plan.admit(100), Admission::Accept);
        assert!(plan.must_roll());
    }

    #[test]
    fn an_offset_is_located_in_its_segment_or_the_next_after_a_hole() {
        let mut plan = plan(WhenFull::Refuse);
        fill(&mut plan, 3);
        assert_eq!(plan.locate(15).map(|s| s.first), Some(10));
        assert_eq!(plan.locate(30), None);
        plan.evict();
        assert_eq!(plan.locate(3).map(|s| s.first), Some(10));
    }
}
