//! `bench compaction`: a date's files are merged into one, against a bare read, sort and write of the same rows in memory.

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::TryStreamExt;
use lake::maintain::{self, Pace, Settings};
use lake::{Lake, Lander, OpenMode, Table};
use service_runtime::Clock;

use crate::CompactionOptions;
use crate::made::{DAY_US, LANE, Made};
use crate::processes::usage_of;

/// What both ways took.
pub(crate) struct Took {
    /// Bytes of the files that were merged.
    pub(crate) bytes: u64,
    /// Seconds of upkeep.
    pub(crate) maintain: f64,
    /// Seconds of the bare way, where it was asked for.
    pub(crate) bare: Option<f64>,
}

/// Upkeep that merges, and does nothing else.
pub(crate) fn merging() -> Settings {
    Settings { sweep: false, views: Vec::new(), ..Settings::default() }
}

/// Where it is told what came of it.
pub(crate) type Say = fn(&str) -> anyhow::Result<()>;

/// Runs the measurement and prints it.
pub(crate) async fn run(options: &CompactionOptions) -> anyhow::Result<()> {
    measure(options, |line| Ok(writeln!(std::io::stdout().lock(), "{line}")?)).await.map(drop)
}

/// Runs the measurement.
pub(crate) async fn measure(options: &CompactionOptions, say: Say) -> anyhow::Result<Took> {
    let (folder, clock) = (tempfile::tempdir()?, Clock::default());
    let url = folder.path().display().to_string();
    let lake = Lake::open(&url, &[].into(), OpenMode::Create).await?;
    // A date that is over.
    let start_us = (clock.now_us().div_euclid(DAY_US) - 3) * DAY_US;
    land(&lake, options, start_us, clock).await?;
    let before = lake.files("readings").await?;
    let bytes: u64 = before.iter().map(|file| file.bytes).sum();
    let rows = options.files * options.rows;
    say(&format!("{rows} rows of readings in {} files, {}", before.len(), mb(bytes)))?;

    let mut bare = None;
    if options.bare {
        reset_peak();
        let began = clock.uptime();
        let size = bare_merge(&lake).await?;
        let seconds = (clock.uptime() - began).as_secs_f64();
        say(&told("bare read, sort and write in memory", seconds, bytes, size, rows)?)?;
        bare = Some(seconds);
    }
    reset_peak();
    let (began, mut pace) = (clock.uptime(), Pace::unhurt());
    maintain::run(&lake, &merging(), clock.now_us(), &mut pace, &|_| {}).await?;
    let after = lake.files("readings").await?;
    let size = after.iter().map(|file| file.bytes).sum();
    let seconds = (clock.uptime() - began).as_secs_f64();
    say(&told("maintain: read, merge, write, sync, prove", seconds, bytes, size, rows)?)?;
    say(&format!("{} files of readings are left", after.len()))?;
    Ok(Took { bytes, maintain: seconds, bare })
}

fn told(what: &str, seconds: f64, bytes: u64, size: u64, rows: u64) -> anyhow::Result<String> {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let (mbs, rate) = (bytes as f64 / 1e6 / seconds, rows as f64 / 1e6 / seconds);
    let peak = usage_of("self")?.rss_mb;
    Ok(format!(
        "{what}: {seconds:.1} s, {mbs:.1} MB/s, {rate:.2} M rows/s, to {}, peak RSS {peak:.0} MB",
        mb(size)
    ))
}

fn mb(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

/// All rows of `readings`, in memory.
pub(crate) async fn all_readings(lake: &Lake) -> anyhow::Result<(Arc<Table>, RecordBatch)> {
    let table = lake.catalog().get("readings").context("a table")?.clone();
    let columns: Vec<&str> = table.file_columns().map(|column| column.name.as_ref()).collect();
    let batches: Vec<RecordBatch> = lake.scan("readings", &columns).await?.try_collect().await?;
    let all = concat_batches(&table.file_arrow(), &batches)?;
    Ok((table, all))
}

/// Everything in memory, without a proof, a commit or a sync.
async fn bare_merge(lake: &Lake) -> anyhow::Result<u64> {
    let (table, all) = all_readings(lake).await?;
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
    let mut lander = Lander::open(lake, "bench", [LANE], now_us).await?;
    let made =
        Made { devices: options.devices, start_us, rows: options.files * options.rows, offset: 0 };
    for file in 0..options.files {
        let part = [file * options.rows, (file + 1) * options.rows];
        let staged = made.stage(lake, ("bench", LANE), part, now_us).await?;
        lander.land(&staged, now_us).await?;
    }
    Ok(())
}

/// From here on the peak is counted anew, where the system can.
fn reset_peak() {
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}
