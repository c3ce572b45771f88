//! The one writer of a spool: opens it, writes and syncs what has gathered, deletes what is no longer needed.

use std::mem;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crash_point::Point;
use telemetry_core::id::{Epoch, Offset};
use telemetry_core::spool::plan::{Plan, Segment};
use telemetry_core::spool::recovery;
use telemetry_core::spool::segment::{HEADER_LEN, SegmentError, SegmentHeader};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::books::Timeline;
use crate::config::SpoolOptions;
use crate::disk::{self, DiskError, SegmentReader, SegmentWriter};
use crate::fork::Move;
use crate::metrics::SpoolMetrics;
use crate::reader::Reader;
use crate::spool::{Moves, Spool, SpoolError};
use crate::state::State;
use crate::tail::{Progress, Shared, Tail, report};

/// How long the writer waits before it tries a full disk again.
const FULL_DISK_RETRY: Duration = Duration::from_millis(500);

/// The writer of an open spool: run it on a thread of its own until [`Spool::close`].
#[derive(Debug)]
pub struct WriterThread {
    shared: Arc<Shared>,
    moves: Moves,
    segment: Option<SegmentWriter>,
    synced: Offset,
    chain: u64,
    spare: Vec<u8>,
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

/// What recovery found.
struct Found {
    segments: Vec<Segment>,
    last: Option<SegmentWriter>,
    next: Offset,
    chain: u64,
}

impl Spool {
    /// Opens a spool, or makes one with `fresh_epoch`; recovers from a crash and finishes what the last run left.
    ///
    /// # Errors
    /// When the folder is in use, belongs to another source, or the disk refuses.
    pub fn open(
        options: &SpoolOptions,
        fresh_epoch: Epoch,
        metrics: SpoolMetrics,
    ) -> Result<(Self, WriterThread), SpoolError> {
        let config = &options.config;
        config.check().map_err(SpoolError::Config)?;
        let folder = &config.dir;
        disk::make_folder(folder)?;
        disk::warn_about(folder);
        let lock = disk::lock(folder)?;
        let state = load_state(folder, options, fresh_epoch)?;
        let forked = state.forked;
        match disk::take_reserve(folder) {
            Err(failure) if failure.is_full() => warn!("disk is full: nothing is accepted yet"),
            other => other?,
        }
        // What a move that was cut short left behind, or could not delete.
        disk::delete_other_epochs(folder, &state.epoch.to_string())?;
        let (state, found) = recover_current(folder, state, fresh_epoch)?;
        let mut plan = Plan::new(config.limits(), found.segments);
        // What had landed and was not deleted any more: no receipt may come that says so again.
        let doomed = plan.trim(state.landed);
        let (next, chain) = (found.next, found.chain);
        let progress = Progress { appended: next, synced: next, ..Progress::default() };
        let shared = Arc::new(Shared {
            folder: folder.clone(),
            source_id: state.source_id.clone(),
            pending_bytes_max: config.pending_bytes_max,
            record_bytes_max: config.record_bytes_max(),
            tail: Mutex::new(Tail {
                generation: 0,
                segments: state.segments(folder),
                moving: false,
                switching: false,
                next,
                chain,
                written: (next, chain),
                buffer: Vec::new(),
                writing: 0,
                plan,
                doomed,
                state,
                save_state: false,
                timeline: Timeline::default(),
                disk_full: false,
                failed: false,
                closing: false,
            }),
            wake: Condvar::new(),
            progress: watch::Sender::new(progress),
            metrics,
            _lock: lock,
        });
        report(&shared, next, false);
        note_oldest(&shared)?;
        let moves = Moves::default();
        let mut writer = WriterThread {
            shared: shared.clone(),
            moves: moves.clone(),
            segment: found.last,
            synced: next,
            chain,
            spare: Vec::new(),
        };
        if forked {
            let mut moving = Move::begin(&shared, fresh_epoch)?;
            moving.catch_up(next)?;
            writer.switch(moving)?;
        }
        Ok((Self { shared, moves }, writer))
    }
}

/// Finds out when the oldest pending message was accepted: later ones are known from reading and appending.
fn note_oldest(shared: &Arc<Shared>) -> Result<(), DiskError> {
    let landed = shared.tail().state.landed;
    if let Some(received_us) = Reader::new(shared.clone()).received_us(landed)? {
        shared.tail().timeline.note(landed, received_us);
    }
    Ok(())
}

/// Recovers the epoch in use, or starts a fresh one if the lake has more of it than the disk.
fn recover_current(
    folder: &Path,
    mut state: State,
    fresh_epoch: Epoch,
) -> Result<(State, Found), DiskError> {
    let found = recover(&state.segments(folder), state.epoch)?;
    if state.landed <= found.next {
        return Ok((state, found));
    }
    // The folder was restored from an older copy. What is there has landed.
    let (landed, found) = (state.landed, found.next);
    warn!(landed, found, "spool is older than the lake: starting a new epoch");
    let lake_id = state.lake_id.take();
    let state = State { lake_id, ..State::new(state.source_id, fresh_epoch) };
    disk::make_folder(&state.segments(folder))?;
    state.save(folder)?;
    let found = recover(&state.segments(folder), state.epoch)?;
    Ok((state, found))
}

fn load_state(
    folder: &Path,
    options: &SpoolOptions,
    fresh_epoch: Epoch,
) -> Result<State, SpoolError> {
    let Some(state) = State::load(folder)? else {
        let state = State::new(options.source_id.clone(), fresh_epoch);
        // The folder first: a state file without its folder would look like lost data.
        disk::make_folder(&state.segments(folder))?;
        state.save(folder)?;
        info!(source = %state.source_id, epoch = %state.epoch, "new spool");
        return Ok(state);
    };
    if state.source_id != options.source_id {
        let (found, expected) = (state.source_id, options.source_id.clone());
        return Err(SpoolError::OtherSource { path: folder.to_owned(), found, expected });
    }
    disk::make_folder(&state.segments(folder))?;
    Ok(state)
}

/// Finds the segments of an epoch and cuts the torn tail of the last one.
fn recover(folder: &Path, epoch: Epoch) -> Result<Found, DiskError> {
    let mut files = disk::list_segments(folder)?;
    let mut found = Found { segments: Vec::new(), last: None, next: 0, chain: 0 };
    let mut bytes = Vec::new();
    while let Some((first, len)) = files.pop() {
        let Some(mut file) = SegmentReader::open(folder, first)? else { continue };
        file.read_at(0, HEADER_LEN, &mut bytes)?;
        let header = match SegmentHeader::decode(&bytes) {
            Ok(header) if header.epoch == epoch && header.first == first => header,
            _ if len <= HEADER_LEN as u64 => {
                // A crash while the segment was made: nothing was accepted into it yet.
                disk::delete_segment(folder, first)?;
                continue;
            }
            // Another format: what this program cannot read it must not cut.
            Err(error @ (SegmentError::Version(_) | SegmentError::Magic)) => {
                let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
                return disk::at("read", &disk::segment_path(folder, first), Err(source));
            }
            _ => SegmentHeader { epoch, first, chain: 0 },
        };
        let read = |at: usize, count: usize, buffer: &mut Vec<u8>| {
            file.read_at((HEADER_LEN + at) as u64, count, buffer)
        };
        let tail = recovery::tail(read, first, header.chain)?;
        let keep = (HEADER_LEN + tail.keep) as u64;
        if keep < len {
            info!(segment = first, bytes = len - keep, "cut a torn tail");
        }
        if tail.damaged > 0 {
            warn!(
                segment = first,
                messages = tail.damaged,
                "damaged records: they will be reported as a gap"
            );
        }
        found.last = Some(SegmentWriter::open(folder, first, keep)?);
        found.segments.push(Segment { first, end: tail.next, bytes: keep });
        (found.next, found.chain) = (tail.next, tail.chain);
        break;
    }
    // The others were closed and synced before the last one was made, so their ends are their successors' starts.
    let mut end = found.segments.first().map_or(0, |s| s.first);
    for (first, bytes) in files.into_iter().rev() {
        found.segments.push(Segment { first, end, bytes });
        end = first;
    }
    found.segments.reverse();
    Ok(found)
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
            // How far it has landed, for the next start.
            self.shared.tail().save_state = true;
        }
        let shared = self.shared.clone();
        retry_when_full(&shared, || clean_up(&shared))?;
        Ok(round.closing)
    }

    /// Goes on in a new epoch: brings it up to date, makes it the one that holds, and forgets the old one.
    fn switch(&mut self, mut moving: Move) -> Result<(), SpoolError> {
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
        (self.segment, self.synced, self.chain) = moving.install();
        let epoch = shared.tail().state.epoch;
        Ok(disk::delete_other_epochs(&shared.folder, &epoch.to_string())?)
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

    fn write(&mut self, round: &Round) -> Result<(), SpoolError> {
        if round.roll || self.segment.is_none() {
            let shared = self.shared.clone();
            let (epoch, folder) = {
                let tail = shared.tail();
                (tail.state.epoch, tail.segments.clone())
            };
            let header = SegmentHeader { epoch, first: self.synced, chain: self.chain };
            let segment = retry_when_full(&shared, || {
                SegmentWriter::create(&folder, header.first, &header.encode())
            })?;
            crash_point::reach(Point::SegmentCreated);
            self.segment = Some(segment);
            self.shared.tail().plan.roll(self.synced);
        }
        let segment = self.segment.as_mut().expect("opened above");
        retry_when_full(&self.shared, || segment.append_synced(&round.records))?;
        crash_point::reach(Point::SpoolSynced);
        {
            let mut tail = self.shared.tail();
            tail.plan.appended(round.end, round.records.len() as u64);
            tail.written = (round.end, round.chain_end);
            tail.writing = 0;
        }
        (self.synced, self.chain) = (round.end, round.chain_end);
        self.shared.metrics.syncs.inc();
        report(&self.shared, self.synced, false);
        Ok(())
    }
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
