//! Reads what is synced back from the disk, in runs that fit a frame; holes and damage come out as gap records.

use std::path::PathBuf;
use std::sync::Arc;

use telemetry_core::id::Offset;
use telemetry_core::spool::format::{Format, Parsed};
use telemetry_core::spool::record::{self, GapReason, Item};
use telemetry_core::spool::recovery::{From, Resync, Run, resync_from, scan_at};
use telemetry_core::spool::segment::{HEADER_LEN, SegmentHeader};

use crate::disk::{DiskError, SegmentReader};
use crate::tail::Shared;

/// A chain value that cannot be known: above offset 0 no chain has it, except by a chance of 2^-64.
const UNKNOWN: u64 = record::CHAIN_START;

/// A run of records ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// How the records are written.
    pub(crate) format: Format,
    pub(crate) records: Vec<u8>,
    pub(crate) end: Offset,
    pub(crate) chain_end: u64,
    /// Why its offsets cannot be delivered, if it says that.
    pub(crate) gap: Option<GapReason>,
}

impl Batch {
    /// Asks for a receipt: no records, so that every reader understands it. Who hears it knows when that was.
    pub(crate) fn probe(from: Offset, now_us: i64) -> Self {
        let records = now_us.to_le_bytes().to_vec();
        Self { format: Format::V1, records, end: from, chain_end: 0, gap: None }
    }
}

/// Where the next record of an open segment stands.
#[derive(Debug)]
struct Open {
    file: SegmentReader,
    segment: Offset,
    format: Format,
    position: u64,
    next: Offset,
    chain: u64,
}

impl Open {
    /// Reads the records from here on: at most `raw_max` bytes (one record at least), all below `limit`.
    fn scan(
        &mut self,
        buffer: &mut Vec<u8>,
        raw_max: usize,
        limit: Offset,
    ) -> Result<Run, DiskError> {
        let (file, position) = (&mut self.file, self.position);
        let read = |at: usize, count: usize, buffer: &mut Vec<u8>| {
            file.read_at(position + at as u64, count, buffer)
        };
        let from = From { format: self.format, offset: self.next, chain: self.chain };
        scan_at(read, 0, buffer, from, raw_max, limit)
    }
}

