//! The spool's handle: append messages, see what is durable, let go of what has landed.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use telemetry_core::frame::FRAME_BYTES;
use telemetry_core::id::{Epoch, Offset, SourceId};
use telemetry_core::spool::format::Parsed;
use telemetry_core::spool::record::{Item, Record};
use tokio::sync::watch;

use crate::disk::DiskError;
use crate::fork::Move;
use crate::reader::Reader;
use crate::state::StateError;
use crate::tail::{AppendError, Message, Place, Progress, Shared};

/// With fewer messages to go the writer may be made to wait for the rest of a move.
const FEW: u64 = 1000;
/// Rounds after which it must wait: a writer that is as fast as the copy would never be caught up with.
const ROUNDS_MAX: u32 = 20;

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
    /// Segments are there, and what belongs to them is not.
    #[error(
        "{0} holds messages, but its spool.json is missing: restore that file, or, if the messages are not wanted, move the folder away to \
         start a new spool", path.display()
    )]
    NoState {
        /// The folder.
        path: PathBuf,
    },
    /// Segments are there that the state does not speak of.
    #[error(
        "{0} is in epoch {used}, and holds messages of epoch {found} as well, which nobody would deliver: restore the spool.json that goes \
         with them into a folder of their own beside them and open that, or move {found} away", path.display()
    )]
    UnknownEpoch {
        /// The spool's folder.
        path: PathBuf,
        /// The epoch that is not in the state.
        found: Epoch,
        /// The one that is.
        used: Epoch,
    },
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
    /// Most bytes on disk.
    pub bytes_max: u64,
    /// Whether the disk had no room when it was last written to.
    pub disk_full: bool,
    /// The lake that the source is bound to.
    pub lake_id: Option<String>,
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
    pub(crate) moves: Moves,
}

/// Where a move waits for the writer, one at most. Not part of [`Shared`]: a move holds that, and neither would ever go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moves(Arc<Mutex<Option<Move>>>);

impl Moves {
    fn put(&self, moving: Move) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(moving);
    }

    pub(crate) fn take(&self) -> Option<Move> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
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

    /// Returns where the spool is.
    pub(crate) fn folder(&self) -> PathBuf {
        self.shared.folder.clone()
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

    /// Moves what has not landed to a new epoch, as far as it can be done beside the writer, and lets the writer do the rest:
    /// [`Progress::generation`] tells when. Blocks.
    pub(crate) fn move_to(&self, epoch: Epoch) -> Result<(), DiskError> {
        let mut moving = Move::begin(&self.shared, epoch)?;
        for _ in 0..ROUNDS_MAX {
            let synced = self.shared.progress.borrow().synced;
            moving.catch_up(synced)?;
            if self.shared.progress.borrow().synced - synced < FEW {
                break;
            }
        }
        self.moves.put(moving);
        self.shared.tail().moving = true;
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Reads the messages from an offset on, as far as they are on stable storage. Blocks.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn records(
        &self,
        from: Offset,
        mut each: impl FnMut(&Record<'_>),
    ) -> Result<(), DiskError> {
        let (mut reader, mut at) = (self.reader(), from);
        let synced = self.shared.progress.borrow().synced;
        while at < synced {
            let batch = reader.read(at, synced, FRAME_BYTES)?;
            let mut rest = batch.records.as_slice();
            while let Parsed::Item { item, len, .. } = batch.format.parse(rest) {
                if let Item::Record(record) = item {
                    each(&record);
                }
                rest = rest.get(len..).unwrap_or_default();
            }
            at = batch.end;
        }
        Ok(())
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
            bytes_max: self.shared.bytes_max,
            disk_full: tail.disk_full,
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
