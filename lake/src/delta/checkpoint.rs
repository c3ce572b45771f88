//! Checkpoints: all that holds at one version of a log, in one Parquet file.
//!
//! One is made of the one before and of the entries since: these are held, the rows of the one before flow by, and those that an
//! entry overtook are left out. So memory follows what was committed since, not the table. Where that is very much, a
//! checkpoint is written on the way.

use arrow::array::{Array, RecordBatch};
use arrow::compute::filter_record_batch;
use crash_point::Point;
use futures::TryStreamExt;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::Serialize;
use serde_json::Value;
use service_runtime::Clock;

use super::cleanup::clean;
use super::log::{LAST_CHECKPOINT, checkpoint_path, entry_path, last_checkpoint};
use super::replay::supported;
use super::shape::{PARTS, conformed, is_known, rows_of, schema};
use super::since::Since;
use super::stated::{Stated, gone};
use crate::error::LakeError;
use crate::parquet::batches;
use crate::store::{Store, Upload};
use crate::table::Table;

/// Bytes of log entries that are held at most, and what the last of them has more.
const HELD_MAX: usize = 16 << 20;
/// Rows of the checkpoint before that are in memory at once, and of lines that become rows.
const ROWS: usize = 2048;
/// Bytes that a row group takes in memory before it is closed.
const GROUP_MEMORY: usize = 16 << 20;
/// How long a file that was taken out is remembered if the table does not say it.
const RETENTION_MS: i64 = 7 * 24 * 3600 * 1000;

/// Writes a checkpoint of the current version, then removes log entries that are older than `keep_after_ms` (Unix
/// milliseconds) and below a checkpoint. Returns the version and the number of removed objects.
///
/// # Errors
/// [`LakeError::Unsupported`] if the table needs features that we don't write, [`LakeError::Damaged`], [`LakeError::Store`],
/// [`LakeError::Missing`].
pub(crate) async fn checkpoint(
    lake: &Store,
    table: &Table,
    keep_after_ms: i64,
) -> Result<(u64, usize), LakeError> {
    let folder = lake.child(&table.name);
    let now_ms = Clock::default().now_us().div_euclid(1000);
    let version = written(&folder, table, now_ms, HELD_MAX).await?;
    let version = version.ok_or_else(|| LakeError::Missing {
        table: table.name.to_string(),
        url: lake.url().to_string(),
    })?;
    crash_point::reach(Point::CheckpointWritten);
    let removed = clean(&folder, keep_after_ms).await?;
    if removed > 0 {
        crash_point::reach(Point::LogCleaned);
    }
    Ok((version, removed))
}

/// Sees to it that there is a checkpoint of the current version, which is returned; `None`: there is no log.
async fn written(
    folder: &Store,
    table: &Table,
    now_ms: i64,
    held_max: usize,
) -> Result<Option<u64>, LakeError> {
    let mut base = last_checkpoint(folder).await?;
    loop {
        let stated = match base {
            Some(version) => Some(Stated::read(folder, version).await?),
            None => None,
        };
        let needed = stated.as_ref().map(|stated| stated.needs);
        let since = Since::read(folder, table, (base, needed), held_max).await?;
        let Some(version) = since.last else { return Ok(base) };
        let first = || folder.address(&entry_path(0));
        let needs = since.needs().or(needed);
        let (reader, writer) = needs.ok_or_else(|| LakeError::damaged(first(), "no protocol"))?;
        supported(table, reader, writer)?;
        let metadata = since.metadata().or(stated.map(|stated| stated.metadata));
        let metadata = metadata.ok_or_else(|| LakeError::damaged(first(), "no metaData"))?;
        let expired_ms = now_ms.saturating_sub(retention_ms(&metadata));
        Writing { folder, table, version, base, since: &since, expired_ms }.write().await?;
        if !since.more {
            return Ok(Some(version));
        }
        base = Some(version);
    }
}

/// What `_last_checkpoint` says.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Hint {
    version: u64,
    /// Actions.
    size: usize,
    size_in_bytes: u64,
    num_of_add_files: usize,
}

/// One checkpoint that is written.
struct Writing<'a> {
    folder: &'a Store,
    table: &'a Table,
    version: u64,
    /// The checkpoint before.
    base: Option<u64>,
    since: &'a Since,
    /// What was taken out before is forgotten, Unix milliseconds.
    expired_ms: i64,
}