/// Reads a spool at one position at a time; sequential reads cost one system call each.
#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    /// The segments of the epoch that it was made in: it reads no other.
    folder: PathBuf,
    open: Option<Open>,
    buffer: Vec<u8>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let folder = shared.tail().segments.clone();
        Self { shared, folder, open: None, buffer: Vec::new() }
    }

    /// Reads records from `from` on: at most `raw_max` bytes (one record at least), all below `limit`, which must be synced.
    pub(crate) fn read(
        &mut self,
        from: Offset,
        limit: Offset,
        raw_max: usize,
    ) -> Result<Batch, DiskError> {
        let Some((first, end)) = self.locate(from) else {
            return Ok(self.gap(from, limit, GapReason::Corrupt, self.chain_of_end(limit)));
        };
        if first > from {
            let chain = self.header_chain(first)?.unwrap_or(UNKNOWN);
            return Ok(self.gap(from, first.min(limit), self.hole_reason(first), chain));
        }
        let limit = limit.min(end);
        if !self.seek(first, from)? {
            // Evicted since it was located: then there is a hole now, with a reason and an end.
            return match self.locate(from) {
                Some((now, _)) if now != first => self.read(from, limit, raw_max),
                _ => Ok(self.gap(from, limit, GapReason::Corrupt, UNKNOWN)),
            };
        }
        let Some(open) = self.open.as_mut() else {
            return Ok(self.gap(from, limit, GapReason::Corrupt, UNKNOWN));
        };
        if open.next > from {
            let (next, chain) = (open.next, open.chain);
            return Ok(self.gap(from, next.min(limit), GapReason::Corrupt, chain));
        }
        let run = open.scan(&mut self.buffer, raw_max, limit)?;
        // A record that covers more than there is on stable storage is damage as well.
        if run.len == 0 || run.next > limit {
            return self.skip_damage(from, limit, end);
        }
        open.position += run.len as u64;
        (open.next, open.chain) = (run.next, run.chain);
        let records = self.buffer.get(..run.len).unwrap_or_default().to_vec();
        let format = open.format;
        if let Some(received_us) = received_us(format, &records) {
            self.shared.tail().timeline.note(from, received_us);
        }
        Ok(Batch { format, records, end: run.next, chain_end: run.chain, gap: None })
    }

    /// Returns the chain value before `offset`; `None` when it is no longer (or not yet) on disk.
    pub(crate) fn chain_at(&mut self, offset: Offset) -> Result<Option<u64>, DiskError> {
        {
            let tail = self.shared.tail();
            if offset == tail.next {
                return Ok(Some(tail.chain));
            }
            // No record stands there yet that would say it.
            if offset == tail.written.0 {
                return Ok(Some(tail.written.1));
            }
            if offset == tail.state.landed && (offset == 0 || tail.state.chain != UNKNOWN) {
                return Ok(Some(tail.state.chain));
            }
        }
        match self.locate(offset) {
            Some((first, _)) if first <= offset && self.seek(first, offset)? => Ok(self
                .open
                .as_ref()
                .filter(|open| open.next == offset)
                .map(|open| open.chain)
                .filter(|chain| *chain != UNKNOWN || offset == 0)),
            _ => Ok(None),
        }
    }

    /// Returns when the first intact message from `offset` on was accepted.
    pub(crate) fn received_us(&mut self, offset: Offset) -> Result<Option<i64>, DiskError> {
        let Some((first, _)) = self.locate(offset) else { return Ok(None) };
        if !self.seek(first, offset.max(first))? {
            return Ok(None);
        }
        let Some(open) = self.open.as_mut() else { return Ok(None) };
        let run = open.scan(&mut self.buffer, 1, Offset::MAX)?;
        let format = open.format;
        Ok(self.buffer.get(..run.len).and_then(|records| received_us(format, records)))
    }

    fn locate(&self, offset: Offset) -> Option<(Offset, Offset)> {
        self.shared.tail().plan.locate(offset).map(|segment| (segment.first, segment.end))
    }

    fn hole_reason(&self, end: Offset) -> GapReason {
        if end <= self.shared.tail().state.evicted {
            GapReason::Dropped
        } else {
            GapReason::Corrupt
        }
    }

    fn gap(&self, from: Offset, to: Offset, reason: GapReason, chain_end: u64) -> Batch {
        let mut records = Vec::new();
        let format = self.shared.tail().format;
        format.encode_gap(from, to - from, reason, chain_end, 0, &mut records);
        Batch { format, records, end: to, chain_end, gap: Some(reason) }
    }

    /// Returns the chain value at `limit`, if that is where everything ends.
    fn chain_of_end(&self, limit: Offset) -> u64 {
        let tail = self.shared.tail();
        [(tail.next, tail.chain), tail.written]
            .into_iter()
            .find_map(|(end, chain)| (end == limit).then_some(chain))
            .unwrap_or(UNKNOWN)
    }

    fn header_chain(&self, first: Offset) -> Result<Option<u64>, DiskError> {
        Ok(self.header(first)?.map(|header| header.chain))
    }

    fn header(&self, first: Offset) -> Result<Option<SegmentHeader>, DiskError> {
        let Some(mut file) = SegmentReader::open(&self.folder, first)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.read_at(0, HEADER_LEN, &mut bytes)?;
        Ok(SegmentHeader::decode(&bytes).ok())
    }

    /// Opens the segment and goes to the record `to`, or to the first intact one after it. `false` when the file is gone.
    fn seek(&mut self, segment: Offset, to: Offset) -> Result<bool, DiskError> {
        let reusable =
            self.open.as_ref().is_some_and(|open| open.segment == segment && open.next <= to);
        if !reusable {
            let Some(file) = SegmentReader::open(&self.folder, segment)? else {
                return Ok(false);
            };
            let header = match self.header(segment)? {
                Some(header) => header,
                // A damaged header costs the chain value, and no record.
                None => self.shared.tail().state.header(segment, UNKNOWN),
            };
            let SegmentHeader { format, chain, .. } = header;
            let (position, next) = (header.bytes() as u64, segment);
            self.open = Some(Open { file, segment, format, position, next, chain });
        }
        let Some(open) = self.open.as_mut() else { return Ok(false) };
        while open.next < to {
            let run = open.scan(&mut self.buffer, usize::MAX, to)?;
            if run.len == 0 {
                let Some(found) = resync_to_end(open, &mut self.buffer)? else { return Ok(true) };
                open.position += found.at as u64;
                (open.next, open.chain) = (found.offset, found.chain);
                continue;
            }
            open.position += run.len as u64;
            (open.next, open.chain) = (run.next, run.chain);
        }
        Ok(true)
    }

    /// The record at `from` is damaged: returns a gap up to the next intact record of the segment, or its end.
    fn skip_damage(
        &mut self,
        from: Offset,
        limit: Offset,
        end: Offset,
    ) -> Result<Batch, DiskError> {
        let found = match self.open.as_mut() {
            Some(open) => resync_to_end(open, &mut self.buffer)?.inspect(|found| {
                open.position += found.at as u64;
                (open.next, open.chain) = (found.offset, found.chain);
            }),
            None => None,
        };
        if let Some(found) = found.filter(|found| found.offset <= limit) {
            return Ok(self.gap(from, found.offset, GapReason::Corrupt, found.chain));
        }
        self.open = None;
        let chain = match self.chain_of_end(limit) {
            UNKNOWN if limit == end => self.header_chain(end)?.unwrap_or(UNKNOWN),
            chain => chain,
        };
        Ok(self.gap(from, limit, GapReason::Corrupt, chain))
    }
}

fn received_us(format: Format, records: &[u8]) -> Option<i64> {
    match format.parse(records) {
        Parsed::Item { item: Item::Record(record), .. } => Some(record.received_us),
        _ => None,
    }
}

fn resync_to_end(open: &mut Open, buffer: &mut Vec<u8>) -> Result<Option<Resync>, DiskError> {
    let (file, position) = (&mut open.file, open.position);
    let read = |at: usize, count: usize, buffer: &mut Vec<u8>| {
        file.read_at(position + at as u64, count, buffer)
    };
    resync_from(read, open.format, 0, buffer, open.next)
}
