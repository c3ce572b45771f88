//! Whole rows of a file for who merges files: all columns of the table, texts and bytes as views into the file's pages.
//!
//! Views, because a text that a file holds once for thousands of rows stays one text in memory, and rows move between batches
//! without copying it.

use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::errors::ParquetError;

use super::{Ranges, sorting};
use crate::error::LakeError;
use crate::store::Store;
use crate::table::{Kind, Table};

/// Bytes of rows in a batch, about; a row may have more.
const BATCH_BYTES: u64 = 1 << 20;

/// An opened file whose every column the table has, too.
pub(crate) struct WholeFile {
    table: Arc<Table>,
    reader: Ranges,
    metadata: ArrowReaderMetadata,
}

/// The schema of whole rows.
pub(crate) fn view_schema(table: &Table) -> SchemaRef {
    let field =
        |(name, kind, nullable): (&str, Kind, bool)| Field::new(name, viewed(kind), nullable);
    let columns =
        table.file_columns().map(|column| (column.name.as_ref(), column.kind, column.nullable));
    Arc::new(Schema::new(columns.map(field).collect::<Vec<_>>()))
}

fn viewed(kind: Kind) -> DataType {
    match kind {
        Kind::Text => DataType::Utf8View,
        Kind::Binary => DataType::BinaryView,
        other => other.arrow(),
    }
}

impl WholeFile {
    /// Opens a file; `held` are its bytes where somebody has them already.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`]; [`LakeError::File`] if it has a column that the table has not or in another type, or lacks one that
    /// every row must have a value in.
    pub(crate) async fn open(
        store: &Store,
        table: &Arc<Table>,
        path: Path,
        size: u64,
        held: Option<Bytes>,
    ) -> Result<Self, LakeError> {
        let mut reader = Ranges { store: store.root(), path, size, held };
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load_async(&mut reader, options.clone()).await;
        let metadata =
            metadata.map_err(|error| LakeError::unreadable(&table.name, &reader.path, error))?;
        let fields = metadata.schema().fields().iter().map(|field| as_view(table, field));
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        for column in table.file_columns().filter(|column| !column.nullable) {
            if fields.iter().all(|field| *field.name() != column.name) {
                return Err(unfit(table, &column.name, "is not in it"));
            }
        }
        let options = options.with_schema(Arc::new(Schema::new(fields)));
        let metadata = ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)
            .map_err(|error| LakeError::unreadable(&table.name, &reader.path, error))?;
        Ok(Self { table: table.clone(), reader, metadata })
    }

    /// Its rows.
    pub(crate) fn rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Whether it says that its rows are in the table's order.
    pub(crate) fn says_sorted(&self) -> bool {
        let wanted = sorting(&self.table);
        let groups = self.metadata.metadata().row_groups();
        groups.iter().all(|group| group.sorting_columns() == wanted.as_ref())
    }

    /// Bytes that reading it may hold at most: its largest row group, as it is and unpacked.
    pub(crate) fn memory(&self) -> u64 {
        let groups = self.metadata.metadata().row_groups().iter();
        let bytes = groups.map(|group| group.compressed_size() + group.total_byte_size()).max();
        u64::try_from(bytes.unwrap_or(0)).unwrap_or(u64::MAX)
    }

    /// Streams its rows in batches of [`view_schema`], of `rows_max` rows at most; fewer where rows are large.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`], here or in the stream.
    pub(crate) fn stream(
        self,
        rows_max: usize,
    ) -> Result<BoxStream<'static, Result<RecordBatch, LakeError>>, LakeError> {
        let unpacked = self.metadata.metadata().row_groups().iter();
        let unpacked: i64 = unpacked.map(|group| group.total_byte_size()).sum();
        let row = u64::try_from(unpacked).unwrap_or(0) / self.rows().max(1);
        let rows = usize::try_from(BATCH_BYTES / row.max(1)).unwrap_or(rows_max);
        let (table, path) = (self.table, self.reader.path.clone());
        let name = table.name.clone();
        let failed = move |error: ParquetError| LakeError::unreadable(&name, &path, error);
        let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(self.reader, self.metadata)
            .with_batch_size(rows.clamp(1, rows_max))
            .build()
            .map_err(&failed)?;
        let schema = view_schema(&table);
        let shape = move |read: Result<RecordBatch, _>| {
            let batch = read.map_err(&failed)?;
            let columns = schema.fields().iter().map(|field| {
                let found = batch.column_by_name(field.name()).cloned();
                found.unwrap_or_else(|| new_null_array(field.data_type(), batch.num_rows()))
            });
            RecordBatch::try_new(schema.clone(), columns.collect())
                .map_err(|error| failed(error.into()))
        };
        Ok(stream.map(shape).boxed())
    }

    /// All its rows.
    ///
    /// # Errors
    /// [`LakeError::Unreadable`].
    pub(crate) async fn read(self) -> Result<Vec<RecordBatch>, LakeError> {
        let rows = usize::try_from(self.rows()).unwrap_or(usize::MAX).max(1);
        self.stream(rows)?.try_collect().await
    }
}

/// The field of a file as whole rows have it.
fn as_view(table: &Table, field: &FieldRef) -> Result<FieldRef, LakeError> {
    let column = table.file_columns().find(|column| column.name == *field.name());
    let Some(column) = column else {
        return Err(unfit(table, field.name(), "is none that this version knows"));
    };
    if *field.data_type() != column.kind.arrow() {
        return Err(unfit(table, field.name(), "has another type"));
    }
    Ok(Arc::new(Field::new(field.name(), viewed(column.kind), field.is_nullable())))
}

fn unfit(table: &Table, column: &str, problem: &str) -> LakeError {
    LakeError::file("merge", &table.name, format!("its column `{column}` {problem}"))
}
