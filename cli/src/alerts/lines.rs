//! Rows from a file: a JSON object a line, with the columns of `readings`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use watch::{Quality, Reading, RowId};

/// Longer lines are refused, bytes.
const LINE_MAX: usize = 1 << 20;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    source_id: String,
    #[serde(default)]
    epoch: i64,
    source_offset: Option<i64>,
    #[serde(default)]
    row_no: i32,
    #[serde(default)]
    site: String,
    device_id: String,
    metric: String,
    #[serde(default)]
    unit: Option<String>,
    value: Option<f64>,
    value_text: Option<String>,
    quality: Option<String>,
    event_ts: Moment,
    received_ts: Option<Moment>,
}

/// A time: RFC 3339, or Unix microseconds.
#[derive(Deserialize)]
#[serde(untagged)]
enum Moment {
    Number(i64),
    Text(String),
}

impl Moment {
    fn us(&self) -> anyhow::Result<i64> {
        match self {
            Self::Number(us) => Ok(*us),
            Self::Text(text) => moment(text),
        }
    }
}

/// Reads a time as RFC 3339 has it, or a day.
pub(super) fn moment(text: &str) -> anyhow::Result<i64> {
    if let Some(date) = lake::date::date_parse(text) {
        return Ok(i64::from(date) * 86_400_000_000);
    }
    let time: jiff::Timestamp =
        text.parse().with_context(|| format!("{text:?} is no time: write 2026-03-01T08:00:00Z"))?;
    Ok(time.as_microsecond())
}

/// Hands over each row of a file, in order. A row without an offset has the number of its line.
pub(super) fn each(
    path: &Path,
    mut take: impl FnMut(&Reading<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = BufReader::new(file);
    let mut text = String::new();
    for number in 1_i64.. {
        text.clear();
        let read = std::io::Read::take(&mut lines, LINE_MAX as u64).read_line(&mut text);
        let at = || format!("{}, line {number}", path.display());
        if read.with_context(at)? == 0 {
            break;
        }
        if text.len() >= LINE_MAX {
            bail!("{}: longer than {LINE_MAX} bytes", at());
        }
        if !text.trim().is_empty() {
            row(&text, number, &mut take).with_context(at)?;
        }
    }
    Ok(())
}

fn row(
    text: &str,
    number: i64,
    take: &mut impl FnMut(&Reading<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let line: Line = serde_json::from_str(text)?;
    let event_us = line.event_ts.us()?;
    let received_us = line.received_ts.as_ref().map_or(Ok(event_us), Moment::us)?;
    take(&Reading {
        id: RowId {
            source_id: &line.source_id,
            epoch: line.epoch,
            source_offset: line.source_offset.unwrap_or(number),
            row_no: line.row_no,
        },
        site: &line.site,
        device: &line.device_id,
        metric: &line.metric,
        unit: line.unit.as_deref().unwrap_or_default(),
        value: line.value,
        text: line.value_text.as_deref(),
        quality: line.quality.as_deref().map_or(Quality::Good, Quality::named),
        event_us,
        received_us,
    })
}
