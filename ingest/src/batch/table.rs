//! Rows of any table that gather, driven by its schema; only `readings` has vectors of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float64Builder,
    Int32Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
    UInt32Array,
};
use arrow::compute::take_record_batch;
use lake::date::date_of;
use lake::table::{Kind, Table};

use super::cells::{Cell, Misfit};
use super::dates::Dates;

/// Bytes of text, or of binary values, that one column of a batch can address.
const COLUMN_BYTES_MAX: usize = i32::MAX as usize;

#[derive(Debug)]
enum Column {
    Text(StringBuilder),
    Double(Float64Builder),
    Long(Int64Builder),
    Int(Int32Builder),
    Time(TimestampMicrosecondBuilder),
    Bool(BooleanBuilder),
    Date(Date32Builder),
    Bytes(BinaryBuilder),
}

impl Column {
    fn value_bytes(&self) -> usize {
        match self {
            Self::Text(builder) => builder.values_slice().len(),
            Self::Bytes(builder) => builder.values_slice().len(),
            _ => 0,
        }
    }

    /// What it takes with so many rows, and `room` for its values: builders grow by doubling.
    fn memory_bytes(&self, rows: usize, room: usize) -> usize {
        let width = match self {
            Self::Bool(_) => 1,
            Self::Text(_) | Self::Int(_) | Self::Date(_) | Self::Bytes(_) => 4,
            Self::Double(_) | Self::Long(_) | Self::Time(_) => 8,
        };
        (rows * width).next_power_of_two() + room
    }
}

/// The rows of one table.
#[derive(Debug)]
pub(crate) struct RowTable {
    table: Arc<Table>,
    /// The date of each row; `None`: that of the landing.
    row_dates: Vec<Option<i32>>,
    dates: Dates,
    columns: Vec<Column>,
    /// The bytes that each column has room for, of texts and binary values: it doubles when they are more, whatever they are then.
    rooms: Vec<usize>,
    column_bytes_max: usize,
    /// Source and offset of the last row's message, and the number of its next row.
    last: (u32, u64, i32),
}

impl RowTable {
    pub(crate) fn new(table: Arc<Table>) -> Self {
        Self::with_limit(table, COLUMN_BYTES_MAX)
    }

    fn with_limit(table: Arc<Table>, column_bytes_max: usize) -> Self {
        // Builders come with room for a thousand rows, in each column of each table of each batch, if they are not asked for none.
        let columns = table.file_columns().map(|column| match column.kind {
            Kind::Text => Column::Text(StringBuilder::with_capacity(0, 0)),
            Kind::Double => Column::Double(Float64Builder::with_capacity(0)),
            Kind::Long => Column::Long(Int64Builder::with_capacity(0)),
            Kind::Int => Column::Int(Int32Builder::with_capacity(0)),
            Kind::Bool => Column::Bool(BooleanBuilder::with_capacity(0)),
            Kind::Date => Column::Date(Date32Builder::with_capacity(0)),
            Kind::Timestamp => {
                Column::Time(TimestampMicrosecondBuilder::with_capacity(0).with_timezone("UTC"))
            }
            Kind::Binary => Column::Bytes(BinaryBuilder::with_capacity(0, 0)),
        });
        let columns: Vec<_> = columns.collect();
        let rooms = vec![0; columns.len()];
        let (row_dates, dates) = (Vec::new(), Dates::default());
        Self { table, row_dates, dates, columns, rooms, column_bytes_max, last: (u32::MAX, 0, 0) }
    }

    pub(crate) fn len(&self) -> usize {
        self.row_dates.len()
    }

    /// Partition dates so far.
    pub(crate) fn dates(&self) -> usize {
        self.dates.len()
    }

    /// Whether a row of `time_us` has its own partition date, for which room is made; else it has that of the landing.
    pub(crate) fn admits(&mut self, time_us: i64) -> bool {
        self.dates.admit(time_us)
    }

    /// The number that the next row of a message has.
    pub(crate) fn next_row_no(&self, source: u32, offset: u64) -> i32 {
        let (last_source, last_offset, next) = self.last;
        if (last_source, last_offset) == (source, offset) { next } else { 0 }
    }

    /// Remembers that a message has rows up to `row_no`.
    pub(crate) fn numbered(&mut self, source: u32, offset: u64, row_no: i32) {
        self.last = (source, offset, row_no + 1);
    }

    /// What the rows take in memory, about.
    pub(crate) fn memory_bytes(&self) -> u64 {
        if self.row_dates.is_empty() {
            return 0;
        }
        let rows = self.row_dates.len();
        let columns = self.columns.iter().zip(&self.rooms);
        columns.map(|(column, room)| column.memory_bytes(rows, *room)).sum::<usize>() as u64
    }

