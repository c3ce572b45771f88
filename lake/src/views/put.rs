//! Writes the rows of a view into files, one or more a date.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::TimestampMicrosecondType;
use uuid::Uuid;

use super::follow::Followed;
use crate::date::{date_of, date_text};
use crate::delta::AddFile;
use crate::error::LakeError;
use crate::parquet::{self, Encoded};
use crate::sort;
use crate::table::{PARTITION, Table};

/// Rows of a file.
const FILE_ROWS: usize = 1 << 20;

/// A batch of the file columns of a view.
///
/// # Errors
/// [`LakeError::File`] if the columns are not the view's: a defect.
pub(crate) fn batch(view: &Table, columns: Vec<ArrayRef>) -> Result<RecordBatch, LakeError> {
    RecordBatch::try_new(view.file_arrow(), columns)
        .map_err(|error| LakeError::file("encode", &view.name, error))
}

impl Followed {
    /// Writes rows, of whatever dates and in whatever order, into files of the view.
    ///
    /// # Errors
    /// [`LakeError::File`], [`LakeError::Store`].
    pub(crate) async fn put(&mut self, batches: &[RecordBatch]) -> Result<(), LakeError> {
        let failed = |error| LakeError::file("encode", &self.view.name, error);
        let all = concat_batches(&self.view.file_arrow(), batches).map_err(failed)?;
        for (date, rows) in by_date(&self.view, &all)? {
            for rows in rows.chunks(FILE_ROWS) {
                let rows = UInt32Array::from(rows.to_vec());
                let failed = |error| LakeError::file("encode", &self.view.name, error);
                let part = take_record_batch(&all, &rows).map_err(failed)?;
                let part = sort::sorted(&self.view, &part)?;
                self.put_file(date, part).await?;
            }
        }
        Ok(())
    }

    async fn put_file(&mut self, date: i32, rows: RecordBatch) -> Result<(), LakeError> {
        let view = Arc::clone(&self.view);
        let encoded = tokio::task::spawn_blocking(move || parquet::encode(&view, [rows])).await;
        let encoded =
            encoded.map_err(|error| LakeError::file("encode", &self.view.name, error))??;
        let Some(Encoded { bytes, rows, stats }) = encoded else { return Ok(()) };
        let date = date_text(date);
        let path = format!("{PARTITION}={date}/view-{}.parquet", Uuid::new_v4());
        let add = AddFile {
            path,
            partition_values: [(PARTITION.to_owned(), Some(date))].into(),
            size: bytes.len() as u64,
            modification_time: self.now_ms,
            data_change: true,
            stats: Some(stats),
        };
        self.lake.child(&self.view.name).put(&add.path, bytes).await?;
        self.rows_written += rows;
        self.adds.push(add);
        Ok(())
    }
}

/// The rows of each date, by the view's time.
fn by_date(view: &Table, rows: &RecordBatch) -> Result<BTreeMap<i32, Vec<u32>>, LakeError> {
    let times = rows.column_by_name(&view.time);
    let times = times.and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
    let times = times.ok_or_else(|| LakeError::file("encode", &view.name, "it has no time"))?;
    let mut dates: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    for (row, time) in (0..).zip(times.values()) {
        dates.entry(date_of(*time)).or_default().push(row);
    }
    Ok(dates)
}
