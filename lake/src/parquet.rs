//! Rows to Parquet bytes and back.
//!
//! zstd level 1 (archives: 19); dictionaries on text and on `value` (byte stream split only as its fallback: it makes rounded sensor
//! values 40 % larger); delta encoding on times, offsets and counters; page index; a million rows a row group, in what is merged a
//! quarter of the file if that is less, down to 65,536: who reads by row groups finds a device without reading all. Minimum and
//! maximum are kept for time and device alone, in the file as in the log: statistics of other columns would put
//! identifying values where nobody expects them.

mod batches;
mod foreign;
mod sink;
mod whole_rows;
mod within;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnPath;
use serde_json::{Map, Value, json};

use crate::error::LakeError;
use crate::store::Store;
use crate::table::{Column, Kind, Table, Text};

pub(crate) use batches::batches;
pub use foreign::Foreign;
pub(crate) use sink::{Ending, Sink};
pub(crate) use whole_rows::{WholeFile, view_schema};
pub(crate) use within::Within;

/// Rows of a row group, at most.
const ROW_GROUP_ROWS: usize = 1 << 20;
/// Rows of a row group that is a part of a file, at least: smaller ones cost readers of all more than they save readers of little.
const ROW_GROUP_LEAST: usize = 1 << 16;
/// Rows of a batch handed to readers.
const READ_ROWS: usize = 16 * 1024;
/// Bytes of a dictionary of texts: what a page can address.
const DICTIONARY_BYTES_MAX: usize = i32::MAX as usize;
/// Distinct patients that the bloom filter is sized for; it shrinks to what a file really has.
const BLOOM_PATIENTS: u64 = 16 * 1024;

/// One encoded file.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The file.
    pub bytes: Bytes,
    /// Its rows.
    pub rows: u64,
    /// Delta's per-file statistics, as JSON.
    pub stats: String,
}

/// Encodes `batches`, which together are one file of `table` in its sort order. Each batch has the table's file columns in
/// order; text may be a dictionary. Returns `None` if there are no rows. Blocks: call it on a thread for that.
///
/// # Errors
/// [`LakeError::File`] if the batches do not fit the table.
pub fn encode(
    table: &Table,
    batches: impl IntoIterator<Item = RecordBatch>,
) -> Result<Option<Encoded>, LakeError> {
    let failed = |error: ParquetError| LakeError::file("encode", &table.name, error);
    let mut writer: Option<ArrowWriter<Vec<u8>>> = None;
    for batch in batches {
        let writer = match &mut writer {
            Some(writer) => writer,
            None => {
                check(table, &batch.schema())?;
                let options = options(table, &batch.schema(), ROW_GROUP_ROWS);
                let made = ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options)
                    .map_err(failed)?;
                writer.insert(made)
            }
        };
        writer.write(&batch).map_err(failed)?;
    }
    let Some(mut writer) = writer else { return Ok(None) };
    let metadata = writer.finish().map_err(failed)?;
    let rows =
        u64::try_from(metadata.file_metadata().num_rows()).expect("a row count is not negative");
    if rows == 0 {
        return Ok(None);
    }
    let stats = stats(table, &metadata).to_string();
    let bytes = std::mem::take(writer.inner_mut());
    Ok(Some(Encoded { bytes: bytes.into(), rows, stats }))
}

/// The compressed bytes of each column of an encoded file, in file order: what "bytes a row, by column" is made of.
///
/// # Errors
/// [`LakeError::Unreadable`] if `file` is not a Parquet file.
pub fn column_bytes(file: &Bytes) -> Result<Vec<(String, u64)>, LakeError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone())
        .map_err(|error| LakeError::unreadable("of any name", "of any name", error))?;
    let mut sizes: Vec<(String, u64)> = Vec::new();
    for group in builder.metadata().row_groups() {
        for (n, column) in group.columns().iter().enumerate() {
            let bytes = u64::try_from(column.compressed_size()).unwrap_or(0);
            match sizes.get_mut(n) {
                Some((_, sum)) => *sum += bytes,
                None => sizes.push((column.column_path().string(), bytes)),
            }
        }
    }
    Ok(sizes)
}

