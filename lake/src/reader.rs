//! Reading a table: its exact file list, and its rows as a stream in constant memory.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema, SchemaRef};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use crate::delta::{self, FileInfo};
use crate::error::LakeError;
use crate::parquet::{self, Within};
use crate::store::Store;
use crate::table::{Column, PARTITION, Table};

/// A table in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSummary {
    /// Table name.
    pub name: String,
    /// Rows.
    pub rows: u64,
    /// Data files.
    pub files: u64,
    /// Bytes of the data files.
    pub bytes: u64,
    /// Newest time in it, Unix microseconds, rounded up to a millisecond.
    pub newest: Option<i64>,
    /// Delta version.
    pub version: u64,
}

/// Rows, a few thousand at a time.
pub type Rows = BoxStream<'static, Result<RecordBatch, LakeError>>;

pub(crate) async fn summary(lake: &Store, table: &Table) -> Result<TableSummary, LakeError> {
    let (mut files, version) = delta::files(lake, table).await?;
    count_unsaid(lake, table, &mut files).await;
    Ok(TableSummary {
        name: table.name.to_string(),
        rows: files.iter().map(|file| file.rows).sum(),
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.bytes).sum(),
        newest: files.iter().filter_map(|file| file.newest_us).max(),
        version,
    })
}

/// Looks into files of which the log does not say how many rows they have: those of some other writers. One that can't be read stays
/// without.
pub(crate) async fn count_unsaid(lake: &Store, table: &Table, files: &mut [FileInfo]) {
    let folder = lake.child(&table.name);
    for file in files.iter_mut().filter(|file| file.rows == 0) {
        let rows = parquet::rows(&folder, table, folder.path(&file.path), file.bytes).await;
        file.rows = rows.unwrap_or(0);
    }
}

/// Streams `columns` of `files` of `table`, in the order of both. One file is open at a time.
pub(crate) fn scan(
    lake: &Store,
    table: &Arc<Table>,
    files: Vec<FileInfo>,
    columns: &[&str],
) -> Result<Rows, LakeError> {
    scan_within(lake, table, files, columns, &Within::default())
}

/// As [`scan`], without row groups that have nothing of what is asked for; what is read has other rows too.
pub(crate) fn scan_within(
    lake: &Store,
    table: &Arc<Table>,
    files: Vec<FileInfo>,
    columns: &[&str],
    within: &Within,
) -> Result<Rows, LakeError> {
    let wanted = columns.iter().map(|name| {
        let unknown =
            || LakeError::Unknown { what: "a column", name: format!("{}.{name}", table.name) };
        table.column(name).cloned().ok_or_else(unknown)
    });
    let wanted: Vec<Column> = wanted.collect::<Result<_, _>>()?;
    let fields = wanted
        .iter()
        .map(|column| Field::new(column.name.as_ref(), column.kind.arrow(), column.nullable));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let (lake, table) = (lake.clone(), table.clone());
    let wanted = Arc::new(wanted);
    let within = within.clone();
    let opened = stream::iter(files).then(move |file| {
        // An archive's files hold rows of its table.
        let folder = lake.child(&file.table);
        let (schema, wanted) = (schema.clone(), wanted.clone());
        let (table, within) = (table.clone(), within.clone());
        async move {
            let names: Vec<&str> = wanted.iter().map(|column| column.name.as_ref()).collect();
            let batches = parquet::stream(
                &folder,
                &table,
                folder.path(&file.path),
                file.bytes,
                &names,
                &within,
            )
            .await?;
            let shape =
                move |batch: RecordBatch| shape(&table, &schema, &wanted, file.date, &batch);
            Ok::<_, LakeError>(batches.and_then(move |batch| futures::future::ready(shape(batch))))
        }
    });
    Ok(opened.try_flatten().boxed())
}

/// Puts a file's batch into the asked order, with the partition column and with nulls for columns younger than the file.
fn shape(
    table: &Table,
    schema: &SchemaRef,
    wanted: &[Column],
    date: Option<i32>,
    batch: &RecordBatch,
) -> Result<RecordBatch, LakeError> {
    let rows = batch.num_rows();
    let failed = |error| LakeError::file("read", &table.name, error);
    let columns = wanted.iter().map(|column| -> Result<ArrayRef, LakeError> {
        if column.name == PARTITION {
            return Ok(Arc::new(Date32Array::from(vec![date; rows])));
        }
        let kind = column.kind.arrow();
        match batch.column_by_name(&column.name) {
            None => Ok(new_null_array(&kind, rows)),
            Some(found) if *found.data_type() == kind => Ok(found.clone()),
            // Other programs write other types for the same: Spark nanoseconds.
            Some(found) => cast(found, &kind).map_err(failed),
        }
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(failed)
}

/// Counts rows by reading them, not by trusting statistics.
///
/// # Errors
/// [`LakeError`] from the stream.
pub async fn count(mut rows: Rows) -> Result<u64, LakeError> {
    let mut count = 0;
    while let Some(batch) = rows.try_next().await? {
        count += batch.num_rows() as u64;
    }
    Ok(count)
}
