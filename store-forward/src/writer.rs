//! The one writer of a spool: writes and syncs what has gathered, deletes what is no longer needed.

use std::collections::VecDeque;
use std::mem;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crash_point::Point;
use telemetry_core::id::{Epoch, Offset};
use tracing::{error, info, warn};

use crate::disk::{self, DiskError, SegmentWriter, Segments};
use crate::fork::Move;
use crate::mark::{Mark, MarkFile};
use crate::spool::{Moves, SpoolError};
use crate::tail::{Shared, Tail, report};

/// How long the writer waits before it tries a full disk again.
const FULL_DISK_RETRY: Duration = Duration::from_millis(500);

/// Segments, the last ones and the one that is written, whose pages stay in memory: who reads them is mostly close behind.
const CACHED_SEGMENTS: usize = 4;

/// The writer of an open spool: run it on a thread of its own until [`Spool::close`].
#[derive(Debug)]
pub struct WriterThread {
    shared: Arc<Shared>,
    moves: Moves,
    segment: Option<SegmentWriter>,
    mark: MarkFile,
    synced: Offset,
    chain: u64,
    spare: Vec<u8>,
    /// The first offsets of those segments, oldest first.
    cached: VecDeque<Offset>,
}

/// What the writer took over in one round.
struct Round {
    records: Vec<u8>,
    end: Offset,
    chain_end: u64,
    roll: bool,
    moving: bool,
    closing: bool,
}

impl Tail {
    /// Takes all that there is to do; `spare` is where new records gather.
    fn take(&mut self, spare: Vec<u8>) -> Round {
        let records = mem::replace(&mut self.buffer, spare);
        self.writing = records.len() as u64;
        Round {
            end: self.next,
            chain_end: self.chain,
            roll: self.plan.must_roll(),
            moving: mem::take(&mut self.moving),
            closing: self.closing,
            records,
        }
    }
}

impl WriterThread {
    pub(crate) fn new(
        shared: Arc<Shared>,
        moves: Moves,
        segment: Option<SegmentWriter>,
        mark: MarkFile,
        (synced, chain): (Offset, u64),
    ) -> Self {
        let (spare, cached) = (Vec::new(), VecDeque::new());
        Self { shared, moves, segment, mark, synced, chain, spare, cached }
    }

    /// Writes until the spool is closed.
    ///
    /// # Errors
    /// When the disk fails for another reason than being full. From then on the spool accepts nothing: after a failed
    /// sync nobody can know what is durable, so the process must end and recover.
    pub fn run(mut self) -> Result<(), SpoolError> {
        let result = self.write_all();
        if let Err(failure) = &result {
            error!(error = %failure, "spool has failed: nothing is accepted any more");
        }
        let mut tail = self.shared.tail();
        // Also after a close: a late append must not wait for a writer that is gone.
        tail.failed = true;
        drop(tail);
        report(&self.shared, self.synced, result.is_err());
        result
    }

    fn write_all(&mut self) -> Result<(), SpoolError> {
        while !self.round()? {}
        Ok(())
    }

    /// Waits for work and does all that is there; tells whether that was the last.
    pub(crate) fn round(&mut self) -> Result<bool, SpoolError> {
        let round = self.next_round();
        if !round.records.is_empty() {
            self.write(&round)?;
        }
        self.spare = round.records;
        self.spare.clear();
        if round.moving
            && let Some(moving) = self.moves.take()
        {
            self.switch(moving)?;
        }
        if round.closing {
            self.mark.sync()?;
            // How far it has landed, for the next start.
            self.shared.tail().save_state = true;
        }
        let shared = self.shared.clone();
        retry_when_full(&shared, || clean_up(&shared))?;
        Ok(round.closing)
    }

    /// Goes on in a new epoch: brings it up to date, makes it the one that holds, and forgets the old one.
    pub(crate) fn switch(&mut self, mut moving: Move) -> Result<(), SpoolError> {
        let shared = self.shared.clone();
        let rest = {
            let mut tail = shared.tail();
            tail.switching = true;
            tail.take(Vec::new())
        };
        // The last of the old epoch: whoever waits for these messages must hear that they are safe.
        if !rest.records.is_empty() {
            self.write(&rest)?;
        }
        retry_when_full(&shared, || moving.catch_up(self.synced))?;
        if moving.from() < self.synced {
            // Closed meanwhile: the next start does it.
            return Ok(());
        }
        retry_when_full(&shared, || moving.save())?;
        moving.rename()?;
        (self.segment, self.synced, self.chain) = moving.install();
        self.cached.clear();
        let epoch = shared.tail().state.epoch;
        self.note_mark(epoch)?;
        Ok(leave(&shared)?)
    }

    /// Notes how far the disk has come. On a full disk the mark may stay behind.
    pub(crate) fn note_mark(&mut self, epoch: Epoch) -> Result<(), DiskError> {
        match self.mark.set(Mark { epoch, offset: self.synced, chain: self.chain }) {
            Err(failure) if !failure.is_full() => Err(failure),
            _ => Ok(()),
        }
    }