/// The batches must have the file's columns, in order, in types that the columns accept.
fn check(table: &Table, schema: &SchemaRef) -> Result<(), LakeError> {
    let fits = |(column, field): (&Column, &Arc<Field>)| {
        column.name == *field.name()
            && column.nullable == field.is_nullable()
            && column.kind.accepts(field.data_type())
    };
    let same_length = table.file_columns().count() == schema.fields().len();
    if same_length && table.file_columns().zip(schema.fields()).all(fits) {
        return Ok(());
    }
    Err(LakeError::file(
        "encode",
        &table.name,
        format!("the rows' columns are not the table's: {schema}"),
    ))
}

/// Dictionaries, and views: they too hold a text once for many rows.
fn comes_as_dictionary(schema: &SchemaRef, column: &str) -> bool {
    let field = schema.field_with_name(column);
    field.is_ok_and(|field| {
        matches!(field.data_type(), DataType::Dictionary(..) | DataType::Utf8View)
    })
}

/// Rows of a row group in a file of `rows` rows that are sorted across all of it.
fn group_rows(rows: u64) -> usize {
    let quarter = usize::try_from(rows.div_ceil(4)).unwrap_or(ROW_GROUP_ROWS);
    quarter.clamp(ROW_GROUP_LEAST, ROW_GROUP_ROWS)
}

/// How a file of `table` is written.
fn options(table: &Table, schema: &SchemaRef, group_rows: usize) -> ArrowWriterOptions {
    ArrowWriterOptions::new()
        .with_properties(properties(table, schema, group_rows))
        // Else Arrow readers would see our dictionaries where others see strings.
        .with_skip_arrow_metadata(true)
}

fn properties(table: &Table, schema: &SchemaRef, group_rows: usize) -> WriterProperties {
    // Written once, read seldom, kept for years.
    let level = if table.archive_of().is_some() { 19 } else { 1 };
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("tidemark ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level).expect("zstd has that level")))
        .set_max_row_group_row_count(Some(group_rows))
        .set_statistics_enabled(EnabledStatistics::None);
    for column in table.file_columns() {
        let path = ColumnPath::from(column.name.as_ref());
        if table.stats.contains(&column.name) {
            builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::Page);
        }
        if table.bloom.contains(&column.name) {
            builder = builder
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_max_ndv(path.clone(), BLOOM_PATIENTS);
        }
        builder = match column.kind {
            Kind::Long | Kind::Int | Kind::Timestamp | Kind::Date => builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            Kind::Double => builder.set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT),
            Kind::Binary | Kind::Bool => builder.set_column_dictionary_enabled(path, false),
            // What comes as a dictionary stays one, however large: a dictionary that falls back writes each text again for
            // every row, and 40,000 rows of one message with three long names would be gigabytes.
            Kind::Text if comes_as_dictionary(schema, &column.name) => {
                builder.set_column_dictionary_page_size_limit(path, DICTIONARY_BYTES_MAX)
            }
            Kind::Text => builder,
        };
    }
    builder.set_sorting_columns(sorting(table)).build()
}

/// What a file says of its order.
fn sorting(table: &Table) -> Option<Vec<SortingColumn>> {
    let position = |name: &Text| table.file_columns().position(|column| column.name == *name);
    let sorting = table.sort.iter().filter_map(position).filter_map(|n| i32::try_from(n).ok());
    let sorting: Vec<_> = sorting
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true })
        .collect();
    (!sorting.is_empty()).then_some(sorting)
}

