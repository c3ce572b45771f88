//! What a plain Parquet writer makes of rows: pyarrow's and most others' defaults (Snappy, dictionaries, statistics of all columns, a
//! million rows a row group), by the same library as ours.

use arrow::array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

/// How it compresses.
#[derive(Clone, Copy, Debug)]
pub(super) enum Squeeze {
    Snappy,
    /// As ours does.
    Zstd,
}

/// Writes rows as they are into one file in memory.
pub(super) fn write(batches: &[RecordBatch], squeeze: Squeeze) -> anyhow::Result<Bytes> {
    let Some(first) = batches.first() else { return Ok(Bytes::new()) };
    let compression = match squeeze {
        Squeeze::Snappy => Compression::SNAPPY,
        Squeeze::Zstd => Compression::ZSTD(ZstdLevel::try_new(1)?),
    };
    // pyarrow writes no page index unless it is asked for.
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    let mut writer = ArrowWriter::try_new(Vec::new(), first.schema(), Some(properties.build()))?;
    for batch in batches {
        writer.write(batch)?;
    }
    Ok(writer.into_inner()?.into())
}