    /// Adds a row of the date of `time_us`. The cells are those of the table's file columns, in order.
    ///
    /// # Errors
    /// What does not fit; then nothing was added.
    pub(crate) fn push(&mut self, time_us: i64, cells: &[Cell<'_>]) -> Result<(), Misfit> {
        self.check(cells)?;
        let date = self.dates.admit(time_us).then(|| date_of(time_us));
        self.row_dates.push(date);
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            // Of the kinds that are left, one that is not the column's is null.
            match (column, *cell) {
                (Column::Text(builder), Cell::Text(text)) => builder.append_value(text),
                (Column::Text(builder), _) => builder.append_null(),
                (Column::Double(builder), Cell::Double(number)) => builder.append_value(number),
                (Column::Double(builder), _) => builder.append_null(),
                (Column::Long(builder), Cell::Long(number)) => builder.append_value(number),
                (Column::Long(builder), _) => builder.append_null(),
                (Column::Int(builder), Cell::Int(number)) => builder.append_value(number),
                (Column::Int(builder), _) => builder.append_null(),
                (Column::Time(builder), Cell::Time(us)) => builder.append_value(us),
                (Column::Time(builder), _) => builder.append_null(),
                (Column::Bool(builder), Cell::Bool(truth)) => builder.append_value(truth),
                (Column::Bool(builder), _) => builder.append_null(),
                (Column::Date(builder), Cell::Date(date)) => builder.append_value(date),
                (Column::Date(builder), _) => builder.append_null(),
                (Column::Bytes(builder), Cell::Bytes(bytes)) => builder.append_value(bytes),
                (Column::Bytes(builder), _) => builder.append_null(),
            }
        }
        for (column, room) in self.columns.iter().zip(&mut self.rooms) {
            let bytes = column.value_bytes();
            if bytes > *room {
                *room = bytes.max(*room * 2);
            }
        }
        Ok(())
    }

    /// Whether the row can be added and the table be encoded afterwards: one row that does not fit would fail them all.
    fn check(&self, cells: &[Cell<'_>]) -> Result<(), Misfit> {
        let max = self.column_bytes_max;
        let table = || self.table.name.clone();
        if cells.len() != self.columns.len() {
            let columns = self.columns.len();
            return Err(Misfit::Cells { table: table(), columns, given: cells.len() });
        }
        for ((column, builder), cell) in self.table.file_columns().zip(&self.columns).zip(cells) {
            let name = || column.name.clone();
            match cell.kind() {
                None if column.nullable => {}
                None => return Err(Misfit::Null { table: table(), column: name() }),
                Some(given) if given != column.kind => {
                    let expected = column.kind;
                    return Err(Misfit::Kind { table: table(), column: name(), expected, given });
                }
                Some(_) => {}
            }
            let added = match cell {
                Cell::Text(text) => text.len(),
                Cell::Bytes(bytes) => bytes.len(),
                _ => 0,
            };
            if added > column.bytes_max {
                let max = column.bytes_max;
                return Err(Misfit::Long { table: table(), column: name(), max, given: added });
            }
            if added > max.saturating_sub(builder.value_bytes()) {
                return Err(Misfit::Full { table: table(), column: name(), max });
            }
        }
        Ok(())
    }

    /// The rows of each date, sorted as the table wants them. `landing_date` is for those that have no date of their own.
    ///
    /// # Errors
    /// [`lake::LakeError::File`] if the rows do not fit the table, which would be a defect.
    pub(crate) fn finish(
        mut self,
        landing_date: i32,
    ) -> Result<Vec<(i32, RecordBatch)>, lake::LakeError> {
        if self.row_dates.is_empty() {
            return Ok(Vec::new());
        }
        let failed = |error: arrow::error::ArrowError| lake::LakeError::File {
            action: "encode",
            table: self.table.name.to_string(),
            source: error.into(),
        };
        let columns = self.columns.iter_mut().map(|column| -> ArrayRef {
            match column {
                Column::Text(builder) => Arc::new(builder.finish()),
                Column::Double(builder) => Arc::new(builder.finish()),
                Column::Long(builder) => Arc::new(builder.finish()),
                Column::Int(builder) => Arc::new(builder.finish()),
                Column::Time(builder) => ArrayBuilder::finish(builder),
                Column::Bool(builder) => Arc::new(builder.finish()),
                Column::Date(builder) => Arc::new(builder.finish()),
                Column::Bytes(builder) => Arc::new(builder.finish()),
            }
        });
        let batch =
            RecordBatch::try_new(self.table.file_arrow(), columns.collect()).map_err(failed)?;
        let mut dates: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
        for (row, date) in (0..).zip(&self.row_dates) {
            dates.entry(date.unwrap_or(landing_date)).or_default().push(row);
        }
        let single = dates.len() == 1;
        let mut files = Vec::with_capacity(dates.len());
        for (date, rows) in dates {
            let of_date = if single {
                batch.clone()
            } else {
                take_record_batch(&batch, &UInt32Array::from(rows)).map_err(failed)?
            };
            files.push((date, lake::sort::sorted(&self.table, &of_date)?));
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests;