impl Writing<'_> {
    /// Writes it, and names it as the last one unless a later one is.
    async fn write(&self) -> Result<(), LakeError> {
        let mut upload = Upload::new(self.folder, &checkpoint_path(self.version));
        let mut hint = match self.fill(&mut upload).await {
            Ok(hint) => hint,
            Err(error) => {
                upload.abort().await;
                return Err(error);
            }
        };
        hint.size_in_bytes = upload.finish().await?;
        if last_checkpoint(self.folder).await?.is_none_or(|named| named < self.version) {
            let hint = serde_json::to_vec(&hint).expect("writing to memory succeeds");
            self.folder.put(LAST_CHECKPOINT, hint.into()).await?;
        }
        Ok(())
    }

    async fn fill(&self, upload: &mut Upload) -> Result<Hint, LakeError> {
        let mut hint = Hint { version: self.version, ..Hint::default() };
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema(&PARTS), options());
        let mut writer = writer.map_err(|error| self.failed(error))?;
        self.lines(&mut writer, &mut hint, upload, self.since.settings()).await?;
        self.before(&mut writer, &mut hint, upload).await?;
        self.lines(&mut writer, &mut hint, upload, self.since.files(self.expired_ms)).await?;
        writer.finish().map_err(|error| self.failed(error))?;
        upload.write(writer.inner()).await?;
        Ok(hint)
    }

    /// Adds what the entries since say.
    async fn lines(
        &self,
        writer: &mut ArrowWriter<Vec<u8>>,
        hint: &mut Hint,
        upload: &mut Upload,
        lines: impl Iterator<Item = &[u8]>,
    ) -> Result<(), LakeError> {
        let mut lines = lines.peekable();
        while lines.peek().is_some() {
            let rows = rows_of(lines.by_ref().take(ROWS));
            // Each line was read before: it says something, but in a type that it cannot have.
            let entry = || self.folder.address(&entry_path(self.version));
            let rows = rows.map_err(|error| {
                LakeError::damaged(entry(), format!("or an entry before it: {error}"))
            })?;
            if let Some(rows) = rows {
                self.rows(writer, hint, upload, &rows).await?;
            }
        }
        Ok(())
    }

    /// Adds what still holds of the checkpoint before.
    async fn before(
        &self,
        writer: &mut ArrowWriter<Vec<u8>>,
        hint: &mut Hint,
        upload: &mut Upload,
    ) -> Result<(), LakeError> {
        let Some(base) = self.base else { return Ok(()) };
        let path = checkpoint_path(base);
        let read = batches(self.folder, &path, |column| is_known(&PARTS, column), ROWS);
        let mut rows = read.await?.ok_or_else(|| gone(self.folder, base))?;
        let path = self.folder.address(&path);
        let (schema, damaged) = (schema(&PARTS), |error| LakeError::damaged(&path, error));
        while let Some(batch) = rows.try_next().await? {
            let batch = conformed(&batch, &schema).map_err(damaged)?;
            let holds = self.since.still_holds(&batch, self.expired_ms);
            let holds = holds.map_err(|what| LakeError::damaged(&path, format!("no {what}")))?;
            let batch = filter_record_batch(&batch, &holds).map_err(damaged)?;
            self.rows(writer, hint, upload, &batch).await?;
        }
        Ok(())
    }

    async fn rows(
        &self,
        writer: &mut ArrowWriter<Vec<u8>>,
        hint: &mut Hint,
        upload: &mut Upload,
        rows: &RecordBatch,
    ) -> Result<(), LakeError> {
        let adds = rows.column_by_name("add");
        hint.num_of_add_files += adds.map_or(0, |adds| adds.len() - adds.null_count());
        hint.size += rows.num_rows();
        writer.write(rows).map_err(|error| self.failed(error))?;
        if writer.memory_size() > GROUP_MEMORY {
            writer.flush().map_err(|error| self.failed(error))?;
            upload.write(&std::mem::take(writer.inner_mut())).await?;
        }
        Ok(())
    }

    fn failed(&self, error: parquet::errors::ParquetError) -> LakeError {
        LakeError::file("checkpoint", &self.table.name, error)
    }
}

fn options() -> ArrowWriterOptions {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(1).expect("zstd has that level"));
    let properties = WriterProperties::builder()
        .set_created_by(concat!("tidemark ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(zstd)
        .build();
    ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true)
}

/// How long the table remembers files that were taken out.
fn retention_ms(metadata: &Value) -> i64 {
    let said = metadata.pointer("/configuration/delta.deletedFileRetentionDuration");
    said.and_then(Value::as_str).and_then(interval_ms).unwrap_or(RETENTION_MS)
}

/// An interval as Delta writes them, `interval 7 days`, in milliseconds. Months have no length.
fn interval_ms(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    let mut words = text.split_whitespace();
    let (interval, number, unit) = (words.next()?, words.next()?, words.next()?);
    let number: i64 = number.parse().ok().filter(|number| *number >= 0)?;
    let unit_us: i64 = match unit.strip_suffix('s').unwrap_or(unit) {
        "microsecond" => 1,
        "millisecond" => 1000,
        "second" => 1_000_000,
        "minute" => 60 * 1_000_000,
        "hour" => 3600 * 1_000_000,
        "day" => 24 * 3600 * 1_000_000,
        "week" => 7 * 24 * 3600 * 1_000_000,
        _ => return None,
    };
    let known = interval == "interval" && words.next().is_none();
    known.then(|| number.saturating_mul(unit_us).div_euclid(1000))
}

#[cfg(test)]
mod tests;
