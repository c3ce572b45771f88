//! Readings that are made up: each device says all its metrics in turn, evenly over a day; values move slowly, with two decimals.

use std::sync::Arc;

use anyhow::Context;
use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use lake::date::date_of;
use lake::{Lake, SourceAdvance, SourceKey, Staged, Table, TableRows};

/// The lane of a source that is alone.
pub(crate) const LANE: u8 = 1;
/// Microseconds of a day.
pub(crate) const DAY_US: i64 = 24 * 3600 * 1_000_000;
const METRICS: [&str; 8] =
    ["heart_rate", "spo2", "resp_rate", "temp", "bp_systolic", "bp_diastolic", "bp_mean", "pulse"];

/// A day of some devices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) devices: u64,
    /// Its beginning, Unix microseconds.
    pub(crate) start_us: i64,
    /// Rows of the whole day.
    pub(crate) rows: u64,
    /// The offset of its first row: each is a message.
    pub(crate) offset: u64,
}

/// The name of a device.
pub(crate) fn device(number: u64) -> String {
    format!("monitor-{number:05}")
}

impl Made {
    /// Writes a part of the day, its rows from and to, as one landing of a source and its lane.
    pub(crate) async fn stage(
        &self,
        lake: &Lake,
        (source, lane): (&str, u8),
        part: [u64; 2],
        now_us: i64,
    ) -> anyhow::Result<Staged> {
        let table = lake.catalog().get("readings").context("a table")?.clone();
        let staging = lake.stage(now_us);
        let sorted = lake::sort::sorted(&table, &self.readings(&table, part, source)?)?;
        let written = staging.write(table.clone(), date_of(self.start_us), [sorted]).await?;
        let [from, to] = part.map(|row| self.offset + row);
        let advance = SourceAdvance {
            key: SourceKey { source_id: source.to_owned(), epoch: 7 },
            lane,
            from,
            to,
            chain: to,
            appended: to,
            received_us: None,
            gaps: vec![],
            tables: [(table.name.clone(), TableRows { rows: to - from, time: None })].into(),
        };
        Ok(staging.finish(written.into_iter().collect(), vec![advance]))
    }

    fn readings(
        &self,
        table: &Arc<Table>,
        [from, to]: [u64; 2],
        source: &str,
    ) -> anyhow::Result<RecordBatch> {
        let offsets = || from..to;
        let rows = usize::try_from(to - from)?;
        let metrics = METRICS.len() as u64;
        let time = |offset: u64| {
            let share = u128::from(offset) * 86_400_000 / u128::from(self.rows);
            self.start_us + i64::try_from(share).unwrap_or(0) * 1000
        };
        let times = |late: i64| -> ArrayRef {
            let times = offsets().map(|offset| time(offset) + late + (offset % 997).cast_signed());
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
        };
        let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows])) };
        let noise = |offset: u64| (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 300;
        let columns = table.file_columns().map(|column| -> ArrayRef {
            match column.name.as_ref() {
                "event_ts" | "device_ts" => times(0),
                "received_ts" => times(40_000),
                "site" => same("ward-1"),
                "quality" => same("good"),
                "protocol" => same("readings-json"),
                "source_id" => same(source),
                "unit" => same("1/min"),
                "device_id" => Arc::new(StringArray::from_iter_values(
                    offsets().map(|offset| device(offset / metrics % self.devices)),
                )),
                "metric" => Arc::new(StringArray::from_iter_values(
                    offsets().map(|offset| METRICS[usize::try_from(offset % metrics).unwrap_or(0)]),
                )),
                "value" => Arc::new(Float64Array::from_iter_values(offsets().map(|offset| {
                    let base = u32::try_from(7000 + 10 * (offset % metrics) + noise(offset));
                    f64::from(base.unwrap_or(0)) / 100.0
                }))),
                "epoch" => Arc::new(Int64Array::from(vec![7; rows])),
                "seq" | "source_offset" => Arc::new(Int64Array::from_iter_values(
                    offsets().map(|offset| (self.offset + offset).cast_signed()),
                )),
                "row_no" => Arc::new(Int32Array::from(vec![0; rows])),
                _ => new_null_array(&column.kind.arrow(), rows),
            }
        });
        Ok(RecordBatch::try_new(table.file_arrow(), columns.collect())?)
    }
}
