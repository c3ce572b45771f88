//! The few Delta actions that an append needs, as lines of a log entry.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Delta's `add` action: a data file becomes part of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddFile {
    /// Relative to the table's folder; only characters that need no percent-encoding.
    pub path: String,
    /// Partition column → its value as text.
    pub partition_values: BTreeMap<String, Option<String>>,
    /// Bytes.
    pub size: u64,
    /// Unix milliseconds.
    pub modification_time: i64,
    /// True: these rows are new.
    pub data_change: bool,
    /// Delta's per-file statistics, JSON in a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<String>,
}

/// A commit that appends files and moves application versions, nothing else.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) adds: &'a [AddFile],
    /// Application id → its new version.
    pub(crate) txns: BTreeMap<String, i64>,
    pub(crate) landing: Uuid,
    pub(crate) now_ms: i64,
}

impl Entry<'_> {
    /// The log entry's bytes. Two encodings differ (each carries a fresh id), so equal bytes in the log mean *this* commit.
    pub(crate) fn encode(&self) -> Bytes {
        let mut lines = Vec::with_capacity(256 + self.adds.len() * 512 + self.txns.len() * 96);
        let mut line = |action: &Line<'_>| {
            serde_json::to_writer(&mut lines, action).expect("writing to memory succeeds");
            lines.push(b'\n');
        };
        line(&Line::CommitInfo(CommitInfo {
            timestamp: self.now_ms,
            operation: "WRITE",
            operation_parameters: [("mode", "Append".to_owned())].into(),
            is_blind_append: true,
            engine_info: ENGINE,
            landing: Some(self.landing),
            txn_id: Uuid::new_v4(),
        }));
        for (app_id, version) in &self.txns {
            line(&Line::Txn(Txn {
                app_id: app_id.into(),
                version: *version,
                last_updated: Some(self.now_ms),
            }));
        }
        for add in self.adds {
            line(&Line::Add(add));
        }
        lines.into()
    }
}

/// A commit that states the table's metadata anew, with more columns than it had.
#[derive(Debug)]
pub(super) struct Widening<'a> {
    /// The whole `metaData` action's content.
    pub(super) metadata: &'a Value,
    /// Names of the new columns.
    pub(super) columns: Vec<&'a str>,
    pub(super) now_ms: i64,
}

impl Widening<'_> {
    /// The log entry's bytes; as those of [`Entry::encode`], no two are equal.
    pub(super) fn encode(&self) -> Bytes {
        let info = CommitInfo {
            timestamp: self.now_ms,
            operation: "ADD COLUMNS",
            operation_parameters: [("columns", self.columns.join(","))].into(),
            is_blind_append: false,
            engine_info: ENGINE,
            landing: None,
            txn_id: Uuid::new_v4(),
        };
        let mut lines = Vec::with_capacity(4096);
        for line in [Line::CommitInfo(info), Line::MetaData(self.metadata)] {
            serde_json::to_writer(&mut lines, &line).expect("writing to memory succeeds");
            lines.push(b'\n');
        }
        lines.into()
    }
}

/// Delta's `remove` action: a data file is part of the table no more.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RemoveFile {
    /// As the `add` had it.
    pub(crate) path: String,
    /// Unix milliseconds; readers of older versions may still open it for a while.
    pub(crate) deletion_timestamp: i64,
    /// False: its rows are in other files now.
    pub(crate) data_change: bool,
    pub(crate) extended_file_metadata: bool,
    pub(crate) partition_values: BTreeMap<String, Option<String>>,
    pub(crate) size: u64,
}

/// A commit that takes files out of a table, and may put others in their place.
#[derive(Debug)]
pub(crate) struct Rewrite<'a> {
    /// Delta's name for it: `OPTIMIZE`, `DELETE`.
    pub(crate) operation: &'static str,
    pub(crate) removes: &'a [RemoveFile],
    pub(crate) adds: &'a [AddFile],
    /// Application id → its new version.
    pub(crate) txns: BTreeMap<String, i64>,
    pub(crate) now_ms: i64,
}

impl Rewrite<'_> {
    /// The log entry's bytes; as those of [`Entry::encode`], no two are equal.
    pub(crate) fn encode(&self) -> Bytes {
        let files = self.removes.len() + self.adds.len();
        let mut lines = Vec::with_capacity(512 + files * 512);
        let mut line = |action: &Line<'_>| {
            serde_json::to_writer(&mut lines, action).expect("writing to memory succeeds");
            lines.push(b'\n');
        };
        line(&Line::CommitInfo(CommitInfo {
            timestamp: self.now_ms,
            operation: self.operation,
            operation_parameters: [("predicate", "[]".to_owned())].into(),
            is_blind_append: false,
            engine_info: ENGINE,
            landing: None,
            txn_id: Uuid::new_v4(),
        }));
        for (app_id, version) in &self.txns {
            let last_updated = Some(self.now_ms);
            line(&Line::Txn(Txn { app_id: app_id.into(), version: *version, last_updated }));
        }
        self.removes.iter().for_each(|remove| line(&Line::Remove(remove)));
        self.adds.iter().for_each(|add| line(&Line::Add(add)));
        lines.into()
    }
}

