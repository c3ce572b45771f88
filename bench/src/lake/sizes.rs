//! Bytes a row of `readings` for a day of the ward: as it lands, after a merge, and as others would keep it.

use std::io::Write;

use anyhow::Context;
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use lake::maintain::{self, Pace};
use lake::{Lake, LandOutcome, Lander, OpenMode};
use service_runtime::Clock;

use super::Lines;
use super::plain_parquet::{self, Squeeze};
use super::ward::{self, Decoded, Sent};
use crate::compaction::{all_readings, merging};

/// How long ingest gathers rows by default, microseconds.
const FLUSH_US: i64 = 10_000_000;
/// What `zstd` takes unless it is told.
const ZSTD_LEVEL: i32 = 3;
const UNIT: &str = "bytes a row";

/// Bytes of columns, and of whole files.
#[derive(Default)]
struct Size {
    columns: Vec<(String, u64)>,
    bytes: u64,
    files: usize,
}

impl Size {
    fn add(&mut self, file: &Bytes) -> anyhow::Result<()> {
        self.bytes += file.len() as u64;
        self.files += 1;
        for (n, (name, bytes)) in lake::parquet::column_bytes(file)?.into_iter().enumerate() {
            match self.columns.get_mut(n) {
                Some((_, sum)) => *sum += bytes,
                None => self.columns.push((name, bytes)),
            }
        }
        Ok(())
    }

    async fn of_lake(lake: &Lake) -> anyhow::Result<Self> {
        let mut size = Self::default();
        for file in lake.files("readings").await? {
            let content = std::fs::read(&file.address)
                .with_context(|| format!("cannot read {}", file.address))?;
            size.add(&content.into())?;
        }
        Ok(size)
    }
}

/// Bytes a row by column.
pub(super) struct Columns {
    rows: u64,
    sizes: Vec<(&'static str, Size)>,
}

/// See the module.
pub(super) async fn measure(
    messages: &[Sent],
    by_hour: Vec<Decoded>,
    clock: Clock,
    lines: &mut Lines,
) -> anyhow::Result<Columns> {
    let mut landed = Size::default();
    for decoded in ward::decode(messages, FLUSH_US, clock)? {
        for (table, _, batches) in decoded.readings() {
            let encoded = lake::parquet::encode(table, batches.iter().cloned())?;
            landed.add(&encoded.context("a span has rows")?.bytes)?;
        }
    }
    let folder = tempfile::tempdir()?;
    let url = folder.path().display().to_string();
    let lake = Lake::open(&url, &[].into(), OpenMode::Create).await?;
    land(&lake, by_hour, clock).await?;
    let hourly = Size::of_lake(&lake).await?;
    maintain::run(&lake, &merging(), clock.now_us(), &mut Pace::unhurt(), &|_| {}).await?;
    let merged = Size::of_lake(&lake).await?;
    let rows = in_order_of_arrival(&lake).await?;
    let mut plain = Size::default();
    plain.add(&plain_parquet::write(std::slice::from_ref(&rows), Squeeze::Snappy)?)?;
    let n = rows.num_rows() as u64;
    let a_row = |bytes: u64| bytes as f64 / n as f64;
    let ours = (a_row(merged.bytes), UNIT);
    let day = format!("a day of the ward, {n} readings, after a merge ({} files)", merged.files);
    let snappy = ("plain Parquet, Snappy, as they arrived", a_row(plain.bytes));
    lines.push(&day, ours, Some(snappy));
    let others = [
        ("its rows as JSON lines, zstd", json_lines(&rows)?),
        ("its messages as JSON lines, zstd", message_lines(messages)?),
    ];
    for (what, bytes) in others {
        lines.push(&day, ours, Some((what, a_row(bytes))));
    }
    for (what, size) in [("each 10 s", &landed), ("each hour", &hourly)] {
        let what = format!("the same as it lands {what} ({} files)", size.files);
        lines.push(what, (a_row(size.bytes), UNIT), Some(snappy));
    }
    let sizes = vec![("landed each 10 s", landed), ("merged", merged), ("plain, Snappy", plain)];
    Ok(Columns { rows: n, sizes })
}

async fn land(lake: &Lake, decoded: Vec<Decoded>, clock: Clock) -> anyhow::Result<()> {
    let now_us = clock.now_us();
    let mut lander = Lander::open(lake, "bench", 0..64, now_us).await?;
    for Decoded { files, sources, .. } in decoded {
        let (staging, mut staged) = (lander.begin(now_us), Vec::new());
        for (table, date, batches) in files {
            staged.extend(staging.write(table, date, batches).await?);
        }
        let outcome = lander.land(&staging.finish(staged, sources), now_us).await?;
        anyhow::ensure!(matches!(outcome, LandOutcome::Landed { .. }), "{outcome:?}");
    }
    Ok(())
}

/// All rows as their messages came.
async fn in_order_of_arrival(lake: &Lake) -> anyhow::Result<RecordBatch> {
    let (_, all) = all_readings(lake).await?;
    let by = ["source_offset", "row_no"].map(|name| all.column_by_name(name).cloned());
    let by = by.into_iter().flatten().map(|values| SortColumn { values, options: None });
    let order = lexsort_to_indices(&by.collect::<Vec<_>>(), None)?;
    Ok(take_record_batch(&all, &order)?)
}

fn squeezed() -> anyhow::Result<zstd::Encoder<'static, Vec<u8>>> {
    Ok(zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?)
}

