//! The spool's handle: append messages, see what is durable, let go of what has landed.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use telemetry_core::id::{Epoch, Offset, SourceId};
use telemetry_core::spool::plan::{Admission, Plan, Segment};
use telemetry_core::spool::record::{self, MESSAGE_MAX, Record};
use tokio::sync::watch;

use crate::books::Timeline;
use crate::disk::{DiskError, FolderLock};
use crate::fork::Move;
use crate::metrics::{SpoolMetrics, gauge};
use crate::reader::Reader;
use crate::state::{State, StateError};

/// Why a spool cannot be opened or used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The state file is not usable.
    #[error(transparent)]
    State(#[from] StateError),
    /// The settings do not fit each other.
    #[error("{0}")]
    Config(String),
    /// The folder belongs to another source.
    #[error("{} is the spool of {found}, not of {expected}: give each source a folder of its own", path.display())]
    OtherSource {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        found: SourceId,
        /// Who asked.
        expected: SourceId,
    },
}

/// Why a message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The spool (or the disk below it) is full; room comes with receipts.
    #[error("spool is full")]
    Full,
    /// Too much is waiting for the disk: wait for [`Spool::progress`] to change, then try again.
    #[error("spool is busy")]
    Busy,
    /// The message is larger than any spool takes.
    #[error("message is larger than {MESSAGE_MAX} bytes with its topic and publisher")]
    TooLarge,
    /// The disk failed; nothing is accepted any more and the process should end.
    #[error("spool has failed")]
    Failed,
}

/// A message to accept.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The authenticated identity; empty for anonymous.
    pub publisher: &'a str,
    /// A valid MQTT topic.
    pub topic: &'a str,
    /// The payload as it came.
    pub payload: &'a [u8],
}

/// What the disk has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Counts the epochs of this process: offsets belong to one of them, and all of an earlier one's are on stable storage.
    pub generation: u32,
    /// Everything below is accepted or about to be.
    pub appended: Offset,
    /// Everything below is on stable storage.
    pub synced: Offset,
    /// Counts the times that room was made.
    pub freed: u64,
    /// The disk failed for good.
    pub failed: bool,
}

impl Progress {
    /// Tells whether the message at `place` is on stable storage.
    pub fn covers(&self, place: Place) -> bool {
        self.generation > place.generation
            || (self.generation == place.generation && place.offset < self.synced)
    }
}

/// Where an accepted message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its epoch: together with source and offset it names the message in receipts.
    pub epoch: Epoch,
    /// The epoch's number in this process.
    pub generation: u32,
    /// Its offset.
    pub offset: Offset,
}

/// A snapshot for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolStatus {
    /// The source's name.
    pub source_id: SourceId,
    /// Its epoch.
    pub epoch: Epoch,
    /// The offset after the last accepted message: how many were accepted.
    pub appended: Offset,
    /// Everything below is on stable storage.
    pub synced: Offset,
    /// Everything below is landed, as far as this source has heard.
    pub landed: Offset,
    /// Offsets that cannot be delivered: dropped or damaged, announced as gaps (landed or not) or about to be.
    pub dropped: u64,
    /// Offsets below `landed` that landed as gaps; part of `dropped`.
    pub landed_gaps: u64,
    /// When the oldest message that has not landed was accepted; exact to about a frame or 100 ms.
    pub oldest_pending_us: Option<i64>,
    /// The first offset still on disk.
    pub oldest: Offset,
    /// Bytes on disk.
    pub bytes: u64,
    /// The lake that the source is bound to.
    pub lake_id: Option<String>,
}

/// What writer, reader and handles share. The lock is held for memory copies only, never for I/O.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) source_id: SourceId,
    pub(crate) pending_bytes_max: usize,
    pub(crate) tail: Mutex<Tail>,
    pub(crate) wake: Condvar,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) metrics: SpoolMetrics,
    pub(crate) _lock: FolderLock,
}

/// The part that changes.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Counts the epochs of this process.
    pub(crate) generation: u32,
    /// The folder of the epoch's segments.
    pub(crate) segments: PathBuf,
    /// A new epoch that the writer is to go on in.
    pub(crate) moving: Option<Move>,
    /// The writer is on its way there: nothing is accepted for a moment.
    pub(crate) switching: bool,
    pub(crate) next: Offset,
    pub(crate) chain: u64,
    /// Records that the writer has not taken yet.
    pub(crate) buffer: Vec<u8>,
    /// Bytes that the writer has taken but not synced yet.
    pub(crate) writing: u64,
    pub(crate) plan: Plan,
    /// Segments that are out of the plan and wait for their deletion.
    pub(crate) doomed: Vec<Segment>,
    pub(crate) state: State,
    pub(crate) save_state: bool,
    pub(crate) timeline: Timeline,
    pub(crate) disk_full: bool,
    pub(crate) failed: bool,
    pub(crate) closing: bool,
}

