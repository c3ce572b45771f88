//! A file that is written while its rows still come: what is encoded is handed on, so that the file is never whole in memory.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_writer::ArrowWriter;
use parquet::errors::ParquetError;

use super::{group_rows, options, stats};
use crate::error::LakeError;
use crate::table::Table;

/// Bytes that a row group takes in memory before it is closed, should it have fewer rows than others.
const GROUP_MEMORY: usize = 64 << 20;

/// See the module.
pub(crate) struct Sink {
    table: Arc<Table>,
    writer: ArrowWriter<Vec<u8>>,
}

/// The end of a file.
pub(crate) struct Ending {
    /// What was not taken yet.
    pub(crate) bytes: Vec<u8>,
    /// Delta's per-file statistics, as JSON.
    pub(crate) stats: String,
    /// Rows of the file.
    pub(crate) rows: u64,
}

impl Sink {
    /// A file of `table` with about `rows` rows of `schema`, as [`super::encode`] would write it but for its row groups.
    ///
    /// # Errors
    /// [`LakeError::File`] if the schema is not the table's.
    pub(crate) fn new(
        table: &Arc<Table>,
        schema: &SchemaRef,
        rows: u64,
    ) -> Result<Self, LakeError> {
        super::check(table, schema)?;
        let options = options(table, schema, group_rows(rows));
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema.clone(), options)
            .map_err(failed(table))?;
        Ok(Self { table: table.clone(), writer })
    }

    /// Adds rows, in the table's order.
    ///
    /// # Errors
    /// [`LakeError::File`].
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        self.writer.write(batch).map_err(failed(&self.table))?;
        if self.writer.memory_size() > GROUP_MEMORY {
            self.writer.flush().map_err(failed(&self.table))?;
        }
        Ok(())
    }

    /// Bytes that are encoded for good and were not taken yet.
    pub(crate) fn ready(&self) -> usize {
        self.writer.inner().len()
    }

    /// Takes them.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.writer.inner_mut())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// [`LakeError::File`].
    pub(crate) fn finish(mut self) -> Result<Ending, LakeError> {
        let metadata = self.writer.finish().map_err(failed(&self.table))?;
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        let stats = stats(&self.table, &metadata).to_string();
        Ok(Ending { bytes: self.take(), stats, rows })
    }
}

fn failed(table: &Table) -> impl FnOnce(ParquetError) -> LakeError {
    move |error| LakeError::file("encode", &table.name, error)
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        ArrayRef, Int32Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
        new_null_array,
    };
    use arrow::datatypes::{DataType, Field};
    use bytes::Bytes;
    use parquet::file::metadata::ParquetMetaDataReader;

    use super::*;
    use crate::parquet::{Within, view_schema};
    use crate::tables::readings;

    const ROWS: usize = 300_000;
    const ALL: i64 = 300_000;
    const DEVICES: usize = 100;

    /// All rows of a hundred devices, in order.
    fn column(field: &Field) -> ArrayRef {
        let numbers = || 0..ROWS;
        match field.data_type() {
            _ if field.is_nullable() => new_null_array(field.data_type(), ROWS),
            DataType::Utf8View => Arc::new(StringViewArray::from_iter_values(
                numbers().map(|row| format!("device-{:03}", row / (ROWS / DEVICES))),
            )),
            DataType::Int64 => Arc::new(Int64Array::from_iter_values(0..ALL)),
            DataType::Int32 => Arc::new(Int32Array::from_iter_values(numbers().map(|_| 0))),
            DataType::Timestamp(_, zone) => {
                let times = TimestampMicrosecondArray::from_iter_values(0..ALL);
                Arc::new(times.with_timezone_opt(zone.clone()))
            }
            other => panic!("{other}"),
        }
    }

    /// Who knows row groups alone reads a part of a day to find one device of it.
    #[test]
    fn a_file_that_is_sorted_across_has_groups_that_a_device_is_in_one_of() {
        let table = Arc::new(readings::table());
        let schema = view_schema(&table);
        let columns = schema.fields().iter().map(|field| column(field)).collect();
        let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
        let mut sink = Sink::new(&table, &schema, ROWS as u64).unwrap();
        sink.write(&batch).unwrap();
        let bytes: Bytes = sink.finish().unwrap().bytes.into();
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes).unwrap();
        let rows: Vec<i64> = metadata.row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(rows, [75_000; 4]);
        let device = "device-060".to_owned();
        let within = Within { devices: Some((device.clone(), device)), ..Within::default() };
        assert_eq!(within.row_groups(&table, &metadata), [2]);
    }

    #[test]
    fn row_groups_are_a_quarter_of_a_file_within_limits() {
        let groups = [0, 1, 262_144, 600_000, 4 << 20, u64::MAX].map(group_rows);
        assert_eq!(groups, [65_536, 65_536, 65_536, 150_000, 1 << 20, 1 << 20]);
    }
}