/// What the ids of applications that merge files of a date begin with; then come table and date.
pub(crate) const COMPACT: &str = "compact/";

/// Who we are in a log.
pub(super) const ENGINE: &str = concat!("tidemark/", env!("CARGO_PKG_VERSION"));

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Line<'a> {
    CommitInfo(CommitInfo),
    Txn(Txn<'a>),
    Add(&'a AddFile),
    Remove(&'a RemoveFile),
    MetaData(&'a Value),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CommitInfo {
    timestamp: i64,
    operation: &'static str,
    operation_parameters: BTreeMap<&'static str, String>,
    is_blind_append: bool,
    engine_info: &'static str,
    #[serde(rename = "tidemarkLanding", skip_serializing_if = "Option::is_none")]
    landing: Option<Uuid>,
    txn_id: Uuid,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Txn<'a> {
    #[serde(borrow)]
    pub(super) app_id: Cow<'a, str>,
    pub(super) version: i64,
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_updated: Option<i64>,
}

/// What an append has to know of somebody else's log line; all else is skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Seen<'a> {
    #[serde(borrow)]
    pub(super) txn: Option<Txn<'a>>,
    pub(super) meta_data: Option<MetaData>,
    pub(super) protocol: Option<Protocol>,
    #[serde(borrow)]
    pub(super) add: Option<Added<'a>>,
    #[serde(borrow)]
    pub(super) remove: Option<Removed<'a>>,
}

/// A file that became part of the table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Added<'a> {
    #[serde(borrow)]
    pub(super) path: Cow<'a, str>,
    #[serde(default)]
    pub(super) partition_values: BTreeMap<String, Option<String>>,
    pub(super) size: u64,
    #[serde(default)]
    pub(super) modification_time: i64,
    #[serde(borrow, default)]
    pub(super) stats: Option<Cow<'a, str>>,
    /// False: its rows were there before, in other files.
    #[serde(default = "yes")]
    pub(super) data_change: bool,
}

fn yes() -> bool {
    true
}

/// A file that is part of the table no more.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Removed<'a> {
    #[serde(borrow)]
    pub(super) path: Cow<'a, str>,
    pub(super) deletion_timestamp: Option<i64>,
    /// False: its rows are still there, in other files.
    #[serde(default = "yes")]
    pub(super) data_change: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MetaData {
    pub(super) id: String,
    /// JSON in a string.
    pub(super) schema_string: String,
    #[serde(default)]
    pub(super) partition_columns: Vec<String>,
    #[serde(default)]
    pub(super) configuration: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Protocol {
    pub(super) min_reader_version: i32,
    pub(super) min_writer_version: i32,
}

/// The lines of a log entry.
pub(super) fn lines(entry: &[u8]) -> impl Iterator<Item = serde_json::Result<Seen<'_>>> {
    entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(serde_json::from_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_what_the_protocol_says_and_is_told_apart_from_its_twin() {
        let add = AddFile {
            path: "event_date=2026-08-01/a.parquet".into(),
            partition_values: [("event_date".to_owned(), Some("2026-08-01".to_owned()))].into(),
            size: 7,
            modification_time: 1,
            data_change: true,
            stats: None,
        };
        let entry = Entry {
            adds: &[add],
            txns: [("lane/3".to_owned(), 8)].into(),
            landing: Uuid::nil(),
            now_ms: 5,
        };
        let bytes = entry.encode();
        let lines: Vec<&str> = std::str::from_utf8(&bytes).unwrap().lines().collect();
        assert!(
            lines[0].starts_with(r#"{"commitInfo":{"timestamp":5,"operation":"WRITE""#),
            "{}",
            lines[0]
        );
        assert_eq!(lines[1], r#"{"txn":{"appId":"lane/3","version":8,"lastUpdated":5}}"#);
        assert_eq!(
            lines[2],
            r#"{"add":{"path":"event_date=2026-08-01/a.parquet","partitionValues":{"event_date":"2026-08-01"},"size":7,"modificationTime":1,"dataChange":true}}"#
        );
        assert_ne!(bytes, entry.encode());
    }

    #[test]
    fn lines_of_others_are_read_for_what_matters() {
        let entry = br#"{"commitInfo":{"operation":"OPTIMIZE"}}
{"remove":{"path":"x","dataChange":false}}
{"txn":{"appId":"a\"b","version":2}}
{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":[]}}
"#;
        let seen: Vec<_> = lines(entry).collect::<Result<_, _>>().unwrap();
        assert_eq!(seen[2].txn.as_ref().unwrap().app_id, "a\"b");
        assert_eq!(seen[3].protocol.as_ref().unwrap().min_writer_version, 7);
        assert!(seen[1].txn.is_none() && seen[1].meta_data.is_none());
    }
}
