//! What deltalake does for us: create a table, list its files, write checkpoints, remove old log entries.
//!
//! Never in the path of a commit. A loaded table holds its whole file list, so none is kept.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use crash_point::Point;
use deltalake_core::checkpoints::{cleanup_expired_logs_for, create_checkpoint};
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::kernel::{DataType, PrimitiveType, StructField};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::SaveMode;
use deltalake_core::{DeltaTable, DeltaTableError};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;
use serde::Deserialize;
use tracing::info;
use url::Url;

use super::action::{AddFile, Widening};
use super::fit::{metadata, widened};
use super::log::entry_path;
use super::{Appended, TableLog};
use crate::date::date_parse;
use crate::error::LakeError;
use crate::store::Store;
use crate::table::{Column, Kind, PARTITION, Table, Text};

/// One data file of a table's current version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    /// A plain path for a local lake, else a URL: what to give a tool that reads Parquet.
    pub address: String,
    /// The table whose folder it is in.
    pub table: Text,
    /// Relative to the table's folder.
    pub path: String,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// Partition date, days since 1970-01-01.
    pub date: Option<i32>,
    /// Oldest time in it, Unix microseconds, rounded down to a millisecond.
    pub oldest_us: Option<i64>,
    /// Newest time in it, Unix microseconds, rounded up to a millisecond.
    pub newest_us: Option<i64>,
    /// When it was made, Unix milliseconds.
    pub modified_ms: i64,
    /// Range of the column `lane` (the ledger's files have one).
    pub lanes: Option<RangeInclusive<i64>>,
}

fn log_store(lake: &Store, table: &Table) -> LogStoreRef {
    let folder = lake.child(&table.name);
    log_store_on(folder.root(), &folder)
}

/// The log of the table in `folder`, on `root`.
fn log_store_on(root: Arc<dyn ObjectStore>, folder: &Store) -> LogStoreRef {
    let prefixed = Arc::new(PrefixStore::new(Arc::clone(&root), folder.base().clone()));
    default_logstore(prefixed, root, folder.url(), &StorageConfig::default())
}

fn failed(action: &'static str, table: &Table) -> impl FnOnce(DeltaTableError) -> LakeError {
    let table = table.name.to_string();
    move |error| LakeError::Delta { action, table, source: Box::new(error) }
}

async fn load(lake: &Store, table: &Table) -> Result<DeltaTable, LakeError> {
    let mut loaded = DeltaTable::new(log_store(lake, table));
    loaded.load().await.map_err(failed("load", table))?;
    Ok(loaded)
}

fn field(column: &Column) -> StructField {
    let primitive = match column.kind {
        Kind::Text => PrimitiveType::String,
        Kind::Double => PrimitiveType::Double,
        Kind::Long => PrimitiveType::Long,
        Kind::Int => PrimitiveType::Integer,
        Kind::Bool => PrimitiveType::Boolean,
        Kind::Date => PrimitiveType::Date,
        Kind::Timestamp => PrimitiveType::Timestamp,
        Kind::Binary => PrimitiveType::Binary,
    };
    let about = metadata(column);
    let about = about.as_object().into_iter().flatten();
    let about = about.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    let name = column.name.as_ref();
    StructField::new(name, DataType::Primitive(primitive), column.nullable).with_metadata(about)
}

/// Without deltalake's own checkpoints and clean-up behind the commit.
fn plain_commit() -> CommitProperties {
    CommitProperties::default().with_create_checkpoint(false).with_cleanup_expired_logs(Some(false))
}

/// How often somebody may be first while columns are added: every other start of ingest could be.
const WIDEN_TRIES: u32 = 8;

