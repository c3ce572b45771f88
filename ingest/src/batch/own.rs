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
        let Readings { metrics, units, texts, .. } = &self.readings;
        let own = &self.readings;
        let device = own.device[row];
        let source = own.source[row] as usize;
        let (site, name) = self.devices.names(device);
        let (unit, text, value) = (own.unit[row], own.text[row], own.value[row]);
        watch::Reading {
            id: watch::RowId {
                source_id: self.names.names.text(self.names.name_of[source]),
                epoch: self.names.epochs[source],
                source_offset: own.offset[row],
                row_no: own.row_no[row],
            },
            site,
            device: name,
            metric: metrics.text(own.metric[row]),
            unit: if unit == NONE { "" } else { units.text(unit) },
            value: (!value.is_nan()).then_some(value),
            text: (text != NONE).then(|| texts.text(text)),
            quality: QUALITIES[usize::from(own.flags[row].quality())],
            event_us: own.event_us[row],
            received_us: own.received_us[row],
        }
    }
}

/// Rows of `readings` that are of a device, as watching sees them.
pub(crate) struct Watchable<'a> {
    pub(crate) batch: &'a Batch,
    /// Their numbers, in the order of arrival.
    pub(crate) rows: &'a [u32],
}

impl watch::Rows for Watchable<'_> {
    fn count(&self) -> usize {
        self.rows.len()
    }

    fn numbers(&self, row: usize) -> watch::Numbers {
        let (own, row) = (&self.batch.readings, self.rows[row] as usize);
        watch::Numbers {
            source: own.source[row],
            device: own.device[row],
            metric: own.metric[row],
            unit: (own.unit[row] != NONE).then_some(own.unit[row]),
        }
    }

    fn received_us(&self, row: usize) -> i64 {
        self.batch.readings.received_us[self.rows[row] as usize]
    }

    fn reading(&self, row: usize) -> watch::Reading<'_> {
        self.batch.watchable(self.rows[row] as usize)
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
