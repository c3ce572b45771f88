//! Rows to messages: one group is what one accepted message became.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::report::AuditReport;
use super::row::{self, LakeRow, Table};
use super::spill::{Fields, Filler, Spill};
use super::{PARTITIONS, spread};
use crate::fingerprint::{Fingerprint, MessageKey};

/// Dead letters are few: fewer partitions do.
const DEAD_PARTITIONS: usize = 16;
/// Bits of the filter that keeps most aliases off the disk: 2 MiB.
const FILTER_BITS: u64 = 1 << 24;

/// One message of the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Landed {
    pub(super) key: MessageKey,
    pub(super) fingerprint: Fingerprint,
    pub(super) rows: u32,
    pub(super) device: u64,
    /// Nothing but one dead letter.
    pub(super) dead: bool,
    /// Its source said that it may be in the lake under another epoch.
    pub(super) maybe_repeat: bool,
}

pub(super) const LANDED_SIZE: usize = 16 + 16 + 4 + 8 + 1 + 1;
const ALIAS_SIZE: usize = 32;

/// All messages of the lake, spilled by key.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) landed: Spill<LANDED_SIZE>,
    dead: Spill<LANDED_SIZE>,
    /// (key as a dead letter, key as rows) of sends whose bytes may be among the dead letters.
    pub(super) aliases: Spill<ALIAS_SIZE>,
    filter: Vec<u64>,
}

impl Groups {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            landed: Spill::new(folder, "landed", PARTITIONS),
            dead: Spill::new(folder, "dead", DEAD_PARTITIONS),
            aliases: Spill::new(folder, "aliases", DEAD_PARTITIONS),
            filter: vec![0; usize::try_from(FILTER_BITS / 64).unwrap_or(0)],
        }
    }

    /// Groups every partition of `rows`.
    pub(super) fn collect(
        &mut self,
        rows: &Spill<{ row::SIZE }>,
        report: &mut AuditReport,
    ) -> io::Result<()> {
        self.landed.open()?;
        self.dead.open()?;
        for partition in 0..PARTITIONS {
            let mut rows: Vec<LakeRow> =
                rows.read(partition)?.iter().map(LakeRow::from_bytes).collect();
            rows.sort_unstable_by_key(|row| (row.message(), row.table, row.row_no));
            for group in rows.chunk_by(|a, b| a.message() == b.message()) {
                let (landed, doubled) = landed(group);
                report.messages_in_lake += 1;
                report.doubled += u64::from(doubled);
                if landed.dead {
                    self.remember(landed.key);
                    self.dead.push(spread(landed.key), &landed.to_bytes())?;
                } else {
                    self.landed.push(spread(landed.key), &landed.to_bytes())?;
                }
            }
        }
        self.landed.close()?;
        self.dead.close()
    }

    /// Notes that a message known by `dead_key` as a dead letter is known by `key` as rows.
    pub(super) fn alias(&mut self, dead_key: MessageKey, key: MessageKey) -> io::Result<()> {
        if !self.maybe_dead(dead_key) {
            return Ok(());
        }
        let record = Filler::new().put(&dead_key.0.to_le_bytes()).put(&key.0.to_le_bytes()).done();
        self.aliases.push(spread(dead_key), &record)
    }

    /// Gives dead letters that should have been rows the key of their message.
    pub(super) fn settle_dead_letters(&mut self) -> io::Result<()> {
        self.landed.open()?;
        for partition in 0..DEAD_PARTITIONS {
            let aliases: HashMap<MessageKey, MessageKey> = self
                .aliases
                .read(partition)?
                .iter()
                .map(|record| {
                    let mut fields = Fields::of(record);
                    let mut key = || MessageKey(u128::from_le_bytes(fields.take()));
                    (key(), key())
                })
                .collect();
            for record in self.dead.read(partition)? {
                let mut landed = Landed::from_bytes(&record);
                if let Some(key) = aliases.get(&landed.key) {
                    landed.key = *key;
                }
                self.landed.push(spread(landed.key), &landed.to_bytes())?;
            }
        }
        self.landed.close()
    }

    fn remember(&mut self, key: MessageKey) {
        for (word, bit) in filter_bits(key) {
            self.filter[word] |= bit;
        }
    }

    fn maybe_dead(&self, key: MessageKey) -> bool {
        filter_bits(key).iter().all(|(word, bit)| self.filter[*word] & bit != 0)
    }
}

/// Two bits of the filter.
fn filter_bits(key: MessageKey) -> [(usize, u64); 2] {
    let at = |bits: u128| {
        let bit = u64::try_from(bits % u128::from(FILTER_BITS)).unwrap_or(0);
        (usize::try_from(bit / 64).unwrap_or(0), 1 << (bit % 64))
    };
    [at(key.0), at(key.0 >> 40)]
}

/// Sums up one message's rows; true if one of them was there twice.
fn landed(group: &[LakeRow]) -> (Landed, bool) {
    let mut landed = Landed {
        key: MessageKey::default(),
        fingerprint: Fingerprint::default(),
        rows: 0,
        device: group.first().map_or(0, |row| row.device),
        dead: !matches!(group.first(), Some(LakeRow { table: Table::Other(_), .. }))
            && group.iter().all(|row| matches!(row.table, Table::DeadLetters | Table::Other(_))),
        maybe_repeat: group.iter().any(|row| row.maybe_repeat),
    };
    let (mut own, mut resources, mut said, mut dead) = (None, None::<MessageKey>, None, None);
    let mut doubled = false;
    let mut last = None;
    for row in group {
        if last.replace((row.table, row.row_no)) == Some((row.table, row.row_no)) {
            doubled = true;
            continue;
        }
        if matches!(row.table, Table::Other(_)) {
            continue;
        }
        landed.rows += 1;
        landed.fingerprint = landed.fingerprint.and(row.fingerprint);
        match (row.table, row.key) {
            // The first row counts.
            (_, Some(key)) if row.said => said = said.or(Some(key)),
            (Table::Readings | Table::DeviceStatus, Some(key)) => own = own.or(Some(key)),
            (Table::EhrEvents, Some(key)) => {
                resources = Some(resources.unwrap_or_default().and(key));
            }
            (Table::DeadLetters, Some(key)) => dead = dead.or(Some(key)),
            (Table::Other(_), Some(_)) | (_, None) => {}
        }
    }
    landed.key = own.or(resources).or(said).or(dead).unwrap_or_default();
    (landed, doubled)
}

impl Landed {
    fn to_bytes(self) -> [u8; LANDED_SIZE] {
        Filler::new()
            .put(&self.key.0.to_le_bytes())
            .put(&self.fingerprint.0.to_le_bytes())
            .put(&self.rows.to_le_bytes())
            .put(&self.device.to_le_bytes())
            .put(&[u8::from(self.dead), u8::from(self.maybe_repeat)])
            .done()
    }

    pub(super) fn from_bytes(bytes: &[u8; LANDED_SIZE]) -> Self {
        let mut fields = Fields::of(bytes);
        let key = MessageKey(u128::from_le_bytes(fields.take()));
        let fingerprint = Fingerprint(u128::from_le_bytes(fields.take()));
        let rows = u32::from_le_bytes(fields.take());
        let device = u64::from_le_bytes(fields.take());
        let [dead, maybe_repeat] = fields.take();
        Self { key, fingerprint, rows, device, dead: dead == 1, maybe_repeat: maybe_repeat == 1 }
    }
}
