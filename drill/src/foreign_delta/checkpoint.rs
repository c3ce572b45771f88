//! A checkpoint as some other program writes it: with columns in another order, with texts as views, and packed its own way.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::ReaderBuilder;
use object_store::ObjectStoreExt;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};

use super::{ForeignTable, Snapshot};

const TEXT: DataType = DataType::Utf8View;

impl ForeignTable {
    /// Writes one of the current version, unless the log names a later one.
    pub(crate) async fn checkpoint(&mut self) -> anyhow::Result<()> {
        self.refresh().await?;
        let Some(version) = self.known.next.checked_sub(1) else { return Ok(()) };
        let actions = actions(&self.known);
        let path = self.path(&format!("_delta_log/{version:020}.checkpoint.parquet"));
        self.root.put(&path, encode(&actions)?.into()).await?;
        let last = self.path("_delta_log/_last_checkpoint");
        let named: Option<Value> = match self.get(&last).await? {
            Some(named) => Some(serde_json::from_slice(&named)?),
            None => None,
        };
        if named.and_then(|named| named["version"].as_u64()).is_none_or(|named| named < version) {
            let hint = json!({"version": version, "size": actions.len()});
            self.root.put(&last, hint.to_string().into()).await?;
        }
        Ok(())
    }
}

/// All that holds, an action an object.
fn actions(known: &Snapshot) -> Vec<Value> {
    let files = known.active.values().map(|add| json!({"add": add}));
    let removed = known.removed.values().map(|remove| json!({"remove": remove}));
    let stated = known.stated.iter().map(|(part, said)| json!({*part: said}));
    let applications = known.applications.values().map(|txn| json!({"txn": txn}));
    files.chain(removed).chain(applications).chain(stated).collect()
}

fn encode(actions: &[Value]) -> anyhow::Result<Vec<u8>> {
    let schema = Arc::new(schema());
    let reader = ReaderBuilder::new(schema.clone()).with_batch_size(actions.len().max(1));
    let mut decoder = reader.build_decoder()?;
    decoder.serialize(actions)?;
    let properties = WriterProperties::builder()
        .set_created_by("somebody".to_owned())
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
    if let Some(rows) = decoder.flush()? {
        writer.write(&rows)?;
    }
    Ok(writer.into_inner()?)
}

fn schema() -> Schema {
    use DataType::{Boolean, Int32, Int64};
    let part = |name: &str, fields: Vec<(&str, DataType)>| {
        let fields = fields.into_iter().map(|(name, kind)| Field::new(name, kind, true));
        Field::new(name, DataType::Struct(fields.collect()), true)
    };
    let format = vec![Field::new("options", texts(), true), Field::new("provider", TEXT, true)];
    Schema::new(vec![
        part(
            "remove",
            vec![
                ("size", Int64),
                ("partitionValues", texts()),
                ("extendedFileMetadata", Boolean),
                ("dataChange", Boolean),
                ("deletionTimestamp", Int64),
                ("path", TEXT),
            ],
        ),
        part(
            "add",
            vec![
                ("stats", TEXT),
                ("dataChange", Boolean),
                ("modificationTime", Int64),
                ("size", Int64),
                ("partitionValues", texts()),
                ("path", TEXT),
                ("clusteringProvider", TEXT),
            ],
        ),
        part(
            "metaData",
            vec![
                ("configuration", texts()),
                ("partitionColumns", DataType::List(Arc::new(Field::new("item", TEXT, true)))),
                ("schemaString", TEXT),
                ("format", DataType::Struct(format.into())),
                ("createdTime", Int64),
                ("description", TEXT),
                ("name", TEXT),
                ("id", TEXT),
            ],
        ),
        part("txn", vec![("lastUpdated", Int64), ("version", Int64), ("appId", TEXT)]),
        part("protocol", vec![("minWriterVersion", Int32), ("minReaderVersion", Int32)]),
    ])
}

fn texts() -> DataType {
    let pair = vec![Field::new("key", TEXT, false), Field::new("value", TEXT, true)];
    let pair = Field::new("entries", DataType::Struct(pair.into()), false);
    DataType::Map(Arc::new(pair), false)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    #[test]
    fn a_checkpoint_has_a_row_an_action() {
        let known = Snapshot {
            active: [("a".to_owned(), json!({"path": "a", "partitionValues": {"d": "1"}}))].into(),
            removed: [("b".to_owned(), json!({"path": "b", "deletionTimestamp": 3}))].into(),
            stated: [("protocol", json!({"minReaderVersion": 1, "minWriterVersion": 2}))].into(),
            applications: [("x".to_owned(), json!({"appId": "x", "version": 4}))].into(),
            ..Snapshot::default()
        };
        let file = bytes::Bytes::from(encode(&actions(&known)).unwrap());
        let rows = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let rows: Vec<_> = rows.collect::<Result<_, _>>().unwrap();
        assert_eq!((rows.len(), rows[0].num_rows()), (1, 4));
        for part in ["add", "remove", "txn", "protocol"] {
            assert_eq!(rows[0].column_by_name(part).unwrap().null_count(), 3, "{part}");
        }
        let paths = rows[0].column_by_name("add").unwrap().as_struct().column_by_name("path");
        assert_eq!(paths.unwrap().as_string_view().value(0), "a");
    }
}
