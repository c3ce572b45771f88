//! Checkpoints of logs and of checkpoints that others wrote, or that are damaged.

use arrow::datatypes::{DataType, Field, Schema};

use super::*;

/// Nothing of what other writers say is lost, from one checkpoint to the next.
#[tokio::test]
async fn lines_of_other_writers_are_carried_as_they_are() {
    let (lake, table, folder) = begun().await;
    let kept = [
        json!({"add": {
            "path": "event_date=2026-08-01/a%20b.parquet", "partitionValues": {"event_date": "2026-08-01"}, "size": 1,
            "modificationTime": 2, "dataChange": false, "tags": {"ZCUBE_ID": "ä\"😀", "none": ""},
        }}),
        json!({"remove": {
            "path": "event_date=2026-08-01/c%3Dd.parquet", "deletionTimestamp": NOW - DAY, "dataChange": true,
            "extendedFileMetadata": true, "partitionValues": {"event_date": "2026-08-01"}, "size": 9, "stats": "{}",
            "tags": {"x": "y"},
        }}),
        json!({"txn": {"appId": "spark", "version": 4}}),
        json!({"txn": {"appId": "flink/ä", "version": 5, "lastUpdated": 6}}),
    ];
    let mut said = kept.to_vec();
    said[0]["add"]["deletionVector"] = Value::Null;
    said[0]["add"]["clusteringProvider"] = "liquid".into();
    said.push(json!({"cdc": {"path": "c", "size": 1, "partitionValues": {}, "dataChange": false}}));
    said.push(json!({"commitInfo": {"operation": "WRITE", "operationMetrics": {"n": "1"}}}));
    said.push(json!({"domainMetadata": {"domain": "d", "configuration": "", "removed": false}}));
    put(&folder, 1, &said).await;
    put(&folder, 2, &[json!({"remove": {"path": "gone", "dataChange": true}})]).await;
    written(&folder, &table, NOW, ALL).await.unwrap();
    let mut first: Vec<Value> = lines_in(&folder.get(&entry_path(0)).await.unwrap().unwrap());
    first.retain(|line| line.get("commitInfo").is_none());
    let mut expected = [first, kept.to_vec()].concat();
    expected.sort_by_key(Value::to_string);
    let timeless = json!({"remove": {"path": "gone", "dataChange": true}});
    let mut of_two = rows(&folder, 2).await;
    assert!(of_two.contains(&timeless), "when it went is not known");
    of_two.retain(|row| *row != timeless);
    assert_eq!(of_two, expected);
    put(&folder, 3, &[]).await;
    cut(&folder, 2).await;
    written(&folder, &table, NOW, ALL).await.unwrap();
    assert_eq!(rows(&folder, 3).await, expected);
    let (files, version) = files(&lake, &table).await.unwrap();
    assert_eq!((files[0].path.as_str(), version), ("event_date=2026-08-01/a b.parquet", 3));
    assert!(files[0].address.ends_with("a b.parquet") && files[0].date.is_some());
}

#[tokio::test]
async fn a_table_that_needs_features_gets_no_checkpoint_until_they_are_dropped() {
    let (_lake, table, folder) = begun().await;
    let raised = json!({"protocol": {
        "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"],
    }});
    put(&folder, 1, &[add("a"), raised]).await;
    let refused = written(&folder, &table, NOW, ALL).await.unwrap_err();
    assert!(matches!(refused, LakeError::Unsupported { .. }), "{refused}");
    assert!(checkpoints(&folder).await.is_empty());
    for version in 2..10 {
        put(&folder, version, &[add("a")]).await;
    }
    put(&folder, 10, &[json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}})]).await;
    // None on the way either, where the features were needed.
    assert_eq!(written(&folder, &table, NOW, 0).await.unwrap(), Some(10));
    assert_eq!(checkpoints(&folder).await, [0, 10].into());
}

/// Every damage is an error that names the file.
#[tokio::test]
async fn damaged_logs_and_checkpoints_are_named() {
    let (lake, table, folder) = begun().await;
    put(&folder, 1, &[add("a")]).await;
    written(&folder, &table, NOW, ALL).await.unwrap();
    put(&folder, 2, &[add("b")]).await;
    let whole = folder.get(&checkpoint_path(1)).await.unwrap().unwrap();
    let mut torn = whole.to_vec();
    let middle = torn.len() / 2;
    torn[middle..].fill(0xff);
    let odd: arrow::array::ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["x"]));
    let odd = RecordBatch::try_from_iter([("add", odd)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), odd.schema(), None).unwrap();
    writer.write(&odd).unwrap();
    let odd = writer.into_inner().unwrap();
    for damage in [Bytes::new(), whole.slice(..whole.len() / 2), torn.into(), odd.into()] {
        folder.put(&checkpoint_path(1), damage).await.unwrap();
        let errors = [
            written(&folder, &table, NOW, ALL).await.unwrap_err(),
            files(&lake, &table).await.map(|_| ()).unwrap_err(),
            TableLog::load(&lake, &table).await.map(|_| ()).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, LakeError::Damaged { .. }), "{error:?}");
            assert!(error.to_string().contains(&checkpoint_path(1)), "{error}");
        }
    }
    folder.delete(&checkpoint_path(1)).await.unwrap();
    for error in [
        written(&folder, &table, NOW, ALL).await.map(|_| ()).unwrap_err(),
        files(&lake, &table).await.map(|_| ()).unwrap_err(),
    ] {
        assert!(error.to_string().contains("it isn't there"), "{error}");
    }
    folder.put(&checkpoint_path(1), whole).await.unwrap();
    for entry in ["{\"add\":", "no json", "{\"add\":{\"path\":\"a\",\"size\":\"x\"}}"] {
        folder.put(&entry_path(2), entry.into()).await.unwrap();
        for error in [
            written(&folder, &table, NOW, ALL).await.map(|_| ()).unwrap_err(),
            files(&lake, &table).await.map(|_| ()).unwrap_err(),
        ] {
            assert!(matches!(error, LakeError::Damaged { .. }), "{error:?}");
            assert!(error.to_string().contains(&entry_path(2)), "{error}");
        }
    }
    // What only a checkpoint looks at.
    let odd = json!({"add": {"path": "a", "size": 1, "tags": [1]}});
    put(&folder, 2, &[odd]).await;
    let error = written(&folder, &table, NOW, ALL).await.unwrap_err();
    assert!(matches!(error, LakeError::Damaged { .. }), "{error:?}");
    assert_eq!(hint(&folder).await["version"], 1);
    let missing = written(&lake.child("none"), &table, NOW, ALL).await.unwrap();
    assert_eq!(missing, None);
}