/// Each row as an object of what it has, a line each; bytes after compression.
fn json_lines(rows: &RecordBatch) -> anyhow::Result<u64> {
    let options = FormatOptions::default();
    let columns = rows.columns().iter().zip(rows.schema_ref().fields());
    let columns = columns.filter(|(column, _)| column.null_count() < column.len());
    let columns = columns.map(|(column, field)| {
        let number = field.data_type().is_numeric() || *field.data_type() == DataType::Boolean;
        anyhow::Ok((
            column,
            field.name(),
            number,
            ArrayFormatter::try_new(column.as_ref(), &options)?,
        ))
    });
    let columns: Vec<(&ArrayRef, &String, bool, ArrayFormatter<'_>)> =
        columns.collect::<anyhow::Result<_>>()?;
    let (mut out, mut line) = (squeezed()?, String::new());
    for row in 0..rows.num_rows() {
        line.clear();
        for (column, name, number, cells) in &columns {
            if column.is_null(row) {
                continue;
            }
            let begin = if line.is_empty() { '{' } else { ',' };
            let cell = cells.value(row).to_string();
            let cell = if *number { cell } else { serde_json::to_string(&cell)? };
            line.push_str(&format!("{begin}\"{name}\":{cell}"));
        }
        line.push_str("}\n");
        out.write_all(line.as_bytes())?;
    }
    Ok(out.finish()?.len() as u64)
}

/// Each message as it came, with topic and time, a line each; bytes after compression.
fn message_lines(messages: &[Sent]) -> anyhow::Result<u64> {
    let mut out = squeezed()?;
    for Sent { topic, payload, received_us } in messages {
        write!(out, "{{\"topic\":\"{topic}\",\"received_us\":{received_us},\"payload\":")?;
        out.write_all(payload)?;
        out.write_all(b"}\n")?;
    }
    Ok(out.finish()?.len() as u64)
}

impl Columns {
    /// The columns that take anything worth a word, and what each size has beside them.
    fn shown(&self) -> Vec<(&str, Vec<f64>)> {
        let a_row = |bytes: u64| bytes as f64 / self.rows as f64;
        let of = |name: &str, size: &Size| {
            let found = size.columns.iter().find(|(column, _)| column == name);
            found.map_or(0.0, |(_, bytes)| a_row(*bytes))
        };
        let names = self.sizes.first().into_iter().flat_map(|(_, size)| &size.columns);
        let mut all: Vec<(&str, Vec<f64>)> = names
            .map(|(name, _)| {
                (name.as_str(), self.sizes.iter().map(|(_, size)| of(name, size)).collect())
            })
            .filter(|(_, figures): &(_, Vec<f64>)| figures.iter().any(|figure| *figure >= 0.01))
            .collect();
        let rest = self.sizes.iter().map(|(_, size)| {
            let columns: u64 = size.columns.iter().map(|(_, bytes)| bytes).sum();
            a_row(size.bytes.saturating_sub(columns))
        });
        all.push(("(footers and indexes)", rest.collect()));
        all.push(("all", self.sizes.iter().map(|(_, size)| a_row(size.bytes)).collect()));
        all
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let names: Vec<&str> = self.sizes.iter().map(|(name, _)| *name).collect();
        serde_json::json!({ "rows": self.rows, "sizes": names, "columns": self.shown() })
    }

    pub(super) fn print(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let names: Vec<&str> = self.sizes.iter().map(|(name, _)| *name).collect();
        writeln!(out, "| bytes a row | {} |", names.join(" | "))?;
        writeln!(out, "|---|{}", "---|".repeat(names.len()))?;
        for (name, figures) in self.shown() {
            let figures: Vec<String> =
                figures.iter().map(|figure| format!("{figure:.2}")).collect();
            writeln!(out, "| {name} | {} |", figures.join(" | "))?;
        }
        Ok(())
    }
}
