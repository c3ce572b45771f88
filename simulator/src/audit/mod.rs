//! Compares the lake with the journal: is every acknowledged message in the tables, exactly once, as it was sent?
//!
//! Memory is constant: rows, sends and acknowledgements are spilled to temporary files by the hash of what they are
//! compared by, and compared one partition after the other (about 100 bytes a row on disk; at ten million messages with
//! eight rows each a partition takes some 70 MB of memory).
//!
//! 1. Rows are grouped by (source, epoch, offset): one group is one accepted message. The same row twice is **doubled**.
//! 2. Messages that are only a dead letter are known by topic and bytes; if the journal sent those bytes expecting rows,
//!    the group counts for that message, and as **altered**.
//! 3. Groups meet sends by their key. With `sends` (refused ones not counted), `acks` and `copies` (groups):
//!    `copies < acks` is **lost**, `copies > sends` is **doubled**, other copies beyond the first are **resent**; a copy
//!    whose rows are not the expected ones is **altered**, and so is a group of a journalled device that no send explains.
//! 4. A journal that is empty, has holes, or is of another run or lake proves nothing, and that is said.

mod grouping;
mod report;
mod row;
mod spill;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use crate::fingerprint::{MessageKey, device_hash};
use crate::journal::{Entry, Intent, JournalReader, ReadError};
use crate::message::{DeviceName, Outcome};
use grouping::Groups;
pub use report::{AlteredExample, AuditReport, MissingRange, Unproven};
pub use row::{LakeRow, Position, Table};
use spill::Spill;
use verdict::{Sent, judge_partition};

/// Partitions of each spill: also the number of files open at once, twice over.
const PARTITIONS: usize = 128;

