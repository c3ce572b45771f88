//! Opens a spool: takes up what is on disk, says what is missing, and deletes nothing that was accepted.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use telemetry_core::id::{Epoch, Offset};
use telemetry_core::spool::format::{Format, Key};
use telemetry_core::spool::plan::{Plan, Segment};
use telemetry_core::spool::recovery::{self, From};
use telemetry_core::spool::segment::{self, HEADER_LEN, SegmentError, SegmentHeader};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::books::Timeline;
use crate::config::SpoolOptions;
use crate::disk::{self, DiskError, SegmentReader, SegmentWriter, Segments};
use crate::fork::Move;
use crate::mark::{Mark, MarkFile};
use crate::metrics::SpoolMetrics;
use crate::reader::Reader;
use crate::spool::{Moves, Spool, SpoolError};
use crate::state::State;
use crate::tail::{Progress, Shared, Tail, report};
use crate::writer::{WriterThread, leave};

/// What a new spool gets, or one that goes on in a new epoch.
#[derive(Debug, Clone, Copy)]
pub struct Fresh {
    /// The name of its life.
    pub epoch: Epoch,
    /// The secret of its records.
    pub key: Key,
}

impl Fresh {
    /// Takes 64 random bits twice.
    pub fn new(mut entropy: impl FnMut() -> u64) -> Self {
        Self { epoch: Epoch::from_random(entropy()), key: Key::from_random(entropy()) }
    }
}

/// What recovery found.
struct Found {
    segments: Vec<Segment>,
    /// The one to append to.
    last: Option<SegmentWriter>,
    next: Offset,
    chain: u64,
}