/// Adds the columns that the table of `log` lacks, by one commit that counts only if nobody changed the table's metadata since it
/// was read. Rows may be landed meanwhile: files without a column read NULL there. Workers read the ledger again when they
/// meet the change. Whoever is killed here leaves the table as it was or as it is to be.
///
/// # Errors
/// [`LakeError::Schema`] if the table differs by more than that, [`LakeError::Delta`] if it can't be read, else as appending.
pub(crate) async fn widen(lake: &Store, mut log: TableLog, now_ms: i64) -> Result<(), LakeError> {
    let table = log.table().clone();
    for _ in 0..WIDEN_TRIES {
        log.fit().growable(&table)?;
        let lacks = log.fit().lacks.clone();
        if lacks.is_empty() {
            return Ok(());
        }
        // Not older than `log`: what changed in between is met by the commit.
        let loaded = load(lake, &table).await?;
        let stated = loaded.snapshot().map_err(failed("load", &table))?.metadata();
        let damaged = |error| LakeError::damaged(log.address(), error);
        let mut metadata = serde_json::to_value(stated).map_err(damaged)?;
        let schema = metadata.get("schemaString").and_then(serde_json::Value::as_str);
        let schema = widened(schema.unwrap_or_default(), &lacks).map_err(damaged)?;
        metadata["schemaString"] = schema.into();
        let columns = lacks.iter().map(|column| column.name.as_ref()).collect();
        crash_point::reach(Point::ColumnsWanted);
        match log.widen(lake, &Widening { metadata: &metadata, columns, now_ms }).await {
            Ok(Appended::At(version)) => {
                crash_point::reach(Point::ColumnsAdded);
                let columns: Vec<&str> = lacks.iter().map(|column| column.name.as_ref()).collect();
                info!(table = %table.name, version, ?columns, "added columns");
                return Ok(());
            }
            Ok(Appended::Conflict | Appended::Reloaded) | Err(LakeError::Changed { .. }) => {
                log.reload(lake).await?;
            }
            Err(error) => return Err(error),
        }
    }
    log.fit().writable(&table)
}

/// Creates the table. One that exists already, perhaps since a moment, is left as it is.
///
/// deltalake makes the first entry, but does not commit it: of two that create a table at the same moment its loser would
/// commit its own metadata, and with it another id, as the next version.
///
/// # Errors
/// [`LakeError::Delta`], [`LakeError::Store`].
pub(crate) async fn create(lake: &Store, table: &Table) -> Result<(), LakeError> {
    let store = lake.child(&table.name);
    let entry = first_entry(lake, table).await?;
    let created = store.create(&entry_path(0), entry).await;
    // An answer that got lost may have been that of a success; what counts is whether the table is there.
    if created.is_err() && matches!(store.get(&entry_path(0)).await, Ok(Some(_))) {
        return Ok(());
    }
    created.map(|_| ())
}

/// The entry that makes the table, as deltalake writes it: in memory, where it wants the address of a folder that is there.
async fn first_entry(lake: &Store, table: &Table) -> Result<Bytes, LakeError> {
    const THERE: &str = "memory:///new";
    let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let there = Url::parse(THERE).expect("it is one");
    let there = Store::on(Arc::clone(&memory), there)?;
    let created = CreateBuilder::new()
        .with_log_store(log_store_on(memory, &there))
        .with_table_name(table.name.as_ref())
        .with_comment(table.about.as_ref())
        .with_columns(table.columns.iter().map(field))
        .with_partition_columns([PARTITION])
        .with_save_mode(SaveMode::ErrorIfExists)
        .with_configuration([
            // Other writers, say somebody's OPTIMIZE, must not put identifying values into the log either.
            ("delta.dataSkippingStatsColumns", Some(table.stats.join(","))),
            ("delta.logRetentionDuration", Some("interval 7 days".to_owned())),
            ("delta.deletedFileRetentionDuration", Some("interval 7 days".to_owned())),
            ("delta.checkpointInterval", Some("100".to_owned())),
        ])
        .with_commit_properties(plain_commit())
        .await;
    created.map_err(failed("create", table))?;
    let entry = there.get(&entry_path(0)).await?;
    let entry = entry.and_then(|entry| String::from_utf8(entry.into()).ok());
    let none = || failed("create", table)(DeltaTableError::NotATable(table.name.to_string()));
    let address = lake.child(&table.name).url().as_str().trim_end_matches('/').to_owned();
    Ok(entry.ok_or_else(none)?.replace(THERE, &address).into())
}