/// Why an audit cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Temporary files cannot be used.
    #[error("cannot use temporary files in {}: free some space, or name another folder", path.display())]
    Spill {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The journal cannot be read.
    #[error("cannot audit without the whole journal")]
    Journal(#[from] ReadError),
}

/// An audit in the making: first every row of the lake, then the journal. All calls block on disk I/O.
#[derive(Debug)]
pub struct Audit {
    folder: tempfile::TempDir,
    rows: Spill<{ row::SIZE }>,
    count: u64,
}

impl Audit {
    /// Starts an audit; temporary files go to `temporary` or the system's folder for them.
    ///
    /// # Errors
    /// When they cannot be made.
    pub fn new(temporary: Option<&Path>) -> Result<Self, AuditError> {
        let at = temporary.map_or_else(std::env::temp_dir, Path::to_owned);
        let folder = tempfile::Builder::new()
            .prefix("tidemark-audit-")
            .tempdir_in(&at)
            .map_err(|source| AuditError::Spill { path: at, source })?;
        let mut audit =
            Self { rows: Spill::new(folder.path(), "rows", PARTITIONS), folder, count: 0 };
        audit.rows.open().map_err(spill_error(audit.folder.path()))?;
        Ok(audit)
    }

    /// Adds a row of any of the audited tables, in any order.
    ///
    /// # Errors
    /// When the temporary files are full.
    pub fn add(&mut self, row: &LakeRow) -> Result<(), AuditError> {
        self.count += 1;
        self.rows.push(row.spread(), &row.to_bytes()).map_err(spill_error(self.folder.path()))
    }

    /// Compares with the journals in `journal`.
    ///
    /// # Errors
    /// When the journal or the temporary files cannot be read.
    pub fn finish(self, journal: &Path) -> Result<AuditReport, AuditError> {
        let Self { folder, mut rows, count } = self;
        let folder = folder.path();
        let error = || spill_error(folder);
        rows.close().map_err(error())?;
        let mut report = AuditReport { rows: count, ..AuditReport::default() };
        let mut groups = Groups::new(folder);
        groups.collect(&rows, &mut report).map_err(error())?;
        let mut sends = Sends::new(folder);
        sends.read(journal, &mut groups, &mut report)?;
        groups.settle_dead_letters().map_err(error())?;
        let known: HashSet<u64> =
            sends.devices.iter().map(|d| device_hash(&d.site, &d.device_id)).collect();
        let mut lost = Vec::new();
        for partition in 0..PARTITIONS {
            let intents = sends.intents.read(partition).map_err(error())?;
            let events = sends.events.read(partition).map_err(error())?;
            let landed = groups.landed.read(partition).map_err(error())?;
            judge_partition(
                &intents,
                &events,
                &landed,
                &known,
                &sends.devices,
                &mut report,
                &mut lost,
            );
        }
        report.devices = sends.devices.len() as u64;
        report.finish(lost, &sends.devices);
        Ok(report)
    }
}

fn spill_error(folder: &Path) -> impl FnOnce(io::Error) -> AuditError {
    let path = folder.to_owned();
    move |source| AuditError::Spill { path, source }
}

/// The journal, spilled by key.
#[derive(Debug)]
struct Sends {
    folder: PathBuf,
    intents: Spill<{ verdict::INTENT_SIZE }>,
    events: Spill<{ verdict::EVENT_SIZE }>,
    devices: Vec<DeviceName>,
    numbers: HashMap<DeviceName, u32>,
}

impl Sends {
    fn new(folder: &Path) -> Self {
        let (intents, events) =
            (Spill::new(folder, "intents", PARTITIONS), Spill::new(folder, "events", PARTITIONS));
        Self {
            folder: folder.to_owned(),
            intents,
            events,
            devices: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    fn read(
        &mut self,
        journal: &Path,
        groups: &mut Groups,
        report: &mut AuditReport,
    ) -> Result<(), AuditError> {
        let folder = self.folder.clone();
        let error = || spill_error(&folder);
        self.intents
            .open()
            .and_then(|()| self.events.open())
            .and_then(|()| groups.aliases.open())
            .map_err(error())?;
        let mut reader = JournalReader::open(journal)?;
        for read in reader.by_ref() {
            let read = read?;
            match (read.entry, read.device) {
                (Entry::Send(intent), Some(device)) => {
                    self.intent(intent, device, groups).map_err(error())?;
                }
                // Cannot happen: a file names its devices before their sends.
                (Entry::Send(_), None) => {}
                (Entry::SendAgain(key), _) => {
                    self.event(key, verdict::Event::SendAgain).map_err(error())?;
                }
                (Entry::Acknowledged(key), _) => {
                    self.event(key, verdict::Event::Acknowledged).map_err(error())?;
                }
                (Entry::Refused(key, _), _) => {
                    self.event(key, verdict::Event::Refused).map_err(error())?;
                }
            }
        }
        report.torn_journals = reader.torn();
        report.unproven.extend(reader.holes().iter().cloned().map(Unproven::Hole));
        self.intents
            .close()
            .and_then(|()| self.events.close())
            .and_then(|()| groups.aliases.close())
            .map_err(error())
    }

    fn intent(
        &mut self,
        intent: Intent,
        device: DeviceName,
        groups: &mut Groups,
    ) -> io::Result<()> {
        let next = u32::try_from(self.devices.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(device).or_insert_with_key(|device| {
            self.devices.push(device.clone());
            next
        });
        let Intent { expect, boot, seq, key, dead_key, .. } = intent;
        if expect.outcome != Outcome::DeadLetter {
            groups.alias(dead_key, key)?;
        }
        let sent = Sent { key, device: number, boot, seq, expect };
        self.intents.push(spread(key), &sent.to_bytes())
    }

    fn event(&mut self, key: MessageKey, event: verdict::Event) -> io::Result<()> {
        self.events.push(spread(key), &verdict::event_bytes(key, event))
    }
}

/// Where a key's records go. Keys are hashes, or sums of hashes: any bits will do.
fn spread(key: MessageKey) -> u64 {
    u64::try_from(key.0 >> 64).unwrap_or(0)
}
