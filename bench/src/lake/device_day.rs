//! What a reader with statistics must read of a table for one day of one device: by the log's dates, the files' row groups, and their
//! pages.

use std::ops::Range;

use anyhow::Context;
use bytes::Bytes;
use lake::maintain::{self, Pace};
use lake::{FileInfo, Lake, Lander, OpenMode};
use parquet::file::metadata::{
    PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use service_runtime::Clock;

use super::Lines;
use crate::compaction::merging;
use crate::made::{self, DAY_US, LANE, Made};

const DAYS: u64 = 30;
const DEVICES: u64 = 100;
/// Rows of a day: 8 metrics of each device, each minute.
const ROWS: u64 = DEVICES * 8 * 1440;
/// Landings of a day.
const LANDINGS: u64 = 24;
const DEVICE: &str = "device_id";

/// Bytes of files, and how many of them are read.
#[derive(Default)]
struct Read {
    all: u64,
    files: usize,
    /// By somebody who knows row groups.
    by_groups: u64,
    /// By somebody who knows pages, too.
    by_pages: u64,
}

/// See the module.
pub(super) async fn measure(tenth: u64, clock: Clock, lines: &mut Lines) -> anyhow::Result<()> {
    let (folder, now_us) = (tempfile::tempdir()?, clock.now_us());
    let url = folder.path().display().to_string();
    let lake = Lake::open(&url, &[].into(), OpenMode::Create).await?;
    let rows = ROWS / tenth;
    let first_us = (now_us.div_euclid(DAY_US) - 10 - DAYS.cast_signed()) * DAY_US;
    let mut lander = Lander::open(&lake, "bench", [LANE], now_us).await?;
    for day in 0..DAYS {
        let start_us = first_us + day.cast_signed() * DAY_US;
        let made = Made { devices: DEVICES, start_us, rows, offset: day * rows };
        for landing in 0..LANDINGS {
            let part = [landing, landing + 1].map(|n| n * rows / LANDINGS);
            let staged = made.stage(&lake, ("bench", LANE), part, now_us).await?;
            lander.land(&staged, now_us).await?;
        }
    }
    let date = lake::date::date_of(first_us + (DAYS / 2).cast_signed() * DAY_US);
    tell(&lake, date, "as landed each hour", lines).await?;
    maintain::run(&lake, &merging(), now_us, &mut Pace::unhurt(), &|_| {}).await?;
    tell(&lake, date, "merged", lines).await
}

async fn tell(lake: &Lake, date: i32, how: &str, lines: &mut Lines) -> anyhow::Result<()> {
    let device = made::device(DEVICES / 2);
    let mut read = Read::default();
    for file in lake.files("readings").await? {
        read.all += file.bytes;
        read.files += 1;
        if file.date == Some(date) {
            read.add(&file, device.as_bytes())?;
        }
    }
    let share = |bytes: u64| bytes as f64 * 100.0 / read.all as f64;
    let what = format!("a device's day of {DEVICES} x {DAYS}, {how} ({} files)", read.files);
    let even = Some(("its share of the rows", 100.0 / (DEVICES * DAYS) as f64));
    lines.push(format!("{what}: read by row groups"), (share(read.by_groups), "%"), even);
    lines.push(format!("{what}: read by pages"), (share(read.by_pages), "%"), even);
    Ok(())
}

impl Read {
    /// Adds what must be read of a file of the day.
    fn add(&mut self, file: &FileInfo, device: &[u8]) -> anyhow::Result<()> {
        let content = std::fs::read(&file.address)
            .with_context(|| format!("cannot read {}", file.address))?;
        let content = Bytes::from(content);
        let metadata = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .parse_and_finish(&content)?;
        // What stands behind the columns: indexes and the footer. Who knows row groups alone needs less of it.
        let ends = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
        let end = ends.map(|column| column.byte_range()).map(|(at, bytes)| at + bytes).max();
        let tail = file.bytes - end.unwrap_or(0).min(file.bytes);
        self.by_groups += tail;
        self.by_pages += tail;
        let columns = metadata.file_metadata().schema_descr().columns();
        let of_device = columns.iter().position(|column| column.name() == DEVICE);
        let of_device = of_device.context("readings have a device")?;
        for (n, group) in metadata.row_groups().iter().enumerate() {
            if may_have(group.column(of_device).statistics(), device) {
                let bytes = |(_, bytes): (u64, u64)| bytes;
                let chunks = group.columns().iter().map(|column| bytes(column.byte_range()));
                self.by_groups += chunks.sum::<u64>();
                let rows = rows_of(&metadata, n, of_device, device).context("it has pages")?;
                self.by_pages += pages(&metadata, n, &rows).context("they have places")?;
            }
        }
        Ok(())
    }
}

fn may_have(statistics: Option<&Statistics>, device: &[u8]) -> bool {
    let known = statistics.and_then(|s| s.min_bytes_opt().zip(s.max_bytes_opt()));
    known.is_none_or(|(low, high)| low <= device && high >= device)
}

/// The rows of a group whose pages may have the device: those of its first such page to its last.
fn rows_of(
    metadata: &ParquetMetaData,
    group: usize,
    column: usize,
    device: &[u8],
) -> Option<Range<i64>> {
    let ColumnIndexMetaData::BYTE_ARRAY(index) =
        metadata.column_index()?.get(group)?.get(column)?
    else {
        return None;
    };
    let places = metadata.offset_index()?.get(group)?.get(column)?.page_locations();
    let ranges = index.min_values_iter().zip(index.max_values_iter());
    let may_have = ranges.map(|(low, high)| {
        low.zip(high).is_some_and(|(low, high)| low <= device && high >= device)
    });
    let end = metadata.row_group(group).num_rows();
    let ends = places.iter().skip(1).map(|place| place.first_row_index).chain([end]);
    let pages = places.iter().zip(ends).zip(may_have).filter(|(_, has)| *has);
    let rows = pages.map(|((place, end), _)| place.first_row_index..end);
    let rows = rows.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end));
    Some(rows.unwrap_or(0..0))
}

/// Bytes of the pages of all columns that have some of these rows, with their dictionaries.
fn pages(metadata: &ParquetMetaData, group: usize, rows: &Range<i64>) -> Option<u64> {
    let mut bytes = 0;
    if rows.is_empty() {
        return Some(0);
    }
    let end = metadata.row_group(group).num_rows();
    for (n, column) in metadata.row_group(group).columns().iter().enumerate() {
        let places = metadata.offset_index()?.get(group)?.get(n)?.page_locations();
        let ends = places.iter().skip(1).map(|place| place.first_row_index).chain([end]);
        for (place, end) in places.iter().zip(ends) {
            if place.first_row_index < rows.end && end > rows.start {
                bytes += u64::try_from(place.compressed_page_size).ok()?;
            }
        }
        // What stands before the first page is the dictionary.
        let first = u64::try_from(places.first()?.offset).ok()?;
        bytes += first.checked_sub(column.byte_range().0)?;
    }
    Some(bytes)
}
