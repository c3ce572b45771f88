//! Features of tables that other programs switch on and off, and files that they write otherwise.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use lake::table::Kind;
use lake::{LakeError, Lander, check};
use serde_json::json;

use super::foreign::{append, commit, three_files};
use super::kit::{LANE, NOW, land, offsets, readings};
use super::place::Place;
use super::script::{self, DAY, upkeep};

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

/// `rows` with the columns of one type in another.
fn as_other(rows: &RecordBatch, from: &DataType, to: &DataType) -> RecordBatch {
    let plain = rows.schema();
    let fields = plain.fields().iter().map(|field| {
        let kind = if field.data_type() == from { to } else { field.data_type() };
        Arc::new(Field::new(field.name(), kind.clone(), field.is_nullable()))
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let columns = rows.columns().iter().zip(schema.fields());
    let columns = columns.map(|(column, field)| cast(column, field.data_type()).unwrap());
    RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
}

/// Spark writes such times unless told otherwise. They are read, by views too, and left as they are.
#[tokio::test(flavor = "multi_thread")]
async fn times_of_another_precision_are_times() {
    let place = Place::memory();
    let (lake, _lander) = three_files(&place).await;
    let nanoseconds = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    let rows = as_other(&readings("other", 0, 4), &Kind::Timestamp.arrow(), &nanoseconds);
    append(&place.store(), "theirs", &rows, 4).await;
    let report = upkeep(&lake, NOW + DAY).await.unwrap();
    assert!(report.views.iter().any(|view| view.view == "vitals_1m" && view.rows_read == 7));
    let columns = ["device_id", "n", "first_ts", "last_ts"];
    let expected = ["monitor-1 7 2026-08-01T00:00:00Z 2026-08-01T00:00:03Z"];
    assert_eq!(script::rows(&lake, "vitals_1m", &columns).await, expected);
}

/// delta-rs' DELETE, UPDATE and MERGE write such files.
#[tokio::test(flavor = "multi_thread")]
async fn texts_that_a_file_calls_views_are_texts() {
    let place = Place::memory();
    let (lake, _lander) = three_files(&place).await;
    let rows = readings("other", 0, 4);
    let rows = as_other(&rows, &DataType::Utf8, &DataType::Utf8View);
    append(&place.store(), "theirs", &rows, 4).await;
    assert_eq!(offsets(&lake, "readings", "other").await, [0, 1, 2, 3]);
    let findings = check::run(&lake).await.unwrap().findings;
    assert!(findings.iter().all(|found| !found.problem.contains("theirs")), "{findings:?}");
}