    /// Waits until there is something to do and takes all of it.
    fn next_round(&mut self) -> Round {
        let spare = mem::take(&mut self.spare);
        let mut tail = self.shared.tail();
        while tail.is_idle() {
            tail = self.shared.wake.wait(tail).unwrap_or_else(PoisonError::into_inner);
        }
        tail.take(spare)
    }

    /// Takes note of a new segment, and gives back the memory of one that is long full. A backlog would take all memory there is, page for
    /// page, and the kernel's search for pages, or a host's for memory, is what then holds up the writer.
    fn uncache(&mut self, folder: &Path) {
        self.cached.push_back(self.synced);
        if self.cached.len() > CACHED_SEGMENTS
            && let Some(first) = self.cached.pop_front()
        {
            disk::uncache_segment(folder, first);
        }
    }

    fn write(&mut self, round: &Round) -> Result<(), SpoolError> {
        if round.roll || self.segment.is_none() {
            let shared = self.shared.clone();
            let (header, folder) = {
                let tail = shared.tail();
                (tail.state.header(self.synced, self.chain), tail.segments.clone())
            };
            self.mark.sync()?;
            let segment = retry_when_full(&shared, || {
                SegmentWriter::create(&folder, header.first, &header.encode())
            })?;
            crash_point::reach(Point::SegmentCreated);
            self.segment = Some(segment);
            self.shared.tail().plan.roll(self.synced);
            self.uncache(&folder);
        }
        let segment = self.segment.as_mut().expect("opened above");
        retry_when_full(&self.shared, || segment.append_synced(&round.records))?;
        crash_point::reach(Point::SpoolSynced);
        let epoch = {
            let mut tail = self.shared.tail();
            tail.plan.appended(round.end, round.records.len() as u64);
            tail.written = (round.end, round.chain_end);
            tail.writing = 0;
            tail.state.epoch
        };
        (self.synced, self.chain) = (round.end, round.chain_end);
        self.note_mark(epoch)?;
        self.shared.metrics.syncs.inc();
        report(&self.shared, self.synced, false);
        Ok(())
    }
}

/// Deletes the folder of the epoch before, all of which is in this one.
pub(crate) fn leave(shared: &Shared) -> Result<(), DiskError> {
    let left = shared.tail().state.leaving;
    if let Some(left) = left {
        disk::delete_folder(&Segments::Epoch(left).path(&shared.folder))?;
        // Saved with the next change: until then there is nothing to delete.
        shared.tail().state.leaving = None;
    }
    Ok(())
}

/// Saves the state if it has changed, then deletes the segments that it makes superfluous; tells whether there were any.
fn clean_up(shared: &Shared) -> Result<bool, DiskError> {
    let (state, folder, doomed) = {
        let mut tail = shared.tail();
        if !mem::take(&mut tail.save_state) && tail.doomed.is_empty() {
            return Ok(false);
        }
        (tail.state.clone(), tail.segments.clone(), mem::take(&mut tail.doomed))
    };
    if let Err(failure) = state.save_in_any_case(&shared.folder) {
        // Not one segment may go before that is saved: at the next start it would look lost instead of landed.
        let mut tail = shared.tail();
        tail.save_state = true;
        tail.doomed.splice(0..0, doomed);
        return Err(failure);
    }
    if !doomed.is_empty() {
        crash_point::reach(Point::StateSaved);
    }
    for segment in &doomed {
        disk::delete_segment(&folder, segment.first)?;
        crash_point::reach(Point::SegmentDeleted);
    }
    match disk::take_reserve(&shared.folder) {
        Err(failure) if !failure.is_full() => Err(failure),
        _ => Ok(!doomed.is_empty()),
    }
}

/// Repeats an operation while the disk is full; meanwhile the spool refuses and landed segments are deleted.
fn retry_when_full<T>(
    shared: &Shared,
    mut operation: impl FnMut() -> Result<T, DiskError>,
) -> Result<T, DiskError> {
    let mut waiting = false;
    loop {
        let failure = match operation() {
            Err(failure) if failure.is_full() => failure,
            other => {
                if waiting {
                    info!("disk has room again");
                    shared.tail().disk_full = false;
                    shared.progress.send_modify(|progress| progress.freed += 1);
                }
                return other;
            }
        };
        if !mem::replace(&mut waiting, true) {
            warn!(error = %failure, "disk is full: refusing messages until there is room");
        }
        let mut tail = shared.tail();
        if tail.closing {
            // Nothing of this has been acknowledged.
            return Err(failure);
        }
        tail.disk_full = true;
        drop(tail);
        let stuck = match clean_up(shared) {
            Ok(true) => continue,
            Ok(false) => false,
            Err(failure) if failure.is_full() => true,
            Err(failure) => return Err(failure),
        };
        let tail = shared.tail();
        if stuck || tail.doomed.is_empty() {
            let waited = shared.wake.wait_timeout(tail, FULL_DISK_RETRY);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }
}