impl Shared {
    pub(crate) fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a batch of messages was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The epoch of the offsets.
    pub epoch: Epoch,
    /// Its number in this process.
    pub generation: u32,
    /// The offsets of the accepted messages; they are durable once `synced` reaches its end.
    pub offsets: Range<Offset>,
    /// Why the message after them was not accepted, if one was not.
    pub refused: Option<AppendError>,
}

impl Appended {
    /// Returns where the accepted messages stand, in order.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let (epoch, generation) = (self.epoch, self.generation);
        self.offsets.clone().map(move |offset| Place { epoch, generation, offset })
    }
}

/// A source's spool. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Spool {
    pub(crate) shared: Arc<Shared>,
}

impl Spool {
    /// Accepts messages in order, up to the first that must be refused. They are durable when
    /// [`Progress::synced`] reaches the end of the returned offsets: acknowledge then, not before (INV-1).
    pub fn append<'a>(
        &self,
        received_us: i64,
        messages: impl IntoIterator<Item = Message<'a>>,
    ) -> Appended {
        let shared = &*self.shared;
        let mut tail = shared.tail();
        let was_empty = tail.buffer.is_empty();
        let first = tail.next;
        let refused =
            messages.into_iter().find_map(|message| tail.push(shared, received_us, message).err());
        let offsets = first..tail.next;
        let (epoch, generation) = (tail.state.epoch, tail.generation);
        if first == tail.state.landed && !offsets.is_empty() {
            tail.timeline.note(first, received_us);
        } else if !offsets.is_empty() {
            tail.timeline.note_next(first, received_us);
        }
        let added = !tail.buffer.is_empty();
        drop(tail);
        if was_empty && added {
            shared.wake.notify_one();
        }
        shared.metrics.accepted.inc_by(offsets.end - offsets.start);
        if refused == Some(AppendError::Full) {
            shared.metrics.refused.inc();
        }
        Appended { epoch, generation, offsets, refused }
    }

    /// Watches what is durable.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.shared.progress.subscribe()
    }

    /// Returns the source's name.
    pub fn source_id(&self) -> &SourceId {
        &self.shared.source_id
    }

    /// Returns the source's epoch: the current one, a fork changes it.
    pub fn epoch(&self) -> Epoch {
        self.shared.tail().state.epoch
    }

    /// Takes note of a receipt: everything below `landed`, where the chain value is `chain`, may be forgotten.
    pub(crate) fn landed(&self, landed: Offset, chain: u64, lake_id: &str) {
        let mut tail = self.shared.tail();
        tail.state.landed = landed;
        tail.state.chain = chain;
        tail.state.dropped += tail.state.gaps.take_below(landed);
        tail.timeline.trim(landed);
        if tail.state.lake_id.as_deref() != Some(lake_id) {
            tail.state.lake_id = Some(lake_id.to_owned());
            tail.save_state = true;
        }
        let freed = tail.plan.trim(landed);
        let changed = !freed.is_empty() || tail.save_state;
        tail.save_state |= changed;
        tail.doomed.extend(freed);
        drop(tail);
        if changed {
            self.shared.wake.notify_one();
            self.shared.progress.send_modify(|progress| progress.freed += 1);
        }
    }

    /// Takes note that these offsets are sent as a gap.
    pub(crate) fn announced(&self, first: Offset, end: Offset) {
        let mut tail = self.shared.tail();
        let first = first.max(tail.state.landed);
        if tail.state.gaps.add(first, end) {
            tail.save_state = true;
            drop(tail);
            self.shared.wake.notify_one();
        }
    }

    /// Remembers that the lake holds other messages of this source, so that the next start moves what is left if this run does
    /// not get that far.
    pub(crate) fn forked(&self) {
        let mut tail = self.shared.tail();
        tail.state.forked = true;
        tail.save_state = true;
        drop(tail);
        self.shared.wake.notify_one();
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::new(self.shared.clone())
    }

    /// Returns where the last receipt left off: position, chain value and lake.
    pub(crate) fn resume_from(&self) -> (Offset, Option<String>) {
        let tail = self.shared.tail();
        (tail.state.landed, tail.state.lake_id.clone())
    }

    /// Returns the first offset at or after `landed` that is still on disk.
    pub(crate) fn oldest(&self, landed: Offset) -> Offset {
        let tail = self.shared.tail();
        tail.plan.oldest().map_or(landed, |oldest| oldest.max(landed))
    }

    /// Returns a snapshot for people.
    pub fn status(&self) -> SpoolStatus {
        let tail = self.shared.tail();
        let progress = *self.shared.progress.borrow();
        // While the writer changes epochs, what it last said is about the one before.
        let synced = if progress.generation == tail.generation { progress.synced } else { 0 };
        SpoolStatus {
            source_id: self.shared.source_id.clone(),
            epoch: tail.state.epoch,
            appended: tail.next,
            synced,
            landed: tail.state.landed,
            dropped: tail.dropped(),
            landed_gaps: tail.state.dropped,
            oldest_pending_us: (tail.next > tail.state.landed)
                .then(|| tail.timeline.at(tail.state.landed))
                .flatten(),
            oldest: tail.plan.oldest().unwrap_or(tail.next),
            bytes: tail.plan.used(),
            lake_id: tail.state.lake_id.clone(),
        }
    }

    /// Lets the writer write what is pending, save its state and end.
    pub fn close(&self) {
        self.shared.tail().closing = true;
        self.shared.wake.notify_one();
    }
}

