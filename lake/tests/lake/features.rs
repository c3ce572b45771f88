//! Features of tables that other programs switch on and off, and files that they write otherwise.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use lake::{LakeError, Lander, check};
use serde_json::json;

use super::foreign::{append, commit, three_files};
use super::kit::{LANE, NOW, land, offsets, readings};
use super::place::Place;

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_changed_to_what_we_do_not_know_and_back_is_written_to_again() {
    let place = Place::memory();
    let (lake, lander) = three_files(&place).await;
    drop(lander);
    let features = ["deletionVectors"];
    let raised = json!({"protocol": {
        "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features,
    }});
    commit(&place.store(), &[raised]).await;
    let refused = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap_err();
    assert!(matches!(refused, LakeError::Unsupported { .. }), "{refused:?}");
    let dropped = json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}});
    commit(&place.store(), &[dropped]).await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    land(&mut lander, &lake, "gw", 3, 4).await;
    assert_eq!(offsets(&lake, "readings", "gw").await, [0, 1, 2, 3]);
}

/// delta-rs' DELETE, UPDATE and MERGE write such files.
#[tokio::test(flavor = "multi_thread")]
async fn texts_that_a_file_calls_views_are_texts() {
    let place = Place::memory();
    let (lake, _lander) = three_files(&place).await;
    let rows = readings("other", 0, 4);
    let plain = rows.schema();
    let viewed = plain.fields().iter().map(|field| {
        let kind = match field.data_type() {
            DataType::Utf8 => DataType::Utf8View,
            other => other.clone(),
        };
        Arc::new(Field::new(field.name(), kind, field.is_nullable()))
    });
    let schema = Arc::new(Schema::new(viewed.collect::<Vec<_>>()));
    let columns = rows.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()).unwrap());
    let rows = RecordBatch::try_new(schema.clone(), columns.collect()).unwrap();
    append(&place.store(), "theirs", &rows, 4).await;
    assert_eq!(offsets(&lake, "readings", "other").await, [0, 1, 2, 3]);
    let findings = check::run(&lake).await.unwrap().findings;
    assert!(findings.iter().all(|found| !found.problem.contains("theirs")), "{findings:?}");
}