/// Delta's statistics object (`PROTOCOL.md`, "Per-file Statistics") from the file's footer.
fn stats(table: &Table, metadata: &ParquetMetaData) -> Value {
    let (mut lows, mut highs, mut nulls) = (Map::new(), Map::new(), Map::new());
    for (n, column) in
        table.file_columns().enumerate().filter(|(_, column)| table.stats.contains(&column.name))
    {
        let mut range: Option<(Value, Value)> = None;
        let (mut null_count, mut known) = (0, true);
        for group in metadata.row_groups() {
            let Some(statistics) = group.column(n).statistics() else {
                known = false;
                continue;
            };
            null_count += statistics.null_count_opt().unwrap_or(0);
            match bounds(column.kind, statistics) {
                Some((low, high)) => {
                    range = Some(match range {
                        Some((least, most)) => (lesser(least, low), greater(most, high)),
                        None => (low, high),
                    });
                }
                // A group of nulls only has no bounds, and changes none.
                None => {
                    known &= statistics.null_count_opt() == u64::try_from(group.num_rows()).ok();
                }
            }
        }
        if known {
            nulls.insert(column.name.to_string(), json!(null_count));
            if let Some((low, high)) = range {
                lows.insert(column.name.to_string(), low);
                highs.insert(column.name.to_string(), high);
            }
        }
    }
    json!({
        "numRecords": metadata.file_metadata().num_rows(),
        "minValues": lows,
        "maxValues": highs,
        "nullCount": nulls,
    })
}

fn bounds(kind: Kind, statistics: &Statistics) -> Option<(Value, Value)> {
    match (kind, statistics) {
        // The log holds milliseconds: the minimum is rounded down, the maximum up.
        (Kind::Timestamp, Statistics::Int64(range)) => Some((
            json!(millis_text(range.min_opt()?.div_euclid(1000))?),
            json!(millis_text(range.max_opt()?.div_euclid(1000) + 1)?),
        )),
        (_, Statistics::Int64(range)) => Some((json!(range.min_opt()?), json!(range.max_opt()?))),
        (_, Statistics::Int32(range)) => Some((json!(range.min_opt()?), json!(range.max_opt()?))),
        // A bound that was cut off is none.
        (_, Statistics::ByteArray(range)) if range.min_is_exact() && range.max_is_exact() => {
            Some((json!(range.min_opt()?.as_utf8().ok()?), json!(range.max_opt()?.as_utf8().ok()?)))
        }
        _ => None,
    }
}

fn millis_text(unix_ms: i64) -> Option<String> {
    Some(
        chrono::DateTime::from_timestamp_millis(unix_ms)?
            .format("%Y-%m-%dT%H:%M:%S%.3fZ")
            .to_string(),
    )
}

/// Both are numbers or both are texts; times as texts sort like times.
fn less(a: &Value, b: &Value) -> bool {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a < b,
        _ => a.as_str() < b.as_str(),
    }
}

fn lesser(a: Value, b: Value) -> Value {
    if less(&b, &a) { b } else { a }
}

fn greater(a: Value, b: Value) -> Value {
    if less(&a, &b) { b } else { a }
}

/// Reads the named columns of a small file that is already in memory; for an unknown name there is no column.
///
/// # Errors
/// [`LakeError::Damaged`] if it is not a Parquet file.
pub(crate) fn read(
    path: &str,
    file: Bytes,
    columns: &[&str],
) -> Result<Vec<RecordBatch>, LakeError> {
    let damaged = |error: String| LakeError::damaged(path, error);
    // What another program's Arrow says of its texts is no matter.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .map_err(|error| damaged(error.to_string()))?;
    let roots = builder.schema().fields().iter().enumerate();
    let roots: Vec<usize> =
        roots.filter(|(_, f)| columns.contains(&f.name().as_str())).map(|(n, _)| n).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let reader =
        builder.with_projection(mask).build().map_err(|error| damaged(error.to_string()))?;
    reader.collect::<Result<_, _>>().map_err(|error| damaged(error.to_string()))
}