/// Closes a spool when it is dropped, however its owner ends: the writer must not wait for ever.
#[derive(Debug)]
pub struct CloseOnDrop(pub Spool);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Tail {
    /// Tells whether the writer has nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.buffer.is_empty()
            && self.doomed.is_empty()
            && self.moving.is_none()
            && !self.save_state
            && !self.closing
    }

    /// Counts what can never be delivered: what landed as gaps, what was announced as such, and what is gone from the front.
    fn dropped(&self) -> u64 {
        let landed = self.state.landed;
        let oldest = self.plan.oldest().map_or(landed, |oldest| oldest.max(landed));
        self.state.dropped + (oldest - landed) + self.state.gaps.count_from(oldest)
    }

    fn push(
        &mut self,
        shared: &Shared,
        received_us: i64,
        message: Message<'_>,
    ) -> Result<(), AppendError> {
        if self.failed || self.closing {
            return Err(AppendError::Failed);
        }
        let len = record::encoded_len(message.publisher, message.topic, message.payload);
        if len > MESSAGE_MAX
            || message.topic.len() > usize::from(u16::MAX)
            || message.publisher.len() > usize::from(u16::MAX)
        {
            return Err(AppendError::TooLarge);
        }
        if self.disk_full {
            return Err(AppendError::Full);
        }
        if self.switching {
            return Err(AppendError::Busy);
        }
        if !self.buffer.is_empty() && self.buffer.len() + len > shared.pending_bytes_max {
            return Err(AppendError::Busy);
        }
        loop {
            match self.plan.admit(self.writing + (self.buffer.len() + len) as u64) {
                Admission::Accept => break,
                Admission::Refuse => return Err(AppendError::Full),
                Admission::EvictFirst => self.evict(shared),
            }
        }
        let record = Record {
            offset: self.next,
            chain: self.chain,
            received_us,
            flags: 0,
            publisher: message.publisher,
            topic: message.topic,
            payload: message.payload,
        };
        self.chain = record::encode(&record, &mut self.buffer);
        self.next += 1;
        Ok(())
    }

    fn evict(&mut self, shared: &Shared) {
        let Some(segment) = self.plan.evict() else { return };
        let lost = segment.end.saturating_sub(segment.first.max(self.state.landed));
        shared.metrics.dropped.inc_by(lost);
        self.state.evicted = segment.end;
        self.save_state = true;
        self.doomed.push(segment);
    }
}

/// Publishes the positions that the disk decides.
pub(crate) fn report(shared: &Shared, synced: Offset, failed: bool) {
    let (generation, appended, bytes) = {
        let tail = shared.tail();
        (tail.generation, tail.next, tail.plan.used())
    };
    shared.metrics.appended.set(gauge(appended));
    shared.metrics.synced.set(gauge(synced));
    shared.metrics.bytes.set(gauge(bytes));
    shared.progress.send_modify(|progress| {
        let (appended, freed) = (appended.max(synced), progress.freed);
        *progress = Progress { generation, appended, synced, failed, freed };
    });
}
