//! A file that is written while its rows still come: what is encoded is handed on, so that the file is never whole in memory.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_writer::ArrowWriter;
use parquet::errors::ParquetError;

use super::{options, stats};
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
    /// A file of `table` with rows of `schema`, as [`super::encode`] would write it.
    ///
    /// # Errors
    /// [`LakeError::File`] if the schema is not the table's.
    pub(crate) fn new(table: &Arc<Table>, schema: &SchemaRef) -> Result<Self, LakeError> {
        super::check(table, schema)?;
        let options = options(table, schema);
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
