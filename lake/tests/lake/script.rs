//! Rows of any table as a test says them, landed message by message; and what a table says, in words.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use lake::maintain::{Incomplete, Pace, Report, Settings, run};
use lake::tables::{alerts, dead_letters, device_status, ehr_events, messages, readings};
use lake::{Lake, LakeError, LandOutcome, Lander, SourceAdvance, Table, TableRows};

use super::kit::{LANE, NOW, key};

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const HOUR: i64 = 3600 * SECOND;
pub(crate) const DAY: i64 = 24 * HOUR;

/// A row of any table: what a test says of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    table: &'static str,
    pub(crate) texts: BTreeMap<&'static str, String>,
    value: Option<f64>,
    event_us: i64,
    received_us: i64,
    updated_us: Option<i64>,
    /// Whether the message of the row before became this one, too.
    same: bool,
}

pub(crate) fn reading(device: &str, metric: &str, event_us: i64, value: f64) -> Row {
    let texts = [("device_id", device), ("metric", metric), ("quality", "good"), ("site", "icu")];
    Row {
        table: readings::NAME,
        texts: texts.map(|(name, text)| (name, text.to_owned())).into(),
        value: Some(value),
        event_us,
        received_us: event_us,
        ..Row::default()
    }
}

pub(crate) fn resource(id: &str, status: &str, updated_us: i64) -> Row {
    let texts = [
        ("system_id", "ehr"),
        ("resource_type", "Observation"),
        ("resource_id", id),
        ("status", status),
        ("site", "icu"),
        ("resource", "{}"),
    ];
    Row {
        table: ehr_events::NAME,
        texts: texts.map(|(name, text)| (name, text.to_owned())).into(),
        value: None,
        event_us: NOW,
        received_us: NOW,
        updated_us: Some(updated_us),
        ..Row::default()
    }
}

pub(crate) fn status(device: &str, at_us: i64, status: &str) -> Row {
    let texts = [("device_id", device), ("status", status), ("site", "icu")];
    let texts = texts.map(|(name, text)| (name, text.to_owned())).into();
    Row { table: device_status::NAME, texts, event_us: at_us, received_us: at_us, ..Row::default() }
}

pub(crate) fn letter(at_us: i64) -> Row {
    let texts = [("reason_code", "not_json"), ("reason", ""), ("stage", "decode")];
    let texts = texts.map(|(name, text)| (name, text.to_owned())).into();
    Row { table: dead_letters::NAME, texts, event_us: at_us, received_us: at_us, ..Row::default() }
}

/// A step of an alert that the message of the row before raised; its own message is another.
pub(crate) fn alert(device: &str, at_us: i64, measured: &str) -> Row {
    let of_all = ["alert_id", "rule", "rule_version", "severity", "site", "heard_through"];
    let of_all = of_all.into_iter().chain(["state_before", "state", "reason", "evidence"]);
    let texts =
        of_all.map(|name| (name, "x")).chain([("device_id", device), ("measured", measured)]);
    let texts = texts.map(|(name, text)| (name, text.to_owned())).collect();
    Row { table: alerts::NAME, texts, event_us: at_us, received_us: at_us, ..Row::default() }
}

/// The message of the row before, as it came.
pub(crate) fn as_it_came(at_us: i64, payload: &str) -> Row {
    let texts = [("topic", "dt/icu/a/readings"), ("payload", payload)];
    let texts = texts.map(|(name, text)| (name, text.to_owned())).into();
    let times = Row { event_us: at_us, received_us: at_us, ..Row::default() };
    Row { table: messages::NAME, texts, same: true, ..times }
}

impl Row {
    pub(crate) fn with(mut self, name: &'static str, text: &str) -> Self {
        self.texts.insert(name, text.to_owned());
        self
    }

    pub(crate) fn received(mut self, at_us: i64) -> Self {
        self.received_us = at_us;
        self
    }

    fn time(&self) -> i64 {
        if [dead_letters::NAME, messages::NAME].contains(&self.table) {
            self.received_us
        } else {
            self.event_us
        }
    }
}

