//! Parquet files that are none of a lake's, from a local disk.

use std::fs::File;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

/// Rows that are in memory at once.
const BATCH_ROWS: usize = 1024;

/// The rows of such a file, in its order, some at a time.
pub struct Foreign(ParquetRecordBatchReader);

impl Foreign {
    /// Opens a file. Reading blocks.
    ///
    /// # Errors
    /// It is no Parquet, or of a kind that can't be read (its compression, an encryption).
    pub fn open(file: File) -> Result<Self, ArrowError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
        Ok(Self(builder.with_batch_size(BATCH_ROWS).build()?))
    }

    /// Its columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        arrow::array::RecordBatchReader::schema(&self.0)
    }
}

impl Iterator for Foreign {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl std::fmt::Debug for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Foreign").field(&self.schema()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use parquet::arrow::arrow_writer::ArrowWriter;
    use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
    use parquet::file::properties::WriterProperties;

    use super::*;

    #[test]
    fn files_are_read_whole_however_they_are_compressed() {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..3_000));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        for compression in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(GzipLevel::default()),
            Compression::BROTLI(BrotliLevel::default()),
            Compression::LZ4_RAW,
            Compression::ZSTD(ZstdLevel::default()),
        ] {
            let file = tempfile::tempfile().unwrap();
            let properties = WriterProperties::builder()
                .set_compression(compression)
                .set_max_row_group_row_count(Some(700))
                .build();
            let mut writer =
                ArrowWriter::try_new(file.try_clone().unwrap(), batch.schema(), Some(properties))
                    .unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            let foreign = Foreign::open(file).unwrap();
            assert_eq!(foreign.schema().field(0).name(), "n");
            let mut read = Vec::new();
            for batch in foreign {
                let batch = batch.unwrap();
                assert!(batch.num_rows() <= BATCH_ROWS);
                read.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
            }
            assert_eq!(read, (0..3_000).collect::<Vec<_>>(), "{compression}");
        }
    }

    #[test]
    fn what_is_no_parquet_is_an_error() {
        let file = tempfile::tempfile().unwrap();
        assert!(Foreign::open(file).is_err());
    }
}
