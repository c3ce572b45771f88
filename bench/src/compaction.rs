//! `bench compaction`: a date's files are merged into one, against a bare read, sort and write of the same rows in memory.

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::concat_batches;
use futures::TryStreamExt;
use lake::date::date_of;
use lake::maintain::{self, Pace, Settings};
use lake::{Lake, Lander, OpenMode, SourceAdvance, SourceKey, Table, TableRows};
use service_runtime::Clock;

use crate::CompactionOptions;
use crate::processes::usage_of;

const LANE: u8 = 1;
const METRICS: [&str; 8] =
    ["heart_rate", "spo2", "resp_rate", "temp", "bp_systolic", "bp_diastolic", "bp_mean", "pulse"];

/// Runs the measurement and prints it.
pub(crate) async fn run(options: CompactionOptions) -> anyhow::Result<()> {
    let (folder, clock) = (tempfile::tempdir()?, Clock::default());
    let url = folder.path().display().to_string();
    let lake = Lake::open(&url, &[].into(), OpenMode::Create).await?;
    // Noon of a date that is over.
    let day_us = 24 * 3600 * 1_000_000_i64;
    let start_us = (clock.now_us().div_euclid(day_us) - 3) * day_us;
    land(&lake, &options, start_us, clock).await?;
    let before = lake.files("readings").await?;
    let bytes: u64 = before.iter().map(|file| file.bytes).sum();
    let rows = options.files * options.rows;
    say(&format!("{rows} rows of readings in {} files, {}", before.len(), mb(bytes)))?;

    let bare = options.bare.then(|| clock.uptime());
    if let Some(began) = bare {
        reset_peak();
        let size = bare_merge(&lake).await?;
        tell("bare read, sort and write in memory", clock, began, bytes, size, rows)?;
    }
    reset_peak();
    let (began, mut pace) = (clock.uptime(), Pace::unhurt());
    let settings = Settings { sweep: false, ..Settings::default() };
    let now_us = clock.now_us();
    maintain::run(&lake, &settings, now_us, &mut pace, &|_| {}).await?;
    let after = lake.files("readings").await?;
    let size = after.iter().map(|file| file.bytes).sum();
    tell("maintain: read, merge, write, sync, prove", clock, began, bytes, size, rows)?;
    say(&format!("{} files of readings are left", after.len()))
}

fn tell(
    what: &str,
    clock: Clock,
    began: std::time::Duration,
    bytes: u64,
    size: u64,
    rows: u64,
) -> anyhow::Result<()> {
    let seconds = (clock.uptime() - began).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let (mbs, rate) = (bytes as f64 / 1e6 / seconds, rows as f64 / 1e6 / seconds);
    let peak = usage_of("self")?.rss_mb;
    say(&format!(
        "{what}: {seconds:.1} s, {mbs:.1} MB/s, {rate:.2} M rows/s, to {}, peak RSS {peak:.0} MB",
        mb(size)
    ))
}

fn mb(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

/// Everything in memory, without a proof, a commit or a sync.
async fn bare_merge(lake: &Lake) -> anyhow::Result<u64> {
    let table = lake.catalog().get("readings").context("a table")?.clone();
    let columns: Vec<&str> = table.file_columns().map(|column| column.name.as_ref()).collect();
    let batches: Vec<RecordBatch> = lake.scan("readings", &columns).await?.try_collect().await?;
    let all = concat_batches(&table.file_arrow(), &batches)?;
    drop(batches);
    let sorted = lake::sort::sorted(&table, &all)?;
    drop(all);
    let encoded = lake::parquet::encode(&table, [sorted])?.context("rows")?;
    Ok(encoded.bytes.len() as u64)
}

async fn land(
    lake: &Lake,
    options: &CompactionOptions,
    start_us: i64,
    clock: Clock,
) -> anyhow::Result<()> {
    let now_us = clock.now_us();
    let table = lake.catalog().get("readings").context("a table")?.clone();
    let mut lander = Lander::open(lake, "bench", [LANE], now_us).await?;
    for file in 0..options.files {
        let (from, to) = (file * options.rows, (file + 1) * options.rows);
        let rows = readings(&table, options, [from, to], start_us)?;
        let staging = lander.begin(now_us);
        let sorted = lake::sort::sorted(&table, &rows)?;
        let written = staging.write(table.clone(), date_of(start_us), [sorted]).await?;
        let counts = TableRows { rows: options.rows, time: None };
        let advance = SourceAdvance {
            key: SourceKey { source_id: "bench".to_owned(), epoch: 7 },
            lane: LANE,
            from,
            to,
            chain: to,
            appended: to,
            received_us: None,
            gaps: vec![],
            tables: [(table.name.clone(), counts)].into(),
        };
        let staged = staging.finish(written.into_iter().collect(), vec![advance]);
        lander.land(&staged, now_us).await?;
    }
    Ok(())
}

/// Each device says all its metrics in turn; values move slowly, with two decimals.
fn readings(
    table: &Arc<Table>,
    options: &CompactionOptions,
    [from, to]: [u64; 2],
    start_us: i64,
) -> anyhow::Result<RecordBatch> {
    let offsets = || from..to;
    let rows = usize::try_from(to - from)?;
    let metrics = METRICS.len() as u64;
    let total = options.files * options.rows;
    let time = |offset: u64| {
        let share = u128::from(offset) * 86_400_000 / u128::from(total);
        start_us + i64::try_from(share).unwrap_or(0) * 1000
    };
    let times = |late: i64| -> ArrayRef {
        let times = offsets().map(|offset| time(offset) + late + (offset % 997).cast_signed());
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
    };
    let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows])) };
    let device = |offset: u64| offset / metrics % options.devices;
    let noise = |offset: u64| (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 300;
    let columns = table.file_columns().map(|column| -> ArrayRef {
        match column.name.as_ref() {
            "event_ts" | "device_ts" => times(0),
            "received_ts" => times(40_000),
            "site" => same("ward-1"),
            "quality" => same("good"),
            "protocol" => same("readings-json"),
            "source_id" => same("bench"),
            "unit" => same("1/min"),
            "device_id" => Arc::new(StringArray::from_iter_values(
                offsets().map(|offset| format!("monitor-{:05}", device(offset))),
            )),
            "metric" => Arc::new(StringArray::from_iter_values(
                offsets().map(|offset| METRICS[usize::try_from(offset % metrics).unwrap_or(0)]),
            )),
            "value" => Arc::new(Float64Array::from_iter_values(offsets().map(|offset| {
                let base = u32::try_from(7000 + 10 * (offset % metrics) + noise(offset));
                f64::from(base.unwrap_or(0)) / 100.0
            }))),
            "epoch" => Arc::new(Int64Array::from(vec![7; rows])),
            "seq" | "source_offset" => {
                Arc::new(Int64Array::from_iter_values(offsets().map(u64::cast_signed)))
            }
            "row_no" => Arc::new(Int32Array::from(vec![0; rows])),
            _ => new_null_array(&column.kind.arrow(), rows),
        }
    });
    Ok(RecordBatch::try_new(table.file_arrow(), columns.collect())?)
}

/// From here on the peak is counted anew, where the system can.
fn reset_peak() {
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}
