//! The first entry of a table's log.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use service_runtime::Clock;
use uuid::Uuid;

use super::action::ENGINE;
use super::fit::metadata;
use super::log::entry_path;
use crate::error::LakeError;
use crate::store::Store;
use crate::table::{PARTITION, Table};

/// Creates the table. One that exists already, perhaps since a moment, is left as it is.
///
/// # Errors
/// [`LakeError::Store`].
pub(crate) async fn create(lake: &Store, table: &Table) -> Result<(), LakeError> {
    let store = lake.child(&table.name);
    let now_ms = Clock::default().now_us().div_euclid(1000);
    let entry = first_entry(table, Uuid::new_v4(), now_ms);
    let created = store.create(&entry_path(0), entry).await;
    // An answer that got lost may have been that of a success; what counts is whether the table is there.
    if created.is_err() && matches!(store.get(&entry_path(0)).await, Ok(Some(_))) {
        return Ok(());
    }
    created.map(|_| ())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Line<'a> {
    #[serde(rename_all = "camelCase")]
    CommitInfo {
        timestamp: i64,
        operation: &'static str,
        operation_parameters: BTreeMap<&'static str, String>,
        is_blind_append: bool,
        engine_info: &'static str,
    },
    #[serde(rename_all = "camelCase")]
    Protocol { min_reader_version: i32, min_writer_version: i32 },
    #[serde(rename_all = "camelCase")]
    MetaData {
        id: Uuid,
        name: &'a str,
        description: &'a str,
        format: Format,
        /// JSON in a string.
        schema_string: String,
        partition_columns: [&'static str; 1],
        configuration: BTreeMap<&'static str, String>,
        created_time: i64,
    },
}

#[derive(Serialize)]
struct Format {
    provider: &'static str,
    options: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Columns<'a> {
    r#type: &'static str,
    fields: Vec<Column<'a>>,
}

#[derive(Serialize)]
struct Column<'a> {
    name: &'a str,
    r#type: &'static str,
    nullable: bool,
    metadata: Value,
}

/// The entry that makes the table.
fn first_entry(table: &Table, id: Uuid, now_ms: i64) -> Bytes {
    let fields = table.columns.iter().map(|column| Column {
        name: &column.name,
        r#type: column.kind.delta(),
        nullable: column.nullable,
        metadata: metadata(column),
    });
    let columns = Columns { r#type: "struct", fields: fields.collect() };
    let partitions = serde_json::json!([PARTITION]).to_string();
    let lines = [
        Line::CommitInfo {
            timestamp: now_ms,
            operation: "CREATE TABLE",
            operation_parameters: [("isManaged", "false".to_owned()), ("partitionBy", partitions)]
                .into(),
            is_blind_append: true,
            engine_info: ENGINE,
        },
        Line::Protocol { min_reader_version: 1, min_writer_version: 2 },
        Line::MetaData {
            id,
            name: &table.name,
            description: &table.about,
            format: Format { provider: "parquet", options: BTreeMap::new() },
            schema_string: serde_json::to_string(&columns).expect("writing to memory succeeds"),
            partition_columns: [PARTITION],
            configuration: [
                // Other writers, say somebody's OPTIMIZE, must not put identifying values into the log either.
                ("delta.dataSkippingStatsColumns", table.stats.join(",")),
                ("delta.logRetentionDuration", "interval 7 days".to_owned()),
                ("delta.deletedFileRetentionDuration", "interval 7 days".to_owned()),
                ("delta.checkpointInterval", "100".to_owned()),
            ]
            .into(),
            created_time: now_ms,
        },
    ];
    let mut entry = Vec::with_capacity(4096);
    for line in lines {
        serde_json::to_writer(&mut entry, &line).expect("writing to memory succeeds");
        entry.push(b'\n');
    }
    entry.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column as TableColumn, Kind, Parts};

    #[test]
    fn golden_bytes_of_a_tables_first_entry() {
        let parts = Parts { sort: &["at"], stats: &["at", "device_id"], time: "at", bloom: &[] };
        let columns = [
            TableColumn::required("at", Kind::Timestamp, "When."),
            TableColumn::optional("value", Kind::Double, "How \"much\"."),
        ];
        let table = Table::new("tides", "A row is a tide.", columns, parts);
        let id = Uuid::from_u128(0x1b7e_2ce7_9252_49cd_89b6_2318_37eb_e74e);
        let date = table.columns[0].about.clone();
        let engine = concat!("tidemark/", env!("CARGO_PKG_VERSION"));
        let expected = [
            &format!(r#"{{"commitInfo":{{"timestamp":1795312877549,"operation":"CREATE TABLE","operationParameters":{{"isManaged":"false","partitionBy":"[\"event_date\"]"}},"isBlindAppend":true,"engineInfo":"{engine}"}}}}"#),
            r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}"#,
            &[
                r#"{"metaData":{"id":"1b7e2ce7-9252-49cd-89b6-231837ebe74e","name":"tides","description":"A row is a tide.","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":["#,
                &format!(r#"{{\"name\":\"event_date\",\"type\":\"date\",\"nullable\":false,\"metadata\":{{\"comment\":\"{date}\"}}}},"#),
                r#"{\"name\":\"at\",\"type\":\"timestamp\",\"nullable\":false,\"metadata\":{\"comment\":\"When.\"}},"#,
                r#"{\"name\":\"value\",\"type\":\"double\",\"nullable\":true,\"metadata\":{\"comment\":\"How \\\"much\\\".\"}}]}","#,
                r#""partitionColumns":["event_date"],"configuration":{"delta.checkpointInterval":"100","delta.dataSkippingStatsColumns":"at,device_id","delta.deletedFileRetentionDuration":"interval 7 days","delta.logRetentionDuration":"interval 7 days"},"createdTime":1795312877549}}"#,
            ]
            .concat(),
            "",
        ]
        .join("\n");
        let entry = first_entry(&table, id, 1_795_312_877_549);
        assert_eq!(std::str::from_utf8(&entry).unwrap(), expected);
    }
}