/// The rows of one table, of one message each from `from` on.
fn batch(table: &Table, rows: &[(u64, &Row)], source: &str) -> RecordBatch {
    let text = |name: &str| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, row)| row.texts.get(name)).collect::<StringArray>())
    };
    let time = |of: &dyn Fn(&Row) -> Option<i64>| -> ArrayRef {
        let times = rows.iter().map(|(_, row)| of(row));
        Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let columns = table.file_columns().map(|column| -> ArrayRef {
        match column.name.as_ref() {
            "event_ts" | "at_ts" | "found_ts" | "heard_ts" => time(&|row| Some(row.event_us)),
            "received_ts" => time(&|row| Some(row.received_us)),
            "last_updated" => time(&|row| row.updated_us),
            "value" => Arc::new(rows.iter().map(|(_, row)| row.value).collect::<Float64Array>()),
            "source_id" | "cause_source_id" => {
                Arc::new(StringArray::from(vec![source; rows.len()]))
            }
            "epoch" | "cause_epoch" => Arc::new(Int64Array::from(vec![42; rows.len()])),
            "source_offset" => {
                let offsets = rows.iter().map(|(offset, _)| offset.cast_signed());
                Arc::new(Int64Array::from_iter_values(offsets))
            }
            "cause_offset" => {
                let offsets = rows.iter().map(|(offset, _)| offset.cast_signed() - 1);
                Arc::new(Int64Array::from_iter_values(offsets))
            }
            "row_no" | "cause_row_no" | "qos" => Arc::new(Int32Array::from(vec![0; rows.len()])),
            "retain" => Arc::new(BooleanArray::from(vec![false; rows.len()])),
            "payload" => {
                let payloads = rows.iter().map(|(_, row)| row.texts.get("payload"));
                let payloads =
                    payloads.map(|text| Some(text.map_or("?", String::as_str).as_bytes()));
                Arc::new(payloads.collect::<BinaryArray>())
            }
            "protocol" => Arc::new(StringArray::from(vec!["test"; rows.len()])),
            name if rows.iter().any(|(_, row)| row.texts.contains_key(name)) => text(name),
            _ => new_null_array(&column.kind.arrow(), rows.len()),
        }
    });
    let batch = RecordBatch::try_new(table.file_arrow(), columns.collect()).unwrap();
    lake::sort::sorted(table, &batch).unwrap()
}

/// Lands `rows`, a message each unless they are of the same, of `source`, which is at `from`. Returns where it is then.
pub(crate) async fn land(
    lake: &Lake,
    lander: &mut Lander,
    source: &str,
    from: u64,
    rows: &[Row],
) -> Result<u64, LakeError> {
    let staging = lake.stage(NOW + DAY);
    let (mut files, mut counts) = (Vec::new(), BTreeMap::new());
    let mut parts: BTreeMap<(&str, i32), Vec<(u64, &Row)>> = BTreeMap::new();
    let mut to = from;
    for row in rows {
        to += u64::from(!row.same);
        let offset = to - 1;
        let date = lake::date::date_of(row.time());
        parts.entry((row.table, date)).or_default().push((offset, row));
        let table = lake.catalog().get(row.table).unwrap().name.clone();
        counts.entry(table).or_insert_with(TableRows::default).add(row.time());
    }
    for ((table, date), rows) in parts {
        let table = lake.catalog().get(table).unwrap().clone();
        let rows = batch(&table, &rows, source);
        files.extend(staging.write(table, date, [rows]).await?);
    }
    let advance = SourceAdvance {
        key: key(source),
        lane: LANE,
        from,
        to,
        chain: to * 1000,
        appended: to,
        received_us: rows.iter().map(|row| row.received_us).max(),
        gaps: vec![],
        tables: counts,
    };
    let outcome = lander.land(&staging.finish(files, vec![advance]), NOW + DAY).await?;
    assert!(matches!(outcome, LandOutcome::Landed { .. }), "{outcome:?}");
    Ok(to)
}

pub(crate) async fn upkeep(lake: &Lake, now_us: i64) -> Result<Report, Incomplete> {
    let settings = Settings { sweep: false, ..Settings::default() };
    run(lake, &settings, now_us, &mut Pace::unhurt(), &|_| {}).await
}

/// What a view says: each row as its columns in words, in order. `columns`: of those, or of all.
pub(crate) async fn rows(lake: &Lake, view: &str, columns: &[&str]) -> Vec<String> {
    let table = lake.catalog().find(view).unwrap().clone();
    let all: Vec<&str> = table.columns.iter().map(|column| column.name.as_ref()).collect();
    let columns = if columns.is_empty() { &all } else { columns };
    let batches: Vec<RecordBatch> =
        lake.scan(view, columns).await.unwrap().try_collect().await.unwrap();
    let options = FormatOptions::default().with_null("-");
    let mut rows = Vec::new();
    for batch in &batches {
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> =
                columns.iter().map(|column| column.value(row).to_string()).collect();
            rows.push(cells.join(" "));
        }
    }
    rows.sort_unstable();
    rows
}
