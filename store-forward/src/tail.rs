//! The end of a spool, where messages gather and wait for the disk: what its handles, its writer and its reader share.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use telemetry_core::id::{Epoch, Offset, SourceId};
use telemetry_core::spool::attributes::ATTRIBUTES_MAX;
use telemetry_core::spool::format::{self, Format};
use telemetry_core::spool::plan::{Admission, Plan, Segment};
use telemetry_core::spool::record::{MESSAGE_MAX, Record};
use tokio::sync::watch;

use crate::books::Timeline;
use crate::disk::FolderLock;
use crate::metrics::{SpoolMetrics, gauge};
use crate::state::State;

/// Why a message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The spool (or the disk below it) is full; room comes with receipts.
    #[error("spool is full")]
    Full,
    /// Too much is waiting for the disk: wait for [`crate::Spool::progress`] to change, then try again.
    #[error("spool is busy")]
    Busy,
    /// The message is larger than any spool takes.
    #[error(
        "message is larger than a record may be: {MESSAGE_MAX} bytes with its topic and publisher, less in a small spool"
    )]
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
    /// What else there is to say: [`telemetry_core::spool::attributes`].
    pub attributes: &'a [u8],
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

/// What writer, reader and handles share. The lock is held for memory copies only, never for I/O.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) folder: PathBuf,
    pub(crate) source_id: SourceId,
    pub(crate) pending_bytes_max: usize,
    /// Most bytes of the spool on disk.
    pub(crate) bytes_max: u64,
    /// Largest record that the spool has room for.
    pub(crate) record_bytes_max: usize,
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
    /// There is a new epoch that the writer is to go on in.
    pub(crate) moving: bool,
    /// The writer is on its way there: nothing is accepted for a moment.
    pub(crate) switching: bool,
    pub(crate) next: Offset,
    pub(crate) chain: u64,
    /// Where the disk ends, and the chain value there.
    pub(crate) written: (Offset, u64),
    /// How records are written.
    pub(crate) format: Format,
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

impl Tail {
    /// Tells whether the writer has nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.buffer.is_empty()
            && self.doomed.is_empty()
            && !self.moving
            && !self.save_state
            && !self.closing
    }

    /// Counts what can never be delivered: what landed as gaps, what was announced as such, and what is gone from the front.
    pub(crate) fn dropped(&self) -> u64 {
        let landed = self.state.landed;
        let oldest = self.plan.oldest().map_or(landed, |oldest| oldest.max(landed));
        self.state.dropped + (oldest - landed) + self.state.gaps.count_from(oldest)
    }

    /// Takes a message at the end, or says why not; makes room first where the oldest may go.
    pub(crate) fn push(
        &mut self,
        shared: &Shared,
        received_us: i64,
        message: Message<'_>,
    ) -> Result<(), AppendError> {
        if self.failed || self.closing {
            return Err(AppendError::Failed);
        }
        let len = format::encoded_len(
            message.publisher,
            message.topic,
            message.attributes,
            message.payload,
        );
        if len > shared.record_bytes_max
            || message.topic.len() > usize::from(u16::MAX)
            || message.publisher.len() > usize::from(u16::MAX)
            || message.attributes.len() > ATTRIBUTES_MAX
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
            attributes: message.attributes,
            payload: message.payload,
        };
        self.chain = self.format.encode(&record, &mut self.buffer);
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
