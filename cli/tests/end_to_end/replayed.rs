//! A recorded series in Parquet goes the whole way, and its rows that can't be used are named.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use lake::table::{Column, Kind, Parts, Table};
use serde_json::Value;

use crate::harness::{Site, text};

/// 2026-01-01T00:00:00Z
const START_US: i64 = 1_767_225_600_000_000;

fn recorded() -> Vec<u8> {
    let columns = [
        Column::optional("hr", Kind::Double, "Heart rate."),
        Column::optional("at", Kind::Timestamp, "When."),
        Column::optional("rhythm", Kind::Text, "A word."),
    ];
    let parts = Parts { sort: &[], stats: &[], time: "at", bloom: &[] };
    let table = Table::new("recorded", "A recording.", columns, parts);
    let times = (0..3_000).map(|n| (n != 1_500).then_some(START_US + n * 20_000));
    let columns: [ArrayRef; 3] = [
        Arc::new(Float64Array::from_iter((0..3_000).map(|n| Some(f64::from(60 + n % 40))))),
        Arc::new(TimestampMicrosecondArray::from_iter(times).with_timezone("UTC")),
        Arc::new(StringArray::from_iter((0..3_000).map(|n| (n % 100 == 0).then_some("sinus")))),
    ];
    let batch = RecordBatch::try_new(table.file_arrow(), columns.into()).unwrap();
    lake::parquet::encode(&table, [batch]).unwrap().unwrap().bytes.to_vec()
}

#[test]
fn inv12_parquet_is_replayed_and_a_row_without_a_time_is_named() {
    let site = Site::new("");
    let up = site.up();
    let path = site.folder.path().join("monitor.parquet");
    std::fs::write(&path, recorded()).unwrap();
    let path = path.to_str().unwrap();
    let played = site.simulate(&["--as-fast-as-acknowledged", "--replay", path]).output().unwrap();
    let summary: Value =
        serde_json::from_slice(&played.stdout).unwrap_or_else(|_| panic!("{}", text(&played)));
    assert_eq!((&summary["published"], &summary["unusable"]), (&2_999.into(), &1.into()));
    let row = &summary["unusable_lines"][0];
    assert_eq!((&row["line"], &row["why"]), (&1_501.into(), &"it says no time".into()));
    let said = String::from_utf8_lossy(&played.stderr);
    assert!(said.contains("Parquet, time in `at`"), "{said}");
    site.wait_landed();
    up.stop();
    site.audit();
    assert_eq!(site.rows("readings"), 2_999 + 29);
    // What is no Parquet although it begins so is refused, and nothing is published.
    std::fs::write(path, "PAR1 and no more").unwrap();
    let refused = site.simulate(&["--replay", path]).output().unwrap();
    assert!(!refused.status.success());
    assert!(text(&refused).contains("it can't be read"), "{}", text(&refused));
}
