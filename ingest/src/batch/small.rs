//! Rows of the tables that are not in a hurry: `ehr_events`, `device_status`, `dead_letters`, driven by their schema.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, Float64Builder, Int32Builder, Int64Builder, RecordBatch,
    StringBuilder, TimestampMicrosecondBuilder, UInt32Array,
};
use arrow::compute::take_record_batch;
use lake::schema::{Kind, Table, date_of};

/// One field of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cell<'a> {
    Null,
    Text(&'a str),
    Double(f64),
    Long(i64),
    Int(i32),
    Time(i64),
    Bytes(&'a [u8]),
}

impl<'a> Cell<'a> {
    pub(crate) fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }

    pub(crate) fn time(us: Option<i64>) -> Self {
        us.map_or(Self::Null, Self::Time)
    }

    pub(crate) fn long(number: Option<i64>) -> Self {
        number.map_or(Self::Null, Self::Long)
    }

    pub(crate) fn double(number: Option<f64>) -> Self {
        number.map_or(Self::Null, Self::Double)
    }
}

#[derive(Debug)]
enum Column {
    Text(StringBuilder),
    Double(Float64Builder),
    Long(Int64Builder),
    Int(Int32Builder),
    Time(TimestampMicrosecondBuilder),
    Bytes(BinaryBuilder),
}

/// The rows of one table.
#[derive(Debug)]
pub(crate) struct SmallTable {
    table: &'static Table,
    dates: Vec<i32>,
    columns: Vec<Column>,
}

impl SmallTable {
    pub(crate) fn new(table: &'static Table) -> Self {
        let columns = table.file_columns().map(|column| match column.kind {
            Kind::Text => Column::Text(StringBuilder::new()),
            Kind::Double => Column::Double(Float64Builder::new()),
            Kind::Long => Column::Long(Int64Builder::new()),
            Kind::Int | Kind::Date => Column::Int(Int32Builder::new()),
            Kind::Timestamp => {
                Column::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC"))
            }
            Kind::Binary => Column::Bytes(BinaryBuilder::new()),
        });
        Self { table, dates: Vec::new(), columns: columns.collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.dates.len()
    }

    /// Adds a row of the date of `time_us`. The cells are those of the table's file columns, in order; a cell of another
    /// kind is a defect here and becomes null.
    pub(crate) fn push(&mut self, time_us: i64, cells: &[Cell<'_>]) {
        debug_assert_eq!(cells.len(), self.columns.len(), "{}", self.table.name);
        self.dates.push(date_of(time_us));
        for (column, cell) in self.columns.iter_mut().zip(cells) {
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
                (Column::Bytes(builder), Cell::Bytes(bytes)) => builder.append_value(bytes),
                (Column::Bytes(builder), _) => builder.append_null(),
            }
        }
    }

    /// The rows of each date, sorted as the table wants them.
    ///
    /// # Errors
    /// [`lake::LakeError::File`] if the rows do not fit the table, which would be a defect.
    pub(crate) fn finish(mut self) -> Result<Vec<(i32, RecordBatch)>, lake::LakeError> {
        if self.dates.is_empty() {
            return Ok(Vec::new());
        }
        let failed = |error: arrow::error::ArrowError| lake::LakeError::File {
            action: "encode",
            table: self.table.name.to_owned(),
            source: error.into(),
        };
        let columns = self.columns.iter_mut().map(|column| -> ArrayRef {
            match column {
                Column::Text(builder) => Arc::new(builder.finish()),
                Column::Double(builder) => Arc::new(builder.finish()),
                Column::Long(builder) => Arc::new(builder.finish()),
                Column::Int(builder) => Arc::new(builder.finish()),
                Column::Time(builder) => ArrayBuilder::finish(builder),
                Column::Bytes(builder) => Arc::new(builder.finish()),
            }
        });
        let batch =
            RecordBatch::try_new(self.table.file_arrow(), columns.collect()).map_err(failed)?;
        let mut dates: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
        for (row, date) in (0..).zip(&self.dates) {
            dates.entry(*date).or_default().push(row);
        }
        let single = dates.len() == 1;
        let mut files = Vec::with_capacity(dates.len());
        for (date, rows) in dates {
            let of_date = if single {
                batch.clone()
            } else {
                take_record_batch(&batch, &UInt32Array::from(rows)).map_err(failed)?
            };
            files.push((date, lake::sort::sorted(self.table, &of_date)?));
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use lake::schema::DEAD_LETTERS;

    use super::*;

    #[test]
    fn rows_are_split_by_date_and_sorted() {
        let mut table = SmallTable::new(&DEAD_LETTERS);
        let day = 86_400_000_000;
        for us in [day + 5, 3, day + 1] {
            let text = Cell::Text("x");
            table.push(
                us,
                &[
                    Cell::Time(us),
                    Cell::Null,
                    Cell::Null,
                    text,
                    text,
                    Cell::Bytes(b"p"),
                    text,
                    text,
                    text,
                    text,
                    Cell::Long(1),
                    Cell::Long(us),
                    Cell::Int(0),
                ],
            );
        }
        let files = table.finish().unwrap();
        let offsets = |n: usize| {
            files[n]
                .1
                .column_by_name("source_offset")
                .unwrap()
                .as_primitive::<arrow::datatypes::Int64Type>()
                .values()
                .to_vec()
        };
        assert_eq!(files.iter().map(|(date, _)| *date).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((offsets(0), offsets(1)), (vec![3], vec![day + 1, day + 5]));
        assert!(files[0].1.column_by_name("site").unwrap().is_null(0));
    }
}
