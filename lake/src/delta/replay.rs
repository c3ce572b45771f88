//! What a log says, gathered from its last checkpoint and the entries behind it.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, StructArray};
use arrow::datatypes::{Int32Type, Int64Type};
use bytes::Bytes;

use super::action::{COMPACT, MetaData, lines};
use super::active::{Active, value};
use super::fit::Fit;
use super::shape::{conformed, schema};
use crate::error::LakeError;
use crate::parquet;
use crate::table::Table;

const APPEND_ONLY: &str = "delta.appendOnly";

/// What a replay gathers.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) id: Option<String>,
    pub(super) fit: Fit,
    pub(super) txns: HashMap<String, i64>,
    /// When files were merged last, Unix milliseconds.
    pub(super) compacted_ms: Option<i64>,
    /// Reader and writer version that the table needs, as of the last entry: a feature may be dropped again.
    pub(super) needs: Option<(i32, i32)>,
    /// Whether no row may be removed.
    pub(super) append_only: bool,
    /// The files, where somebody asked for them.
    pub(super) active: Option<Active>,
}

impl Replay {
    /// Takes in a log entry.
    pub(super) fn entry(
        &mut self,
        table: &Table,
        path: &str,
        entry: &[u8],
    ) -> Result<(), LakeError> {
        for line in lines(entry) {
            let line = line.map_err(|error| LakeError::damaged(path, error))?;
            if let Some(protocol) = line.protocol {
                self.needs = Some((protocol.min_reader_version, protocol.min_writer_version));
            }
            if let Some(metadata) = line.meta_data {
                self.metadata(table, path, metadata)?;
            }
            if let Some(txn) = line.txn {
                self.transaction(txn.app_id.into_owned(), txn.version, txn.last_updated);
            }
            if let Some(active) = &mut self.active {
                if let Some(remove) = &line.remove {
                    active.taken(remove);
                }
                if let Some(add) = line.add {
                    active.added(add);
                }
            }
        }
        Ok(())
    }

    fn transaction(&mut self, id: String, version: i64, at_ms: Option<i64>) {
        if id.starts_with(COMPACT) {
            self.compacted_ms = self.compacted_ms.max(at_ms);
        }
        self.txns.insert(id, version);
    }

    fn metadata(&mut self, table: &Table, path: &str, metadata: MetaData) -> Result<(), LakeError> {
        let fit = Fit::of(table, &metadata.schema_string, &metadata.partition_columns);
        self.fit = fit.map_err(|error| LakeError::damaged(path, error))?;
        self.append_only =
            metadata.configuration.get(APPEND_ONLY).is_some_and(|value| value == "true");
        self.id = Some(metadata.id);
        Ok(())
    }

    /// Takes in a checkpoint.
    pub(super) fn checkpoint(
        &mut self,
        table: &Table,
        path: &str,
        bytes: Bytes,
    ) -> Result<(), LakeError> {
        let mut columns = vec!["txn", "metaData", "protocol"];
        columns.extend(self.active.iter().flat_map(|_| ["add", "remove"]));
        let schema = schema(&columns);
        let damaged = |what: &str| LakeError::damaged(path, format!("no {what}"));
        for batch in parquet::read(path, bytes, &columns)? {
            let batch = conformed(&batch, &schema);
            let batch = batch.map_err(|error| LakeError::damaged(path, error))?;
            if let Some(active) = &mut self.active {
                active.checkpoint(&batch).map_err(damaged)?;
            }
            let part = |name| batch.column_by_name(name).and_then(|column| column.as_struct_opt());
            let text = |part: &StructArray, name, row| {
                let column = part.column_by_name(name)?.as_string_opt::<i32>()?;
                column.is_valid(row).then(|| column.value(row).to_owned())
            };
            let txn = part("txn").ok_or_else(|| damaged("txn"))?;
            let long =
                |name| txn.column_by_name(name).and_then(|it| it.as_primitive_opt::<Int64Type>());
            let version = long("version").ok_or_else(|| damaged("txn.version"))?;
            // Optional by the standard.
            let updated = long("lastUpdated");
            for row in (0..batch.num_rows()).filter(|row| txn.is_valid(*row)) {
                let id = text(txn, "appId", row).ok_or_else(|| damaged("txn.appId"))?;
                let at_ms = updated.filter(|at| at.is_valid(row)).map(|at| at.value(row));
                self.transaction(id, version.value(row), at_ms);
            }
            let metadata = part("metaData").ok_or_else(|| damaged("metaData"))?;
            for row in (0..batch.num_rows()).filter(|row| metadata.is_valid(*row)) {
                let schema = text(metadata, "schemaString", row);
                let known = text(metadata, "id", row).zip(schema).zip(texts(metadata, row));
                let ((id, schema_string), partition_columns) = known
                    .ok_or_else(|| damaged("metaData.id, schemaString and partitionColumns"))?;
                let settings = metadata.column_by_name("configuration");
                let settings = settings.and_then(|settings| settings.as_map_opt());
                let append_only = settings.and_then(|map| value(map, row, APPEND_ONLY));
                let configuration =
                    append_only.map(|value| (APPEND_ONLY.to_owned(), value)).into_iter().collect();
                let stated = MetaData { id, schema_string, partition_columns, configuration };
                self.metadata(table, path, stated)?;
            }
            let protocol = part("protocol").ok_or_else(|| damaged("protocol"))?;
            let number = |name, row| {
                let column = protocol.column_by_name(name)?.as_primitive_opt::<Int32Type>()?;
                Some(column.value(row))
            };
            for row in (0..batch.num_rows()).filter(|row| protocol.is_valid(*row)) {
                let needs = number("minReaderVersion", row).zip(number("minWriterVersion", row));
                let (reader, writer) = needs.ok_or_else(|| damaged("protocol versions"))?;
                self.needs = Some((reader, writer));
            }
        }
        // Without these nothing else is understood.
        self.id.as_ref().ok_or_else(|| damaged("metaData"))?;
        self.needs.map(|_| ()).ok_or_else(|| damaged("protocol"))
    }

    /// Whether the table, as it is now, is one that we may write to.
    pub(super) fn supported(&self, table: &Table) -> Result<(), LakeError> {
        self.needs.map_or(Ok(()), |(reader, writer)| supported(table, reader, writer))
    }
}

/// The partition columns of one row of a checkpoint's `metaData`.
fn texts(metadata: &StructArray, row: usize) -> Option<Vec<String>> {
    let list = metadata.column_by_name("partitionColumns")?.as_list_opt::<i32>()?.value(row);
    let texts = list.as_string_opt::<i32>()?;
    Some(texts.iter().flatten().map(str::to_owned).collect())
}

/// Appending to a table needs to know all its features; up to writer version 2 there are none that concern an append.
pub(super) fn supported(table: &Table, reader: i32, writer: i32) -> Result<(), LakeError> {
    if reader <= 1 && writer <= 2 {
        return Ok(());
    }
    let needs = format!("Delta reader version {reader} and writer version {writer}");
    Err(LakeError::Unsupported { table: table.name.to_string(), needs })
}