/// The table's files and its version, as of now.
///
/// # Errors
/// [`LakeError::Delta`], also if there is no such table.
pub(crate) async fn files(lake: &Store, table: &Table) -> Result<(Vec<FileInfo>, u64), LakeError> {
    let loaded = load(lake, table).await?;
    let snapshot = loaded.snapshot().map_err(failed("load", table))?;
    let folder = lake.child(&table.name);
    let files = snapshot.log_data().into_iter().map(|file| {
        let date = file.partition_values_map().get(PARTITION).cloned().flatten();
        let path = file.object_store_path().to_string();
        let mut info = FileInfo::new(&folder, table, path, file.stats().as_deref());
        if info.rows == 0 {
            info.rows = file.num_records().and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0);
        }
        info.bytes = u64::try_from(file.size()).unwrap_or(0);
        info.date = date.as_deref().and_then(date_parse);
        info.modified_ms = file.modification_time();
        info
    });
    let files = files.collect();
    Ok((files, snapshot.version()))
}

impl FileInfo {
    /// A file that is to be added.
    pub(crate) fn of_add(folder: &Store, table: &Table, add: &AddFile) -> Self {
        let info = Self::new(folder, table, add.path.clone(), add.stats.as_deref());
        let date = add.partition_values.get(PARTITION).cloned().flatten();
        Self {
            bytes: add.size,
            date: date.as_deref().and_then(date_parse),
            modified_ms: add.modification_time,
            ..info
        }
    }

    /// What the log's statistics say of a file, and nothing else yet. `folder` is the table's.
    pub(super) fn new(folder: &Store, table: &Table, path: String, stats: Option<&str>) -> Self {
        let stats = stats.and_then(|stats| serde_json::from_str::<Stats>(stats).ok());
        let stats = stats.unwrap_or_default();
        let range = |column: &str| {
            let bound = |bounds: &serde_json::Value| bounds.get(column).cloned();
            stats.min_values.as_ref().and_then(bound).zip(stats.max_values.as_ref().and_then(bound))
        };
        let times = range(&table.time);
        let times =
            times.and_then(|(low, high)| time_us(low.as_str()?).zip(time_us(high.as_str()?)));
        Self {
            address: folder.address(&path),
            rows: stats.num_records.unwrap_or(0),
            bytes: 0,
            date: None,
            oldest_us: times.map(|(oldest, _)| oldest),
            newest_us: times.map(|(_, newest)| newest),
            modified_ms: 0,
            lanes: range("lane").and_then(|(low, high)| Some(low.as_i64()?..=high.as_i64()?)),
            table: table.name.clone(),
            path,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    num_records: Option<u64>,
    min_values: Option<serde_json::Value>,
    max_values: Option<serde_json::Value>,
}

fn time_us(text: &str) -> Option<i64> {
    Some(chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros())
}

/// Writes a checkpoint of the current version, then removes log entries that are older than `keep_after_ms` (Unix
/// milliseconds) and below a checkpoint. Returns the version and the number of removed entries.
///
/// # Errors
/// [`LakeError::Delta`].
pub(crate) async fn checkpoint(
    lake: &Store,
    table: &Table,
    keep_after_ms: i64,
) -> Result<(u64, usize), LakeError> {
    let loaded = load(lake, table).await?;
    create_checkpoint(&loaded, None).await.map_err(failed("checkpoint", table))?;
    crash_point::reach(Point::CheckpointWritten);
    let version = loaded.version().unwrap_or(0);
    let log_store = loaded.log_store();
    let removed = cleanup_expired_logs_for(version, log_store.as_ref(), keep_after_ms, None)
        .await
        .map_err(failed("clean the log of", table))?;
    if removed > 0 {
        crash_point::reach(Point::LogCleaned);
    }
    Ok((version, removed))
}
