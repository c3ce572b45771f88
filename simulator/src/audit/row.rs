//! A row of the lake, as the audit needs it.

use telemetry_core::topic::DeviceTopic;
use xxhash_rust::xxh3::xxh3_64;

use super::spill::{Fields, Filler};
use crate::fingerprint::{
    DeadLetterRow, EhrRow, Fingerprint, MessageKey, ReadingRow, StatusRow, device_hash,
};

/// The audited tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// `readings`
    Readings,
    /// `ehr_events`
    EhrEvents,
    /// `device_status`
    DeviceStatus,
    /// `dead_letters`
    DeadLetters,
    /// Another table of the lake, by a number of the caller's: no journal says what is in it, but each row is there once.
    Other(u8),
}

/// As bytes, the first of the numbers that other tables have.
const FIRST_OTHER: u8 = 4;

/// The identity of a row, from its columns.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields are the tables' columns")]
pub struct Position<'a> {
    pub source_id: &'a str,
    pub epoch: i64,
    pub source_offset: i64,
    pub row_no: i32,
}

/// A row of the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LakeRow {
    pub(super) source: u64,
    pub(super) epoch: i64,
    pub(super) offset: i64,
    pub(super) table: Table,
    pub(super) row_no: i32,
    pub(super) device: u64,
    pub(super) key: Option<MessageKey>,
    /// The key is of what the row says: it counts where no row of the message has one that a device or system gave.
    pub(super) said: bool,
    pub(super) fingerprint: Fingerprint,
    pub(super) maybe_repeat: bool,
}

pub(super) const SIZE: usize = 8 + 8 + 8 + 1 + 4 + 8 + 1 + 16 + 16 + 1;

impl LakeRow {
    /// A row of `readings`.
    #[must_use]
    pub fn reading(at: Position<'_>, row: &ReadingRow<'_>) -> Self {
        let device = device_hash(row.site, row.device_id);
        let said = row.key().is_none();
        let key = row.key().or_else(|| Some(row.said_key()));
        Self { said, ..Self::new(at, Table::Readings, device, key, row.fingerprint()) }
    }

    /// A row of `ehr_events`.
    #[must_use]
    pub fn ehr(at: Position<'_>, row: &EhrRow<'_>) -> Self {
        let device = device_hash(row.site, row.system_id);
        Self::new(at, Table::EhrEvents, device, Some(row.key()), row.fingerprint())
    }

    /// A row of `device_status`.
    #[must_use]
    pub fn status(at: Position<'_>, row: &StatusRow<'_>) -> Self {
        let device = device_hash(row.site, row.device_id);
        let said = row.key().is_none();
        let key = row.key().or_else(|| Some(row.said_key()));
        Self { said, ..Self::new(at, Table::DeviceStatus, device, key, row.fingerprint()) }
    }

    /// A row of `dead_letters`; its device is the topic's.
    #[must_use]
    pub fn dead_letter(at: Position<'_>, row: &DeadLetterRow<'_>) -> Self {
        let device = DeviceTopic::parse(row.topic)
            .map_or(0, |topic| device_hash(topic.site, topic.device_id));
        Self::new(at, Table::DeadLetters, device, Some(row.key()), row.fingerprint())
    }

    /// So many other tables are told apart.
    pub const OTHERS_MAX: u8 = u8::MAX - FIRST_OTHER;

    /// A row of another table, which has a `number` below [`Self::OTHERS_MAX`].
    #[must_use]
    pub fn other(at: Position<'_>, number: u8) -> Self {
        Self::new(at, Table::Other(number), 0, None, Fingerprint::default())
    }

    fn new(
        at: Position<'_>,
        table: Table,
        device: u64,
        key: Option<MessageKey>,
        fingerprint: Fingerprint,
    ) -> Self {
        let source = xxh3_64(at.source_id.as_bytes());
        let (epoch, offset, row_no) = (at.epoch, at.source_offset, at.row_no);
        let (said, maybe_repeat) = (false, false);
        Self { source, epoch, offset, table, row_no, device, key, said, fingerprint, maybe_repeat }
    }

    /// The same row with what its column `flags` says: a source whose spool was cloned or restored flags what may be in
    /// the lake already under another epoch.
    #[must_use]
    pub fn with_flags(self, flags: Option<&str>) -> Self {
        let maybe_repeat =
            flags.is_some_and(|flags| flags.split(',').any(|flag| flag == "maybe_repeat"));
        Self { maybe_repeat, ..self }
    }

    /// The rows of a message that became what it must, without their content.
    #[cfg(test)]
    pub(crate) fn of_message(offset: i64, message: &crate::message::Message) -> Vec<Self> {
        use crate::message::Outcome;
        let at = |row_no| Position { source_id: "gw", epoch: 1, source_offset: offset, row_no };
        let dead = message.expect.outcome == Outcome::DeadLetter;
        let table = if dead { Table::DeadLetters } else { Table::Readings };
        let rows = i32::try_from(message.expect.rows).unwrap();
        let fingerprint =
            |row| if row == 0 { message.expect.fingerprint } else { Fingerprint::default() };
        (0..rows)
            .map(|row| Self::new(at(row), table, 0, Some(message.key), fingerprint(row)))
            .collect()
    }

    /// Rows of one message go to one partition.
    pub(super) fn spread(&self) -> u64 {
        let mix =
            self.source ^ self.epoch.cast_unsigned().rotate_left(32) ^ self.offset.cast_unsigned();
        mix.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
    }

    /// What makes two rows of one message.
    pub(super) fn message(&self) -> (u64, i64, i64) {
        (self.source, self.epoch, self.offset)
    }

    pub(super) fn to_bytes(self) -> [u8; SIZE] {
        let table = match self.table {
            Table::Readings => 0u8,
            Table::EhrEvents => 1,
            Table::DeviceStatus => 2,
            Table::DeadLetters => 3,
            Table::Other(number) => FIRST_OTHER.saturating_add(number),
        };
        Filler::new()
            .put(&self.source.to_le_bytes())
            .put(&self.epoch.to_le_bytes())
            .put(&self.offset.to_le_bytes())
            .put(&[table])
            .put(&self.row_no.to_le_bytes())
            .put(&self.device.to_le_bytes())
            .put(&[u8::from(self.key.is_some()) + u8::from(self.said)])
            .put(&self.key.unwrap_or_default().0.to_le_bytes())
            .put(&self.fingerprint.0.to_le_bytes())
            .put(&[u8::from(self.maybe_repeat)])
            .done()
    }

    pub(super) fn from_bytes(bytes: &[u8; SIZE]) -> Self {
        let mut fields = Fields::of(bytes);
        let source = u64::from_le_bytes(fields.take());
        let epoch = i64::from_le_bytes(fields.take());
        let offset = i64::from_le_bytes(fields.take());
        let table = match fields.take() {
            [0] => Table::Readings,
            [1] => Table::EhrEvents,
            [2] => Table::DeviceStatus,
            [3] => Table::DeadLetters,
            [other] => Table::Other(other - FIRST_OTHER),
        };
        let row_no = i32::from_le_bytes(fields.take());
        let device = u64::from_le_bytes(fields.take());
        let [has_key] = fields.take();
        let key = MessageKey(u128::from_le_bytes(fields.take()));
        let fingerprint = Fingerprint(u128::from_le_bytes(fields.take()));
        let [maybe_repeat] = fields.take();
        Self {
            source,
            epoch,
            offset,
            table,
            row_no,
            device,
            key: (has_key > 0).then_some(key),
            said: has_key == 2,
            fingerprint,
            maybe_repeat: maybe_repeat == 1,
        }
    }
}
