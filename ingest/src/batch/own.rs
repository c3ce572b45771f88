//! Rows that ingest makes itself: they are of a source of its own, whose offsets count them.

use std::collections::BTreeMap;
use std::sync::Arc;

use lake::table::Text as Name;
use lake::{SourceAdvance, SourceKey, TableRows};

use super::cells::{Cell, Misfit};
use super::rows::Row;
use super::{Batch, readings::Readings};
use crate::batch::intern::NONE;

/// The source that ingest is of its own rows. No other may have such a name: an id has no `~`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnSource {
    pub(crate) source_id: Arc<str>,
    /// One of the worker's lanes: nobody else lands there.
    pub(crate) lane: u8,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Own {
    source: OwnSource,
    from: u64,
    to: u64,
    tables: BTreeMap<Name, TableRows>,
}

impl Own {
    pub(super) fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// What it moves in the ledger, if anything.
    pub(super) fn into_advance(self) -> Option<SourceAdvance> {
        (!self.is_empty()).then(|| SourceAdvance {
            lane: self.source.lane,
            key: SourceKey { source_id: self.source.source_id.to_string(), epoch: 0 },
            from: self.from,
            to: self.to,
            chain: 0,
            appended: self.to,
            received_us: None,
            gaps: Vec::new(),
            tables: self.tables,
        })
    }
}

impl Batch {
    /// Rows that ingest makes itself go on from the offset `from` of `source`.
    pub(crate) fn begin_own(&mut self, source: OwnSource, from: u64) {
        self.own = Some(Own { source, from, to: from, tables: BTreeMap::new() });
    }

    /// One beyond the last offset of ingest's own rows.
    pub(crate) fn own_end(&self) -> Option<u64> {
        self.own.as_ref().map(|own| own.to)
    }

    /// Adds a row of ingest's own. Without [`Batch::begin_own`] there is no room for any.
    ///
    /// # Errors
    /// What does not fit its table; then nothing was added.
    pub(crate) fn add_own(&mut self, row: Row<'_>) -> Result<(), Misfit> {
        let Self { own, layout, tables, .. } = self;
        let Some(own) = own else { return Ok(()) };
        let (table, time_us, mut cells) = row.into_parts();
        let handle = &layout.tables()[table];
        let identity = handle.identity();
        let source = own.source.source_id.clone();
        cells[identity.source_id] = Cell::Text(&source);
        cells[identity.epoch] = Cell::Long(0);
        cells[identity.offset] = Cell::Long(own.to.cast_signed());
        cells[identity.row_no] = Cell::Int(0);
        tables[table].push(time_us, &cells)?;
        own.to += 1;
        own.tables.entry(handle.table().name.clone()).or_default().add(time_us);
        Ok(())
    }

    /// The row of `readings` of that number, as watching sees it; `None`: of no device.
    pub(crate) fn reading(&self, row: usize) -> Option<watch::Reading<'_>> {
        self.is_watchable(row).then(|| self.watchable(row))
    }

    /// Whether the row of `readings` of that number is of a device.
    pub(crate) fn is_watchable(&self, row: usize) -> bool {
        self.readings.device[row] != u32::MAX
    }

    fn watchable(&self, row: usize) -> watch::Reading<'_> {
        self.reading_of(&self.packed(row))
    }

    /// What watching needs of the row of `readings` of that number.
    pub(crate) fn packed(&self, row: usize) -> Packed {
        let own = &self.readings;
        Packed {
            source: own.source[row],
            device: own.device[row],
            metric: own.metric[row],
            unit: own.unit[row],
            text: own.text[row],
            row_no: own.row_no[row],
            offset: own.offset[row],
            event_us: own.event_us[row],
            received_us: own.received_us[row],
            value: own.value[row],
            quality: own.flags[row].quality(),
        }
    }

    fn reading_of(&self, row: &Packed) -> watch::Reading<'_> {
        let Readings { metrics, units, texts, .. } = &self.readings;
        let (site, device) = self.devices.names(row.device);
        let source = row.source as usize;
        watch::Reading {
            id: watch::RowId {
                source_id: self.names.names.text(self.names.name_of[source]),
                epoch: self.names.epochs[source],
                source_offset: row.offset,
                row_no: row.row_no,
            },
            site,
            device,
            metric: metrics.text(row.metric),
            unit: if row.unit == NONE { "" } else { units.text(row.unit) },
            value: (!row.value.is_nan()).then_some(row.value),
            text: (row.text != NONE).then(|| texts.text(row.text)),
            quality: QUALITIES[usize::from(row.quality)],
            event_us: row.event_us,
            received_us: row.received_us,
        }
    }
}

/// What watching needs of a row, in one line of a processor's cache: rows are looked at device by device, and so in no order.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Packed {
    source: u32,
    device: u32,
    metric: u32,
    unit: u32,
    text: u32,
    row_no: i32,
    offset: i64,
    event_us: i64,
    received_us: i64,
    value: f64,
    quality: u8,
}

const _: () = assert!(size_of::<Packed>() == 64, "a row is a line of the cache");

/// Rows of `readings` that are of a device, as watching sees them.
pub(crate) struct Watchable<'a> {
    pub(crate) batch: &'a Batch,
    /// In the order of arrival.
    pub(crate) rows: &'a [Packed],
}

impl watch::Rows for Watchable<'_> {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn numbers(&self, row: usize) -> watch::Numbers {
        let own = &self.rows[row];
        watch::Numbers {
            source: own.source,
            device: own.device,
            metric: own.metric,
            unit: (own.unit != NONE).then_some(own.unit),
        }
    }

    fn received_us(&self, row: usize) -> i64 {
        self.rows[row].received_us
    }

    fn reading(&self, row: usize) -> watch::Reading<'_> {
        self.batch.reading_of(&self.rows[row])
    }
}

/// In the order of [`super::flags::QUALITIES`].
const QUALITIES: [watch::Quality; 4] =
    [watch::Quality::Bad, watch::Quality::Good, watch::Quality::Suspect, watch::Quality::Unchecked];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualities_are_those_of_the_table() {
        for (word, quality) in super::super::flags::QUALITIES.iter().zip(QUALITIES) {
            assert_eq!(*word, quality.name());
        }
    }
}