impl Spool {
    /// Opens a spool, or makes one; recovers from a crash and finishes what the last run left.
    ///
    /// # Errors
    /// When the folder is in use, belongs to another source, holds messages without the state that goes with them, or the disk refuses.
    pub fn open(
        options: &SpoolOptions,
        fresh: Fresh,
        metrics: SpoolMetrics,
    ) -> Result<(Self, WriterThread), SpoolError> {
        let config = &options.config;
        config.check().map_err(SpoolError::Config)?;
        let folder = &config.dir;
        disk::make_folder(folder)?;
        disk::warn_about(folder);
        let lock = disk::lock(folder)?;
        let state = load_state(folder, options, fresh)?;
        let forked = state.forked;
        match disk::take_reserve(folder) {
            Err(failure) if failure.is_full() => warn!("disk is full: nothing is accepted yet"),
            other => other?,
        }
        let (state, found, mark) = recover_current(folder, state, fresh)?;
        let mut plan = Plan::new(config.limits(), found.segments);
        // What had landed and was not deleted any more: no receipt may come that says so again.
        let doomed = plan.trim(state.landed);
        let (epoch, next, chain) = (state.epoch, found.next, found.chain);
        let progress = Progress { appended: next, synced: next, ..Progress::default() };
        let tail = Tail {
            generation: 0,
            segments: state.segments(folder),
            moving: false,
            switching: false,
            next,
            chain,
            written: (next, chain),
            format: state.format(),
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
        };
        let shared = Arc::new(Shared {
            folder: folder.clone(),
            source_id: options.source_id.clone(),
            pending_bytes_max: config.pending_bytes_max,
            bytes_max: config.bytes_max,
            record_bytes_max: config.record_bytes_max(),
            tail: Mutex::new(tail),
            wake: Condvar::new(),
            progress: watch::Sender::new(progress),
            metrics,
            _lock: lock,
        });
        report(&shared, next, false);
        leave(&shared)?;
        note_oldest(&shared)?;
        let moves = Moves::default();
        let mut writer =
            WriterThread::new(shared.clone(), moves.clone(), found.last, mark, (next, chain));
        // What was found is on stable storage from here on, whoever had said so before.
        writer.note_mark(epoch)?;
        if forked {
            let mut moving = Move::begin(&shared, fresh.epoch)?;
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

/// Recovers the epoch in use, or starts a fresh one if the lake has more of it than this spool ever had.
fn recover_current(
    folder: &Path,
    mut state: State,
    fresh: Fresh,
) -> Result<(State, Found, MarkFile), DiskError> {
    let mut found = recover(&state.segments(folder), &state)?;
    let (mark_file, mark) = MarkFile::open(folder, state.epoch)?;
    found.go_on_at(mark);
    if state.landed <= found.next {
        return Ok((state, found, mark_file));
    }
    // The folder was restored from an older copy. What is there has landed.
    let (landed, found) = (state.landed, found.next);
    warn!(landed, found, "spool is older than the lake: starting a new epoch");
    let (lake_id, leaving) = (state.lake_id.take(), Some(state.epoch));
    let new = State::new(state.source_id, fresh.epoch, state.key);
    let state = State { lake_id, leaving, ..new };
    disk::make_folder(&state.segments(folder))?;
    state.save(folder)?;
    let found = recover(&state.segments(folder), &state)?;
    Ok((state, found, mark_file))
}

impl Found {
    /// Goes on where the spool had come to: what is missing before is a gap, and no offset is used a second time.
    fn go_on_at(&mut self, mark: Option<Mark>) {
        let Some(Mark { offset, chain, .. }) = mark.filter(|mark| mark.offset > self.next) else {
            return;
        };
        warn!(
            from = self.next,
            to = offset,
            messages = offset - self.next,
            "messages that were on stable storage are gone: the end of the spool is missing. They will be reported as a gap; whoever sent \
             them was told that they are safe"
        );
        (self.next, self.chain, self.last) = (offset, chain, None);
    }
}

/// Loads the state, or makes a new one where there is nothing yet, or takes up segments that have lost theirs.
fn load_state(folder: &Path, options: &SpoolOptions, fresh: Fresh) -> Result<State, SpoolError> {
    let epochs = disk::list_epochs(folder)?;
    let Some(mut state) = State::load(folder)? else {
        let state = match adopt(folder, options, &epochs)? {
            Some(state) => state,
            None => State::new(options.source_id.clone(), fresh.epoch, fresh.key),
        };
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
    let older = state.upgrade(fresh.key);
    finish_copies(folder, &state, &epochs, older)?;
    disk::make_folder(&state.segments(folder))?;
    if older {
        state.save(folder)?;
    }
    Ok(state)
}

/// Takes up the segments of an epoch whose state file is gone: they say whose they are and where they begin.
fn adopt(
    folder: &Path,
    options: &SpoolOptions,
    epochs: &[Segments],
) -> Result<Option<State>, SpoolError> {
    let mut with_messages = Vec::new();
    for epoch in epochs {
        let path = epoch.path(folder);
        if let Some(&(first, _)) = disk::list_segments(&path)?.first() {
            with_messages.push((*epoch, first));
        }
    }
    let (epoch, first) = match with_messages[..] {
        [] => return Ok(None),
        [(Segments::Epoch(epoch), first)] => (epoch, first),
        _ => return Err(SpoolError::NoState { path: folder.to_owned() }),
    };
    let path = Segments::Epoch(epoch).path(folder);
    let header = read_header(&path, first)?;
    let ours = |header: &SegmentHeader| {
        header.epoch == epoch && header.source == segment::tag(&options.source_id)
    };
    let Some((header, Format::V2(key))) = header.filter(ours).map(|it| (it, it.format)) else {
        return Err(SpoolError::NoState { path: folder.to_owned() });
    };
    warn!(
        source = %options.source_id, %epoch, from = first,
        "the spool's state file is gone: going on with the messages that are there. What has landed of them is sent again, and lands once"
    );
    let state = State::new(options.source_id.clone(), epoch, key);
    Ok(Some(State { landed: first, chain: header.chain, ..state }))
}

/// Gives the epoch's folder its name if a move had not come to that, deletes copies that nobody uses, and refuses segments that nobody
/// knows.
fn finish_copies(
    folder: &Path,
    state: &State,
    epochs: &[Segments],
    older: bool,
) -> Result<(), SpoolError> {
    let used = state.segments(folder);
    for found in epochs {
        let path = found.path(folder);
        match *found {
            Segments::Copy(epoch) if epoch == state.epoch && !used.is_dir() => {
                disk::rename_folder(&path, &used)?;
            }
            Segments::Copy(_) => disk::delete_folder(&path)?,
            Segments::Epoch(epoch) if epoch == state.epoch || Some(epoch) == state.leaving => {}
            // An older program named its copies like epochs, and made them again when it had not finished one.
            Segments::Epoch(_) if older && state.forked => disk::delete_folder(&path)?,
            Segments::Epoch(_) if disk::list_segments(&path)?.is_empty() => {
                disk::delete_folder(&path)?;
            }
            Segments::Epoch(epoch) => {
                let (folder, used) = (folder.to_owned(), state.epoch);
                return Err(SpoolError::UnknownEpoch { path: folder, found: epoch, used });
            }
        }
    }
    Ok(())
}

fn read_header(folder: &Path, first: Offset) -> Result<Option<SegmentHeader>, DiskError> {
    let Some(mut file) = SegmentReader::open(folder, first)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.read_at(0, HEADER_LEN, &mut bytes)?;
    Ok(SegmentHeader::decode(&bytes).ok())
}

/// Finds the segments of an epoch and cuts the torn tail of the last one.
fn recover(folder: &Path, state: &State) -> Result<Found, DiskError> {
    let mut files = disk::list_segments(folder)?;
    let mut found = Found { segments: Vec::new(), last: None, next: 0, chain: 0 };
    while let Some((first, len)) = files.pop() {
        if let Some((segment, chain, writer)) = recover_last(folder, state, first, len)? {
            (found.next, found.chain, found.last) = (segment.end, chain, writer);
            found.segments.push(segment);
            break;
        }
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

/// Recovers the last segment, with the chain value at its end and what appends to it; `None` if nothing was accepted into it yet.
fn recover_last(
    folder: &Path,
    state: &State,
    first: Offset,
    len: u64,
) -> Result<Option<(Segment, u64, Option<SegmentWriter>)>, DiskError> {
    let Some(mut file) = SegmentReader::open(folder, first)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.read_at(0, HEADER_LEN, &mut bytes)?;
    let header = match SegmentHeader::decode(&bytes) {
        Ok(header) if header.epoch == state.epoch && header.first == first => header,
        _ if len <= HEADER_LEN as u64 => {
            // A crash while the segment was made.
            disk::delete_segment(folder, first)?;
            return Ok(None);
        }
        // Another format: what this program cannot read it must not cut.
        Err(error @ (SegmentError::Version(_) | SegmentError::Magic)) => {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
            return disk::at("read", &disk::segment_path(folder, first), Err(source));
        }
        _ => state.header(first, 0),
    };
    let read = |at: usize, count: usize, buffer: &mut Vec<u8>| {
        file.read_at((header.bytes() + at) as u64, count, buffer)
    };
    let from = From { format: header.format, offset: first, chain: header.chain };
    let tail = recovery::tail(read, from)?;
    let keep = (header.bytes() + tail.keep) as u64;
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
    let writer = SegmentWriter::open(folder, first, keep)?;
    // New records are not written like old ones: they get a segment of their own.
    let is_new = header.format != Format::V1;
    if !is_new && tail.next == first {
        disk::delete_segment(folder, first)?;
        return Ok(None);
    }
    let segment = Segment { first, end: tail.next, bytes: keep };
    Ok(Some((segment, tail.chain, is_new.then_some(writer))))
}
