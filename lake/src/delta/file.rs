//! What a log says of a data file.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;

use super::action::{AddFile, Added};
use crate::date::date_parse;
use crate::store::Store;
use crate::table::{PARTITION, Table, Text};

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

impl FileInfo {
    /// A file that is to be added.
    pub(crate) fn of_add(folder: &Store, table: &Table, add: &AddFile) -> Self {
        Self {
            bytes: add.size,
            date: date_of(&add.partition_values),
            modified_ms: add.modification_time,
            ..Self::new(folder, table, &add.path, add.stats.as_deref())
        }
    }

    /// A file that a line of somebody's log adds.
    pub(super) fn of_line(folder: &Store, table: &Table, add: &Added<'_>) -> Self {
        Self {
            bytes: add.size,
            date: date_of(&add.partition_values),
            modified_ms: add.modification_time,
            ..Self::new(folder, table, &add.path, add.stats.as_deref())
        }
    }

    /// What the log's statistics say of a file, and nothing else yet. `folder` is the table's.
    pub(super) fn new(folder: &Store, table: &Table, path: &str, stats: Option<&str>) -> Self {
        let path = object(path);
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

fn date_of(partition_values: &BTreeMap<String, Option<String>>) -> Option<i32> {
    date_parse(partition_values.get(PARTITION)?.as_deref()?)
}

/// The object of a path in a log, which other writers quote.
fn object(path: &str) -> String {
    let quoted = path.contains('%').then(|| object_store::path::Path::from_url_path(path));
    quoted.and_then(Result::ok).map_or_else(|| path.to_owned(), |object| object.to_string())
}