/// A checkpoint as another program writes it: with views and large texts, in another order and by other inner names, with columns of
/// features that are not used, and without parts that there is nothing in.
fn foreign(lines: &[Value]) -> Vec<u8> {
    use DataType::{Int32, Int64, LargeUtf8, Utf8View};
    let part = |fields: Vec<(&str, DataType)>| {
        DataType::Struct(
            fields.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect(),
        )
    };
    let pair = vec![Field::new("k", Utf8View, false), Field::new("v", Utf8View, true)];
    let pair = Field::new("entries", DataType::Struct(pair.into()), false);
    let texts = DataType::Map(Arc::new(pair), false);
    let deletion = part(vec![("storageType", Utf8View), ("offset", Int32)]);
    let columns = vec![
        ("sidecar", part(vec![("path", Utf8View), ("sizeInBytes", Int64)])),
        (
            "add",
            part(vec![
                ("stats_parsed", part(vec![("numRecords", Int64)])),
                ("partitionValues_parsed", part(vec![("event_date", DataType::Date32)])),
                ("deletionVector", deletion),
                ("tags", texts.clone()),
                ("stats", LargeUtf8),
                ("dataChange", DataType::Boolean),
                ("modificationTime", Int64),
                ("size", Int32),
                ("partitionValues", texts.clone()),
                ("path", Utf8View),
            ]),
        ),
        ("domainMetadata", part(vec![("domain", Utf8View), ("removed", DataType::Boolean)])),
        (
            "metaData",
            part(vec![
                ("configuration", texts.clone()),
                ("partitionColumns", DataType::List(Arc::new(Field::new("item", LargeUtf8, true)))),
                ("schemaString", LargeUtf8),
                ("format", part(vec![("options", texts), ("provider", Utf8View)])),
                ("id", Utf8View),
            ]),
        ),
        ("protocol", part(vec![("minWriterVersion", Int64), ("minReaderVersion", Int32)])),
    ];
    let columns = columns.into_iter().map(|(name, kind)| Field::new(name, kind, true));
    let schema = Arc::new(Schema::new(columns.collect::<Vec<_>>()));
    let reader = arrow::json::ReaderBuilder::new(schema.clone()).with_batch_size(100);
    let mut decoder = reader.build_decoder().unwrap();
    decoder.serialize(lines).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
    writer.write(&decoder.flush().unwrap().unwrap()).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test]
async fn a_checkpoint_of_another_writer_is_read_and_is_the_base_of_ours() {
    let (lake, table, folder) = begun().await;
    let mut lines = lines_in(&folder.get(&entry_path(0)).await.unwrap().unwrap());
    lines.retain(|line| line.get("commitInfo").is_none());
    let metadata =
        lines.iter_mut().find_map(|line| line.get_mut("metaData")?.as_object_mut()).unwrap();
    metadata.retain(|key, _| !["name", "description", "createdTime"].contains(&key.as_str()));
    lines.extend([add(&name(1)), add(&name(2))]);
    lines[2]["add"]["tags"] = json!({"a": "b"});
    folder.put(&checkpoint_path(5), foreign(&lines).into()).await.unwrap();
    folder.put(LAST_CHECKPOINT, r#"{"version":5,"size":4}"#.into()).await.unwrap();
    let txn = json!({"txn": {"appId": "a", "version": 1}});
    let gone = remove(&name(2), NOW);
    put(&folder, 6, &[gone.clone(), txn.clone()]).await;
    let before = known(&lake, &table).await;
    assert_eq!((before.files.len(), before.version), (1, 6));
    assert_eq!(written(&folder, &table, NOW, ALL).await.unwrap(), Some(6));
    assert_eq!(known(&lake, &table).await, before);
    let mut expected = [&lines[..3], &[gone, txn]].concat();
    expected.sort_by_key(Value::to_string);
    assert_eq!(rows(&folder, 6).await, expected);
}
