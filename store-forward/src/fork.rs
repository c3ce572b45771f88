//! The answer to a fork: moves what has not landed to a new epoch, flagged as possibly repeated, while the spool goes on
//! accepting.
//!
//! Most is copied while the writer appends to the old epoch; then the writer itself catches up with the little that came
//! since, saves the new state, and goes on in the new epoch. Until that save the old epoch holds, after it the new one. Offsets
//! that cannot be delivered move as gap records, so that the books still say so.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use telemetry_core::frame::FRAME_BYTES;
use telemetry_core::id::{Epoch, Offset};
use telemetry_core::spool::format::{Format, Parsed};
use telemetry_core::spool::plan::{Limits, Plan, Segment};
use telemetry_core::spool::record::{self, CHAIN_START, GapReason, Item, MAYBE_REPEAT};
use telemetry_core::spool::segment::HEADER_LEN;
use tracing::warn;

use crate::books::Timeline;
use crate::disk::{self, DiskError, SegmentWriter, Segments};
use crate::reader::Reader;
use crate::state::State;
use crate::tail::{Shared, report};

/// A new epoch in the making.
#[derive(Debug)]
pub(crate) struct Move {
    shared: Arc<Shared>,
    limits: Limits,
    /// The new epoch's state and folder.
    state: State,
    folder: PathBuf,
    reader: Reader,
    /// The next offset of the old epoch.
    from: Offset,
    next: Offset,
    chain: u64,
    segment: Option<SegmentWriter>,
    segments: Vec<Segment>,
    timeline: Timeline,
}

/// What was read and is to be written: records of the new epoch.
struct Part {
    bytes: Vec<u8>,
    next: Offset,
    chain: u64,
    received_us: Option<i64>,
    gaps: Vec<(Offset, Offset)>,
}

impl Move {
    pub(crate) fn begin(shared: &Arc<Shared>, epoch: Epoch) -> Result<Self, DiskError> {
        let (state, limits) = {
            let tail = shared.tail();
            (tail.state.clone(), tail.plan.limits())
        };
        // An earlier attempt may have been cut short: its copy is not used by anybody.
        for found in disk::list_epochs(&shared.folder)? {
            if matches!(found, Segments::Copy(_)) {
                disk::delete_folder(&found.path(&shared.folder))?;
            }
        }
        let fresh = State::new(state.source_id.clone(), epoch, state.key);
        let moved = State { lake_id: state.lake_id, leaving: Some(state.epoch), ..fresh };
        let folder = Segments::Copy(epoch).path(&shared.folder);
        disk::make_folder(&folder)?;
        Ok(Self {
            shared: shared.clone(),
            limits,
            state: moved,
            folder,
            reader: Reader::new(shared.clone()),
            from: state.landed,
            next: 0,
            chain: CHAIN_START,
            segment: None,
            segments: Vec::new(),
            timeline: Timeline::default(),
        })
    }

    /// Copies everything below `to`, which must be synced. After an error it can be tried again.
    pub(crate) fn catch_up(&mut self, to: Offset) -> Result<(), DiskError> {
        while self.from < to {
            // The source is to end: the next start moves what is left.
            if self.shared.tail().closing {
                return Ok(());
            }
            let batch = self.reader.read(self.from, to, FRAME_BYTES)?;
            let part = self.translate(batch.format, &batch.records);
            self.write(part)?;
            self.from = batch.end;
        }
        Ok(())
    }

    fn translate(&self, from: Format, records: &[u8]) -> Part {
        let format = self.state.format();
        let (mut next, mut chain, mut bytes) = (self.next, self.chain, Vec::new());
        let (mut received_us, mut gaps, mut rest) = (None, Vec::new(), records);
        while let Parsed::Item { item, len, .. } = from.parse(rest) {
            let (lost, reason) = match item {
                Item::Record(old) => {
                    received_us = received_us.or(Some(old.received_us));
                    let flags = old.flags | MAYBE_REPEAT;
                    let moved = record::Record { offset: next, chain, flags, ..old };
                    chain = format.encode(&moved, &mut bytes);
                    (0, GapReason::Corrupt)
                }
                Item::Gap { count, reason, .. } => (count, reason),
                Item::Unparsable { count, .. } => (count, GapReason::Corrupt),
            };
            if lost > 0 {
                format.encode_gap(next, lost, reason, chain, 0, &mut bytes);
                gaps.push((next, next + lost));
            }
            next += lost.max(1);
            rest = rest.get(len..).unwrap_or_default();
        }
        Part { bytes, next, chain, received_us, gaps }
    }

    fn write(&mut self, part: Part) -> Result<(), DiskError> {
        let full = self.segment.as_ref().is_none_or(|s| s.len() >= self.limits.segment_bytes);
        if full {
            let header = self.state.header(self.next, self.chain);
            let segment = SegmentWriter::create(&self.folder, self.next, &header.encode())?;
            self.segment = Some(segment);
            let (first, bytes) = (self.next, HEADER_LEN as u64);
            // A create that is tried again replaces the one before.
            self.segments.retain(|segment| segment.first != first);
            self.segments.push(Segment { first, end: first, bytes });
        }
        let segment = self.segment.as_mut().expect("opened above");
        segment.append_synced(&part.bytes)?;
        let last = self.segments.last_mut().expect("pushed with its file");
        (last.end, last.bytes) = (part.next, segment.len());
        if let Some(received_us) = part.received_us {
            self.timeline.note(self.next, received_us);
        }
        for (first, end) in part.gaps {
            self.state.gaps.add(first, end);
        }
        (self.next, self.chain) = (part.next, part.chain);
        Ok(())
    }

    /// Tells how far it has come in the old epoch.
    pub(crate) fn from(&self) -> Offset {
        self.from
    }

    /// Makes the new epoch the one that holds: from here on a restart finds it.
    pub(crate) fn save(&self) -> Result<(), DiskError> {
        self.state.save_in_any_case(&self.shared.folder)
    }

    /// Gives the copy its final name. A restart would do it, too.
    pub(crate) fn rename(&mut self) -> Result<(), DiskError> {
        let named = self.state.segments(&self.shared.folder);
        disk::rename_folder(&self.folder, &named)?;
        if let Some(segment) = &mut self.segment {
            segment.moved_to(&named);
        }
        self.folder = named;
        Ok(())
    }

    /// Lets everybody go on in the new epoch; returns what the writer goes on with: segment, end and chain value.
    pub(crate) fn install(mut self) -> (Option<SegmentWriter>, Offset, u64) {
        let shared = &self.shared;
        warn!(
            from = %shared.tail().state.epoch, to = %self.state.epoch, messages = self.next,
            "the spool was forked: moved what had not landed to a new epoch"
        );
        let mut tail = shared.tail();
        tail.plan = Plan::new(self.limits, mem::take(&mut self.segments));
        tail.segments = mem::take(&mut self.folder);
        tail.format = self.state.format();
        tail.state = self.state;
        tail.timeline = self.timeline;
        (tail.next, tail.chain) = (self.next, self.chain);
        tail.written = (self.next, self.chain);
        tail.doomed.clear();
        (tail.save_state, tail.switching) = (false, false);
        tail.generation += 1;
        drop(tail);
        shared.metrics.forks.inc();
        report(shared, self.next, false);
        (self.segment, self.next, self.chain)
    }
}