/// How many rows a file has, by its footer: other writers' logs need not say it.
///
/// # Errors
/// [`LakeError::Unreadable`].
pub(crate) async fn rows(
    store: &Store,
    table: &Table,
    path: Path,
    size: u64,
) -> Result<u64, LakeError> {
    let mut reader = Ranges { store: store.root(), path, size, held: None };
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load_async(&mut reader, options).await;
    let metadata =
        metadata.map_err(|error| LakeError::unreadable(&table.name, &reader.path, error))?;
    Ok(u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0))
}

/// Streams the named columns of a file, a few thousand rows at a time, in file order. A column that the file does not have
/// (it is older than the column) is left out, and so are row groups that have nothing of what is asked for.
///
/// # Errors
/// [`LakeError::Unreadable`], here or in the stream.
pub(crate) async fn stream(
    store: &Store,
    table: &Table,
    path: Path,
    size: u64,
    columns: &[&str],
    within: &Within,
) -> Result<BoxStream<'static, Result<RecordBatch, LakeError>>, LakeError> {
    let (name, at) = (table.name.clone(), path.clone());
    let failed = move |error: ParquetError| LakeError::unreadable(&name, &at, error);
    let reader = Ranges { store: store.root(), path, size, held: None };
    // What another program's Arrow says of its texts is no matter: they are read as what the table says.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchStreamBuilder::new_with_options(reader, options)
        .await
        .map_err(&failed)?;
    let roots = builder.schema().fields().iter().enumerate();
    let roots: Vec<usize> =
        roots.filter(|(_, f)| columns.contains(&f.name().as_str())).map(|(n, _)| n).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let groups = within.row_groups(table, builder.metadata());
    let stream = builder
        .with_row_groups(groups)
        .with_projection(mask)
        .with_batch_size(READ_ROWS)
        .build()
        .map_err(&failed)?;
    Ok(stream.map_err(failed).boxed())
}

/// A stored file, read by byte ranges; or out of memory, where somebody holds all of it.
struct Ranges {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
    held: Option<Bytes>,
}

impl Ranges {
    fn out_of_memory(&self, range: &Range<u64>) -> Option<Result<Bytes, ParquetError>> {
        let held = self.held.as_ref()?;
        let ends = [range.start, range.end].map(|end| usize::try_from(end).unwrap_or(usize::MAX));
        let within = ends[0] <= ends[1] && ends[1] <= held.len();
        let beyond = || ParquetError::EOF(format!("the file has {} bytes", held.len()));
        Some(within.then(|| held.slice(ends[0]..ends[1])).ok_or_else(beyond))
    }
}

impl AsyncFileReader for Ranges {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        if let Some(bytes) = self.out_of_memory(&range) {
            return futures::future::ready(bytes).boxed();
        }
        let bytes = async move { self.store.get_range(&self.path, range).await };
        bytes.map_err(|error| ParquetError::External(Box::new(error))).boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        if self.held.is_some() {
            let bytes = ranges.iter().filter_map(|range| self.out_of_memory(range)).collect();
            return futures::future::ready(bytes).boxed();
        }
        let bytes = async move { self.store.get_ranges(&self.path, &ranges).await };
        bytes.map_err(|error| ParquetError::External(Box::new(error))).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let size = self.size;
        async move { Ok(Arc::new(ParquetMetaDataReader::new().load_and_finish(self, size).await?)) }
            .boxed()
    }
}

/// The schema that `columns` of `table` have in a file whose text is dictionaries: what fast writers build.
#[must_use]
pub fn dictionary_schema(table: &Table, dictionaries: &[&str]) -> SchemaRef {
    let fields = table.file_columns().map(|column| {
        let data_type = if dictionaries.contains(&column.name.as_ref()) {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        } else {
            column.kind.arrow()
        };
        Field::new(column.name.as_ref(), data_type, column.nullable)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
